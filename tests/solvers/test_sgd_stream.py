"""The linear estimator on a stream of chunks."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._objectives.batch_loss import BatchLoss
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from tests.helpers.pairwise import slow_except
from tests.solvers.test_sgd import LOSSES, documents, objective, sgd, standardised


def streamed(model, X, Y, n_chunks, n_passes=1, weight=None):
    for _ in range(n_passes):
        for rows in np.array_split(np.arange(X.shape[0]), n_chunks):
            model.partial_fit(X[rows], Y[rows], None, None if weight is None else weight[rows])
    return model


@pytest.mark.parametrize("name", slow_except("all", of=LOSSES))
@pytest.mark.parametrize("weighted", [False, True])
def test_a_stream_comes_close_to_a_fit_of_all_rows(name, weighted):
    X, Y = documents(n_rows=3000, n_labels=5)
    weight = np.random.default_rng(4).uniform(0.5, 2, 3000) if weighted else None
    n_passes = 8
    stream = streamed(sgd(C=1 / n_passes, **LOSSES[name]), X, Y, 6, n_passes, weight)
    whole = sgd(max_iter=40, **LOSSES[name]).fit(X, Y, weight)
    stream.C = 1.0  # each row was passed n_passes times
    assert objective(stream, X, Y, weight) < 1.1 * objective(whole, X, Y, weight)
    agree = (stream.predict(X) == whole.predict(X)).mean()
    assert agree > 0.95


def test_dense_chunks_equal_sparse_ones():
    X, Y = documents()
    sparse = streamed(sgd(), X, sp.csr_array(Y), 4)
    dense = streamed(sgd(), X.toarray(), Y, 4)
    np.testing.assert_allclose(sparse.coef_, dense.coef_, atol=1e-9)
    np.testing.assert_allclose(sparse.intercept_, dense.intercept_, atol=1e-9)


def test_the_first_chunk_decides_the_length_of_steps():
    X, Y = documents()
    model = sgd().partial_fit(X[:200], Y[:200])
    first = dict(model._stream)
    model.partial_fit(10 * X[200:], Y[200:])
    for name in ("gram", "batch_size", "weight_unit", "seed"):
        assert model._stream[name] == first[name]
    np.testing.assert_array_equal(model._stream["offset"], first["offset"])
    assert first["gram"] > 0


def test_a_column_gets_its_size_from_the_first_chunk_in_which_it_varies():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)) + 5
    Y = (X - 5 + rng.normal(size=X.shape) > 0).astype(int)
    X[:100, 2] = 5
    model = MLCEClassifier(random_state=0).partial_fit(X[:100], Y[:100])
    first = model._stream["sizes"].copy()
    assert (first > 0).tolist() == [True, True, False, True]
    assert not model.coef_[:, 2].any()
    model.partial_fit(X[100:200], Y[100:200]).partial_fit(X[200:], Y[200:])
    assert model.coef_[:, 2].any()
    sizes = model._stream["sizes"]
    np.testing.assert_array_equal(sizes[[0, 1, 3]], first[[0, 1, 3]])
    expected = np.mean((X[100:200, 2] - 5) ** 4) ** 0.25
    assert sizes[2] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n_rows", "n_steps"), [(3000, 3000), (500, 1000)])
def test_a_stream_after_a_fit_steps_as_if_it_had_streamed_the_rows(n_rows, n_steps):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 3))
    Y = (X[:, :2] > 0).astype(int)
    weight = np.full(n_rows, 2.0)
    model = MLCEClassifier(random_state=0).fit(X, Y, sample_weight=weight)
    model.partial_fit(X[:10], Y[:10], sample_weight=weight[:10])  # a row a batch
    assert model._stream["batch_size"] == 1
    assert model._stream["n_steps"] == n_steps + 10


def test_weights_count_by_their_fractions():
    X, Y = documents(n_rows=200)
    plain, distances = sgd().partial_fit(X, Y), []
    for factor in (1.2, 1.5, 1.8, 2.2):
        weight = np.where(Y[:, 0] == 1, factor, 1.0)
        weighted = sgd().partial_fit(X, Y, sample_weight=weight)
        distances.append(np.abs(weighted.intercept_ - plain.intercept_).max())
    assert (np.diff([0, *distances]) > 1e-3).all()


def test_a_pickle_goes_on_where_the_stream_was():
    X, Y = documents()
    model = streamed(sgd(random_state=None), X[:300], Y[:300], 2)
    other = pickle.loads(pickle.dumps(model))
    for half in (model, other, copy.deepcopy(model)):
        streamed(half, X[300:], Y[300:], 2)
    assert model._stream["n_chunks"] == model.n_iter_ == len(model.loss_curve_) == 4
    np.testing.assert_array_equal(model.coef_, other.coef_)
    np.testing.assert_array_equal(model.intercept_, other.intercept_)
    assert all(
        value is None or np.isscalar(value) or isinstance(value, np.ndarray)
        for value in model._stream.values()
    )


def test_a_label_is_placed_when_it_has_been_seen_both_ways():
    X, Y = documents()
    Y[:200, 3], Y[:200, 5] = 0, 1
    model = sgd().partial_fit(X[:200], Y[:200])
    assert (
        model.decision_function(X)[:, [3, 5]] == [-CONSTANT_LABEL_SCORE, CONSTANT_LABEL_SCORE]
    ).all()
    assert (model.coef_[[3, 5]] == 0).all()
    without = [label for label in range(Y.shape[1]) if label not in (3, 5)]
    others = sgd().partial_fit(X[:200], Y[:200][:, without])
    np.testing.assert_allclose(others.coef_, model.coef_[without], atol=1e-12)
    model.partial_fit(X[200:400], Y[200:400])
    assert (np.abs(model.decision_function(X)) < 1e3).all()
    Y[400:, 3] = 0
    model.partial_fit(X[400:], Y[400:])
    assert (np.abs(model.decision_function(X)) < 1e3).all()


def test_the_one_score_of_two_classes_streams_from_the_first_chunk():
    X, Y = documents(n_rows=2000)
    model = streamed(sgd(C=1 / 8), X, Y[:, 0], 4, n_passes=8)
    whole = sgd().fit(X, Y[:, 0])
    assert model.coef_.shape == whole.coef_.shape == (1, X.shape[1])
    model.C = 1.0
    assert objective(model, X, Y[:, 0]) < 1.2 * objective(whole, X, Y[:, 0])


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_chunks_of_one_class_each(kind):
    X, Y = documents()
    y = np.array(["no", "yes"])[Y[:, 0]] if kind == "binary" else Y[:, :3].argmax(axis=1)
    model, classes = sgd(), np.unique(y)
    for value in classes:
        model.partial_fit(X[y == value], y[y == value], classes=classes)
    assert np.isfinite(model.decision_function(X)).all()
    assert np.abs(model.decision_function(X)).max() < 1e3
    for _ in range(30):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.85
    assert model.predict(X).dtype == y.dtype


def test_unknown_labels_in_a_stream():
    X, Y = documents()
    Y = Y.astype(float)
    Y[np.random.default_rng(5).random(Y.shape) < 0.2] = np.nan
    Y[:300, 0] = np.nan
    model = sgd().partial_fit(X[:300], Y[:300])
    assert (model.decision_function(X)[:, 0] == -CONSTANT_LABEL_SCORE).all()
    model.partial_fit(X[300:], Y[300:])
    assert np.abs(model.decision_function(X)).max() < 1e3


@pytest.mark.parametrize("solver", ["auto", "sgd", "newton-cg"])
def test_a_stream_goes_on_from_a_fit(solver):
    X, Y = documents(n_rows=2000, n_labels=6)
    model = sgd(solver=solver).fit(X[:1500], Y[:1500])
    first = objective(model, X, Y)
    model.set_params(solver="auto").partial_fit(X[1500:], Y[1500:])
    assert objective(model, X, Y) < 1.03 * first
    assert model._stream["total_weight"] == 2000
    model.fit(X, Y)
    assert model._stream["batch_size"] == 0


def test_only_batches_of_scores_are_made(monkeypatch):
    X, Y = documents(n_rows=1000, n_labels=200)
    seen = []
    original = BatchLoss.value_and_gradient

    def record(self, scores, targets, weight):
        seen.append(scores.shape)
        return original(self, scores, targets, weight)

    monkeypatch.setattr(BatchLoss, "value_and_gradient", record)
    sgd().partial_fit(X, sp.csr_array(Y))
    assert seen == [(64, 200)] * 15 + [(40, 200)]


def test_zero_weights_are_no_rows():
    X, Y = documents()
    weight = np.arange(600) % 3
    kept = weight > 0
    model = sgd().partial_fit(X, Y, None, weight)
    other = sgd().partial_fit(X[kept], Y[kept], None, weight[kept])
    np.testing.assert_array_equal(model.coef_, other.coef_)


def test_what_does_not_fit_is_refused_and_changes_nothing():
    X, Y = documents()
    with pytest.raises(ValueError, match=r"needs all rows at once.*solver='auto'"):
        MLCEClassifier(solver="newton-cg").partial_fit(X, Y)
    model = sgd().partial_fit(X, Y)
    before = dict(vars(model))
    coef = model.coef_.copy()
    with pytest.raises(ValueError, match=r"y has 19 labels; expected 20"):
        model.partial_fit(X, Y[:, :-1])
    with pytest.raises(ValueError, match=r"X has 119 features"):
        model.partial_fit(X[:, :-1], Y)
    model.fit_intercept = False
    with pytest.raises(ValueError, match=r"fit_intercept=False differs"):
        model.partial_fit(X, Y)
    model.fit_intercept = True
    with pytest.raises(ValueError, match=r"label_weight has shape"):
        model.set_params(label_weight=[1.0]).partial_fit(X, Y)
    model.label_weight = None
    assert vars(model).keys() - {"coef_"} == before.keys() - {"_live"}
    assert all(vars(model)[name] is before[name] for name in before.keys() - {"_live"})
    np.testing.assert_array_equal(model.coef_, coef)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_an_unfair_first_chunk_does_not_bias_the_stream(fit_intercept):
    X, Y = standardised(n_rows=2000)
    order = np.argsort(X[:, 0])  # the offset and the steps are those of one end of the data
    first, rest = order[:200], np.random.default_rng(6).permutation(order[200:])
    model = sgd(C=0.1, fit_intercept=fit_intercept).partial_fit(X[first], Y[first])
    for _ in range(10):
        model.partial_fit(X[rest], Y[rest]).partial_fit(X[first], Y[first])
    whole = sgd(C=1.0, fit_intercept=fit_intercept).fit(X, Y)
    model.C = 1.0
    assert objective(model, X, Y) < 1.05 * objective(whole, X, Y)


def test_coefficients_are_written_out_where_they_are_read():
    X, Y = documents()
    chunks = np.array_split(np.arange(X.shape[0]), 6)
    unread, read = sgd(), sgd()
    for rows in chunks:
        unread.partial_fit(X[rows], Y[rows])
        assert "coef_" not in vars(unread)
        before = read.partial_fit(X[rows], Y[rows]).coef_
        kept = before.copy()
        read.predict(X)
    assert before is read.coef_
    np.testing.assert_allclose(unread.coef_, read.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(unread.intercept_, read.intercept_, rtol=1e-6)
    np.testing.assert_allclose(unread.loss_curve_, read.loss_curve_, rtol=1e-6)
    assert unread.coef_ is unread.coef_
    read.partial_fit(X, Y)
    np.testing.assert_array_equal(before, kept)  # an array that was read is not written to


@pytest.mark.parametrize("store", [pickle.loads, None])
def test_a_stream_is_stored_as_arrays(store):
    X, Y = documents()
    model = streamed(sgd(), X, Y, 3)
    stored = copy.deepcopy(model) if store is None else store(pickle.dumps(model))
    assert "_live" not in vars(stored)
    np.testing.assert_array_equal(stored.coef_, model.coef_)
    np.testing.assert_array_equal(stored.partial_fit(X, Y).coef_, model.partial_fit(X, Y).coef_)


@pytest.mark.parametrize("label_weight", [None, "by label"])
@pytest.mark.parametrize("smallest_factor", [1e-9, 0.999])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_a_chunk_that_fails_half_way_moves_nothing(
    container, smallest_factor, label_weight, monkeypatch
):
    X, Y = documents()
    X = container(X.toarray() if container is np.asarray else X)
    weight = None if label_weight is None else np.linspace(0.5, 2, Y.shape[1])
    model, other = (sgd(label_weight=weight).partial_fit(X[:300], Y[:300]) for _ in range(2))
    monkeypatch.setattr("sklearn_mlce._solvers.sgd._SMALLEST_FACTOR", smallest_factor)
    losses = BatchLoss.value_and_gradient
    n_batches = 0

    def interrupted(*arguments):
        nonlocal n_batches
        n_batches += 1
        if n_batches == 4:
            raise KeyboardInterrupt
        return losses(*arguments)

    monkeypatch.setattr(BatchLoss, "value_and_gradient", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X[300:], Y[300:])
    model.partial_fit(X[300:], Y[300:])
    other.partial_fit(X[300:], Y[300:])
    np.testing.assert_allclose(model.coef_, other.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.intercept_, other.intercept_, rtol=1e-9)
    assert model.loss_curve_ == pytest.approx(other.loss_curve_, rel=1e-9)


def test_a_chunk_touches_only_the_coefficients_of_its_features(monkeypatch):
    X, Y = documents()
    model = sgd().partial_fit(X, Y)
    matrix = model._live.weights._matrix
    before = matrix.clone()
    row = X[:1]
    model.partial_fit(row, Y[:1])
    assert model._live.weights._matrix is matrix
    moved = (matrix != before).any(dim=1).numpy()
    assert set(np.flatnonzero(moved)) <= set(row.indices)


def test_a_message_of_a_property_is_not_lost():
    model = MLCEClassifier(loss="squared_hinge").fit(*documents())
    with pytest.raises(AttributeError, match="has no attribute 'predict_proba'"):
        model.predict_proba  # noqa: B018
    with pytest.raises(AttributeError, match="coef_"):
        MLCEClassifier().coef_  # noqa: B018
