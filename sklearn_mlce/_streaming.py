"""What the estimators that learn from a stream of chunks share."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mlce._base import BaseMLCE
from sklearn_mlce._targets import Targets
from sklearn_mlce._training.chunks import (
    agreed_classes,
    are_label_values,
    from_one_hot,
    is_single_label,
    one_hot,
)


class StreamingMLCE(BaseMLCE):
    """Base of the estimators that have partial_fit."""

    def _validate_chunk(
        self, X: Any, y: Any, classes: Any, sample_weight: Any, first: bool
    ) -> tuple[Any, Targets, np.ndarray | None]:
        """Like :meth:`_validate_fit`, by the classes of the first call."""
        known = None if first else self.classes_
        single = is_single_label(y) if first else self._target_format.single_label
        if classes is not None and (single or not are_label_values(classes)):
            known = agreed_classes(classes, known)
        if single and known is not None:
            y = one_hot(y, known)
        X, targets, weight = self._validate_fit(X, y, sample_weight, reset=first)
        if single and known is not None:
            targets = from_one_hot(targets.positives, known)
        elif known is not None and not np.array_equal(targets.classes, known):
            raise ValueError(
                f"y has {targets.n_outputs} labels; expected {len(known)}, as the first call to "
                "partial_fit or its classes say. Pass the same columns in every call"
            )
        return X, targets, weight
