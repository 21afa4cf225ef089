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


def assert_same_outputs(
    estimator, X, run=None, tolerance=1e-6, outputs=None, allows_rounding=False
):
    """Fail unless the exported model gives the scores, labels and probabilities of an estimator.

    `run` makes a function of rows of a module; None calls the module. `outputs` are those that are
    looked at; None is all. With `allows_rounding` an entry may differ by the tolerance and as far
    as the estimator's own answer moves where X is rounded otherwise.
    """
    answers = answers_of(estimator, X)
    moves = dict.fromkeys(answers, 0.0)
    if allows_rounding:
        moves = moves_by_rounding(estimator, X, answers)
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
            excess = np.maximum(np.abs(one - other) - moves[output], 0.0)
            limit = tolerance * (1 + np.abs(other))
            np.testing.assert_array_less(excess, limit, err_msg=output)


def answers_of(estimator, X):
    """Scores, labels and, where it has any, probabilities of an estimator."""
    answers = {"scores": estimator.decision_function(X)}
    answers["labels"] = as_codes(estimator, estimator.predict(X))
    if hasattr(estimator, "predict_proba"):
        answers["probabilities"] = estimator.predict_proba(X)
    return answers


def moves_by_rounding(estimator, X, answers):
    """Largest difference of each score and probability, of 20 roundings of the features."""
    rng = np.random.default_rng(0)
    moves = {output: np.zeros(1) for output in answers}
    for _ in range(20):
        rounded = X * (1 + np.finfo(X.dtype).eps * rng.integers(-2, 3, X.shape)).astype(X.dtype)
        for output, other in answers_of(estimator, rounded).items():
            if output != "labels":
                moves[output] = np.maximum(moves[output], np.abs(other - answers[output]))
    return moves
