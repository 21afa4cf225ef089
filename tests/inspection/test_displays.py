"""What the displays draw is what a slow oracle says, on any axes, and nothing else is touched."""

import functools
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy.stats import hmean
from sklearn.calibration import calibration_curve
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, fbeta_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.inspection import (
    F1ByFrequencyDisplay,
    LabelCooccurrenceDisplay,
    MultilabelCalibrationDisplay,
    ThresholdCurveDisplay,
    TrainingCurveDisplay,
)
from sklearn_mlce.inspection._fitted_scores import names_of_labels
from sklearn_mlce.labels._names import known_names
from sklearn_mlce.metrics import masked_f1_score
from sklearn_mlce.metrics._inputs import labels_of
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
from tests.helpers.estimators import labelled_rows, mlp
from tests.project.test_packaging import run_python

NAMES = ["sea", "sky", "sand", "snow"]
X, Y = labelled_rows(n_rows=240)
TRAIN, TEST = slice(0, 150), slice(150, None)
SCORES = X @ np.random.default_rng(1).normal(size=(6, 4)) + Y
PROBABILITIES = 1 / (1 + np.exp(-SCORES))
UNKNOWN = np.where(np.random.default_rng(2).random(Y.shape) < 0.2, np.nan, Y)


def published(**parameters):
    """Return the linear model whose threshold zero is far from the best one."""
    return MLCEClassifier(C=0.03, loss="mlce", **parameters)


def tuner(estimator=None, **parameters):
    parameters = {"cv": 2, "random_state": 0, "store_cv_results": True} | parameters
    return MultilabelTunedThresholdClassifierCV(
        published() if estimator is None else estimator, **parameters
    )


@functools.cache
def tuned():
    return tuner().fit(X[TRAIN], Y[TRAIN])


@functools.cache
def stopped():
    return mlp(early_stopping=True, scoring="f1_micro").fit(X, Y)


DRAW = {
    "f1": lambda **kwargs: F1ByFrequencyDisplay.from_estimator(tuned(), X[TEST], Y[TEST], **kwargs),
    "threshold": lambda **kwargs: ThresholdCurveDisplay.from_estimator(
        tuned(), X[TEST], Y[TEST], labels="all", **kwargs
    ),
    "tuned": lambda **kwargs: ThresholdCurveDisplay.from_tuned(tuned(), **kwargs),
    "tuned f1": lambda **kwargs: F1ByFrequencyDisplay.from_tuned(tuned(), **kwargs),
    "calibration": lambda **kwargs: MultilabelCalibrationDisplay.from_predictions(
        Y, PROBABILITIES, labels=[1], **kwargs
    ),
    "training": lambda **kwargs: TrainingCurveDisplay.from_estimator(stopped(), **kwargs),
    "cooccurrence": lambda **kwargs: LabelCooccurrenceDisplay.from_labels(Y, **kwargs),
}
on_each = pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)


@pytest.fixture(autouse=True)
def without_a_screen():
    """Draw into memory, and leave pyplot as it was."""
    backend = mpl.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(backend)


def axes():
    return Figure().subplots()


def xy(line):
    return np.column_stack(line.get_data())


# On any axes ---------------------------------------------------------------------------------


@on_each
def test_draws_on_the_axes_given_and_leaves_pyplot_alone(draw):
    _, (first, second) = plt.subplots(1, 2)
    plt.sca(second)
    settings, figures = dict(mpl.rcParams), plt.get_fignums()
    display = draw(ax=first)
    assert display.ax_ is first
    assert display.figure_ is first.figure
    assert plt.get_fignums() == figures
    assert dict(mpl.rcParams) == settings
    display.figure_.canvas.draw()
    assert first.has_data()
    assert not second.has_data()


@on_each
def test_makes_one_figure_where_no_axes_are_given(draw):
    display = draw()
    assert plt.get_fignums() == [display.figure_.number]
    assert plt.gca() is display.ax_ or display.ax_ in display.figure_.axes
    assert display.plot(ax=axes()) is display  # again, elsewhere


@on_each
@pytest.mark.parametrize("place", ["add_axes", "subfigure", "constrained"])
def test_draws_wherever_axes_stand(draw, place):
    figure = Figure(layout="constrained" if place == "constrained" else None)
    if place == "add_axes":
        ax = figure.add_axes((0.1, 0.2, 0.5, 0.6))
    else:
        ax = (figure.subfigures(1, 2)[1] if place == "subfigure" else figure).subplots()
    display = draw(ax=ax)
    figure.canvas.draw()
    panels = [getattr(display, name, None) for name in ("ax_histogram_", "ax_score_")]
    for panel in filter(None, panels):
        assert panel.get_position().y1 < ax.get_position().y0
        assert panel.get_position().x0 == pytest.approx(ax.get_position().x0)
        assert figure.gca() is ax or place == "subfigure"


@on_each
def test_says_what_to_install_where_matplotlib_is_absent(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"plot` requires matplotlib\. You can install"):
        draw()


@pytest.mark.slow
def test_matplotlib_is_imported_only_to_draw():
    run_python("import sys, sklearn_mlce.inspection; assert 'matplotlib' not in sys.modules")


@on_each
def test_options_go_to_what_is_drawn(draw):
    draw(ax=axes(), alpha=0.3)


# Any estimator -------------------------------------------------------------------------------

ESTIMATORS = {
    "linear": published(),
    "network": mlp(),
    "one-vs-rest": OneVsRestClassifier(LinearSVC(random_state=0)),
    "forest": RandomForestClassifier(n_estimators=11, random_state=0),
    "perceptron": MLPClassifier((8,), alpha=10, tol=0.01, solver="lbfgs", random_state=0),
    "outputs": MultiOutputClassifier(LogisticRegression()),
    "pipeline": make_pipeline(StandardScaler(), published()),
    "search": GridSearchCV(published(), {"fit_intercept": [True]}, cv=2),
    "linear cv": MLCEClassifierCV(Cs=[0.03], loss="mlce", cv=2, random_state=0),
    "tuner": tuner(),
    "labels tuned": tuner(thresholds="per_label", scoring="f1_macro"),
    "forest tuned": tuner(RandomForestClassifier(n_estimators=11, random_state=0)),
    "search of a pipeline of a tuner": GridSearchCV(
        make_pipeline(StandardScaler(), tuner()), {"standardscaler__with_mean": [False]}, cv=2
    ),
    "pipeline of nothing but a tuner": make_pipeline(tuner()),
    "search of a tuner": GridSearchCV(tuner(), {"thresholds": ["global"]}, cv=2),
    "pipeline of a tuner": make_pipeline(StandardScaler(), tuner()),
    "tuner of a pipeline": tuner(make_pipeline(StandardScaler(), published())),
    "pipeline of linear cv": make_pipeline(
        StandardScaler(), MLCEClassifierCV(Cs=[0.03], loss="mlce", cv=2, random_state=0)
    ),
    "calibrator of a tuner": MultilabelCalibratedClassifierCV(tuner(), cv=2, random_state=0),
    "calibrator": MultilabelCalibratedClassifierCV(published(), cv=2, random_state=0),
}
on_any = pytest.mark.parametrize("name", ESTIMATORS)
BEFORE = {  # what predicted before thresholds were tuned
    "tuner": lambda model: model.estimator_.predict(X[TEST]),
    "labels tuned": lambda model: model.estimator_.predict(X[TEST]),
    "forest tuned": lambda model: model.estimator_.predict(X[TEST]),
    "tuner of a pipeline": lambda model: model.estimator_.predict(X[TEST]),
    "search of a tuner": lambda model: model.best_estimator_.estimator_.predict(X[TEST]),
    "search of a pipeline of a tuner": lambda model: model.best_estimator_[-1].estimator_.predict(
        model.best_estimator_[0].transform(X[TEST])
    ),
    "pipeline of nothing but a tuner": lambda model: model[-1].estimator_.predict(X[TEST]),
    "pipeline of a tuner": lambda model: model[-1].estimator_.predict(model[0].transform(X[TEST])),
    "linear cv": lambda model: model.decision_function(X[TEST]) + model.thresholds_ > 0,
    "pipeline of linear cv": lambda model: (
        model.decision_function(X[TEST]) + model[-1].thresholds_ > 0
    ),
}


@pytest.fixture(scope="module")
def fitted():
    """Return a function that fits an estimator of the table once."""
    models = {}

    def fit(name):
        if name not in models:
            models[name] = ESTIMATORS[name].fit(X[TRAIN], Y[TRAIN])
        return models[name]

    return fit


@on_any
def test_f1_is_that_of_predictions_before_and_after_tuning(fitted, name):
    model = fitted(name)
    display = F1ByFrequencyDisplay.from_estimator(model, X[TEST], Y[TEST], ax=axes())
    after = f1_score(Y[TEST], model.predict(X[TEST]), average=None)
    counts = Y[TEST].sum(axis=0)
    np.testing.assert_allclose(display.points_.get_offsets(), np.column_stack([counts, after]))
    if name not in BEFORE:
        assert display.f1_before is display.points_before_ is None
        return
    before = f1_score(Y[TEST], BEFORE[name](model), average=None)
    np.testing.assert_allclose(
        display.points_before_.get_offsets(), np.column_stack([counts, before])
    )


@on_any
def test_chosen_place_is_that_of_predictions(fitted, name):
    model = fitted(name)
    display = ThresholdCurveDisplay.from_estimator(model, X[TEST], Y[TEST], ax=axes())
    assert display.chosen_score == pytest.approx(
        f1_score(Y[TEST], model.predict(X[TEST]), average="micro")
    )
    if name in BEFORE:
        before = f1_score(Y[TEST], BEFORE[name](model), average="micro")
        assert display.default_score == pytest.approx(before)
    else:
        assert display.default_score == display.chosen_score


PROBABLE = ["linear", "network", "forest", "perceptron", "outputs", "pipeline", "calibrator"]


@pytest.mark.parametrize("name", PROBABLE)
def test_calibration_is_that_of_predict_proba(fitted, name):
    model = fitted(name)
    display = MultilabelCalibrationDisplay.from_estimator(
        model, X[TEST], Y[TEST], n_bins=5, ax=axes()
    )
    probabilities = model.predict_proba(X[TEST])
    if isinstance(probabilities, list):
        probabilities = np.column_stack([part[:, 1] for part in probabilities])
    expected = calibration_curve(Y[TEST].ravel(), probabilities.ravel(), n_bins=5)
    np.testing.assert_allclose(xy(display.line_), np.column_stack(expected)[:, ::-1])


@on_any
def test_cooccurrence_of_predictions(fitted, name):
    model = fitted(name)
    display = LabelCooccurrenceDisplay.from_estimator(model, X, ax=axes())
    other = LabelCooccurrenceDisplay.from_labels(model.predict(X).astype(int), ax=axes())
    np.testing.assert_array_equal(display.cooccurrence, other.cooccurrence)


# Any y ---------------------------------------------------------------------------------------

FORMS = {
    "sparse": sp.csr_matrix,
    "sparse array": sp.csr_array,
    "list": lambda y: y.tolist(),
    "DataFrame": lambda y: pd.DataFrame(y, columns=NAMES),
    "float": lambda y: y.astype(float),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_y_are_alike(form):
    y = FORMS[form](Y)
    for make, arguments, data in [
        (F1ByFrequencyDisplay.from_predictions, (SCORES > 0,), "f1"),
        (ThresholdCurveDisplay.from_predictions, (SCORES,), "scores"),
        (MultilabelCalibrationDisplay.from_predictions, (PROBABILITIES,), "prob_true"),
        (LabelCooccurrenceDisplay.from_labels, (), "cooccurrence"),
    ]:
        display, other = make(y, *arguments, ax=axes()), make(Y, *arguments, ax=axes())
        np.testing.assert_array_equal(getattr(display, data), getattr(other, data))
        if form == "DataFrame" and hasattr(display, "label_names"):
            assert sorted(display.label_names) == sorted(NAMES)


@pytest.mark.parametrize("make", [published, lambda: make_pipeline(StandardScaler(), published())])
def test_names_are_those_that_the_estimator_has_learned(make):
    frame = pd.DataFrame(Y, columns=NAMES)
    model = make().fit(X, frame)
    display = F1ByFrequencyDisplay.from_estimator(model, X, Y, ax=axes())
    assert list(display.label_names) == NAMES
    assert {text.get_text() for text in display.names_} <= set(NAMES)
    with pytest.raises(ValueError, match="has them in another order"):
        F1ByFrequencyDisplay.from_estimator(model, X, frame[NAMES[::-1]], ax=axes())


def test_unknown_labels_count_for_nothing():
    known = ~np.isnan(UNKNOWN)
    f1 = F1ByFrequencyDisplay.from_predictions(UNKNOWN, SCORES > 0, ax=axes())
    np.testing.assert_allclose(f1.f1, masked_f1_score(UNKNOWN, SCORES > 0, average=None))
    np.testing.assert_allclose(f1.label_counts, np.nansum(UNKNOWN, axis=0))
    curve = ThresholdCurveDisplay.from_predictions(UNKNOWN, SCORES, ax=axes())
    assert curve.default_score == pytest.approx(masked_f1_score(UNKNOWN, SCORES > 0))
    calibration = MultilabelCalibrationDisplay.from_predictions(UNKNOWN, PROBABILITIES, ax=axes())
    expected = calibration_curve(UNKNOWN[known], PROBABILITIES[known], n_bins=10)
    np.testing.assert_allclose(xy(calibration.line_), np.column_stack(expected)[:, ::-1])
    assert calibration.cell_weights.sum() == known.sum()


def test_weight_two_is_a_row_twice():
    weight = np.random.default_rng(3).integers(0, 3, len(Y))
    twice = np.repeat(np.arange(len(Y)), weight)
    for make, part in [
        (F1ByFrequencyDisplay.from_predictions, (SCORES > 0).astype(int)),
        (ThresholdCurveDisplay.from_predictions, SCORES),
        (MultilabelCalibrationDisplay.from_predictions, PROBABILITIES),
    ]:
        weighted = make(Y, part, sample_weight=weight, ax=axes())
        repeated = make(Y[twice], part[twice], ax=axes())
        for data in ("f1", "thresholds", "scores", "prob_true", "prob_pred", "cell_weights"):
            if hasattr(weighted, data):
                np.testing.assert_allclose(getattr(weighted, data), getattr(repeated, data))


def test_labels_that_no_row_carries():
    y = np.column_stack([Y, np.zeros(len(Y), dtype=int), np.zeros(len(Y), dtype=int)])
    predicted = np.column_stack([SCORES > 0, np.zeros(len(Y)), np.ones(len(Y))]).astype(int)
    display = F1ByFrequencyDisplay.from_predictions(y, predicted, ax=axes())
    assert np.isnan(display.f1[4])  # neither carried nor predicted
    assert display.f1[5] == 0
    assert display.ax_.get_xscale() == "symlog"
    assert "5" in [text.get_text() for text in display.names_]
    matrix = LabelCooccurrenceDisplay.from_labels(y, ax=axes())
    assert np.nansum(matrix.cooccurrence[[str(name) in "45" for name in matrix.label_names]]) == 0
    model = published().fit(X, y)
    curve = ThresholdCurveDisplay.from_estimator(model, X, y, labels="all", ax=axes())
    assert len(curve.label_lines_[4].get_xdata()) == 0
    assert curve.chosen_score == pytest.approx(f1_score(y, model.predict(X), average="micro"))


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (F1ByFrequencyDisplay.from_predictions, (SCORES > 0,)),
        (ThresholdCurveDisplay.from_predictions, (SCORES,)),
        (MultilabelCalibrationDisplay.from_predictions, (PROBABILITIES,)),
    ],
)
def test_refuses_what_holds_no_labels(make, arguments):
    with pytest.raises(ValueError, match="y_true holds only NaN"):
        make(np.full(Y.shape, np.nan), *arguments)
    with pytest.raises(ValueError, match="a column for each of two labels or more"):
        make(Y[:, 0], *arguments)
    with pytest.raises(ValueError, match="label_names has 1 names; expected 4"):
        make(Y, *arguments, label_names=["sea"])
    assert not plt.get_fignums()


# Each picture --------------------------------------------------------------------------------


def many_labels(n_labels=500, n_rows=300):
    rng = np.random.default_rng(0)
    y = (rng.random((n_rows, n_labels)) < np.geomspace(0.01, 0.5, n_labels)).astype(int)
    return y, y + rng.normal(size=y.shape)


def test_f1_names_all_of_few_labels_and_some_of_many():
    few = F1ByFrequencyDisplay.from_predictions(Y, SCORES > 0, label_names=NAMES, ax=axes())
    assert {text.get_text() for text in few.names_} <= set(NAMES)
    assert len(few.names_) >= 3
    y, scores = many_labels()
    many = F1ByFrequencyDisplay.from_predictions(y, scores > 1, y_pred_before=scores > 2, ax=axes())
    boxes = [text.get_window_extent() for text in many.names_]
    assert 0 < len(boxes) <= 10
    assert not any(box.count_overlaps(boxes[:i]) for i, box in enumerate(boxes))
    unnamed = F1ByFrequencyDisplay.from_predictions(y, scores > 1, n_names=0, ax=axes())
    assert unnamed.names_ == []


def test_f1_against_counts_of_training_rows():
    counts = sp.csr_matrix(Y).sum(axis=0)
    display = F1ByFrequencyDisplay.from_predictions(
        Y[:20], SCORES[:20] > 0, label_counts=counts, ax=axes()
    )
    np.testing.assert_array_equal(display.points_.get_offsets()[:, 0], Y.sum(axis=0))
    with pytest.raises(ValueError, match="one entry for each of the 4 labels of y_true, got 3"):
        F1ByFrequencyDisplay.from_predictions(Y, SCORES > 0, label_counts=[1, 2, 3])


@pytest.mark.parametrize("average", ["micro", "macro", "samples"])
def test_threshold_curve_is_f1_at_each_threshold(average):
    display = ThresholdCurveDisplay.from_predictions(
        Y, SCORES, scoring=f"f1_{average}", labels=[2, 0], ax=axes()
    )
    for threshold, value in xy(display.line_)[::20]:
        predicted = (threshold < SCORES).astype(int)
        expected = f1_score(Y, predicted, average=average, zero_division=0)
        assert value == pytest.approx(expected)
    assert display.chosen_score == pytest.approx(max(display.scores))
    assert display.ax_.get_ylabel() == f"{average}-F1"
    assert list(display.label_curves) == [2, 0]
    for label, line in zip([2, 0], display.label_lines_, strict=True):
        for threshold, value in xy(line)[::10]:
            assert value == pytest.approx(f1_score(Y[:, label], SCORES[:, label] > threshold))
        curve = display.label_curves[label]
        assert curve.chosen_score == f1_score(Y[:, label], SCORES[:, label] > curve.chosen)


def test_threshold_curve_of_each_label_at_its_own_threshold():
    own = np.array([0.0, 0.5, np.inf, -0.5])
    display = ThresholdCurveDisplay.from_predictions(
        Y, SCORES, thresholds=own, labels="all", label_names=NAMES, ax=axes()
    )
    assert display.chosen_score == pytest.approx(f1_score(Y, own < SCORES, average="micro"))
    assert [curve.chosen for curve in display.label_curves.values()] == own.tolist()
    assert {line.get_label() for line in display.label_lines_} == set(NAMES)


def test_a_chosen_threshold_beyond_the_end_of_a_curve_is_joined_with_it():
    scores = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [4.0, 0.0]])
    labels = [[0, 0], [1, 0], [1, 0], [0, 1]]
    for chosen, end in ((3.5, -1), (-9.0, 0)):
        display = ThresholdCurveDisplay.from_predictions(
            labels, scores, thresholds=chosen, labels=[0], ax=Figure().subplots()
        )
        (curve,) = display.label_curves.values()
        joined = [line for line in display.ax_.lines if line.get_linestyle() == ":"]
        ends = [line.get_xdata() for line in joined if list(line.get_xdata()) != [chosen, chosen]]
        np.testing.assert_array_equal(ends, [[curve.thresholds[end], chosen]])


def test_threshold_curve_that_the_tuner_kept():
    model = tuned()
    display = ThresholdCurveDisplay.from_tuned(make_pipeline(StandardScaler(), model), ax=axes())
    np.testing.assert_array_equal(xy(display.line_)[:, 0], model.cv_results_["thresholds"])
    np.testing.assert_array_equal(xy(display.line_)[:, 1], model.cv_results_["scores"])
    assert display.chosen_score == model.best_score_
    assert display.default_score == model.scores_by_thresholds_["default"]
    assert display.label_lines_ == []
    with pytest.raises(ValueError, match="store_cv_results=True"):
        ThresholdCurveDisplay.from_tuned(published().fit(X, Y))
    with pytest.raises(ValueError, match="thresholds='global' and has kept no curves of single"):
        ThresholdCurveDisplay.from_tuned(model, labels=[0])


@functools.cache
def tuned_by_label(scoring="f1_macro", y_names=True):
    """Return a tuner of a threshold per label; no row carries the last of five labels."""
    y = np.column_stack([Y, np.zeros(len(Y), dtype=int)])[TRAIN]
    y = pd.DataFrame(y, columns=[*NAMES, "never"]) if y_names else y
    scoring = make_scorer(fbeta_score, beta=2, average="macro") if scoring == "f2" else scoring
    return tuner(thresholds="per_label", scoring=scoring).fit(X[TRAIN], y)


@pytest.mark.parametrize("scoring", ["f1_macro", "f2"])
def test_curves_of_labels_that_the_tuner_kept(scoring):
    model = tuned_by_label(scoring)
    wanted = [NAMES[2], "never", NAMES[0]]
    whole = make_pipeline(StandardScaler(), model)
    display = ThresholdCurveDisplay.from_tuned(whole, labels=wanted, ax=axes())
    assert list(display.label_curves) == wanted
    table = model.label_table()
    for name, line in zip(wanted, display.label_lines_, strict=True):
        column = model.label_names_.tolist().index(name)
        np.testing.assert_array_equal(xy(line)[:, 0], model.cv_results_["label_thresholds"][column])
        np.testing.assert_array_equal(xy(line)[:, 1], model.cv_results_["label_scores"][column])
        curve = display.label_curves[name]
        assert curve.chosen == table["threshold"][name]
        assert curve.chosen_score == table["f2_after" if scoring == "f2" else "f1_after"][name]
    drawn = ThresholdCurveDisplay.from_tuned(
        tuned_by_label(y_names=False), labels="all", label_names=list("abcde"), ax=axes()
    )
    assert [line.get_label() for line in drawn.label_lines_] == list("abcde")
    with pytest.raises(ValueError, match="labels has 'see'"):
        ThresholdCurveDisplay.from_tuned(model, labels=["see"])
    with pytest.raises(ValueError, match="label_names has 2 names; expected 5"):
        ThresholdCurveDisplay.from_tuned(model, label_names=["a", "b"])


@pytest.mark.parametrize("scoring", ["f1_macro", "f2"])
def test_f1_that_the_tuner_kept(scoring):
    model = tuned_by_label(scoring)
    search = GridSearchCV(model, {"refit": [True]}, cv=2, scoring="f1_micro")
    search.best_estimator_ = model  # as fitted
    display = F1ByFrequencyDisplay.from_tuned(search, ax=axes())
    table = model.label_table()
    assert list(display.label_names) == table.index.tolist()
    np.testing.assert_array_equal(display.label_counts, table["positives"])
    assert np.isnan([display.f1[-1], display.f1_before[-1]]).all()  # carried by no row
    for when, f1 in (("before", display.f1_before), ("after", display.f1)):
        parts = table[[f"precision_{when}", f"recall_{when}"]].to_numpy()[:-1]
        np.testing.assert_allclose(f1[:-1], hmean(parts, axis=1))
        if scoring != "f2":
            np.testing.assert_allclose(f1[:-1], table[f"f1_{when}"][:-1])
    with pytest.raises(ValueError, match="has no out-of-fold results; expected a fitted Multil"):
        F1ByFrequencyDisplay.from_tuned(published().fit(X, Y))


def test_names_are_found_wherever_the_estimator_stands():
    model = published().fit(X, pd.DataFrame(Y, columns=NAMES))
    for whole in (
        model,
        make_pipeline(StandardScaler(), model),
        FrozenEstimator(model),
        tuner(FrozenEstimator(model), cv="prefit", refit=False).fit(X, Y),
    ):
        names = names_of_labels(labels_of(Y, "y"), None, whole)
        assert names.tolist() == known_names(whole).tolist() == list(NAMES)


def test_one_place_is_marked_where_nothing_was_tuned():
    display = ThresholdCurveDisplay.from_predictions(Y, SCORES, thresholds=0, ax=axes())
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["one threshold for all labels", f"chosen, at 0: {display.chosen_score:.3f}"]


def test_labels_of_curves_are_named_or_refused():
    with pytest.raises(ValueError, match=r"labels has 'see', which is none of the 4 labels"):
        ThresholdCurveDisplay.from_predictions(Y, SCORES, labels=["see"], label_names=NAMES)
    with pytest.raises(ValueError, match=r"labels has 4, which is none of the 4 labels, \[0, 1"):
        MultilabelCalibrationDisplay.from_predictions(Y, PROBABILITIES, labels=[4])
    y, scores = many_labels(40)
    display = ThresholdCurveDisplay.from_predictions(y, scores, labels="all", ax=axes())
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert "40 labels" in texts
    assert len(texts) == 4


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_calibration_is_that_of_all_cells(strategy):
    display = MultilabelCalibrationDisplay.from_predictions(
        Y, PROBABILITIES, n_bins=7, strategy=strategy, labels=[3], ax=axes()
    )
    expected = calibration_curve(Y.ravel(), PROBABILITIES.ravel(), n_bins=7, strategy=strategy)
    np.testing.assert_allclose(xy(display.line_), np.column_stack(expected)[:, ::-1])
    heights = [bar.get_height() for bar in display.ax_histogram_.patches]
    assert sum(heights) == Y.size
    if strategy == "quantile":
        assert max(heights) - min(heights) <= 2
    error = np.average(np.abs(display.prob_true - display.prob_pred), weights=heights)
    assert display.expected_calibration_error == pytest.approx(error)
    for x, y in xy(display.label_lines_[0]):
        bin_ = np.searchsorted(display.bin_edges, x) - 1
        low, high = display.bin_edges[bin_ : bin_ + 2]
        cells = (PROBABILITIES[:, 3] > low) & (PROBABILITIES[:, 3] <= high)
        assert cells.sum() >= 10
        assert y == pytest.approx(Y[cells, 3].mean())


def test_calibration_of_soft_labels_and_without_a_histogram():
    display = MultilabelCalibrationDisplay.from_predictions(
        PROBABILITIES, PROBABILITIES, histogram=False, ax=axes()
    )
    np.testing.assert_allclose(display.prob_true, display.prob_pred)
    assert display.expected_calibration_error == pytest.approx(0)
    assert display.ax_histogram_ is None
    assert display.ax_.get_xlabel() == "probability"


def test_calibration_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match="y_prob must hold probabilities, between 0 and 1, got"):
        MultilabelCalibrationDisplay.from_predictions(Y, SCORES)
    model = OneVsRestClassifier(LinearSVC(random_state=0)).fit(X, Y)
    with pytest.raises(TypeError, match="OneVsRestClassifier has no predict_proba"):
        MultilabelCalibrationDisplay.from_estimator(model, X, Y)
    with pytest.raises(ValueError, match="n_bins must be a positive integer, got 0"):
        MultilabelCalibrationDisplay.from_predictions(Y, PROBABILITIES, n_bins=0)
    with pytest.raises(ValueError, match="strategy must be 'uniform' or 'quantile', got 'even'"):
        MultilabelCalibrationDisplay.from_predictions(Y, PROBABILITIES, strategy="even")


def assert_draws_curves_of(display, network):
    np.testing.assert_array_equal(xy(display.loss_line_)[:, 0], 1 + np.arange(network.n_iter_))
    np.testing.assert_array_equal(xy(display.loss_line_)[:, 1], network.loss_curve_)


@pytest.mark.parametrize("scoring", ["loss", "f1_micro"])
def test_training_curves_and_the_epoch_that_is_kept(scoring):
    network = mlp(early_stopping=True, scoring=scoring).fit(X, Y)
    display = TrainingCurveDisplay.from_estimator(network, ax=axes())
    assert_draws_curves_of(display, network)
    sign = -1 if scoring == "loss" else 1
    drawn = xy(display.validation_line_)[:, 1]
    np.testing.assert_array_equal(sign * drawn, network.validation_scores_)
    assert display.best_epoch == network.best_epoch_
    assert (display.ax_score_ is None) == (scoring == "loss")
    marks = [line for line in display.ax_.lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in marks] == [network.best_epoch_]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda network: make_pipeline(StandardScaler(), network),
        lambda network: GridSearchCV(network, {"alpha": [0.1]}, cv=2),
        lambda network: tuner(make_pipeline(StandardScaler(), network)),
    ],
)
def test_training_curves_of_a_network_inside(wrap):
    model = wrap(mlp()).fit(X, Y)
    display = TrainingCurveDisplay.from_estimator(model, ax=axes())
    assert len(display.loss_curve) == 3
    assert display.validation_line_ is None


def test_training_curves_of_scikit_learns_network():
    network = MLPClassifier(
        (8,), early_stopping=True, max_iter=400, validation_fraction=0.3, random_state=0
    ).fit(X, Y)
    display = TrainingCurveDisplay.from_estimator(network, ax=axes())
    assert_draws_curves_of(display, network)
    assert network.validation_scores_[display.best_epoch - 1] == network.best_validation_score_


def test_scores_of_the_last_epochs_stand_at_the_end():
    display = TrainingCurveDisplay([3, 2, 1, 1], validation_scores=[0.5, 0.6], best_epoch=1)
    assert display.plot(ax=axes()).validation_line_.get_xdata().tolist() == [3, 4]


def test_training_curves_need_a_network():
    with pytest.raises(TypeError, match="RandomForestClassifier has no loss_curve_; expected"):
        TrainingCurveDisplay.from_estimator(RandomForestClassifier())
    with pytest.raises(TypeError, match="MLCEMLP has no loss_curve_"):
        TrainingCurveDisplay.from_estimator(mlp())


def slow_cooccurrence(y, measure):
    """The measure of each pair of labels, from sets of row numbers."""
    rows = [set(np.flatnonzero(column).tolist()) for column in y.T]
    matrix = np.full((len(rows), len(rows)), np.nan)
    for i, j in np.argwhere(~np.eye(len(rows), dtype=bool)):
        both = len(rows[i] & rows[j])
        of = {"jaccard": len(rows[i] | rows[j]), "conditional": len(rows[i]), "count": 1}[measure]
        matrix[i, j] = both / of if of else 0
    return matrix


@pytest.mark.parametrize("measure", ["jaccard", "conditional", "count"])
def test_cooccurrence_is_that_of_sets_of_rows(measure):
    display = LabelCooccurrenceDisplay.from_labels(Y, measure=measure, label_names=NAMES, ax=axes())
    order = [NAMES.index(name) for name in display.label_names]
    expected = slow_cooccurrence(Y, measure)[np.ix_(order, order)]
    np.testing.assert_allclose(display.image_.get_array().filled(np.nan), expected)
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == list(display.label_names)
    assert len(display.ax_.texts) == 12


def test_cooccurrence_brings_together_what_occurs_together():
    y = np.column_stack([Y[:, 0], Y[:, 1], Y[:, 0], Y[:, 1]])
    names = LabelCooccurrenceDisplay.from_labels(y, ax=axes()).label_names.tolist()
    assert {frozenset(names[:2]), frozenset(names[2:])} == {frozenset([0, 2]), frozenset([1, 3])}


def test_cooccurrence_of_many_labels_draws_the_frequent_ones():
    y, _ = many_labels()
    display = LabelCooccurrenceDisplay.from_labels(sp.csr_matrix(y), ax=axes())
    frequent = np.argsort(-y.sum(axis=0), kind="stable")[:40]
    assert sorted(display.label_names) == sorted(frequent)
    assert display.ax_.get_title() == "40 of 500 labels"
    of_all = LabelCooccurrenceDisplay.from_labels(y, labels="all", ax=axes())
    assert of_all.cooccurrence.shape == (500, 500)
    assert len(of_all.ax_.get_yticks()) <= 40
    some = LabelCooccurrenceDisplay.from_labels(y, labels=[7, 3, 9], ax=axes())
    assert sorted(some.label_names) == [3, 7, 9]


def test_cooccurrence_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match=r"measure must be one of .*, got 'lift'"):
        LabelCooccurrenceDisplay.from_labels(Y, measure="lift")
    with pytest.raises(ValueError, match="max_labels must be an integer from 2 up, got 1"):
        LabelCooccurrenceDisplay.from_labels(Y, max_labels=1)
    with pytest.raises(ValueError, match="labels must name two labels or more"):
        LabelCooccurrenceDisplay.from_labels(Y, labels=[0])
