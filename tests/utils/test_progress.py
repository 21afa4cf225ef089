"""The progress bar is scikit-learn's, and says what is missing for it."""

import sys

import pytest

from sklearn_mlce import MLCEClassifier, progress_bar


def test_it_is_the_bar_of_scikit_learn():
    callback = pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    pytest.importorskip("rich")
    bar = progress_bar(max_propagation_depth=None)
    assert isinstance(bar, callback.ProgressBar)
    assert bar.max_propagation_depth is None


def test_without_rich_it_says_what_to_type(monkeypatch):
    pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(ImportError, match=r"rich, which is not installed. Type: pip install rich"):
        progress_bar()


def test_with_an_older_scikit_learn_it_says_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    with pytest.raises(ImportError, match=r"progress_bar needs scikit-learn 1.9 or newer, got"):
        progress_bar()


@pytest.mark.slow
def test_fits_and_wrappers_with_an_older_scikit_learn():
    """Tasks are told to nobody, and `set_callbacks` says why it is not there."""
    from tests.project.test_packaging import run_python

    code = """
import sys
import numpy as np
import sklearn_mlce.calibration  # with it all of scikit-learn, which needs its callbacks itself
for name in [name for name in sys.modules if name.startswith("sklearn_mlce")]:
    del sys.modules[name]
sys.modules["sklearn.callback"] = None
from sklearn_mlce import MLCEClassifier
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

X = np.random.default_rng(0).normal(size=(60, 3))
for wrap in (MultilabelTunedThresholdClassifierCV, MultilabelCalibratedClassifierCV):
    model = wrap(MLCEClassifier(), cv=3, random_state=0).fit(X, (X > 0).astype(int))
    assert not hasattr(model, "set_callbacks")
    try:
        model.set_callbacks()
    except AttributeError as error:
        print(error)
"""
    assert run_python(code).count("set_callbacks needs scikit-learn 1.9 or newer, got") == 2


def test_it_is_taken_by_set_callbacks():
    pytest.importorskip("rich")
    pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    assert MLCEClassifier().set_callbacks(progress_bar()) is not None
