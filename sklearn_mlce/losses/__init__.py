r"""Losses of multi-label classification for torch, as functions and as modules.

Multi-label softmax cross-entropy (MLCE), by which the package is named, costs a row with scores
:math:`s`, positive labels :math:`P` and negative labels :math:`N`

.. math::

    &\log\Bigl(1 + \sum_{i \in N} e^{s_i}\Bigr) \\
    +\, &\log\Bigl(1 + \sum_{j \in P} e^{-s_j}\Bigr).

The loss compares the scores of the negatives with 0, and 0 with the scores of the positives, so
that :math:`s > 0` is the decision. Of its relatives, the pairwise loss has no threshold, and the
losses of several outputs have several classes for each. Most other losses here are sums over
labels. All take scores and targets, weights of rows and of labels, and a reduction over rows. None
needs an estimator: any torch code may use them.
"""

from sklearn_mlce.losses._asymmetric import AsymmetricLoss, asymmetric_loss
from sklearn_mlce.losses._binary_cross_entropy import (
    BinaryCrossEntropyLoss,
    binary_cross_entropy_loss,
)
from sklearn_mlce.losses._class_balanced import ClassBalancedFocalLoss, class_balanced_focal_loss
from sklearn_mlce.losses._distribution_balanced import (
    DistributionBalancedLoss,
    distribution_balanced_loss,
)
from sklearn_mlce.losses._focal import FocalLoss, focal_loss
from sklearn_mlce.losses._mlce import MLCELoss, mlce_loss, mlce_loss_from_indices
from sklearn_mlce.losses._multioutput import (
    MultioutputDivergenceLoss,
    MultioutputLoss,
    SoftMultioutputLoss,
    multioutput_divergence_loss,
    multioutput_loss,
    soft_multioutput_loss,
)
from sklearn_mlce.losses._pairwise import PairwiseLoss, pairwise_loss

__all__ = [
    "AsymmetricLoss",
    "BinaryCrossEntropyLoss",
    "ClassBalancedFocalLoss",
    "DistributionBalancedLoss",
    "FocalLoss",
    "MLCELoss",
    "MultioutputDivergenceLoss",
    "MultioutputLoss",
    "PairwiseLoss",
    "SoftMultioutputLoss",
    "asymmetric_loss",
    "binary_cross_entropy_loss",
    "class_balanced_focal_loss",
    "distribution_balanced_loss",
    "focal_loss",
    "mlce_loss",
    "mlce_loss_from_indices",
    "multioutput_divergence_loss",
    "multioutput_loss",
    "pairwise_loss",
    "soft_multioutput_loss",
]
