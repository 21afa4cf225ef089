r"""Number of labels of a row whose expected F1 is highest, where labels are independent.

Of all sets of k labels the k most probable have the highest expected F1. With :math:`S` the number
of labels that the row carries and :math:`S_k` those among the k most probable,

.. math:: F_k = E\left[\frac{2 S_k}{k + S}\right]
              = 2 \int_0^1 t^k G(t) \sum_{i \le k} \frac{p_i}{1 - p_i (1 - t)} \, dt,
              \qquad G(t) = \prod_i \bigl(1 - p_i (1 - t)\bigr),

since :math:`1 / n = \int_0^1 t^{n - 1} dt` and :math:`G` is the generating function of :math:`S`.
The integrand is a polynomial of degree :math:`L + k - 1` without a negative coefficient: a
Gauss-Legendre rule sums it exactly, and nothing cancels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sklearn_mlce._targets.targets import row_blocks

# Relative error of F_k, by the number of nodes: m nodes are exact up to t^(2m - 1), and off by less
# than 1e-12 up to t^(0.12 m^2).
_DEGREE_PER_SQUARED_NODES = 0.12

# Labels less probable than this are multiplied into G by the power sums of their probabilities,
# log(1 - x) = -sum_r x^r / r, of which so many terms leave 0.05^13 / 13.
_IMPROBABLE, _N_TERMS = 0.05, 12

# Probabilities at nodes that are held at a time: 4 MiB.
_ENTRIES_PER_BLOCK = 2**19


def best_label_counts(ordered: np.ndarray, zero_division: float) -> np.ndarray:
    """Number ``(n,)`` of the first labels of each row that have the highest expected F1.

    Parameters
    ----------
    ordered : ndarray of shape (n, L)
        Probabilities, each row from the highest to the lowest.
    zero_division : float
        F1 of a row without labels for which none is predicted.

    Returns
    -------
    ndarray of shape (n,), int64
        The smaller number where two are equally good.
    """
    n_rows, n_labels = ordered.shape
    counts = np.zeros(n_rows, dtype=np.int64)
    if n_labels == 0:
        return counts
    nodes, _ = rule = quadrature_of(n_labels)
    for rows in row_blocks(n_rows, max(len(nodes), n_labels), _ENTRIES_PER_BLOCK):
        p = ordered[rows].astype(np.float64, copy=False)
        counts[rows] = _counts_of_block(p, rule, zero_division)
    return counts


def quadrature_of(n_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights that sum F_k for so many labels."""
    return _quadrature(_number_of_nodes(n_labels))


def _number_of_nodes(n_labels: int) -> int:
    """Nodes that sum every power below twice the number of labels."""
    nearly = np.sqrt(2 * n_labels / _DEGREE_PER_SQUARED_NODES)
    return int(min(n_labels, np.ceil(nearly) + 8))


@lru_cache(maxsize=8)
def _quadrature(n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the Gauss-Legendre rule on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return (nodes + 1) / 2, weights / 2


def _counts_of_block(
    p: np.ndarray, rule: tuple[np.ndarray, np.ndarray], zero_division: float
) -> np.ndarray:
    nodes, weights = rule
    best = zero_division * np.prod(1 - p, axis=1)  # of no label
    counts = np.zeros(len(p), dtype=np.int64)
    # Of a label that the row carries, S is 1 or more: F_k is at most 2 sum p_i / (k + 1).
    bound = 2 * np.cumsum(p, axis=1) / np.arange(2, p.shape[1] + 2)
    bound = np.maximum.accumulate(bound[:, ::-1], axis=1)[:, ::-1]
    powers = weights * _generating_function(p, nodes)
    terms = np.zeros_like(powers)
    for k, column in enumerate(p.T, start=1):
        if (bound[:, k - 1] <= best).all():
            break
        powers *= nodes
        terms += column[:, None] / (1 - column[:, None] * (1 - nodes))
        value = 2 * np.einsum("ij,ij->i", powers, terms)
        better = value > best
        best[better], counts[better] = value[better], k
    return counts


def _generating_function(p: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """``G`` at the nodes, (n, m), of probabilities in descending order."""
    n_probable = int((p >= _IMPROBABLE).sum(axis=1).max(initial=0))
    rest, logarithm = p[:, n_probable:], np.zeros((len(p), len(nodes)))
    power = np.ones_like(rest)
    for r in range(1, _N_TERMS + 1):
        power *= rest
        logarithm -= power.sum(axis=1)[:, None] * (1 - nodes) ** r / r
    product = np.exp(logarithm)
    for column in p[:, :n_probable].T:
        product *= 1 - column[:, None] * (1 - nodes)
    return product
