"""The losses as the estimators take them: by name, or as a module."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn_mlce._objectives.first_order import BatchLoss, LabelCounts
from sklearn_mlce._objectives.options import COUNTED, LABEL_TERMS, LossOptions, resolve_loss
from sklearn_mlce._objectives.second_order import row_loss_of

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV, losses
from sklearn_mlce._objectives import first_order as batch_losses
from sklearn_mlce._objectives.target_tensors import encode
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce.losses import (
    AsymmetricLoss,
    BinaryCrossEntropyLoss,
    ClassBalancedFocalLoss,
    DistributionBalancedLoss,
    FocalLoss,
    MLCELoss,
    PairwiseLoss,
    binary_cross_entropy_loss,
)
from tests.helpers.estimators import labelled_rows, linear, mlp, on_both
from tests.helpers.linear_problems import parameters_of

CPU = torch.device("cpu")
COUNTS, TOTAL = torch.tensor([9.0, 4.0, 1.0, 0.0, 20.0]), 21.0
MODULES = {
    "mlce": MLCELoss,
    "pairwise": PairwiseLoss,
    "bce": BinaryCrossEntropyLoss,
    "focal": FocalLoss,
    "asymmetric": AsymmetricLoss,
    "class_balanced_focal": lambda **options: ClassBalancedFocalLoss(COUNTS, **options),
    "distribution_balanced": lambda **options: DistributionBalancedLoss(COUNTS, TOTAL, **options),
}
on_each = pytest.mark.parametrize("loss", MODULES)


def rows_of(kind, n_rows=17, n_labels=5):
    """Scores of some rows, and their targets as y has them."""
    rng = np.random.default_rng(0)
    Y = (rng.random((n_rows, n_labels)) < 0.4).astype(float)
    Y[0], Y[1] = 0, 1
    if kind == "unknown":
        Y[2:][rng.random((n_rows - 2, n_labels)) < 0.3] = np.nan
    if kind == "soft":
        Y[2:] = rng.random((n_rows - 2, n_labels))
    return torch.from_numpy(2 * rng.normal(size=Y.shape)), Y


def by_autograd(module, scores, Y):
    """Sum of the losses of rows by the public module, and its gradient."""
    scores = scores.clone().requires_grad_()
    loss = module(scores, torch.from_numpy(Y))
    loss.sum().backward()
    return loss.detach(), scores.grad


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["hard", "unknown", "soft"])
@on_each
def test_a_batch_costs_what_the_module_says(loss, kind, weighted):
    if kind == "soft" and loss in LABEL_TERMS:
        pytest.skip("takes no soft targets")
    scores, Y = rows_of(kind)
    label_weight = torch.linspace(0.5, 2, 5, dtype=torch.float64) if weighted else None
    row_weight = torch.linspace(0.1, 1, len(Y), dtype=torch.float64) if weighted else None
    own = BatchLoss(LossOptions(loss=loss), 5, label_weight, LabelCounts(COUNTS.double(), TOTAL))
    values, gradient = own(scores, encode(encode_targets(Y), np.float64, CPU), row_weight)
    module = MODULES[loss](label_weight=label_weight, reduction="none")
    expected, expected_gradient = by_autograd(module, scores, Y)
    if weighted:
        expected, expected_gradient = expected * row_weight, expected_gradient * row_weight[:, None]
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@on_each
def test_a_module_is_a_loss_like_the_named_one(loss, reduction):
    scores, Y = rows_of("hard")
    module = MODULES[loss](reduction=reduction)
    targets = encode(encode_targets(Y), np.float64, CPU)
    named = BatchLoss(LossOptions(loss=loss), 5, counts=LabelCounts(COUNTS.double(), TOTAL))
    own = BatchLoss(LossOptions(loss="module", module=module), 5)
    for weight in (None, torch.full((1,), 0.25), torch.linspace(0.1, 1, len(Y))):
        weight = None if weight is None else weight.double()
        values, gradient = named(scores, targets, weight)
        own_values, own_gradient = own(scores, targets, weight)
        torch.testing.assert_close(own_values.sum(), values.sum())
        torch.testing.assert_close(own_gradient, gradient)
    assert 0.5 < own.curvature / named.curvature < 3 or loss in ("mlce", "pairwise")


def test_a_module_of_torch_is_a_loss():
    scores, Y = rows_of("hard")
    targets = encode(encode_targets(Y), np.float64, CPU)
    module = torch.nn.BCEWithLogitsLoss()  # the mean over cells
    values, gradient = BatchLoss(LossOptions(loss="module", module=module), 5)(
        scores, targets, None
    )
    named, named_gradient = BatchLoss(LossOptions(loss="bce"), 5)(scores, targets, None)
    torch.testing.assert_close(values.sum(), named.sum() / 5)
    torch.testing.assert_close(gradient, named_gradient / 5)


@pytest.mark.parametrize("kind", ["hard", "unknown", "soft"])
def test_pairwise_rows_have_the_derivatives_of_the_loss(kind):
    scores, Y = rows_of(kind)
    weight = torch.linspace(0.1, 1, len(Y), dtype=torch.float64)
    label_weight = torch.linspace(0.5, 2, 5, dtype=torch.float64)
    options = resolve_loss("multilabel", loss="pairwise", scale=2.0, margin=0.5, order=None)
    rows = row_loss_of(encode_targets(Y), np.arange(5), weight, options, label_weight)

    def total(scores):
        each = _plain_pairs(scores, torch.from_numpy(Y), label_weight)
        return weight @ torch.log1p(each) / 2

    found = rows.evaluate(scores)
    assert found.value == pytest.approx(total(scores).item(), rel=1e-12)
    direction = torch.linspace(-1, 1, scores.numel(), dtype=torch.float64).reshape(scores.shape)
    _, product = torch.autograd.functional.hvp(total, scores, direction)
    hessian = torch.autograd.functional.hessian(total, scores).reshape(2 * [scores.numel()])
    for _ in range(2):  # nothing is spent
        gradient = torch.autograd.functional.jacobian(total, scores)
        torch.testing.assert_close(found.gradient(), gradient)
        diagonal = hessian.diagonal().reshape(scores.shape)
        torch.testing.assert_close(found.curvature_diagonal(), diagonal)
        torch.testing.assert_close(found.curvature_product(direction.clone()), product)


def _plain_pairs(scores, targets, label_weight):
    """Sum over pairs of a negative and a positive, with scale 2 and margin 0.5."""
    apart = (2 * (scores[:, :, None] - scores[:, None, :] + 0.5)).exp()
    negative = ((1 - targets) * label_weight).nan_to_num()
    positive = (targets * label_weight).nan_to_num()
    return torch.einsum("ri,rij,rj->r", negative, apart, positive)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"scale": 3.0, "margin": 0.5}])
def test_both_solvers_find_the_optimum_of_pairwise(options):
    X, Y = labelled_rows()
    options = {"C": 0.3, "loss": "pairwise", "n_labels_per_row": 2} | options
    exact = MLCEClassifier(solver="newton-cg", tol=1e-8, **options).fit(X, Y)
    drawn = MLCEClassifier(solver="sgd", max_iter=800, random_state=0, **options).fit(X, Y)
    assert exact.loss_curve_[-1] <= drawn.loss_curve_[-1]
    assert drawn.loss_curve_[-1] == pytest.approx(exact.loss_curve_[-1], rel=1e-3)
    parameters = torch.from_numpy(parameters_of(exact)).requires_grad_()
    scores = torch.from_numpy(X) @ parameters[:-1] + parameters[-1]
    shape = {"scale": options.get("scale", 1.0), "margin": options.get("margin", 0.0)}
    loss = losses.pairwise_loss(scores, torch.from_numpy(Y), reduction="sum", **shape)
    objective = 0.3 * loss / shape["scale"] + parameters[:-1].square().sum() / 2
    objective.backward()
    assert parameters.grad.abs().max() < 1e-5


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_pairwise_of_one_label_a_row_is_softmax(kind):
    X, Y = labelled_rows()
    y = Y[:, 0] if kind == "binary" else Y[:, :3].sum(axis=1)
    for make in (linear, lambda **kw: MLCEMLP((4,), max_epochs=2, random_state=0, **kw)):
        pairwise = make(loss="pairwise", n_labels_per_row=1).fit(X, y)
        plain = make().fit(X, y)
        np.testing.assert_array_equal(pairwise.decision_function(X), plain.decision_function(X))


@on_both
def test_a_search_may_choose_the_loss(make):
    X, Y = labelled_rows()
    named = ["mlce", "bce", "focal", "asymmetric", "distribution_balanced", FocalLoss(gamma=1.0)]
    model = make(random_state=0, max_iter=30) if make is linear else make(random_state=0)
    search = GridSearchCV(model, {"loss": named}, scoring="f1_micro", cv=2)
    search.fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(set(search.cv_results_["mean_test_score"].round(6))) > 2


@on_both
@pytest.mark.parametrize("loss", COUNTED)
def test_label_counts_are_those_of_the_training_rows(make, loss, monkeypatch):
    X, Y = labelled_rows()
    weight = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    seen = []

    def record(options, n_outputs, label_weight, counts):
        seen.append(counts)
        return form(options, n_outputs, label_weight, counts)

    form = batch_losses._form
    monkeypatch.setattr(batch_losses, "_form", record)
    make(loss=loss, random_state=0).fit(X, Y, weight)
    assert seen
    for counts in seen:
        np.testing.assert_allclose(counts.positive, weight @ Y)
        assert counts.total == pytest.approx(weight.sum())


@on_both
def test_weights_of_rows_count_in_label_counts(make):
    X, Y = labelled_rows()
    Y[:, 1] = np.arange(len(Y)) < 3  # rare enough for its weight to hang on its count
    options = {"loss": "class_balanced_focal", "random_state": 0}
    if make is linear:
        options |= {"solver": "sgd", "max_iter": 200}
    else:
        options |= {"batch_size": 10**6, "dropout": 0.0, "input_scaling": None}
    weight = np.random.default_rng(0).integers(1, 3, len(Y))
    rows = np.repeat(np.arange(len(Y)), weight)
    weighted = make(**options).fit(X, Y, sample_weight=weight)
    repeated = make(**options).fit(X[rows], Y[rows])
    atol = 0.05 if make is linear else 1e-8
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), rtol=0, atol=atol
    )


@on_both
@pytest.mark.parametrize("loss", LABEL_TERMS)
def test_soft_targets_are_refused_where_the_minimum_would_lie_elsewhere(make, loss):
    X, Y = labelled_rows()
    with pytest.raises(ValueError, match=rf"loss='{loss}' takes y of 0, 1 and NaN.*\(y > 0.5\)"):
        make(loss=loss).fit(X, Y * 0.9)
    unknown = np.where(np.arange(Y.size).reshape(Y.shape) % 7 == 0, np.nan, Y)
    assert make(loss=loss, random_state=0).fit(X, unknown).predict(X).shape == Y.shape


@on_both
@pytest.mark.parametrize("loss", COUNTED)
def test_a_chunk_does_not_know_the_label_counts(make, loss):
    X, Y = labelled_rows()
    assert not hasattr(make(loss=loss), "partial_fit")
    with pytest.raises(AttributeError) as caught:
        make(loss=loss).partial_fit(X, Y)
    assert "which a chunk does not know. Call fit, or pass the loss" in str(caught.value.__cause__)
    make(loss="focal", random_state=0).partial_fit(X, Y)


@on_both
def test_a_module_stays_as_it_was_given(make):
    X, Y = labelled_rows()
    module = BinaryCrossEntropyLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0, 4.0]))
    before = copy.deepcopy(module.state_dict())
    model = make(loss=module, random_state=0)
    assert isinstance(clone(model).loss, BinaryCrossEntropyLoss)
    model.fit(X, Y)
    torch.testing.assert_close(module.state_dict(), before)
    assert model.loss is module
    assert not hasattr(model, "predict_proba")


class Clumsy(torch.nn.Module):
    """Counts its calls, and writes into the targets."""

    calls = 0

    def forward(self, scores, targets):
        type(self).calls += 1
        self.own_calls = getattr(self, "own_calls", 0) + 1
        type(self).most = max(getattr(type(self), "most", 0), self.own_calls)
        known = ~targets.isnan()
        targets[~known] = 0
        cells = torch.nn.functional.binary_cross_entropy_with_logits(
            scores, targets, reduction="none"
        )
        return (cells * known).sum(dim=1)


@on_both
def test_a_module_may_write_into_its_targets_and_keep_count(make):
    X, Y = labelled_rows()
    unknown = Y.astype(np.float32)
    unknown[3, 1] = np.nan
    given = unknown.copy()
    Clumsy.calls = Clumsy.most = 0
    make(loss=Clumsy(), random_state=0).fit(X.astype(np.float32), unknown)
    np.testing.assert_array_equal(unknown, given)
    assert Clumsy.calls > 3
    assert Clumsy.most == Clumsy.calls  # one copy for the whole fit


@on_both
def test_a_module_sees_labels_that_no_row_carries(make):
    X, Y = labelled_rows()
    Y[:, 1] = 0
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])  # one for each label, trained or not
    model = make(loss=FocalLoss(label_weight=weight), random_state=0).fit(X, Y)
    assert (model.decision_function(X)[:, 1] == -1e9).all()
    assert model.predict(X).any()


@on_both
def test_a_module_without_weights_takes_none(make):
    X, Y = labelled_rows()
    weight = np.ones(len(Y))
    model = make(loss=torch.nn.MultiLabelSoftMarginLoss(), random_state=0)
    with pytest.raises(
        ValueError, match=r"MultiLabelSoftMarginLoss.forward takes no sample_weight"
    ):
        model.fit(X, Y, sample_weight=weight)
    model.set_params(loss=torch.nn.BCEWithLogitsLoss(reduction="none")).fit(X, Y, weight)
    with pytest.raises(ValueError, match="a loss that is a module is used as it is"):
        make(loss=FocalLoss(), label_weight=[1, 2, 3, 4]).fit(X, Y)
    with pytest.raises(ValueError, match="beside a module"):
        make(loss=FocalLoss(), scale=2.0).fit(X, Y)


class _PerLabel(torch.nn.Module):
    def forward(self, scores, targets):
        return torch.nn.functional.softplus(scores).mean(dim=0)


class _Detached(torch.nn.Module):
    def forward(self, scores, targets):
        return scores.detach().sum()


class _Number(torch.nn.Module):
    def forward(self, scores, targets):
        return 1.0


class _OneByOne(torch.nn.Module):
    def forward(self, scores, targets):
        return binary_cross_entropy_loss(scores, targets).reshape(1)


@on_both
@pytest.mark.parametrize(
    ("module", "message"),
    [
        (_PerLabel(), r"_PerLabel\(scores, targets\) returned shape \(4,\) for scores of shape"),
        (_Number(), "_Number.* returned <class 'float'>"),
        (_Detached(), "has no gradient in the scores"),
    ],
)
def test_what_a_module_returns_is_checked(make, module, message):
    X, Y = labelled_rows()
    with pytest.raises(ValueError, match=message):
        make(loss=module, random_state=0).fit(X, Y)


class _Falsy(_OneByOne):
    def __len__(self):
        return 0


@on_both
def test_a_module_of_length_zero_is_a_module(make):
    X, Y = labelled_rows()
    assert not hasattr(make(loss=_Falsy(), random_state=0).fit(X, Y), "predict_proba")


@on_both
def test_a_number_may_come_in_a_dimension(make):
    X, Y = labelled_rows()
    of_one = make(loss=_OneByOne(), random_state=0).fit(X, Y)
    plain = make(loss=BinaryCrossEntropyLoss(), random_state=0).fit(X, Y)
    np.testing.assert_array_equal(of_one.decision_function(X), plain.decision_function(X))


def test_a_checkpoint_knows_its_module(tmp_path):
    X, Y = labelled_rows()
    options = {"checkpoint_dir": tmp_path, "random_state": 0}
    mlp(loss=torch.nn.BCEWithLogitsLoss(reduction="sum"), **options).fit(X, Y)
    for other in (torch.nn.BCEWithLogitsLoss(), _OneByOne(), FocalLoss()):
        with pytest.raises(ValueError, match="module"):
            mlp(loss=other, resume=True, **options).fit(X, Y)
    same = torch.nn.BCEWithLogitsLoss(reduction="sum")
    assert mlp(loss=same, resume=True, **options).fit(X, Y).n_iter_ == 3


def test_thresholds_are_tuned_for_other_losses_too():
    X, Y = labelled_rows()
    for loss in ("focal", "asymmetric", FocalLoss()):
        tuned = MLCEClassifierCV([0.1, 1.0], loss=loss, max_iter=20, random_state=0).fit(X, Y)
        assert tuned.thresholds_ != 0
    with pytest.raises(ValueError, match="The 'loss' parameter of MLCEClassifierCV"):
        MLCEClassifierCV(loss="pairwise").fit(X, Y)
