"""Sparse matrices whose parts do not fit are refused, whatever their format."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_mlce._utils.sparse_format import check_sparse

FORMATS = ["csr", "csc", "bsr", "coo", "dia", "lil", "dok"]


def whole(kind):
    """A matrix of 6 rows and 4 columns in a format."""
    dense = np.zeros((6, 4))
    dense[[0, 2, 2, 5], [1, 0, 3, 2]] = [1.0, 2.0, 3.0, 4.0]
    return sp.csr_array(dense).asformat(kind)


def with_coordinates(matrix, row, col):
    """Give a COO matrix other coordinates, which scipy before 1.13 keeps apart."""
    if hasattr(matrix, "coords"):
        matrix.coords = (row, col)
    else:
        matrix.row, matrix.col = row, col


def broken(fault):
    kind = fault.split(",")[0]
    matrix = whole(kind)
    if "pointers of floats" in fault:
        matrix.indptr = matrix.indptr.astype(float)
    elif "pointers missing" in fault:
        matrix.indptr = matrix.indptr[:-1]
    elif "too far" in fault:
        matrix.indptr[-1] += 5
    elif "falls" in fault:
        matrix.indptr[1] = matrix.indptr[-1] + 1
    elif "outside" in fault:
        matrix.indices[0] = 40
    elif "coordinates of floats" in fault:
        with_coordinates(matrix, matrix.row.astype(float), matrix.col)
    elif "beside" in fault:
        with_coordinates(matrix, matrix.row, matrix.col - 2)
    elif "offsets" in fault:
        matrix.offsets = matrix.offsets[:-1]
    elif "short row" in fault:
        matrix.rows[2] = [0]
    elif "column" in fault:
        matrix.rows[2] = [0, 44]
    return matrix


FAULTS = {
    **{f"{kind}, pointers of floats": "no integers" for kind in ("csr", "csc", "bsr")},
    **{f"{kind}, pointers missing": "entries for" for kind in ("csr", "csc")},
    "csr, too far": "indptr runs from 0",
    "csr, falls": "indptr falls from",
    "csc, outside": "indices run from",
    "bsr, outside": "indices run from",
    "coo, coordinates of floats": "coordinates 0 are 4 of float64 for 4 values",
    "coo, beside": "coordinates 1 run from -2",
    "dia, offsets": "offsets for",
    "lil, short row": "a row has not as many values as columns",
    "lil, column": "columns run from",
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("shape", [(6, 4), (0, 4), (6, 0)])
def test_whole_ones_pass(kind, shape):
    matrix = whole(kind) if shape == (6, 4) else sp.csr_array(shape).asformat(kind)
    check_sparse(matrix, "X")


def test_what_is_not_sparse_passes():
    check_sparse([[1, 2]], "X")


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_ones_are_refused_with_their_fault(fault):
    kind = fault.split(",")[0].upper()
    with pytest.raises(ValueError, match=f"X is a damaged {kind} matrix .*{FAULTS[fault]}"):
        check_sparse(broken(fault), "X")
