"""The losses as the estimators take them: by name, or as a module."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV, losses
from sklearn_mlce._objectives.focal import ElementwiseObjective
from sklearn_mlce._objectives.registry import OBJECTIVES
from sklearn_mlce.losses import BinaryCrossEntropyLoss, FocalLoss, binary_cross_entropy_loss
from tests.helpers.estimators import labelled_rows, linear, mlp, on_both
from tests.helpers.linear_problems import parameters_of

NOT_CONVEX = [name for name, objective in OBJECTIVES.items() if not objective.convex]
COUNTED = [name for name, objective in OBJECTIVES.items() if objective.needs_label_counts]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"scale": 3.0, "margin": 0.5}])
def test_both_solvers_find_the_optimum_of_pairwise(options):
    X, Y = labelled_rows()
    options = {"C": 0.3, "loss": "pairwise", "n_labels_per_row": 2} | options
    exact = MLCEClassifier(solver="newton-cg", tol=1e-8, **options).fit(X, Y)
    drawn = MLCEClassifier(solver="sgd", max_iter=250, random_state=0, **options).fit(X, Y)
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
    model = make(random_state=0, max_iter=10) if make is linear else make(random_state=0)
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
    original = ElementwiseObjective.batch_loss

    def record(self, n_outputs, label_weight=None, counts=None):
        seen.append(counts)
        return original(self, n_outputs, label_weight, counts)

    monkeypatch.setattr(ElementwiseObjective, "batch_loss", record)
    make(loss=loss, random_state=0).fit(X, Y, weight)
    assert seen
    for counts in seen:
        np.testing.assert_allclose(counts.positive, weight @ Y)
        assert counts.total == pytest.approx(weight.sum())


@on_both
@pytest.mark.slow
def test_weights_of_rows_count_in_label_counts(make):
    X, Y = labelled_rows()
    Y[:, 1] = np.arange(len(Y)) < 3  # rare enough for its weight to hang on its count
    options = {"loss": "class_balanced_focal", "random_state": 0}
    if make is linear:
        options |= {"C": 1.0, "solver": "sgd", "max_iter": 150}
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
@pytest.mark.parametrize("loss", NOT_CONVEX)
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
    assert "which a chunk does not have. Call fit, or pass the loss" in str(caught.value.__cause__)
    make(loss="focal", random_state=0).partial_fit(X, Y)


@on_both
def test_a_loss_of_no_name_is_refused_in_chunks_too(make):
    X, Y = labelled_rows()
    assert hasattr(make(loss="hinge"), "partial_fit")
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match="The 'loss' parameter of MLCE"):
            getattr(make(loss="hinge"), method)(X, Y)


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
    with pytest.raises(ValueError, match=r"got \{'scale': 2.0\}, but a loss that is a module"):
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
        (_Detached(), "value of _Detached.* has no gradient in the scores"),
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


@pytest.mark.slow
def test_thresholds_are_tuned_for_other_losses_too():
    X, Y = labelled_rows()
    for loss in ("focal", "asymmetric", FocalLoss()):
        tuned = MLCEClassifierCV([0.1, 1.0], loss=loss, max_iter=20, random_state=0).fit(X, Y)
        assert tuned.thresholds_ != 0
    with pytest.raises(ValueError, match="The 'loss' parameter of MLCEClassifierCV"):
        MLCEClassifierCV(loss="pairwise").fit(X, Y)
