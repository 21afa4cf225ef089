"""Every kind of y that the linear estimator takes, and what it says of those that it does not."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import f1_score

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from tests.helpers.linear_problems import OF_EACH_SOLVER, make_labels

on_each_solver = pytest.mark.parametrize(
    "options", OF_EACH_SOLVER.values(), ids=OF_EACH_SOLVER.keys()
)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@on_each_solver
def test_labels_without_a_positive_rank_last_and_are_never_predicted(options, container):
    rng = np.random.default_rng(17)
    X, Y = make_labels(rng)
    rest = MLCEClassifier(tol=1e-9, **options).fit(X, Y[:, [0, 1, 3]])
    Y[:, 2], Y[:, 4] = 0, 1
    model = MLCEClassifier(tol=1e-9, **options).fit(X, container(Y))
    scores = model.decision_function(1e3 * X)
    assert (scores.argmin(axis=1) == 2).all()
    assert (scores.argmax(axis=1) == 4).all()
    predicted = model.predict(X)
    predicted = predicted.toarray() if sp.issparse(predicted) else predicted
    assert not predicted[:, 2].any()
    assert predicted[:, 4].all()
    assert model.intercept_[[2, 4]].tolist() == [-CONSTANT_LABEL_SCORE, CONSTANT_LABEL_SCORE]
    np.testing.assert_allclose(model.coef_[[0, 1, 3]], rest.coef_, atol=1e-8)
    probabilities = model.predict_proba(X)
    assert ((probabilities > 0) & (probabilities < 1)).all()


@on_each_solver
def test_positives_of_zero_weight_do_not_count(options):
    X, Y = make_labels(np.random.default_rng(18))
    weight = np.where(Y[:, 0] == 1, 0.0, 1.0)
    model = MLCEClassifier(**options).fit(X, Y, sample_weight=weight)
    assert model.intercept_[0] == -CONSTANT_LABEL_SCORE


@on_each_solver
def test_all_labels_constant(options):
    X = np.arange(6.0).reshape(3, 2)
    model = MLCEClassifier(**options).fit(X, [[0, 1], [0, 1], [0, 1]])
    assert model.predict(X).tolist() == [[0, 1]] * 3
    assert model.n_iter_ == 0


@on_each_solver
def test_unknown_labels_are_left_out(options):
    rng = np.random.default_rng(19)
    X, Y = make_labels(rng)
    Y = Y.astype(float)
    Y[2:30, 0] = np.nan
    weight = np.zeros(len(X))
    model = MLCEClassifier(tol=1e-9, **options).fit(X, Y)
    assert model.predict(X).dtype == np.int64
    flipped = Y.copy()
    weight[30:] = weight[:2] = 1
    flipped[2:30, 0] = 1
    assert (
        np.abs(MLCEClassifier(tol=1e-9, **options).fit(X, flipped).coef_ - model.coef_).max() > 1e-3
    )
    known = MLCEClassifier(tol=1e-9, **options).fit(X, Y, sample_weight=weight)
    same = MLCEClassifier(tol=1e-9, **options).fit(
        X, np.nan_to_num(Y).astype(int), sample_weight=weight
    )
    np.testing.assert_allclose(known.coef_, same.coef_, atol=1e-8)


def test_a_label_that_is_unknown_everywhere_warns():
    X, Y = make_labels(np.random.default_rng(20))
    Y = Y.astype(float)
    Y[:, 3] = np.nan
    with pytest.warns(UserWarning, match=r"labels \[3\] are unknown"):
        model = MLCEClassifier().fit(X, Y)
    assert not model.predict(X)[:, 3].any()


def test_soft_targets_are_met_where_the_model_can():
    """One binary feature per row pattern: the optimum is sigmoid(2 s) = t."""
    X = np.eye(3)
    T = np.array([[0.9, 0.2], [0.5, 0.6], [0.1, 0.3]])
    model = MLCEClassifier(C=1e8, loss="mlce", tol=1e-10).fit(X, T)
    np.testing.assert_allclose(model.predict_proba(X), T, atol=1e-4)


@on_each_solver
def test_predict_is_the_sign_of_the_decision_function(options):
    X, Y = make_labels(np.random.default_rng(21))
    for y in (Y, Y[:, 0], 0.5 * Y, sp.csr_matrix(Y)):
        model = MLCEClassifier(**options).fit(X, y)
        predicted = model.predict(X)
        predicted = predicted.toarray() if sp.issparse(predicted) else predicted
        np.testing.assert_array_equal(predicted, model.decision_function(X) > 0)
        probabilities = model.predict_proba(X)
        positive = probabilities[:, 1] if y is not Y and np.ndim(y) == 1 else probabilities
        # One increasing map: what is predicted has the higher probabilities, whatever the map.
        assert positive[predicted == 1].min() > positive[predicted == 0].max()


def test_sparse_predictions_are_made_by_blocks(monkeypatch):
    X, Y = make_labels(np.random.default_rng(22))
    model = MLCEClassifier().fit(X, sp.csr_matrix(Y))
    whole = model.predict(X)
    monkeypatch.setattr("sklearn_mlce._targets.targets.ENTRIES_PER_BLOCK", 35)
    blocks = model.predict(X)
    assert type(blocks) is type(whole) is sp.csr_matrix
    assert blocks.dtype == whole.dtype
    assert (blocks != whole).nnz == 0


def test_label_weight_is_checked_where_all_labels_are_constant():
    with pytest.raises(ValueError, match=r"label_weight has shape \(3,\)"):
        MLCEClassifier(label_weight=[1.0, 1, 1]).fit(np.eye(2), [[0, 1], [0, 1]])


def test_an_earlier_fit_survives_a_failed_one():
    X, Y = make_labels(np.random.default_rng(24))
    model = MLCEClassifier().fit(X, Y)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}
    scores = model.decision_function(X)
    for bad_X, bad_y in (
        (X[:, :3], np.where(Y, 1, -1)),
        (X[:, :3], Y[:-1]),
        (np.where(X > 2, np.nan, X), Y),
        (X[:0], Y[:0]),
    ):
        with pytest.raises(ValueError, match=r".+"):
            model.fit(bad_X, bad_y)
        after = {name: value for name, value in vars(model).items() if name.endswith("_")}
        assert after.keys() == before.keys()
        assert all(after[name] is before[name] for name in before)
    np.testing.assert_array_equal(model.decision_function(X), scores)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"C": 0}, "'C' parameter"),
        ({"tol": -1.0}, "'tol' parameter"),
        ({"max_iter": 0}, "'max_iter' parameter"),
        ({"scale": 0.0}, "'scale' parameter"),
        ({"margin": -0.5}, "'margin' parameter"),
        ({"loss": "mlce", "margin": (1.0, 2.0, 3.0)}, r"a pair of them.*got \(1.0, 2.0, 3.0\)"),
        ({"device": "tpu"}, "device='tpu' is not a device"),
        ({"loss": "hinge"}, "'loss' parameter"),
        ({"label_weight": [1.0, 2.0]}, r"label_weight has shape \(2,\); expected one number"),
        ({"label_weight": [1.0, 1, 1, 1, 0]}, "positive finite numbers"),
    ],
)
def test_unusable_parameters_say_what_was_expected(parameters, message):
    X, Y = make_labels(np.random.default_rng(27))
    with pytest.raises(ValueError, match=message):
        MLCEClassifier(**parameters).fit(X, Y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": np.full((60, 6), np.nan)}, "Input X contains NaN"),
        ({"X": np.zeros((60, 0))}, "0 feature"),
        ({"X": np.zeros((0, 6))}, "0 sample"),
        ({"X": np.zeros((59, 6))}, "inconsistent numbers of samples"),
        ({"sample_weight": -np.ones(60)}, "Negative values"),
        ({"sample_weight": np.zeros(60)}, "zero for every row|at least one non-zero"),
        ({"sample_weight": np.ones(59)}, "sample_weight.shape"),
    ],
)
def test_unusable_data_say_what_was_expected(arguments, message):
    X, Y = make_labels(np.random.default_rng(28))
    with pytest.raises(ValueError, match=message):
        MLCEClassifier().fit(**{"X": X, "y": Y, **arguments})


@on_each_solver
@pytest.mark.parametrize("C", [None, 1.0])
@pytest.mark.parametrize(
    ("largest", "dtype", "advice"),
    [(1e20, np.float32, "MaxAbsScaler does, or pass X as float64"), (1e200, float, "MaxAbsScaler")],
)
def test_features_whose_squares_overflow_say_what_to_do(options, C, largest, dtype, advice):
    X, Y = make_labels(np.random.default_rng(32))
    X = (X * largest).astype(dtype)
    with pytest.raises(ValueError, match=f"squared norms overflow {X.dtype};.*{advice}"):
        MLCEClassifier(C=C, input_scaling=None, **options).fit(X, Y)
    scaled = MLCEClassifier(C=C, input_scaling="columns", **options).fit(X, Y)
    assert f1_score(Y, scaled.predict(X), average="micro") > 0.7


@pytest.mark.parametrize(
    ("loss", "ends"),
    [
        ("mlce", pytest.warns(ConvergenceWarning, match="stopped after")),
        ("bce", pytest.raises(ValueError, match="beyond the numbers of float64")),
    ],
)
def test_a_gradient_that_is_no_number_has_not_converged(loss, ends):
    X, Y = make_labels(np.random.default_rng(33))
    model = MLCEClassifier(warm_start=True, loss=loss).fit(X, Y)
    model.coef_ = np.full_like(model.coef_, 1e308)  # scores of which are infinite, or inf - inf
    with ends, np.errstate(all="ignore"):
        model.fit(X, Y)
    assert np.isfinite(model.coef_).all()


def test_label_weight_is_refused_for_1d_y():
    X, Y = make_labels(np.random.default_rng(29))
    with pytest.raises(ValueError, match="labels of a multi-label y, but y is binary"):
        MLCEClassifier(label_weight=[1.0]).fit(X, Y[:, 0])


def test_prediction_on_other_widths_is_refused():
    X, Y = make_labels(np.random.default_rng(30))
    with pytest.raises(ValueError, match="6 features"):
        MLCEClassifier().fit(X, Y).predict(X[:, :5])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_where_there_is_none_is_refused():
    X, Y = make_labels(np.random.default_rng(31))
    with pytest.raises(ValueError, match="device='cuda' was asked for"):
        MLCEClassifier(device="cuda").fit(X, Y)
    assert MLCEClassifier(device="auto").fit(X, Y).coef_.shape == (5, 6)
    for name in ("cuda:1", "gpu"):
        with pytest.raises(ValueError, match=f"device='{name}' .* Type device='auto'"):
            MLCEClassifier(device=name).fit(X, Y)
    on_named = MLCEClassifierCV([0.1, 1.0], device="cpu:0", random_state=0).fit(X, Y)
    same = MLCEClassifierCV([0.1, 1.0], random_state=0).fit(X, Y)
    np.testing.assert_array_equal(on_named.coef_, same.coef_)


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_devices_without_the_arithmetic_are_refused(monkeypatch, kind):
    monkeypatch.setattr(getattr(torch, kind), "is_available", lambda: True)
    monkeypatch.setattr(getattr(torch, kind), "device_count", lambda: 1)
    X, Y = make_labels(np.random.default_rng(32))
    with pytest.raises(ValueError, match=rf"device='{kind}', but the solvers .* Set device='cpu'"):
        MLCEClassifier(device=kind).fit(X, Y)


@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix])
def test_rows_in_memory_maps_are_not_copied(container, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    X = sp.random(1000, 2000, density=0.1, format="csr", dtype=np.float32, random_state=rng)
    Y = (rng.random((1000, 5)) < 0.3).astype(int)
    model = MLCEClassifier(solver="sgd", max_iter=1, random_state=0).fit(X, Y)
    parts = {name: getattr(X, name) for name in ("data", "indices", "indptr")}
    for name, part in parts.items():
        np.save(tmp_path / name, part)
    maps = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in parts]
    for module in ("row_batches", "standardisation"):
        monkeypatch.setattr(f"sklearn_mlce._solvers.{module}._BLOCK_ENTRIES", 2**12)
    monkeypatch.setattr("sklearn_mlce._solvers.sgd._BATCH_ROWS", (10, 10))
    tracemalloc.start()
    model.fit(container(tuple(maps), shape=X.shape), Y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < sum(part.nbytes for part in parts.values()) / 2


@pytest.mark.parametrize(
    ("parameters", "size"), [({}, 3e38), ({"loss": "bce", "scale": 1e-300}, 1)]
)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_coefficients_that_overflow_end_the_fit_and_leave_the_last_one(parameters, size):
    rng = np.random.default_rng(0)
    X = rng.choice([-1.0, 1.0], (60, 5))
    Y = (X @ rng.normal(size=(5, 3)) > 0).astype(int)
    model = MLCEClassifier().fit(X, Y)
    before = model.decision_function(X)
    rows = X if size == 1 else (X * size).astype(np.float32)
    with pytest.raises(
        ValueError, match=r"coefficients of the best fit are beyond .*StandardScaler"
    ):
        model.set_params(**parameters).fit(rows, Y)
    np.testing.assert_array_equal(model.decision_function(X), before)
