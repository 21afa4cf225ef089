"""Picture of the F1 of each label against how many rows carry it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mlce._targets.label_names import in_label_order
from sklearn_mlce._targets.targets import weighted_label_counts
from sklearn_mlce._utils.estimator_scores import check_predicts
from sklearn_mlce.inspection._axes import (
    GREY,
    MOST_BOLD_POINTS,
    add_legend,
    axes_for,
    faintness,
    name_points,
)
from sklearn_mlce.inspection._fitted_scores import (
    check_some_known,
    is_tuned,
    label_names_of_fitted,
    matrix_of_tags,
    names_of_labels,
    part_with,
    thresholded_scores,
)
from sklearn_mlce.metrics import masked_f1_score
from sklearn_mlce.metrics._inputs import labels_of, mean_of_defined

# Means over neighbouring labels, where there are too many points to follow.
_N_MEANS = 10


class F1ByFrequencyDisplay:
    """F1 of each label against its frequency, before and after thresholds were tuned.

    Make it by :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_tuned`, which draw it
    at once.

    Parameters
    ----------
    label_counts : ndarray of shape (n_labels,)
        How many rows carry each label: the horizontal axis.
    f1 : ndarray of shape (n_labels,)
        F1 of each label. NaN, which is not drawn, for one that is neither carried nor predicted.
    f1_before : ndarray of shape (n_labels,), default=None
        F1 of each label before tuning, drawn as a ring that an upright line joins with `f1`.
    label_names : array-like of shape (n_labels,), default=None
        Names of the labels. None takes their column numbers.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    points_ : matplotlib PathCollection
        The points of `f1`.
    points_before_ : matplotlib PathCollection or None
        The rings of `f1_before`.
    names_ : list of matplotlib Text
        The names that are written.

    See Also
    --------
    sklearn_mlce.metrics.f1_by_label_frequency : Means over frequent and over rare labels.
    ThresholdCurveDisplay : F-measure against the threshold.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn_mlce import MLCEClassifier
    >>> from sklearn_mlce.inspection import F1ByFrequencyDisplay
    >>> from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
    >>> X, Y = make_multilabel_classification(n_samples=600, n_classes=6, random_state=0)
    >>> tuned = MultilabelTunedThresholdClassifierCV(
    ...     MLCEClassifier(C=1.0, loss="mlce"), thresholds="per_label", random_state=0
    ... )
    >>> tuned = tuned.fit(X[:400], Y[:400])
    >>> display = F1ByFrequencyDisplay.from_estimator(
    ...     tuned, X[400:], Y[400:], ax=Figure().subplots()
    ... )
    >>> print(display.f1_before.mean().round(2), display.f1.mean().round(2))
    0.57 0.65
    """

    __module__ = "sklearn_mlce.inspection"

    ax_: Any
    figure_: Any

    def __init__(
        self,
        label_counts: Any,
        f1: Any,
        *,
        f1_before: Any = None,
        label_names: Any = None,
    ) -> None:
        self.label_counts, self.f1 = label_counts, f1
        self.f1_before = f1_before
        self.label_names = label_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        label_counts: Any = None,
        sample_weight: Any = None,
        label_names: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> F1ByFrequencyDisplay:
        """Draw the F1 of a fitted estimator's predictions.

        If :class:`~sklearn_mlce.model_selection.MultilabelTunedThresholdClassifierCV` or
        :class:`~sklearn_mlce.MLCEClassifierCV` tuned the thresholds, F1 before tuning is drawn too:
        F1 of the same scores at the threshold 0, or 0.5 of a probability. The tuned estimator may
        stand alone, in a search or at the end of a pipeline.

        Parameters
        ----------
        estimator : estimator instance
            Fitted multi-label classifier.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows that it was not fitted on.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Labels of these rows: 0, 1, or NaN where unknown. A label in between counts as that
            fraction of a positive. Or tags, where the estimator has learned their names.
        label_counts : array-like of shape (n_labels,), default=None
            How many training rows carry each label, such as ``y_train.sum(axis=0)``. None counts
            those of `y`.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row in F1.
        label_names : array-like of shape (n_labels,), default=None
            Names of the labels. None takes the columns of a DataFrame `y`, or `label_names_` of the
            estimator, or column numbers.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            For :meth:`plot`.

        Returns
        -------
        F1ByFrequencyDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If y is not a matrix of labels, or the others do not go with it.
        """
        check_predicts(estimator)
        y = matrix_of_tags(y, estimator)
        targets = labels_of(y, "y")
        names = names_of_labels(targets, label_names, estimator)
        before = None
        if is_tuned(estimator):
            found = thresholded_scores(estimator, X, targets.n_outputs)
            before = (found.scores > found.default).astype(np.int8)
        return cls.from_predictions(
            y,
            estimator.predict(X),
            y_pred_before=before,
            label_counts=label_counts,
            sample_weight=sample_weight,
            label_names=names,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        y_pred_before: Any = None,
        label_counts: Any = None,
        sample_weight: Any = None,
        label_names: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> F1ByFrequencyDisplay:
        """Draw the F1 of predictions.

        Parameters
        ----------
        y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Labels of each row: 0, 1, or NaN where unknown. A label in between counts as that
            fraction of a positive.
        y_pred : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Predicted labels, 0 or 1.
        y_pred_before : {array-like, sparse matrix} of shape (n_samples, n_labels), default=None
            Predictions to compare with, such as those before tuning.
        label_counts : array-like of shape (n_labels,), default=None
            How many training rows carry each label, such as ``y_train.sum(axis=0)``. None counts
            those of `y_true`.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row in F1.
        label_names : array-like of shape (n_labels,), default=None
            Names of the labels. None takes the columns of a DataFrame `y_true`, or column numbers.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            For :meth:`plot`.

        Returns
        -------
        F1ByFrequencyDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `y_true` is not a matrix of labels, or the others do not go with it.
        """
        targets = labels_of(y_true, "y_true")
        check_some_known(targets, "y_true")
        names = names_of_labels(targets, label_names)
        label_counts = in_label_order(label_counts, targets.label_names, "label_counts")
        if label_counts is None:
            label_counts, _ = weighted_label_counts(targets, np.ones(targets.n_rows))
        counts = np.asarray(label_counts, dtype=np.float64).ravel()
        if len(counts) != targets.n_outputs:
            raise ValueError(
                f"label_counts must have one entry for each of the {targets.n_outputs} labels of "
                f"y_true, got {len(counts)}. Pass y_train.sum(axis=0)"
            )
        options = {"average": None, "sample_weight": sample_weight, "zero_division": np.nan}
        f1 = masked_f1_score(y_true, y_pred, **options)
        before = (
            None if y_pred_before is None else masked_f1_score(y_true, y_pred_before, **options)
        )
        display = cls(counts, f1, f1_before=before, label_names=names)
        return display.plot(ax=ax, **kwargs)

    @classmethod
    def from_tuned(
        cls, tuned: Any, *, label_names: Any = None, ax: Any = None, **kwargs: Any
    ) -> F1ByFrequencyDisplay:
        """Draw the out-of-fold F1 that a tuner has kept, which needs no rows.

        The thresholds were chosen on the same rows, so F1 is a little too high. A label that none
        of these rows carries is not drawn.

        Parameters
        ----------
        tuned : MultilabelTunedThresholdClassifierCV
            Fitted; alone, in a search or at the end of a pipeline.
        label_names : array-like of shape (n_labels,), default=None
            Names of the labels. None takes those of the tuner, or column numbers.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            For :meth:`plot`.

        Returns
        -------
        F1ByFrequencyDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If no tuner is found, or the names do not go with its labels.
        """
        tuner = part_with(tuned, "label_results_")
        if tuner is None:
            raise ValueError(
                f"{type(tuned).__name__} has no out-of-fold results; expected a fitted "
                "MultilabelTunedThresholdClassifierCV. For F1 of other rows type "
                "F1ByFrequencyDisplay.from_estimator(estimator, X, y)"
            )
        results = tuner.label_results_
        counts = results["positives"]
        display = cls(
            counts,
            _kept_f1(results, "after"),
            f1_before=_kept_f1(results, "before"),
            label_names=label_names_of_fitted(tuner, label_names, len(counts)),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self, ax: Any = None, *, n_names: int | None = None, **kwargs: Any
    ) -> F1ByFrequencyDisplay:
        """Draw the points, and a line of means where there are more than 50 labels.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        n_names : int, default=None
            Number of labels to name. None is all of 50 or fewer, else 10. Named are the labels that
            tuning changed most or, without tuning, those whose count times 1 - F1 is largest. A
            name that would lie over another is left out.
        **kwargs : dict
            For :meth:`matplotlib.axes.Axes.scatter` of the points.

        Returns
        -------
        F1ByFrequencyDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes_for(self, ax)
        counts, f1 = np.asarray(self.label_counts, dtype=float), np.asarray(self.f1, dtype=float)
        many = len(f1) > MOST_BOLD_POINTS
        if counts.max(initial=1) >= 10 * max(counts.min(initial=np.inf), 1):  # several decades
            ax.set_xscale("symlog" if counts.min() < 1 else "log")
        self.points_before_ = None
        if self.f1_before is not None:
            self._draw_before(ax, counts, many)
        style = {"s": 14 if many else 36, "alpha": 0.6 if many else 1.0, "color": "C0", "zorder": 3}
        label = f"{'' if self.f1_before is None else 'tuned, '}macro-F1 {mean_of_defined(f1):.3f}"
        self.points_ = ax.scatter(counts, f1, **({"label": label} | style | kwargs))
        if many:
            _draw_means(ax, counts, f1, "C0", "-")
        ax.set(xlabel="rows that carry the label", ylabel="F1 of the label", ylim=(-0.03, 1.03))
        ax.margins(x=0.1)
        names = np.arange(len(f1)) if self.label_names is None else np.asarray(self.label_names)
        most = n_names if n_names is not None else (10 if many else len(f1))
        drawn = np.flatnonzero(np.isfinite(f1))
        weight = counts * (1 - f1)
        if self.f1_before is not None:
            weight = np.abs(f1 - np.nan_to_num(np.asarray(self.f1_before, dtype=float)))
        order = drawn[np.argsort(-weight[drawn], kind="stable")]
        self.names_ = name_points(ax, counts, f1, names, order, most)
        add_legend(ax)
        return self

    def _draw_before(self, ax: Any, counts: np.ndarray, many: bool) -> None:
        before = np.asarray(self.f1_before, dtype=float)
        faint = {"lw": 0.5, "alpha": faintness(len(before))} if many else {"lw": 1, "alpha": 0.6}
        ax.vlines(counts, before, self.f1, color=GREY, zorder=1, **faint)
        self.points_before_ = ax.scatter(
            counts,
            before,
            s=14 if many else 36,
            facecolors="none",
            edgecolors="C1",
            alpha=0.6 if many else 1.0,
            zorder=2,
            label=f"before tuning, macro-F1 {mean_of_defined(before):.3f}",
        )
        if many:
            _draw_means(ax, counts, before, "C1", "--")


def _kept_f1(results: dict[str, np.ndarray], when: str) -> np.ndarray:
    """F1 of a tuner's labels, which may have been tuned for another F-measure; NaN without rows."""
    precision, recall = results[f"precision_{when}"], results[f"recall_{when}"]
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros(len(both)), where=both > 0)
    return np.where(results["positives"] > 0, f1, np.nan)


def _draw_means(ax: Any, counts: np.ndarray, f1: np.ndarray, color: str, style: str) -> None:
    """Join the means of groups of neighbouring labels, as many in each."""
    order = np.argsort(counts, kind="stable")
    groups = np.array_split(order[np.isfinite(f1[order])], _N_MEANS)
    groups = [group for group in groups if len(group)]
    x, y = ([values[group].mean() for group in groups] for values in (counts, f1))
    ax.plot(x, y, color=color, ls=style, lw=2, zorder=4)
