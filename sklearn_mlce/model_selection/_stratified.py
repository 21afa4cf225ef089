"""Splitters whose parts hold each label about as often as all rows do."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.model_selection import (
    BaseCrossValidator,
    BaseShuffleSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
)
from sklearn.utils import _safe_indexing, check_random_state, indexable
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_consistent_length

from sklearn_mlce._targets.encoding import check_y_given, encode_targets
from sklearn_mlce._targets.stratification import label_masses, stratified_parts
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.numeric_input import check_container
from sklearn_mlce._utils.sparse_format import check_sparse

Splits = Iterator[tuple[np.ndarray, np.ndarray]]  # row numbers to train on, and to test on


def _generator(random_state: Any) -> Any:
    """Return the generator of a random_state; of None, one of its own, not NumPy's global one."""
    return np.random.default_rng() if random_state is None else check_random_state(random_state)


def _warn_of_groups(cv: Any, groups: Any) -> None:
    """Warn of groups that a splitter does not keep together."""
    if groups is not None:
        warnings.warn(
            f"The groups parameter is ignored by {type(cv).__name__}. Use "
            "MultilabelStratifiedGroupKFold to keep groups together",
            UserWarning,
            stacklevel=3,
        )


class _LabelFolds(BaseCrossValidator):
    """Folds of rows or of whole groups."""

    n_splits: int

    def __init__(
        self, n_splits: Any = 5, *, shuffle: Any = False, random_state: Any = None
    ) -> None:
        _check_number(n_splits, "folds", 2)
        if not isinstance(shuffle, bool | np.bool_):
            raise TypeError(f"shuffle={shuffle!r} must be True or False")
        if not shuffle and random_state is not None:
            raise ValueError(
                f"random_state={random_state!r} has no effect with shuffle=False. Pass "
                "shuffle=True, or leave random_state out"
            )
        self.n_splits = int(n_splits)
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object, default=None
            Not used; there for the sake of scikit-learn's interface.

        Returns
        -------
        int
            `n_splits`.
        """
        return self.n_splits

    def _splits(self, targets: Targets, groups: np.ndarray | None) -> Splits:
        """Make the splits by encoded targets and numbers of groups, if there are any."""
        group_sizes = None if groups is None else np.bincount(groups)
        n_units = targets.n_rows if group_sizes is None else len(group_sizes)
        if n_units < self.n_splits:
            unit = "row" if groups is None else "group"
            raise ValueError(
                f"Cannot have number of splits n_splits={self.n_splits} greater than the number of "
                f"{unit}s: {n_units}. Pass n_splits={max(n_units, 2)} or fewer"
            )
        if targets.format.single_label:
            folds = StratifiedKFold if groups is None else StratifiedGroupKFold
            cv = folds(self.n_splits, shuffle=self.shuffle, random_state=self.random_state)
            yield from cv.split(np.zeros(targets.n_rows), targets.labels(targets.format), groups)
            return
        masses = label_masses(targets)
        if groups is not None:
            entries = np.ones(len(groups)), (groups, np.arange(len(groups)))
            masses = sp.csr_array(sp.csr_array(entries) @ masses)
        sizes = np.full(self.n_splits, targets.n_rows // self.n_splits)
        sizes[: targets.n_rows % self.n_splits] += 1
        rng = _generator(self.random_state) if self.shuffle else None
        parts = stratified_parts(masses, sizes, rng, group_sizes)
        parts = parts if groups is None else parts[groups]
        for number in range(self.n_splits):
            yield np.flatnonzero(parts != number), np.flatnonzero(parts == number)


class MultilabelStratifiedKFold(_LabelFolds):
    """Folds that hold each label about as often as all rows do.

    This is :class:`~sklearn.model_selection.StratifiedKFold` for a matrix of labels. Rows are
    placed by iterative stratification [1]_, those of the rarest label first. Then a tabu search
    [2]_ exchanges rows until no fold lacks a label that it could have, and rare labels are spread
    evenly.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, 2 at least.
    shuffle : bool, default=False
        Whether rows of the same labels are placed in an order drawn at random. False makes the
        same folds every time.
    random_state : int, RandomState instance or None, default=None
        Seed of that order, with ``shuffle=True``.

    See Also
    --------
    MultilabelStratifiedGroupKFold : Keeps the rows of a group together.
    MultilabelStratifiedShuffleSplit : Random splits, of test parts of any size.
    sklearn.model_selection.StratifiedKFold : For one class per row.

    Notes
    -----
    Sizes of folds differ by one at most. `y` may be a matrix of 0 and 1, dense or sparse, which
    stays sparse, or a DataFrame. Soft labels in [0, 1] count by their sum, and NaN does not count.
    Each class of several outputs counts as a label. A 1-D `y` is split as by
    :class:`~sklearn.model_selection.StratifiedKFold`.

    A label of fewer rows than there are folds is missing in some fold. Where labels come together
    in the same few rows, a label of more rows may be missing as well.

    References
    ----------
    .. [1] Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-label Data",
       https://doi.org/10.1007/978-3-642-23808-6_10, 2011.
    .. [2] Glover, "Tabu Search, Part I", https://doi.org/10.1287/ijoc.1.3.190, 1989.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlce.model_selection import MultilabelStratifiedKFold
    >>> Y = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0, 0]])
    >>> for train, test in MultilabelStratifiedKFold(2).split(Y, Y):
    ...     print(test, Y[test].sum(axis=0))
    [1 2 4] [2 1]
    [0 3 5] [1 1]
    """

    __module__ = "sklearn_mlce.model_selection"
    __metadata_request__split: ClassVar = {"groups": UNUSED}

    def split(self, X: Any, y: Any, groups: Any = None) -> Splits:
        """Make the splits.

        Parameters
        ----------
        X : array-like of length n_samples
            Only its length counts.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Labels of each row, in any form that the estimators take.
        groups : object
            Not used; a warning says so where it is not None.

        Yields
        ------
        train : ndarray of int
            Rows to train on, ascending.
        test : ndarray of int
            Rows of a fold, ascending.

        Raises
        ------
        ValueError
            If y is not usable, or there are fewer rows than folds.
        """
        check_y_given(y, "split")
        check_consistent_length(X, y)
        _warn_of_groups(self, groups)
        yield from self._splits(encode_targets(y), None)


class MultilabelStratifiedGroupKFold(_LabelFolds):
    """Folds that keep groups together and hold each label about as often as all rows do.

    This is :class:`~sklearn.model_selection.StratifiedGroupKFold` for a matrix of labels.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, 2 at least.
    shuffle : bool, default=False
        Whether groups of the same size are placed in an order drawn at random.
    random_state : int, RandomState instance or None, default=None
        Seed of that order, with ``shuffle=True``.

    See Also
    --------
    MultilabelStratifiedKFold : For rows that belong to no groups.
    sklearn.model_selection.StratifiedGroupKFold : For one class per row.

    Notes
    -----
    Each row goes to the fold of its group. Groups of the rarest label come first, large ones before
    small ones. Each goes to the fold that lacks the most of the label, among folds with room for
    the group. A fold exceeds its due size by less than one group. Then groups are exchanged as rows
    are by :class:`MultilabelStratifiedKFold`, unless an exchange makes sizes more unequal than they
    are. `y` may take the forms of :class:`MultilabelStratifiedKFold`; a 1-D `y` is split as by
    :class:`~sklearn.model_selection.StratifiedGroupKFold`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlce.model_selection import MultilabelStratifiedGroupKFold
    >>> Y = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0, 0]])
    >>> groups = ["a", "a", "b", "b", "c", "c"]
    >>> for train, test in MultilabelStratifiedGroupKFold(3).split(Y, Y, groups):
    ...     print(test, Y[test].sum(axis=0))
    [2 3] [1 2]
    [0 1] [2 0]
    [4 5] [0 0]
    """

    __module__ = "sklearn_mlce.model_selection"
    __metadata_request__split: ClassVar = {"groups": True}

    def split(self, X: Any, y: Any, groups: Any = None) -> Splits:
        """Make the splits.

        Parameters
        ----------
        X : array-like of length n_samples
            Only its length counts.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Labels of each row, in any form that the estimators take.
        groups : array-like of shape (n_samples,)
            Group of each row.

        Yields
        ------
        train : ndarray of int
            Rows to train on, ascending.
        test : ndarray of int
            Rows of a fold, ascending.

        Raises
        ------
        ValueError
            If y is not usable, `groups` are missing, or there are fewer of them than folds.
        """
        check_y_given(y, "split")
        if groups is None:
            raise ValueError(
                "groups is None; expected the group of each row. Type split(X, y, groups), or pass "
                "groups=... to what splits"
            )
        check_container(groups, "groups")
        check_consistent_length(X, y, groups)
        numbers = _numbers_of_groups(groups)
        yield from self._splits(encode_targets(y), numbers)


def _check_number(n_splits: Any, unit: str, least: int) -> None:
    """Raise ValueError unless a number of splits is one."""
    whole = isinstance(n_splits, Integral) and not isinstance(n_splits, bool)
    if not whole or n_splits < least:
        raise ValueError(
            f"n_splits={n_splits!r} must be a whole number of {unit}, {least} at least, such as 5"
        )


def _numbers_of_groups(groups: Any) -> np.ndarray:
    """Number ``(n,)`` of the group of each row.

    Raises
    ------
    ValueError
        If they have not one dimension, or no order, as None beside text.
    """
    array = np.asarray(groups)
    try:
        if array.ndim == 1:
            return np.unique(array, return_inverse=True)[1]
    except TypeError as error:
        kinds = sorted({type(group).__name__ for group in array.tolist()})
        raise ValueError(
            f"groups holds {', '.join(kinds)}, which cannot be sorted; expected text or numbers. "
            "Pass [str(group) for group in groups]"
        ) from error
    raise ValueError(
        f"groups has shape {array.shape}; expected one group for each row, of shape (n_samples,). "
        "Pass one column, or pandas.factorize of tuples"
    )


class MultilabelStratifiedShuffleSplit(BaseShuffleSplit):
    """Random splits whose parts hold each label about as often as all rows do.

    This is :class:`~sklearn.model_selection.StratifiedShuffleSplit` for a matrix of labels.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.
    test_size : float or int, default=None
        Fraction or number of the rows to test on; None is what `train_size` leaves, or a tenth.
    train_size : float or int, default=None
        Fraction or number of the rows to train on; None is what `test_size` leaves.
    random_state : int, RandomState instance or None, default=None
        Draws the splits.

    See Also
    --------
    multilabel_train_test_split : Cuts arrays by one such split.
    MultilabelStratifiedKFold : Folds, of which each row is in one.

    Notes
    -----
    Parts are as large as those of :class:`~sklearn.model_selection.ShuffleSplit`. A label of a
    single row is trained on, as far as other labels allow it. `y` may take the forms of
    :class:`MultilabelStratifiedKFold`; a 1-D `y` is split as by
    :class:`~sklearn.model_selection.StratifiedShuffleSplit`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlce.model_selection import MultilabelStratifiedShuffleSplit
    >>> Y = np.tile([[1, 0], [1, 1], [0, 1], [0, 0]], (5, 1))
    >>> splitter = MultilabelStratifiedShuffleSplit(1, test_size=0.2, random_state=0)
    >>> train, test = next(splitter.split(Y, Y))
    >>> Y[train].sum(axis=0), Y[test].sum(axis=0)
    (array([8, 8]), array([2, 2]))
    """

    __module__ = "sklearn_mlce.model_selection"
    __metadata_request__split: ClassVar = {"groups": UNUSED}

    def __init__(
        self,
        n_splits: int = 10,
        *,
        test_size: Any = None,
        train_size: Any = None,
        random_state: Any = None,
    ) -> None:
        _check_number(n_splits, "splits", 1)
        super().__init__(
            n_splits, test_size=test_size, train_size=train_size, random_state=random_state
        )

    def split(self, X: Any, y: Any, groups: Any = None) -> Splits:
        """Make the splits.

        Parameters
        ----------
        X : array-like of length n_samples
            Only its length counts.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Labels of each row, in any form that the estimators take.
        groups : object
            Not used; a warning says so where it is not None.

        Yields
        ------
        train : ndarray of int
            Rows to train on, in random order.
        test : ndarray of int
            Rows to test on, in random order.

        Raises
        ------
        ValueError
            If y is not usable, or a part would be empty.
        """
        check_y_given(y, "split")
        check_consistent_length(X, y)
        _warn_of_groups(self, groups)
        targets = encode_targets(y)
        rows = np.zeros(targets.n_rows)
        options = {"test_size": self.test_size, "train_size": self.train_size}
        if targets.format.single_label:
            cv = StratifiedShuffleSplit(self.n_splits, random_state=self.random_state, **options)
            yield from cv.split(rows, targets.labels(targets.format))
            return
        train, test = next(ShuffleSplit(1, random_state=0, **options).split(rows))
        sizes = [len(test), len(train), len(rows) - len(test) - len(train)]
        masses, rng = label_masses(targets), _generator(self.random_state)
        for _ in range(self.n_splits):
            parts, order = stratified_parts(masses, sizes, rng), rng.permutation(len(rows))
            yield order[parts[order] == 1], order[parts[order] == 0]


def multilabel_train_test_split(
    *arrays: Any,
    test_size: Any = None,
    train_size: Any = None,
    random_state: Any = None,
    stratify: Any = None,
) -> list[Any]:
    """Cut arrays into rows to train on and rows to test on, stratified by labels.

    This is :func:`~sklearn.model_selection.train_test_split` with ``stratify=y`` for a matrix of
    labels, where scikit-learn's function takes each combination of labels for a class.

    Parameters
    ----------
    *arrays : array-like, sparse matrix or DataFrame
        Arrays of equal length, such as X and y.
    test_size : float or int, default=None
        Fraction or number of the rows to test on; None is what `train_size` leaves, or a quarter.
    train_size : float or int, default=None
        Fraction or number of the rows to train on; None is what `test_size` leaves.
    random_state : int, RandomState instance or None, default=None
        Draws the split.
    stratify : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels), \
            default=None
        Labels of each row; None takes the last of the arrays for them.

    Returns
    -------
    list
        The two parts of each array in turn, of the array's type.

    Raises
    ------
    ValueError
        If there is no array, lengths differ, the labels are not usable or a part would be empty.

    See Also
    --------
    MultilabelStratifiedShuffleSplit : Several such splits, as row numbers.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn_mlce.model_selection import multilabel_train_test_split
    >>> X, Y = make_multilabel_classification(random_state=0)
    >>> X_train, X_test, Y_train, Y_test = multilabel_train_test_split(X, Y, random_state=0)
    >>> Y_train.sum(axis=0), Y_test.sum(axis=0)
    (array([25, 37, 34, 32, 28]), array([ 9, 12, 11, 11,  9]))
    """
    if not arrays:
        raise ValueError(
            "multilabel_train_test_split got no array; expected one at least. Type "
            "multilabel_train_test_split(X, y)"
        )
    for number, array in enumerate(arrays):
        check_sparse(array, f"array {number}")
        if not (sp.issparse(array) or isinstance(array, list | tuple | np.ndarray)):
            check_container(array, f"array {number}")
    arrays = tuple(indexable(*arrays))
    y = arrays[-1] if stratify is None else stratify
    if test_size is None and train_size is None:
        test_size = 0.25
    splitter = MultilabelStratifiedShuffleSplit(
        1, test_size=test_size, train_size=train_size, random_state=random_state
    )
    train, test = next(splitter.split(arrays[0], y))
    return [_safe_indexing(array, rows) for array in arrays for rows in (train, test)]
