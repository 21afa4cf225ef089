"""Fits of MLCEMLP in several processes beside fits in one: time, and how far the weights differ."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch.distributed as dist

from sklearn_mlce import MLCEMLP

from .datasets import ROOT, load
from .environment import describe
from .report import Table, write

RESULTS = Path(__file__).with_name("results")
#: Data sets with what is not the default.
CASES = (
    ("yeast", {}),
    ("birds", {}),
    ("bibtex", {}),
    ("delicious", {"max_epochs": 3}),
    ("delicious", {"max_epochs": 3, "batch_size": 2048}),
    ("goemotions", {"max_epochs": 1}),
)


def timed_fit(model, data):
    """Fit a model; return the seconds that it took, and those of this process's processor.

    Parameters
    ----------
    model : MLCEMLP
    data : DataSet

    Returns
    -------
    list of float
    """
    seconds, of_processor = time.perf_counter(), time.process_time()
    model.fit(data.X_train, data.Y_train)
    return [time.perf_counter() - seconds, time.process_time() - of_processor]


def difference(left, right):
    """Largest difference between the weights of two fits."""
    pairs = ((left.state_dict_[name], right.state_dict_[name]) for name in left.state_dict_)
    return max(float(np.abs(one - other).max()) for one, other in pairs)


def measure(path, runs):
    """Fit all cases in turns, in one rank of several, and write what rank 0 finds.

    Parameters
    ----------
    path : Path
        Of the file.
    runs : int
        Fits of each kind; one more goes before them, whose times do not count.
    """
    dist.init_process_group("gloo")
    found = []
    for name, parameters in CASES:
        data, samples = load(name), []
        for _ in range(runs + 1):
            model = MLCEMLP(data_parallel=True, random_state=0, **parameters)
            alone = MLCEMLP(random_state=0, **parameters)
            dist.barrier()
            together = timed_fit(model, data)
            if dist.get_rank() == 0:  # the others wait, and take no time of the processors
                samples.append(together + timed_fit(alone, data))
        if dist.get_rank() == 0:
            found.append([name, parameters, samples[1:], difference(model, alone)])
    if dist.get_rank() == 0:
        path.write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


def table_of(found, n_processes):
    """Medians and their ratios.

    Parameters
    ----------
    found : list
        What `measure` writes.
    n_processes : int

    Returns
    -------
    Table
    """
    columns = ("set", "parameters", "seconds", "alone", "ratio", "CPU ratio", "weights differ by")
    table = Table(f"{n_processes} processes", columns)
    for name, parameters, samples, of_weights in found:
        together, busy, alone, busy_alone = np.median(samples, axis=0)
        shown = ", ".join(f"{key}={value}" for key, value in parameters.items())
        ratios = f"{together / alone:.2f}", f"{busy / busy_alone:.2f}"
        table.add(name, shown, f"{together:.2f}", f"{alone:.2f}", *ratios, f"{of_weights:.0e}")
    table.note(
        f"Medians of {len(found[0][2])} fits of each kind in turns, one thread in each process. "
        "The CPU ratio is the processor's time of one of the processes over that of the fit alone: "
        "what the ratio would be where processes never wait."
    )
    return table


def main(arguments=None):
    """Measure in processes of their own, and write ``data_parallel.md`` and its table.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None reads the process's own.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_parallel", description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # in a rank
    options = parser.parse_args(arguments)
    if options.measure is not None:
        measure(options.measure, options.runs)
        return
    with TemporaryDirectory() as directory:
        path = Path(directory) / "found.json"
        launcher = [
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={options.processes}",
        ]
        in_ranks = ["benchmarks.data_parallel", f"--measure={path}", f"--runs={options.runs}"]
        command = [sys.executable, "-m", *launcher, "-m", *in_ranks]
        subprocess.run(command, check=True, cwd=ROOT)
        found = json.loads(path.read_text())
    tables = [table_of(found, options.processes)]
    write(options.out, "data_parallel", "Training in several processes", describe(1), tables)
    print(tables[0].markdown())


if __name__ == "__main__":
    main()
