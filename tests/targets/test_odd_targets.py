"""Odd y of all kinds: encoded as its plain form, or refused in a sentence, before any estimator."""

import numpy as np
import pytest

from sklearn_mlce._targets.encoding import check_y_given, encode_targets
from tests.helpers.bad_input import TARGETS

# What becomes of these depends on X, or on the estimator.
OF_ESTIMATORS = ("fewer rows", "one class", "nan alone", "tags")
CASES = [name for name in TARGETS if name not in OF_ESTIMATORS]


def encoded(y):
    check_y_given(y)
    return encode_targets(y)


@pytest.mark.parametrize("name", CASES)
def test_y_is_its_plain_form_or_is_refused(name):
    case = TARGETS[name]
    if not case.works:
        with pytest.raises((TypeError, ValueError), match=case.match):
            encoded(case.make())
        return
    found, plain = encoded(case.make()), encoded(case.plain())
    assert found.kind == plain.kind
    np.testing.assert_array_equal(found.positives.toarray(), plain.positives.toarray())
