"""The public data sets and the features that every method of the benchmarks is given."""

import os
from dataclasses import dataclass
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, normalize

#: Every set, the quick ones first, so that a run shows its first results early.
NAMES = (
    "yeast",
    "birds",
    "bibtex",
    "films",
    "goemotions",
    "delicious",
    "cooking",
    "asklibrarian_yso",
    "cellcycle_go",
)

#: Small sets that only the search for the default C is run on.
SMALL = ("cal500", "flags", "foodtruck")

ROOT = Path(__file__).resolve().parent.parent
#: What says how a film becomes a row of numbers: the same as in the examples.
FILM_DATA = ROOT / "examples" / "film_data.py"


@dataclass(frozen=True)
class DataSet:
    """Features and labels of one set, split as its publishers did; films by a fixed seed.

    Attributes
    ----------
    name : str
        One of `NAMES` or `SMALL`.
    X_train, X_test : ndarray or csr_matrix of shape (n, d), float64
        Dense sets are standardised, sparse and text sets have rows of unit norm, and films the
        blocks of TF-IDF and of ranks that the examples give them.
    Y_train, Y_test : csr_matrix of shape (n, L), int64
        0/1 labels. int64 because narrow integers make scikit-learn permute many columns.
    """

    name: str
    X_train: np.ndarray | sp.csr_matrix
    Y_train: sp.csr_matrix
    X_test: np.ndarray | sp.csr_matrix
    Y_test: sp.csr_matrix

    @property
    def unseen(self) -> np.ndarray:
        """Boolean (L,): the labels that no training row carries."""
        return np.asarray(self.Y_train.sum(axis=0)).ravel() == 0

    @property
    def size(self) -> str:
        """Rows, features and labels in words, for a table's heading."""
        n, d = self.X_train.shape
        return f"{n} + {self.X_test.shape[0]} rows, {d} features, {self.Y_train.shape[1]} labels"


def data_folder() -> Path:
    """Folder of the data sets: ``SKLEARN_MLCE_DATA``, else ``../shared/data`` by the repository."""
    return Path(os.environ.get("SKLEARN_MLCE_DATA", ROOT.parent / "shared" / "data"))


def read(path: Path) -> tuple[object, sp.csr_matrix, np.ndarray, np.ndarray]:
    """Read one ``.npz`` of the shared format.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    X : ndarray, csr_matrix or list of str
        Raw features of all rows, by the kind of the set; nominal columns are one-hot.
    Y : csr_matrix of shape (n, L), int64
    train, test : ndarray of int64
        Rows of the public split; the validation rows, where there are any, count as training rows.

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist. The benchmarks read the public data sets from there; they are "
            "not part of this repository. Set SKLEARN_MLCE_DATA=<folder of the .npz files>."
        )
    with np.load(path, allow_pickle=False) as stored:
        parts = {key: stored[key] for key in stored.files}
    ones = np.ones(len(parts["Y_indices"]), np.int64)
    Y = sp.csr_matrix((ones, parts["Y_indices"], parts["Y_indptr"]), shape=tuple(parts["Y_shape"]))
    train = parts["train_index"]
    if "val_index" in parts:
        train = np.concatenate([train, parts["val_index"]])
    return _raw_features(parts), Y, train, parts["test_index"]


def _raw_features(parts):
    if "X" in parts:
        return _one_hot(parts["X"], parts.get("nominal", ()))
    if "X_data" in parts:
        csr = (parts["X_data"], parts["X_indices"], parts["X_indptr"])
        return sp.csr_matrix(csr, shape=tuple(parts["X_shape"]))
    text, offsets = parts["text_bytes"].tobytes(), parts["text_offsets"]
    return [text[a:b].decode("utf-8") for a, b in pairwise(offsets)]


def _one_hot(X, nominal):
    """Columns that hold codes of values, replaced by one column for each code."""
    if not np.any(nominal):
        return X
    codes = OneHotEncoder(sparse_output=False).fit_transform(X[:, nominal])
    return np.hstack([X[:, ~nominal], codes])


def featurise(raw, train, test, *, as_shipped=False):
    """Turn raw features into what the methods get, learning from the training rows only.

    Parameters
    ----------
    raw : ndarray, csr_matrix or list of str
        Raw features of all rows.
    train, test : ndarray of int64
        Row numbers.
    as_shipped : bool, default=False
        Leave rows and columns in the units that they have in the files.

    Returns
    -------
    X_train, X_test : ndarray or csr_matrix, float64
        Text: sublinear TF-IDF of uni- and bigrams that occur in two training texts or more. Sparse:
        rows of unit norm. Dense: missing values replaced by the mean, then standardised.
    """
    if isinstance(raw, list):
        tfidf = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
        X_train = tfidf.fit_transform([raw[i] for i in train])
        return X_train, tfidf.transform([raw[i] for i in test])
    if sp.issparse(raw):
        rows = raw[train].astype(np.float64), raw[test].astype(np.float64)
        return rows if as_shipped else (normalize(rows[0]), normalize(rows[1]))
    scale = StandardScaler(with_mean=not as_shipped, with_std=not as_shipped)
    scale = make_pipeline(SimpleImputer(keep_empty_features=True), scale)
    X_train = scale.fit_transform(raw[train].astype(np.float64))
    return X_train, scale.transform(raw[test].astype(np.float64))


def load_films() -> DataSet:
    """Load the films of the examples; a quarter of the rows, drawn by a fixed seed, is for testing.

    Returns
    -------
    DataSet
        Its features are fitted on the training rows.

    Raises
    ------
    ModuleNotFoundError
        If ``bokeh-sampledata`` is not installed.
    """
    spec = spec_from_file_location("film_data", FILM_DATA)
    film_data = module_from_spec(spec)
    spec.loader.exec_module(film_data)
    films, genres = film_data.load_films()
    train, test = train_test_split(np.arange(len(films)), test_size=0.25, random_state=0)
    features = film_data.make_film_features()
    X_train = sp.csr_matrix(features.fit_transform(films.iloc[train]), dtype=np.float64)
    X_test = sp.csr_matrix(features.transform(films.iloc[test]), dtype=np.float64)
    Y = sp.csr_matrix(genres.to_numpy(np.int64))
    return DataSet("films", _in_order(X_train), Y[train], _in_order(X_test), Y[test])


@cache
def load(name: str, as_shipped: bool = False) -> DataSet:
    """Load one set and make its features, and keep it in memory.

    Parameters
    ----------
    name : str
        One of `NAMES` or `SMALL`.
    as_shipped : bool, default=False
        Leave rows and columns in the units that they have in the files; not of films.

    Returns
    -------
    DataSet
    """
    if name == "films":
        return load_films()
    raw, Y, train, test = read(data_folder() / f"{name}.npz")
    X_train, X_test = featurise(raw, train, test, as_shipped=as_shipped)
    return DataSet(name, _in_order(X_train), Y[train], _in_order(X_test), Y[test])


def _in_order(X):
    """Sort a sparse row's entries: scikit-learn would in place, which fails on shared memory."""
    if sp.issparse(X):
        X.sum_duplicates()
    return X
