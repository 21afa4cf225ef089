"""The films of the examples: what the loader promises, and the features of a few of them."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

pytest.importorskip("pandas", reason="the examples need pandas: pip install pandas")
pytest.importorskip(
    "bokeh_sampledata", reason='the examples need pip install "bokeh-sampledata>=2026.1"'
)

import pandas as pd

from sklearn_mlce import MLCEClassifier

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("plot_*.py"))


@pytest.fixture(scope="module")
def film_data():
    sys.path.insert(0, str(EXAMPLES))
    try:
        import film_data
    finally:
        sys.path.remove(str(EXAMPLES))
    return film_data


@pytest.fixture(scope="module")
def films(film_data):
    return film_data.load_films()


def test_the_gallery_has_an_order_and_every_example_its_place():
    order = EXAMPLES.parent / "docs" / "_ext" / "gallery_order.py"
    names = runpy.run_path(str(order))["READING_ORDER"]
    assert sorted(names) == SCRIPTS
    assert len(names) >= 12


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_draws_and_warns(name):
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert "plt.show()" in text
    if name != "plot_zero_threshold.py":  # it explains the loss, and does no task
        assert "# Pitfalls\n# --------\n" in text


def test_films_and_genres_are_aligned_tables(films):
    X, Y = films
    assert len(X) == len(Y) > 17_000
    assert list(X.columns) == [
        "title",
        "year",
        "running_time",
        "cast",
        "directors",
        "writers",
        "languages",
        "countries",
    ]
    known = X.index[(X["title"] == "Chimes at Midnight") & (X["year"] == 1965)]
    (row,) = known
    assert "Orson Welles" in X.loc[row, "directors"]
    assert Y.loc[row, "Drama"] == 1
    assert Y.loc[row, "Western"] == 0


def test_genres_are_indicators_most_frequent_first(films):
    Y = films[1].to_numpy()
    assert Y.dtype == np.int64
    assert set(np.unique(Y)) == {0, 1}
    counts = Y.sum(axis=0)
    assert (np.diff(counts) <= 0).all()
    assert counts.min() >= 50


def test_min_films_decides_which_genres_are_columns(film_data, films):
    _, Y = film_data.load_films(min_films=1000)
    expected = films[1].columns[films[1].to_numpy().sum(axis=0) >= 1000]
    assert list(Y.columns) == list(expected)


def test_only_numbers_may_be_missing(films):
    X, _ = films
    missing = X.isna().any()
    assert list(missing[missing].index) == ["running_time"]


def test_the_table_has_categories_numbers_and_gaps(film_data, films):
    X, Y = film_data.load_film_table()
    assert Y.equals(films[1])
    np.testing.assert_array_equal(X["year"], films[0]["year"])
    categories = X.select_dtypes("category").columns
    assert list(categories) == ["certificate", "country", "language", "month"]
    assert not X[categories].isin([""]).any(axis=None)
    assert X[["certificate", "metascore", "box_office"]].isna().mean().between(0.5, 0.9).all()
    (row,) = films[0].index[films[0]["title"] == "Chimes at Midnight"]
    n_names = len(films[0].loc[row, "cast"].split("; "))
    assert X.loc[row, "n_actors"] == n_names
    assert set(X.loc[films[0]["cast"] == "", "n_actors"]) == {0}


def test_texts_and_tags_are_those_of_the_tables(film_data, films):
    texts, tags = film_data.load_texts()
    X, Y = films
    (row,) = X.index[X["title"] == "Chimes at Midnight"]
    assert "Orson Welles" in texts[row]
    assert texts[row].startswith("Chimes at Midnight; ")
    assert list(tags[row]) == list(Y.columns[Y.loc[row] == 1])
    assert len(texts) == len(tags) == len(Y)


def test_a_comma_inside_a_name_does_not_split_it(film_data):
    column = pd.Series(["Robert Downey, Jr., Uma Thurman", "Cher", None])
    separated = film_data._separate_names(column)
    assert list(separated) == ["Robert Downey, Jr.; Uma Thurman", "Cher", ""]


def test_a_name_is_one_feature(film_data):
    X = pd.DataFrame(
        {
            "title": ["One Word", "Other Words"],
            "year": np.float32([1950, 1990]),
            "running_time": np.float32([90, np.nan]),
            "cast": ["Ann Lee; Bob", "Bob"],
            "directors": ["Eve", "Eve"],
            "writers": ["Kim", "Lou"],
            "languages": ["Latin", "Latin"],
            "countries": ["Chad", "Peru"],
        }
    )
    features = film_data.make_film_features()
    vectorizers = {name: vectorizer for name, vectorizer, _ in features.transformers}
    names = vectorizers["cast"].fit(X["cast"]).get_feature_names_out()
    assert list(names) == ["ann lee", "bob"]


def test_features_stay_sparse_and_small(film_data, films):
    X = films[0].iloc[:300]
    matrix = film_data.make_film_features().fit_transform(X)
    assert sp.issparse(matrix)
    assert matrix.dtype == np.float32
    assert matrix.shape[0] == 300
    assert np.isfinite(matrix.data).all()
    assert matrix.max() <= 1


def test_a_model_learns_genres_from_the_features(film_data, films):
    X, Y = films[0].iloc[:400], films[1].iloc[:400, :4]
    matrix = film_data.make_film_features().fit_transform(X)
    model = MLCEClassifier(C=100).fit(matrix, Y)
    assert list(model.label_names_) == list(Y.columns)
    assert (model.predict(matrix) == Y.to_numpy()).mean() > 0.95


def test_a_missing_package_is_named_with_what_to_type(film_data, monkeypatch):
    monkeypatch.setattr(film_data, "find_spec", lambda name: None)
    with pytest.raises(
        ModuleNotFoundError, match=r'not installed\. Type: pip install "bokeh-sampledata>=2026\.1"'
    ):
        film_data.load_films()


def test_the_example_on_the_front_page_runs():
    page = (EXAMPLES.parent / "docs" / "index.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names = {}
    exec(code, names)
    predicted, scores = names["predicted"], names["scores"]
    assert predicted.shape == scores.shape == (500, 20)
    np.testing.assert_array_equal(predicted, scores > 0)
