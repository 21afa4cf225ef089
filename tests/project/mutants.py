"""Mutation tests: change the package in small ways, and see whether the tests of a room notice.

``make mutants``, or in an environment with the tests' packages and cosmic-ray::

    python tests/project/mutants.py              # 500 mutants, seed 0; writes build/mutants/
    python tests/project/mutants.py --again      # those that survived, against today's tests
    python tests/project/mutants.py --report     # the tables of docs/developer/mutation.md

cosmic-ray makes the mutants. It would start Python for each, and importing torch takes seconds:
here a process that has imported what the package needs forks for each mutant. A first run without
mutants tells which tests reach which lines, and a mutant meets these tests, the fastest first. The
first failure ends it, and so does a test that takes ten times its time. Mutants are written into a
copy of the project, never into the project itself. A run that was broken off goes on where it was;
without the folder it begins anew. ``--rooms`` lets two runs go side by side.
"""

import argparse
import ast
import contextlib
import hashlib
import importlib
import itertools
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Files of each room, and its tests. Losses are kernels with checks around them: their tests count.
ROOMS = {
    "targets": (["_targets/*"], ["tests/targets"]),
    "kernels": (["_kernels/*"], ["tests/kernels", "tests/losses"]),
    "objectives": (["_objectives/*"], ["tests/objectives"]),
    "solvers": (["_solvers/*"], ["tests/solvers"]),
    "thresholds": (
        [
            f"model_selection/_{name}"
            for name in (
                "f_measure",
                "given_scores",
                "highest_cells",
                "label_results",
                "sweep",
                "thresholds",
                "tuned_threshold",
            )
        ],
        ["tests/model_selection", "sklearn_mlce/model_selection"],
    ),
    "checkpoint": (
        [f"_network/{name}" for name in ("array_archive", "checkpoint", "fingerprint")],
        ["tests/network"],
    ),
}
# What the package and its tests import: what a forked process need not import again.
WARM = ["pytest", "hypothesis", "numpydoc", "pandas", "skorch", "torch", "scipy.optimize"]
WARM += ["scipy.sparse.linalg", "skops.io", "sklearn.ensemble", "sklearn.linear_model"]
WARM += ["sklearn.calibration", "sklearn.model_selection", "sklearn.neural_network"]
WARM += ["sklearn.multioutput", "sklearn.utils.estimator_checks", "torch.utils.data"]
# Sizes of the blocks that work is done in: results are the same for all, as tests with blocks of
# one row hold.
WORK = re.compile("BLOCK|_BYTES|(DENSE|MOVED|PRODUCT|SQUARED)_ENTRIES")
# Of truth values these are the same operation, in NumPy and in torch.
SAME = {"core/ReplaceBinaryOperator_BitOr_Add", "core/ReplaceBinaryOperator_BitAnd_Mul"}
MEMORY = 12 * 2**30  # bytes of address space: a mutant may ask for any number of rows
# The plugin of hypothesis is imported already, which pytest warns of.
PYTEST = [
    "-q",
    "-m",
    "not slow",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
]
KILLED, SURVIVED, OUT_OF_TIME = "killed", "survived", "killed by the clock"


# ---------------------------------------------------------------- which mutants there are


def unchanging(tree):
    """Yield nodes in which a mutant changes no result: types, texts, parts of the work."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            of_arguments = [
                item.annotation for item in ast.walk(node.args) if hasattr(item, "annotation")
            ]
            yield from filter(None, [*of_arguments, node.returns])
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation
        elif isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            yield from node.body
        elif isinstance(node, ast.Assign) and WORK.search(getattr(node.targets[0], "id", "")):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield node
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from node.exc.args
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "warnings.warn":
            yield from node.args


def spans(tree):
    """Return the innermost statement's lines of each line, and the function that holds it."""
    lines, owners = {}, {}

    def visit(node, owner):
        for child in ast.iter_child_nodes(node):
            below = owner
            if isinstance(child, ast.stmt):
                body = getattr(child, "body", None)
                last = body[0].lineno - 1 if body else child.end_lineno
                first = min(
                    [child.lineno, *(d.lineno for d in getattr(child, "decorator_list", []))]
                )
                for line in range(first, child.end_lineno + 1):
                    lines[line] = (first, max(first, last))
                    owners[line] = owner
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                below = (*owner, child)
            visit(child, below)

    visit(tree, ())
    return lines, owners


def mutants_of(path, room):
    """Yield each mutant of a file that may change a result."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    lines, owners = spans(tree)
    left_out = [
        ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
        for node in unchanging(tree)
    ]
    nodes = list(ast_nodes(get_ast(source)))
    for name in operator_names():
        if get_operator(name).arguments():
            continue  # takes variables' names, of which there is no list
        positions = itertools.chain.from_iterable(
            map(get_operator(name)().mutation_positions, nodes)
        )
        seen = Counter()
        for occurrence, (start, _) in enumerate(positions):
            line = (
                start[0] if start[0] in lines else start[0] + 1
            )  # a decorator starts a line early
            owner = owners.get(line, ())
            place = ".".join(node.name for node in owner)
            seen[place] += 1
            if name in SAME or any(first <= start < last for first, last in left_out):
                continue
            yield {
                "room": room,
                "path": path.relative_to(ROOT).as_posix(),
                "function": place,
                "operator": name.removeprefix("core/"),
                "nth": seen[place],
                "occurrence": occurrence,
                "line": start[0],
                "statement": lines.get(line, (line, line)),
                "in_function": any(isinstance(node, ast.FunctionDef) for node in owner),
            }


def digest_of(paths):
    """Return a name for what files hold."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths))).hexdigest()


def drawn(seed, count, out):
    """Return so many mutants that compile, and of how many they are drawn.

    A mutant's place in the draw is a hash of the seed and of where it stands in its function. So a
    change of one function leaves the mutants of the others as they were.
    """
    kept = out / f"drawn-{seed}-{count}.json"
    digest = digest_of([*(ROOT / "sklearn_mlce").glob("**/*.py"), Path(__file__)])
    if kept.exists() and (known := json.loads(kept.read_text()))["of"] == digest:
        return known["mutants"], known["counts"]
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    everything = [
        mutant
        for room, (patterns, _) in ROOMS.items()
        for pattern in patterns
        for path in sorted((ROOT / "sklearn_mlce").glob(f"{pattern}.py"))
        for mutant in mutants_of(path, room)
    ]
    for mutant in everything:
        place = [seed, *(mutant[key] for key in ("path", "function", "operator", "nth"))]
        mutant["id"] = hashlib.sha256(repr(place).encode()).hexdigest()[:12]
    found, broken = [], 0
    for mutant in sorted(everything, key=lambda mutant: mutant["id"]):
        if len(found) == count:
            break
        source = (ROOT / mutant["path"]).read_text(encoding="utf-8")
        operator = get_operator(f"core/{mutant['operator']}")()
        mutant["code"] = mutate_code(source, operator, mutant["occurrence"])
        try:
            compile(mutant["code"], mutant["path"], "exec")
        except SyntaxError:
            broken += 1
            continue
        before, after = source.splitlines(), mutant["code"].splitlines()
        differ = [pair for pair in zip(before, after, strict=False) if pair[0] != pair[1]]
        mutant["before"], mutant["after"] = (side.strip() for side in differ[0])
        found.append(mutant)
    counts = Counter(mutant["room"] for mutant in everything)
    counts |= {"all": len(everything), "broken": broken}
    kept.write_text(json.dumps({"of": digest, "counts": counts, "mutants": found}))
    return found, counts


# ---------------------------------------------------------------- which tests reach which lines


class Recorder:
    """pytest plugin: the seconds of each test, and the lines that it runs."""

    def __init__(self, coverage):
        self.coverage = coverage
        self.seconds = Counter()
        self.failed = []

    def pytest_runtest_logstart(self, nodeid, location):
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)


class Chosen:
    """pytest plugin: run the named tests alone, in that order, each within its time."""

    def __init__(self, limits, failures):
        self.limits = limits
        self.failures = failures

    def pytest_collection_modifyitems(self, items):
        rank = {test: index for index, test in enumerate(self.limits)}
        items[:] = sorted(
            (item for item in items if item.nodeid in rank), key=lambda item: rank[item.nodeid]
        )

    def pytest_runtest_logstart(self, nodeid, location):
        self.failures.write_text(nodeid)
        signal.setitimer(signal.ITIMER_PROF, self.limits[nodeid])

    def pytest_runtest_logfinish(self, nodeid, location):
        signal.setitimer(signal.ITIMER_PROF, 60)


def in_child(copy, log, job):
    """Fork a process that runs a job in a copy of the project, and return its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 99
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.chdir(copy)
        os.environ["PYTHONPATH"] = str(copy)
        sys.path[0] = str(copy)
        status = int(job())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def mapped(copy, room, out):
    """Run the tests of a room without a mutant; return their seconds and the lines they run."""
    kept = out / f"map-{room}.json"
    sources = {*copy.glob("sklearn_mlce/**/*.py"), *copy.glob("tests/**/*.py")}
    sources.discard(copy / "tests" / "project" / "mutants.py")
    digest = digest_of(sources)
    if kept.exists() and (known := json.loads(kept.read_text()))["of"] == digest:
        return known

    def job():
        import coverage
        import pytest

        cover = coverage.Coverage(
            data_file=None, source=[str(copy / "sklearn_mlce")], config_file=False
        )
        recorder = Recorder(cover)
        cover.start()
        status = pytest.main([*ROOMS[room][1], *PYTEST], plugins=[recorder])
        cover.stop()
        data = cover.get_data()
        lines = {
            str(Path(path).relative_to(copy)): {
                line: [test for test in tests if test]
                for line, tests in data.contexts_by_lineno(path).items()
            }
            for path in data.measured_files()
        }
        kept.write_text(json.dumps({"of": digest, "seconds": recorder.seconds, "lines": lines}))
        return status

    kept.unlink(missing_ok=True)
    _, status = os.waitpid(in_child(copy, out / f"map-{room}.log", job), 0)
    if status:
        raise SystemExit(f"the tests of {room} fail without a mutant: see {out}/map-{room}.log")
    return json.loads(kept.read_text())


def reaching(mutant, known):
    """Return the tests that reach a mutant, fastest first, and before them a few of one file.

    Each file of tests takes time to read: that of most of the tests goes first. What runs at import
    reaches all tests of the room, and those that use the file go first.
    """
    lines = known["lines"].get(mutant["path"], {})
    first, last = mutant["statement"]
    wanted = map(str, range(first, last + 1)) if mutant["in_function"] else lines
    tests = {test for line in wanted for test in lines.get(line, [])}
    files = Counter(test.partition("::")[0] for test in sorted(tests)).most_common(1)
    ranked = sorted(known["seconds"], key=known["seconds"].get)
    few = [test for test in ranked if test in tests and test.startswith(files[0][0])][:40]
    others = tests if mutant["in_function"] else known["seconds"]
    return few, [test for test in ranked if test in others and test not in few]


# ---------------------------------------------------------------- whether a mutant is noticed


def noticed(mutant, tests, known, copy, log):
    """Run tests on a mutant, and return what becomes of it and the test that told."""
    if not tests:
        return SURVIVED, ""
    current = log.with_suffix(".test")
    current.write_text("on import")

    def job():
        import pytest

        # Seconds of the processor, which other programs do not lengthen; and a limit of any other.
        signal.setitimer(signal.ITIMER_PROF, 60)
        signal.setitimer(signal.ITIMER_REAL, 1800)
        plugin = Chosen({test: 10 + 10 * known["seconds"][test] for test in tests}, current)
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        return pytest.main([*files, "-x", *PYTEST], plugins=[plugin])

    target = copy / mutant["path"]
    before, times = target.read_bytes(), target.stat()
    target.write_text(mutant["code"], encoding="utf-8")
    # A time of its own: Python tells by it whether a compiled form is that of the source.
    os.utime(target, (int(mutant["id"], 16) % 10**9,) * 2)
    child = in_child(copy, log, job)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):  # what the tests left behind
        os.killpg(child, signal.SIGKILL)
    target.write_bytes(before)
    os.utime(target, (times.st_atime, times.st_mtime))
    if os.WIFSIGNALED(status):
        clock = os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM)
        return (OUT_OF_TIME if clock else KILLED), current.read_text()
    code = os.WEXITSTATUS(status)
    if code in (4, 99):  # pytest was asked for something else; the child itself failed
        raise SystemExit(f"a mutant could not be run: see {log}")
    return (SURVIVED, "") if code in (0, 5) else (KILLED, current.read_text())


def run(mutants, known, copy, out, thorough):
    """Test mutants of a room, and write down what becomes of each."""
    room = mutants[0]["room"]
    kept = out / f"results-{room}.json"
    results = json.loads(kept.read_text()) if kept.exists() else []
    again = {mutant["id"] for mutant in mutants}
    results = [item for item in results if item["id"] not in again]
    for mutant in mutants:
        began = time.monotonic()
        parts = reaching(mutant, known)
        if thorough:
            parts = [*parts, sorted(known["seconds"], key=known["seconds"].get)]
        for tests in parts:
            what, test = noticed(mutant, tests, known, copy, out / f"{mutant['id']}.log")
            if what != SURVIVED:
                break
        mutant |= {"outcome": what, "test": test, "seconds": time.monotonic() - began}
        results.append(mutant)
        kept.write_text(json.dumps(results, indent=1))
        print(f"{len(results):4} {room:10} {mutant['seconds']:5.1f} s {what}", flush=True)


def report(results, counts):
    """Print what became of the mutants, as tables of Markdown."""
    print(f"{len(results)} of {counts['all']} mutants; {counts['broken']} did not compile\n")
    print(
        "| room | mutants | drawn | killed | by the clock | survived |\n|---|---|---|---|---|---|"
    )
    for room in [*ROOMS, "all"]:
        seen = Counter(item["outcome"] for item in results if room in (item["room"], "all"))
        ends = [seen[what] for what in (KILLED, OUT_OF_TIME, SURVIVED)]
        row = [counts.get(room, 0), seen.total(), *ends]
        print(f"| {room} | {' | '.join(map(str, row))} |")
    print("\n| where | line | mutant | id |\n|---|---|---|---|")
    for item in sorted(results, key=lambda item: (item["path"], item["line"])):
        if item["outcome"] == SURVIVED:
            where = f"{item['path'].removeprefix('sklearn_mlce/')}:{item['line']}"
            print(f"| `{where}` | `{item['before']}` | `{item['after']}` | {item['id']} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=[*ROOMS])
    parser.add_argument("--again", action="store_true", help="the survivors of the last run alone")
    parser.add_argument("--thorough", action="store_true", help="with all tests of the room")
    parser.add_argument("--report", action="store_true", help="print the last run's tables")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "mutants")
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if not options.report:
        mutants, _ = drawn(options.seed, options.count, out)
        for name in WARM:
            importlib.import_module(name)
        copy = out / f"copy-{'-'.join(options.rooms)}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "*build", "__pycache__"))
        for room in options.rooms:
            kept = out / f"results-{room}.json"
            done = json.loads(kept.read_text()) if kept.exists() else []
            done = {
                item["id"] for item in done if not (options.again and item["outcome"] == SURVIVED)
            }
            wanted = [item for item in mutants if item["room"] == room and item["id"] not in done]
            if wanted:
                run(wanted, mapped(copy, room, out), copy, out, options.thorough)
    mutants, counts = drawn(options.seed, options.count, out)
    ids = {mutant["id"] for mutant in mutants}
    results = [item for kept in out.glob("results-*.json") for item in json.loads(kept.read_text())]
    report([item for item in results if item["id"] in ids], counts)


if __name__ == "__main__":
    main()
