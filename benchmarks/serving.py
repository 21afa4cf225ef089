"""A fitted model served in each way: size, time of one row and of many, decisions that agree.

``python -m benchmarks.serving`` writes ``results/serving.md``. It needs the extra ``onnx``.
"""

import io
import pickle
import statistics
import sys
import time
import warnings
from itertools import product

import numpy as np
import scipy.sparse as sp
import skops.io
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils import gen_batches

from sklearn_mlce import MLCEMLP, MLCEClassifier
from sklearn_mlce.onnx import register_converters

from .datasets import load
from .environment import describe
from .report import Table, command_parser, write

N_MANY = 1_000
REPEATS = 5
#: Sets on which decisions are compared.
COMPARED = (
    "yeast",
    "birds",
    "bibtex",
    "films",
    "goemotions",
    "delicious",
    "cooking",
    "cellcycle_go",
    "flags",
    "foodtruck",
    "cal500",
    "asklibrarian_yso",
)
NETWORK = {"random_state": 0, "max_epochs": 5}


def session_of(model, rows):
    """Make a session of onnxruntime, with one thread, and the size of its file."""
    import onnxruntime
    from skl2onnx import to_onnx

    register_converters()
    stored = to_onnx(model, rows[:1]).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(stored, options)
    name = session.get_inputs()[0].name
    return lambda X: session.run(["label"], {name: X})[0], len(stored)


def module_of(model):
    """Make a function of rows by way of `to_torch`, and the size of its state dict."""
    module = model.to_torch(output="labels")

    def predict(X):
        with torch.inference_mode():
            return module(torch.from_numpy(X)).numpy()

    memory = io.BytesIO()
    torch.save(module.state_dict(), memory)
    return predict, memory.tell()


def _dense(rows):
    return np.ascontiguousarray(rows.toarray() if sp.issparse(rows) else rows)


def times(predict, rows):
    """Milliseconds of one row, the median of many, and of `N_MANY` rows, the best of a few."""
    predict(rows[:1])
    single = []
    for start in range(200):
        row = rows[start % rows.shape[0] : start % rows.shape[0] + 1]
        begin = time.perf_counter()
        predict(row)
        single.append(time.perf_counter() - begin)
    batch = []
    many = rows[:N_MANY]
    for _ in range(REPEATS):
        begin = time.perf_counter()
        predict(many)
        batch.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(single), 1e3 * min(batch)


def speed_table():
    """Measure the films."""
    data = load("films")
    X, Y = data.X_train.astype(np.float32), data.Y_train
    rows = data.X_test.astype(np.float32)
    dense = _dense(rows)
    table = Table(
        f"Films: {data.size}, one thread",
        ("model", "served by", "MB", "ms a row", f"ms {N_MANY} rows"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = OneVsRestClassifier(LogisticRegression(max_iter=200)).fit(X, Y)
    table.add(
        "one-vs-rest LogisticRegression", "pickle", *_row(peer, len(pickle.dumps(peer)), rows)
    )
    for name, model in (
        ("MLCEClassifier", MLCEClassifier()),
        ("MLCEClassifier, coef_threshold=1e-4", MLCEClassifier(coef_threshold=1e-4)),
        ("MLCEMLP", MLCEMLP(random_state=0)),
    ):
        model.fit(X, Y)
        table.add(name, "pickle, predict", *_row(model, len(pickle.dumps(model)), rows))
        size = len(skops.io.dumps(model))
        table.add(name, "skops, predict", f"{size / 1e6:.2f}", "as above", "as above")
        table.add(name, "to_torch", *_row(*module_of(model), dense))
        table.add(name, "onnxruntime", *_row(*session_of(model, dense), dense))
    table.note(
        "predict is given sparse rows, the others dense ones. A state dict of torch is what "
        "safetensors stores as well."
    )
    return table


def _row(predict, size, rows):
    single, many = times(getattr(predict, "predict", predict), rows)
    return f"{size / 1e6:.2f}", f"{single:.2f}", f"{many:.1f}"


def agreement_table(names=COMPARED):
    """Compare the decisions of onnxruntime with those of predict."""
    table = Table(
        "Decisions of onnxruntime that are those of predict",
        ("set", "model", "precision", "decisions", "differ", "largest of their scores"),
    )
    for name in names:
        data = load(name)
        linear, network = MLCEClassifier(random_state=0), MLCEMLP(**NETWORK)
        for model, dtype in product((linear, network), (np.float32, np.float64)):
            rows = data.X_test.astype(dtype)
            model.fit(data.X_train.astype(dtype), data.Y_train.toarray())
            differ, largest = differences(model, rows)
            table.add(
                name,
                type(model).__name__,
                np.dtype(dtype).name,
                f"{differ.size:,}",
                str(int(differ.sum())),
                f"{largest:.0e}" if differ.any() else "",
            )
            print(table.markdown().splitlines()[-1], file=sys.stderr)
    return table


def differences(model, rows):
    """Find the decisions that differ, as a mask, and the largest of their scores."""
    predict, _ = session_of(model, _dense(rows[:1]))
    blocks = gen_batches(rows.shape[0], N_MANY)
    found = np.concatenate([predict(_dense(rows[block])) for block in blocks])
    differ = found != model.predict(rows)
    return differ, np.abs(model.decision_function(rows)[differ]).max(initial=0)


def main(arguments=None) -> None:
    """Measure, and write ``serving.md`` and ``serving.csv``.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None reads the process's own.
    """
    options = command_parser("serving", __doc__).parse_args(arguments)
    torch.set_num_threads(1)
    tables = [speed_table(), agreement_table()]
    write(options.out, "serving", "Fitted models, served", describe(1), tables)


if __name__ == "__main__":
    main()
