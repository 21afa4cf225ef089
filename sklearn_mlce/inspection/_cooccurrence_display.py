"""Picture of which labels occur together."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from sklearn_mlce._targets.tags import tag_rows
from sklearn_mlce._utils.estimator_scores import check_predicts
from sklearn_mlce.inspection._axes import axes_for, short
from sklearn_mlce.inspection._counts import carried_labels
from sklearn_mlce.inspection._fitted_scores import columns_of, names_of_labels
from sklearn_mlce.labels import tags_to_y
from sklearn_mlce.metrics._inputs import labels_of

MEASURES = {
    "jaccard": "Jaccard index",
    "conditional": "share of the left label's rows",
    "count": "rows with both",
}

# Numbers are written into the squares, and every label has its name, up to these numbers.
_MOST_NUMBERS = 12
_MOST_NAMES = 40


class LabelCooccurrenceDisplay:
    """Matrix of how often labels occur together, with such labels side by side.

    Make it by :meth:`from_labels`, or from predictions by :meth:`from_estimator`. Both draw it at
    once.

    Parameters
    ----------
    cooccurrence : ndarray of shape (n_drawn, n_drawn)
        Measure of each pair of the labels that are drawn. The diagonal is NaN, and left blank.
    label_names : array-like of shape (n_drawn,)
        Names of the labels that are drawn.
    measure : {"jaccard", "conditional", "count"}, default="jaccard"
        Kind of measure, see :meth:`from_labels`.
    n_labels : int, default=None
        Number of all labels, of which the most frequent ones are drawn.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    image_ : matplotlib AxesImage
        The squares.

    See Also
    --------
    describe_labels : The most dependent pairs, in words.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn_mlce.inspection import LabelCooccurrenceDisplay
    >>> y = [[1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 0]]
    >>> display = LabelCooccurrenceDisplay.from_labels(
    ...     y, label_names=["sea", "sand", "snow"], ax=Figure().subplots()
    ... )
    >>> display.label_names.tolist()
    ['snow', 'sea', 'sand']
    >>> display.cooccurrence.round(2)
    array([[ nan, 0.  , 0.  ],
           [0.  ,  nan, 0.67],
           [0.  , 0.67,  nan]])
    """

    __module__ = "sklearn_mlce.inspection"

    ax_: Any
    figure_: Any

    def __init__(
        self,
        cooccurrence: Any,
        label_names: Any,
        *,
        measure: str = "jaccard",
        n_labels: int | None = None,
    ) -> None:
        self.cooccurrence, self.label_names = cooccurrence, label_names
        self.measure, self.n_labels = measure, n_labels

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        measure: str = "jaccard",
        labels: Any = None,
        max_labels: Any = 40,
        label_names: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> LabelCooccurrenceDisplay:
        """Draw the labels that a fitted estimator predicts together.

        Parameters
        ----------
        estimator : estimator instance
            Fitted multi-label classifier.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to label.
        measure : {"jaccard", "conditional", "count"}, default="jaccard"
            As in :meth:`from_labels`.
        labels : list of label names, "all" or None, default=None
            As in :meth:`from_labels`.
        max_labels : int, default=40
            As in :meth:`from_labels`.
        label_names : array-like of shape (n_labels,), default=None
            Names of the labels. None takes `label_names_` of the estimator, or column numbers.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            For :meth:`plot`.

        Returns
        -------
        LabelCooccurrenceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the predictions are not a matrix of labels, or the others do not go with it.
        """
        check_predicts(estimator)
        predicted = estimator.predict(X)
        names = names_of_labels(labels_of(predicted, "the prediction"), label_names, estimator)
        return cls.from_labels(
            predicted,
            measure=measure,
            labels=labels,
            max_labels=max_labels,
            label_names=names,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_labels(
        cls,
        y: Any,
        *,
        measure: str = "jaccard",
        labels: Any = None,
        max_labels: Any = 40,
        label_names: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> LabelCooccurrenceDisplay:
        """Draw the labels of rows.

        Parameters
        ----------
        y : {array-like, sparse matrix} of shape (n_samples, n_labels)
            Labels of each row, or tags. A soft label counts as carried where it is above one half,
            an unknown one not at all.
        measure : {"jaccard", "conditional", "count"}, default="jaccard"
            "jaccard" divides rows with both labels by rows with either. "conditional" divides by
            rows with the label at the left, which estimates the probability of the label below
            given the label at the left. "count" is the number of rows with both.
        labels : list of label names, "all" or None, default=None
            Labels to draw, by column numbers where there are no names. None draws the most frequent
            ones.
        max_labels : int, default=40
            Number of labels to draw where `labels` is None.
        label_names : array-like of shape (n_labels,), default=None
            Names of the labels. None takes the columns of a DataFrame `y`, or column numbers.
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            For :meth:`plot`.

        Returns
        -------
        LabelCooccurrenceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If y is not a matrix of labels, or the others do not go with it.
        """
        if measure not in MEASURES:
            raise ValueError(f"measure must be one of {list(MEASURES)}, got {measure!r}")
        if not isinstance(max_labels, Integral) or max_labels < 2:
            raise ValueError(f"max_labels must be an integer from 2 up, got {max_labels!r}")
        if tag_rows(y, certain=True) is not None:
            y = tags_to_y(y, sparse=True)
        targets = labels_of(y, "y")
        names = names_of_labels(targets, label_names)
        carried = carried_labels(targets)
        if labels is None:
            counts = np.bincount(carried.indices, minlength=len(names))
            columns = np.sort(np.argsort(-counts, kind="stable")[: int(max_labels)])
        else:
            columns = columns_of(labels, names)
            if len(columns) < 2:
                raise ValueError(f"labels must name two labels or more, got {labels!r}")
        both = _rows_with_both(carried[:, columns])
        order = _side_by_side(both)
        columns, both = columns[order], both[np.ix_(order, order)]
        display = cls(
            _measured(both, measure), names[columns], measure=measure, n_labels=len(names)
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self, ax: Any = None, *, colorbar: bool = True, **kwargs: Any
    ) -> LabelCooccurrenceDisplay:
        """Draw the matrix, with numbers in the squares of 12 labels or fewer.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a new figure.
        colorbar : bool, default=True
            Whether to draw a colour bar at the right.
        **kwargs : dict
            For :meth:`matplotlib.axes.Axes.imshow`.

        Returns
        -------
        LabelCooccurrenceDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        values, n_drawn = np.asarray(self.cooccurrence, dtype=float), len(self.cooccurrence)
        ax = axes_for(self, ax, None if n_drawn <= _MOST_NUMBERS else (9, 8))
        self.image_ = ax.imshow(values, **({"cmap": "viridis", "vmin": 0} | kwargs))
        if colorbar:
            ax.figure.colorbar(self.image_, ax=ax, label=MEASURES[self.measure])
        step = -(-n_drawn // _MOST_NAMES)  # every second name, or third, where all do not fit
        ticks = np.arange(0, n_drawn, step)
        named = [short(self.label_names[tick]) for tick in ticks]
        size = "medium" if n_drawn <= _MOST_NUMBERS else ("small" if n_drawn <= 25 else "x-small")
        ax.set_xticks(ticks, named, rotation=90, fontsize=size)
        ax.set_yticks(ticks, named, fontsize=size)
        if self.n_labels is not None and n_drawn < self.n_labels:
            ax.set_title(f"{n_drawn} of {self.n_labels} labels", fontsize="medium")
        if n_drawn <= _MOST_NUMBERS:
            self._write_numbers(ax, values)
        return self

    def _write_numbers(self, ax: Any, values: np.ndarray) -> None:
        """Write each value into its square, dark on light squares and light on dark ones."""
        form = "{:,.0f}" if self.measure == "count" else "{:.2f}"
        for (row, column), value in np.ndenumerate(values):
            if np.isnan(value):
                continue
            luminance = self.image_.to_rgba(value)[:3] @ np.array([0.2126, 0.7152, 0.0722])
            color = "black" if luminance > 0.4 else "white"
            ax.text(
                column,
                row,
                form.format(value),
                ha="center",
                va="center",
                color=color,
                fontsize="small",
            )


def _rows_with_both(carried: sp.csr_array) -> np.ndarray:
    """Numbers ``(L, L)`` of the rows that carry both labels, or one label on the diagonal."""
    counted = carried.astype(np.int64)
    return (counted.T @ counted).toarray()


def _measured(both: np.ndarray, measure: str) -> np.ndarray:
    """The measure of each pair ``(L, L)``; 0 for 0/0, NaN on the diagonal."""
    counts = np.diag(both)[:, None]
    values = both.astype(np.float64)
    if measure != "count":
        either = (
            counts + counts.T - both
            if measure == "jaccard"
            else np.broadcast_to(counts, both.shape)
        )
        values = np.divide(values, either, out=np.zeros(both.shape), where=either > 0)
    np.fill_diagonal(values, np.nan)
    return values


def _side_by_side(both: np.ndarray) -> np.ndarray:
    """Order of the labels that brings those of a high Jaccard index together."""
    distance = 1 - np.nan_to_num(_measured(both, "jaccard"), nan=1.0)
    return leaves_list(linkage(squareform(distance, checks=False), method="average"))
