"""What each loss is on each kind of y, and that no other room asks a loss by its name."""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import sklearn_mlce
from sklearn_mlce._objectives.module import ModuleObjective
from sklearn_mlce._objectives.registry import (
    AUTO,
    LOSSES,
    OBJECTIVES,
    THRESHOLDED_LOSSES,
    LossName,
    ThresholdedLossName,
    resolve_objective,
)
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce.losses import FocalLoss

PACKAGE = Path(sklearn_mlce.__file__).parent
KINDS = {
    "labels": [[0, 1], [1, 0], [0, 0]],
    "labels with NaN": [[0, 1], [1, np.nan], [0, 0]],
    "soft labels": [[0.3, 1], [1, np.nan], [0, 0]],
    "binary": ["a", "b", "a"],
    "multiclass": ["a", "b", "c"],
    "several outputs": [[0, 5], [1, 6], [2, 7]],
    "probabilities": [[[0.4, 0.6]], [[1, 0]], [[0.5, 0.5]]],
}
OUTPUTS = ("several outputs", "probabilities")
FORMATS = {kind: encode_targets(y).format for kind, y in KINDS.items()}
HINGE = ("BinaryCrossEntropy", 8.0, (0.2, 1.8))
# Class of the objective, scale and margins; None where the loss is refused.
TABLE = {
    ("labels", "auto"): HINGE,
    ("labels", "mlce"): ("MLCE", 1.0, (0, 0)),
    ("labels", "bce"): ("BinaryCrossEntropy", 1.0, (0, 0)),
    ("labels", "pairwise"): ("Pairwise", 1.0, (0, 0)),
    ("labels", "squared_hinge"): ("SquaredHinge", 1.0, (0, 0)),
    ("labels with NaN", "auto"): HINGE,
    ("labels with NaN", "mlce"): ("MLCE", 1.0, (0, 0)),
    ("labels with NaN", "bce"): ("BinaryCrossEntropy", 1.0, (0, 0)),
    ("labels with NaN", "pairwise"): ("Pairwise", 1.0, (0, 0)),
    ("labels with NaN", "squared_hinge"): ("SquaredHinge", 1.0, (0, 0)),
    ("soft labels", "auto"): ("MLCE", 1.0, (0, 0)),
    ("soft labels", "mlce"): ("MLCE", 1.0, (0, 0)),
    ("soft labels", "bce"): ("BinaryCrossEntropy", 1.0, (0, 0)),
    ("soft labels", "pairwise"): ("Pairwise", 1.0, (0, 0)),
    ("soft labels", "squared_hinge"): ("SquaredHinge", 1.0, (0, 0)),
    ("binary", "auto"): ("BinaryCrossEntropy", 1.0, (0, 0)),
    ("binary", "mlce"): ("BinaryCrossEntropy", 1.0, (0, 0)),
    ("binary", "bce"): ("BinaryCrossEntropy", 1.0, (0, 0)),
    ("binary", "pairwise"): ("BinaryCrossEntropy", 1.0, (0, 0)),
    ("binary", "squared_hinge"): ("SquaredHinge", 1.0, (0, 0)),
    ("multiclass", "auto"): ("Softmax", 1.0, (0, 0)),
    ("multiclass", "mlce"): ("Softmax", 1.0, (0, 0)),
    ("multiclass", "bce"): ("BinaryCrossEntropy", 1.0, (0, 0)),
    ("multiclass", "pairwise"): ("Softmax", 1.0, (0, 0)),
    ("multiclass", "squared_hinge"): ("SquaredHinge", 1.0, (0, 0)),
    ("several outputs", "auto"): ("Multioutput", 1.0, (0, 0)),
    ("several outputs", "mlce"): ("Multioutput", 1.0, (0, 0)),
    ("probabilities", "auto"): ("MultioutputDivergence", 1.0, (0, 0)),
    ("probabilities", "mlce"): ("MultioutputDivergence", 1.0, (0, 0)),
    ("probabilities", "bce"): None,
    ("several outputs", "bce"): None,
    ("several outputs", "pairwise"): None,
    ("several outputs", "squared_hinge"): None,
}


@pytest.mark.parametrize(("kind", "loss"), TABLE)
def test_what_a_loss_is_on_a_kind_of_y(kind, loss):
    meant = TABLE[kind, loss]
    if meant is None:
        with pytest.raises(ValueError, match=rf"'auto' and loss='mlce' alone take; got.*'{loss}'"):
            resolve_objective(loss, None, None, FORMATS[kind])
        return
    found = resolve_objective(loss, None, None, FORMATS[kind])
    assert (type(found).__name__, found.scale, found.margins) == meant
    assert found.soft == (kind in ("soft labels", "probabilities"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in OUTPUTS])
@pytest.mark.parametrize("loss", OBJECTIVES)
def test_each_loss_knows_its_kind_of_y(loss, kind):
    found = resolve_objective(loss, None, None, FORMATS[kind])
    assert found.kind == FORMATS[kind].kind
    assert found.convex == OBJECTIVES[loss].convex
    assert found.needs_label_counts == OBJECTIVES[loss].needs_label_counts
    assert found.has_margin == (loss == "squared_hinge")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"scale": 2.0}, r"loss='bce', scale=2.0 or loss='mlce', scale=2.0.*set scale=None"),
        ({"margin": 0.5}, r"loss='bce', margin=0.5 or loss='mlce', margin=0.5.*set margin=None"),
        (
            {"scale": 8.0, "margin": (0, 1)},
            r"loss='bce', scale=8.0, margin=\(0, 1\).*set scale=None, margin=None",
        ),
    ],
)
def test_auto_refuses_scale_and_margin_and_says_what_to_type(kind, given, advice):
    arguments = {"scale": None, "margin": None} | given
    with pytest.raises(ValueError, match=rf"loss='auto' chooses scale and margin itself.*{advice}"):
        resolve_objective(AUTO, target_format=FORMATS[kind], **arguments)


@pytest.mark.parametrize("loss", ["mlce", "pairwise"])
def test_classes_that_lead_each_other_have_one_margin(loss):
    for pair in ((0.2, 1.8), [0, 1]):
        with pytest.raises(ValueError, match="is a pair, but a multiclass y has one margin"):
            resolve_objective(loss, None, pair, FORMATS["multiclass"])
    for margin in (0.7, (0.7, 0.7)):
        assert resolve_objective(loss, 2.0, margin, FORMATS["multiclass"]).margin == 0.7
    against_rest = resolve_objective("bce", None, (0.2, 1.8), FORMATS["multiclass"])
    assert against_rest.margins == (0.2, 1.8)


def test_pairs_of_labels_have_one_margin_too():
    with pytest.raises(ValueError, match="is a pair, but loss='pairwise' has one margin"):
        resolve_objective("pairwise", None, (0.2, 1.8), FORMATS["labels"])
    binary = resolve_objective("pairwise", None, (0.2, 1.8), FORMATS["binary"])
    assert binary.margins == (0.2, 1.8)  # of one label it is the logistic loss


@pytest.mark.parametrize("given", [{"scale": 1.0}, {"margin": 0.0}, {"margin": (0.2, 1.8)}])
def test_losses_without_scale_and_margin_refuse_them(given):
    arguments = {"scale": None, "margin": None, "target_format": FORMATS["labels"]} | given
    (name,) = given
    for loss in ("squared_hinge", "focal", "class_balanced_focal", "asymmetric"):
        message = (
            rf"shape the losses \['mlce', 'bce', 'pairwise'\].*'{loss}' has none. Set {name}=N"
        )
        with pytest.raises(ValueError, match=message):
            resolve_objective(loss, **arguments)
    with pytest.raises(ValueError, match="a loss that is a module is used as it is"):
        resolve_objective(FocalLoss(), **arguments)
    arguments["target_format"] = FORMATS["several outputs"]
    if given != {"scale": 1.0} and given != {"margin": 0.0}:  # which change nothing
        with pytest.raises(ValueError, match="but y is multiclass-multioutput"):
            resolve_objective("mlce", **arguments)


def test_what_is_no_margin_is_refused():
    for margin in ((1.0,), (1.0, 2.0, 3.0), np.nan, (0.0, np.inf), "wide"):
        with pytest.raises(ValueError, match=r"margin must be a finite number.* or a pair of them"):
            resolve_objective("bce", None, margin, FORMATS["labels"])


def test_a_module_is_an_objective_of_all_kinds_but_several_outputs():
    for kind, target_format in FORMATS.items():
        if kind in OUTPUTS:
            with pytest.raises(ValueError, match="alone take; got loss=FocalLoss"):
                resolve_objective(FocalLoss(), None, None, target_format)
            continue
        found = resolve_objective(FocalLoss(), None, None, target_format)
        assert isinstance(found, ModuleObjective)
        assert (found.convex, found.separable, found.has_probabilities) == (False,) * 3
        assert found.described == "FocalLoss"


def test_fingerprints_tell_losses_apart():
    found = [
        resolve_objective(loss, scale, margin, FORMATS[kind])
        for kind in ("labels", "soft labels", "binary")
        for loss in ("mlce", "bce", "pairwise")
        for scale, margin in ((None, None), (2.0, None), (None, 0.5))
    ]
    prints = [objective.fingerprint for objective in found]
    assert len(set(prints)) == len(prints) - 2 * 3  # of binary y all three are one loss
    auto = resolve_objective(AUTO, None, None, FORMATS["labels"])
    written = resolve_objective("bce", 8, [0.2, 1.8], FORMATS["labels"])
    assert auto.fingerprint == written.fingerprint


WITHOUT_TORCH = """
    import sys, types

    class Blocked:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("torch", "skorch"):
                raise ImportError(f"{name} is blocked")

    sys.meta_path.insert(0, Blocked())
    package = types.ModuleType("sklearn_mlce")  # whose own __init__ imports the estimators
    package.__path__ = [PATH]
    sys.modules["sklearn_mlce"] = package

    import numpy as np
    from sklearn_mlce._targets.targets import LabelCounts
    from sklearn_mlce._objectives.registry import LOSSES, OBJECTIVES, resolve_objective
    from sklearn_mlce._targets.encoding import encode_targets

    scores = np.linspace(-2, 2, 6).reshape(3, 2)
    for y in ([[0, 1], [1, 0], [0, 0]], [[0.3, 1], [1, 0.5], [0, 0]]):
        targets = encode_targets(y)
        for loss in LOSSES:
            objective = resolve_objective(loss, None, None, targets.format)
            counts = LabelCounts.of(targets, None)
            constant = objective.constant_scores(targets, None, counts)
            assert np.isfinite(constant).all()
            if objective.has_probabilities:
                assert objective.probabilities(scores).shape == (3, 2)
            print(loss, objective.convex, objective.fingerprint)
    for y in ("aba", "abc"):
        objective = resolve_objective("auto", None, None, encode_targets(list(y)).format)
        print(objective.probabilities(scores[:, : len(set(y)) - 1]).shape)
    assert "torch" not in sys.modules
"""


def test_losses_are_known_without_torch():
    program = textwrap.dedent(WITHOUT_TORCH).replace("PATH", repr(str(PACKAGE)))
    command = [sys.executable, "-W", "error", "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("\n") == 2 * len(LOSSES) + 2


def constants_of(tree):
    """String constants outside defaults of parameters; docstrings and messages hold more words."""
    defaults = {
        id(default)
        for node in ast.walk(tree)
        if isinstance(node, ast.arguments)
        for default in (*node.defaults, *node.kw_defaults)
    }
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [n for n in constants if isinstance(n.value, str) and id(n) not in defaults]


def compares_loss_with_auto(tree):
    """Whether what is called a loss is compared with the name of the automatic one."""
    compared = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    return any("'auto'" in text and "loss" in text for text in compared)


def test_no_other_room_asks_a_loss_by_its_name():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name == "_objectives":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = [node for node in constants_of(tree) if node.value in OBJECTIVES]
        found += [(path.name, node.lineno, node.value) for node in named]
        assert not compares_loss_with_auto(tree), path
    assert found == []


def test_the_search_for_names_finds_them():
    tree = ast.parse("def f(loss='bce'):\n    'Of loss bce.'\n    return loss == 'mlce'")
    assert [node.value for node in constants_of(tree) if node.value in OBJECTIVES] == ["mlce"]
    assert compares_loss_with_auto(ast.parse("x = model.loss == 'auto'"))
    assert not compares_loss_with_auto(ast.parse("x = solver == 'auto'"))


def test_types_name_the_losses():
    assert get_args(LossName) == LOSSES
    assert get_args(ThresholdedLossName) == THRESHOLDED_LOSSES


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("y", [[0, 1], [[0, 1], [1, 0]]], ids=["binary", "labels"])
def test_work_that_is_large_is_a_number(name, y):
    target_format = encode_targets(y).format
    try:
        objective = resolve_objective(name, None, None, target_format)
    except ValueError:  # of 1-D y
        return
    assert 1e6 < objective.large_work < 1e9


@pytest.mark.parametrize(
    ("margin", "has"), [(None, False), (0.0, False), (0.5, True), ((0.2, 1.8), True), (-0.5, False)]
)
def test_a_margin_is_what_scores_have_to_clear(margin, has):
    target_format = encode_targets([[0, 1], [1, 0]]).format
    assert resolve_objective("bce", 2.0, margin, target_format).has_margin == has
