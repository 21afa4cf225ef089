"""What both estimators hold, show and hand over: parameters, copies, files, global state."""

import copy
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.validation import check_is_fitted

from sklearn_mlce import MLCEMLP, MLCEClassifier
from tests.helpers.estimators import (
    assert_same_scores,
    labelled_rows,
    linear,
    mlp,
    on_both,
    single_labels,
)
from tests.helpers.pairwise import parametrize_pairwise

X, Y = labelled_rows()
TARGETS = {
    **single_labels(Y),
    "dense": Y.astype(np.int8),
    "sparse": sp.csr_matrix(Y),
    "soft": 0.1 + 0.8 * Y,
    "frame": pd.DataFrame(Y, columns=list("abcd")),
}


def by_joblib(model, folder, mmap_mode=None):
    joblib.dump(model, folder / "model.joblib")
    return joblib.load(folder / "model.joblib", mmap_mode=mmap_mode)


COPIES = {
    "deepcopy": lambda model, folder: copy.deepcopy(model),
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "joblib": by_joblib,
    "memory maps": lambda model, folder: by_joblib(model, folder, mmap_mode="r"),
}


@parametrize_pairwise(make=[linear, mlp], copied=COPIES, kind=TARGETS)
def test_a_copy_answers_alike(make, copied, kind, tmp_path):
    y = TARGETS[kind]
    model = make().fit(X, y)
    twin = COPIES[copied](model, tmp_path)
    assert_same_scores(twin, model, X)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    assert type(twin.predict(X)) is type(model.predict(X))
    assert twin.classes_.tolist() == model.classes_.tolist()
    assert hasattr(twin, "label_names_") == (kind == "frame")


def arrays_of(model):
    return [model.coef_] if isinstance(model, MLCEClassifier) else [*model.state_dict_.values()]


@on_both
def test_training_goes_on_from_memory_maps(make, tmp_path):
    model = make(warm_start=True).fit(X, Y)
    mapped = by_joblib(model, tmp_path, mmap_mode="r")
    assert not any(array.flags.writeable for array in arrays_of(mapped))
    assert_same_scores(mapped.fit(X[:60], Y[:60]), model.fit(X[:60], Y[:60]), X)
    if make is mlp:
        mapped = by_joblib(model, tmp_path, mmap_mode="r")
        assert_same_scores(mapped.partial_fit(X, Y), model.partial_fit(X, Y), X)


@on_both
def test_threads_share_a_pipeline(make):
    features = sp.csr_array(np.where(X > 0, X, 0))
    model = make_pipeline(MaxAbsScaler(), make()).fit(features, sp.csr_array(Y))
    scores, labels = model.decision_function(features), model.predict(features)
    with ThreadPoolExecutor(4) as pool:
        for parallel in pool.map(model.decision_function, [features] * 12):
            np.testing.assert_array_equal(parallel, scores)
        for parallel in pool.map(model.predict, [features] * 12):
            assert (parallel != labels).nnz == 0


@on_both
def test_threads_fit_side_by_side(make):
    targets = [Y[:, :2], Y, Y[:, ::-1], Y[:, 0]] * 2
    with ThreadPoolExecutor(4) as pool:
        fits = list(pool.map(lambda y: make().fit(X, y), targets))
    for y, model in zip(targets, fits, strict=True):
        assert_same_scores(model, make().fit(X, y), X)


def cloned_and_fitted(model, X, y):
    return clone(model).fit(X, y), model.decision_function(X)


@on_both
def test_another_process_clones_fits_and_predicts(make):
    model = make(loss="mlce", scale=2.0).fit(X, Y)
    ((refitted, scores),) = Parallel(n_jobs=2)([delayed(cloned_and_fitted)(model, X, Y)])
    np.testing.assert_allclose(scores, model.decision_function(X), rtol=0, atol=1e-12)
    assert refitted.get_params() == model.get_params()
    assert_same_scores(refitted, model, X)


@on_both
def test_clones_keep_the_parameters_alone(make):
    weight = np.array([1.0, 2.0, 1.0, 3.0])
    model = make(loss="mlce", label_weight=weight, scale=2.0).fit(X, Y)
    assert model.label_weight is weight
    cloned = clone(model)
    np.testing.assert_array_equal(cloned.label_weight, weight)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        cloned.predict(X)
    assert_same_scores(cloned.fit(X, Y), model, X)


@on_both
def test_a_first_fit_that_fails_leaves_the_estimator_unfitted(make):
    model = make()
    before = dict(vars(model))
    with pytest.raises(ValueError, match="coded as"):
        model.fit(pd.DataFrame(X, columns=list("abcdef")), np.where(Y, 1, -1))
    assert vars(model) == before
    with pytest.raises(NotFittedError):
        check_is_fitted(model)


@on_both
def test_nested_parameters(make):
    pipeline = make_pipeline(MaxAbsScaler(), make(loss="mlce"))
    name = pipeline.steps[-1][0]
    pipeline.set_params(**{f"{name}__scale": 5.0, f"{name}__margin": 0.5})
    assert pipeline.get_params()[f"{name}__scale"] == pipeline[-1].scale == 5.0
    scaled = MaxAbsScaler().fit_transform(X)
    alike = make(loss="mlce", scale=5.0, margin=0.5).fit(scaled, Y)
    assert_same_scores(pipeline.fit(X, Y), alike, X, scaled)
    with pytest.raises(ValueError, match="Invalid parameter 'gamma'"):
        pipeline.set_params(**{f"{name}__gamma": 1.0})


def test_a_repr_shows_what_differs_from_the_defaults():
    assert repr(MLCEClassifier()) == "MLCEClassifier()"
    assert repr(MLCEClassifier(10, scale=2.0)) == "MLCEClassifier(C=10, scale=2.0)"
    assert repr(MLCEMLP((8,), dropout=0.1)) == "MLCEMLP(dropout=0.1, hidden_layer_sizes=(8,))"
    with sklearn.config_context(print_changed_only=False):
        shown = repr(MLCEClassifier())
    assert all(f"{name}=" in shown for name in MLCEClassifier().get_params())


@on_both
def test_html_repr(make):
    pipeline = make_pipeline(MaxAbsScaler(), make(loss="mlce", scale=2.5))
    name = type(pipeline[-1]).__name__
    unfitted = estimator_html_repr(pipeline)
    fitted = pipeline.fit(X, Y)._repr_html_()
    for page in (unfitted, fitted):
        assert name in page
        assert "2.5" in page
    assert "<span>Not fitted</span>" in unfitted
    assert "<span>Fitted</span>" in fitted


@on_both
def test_tags(make):
    tags = get_tags(make())
    assert tags.estimator_type == "classifier"
    assert tags.classifier_tags.multi_label
    assert tags.classifier_tags.multi_class
    assert tags.target_tags.required
    assert not tags.target_tags.multi_output  # several outputs of more than two classes each
    assert not tags.input_tags.allow_nan
    assert tags.input_tags.sparse
    assert get_tags(make_pipeline(MaxAbsScaler(), make())).classifier_tags.multi_label


@on_both
def test_label_names_are_those_of_the_last_y(make):
    model = make().fit(X, TARGETS["frame"])
    assert model.label_names_.tolist() == list("abcd")
    model.fit(X, TARGETS["frame"][["c", "b"]])
    assert model.label_names_.tolist() == ["c", "b"]
    for kind in ("dense", "sparse", "binary"):
        model.fit(X, TARGETS["frame"]).fit(X, TARGETS[kind])
        assert not hasattr(model, "label_names_")


LEAVES_NO_TRACE = """
    import pickle, random, warnings
    import numpy as np, scipy.sparse as sp, skorch, sklearn.base, torch
    import torch._dynamo  # torch loads it, and with it sympy's own filter, at the first step

    def state():
        return pickle.dumps({
            "filters": [str(entry) for entry in warnings.filters],
            "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
            "defaults": (torch.get_default_dtype(), str(torch.get_default_device())),
            "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "generators": (torch.get_rng_state().tolist(), random.getstate()),
            "numpy": (np.random.get_state(), np.geterr(), np.get_printoptions()),
            "scikit-learn": sklearn.get_config(),
        })

    before = state()
    from sklearn_mlce import MLCEMLP, MLCEClassifier
    assert state() == before, "import"
    rows = np.random.default_rng(0).normal(size=(40, 3))
    models = (
        MLCEClassifier(),
        MLCEMLP((4,), max_epochs=2),
        MLCEMLP((4,), max_epochs=2, early_stopping=True, random_state=0),
    )
    for X, Y in ((rows, rows > 0.3), (sp.csr_array(rows), sp.csr_array(rows > 0.3))):
        for model in models:
            model.fit(X, Y)
            assert state() == before, f"fit of {model}"
            model.predict(X), model.predict_proba(X)
            assert state() == before, f"predict of {model}"
"""


@pytest.mark.slow
def test_global_state_is_left_alone():
    program = [sys.executable, "-W", "error", "-c", textwrap.dedent(LEAVES_NO_TRACE)]
    run = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
