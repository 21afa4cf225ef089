"""scipy matrices and arrays become tensors without warnings and without global traces."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sklearn_mlce import MLCEClassifierCV
from sklearn_mlce._utils import rows, tensors
from sklearn_mlce._utils.rows import with_duplicates_summed
from sklearn_mlce._utils.tensors import csr_tensor, dense_tensor
from tests.helpers.estimators import assert_same_scores, labelled_rows, linear, mlp


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_csr_tensor_holds_the_matrix(container, dtype):
    matrix = sp.random(5, 7, 0.3, format="csr", dtype=dtype, random_state=0)
    tensor = csr_tensor(container(matrix))
    np.testing.assert_array_equal(tensor.to_dense().numpy(), matrix.toarray())
    assert tensor.dtype == torch.from_numpy(matrix.data).dtype


def test_read_only_arrays_are_copied_and_others_shared():
    array = np.arange(4.0)
    assert dense_tensor(array).data_ptr() == array.ctypes.data
    array.flags.writeable = False
    copied = dense_tensor(array)
    copied[0] = 5
    assert array[0] == 0
    np.testing.assert_array_equal(dense_tensor(np.arange(4.0)[::-1]), [3, 2, 1, 0])


@pytest.mark.slow
def test_threads_that_begin_together_leave_the_warnings_filters(monkeypatch):
    matrix = sp.csr_array(np.eye(3))
    before = list(warnings.filters)
    n_threads = 8
    for _ in range(200):
        monkeypatch.setattr(tensors, "_beta_warning_taken", False)
        barrier = Barrier(n_threads)

        def make(barrier=barrier):
            barrier.wait()
            return csr_tensor(matrix)

        with ThreadPoolExecutor(n_threads) as pool:
            for future in [pool.submit(make) for _ in range(n_threads)]:
                future.result()
    assert list(warnings.filters) == before


def twice(matrix):
    """Return a matrix whose every entry is stored as two halves."""
    parts = (np.repeat(matrix.data / 2, 2), np.repeat(matrix.indices, 2), 2 * matrix.indptr)
    return type(matrix)(parts, shape=matrix.shape)


SPARSE = sp.random(90, 12, 0.4, format="csr", random_state=0)
LABELS = labelled_rows()[1]


def search(**parameters):
    return MLCEClassifierCV([0.1, 1.0], cv=2, random_state=0, **parameters)


def sgd(**parameters):
    return linear(solver="sgd", random_state=0, **parameters)


@pytest.mark.parametrize("make", [linear, sgd, mlp, search])
def test_how_often_an_entry_is_stored_makes_no_difference(make):
    halves = twice(SPARSE)
    once, doubled = make().fit(SPARSE, LABELS), make().fit(halves, LABELS)
    assert_same_scores(doubled, once, SPARSE)
    assert_same_scores(once, once, SPARSE, halves)
    assert halves.nnz == 2 * SPARSE.nnz
    if make is not search:
        models = [make().set_params(random_state=0) for _ in range(2)]
        for model, rows in zip(models, (SPARSE, halves), strict=True):
            model.partial_fit(rows, LABELS)
        assert_same_scores(*models, SPARSE)


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array])
@pytest.mark.parametrize("n_sorted", [5, rows._BLOCK_ENTRIES])
def test_only_a_matrix_with_duplicates_is_copied(container, n_sorted, monkeypatch):
    monkeypatch.setattr(rows, "_BLOCK_ENTRIES", n_sorted)
    plain = container(SPARSE)
    backwards = container(
        (SPARSE.data[::-1], SPARSE.indices[::-1], SPARSE.nnz - SPARSE.indptr[::-1]), SPARSE.shape
    )
    assert not backwards.has_sorted_indices
    for matrix in (plain, backwards, SPARSE.toarray(), container(SPARSE.shape)):
        assert with_duplicates_summed(matrix) is matrix
    for matrix in (plain, backwards):
        halves = twice(matrix)
        before = halves.copy()
        summed = with_duplicates_summed(halves)
        assert (type(summed), summed.nnz) == (container, plain.nnz)
        np.testing.assert_array_equal(summed.toarray(), matrix.toarray())
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(halves, part), getattr(before, part))
