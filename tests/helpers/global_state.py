"""State of the process that no call of the package may change."""

import os
import pickle
import random
import warnings
from contextlib import contextmanager

import numpy as np
import scipy.sparse as sp
import sklearn
import torch


def snapshot():
    """Return the state by name: seeds, threads, dtypes, filters of warnings, settings."""
    return {
        "random": random.getstate(),
        "numpy.random": pickle.dumps(np.random.get_state()),  # noqa: NPY002
        "numpy.geterr": np.geterr(),
        "numpy.printoptions": repr(np.get_printoptions()),
        "torch.random": torch.get_rng_state().numpy().tobytes(),
        "torch.threads": torch.get_num_threads(),
        "torch.dtype": torch.get_default_dtype(),
        "torch.device": torch.empty(0).device,
        "torch.deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch.grad": torch.is_grad_enabled(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "sklearn": sklearn.get_config(),
    }


def _content_of(value):
    """Bytes of what a caller gave, without caches and flags; None where it cannot be read twice."""
    if sp.issparse(value):
        names = ("data", "indices", "indptr", "row", "col", "offsets")
        parts = {name: getattr(value, name) for name in names if hasattr(value, name)}
        return pickle.dumps(parts)
    if type(value).__module__.startswith("pandas"):
        return pickle.dumps([value.to_numpy(dtype=object).tolist(), value.axes])
    try:
        return pickle.dumps(value)
    except Exception:
        return None


@contextmanager
def nothing_changed(*given):
    """Fail if the block changes the state of the process, or a value that it was given."""
    before, values = snapshot(), [_content_of(value) for value in given]
    yield
    after = snapshot()
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"{changed} changed"
    assert [_content_of(value) for value in given] == values, "an argument was changed"
