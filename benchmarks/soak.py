"""Memory and time of very many small calls: chunks of a stream, and rows predicted one by one.

``python -m benchmarks.soak`` runs each case in a process of its own, writes ``results/soak.md`` and
draws ``results/soak.png``; ``python -m benchmarks.soak CASE`` prints the figures of one as JSON.
"""

import json
import subprocess
import sys
import time

import numpy as np

from sklearn_mlce import MLCEMLP, MLCEClassifier

from .datasets import ROOT
from .environment import describe
from .loss_memory import kernel_bytes
from .report import Table, command_parser, write

N_CALLS, N_POINTS = 100_000, 200
N_ROWS, N_FEATURES, N_LABELS = 20, 20, 5
MODELS = {
    "MLCEClassifier": lambda: MLCEClassifier(random_state=0),
    "MLCEMLP": lambda: MLCEMLP(hidden_layer_sizes=(8,), random_state=0),
}
CASES = tuple(f"{name}.{method}" for name in MODELS for method in ("partial_fit", "predict"))


def measure(case: str, n_calls: int = N_CALLS) -> dict:
    """Call a method many times.

    Parameters
    ----------
    case : str
        One of `CASES`.
    n_calls : int, default=100000

    Returns
    -------
    dict
        ``memory``, the bytes of the process after each of `N_POINTS` parts of the calls, and
        ``seconds``, what the processor took for the calls of each.
    """
    name, method = case.split(".")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, N_FEATURES))
    Y = (X @ rng.normal(size=(N_FEATURES, N_LABELS)) > 0.5).astype(int)
    model = MODELS[name]().partial_fit(X, Y)
    row = X[:1]
    memory, seconds = [], []
    for _ in range(N_POINTS):
        start = time.process_time()
        for _ in range(n_calls // N_POINTS):
            if method == "partial_fit":
                model.partial_fit(X, Y)
            else:
                model.predict(row)
        seconds.append(time.process_time() - start)
        memory.append(kernel_bytes("VmRSS"))
    return {"memory": memory, "seconds": seconds}


def table_of(found: dict, n_calls: int = N_CALLS) -> Table:
    """Growth after the warm-up, and milliseconds a call at the beginning and at the end.

    Parameters
    ----------
    found : dict of str to dict
        What `measure` returns, by case.
    n_calls : int, default=100000

    Returns
    -------
    Table
    """
    table = Table(
        f"{n_calls:,} calls each",
        ("calls", "MB after a tenth", "MB at the end", "ms a call at first", "ms at the end"),
    )
    tenth, per_part = N_POINTS // 10, n_calls // N_POINTS
    for case, figures in found.items():
        memory, seconds = np.array(figures["memory"]) / 1e6, np.array(figures["seconds"])
        times = (np.median(part) / per_part * 1e3 for part in (seconds[:tenth], seconds[-tenth:]))
        sizes = (f"{memory[place]:.1f}" for place in (tenth - 1, -1))
        table.add(f"`{case}`", *sizes, *(f"{value:.3f}" for value in times))
    table.note(
        f"Memory of the whole process. {N_ROWS} rows a chunk, one row a prediction, {N_FEATURES} "
        f"features, {N_LABELS} labels, one thread. Milliseconds are the processor's, medians over "
        "a tenth of the calls."
    )
    return table


def draw(found: dict, path) -> None:
    """Draw the memory of each case over its calls."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    calls = np.linspace(0, N_CALLS, N_POINTS + 1)[1:]
    for case, figures in found.items():
        axis.plot(calls, np.array(figures["memory"]) / 1e6, label=case)
    axis.set(xlabel="calls", ylabel="memory of the process, MB", ylim=(0, None))
    axis.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(arguments=None) -> None:
    """Measure all cases and write the page; or print the figures of one case.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None reads the process's own.
    """
    parser = command_parser("soak", __doc__)
    parser.add_argument("case", nargs="?", choices=CASES)
    options = parser.parse_args(arguments)
    if options.case:
        print(json.dumps(measure(options.case)))
        return
    found = {}
    for case in CASES:
        command = [sys.executable, "-m", "benchmarks.soak", case]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        found[case] = json.loads(done.stdout.splitlines()[-1])
        print(table_of({case: found[case]}).rows, file=sys.stderr, flush=True)
    write(options.out, "soak", "Very many small calls", describe(1), [table_of(found)])
    draw(found, options.out / "soak.png")


if __name__ == "__main__":
    main()
