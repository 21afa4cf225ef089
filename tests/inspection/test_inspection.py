"""The counts are those of a slow loop, for every kind of y; the hints follow from them."""

import dataclasses
import pickle
import re
import tracemalloc
from html import unescape
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from sklearn_mlce.inspection import _counts as counts
from sklearn_mlce.inspection import describe_labels
from sklearn_mlce.inspection._description import percent

NUMBERS = [
    "n_samples",
    "n_labels",
    "label_counts",
    "cardinality",
    "density",
    "max_labels",
    "n_distinct_sets",
    "row_shares",
    "imbalance_ratios",
    "mean_imbalance_ratio",
    "max_imbalance_ratio",
    "never_positive",
    "unknown_share",
    "soft_share",
]
NAMES = ["sea", "sky", "sand", "snow", "star", "sun"]


@pytest.fixture
def labels():
    """0/1 labels that depend on each other, among them one that no row carries, and empty rows."""
    rng = np.random.default_rng(0)
    y = (rng.random((200, 6)) < [0.6, 0.3, 0.2, 0.05, 0.0, 0.3]).astype(int)
    y[:, 5] |= y[:, 1] & (rng.random(200) < 0.8)
    return y


def assert_same_numbers(description, other):
    for name in NUMBERS:
        np.testing.assert_array_equal(getattr(description, name), getattr(other, name), name)
    assert [pair[2:] for pair in description.top_pairs] == [pair[2:] for pair in other.top_pairs]


def slow_pairs(y, n_pairs, min_samples):
    """Jaccard index and lift of all pairs, from sets of row numbers."""
    carriers = [set(np.flatnonzero(column).tolist()) for column in y.T]
    found = []
    for a, b in combinations(range(len(carriers)), 2):
        both = len(carriers[a] & carriers[b])
        if both >= min_samples and both:
            jaccard = both / len(carriers[a] | carriers[b])
            lift = (both / len(y)) / (len(carriers[a]) / len(y) * len(carriers[b]) / len(y))
            found.append((a, b, both, jaccard, pytest.approx(lift)))
    return sorted(found, key=lambda pair: (-pair[3], -pair[2], pair[0], pair[1]))[:n_pairs]


def test_counts_are_those_of_a_loop_over_the_rows(labels):
    rows = [frozenset(np.flatnonzero(row).tolist()) for row in labels]
    description = describe_labels(labels)
    assert description.kind == "multilabel"
    assert (description.n_samples, description.n_labels) == labels.shape
    assert description.label_names.tolist() == list(range(6))
    assert description.label_counts.tolist() == [sum(i in row for row in rows) for i in range(6)]
    assert description.cardinality == sum(map(len, rows)) / 200
    assert description.density == pytest.approx(description.cardinality / 6)
    assert description.max_labels == max(map(len, rows))
    assert description.n_distinct_sets == len(set(rows))
    sizes = [min(len(row), 3) for row in rows]
    assert description.row_shares == tuple(sizes.count(size) / 200 for size in range(4))
    assert sum(description.row_shares) == pytest.approx(1)
    assert description.never_positive.tolist() == [4]
    assert description.unknown_share == description.soft_share == 0


def test_imbalance_ratios_are_those_of_the_paper(labels):
    description = describe_labels(labels)
    carried = [int(column.sum()) for column in labels.T]
    finite = [max(carried) / count for count in carried if count]
    assert description.imbalance_ratios[4] == np.inf
    np.testing.assert_allclose(np.delete(description.imbalance_ratios, 4), finite)
    assert description.mean_imbalance_ratio == pytest.approx(sum(finite) / 5)
    assert description.max_imbalance_ratio == max(finite)


@pytest.mark.parametrize(("n_pairs", "min_samples"), [(10, 5), (3, 1), (100, 0), (0, 5)])
def test_pairs_are_those_of_sets_of_rows(n_pairs, min_samples, labels):
    description = describe_labels(labels, n_pairs=n_pairs, min_pair_samples=min_samples)
    assert list(description.top_pairs) == slow_pairs(labels, n_pairs, min_samples)


def test_pairs_found_block_by_block_are_the_same(labels, monkeypatch):
    expected = describe_labels(labels).top_pairs
    for size in (1, 7, 20):
        monkeypatch.setattr(counts, "_PAIRS_PER_BLOCK", size)
        assert describe_labels(labels).top_pairs == expected


@pytest.mark.parametrize(
    "form",
    [
        np.ndarray.tolist,
        sp.csr_matrix,
        sp.csr_array,
        sp.csc_array,
        sp.coo_matrix,
        lambda y: y.astype(bool),
        lambda y: sp.csr_array(y.astype(np.int8)),
        lambda y: y.astype(np.float32),
    ],
)
def test_any_form_of_the_same_labels_gives_the_same_description(form, labels):
    assert_same_numbers(describe_labels(form(labels)), describe_labels(labels))


@pytest.mark.parametrize("make", [pd.DataFrame, lambda y, columns: pl.DataFrame(y, columns)])
def test_a_data_frame_names_its_labels(make, labels):
    frame = make(labels, columns=NAMES) if make is pd.DataFrame else make(labels, NAMES)
    description = describe_labels(frame)
    assert_same_numbers(description, describe_labels(labels))
    assert description.label_names.tolist() == NAMES
    assert description.top_pairs[0][:2] == ("sky", "sun")
    assert "star" in repr(description)


def test_unknown_labels_are_not_carried_and_not_counted_in_the_density(labels):
    y = np.where(np.arange(labels.size).reshape(labels.shape) % 7 == 0, np.nan, labels)
    description = describe_labels(y)
    other = describe_labels(np.nan_to_num(y).astype(int))
    assert description.label_counts.tolist() == other.label_counts.tolist()
    assert description.unknown_share == pytest.approx(np.isnan(y).mean())
    assert f"unknown cells        {np.isnan(y).mean():.1%}" in str(description)
    assert description.density == pytest.approx(np.nanmean(y))
    assert any("NaN" in hint for hint in description.hints)


def test_soft_labels_are_carried_above_one_half():
    description = describe_labels([[0.5, 0.6, 1.0], [0.0, 0.2, np.nan]])
    assert description.label_counts.tolist() == [0, 1, 1]
    assert description.soft_share == 3 / 5
    assert "soft cells           60.0%" in str(description)
    assert description.unknown_share == pytest.approx(1 / 6)
    assert any("above one half" in hint for hint in description.hints)


@pytest.mark.parametrize(
    ("y", "kind", "names"),
    [
        (["no", "yes", "no", "no"], "binary", ["no", "yes"]),
        (["b", "a", "b", "c"], "multiclass", ["a", "b", "c"]),
        (pd.Series([3, 1, 3, 2]), "multiclass", [1, 2, 3]),
    ],
)
def test_classes_are_labels_of_which_each_row_carries_one(y, kind, names):
    description = describe_labels(y)
    assert description.kind == kind
    assert description.label_names.tolist() == names
    assert description.label_counts.tolist() == [list(y).count(name) for name in names]
    assert description.row_shares == (0, 1, 0, 0)
    assert description.top_pairs == ()
    assert description.hints[0].startswith("Single-label: every row has one class")
    assert f"4 rows, {len(names)} classes" in repr(description)


def rows_of_sizes(*sizes):
    """Labels of rows that carry so many, of six."""
    return np.array([[1] * size + [0] * (6 - size) for size in sizes])


@pytest.mark.parametrize(
    ("y", "beginning"),
    [
        (np.eye(6, dtype=int), "Single-label suffices: every row carries exactly one"),
        (rows_of_sizes(0, 1, 1), "Single-label suffices: no row carries two"),
        (rows_of_sizes(*[1] * 19, 2), "By rows: 5.0%"),
        (rows_of_sizes(1, 2, 3), "By rows: 66.7%"),
        (rows_of_sizes(0, 0), "No labels"),
    ],
)
def test_the_first_hint_is_the_kind_of_problem(y, beginning):
    assert describe_labels(y).hints[0].startswith(beginning)
    assert describe_labels(sp.csr_array(y)).hints == describe_labels(y).hints


@pytest.mark.parametrize(
    ("sizes", "by_rows", "advice"),
    [
        ([1] * 96 + [2] * 4, "single-label", "4.0%.*below 5%: treat it as single-label"),
        ([1] * 96 + [0] * 4 + [6] * 5, "single-label", "4.8%.*treat it as single-label"),
        ([1] * 95 + [2] * 5, "best-label", "5.0%.*the next ones above .*best_and_above picks"),
        ([0] * 70 + [2] * 30, "best-label", "30.0%.*from 5% to 30%"),
        ([1] * 69 + [3] * 31, "multi-label", "31.0%.*above 30%: genuinely multi-label"),
    ],
)
def test_the_reading_by_rows_follows_their_share(sizes, by_rows, advice):
    description = describe_labels(rows_of_sizes(*sizes))
    assert description.multilabel_share == pytest.approx((np.array(sizes) > 1).mean())
    assert description.reading_by_rows == by_rows
    assert re.match(f"By rows: {advice}", description.hints[0])
    assert " ".join(description.hints[0].split()[:6]) in repr(description)
    assert description.hints[0] in unescape(description._repr_html_())


@pytest.mark.parametrize(
    ("sizes", "by_labels", "advice"),
    [
        ([1] * 90 + [2] * 5, "single-label", "95.0% of all labels, 90% or more: compare with"),
        ([0] * 90 + [2] * 5, "multi-label", "50.0% of all labels, below 90%: genuinely multi"),
    ],
)
def test_the_reading_by_labels_follows_what_one_label_per_row_finds(sizes, by_labels, advice):
    description = describe_labels(rows_of_sizes(*sizes))
    assert description.reading_by_labels == by_labels
    assert description.hints[1].startswith(
        f"By labels: one label per row would find at most {advice}"
    )


def test_one_label_per_row_finds_as_many_as_the_description_says(labels):
    best = np.zeros_like(labels)
    best[np.arange(200), labels.argmax(axis=1)] = 1
    found = (best & labels).sum() / labels.sum()
    description = describe_labels(labels)
    assert description.found_by_one == pytest.approx(found)
    assert f"at most {percent(found)} of all labels" in description.hints[1]


@pytest.mark.parametrize("y", [["a", "b", "a"], [0, 1, 2, 2], np.eye(3, dtype=int)])
def test_one_class_per_row_reads_as_single_label(y):
    description = describe_labels(y)
    assert (description.multilabel_share, description.found_by_one) == (0, 1)
    assert description.reading_by_rows == description.reading_by_labels == "single-label"


def counts_of_labels(*label_counts, n_rows=600):
    return (np.arange(n_rows)[:, None] < np.array(label_counts)).astype(int)


@pytest.mark.parametrize(
    ("label_counts", "beginning"),
    [
        ((500, 200, 60, 19), "Long tail: 1 of 4 labels"),
        ((500, 200, 60, 20), None),
        ((500, 200, 150, 60, 19), None),
        ((90, 60, 10, 3), "Few rows: 2 of 4 labels"),
    ],
)
def test_rare_labels_are_pointed_out(label_counts, beginning):
    hints = describe_labels(counts_of_labels(*label_counts)).hints
    assert len(hints) == (2 if beginning is None else 3)
    assert beginning is None or hints[2].startswith(beginning)


def test_classes_have_a_long_tail_too():
    y = np.repeat(np.arange(4), [500, 200, 60, 19])
    assert describe_labels(y).hints[1].startswith("Long tail: 1 of 4 labels")


def test_labels_that_no_row_or_every_row_carries_are_pointed_out():
    hints = " ".join(describe_labels(counts_of_labels(600, 300, 100, 0)).hints)
    assert "Never positive: 1 label " in hints
    assert "Always positive: 1 label " in hints


def test_no_positive_at_all_is_described():
    description = describe_labels(np.zeros((3, 2), dtype=int))
    assert np.isnan(description.mean_imbalance_ratio)
    assert np.isnan(description.max_imbalance_ratio)
    assert description.hints == ("No labels: no row carries any.",)
    assert np.isnan(description.found_by_one)
    assert "for want of a positive label" in repr(description)


def test_a_description_cannot_be_changed(labels):
    description = describe_labels(labels)
    with pytest.raises(dataclasses.FrozenInstanceError):
        description.n_labels = 3
    with pytest.raises(ValueError, match="read-only"):
        description.label_counts[0] = 3
    assert_same_numbers(pickle.loads(pickle.dumps(description)), description)


def test_a_million_sparse_labels_are_never_made_dense():
    """A dense matrix of these would take 2 GB in single bytes."""
    rows, labels = np.arange(2000).repeat(3), np.arange(6000) * 166
    y = sp.csr_array((np.ones(6000, dtype=int), (rows, labels)), shape=(2000, 10**6))
    tracemalloc.start()
    description = describe_labels(y, min_pair_samples=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert description.cardinality == 3
    assert description.top_pairs[0] == (0, 166, 1, 1.0, 2000.0)
    assert peak < 300e6


def test_the_labels_given_are_left_alone(labels):
    y = sp.csr_array(labels)
    before = y.copy()
    describe_labels(y)
    assert (y != before).nnz == 0
    assert labels.flags.writeable


class Tags(HTMLParser):
    """Fails on tags that do not match; keeps the text of the cells."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.cells = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in ("td", "th"):
            self.cells.append(data)


def test_html_says_what_the_text_says_without_script_or_colours(labels):
    frame = pd.DataFrame(labels, columns=["<b>sea</b>", *NAMES[1:]])
    description = describe_labels(frame)
    page = Tags(description._repr_html_())
    assert set(page.seen) == {
        *("div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li")
    }
    assert "<b>sea</b> + sky" in page.cells
    assert "never positive" in page.cells
    text = " ".join(repr(description).split())
    assert all(cell in text for cell in page.cells)
    assert all(hint in text.replace(" - ", " ") for hint in description.hints)
    assert "background:transparent;color:inherit" in description._repr_html_()


def test_lines_of_the_text_fit(labels):
    assert max(map(len, repr(describe_labels(labels)).splitlines())) <= 88


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0.0%"), (1e-9, "<0.1%"), (0.5, "50.0%"), (1 - 1e-9, ">99.9%"), (1, "100.0%")],
)
def test_a_share_is_none_or_all_only_if_it_is(share, words):
    assert percent(share) == words


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([[0, 1]], {"n_pairs": -1}, "n_pairs must be a non-negative integer, got -1"),
        ([[0, 1]], {"min_pair_samples": 0.5}, "min_pair_samples must be"),
        (np.zeros((0, 3), dtype=int), {}, "y has no rows"),
        ([{3}, {4}], {}, "tags_to_y"),
        (None, {}, "describe_labels requires y to be passed, but the target y is None"),
        ([[-1, 1], [1, -1]], {}, "expected 0 and 1"),
    ],
)
def test_what_cannot_be_described_is_refused(y, options, message):
    with pytest.raises(ValueError, match=message):
        describe_labels(y, **options)
