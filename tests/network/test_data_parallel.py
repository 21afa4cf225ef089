"""Several processes train the network that one trains, and end together."""

import os
import pickle
import re
import subprocess
import sys
import weakref
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
import torch.distributed as dist
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from torch import nn

from sklearn_mlce import MLCEMLP
from sklearn_mlce._network import process_group
from sklearn_mlce._network.process_group import ALONE, device_of_process, join_group
from tests.losses.test_training_loops import PROGRAMS
from tests.network import data_parallel_script as script

ROOT = Path(__file__).parents[2]
SIZES = (2, 3)
THREADS = dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Where the groups of processes have left what they found."""
    directory = tmp_path_factory.mktemp("data_parallel")
    ran = subprocess.run(
        [sys.executable, script.__file__, str(directory)],
        cwd=ROOT,
        env={**os.environ, **THREADS, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return directory


def found_by(directory, group, rank):
    """Return what a rank of a group found."""
    return pickle.loads((directory / f"{group}-{rank}.pkl").read_bytes())


@pytest.fixture(scope="module", params=SIZES)
def found(request, directory):
    """What each rank of a group found, by rank."""
    group = f"together {request.param}"
    return [found_by(directory, group, rank) for rank in range(request.param)]


def assert_same_state(left, right, tolerance):
    """Fail unless two fits are the same up to a difference in each number."""
    assert left["weights"].keys() == right["weights"].keys()
    for name, array in left["weights"].items():
        np.testing.assert_allclose(array, right["weights"][name], rtol=0, atol=tolerance)
    for name in ("losses", "scores"):
        np.testing.assert_allclose(left[name], right[name], rtol=tolerance, atol=tolerance)
    assert (left["epochs"], left["seed"]) == (right["epochs"], right["seed"])


@forks
@pytest.mark.slow
@pytest.mark.parametrize("case", [*script.FITS, "stream", "warm", "resumed"])
def test_they_train_the_network_of_one_process(case, found):
    fits = {"stream": script.stream, "warm": script.warm}
    name = "float64" if case == "resumed" else case
    alone = fits[case]() if case in fits else script.fit(name)
    in_full = alone.get_params()["precision"] == "full"
    assert_same_state(found[0][case], script.state_of(alone), 1e-10 if in_full else 1e-6)


@forks
@pytest.mark.slow
def test_ranks_end_with_the_same_bits(found):
    of_first, *others = found
    for name, state in of_first.items():
        if isinstance(state, dict):
            for of_other in others:
                assert_same_state(of_other[name], state, 0)


@forks
@pytest.mark.slow
def test_all_stop_where_one_asks_for_it(found):
    assert [of_rank["stopped"]["epochs"] for of_rank in found] == [(2, 2)] * len(found)


@forks
@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_another_number_of_processes_resumes_to_the_same_weights(size, directory):
    assert not (directory / "not to be made").exists()  # the first rank alone writes
    resumed = script.fit("float64", checkpoint_dir=directory / f"cut in {size}", resume=True)
    whole = script.fit("float64")
    assert_same_state(script.state_of(resumed), script.state_of(whole), 1e-10)


@forks
@pytest.mark.slow
def test_all_refuse_what_one_refuses(found):
    for of_rank in found:
        kind, message = of_rank["refused"]
        assert kind == "ValueError"
        assert "is the checkpoint of another fit: precision of the weights" in message


@forks
@pytest.mark.slow
def test_data_that_differ_are_refused(found):
    for of_rank in found:
        kind, message = of_rank["other data"]
        assert kind == "ValueError"
        assert "differ: training data, checksum of labels" in message
        assert "Give all ranks the same parameters and the whole X and y" in message


@forks
@pytest.mark.slow
def test_an_error_in_one_ends_the_others(found):
    of_first, *others = (of_rank["fails in one"] for of_rank in found)
    assert of_first[0] == "RuntimeError"
    assert "another rank has ended, and its own error says why" in of_first[1]
    for kind, message in others:
        assert kind == "ValueError"
        assert "inconsistent numbers of samples" in message


@forks
@pytest.mark.slow
def test_a_fit_leaves_its_surroundings_as_they_were(found):
    for of_rank in found:
        assert of_rank["unchanged"]
        assert of_rank["its group is left"]
        assert_same_state(of_rank["a group of the user's"], of_rank["dense"], 0)


@forks
@pytest.mark.slow
@pytest.mark.parametrize(("group", "ranks"), [("killed", (0, 1)), ("still", (0,))])
def test_a_process_that_is_gone_ends_the_others(group, ranks, directory):
    for rank in ranks:
        (kind, message), seconds = found_by(directory, group, rank)
        assert kind == "RuntimeError"
        assert "another rank has ended" in message
        assert seconds < 60


@pytest.mark.slow
def test_the_programs_of_the_guide_run(tmp_path):
    """torchrun runs them in one go: each process imports torch for longer than they take."""
    page = (ROOT / "docs" / "user_guide" / "long_trainings.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n# train.py\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "train.py").write_text(program, encoding="utf-8")
    (tmp_path / "loop.py").write_text(PROGRAMS["torch.distributed"], encoding="utf-8")
    names = ["train.py", "loop.py"]
    both = (
        f"import runpy\nfor name in {names}:\n    runpy.run_path(name)\n    print(name, 'ends')\n"
    )
    (tmp_path / "both.py").write_text(both, encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ran = subprocess.run(
        [sys.executable, *launcher, "both.py"],
        cwd=tmp_path,
        env={**os.environ, **THREADS, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert all(ran.stdout.count(f"{name} ends") == 2 for name in names)
    model = joblib.load(tmp_path / "model.joblib")
    X, Y = make_multilabel_classification(n_samples=400, n_classes=6, random_state=0)
    alone = MLCEMLP(max_epochs=8, random_state=0).fit(X, Y)
    assert_same_state(script.state_of(model), script.state_of(alone), 1e-6)


def test_without_a_launcher_the_error_says_what_to_type(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    model = MLCEMLP(data_parallel=True)
    with pytest.raises(ValueError, match=r"lacks RANK, MASTER_ADDR, .* Type torchrun"):
        model.fit(script.X, script.Y)
    with pytest.raises(ValueError, match="Type torchrun"):
        model.partial_fit(script.X, script.Y)
    assert vars(model) == vars(clone(model))


def test_alone_no_process_group_is_looked_at(monkeypatch):
    monkeypatch.setattr(process_group, "dist", None)
    with join_group(False) as processes:
        assert processes is ALONE


def test_a_group_outlives_what_averages_its_gradients():
    """A reducer of torch that owns a group alone may wait for ever for the group's threads."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        with join_group(True) as processes:
            layer = nn.Linear(2, 1)
            replica = processes.replicate(layer, torch.device("cpu"), optional=False)
            reducer = weakref.ref(replica.reducer)
        assert reducer() is None
    finally:
        dist.destroy_process_group()


def test_a_process_takes_the_gpu_of_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert device_of_process(torch.device("cuda")) == torch.device("cuda:2")
    assert device_of_process(torch.device("cuda:1")) == torch.device("cuda:1")
    assert device_of_process(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.delenv("LOCAL_RANK")
    assert device_of_process(torch.device("cuda")) == torch.device("cuda")
    with pytest.raises(ValueError, match="got device='mps'"):
        device_of_process(torch.device("mps"))


@pytest.mark.parametrize("fewest", [1, 2])
@pytest.mark.parametrize("n_rows", [1, 2, 3, 7, 30])
def test_shares_of_a_batch_are_all_of_its_rows_once(n_rows, fewest):
    shares = []
    for rank in range(3):
        group = object.__new__(process_group.ProcessGroup)
        group.rank, group.size = rank, 3
        shares.append(group.share(n_rows, fewest))
    rows = np.concatenate([np.arange(n_rows)[share.rows] for share in shares if share.counts])
    np.testing.assert_array_equal(rows, np.arange(n_rows))
    assert all(len(np.arange(n_rows)[share.rows]) >= min(fewest, n_rows) for share in shares)
    assert all(share.n_rows == n_rows for share in shares)
