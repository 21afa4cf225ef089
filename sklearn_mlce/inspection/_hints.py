"""What follows from the counts, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn_mlce.inspection._rendering import percent, plural
from sklearn_mlce.metrics._label_frequency import label_frequency_groups

if TYPE_CHECKING:
    from sklearn_mlce.inspection._describe import LabelDescription

# Where one label per row would find at least this share of all labels, few are lost that way.
_FOUND_BY_ONE = 0.9

# Share of labels with few rows from which they are worth a word.
_MANY_RARE = 0.25


def hints_of(labels: LabelDescription) -> tuple[str, ...]:
    """Sentences on the kind of problem, then on what makes it harder."""
    hints = [_kind_of_problem(labels)]
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


def _kind_of_problem(labels: LabelDescription) -> str:
    if labels.kind != "multilabel":
        return (
            "Single-label: every row has one class. The estimators minimise logistic or softmax "
            "cross-entropy on such a y, as LogisticRegression does."
        )
    none, one, two, more = labels.row_shares
    if none == 1:
        return "No labels: no row carries any."
    if one == 1:
        return (
            "Single-label suffices: every row carries exactly one label. Pass y.argmax(axis=1), "
            "and exactly one will be predicted."
        )
    if two + more == 0:
        return (
            "Single-label suffices: no row carries two labels. With one more class for the rows "
            "that carry none, it is a multiclass problem."
        )
    found = (1 - none) / labels.cardinality
    shares = (
        f"{percent(two + more)} of the rows carry two labels or more, and one label per row would "
        f"find at most {percent(found)} of all labels."
    )
    if found >= _FOUND_BY_ONE:
        return (
            f"Few multi-label rows: {shares} Compare with a single-label classifier before taking "
            "on more."
        )
    return f"Genuinely multi-label: {shares}"


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
            f"Always positive: {plural(n_always, 'label')} of every row, of which "
            "nothing is learned but that. Predicting them right is no feat: leave them out of "
            "measures."
        )
    return hints
