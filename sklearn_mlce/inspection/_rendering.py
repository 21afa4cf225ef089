"""A description of labels as text and as HTML."""

from __future__ import annotations

import textwrap
from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn_mlce.inspection._counts import LabelPair
    from sklearn_mlce.inspection._describe import LabelDescription

_WIDTH = 88

# No colour of our own but a grey for the lines, which shows on white and on black.
_LINE = "border:0;border-bottom:1px solid rgba(128,128,128,0.35)"
_CELL = f"{_LINE};padding:0.2em 0.8em;vertical-align:top"
_TABLE = "border-collapse:collapse;margin:0.4em 0;background:transparent;color:inherit;font:inherit"
_TEXT = f"{_CELL};text-align:left"
_NUMBER = f"{_CELL};text-align:right;font-variant-numeric:tabular-nums"


def title_of(labels: LabelDescription) -> str:
    """Kind and size in a line."""
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
        f'<tr><th scope="row" style="{_TEXT}">{escape(name)}</th>'
        f'<td style="{_TEXT}">{escape(value)}</td></tr>'
        for name, value in _facts(labels)
    )
    hints = "".join(f"<li>{escape(hint)}</li>" for hint in labels.hints)
    return (
        f'<div><p style="margin:0.4em 0"><strong>{escape(title_of(labels))}</strong></p>'
        f'<table style="{_TABLE}"><tbody>{rows}</tbody></table>'
        f"{_pairs_table(labels)}"
        f'<ul style="margin:0.4em 0;max-width:50em">{hints}</ul></div>'
    )


def _pairs_table(labels: LabelDescription) -> str:
    if not labels.top_pairs:
        return ""
    head = f'<th scope="col" style="{_TEXT}">strongest pairs</th>' + "".join(
        f'<th scope="col" style="{_NUMBER}">{name}</th>' for name in ("rows", "Jaccard", "lift")
    )
    body = "".join(
        f'<tr><td style="{_TEXT}">{escape(str(pair.first))} + {escape(str(pair.second))}</td>'
        + "".join(f'<td style="{_NUMBER}">{number}</td>' for number in _numbers(pair))
        + "</tr>"
        for pair in labels.top_pairs
    )
    return f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


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
        shares = [
            f"{word}: {percent(share)}"
            for word, share in zip(words, labels.row_shares, strict=True)
        ]
        facts = [
            (
                "labels per row",
                f"{labels.cardinality:.2f} on average, {labels.max_labels:,} at most "
                f"(density {labels.density:.3g})",
            ),
            ("rows by labels", ", ".join(shares)),
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
    """How many, and the first three by name."""
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


def percent(share: float) -> str:
    """A share with one decimal that says neither none nor all unless it is so."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share:.1%}"


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"
