"""The objective of `MLCEClassifier`, written a second time, in plain NumPy float64.

It judges how far a fit is from the optimum, and finds the optimum with SciPy, so it must share no
code with the package.
"""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from .datasets import DataSet

REFERENCES = Path(__file__).with_name("reference_objectives.json")

# Rows whose scores are held at once: a block of about 64 MB.
_BLOCK = 2**23


def value_and_gradient(W, b, X, Y, C=1.0):
    """Mean multi-label softmax cross-entropy plus the L2 term.

    Parameters
    ----------
    W : ndarray of shape (d, L)
    b : ndarray of shape (L,)
    X : ndarray or csr_matrix of shape (n, d)
    Y : csr_matrix of shape (n, L)
        0/1 labels.
    C : float, default=1.0
        The L2 term is ``sum(W**2) / (2 C n)``; the intercept is free.

    Returns
    -------
    value : float
    gradient_W : ndarray of shape (d, L)
    gradient_b : ndarray of shape (L,)
    """
    n, n_labels = Y.shape
    total, grad_W, grad_b = 0.0, W / (C * n), np.zeros(n_labels)
    step = max(1, _BLOCK // n_labels)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        losses, slopes = _loss_rows(np.asarray(X[rows] @ W) + b, Y[rows].toarray().astype(bool))
        total += losses.sum()
        grad_W += np.asarray(X[rows].T @ slopes) / n
        grad_b += slopes.sum(axis=0) / n
    return total / n + (W * W).sum() / (2 * C * n), grad_W, grad_b


def _loss_rows(scores, positive):
    """Loss (n,) and its derivative (n, L): the threshold is the zero that each sum starts from."""
    losses, slopes = np.zeros(len(scores)), np.zeros_like(scores)
    for sign, members in ((1.0, ~positive), (-1.0, positive)):
        z = np.where(members, sign * scores, -np.inf)
        top = np.maximum(z.max(axis=1, keepdims=True), 0.0)
        z = np.exp(z - top)
        total = np.exp(-top) + z.sum(axis=1, keepdims=True)
        losses += (np.log(total) + top).ravel()
        slopes += sign * z / total
    return losses, slopes


def of_model(model, dataset: DataSet, C=None) -> float:
    """Objective of a fitted linear model, over the labels that training rows carry.

    Parameters
    ----------
    model : MLCEClassifier
        A fitted one.
    dataset : DataSet
        What it was fitted on.
    C : float or None, default=None
        None takes the model's own.

    Returns
    -------
    float
    """
    seen = ~dataset.unseen
    W = model.coef_[seen].T.astype(np.float64)
    b = model.intercept_[seen].astype(np.float64)
    C = model.C if C is None else C
    return float(value_and_gradient(W, b, dataset.X_train, dataset.Y_train[:, seen], C)[0])


def minimise(dataset: DataSet, C=1.0, max_iter=20000) -> dict[str, float]:
    """Find the optimum from zero with SciPy's L-BFGS-B in float64.

    Parameters
    ----------
    dataset : DataSet
    C : float, default=1.0
    max_iter : int, default=20000

    Returns
    -------
    dict
        ``objective``; ``max_abs_gradient`` there; ``gap_bound``, which strong convexity puts on its
        relative distance from the optimum over the weights; ``n_iter``; ``size`` of what was
        fitted.
    """
    X, Y = dataset.X_train, dataset.Y_train[:, ~dataset.unseen]
    d, n_labels = X.shape[1], Y.shape[1]

    def flat(parameters):
        table = parameters.reshape(d + 1, n_labels)
        value, grad_W, grad_b = value_and_gradient(table[:-1], table[-1], X, Y, C)
        return value, np.vstack([grad_W, grad_b]).ravel()

    limits = {"maxiter": max_iter, "maxfun": 2 * max_iter, "ftol": 1e-14, "gtol": 1e-8}
    found = minimize(
        flat, np.zeros((d + 1) * n_labels), jac=True, method="L-BFGS-B", options=limits
    )
    grad_W = found.jac[: d * n_labels]
    return {
        "objective": float(found.fun),
        "gap_bound": float(C * X.shape[0] / 2 * (grad_W @ grad_W) / found.fun),
        "max_abs_gradient": float(np.abs(found.jac).max()),
        "n_iter": int(found.nit),
        "size": dataset.size,
    }


def references() -> dict[str, dict]:
    """Optimal objectives at C = 1 that `minimise` found, by set."""
    return json.loads(REFERENCES.read_text()) if REFERENCES.is_file() else {}


def relative_gap(value: float, dataset: DataSet) -> float | None:
    """How far `value` lies above the known optimum at C = 1, as a share of the optimum.

    Parameters
    ----------
    value : float
        Objective of a fit with C = 1.
    dataset : DataSet

    Returns
    -------
    float or None
        None where no optimum is known.

    Raises
    ------
    ValueError
        If the known optimum belongs to other features.
    """
    known = references().get(dataset.name)
    if known is None:
        return None
    if known["size"] != dataset.size:
        raise ValueError(
            f"{REFERENCES.name} holds the optimum of {dataset.name} with {known['size']}, but the "
            f"features are now {dataset.size}. Type: python -m benchmarks reference --sets "
            f"{dataset.name}"
        )
    return value / known["objective"] - 1.0
