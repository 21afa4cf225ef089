"""A penalty that is weaker for the columns that go with a label."""

import numpy as np
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from sklearn.metrics import f1_score

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from tests.helpers.linear_problems import gradient_left, make_labels

BY_ASSOCIATION = {"input_scaling": "association", "solver": "newton-cg"}


def made_texts(seed=0, n_rows=300, n_words=400, n_labels=6):
    """Rare words, two of which go with each label; the others say nothing of any."""
    rng = np.random.default_rng(seed)
    present = rng.random((n_rows, n_words)) < 0.03
    X = sp.csr_array(np.where(present, rng.uniform(0.2, 1.0, present.shape), 0))
    Y = (present[:, :n_labels] | present[:, n_labels : 2 * n_labels]).astype(int)
    return X, Y


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("options", [{}, {"loss": "bce", "C": 3.0}], ids=["margins", "logistic"])
def test_the_gradient_of_the_documented_objective_is_zero(fit_intercept, container, options):
    """Also where some labels are unknown, and rows have weights."""
    rng = np.random.default_rng(1)
    X, Y = make_labels(rng, n_rows=120)
    X[rng.random(X.shape) < 0.6] = 0
    weight = rng.uniform(0.5, 2, len(X))
    Y = Y.astype(float)
    Y[rng.random(Y.shape) < 0.1] = np.nan
    model = MLCEClassifier(tol=1e-9, fit_intercept=fit_intercept, **BY_ASSOCIATION, **options)
    model.fit(container(X), Y, sample_weight=weight)
    assert gradient_left(model, X, Y, sample_weight=weight) < 1e-8


def test_sparse_x_equals_dense():
    X, Y = made_texts()
    sparse = MLCEClassifier(tol=1e-8).fit(X, Y)
    assert sparse.input_scaling_ == "association"
    dense = MLCEClassifier(sparse.C_, tol=1e-8, **BY_ASSOCIATION).fit(X.toarray(), Y)
    np.testing.assert_allclose(dense.coef_, sparse.coef_, atol=1e-6)
    np.testing.assert_allclose(dense.intercept_, sparse.intercept_, atol=1e-6)


def test_a_weight_of_three_is_a_row_three_times():
    X, Y = made_texts()
    weight = np.random.default_rng(2).integers(0, 4, len(Y))
    times = np.repeat(np.arange(len(Y)), weight)
    weighted = MLCEClassifier(tol=1e-9).fit(X, Y, sample_weight=weight)
    repeated = MLCEClassifier(tol=1e-9).fit(X[times], Y[times])
    assert pytest.approx(repeated.C_) == weighted.C_
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-7)


@pytest.mark.parametrize(
    ("dtype", "unit"),
    [(np.float64, 1e-6), (np.float64, 1e12), (np.float32, 0.1), (np.float32, 1e12)],
)
def test_the_unit_of_x_does_not_matter(dtype, unit):
    X, Y = made_texts()
    X = X.astype(dtype)
    tol = 1e-3 if dtype == np.float32 else 1e-8
    plain = MLCEClassifier(tol=tol).fit(X, Y)
    scaled = MLCEClassifier(tol=tol).fit(X * dtype(unit), Y)
    np.testing.assert_allclose(scaled.coef_ * unit, plain.coef_, atol=20 * tol)


def test_columns_without_entries_or_variation_have_no_coefficients():
    X, Y = made_texts()
    constants = sp.hstack([X, sp.csr_array((X.shape[0], 2)), np.full((X.shape[0], 1), 0.1)])
    without, fit = (MLCEClassifier(tol=1e-8).fit(sp.csr_array(one), Y) for one in (X, constants))
    np.testing.assert_allclose(fit.coef_[:, -3:], 0, atol=1e-9)
    np.testing.assert_allclose(fit.coef_[:, :-3], without.coef_, atol=1e-6)


def test_the_words_of_a_label_are_penalised_less():
    X, Y = made_texts()
    train, test = slice(200), slice(200, None)
    found = {}
    for scaling in ("association", None):
        # The default C is the same for both: one over the mean squared distance of the rows.
        model = MLCEClassifier(input_scaling=scaling).fit(X[train], Y[train])
        own = np.zeros(model.coef_.shape, dtype=bool)
        for label in range(len(own)):
            own[label, [label, label + len(own)]] = True
        sizes = np.abs(model.coef_)
        score = f1_score(Y[test], model.predict(X[test]), average="micro")
        found[scaling] = model.C_, sizes[own].mean() / sizes[~own].mean(), score
    assert found["association"][0] == found[None][0]
    assert found["association"][1] > 2 * found[None][1]
    assert found["association"][2] > found[None][2] + 0.05


@pytest.mark.parametrize("options", [{"label_block_size": 2}, {"n_jobs": 2, "label_block_size": 2}])
def test_blocks_of_labels_equal_the_whole(options):
    X, Y = made_texts()
    whole = MLCEClassifier(tol=1e-8).fit(X, Y)
    blocks = MLCEClassifier(tol=1e-8, **options).fit(X, Y)
    assert blocks.input_scaling_ == "association"
    np.testing.assert_allclose(blocks.coef_, whole.coef_, atol=1e-6)


def test_small_coefficients_can_be_left_out():
    X, Y = made_texts()
    whole, thin = (MLCEClassifier(coef_threshold=least).fit(X, Y) for least in (0.0, 1e-3))
    assert thin.input_scaling_ == "association"
    assert thin.coef_.nnz < np.count_nonzero(whole.coef_)
    np.testing.assert_allclose(thin.decision_function(X), whole.decision_function(X), atol=0.05)


def test_a_warm_start_is_at_the_optimum():
    X, Y = made_texts()
    model = MLCEClassifier(warm_start=True, tol=1e-6).fit(X, Y)
    assert model.input_scaling_ == "association"
    assert model.fit(X, Y).n_iter_ == 0


@pytest.mark.parametrize("loss", ["auto", "bce", "squared_hinge"])
def test_it_is_the_default_of_sparse_x_with_labels(loss):
    X, Y = made_texts()
    assert MLCEClassifier(loss=loss).fit(X, Y).input_scaling_ == "association"


@pytest.mark.parametrize(
    "fitted",
    [
        lambda X, Y: MLCEClassifier().fit(X.toarray(), Y),
        lambda X, Y: MLCEClassifier(C=1.0).fit(X, Y),
        lambda X, Y: MLCEClassifier(solver="sgd", random_state=0).fit(X, Y),
        lambda X, Y: MLCEClassifier(loss="mlce").fit(X, Y),
        lambda X, Y: MLCEClassifier().fit(X, Y[:, 0]),
        lambda X, Y: MLCEClassifier().fit(X, np.char.add("class ", Y[:, :2].astype(str))),
        lambda X, Y: MLCEClassifier(random_state=0).partial_fit(X, Y),
        lambda X, Y: MLCEClassifierCV([0.1, 1.0], cv=2).fit(X, Y),
    ],
    ids=["dense", "C", "sgd", "mlce", "binary", "outputs", "stream", "Cs"],
)
def test_elsewhere_it_is_not_the_default(fitted):
    assert fitted(*made_texts()).input_scaling_ != "association"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "sgd"}, r"got solver='sgd' for"),
        ({"loss": "mlce", "solver": "newton-cg"}, r"a loss that is a sum over labels; got"),
        ({"loss": "focal"}, r"needs solver='newton-cg'"),
    ],
)
@pytest.mark.parametrize("make", [MLCEClassifier, MLCEClassifierCV])
def test_what_has_no_such_penalty_says_so(make, options, message):
    X, Y = made_texts()
    with pytest.raises(ValueError, match=message):
        make(input_scaling="association", **options).fit(X, Y)


def test_chunks_go_on_after_a_fit_by_association():
    X, Y = made_texts()
    model = MLCEClassifier(random_state=0).fit(X, Y)
    before = model.coef_.copy()
    model.partial_fit(X, Y)
    assert model.input_scaling_ is None
    assert not np.array_equal(model.coef_, before)
    model.fit(X, Y).set_params(input_scaling="columns")
    with pytest.raises(ValueError, match=r"input_scaling='columns' differs .* 'association'"):
        model.partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"input_scaling='association' needs all rows at once"):
        model.set_params(input_scaling="association").partial_fit(X, Y)


def test_a_column_that_one_light_row_lacks():
    """What is left of the weight there is beyond float32 beside that of the other rows."""
    n_rows = 130_000
    rng = np.random.default_rng(3)
    years = rng.integers(1990, 2021, n_rows) / 2020
    years[0] = 0
    X = np.column_stack([(rng.random((n_rows, 4)) < 0.1), years]).astype(np.float32)
    Y = (rng.random((n_rows, 2)) < 0.1 + 0.5 * X[:, :2]).astype(int)
    weight = np.where(np.arange(n_rows) == 0, 1e-3, 1.0)
    sparse = MLCEClassifier().fit(sp.csr_array(X), Y, sample_weight=weight)
    dense = MLCEClassifier(sparse.C_, **BY_ASSOCIATION).fit(X, Y, sample_weight=weight)
    scores = (model.decision_function(X[1:]) for model in (sparse, dense))
    np.testing.assert_allclose(*scores, atol=0.01)


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_heavy_and_light_rows_stay_within_float32(factor):
    X, Y = made_texts()
    weight = np.full(len(Y), factor)
    model = MLCEClassifier(0.25 / factor, **BY_ASSOCIATION)
    model.fit(X.astype(np.float32), Y, sample_weight=weight)
    assert np.isfinite(model.coef_).all()


def test_processes_equal_threads():
    X, Y = made_texts()
    options = {"n_jobs": 2, "label_block_size": 3}
    threads = MLCEClassifier(**options).fit(X, Y)
    with parallel_config("loky"):
        processes = MLCEClassifier(**options).fit(X, Y)
    assert processes.input_scaling_ == "association"
    np.testing.assert_allclose(processes.coef_, threads.coef_, atol=1e-9)


@pytest.mark.parametrize("loss", ["bce", "squared_hinge"])
def test_one_class_against_the_rest_is_a_label(loss):
    X, Y = made_texts()
    options = {"loss": loss, "C": 1.0, "tol": 1e-9} | BY_ASSOCIATION
    y = Y[:, :3].argmax(axis=1)
    classes = MLCEClassifier(**options).fit(X, y)
    labels = MLCEClassifier(**options).fit(X, np.eye(3, dtype=int)[y])
    np.testing.assert_allclose(classes.coef_, labels.coef_, atol=1e-7)
    binary = MLCEClassifier(**options).fit(X, Y[:, 0])
    label = MLCEClassifier(**options).fit(X, Y[:, :2])
    np.testing.assert_allclose(binary.coef_[0], label.coef_[0], atol=1e-7)


def test_soft_labels_count_as_if_they_were_drawn():
    X, Y = made_texts()
    soft = np.where(Y == 1, 0.75, 0.25)
    drawn = np.concatenate([Y, Y, Y, 1 - Y])  # three of four rows as they are
    options = {"loss": "bce", "scale": 4, "margin": 1.0, "tol": 1e-9} | BY_ASSOCIATION
    by_share = MLCEClassifier(0.5, **options).fit(X, soft, sample_weight=np.full(len(Y), 4.0))
    by_rows = MLCEClassifier(0.5, **options).fit(sp.vstack([X] * 4, format="csr"), drawn)
    np.testing.assert_allclose(by_share.coef_, by_rows.coef_, atol=1e-7)
