"""The study of a forest's leaves gives rows the leaves that it says."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.ensemble import ExtraTreesClassifier

from benchmarks import datasets, forest_leaves
from benchmarks.store import Store, measure
from tests.helpers.estimators import labelled_rows

X, Y = labelled_rows()


def leaves(honest, **parameters):
    forest = ExtraTreesClassifier(20, min_samples_leaf=3, random_state=0, **parameters)
    return forest_leaves.ForestLeaves(forest, honest)


def test_rows_have_the_leaf_of_each_tree():
    transformer = leaves(honest=False).fit(X, Y)
    one_hot = transformer.transform(X)
    assert one_hot.nnz == one_hot.sum() == 20 * len(X)
    reached = transformer.estimator_.apply(X)
    together = (reached[:, None] == reached[None]).sum(axis=2)
    np.testing.assert_array_equal((one_hot @ one_hot.T).toarray(), together)
    np.testing.assert_array_equal(
        leaves(honest=False).fit_transform(X, Y).toarray(), one_hot.toarray()
    )


def test_honest_rows_have_the_trees_alone_that_were_not_grown_on_them():
    transformer = leaves(honest=True, bootstrap=True)
    honest, of_all = transformer.fit_transform(X, Y), transformer.transform(X)
    kept = np.zeros((len(X), 20), dtype=bool)
    for number, rows in enumerate(transformer.estimator_.estimators_samples_):
        kept[:, number] = ~np.isin(np.arange(len(X)), rows)
    assert (kept.sum(axis=1) < 20).all()
    np.testing.assert_array_equal(np.diff(honest.indptr), kept.sum(axis=1))
    np.testing.assert_allclose(honest.sum(axis=1), 20, rtol=1e-5)
    assert (of_all.toarray()[honest.toarray() > 0] == 1).all()


@pytest.mark.parametrize("name", ["public", "small"])
def test_the_study_is_measured_and_laid_out(name, tmp_path, monkeypatch):
    train, test = (csr_matrix(part) for part in (Y[:60], Y[60:]))
    made = datasets.DataSet("made", X[:60], train, X[60:], test)
    monkeypatch.setattr(datasets, "load", lambda name, as_shipped: made)
    monkeypatch.setattr(datasets, "SMALL", ("small",))
    monkeypatch.setattr(forest_leaves, "SEEDS", 2)
    trees = ExtraTreesClassifier(10, random_state=0)
    monkeypatch.setattr(forest_leaves, "METHODS", {"trees": lambda seed: trees})
    store = Store(tmp_path / "state.json")
    measure(store, name, forest_leaves.jobs(name, threads=1), say=lambda line: None)
    tuned, zero = forest_leaves.tables(store, [name, "other"])
    for table in (tuned, zero):
        assert table.columns == ("method", name, "mean micro-F1")
        ((method, figures, mean),) = table.rows
        assert method == "trees"
        assert float(figures.split(" ")[0]) == float(mean) > 0.3
