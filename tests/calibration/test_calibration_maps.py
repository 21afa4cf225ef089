"""The maps of the calibrator, against scikit-learn's own regressions and slow, obvious code."""

import warnings

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.calibration import _newton as newton
from sklearn_mlce.calibration._calibration_data import CalibrationData, calibration_data
from sklearn_mlce.calibration._maps import fit_isotonic, fit_scale, fit_sigmoids
from sklearn_mlce.calibration._members import as_scores, probability_floor
from sklearn_mlce.model_selection._out_of_fold import held_out_of

FREE, TIED = 1e-10, 1e10  # shrinkage
SLOPES, INTERCEPTS = np.array([0.5, 1.0, 2.0]), np.array([-1.0, -3.0, 0.5])


def scored(n_rows=600, seed=0):
    rng = np.random.default_rng(seed)
    scores = 3 * rng.normal(size=(n_rows, 3)) + 1
    labels = rng.random(scores.shape) < expit(SLOPES * scores + INTERCEPTS)
    return scores, labels.astype(np.int64)


SCORES, LABELS = scored()


def cells(scores=SCORES, labels=LABELS, weight=None) -> CalibrationData:
    rows = np.arange(len(scores))
    return calibration_data(held_out_of(encode_targets(labels), rows, scores, weight))


def regression(scores, labels, n_positives, n_negatives):
    """Slope and intercept of a logistic regression on Platt's targets."""
    high, low = (n_positives + 1) / (n_positives + 2), 1 / (n_negatives + 2)
    targets = low + (high - low) * labels
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(
        np.tile(scores, 2)[:, None],
        np.repeat([1, 0], len(scores)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    return model.coef_[0, 0], model.intercept_[0]


def test_the_shared_map_is_a_logistic_regression_of_all_cells():
    found = fit_scale(cells())
    expected = regression(SCORES.ravel(), LABELS.ravel(), LABELS.sum(), (1 - LABELS).sum())
    np.testing.assert_allclose(found.slopes, expected[0], rtol=1e-4)
    np.testing.assert_allclose(found.intercepts, expected[1], rtol=1e-4)


def test_without_shrinkage_each_label_has_its_own_logistic_regression():
    found = fit_sigmoids(cells(), FREE)
    for label in range(3):
        expected = regression(SCORES[:, label], LABELS[:, label], LABELS.sum(), (1 - LABELS).sum())
        assert found.slopes[label] == pytest.approx(expected[0], rel=1e-4)
        assert found.intercepts[label] == pytest.approx(expected[1], rel=1e-4)


def test_with_more_and_more_shrinkage_all_labels_have_the_shared_map():
    shared = fit_scale(cells())
    distances = [
        np.abs(fit_sigmoids(cells(), k).slopes - shared.slopes).max() for k in (1, 10, 100, TIED)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-6
    np.testing.assert_allclose(fit_sigmoids(cells(), TIED).intercepts, shared.intercepts, atol=1e-6)


def test_a_label_with_few_known_cells_stays_near_the_shared_map_and_others_leave_it():
    labels = LABELS.astype(float)
    labels[5:, 2] = np.nan
    held_out = cells(labels=labels)
    shared, own, drawn = (
        expit(fit(held_out).log_odds(SCORES))
        for fit in (fit_scale, lambda c: fit_sigmoids(c, FREE), fit_sigmoids)
    )
    to_shared, to_own = (np.abs(drawn - other).mean(axis=0) for other in (shared, own))
    assert (to_own[:2] < 0.2 * to_shared[:2]).all()
    assert to_shared[2] < 0.5 * to_own[2]


@pytest.mark.parametrize("fit", [fit_scale, fit_sigmoids, fit_isotonic])
def test_scores_in_other_units_give_the_same_probabilities(fit):
    expected = fit(cells()).log_odds(SCORES)
    for factor, shift in ((1000.0, 0.0), (1e-3, 5.0), (1.0, -1e4)):
        other = factor * SCORES + shift
        np.testing.assert_allclose(fit(cells(other)).log_odds(other), expected, atol=1e-5)


@pytest.mark.parametrize("fit", [fit_scale, fit_sigmoids, fit_isotonic])
def test_soft_targets_count_as_fractions(fit):
    rng = np.random.default_rng(0)
    tenths = rng.integers(0, 11, SCORES.shape)
    repeated = [(np.arange(10)[:, None, None] < tenths)[i] for i in range(10)]
    expected = fit(cells(np.tile(SCORES, (10, 1)), np.concatenate(repeated).astype(int)))
    found = fit(cells(SCORES, tenths / 10, weight=np.full(len(SCORES), 10.0)))
    np.testing.assert_allclose(
        found.log_odds(SCORES), expected.log_odds(SCORES), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("fit", [fit_scale, fit_sigmoids, fit_isotonic])
def test_weights_count_as_repetitions(fit):
    times = np.random.default_rng(0).integers(0, 4, len(SCORES))
    expected = fit(cells(SCORES.repeat(times, axis=0), LABELS.repeat(times, axis=0)))
    found = fit(cells(weight=times.astype(float)))
    np.testing.assert_allclose(found.log_odds(SCORES), expected.log_odds(SCORES), atol=1e-6)


@pytest.mark.parametrize("fit", [fit_scale, fit_sigmoids, fit_isotonic])
def test_unknown_cells_take_no_part(fit):
    unknown = np.random.default_rng(0).random(LABELS.shape) < 0.3
    unknown[:5] = True
    labels = np.where(unknown, np.nan, LABELS)
    expected = fit(cells(SCORES, labels)).log_odds(SCORES)
    other = np.where(unknown, -50.0, SCORES)
    np.testing.assert_allclose(fit(cells(other, labels)).log_odds(SCORES), expected, atol=1e-9)


@pytest.mark.parametrize("shrinkage", [FREE, 10.0])
def test_scores_that_say_the_opposite_keep_their_order(shrinkage):
    scores = SCORES * [1, -1, 1]
    found = fit_sigmoids(cells(scores), shrinkage)
    assert (found.slopes > 0).all()
    assert found.slopes[1] < 0.01
    # The best constant, then.
    mean = expit(found.log_odds(scores))[:, 1].mean()
    if shrinkage == FREE:
        assert mean == pytest.approx(LABELS[:, 1].mean(), abs=0.01)


def test_the_optimum_has_no_gradient():
    held_out, k = cells(), 10.0
    shared, found = fit_scale(held_out), fit_sigmoids(held_out, k)
    p0 = expit(shared.log_odds(SCORES))
    curvature = p0 * (1 - p0)
    high = (LABELS.sum() + 1) / (LABELS.sum() + 2)
    low = 1 / ((1 - LABELS).sum() + 2)
    residual = expit(found.log_odds(SCORES)) - (low + (high - low) * LABELS)
    first, second = (np.average(SCORES**power, weights=curvature) for power in (1, 2))
    offset = np.stack([found.slopes - shared.slopes, found.intercepts - shared.intercepts])
    pull = k * np.array([[second, first], [first, 1]]) @ offset
    gradient = np.stack([(residual * SCORES).sum(axis=0), residual.sum(axis=0)])
    np.testing.assert_allclose(gradient, -pull, atol=1e-4)


def test_an_isotonic_map_is_the_stated_mixture():
    found, sigmoids = fit_isotonic(cells()), fit_sigmoids(cells())
    probabilities = expit(found.log_odds(SCORES))
    smooth = expit(sigmoids.log_odds(SCORES))
    for label in range(3):
        own = IsotonicRegression().fit_transform(SCORES[:, label], LABELS[:, label])
        share = LABELS[:, label].sum() / (LABELS[:, label].sum() + 100)
        expected = share * own + (1 - share) * smooth[:, label]
        np.testing.assert_allclose(probabilities[:, label], expected, atol=1e-9)
    beyond = np.array([[-1e6] * 3, [1e6] * 3])
    assert np.isfinite(found.log_odds(beyond)).all()


def test_labels_that_separate_and_scores_that_are_all_the_same():
    for scores in (10.0 * LABELS - 5, np.ones(LABELS.shape)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = fit_sigmoids(cells(scores))
        assert np.isfinite(found.slopes).all()
        assert (found.slopes > 0).all()
    nothing = np.zeros_like(LABELS)
    assert (expit(fit_sigmoids(cells(labels=nothing)).log_odds(SCORES)) < 0.01).all()


def test_many_blocks_of_rows_give_what_one_gives(monkeypatch):
    expected = fit_sigmoids(cells())
    monkeypatch.setattr("sklearn_mlce.model_selection._f_measure._CELLS_PER_BLOCK", 100)
    found = fit_sigmoids(cells())
    np.testing.assert_allclose(found.slopes, expected.slopes)
    np.testing.assert_allclose(found.intercepts, expected.intercepts)


def test_maps_that_do_not_converge_say_so(monkeypatch):
    monkeypatch.setattr(newton, "MAX_ITER", 1)
    with pytest.warns(ConvergenceWarning, match="calibration maps did not converge in 1"):
        fit_scale(cells())


def test_probabilities_become_log_odds_that_are_finite():
    forest = [np.array([[0.0, 1.0], [0.1, 0.5]])]
    floor = probability_floor(forest)
    assert floor == pytest.approx(0.05)
    np.testing.assert_allclose(as_scores(forest[0], floor)[0], [-np.log(19), np.log(19)])
    assert probability_floor([np.array([[0.0, 1.0]])]) == 0.25
    np.testing.assert_array_equal(as_scores(SCORES, None), SCORES)


class Reader(ClassifierMixin, BaseEstimator):
    """Finds the scores of the labels in the features."""

    def fit(self, X, y):
        self.classes_ = np.arange(y.shape[1])
        return self

    def decision_function(self, X):
        return np.asarray(X)


@pytest.mark.filterwarnings("ignore:the positives of")
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "scale"])
def test_scores_of_a_fold_that_has_not_seen_a_label_take_no_part(method):
    labels = LABELS.copy()
    labels[:, 1] = 0
    labels[:2, 1] = 1  # both in the first part
    labels[:200, 2] = 0
    cv = [(np.arange(200, 600), np.arange(200)), (np.arange(200), np.arange(200, 600))]
    spoilt = SCORES.copy()
    spoilt[:200, 1] = 77.0  # scored by the fold that was fitted on no positive
    spoilt[200:, 2] = -1e9  # what our own estimators say of such a label
    found, expected = (
        Calibrated(Reader(), method=method, cv=cv).fit(rows, labels).predict_proba(SCORES)
        for rows in (spoilt, SCORES)
    )
    np.testing.assert_allclose(found, expected)


@pytest.mark.filterwarnings("ignore:the positives of")
def test_nothing_to_calibrate_on_is_said():
    labels = np.zeros((20, 2), dtype=int)
    labels[15:] = 1
    cv = [(np.arange(10), np.arange(10, 20))]
    with pytest.raises(ValueError, match="nothing to calibrate on"):
        Calibrated(Reader(), cv=cv).fit(SCORES[:20, :2], labels)
    empty = Calibrated(Reader(), cv=2, random_state=0).fit(SCORES[:20, :2], 0 * labels)
    np.testing.assert_allclose(empty.predict_proba(SCORES[:3, :2]), 0.5 / 21)


@pytest.mark.parametrize("options", [{}, {"n_labels_per_row": 1}])
def test_fixed_scores_of_a_frozen_estimator_are_left_out(options):
    X = np.random.default_rng(0).normal(size=(90, 4))
    labels = (X[:, :3] > 0).astype(int)
    early = labels[:60].copy()
    early[:, 1] = 0
    frozen = FrozenEstimator(MLCEClassifier(**options).fit(X[:60], early))
    model = Calibrated(frozen).fit(X[60:], labels[60:])
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities[:, 1], (labels[60:, 1].sum() + 0.5) / 31)
    assert np.isfinite(probabilities).all()


def test_soft_and_unknown_y_and_columns_of_which_nothing_is_known():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    soft = expit(2 * X[:, :3])
    model = Calibrated(MLCEClassifier(loss="mlce"), random_state=0).fit(X, soft)
    assert np.abs(model.predict_proba(X) - soft).mean() < 0.1
    unknown = (soft > 0.5).astype(float)
    unknown[rng.random(unknown.shape) < 0.2] = np.nan
    unknown[:, 2] = np.nan
    with pytest.warns(UserWarning, match=r"labels \[2\] are unknown"):
        model = Calibrated(MLCEClassifier(), random_state=0).fit(X, unknown)
    np.testing.assert_allclose(model.predict_proba(X)[:, 2], 0.5 / 121)
    assert model.predict(X).dtype == np.int64
