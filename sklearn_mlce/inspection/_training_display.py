"""Picture of the training and validation curves of a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mlce.inspection._axes import GREY, add_legend, axes_for, panel_below
from sklearn_mlce.inspection._fitted_scores import part_with


class TrainingCurveDisplay:
    """Training loss and validation score of each epoch, with the epoch that was kept.

    Make it by :meth:`from_estimator`, which draws it at once.

    Parameters
    ----------
    loss_curve : array-like of shape (n_epochs,)
        Mean training loss of each epoch.
    validation_scores : array-like of shape (n_scored,), default=None
        Score of the held-out rows after each epoch; of the last ones, where there are fewer.
    best_epoch : int, default=None
        Epoch whose weights were kept, counted from 1.
    scoring : str, default="score"
        Name of the score. With "loss" the scores are minus the held-out loss, which is drawn beside
        the training loss; others are drawn below.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the losses.
    ax_score_ : matplotlib Axes or None
        Axes of the validation scores, below; None where there are none but losses.
    figure_ : matplotlib Figure
        Figure of the axes.
    loss_line_ : matplotlib Line2D
        The training loss.
    validation_line_ : matplotlib Line2D or None
        The validation loss or score.

    See Also
    --------
    sklearn_mlce.MLCEMLP : The network.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn_mlce import MLCEMLP
    >>> from sklearn_mlce.inspection import TrainingCurveDisplay
    >>> X, Y = make_multilabel_classification(n_samples=300, n_classes=6, random_state=0)
    >>> model = MLCEMLP(early_stopping=True, scoring="f1_micro", max_epochs=20, random_state=0)
    >>> display = TrainingCurveDisplay.from_estimator(model.fit(X, Y), ax=Figure().subplots())
    >>> display.best_epoch == model.best_epoch_
    True
    >>> display.ax_score_.get_ylabel()
    'validation f1_micro'
    """

    __module__ = "sklearn_mlce.inspection"

    ax_: Any
    figure_: Any
    ax_score_: Any
    validation_line_: Any

    def __init__(
        self,
        loss_curve: Any,
        *,
        validation_scores: Any = None,
        best_epoch: int | None = None,
        scoring: str = "score",
    ) -> None:
        self.loss_curve, self.validation_scores = loss_curve, validation_scores
        self.best_epoch, self.scoring = best_epoch, scoring

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, **kwargs: Any
    ) -> TrainingCurveDisplay:
        """Draw the curves that a fitted network has kept.

        Parameters
        ----------
        estimator : estimator instance
            Fitted :class:`~sklearn_mlce.MLCEMLP`, alone, in a search, a tuner or a calibrator or at
            the end of a pipeline. Any estimator with `loss_curve_` will do, such as
            :class:`~sklearn.neural_network.MLPClassifier`.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            For :meth:`plot`.

        Returns
        -------
        TrainingCurveDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If the estimator has no curve, or is not fitted.
        """
        network = part_with(estimator, "loss_curve_")
        if network is None:
            raise TypeError(
                f"{type(estimator).__name__} has no loss_curve_; expected a fitted MLCEMLP, or a "
                "pipeline, search or tuner of one. Type TrainingCurveDisplay.from_estimator("
                "MLCEMLP().fit(X, y))"
            )
        scores = getattr(network, "validation_scores_", None)
        scores = None if scores is None or len(scores) == 0 else np.asarray(scores)
        best = getattr(network, "best_epoch_", None)
        if best is None and scores is not None:
            best = len(network.loss_curve_) - len(scores) + int(scores.argmax()) + 1
        scoring = getattr(network, "scoring", "score")
        display = cls(
            np.asarray(network.loss_curve_),
            validation_scores=scores,
            best_epoch=best,
            scoring=scoring if isinstance(scoring, str) else "score",
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> TrainingCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on, of which a score takes the lower half. None makes a new figure.
        **kwargs : dict
            For :meth:`matplotlib.axes.Axes.plot` of the training loss.

        Returns
        -------
        TrainingCurveDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes_for(self, ax)
        n_epochs = len(self.loss_curve)
        style = {"color": "C0", "lw": 2, "label": "training loss"}
        # A single epoch has no line, only its place.
        style |= {"marker": "o"} if n_epochs == 1 else {}
        (self.loss_line_,) = ax.plot(
            np.arange(1, n_epochs + 1), self.loss_curve, **(style | kwargs)
        )
        self.ax_score_ = self.validation_line_ = None
        if self.validation_scores is not None:
            self._draw_validation(ax)
        ax.set_ylabel("loss")
        lowest = self.ax_score_ or ax
        lowest.set_xlabel("epoch")
        lowest.xaxis.get_major_locator().set_params(integer=True)
        if self.best_epoch is not None:
            for each in filter(None, (ax, self.ax_score_)):
                each.axvline(
                    self.best_epoch,
                    color=GREY,
                    ls=":",
                    lw=1.5,
                    label=f"epoch {self.best_epoch}, kept",
                )
        add_legend(ax)
        return self

    def _draw_validation(self, ax: Any) -> None:
        """Draw the validation loss beside the training loss, or another score below."""
        scores, n_epochs = np.asarray(self.validation_scores, dtype=float), len(self.loss_curve)
        epochs = np.arange(n_epochs - len(scores), n_epochs) + 1
        is_loss = self.scoring == "loss"
        if not is_loss:
            self.ax_score_ = panel_below(ax, 1.0)
            self.ax_score_.set_ylabel(f"validation {self.scoring}")
        values, where = (-scores, ax) if is_loss else (scores, self.ax_score_)
        (self.validation_line_,) = where.plot(
            epochs, values, color="C1", lw=2, label="validation loss"
        )
        if self.best_epoch is not None and self.best_epoch in epochs:
            best = values[self.best_epoch - epochs[0]]
            where.plot(self.best_epoch, best, "o", color="C1", label="_nolegend_")
