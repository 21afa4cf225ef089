"""The slow, obvious forms of the losses: plain Python loops in float64."""

import math

import numpy as np


def mlce_row(scores, targets, *, label_weight=None, threshold=0.0, scale=1.0, margin=0.0):
    """Loss of one row, term by term as the formula stands; a NaN target takes no part."""
    negatives = math.exp(scale * threshold)
    positives = math.exp(-scale * threshold)
    weights = [1.0] * len(scores) if label_weight is None else label_weight
    for score, target, weight in zip(scores, targets, weights, strict=True):
        if not math.isnan(target):
            negatives += weight * (1 - target) * math.exp(scale * (score + margin))
            positives += weight * target * math.exp(-scale * (score - margin))
    return math.log(negatives) + math.log(positives)


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
