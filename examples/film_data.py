"""The films of the examples: a table of what is known about each one, and its genres.

The data are a snapshot of Wikidata (CC0) that the package ``bokeh-sampledata`` installs as an
SQLite file, so nothing is fetched when an example runs.
"""

import sqlite3
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

LIST_COLUMNS = ("cast", "directors", "writers", "languages", "countries")
NUMBER_COLUMNS = ("year", "running_time")

_QUERY = """
SELECT Title AS title, Year AS year, Runtime AS running_time, "Cast" AS "cast",
       Director AS directors, Writer AS writers, Language AS languages,
       Country AS countries, Genre AS genres
FROM omdb
WHERE Genre <> ''
ORDER BY ID
"""

_TABLE_QUERY = """
SELECT omdb.Rating AS certificate, Released AS released, Reviews AS n_reviews, Fresh AS fresh,
       Metacritic AS metascore, BoxOffice AS box_office, Oscars AS oscars
FROM omdb JOIN tomatoes ON omdb.ID = tomatoes.ID
WHERE Genre <> ''
ORDER BY omdb.ID
"""


def database_path():
    """Where ``bokeh-sampledata`` keeps its film database.

    Returns
    -------
    path : pathlib.Path
        The SQLite file ``movies.db``.

    Raises
    ------
    ModuleNotFoundError
        If ``bokeh-sampledata`` is not installed, or is too old to carry the database.
    """
    spec = find_spec("bokeh_sampledata")
    path = (
        None
        if spec is None
        else Path(spec.origin).parent / "_data" / "movies.db"
    )
    if path is None or not path.is_file():
        seen = "is not installed" if spec is None else f"has no file {path}"
        raise ModuleNotFoundError(
            f"The film examples read the database of bokeh-sampledata 2026.1 or newer, but that "
            f'package {seen}. Type: pip install "bokeh-sampledata>=2026.1"'
        )
    return path


def load_films(min_films=50):
    """Load the films that have a genre.

    Parameters
    ----------
    min_films : int, default=50
        A genre becomes a column of `Y` if at least this many films carry it.

    Returns
    -------
    X : pandas.DataFrame of shape (17029, 8)
        One film per row. ``title`` is text; ``year`` and ``running_time`` (in minutes) are
        float32 with NaN where unknown; ``cast``, ``directors``, ``writers``, ``languages`` and
        ``countries`` are text, names separated by ``"; "``, empty where unknown.
    Y : pandas.DataFrame of shape (17029, n_genres)
        int64 indicators, 1 where the film carries the genre. The columns are the genres' names,
        the most frequent one first. A film whose only genres are too rare has a row of zeros.

    Raises
    ------
    ModuleNotFoundError
        If ``bokeh-sampledata`` is not installed.

    Examples
    --------
    >>> from film_data import load_films
    >>> X, Y = load_films()
    >>> X.shape, Y.shape
    ((17029, 8), (17029, 20))
    """
    films = _read(_QUERY)
    Y = films.pop("genres").str.get_dummies(sep=", ").astype("int64")
    n_films = Y.sum().sort_values(ascending=False, kind="stable")
    Y = Y[n_films.index[n_films >= min_films]]

    films[list(NUMBER_COLUMNS)] = films[list(NUMBER_COLUMNS)].astype("float32")
    for column in LIST_COLUMNS:
        films[column] = _separate_names(films[column])
    return films, Y


def load_texts():
    """Load each film as a text and a list of tags.

    Returns
    -------
    texts : pandas.Series of shape (17029,)
        Title, people, languages and countries of a film in one string, as a catalogue lists them.
    tags : list of 17029 tuples of str
        The genres of each film. Genres of fewer than 50 films are left out.

    Raises
    ------
    ModuleNotFoundError
        If ``bokeh-sampledata`` is not installed.

    Examples
    --------
    >>> from film_data import load_texts
    >>> texts, tags = load_texts()
    >>> texts[0][:17], tags[0]
    ('We Live in Public', ('Documentary',))
    """
    X, Y = load_films()
    texts = X["title"].str.cat(X[list(LIST_COLUMNS)], sep="; ")
    return texts, [tuple(Y.columns[row]) for row in Y.to_numpy() == 1]


def load_film_table():
    """Load the films as a table of numbers and categories, many of them missing.

    Returns
    -------
    X : pandas.DataFrame of shape (17029, 12)
        One film per row. ``certificate`` (who may see the film), ``country``, ``language`` (the
        first of each) and ``month`` are categories. ``year``, ``running_time``, ``n_actors``,
        ``n_reviews``, ``fresh`` (how many of the reviews are friendly), ``metascore``,
        ``box_office`` (in dollars) and ``oscars`` are float64. Both kinds have missing values.
    Y : pandas.DataFrame of shape (17029, 20)
        The genres, as :func:`load_films` returns them.

    Raises
    ------
    ModuleNotFoundError
        If ``bokeh-sampledata`` is not installed.

    Examples
    --------
    >>> from film_data import load_film_table
    >>> X, Y = load_film_table()
    >>> X.shape, Y.shape
    ((17029, 12), (17029, 20))
    """
    films, Y = load_films()
    table = _read(_TABLE_QUERY)
    categories = pd.DataFrame(
        {
            "certificate": table["certificate"],
            "country": films["countries"].str.split("; ").str[0],
            "language": films["languages"].str.split("; ").str[0],
            "month": pd.to_datetime(table["released"]).dt.month_name(),
        }
    )
    numbers = table.drop(columns=["certificate", "released"]).astype("float64")
    numbers.insert(
        0, "n_actors", films["cast"].str.count("; ") + (films["cast"] != "")
    )
    categories = categories.replace("", None).astype("category")
    return pd.concat(
        [categories, films[list(NUMBER_COLUMNS)].astype("float64"), numbers],
        axis=1,
    ), Y


def _read(query):
    """Rows that the database answers with."""
    connection = sqlite3.connect(
        f"{database_path().as_uri()}?mode=ro", uri=True
    )
    try:
        return pd.read_sql_query(query, connection)
    finally:
        connection.close()


def _separate_names(column):
    """Separate the names by ``"; "``, since a comma also stands inside "Harry Connick, Jr."."""
    return column.fillna("").str.replace(r", (?!Jr\.|Sr\.)", "; ", regex=True)


def make_film_features():
    """Describe how a film becomes a row of numbers.

    Returns
    -------
    features : sklearn.compose.ColumnTransformer
        Not fitted. It takes the table `X` of :func:`load_films` and returns a sparse float32
        matrix: one TF-IDF block per list of names, in which a name is a single feature; one for
        the words of the title; year and running time, the unknown ones replaced by the median
        and marked, as ranks between 0 and 1.

    Examples
    --------
    >>> from film_data import load_films, make_film_features
    >>> X, Y = load_films()
    >>> make_film_features().fit_transform(X).shape[0]
    17029
    """
    # A token is all that stands between two semicolons: "Woody Allen" is one feature, not two.
    names = TfidfVectorizer(
        token_pattern=r"[^;\s][^;]*", binary=True, dtype=np.float32
    )
    words = TfidfVectorizer(stop_words="english", dtype=np.float32)
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True),
        QuantileTransformer(n_quantiles=100, random_state=0),
    )
    return ColumnTransformer(
        [
            *((column, names, column) for column in LIST_COLUMNS),
            ("title", words, "title"),
            ("numbers", numbers, list(NUMBER_COLUMNS)),
        ]
    )
