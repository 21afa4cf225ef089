"""The mini-batch solver of the linear estimator goes near the optimum the exact one finds."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._objectives.batch_loss import BatchLoss
from sklearn_mlce._objectives.target_tensors import encode
from sklearn_mlce._solvers.design import Design
from sklearn_mlce._solvers.fit import BlockOptions, choose_solver, resolve_solver
from sklearn_mlce._solvers.newton_cg import LinearObjective
from sklearn_mlce._solvers.sgd import CentredWeights, batch_size_for, epochs_for
from sklearn_mlce._solvers.standardisation import Standardisation
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE, constant_label_scores
from tests.helpers.linear_problems import make_labels
from tests.helpers.pairwise import parametrize_pairwise, slow_except

LOSSES = {
    "mlce": {"loss": "mlce"},
    "mlce, scaled": {"loss": "mlce", "scale": 8.0, "margin": 1.0},
    "smooth hinge": {},
    "bce, scaled": {"loss": "bce", "scale": 8.0, "margin": 1.0},
    "bce": {"loss": "bce"},
    "squared hinge": {"loss": "squared_hinge"},
}


def sgd(**parameters):
    return MLCEClassifier(**({"solver": "sgd", "random_state": 0, "C": 1.0} | parameters))


def exact(**parameters):
    return MLCEClassifier(
        **({"solver": "newton-cg", "tol": 1e-6, "max_iter": 500, "C": 1.0} | parameters)
    )


def documents(n_rows=600, n_features=120, n_labels=20, seed=0):
    """Rows of unit norm with few entries, and labels that hang on them; each has both kinds."""
    rng = np.random.default_rng(seed)
    share = 1 / (np.arange(n_features) + 3)
    X = np.zeros((n_rows, n_features))
    for row in X:
        row[rng.choice(n_features, 12, replace=False, p=share / share.sum())] = 1
    scores = X @ rng.normal(size=(n_features, n_labels)) + rng.normal(size=(n_rows, n_labels))
    Y = (scores > np.quantile(scores, 0.85, axis=0)).astype(int)
    return sp.csr_array(X / np.linalg.norm(X, axis=1)[:, None]), Y


def standardised(n_rows=500, n_features=30, n_labels=8, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 4)) @ rng.normal(size=(4, n_features))
    X += rng.normal(size=X.shape)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    scores = X @ rng.normal(size=(n_features, n_labels)) + 6 * rng.normal(size=(n_rows, n_labels))
    return X, (scores > 3).astype(int)


def objective(model, X, Y, sample_weight=None):
    """Mean objective of a fit, as the exact solver evaluates it."""
    targets = encode_targets(Y)
    weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    total = weight.sum()
    label_weight = None if model.label_weight is None else torch.as_tensor(model.label_weight)
    own = model._objective_for(targets.format)
    targets = targets.one_hot() if own.separable else targets
    encoded = encode(targets, np.dtype(float), torch.device("cpu"))
    weights = torch.from_numpy(weight / total)
    rows = own.second_order(encoded, targets.n_outputs, weights, label_weight)
    design = Design(
        X, Standardisation.of_rows(X, weight / total, model.fit_intercept), torch.device("cpu")
    )
    parameters = torch.from_numpy(np.vstack([model.coef_.T, model.intercept_]).astype(float))
    point = design.to_centred(parameters[: design.n_parameters])
    return LinearObjective(design, rows, 1 / (model.C * total)).at(point).value


def assert_near_the_optimum(X, Y, sample_weight=None, epochs=100, rel=1e-3, **parameters):
    near = sgd(max_iter=epochs, **parameters).fit(X, Y, sample_weight)
    best = exact(**parameters).fit(X, Y, sample_weight)
    value, least = (objective(model, X, Y, sample_weight) for model in (near, best))
    assert best.loss_curve_[-1] == pytest.approx(least, rel=1e-9)
    assert least * (1 - 1e-9) <= value <= least * (1 + rel)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("name", slow_except("all", of=LOSSES))
def test_it_goes_near_the_optimum_of_sparse_rows(name, fit_intercept):
    X, Y = documents(n_rows=300)
    assert_near_the_optimum(X, Y, fit_intercept=fit_intercept, **LOSSES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_it_goes_near_the_optimum_of_dense_rows(name):
    X, Y = standardised(n_rows=250)
    assert_near_the_optimum(X, Y, C=0.01, epochs=150, **LOSSES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlce", "mlce, scaled", "smooth hinge", "bce", "squared hinge"])
@pytest.mark.parametrize("kind", ["soft", "unknown"])
def test_it_goes_near_the_optimum_with_weights_and_of_soft_or_unknown_targets(name, kind):
    rng = np.random.default_rng(2)
    X, Y = documents(n_rows=300)
    weight = rng.uniform(0.2, 3, X.shape[0])
    label_weight = rng.uniform(0.5, 2, Y.shape[1])
    if kind == "soft":
        Y = 0.8 * Y + 0.1 * rng.random(Y.shape)
    else:
        Y = np.where(rng.random(Y.shape) < 0.2, np.nan, Y)
    options = {**LOSSES[name], "label_weight": label_weight}
    assert_near_the_optimum(X, Y, weight, epochs=140, **options)


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 4])
def test_it_goes_near_the_optimum_of_a_1d_y(n_classes):
    X, Y = documents(n_rows=300)
    assert_near_the_optimum(X, Y[:, : n_classes - 1].sum(axis=1).clip(max=n_classes - 1))


@parametrize_pairwise(
    features=["standardised", "documents", "counts"],
    scale=[1.0, 4.0, 16.0],
    loss=["mlce", "bce"],
)
@pytest.mark.slow
def test_no_step_is_too_long(features, scale, loss):
    X, Y = standardised() if features == "standardised" else documents()
    if features == "counts":
        rng = np.random.default_rng(3)
        X = sp.csr_array(X.toarray() * rng.lognormal(2, 1.5, X.shape).round())
    options = {"loss": loss, "scale": scale, "margin": 1.0}
    model, first = (sgd(max_iter=n, **options).fit(X, Y) for n in (8, 1))
    assert np.isfinite(model.coef_).all()
    # Better than without features, and no worse as it goes on.
    without = copy.copy(model)
    without.coef_ = np.zeros_like(model.coef_)
    without.intercept_ = sgd(**options).fit(0 * X, Y).intercept_
    assert objective(model, X, Y) < objective(without, X, Y)
    assert objective(model, X, Y) < 1.02 * objective(first, X, Y)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_seed_alone_decides(method):
    X, Y = documents()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    models = [getattr(sgd(random_state=seed), method)(X, Y) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    np.testing.assert_array_equal(models[0].coef_, models[1].coef_)
    np.testing.assert_array_equal(models[0].intercept_, models[1].intercept_)
    assert not np.array_equal(models[0].coef_, models[2].coef_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_and_labels_equal_dense(dtype):
    X, Y = documents()
    X = X.astype(dtype)
    sparse = sgd(**LOSSES["bce, scaled"]).fit(X, sp.csr_array(Y))
    dense = sgd(**LOSSES["bce, scaled"]).fit(X.toarray(), Y)
    assert sparse.coef_.dtype == dense.coef_.dtype == dtype
    tolerance = 1e-3 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=0, atol=tolerance)
    np.testing.assert_allclose(sparse.intercept_, dense.intercept_, rtol=0, atol=tolerance)


def test_shifted_features_change_the_intercept_alone():
    X, Y = standardised()
    shift = np.linspace(-3, 3, X.shape[1])
    model, shifted = sgd().fit(X, Y), sgd().fit(X + shift, Y)
    np.testing.assert_allclose(model.coef_, shifted.coef_, atol=1e-9)
    expected = model.intercept_ - shifted.coef_ @ shift
    np.testing.assert_allclose(shifted.intercept_, expected, atol=1e-8)


def test_warm_start_begins_at_the_last_coefficients():
    X, Y = documents()
    model = sgd(warm_start=True, max_iter=100).fit(X, Y)
    cold = sgd(max_iter=1).fit(X, Y)
    model.set_params(max_iter=1).fit(X, Y)
    assert model.loss_curve_[0] < cold.loss_curve_[0]


def test_the_loss_curve_is_the_mean_objective_of_each_epoch():
    X, Y = documents()
    model = sgd(max_iter=60).fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == 60
    assert model.loss_curve_[-1] == pytest.approx(objective(model, X, Y), rel=0.01)
    assert model.loss_curve_[-1] < model.loss_curve_[20] < model.loss_curve_[0]


def test_labels_without_a_positive_rank_last():
    X, Y = documents()
    Y[:, [1, 4]], Y[:, 2] = 0, 1
    model = sgd().fit(X, Y)
    scores = model.decision_function(X)
    assert (scores[:, [1, 4]] == -CONSTANT_LABEL_SCORE).all()
    assert (scores[:, 2] == CONSTANT_LABEL_SCORE).all()
    seen = [label for label in range(Y.shape[1]) if label not in (1, 2, 4)]
    np.testing.assert_allclose(scores[:, seen], sgd().fit(X, Y[:, seen]).decision_function(X))


def test_a_warm_start_lies_by_features_where_labels_are_left_out(monkeypatch):
    """A step touches rows of the coefficients: by columns it takes six times as long."""
    X, Y = documents()
    Y[:, 1] = 0
    layouts = []
    original = CentredWeights.__init__

    def record(self, parameters, offset):
        layouts.append(parameters.is_contiguous())
        original(self, parameters, offset)

    monkeypatch.setattr(CentredWeights, "__init__", record)
    sgd(warm_start=True, max_iter=2).fit(X, Y).fit(X, Y)
    assert layouts == [True, True]


def test_no_array_of_all_rows_and_labels(monkeypatch):
    X, Y = documents(n_rows=1300, n_labels=40)
    seen = []
    original = BatchLoss.value_and_gradient

    def record(self, scores, targets, weight):
        seen.append(len(scores))
        return original(self, scores, targets, weight)

    monkeypatch.setattr(BatchLoss, "value_and_gradient", record)
    sgd(max_iter=2).fit(X, sp.csr_array(Y))
    assert sum(seen) == 2 * 1300
    assert max(seen) <= 256


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_rows_that_overflow_say_what_to_do_and_an_earlier_fit_is_kept(method):
    X, Y = documents()
    model = sgd(max_iter=2)
    getattr(model, method)(X, Y)
    before = dict(vars(model))
    long = clone(model)
    with pytest.raises(ValueError, match=r"overflow float64.*MaxAbsScaler"):
        getattr(long, method)(X * 1e200, Y)
    assert not hasattr(long, "coef_")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        getattr(model, method)(X[1:], Y)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)


@pytest.mark.parametrize(
    ("shape", "solver"),
    [
        ((1500, 100, None, 14), "newton-cg"),
        ((12_000, 14_000, 150_000, 700), "sgd"),
        ((10**6, 10**5, 10**8, 1), "newton-cg"),
        ((300, 1000, 3000, 20), "newton-cg"),
        ((10**6, 100, None, 2000), "sgd"),
    ],
)
def test_auto_goes_by_the_shape(shape, solver):
    assert choose_solver(*shape, large_work=1e8) == solver
    few_scores = shape[0] * shape[3] <= 10**8
    assert choose_solver(*shape, large_work=np.inf) == ("newton-cg" if few_scores else "sgd")


@pytest.mark.parametrize(
    ("options", "work"),
    [
        ({}, np.inf),
        ({"loss": "bce"}, 1e8),
        ({"loss": "bce", "margin": 0.5}, np.inf),
        ({"loss": "squared_hinge"}, 1e8),
        ({"loss": "mlce"}, 2e7),
    ],
)
def test_labels_apart_are_solved_exactly_for_longer(options, work):
    targets = encode_targets(documents()[1])
    assert MLCEClassifier(**options)._objective_for(targets.format).large_work == work


@pytest.mark.parametrize("y_kind", ["labels", "multiclass"])
def test_the_exact_solver_draws_nothing(y_kind):
    """What "auto" takes for labels of 0 and 1 is deterministic, whatever the random state."""
    X, Y = documents()
    y = Y if y_kind == "labels" else Y[:, 0] + Y[:, 1]
    first, second = (MLCEClassifier().fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.coef_, second.coef_)


def test_auto_is_one_of_the_two():
    X, Y = documents()
    auto, exact_fit = MLCEClassifier().fit(X, Y), MLCEClassifier(solver="newton-cg").fit(X, Y)
    np.testing.assert_array_equal(auto.coef_, exact_fit.coef_)


def test_callbacks_are_told_of_the_epochs_and_may_end_them():
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    from tests.estimators.test_callbacks import Ending, Recorder

    X, Y = documents()
    recorder = Recorder()
    model = sgd(max_iter=4).set_callbacks(recorder).fit(X, Y)
    epochs = ["begin epoch", "end epoch"] * 4
    assert recorder.hooks == ["setup", "begin fit", *epochs, "end fit", "teardown"]
    *snapshots, last = recorder.fits
    np.testing.assert_array_equal(last.coef_, model.coef_)
    # What a snapshot reads is put together from parts, and the descent goes on from the sum.
    np.testing.assert_allclose(model.coef_, sgd(max_iter=4).fit(X, Y).coef_, atol=1e-12)
    assert not np.array_equal(snapshots[0].coef_, snapshots[1].coef_)
    ended = sgd(max_iter=4).set_callbacks(Ending()).fit(X, Y)
    assert ended.n_iter_ == 2
    np.testing.assert_allclose(ended.coef_, snapshots[1].coef_, atol=1e-12)


@pytest.mark.gpu
@parametrize_pairwise(method=["fit", "partial_fit"], name=LOSSES, dense=[False, True])
def test_gpu_decides_as_the_cpu(method, name, dense):
    X, Y = documents()
    X = X.toarray() if dense else X
    on_cpu = getattr(sgd(**LOSSES[name]), method)(X, Y)
    on_gpu = getattr(sgd(device="cuda", **LOSSES[name]), method)(X, Y)
    np.testing.assert_allclose(on_gpu.coef_, on_cpu.coef_, atol=1e-6)
    np.testing.assert_allclose(on_gpu.intercept_, on_cpu.intercept_, atol=1e-6)


@pytest.mark.parametrize("loss", ["auto", "bce", "squared_hinge"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.slow
def test_a_weight_of_a_label_multiplies_its_C_where_labels_are_apart(
    container, fit_intercept, loss
):
    """Its step shrinks by its weight, so that a heavy label neither diverges nor slows others."""
    rng = np.random.default_rng(0)
    X, Y = make_labels(rng, n_rows=200)
    X = container(np.where(np.abs(X) > 0.5, X, 0))
    weight = np.geomspace(0.02, 50, Y.shape[1])
    options = {"loss": loss, "solver": "sgd", "max_iter": 20, "random_state": 0}
    options |= {"fit_intercept": fit_intercept}
    weighted = MLCEClassifier(C=0.1, label_weight=weight, **options).fit(X, Y)
    for label, factor in enumerate(weight):
        alone = MLCEClassifier(C=0.1 * factor, **options).fit(X, Y)
        for name in ("coef_", "intercept_"):
            found, expected = (getattr(model, name)[label] for model in (weighted, alone))
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n_rows", [1, 30, 640, 5000, 64_000, 10**6])
@pytest.mark.parametrize("n_outputs", [1, 40, 1000])
def test_a_fit_has_ten_epochs_and_a_thousand_steps(n_rows, n_outputs):
    size = batch_size_for(n_rows, n_outputs)
    n_batches, n_epochs = -(-n_rows // size), epochs_for(n_rows, n_outputs, None)
    assert 1 <= size <= 256
    assert n_batches >= min(n_rows, 10)
    assert n_epochs >= 10
    assert n_epochs * n_batches >= 1000
    assert n_epochs == 10 or (n_epochs - 1) * n_batches < 1000
    assert epochs_for(n_rows, n_outputs, 3) == 3


def test_scores_of_outputs_are_padded_to_the_longest():
    rng = np.random.default_rng(0)
    y = np.column_stack([np.arange(2000) % 40, np.arange(2000) % 3])
    model = MLCEClassifier()
    X, targets, weight = model._validate_fit(rng.normal(size=(2000, 3)), y, None)
    problem = model._problem(X, targets, weight, 1.0, None)
    fixed, blocks = constant_label_scores(targets), BlockOptions("auto", None, 0.0)
    options = resolve_solver(problem, fixed, "sgd", None, 1e-4, 0, blocks)
    assert options.max_iter == epochs_for(2000, 80, None) != epochs_for(2000, 43, None)
