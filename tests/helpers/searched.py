"""How long properties are searched for a counterexample, and what the searches draw."""

import os
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: The same draws in every run, unless more are asked for: `make test-properties`.
N_EXAMPLES = int(os.environ.get("SKLEARN_MLCE_EXAMPLES", "0"))
budget = settings(
    max_examples=N_EXAMPLES or 12,
    derandomize=not N_EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Problem(NamedTuple):
    """Rows, 0/1 labels of which some may be unknown or constant, and weights."""

    X: np.ndarray  # (n_rows, n_features), half of it zeros
    Y: np.ndarray  # (n_rows, n_labels)
    sample_weight: np.ndarray | None

    @property
    def fitted_with(self):
        """Arguments of `fit`."""
        return {"X": self.X, "y": self.Y, "sample_weight": self.sample_weight}


@st.composite
def problems(draw):
    """Problems of a few rows, features and labels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n_rows, n_features = draw(st.integers(12, 60)), draw(st.integers(1, 7))
    n_labels, rate = draw(st.integers(2, 6)), draw(st.sampled_from([0.1, 0.4, 0.8]))
    X = rng.normal(size=(n_rows, n_features)) * (rng.random((n_rows, n_features)) < 0.5)
    noise = rng.normal(size=(n_rows, n_labels))
    scores = X @ rng.normal(size=(n_features, n_labels)) + noise
    Y = (scores > np.quantile(scores, 1 - rate)).astype(float)
    if draw(st.booleans()):
        Y[rng.random(Y.shape) < 0.2] = np.nan
    if draw(st.booleans()):
        Y[:, 0] = draw(st.sampled_from([0.0, 1.0]))
    weighted = draw(st.booleans())
    return Problem(X, Y, rng.integers(1, 4, n_rows).astype(float) if weighted else None)
