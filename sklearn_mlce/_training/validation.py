"""Scores of each epoch on the held-out rows, and the test that losses are finite."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

from skorch.callbacks import Callback, LRScheduler

from sklearn_mlce._training.state import Arrays, weights_to_arrays


class Diverged(ValueError):
    """A loss or a weight is not finite."""


class RefuseNonFinite(Callback):
    """Fail where the loss of an epoch is infinite or NaN, or a weight after its last step."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Check the epoch that ended."""
        last = net.history[-1]
        where = f"epoch {last['epoch']}"
        losses = {"training": last["train_loss"], "validation": last.get("valid_loss", 0.0)}
        for name, loss in losses.items():
            if not math.isfinite(loss):
                if name == "training":
                    where = f"batch {net.first_bad_batch} of {where}"
                raise Diverged(f"the {name} loss is {loss} in {where} {_advice(net)}")
        # Each parameter is read in one pass, and the device once.
        if not math.isfinite(sum(weight.detach().sum() for weight in net.module_.parameters())):
            raise Diverged(f"weights are not finite after the last batch of {where} {_advice(net)}")


def _advice(net: Any) -> str:
    return (
        f"with learning_rate_init={net.lr:g}; expected finite numbers. Set a smaller "
        "learning_rate_init, or scale the features, for instance with StandardScaler"
    )


class ScoreEpochs(Callback):
    """Record the score of each epoch, greater is better, as ``valid_score``.

    Parameters
    ----------
    score : callable, default=None
        Makes a number of the weights; None takes minus the mean loss of the held-out rows.
    """

    def __init__(self, score: Callable[[Arrays], float] | None = None) -> None:
        self.score = score

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Score the epoch that ended."""
        if self.score is None:
            score = -net.history[-1, "valid_loss"]
        else:
            score = self.score(weights_to_arrays(net.module_, net.kept_dtype))
        net.history.record("valid_score", score)


def user_callbacks(callbacks: Iterable[Any], learning_rate: str, resume: bool) -> list[Any]:
    """The user's callbacks as a fit takes them: copies, whose attributes are its own.

    The copies are shallow, as a callback may hold a file or another thing of which there is one.

    Raises
    ------
    TypeError
        If one is not a skorch callback, or a pair of a name and one.
    ValueError
        If one sets the step size, and `learning_rate` would set it again at each step, or the fit
        is to be resumed.
    """
    copies: list[Any] = []
    for entry in callbacks:
        named = isinstance(entry, tuple) and len(entry) == 2
        callback = copy.copy(entry[1] if named else entry)
        if not isinstance(callback, Callback):
            raise TypeError(
                f"callbacks holds {entry!r}; expected instances of skorch.callbacks.Callback, or "
                "pairs of a name and one. Pass scikit-learn's callbacks to set_callbacks"
            )
        if isinstance(callback, LRScheduler):
            _check_scheduler(learning_rate, resume)
        copies.append((entry[0], callback) if named else callback)
    return copies


def _check_scheduler(learning_rate: str, resume: bool) -> None:
    if learning_rate != "constant":
        raise ValueError(
            f"callbacks holds an LRScheduler, but learning_rate={learning_rate!r} sets the step "
            "size anew at each step. Set learning_rate='constant', and the callback alone changes "
            "it"
        )
    if resume:
        raise ValueError(
            "resume=True, but callbacks holds an LRScheduler, and a checkpoint does not know how "
            "far that has come. Use learning_rate='one_cycle' instead of it, or set resume=False"
        )
