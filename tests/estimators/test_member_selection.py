"""Several networks trained at once: epoch and threshold from the rows that each leaves out."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_mlce import MLCEMLP
from sklearn_mlce._estimators.member_selection import MemberSelection
from sklearn_mlce._network.architecture import Architecture
from sklearn_mlce._network.members import member_weights
from sklearn_mlce._network.perceptron import compute_scores
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from tests.helpers.estimators import labelled_rows, single_labels

CPU = torch.device("cpu")
SMALL = {"hidden_layer_sizes": 8, "n_members": 4, "max_epochs": 12, "random_state": 0}


def members(**parameters):
    return MLCEMLP(**(SMALL | {"learning_rate_init": 0.02} | parameters))


def noisy_rows(n_rows=120, seed=0):
    """Rows whose labels hardly depend on the features: what is learned late is noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 5))
    Y = (0.3 * X[:, :3] + rng.normal(size=(n_rows, 3)) > 0.7).astype(int)
    return X, Y


class StopAfter(Callback):
    """Fail after some epochs."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) > self.epoch:
            raise RuntimeError("stopped")


class Seen:
    """The selections that fits make."""

    def __init__(self, monkeypatch):
        self.selections = []
        make = MemberSelection.of

        def spy(*args):
            self.selections.append(make(*args))
            return self.selections[-1]

        monkeypatch.setattr(MemberSelection, "of", spy)


def test_zero_is_the_threshold_with_the_best_f1_of_the_rows_left_out(monkeypatch):
    seen, (X, Y) = Seen(monkeypatch), noisy_rows()
    model = members().fit(X, Y)
    (selection,) = seen.selections
    weights = with_other_biases(model, selection)
    together = selection.combined(weights)
    scores = left_out_scores_of(selection, weights)
    candidates = np.append(scores.min() - 1, np.unique(scores))
    found = [f1_score(Y, scores > value, average="micro", zero_division=0) for value in candidates]
    threshold = float(np.mean(weights["layers.1.bias"], axis=0)[0] - together["layers.1.bias"][0])
    at_threshold = f1_score(Y, scores > threshold, average="micro", zero_division=0)
    assert at_threshold == pytest.approx(max(found))
    assert selection.score(weights) == pytest.approx(max(found))
    # One threshold for all labels.
    moved = np.mean(weights["layers.1.bias"], axis=0) - together["layers.1.bias"]
    np.testing.assert_allclose(moved, threshold)


def with_other_biases(model, selection):
    """Weights of members whose mean is that of a fitted model, but for what is random."""
    rng = np.random.default_rng(0)
    architecture = selection._plan.architecture
    n_hidden = architecture.hidden_layer_sizes[0]
    return dict(model.state_dict_) | {
        "layers.0.weight": rng.normal(size=(architecture.n_features, n_hidden)),
        "layers.0.bias": rng.normal(size=n_hidden),
        "layers.1.weight": rng.normal(size=(n_hidden, architecture.n_outputs)),
        "layers.1.bias": rng.normal(size=(architecture.n_members, architecture.n_outputs)),
    }


def left_out_scores_of(selection, weights):
    """The scores, by a loop over rows."""
    X, left_out = selection._rows.X, selection._left_out
    member = selection._plan.architecture.member
    return np.vstack(
        [
            compute_scores(member, member_weights(weights, by), X[[row]], CPU)
            for row, by in enumerate(left_out.argmax(axis=0))
        ]
    )


def test_the_best_mean_score_of_five_epochs_is_kept():
    X, Y = noisy_rows()
    model = members(max_epochs=20).fit(X, Y)
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ == 20  # all epochs are made
    means = [np.mean(scores[max(0, end - 5) : end]) for end in range(1, 21)]
    assert model.best_epoch_ == 1 + int(np.argmax(means))
    assert 0 < max(scores) <= 1
    again = members(max_epochs=20).fit(X, Y)
    assert (again.decision_function(X) == model.decision_function(X)).all()


def test_members_resist_noise_that_one_network_learns():
    train, test = noisy_rows(seed=1), noisy_rows(400, seed=2)
    quality = {}
    for n_members in (1, 8):
        model = MLCEMLP(64, n_members=n_members, random_state=0).fit(*train)
        quality[n_members] = f1_score(test[1], model.predict(test[0]), average="micro")
    assert quality[8] > quality[1] + 0.02


@pytest.mark.slow
def test_training_ends_when_the_mean_score_is_long_past_its_best():
    X, Y = noisy_rows()
    options = {"max_epochs": 80, "learning_rate_init": 0.05, "learning_rate": "constant"}
    for patience in (2, 5):
        model = members(n_iter_no_change=patience, **options).fit(X, Y)
        assert model.n_iter_ == model.best_epoch_ + 2 * patience < 80
    whole = members(n_iter_no_change=80, **options).fit(X, Y)
    assert whole.n_iter_ == 80
    np.testing.assert_array_equal(
        whole.validation_scores_[: model.n_iter_], model.validation_scores_
    )


def test_what_is_kept_is_an_ordinary_network():
    X, Y = labelled_rows()
    model = members().fit(X, Y)
    assert model.state_dict_["layers.0.weight"].shape == (X.shape[1], 32)
    assert model.state_dict_["layers.1.bias"].shape == (Y.shape[1],)
    assert Architecture(**model._architecture).n_members == 1
    scores = model.decision_function(X)
    assert ((scores > 0) == model.predict(X)).all()
    with torch.no_grad():
        module_scores = model.to_torch()(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(module_scores, scores, atol=1e-6)
    again = pickle.loads(pickle.dumps(model))
    assert (again.decision_function(X) == scores).all()
    assert clone(model).n_members == 4


def test_sparse_rows_and_weights():
    X, Y = labelled_rows()
    weight = np.random.default_rng(0).random(len(X)) + 0.5
    dense = members(input_scaling=None, precision="full").fit(X, Y, weight)
    sparse = members(input_scaling=None, precision="full").fit(sp.csr_array(X), Y, weight)
    np.testing.assert_allclose(sparse.decision_function(X), dense.decision_function(X), atol=1e-6)
    other = members(input_scaling=None, precision="full").fit(X, Y)
    assert not np.allclose(other.decision_function(X), dense.decision_function(X))


def test_labels_that_are_the_same_in_all_rows_keep_their_scores():
    X, Y = labelled_rows()
    Y[:, 0], Y[:, 1] = 0, 1
    scores = members().fit(X, Y).decision_function(X)
    assert (scores[:, 0] == -CONSTANT_LABEL_SCORE).all()
    assert (scores[:, 1] == CONSTANT_LABEL_SCORE).all()


def test_unknown_and_soft_labels():
    X, Y = labelled_rows()
    unknown = Y.astype(float)
    unknown[::5, 1] = np.nan
    for y in (unknown, 0.1 + 0.8 * Y):
        model = members().fit(X, y)
        assert len(model.validation_scores_) == 12
        assert model.predict(X).shape == Y.shape


def test_without_a_threshold_members_see_all_rows_and_the_last_epoch_is_kept(monkeypatch):
    seen, (X, Y) = Seen(monkeypatch), labelled_rows()
    y = single_labels(Y)
    fits = [
        members().fit(X, y["binary"]),
        members().fit(X, y["multiclass"]),
        members(n_labels_per_row=2).fit(X, Y),
        members().fit(X, np.column_stack([y["multiclass"], y["multiclass"]])),
    ]
    for model, selection in zip(fits, seen.selections, strict=True):
        assert selection.member_weight.all()
        assert model.best_epoch_ == model.n_iter_
        assert model.validation_scores_ == []
        assert len(model.predict(X)) == len(X)
    assert fits[0].score(X, y["binary"]) > 0.8
    assert (fits[2].predict(X).sum(axis=1) == 2).all()


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"early_stopping": True}, "early_stopping"),
        ({"warm_start": True}, "warm_start"),
        ({"data_parallel": True}, "data_parallel"),
        ({"module": torch.nn.Linear, "hidden_layer_sizes": (256,)}, "module"),
        ({"hidden_layer_sizes": (8, 8)}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": ()}, "hidden_layer_sizes"),
    ],
)
def test_what_does_not_go_with_members_is_refused(parameters, named, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    X, Y = labelled_rows()
    model = members().fit(X, Y)
    before = model.decision_function(X)
    with pytest.raises((ValueError, RuntimeError), match=f"{named}|launcher"):
        model.set_params(**parameters).fit(X, Y)
    assert (model.set_params(**SMALL).decision_function(X) == before).all()


def test_partial_fit_is_refused():
    X, Y = labelled_rows()
    with pytest.raises(AttributeError, match="partial_fit"):
        members().partial_fit(X, Y)
    assert not hasattr(members(), "partial_fit")


def test_a_stopped_fit_goes_on_bit_by_bit(tmp_path):
    X, Y = noisy_rows()
    whole = members().fit(X, Y)
    stop = StopAfter(7)
    part = members(callbacks=[stop], checkpoint_dir=tmp_path)
    with pytest.raises(RuntimeError, match="stopped"), pytest.warns(Warning, match="epoch"):
        part.fit(X, Y)
    assert part.predict(X).shape == Y.shape  # the best epoch by then
    resumed = members(checkpoint_dir=tmp_path, resume=True).fit(X, Y)
    assert resumed.validation_scores_ == whole.validation_scores_
    assert resumed.best_epoch_ == whole.best_epoch_
    assert (resumed.decision_function(X) == whole.decision_function(X)).all()


def test_a_search_in_a_pipeline():
    X, Y = labelled_rows()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), members(max_epochs=5)),
        {"mlcemlp__n_members": [1, 4]},
        scoring="f1_micro",
        cv=2,
    ).fit(X, Y)
    assert search.best_score_ > 0.5
