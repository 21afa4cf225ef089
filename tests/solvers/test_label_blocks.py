"""Fits by blocks of labels: equal to the whole, in any number of processes, and thinned out."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from joblib import parallel_config, register_parallel_backend
from joblib._parallel_backends import ThreadingBackend
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import normalize

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._objectives.registry import resolve_objective
from sklearn_mlce._solvers import label_blocks
from sklearn_mlce._solvers.coefficients import spread_columns_
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce.losses import BinaryCrossEntropyLoss

N_ROWS, N_FEATURES, N_LABELS = 240, 60, 30
LOSSES = {
    "smooth hinge": {},
    "bce": {"loss": "bce"},
    "squared hinge": {"loss": "squared_hinge"},
    "label weights": {"label_weight": np.linspace(0.5, 2, N_LABELS)},
}
SOLVERS = {"newton-cg": {"tol": 1e-6}, "sgd": {"max_iter": 5}}
# The same processes for all tests, which are sent files to read, not to write.
PROCESSES = {"backend": "loky", "max_nbytes": 100}


def documents(container=sp.csr_array, constant=False):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((N_ROWS, N_FEATURES)) < 0.2, rng.random((N_ROWS, N_FEATURES)), 0)
    X = normalize(sp.csr_array(X))
    scores = X @ rng.normal(size=(N_FEATURES, N_LABELS)) + 0.3 * rng.normal(size=(N_ROWS, N_LABELS))
    Y = (scores > np.quantile(scores, 0.85, axis=0)).astype(int)
    if constant:
        Y[:, [0, 7]], Y[:, 12] = 0, 1
    return container(X.toarray()) if container is np.asarray else container(X), Y


def assert_equal_fits(model, other, atol=0.0):
    dense = [sp.csr_array(each.coef_).toarray() for each in (model, other)]
    np.testing.assert_allclose(*dense, rtol=0, atol=atol)
    np.testing.assert_allclose(model.intercept_, other.intercept_, rtol=0, atol=atol)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("options", LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize("solver", SOLVERS)
def test_blocks_equal_the_whole(solver, options, container):
    X, Y = documents(container, constant=True)
    shared = {"solver": solver, "random_state": 0, **SOLVERS[solver], **options}
    weight = np.random.default_rng(1).uniform(0.5, 2, N_ROWS)
    whole = MLCEClassifier(**shared).fit(X, Y, weight)
    blocks = MLCEClassifier(label_block_size=7, **shared).fit(X, Y, weight)
    scale = np.abs(whole.coef_).max()
    assert_equal_fits(blocks, whole, atol=(1e-5 if solver == "newton-cg" else 1e-6) * scale)
    assert blocks.loss_curve_[-1] == pytest.approx(whole.loss_curve_[-1], rel=1e-6)
    assert blocks.n_iter_ == len(blocks.loss_curve_)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("y", ["multiclass", "unknown"])
def test_blocks_of_other_kinds_of_y_equal_the_whole(solver, y):
    X, Y = documents()
    if y == "multiclass":
        Y = Y.argmax(axis=1)
    else:
        Y = np.where(np.random.default_rng(2).random(Y.shape) < 0.1, np.nan, Y)
    shared = {"loss": "bce", "solver": solver, "random_state": 0, **SOLVERS[solver]}
    whole = MLCEClassifier(**shared).fit(X, Y)
    blocks = MLCEClassifier(label_block_size=7, **shared).fit(X, Y)
    assert_equal_fits(blocks, whole, atol=1e-5 * np.abs(whole.coef_).max())


@pytest.mark.slow
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("threshold", [0.0, 0.01])
def test_blocks_are_the_same_in_threads_and_processes(solver, threshold):
    X, Y = documents()
    shared = {"label_block_size": 7, "coef_threshold": threshold, "solver": solver}
    shared |= {"random_state": 0, **SOLVERS[solver]}
    alone = MLCEClassifier(**shared).fit(X, Y)
    for options in ({"backend": "threading"}, PROCESSES):
        with parallel_config(**options):
            model = MLCEClassifier(n_jobs=2, warm_start=True, **shared).fit(X, Y)
            assert_equal_fits(model, alone)
            model.fit(X, Y)  # from there on
    with parallel_config(backend="threading", n_jobs=2):
        assert_equal_fits(MLCEClassifier(**shared).fit(X, Y), alone)


class BackendOfLists(ThreadingBackend):
    """Gives results when all are there, as that of ray does."""

    supports_return_generator = False


def test_a_backend_may_give_all_results_at_once():
    register_parallel_backend("lists", BackendOfLists)
    X, Y = documents()
    model = MLCEClassifier(label_block_size=7)
    with parallel_config(backend="lists", n_jobs=2):
        blocks = MLCEClassifier(label_block_size=7).fit(X, Y)
    assert_equal_fits(blocks, model.fit(X, Y))


def test_jobs_share_the_labels_out(monkeypatch):
    monkeypatch.setattr(label_blocks, "_FEWEST_LABELS", 4)
    X, Y = documents()
    sizes = []
    solve = label_blocks.LinearSolver.__call__

    def recorded(self, problem, *rest):
        sizes.append(problem.targets.n_outputs)
        return solve(self, problem, *rest)

    monkeypatch.setattr(label_blocks.LinearSolver, "__call__", recorded)
    with parallel_config(backend="threading"):
        MLCEClassifier(n_jobs=3).fit(X, Y)
    assert sizes == [10, 10, 10]
    sizes.clear()
    MLCEClassifier().fit(X, Y)
    assert sizes == [30]
    sizes.clear()
    monkeypatch.setattr(label_blocks, "_BLOCK_BYTES", 5 * N_FEATURES * 8)
    MLCEClassifier(coef_threshold=1e-3).fit(X, Y)
    assert sizes == [5] * 6
    sizes.clear()
    with parallel_config(backend="threading"):
        MLCEClassifier(n_jobs=4).fit(X, Y)
    assert sorted(sizes) == [3, 3, 4, 4, 4, 4, 4, 4]


@pytest.mark.parametrize(
    ("n_jobs", "backend"),
    [(1, None), (2, None), pytest.param(2, "loky", marks=pytest.mark.slow)],
)
def test_a_callback_stops_the_blocks(n_jobs, backend):
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    from tests.estimators.test_callbacks import Recorder

    class EndingWithTheSecondBlock(Recorder):
        def on_fit_task_end(self, estimator, context):
            return context.task_name == "label-block" and context.task_id == 1

    X, Y = documents()
    model = MLCEClassifier(label_block_size=7, n_jobs=n_jobs)
    model.set_callbacks(EndingWithTheSecondBlock())
    with (
        nullcontext() if backend is None else parallel_config(**PROCESSES),
        pytest.warns(ConvergenceWarning, match="stopped the fit after 2 of 5 blocks") as warned,
    ):
        model.fit(X, Y)
    assert len(warned) == 1
    assert model.coef_.any(axis=1).tolist() == [True] * 12 + [False] * 18
    whole = MLCEClassifier(label_block_size=7).fit(X, Y)
    np.testing.assert_array_equal(model.coef_[:12], whole.coef_[:12])


@pytest.mark.parametrize("options", [{"loss": "mlce"}, {"loss": "class_balanced_focal"}])
def test_labels_that_are_no_problems_of_their_own_are_not_split(options):
    X, Y = documents()
    with pytest.raises(ValueError, match=r"label_block_size=7 needs labels that are indep.*'auto'"):
        MLCEClassifier(label_block_size=7, **options).fit(X, Y)
    shared = {"random_state": 0, **options}
    with parallel_config(backend="threading", n_jobs=2):
        shared_out = MLCEClassifier(**shared).fit(X, Y)
    assert_equal_fits(shared_out, MLCEClassifier(**shared).fit(X, Y))


def test_a_module_is_one_block():
    X, Y = documents()
    shared = {"loss": BinaryCrossEntropyLoss(), "random_state": 0, "max_iter": 3}
    whole = MLCEClassifier(**shared).fit(X, Y)
    with parallel_config(backend="threading"):
        assert_equal_fits(MLCEClassifier(n_jobs=2, **shared).fit(X, Y), whole)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "mlce"},
        {"solver": "sgd", "max_iter": 5},
        {"loss": "mlce", "solver": "sgd", "max_iter": 5},
    ],
)
def test_small_coefficients_are_left_out(options, fit_intercept):
    X, Y = documents(constant=True)
    shared = {"random_state": 0, "fit_intercept": fit_intercept, **options}
    dense = MLCEClassifier(**shared).fit(X, Y)
    pruned = MLCEClassifier(coef_threshold=0.05, **shared).fit(X, Y)
    features = X.toarray()
    centre = features.mean(axis=0) if fit_intercept else 0
    deviations = np.sqrt(np.mean((features - centre) ** 2, axis=0))
    small = np.abs(dense.coef_) * deviations < 0.05
    assert 0.1 < small.mean() < 0.9
    assert sp.issparse(pruned.coef_)
    np.testing.assert_allclose(
        pruned.coef_.toarray(), np.where(small, 0, dense.coef_), rtol=1e-9, atol=1e-12
    )
    # The score of the mean row stays.
    expected = dense.intercept_ + np.where(small, dense.coef_, 0) @ (centre + np.zeros(N_FEATURES))
    np.testing.assert_allclose(pruned.intercept_, expected, rtol=1e-9)
    np.testing.assert_allclose(
        pruned.decision_function(X),
        X @ pruned.coef_.toarray().T + pruned.intercept_,
        rtol=1e-9,
        atol=1e-12,
    )


def test_the_threshold_does_not_know_the_units_of_features():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(200, 12))
    Y = (X[:, :4] + rng.normal(size=(200, 4)) > 0.5).astype(int)
    units = 10.0 ** rng.integers(-3, 4, 12)
    first = MLCEClassifier(coef_threshold=0.1).fit(X, Y)
    other = MLCEClassifier(coef_threshold=0.1).fit(X * units, Y)
    assert 0 < first.coef_.nnz < 48
    np.testing.assert_array_equal(first.coef_.toarray() != 0, other.coef_.toarray() != 0)


def test_all_labels_constant_and_a_threshold():
    X, Y = documents()
    model = MLCEClassifier(coef_threshold=0.1).fit(X, np.zeros_like(Y))
    assert model.coef_.nnz == 0
    assert not model.predict(X).any()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csr_matrix])
def test_sparsify_and_densify_change_no_prediction(container):
    X, Y = documents(container)
    model = MLCEClassifier().fit(X, Y)
    dense, scores = model.coef_, model.decision_function(X)
    assert model.sparsify() is model
    assert sp.issparse(model.coef_)
    np.testing.assert_allclose(model.decision_function(X), scores, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(model.predict(X), (scores > 0).astype(int))
    np.testing.assert_array_equal(model.predict_topk(X, 3)[0], np.argsort(-scores)[:, :3])
    assert model.densify() is model
    np.testing.assert_array_equal(model.coef_, dense)
    assert model.densify().coef_.T.flags.c_contiguous


def test_a_warm_start_goes_on_from_sparse_coefficients():
    X, Y = documents(constant=True)
    model = MLCEClassifier(coef_threshold=1e-9, warm_start=True, tol=1e-8, label_block_size=7)
    first = model.fit(X, Y).coef_.toarray()
    model.fit(X, Y)
    assert model.n_iter_ <= 1
    np.testing.assert_allclose(model.coef_.toarray(), first, rtol=0, atol=1e-6)


def test_chunks_need_dense_coefficients():
    X, Y = documents()
    with pytest.raises(ValueError, match=r"coef_threshold=0.1 needs a whole fit.*sparsify\(\)"):
        MLCEClassifier(coef_threshold=0.1).partial_fit(X, Y)
    model = MLCEClassifier(random_state=0).fit(X, Y).sparsify()
    with pytest.raises(ValueError, match=r"coef_ is sparse.*densify\(\)"):
        model.partial_fit(X, Y)
    other = MLCEClassifier(random_state=0).fit(X, Y).partial_fit(X, Y)
    assert_equal_fits(model.densify().partial_fit(X, Y), other)


def test_the_search_thins_out_what_it_fits():
    X, Y = documents()
    search = MLCEClassifierCV([1.0, 10.0], coef_threshold=0.02, random_state=0).fit(X, Y)
    same = MLCEClassifier(C=search.C_, coef_threshold=0.02).fit(X, Y)
    assert sp.issparse(search.coef_)
    np.testing.assert_array_equal(search.coef_.toarray(), same.coef_.toarray())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_too_large_a_fit_is_refused_before_it_begins(dtype, monkeypatch):
    X, Y = documents()
    model = MLCEClassifier().fit(X, Y)
    coef = model.coef_
    needed = N_FEATURES * N_LABELS * np.dtype(dtype).itemsize
    monkeypatch.setattr("sklearn_mlce._solvers.fit.free_memory", lambda: needed - 1)
    advice = "set coef_threshold=1e-4"
    if dtype == np.float64:
        advice += r".*pass X as float32"
    with pytest.raises(MemoryError, match=rf"60 features and 30 labels need.*are free.*{advice}"):
        model.fit(X.astype(dtype), Y)
    assert model.coef_ is coef
    MLCEClassifier(coef_threshold=1e-3, label_block_size=10).fit(X.astype(dtype), Y)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("threshold", [0.0, 1e-3])
def test_a_fit_of_coupled_labels_says_what_it_holds(solver, threshold, monkeypatch):
    X, Y = documents()
    n_arrays = 7 if solver == "newton-cg" else 1
    needed = n_arrays * N_FEATURES * N_LABELS * 8
    model = MLCEClassifier(loss="mlce", solver=solver, coef_threshold=threshold, random_state=0)
    holds = "holds 7 arrays.*set solver='sgd'.*" if n_arrays > 1 else ""
    expected = holds + "set loss='bce' and coef_threshold=1e-4, which fit a block"
    monkeypatch.setattr("sklearn_mlce._solvers.fit.free_memory", lambda: needed - 1)
    with pytest.raises(MemoryError, match=expected) as error:
        model.fit(X, Y)
    assert "near zero" not in str(error.value)  # pruned at the end, they need as much before
    monkeypatch.setattr("sklearn_mlce._solvers.fit.free_memory", lambda: needed)
    model.fit(X, Y)


@pytest.mark.parametrize("n_columns", [5, 8])
def test_columns_are_spread_within_their_memory(n_columns, monkeypatch):
    monkeypatch.setattr("sklearn_mlce._solvers.coefficients._MOVED_ENTRIES", 16)
    memory = np.full(7 * n_columns, np.nan)
    packed = memory[: 7 * 4].reshape(7, 4)
    packed[:] = np.arange(28).reshape(7, 4)
    expected = np.zeros((7, n_columns))
    expected[:, [0, 2, 3, 4]] = np.arange(28).reshape(7, 4)
    spread = spread_columns_(memory, packed, np.array([0, 2, 3, 4]))
    np.testing.assert_array_equal(spread, expected)
    assert np.shares_memory(spread, memory)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_label_without_positives_costs_no_second_array(solver):
    X, Y = documents(constant=True)
    model = MLCEClassifier(solver=solver, random_state=0).fit(X, Y)
    assert model.coef_.base is not None
    assert model.coef_.T.flags.c_contiguous
    assert not model.coef_[[0, 7, 12]].any()
    np.testing.assert_array_equal(model.predict(X)[:, [0, 7, 12]], Y[:, [0, 7, 12]])


@pytest.mark.parametrize(
    ("n_outputs", "n_jobs", "prunes", "sizes"),
    [
        (0, 1, False, []),
        (300, 1, False, [300]),
        (300, 2, False, [150, 150]),
        (300, 1, True, [300]),  # all of their coefficients are few
        (300, 3, False, [100, 100, 100]),
        (200, 3, True, [100, 100]),  # a block has 129 labels, or what is nearest to that
        (1000, 4, True, [250] * 4),
    ],
)
def test_blocks_are_even_and_as_many_as_jobs_take(n_outputs, n_jobs, prunes, sizes):
    objective = resolve_objective("bce", None, None, encode_targets([[0, 1], [1, 0]]).format)
    problem = SimpleNamespace(objective=objective, X=np.zeros((3, 4)))
    trained = 2 * np.arange(n_outputs)
    blocks = label_blocks.label_blocks(problem, trained, "auto", n_jobs, prunes)
    assert [len(block) for block in blocks] == sizes
    assert [*np.concatenate([[], *blocks])] == [*trained]
