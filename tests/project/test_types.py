"""What type checkers see of the public classes is what they are."""

from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from sklearn.utils._param_validation import StrOptions

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.decisions import MultilabelDecisionClassifier
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

ESTIMATORS = [
    MLCEMLP,
    MLCEClassifier,
    MLCEClassifierCV,
    MultilabelCalibratedClassifierCV,
    MultilabelDecisionClassifier,
    MultilabelTunedThresholdClassifierCV,
]


def literals(hint):
    """Return the strings of a type, of those in a union too."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return set().union(*map(literals, get_args(hint)))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_types_of_parameters_are_their_constraints(estimator):
    hints = get_type_hints(estimator.__init__, localns={"nn": torch.nn})
    for name, constraints in estimator._parameter_constraints.items():
        if hints[name] is Any or name in ("activation", "device"):  # typed as any text
            continue
        accepted = set().union(*(c.options for c in constraints if isinstance(c, StrOptions)))
        assert literals(hints[name]) == accepted, name
        assert (NoneType in get_args(hints[name])) == (None in constraints), name
