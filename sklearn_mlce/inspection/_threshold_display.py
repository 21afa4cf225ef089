"""Picture of an F-measure against the threshold."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sklearn_mlce._utils.estimator_scores import default_threshold
from sklearn_mlce.inspection._axes import (
    GREY,
    MOST_NAMED_LINES,
    add_legend,
    axes_for,
    faintness,
    short,
)
from sklearn_mlce.inspection._fitted_scores import (
    check_some_known,
    columns_of,
    label_names_of_fitted,
    matrix_of_tags,
    names_of_labels,
    part_with,
    thresholded_scores,
)
from sklearn_mlce.metrics._inputs import labels_of, scores_of, weights_of
from sklearn_mlce.model_selection._f_measure import FMeasure, HeldOut, f_measure_of
from sklearn_mlce.model_selection._out_of_fold import held_out_of
from sklearn_mlce.model_selection._sweep import global_curve


class ThresholdCurveDisplay:
    """F-measure against one threshold for all labels, with the threshold that was chosen.

    Make it by :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_tuned`, which draw it
    at once.

    Parameters
    ----------
    thresholds : ndarray of shape (n_thresholds,)
        Thresholds of the curve, ascending: one below each distinct score of a positive cell.
        Between them F-measures only fall.
    scores : ndarray of shape (n_thresholds,)
        The F-measure at each.
    measure : str, default="F"
        Name of the F-measure, on the upright axis.
    chosen : float or ndarray of shape (n_labels,), default=None
        Threshold that was chosen, or the threshold of each label.
    chosen_score : float, default=None
        The F-measure with it.
    default : float, default=None
        Threshold without tuning.
    default_score : float, default=None
        The F-measure there.
    label_curves : dict of named tuples, default=None
        (thresholds, scores, chosen, chosen_score) of single labels, by name.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    line_ : matplotlib Line2D
        The curve of all labels.
    label_lines_ : list of matplotlib Line2D
        The curves of single labels.

    See Also
    --------
    sklearn_mlce.model_selection.MultilabelTunedThresholdClassifierCV : Chooses thresholds.
    F1ByFrequencyDisplay : F1 of each label, before and after.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn_mlce import MLCEClassifier
    >>> from sklearn_mlce.inspection import ThresholdCurveDisplay
    >>> from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
    >>> X, Y = make_multilabel_classification(n_samples=600, n_classes=6, random_state=0)
    >>> tuned = MultilabelTunedThresholdClassifierCV(
    ...     MLCEClassifier(C=1.0, loss="mlce"), random_state=0
    ... )
    >>> tuned = tuned.fit(X[:400], Y[:400])
    >>> display = ThresholdCurveDisplay.from_estimator(
    ...     tuned, X[400:], Y[400:], labels=[0, 5], ax=Figure().subplots()
    ... )
    >>> round(display.default_score, 2), round(display.chosen_score, 2)
    (0.57, 0.64)
    """

    __module__ = "sklearn_mlce.inspection"

    ax_: Any
    figure_: Any

    def __init__(
        self,
        thresholds: Any,
        scores: Any,
        *,
        measure: str = "F",
        chosen: Any = None,
        chosen_score: float | None = None,
        default: float | None = None,
        default_score: float | None = None,
        label_curves: Any = None,
    ) -> None:
        self.thresholds, self.scores, self.measure = thresholds, scores, measure
        self.chosen, self.chosen_score = chosen, chosen_score
        self.default, self.default_score = default, default_score
        self.label_curves = label_curves

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        scoring: Any = "f1_micro",
        labels: Any = None,
        sample_weight: Any = None,
        label_names: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> ThresholdCurveDisplay:
        """Draw the curve of a fitted estimator's scores.

        If :class:`~sklearn_mlce.model_selection.MultilabelTunedThresholdClassifierCV` or
        :class:`~sklearn_mlce.MLCEClassifierCV` tuned the thresholds, the scores are those before
        thresholds were subtracted. The tuned estimator may stand alone, in a search or at the end
        of a pipeline. Other estimators choose their own threshold, 0 or 0.5 of a probability.

        Parameters
        ----------
        estimator : estimator instance
            Fitted multi-label classifier with `decision_function` or else `predict_proba`.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows that it was not fitted on.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Labels of these rows: 0, 1, or NaN where unknown. A label in between counts as that
            fraction of a positive. Or tags, where the estimator has learned their names.
        scoring : {"f1_micro", "f1_macro", "f1_samples"}, dict or scorer, default="f1_micro"
            The F-measure, as the tuner takes it. Curves of single labels are F of the label.
        labels : list of label names, "all" or None, default=None
            Labels that get a curve of their own; by column numbers where neither `y` nor the
            estimator has names.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row.
        label_names : array-like of shape (n_labels,), default=None
            Names of the labels. None takes the columns of a DataFrame `y`, or `label_names_` of the
            estimator, or column numbers.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            For :meth:`plot`.

        Returns
        -------
        ThresholdCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If y is not a matrix of labels, or the others do not go with it.
        """
        y = matrix_of_tags(y, estimator)
        targets = labels_of(y, "y")
        found = thresholded_scores(estimator, X, targets.n_outputs)
        return cls.from_predictions(
            y,
            found.scores,
            scoring=scoring,
            thresholds=found.chosen,
            default_threshold=found.default,
            labels=labels,
            sample_weight=sample_weight,
            label_names=names_of_labels(targets, label_names, estimator),
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_score: Any,
        *,
        scoring: Any = "f1_micro",
        thresholds: Any = None,
        default_threshold: float = 0.0,
        labels: Any = None,
        sample_weight: Any = None,
        label_names: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> ThresholdCurveDisplay:
        """Draw the curve of scores.

        Parameters
        ----------
        y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Labels of each row: 0, 1, or NaN where unknown. A label in between counts as that
            fraction of a positive.
        y_score : array-like of shape (n_samples, n_labels)
            Scores or probabilities.
        scoring : {"f1_micro", "f1_macro", "f1_samples"}, dict or scorer, default="f1_micro"
            The F-measure, as the tuner takes it. Curves of single labels are F of the label.
        thresholds : float or array-like of shape (n_labels,), default=None
            Threshold that was chosen, or the threshold of each label. None takes the best of the
            curve.
        default_threshold : float, default=0.0
            Threshold without tuning: 0, or 0.5 for probabilities.
        labels : list of label names, "all" or None, default=None
            Labels that get a curve of their own; by column numbers where there are no names.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row.
        label_names : array-like of shape (n_labels,), default=None
            Names of the labels. None takes the columns of a DataFrame `y_true`, or column numbers.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            For :meth:`plot`.

        Returns
        -------
        ThresholdCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `y_true` is not a matrix of labels, or the others do not go with it.
        """
        measure = f_measure_of(scoring, "global")
        targets = labels_of(y_true, "y_true")
        check_some_known(targets, "y_true")
        names = names_of_labels(targets, label_names)
        columns = columns_of(labels, names)
        scores = scores_of(y_score, (targets.n_rows, targets.n_outputs), targets.label_names)
        weight = None if sample_weight is None else weights_of(sample_weight, y_true)
        held_out = held_out_of(targets, np.arange(targets.n_rows), scores, weight)
        curve = global_curve(held_out, measure)
        chosen = curve.best(default_threshold) if thresholds is None else thresholds
        of_label = np.broadcast_to(np.asarray(chosen, dtype=np.float64), targets.n_outputs)
        display = cls(
            curve.thresholds,
            curve.values,
            measure=measure.name,
            chosen=chosen,
            chosen_score=measure.score(held_out, chosen),
            default=default_threshold,
            default_score=measure.score(held_out, default_threshold),
            label_curves={
                names[column]: _curve_of(held_out, measure, column, of_label[column])
                for column in columns.tolist()
            },
        )
        return display.plot(ax=ax, **kwargs)

    @classmethod
    def from_tuned(
        cls,
        tuned: Any,
        *,
        labels: Any = None,
        label_names: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> ThresholdCurveDisplay:
        """Draw the out-of-fold curves that a tuner has kept, which need no rows.

        Parameters
        ----------
        tuned : MultilabelTunedThresholdClassifierCV
            Fitted with ``store_cv_results=True``; alone, in a search or at the end of a pipeline.
        labels : list of label names, "all" or None, default=None
            Labels that get a curve of their own, which a tuner with ``thresholds="per_label"`` has
            kept; by column numbers where it was fitted without names.
        label_names : array-like of shape (n_labels,), default=None
            Names of the labels. None takes those of the tuner, or column numbers.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            For :meth:`plot`.

        Returns
        -------
        ThresholdCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the tuner has not kept its curves, or the others do not go with them.
        """
        tuner = part_with(tuned, "best_thresholds_")
        if not hasattr(tuner, "cv_results_"):
            raise ValueError(
                f"{type(tuned).__name__} has no curve of out-of-fold scores; expected a fitted "
                "MultilabelTunedThresholdClassifierCV(..., store_cv_results=True). For a curve of "
                "other rows type ThresholdCurveDisplay.from_estimator(estimator, X, y)"
            )
        display = cls(
            tuner.cv_results_["thresholds"],
            tuner.cv_results_["scores"],
            measure=f"out-of-fold {f_measure_of(tuner.scoring, tuner.thresholds).name}",
            chosen=tuner.best_thresholds_,
            chosen_score=tuner.best_score_,
            default=default_threshold(tuner.estimator_),
            default_score=tuner.scores_by_thresholds_["default"],
            label_curves=_kept_curves(tuner, labels, label_names),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> ThresholdCurveDisplay:
        """Draw the curves, and the thresholds on them.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            For :meth:`matplotlib.axes.Axes.plot` of the curve of all labels.

        Returns
        -------
        ThresholdCurveDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes_for(self, ax)
        self._draw_labels(ax)
        style = {"color": "C0", "lw": 2, "zorder": 3, "label": "one threshold for all labels"}
        (self.line_,) = ax.plot(self.thresholds, self.scores, **(style | kwargs))
        color = self.line_.get_color()
        if self.default is not None and not np.array_equal(self.default, self.chosen):
            text = f"without tuning, at {self.default:g}"
            if self.default_score is not None:
                text += f": {self.default_score:.3f}"
                ax.plot(self.default, self.default_score, "o", mfc="none", mec=color, zorder=4)
            ax.axvline(self.default, color=GREY, ls="--", lw=1, label=text)
        if self.chosen is not None:
            self._draw_chosen(ax, color)
        ax.set(xlabel="threshold", ylabel=self.measure)
        ax.set_ylim(-0.03, 1.03)
        add_legend(ax, "upper right")
        return self

    def _draw_chosen(self, ax: Any, color: Any) -> None:
        score = "" if self.chosen_score is None else f": {self.chosen_score:.3f}"
        if np.ndim(self.chosen):
            if self.chosen_score is not None:
                text = f"a threshold for each label{score}"
                ax.axhline(self.chosen_score, color=color, ls=":", lw=1.5, label=text)
            return
        text = f"chosen, at {self.chosen:.3g}{score}"
        ax.axvline(self.chosen, color=color, ls=":", lw=1.5, label=text)
        if self.chosen_score is not None:
            ax.plot(self.chosen, self.chosen_score, "o", color=color, zorder=4)

    def _draw_labels(self, ax: Any) -> None:
        """Draw the curves of single labels, thin and without names where there are many."""
        curves = self.label_curves or {}
        few, alpha = len(curves) <= MOST_NAMED_LINES, faintness(len(curves))
        self.label_lines_ = []
        for number, (name, curve) in enumerate(curves.items()):
            color = f"C{1 + number % 9}" if few else GREY
            named = short(name) if few else (f"{len(curves)} labels" if number == 0 else None)
            (line,) = ax.plot(
                curve.thresholds, curve.scores, color=color, lw=1, alpha=alpha, label=named
            )
            self.label_lines_.append(line)
            if few and np.isfinite(curve.chosen):
                _draw_place(ax, curve, color)


class LabelCurve(NamedTuple):
    """Thresholds, F-measure at each, chosen threshold and F-measure there, of one label."""

    thresholds: np.ndarray
    scores: np.ndarray
    chosen: float
    chosen_score: float


def _draw_place(ax: Any, curve: LabelCurve, color: Any) -> None:
    """Mark the chosen threshold of a label, and join it with the curve if it lies beyond an end."""
    ax.plot(curve.chosen, curve.chosen_score, ".", color=color)
    if not len(curve.thresholds):
        return
    end = 0 if curve.chosen < curve.thresholds[0] else -1
    if not curve.thresholds[0] <= curve.chosen <= curve.thresholds[-1]:
        x, y = (curve.thresholds[end], curve.chosen), (curve.scores[end], curve.chosen_score)
        ax.plot(x, y, color=color, ls=":", lw=1)


def _curve_of(held_out: HeldOut, measure: FMeasure, column: int, chosen: float) -> LabelCurve:
    of_one = HeldOut(
        np.ascontiguousarray(held_out.scores[:, [column]]),
        held_out.positives[:, [column]],
        held_out.weight,
    )
    measure = FMeasure("micro", measure.beta)  # of the cells of one label
    curve = global_curve(of_one, measure)
    return LabelCurve(curve.thresholds, curve.values, float(chosen), measure.score(of_one, chosen))


def _kept_curves(tuner: Any, labels: Any, label_names: Any) -> dict[Any, LabelCurve]:
    """Out-of-fold curves of some labels by name, as a tuner has kept them.

    Raises
    ------
    ValueError
        If it has kept none, or one of the labels is not among the names.
    """
    results = tuner.label_results_
    names = label_names_of_fitted(tuner, label_names, len(results["threshold"]))
    columns = columns_of(labels, names).tolist()
    if columns and "label_thresholds" not in tuner.cv_results_:
        raise ValueError(
            f"the tuner was fitted with thresholds={tuner.thresholds!r} and has kept no curves of "
            'single labels; expected thresholds="per_label". For curves of other rows type '
            "ThresholdCurveDisplay.from_estimator(estimator, X, y, labels=...)"
        )
    beta = f_measure_of(tuner.scoring, tuner.thresholds).beta
    return {
        names[column]: LabelCurve(
            tuner.cv_results_["label_thresholds"][column],
            tuner.cv_results_["label_scores"][column],
            float(results["threshold"][column]),
            float(results[f"f{beta:g}_after"][column]),
        )
        for column in columns
    }
