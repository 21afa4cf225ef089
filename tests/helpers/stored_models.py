"""A fitted estimator through skops and pickle, and the names of the package in what was stored."""

import pickle
import pickletools

import numpy as np
import pandas as pd
import scipy.sparse as sp
from skops import io as skops

Y_FORMS = {
    "dense": np.asarray,
    "csr_array": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
    "frame": lambda labels: pd.DataFrame(labels, columns=list("abcdef")[: labels.shape[1]]),
    "classes": lambda labels: np.where(labels[:, 0], "yes", "no"),
}


def public_names_stored(model):
    """Check that a model stores no private name of the package; return those that it does.

    Whoever loads a skops file reads the names that :func:`skops.io.get_untrusted_types` lists, and
    a pickle breaks where a file whose name it holds is moved.
    """
    untrusted = skops.get_untrusted_types(data=skops.dumps(model))
    assert all(name.startswith("sklearn_mlce.") and "._" not in name for name in untrusted), (
        untrusted
    )
    strings = [argument for _, argument, _ in pickletools.genops(pickle.dumps(model))]
    modules = {
        text for text in strings if isinstance(text, str) and text.startswith("sklearn_mlce")
    }
    assert not any("._" in module for module in modules), modules
    return set(untrusted)


def loaded_copies(model):
    """Return the model as skops and pickle give it back."""
    stored = skops.dumps(model)
    trusted = skops.get_untrusted_types(data=stored)
    return [skops.loads(stored, trusted=trusted), pickle.loads(pickle.dumps(model))]


def assert_same_answers(model, X):
    """Check that a model's copies predict and score as it does."""
    labels = model.predict(X)
    for copy in loaded_copies(model):
        found = copy.predict(X)
        assert type(found) is type(labels)
        assert found.dtype == labels.dtype
        assert (found != labels).sum() == 0
        for method in ("decision_function", "predict_proba"):
            expected, found = getattr(model, method)(X), getattr(copy, method)(X)
            np.testing.assert_array_equal(found, expected)
