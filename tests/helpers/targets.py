"""Small targets of every kind, and the arguments that losses take beside them."""

import numpy as np
import torch

N_ROWS, N_LABELS = 7, 5
KINDS = ["hard", "soft", "unknown"]


def random_targets(kind, rng):
    """Targets of a kind, whose first row is empty and whose second row is full."""
    targets = (rng.random((N_ROWS, N_LABELS)) < 0.4).astype(float)
    targets[0], targets[1] = 0, 1
    if kind == "soft":
        targets[2:] = rng.random((N_ROWS - 2, N_LABELS))
    if kind in ("unknown", "soft"):
        targets[3:][rng.random((N_ROWS - 3, N_LABELS)) < 0.3] = np.nan
    if kind == "unknown":
        targets[4] = np.nan
    return targets


def random_scores(seed, scale=1.0):
    """Scores of the rows of :func:`random_targets`."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(scale=scale, size=(N_ROWS, N_LABELS)))
