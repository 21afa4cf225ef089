"""Picture of how well probabilities of labels agree with how often the labels occur."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from sklearn_mlce._targets.targets import Targets, row_blocks
from sklearn_mlce.inspection._axes import (
    GREY,
    MOST_NAMED_LINES,
    add_legend,
    axes_for,
    faintness,
    panel_below,
    short,
)
from sklearn_mlce.inspection._fitted_scores import (
    check_some_known,
    columns_of,
    label_probabilities,
    matrix_of_tags,
    names_of_labels,
)
from sklearn_mlce.metrics._inputs import labels_of, scores_of, weights_of

# A curve of one label leaves out bins of fewer cells than this, which chance rules.
FEWEST_CELLS = 10


class MultilabelCalibrationDisplay:
    """Reliability curve of the probabilities of all labels, above their histogram.

    The cells of all labels, a row and a label each, share the bins. A point has the mean
    probability of the cells of a bin, and the fraction of them that is positive. Make it by
    :meth:`from_estimator` or :meth:`from_predictions`, which draw it at once.

    Parameters
    ----------
    bin_edges : ndarray of shape (n_bins + 1,)
        Edges of the bins, from 0 to 1.
    cell_weights : ndarray of shape (n_labels, n_bins)
        Weight of the known cells in each bin: their number, without sample weights.
    prob_sums : ndarray of shape (n_labels, n_bins)
        Weighted sum of their probabilities.
    positive_sums : ndarray of shape (n_labels, n_bins)
        Weighted sum of their labels.
    label_names : array-like of shape (n_labels,), default=None
        Names of the labels. None takes their column numbers.
    labels : list of label names, "all" or None, default=None
        Labels that have a curve of their own.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the curves.
    ax_histogram_ : matplotlib Axes or None
        Axes of the histogram, below.
    figure_ : matplotlib Figure
        Figure of the axes.
    line_ : matplotlib Line2D
        The curve of all labels.
    label_lines_ : list of matplotlib Line2D
        The curves of single labels.

    See Also
    --------
    sklearn_mlce.calibration.MultilabelCalibratedClassifierCV : Mends probabilities.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn_mlce import MLCEClassifier
    >>> from sklearn_mlce.inspection import MultilabelCalibrationDisplay
    >>> X, Y = make_multilabel_classification(n_samples=600, n_classes=6, random_state=0)
    >>> model = MLCEClassifier(loss="mlce").fit(X[:400], Y[:400])
    >>> display = MultilabelCalibrationDisplay.from_estimator(
    ...     model, X[400:], Y[400:], n_bins=5, ax=Figure().subplots()
    ... )
    >>> display.prob_pred.round(2)
    array([0.04, 0.3 , 0.5 , 0.7 , 0.94])
    >>> display.prob_true.round(2)
    array([0.21, 0.47, 0.62, 0.7 , 0.86])
    """

    __module__ = "sklearn_mlce.inspection"

    ax_: Any
    figure_: Any

    def __init__(
        self,
        bin_edges: Any,
        cell_weights: Any,
        prob_sums: Any,
        positive_sums: Any,
        *,
        label_names: Any = None,
        labels: Any = None,
    ) -> None:
        self.bin_edges, self.cell_weights = bin_edges, cell_weights
        self.prob_sums, self.positive_sums = prob_sums, positive_sums
        self.label_names, self.labels = label_names, labels

    @property
    def prob_pred(self) -> np.ndarray:
        """Mean probability of the cells of each bin ``(n_bins,)``; NaN in an empty bin."""
        return _ratio(self.prob_sums.sum(axis=0), self.cell_weights.sum(axis=0))

    @property
    def prob_true(self) -> np.ndarray:
        """Fraction of the cells of each bin that is positive ``(n_bins,)``; NaN in an empty bin."""
        return _ratio(self.positive_sums.sum(axis=0), self.cell_weights.sum(axis=0))

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance of `prob_true` from `prob_pred`, each bin weighted by its cells."""
        distance = np.abs((self.prob_sums - self.positive_sums).sum(axis=0)).sum()
        return float(distance / self.cell_weights.sum())

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_bins: Any = 10,
        strategy: str = "uniform",
        labels: Any = None,
        sample_weight: Any = None,
        label_names: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> MultilabelCalibrationDisplay:
        """Draw the curve of a fitted estimator's probabilities.

        Parameters
        ----------
        estimator : estimator instance
            Fitted multi-label classifier with `predict_proba`.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows that it was not fitted on.
        y : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Labels of these rows: 0, 1, or NaN where unknown. A label in between counts as that
            fraction of a positive. Or tags, where the estimator has learned their names.
        n_bins : int, default=10
            Number of bins.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of the same width, or of as many cells each.
        labels : list of label names, "all" or None, default=None
            Labels that get a curve of their own; by column numbers where neither `y` nor the
            estimator has names. Such a curve leaves out bins of fewer than 10 cells.
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
        MultilabelCalibrationDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If the estimator has no probabilities.
        ValueError
            If y is not a matrix of labels, or the others do not go with it.
        """
        y = matrix_of_tags(y, estimator)
        targets = labels_of(y, "y")
        return cls.from_predictions(
            y,
            label_probabilities(estimator, X, targets.n_outputs),
            n_bins=n_bins,
            strategy=strategy,
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
        y_prob: Any,
        *,
        n_bins: Any = 10,
        strategy: str = "uniform",
        labels: Any = None,
        sample_weight: Any = None,
        label_names: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> MultilabelCalibrationDisplay:
        """Draw the curve of probabilities.

        Parameters
        ----------
        y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Labels of each row: 0, 1, or NaN where unknown. A label in between counts as that
            fraction of a positive.
        y_prob : array-like of shape (n_samples, n_labels)
            Probabilities of the labels, between 0 and 1.
        n_bins : int, default=10
            Number of bins.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of the same width, or of as many cells each.
        labels : list of label names, "all" or None, default=None
            Labels that get a curve of their own; by column numbers where there are no names. Such a
            curve leaves out bins of fewer than 10 cells.
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
        MultilabelCalibrationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `y_true` is not a matrix of labels, or the others do not go with it.
        """
        if not isinstance(n_bins, Integral) or n_bins < 1:
            raise ValueError(f"n_bins must be a positive integer, got {n_bins!r}")
        if strategy not in ("uniform", "quantile"):
            raise ValueError(f"strategy must be 'uniform' or 'quantile', got {strategy!r}")
        targets = labels_of(y_true, "y_true")
        check_some_known(targets, "y_true")
        names = names_of_labels(targets, label_names)
        columns_of(labels, names)  # refused before anything is drawn
        shape = (targets.n_rows, targets.n_outputs)
        probabilities = scores_of(y_prob, shape, targets.label_names)
        low, high = float(probabilities.min()), float(probabilities.max())
        if low < 0 or high > 1:
            raise ValueError(
                f"y_prob must hold probabilities, between 0 and 1, got values from {low:g} to "
                f"{high:g}. Pass estimator.predict_proba(X), not decision_function(X)"
            )
        edges = np.linspace(0, 1, int(n_bins) + 1)
        if strategy == "quantile":
            dense = targets.dense
            known = probabilities if dense is None else probabilities[~np.isnan(dense)]
            edges[1:-1] = np.quantile(known, edges[1:-1])
        weight = weights_of(sample_weight, y_true)
        sums = _bin_sums(targets, probabilities, edges, weight)
        display = cls(edges, *sums, label_names=names, labels=labels)
        return display.plot(ax=ax, **kwargs)

    def plot(
        self, ax: Any = None, *, histogram: bool = True, **kwargs: Any
    ) -> MultilabelCalibrationDisplay:
        """Draw the curves, and below them the number of cells in each bin.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on, of which the histogram takes the lower part. None makes a new figure.
        histogram : bool, default=True
            Whether to draw the histogram, whose upright axis is logarithmic: most of the cells of
            many labels have a probability near 0.
        **kwargs : dict
            For :meth:`matplotlib.axes.Axes.plot` of the curve of all labels.

        Returns
        -------
        MultilabelCalibrationDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes_for(self, ax)
        ax.plot([0, 1], [0, 1], ls="--", lw=1, color=GREY, label="perfectly calibrated")
        self._draw_labels(ax)
        n_labels = len(self.cell_weights)
        label = f"all {n_labels} labels, calibration error {self.expected_calibration_error:.3f}"
        filled = self.cell_weights.sum(axis=0) > 0
        style = {"color": "C0", "marker": "o", "lw": 2, "zorder": 3, "label": label}
        x, y = self.prob_pred[filled], self.prob_true[filled]
        (self.line_,) = ax.plot(x, y, **(style | kwargs))
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="share of positives")
        add_legend(ax)
        self.ax_histogram_ = panel_below(ax, 0.25) if histogram else None
        if self.ax_histogram_ is not None:
            edges, cells = self.bin_edges, self.cell_weights.sum(axis=0)
            color = self.line_.get_color()
            self.ax_histogram_.bar(edges[:-1], cells, np.diff(edges), align="edge", color=color)
            self.ax_histogram_.set(yscale="log", ylabel="cells")
            self.ax_histogram_.set_ylim(cells[filled].min() / 2, cells.max() * 2)
        (self.ax_histogram_ or ax).set_xlabel("probability")
        return self

    def _draw_labels(self, ax: Any) -> None:
        """Draw the curves of single labels, thin and without names where there are many."""
        names = self.label_names
        names = np.arange(len(self.cell_weights)) if names is None else np.asarray(names)
        columns = columns_of(self.labels, names)
        few, alpha = len(columns) <= MOST_NAMED_LINES, faintness(len(columns))
        self.label_lines_ = []
        for number, column in enumerate(columns.tolist()):
            cells = self.cell_weights[column]
            kept = cells >= FEWEST_CELLS
            x, y = (
                sums[column][kept] / cells[kept] for sums in (self.prob_sums, self.positive_sums)
            )
            color = f"C{1 + number % 9}" if few else GREY
            label = short(names[column]) if few else None
            if number == 0 and not few:
                label = f"{len(columns)} labels"
            marker = "." if few else ""  # of hundreds, points would hide the lines
            (line,) = ax.plot(x, y, marker=marker, color=color, lw=1, alpha=alpha, label=label)
            self.label_lines_.append(line)


def _ratio(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.divide(sums, weights, out=np.full(len(sums), np.nan), where=weights > 0)


def _bin_sums(
    targets: Targets, probabilities: np.ndarray, edges: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Sums ``(3, L, n_bins)`` over the known cells: weights, probabilities, and labels."""
    n_rows, n_labels = probabilities.shape
    n_bins = len(edges) - 1
    sums = np.zeros((3, n_labels * n_bins))
    for rows in row_blocks(n_rows, n_labels):
        block = probabilities[rows].astype(np.float64)
        if targets.dense is not None:
            target = targets.dense[rows]
        else:
            target = targets.positives[rows].toarray()  # type: ignore[index]
        known = ~np.isnan(target)
        place = np.searchsorted(edges[1:-1], block) + n_bins * np.arange(n_labels)
        cell_weight = np.broadcast_to(weight[rows, None], block.shape)[known]
        for sum_of, values in zip(sums, (1.0, block[known], target[known]), strict=True):
            sum_of += np.bincount(place[known], cell_weight * values, len(sum_of))
    return sums.reshape(3, n_labels, n_bins)
