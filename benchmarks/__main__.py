"""Measure, and write the tables: ``python -m benchmarks``."""

import argparse
import json
import signal
import sys
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Protocol

from . import (
    association,
    calibration,
    calibrators,
    column_scaling,
    convergence,
    coupling,
    datasets,
    decisions,
    default_c,
    defaults,
    family,
    forest_leaves,
    growth,
    label_ratios,
    label_weight,
    linear,
    loss_memory,
    loss_speed,
    many_labels,
    mean_f1,
    network,
    network_search,
    network_speed,
    objective,
    ordinal_levels,
    outputs,
    peers,
    plot,
    preparation,
    pruning,
    ranking,
    solver_choice,
    tables,
    threshold_shrinkage,
    tuned,
)
from .environment import describe, limited_threads
from .methods import METHODS
from .report import RESULTS, Table, write
from .store import Job, Store, measure
from .tuned_recipes import RECIPES

PARTS = ("loss", "convergence", "linear", "tuned", "growth", "network_speed")


class Study(Protocol):
    """Module of a study that measures one set after the other."""

    @property
    def SETS(self) -> Collection[str]:
        """Names of the sets."""

    def jobs(self, name: str, threads: int) -> dict[str, Job]:
        """Jobs of one set, which may use so many threads, by the names of their samples."""

    def tables(self, store: Store, names: Collection[str]) -> list[Table]:
        """Lay out what the store holds of some sets; those without samples are left out."""


#: Modules of studies, with the titles of their pages.
SET_STUDIES: dict[str, tuple[Study, str]] = {
    "default_c": (default_c, "The factor of the default C"),
    "column_scaling": (column_scaling, "The default scaling of columns"),
    "label_weight": (label_weight, "Weights of labels by their frequency"),
    "label_ratios": (label_ratios, "A weaker penalty for the words of a label"),
    "association": (association, "A weaker penalty for columns that go with a label"),
    "preparation": (preparation, "Tables as they ship, and prepared"),
    "solver_choice": (solver_choice, "Where the exact solver is too slow"),
    "outputs": (outputs, "The default C of several outputs"),
    "ordinal_levels": (ordinal_levels, "Ordinal levels as classes and as probabilities"),
    "forest_leaves": (forest_leaves, "Leaves of a forest as features of the linear model"),
    "threshold_shrinkage": (
        threshold_shrinkage,
        "Thresholds per label: how far to draw them towards the global one",
    ),
    "mean_f1": (mean_f1, "Thresholds for a mean of micro- and macro-F1"),
    "calibrators": (calibrators, "Probabilities before and after calibration"),
    "decisions": (decisions, "Labels decided by what they are to serve"),
    "tables": (tables, "Networks and forests on tables"),
    "many_labels": (many_labels, "Many labels beside label trees"),
    "pruning": (pruning, "Small coefficients set to zero"),
    "ranking": (ranking, "Rankings of networks by their loss and their number"),
    "coupling": (coupling, "Where coupling the labels of a row pays"),
}
#: Of these, those that are made on all their sets, which are their own or made.
ON_ALL_SETS = (
    "association",
    "column_scaling",
    "coupling",
    "forest_leaves",
    "label_ratios",
    "many_labels",
    "ordinal_levels",
    "outputs",
    "pruning",
    "ranking",
    "solver_choice",
)
#: Studies with a command, which has options of its own: ``python -m benchmarks.splits --help``.
COMMANDS = (
    "bad_input",
    "coupled_memory",
    "data_parallel",
    "early_stopping",
    "imports",
    "scale",
    "serving",
    "shortlist",
    "soak",
    "splits",
    "top_labels",
)
# What decided a constant, a reference, or the peers' long runs; run by name only.
STUDIES = (
    "network",
    "network_search",
    "family",
    "peers_tuned",
    "defaults",
    *SET_STUDIES,
    "reference",
    *COMMANDS,
)


def parse(arguments=None) -> argparse.Namespace:
    """Read the command line.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None reads the process's own.

    Returns
    -------
    argparse.Namespace
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        default=None,
        help=f"of {', '.join(PARTS)} (default: all), or of {', '.join(STUDIES)}",
    )
    parser.add_argument("--sets", help=f"comma-separated, of {', '.join(_set_names())}")
    parser.add_argument("--methods", help=f"comma-separated, of {', '.join(_method_names())}")
    parser.add_argument("--full", action="store_true", help="the slow methods and sets too (hours)")
    parser.add_argument("--seeds", type=int, help="of tuned, network and family (default: 1 to 5)")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs measured")
    parser.add_argument("--no-peers", action="store_true", help="leave LibMultiLabel out")
    parser.add_argument("--threads", type=int, default=2, help="of torch and BLAS (default 2)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the tables")
    options = parser.parse_args(arguments)
    options.parts = options.parts or list(PARTS)
    _check(parser, "part", options.parts, (*PARTS, *STUDIES))
    _check_commands(parser, options)
    usual = datasets.NAMES if options.full else linear.QUICK_SETS
    options.sets = options.sets.split(",") if options.sets else [*usual, *datasets.SMALL]
    _check(parser, "set", options.sets, _set_names())
    wanted = options.methods.split(",") if options.methods else _method_names()
    _check(parser, "method", wanted, _method_names())
    options.methods = [
        method
        for method in METHODS
        if method.name in wanted and not (options.no_peers and method.kind == "peer")
    ]
    options.recipes = [recipe for recipe in RECIPES if recipe.name in wanted]
    return options


def _set_names():
    return (*datasets.NAMES, *datasets.SMALL)


def _method_names():
    return list(dict.fromkeys(method.name for method in (*METHODS, *RECIPES)))


def _check(parser, what, given, known):
    for name in given:
        if name not in known:
            parser.error(f"no {what} {name!r}; there are: {', '.join(known)}")


def _check_commands(parser, options):
    """End with an error if an option is given to a command that has options of its own."""
    named = [part for part in options.parts if part in COMMANDS]
    given = [
        name
        for name, value in vars(options).items()
        if name not in ("parts", "out") and value != parser.get_default(name)
    ]
    if named and given:
        parser.error(
            f"{named[0]} does not take --{given[0].replace('_', '-')}; type "
            f"python -m benchmarks.{named[0]} --help for what it takes"
        )


def _run(options, part) -> Path:
    """Run one part: "loss" is done by `run_loss`, and so on."""
    if part in COMMANDS:
        return run_command(options, part)
    with limited_threads(options.threads):
        if part in SET_STUDIES:
            return run_study(options, part)
        return globals()[f"run_{part}"](options)


def run_loss(options) -> Path:
    """Measure the loss and write ``loss.md``."""
    tables = [
        loss_speed.table(),
        loss_speed.relatives_table(),
        loss_speed.small_batches_table(),
        loss_memory.table(options.threads),
    ]
    header = describe(options.threads)
    return write(options.out, "loss", "The loss beside binary cross-entropy", header, tables)


def run_convergence(options) -> Path:
    """Measure the linear model against liblinear and write ``convergence.md``."""
    store = Store(options.out / ".state" / "convergence.json", options.fresh)
    convergence.run(store, options.sets, options.threads, _say)
    table = convergence.table(store, datasets.NAMES)
    header = describe(options.threads)
    return write(options.out, "convergence", "Time to the optimum", header, [table])


def run_linear(options) -> Path:
    """Measure the linear methods and write ``linear.md``, ``.png`` and ``calibration.md``."""
    if any(method.kind == "peer" for method in options.methods):
        peers.ensure_environment(_say)
    store = Store(options.out / ".state" / "linear.json", options.fresh)
    header = describe(options.threads)
    title = "Linear methods: quality beside time"
    for name in (name for name in options.sets if name in datasets.NAMES):
        linear.run(store, name, options.methods, options.threads, options.full, _say)
        # After every set, so that a killed run leaves tables of what it has.
        tables = linear.tables(store, datasets.NAMES, options.threads)
        path = write(options.out, "linear", title, header, tables)
        tables = [calibration.table(store, datasets.NAMES)]
        write(options.out, "calibration", "Probabilities beside frequencies", header, tables)
    plot.quality_beside_time(store, datasets.NAMES, options.out / "linear.png")
    return path


def run_tuned(options) -> Path:
    """Measure tuned thresholds and write ``tuned.md``."""
    store, path = Store(options.out / ".state" / "tuned.json", options.fresh), options.out
    for name in (name for name in options.sets if name in tuned.SETS):
        recipes, threads = options.recipes, options.threads
        tuned.run(store, name, recipes, threads, options.full, options.seeds, _say)
        path = _write_tuned(options, store, _peers_store(options))
    return path


def run_peers_tuned(options) -> Path:
    """Measure LibMultiLabel's methods, once, and write ``tuned.md``."""
    peers.ensure_environment(_say)
    store, path = _peers_store(options, options.fresh), options.out
    for name in (name for name in options.sets if name in tuned.PEER_SETS):
        tuned.run_peers(store, name, options.threads, options.full, _say)
        path = _write_tuned(options, Store(options.out / ".state" / "tuned.json"), store)
    return path


def _peers_store(options, fresh=False):
    return Store(options.out / ".state" / "peers_tuned.json", fresh)


def _write_tuned(options, store, of_peers):
    tables = tuned.tables(store, of_peers, options.threads)
    title = "Linear models with tuned thresholds"
    return write(options.out, "tuned", title, describe(options.threads), tables)


def run_network(options) -> Path:
    """Measure networks and write ``network.md``."""
    store, path = Store(options.out / ".state" / "network.json", options.fresh), options.out
    kinds = network.KINDS[1:] if options.no_peers else network.KINDS
    for name in (name for name in options.sets if name in network.SETS):
        for kind in kinds:
            network.run(store, name, kind, options.threads, options.seeds, _say)
            tables = network.tables(store, options.threads)
            header = describe(options.threads)
            path = write(options.out, "network", "Networks: quality and time", header, tables)
    return path


def run_network_search(options) -> Path:
    """Search the network's defaults and write ``network_search.md``."""
    store = Store(options.out / ".state" / "network_search.json", options.fresh)
    path, title = options.out, "The search for the defaults of MLCEMLP"
    for name in options.sets:
        network_search.run(store, [name], options.threads, options.seeds, _say)
        tables = network_search.tables(store)
        path = write(options.out, "network_search", title, describe(options.threads), tables)
    return path


def run_family(options) -> Path:
    """Measure every loss in both models and write ``family.md``."""
    store, path = Store(options.out / ".state" / "family.json", options.fresh), options.out
    for name in (name for name in options.sets if name in family.SETS):
        family.run(store, name, options.threads, options.seeds, _say)
        header, tables = describe(options.threads), family.tables(store)
        path = write(options.out, "family", "Every loss in both models", header, tables)
    return path


def run_growth(options) -> Path:
    """Measure growth and write ``growth.md`` and ``growth.png``."""
    store = Store(options.out / ".state" / "growth.json", options.fresh)
    growth.run(store, options.threads, options.full, _say)
    plot.growth(store, options.out / "growth.png")
    title = "Growth of fit time and memory"
    return write(options.out, "growth", title, describe(options.threads), growth.tables(store))


def run_network_speed(options) -> Path:
    """Measure the network's speed and write ``network_speed.md``."""
    store = Store(options.out / ".state" / "network_speed.json", options.fresh)
    network_speed.run(store, options.threads, _say)
    title = "Speed of the network"
    tables = network_speed.tables(store, options.threads)
    return write(options.out, "network_speed", title, describe(options.threads), tables)


def run_defaults(options) -> Path:
    """Search the default options and write ``defaults.md``."""
    store = Store(options.out / ".state" / "defaults.json", options.fresh)
    defaults.run(store, options.sets, options.threads, _say)
    tables = defaults.tables(store)
    title = "The search for the default options"
    return write(options.out, "defaults", title, describe(options.threads), tables)


def run_study(options, name) -> Path:
    """Measure one of `SET_STUDIES`, set by set, and write its page."""
    module, title = SET_STUDIES[name]
    store, path = Store(options.out / ".state" / f"{name}.json", options.fresh), options.out
    for one in module.SETS:
        if one in options.sets or name in ON_ALL_SETS:
            measure(store, one, module.jobs(one, options.threads), _say)
            tables = module.tables(store, module.SETS)
            path = write(options.out, name, title, describe(options.threads), tables)
    return path


def run_command(options, name) -> Path:
    """Run one of `COMMANDS`, with its own defaults."""
    import_module(f".{name}", __package__).main(["--out", str(options.out)])
    return options.out / f"{name}.md"


def run_reference(options) -> Path:
    """Find the optima again and write ``reference_objectives.json``."""
    known = objective.references()
    for name in (name for name in options.sets if name in datasets.NAMES):
        known[name] = objective.minimise(datasets.load(name))
        _say(f"[{name}] {known[name]}")
        objective.REFERENCES.write_text(json.dumps(known, indent=2) + "\n")
    return objective.REFERENCES


def _say(line):
    print(line, flush=True)


def main(arguments=None) -> int:
    """Run the parts that the command line names.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None reads the process's own.

    Returns
    -------
    int
        Exit status: 0, or 2 where something that is needed is not there.
    """
    options = parse(arguments)
    for part in options.parts:
        try:
            _say(f"wrote {_run(options, part)}")
        except (FileNotFoundError, ModuleNotFoundError, RuntimeError) as error:
            print(f"benchmarks: {part}: {error}", file=sys.stderr)
            return 2
    return 0


def _end(number, frame):
    sys.exit(128 + number)


if __name__ == "__main__":
    # An orderly end, so that a killed run leaves no peer's process and no exchange folder behind.
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
