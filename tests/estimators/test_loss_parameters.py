"""What a loss asks of the estimators' other parameters."""

import pytest

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.losses import FocalLoss
from tests.helpers.checks import NON_CONVEX
from tests.helpers.estimators import labelled_rows, on_both


@on_both
def test_what_a_loss_needs_is_said(make):
    X, Y = labelled_rows()
    with pytest.raises(ValueError, match=r"knows no threshold. Set n_labels_per_row"):
        make(loss="pairwise").fit(X, Y)


@pytest.mark.parametrize("loss", [*NON_CONVEX, FocalLoss()])
def test_the_exact_solver_is_for_convex_losses(loss):
    X, Y = labelled_rows()
    with pytest.raises(ValueError, match=r"needs a convex loss.*Set solver='auto' or solver='sgd'"):
        MLCEClassifier(loss=loss, solver="newton-cg").fit(X, Y)
