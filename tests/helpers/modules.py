"""Factories of networks, where a pickle finds them, and exported models beside the estimators."""

import numpy as np
import torch
from torch import nn


def small_net(n_features, n_outputs):
    """Return a network of two linear layers."""
    return nn.Sequential(nn.Linear(n_features, 8), nn.ReLU(), nn.Linear(8, n_outputs))


def normalised_net(n_features, n_outputs):
    """Return a network with all that torch draws or counts in training."""
    return nn.Sequential(
        nn.Linear(n_features, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.4),
        nn.Linear(8, n_outputs),
    )


class ResidualNet(nn.Module):
    """A class is a factory as well; its last parameter is not the bias of the outputs."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.output = nn.Linear(n_features, n_outputs)
        self.inner = nn.Linear(n_features, n_features)

    def forward(self, x):
        """Scores of rows."""
        return self.output(x + torch.tanh(self.inner(x)))


def arrays_of(output):
    """Return what an exported model gave as arrays, a list of them for a tuple."""
    if isinstance(output, tuple):
        return [arrays_of(part) for part in output]
    return output.detach().numpy()


def as_codes(estimator, labels):
    """Return what `predict` gave as an exported model gives it: classes as their index."""
    labels = labels.toarray() if hasattr(labels, "toarray") else labels
    if isinstance(estimator.classes_, list):
        parts = zip(estimator.classes_, labels.T, strict=True)
        codes = [np.flatnonzero(row == classes)[0] for classes, rows in parts for row in rows]
        return np.reshape(codes, labels.T.shape).T
    return np.searchsorted(estimator.classes_, labels) if labels.ndim == 1 else labels


def assert_same_outputs(estimator, X, run=None, tolerance=1e-6, outputs=None, n_steep=0):
    """Fail unless the exported model gives the scores, labels and probabilities of an estimator.

    `run` makes a function of rows of a module; None calls the module. `outputs` are those that are
    looked at; None is all. `n_steep` entries of an output may stand on a steep step of an isotonic
    map, which multiplies what float32 has rounded off a score: they may differ a thousand times
    as much.
    """
    answers = {"scores": estimator.decision_function(X)}
    answers["labels"] = as_codes(estimator, estimator.predict(X))
    if hasattr(estimator, "predict_proba"):
        answers["probabilities"] = estimator.predict_proba(X)
    x = torch.from_numpy(X)
    for output in answers if outputs is None else outputs:
        expected = answers[output]
        module = estimator.to_torch(output)
        assert not module.training
        found = arrays_of(module(x)) if run is None else run(module)(x)
        assert isinstance(found, list) == isinstance(expected, list), output
        if not isinstance(found, list):
            found, expected = [found], [expected]
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape, output
            if output == "scores":
                assert one.dtype == other.dtype
            near = np.isclose(one, other, rtol=tolerance, atol=tolerance)
            few = 0 < near.size - near.sum() <= n_steep
            allowed = 1000 * tolerance if few else tolerance
            np.testing.assert_allclose(one, other, rtol=allowed, atol=allowed, err_msg=output)
