"""The slow, obvious forms of the losses: plain Python loops in float64."""

import math

import numpy as np


def log_symmetric_sums(exponents, degree=1):
    """Log of 1 + e_1 + ... + e_degree of the exponentials, term by term.

    e_k is the sum of the products of each k of them. No difference is taken, nothing overflows.
    """
    sums = [0.0] + degree * [-math.inf]  # logarithms of the symmetric sums of the terms so far
    for exponent in exponents:
        for k in range(degree, 0, -1):
            sums[k] = float(np.logaddexp(sums[k], sums[k - 1] + exponent))
    return float(np.logaddexp.reduce(sums))


def log_sum_gradient(exponents):
    """Gradient of the log of 1 + e_1 in the exponents."""
    return np.exp(np.array(exponents) - log_symmetric_sums(exponents))


def margins_of(margin):
    return tuple(margin) if isinstance(margin, tuple | list) else (margin, margin)


def exponents_of_row(scores, targets, label_weight=None, threshold=0.0, scale=1.0, margin=0.0):
    """Exponents of the negatives and of the positives; a NaN target takes no part."""
    margins = margins_of(margin)
    weights = [1.0] * len(scores) if label_weight is None else label_weight
    negatives, positives = [], []
    for score, target, weight in zip(scores, targets, weights, strict=True):
        unknown = math.isnan(target)
        for target_weight, sign, m, exponents in (
            (1 - target, 1, margins[0], negatives),
            (target, -1, margins[1], positives),
        ):
            factor = 0.0 if unknown else weight * target_weight
            log_factor = math.log(factor) if factor > 0 else -math.inf
            exponents.append(sign * scale * (score - threshold + sign * m) + log_factor)
    return negatives, positives


def mlce_row(scores, targets, **options):
    """Loss of one row, term by term as the formula stands."""
    return sum(
        log_symmetric_sums(exponents) for exponents in exponents_of_row(scores, targets, **options)
    )


def binary_cross_entropy_row(scores, targets, label_weight=None, scale=1.0, margin=0.0):
    """Sum over the labels of a row; weights of labels and targets multiply the logarithms."""
    of_negatives, of_positives = margins_of(margin)
    weights = [1.0] * len(scores) if label_weight is None else label_weight
    total = 0.0
    for score, target, weight in zip(scores, targets, weights, strict=True):
        if not math.isnan(target):
            negative = np.logaddexp(0, scale * (score + of_negatives))
            positive = np.logaddexp(0, -scale * (score - of_positives))
            total += weight * ((1 - target) * negative + target * positive)
    return float(total)


def rows_of(row_loss, scores, targets, label_weight, **options):
    scores, targets = np.asarray(scores, float), np.asarray(targets, float)
    weights = [None] * len(scores)
    if label_weight is not None:
        weights = np.broadcast_to(label_weight, scores.shape)
    rows = zip(scores, targets, weights, strict=True)
    return np.array([row_loss(s, t, label_weight=w, **options) for s, t, w in rows])


def mlce(scores, targets, *, label_weight=None, threshold_scores=None, **options):
    """MLCE of each row of a matrix; label weights per label or per cell."""
    scores = np.asarray(scores, float)
    if threshold_scores is not None:  # the loss of the scores less the threshold
        scores = scores - np.asarray(threshold_scores, float)[:, None]
    return rows_of(mlce_row, scores, targets, label_weight, **options)


def binary_cross_entropy(scores, targets, *, label_weight=None, **options):
    """Sum over labels of each row of a matrix; label weights per label or per cell."""
    return rows_of(binary_cross_entropy_row, scores, targets, label_weight, **options)


LOSSES = {"mlce": mlce, "bce": binary_cross_entropy}


def linear_objective(
    parameters, X, Y, *, loss, C, sample_weight=None, fit_intercept=True, scale=1.0, **options
):
    """Mean objective of the linear model at parameters ``(n_features + 1, n_labels)``."""
    coefficients = parameters[:-1]
    scores = X @ coefficients + (parameters[-1] if fit_intercept else 0)
    weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, float)
    rows = LOSSES[loss](scores, Y, scale=scale, **options) / scale
    penalty = 0.5 * (coefficients**2).sum() / C
    return (weight @ rows + penalty) / weight.sum()
