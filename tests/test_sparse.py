"""scipy matrices and arrays become tensors without warnings and without global traces."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sklearn_mlce import _sparse
from sklearn_mlce._sparse import csr_tensor, dense_tensor


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


def test_threads_that_begin_together_leave_the_warnings_filters(monkeypatch):
    matrix = sp.csr_array(np.eye(3))
    before = list(warnings.filters)
    n_threads = 8
    for _ in range(200):
        monkeypatch.setattr(_sparse, "_beta_warning_taken", False)
        barrier = Barrier(n_threads)

        def make(barrier=barrier):
            barrier.wait()
            return csr_tensor(matrix)

        with ThreadPoolExecutor(n_threads) as pool:
            for future in [pool.submit(make) for _ in range(n_threads)]:
                future.result()
    assert list(warnings.filters) == before
