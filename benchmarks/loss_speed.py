"""Time of the loss, forward and backward, beside torch's binary cross-entropy."""

import time

import numpy as np

from .environment import load_average
from .loss_cases import BASELINE, LOSSES, RELATIVES, make_problem, step
from .report import Table

#: Rows, labels, rounds, calls that one sample times together, and the most that each form may take
#: of the baseline's time.
SHAPES = (
    (
        4096,
        4000,
        15,
        1,
        {
            "mlce_loss_from_indices": 0.35,
            "mlce_loss, dense targets": 0.6,
            "mlce_loss_from_indices, order 2": 0.6,
        },
    ),
    (
        1024,
        1000,
        101,
        10,
        {
            "mlce_loss_from_indices": 0.7,
            "mlce_loss, dense targets": 0.7,
            "mlce_loss_from_indices, order 2": 1.0,
        },
    ),
)

#: The same for the relatives, where labels are ten times the outputs.
RELATIVES_SHAPES = (
    (
        1024,
        1000,
        101,
        3,
        {
            "mlce_loss": 1.0,
            "mlce_loss, order 2": 1.0,
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
)


def take_turns(actions: dict, rounds: int, calls: int = 1) -> dict[str, np.ndarray]:
    """Time actions in turns, so that whatever slows the machine slows them all.

    Parameters
    ----------
    actions : dict of str to callable
    rounds : int
        Samples of each; the order turns from round to round. One more round comes first, untimed.
    calls : int, default=1
        Calls that one sample times together.

    Returns
    -------
    dict of str to ndarray of shape (rounds,)
        Seconds a call.
    """
    names = list(actions)
    seconds = {name: np.empty(rounds) for name in names}
    for turn in range(-1, rounds):
        for name in np.roll(names, turn):
            start = time.perf_counter()
            for _ in range(calls):
                actions[name]()
            if turn >= 0:
                seconds[name][turn] = (time.perf_counter() - start) / calls
    return seconds


def time_shape(
    n: int, n_labels: int, rounds: int, calls: int, losses: dict = LOSSES
) -> dict[str, np.ndarray]:
    """Time every loss at one shape.

    Parameters
    ----------
    n, n_labels : int
        Rows and labels, float32, 5 positives a row.
    rounds, calls : int
        See `take_turns`.
    losses : dict of str to callable, default=LOSSES
        The losses to time.

    Returns
    -------
    dict of str to ndarray of shape (rounds,)
        Seconds of one forward and backward pass.
    """
    problem = make_problem(n, n_labels)

    def action(loss):
        return lambda: step(loss, problem)

    return take_turns({name: action(loss) for name, loss in losses.items()}, rounds, calls)


def relatives_table(shapes=RELATIVES_SHAPES) -> Table:
    """Measure the relatives of MLCE and lay out.

    Parameters
    ----------
    shapes : sequence, default=RELATIVES_SHAPES
        See `SHAPES`.

    Returns
    -------
    Table
    """
    return table(shapes, RELATIVES, "Time of forward + backward of the relatives, dense targets")


def table(shapes=SHAPES, losses: dict = LOSSES, title: str = "Time of forward + backward") -> Table:
    """Measure and lay out.

    Parameters
    ----------
    shapes : sequence, default=SHAPES
        See `SHAPES`.
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
    for n, n_labels, rounds, calls, limits in shapes:
        seconds = time_shape(n, n_labels, rounds, calls, losses)
        for name, values in seconds.items():
            ratio = np.median(values) / np.median(seconds[BASELINE])
            low, high = np.quantile(values / seconds[BASELINE], [0.25, 0.75])
            limit = limits.get(name)
            result.add(
                f"{n} x {n_labels}",
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
