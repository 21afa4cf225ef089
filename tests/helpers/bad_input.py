"""Odd input of fit and predict, as a table: what it is, and what is to become of it.

The study `bad_input` of the benchmarks puts estimators of scikit-learn through the same table.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
import sklearn
import torch
from sklearn.utils.fixes import parse_version

from tests.helpers.estimators import labelled_rows

X, Y = labelled_rows()
N = len(X)
TAGS = [[name for name, is_on in zip("abcd", row, strict=True) if is_on] for row in Y.tolist()]


class Case(NamedTuple):
    """One input, and what is to become of it."""

    make: Any  # gives the input: each use has its own
    plain: Any = None  # gives input that it has to equal; None where it is to be refused
    match: str = ""  # what the error says

    @property
    def works(self):
        """Whether it is to be taken."""
        return self.plain is not None


def put(array, value, dtype=float):
    """Copy an array, with another value in a cell."""
    array = np.array(array, dtype=dtype)
    array[(3, 2)[: array.ndim]] = value
    return array


def damaged(fault, matrix):
    """Return a copy of a CSR matrix whose parts do not fit."""
    matrix = sp.csr_matrix(matrix, dtype=float)
    if fault == "falls":
        matrix.indptr[5] = matrix.indptr[4] - 2
    elif fault == "beyond":
        matrix.indptr[-1] = 10**7
    elif fault == "far":
        matrix.indptr[3:] = 2**30
    elif fault == "below":
        matrix.indptr[2] = -5
    elif fault == "column":
        matrix.indices[3] = 10**8
    elif fault == "negative":
        matrix.indices[3] = -3
    elif fault == "short":
        matrix.data = matrix.data[:-4]
    return matrix


def damaged_coo(matrix):
    """Return a COO matrix of a row beyond its shape."""
    matrix = sp.coo_matrix(matrix, dtype=float)
    matrix.row[0] = 10**8
    return matrix


FAULTS = ("falls", "beyond", "far", "below", "column", "negative", "short")
DAMAGED = "is a damaged CSR matrix of shape .*; expected .* Make it anew"
CONTAINER = "; expected an array, a sparse matrix, a DataFrame or a list, .* Pass "


def dense(make):
    """Case of dense X that has to equal the array."""
    return Case(make, lambda: X)


def sparse(make):
    """Case of sparse X that has to equal CSR."""
    return Case(make, lambda: sp.csr_matrix(X))


def refused(make, match):
    """Case that has to be refused."""
    return Case(make, None, match)


def read_only():
    array = X.copy()
    array.flags.writeable = False
    return array


def with_duplicates():
    rows, columns = np.nonzero(X)
    twice = np.tile(rows, 2), np.tile(columns, 2)
    halves = np.tile(X[rows, columns] / 2, 2)
    order = np.argsort(twice[0], kind="stable")
    indptr = np.searchsorted(twice[0][order], np.arange(N + 1))
    return sp.csr_matrix((halves[order], twice[1][order], indptr), shape=X.shape)


def unsorted():
    matrix = sp.csr_matrix(X)
    return sp.csr_matrix((matrix.data[::-1], matrix.indices[::-1], matrix.indptr), X.shape)[::-1]


NAN = r"Input X contains NaN"
FEATURES = {
    "fortran": dense(lambda: np.asfortranarray(X)),
    "big-endian": dense(lambda: X.astype(">f8")),
    "negative strides": dense(lambda: X[::-1].copy()[::-1]),
    "strided": dense(lambda: np.repeat(X, 2, axis=0)[::2]),
    "read-only": dense(read_only),
    "long double": dense(lambda: X.astype(np.longdouble)),
    "list": dense(lambda: X.tolist()),
    "tuples": dense(lambda: tuple(map(tuple, X.tolist()))),
    "list of arrays": dense(lambda: list(X)),
    "list of tensors": dense(lambda: list(torch.tensor(X))),
    "tensor": dense(lambda: torch.tensor(X)),
    "objects": dense(lambda: X.astype(object)),
    "decimals": dense(lambda: np.array([[Decimal(v) for v in row] for row in X.tolist()])),
    "fractions": dense(lambda: np.array([[Fraction(v) for v in row] for row in X.tolist()])),
    "masked nowhere": dense(lambda: np.ma.masked_array(X, mask=False)),
    "pandas": dense(lambda: pd.DataFrame(X)),
    "pandas nullable": dense(lambda: pd.DataFrame(X).astype("Float64")),
    "pandas objects": dense(lambda: pd.DataFrame(X).astype(object)),
    "pandas levels": dense(
        lambda: pd.DataFrame(X, columns=pd.MultiIndex.from_product([["a", "b"], [1, 2, 3]]))
    ),
    "bfloat16": Case(
        lambda: torch.tensor(X).bfloat16(), lambda: torch.tensor(X).bfloat16().float().numpy()
    ),
    "large": Case(lambda: put(X, 1e100), lambda: put(X, 1e100)),
    "truth values": Case(lambda: X > 0, lambda: (X > 0).astype(float)),
    "bytes of integers": Case(lambda: (X > 0).astype(np.uint8), lambda: (X > 0).astype(float)),
    "coo": sparse(lambda: sp.coo_matrix(X)),
    "csc": sparse(lambda: sp.csc_array(X)),
    "lil": sparse(lambda: sp.lil_matrix(X)),
    "dok": sparse(lambda: sp.dok_matrix(X)),
    "dia": sparse(lambda: sp.dia_matrix(X)),
    "bsr": sparse(lambda: sp.bsr_matrix(X)),
    "csr of int64": sparse(lambda: sp.csr_array(sp.csr_matrix(X), dtype=float)),
    "csr twice": sparse(with_duplicates),
    "pandas sparse": sparse(lambda: pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(X))),
    **{
        f"damaged: {fault}": refused(lambda fault=fault: damaged(fault, X), f"^X {DAMAGED}")
        for fault in FAULTS
    },
    "damaged csc": refused(lambda: damaged("column", X.T).T, "^X is a damaged CSC matrix"),
    "damaged coo": refused(lambda: damaged_coo(X), "^X is a damaged COO matrix"),
    "none": refused(lambda: None, "X is None; expected the features"),
    "nan": refused(lambda: put(X, np.nan), NAN),
    "infinity": refused(lambda: put(X, np.inf), "Input X contains infinity"),
    "none in objects": refused(lambda: put(X, None, object), NAN),
    "pandas missing": refused(lambda: pd.DataFrame(X).astype("Float64").mask(X > 2), NAN),
    "polars null": refused(lambda: pl.DataFrame(X).with_columns(column_0=pl.lit(None)), NAN),
    "sparse nan": refused(lambda: sp.csr_matrix(put(X, np.nan)), NAN),
    "complex": refused(lambda: X.astype(complex), "X holds complex numbers .* pass X.real"),
    "sparse complex": refused(lambda: sp.csr_matrix(X, dtype=complex), "holds complex numbers"),
    "text of numbers": refused(lambda: X.astype(str), "X holds text in column 0 .*astype.float"),
    "bytes": refused(lambda: X.astype("S"), "X holds text in column 0"),
    "a text": refused(lambda: "some text", f"X is the text 'some text'{CONTAINER}a list of texts"),
    "texts": refused(lambda: ["some text"] * N, "X holds text .* TfidfVectorizer"),
    "byte strings": refused(lambda: [b"some text"] * N, "X holds text .* TfidfVectorizer"),
    "text in objects": refused(lambda: put(X, "a", object), "X holds text in column 2"),
    "text category": refused(lambda: pd.DataFrame(X).assign(z="a"), "X holds text in column 'z'"),
    "dates": refused(lambda: X.astype("M8[s]"), "X holds dates in column 0 .*timedelta64"),
    "dicts": refused(lambda: [{"a": 1.0}] * N, "type dict .* DictVectorizer"),
    "dict in objects": refused(lambda: put(X, {}, object), "type dict in column 2 .* DictVec"),
    "dict": refused(lambda: {"a": X[:, 0]}, f"X is a dict{CONTAINER}pandas.DataFrame"),
    "structured": refused(
        lambda: np.zeros(N, dtype=[("a", float)]), r"structured array .*structured_to_unstructured"
    ),
    "ragged": refused(
        lambda: [[1.0] * (1 + i % 3) for i in range(N)], "rows of 1 to 3 entries; expected as many"
    ),
    "rows and a value": refused(
        lambda: [*X[1:].tolist(), 3.0], r"side by side; .* Write a row of one entry as \[value\]"
    ),
    "arrays in objects": refused(
        lambda: np.array([None, *X[1:]], dtype=object), "X holds entries of type ndarray"
    ),
    "huge integer": refused(lambda: put(X, 10**400, object), "numbers beyond those of float64"),
    "masked": refused(
        lambda: np.ma.masked_array(X, X > 1), r"masked array of which \d+ cells .*filled"
    ),
    "generator": refused(lambda: (row for row in X), f"an iterator .generator.{CONTAINER}list"),
    "map": refused(lambda: map(list, X), f"X is an iterator .map.{CONTAINER}list"),
    "set": refused(lambda: set(range(N)), "X is a set, which has no order"),
    "function": refused(lambda: np.sum, f"X is of type _ArrayFunctionDispatcher.*{CONTAINER}"),
    "number": refused(lambda: 3, f"X is of type int, 3{CONTAINER}"),
    "memoryview": refused(lambda: memoryview(X), "X is a memoryview; .*numpy.asarray"),
    "polars lazy": refused(lambda: pl.DataFrame(X).lazy(), "LazyFrame, which holds no rows"),
    "polars lists": refused(lambda: pl.DataFrame({"a": [[1.0]] * N}), "holds entries of type"),
    "grad": refused(lambda: torch.tensor(X, requires_grad=True), "requires grad.*X.detach"),
    "meta tensor": refused(lambda: torch.tensor(X).to("meta"), "X is a tensor on meta"),
    "sparse tensor": refused(lambda: torch.tensor(X).to_sparse(), "layout torch.sparse_coo.*dense"),
    "twice a column": refused(
        lambda: pd.DataFrame(X, columns=list("aabcde")), "2 columns of the name 'a'; expected each"
    ),
    "mixed names": refused(
        lambda: pd.DataFrame(X, columns=["a", 1, 2, 3, 4, 5]), "Feature names are only supported"
    ),
    "one dimension": refused(lambda: X[:, 0], "Expected 2D array, got 1D array"),
    "series": refused(lambda: pd.Series(X[:, 0]), "2-dimensional container"),
    "three dimensions": refused(lambda: X[:, :, None], "Found array with dim 3"),
    "no columns": refused(lambda: X[:, :0], "Found array with 0 feature"),
}
# Of these predict takes what fit refuses, or refuses it for another reason.
NOT_PREDICTED = ("large", "pandas sparse", "truth values", "bytes of integers", "bfloat16")


def labels(make):
    """Case of labels that have to equal the array."""
    return Case(make, lambda: Y)


def binary(make):
    """Case of two classes that have to equal 0 and 1."""
    return Case(make, lambda: Y[:, 0])


CODED = r"y is a matrix coded as \[.*; expected 0 and 1"
MISSING = r"Input y contains NaN or None in \d+ of 90 rows; .*Leave these rows out"
TARGETS = {
    "truth values": labels(lambda: Y.astype(bool)),
    "uint8": labels(lambda: Y.astype(np.uint8)),
    "float32": labels(lambda: Y.astype(np.float32)),
    "list": labels(lambda: Y.tolist()),
    "objects": labels(lambda: Y.astype(object)),
    "decimals": labels(lambda: np.array([[Decimal(v) for v in row] for row in Y.tolist()])),
    "tensor": labels(lambda: torch.tensor(Y)),
    "pandas": labels(lambda: pd.DataFrame(Y)),
    "polars": labels(lambda: pl.DataFrame(Y)),
    "csr": labels(lambda: sp.csr_matrix(Y)),
    "coo": labels(lambda: sp.coo_array(Y)),
    "masked nowhere": labels(lambda: np.ma.masked_array(Y, mask=False)),
    "tags": labels(lambda: TAGS),
    "big-endian": labels(lambda: Y.astype(">i8")),
    "1-D": binary(lambda: Y[:, 0]),
    "1-D tuple": binary(lambda: tuple(Y[:, 0].tolist())),
    "1-D truth values": binary(lambda: Y[:, 0] > 0),
    "1-D text": binary(lambda: np.array(["a", "b"])[Y[:, 0]]),
    "1-D category": binary(lambda: pd.Series(np.array(["a", "b"])[Y[:, 0]], dtype="category")),
    "1-D huge": binary(lambda: Y[:, 0] * 10**18),
    "1-D dates": binary(lambda: Y[:, 0].astype("M8[D]")),
    **{
        f"damaged: {fault}": refused(lambda fault=fault: damaged(fault, Y), f"^y {DAMAGED}")
        for fault in FAULTS
    },
    "none": refused(lambda: None, "requires y to be passed, but the target y is None"),
    "nan alone": refused(lambda: np.full(Y.shape, np.nan), "only NaN|known label"),
    "nan alone, 1-D": refused(lambda: np.full(N, np.nan), MISSING),
    "none alone, 1-D": refused(lambda: [None] * N, MISSING),
    "some none, 1-D": refused(lambda: [None, *["a", "b"] * 44, "a"], MISSING),
    "pandas missing, 1-D": refused(lambda: pd.Series([1, None] * 45, dtype="Int64"), MISSING),
    "polars null, 1-D": refused(lambda: pl.Series([1, None] * 45), MISSING),
    "text and numbers": refused(lambda: ["a", 1] * 45, "text and other things, such as .'a', 1"),
    "text and numbers, array": refused(
        lambda: np.array(["a", 1] * 45, dtype=object), "text and other things, such as .'a', 1"
    ),
    "infinity": refused(lambda: put(Y, np.inf), "Input y contains infinity"),
    "continuous": refused(lambda: X[:, 0], "Unknown label type: continuous, such as .*digitize"),
    "objects of a class": refused(lambda: [object()] * N, "Unknown label type: y holds <object"),
    "one class": refused(lambda: np.zeros(N, int), "y has only 1 class"),
    "complex": refused(lambda: Y.astype(complex), "must hold numbers or text, got dtype complex"),
    "complex, 1-D": refused(lambda: Y[:, 0] + 0j, "y holds complex numbers .* pass y.real"),
    "dates": refused(lambda: Y.astype("M8[D]"), "must hold numbers or text, got dtype datetime64"),
    "structured": refused(lambda: np.zeros(N, dtype=[("a", int)]), "structured array .*y.'a'"),
    "a text": refused(lambda: "abc", f"y is the text 'abc'{CONTAINER}a list"),
    "number": refused(lambda: 3, f"y is of type int, 3{CONTAINER}"),
    "dict": refused(lambda: {"a": Y}, f"y is a dict{CONTAINER}"),
    "set": refused(lambda: {0, 1}, "y is a set, which has no order"),
    "generator": refused(lambda: (row for row in Y), f"y is an iterator .generator.{CONTAINER}"),
    "polars lazy": refused(lambda: pl.DataFrame(Y).lazy(), "LazyFrame, which holds no rows"),
    "masked": refused(lambda: np.ma.masked_array(Y, X[:, :4] > 1), "masked array of which"),
    "grad": refused(lambda: torch.tensor(Y * 1.0, requires_grad=True), "y.detach"),
    "sparse tensor": refused(lambda: torch.tensor(Y).to_sparse(), "layout torch.sparse_coo"),
    "three dimensions": refused(lambda: Y[:, :, None], "of output 0 of y add up to 0"),
    "no columns": refused(lambda: Y[:, :0], r"one label at least, got shape \(90, 0\)"),
    "fewer rows": refused(lambda: Y[:-1], "inconsistent numbers of samples"),
    "minus one": refused(lambda: 2 * Y - 1, CODED),
    "one and two": refused(lambda: Y + 1, CODED),
    "a stray two": refused(lambda: put(Y, 2), "matrix of labels but for 2 in 1 cell"),
    "a stray 1e300": refused(lambda: put(Y, 1e300), r"but for 1e\+300 in 1 cell"),
    "sparse two": refused(lambda: sp.csr_matrix(2 * Y), "sparse y must hold only 0 and 1"),
    "sparse nan": refused(lambda: sp.csr_matrix(put(Y, np.nan)), "sparse y must hold only 0 and"),
    "sets of numbers": refused(lambda: [{1}, {2}] * 45, "collection of label sets"),
    "tags and none": refused(lambda: [None, *TAGS[1:]], "1 of 90 rows of y are missing"),
}
if parse_version(sklearn.__version__) >= parse_version("1.7"):  # which only warned before
    TARGETS["bytes"] = refused(lambda: np.array([b"a", b"b"] * 45), "bytes is not supported")


def ones(value=1.0, dtype=float):
    """Weights of one, but for another value."""
    return put(np.ones(N), value, dtype)


TOO_FAR = r"sample_weight is .* at most; expected weights around 1"
WEIGHTS = {
    "ones": Case(lambda: np.ones(N), lambda: None),
    "list": Case(lambda: [1.0] * N, lambda: None),
    "truth values": Case(lambda: np.ones(N, bool), lambda: None),
    "series": Case(lambda: pd.Series(np.ones(N)), lambda: None),
    "polars": Case(lambda: pl.Series(np.ones(N)), lambda: None),
    "tensor": Case(lambda: torch.ones(N), lambda: None),
    "decimals": Case(lambda: np.array([Decimal(1)] * N), lambda: None),
    "one number": Case(lambda: 1.0, lambda: None),
    "negative": refused(lambda: ones(-1), "Negative values .* `sample_weight`"),
    "nan": refused(lambda: ones(np.nan), "sample_weight contains NaN"),
    "infinity": refused(lambda: ones(np.inf), "sample_weight contains infinity"),
    "zeros": refused(lambda: np.zeros(N), "at least one non-zero number"),
    "1e300": refused(lambda: np.full(N, 1e300), TOO_FAR),
    "a single 1e300": refused(lambda: ones(1e300), TOO_FAR),
    "1e-300": refused(lambda: np.full(N, 1e-300), TOO_FAR),
    "huge integers": refused(lambda: np.full(N, 2**62), TOO_FAR),
    "fewer": refused(lambda: np.ones(N - 1), r"sample_weight.shape == \(89,\), expected \(90,\)"),
    "a column": refused(lambda: np.ones((N, 1)), "must be 1D array or scalar"),
    "text of numbers": refused(lambda: ["1"] * N, "sample_weight holds text .*astype.float"),
    "a text": refused(lambda: "balanced", "the text 'balanced'.*compute_sample_weight"),
    "dates": refused(lambda: ones().astype("M8[D]"), "sample_weight holds dates"),
    "durations": refused(lambda: ones().astype("m8[s]"), "sample_weight holds durations"),
    "complex": refused(lambda: ones() + 0j, "sample_weight holds complex numbers"),
    "none in objects": refused(lambda: ones(None, object), "sample_weight contains NaN"),
    "sparse": refused(lambda: sp.csr_matrix(np.ones((N, 1))), "Sparse data was passed"),
    "dict": refused(lambda: {0: 2.0}, f"sample_weight is a dict{CONTAINER}"),
    "generator": refused(lambda: (1.0 for _ in X), "sample_weight is an iterator"),
    "grad": refused(lambda: torch.ones(N, requires_grad=True), "sample_weight.detach"),
    "objects": refused(lambda: [object()] * N, "sample_weight holds entries of type object"),
    "structured": refused(lambda: np.zeros(N, dtype=[("a", float)]), "a structured array"),
}
