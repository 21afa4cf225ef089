"""What the estimators train on each kind of y, by name and by "auto", with the default C."""

from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from sklearn.model_selection import KFold

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
from tests.helpers import oracles
from tests.helpers.estimators import labelled_rows, on_both
from tests.helpers.linear_problems import make_labels, parameters_of, typical_squared_distance

X, Y = labelled_rows()
KINDS = {
    "labels": Y,
    "sparse labels": sp.csr_array(Y),
    "labels with NaN": np.where(np.arange(Y.size).reshape(Y.shape) % 11 == 0, np.nan, Y),
    "soft labels": 0.8 * Y + 0.1,
    "binary": np.array(["no", "yes"])[Y[:, 0]],
    "multiclass": Y[:, :3].sum(axis=1).clip(max=2),
    "several outputs": Y + np.array([0, 1, 0, 1]),
}
LABELS = ("labels", "sparse labels", "labels with NaN")
SINGLE = ("binary", "multiclass")


class Cell(NamedTuple):
    """What was trained: the loss, its scale and margin, and C times the rows' squared distance."""

    loss: str
    scale: float | None
    margin: object
    factor: float | None  # None where C is 1, whatever the rows are


HINGE = Cell("bce", 8.0, (0.2, 1.8), 1)
PUBLISHED, LOGISTIC = Cell("mlce", 1.0, (0, 0), 100), Cell("bce", 1.0, (0, 0), 100)
WITHOUT_SHAPE = {
    "squared_hinge": Cell("squared_hinge", None, None, 1),
    "focal": Cell("focal", None, None, 100),
    "class_balanced_focal": Cell("class_balanced_focal", None, None, 100),
    "distribution_balanced": Cell("distribution_balanced", None, None, 100),
    "asymmetric": Cell("asymmetric", None, None, 100),
}
TABLE: dict[tuple[str, str], Cell | None] = {}
for _kind in LABELS:
    TABLE |= {
        (_kind, "auto"): HINGE,
        (_kind, "mlce"): PUBLISHED,
        (_kind, "bce"): LOGISTIC,
        (_kind, "pairwise"): Cell("pairwise", 1.0, 0, 100),
        **{(_kind, loss): cell for loss, cell in WITHOUT_SHAPE.items()},
    }
TABLE |= {
    ("soft labels", "auto"): PUBLISHED,
    ("soft labels", "mlce"): PUBLISHED,
    ("soft labels", "bce"): LOGISTIC,
    ("soft labels", "pairwise"): Cell("pairwise", 1.0, 0, 100),
    ("soft labels", "squared_hinge"): Cell("squared_hinge", None, None, 1),
    ("soft labels", "focal"): None,
    ("binary", "auto"): Cell("bce", 1.0, (0, 0), None),
    ("binary", "mlce"): Cell("mlce", 1.0, (0, 0), None),
    ("binary", "bce"): Cell("bce", 1.0, (0, 0), None),
    ("binary", "pairwise"): Cell("pairwise", 1.0, (0, 0), None),
    ("binary", "squared_hinge"): Cell("squared_hinge", None, None, None),
    ("binary", "focal"): Cell("focal", None, None, None),
    ("multiclass", "auto"): Cell("mlce", 1.0, 0, None),
    ("multiclass", "mlce"): Cell("mlce", 1.0, 0, None),
    ("multiclass", "bce"): Cell("bce", 1.0, (0, 0), None),
    ("multiclass", "pairwise"): Cell("pairwise", 1.0, 0, None),
    ("multiclass", "squared_hinge"): Cell("squared_hinge", None, None, None),
    ("multiclass", "focal"): Cell("focal", None, None, None),
    ("several outputs", "auto"): Cell("mlce", None, None, 10),
    ("several outputs", "mlce"): Cell("mlce", None, None, 10),
    ("several outputs", "bce"): None,
    ("several outputs", "pairwise"): None,
    ("several outputs", "squared_hinge"): None,
    ("several outputs", "focal"): None,
}


@pytest.mark.parametrize(("kind", "loss"), TABLE)
@on_both
def test_what_is_trained(make, kind, loss):
    model = make(loss=loss, n_labels_per_row=1 if loss == "pairwise" else None)
    cell = TABLE[kind, loss]
    if cell is None:
        with pytest.raises(ValueError, match=rf"loss='{loss}'.*Set loss='(auto|mlce)'"):
            model.fit(X, KINDS[kind])
        return
    model.fit(X, KINDS[kind])
    assert (model.loss_, model.scale_, model.margin_) == cell[:3]
    if isinstance(model, MLCEClassifier):
        distance = typical_squared_distance(X)
        expected = 1.0 if cell.factor is None else cell.factor / distance
        assert pytest.approx(expected) == model.C_


@pytest.mark.parametrize("kind", ["labels", "soft labels", "labels with NaN"])
@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({"loss": "mlce", "margin": (0.2, 0)}, 1),
        ({"loss": "mlce", "scale": 8.0}, 100),
        ({"loss": "bce", "scale": 8.0, "margin": (0.5, 0.5)}, 1),
        ({"loss": "bce", "margin": (0.5, -0.5)}, 100),  # which moves the threshold alone
        ({"loss": "pairwise", "margin": 0.5, "n_labels_per_row": 1}, 1),
    ],
)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_default_c_is_larger_without_a_margin(kind, options, factor, fit_intercept):
    moved = X + 1.0
    model = MLCEClassifier(fit_intercept=fit_intercept, **options).fit(moved, KINDS[kind])
    distance = typical_squared_distance(moved, centred=fit_intercept)
    assert pytest.approx(factor) == model.C_ * distance
    model.set_params(input_scaling=None).fit(moved, KINDS[kind])
    distance = X.var(axis=0).sum() if fit_intercept else (moved**2).sum(axis=1).mean()
    assert pytest.approx(factor) == model.C_ * distance


@pytest.mark.parametrize("kind", SINGLE)
def test_a_margin_does_not_change_the_default_c_of_classes(kind):
    assert MLCEClassifier(loss="mlce", margin=0.5).fit(X, KINDS[kind]).C_ == 1.0


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        *((kind, {"loss": "bce", "scale": 8, "margin": [0.2, 1.8]}) for kind in LABELS),
        ("soft labels", {"loss": "mlce"}),
        ("binary", {"loss": "mlce"}),
        ("binary", {"loss": "bce"}),
        ("binary", {"loss": "pairwise"}),
        ("multiclass", {"loss": "mlce"}),
        ("multiclass", {"loss": "pairwise"}),
        ("several outputs", {"loss": "mlce"}),
    ],
)
@on_both
def test_auto_is_what_is_written_out(make, kind, written):
    k = {"n_labels_per_row": 1} if written["loss"] == "pairwise" else {}
    auto = make(random_state=0).fit(X, KINDS[kind])
    spelled_out = make(random_state=0, **written, **k).fit(X, KINDS[kind])
    for method in ("decision_function", "predict_proba"):
        found, expected = getattr(auto, method)(X), getattr(spelled_out, method)(X)
        np.testing.assert_array_equal(np.hstack(found), np.hstack(expected))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", [{"scale": 8.0}, {"margin": 0.0}, {"scale": 1, "margin": (0, 1)}])
@on_both
def test_auto_refuses_scale_and_margin_and_says_what_to_type(make, kind, given):
    written = ", ".join(f"{name}={value!r}" for name, value in given.items())
    with pytest.raises(ValueError, match="loss='auto' chooses scale and margin itself") as caught:
        make(**given).fit(X, KINDS[kind])
    assert f"as in loss='bce', {written} or loss='mlce', {written}" in str(caught.value)
    with pytest.raises(ValueError, match="loss='auto' chooses"):
        make(**given).partial_fit(X, KINDS[kind])


@pytest.mark.parametrize("loss", ["mlce", "pairwise"])
@on_both
def test_classes_have_one_margin_but_one_class_against_the_rest_may_have_two(make, loss):
    y = KINDS["multiclass"]
    with pytest.raises(ValueError, match="is a pair, but a multiclass y has one margin"):
        make(loss=loss, margin=(0.2, 1.8), n_labels_per_row=1).fit(X, y)
    assert make(loss=loss, scale=2.0, margin=0.7, n_labels_per_row=1).fit(X, y).margin_ == 0.7
    against_rest = make(loss="bce", margin=(0.2, 1.8)).fit(X, y)
    assert against_rest.margin_ == (0.2, 1.8)
    assert against_rest.predict_proba(X).shape == (len(X), 3)


@on_both
def test_the_parameters_stay_as_they_were_given(make):
    model = make().fit(X, Y)
    assert (model.loss, model.scale, model.margin) == ("auto", None, None)
    assert "order" not in model.get_params()
    for estimator in (MLCEClassifier, MLCEMLP):
        with pytest.raises(TypeError, match="order"):
            estimator(order=2)


@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
@pytest.mark.parametrize("shape", [{}, {"scale": 4.0, "margin": (0.2, 1.0)}])
def test_the_linear_model_has_the_optimum_of_the_published_loss(kind, shape):
    """Of a formula of NumPy alone, minimised by scipy from zero."""
    rng = np.random.default_rng(5)
    features, labels = make_labels(rng, n_rows=40, n_features=3, n_labels=4)
    labels = labels.astype(float)
    if kind == "soft":
        labels = 0.8 * labels + 0.1
    if kind == "unknown":
        labels[2:][rng.random(labels[2:].shape) < 0.2] = np.nan
    model = MLCEClassifier(C=3.0, loss="mlce", tol=1e-9, **shape).fit(features, labels)
    scale, (of_negatives, of_positives) = shape.get("scale", 1.0), shape.get("margin", (0, 0))
    known, t = ~np.isnan(labels), np.nan_to_num(labels)

    def objective(flat):
        parameters = flat.reshape(4, 4)
        s = features @ parameters[:-1] + parameters[-1]
        negatives = known * (1 - t) * np.exp(scale * (s + of_negatives))
        positives = known * t * np.exp(-scale * (s - of_positives))
        losses = np.log1p(negatives.sum(axis=1)) + np.log1p(positives.sum(axis=1))
        return 0.5 * (parameters[:-1] ** 2).sum() + 3.0 / scale * losses.sum()

    reference = minimize(objective, np.zeros(16), method="BFGS", options={"gtol": 1e-6})
    assert objective(parameters_of(model).ravel()) == pytest.approx(reference.fun, rel=1e-8)
    np.testing.assert_allclose(parameters_of(model).ravel(), reference.x, atol=1e-4)


@pytest.mark.parametrize("loss", ["mlce", "bce"])
@pytest.mark.parametrize("shift", [0.8, -1.5])
def test_a_difference_of_the_margins_moves_the_intercepts(loss, shift):
    """Margins m - d and m + d ask for the scores less d what m alone asks of the scores."""
    features, labels = make_labels(np.random.default_rng(1))
    options = {"C": 2.0, "loss": loss, "scale": 4.0, "tol": 1e-11}
    for y in (labels, labels[:, 0]):
        equal = MLCEClassifier(margin=1.0, **options).fit(features, y)
        moved = MLCEClassifier(margin=(1.0 - shift, 1.0 + shift), **options).fit(features, y)
        np.testing.assert_allclose(moved.coef_, equal.coef_, atol=1e-8)
        np.testing.assert_allclose(moved.intercept_, equal.intercept_ + shift, atol=1e-8)


@pytest.mark.parametrize("loss", ["mlce", "bce"])
@pytest.mark.parametrize("soft", [False, True])
def test_the_perceptron_trains_on_both_margins(loss, soft):
    features, labels = make_labels(np.random.default_rng(2))
    labels = 0.8 * labels + 0.1 if soft else labels
    shape, label_weight = {"scale": 3.0, "margin": (0.2, 1.8)}, [1.0, 2, 0.5, 1, 3]
    model = MLCEMLP(
        (8,),
        max_epochs=1,
        learning_rate_init=1e-12,  # the scores of the first epoch are those of the fit
        alpha=0.0,
        dropout=0.0,
        random_state=0,
        loss=loss,
        label_weight=label_weight,
        **shape,
    ).fit(features, labels)
    scores = model.decision_function(features)
    rows = oracles.LOSSES[loss](scores, labels, label_weight=label_weight, **shape)
    assert model.loss_curve_[0] == pytest.approx(rows.mean() / 3.0, rel=1e-6)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda folds: MLCEClassifierCV([1.0], cv=folds),
        lambda folds: MultilabelTunedThresholdClassifierCV(MLCEClassifier(), cv=folds),
        lambda folds: MultilabelCalibratedClassifierCV(MLCEClassifier(), cv=folds),
    ],
    ids=["C", "thresholds", "calibration"],
)
def test_folds_train_the_loss_of_all_rows(wrapped, monkeypatch):
    """Whether their own rows have a soft label or not: scores of two losses do not compare."""
    trained = []
    fit = MLCEClassifier.fit

    def record(self, *arguments, **options):
        fit(self, *arguments, **options)
        trained.append(self.loss_)
        return self

    monkeypatch.setattr(MLCEClassifier, "fit", record)
    y = Y.astype(float)
    y[0, 0] = 0.5  # in the first held-out part alone
    wrapped(KFold(3)).fit(X, y)
    assert set(trained) == {"mlce"}
