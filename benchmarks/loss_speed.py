"""Time of the loss, forward and backward, beside torch's binary cross-entropy."""

import time
from functools import partial
from typing import NamedTuple

import numpy as np

from .environment import load_average
from .loss_cases import BASELINE, LOSSES, PLAIN, RELATIVES, make_problem, step
from .report import Table


class Shape(NamedTuple):
    """A batch, and how it is timed.

    Attributes
    ----------
    rows, labels : int
    positives : int
        Of each row.
    rounds, calls : int
        Samples, and calls that one sample times together.
    limits : dict of str to float
        The most that a form may take of the baseline's time.
    """

    rows: int
    labels: int
    positives: int
    rounds: int
    calls: int
    limits: dict[str, float]


SHAPES = (
    Shape(
        4096,
        4000,
        5,
        15,
        1,
        {
            "mlce_loss_from_indices": 0.35,
            "mlce_loss, dense targets": 0.6,
        },
    ),
    Shape(
        1024,
        1000,
        5,
        101,
        10,
        {
            "mlce_loss_from_indices": 0.7,
            "mlce_loss, dense targets": 0.7,
        },
    ),
)

#: The same for the relatives, where labels are ten times the outputs; with few positives, and with
#: as many as small sets of labels have.
RELATIVES_SHAPES = (
    Shape(
        1024,
        1000,
        5,
        101,
        3,
        {
            "mlce_loss": 1.0,
            "pairwise_loss": 1.0,
            "focal_loss": 1.5,
            "class_balanced_focal_loss": 3.0,
            "distribution_balanced_loss": 3.0,
            "asymmetric_loss": 3.0,
            "binary_cross_entropy_loss": 3.0,
            "multioutput_loss": 3.0,
            "soft_multioutput_loss": 3.0,
        },
    ),
    Shape(1024, 1000, 250, 31, 3, {}),
)


#: Small batches, beside the same formulas left to autograd: rows, labels, positives, rounds, calls,
#: and the most that a loss may take of their time. Torch's fused function is a harder mark.
SMALL_SHAPES = tuple(
    Shape(
        rows,
        labels,
        positives,
        rounds,
        calls,
        dict.fromkeys(PLAIN, 1.1) | {"binary_cross_entropy_loss": fused},
    )
    for rows, labels, positives, rounds, calls, fused in (
        (64, 14, 3, 201, 20, 1.5),
        (256, 200, 5, 101, 5, 1.2),
    )
)


PREDICTION = (
    "Before small batches had a way of their own, the ratios at 64 x 14 were 2.3 (MLCE), 1.9 (from "
    "indices), 2.2 (pairwise), 2.4 (focal), 2.3, 2.2, 2.3 (class-balanced, distribution-balanced, "
    "asymmetric), 2.7 (binary cross-entropy), 1.5 and 1.4 (several outputs), at 256 x 200 1.2 to "
    "1.5 for focal, class-balanced and binary cross-entropy. Predicted for the short way, by "
    "counting operations: 0.7 for MLCE and pairwise, 0.9 for the sums over labels, 1.4 for binary "
    "cross-entropy at 64 x 14; 0.3 and 0.8 at 256 x 200."
)


def take_turns(actions: dict, rounds: int, calls: int = 1) -> dict[str, np.ndarray]:
    """Time actions in turns, so that whatever slows the machine slows them all.

    Each round has an order of its own, and each action goes once untimed before its sample:
    memory that another has given back to the system costs as much as a pass over it.

    Parameters
    ----------
    actions : dict of str to callable
    rounds : int
        Samples of each. One more round comes first, untimed.
    calls : int, default=1
        Calls that one sample times together.

    Returns
    -------
    dict of str to ndarray of shape (rounds,)
        Seconds a call.
    """
    generator = np.random.default_rng(0)
    seconds = {name: np.empty(rounds) for name in actions}
    for turn in range(-1, rounds):
        for name in generator.permutation(list(actions)):
            actions[name]()
            start = time.perf_counter()
            for _ in range(calls):
                actions[name]()
            if turn >= 0:
                seconds[name][turn] = (time.perf_counter() - start) / calls
    return seconds


def time_shape(shape: Shape, losses: dict = LOSSES) -> dict[str, np.ndarray]:
    """Time every loss at one shape, in float32.

    Parameters
    ----------
    shape : Shape
    losses : dict of str to callable, default=LOSSES
        The losses to time.

    Returns
    -------
    dict of str to ndarray of shape (rounds,)
        Seconds of one forward and backward pass.
    """
    problem = make_problem(shape.rows, shape.labels, shape.positives)

    def action(loss):
        return lambda: step(loss, problem)

    actions = {name: action(loss) for name, loss in losses.items()}
    return take_turns(actions, shape.rounds, shape.calls)


def relatives_table(shapes=RELATIVES_SHAPES) -> Table:
    """Measure the relatives of MLCE and lay out.

    Parameters
    ----------
    shapes : sequence of Shape, default=RELATIVES_SHAPES

    Returns
    -------
    Table
    """
    return table(shapes, RELATIVES, "Time of forward + backward of the relatives, dense targets")


def small_batches_table(shapes=SMALL_SHAPES) -> Table:
    """Measure small batches beside autograd through the plain formulas, and lay out.

    Each loss takes turns with its own plain form, so that both find the same in the caches.

    Parameters
    ----------
    shapes : sequence of Shape, default=SMALL_SHAPES

    Returns
    -------
    Table
    """
    columns = ("rows x labels", "loss", "time / plain", "at most", "holds", "quartiles", "us")
    result = Table("Time of small batches beside autograd through the plain formula", columns)
    busy = load_average()
    ours = {**RELATIVES, **LOSSES}
    for shape in shapes:
        for name, plain in PLAIN.items():
            problem = make_problem(shape.rows, shape.labels, shape.positives)
            actions = {
                "ours": partial(step, ours[name], problem),
                "plain": partial(step, plain, problem),
            }
            seconds = take_turns(actions, shape.rounds, shape.calls)
            ratios = np.quantile(seconds["ours"] / seconds["plain"], [0.5, 0.25, 0.75])
            result.add(
                f"{shape.rows} x {shape.labels}",
                name,
                f"{ratios[0]:.2f}",
                f"{shape.limits[name]:.2f}",
                "yes" if ratios[0] <= shape.limits[name] else "NO",
                f"{ratios[1]:.2f} to {ratios[2]:.2f}",
                f"{1e6 * np.median(seconds['ours']):.0f}",
            )
    result.note(f"Load average before: {busy:.1f}.")
    result.note(PREDICTION)
    return result


def table(shapes=SHAPES, losses: dict = LOSSES, title: str = "Time of forward + backward") -> Table:
    """Measure and lay out.

    Parameters
    ----------
    shapes : sequence of Shape, default=SHAPES
    losses : dict of str to callable, default=LOSSES
        The losses to time.
    title : str, default="Time of forward + backward"
        Of the table.

    Returns
    -------
    Table
    """
    result = Table(
        title,
        (
            "rows x labels",
            "positives",
            "loss",
            "time / BCE",
            "at most",
            "holds",
            "quartiles",
            "fastest / BCE",
            "ms",
        ),
    )
    busy = load_average()
    for shape in shapes:
        seconds = time_shape(shape, losses)
        for name, values in seconds.items():
            ratio = np.median(values) / np.median(seconds[BASELINE])
            low, high = np.quantile(values / seconds[BASELINE], [0.25, 0.75])
            limit = shape.limits.get(name)
            result.add(
                f"{shape.rows} x {shape.labels}",
                str(shape.positives),
                name,
                f"{ratio:.3f}",
                "" if limit is None else f"{limit:.2f}",
                "" if limit is None else ("yes" if ratio <= limit else "NO"),
                f"{low:.3f} to {high:.3f}",
                f"{values.min() / seconds[BASELINE].min():.3f}",
                f"{1e3 * np.median(values):.2f}",
            )
    result.note(f"Load average before: {busy:.1f}.")
    return result
