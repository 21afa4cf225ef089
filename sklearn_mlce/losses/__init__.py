"""Multi-label softmax cross-entropy (MLCE) for torch, as functions and as a module.

The loss of one row with scores ``s``, positive labels ``P`` and negative labels ``N`` is

    log(1 + sum_{i in N} exp(s_i)) + log(1 + sum_{j in P} exp(-s_j)).

It compares the scores of the negatives with 0 and 0 with the scores of the positives, so that
``s > 0`` is the decision. Nothing here needs the rest of the package.
"""

from sklearn_mlce.losses._mlce import mlce_loss, mlce_loss_from_indices
from sklearn_mlce.losses._mlce_module import MLCELoss

__all__ = ["MLCELoss", "mlce_loss", "mlce_loss_from_indices"]

# Where users find them is where a pickle names them, however the files are cut.
for _name in __all__:
    globals()[_name].__module__ = __name__
