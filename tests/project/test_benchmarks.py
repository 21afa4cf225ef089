"""The benchmark harness measures what its tables say, on made data."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from benchmarks import (
    convergence,
    datasets,
    environment,
    imports,
    linear,
    loss_cases,
    loss_memory,
    loss_speed,
    many_labels,
    objective,
    peers,
    peers_runner,
    plot,
    quality,
    report,
    threshold_shrinkage,
)
from benchmarks.__main__ import ON_ALL_SETS, PARTS, SET_STUDIES, STUDIES, main, parse
from benchmarks.methods import METHODS, Method, timed_fit
from benchmarks.store import Job, Store, measure


def make_dataset(n=60, d=7, n_labels=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    Y = (X @ rng.normal(size=(d, n_labels)) > 0.5).astype(np.int64)
    Y[:, -1] = 0
    half = n // 2
    return datasets.DataSet(
        "made", X[:half], sp.csr_matrix(Y[:half]), X[half:], sp.csr_matrix(Y[half:])
    )


def test_unseen_labels_rank_last_and_precision_counts_by_hand():
    scores = np.array([[-3.0, -1.0, 0.0], [-2.0, -5.0, 0.0]])
    ranked = quality.rank_last(scores, np.array([False, False, True]))
    assert (ranked[:, 2] < ranked[:, :2].min(axis=1)).all()
    assert scores[0, 2] == 0
    truth = np.array([[0, 1, 0], [0, 1, 0]])
    assert quality.precision_at(1, truth, ranked) == 0.5
    assert quality.precision_at(2, truth, ranked) == 0.5
    figures = quality.evaluate(sp.csr_matrix(truth), truth.astype(bool), truth.astype(float))
    assert figures["micro"] == figures["samples"] == figures["lrap"] == figures["p1"] == 1
    assert figures["macro"] == pytest.approx(1 / 3)


def test_objective_is_the_written_formula_and_its_gradient_is_the_slope():
    dataset = make_dataset()
    X, Y = dataset.X_train, dataset.Y_train
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(7, 4)), rng.normal(size=4)
    slow = 0.0
    for scores, positive in zip(X @ W + b, Y.toarray().astype(bool), strict=True):
        slow += np.log1p(np.exp(scores[~positive]).sum())
        slow += np.log1p(np.exp(-scores[positive]).sum())
    slow = slow / len(X) + (W**2).sum() / (2 * 3.0 * len(X))
    value, grad_W, grad_b = objective.value_and_gradient(W, b, X, Y, C=3.0)
    assert value == pytest.approx(slow, rel=1e-12)
    step_W, step_b = rng.normal(size=W.shape), rng.normal(size=4)
    up = objective.value_and_gradient(W + 1e-6 * step_W, b + 1e-6 * step_b, X, Y, C=3.0)[0]
    down = objective.value_and_gradient(W - 1e-6 * step_W, b - 1e-6 * step_b, X, Y, C=3.0)[0]
    slope = (grad_W * step_W).sum() + (grad_b * step_b).sum()
    assert (up - down) / 2e-6 == pytest.approx(slope, rel=1e-6)


def test_objective_survives_huge_scores_and_small_blocks(monkeypatch):
    dataset = make_dataset()
    arguments = (np.full((7, 4), 1e4), np.zeros(4), dataset.X_train, dataset.Y_train)
    whole = objective.value_and_gradient(*arguments)
    assert np.isfinite(whole[0])
    monkeypatch.setattr(objective, "_BLOCK", 12)
    for one, other in zip(whole, objective.value_and_gradient(*arguments), strict=True):
        np.testing.assert_allclose(one, other)


def test_reference_is_a_minimum_that_our_fit_reaches(monkeypatch):
    from sklearn_mlce import MLCEClassifier

    dataset = make_dataset()
    found = objective.minimise(dataset)
    assert found["gap_bound"] < 1e-8
    model = MLCEClassifier(C=1.0, loss="mlce", tol=1e-8).fit(dataset.X_train, dataset.Y_train)
    reached = objective.of_model(model, dataset)
    assert reached == pytest.approx(found["objective"], rel=1e-9)
    monkeypatch.setattr(objective, "references", lambda: {"made": found})
    assert objective.relative_gap(1.5 * found["objective"], dataset) == pytest.approx(0.5)
    monkeypatch.setattr(objective, "references", lambda: {"made": found | {"size": "other"}})
    with pytest.raises(ValueError, match="benchmarks reference --sets made"):
        objective.relative_gap(1.0, dataset)


def test_measurements_take_turns_and_go_on_after_a_kill(tmp_path):
    done = []

    def job(name, fingerprint="a", repeats=2):
        def run():
            if len(done) == 3:
                raise KeyboardInterrupt
            done.append(name)
            return {"s": float(len(done))}

        return Job(run, repeats, fingerprint)

    store = Store(tmp_path / "state.json")
    with pytest.raises(KeyboardInterrupt):
        measure(store, "set", {"x": job("x"), "y": job("y")}, lambda line: None)
    assert done == ["x", "y", "y"]
    done.append("killed")
    store = Store(tmp_path / "state.json")
    measure(store, "set", {"x": job("x"), "y": job("y")}, lambda line: None)
    assert done[4:] == ["x"]
    assert store.medians("set", "x")["s"] == 3.0
    assert store.medians("set", "x")["load"] >= 0

    # Another source for x: x and y took turns, so both start over; z stands alone and is kept.
    store.add("set", "z", {"s": 9.0, "load": 0.0}, "a")
    jobs = {"x": job("x", "b"), "y": job("y"), "z": job("z", repeats=1)}
    measure(store, "set", jobs, lambda line: None)
    assert done[5:] == ["x", "y", "y", "x"]
    assert store.samples("set", "z")[0]["s"] == 9.0
    assert Store(tmp_path / "state.json", fresh=True).groups == {}


def test_a_store_lays_out_medians_of_what_is_complete(tmp_path):
    store = Store(tmp_path / "state.json")
    for group, name, s in (("a", "x", 1.0), ("a", "x", 4.0), ("a", "y", 5.0), ("b", "y", 7.0)):
        store.add(group, name, {"s": s, "double": 2 * s}, "mark")
    assert store.complete(("b", "a", "none"), ("x", "y")) == ["a"]
    assert store.complete(("b", "a", "none"), ("y",)) == ["b", "a"]
    pairs = store.pairs(("b", "none", "a"))
    assert pairs == [("b", "y"), ("a", "x"), ("a", "y")]
    grid = store.grid(pairs, ("double", "s"))
    np.testing.assert_array_equal(grid, [[14, 7], [5, 2.5], [10, 5]])


def test_fingerprints_follow_what_a_figure_depends_on(monkeypatch):
    kinds = [environment.fingerprint(kind, 2) for kind in environment.OF_A_KIND]
    assert len(set(kinds)) == len(environment.OF_A_KIND)
    assert environment.fingerprint("mlce", 1) != kinds[0]
    monkeypatch.setattr(environment, "versions", lambda: {"torch": "0"})
    assert environment.fingerprint("mlce", 2) != kinds[0]


def test_every_source_that_a_figure_depends_on_exists():
    paths = {path for named in environment.OUR_SOURCE.values() for path in named}
    assert all((environment.ROOT / path).exists() for path in paths)


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with environment.limited_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_method_reports_times_and_quality():
    method = next(method for method in METHODS if method.name == "linear_svc")
    row = method.run(make_dataset())
    assert row["fit_s"] > 0
    assert row["predict_s"] > 0
    assert 0.5 < row["micro"] <= 1


def test_non_convergence_is_counted():
    from sklearn.linear_model import LogisticRegression

    dataset = make_dataset()
    model = LogisticRegression(max_iter=1, solver="newton-cg")
    unconverged = timed_fit(model, dataset.X_train, dataset.Y_train.toarray()[:, 0])[2]
    assert unconverged >= 1


def test_linear_tables_hold_ratios_to_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda name: make_dataset())
    store = Store(tmp_path / "state.json")
    methods = [method for method in METHODS if method.name in ("auto", "linear_svc")]
    linear.run(store, "made", methods, threads=1, full=False, say=lambda line: None)
    *_, table = linear.tables(store, ["made", "absent"], threads=1)
    assert table.rows[0][1:3] == ("1.00", "1.00")
    ratio = store.medians("made", "linear_svc")["fit_s"] / store.medians("made", "auto")["fit_s"]
    assert table.rows[1][1] == f"{ratio:.2f}"
    plot.quality_beside_time(store, ["made", "absent"], tmp_path / "made.png")
    assert (tmp_path / "made.png").stat().st_size > 5000
    *_, table = linear.tables(store, ["made"], threads=2)
    assert all(row[0].endswith("(old)") for row in table.rows)


def test_convergence_finds_the_loosest_tolerance(tmp_path, monkeypatch):
    dataset = make_dataset()
    found = objective.minimise(dataset)
    monkeypatch.setattr(datasets, "load", lambda name: dataset)
    monkeypatch.setattr(objective, "references", lambda: {"made": found})
    monkeypatch.setattr(convergence, "BARS", {"made": (1.0, 1)})
    store = Store(tmp_path / "state.json")
    convergence.run(store, ["made", "other"], threads=1, say=lambda line: None)
    chosen = store.medians("made", "tolerance")
    assert chosen["tol"] in convergence.TOLERANCES
    assert chosen["gap"] <= convergence.GAP
    table = convergence.table(store, ["made", "other"])
    assert table.columns == ("figure", "made")
    assert float(dict(table.rows)["fit / liblinear"]) > 0


def test_dense_and_index_targets_of_the_timed_losses_agree():
    problem = loss_cases.make_problem(6, 40)
    assert problem.dense.sum(dim=1).tolist() == [5] * 6
    rows = torch.arange(6).repeat_interleave(5)
    assert problem.dense[rows, problem.indices].all()
    dense, indices = (
        loss_cases.LOSSES[name](problem)
        for name in ("mlce_loss, dense targets", "mlce_loss_from_indices")
    )
    torch.testing.assert_close(dense, indices)


def test_loss_table_has_a_verdict_for_every_bar():
    limits = {"mlce_loss_from_indices": 1e9, "mlce_loss, dense targets": 0.0}
    table = loss_speed.table([loss_speed.Shape(8, 16, 5, 3, 1, limits)])
    verdicts = {row[2]: row[table.columns.index("holds")] for row in table.rows}
    assert verdicts == {
        loss_cases.BASELINE: "",
        "mlce_loss_from_indices": "yes",
        "mlce_loss, dense targets": "NO",
    }


def test_every_relative_has_a_bar():
    limits = loss_speed.RELATIVES_SHAPES[0].limits
    table = loss_speed.relatives_table([loss_speed.Shape(8, 50, 5, 3, 1, limits)])
    verdicts = {row[2]: row[table.columns.index("holds")] for row in table.rows}
    assert verdicts.pop(loss_cases.BASELINE) == ""
    assert set(verdicts.values()) <= {"yes", "NO"}


@pytest.mark.parametrize(("rows", "labels"), [(64, 14), (30, 40)])
@pytest.mark.parametrize("name", loss_cases.PLAIN)
def test_a_plain_formula_is_the_loss_that_it_is_timed_beside(name, rows, labels):
    problem = loss_cases.make_problem(rows, labels, 3)
    # Torch's mean of the binary cross-entropy is over the labels too.
    factor = labels if name == "binary_cross_entropy_loss" else 1
    ours = {**loss_cases.RELATIVES, **loss_cases.LOSSES}[name](problem)
    torch.testing.assert_close(factor * loss_cases.PLAIN[name](problem), ours, rtol=1e-4, atol=0)


def test_small_batches_have_a_bar_for_every_loss():
    limits = loss_speed.SMALL_SHAPES[0].limits
    table = loss_speed.small_batches_table([loss_speed.Shape(8, 20, 3, 3, 1, limits)])
    assert [row[1] for row in table.rows] == list(limits)
    assert {row[table.columns.index("holds")] for row in table.rows} <= {"yes", "NO"}


def test_turns_are_taken_in_a_changing_order():
    calls = []
    actions = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    seconds = loss_speed.take_turns(actions, rounds=20, calls=2)
    turns = "".join(calls[::3])  # of each, one call before the two that are timed
    assert calls == [name for name in turns for _ in range(3)]
    rounds = [turns[start : start + 3] for start in range(0, len(turns), 3)]
    assert {"".join(sorted(order)) for order in rounds} == {"abc"}
    assert len(rounds) == 21
    assert len(set(rounds)) > 3
    assert seconds["a"].shape == (20,)


@pytest.mark.slow
@pytest.mark.skipif(not loss_memory.RESET.exists(), reason="needs Linux's /proc")
def test_memory_measurement_counts_copies():
    case = "check: keep 2 copies"
    assert loss_memory.buffers(case, 4096, 1024, threads=1) == pytest.approx(2, abs=0.2)


def test_peers_get_what_we_have(tmp_path, monkeypatch):
    """The exchange with the peers' process, with that process replaced."""
    dataset = make_dataset()

    def call(command):
        source, target, function, options, threads, seed = command[2:]
        with np.load(source) as stored:
            X_train = peers_runner.read_csr(stored, "X_train").toarray()
            Y_train = peers_runner.read_csr(stored, "Y_train").toarray()
        np.testing.assert_array_equal(X_train, dataset.X_train)
        np.testing.assert_array_equal(Y_train, dataset.Y_train.toarray())
        assert function == "train_1vsrest"
        assert "-B 1" in options
        assert (threads, seed) == ("2", "1")
        assert "-m 2" in options
        scores = np.zeros(dataset.Y_test.shape)
        np.savez(target, scores=scores, predicted=scores > 0, seconds=[2.0, 1.0])

    monkeypatch.setattr(peers, "_call", call)
    monkeypatch.setattr(peers, "ensure_environment", lambda: "python")
    row = Method("peer", "Peer", "peer", function="train_1vsrest").run(dataset, 2, 1)
    assert (row["fit_s"], row["predict_s"], row["micro"]) == (2.0, 1.0, 0.0)


def test_a_failing_peer_says_how_to_go_on_without():
    with pytest.raises(RuntimeError, match="--no-peers"):
        peers._call([sys.executable, "-c", "raise SystemExit(3)"])


def test_tables_are_written_for_people_and_programs(tmp_path):
    table = report.Table("Fruit", ("name", "n"))
    table.add("apple", "1")
    table.note("A note.")
    with pytest.raises(ValueError, match="1 cells for the 2 columns"):
        table.add("pear")
    path = report.write(tmp_path, "fruit", "All fruit", ["- header"], [table])
    text = path.read_text()
    assert "| apple | 1 |" in text
    assert text.endswith("A note.\n")
    assert (tmp_path / "fruit.csv").read_text() == "table,name,n\nFruit,apple,1\n"


def test_command_line_names_what_there_is(capsys):
    assert "cellcycle_go" not in parse([]).sets
    assert "cellcycle_go" in parse(["--full"]).sets
    assert [recipe.name for recipe in parse(["--methods", "squared_hinge"]).recipes] == [
        "squared_hinge"
    ]
    assert all(method.kind != "peer" for method in parse(["--no-peers"]).methods)
    with pytest.raises(SystemExit):
        parse(["--sets", "iris"])
    assert "no set 'iris'; there are: yeast" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(["splits", "--seeds", "3"])
    assert "splits does not take --seeds; type python -m benchmarks.splits --help" in (
        capsys.readouterr().err
    )


def test_studies_with_a_command_are_run_by_name(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(imports, "main", given.append)
    assert main(["imports", "--out", str(tmp_path)]) == 0
    assert given == [["--out", str(tmp_path)]]


def made_study(sets):
    """Return a study of one job a set, whose page names the sets that were measured."""

    def tables(store, names):
        table = report.Table("Sets", ("set", "threads"))
        for name in (name for name in names if name in store.groups):
            table.add(name, f"{store.medians(name, 'job')['threads']:g}")
        return [table]

    def jobs(name, threads):
        return {"job": Job(lambda: {"threads": threads}, 1, "mark")}

    return SimpleNamespace(SETS=sets, jobs=jobs, tables=tables)


@pytest.mark.parametrize(
    ("name", "measured"), [("default_c", ["birds", "flags"]), ("outputs", ["birds", "flags", "x"])]
)
def test_a_study_is_measured_on_those_of_its_sets_that_are_asked_for(
    name, measured, tmp_path, monkeypatch, capsys
):
    assert (name in ON_ALL_SETS) == ("x" in measured)
    monkeypatch.setitem(SET_STUDIES, name, (made_study(("birds", "flags", "x")), "Made"))
    asked = ["--sets", "yeast,flags,birds", "--threads", "1", "--out", str(tmp_path)]
    assert main([name, *asked]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split("]")[0] for line in said[:-1]] == [f"[{one}" for one in measured]
    assert said[-1] == f"wrote {tmp_path / name}.md"
    rows = (tmp_path / f"{name}.csv").read_text().splitlines()[1:]
    assert rows == [f"Sets,{one},1" for one in measured]


@pytest.mark.parametrize("name", SET_STUDIES)
def test_a_study_has_jobs_on_each_of_its_sets(name, monkeypatch):
    monkeypatch.setattr(many_labels, "find_spec", lambda package: True)
    study, _ = SET_STUDIES[name]
    for one in study.SETS:
        jobs = study.jobs(one, threads=1)
        assert jobs
        assert all(isinstance(job, Job) and job.repeats > 0 for job in jobs.values())


def test_many_labels_are_not_measured_without_the_peers(monkeypatch):
    monkeypatch.setattr(many_labels, "find_spec", lambda package: None)
    with pytest.raises(ModuleNotFoundError, match="pip install -r benchmarks/requirements-trees"):
        many_labels.jobs("cooking", threads=1)


def test_each_page_of_results_is_made_by_a_part_that_the_readme_names():
    pages = {path.stem for path in report.RESULTS.glob("*.md")}
    assert pages - {"calibration"} <= {*PARTS, *STUDIES}  # which linear makes
    readme = report.RESULTS.with_name("README.md").read_text(encoding="utf-8")
    assert {page for page in pages if f"`{page}.md`" not in readme} == set()


def test_known_optima_are_certified():
    optima = json.loads(objective.REFERENCES.read_text())
    assert set(convergence.BARS) <= set(optima)
    for name, known in optima.items():
        assert name in datasets.NAMES
        assert known["gap_bound"] < 1e-5


def test_shrinkage_study_covers_from_each_labels_own_to_the_global_threshold(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda name: make_dataset(n=200))
    monkeypatch.setattr(threshold_shrinkage, "SETS", {"made": 80})
    store = Store(tmp_path / "state.json")
    jobs = threshold_shrinkage.jobs("made", threads=1)
    measure(store, "made", jobs, say=lambda line: None)
    micro, macro = threshold_shrinkage.tables(store, ["made", "other"])
    assert [row[0] for row in micro.rows] == ["made", "made", "mean", "least gain over global"] * 2
    for table in (micro, macro):
        for row in table.rows[:2]:
            assert all(0.3 < float(value) <= 1 for value in row[3:])
