"""The slow, obvious forms of the losses beside MLCE: label by label, as the papers have them."""

import math

import numpy as np


def sigmoid(score):
    return 1 / (1 + math.exp(-score))


def pairwise(scores, targets, weights, *, scale=1.0, margin=0.0):
    """Every pair of labels, weighted by how far it is a negative beside a positive."""
    total = 1.0
    for s_i, t_i, w_i in zip(scores, targets, weights, strict=True):
        for s_j, t_j, w_j in zip(scores, targets, weights, strict=True):
            if not (math.isnan(t_i) or math.isnan(t_j)):
                pair = w_i * (1 - t_i) * w_j * t_j
                total += pair * math.exp(scale * (s_i - s_j + margin))
    return math.log(total)


def focal(scores, targets, weights, *, gamma=2.0, alpha=None):
    total = 0.0
    for score, target, weight in zip(scores, targets, weights, strict=True):
        p = sigmoid(score)
        if target == 1:
            total -= weight * (alpha or 1) * (1 - p) ** gamma * math.log(p)
        elif target == 0:
            total -= weight * (1 - (alpha or 0)) * p**gamma * math.log(1 - p)
    return total


def class_balanced_focal(scores, targets, weights, *, label_counts, beta=0.9, gamma=2.0):
    balanced = [(1 - beta) / (1 - beta ** max(count, 1)) for count in label_counts]
    in_use = [b for b, count in zip(balanced, label_counts, strict=True) if count > 0]
    mean = sum(in_use) / len(in_use)
    weights = [w * b / mean for w, b in zip(weights, balanced, strict=True)]
    return focal(scores, targets, weights, gamma=gamma)


def distribution_balanced(
    scores,
    targets,
    weights,
    *,
    label_counts,
    n_samples,
    weight_map=(0.1, 10.0, 0.2),
    negative_scale=2.0,
    bias_scale=0.05,
    gamma=2.0,
):
    counts = [min(max(float(count), 1.0), n_samples - 1.0) for count in label_counts]
    carried = sum(1 / n for n, target in zip(counts, targets, strict=True) if target == 1)
    total = 0.0
    for score, target, weight, n in zip(scores, targets, weights, counts, strict=True):
        if weight_map is not None:
            a, b, mu = weight_map
            weight = weight * (a + (sigmoid(b * (1 / n / carried - mu)) if carried else 1))
        shifted = score - bias_scale * math.log(n_samples / n - 1)
        if target == 1:
            q = sigmoid(shifted)
            total -= weight * (1 - q) ** gamma * math.log(q)
        elif target == 0:
            q = sigmoid(negative_scale * shifted)
            total -= weight * q**gamma * math.log(1 - q) / negative_scale
    return total


def asymmetric(scores, targets, weights, *, gamma_positive=0.0, gamma_negative=4.0, margin=0.05):
    total = 0.0
    for score, target, weight in zip(scores, targets, weights, strict=True):
        p = sigmoid(score)
        shifted = max(p - margin, 0.0)
        if target == 1:
            total -= weight * (1 - p) ** gamma_positive * math.log(p)
        elif target == 0:
            total -= weight * shifted**gamma_negative * math.log(1 - shifted)
    return total


def binary_cross_entropy(scores, targets, weights, *, pos_weight=None, scale=1.0, margin=0.0):
    of_negatives, of_positives = margin if isinstance(margin, tuple) else (margin, margin)
    factors = [1.0] * len(scores) if pos_weight is None else pos_weight
    total = 0.0
    for score, target, weight, factor in zip(scores, targets, weights, factors, strict=True):
        if not math.isnan(target):
            positive = -math.log(sigmoid(scale * (score - of_positives)))
            negative = -math.log(sigmoid(-scale * (score + of_negatives)))
            total += weight * (factor * target * positive + (1 - target) * negative)
    return total


def multioutput(scores, codes, weights):
    """Scores (n_outputs, n_classes), NaN codes unknown, weights of the scores' shape."""
    loss = 0.0
    for j in range(scores.shape[1]):
        total = 1.0
        for i, code in enumerate(codes):
            if code == j:
                others = [k for k in range(scores.shape[1]) if k != j]
                total += weights[i, j] * sum(math.exp(scores[i, k] - scores[i, j]) for k in others)
        loss += math.log(total)
    return loss


def soft_multioutput(scores, targets, weights):
    loss = 0.0
    for j in range(scores.shape[1]):
        total = 1.0
        for i in range(len(scores)):
            if not math.isnan(targets[i, j]):
                mean = scores[i].mean()
                total += weights[i, j] * targets[i, j] * math.exp(mean - scores[i, j])
        loss += math.log(total)
    return loss


def multioutput_divergence(scores, targets, weights):
    loss = 0.0
    softmax = [[math.exp(s - max(row)) for s in row] for row in scores]
    softmax = [[e / sum(row) for e in row] for row in softmax]
    for j in range(scores.shape[1]):
        total = 1.0
        for i in range(len(scores)):
            t = targets[i, j]
            if t > 0:  # not where unknown
                ratio = t / softmax[i][j]
                total += weights[i, j] * t * (ratio - 1 - math.log(ratio))
        loss += math.log(total)
    return loss


def rows(oracle, scores, targets, label_weight=None, **options):
    """Loss of each row of arrays; label weights of any shape that broadcasts to the scores."""
    weights = np.broadcast_to(1.0 if label_weight is None else label_weight, scores.shape)
    return np.array([oracle(*row, **options) for row in zip(scores, targets, weights, strict=True)])
