"""The benchmark of every loss in both models."""

import numpy as np
import pytest

from benchmarks import family, family_recipes
from benchmarks.family_recipes import LOSSES, RECIPES, Recipe
from benchmarks.store import Store
from tests.project.test_benchmark_studies import make_dataset


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the best C:UserWarning")  # on rows as few as these
@pytest.mark.parametrize("loss", ["auto", "mlce", "pairwise", "focal"])
@pytest.mark.parametrize("model", ["linear", "network"])
def test_a_loss_is_judged_at_zero_and_with_a_threshold(model, loss):
    found = Recipe(model, loss).run(make_dataset(), 0)
    assert found["fit_s"] > 0
    figures = set(family.FIGURES) - {"head", "medium", "tail"}
    assert all(0 <= found[figure] <= 1 for figure in figures)
    assert np.nanmax([found[group] for group in ("head", "medium", "tail")]) > 0
    assert (found["threshold"] == 0) == (loss == "pairwise")


def test_every_loss_is_measured_in_both_models_and_once(tmp_path, monkeypatch):
    monkeypatch.setattr(family.datasets, "load", lambda name: make_dataset())
    monkeypatch.setattr(Recipe, "run", lambda self, dataset, seed: _sample(self, seed))
    monkeypatch.setattr(family, "SEARCH", {"loss": ["auto", "bce"], "C": [0.1, 1.0]})
    store, said = Store(tmp_path / "state.json"), []
    family.run(store, "bibtex", 1, say=said.append)
    linear_losses = [loss for loss in LOSSES if loss not in family_recipes.OF_NETWORKS]
    expected = len(linear_losses) + len(LOSSES) * family.SEEDS + 1
    assert len(said) == expected
    family.run(store, "bibtex", 1, say=said.append)
    assert len(said) == expected
    linear, network, search, of_set = family.tables(store)
    assert [row[0] for row in linear.rows] == linear_losses
    assert [row[0] for row in network.rows] == list(LOSSES)
    assert network.rows[0][1] == "0.510"  # the mean of three seeds
    assert network.rows[0][-1] == "1.00"
    assert [len(row) for row in search.rows] == [3, 3]
    assert len(of_set.rows) == len(RECIPES)


def _sample(recipe, seed):
    row = dict.fromkeys(family.FIGURES, 0.5) | {"fit_s": 1.0}
    return row | {"micro_zero": 0.5 + 0.01 * seed}


def test_means_are_of_sets_that_every_loss_has_been_run_on(tmp_path):
    store = Store(tmp_path / "state.json")
    for name in ("yeast", "birds"):
        for recipe in RECIPES:
            store.add(name, recipe.name, _sample(recipe, 0) | {"load": 0.0}, "a")
    store.groups["birds"].pop("linear: focal")
    linear, network, *_ = family.tables(store)
    assert linear.notes[0].startswith("Over yeast. ")
    assert network.notes[0].startswith("Over yeast, birds. ")


def test_a_learned_threshold_is_of_networks_alone():
    found = {recipe.model for recipe in RECIPES if "learned" in recipe.loss}
    assert found == {"network"}


def test_labels_per_row_are_those_of_the_training_rows():
    dataset = make_dataset()
    mean = dataset.Y_train.sum() / dataset.Y_train.shape[0]
    assert family_recipes.parameters("pairwise", dataset)["n_labels_per_row"] == round(mean)
