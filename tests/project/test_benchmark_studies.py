"""The parts of the benchmarks on tuned thresholds, growth, calibration and defaults."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import KFold

from benchmarks import (
    association,
    calibration,
    calibrators,
    column_scaling,
    datasets,
    default_c,
    defaults,
    defaults_search,
    growth,
    growth_data,
    growth_point,
    label_ratios,
    label_weight,
    linear_summary,
    loss_memory,
    output_sets,
    outputs,
    peers,
    plot,
    preparation,
    pruning,
    report,
    tables,
    tuned,
    tuned_recipes,
    tuned_summary,
)
from benchmarks.store import Store, measure
from sklearn_mlce import MLCEClassifier
from sklearn_mlce._solvers import association as strengths
from tests.helpers.linear_problems import typical_squared_distance


def make_dataset(n=240, d=8, n_labels=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    Y = (X @ rng.normal(size=(d, n_labels)) + rng.normal(size=(n, n_labels)) > 1).astype(np.int64)
    Y[:, -1] = 0
    half = n // 2
    return datasets.DataSet(
        "made", X[:half], sp.csr_matrix(Y[:half]), X[half:], sp.csr_matrix(Y[half:])
    )


def make_counts():
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.4, (150, 30)).astype(np.float32)
    Y = sp.csr_matrix((counts[:, :4] + rng.normal(0, 0.5, (150, 4)) > 0.8).astype(np.int64))
    return sp.csr_matrix(counts), Y


def quiet(line):
    pass


def test_films_are_split_by_a_fixed_seed_and_learn_from_training_rows():
    pytest.importorskip("bokeh_sampledata")
    films = datasets.load_films()
    assert films.X_train.shape[0] + films.X_test.shape[0] == 17029
    assert films.Y_train.dtype == np.int64
    assert not films.unseen.any()
    # Each feature is of a training row: its vocabulary is.
    assert (films.X_train.getnnz(axis=0) > 0).all()


def test_summaries_take_means_over_all_sets_or_none(tmp_path):
    store = Store(tmp_path / "state.json")
    for number, name in enumerate(linear_summary.QUALITY_SETS):
        for method, micro, seconds in (
            ("auto", 0.5, 1.0),
            ("linear_svc", 0.45, 4.0),
            ("logistic", 0.49, 2.0),
            ("lml_1vsrest", 0.4, 1.25),
        ):
            row = {"micro": micro + 0.01 * number, "fit_s": seconds, "load": 0.0}
            store.add(name, method, row, "a")
    zero, times, counterparts = linear_summary.tables(store)
    assert zero.rows[-3][4:] == ("+0.050", "+0.010")
    assert zero.rows[-1][4:] == ("yes", "NO")
    assert times.rows[-3:] == [
        ("geometric mean", "0.80", "0.25"),
        ("at most", "1.00", "0.50"),
        ("holds", "yes", "yes"),
    ]
    assert counterparts.rows[0] == ("bibtex", "", "")
    store.groups["films"].pop("auto")
    zero = linear_summary.tables(store)[0]
    assert zero.rows[-3][1:] == ("", "0.475", "0.515", "", "")


def test_calibration_of_true_probabilities_is_good_and_of_doubled_ones_is_not():
    rng = np.random.default_rng(0)
    p = rng.random((4000, 5))
    truth = rng.random(p.shape) < p
    assert calibration.calibration_error(truth, p) < 0.02
    assert calibration.calibration_error(truth, p**2) > 0.1
    expected = sum(log_loss(truth[:, j], p[:, j]) for j in range(5))
    assert calibration.log_loss(truth, p) == pytest.approx(expected)
    assert np.isfinite(calibration.log_loss(truth, truth.astype(np.float32)))


def test_tuned_recipes_choose_by_their_folds_and_know_their_zero(tmp_path, monkeypatch):
    dataset = make_dataset()
    monkeypatch.setattr(datasets, "load", lambda name: dataset)
    store = Store(tmp_path / "state.json")
    names = ("auto_global", "auto_cv_3", "linear_svc")
    recipes = [recipe for recipe in tuned_recipes.RECIPES if recipe.name in names]
    tuned.run(store, "made", recipes, threads=1, full=False, seeds=2, say=quiet)
    svc = store.medians("made", "linear_svc")
    assert min(abs(svc["C"] - C) for C in tuned_recipes.SVC_CS) < 0.5
    plain = tuned_recipes.mlce_classifier(random_state=0).fit(dataset.X_train, dataset.Y_train)
    found = store.samples("made", "auto_global")[0]
    predicted = plain.decision_function(dataset.X_test) > 0
    figures = tuned_recipes.evaluate(dataset.Y_test, predicted, predicted.astype(float))
    assert found["micro_zero"] == pytest.approx(figures["micro"], abs=0.01)
    monkeypatch.setattr(datasets, "NAMES", ("made",))
    *_, table = tuned.tables(store, Store(tmp_path / "none.json"), threads=1)
    assert [row[0] for row in table.rows] == [recipe.title for recipe in recipes]
    assert {row[-1] for row in table.rows} == {"2"}


def test_peers_that_tune_are_run_once_per_seed(tmp_path, monkeypatch):
    dataset, seeds = make_dataset(), []

    def run(dataset, function, threads, seed):
        seeds.append((function, threads, seed))
        scores = np.zeros(dataset.Y_test.shape)
        return 2.0, 1.0, scores > 0, scores

    monkeypatch.setattr(peers, "run", run)
    monkeypatch.setattr(datasets, "load", lambda name: dataset)
    store = Store(tmp_path / "state.json")
    tuned.run_peers(store, "bibtex", threads=2, full=False, say=quiet)
    assert sorted(seeds) == sorted(
        (function, threads, seed)
        for function, threads in (
            ("train_1vsrest", 2),
            ("train_thresholding", 1),
            ("train_cost_sensitive", 1),
        )
        for seed in range(3)
    )


def test_bars_of_tuned_thresholds_say_whether_they_hold(tmp_path):
    ours, theirs = Store(tmp_path / "a.json"), Store(tmp_path / "b.json")
    good = dict.fromkeys(("micro", "macro", "samples", "lrap"), 0.5)
    good |= {"micro_zero": 0.48, "fit_s": 1.0}
    for name in dict.fromkeys((*linear_summary.QUALITY_SETS, *tuned_summary.PEER_SETS)):
        for recipe in (*tuned_summary.OURS, "squared_hinge"):
            ours.add(name, recipe, good, "a")
        ours.add(name, "linear_svc", good | {"micro": 0.504}, "a")
        for peer in tuned_summary.PEERS:
            worse = {key: value - 0.1 for key, value in good.items()} | {"fit_s": 4.0}
            theirs.add(name, peer, worse, "a")
    svc, hinges, against, times, zero = tuned_summary.tables(ours, theirs)
    # Behind in micro-F1, level in LRAP.
    assert svc.rows[-1][3:] == ("NO",) * 4 + ("yes",) * 4
    assert hinges.rows[0][3:] == ("-0.0040", "yes")
    assert against.rows[len(tuned_summary.PEER_SETS)][-1] == "6 of 6, at least 5: yes"
    assert times.rows[-1][1] == "NO"
    assert zero.rows[-2][1:4] == ("0.480", "0.500", "0.020")


def test_made_rows_do_not_depend_on_their_chunks():
    X, Y = growth_data.make_rows(0, 25_000, 1000, 50)
    assert (X.getnnz(axis=1) == growth_data.NON_ZEROS).all()
    assert X.has_canonical_format
    assert X.indices.max() < 1000
    np.testing.assert_allclose(sp.linalg.norm(X, axis=1), 1, rtol=1e-5)
    assert set(np.unique(Y.data)) == {1}
    assert Y.has_canonical_format
    late_X, late_Y = growth_data.make_rows(20_000, 5000, 1000, 50)
    assert (late_X != X[20_000:]).nnz == 0
    assert (late_Y != Y[20_000:]).nnz == 0
    with pytest.raises(ValueError, match="multiple of 10000"):
        growth_data.make_rows(5, 10, 1000, 50)


def test_slopes_are_those_of_a_power_law():
    work = np.array([1e3, 1e4, 1e5])
    assert growth.slope(work, 2e-3 * work**1.1) == pytest.approx(1.1)
    assert growth.slope(work, [1.0, np.inf, 100.0]) == pytest.approx(1.0)
    assert np.isnan(growth.slope(work, [1.0, np.inf, np.inf]))


@pytest.mark.slow
@pytest.mark.skipif(not loss_memory.RESET.exists(), reason="needs Linux's /proc")
# Of the small fit that comes first, for what it imports.
@pytest.mark.filterwarnings("ignore:MLCEClassifier stopped after 2 iterations")
def test_growth_measures_each_point_in_its_own_process(tmp_path, monkeypatch):
    point = (2000, 1000, 20)
    monkeypatch.setattr(growth, "LINES", {"rows": (point,)})
    monkeypatch.setattr(plot, "LINES", dict.fromkeys(("rows", "features", "labels"), (point,)))
    monkeypatch.setattr(growth, "STREAMS", ((20_000, 1000, 20, 10_000),))
    monkeypatch.setattr(growth, "SOLVERS", ("sgd",))
    store = Store(tmp_path / "state.json")
    growth.run(store, threads=1, full=False, say=quiet)
    row = store.medians(growth.GROUP, growth.key("sgd", point))
    # A process takes longer to start than to fit: the other solver's is this one.
    assert growth_point.fit("newton-cg", *point).keys() == row.keys() - {"load"}
    assert row["weights"] in (4 * 1000 * 20, 8 * 1000 * 20)
    assert row["peak"] > row["constant"] > 0
    _, points, streams = growth.tables(store)
    assert [row[0] for row in points.rows] == list(growth.SOLVERS)
    assert len(streams.rows) == 1
    plot.growth(store, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 5000


def test_a_point_that_takes_too_long_is_not_tried_larger(tmp_path, monkeypatch):
    points = ((1, 1, 1), (2, 1, 1), (3, 1, 1))
    monkeypatch.setattr(growth, "LINES", {"rows": points})
    monkeypatch.setattr(growth, "STREAMS", ())
    limits = []

    def measured(command, limit):
        limits.append(limit)
        return {"fit_s": float("inf")}

    monkeypatch.setattr(growth, "_measured", measured)
    store = Store(tmp_path / "state.json")
    growth.run(store, threads=1, full=False, say=quiet)
    assert limits == [600, 0, 0, 60, 0, 0]
    assert growth.tables(store)[1].rows[0][4] == f"> {growth.LIMIT}"


def test_default_search_finds_the_best_threshold_and_ranks_what_was_kept(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 9, (40, 6)).astype(np.float32)
    truth = (rng.random((40, 6)) < scores / 9).astype(np.int64)
    slow = [
        2 * ((scores > t) & (truth == 1)).sum() / ((scores > t).sum() + truth.sum())
        for t in range(-1, 9)
    ]
    assert defaults_search.best_micro_f1(truth, scores) == pytest.approx(max(slow))

    monkeypatch.setattr(defaults_search.datasets, "load", lambda name: make_dataset())
    for module in (defaults, defaults_search):
        monkeypatch.setattr(module, "SETS", {"made": 100})
    few = [defaults_search.KEPT, defaults_search.Candidate("mlce", 1.0, 1.0)]
    monkeypatch.setattr(defaults, "candidates", lambda: few)
    defaults_search.training_rows.cache_clear()
    store = Store(tmp_path / "state.json")
    defaults.run(store, ["made", "other"], threads=1, say=quiet)
    found, of_sets = defaults.tables(store)
    assert len(found.rows) == 2
    assert any("(kept)" in row[0] for row in found.rows)
    assert [row[0] for row in of_sets.rows] == ["made", "mean"]
    assert "of 2 at the best constant shift" in found.notes[-1]


def test_kept_defaults_are_the_estimators():
    kept, shift = defaults_search.KEPT, defaults_search.KEPT_SHIFT
    dataset = make_dataset()
    model = MLCEClassifier().fit(dataset.X_train, dataset.Y_train)
    assert (model.loss_, model.scale_) == (kept.loss, kept.scale)
    margins = (defaults_search.MARGIN - shift, defaults_search.MARGIN + shift)
    assert model.margin_ == pytest.approx(margins)
    assert kept in defaults_search.candidates()


def test_kept_factors_of_c_are_the_estimators(tmp_path, monkeypatch):
    dataset = make_dataset(n=120)
    X, Y = dataset.X_train, dataset.Y_train
    distance = typical_squared_distance(X)
    for loss, factor in default_c.KEPT.items():
        given = default_c.parameters(loss, dataset)
        model = MLCEClassifier(random_state=0, max_iter=1, **given)
        _, model, _ = default_c.timed_fit(model, X, Y)
        assert pytest.approx(factor / distance) == model.C_
    monkeypatch.setattr(datasets, "load", lambda name, as_shipped: dataset)
    few = {loss: default_c.KEPT[loss] for loss in ("bce", "squared_hinge")}
    monkeypatch.setattr(default_c, "KEPT", few)
    store = Store(tmp_path / "state.json")
    measure(store, "made", default_c.jobs("made", threads=1), quiet)
    means, bce, hinge = default_c.tables(store, ["made"])
    assert [row[0] for row in means.rows] == list(few)
    assert bce.rows[0][1:] == means.rows[0][1 : len(bce.columns)]
    kept = float(hinge.rows[0][1])
    best = max(map(float, hinge.rows[0][1 : 1 + len(default_c.FACTORS)]))
    assert float(means.rows[1][-1]) == pytest.approx(best - kept, abs=1.1e-3)
    assert default_c.tables(Store(tmp_path / "none.json"), ["made"]) == []


def test_the_kept_scaling_of_columns_is_the_estimators(tmp_path, monkeypatch):
    X, Y = column_scaling.load("log-normal, tail 2")
    assert X.min() > 0
    size, distance, factor = column_scaling.KEPT
    sizes = column_scaling.SIZES[size](X - X.mean(axis=0))
    squares = (((X - X.mean(axis=0)) / sizes) ** 2).sum(axis=1)
    expected = factor / column_scaling.DISTANCES[distance](squares)
    assert pytest.approx(expected) == MLCEClassifier().fit(X, Y).C_
    monkeypatch.setattr(column_scaling, "FACTORS", (1.0,))
    monkeypatch.setattr(column_scaling, "load", lambda name: (X[:240], Y[:240, :3]))
    store = Store(tmp_path / "state.json")
    measure(store, "digits", column_scaling.jobs("digits", threads=1), quiet)
    means, of_sets = column_scaling.tables(store, ["digits", "wine"])
    assert [row[0] for row in of_sets.rows] == ["digits"]
    kept = next(row for row in means.rows if "(kept)" in row[0])
    assert kept[:2] == (f"{size} (kept)", distance)
    assert float(kept[2]) == pytest.approx(float(of_sets.rows[0][-1]), abs=1e-3)
    assert column_scaling.tables(Store(tmp_path / "none.json"), ["wine"]) == []


def test_tables_are_judged_as_shipped_and_prepared(tmp_path, monkeypatch):
    made = make_dataset()
    wide = make_dataset()
    wide.X_train[:, 0] *= 1e4
    wide.X_test[:, 0] *= 1e4
    monkeypatch.setattr(datasets, "load", lambda name, as_shipped: wide if as_shipped else made)
    store = Store(tmp_path / "state.json")
    measure(store, "yeast", preparation.jobs("yeast", threads=1), quiet)
    prepared, shipped = preparation.tables(store, ["yeast", "birds"])[0].rows
    assert [row[:2] for row in (prepared, shipped)] == [
        ("yeast", "prepared"),
        ("yeast", "as shipped"),
    ]
    assert float(prepared[2]) == pytest.approx(float(shipped[2]), abs=2e-3)  # ours does not mind


def test_networks_are_judged_beside_forests(tmp_path, monkeypatch):
    made = make_dataset(n=80)
    monkeypatch.setattr(datasets, "load", lambda name, as_shipped: made)
    twice = replace(tables.METHODS["constant"], seeds=2)
    quick = dict.fromkeys(("constant", *tables.FORESTS), twice)
    monkeypatch.setattr(tables, "METHODS", quick)
    store = Store(tmp_path / "state.json")
    measure(store, "flags", tables.jobs("flags", threads=1), quiet)
    micro, *_, times = tables.tables(store, ["yeast", "flags"])
    assert micro.columns == ("method", "flags", "mean")
    *methods, best = micro.rows
    assert len(methods) == len(times.rows) == 3
    assert best[1] == methods[0][1].split()[0] == best[2]
    # Halves of a small set are drawn anew; each row is tested once.
    halves = [list(tables.splits("flags", seed)) for seed in (0, 1)]
    for (first, _, second, _), _ in halves:
        assert len(first) == len(second) == 40
    assert (halves[0][0][0] != halves[1][0][0]).any()
    assert len(list(tables.splits("yeast", 0))) == 1


def test_features_as_shipped_are_not_scaled():
    raw = np.array([[1.0, 10.0], [3.0, 50.0], [np.nan, 90.0]])
    rows, test = np.array([0, 1]), np.array([2])
    X, X_test = datasets.featurise(raw, rows, test, as_shipped=True)
    np.testing.assert_array_equal(X, raw[:2])
    np.testing.assert_array_equal(X_test, [[2.0, 90.0]])
    sparse = sp.csr_array(np.nan_to_num(raw))
    X, X_test = datasets.featurise(sparse, rows, test, as_shipped=True)
    np.testing.assert_array_equal(X.toarray(), raw[:2])


def test_numbers_that_are_not_known_are_left_out():
    assert report.cells([0.5, float("nan")], "+.2f") == ["+0.50", ""]
    assert [report.holds(x, 0.0) for x in (0.0, -1.0, float("nan"))] == ["yes", "NO", ""]


def test_a_stream_passes_every_row_once(monkeypatch):
    rows = []

    class Model:
        coef_ = np.zeros((20, 1000), np.float32)

        def fit(self, X, Y):
            return self

        def partial_fit(self, X, Y):
            rows.append(X.shape[0])

    monkeypatch.setattr(growth_point, "mlce_classifier", lambda **parameters: Model())
    growth_point.stream("sgd", 25_000, 1000, 20, 10_000)
    assert rows == [10_000, 10_000, 5000]


def test_calibrators_are_judged_on_test_rows_and_their_constants_on_training_rows(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(datasets, "load", lambda name: make_dataset(n=400))
    store = Store(tmp_path / "state.json")
    measure(store, "made", calibrators.jobs("made", threads=1), quiet)
    judged, sigmoid, isotonic = calibrators.tables(store, ["made"])
    assert len(judged.rows) == 2 * len(calibrators.ESTIMATORS)
    for row in judged.rows[1::2]:
        before, *after = map(float, row[3:])
        assert all(0 < value < before + 0.2 for value in after)
    for table in (sigmoid, isotonic):
        assert len(table.rows) == 2 * (len(calibrators.ESTIMATORS) + 2)
        assert [row[2] for row in table.rows[:2]] == ["all", "all"]
    assert calibrators.tables(Store(tmp_path / "none.json"), ["made"]) == []


def test_outputs_are_made_of_labels():
    Y = np.array([[0, 1, 1, 1, 0], [1, 0, 0, 0, 1], [1, 1, 0, 1, 0]])
    assert output_sets.label_sets(Y, 2).tolist() == [[2, 3], [1, 0], [3, 2]]
    assert output_sets.label_sets(Y, 1).tolist() == Y.tolist()
    assert output_sets.first_labels(Y, 2).tolist() == [[2, 1], [1, 0], [1, 2]]


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "diabetes", "600 tickets"])
def test_small_sets_of_outputs_are_in_one_scale(name):
    X, Y = output_sets.load(name)
    assert len(X if isinstance(X, np.ndarray) else Y) == len(Y)
    assert X.shape[0] == len(Y)
    if sp.issparse(X):
        np.testing.assert_allclose(np.sqrt(X.multiply(X).sum(axis=1)), 1)
    else:
        assert np.abs(X.mean(axis=0)).max() < 1e-9
    assert Y.dtype.kind == "U"
    assert min(len(np.unique(column)) for column in Y.T) >= 2


def test_the_default_c_of_outputs_is_judged_by_accuracy(tmp_path, monkeypatch):
    dataset = make_dataset()
    X, Y = dataset.X_train, output_sets.label_sets(dataset.Y_train.toarray(), 2).astype(str)
    C = MLCEClassifier().fit(X, Y).C_
    assert pytest.approx(outputs.KEPT / typical_squared_distance(X)) == C
    assert outputs.accuracy(MLCEClassifier(), X, Y) > outputs.accuracy(MLCEClassifier(C=1e-9), X, Y)
    monkeypatch.setattr(output_sets, "load", lambda name: (X, Y))
    store = Store(tmp_path / "state.json")
    names = ("iris", "yeast")
    for name in names:
        measure(store, name, outputs.jobs(name, threads=1), quiet)
    several, two_valued = outputs.tables(store, names)
    assert [row[0] for row in several.rows] == ["iris", "mean", "short of the best, at most"]
    assert two_valued.rows[0][0] == "yeast"
    kept = several.columns.index(f"factor {outputs.KEPT:g}")
    expected = outputs.accuracy(MLCEClassifier(C=C, input_scaling="columns"), X, Y)
    assert float(several.rows[0][kept]) == pytest.approx(expected, abs=6e-4)
    assert outputs.tables(Store(tmp_path / "none.json"), names) == []


def test_the_default_c_of_sparse_rows_is_judged_without_association(monkeypatch):
    X, Y = make_counts()
    dataset = datasets.DataSet("made", X, Y, X, Y)
    monkeypatch.setattr(datasets, "load", lambda name, as_shipped: dataset)
    unit = MLCEClassifier().fit(X, Y).C_
    found = default_c.judge(default_c.SPARSE, "bce")
    expected = MLCEClassifier(10 * unit, loss="bce", input_scaling=None).fit(X, Y).predict(X)
    assert found["10"] == f1_score(Y, expected, average="micro")
    default_c.judge(default_c.SPARSE, "mlce")  # which refuses association
    classes = Y.toarray()[:, :2].astype(str)
    monkeypatch.setattr(output_sets, "load", lambda name: (X, classes))
    assert outputs.judge("600 tickets")["factor 10"] > 0.5


def test_weights_of_labels_are_judged_by_their_power(monkeypatch, tmp_path):
    made = make_dataset()
    X, Y = made.X_train, made.Y_train[:, :-1]
    monkeypatch.setattr(label_weight, "training_rows", lambda name: (X, Y, 1.0))
    store = Store(tmp_path / "label_weight.json")
    measure(store, "yeast", label_weight.jobs("yeast", threads=1), quiet)
    tables = label_weight.tables(store, label_weight.SETS)
    assert [table.title for table in tables] == list(label_weight.FIGURES.values())
    assert [float(cell) for cell in tables[0].rows[0][1:2]] == pytest.approx(
        [float(tables[0].rows[1][1])]  # one set is the mean
    )


def test_rare_labels_weigh_more_and_the_typical_positive_one():
    positives = np.array([100.0, 100.0, 1.0])
    weight = label_weight.weights(positives, label_weight.TYPICAL, 0.5)
    assert weight[2] > weight[0]
    assert np.average(np.log(weight), weights=positives) == pytest.approx(0)
    np.testing.assert_array_equal(label_weight.weights(positives, label_weight.AVERAGE, 0.0), 1)


def test_pruned_models_are_judged_beside_whole_ones(monkeypatch, tmp_path):
    made = make_dataset()
    fold = made.X_train, made.Y_train, made.X_test, made.Y_test
    monkeypatch.setattr(pruning, "_splits", lambda name: [fold, fold])
    store = Store(tmp_path / "pruning.json")
    measure(store, "bibtex", pruning.jobs("bibtex", threads=1), quiet)
    (table,) = pruning.tables(store, pruning.SETS)
    dense, _, pruned, _, change = table.rows
    assert [row[:2] for row in (dense, pruned)] == [("bibtex", "0"), ("bibtex", "0.0001")]
    model = MLCEClassifier().fit(*fold[:2])
    predicted, truth = model.predict(made.X_test).toarray(), made.Y_test.toarray()
    f1 = 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())
    assert float(dense[-1]) == pytest.approx(f1, abs=6e-5)  # of a fold that is there twice
    assert float(change[-1]) == pytest.approx(abs(float(dense[-1]) - float(pruned[-1])), abs=1.1e-4)
    assert store.medians("bibtex", "0")["rows"] == 240
    assert pruning.judge("bibtex", 10.0)["bytes"] == 0
    assert pruning.tables(Store(tmp_path / "none.json"), pruning.SETS) == []


def test_log_count_ratios_are_those_counted_by_hand():
    present = sp.csr_array([[1.0, 1, 0], [1, 0, 0], [0, 1, 1]])
    found = label_ratios.log_count_ratios(present, np.array([1, 1, 0]))
    inside, outside = np.array([3, 2, 1]) / 6, np.array([1, 2, 2]) / 5
    np.testing.assert_allclose(found, np.log(inside / outside))


def test_ratios_of_labels_are_judged_by_their_power(monkeypatch, tmp_path):
    X, Y = make_counts()
    monkeypatch.setattr(label_ratios, "training_rows", lambda name: (X, Y, 1.0))
    monkeypatch.setattr(label_ratios, "POWERS", (0.0, 0.5))
    monkeypatch.setattr(label_ratios, "N_LABELS", 2)
    store = Store(tmp_path / "label_ratios.json")
    measure(store, "bibtex", label_ratios.jobs("bibtex", threads=1), quiet)
    tables = label_ratios.tables(store, label_ratios.SETS)
    assert [table.title for table in tables] == list(label_ratios.FIGURES.values())
    y = Y.toarray()[:, 0]
    plain, scaled = (label_ratios.out_of_fold(sp.csr_array(X), y, power) for power in (0, 0.5))
    for train, test in KFold(3, shuffle=True, random_state=0).split(X):
        model = MLCEClassifier(solver="newton-cg", input_scaling=None).fit(X[train], Y[train])
        expected = model.decision_function(X[test])[:, 0]
        np.testing.assert_allclose(plain[test], expected, atol=0.05)  # as near as tol
    assert np.abs(plain - scaled).max() > 0.1
    assert (label_ratios.out_of_fold(sp.csr_array(X), np.zeros(150, int), 0.5) == -1e9).all()


def test_penalties_by_association_are_judged_by_their_constants(monkeypatch, tmp_path):
    X, Y = make_counts()
    Y = sp.hstack([Y, sp.csr_matrix((150, 1), dtype=np.int64)], format="csr")
    dataset = datasets.DataSet("made", X.astype(np.float64), Y, X, Y)
    monkeypatch.setattr(datasets, "load", lambda name: dataset)
    monkeypatch.setattr(association, "N_LABELS", 3)
    of_package = strengths._EXPONENT, strengths._ADDED_ENTRIES
    assert of_package == association.KEPT
    store = Store(tmp_path / "association.json")
    measure(store, "bibtex", association.jobs("bibtex", threads=1), quiet)
    assert of_package == (strengths._EXPONENT, strengths._ADDED_ENTRIES)
    *figures, times = association.tables(store, association.SETS)
    assert [table.title for table in figures] == list(association.FIGURES.values())
    assert figures[0].rows[-2][0] == "mean gain over none"
    assert times.rows[0][:2] == ("bibtex", "1.00")
    assert association.tables(Store(tmp_path / "none.json"), association.SETS) == []
    found = {store.medians("bibtex", key)["lrap"] for key in association.CANDIDATES}
    assert len(found) > 3


def test_candidates_of_association_are_the_estimators():
    X, Y = make_counts()
    for candidate, scaling in ((None, None), (association.KEPT, "association")):
        _, model = association.timed_candidate(X, Y, candidate)
        expected = MLCEClassifier(solver="newton-cg", input_scaling=scaling).fit(X, Y)
        np.testing.assert_array_equal(model.coef_, expected.coef_)
    _, flat = association.timed_candidate(X, Y, (0.0, 0.5))
    plain = association.timed_candidate(X, Y, None)[1]
    np.testing.assert_allclose(flat.coef_, plain.coef_, atol=1e-5)


def test_all_training_rows_of_association_have_labels_that_some_row_carries(monkeypatch):
    dataset = make_dataset()
    monkeypatch.setattr(datasets, "load", lambda name: dataset)
    X, Y = association.training_rows("made")
    assert X.shape == dataset.X_train.shape
    assert X.dtype == np.float32
    assert Y.shape[1] == dataset.Y_train.shape[1] - 1
    assert Y.sum(axis=0).min() > 0
