"""What `MLCEMLP` does not offer, made of it: to see what offering it would bring."""

from unittest.mock import patch

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer


class MeanOfNetworks(BaseEstimator):
    """Networks of different seeds, whose scores are averaged.

    Parameters
    ----------
    n_members : int
        Networks.
    random_state : int
        Of which their seeds are made.
    """

    def __init__(self, n_members: int, random_state: int):
        self.n_members = n_members
        self.random_state = random_state

    def fit(self, X, Y):
        """Fit every network on all rows."""
        from sklearn_mlce import MLCEMLP

        seeds = np.random.SeedSequence(self.random_state).generate_state(self.n_members)
        self.networks_ = [MLCEMLP(random_state=int(seed)).fit(X, Y) for seed in seeds]
        return self

    def decision_function(self, X):
        """The mean of their scores."""
        return np.mean([network.decision_function(X) for network in self.networks_], axis=0)


class _OfOneNetwork(BaseEstimator):
    def decision_function(self, X):
        """Scores of the network."""
        return self.network_.decision_function(X)


class SmoothedLabels(_OfOneNetwork):
    """A network that is taught a little doubt about every label.

    Parameters
    ----------
    network : MLCEMLP
    smoothing : float
        Target of a negative label; that of a positive one is 1 less it.
    """

    def __init__(self, network, smoothing: float):
        self.network = network
        self.smoothing = smoothing

    def fit(self, X, Y):
        """Fit on the smoothed targets."""
        targets = Y.toarray() * np.float32(1 - 2 * self.smoothing) + np.float32(self.smoothing)
        self.network_ = clone(self.network).fit(X, targets)
        return self


class WithConstants(_OfOneNetwork):
    """A network that is fitted with other constants of sparse rows.

    Parameters
    ----------
    network : MLCEMLP
    row_sum : float, default=None
        What the absolute entries of a scaled row add up to; None keeps it.
    eps : float, default=None
        Of AdamW, for the first layer, per unit of the scaled entries; None keeps it.
    """

    def __init__(self, network, row_sum: float | None = None, eps: float | None = None):
        self.network = network
        self.row_sum = row_sum
        self.eps = eps

    def fit(self, X, Y):
        """Fit with the constants, and put back what they were."""
        from sklearn_mlce._network import input_scaling, train

        row_sum = input_scaling._OVERALL_SUM if self.row_sum is None else self.row_sum
        eps = train._EPS if self.eps is None else self.eps
        with (
            patch.object(input_scaling, "_OVERALL_SUM", row_sum),
            patch.object(train, "_EPS", eps),
        ):
            self.network_ = clone(self.network).fit(X, Y)
        return self


def piecewise_linear(n_knots: int, seed: int):
    """A network over each feature's linear pieces, the plainest of numeric embeddings.

    Parameters
    ----------
    n_knots : int
        Quantiles of each feature between which its pieces lie.
    seed : int
        Of the network.

    Returns
    -------
    Pipeline
        For dense rows.
    """
    from sklearn_mlce import MLCEMLP

    pieces = SplineTransformer(n_knots, degree=1, knots="quantile", extrapolation="linear")
    return make_pipeline(pieces, MLCEMLP(random_state=seed))
