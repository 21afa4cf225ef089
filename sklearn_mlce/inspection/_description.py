"""Description of a label matrix: its counts, as text, as HTML, and the hints that follow."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from numbers import Integral
from typing import Any

import numpy as np

from sklearn_mlce._targets.encoding import check_y_given, encode_targets
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce.inspection._counts import (
    LabelPair,
    carried_labels,
    count_distinct_sets,
    imbalance_ratios,
    row_fractions,
    strongest_pairs,
)
from sklearn_mlce.inspection._html import NUMBER, TABLE, TEXT
from sklearn_mlce.metrics import label_frequency_groups

_WIDTH = 88

# Fractions of the rows with two labels or more: below the first practice treats all as
# single-label, up to the second as single-label with a second label where it is likely.
_FEW_ROWS, _MANY_ROWS = 0.05, 0.3

# Where one label per row would find at least this fraction of all labels, few are lost that way.
_FOUND_BY_ONE = 0.9

# Fraction of labels with few rows from which they are worth a word.
_MANY_RARE = 0.25


@dataclass(frozen=True, repr=False, eq=False)
class LabelDescription:
    """Counts that :func:`describe_labels` returns, shown as text and, in notebooks, as tables.

    A soft label counts as carried where it is above one half, an unknown one not at all.

    Parameters
    ----------
    kind : {"binary", "multiclass", "multilabel"}
        Two classes, more classes, or a column for each label. Classes are called labels below.
    n_samples : int
        Number of rows.
    n_labels : int
        Number of labels.
    label_names : ndarray of shape (n_labels,)
        Column names of a DataFrame, classes of a 1-D `y`, else column numbers.
    label_counts : ndarray of shape (n_labels,), int64
        How many rows carry each label.
    cardinality : float
        Mean number of labels that a row carries.
    density : float
        Share of the known cells that are positive: cardinality over `n_labels` if all are known.
    max_labels : int
        Largest number of labels that a row carries.
    n_distinct_sets : int
        How many different sets of labels there are, the empty one included.
    row_shares : tuple of four floats
        Shares of the rows that carry no label, one, two, and more.
    imbalance_ratios : ndarray of shape (n_labels,), float64
        Rows of the most frequent label over the rows of each; inf for a label that no row carries.
    mean_imbalance_ratio : float
        Mean of the finite ratios; NaN if there is none.
    max_imbalance_ratio : float
        Largest of the finite ratios; NaN if there is none.
    never_positive : ndarray of int64
        Column numbers of the labels that no row carries.
    top_pairs : tuple of named tuples (first, second, n_samples, jaccard, lift)
        Pairs of labels with the highest Jaccard index: the names of both, and the number of rows
        that carry both. `jaccard` divides this number by that of the rows with either label, and
        `lift` by the number expected of independent labels.
    unknown_share : float
        Share of all cells that are NaN.
    soft_share : float
        Share of the known cells that are strictly between 0 and 1.

    Examples
    --------
    >>> from sklearn_mlce.inspection import LabelDescription, describe_labels
    >>> description = describe_labels([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]])
    >>> isinstance(description, LabelDescription)
    True
    >>> description.cardinality
    1.25
    >>> description.never_positive
    array([2])
    """

    __module__ = "sklearn_mlce.inspection"

    kind: str
    n_samples: int
    n_labels: int
    label_names: np.ndarray
    label_counts: np.ndarray
    cardinality: float
    density: float
    max_labels: int
    n_distinct_sets: int
    row_shares: tuple[float, float, float, float]
    imbalance_ratios: np.ndarray
    mean_imbalance_ratio: float
    max_imbalance_ratio: float
    never_positive: np.ndarray
    top_pairs: tuple[LabelPair, ...]
    unknown_share: float
    soft_share: float

    @property
    def multilabel_share(self) -> float:
        """Share of all rows that carry two labels or more."""
        return sum(self.row_shares[2:])

    @property
    def found_by_one(self) -> float:
        """Largest share of all labels that one label per row would find; NaN if there is none."""
        if self.cardinality == 0:
            return float("nan")
        return (1 - self.row_shares[0]) / self.cardinality

    @property
    def reading_by_rows(self) -> str:
        """Advice by `multilabel_share`, with the usual limits of 5% and 30%.

        "single-label" below 5%; "best-label" up to 30%: a single-label model that gives the best
        label, and the next ones above a probability; "multi-label" above.
        """
        if self.multilabel_share < _FEW_ROWS:
            return "single-label"
        return "best-label" if self.multilabel_share <= _MANY_ROWS else "multi-label"

    @property
    def reading_by_labels(self) -> str:
        """Advice by `found_by_one`: "multi-label" below 90%, else "single-label"."""
        return "multi-label" if self.found_by_one < _FOUND_BY_ONE else "single-label"

    @property
    def hints(self) -> tuple[str, ...]:
        """Sentences that follow from the counts: the kind of problem, then what makes it harder."""
        return hints_of(self)

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def title_of(labels: LabelDescription) -> str:
    """Kind and size of y in a line."""
    size = f"{plural(labels.n_samples, 'row')}, {plural(labels.n_labels, _noun(labels))}"
    return f"{'Multi' if labels.kind == 'multilabel' else 'Single'}-label y: {size}"


def as_text(labels: LabelDescription) -> str:
    """The description in lines of at most 88 characters, long label names aside."""
    facts = _facts(labels)
    width = max(len(name) for name, _ in facts)
    lines = [title_of(labels), *(f"  {name:<{width}}  {value}" for name, value in facts)]
    if labels.top_pairs:
        lines.append("  strongest pairs")
        pairs = [(f"{pair.first} + {pair.second}", *_numbers(pair)) for pair in labels.top_pairs]
        width = max(len(name) for name, *_ in pairs)
        lines += [
            f"    {name:<{width}}  {rows} rows, Jaccard {jaccard}, lift {lift}"
            for name, rows, jaccard, lift in pairs
        ]
    for hint in labels.hints:
        lines += textwrap.wrap(hint, _WIDTH, initial_indent="- ", subsequent_indent="  ")
    return "\n".join(lines)


def as_html(labels: LabelDescription) -> str:
    """The description as plain tables, in the colours of the page that shows it."""
    rows = "".join(
        f'<tr><th scope="row" style="{TEXT}">{escape(name)}</th>'
        f'<td style="{TEXT}">{escape(value)}</td></tr>'
        for name, value in _facts(labels)
    )
    hints = "".join(f"<li>{escape(hint)}</li>" for hint in labels.hints)
    return (
        f'<div><p style="margin:0.4em 0"><strong>{escape(title_of(labels))}</strong></p>'
        f'<table style="{TABLE}"><tbody>{rows}</tbody></table>'
        f"{_pairs_table(labels)}"
        f'<ul style="margin:0.4em 0;max-width:50em">{hints}</ul></div>'
    )


def _pairs_table(labels: LabelDescription) -> str:
    if not labels.top_pairs:
        return ""
    head = f'<th scope="col" style="{TEXT}">strongest pairs</th>' + "".join(
        f'<th scope="col" style="{NUMBER}">{name}</th>' for name in ("rows", "Jaccard", "lift")
    )
    body = "".join(
        f'<tr><td style="{TEXT}">{escape(str(pair.first))} + {escape(str(pair.second))}</td>'
        + "".join(f'<td style="{NUMBER}">{number}</td>' for number in _numbers(pair))
        + "</tr>"
        for pair in labels.top_pairs
    )
    return f'<table style="{TABLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _facts(labels: LabelDescription) -> list[tuple[str, str]]:
    """Names and values of the lines of both forms."""
    counts, noun = labels.label_counts, _noun(labels)
    facts = [
        (
            f"rows per {noun}",
            f"{counts.min():,} to {counts.max():,}, median {np.median(counts):,.0f}",
        ),
        ("imbalance ratio", _imbalance(labels)),
    ]
    if labels.kind == "multilabel":
        words = ("none", "1", "2", "more")
        fractions = [
            f"{word}: {percent(fraction)}"
            for word, fraction in zip(words, labels.row_shares, strict=True)
        ]
        facts = [
            (
                "labels per row",
                f"{labels.cardinality:.2f} on average, {labels.max_labels:,} at most "
                f"(density {labels.density:.3g})",
            ),
            ("rows by labels", ", ".join(fractions)),
            ("distinct label sets", f"{labels.n_distinct_sets:,}"),
            *facts,
            ("never positive", _never(labels)),
        ]
    if labels.unknown_share > 0:
        facts.append(("unknown cells", percent(labels.unknown_share)))
    if labels.soft_share > 0:
        facts.append(("soft cells", percent(labels.soft_share)))
    return facts


def _imbalance(labels: LabelDescription) -> str:
    if np.isnan(labels.mean_imbalance_ratio):
        return "none, for want of a positive label"
    mean, largest = labels.mean_imbalance_ratio, labels.max_imbalance_ratio
    return f"{mean:,.1f} on average, {largest:,.1f} at most"


def _never(labels: LabelDescription) -> str:
    """Number of the labels that no row carries, with the names of the first three."""
    never = labels.never_positive
    if len(never) == 0:
        return "no label"
    names = [str(labels.label_names[label]) for label in never[:3]]
    more = ", ..." if len(never) > 3 else ""
    return f"{plural(len(never), 'label')} ({', '.join(names)}{more})"


def _noun(labels: LabelDescription) -> str:
    return "label" if labels.kind == "multilabel" else "class"


def _numbers(pair: LabelPair) -> tuple[str, str, str]:
    return f"{pair.n_samples:,}", f"{pair.jaccard:.2f}", f"{pair.lift:.1f}"


def hints_of(labels: LabelDescription) -> tuple[str, ...]:
    """Sentences on the kind of problem, then on what makes it harder."""
    hints = _kind_of_problem(labels)
    if labels.max_labels > 0:
        hints += [_rare_labels(labels), *_constant_labels(labels)]
    if labels.unknown_share > 0:
        hints.append(
            f"Unknown labels: {percent(labels.unknown_share)} of all cells are NaN, and count as "
            "not carried above. The losses leave them out, and so do masked_f1_score and "
            "masked_label_ranking_average_precision_score of sklearn_mlce.metrics."
        )
    if labels.soft_share > 0:
        hints.append(
            f"Soft labels: {percent(labels.soft_share)} of the known cells lie between 0 and 1, "
            "and count as carried above one half."
        )
    return tuple(hint for hint in hints if hint)


def _kind_of_problem(labels: LabelDescription) -> list[str]:
    """One sentence where the case is clear, else both readings of the counts."""
    if labels.kind != "multilabel":
        return [
            "Single-label: every row has one class. The estimators minimise logistic or softmax "
            "cross-entropy on such a y, as LogisticRegression does."
        ]
    none, one, *_ = labels.row_shares
    if none == 1:
        return ["No labels: no row carries any."]
    if one == 1:
        return [
            "Single-label suffices: every row carries exactly one label. Pass y.argmax(axis=1), "
            "and exactly one will be predicted."
        ]
    if labels.max_labels < 2:
        return [
            "Single-label suffices: no row carries two labels. With one more class for the rows "
            "that carry none, it is a multiclass problem."
        ]
    by_rows = {
        "single-label": f"below {_FEW_ROWS:.0%}: treat it as single-label.",
        "best-label": (
            f"from {_FEW_ROWS:.0%} to {_MANY_ROWS:.0%}: a single-label model may do, with the best "
            "label, and the next ones above a probability, which "
            "sklearn_mlce.decisions.best_and_above picks."
        ),
        "multi-label": f"above {_MANY_ROWS:.0%}: genuinely multi-label.",
    }
    by_labels = {
        "single-label": (
            f"{_FOUND_BY_ONE:.0%} or more: compare with a single-label classifier before taking on "
            "more."
        ),
        "multi-label": f"below {_FOUND_BY_ONE:.0%}: genuinely multi-label.",
    }
    return [
        f"By rows: {percent(labels.multilabel_share)} carry two labels or more, "
        f"{by_rows[labels.reading_by_rows]}",
        f"By labels: one label per row would find at most {percent(labels.found_by_one)} of all "
        f"labels, {by_labels[labels.reading_by_labels]}",
    ]


def _rare_labels(labels: LabelDescription) -> str:
    groups = label_frequency_groups(labels.label_counts)
    n_rare = int((groups == "tail").sum())
    if n_rare < _MANY_RARE * labels.n_labels:
        return ""
    rare = f"{n_rare:,} of {plural(labels.n_labels, 'label')} are carried by fewer than 20 rows"
    if "head" not in groups:
        return (
            f"Few rows: {rare}, none by more than 100. What is measured or tuned for a label by "
            "itself rests on chance."
        )
    advice = (
        "Look at f1_by_label_frequency beside micro-F1, and prefer one tuned threshold for all to "
        "one for each."
        if labels.kind == "multilabel"
        else "Macro-F1 rests on them."
    )
    return f"Long tail: {rare}, others by more than 100. {advice}"


def _constant_labels(labels: LabelDescription) -> list[str]:
    n_never = len(labels.never_positive)
    n_always = int((labels.label_counts == labels.n_samples).sum())
    hints = []
    if n_never:
        hints.append(
            f"Never positive: {plural(n_never, 'label')} cannot be learned from these rows. The "
            "estimators rank what they have never seen last, and never predict it."
        )
    if n_always:
        hints.append(
            f"Always positive: {plural(n_always, 'label')} of every row. The "
            "estimators always predict them: leave them out of measures."
        )
    return hints


def percent(fraction: float) -> str:
    """A fraction in per cent, which reads 0% or 100% only where it is exactly 0 or 1."""
    if 0 < fraction < 0.0005:
        return "<0.1%"
    if 0.9995 <= fraction < 1:
        return ">99.9%"
    return f"{fraction:.1%}"


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def describe_labels(y: Any, *, n_pairs: int = 10, min_pair_samples: int = 5) -> LabelDescription:
    r"""Count what makes a multi-label problem hard, and say what follows.

    Parameters
    ----------
    y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
        Labels of each row, in any form that the estimators take: 0/1, soft in [0, 1], or NaN where
        unknown; or one class per row. Sparse labels stay sparse. A DataFrame names its labels.
    n_pairs : int, default=10
        Number of pairs of labels to keep, the most dependent first.
    min_pair_samples : int, default=5
        Pairs that fewer rows carry together are left out, as chance decides about rare ones.

    Returns
    -------
    LabelDescription
        The counts, as attributes, and `hints`, the sentences that follow from them.

    Raises
    ------
    ValueError
        If `y` is of a kind that the estimators do not take, or has no rows.

    See Also
    --------
    sklearn_mlce.metrics.f1_by_label_frequency : F1 of frequent and rare labels by themselves.

    Notes
    -----
    Pairs are ranked by their Jaccard index :math:`n_{ab} / (n_a + n_b - n_{ab})`; their lift is
    :math:`n_{ab} n / (n_a n_b)`. The imbalance ratios are IRLbl and MeanIR of the reference.

    References
    ----------
    .. [1] Charte, Rivera, del Jesus, Herrera, "Addressing imbalance in multilabel classification:
       Measures and random resampling algorithms", https://doi.org/10.1016/j.neucom.2014.08.091,
       2015.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn_mlce.inspection import describe_labels
    >>> _, Y = make_multilabel_classification(
    ...     n_samples=1000, n_classes=6, n_labels=2, random_state=0
    ... )
    >>> describe_labels(Y, n_pairs=2)
    Multi-label y: 1,000 rows, 6 labels
      labels per row       1.97 on average, 6 at most (density 0.328)
      rows by labels       none: 14.5%, 1: 26.7%, 2: 26.4%, more: 32.4%
      distinct label sets  64
      rows per label       265 to 363, median 334
      imbalance ratio      1.1 on average, 1.4 at most
      never positive       no label
      strongest pairs
        1 + 5  160 rows, Jaccard 0.28, lift 1.2
        2 + 3  146 rows, Jaccard 0.28, lift 1.3
    - By rows: 58.8% carry two labels or more, above 30%: genuinely multi-label.
    - By labels: one label per row would find at most 43.5% of all labels, below 90%:
      genuinely multi-label.
    """
    _check_count(n_pairs, "n_pairs")
    _check_count(min_pair_samples, "min_pair_samples")
    check_y_given(y, "describe_labels")
    targets = encode_targets(y)
    if targets.kind == "multioutput":
        raise ValueError(
            "y holds the classes of several outputs, not labels; expected 0, 1, a number between, "
            "or NaN. Describe one output at a time: describe_labels(y[:, 0])"
        )
    carried = carried_labels(targets)
    n_samples, n_labels = carried.shape
    if n_samples == 0:
        raise ValueError("y has no rows; expected one at least")
    names = targets.classes if targets.label_names is None else targets.label_names
    counts = np.bincount(carried.indices, minlength=n_labels)
    n_carried = np.diff(carried.indptr)
    ratios = imbalance_ratios(counts)
    finite = ratios[counts > 0]
    n_known, n_soft = _known_and_soft(targets, n_samples * n_labels)
    return LabelDescription(
        kind="multilabel" if targets.kind == "soft" else targets.kind,
        n_samples=n_samples,
        n_labels=n_labels,
        label_names=_frozen(names),
        label_counts=_frozen(counts),
        cardinality=carried.nnz / n_samples,
        density=carried.nnz / max(n_known, 1),
        max_labels=int(n_carried.max()),
        n_distinct_sets=count_distinct_sets(carried),
        row_shares=row_fractions(n_carried),
        imbalance_ratios=_frozen(ratios),
        mean_imbalance_ratio=float(finite.mean()) if len(finite) else float("nan"),
        max_imbalance_ratio=float(finite.max()) if len(finite) else float("nan"),
        never_positive=_frozen(np.flatnonzero(counts == 0)),
        top_pairs=strongest_pairs(carried, names, int(n_pairs), int(min_pair_samples)),
        unknown_share=1 - n_known / (n_samples * n_labels),
        soft_share=n_soft / max(n_known, 1),
    )


def _check_count(value: Any, name: str) -> None:
    if not isinstance(value, Integral) or int(value) < 0:
        raise ValueError(f"{name} must be a non-negative integer, got {value!r}")


def _known_and_soft(targets: Targets, n_cells: int) -> tuple[int, int]:
    """Numbers of the cells that are not NaN, and of those strictly between 0 and 1."""
    if targets.dense is None:
        return n_cells, 0
    soft = (targets.dense > 0) & (targets.dense < 1)
    return int(n_cells - np.isnan(targets.dense).sum()), int(soft.sum())


def _frozen(array: np.ndarray) -> np.ndarray:
    """A copy that cannot be written to."""
    array = array.copy()
    array.setflags(write=False)
    return array
