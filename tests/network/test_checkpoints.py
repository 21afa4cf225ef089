"""Checkpoints of MLCEMLP: a killed run goes on, to the very weights of one that was not killed."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.metrics import label_ranking_average_precision_score, make_scorer
from skorch.callbacks import Callback
from torch import nn

from sklearn_mlce import MLCEMLP
from tests.helpers.estimators import labelled_rows, mlp
from tests.helpers.pairwise import parametrize_pairwise

X, Y = labelled_rows()
LRAP = make_scorer(label_ranking_average_precision_score, response_method="decision_function")


def deep(directory, **parameters):
    """Return an estimator with all that is random, which writes checkpoints."""
    defaults = {
        "hidden_layer_sizes": (8, 6),
        "dropout": 0.4,
        "batch_size": 16,
        "learning_rate_init": 0.02,
        "max_epochs": 8,
        "random_state": 3,
        "checkpoint_dir": directory,
    }
    return MLCEMLP(**(defaults | parameters))


def assert_same_fit(left, right):
    """Fail unless two fits are the same bit by bit."""
    assert left.loss_curve_ == right.loss_curve_
    assert left.validation_scores_ == right.validation_scores_
    assert (left.best_epoch_, left.n_iter_) == (right.best_epoch_, right.n_iter_)
    for name, array in left.state_dict_.items():
        assert array.dtype == right.state_dict_[name].dtype
        np.testing.assert_array_equal(array, right.state_dict_[name])
    for name, moments in left.optimizer_state_.items():
        for key, array in moments.items():
            np.testing.assert_array_equal(array, right.optimizer_state_[name][key])


class Killed(Exception):
    """What stands for a power cut."""


class Kill(Callback):
    """The end of a run in the midst of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise Killed


MODES = {
    "plain": {},
    "constant step": {"learning_rate": "constant"},
    "warm": {"warm_start": True},
    "loss": {"early_stopping": True, "n_iter_no_change": 2},
    "scorer": {"early_stopping": True, "scoring": "f1_micro", "validation_fraction": 0.3},
    "LRAP": {"early_stopping": True, "scoring": LRAP, "warm_start": True},
    "full batch": {"batch_size": 10**6, "dropout": 0.0},
}


@parametrize_pairwise(
    mode=MODES, container=[np.asarray, sp.csr_array], dtype=[np.float32, np.float64]
)
def test_a_killed_run_goes_on_to_the_same_weights(mode, container, dtype, tmp_path):
    features = container(X.astype(dtype))
    whole = deep(tmp_path / "whole", **MODES[mode]).fit(features, Y)
    for epoch in (2, 5):  # killed twice, in the same run
        model = deep(tmp_path / "cut", resume=True, callbacks=[Kill(epoch)], **MODES[mode])
        with pytest.raises(Killed):
            model.fit(features, Y)
    model = deep(tmp_path / "cut", resume=True, **MODES[mode])
    assert_same_fit(model.fit(features, Y), whole)


SETTINGS = {
    "max_epochs": 60,
    "early_stopping": True,
    "scoring": "f1_micro",
    "n_iter_no_change": 60,
}


class Slow(Callback):
    """Epochs long enough to be killed in any of them."""

    def on_epoch_end(self, net, **kwargs):
        time.sleep(0.02)


KILLED = """
    import sys
    from tests.network.test_checkpoints import SETTINGS, Slow, X, Y, deep
    deep(sys.argv[1], resume=True, callbacks=[Slow()], **SETTINGS).fit(X, Y)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_run_killed_by_the_system_goes_on_to_the_same_weights(tmp_path):
    whole = deep(None, **SETTINGS).fit(X, Y)
    path = tmp_path / "checkpoint.npz"
    run = subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)])
    try:
        deadline = time.monotonic() + 120
        while not path.exists() and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(np.random.default_rng().uniform(0, 1))  # an epoch that nobody chose
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert run.returncode == -signal.SIGKILL
    with np.load(path, allow_pickle=False) as file:
        assert '"finished": false' in str(file["about"])
    resumed = deep(tmp_path, resume=True, **SETTINGS).fit(X, Y)
    assert_same_fit(resumed, whole)
    assert os.listdir(tmp_path) == ["checkpoint.npz"]  # nothing is left of the write it was in


def test_a_finished_run_returns_at_once(tmp_path):
    whole = deep(tmp_path, early_stopping=True).fit(X, Y)
    again = deep(tmp_path, early_stopping=True, resume=True, callbacks=[Kill(1)])
    assert_same_fit(again.fit(X, Y), whole)
    np.testing.assert_array_equal(again.predict(X), whole.predict(X))


def test_a_run_that_was_asked_to_stop_stays_stopped(tmp_path):
    stopping = {"early_stopping": True, "n_iter_no_change": 1, "learning_rate_init": 0.3}
    whole = deep(tmp_path, **stopping, max_epochs=100).fit(X, Y)
    assert whole.n_iter_ < 100
    again = deep(tmp_path, **stopping, max_epochs=100, resume=True, callbacks=[Kill(1)])
    assert_same_fit(again.fit(X, Y), whole)


def test_resuming_starts_anew_where_there_is_nothing_to_resume(tmp_path):
    model = deep(tmp_path / "not" / "there", resume=True).fit(X, Y)
    assert_same_fit(model, deep(None).fit(X, Y))
    assert (tmp_path / "not" / "there" / "checkpoint.npz").exists()


def test_without_resume_a_fit_starts_anew_and_replaces_the_checkpoint(tmp_path):
    deep(tmp_path, max_epochs=2).fit(X, Y)
    other = deep(tmp_path, dropout=0.1).fit(X, Y)
    assert_same_fit(other, deep(None, dropout=0.1).fit(X, Y))
    assert_same_fit(deep(tmp_path, dropout=0.1, resume=True).fit(X, Y), other)


def test_a_seed_of_the_system_is_taken_from_the_checkpoint(tmp_path):
    settings = {"random_state": None, "early_stopping": True}
    with pytest.raises(Killed):
        deep(tmp_path, callbacks=[Kill(4)], **settings).fit(X, Y)
    with np.load(tmp_path / "checkpoint.npz") as file:
        before = {name: file[name] for name in file.files if name.startswith("last/weights/")}
    model = deep(tmp_path, resume=True, **settings).fit(X, Y)
    assert model.n_iter_ == 8
    assert_same_fit(deep(tmp_path, resume=True, **settings).fit(X, Y), model)
    assert len(before) == len(model.state_dict_)


OTHERS = {
    "dropout": ({"dropout": 0.1}, r"dropout: 0.4 there, 0.1 here"),
    "layers": ({"hidden_layer_sizes": (8,)}, r"hidden_layer_sizes: \[8, 6\] there, \[8\] here"),
    "step": ({"learning_rate_init": 0.1}, "learning_rate_init: 0.02 there, 0.1 here"),
    "epochs": ({"max_epochs": 9}, "max_epochs: 8 there, 9 here"),
    "batches": ({"batch_size": 5}, "batch_size: 16 there, 5 here"),
    "loss": ({"loss": "mlce", "scale": 2.0}, "loss, scale and margin: "),
    "precision": (
        {"precision": "full"},
        "precision of the weights: float32 there, float64 here",
    ),
    "seed": ({"random_state": 4}, "random_state: "),
    "weights": ({"label_weight": [1, 2, 3, 4]}, "label_weight: None there"),
    "held out": (
        {"early_stopping": True},
        "validation data: None there, given here; scoring: None",
    ),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_checkpoint_of_other_parameters_is_refused(other, tmp_path):
    parameters, message = OTHERS[other]
    deep(tmp_path, max_epochs=8).fit(X, Y)
    path = tmp_path / "checkpoint.npz"
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"of another fit: .*{message}.*set resume=False"):
        deep(tmp_path, resume=True, **parameters).fit(X, Y)
    assert path.read_bytes() == before


@pytest.mark.parametrize("other", ["features", "labels", "rows", "weight", "validation"])
def test_a_checkpoint_of_other_data_is_refused(other, tmp_path):
    given = {"early_stopping": True}
    validation = {"X_val": X[:20], "y_val": Y[:20]}
    deep(tmp_path, **given).fit(X, Y, **validation)
    features, labels, weight = X, Y, None
    if other == "features":
        features = X.copy()
        features[41, 3] += 1e-9
    elif other == "labels":
        labels = Y[::-1]
    elif other == "rows":
        features, labels = X[:-1], Y[:-1]
    elif other == "weight":
        weight = np.arange(1, len(X) + 1)
    else:
        validation = {"X_val": X[:21], "y_val": Y[:21]}
    what = "validation data" if other == "validation" else "training data"
    with pytest.raises(ValueError, match=rf"another fit: {what}, .* Fit with the same"):
        deep(tmp_path, resume=True, **given).fit(features, labels, weight, **validation)


class Squashed(nn.Module):
    """A loss with functions for attributes."""

    def __init__(self, squash):
        super().__init__()
        self.squash, self.bound = squash, partial(squash, 1.0)

    def forward(self, scores, targets):
        return nn.functional.binary_cross_entropy(self.squash(scores), targets.to(scores.dtype))


def squash_function():
    """Return a function that has another address each time, as in another process."""

    def squash(scores):
        return scores.sigmoid()

    return squash


def test_functions_are_known_by_their_names(tmp_path):
    first, second = squash_function(), squash_function()
    with pytest.raises(Killed):
        deep(tmp_path, loss=Squashed(first), callbacks=[Kill(3)]).fit(X, Y)
    resumed = deep(tmp_path, loss=Squashed(second), resume=True).fit(X, Y)
    assert_same_fit(resumed, deep(None, loss=Squashed(first)).fit(X, Y))
    with pytest.raises(ValueError, match=r"squash_function.*there, .*Class.sigmoid.* here"):
        deep(tmp_path, loss=Squashed(torch.sigmoid), resume=True).fit(X, Y)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    deep(tmp_path).fit(X, Y)
    whole = path.read_bytes()
    for content in (b"", b"not an archive", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"not a checkpoint, or is damaged: .*Delete it"):
            deep(tmp_path, resume=True).fit(X, Y)
    for about, seen in (('{"format": 99}', 99), ("{}", None), ("[]", None)):
        np.savez(path, about=np.array(about))
        with pytest.raises(ValueError, match=rf"has format {seen}, this version reads 4"):
            deep(tmp_path, resume=True).fit(X, Y)


def test_resume_needs_a_directory():
    with pytest.raises(ValueError, match=r"checkpoint_dir is None. Set it to the directory"):
        mlp(resume=True).fit(X, Y)


def test_a_checkpoint_holds_no_pickle_and_every_write_is_whole(tmp_path, monkeypatch):
    replaced = []

    def replace(source, target, original=os.replace):
        assert os.path.dirname(source) == os.path.dirname(target)
        with zipfile.ZipFile(source) as archive:
            assert archive.testzip() is None
        replaced.append(target)
        original(source, target)

    monkeypatch.setattr(os, "replace", replace)
    deep(tmp_path, max_epochs=3).fit(X, Y)
    assert len(replaced) == 3
    with np.load(tmp_path / "checkpoint.npz", allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "fU" for name in file.files)


def test_leftovers_of_a_killed_write_are_cleared(tmp_path):
    (tmp_path / ".checkpoint-1-2.partial").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    deep(tmp_path, max_epochs=1).fit(X, Y)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.npz", "notes.txt"]


def test_a_warm_start_is_resumed_from_where_it_started(tmp_path):
    def begun(**parameters):
        return deep(None, warm_start=True, **parameters).fit(X, Y)

    whole = begun().set_params(max_epochs=5).fit(X, Y)
    cut = begun().set_params(max_epochs=5, checkpoint_dir=tmp_path, callbacks=[Kill(3)])
    with pytest.raises(Killed):
        cut.fit(X, Y)
    resumed = begun().set_params(max_epochs=5, checkpoint_dir=tmp_path, resume=True).fit(X, Y)
    assert_same_fit(resumed, whole)
    assert resumed.n_iter_ == 13
    with pytest.raises(ValueError, match=r"epochs before this fit: 8 there, 0 here"):
        deep(tmp_path, warm_start=True, max_epochs=5, resume=True).fit(X, Y)


def test_a_warm_start_goes_on_from_a_finished_checkpoint(tmp_path):
    options = {"warm_start": True, "learning_rate": "constant"}  # two cycles are not one
    model = deep(tmp_path, resume=True, max_epochs=4, **options).fit(X, Y).fit(X, Y)
    assert_same_fit(model, deep(None, max_epochs=8, **options).fit(X, Y))


def test_the_last_good_weights_stay_on_disk(tmp_path):
    class Poison(Callback):
        def on_batch_begin(self, net, training, **kwargs):
            if training and len(net.history) == 4:
                net.module_.layers[0].bias.data[0] = np.nan

    with pytest.raises(ValueError, match="batch 1 of epoch 4"):
        deep(tmp_path, callbacks=[Poison()]).fit(X, Y)
    assert_same_fit(deep(tmp_path, resume=True).fit(X, Y), deep(None).fit(X, Y))


def test_parameters_are_cloned_and_kept(tmp_path):
    model = clone(deep(tmp_path, resume=True))
    assert model.checkpoint_dir == tmp_path
    assert model.fit(X, Y).get_params() == clone(model).get_params()


@pytest.mark.gpu
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_a_run_on_a_gpu_goes_on_there_and_on_the_cpu(container, tmp_path):
    features = container(X.astype(np.float32))
    settings = {"device": "cuda", "dropout": 0.0}
    whole = deep(None, **settings).fit(features, Y)
    with pytest.raises(Killed):
        deep(tmp_path, callbacks=[Kill(4)], **settings).fit(features, Y)
    part = (tmp_path / "checkpoint.npz").read_bytes()
    for device in ("cuda", "cpu"):
        (tmp_path / "checkpoint.npz").write_bytes(part)
        settings["device"] = device
        model = deep(tmp_path, resume=True, **settings).fit(features, Y)
        np.testing.assert_allclose(
            model.decision_function(features), whole.decision_function(features), atol=1e-3
        )
