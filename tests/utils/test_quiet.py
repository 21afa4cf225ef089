"""Warnings that are ignored for a while leave no trace."""

import threading
import warnings

import pytest

from sklearn_mlce._utils.warnings import ignored_warnings


def test_overlapping_blocks_put_the_filters_back():
    before = list(warnings.filters)
    inside, may_end = threading.Barrier(3), threading.Event()

    def block(category):
        with ignored_warnings(category):
            inside.wait()
            if category is UserWarning:  # the first to begin may end last, or not
                may_end.wait()

    threads = [threading.Thread(target=block, args=(c,)) for c in (UserWarning, FutureWarning)]
    for thread in threads:
        thread.start()
    inside.wait()
    threads[1].join()
    may_end.set()
    threads[0].join()
    assert warnings.filters == before


def test_only_what_was_named_is_ignored():
    with ignored_warnings(UserWarning, "of no"):
        warnings.warn("of no interest", UserWarning, stacklevel=1)
        with pytest.warns(UserWarning, match="of interest"):
            warnings.warn("of interest", UserWarning, stacklevel=1)
