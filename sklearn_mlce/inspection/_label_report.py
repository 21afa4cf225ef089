"""Quality of predictions label by label: the record, as text, as HTML and as tables."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from sklearn_mlce._utils.optional import pandas_for
from sklearn_mlce.inspection._html import NUMBER, TABLE, TEXT

# Columns of a label's row, of which an average has no threshold.
MEASURES = ("precision", "recall", "f1", "average_precision")

# Labels that are shown; a table has all.
_MOST_LABELS = 30

_HEADINGS = ("", "group", "support", "threshold", "precision", "recall", "F1", "AP")


@dataclass(frozen=True, repr=False, eq=False)
class LabelReport:
    """Measures that :func:`label_report` returns, shown as text and, in notebooks, as a table.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    label_names : ndarray of shape (n_labels,)
        Names of the labels, or their column numbers.
    group : ndarray of shape (n_labels,)
        "head", "medium" or "tail", by how many rows carry the label.
    support : ndarray of shape (n_labels,), float64
        Rows that carry the label, by their weights.
    threshold : ndarray of shape (n_labels,), float64
        Threshold that a score has to exceed for the label to be predicted.
    precision, recall, f1 : ndarray of shape (n_labels,), float64
        Measures of the label's known cells.
    average_precision : ndarray of shape (n_labels,), float64
        Average precision of the label's scores; NaN if no row carries the label.
    averages : dict of str to dict of str to float
        "n_labels", "support" and the four measures of "head", "medium" and "tail" (means over the
        labels of a group; NaN if it has none), "micro" (of all cells together), "macro" (mean over
        labels) and "samples" (mean over rows).

    Examples
    --------
    >>> from sklearn_mlce.inspection import LabelReport, label_report
    >>> report = label_report([[1, 0], [1, 1], [0, 1]], [[2, -1], [1, 1], [-2, -1]])
    >>> isinstance(report, LabelReport)
    True
    >>> report.recall
    array([1. , 0.5])
    >>> round(report.averages["micro"]["f1"], 2)
    0.86
    """

    __module__ = "sklearn_mlce.inspection"

    n_samples: int
    label_names: np.ndarray
    group: np.ndarray
    support: np.ndarray
    threshold: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    average_precision: np.ndarray
    averages: dict[str, dict[str, float]]

    def to_frame(self) -> Any:
        """Measures of all labels as a table.

        Returns
        -------
        pandas.DataFrame of n_labels rows
            Rows in the order of the columns of y, with the names of the labels as index.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = pandas_for("to_frame")
        columns = ("group", "support", "threshold", *MEASURES)
        index = pandas.Index(self.label_names, name="label")
        return pandas.DataFrame({name: getattr(self, name) for name in columns}, index=index)

    def averages_to_frame(self) -> Any:
        """Measures of groups and averages as a table.

        Returns
        -------
        pandas.DataFrame of six rows
            A row for each entry of `averages`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = pandas_for("averages_to_frame")
        return pandas.DataFrame.from_dict(self.averages, orient="index")

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def as_text(report: LabelReport) -> str:
    """The report in lines: labels, then averages."""
    rows = [_HEADINGS, *_label_rows(report), *_average_rows(report)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    n_shown = len(rows) - 1 - len(report.averages)
    lines[1 + n_shown : 1 + n_shown] = [*_left_out(report), ""]
    return "\n".join([_title(report), *(f"  {line}".rstrip() for line in lines)])


def as_html(report: LabelReport) -> str:
    """The report as a plain table, in the colours of the page that shows it."""
    head = "".join(
        f'<th scope="col" style="{TEXT if number < 2 else NUMBER}">{name}</th>'
        for number, name in enumerate(_HEADINGS)
    )
    labels, averages = (
        "".join(_html_row(row) for row in rows)
        for rows in (_label_rows(report), _average_rows(report))
    )
    left_out = "".join(f'<p style="margin:0.4em 0">{line}</p>' for line in _left_out(report))
    return (
        f'<div><p style="margin:0.4em 0"><strong>{escape(_title(report))}</strong></p>'
        f'<table style="{TABLE}"><thead><tr>{head}</tr></thead><tbody>{labels}</tbody>'
        f'<tbody style="border-top:2px solid rgba(128,128,128,0.6)">{averages}</tbody></table>'
        f"{left_out}</div>"
    )


def _html_row(row: tuple[str, ...]) -> str:
    name, group, *numbers = map(escape, row)
    cells = "".join(f'<td style="{NUMBER}">{number}</td>' for number in numbers)
    return (
        f'<tr><th scope="row" style="{TEXT}">{name}</th><td style="{TEXT}">{group}</td>{cells}</tr>'
    )


def _title(report: LabelReport) -> str:
    return f"Label report: {report.n_samples:,} rows, {len(report.support):,} labels"


def _left_out(report: LabelReport) -> list[str]:
    """A line on the labels that are not shown, where there are any."""
    n_left_out = len(report.support) - _MOST_LABELS
    if n_left_out <= 0:
        return []
    return [f"and {n_left_out:,} labels of no more rows each; to_frame() has all"]


def _label_rows(report: LabelReport) -> list[tuple[str, ...]]:
    """Cells of the labels in the order of y; of too many the most frequent, by frequency."""
    shown = np.arange(len(report.support))
    if len(shown) > _MOST_LABELS:
        shown = np.argsort(-report.support, kind="stable")[:_MOST_LABELS]
    return [
        (
            str(report.label_names[label]),
            str(report.group[label]),
            _count(report.support[label]),
            f"{report.threshold[label]:.3g}",
            *(_share(getattr(report, measure)[label]) for measure in MEASURES),
        )
        for label in shown
    ]


def _average_rows(report: LabelReport) -> list[tuple[str, ...]]:
    """Cells of groups and averages."""
    return [
        (
            name,
            f"{average['n_labels']:,.0f} label{'' if average['n_labels'] == 1 else 's'}",
            _count(average["support"]),
            "",
            *(_share(average[measure]) for measure in MEASURES),
        )
        for name, average in report.averages.items()
    ]


def _count(number: float) -> str:
    return f"{number:,.0f}" if number == round(number) else f"{number:,.1f}"


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
