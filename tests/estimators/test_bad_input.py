"""Odd input of the five estimators: each equals its plain form, or is refused in a sentence."""

import copy
import functools

import joblib
import numpy as np
import pytest
import torch

from tests.estimators.test_unusable_data import FIVE
from tests.helpers.bad_input import FEATURES, NOT_PREDICTED, TARGETS, WEIGHTS, Case, N, X, Y
from tests.helpers.global_state import nothing_changed

# What is used up, or stands for a process's own things, cannot be compared afterwards.
ERRORS = (ValueError, TypeError)
# The others fit several of these.
QUICK = ("linear", "mlp")
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in FIVE if name not in QUICK]
on_all_five = pytest.mark.parametrize("name", [*QUICK, *SLOW])


@functools.cache
def fitted(name):
    """Return an estimator fitted on the plain data; do not change it."""
    return FIVE[name]().fit(X, Y)


PLAIN_SCORES = {}


def plain_scores(name, part, case):
    """Return scores of a fit on the plain form of a case, which it may share with other cases."""
    given = {"X": X, "y": Y, "sample_weight": None}
    given[part] = TABLES[part][case].plain()
    key = name, joblib.hash(given)
    if key not in PLAIN_SCORES:
        PLAIN_SCORES[key] = FIVE[name]().fit(*given.values()).decision_function(X)
    return PLAIN_SCORES[key]


TABLES = {"X": FEATURES, "y": TARGETS, "sample_weight": WEIGHTS}
CASES = [(part, case) for part, table in TABLES.items() for case in table]


def test_the_table_is_long():
    assert len(CASES) >= 150


@on_all_five
@pytest.mark.parametrize(("part", "case"), CASES, ids=lambda value: value)
# What scikit-learn says of columns and of classes beside it is no part of the table.
@pytest.mark.filterwarnings("ignore:A column-vector y:sklearn.exceptions.DataConversionWarning")
@pytest.mark.filterwarnings("ignore:Determining the:Warning")
def test_fit_takes_input_as_its_plain_form_or_refuses_it(name, part, case):
    row: Case = TABLES[part][case]
    value = row.make()
    given = {"X": X, "y": Y, "sample_weight": None} | {part: value}
    if row.works:
        model = FIVE[name]()
        with nothing_changed(value):
            model.fit(*given.values())
        scores = model.decision_function(given["X"] if _keeps_names(value) else X)
        assert np.isfinite(scores).all()
        expected = plain_scores(name, part, case)
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
        return
    model = copy.deepcopy(fitted(name))
    with nothing_changed(value, X, Y), pytest.raises(ERRORS, match=row.match):
        model.fit(*given.values())
    assert vars(model).keys() == vars(fitted(name)).keys()
    assert_scores_as_before(model, name)


def _keeps_names(value):
    """Whether X are columns of text names, which scikit-learn asks for again."""
    return hasattr(value, "columns") and all(isinstance(name, str) for name in value.columns)


def assert_scores_as_before(model, name):
    """Fail unless a model predicts as the one fitted on the plain data."""
    np.testing.assert_array_equal(model.decision_function(X), fitted(name).decision_function(X))


@on_all_five
@pytest.mark.parametrize("case", [case for case in FEATURES if case not in NOT_PREDICTED])
@pytest.mark.filterwarnings("ignore:Determining the:Warning")
@pytest.mark.filterwarnings("ignore:X has feature names, but:UserWarning")
def test_predictions_take_input_as_its_plain_form_or_refuse_it(name, case):
    row, model = FEATURES[case], fitted(name)
    for method in ("predict", "decision_function", "predict_proba"):
        value = row.make()
        if row.works:
            with nothing_changed(value):
                found = getattr(model, method)(value)
            np.testing.assert_allclose(found, getattr(model, method)(row.plain()), atol=1e-9)
        else:
            with nothing_changed(value), pytest.raises(ERRORS, match=row.match):
                getattr(model, method)(value)
    assert_scores_as_before(model, name)


@on_all_five
@pytest.mark.parametrize("case", [case for case, row in TARGETS.items() if "damaged" in case])
def test_damaged_y_is_refused_by_score(name, case):
    with pytest.raises(ValueError, match=TARGETS[case].match):
        fitted(name).score(X, TARGETS[case].make())


@pytest.mark.parametrize("name", ["linear", "mlp"])
@pytest.mark.parametrize("part", ["X", "y"])
def test_damaged_chunks_are_refused_and_the_stream_goes_on(name, part):
    model = FIVE[name]().partial_fit(X, Y)
    before = model.decision_function(X)
    for case, row in TABLES[part].items():
        if case.startswith("damaged"):
            given = {"X": X, "y": Y} | {part: row.make()}
            with pytest.raises(ValueError, match=row.match):
                model.partial_fit(*given.values())
    np.testing.assert_array_equal(model.decision_function(X), before)


HOSTILE = ["a", b"a", np.nan, -1, 1e300, {}, object(), 1j]
PARAMETERS = [
    (name, parameter)
    for name in ("linear", "linear_cv", "mlp")
    for parameter in FIVE[name]().get_params()
    if parameter not in ("checkpoint_dir", "n_jobs")
]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:the best C:UserWarning")
def test_hostile_parameters_are_refused_or_honoured(name, parameter):
    """A parameter of a wrong kind ends in a sentence that names it, or in finite scores."""
    for value in HOSTILE:
        model = FIVE[name]().set_params(**{parameter: value})
        with nothing_changed():
            try:
                model.fit(X, Y)
            except ERRORS as caught:
                error = str(caught)
            else:
                error = ""
        if not error:
            assert np.isfinite(model.decision_function(X)).all(), value
        else:
            assert parameter in error or "loss" in error, (value, error)


def test_a_fit_leaves_the_state_of_the_process():
    for make in FIVE.values():
        with nothing_changed(X, Y):
            make().fit(X, Y).predict(X)
    assert torch.is_grad_enabled()
    assert len(X) == N
