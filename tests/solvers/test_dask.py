"""Blocks of labels, and searches, on the workers of dask give what one process gives."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV

from sklearn_mlce import MLCEClassifier
from tests.solvers.test_label_blocks import SOLVERS, assert_equal_fits, documents

dask = pytest.importorskip("dask", reason="dask is not installed")
distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client():
    """Two workers that are threads: what they are sent is pickled as for processes."""
    # A port that is free: another test may have a cluster at the same time.
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.Client(processes=False, **options) as client:
        yield client


@pytest.mark.parametrize("threshold", [0.0, 0.01])
@pytest.mark.parametrize("solver", SOLVERS)
def test_blocks_equal_those_of_one_process(client, solver, threshold):
    X, Y = documents(constant=True)
    shared = {"label_block_size": 7, "coef_threshold": threshold, "solver": solver}
    shared |= {"random_state": 0, "warm_start": True, **SOLVERS[solver]}
    alone = MLCEClassifier(**shared).fit(X, Y)
    model = MLCEClassifier(n_jobs=2, **shared)
    with parallel_config(backend="dask"):
        assert_equal_fits(model.fit(X, Y), alone)
        assert_equal_fits(model.fit(X, Y), alone.fit(X, Y))  # from there on


@pytest.mark.parametrize("solver", SOLVERS)
def test_rows_are_not_sent_with_each_block(client, solver):
    X, Y = documents()
    X = sp.hstack([X] * 50, format="csr")  # 1.7 MB
    model = MLCEClassifier(solver=solver, label_block_size=15, max_iter=1, random_state=0)
    limit = {"distributed.admin.large-graph-warning-threshold": "300kB"}  # for each task
    # Recorded: as an error in dask's own thread it would let the fit wait for ever.
    cluster = parallel_config(backend="dask")
    with dask.config.set(limit), cluster, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, Y)
    assert not [str(one.message) for one in caught if "large graph" in str(one.message)]


@pytest.mark.parametrize("n_jobs", [None, 1])
def test_a_search_equals_that_of_one_process(client, n_jobs):
    X, Y = documents()
    # With None blocks are tasks of the cluster too, which the tasks of the search wait for.
    model = MLCEClassifier(n_jobs=n_jobs, label_block_size=15)
    search = GridSearchCV(model, {"C": [0.1, 10.0]}, scoring="f1_micro", cv=3)
    alone = search.fit(X, Y).cv_results_["mean_test_score"]
    with parallel_config(backend="dask"):
        scores = search.fit(X, Y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(scores, alone)
