"""End of a training before its time: what the estimator keeps, and the error that passes on."""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

from sklearn.exceptions import ConvergenceWarning


def raise_stopped(stopped_by: BaseException, network: Any) -> NoReturn:
    """Raise the error that ended a training, and warn which epoch the estimator keeps.

    A loss that is not finite has said enough.
    """
    if isinstance(stopped_by, ValueError):
        raise stopped_by
    which = "the best of them on the held-out rows" if network.early_stopping else "the last"
    why = "" if isinstance(stopped_by, KeyboardInterrupt) else f". {stopped_by}"
    try:
        warnings.warn(
            f"training was interrupted after epoch {network.n_iter_}; the estimator keeps the "
            f"weights of epoch {network.best_epoch_}, {which}{why}",
            ConvergenceWarning,
            stacklevel=5,
        )
    finally:  # whatever a filter makes of the warning, what calls fit is to stop
        raise stopped_by
