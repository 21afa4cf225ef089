"""Which score should early stopping watch? ``python -m benchmarks early_stopping``.

A run trains once and writes down all scores of each epoch, on held-out rows and on the test rows.
What each score would have stopped at and kept follows from that: one training compares them all.
"""

import csv
import sys

import numpy as np
from sklearn.metrics import f1_score, label_ranking_average_precision_score
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

from sklearn_mlce import MLCEMLP

from .datasets import load
from .report import command_parser

SETS = ("yeast", "birds", "bibtex")
LOSSES = {
    "mlce": {"loss": "mlce"},
    "auto": {"loss": "auto"},
}
WATCHED = ("loss", "f1_micro", "f1_macro", "f1_samples", "lrap")
REPORTED = ("f1_micro", "f1_macro", "f1_samples", "lrap")


def metrics_of(y, scores):
    """All metrics of scores, by name."""
    labels = (scores > 0).astype(int)
    found = {
        f"f1_{average}": f1_score(y, labels, average=average, zero_division=0)
        for average in ("micro", "macro", "samples")
    }
    found["lrap"] = label_ranking_average_precision_score(y, scores)
    return found


class KeepLosses(Callback):
    """Minus the loss on the held-out rows, of each epoch."""

    def __init__(self, kept):
        self.kept = kept

    def on_epoch_end(self, net, **kwargs):
        self.kept.append(-net.history[-1, "valid_loss"])


def run(data, seed, loss, max_epochs):
    """Metrics of each epoch, on the held-out rows with the loss, and on the test rows."""
    Y_test = data.Y_test.toarray()
    rows = np.arange(data.X_train.shape[0])
    fit, held_out = train_test_split(rows, test_size=0.1, random_state=seed)
    X_val, Y_val = data.X_train[held_out], data.Y_train[held_out].toarray()
    epochs, losses = [], []

    def record(estimator, X, y):
        valid = metrics_of(Y_val, estimator.decision_function(X))
        epochs.append((valid, metrics_of(Y_test, estimator.decision_function(data.X_test))))
        return 0.0

    MLCEMLP(
        early_stopping=True,
        scoring=record,
        n_iter_no_change=max_epochs,
        max_epochs=max_epochs,
        callbacks=[KeepLosses(losses)],
        random_state=seed,
        **loss,
    ).fit(data.X_train[fit], data.Y_train[fit], X_val=X_val, y_val=Y_val)
    for (valid, _), value in zip(epochs, losses, strict=True):
        valid["loss"] = value
    return epochs


def kept_epoch(scores, patience):
    """Number, from 0, of the epoch that early stopping keeps, and how many epochs it makes."""
    best = 0
    for epoch, score in enumerate(scores):
        if score > scores[best]:
            best = epoch
        elif epoch - best >= patience:
            return best, epoch + 1
    return best, len(scores)


def compare(epochs, patience):
    """Rows of the table: what each score would have kept."""
    for watched in (*WATCHED, "none"):
        kept, made = len(epochs) - 1, len(epochs)
        if watched != "none":
            kept, made = kept_epoch([valid[watched] for valid, _ in epochs], patience)
        test = epochs[kept][1]
        yield [patience, watched, kept + 1, made, *(round(test[name], 4) for name in REPORTED)]


def summary(table):
    """Markdown of the means over seeds."""
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    keys = ("set", "loss", "patience", "watched")
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    shown = (*REPORTED, "kept", "made")
    lines = [
        "# Which score should early stopping watch?",
        "",
        "Test metrics of the epoch that is kept, threshold zero; means over the seeds. "
        '"none" makes all epochs. By `python -m benchmarks early_stopping`.',
        "",
        "| " + " | ".join((*keys, *shown, "seeds")) + " |",
        "|" + "---|" * (len(keys) + len(shown) + 1),
    ]
    for key, group in groups.items():
        means = [np.mean([float(row[name]) for row in group]) for name in shown]
        cells = [f"{mean:.3f}" for mean in means[:-2]] + [f"{mean:.0f}" for mean in means[-2:]]
        lines.append("| " + " | ".join((*key, *cells, str(len(group)))) + " |")
    return "\n".join(lines) + "\n"


def main(argv=None):
    """Run and write the table."""
    parser = command_parser("early_stopping", __doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--patience", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "early_stopping.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "loss", "seed", "patience", "watched", "kept", "made", *REPORTED])
        for name in arguments.sets:
            data = load(name)
            for loss in arguments.losses:
                for seed in range(arguments.seeds):
                    epochs = run(data, seed, LOSSES[loss], arguments.epochs)
                    for patience in arguments.patience:
                        rows = [[name, loss, seed, *row] for row in compare(epochs, patience)]
                        writer.writerows(rows)
                    file.flush()
                    print(name, loss, seed, file=sys.stderr, flush=True)
    path.with_suffix(".md").write_text(summary(path), encoding="utf-8")


if __name__ == "__main__":
    main()
