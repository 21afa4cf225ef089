"""The slow, obvious forms of the losses: plain Python loops in float64."""

import math

import numpy as np
import torch


def side(exponents, order):
    """Log of 1 + e_1 + ... + e_order, label by label; no difference is taken, nothing overflows."""
    degree = len(exponents) if order == "all" else order
    sums = [0.0] + degree * [-math.inf]  # logarithms of the symmetric sums of the labels so far
    for exponent in exponents:
        for k in range(degree, 0, -1):
            sums[k] = float(np.logaddexp(sums[k], sums[k - 1] + exponent))
    return float(np.logaddexp.reduce(sums))


def side_gradient(exponents, order):
    """Gradient of `side`: a label's share is the sum of the products that hold it."""
    rest = order if order == "all" else order - 1
    others = [exponents[:i] + exponents[i + 1 :] for i in range(len(exponents))]
    return np.exp(
        [
            exponent + side(other, rest) - side(exponents, order)
            for exponent, other in zip(exponents, others, strict=True)
        ]
    )


def exponents_of_row(scores, targets, label_weight=None, threshold=0.0, scale=1.0, margin=0.0):
    """Exponents of the negatives and of the positives; a NaN target takes no part."""
    margins = margin if isinstance(margin, tuple) else (margin, margin)
    weights = [1.0] * len(scores) if label_weight is None else label_weight
    negatives, positives = [], []
    for score, target, weight in zip(scores, targets, weights, strict=True):
        unknown = math.isnan(target)
        for share, sign, m, exponents in (
            (1 - target, 1, margins[0], negatives),
            (target, -1, margins[1], positives),
        ):
            factor = 0.0 if unknown else weight * share
            log_factor = math.log(factor) if factor > 0 else -math.inf
            exponents.append(sign * scale * (score - threshold + sign * m) + log_factor)
    return negatives, positives


def mlce_row(scores, targets, *, order=1, **options):
    """Loss of one row, term by term as the formula stands."""
    orders = order if isinstance(order, tuple) else (order, order)
    sides = exponents_of_row(scores, targets, **options)
    return sum(side(exponents, k) for exponents, k in zip(sides, orders, strict=True))


def mlce(scores, targets, *, label_weight=None, threshold_scores=None, **options):
    """Loss of each row of a matrix; label weights per label or per cell."""
    scores, targets = np.asarray(scores, float), np.asarray(targets, float)
    n_rows = len(scores)
    thresholds = np.zeros(n_rows) if threshold_scores is None else threshold_scores
    weights = [None] * n_rows
    if label_weight is not None:
        weights = np.broadcast_to(label_weight, scores.shape)
    return np.array(
        [
            mlce_row(
                scores[row],
                targets[row],
                label_weight=weights[row],
                threshold=float(thresholds[row]),
                **options,
            )
            for row in range(n_rows)
        ]
    )


def linear_objective(parameters, X, Y, *, C, sample_weight=None, fit_intercept=True, **options):
    """Mean objective of the linear model at parameters ``(n_features + 1, n_labels)``."""
    coefficients = parameters[:-1]
    scores = X @ coefficients + (parameters[-1] if fit_intercept else 0)
    weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, float)
    scale = options.get("scale", 1.0)
    rows = mlce(scores, Y, **options) / scale
    penalty = 0.5 * (coefficients**2).sum() / C
    return (weight @ rows + penalty) / weight.sum()


def symmetric_loss(exponents, weights, order):
    """Log of 1 + e_1 + ... of weighted exponentials ``(n, L)``, for torch to differentiate."""
    degree = exponents.shape[1] if order == "all" else order
    sums = [torch.ones(len(exponents), dtype=exponents.dtype)] + degree * [0]
    for term in (weights * exponents.exp()).T:
        for k in range(degree, 0, -1):
            sums[k] = sums[k] + sums[k - 1] * term
    return sum(sums[1:], sums[0]).log()
