"""Check of the parts of sparse matrices, which compiled code follows out of memory where broken."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp


def check_sparse(matrix: Any, name: str) -> None:
    """Raise ValueError if a sparse matrix points outside itself; anything else passes.

    scipy believes what `indptr` and `indices` say, and so does all that is compiled: a matrix that
    was read from a damaged file ends the process. One pass over both is made.

    Parameters
    ----------
    matrix : object
        As it was given.
    name : str
        What users call it.

    Raises
    ------
    ValueError
        If it is a sparse matrix, or array, whose parts do not fit each other or its shape.
    """
    if not sp.issparse(matrix):
        return
    if matrix.format in ("csr", "csc", "bsr"):
        fault = _fault_of_compressed(matrix)
    elif matrix.format == "coo":
        fault = _fault_of_triples(matrix)
    else:
        fault = _fault_of_others(matrix)
    if fault:
        raise ValueError(
            f"{name} is a damaged {matrix.format.upper()} matrix of shape {matrix.shape}: {fault}; "
            "expected rows and columns inside its shape. Make it anew, such as by "
            "scipy.sparse.csr_matrix((values, (rows, columns)), shape=shape)"
        )


def _fault_of_compressed(matrix: Any) -> str:
    """What is wrong with CSR, CSC or BSR; empty if nothing is."""
    indptr, indices, data = matrix.indptr, matrix.indices, matrix.data
    if indptr.dtype.kind != "i" or indices.dtype.kind != "i":
        return f"indptr and indices are {indptr.dtype} and {indices.dtype}, no integers"
    shape = matrix.shape if len(matrix.shape) == 2 else (1, *matrix.shape)
    if matrix.format == "csc":
        shape = shape[::-1]
    if matrix.format == "bsr":
        shape = tuple(np.floor_divide(shape, data.shape[1:]).tolist())
    n_lines, n_places = shape
    if indptr.shape != (n_lines + 1,) or indices.ndim != 1:
        return f"indptr has {indptr.size} entries for {n_lines + 1}"
    n_entries = int(indptr[-1])
    if indptr[0] != 0 or not 0 <= n_entries <= min(len(indices), len(data)):
        return (
            f"indptr runs from {indptr[0]} to {n_entries}, over {len(indices)} indices and "
            f"{len(data)} values"
        )
    if n_lines > 1:
        falls = indptr[1:] < indptr[:-1]
        if falls.any():
            place = int(falls.argmax())
            return f"indptr falls from {indptr[place]} to {indptr[place + 1]} at {place}"
    return _fault_of_places(indices[:n_entries], n_places, "indices")


def _fault_of_places(places: np.ndarray, n_places: int, name: str) -> str:
    """What is wrong with places; negative ones are the largest of all once they are unsigned."""
    if not places.size or int(places.view(f"u{places.itemsize}").max()) < n_places:
        return ""
    return f"{name} run from {places.min()} to {places.max()}, beyond 0 to {n_places - 1}"


def _fault_of_triples(matrix: Any) -> str:
    """What is wrong with COO; empty if nothing is."""
    coordinates = matrix.coords if hasattr(matrix, "coords") else (matrix.row, matrix.col)
    for axis, (places, size) in enumerate(zip(coordinates, matrix.shape, strict=True)):
        if places.dtype.kind != "i" or places.shape != matrix.data.shape:
            return (
                f"coordinates {axis} are {places.size} of {places.dtype} for {matrix.data.size} "
                "values"
            )
        fault = _fault_of_places(np.ascontiguousarray(places), size, f"coordinates {axis}")
        if fault:
            return fault
    return ""


def _fault_of_others(matrix: Any) -> str:
    """What is wrong with DIA, LIL and DOK; empty if nothing is."""
    if matrix.format == "dia":
        n_offsets, n_diagonals = len(matrix.offsets), len(matrix.data)
        fits = n_offsets == n_diagonals
        return "" if fits else f"it has {n_offsets} offsets for {n_diagonals} diagonals"
    if matrix.format == "lil":
        pairs = zip(matrix.rows, matrix.data, strict=True)
        if any(len(columns) != len(values) for columns, values in pairs):
            return "a row has not as many values as columns"
        columns = [column for row in matrix.rows for column in row]
        return _fault_of_places(np.array(columns, dtype=np.int64), matrix.shape[1], "columns")
    return _fault_of_triples(matrix.tocoo())
