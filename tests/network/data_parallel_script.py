"""Fits of MLCEMLP in several processes, which test_data_parallel.py compares with fits in one.

``python data_parallel_script.py DIRECTORY`` starts groups of processes as a launcher does, one
after another, and writes what each rank found to ``DIRECTORY/GROUP-RANK.pkl``. The processes are
forked from one that has imported torch: an import in each would take longer than all fits.
"""

import os
import pickle
import signal
import socket
import sys
import time
import warnings
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
import torch.distributed as dist
from skorch.callbacks import Callback
from torch import nn

from sklearn_mlce import MLCEMLP
from sklearn_mlce._network import process_group
from sklearn_mlce.losses import MLCELoss
from tests.helpers.estimators import labelled_rows, single_labels
from tests.helpers.modules import normalised_net, small_net

# Batches of 30, 30, 30, 1 rows: the last one has none for the second rank and those after it.
X, Y = labelled_rows(n_rows=91)
DENSE = X.astype(np.float32)
SPARSE = sp.csr_array(DENSE * (np.abs(DENSE) > 0.7))
SOFT = np.clip(0.8 * Y + 0.1, 0, 1)
WEIGHT = np.random.default_rng(1).uniform(0.5, 2, len(X))
OF_ALL = {
    "hidden_layer_sizes": (8, 6),
    "dropout": 0.4,
    "batch_size": 30,
    "learning_rate_init": 0.01,
    "max_epochs": 4,
    "random_state": 3,
}
STOPS = {"early_stopping": True, "n_iter_no_change": 1, "learning_rate_init": 0.1, "max_epochs": 20}
FULL = {"precision": "full"}
OF_A_MODULE = {"module": small_net, "hidden_layer_sizes": (256,), "dropout": 0.5}
# By name: parameters, X, y and weights.
FITS = {
    "dense": ({}, DENSE, Y, None),
    "weights": ({}, DENSE, Y, WEIGHT),
    "sparse": ({}, SPARSE, Y, None),
    "sparse weights": ({"batch_size": 31}, SPARSE, sp.csr_array(Y), WEIGHT),
    "float64": (FULL, X, Y, WEIGHT),
    "one batch": (FULL | {"batch_size": 1000}, X, Y, WEIGHT),
    "fewer rows than ranks": (FULL | {"batch_size": 1, "max_epochs": 1}, X, Y, None),
    "stops on the loss": (FULL | STOPS, X, Y, WEIGHT),
    "stops on a scorer": (FULL | STOPS | {"scoring": "f1_micro"}, X, Y, None),
    "clipped": (FULL | {"gradient_clipping": 0.1, "learning_rate": "constant"}, X, Y, None),
    "published loss": (FULL | {"loss": "mlce", "learn_threshold": True}, X, SOFT, None),
    "pairwise": (FULL | {"loss": "pairwise", "n_labels_per_row": 2}, X, Y, WEIGHT),
    "counts": (FULL | {"loss": "distribution_balanced"}, X, Y, None),
    "classes": (FULL, X, single_labels(Y)["multiclass"], None),
    "loss of one number": (FULL | {"loss": nn.BCEWithLogitsLoss()}, X, Y, None),
    "loss with weights": (FULL | {"loss": MLCELoss()}, X, Y, WEIGHT),
    "module": (FULL | OF_A_MODULE, X, Y, WEIGHT),
    "module of sparse rows": (FULL | OF_A_MODULE, SPARSE.astype(np.float64), Y, None),
}


class Cut(Exception):
    """The end of a run between two epochs."""


class CutBefore(Callback):
    """Raise Cut before an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise Cut


class StopAfter(Callback):
    """Ask to stop after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


class SendSignal(Callback):
    """Send this process a signal in the midst of the second epoch."""

    def __init__(self, number):
        self.number = number

    def on_batch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            os.kill(os.getpid(), self.number)


def fit(name, **parameters):
    """Fit one of the cases."""
    of_case, features, y, weight = FITS[name]
    return MLCEMLP(**(OF_ALL | of_case | parameters)).fit(features, y, sample_weight=weight)


def stream(**parameters):
    """Fit chunk by chunk."""
    model = MLCEMLP(**(OF_ALL | FULL | parameters))
    for rows in (slice(0, 40), slice(40, 91)):
        model.partial_fit(X[rows], Y[rows])
    return model


def warm(**parameters):
    """Fit twice, the second time from where the first one ended."""
    model = MLCEMLP(**(OF_ALL | FULL | {"warm_start": True} | parameters))
    return model.fit(X, Y).fit(X, Y)


def cut(directory, **parameters):
    """Fit until the third epoch, with checkpoints."""
    try:
        fit("float64", checkpoint_dir=directory, callbacks=[CutBefore(3)], **parameters)
    except Cut:
        return
    raise AssertionError("nothing was cut")


def state_of(model):
    """Return what a fit leaves."""
    return {
        "weights": model.state_dict_ | {f"moments of {k}": v for k, v in flat_moments(model)},
        "losses": model.loss_curve_,
        "scores": model.validation_scores_,
        "epochs": (model.n_iter_, model.best_epoch_),
        "seed": model._seed,
    }


def flat_moments(model):
    """Return pairs of a name and one of the optimiser's moments."""
    of_weights = model.optimizer_state_.items()
    return [(f"{name} {key}", part) for name, of in of_weights for key, part in of.items()]


def error_of(function, *arguments, **parameters):
    """Return the type of what a function raises, its message and notes."""
    try:
        function(*arguments, **parameters)
    except Exception as error:
        return type(error).__name__, "\n".join([str(error), *getattr(error, "__notes__", [])])
    return None


def surroundings():
    """Return what a fit is to leave as it is."""
    return {
        "hook": sys.excepthook,
        "seed": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "filters": list(warnings.filters),
        "group": dist.is_initialized(),
        "environment": dict(os.environ),
    }


def found_by(rank, directory):
    """Return all that a rank of a group finds."""
    size = os.environ["WORLD_SIZE"]
    together = {"data_parallel": True}
    before = surroundings()
    found = {name: state_of(fit(name, **together)) for name in FITS}
    found["stream"] = state_of(stream(**together))
    found["warm"] = state_of(warm(**together))
    found["a seed of its own"] = state_of(fit("dense", random_state=None, **together))
    found["a module that draws"] = state_of(fit("module", module=normalised_net, **together))
    # Directories that only the first rank may write to, and only its name counts.
    own = directory / f"cut in {size}" if rank == 0 else directory / "not to be made"
    cut(own, **together)
    resumed = {"checkpoint_dir": directory / f"cut for {size}", "resume": True}
    found["resumed"] = state_of(fit("float64", **resumed, **together))
    found["refused"] = error_of(fit, "weights", **resumed, **together)
    callbacks = [StopAfter(2)] if rank == 1 else None
    found["stopped"] = state_of(fit("dense", callbacks=callbacks, **together))
    others = MLCEMLP(**OF_ALL, **together)
    found["other data"] = error_of(others.fit, DENSE, Y if rank == 0 else 1 - Y)
    found["fails in one"] = error_of(others.fit, DENSE if rank == 0 else DENSE[:5], Y)
    found["unchanged"] = surroundings() == before
    dist.init_process_group("gloo")
    found["a group of the user's"] = state_of(fit("dense", **together))
    found["its group is left"] = dist.is_initialized() and dist.get_world_size() == int(size)
    dist.barrier()
    dist.destroy_process_group()
    return found


def found_by_survivor(rank, directory):
    """Return what a rank finds when the last one is killed, or stands still."""
    number = signal.SIGKILL if "killed" in os.environ["GROUP"] else signal.SIGSTOP
    process_group._LONGEST_STEP = timedelta(seconds=2)
    last = rank == int(os.environ["WORLD_SIZE"]) - 1
    callbacks = [SendSignal(number)] if last else None
    start = time.monotonic()
    error = error_of(fit, "dense", callbacks=callbacks, data_parallel=True)
    return error, time.monotonic() - start


def start_rank(group, size, port, rank, function, directory):
    """Fork a process that calls a function, and return its number."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        warnings.simplefilter("error")
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GROUP": group}
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
        found = function(rank, directory)
        (directory / f"{group}-{rank}.pkl").write_bytes(pickle.dumps(found))
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def run_group(group, size, function, directory, lost=0):
    """Run a group of processes, the last of which are lost, and kill what stands still."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [start_rank(group, size, port, rank, function, directory) for rank in range(size)]
    failed = [rank for rank in ranks[: size - lost] if os.waitpid(rank, 0)[1] != 0]
    for rank in ranks[size - lost :]:
        os.kill(rank, signal.SIGKILL)
        os.waitpid(rank, 0)
    if failed:
        sys.exit(f"{len(failed)} of {size} processes of {group!r} failed")


if __name__ == "__main__":
    import_module("torch._dynamo")  # as the first fit does
    where = Path(sys.argv[1])
    for number in (2, 3):
        cut(where / f"cut for {number}")
        run_group(f"together {number}", number, found_by, where)
    run_group("killed", 3, found_by_survivor, where, lost=1)
    run_group("still", 2, found_by_survivor, where, lost=1)
