"""Maps of scores that somebody already has to calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.utils._param_validation import StrOptions

from sklearn_mlce._objectives.objective import clipped
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from sklearn_mlce._utils.estimator_scores import finite_scores, to_dense
from sklearn_mlce._utils.numeric_input import array_of_numbers
from sklearn_mlce._utils.sparse_format import check_sparse
from sklearn_mlce._utils.typing import validate_params
from sklearn_mlce.calibration._calibration_data import as_scores
from sklearn_mlce.calibration._maps import FITS, IsotonicMap, SigmoidMap
from sklearn_mlce.calibration._members import (
    CalibrationPart,
    fit_map,
    label_prevalence,
    probability_floor,
    trainable_labels,
)
from sklearn_mlce.model_selection._given_scores import given_scores


@dataclass(frozen=True, repr=False, eq=False)
class CalibrationMap:
    """Map of scores to calibrated probabilities, which :func:`fit_calibration_map` returns.

    Parameters
    ----------
    slopes, intercepts : ndarray of shape (n_labels,), float64
        Slope and intercept of the log-odds as a function of the score; where scores are
        probabilities, of their log-odds. For "isotonic" the numbers are those of its sigmoids.
    learned : ndarray of shape (n_labels,), bool
        Whether each label has a map. Labels whose scores are all -1e9 or 1e9 have none: our
        estimators could not learn them.
    prevalence : ndarray of shape (n_labels,), float64
        Probabilities of the labels that have none.
    floor : float or None
        Distance from 0 and 1 at which scores that are probabilities are held; None for others.
    isotonic_weight : ndarray of shape (n_labels,), default=None
        Weight of each isotonic regression beside its sigmoid.
    knots : ndarray of shape (2, n_knots), default=None
        Scores and probabilities of all isotonic regressions, label by label.
    starts : ndarray of shape (n_labels + 1,), default=None
        Where the knots of each label begin.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlce.calibration import CalibrationMap
    >>> calibration = CalibrationMap(
    ...     np.array([2.0]), np.array([-1.0]), np.array([True]), np.array([0.5]), None
    ... )
    >>> calibration.predict_proba([0.5])
    array([0.5])
    """

    __module__ = "sklearn_mlce.calibration"

    slopes: np.ndarray
    intercepts: np.ndarray
    learned: np.ndarray
    prevalence: np.ndarray
    floor: float | None
    isotonic_weight: np.ndarray | None = None
    knots: np.ndarray | None = None
    starts: np.ndarray | None = None

    def predict_proba(self, y_score: Any) -> np.ndarray:
        """Calibrated probabilities of scores.

        Parameters
        ----------
        y_score : array-like of shape (n_samples,) or (n_samples, n_labels)
            Scores of the kind that the map was fitted on.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels), float64
            Probabilities in the form of the scores; never exactly 0 or 1.

        Raises
        ------
        ValueError
            If the scores have not a column for each label, or are no numbers.
        """
        check_sparse(y_score, "y_score")
        given = array_of_numbers(to_dense(y_score), "y_score")
        n_labels = len(self.slopes)
        scores = given[:, None] if given.ndim == 1 and n_labels == 1 else given
        if scores.ndim != 2 or scores.shape[1] != n_labels or scores.dtype.kind not in "biuf":
            raise ValueError(
                f"y_score must have a column of numbers for each of {n_labels} labels, got shape "
                f"{given.shape} of dtype {given.dtype}"
            )
        scores = finite_scores(scores, "y_score holds")
        if self.floor is not None:
            _check_probabilities(scores)
        limit = CONSTANT_LABEL_SCORE
        log_odds = self._map().log_odds(np.clip(as_scores(scores, self.floor), -limit, limit))
        probabilities = clipped(np.where(self.learned, expit(log_odds), self.prevalence))
        return probabilities.reshape(given.shape)

    def _map(self) -> SigmoidMap:
        if self.isotonic_weight is None or self.knots is None or self.starts is None:
            return SigmoidMap(self.slopes, self.intercepts)
        return IsotonicMap(
            self.slopes, self.intercepts, self.isotonic_weight, self.knots, self.starts
        )


@validate_params(
    {"method": [StrOptions(set(FITS))], "probabilities": ["boolean", None]},
    prefer_skip_nested_validation=True,
)
def fit_calibration_map(
    y_true: Any,
    y_score: Any,
    *,
    method: str = "sigmoid",
    probabilities: bool | None = None,
    sample_weight: Any = None,
    label_names: Any = None,
) -> CalibrationMap:
    """Map of given scores to calibrated probabilities, fitted on rows that were held out.

    Use it for scores that come from elsewhere: those that a network gives held-out rows, or the
    out-of-fold scores of :func:`~sklearn.model_selection.cross_val_predict`. The maps are those of
    :class:`MultilabelCalibratedClassifierCV`: one for each label, shrunk towards one for all.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
        Labels of each row: 0/1, soft in [0, 1], or NaN where unknown; or tags, a list, tuple or set
        of text for each row; or two classes.
    y_score : array-like of shape (n_samples,) or (n_samples, n_labels)
        Scores or probabilities of rows that the model was not fitted on; for two classes those of
        the second.
    method : {"sigmoid", "isotonic", "scale"}, default="sigmoid"
        Form of the maps, as in :class:`MultilabelCalibratedClassifierCV`.
    probabilities : bool, default=None
        Whether the scores are probabilities, whose log-odds are then mapped. Required where all
        scores lie in [0, 1]; None is False for others.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weight of each row.
    label_names : array-like of shape (n_labels,), default=None
        Names of the columns of `y_score`, in order, such as `label_names_` of the model. None
        takes those of a DataFrame. Needed where `y_true` is tags; the columns of a DataFrame
        `y_true` are compared with them.

    Returns
    -------
    CalibrationMap
        Makes probabilities of the scores of new rows, by its `predict_proba`.

    Raises
    ------
    ValueError
        If the labels or the scores are not usable.

    See Also
    --------
    MultilabelCalibratedClassifierCV : Fits the estimator, and the maps of its scores.
    sklearn_mlce.model_selection.tune_thresholds : Thresholds of given scores.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlce.calibration import fit_calibration_map
    >>> rng = np.random.default_rng(0)
    >>> y_true = (rng.random((1000, 3)) < [0.5, 0.3, 0.1]).astype(int)
    >>> logits = 10 * (y_true + rng.normal(size=y_true.shape)) - 5  # of an overconfident network
    >>> calibration = fit_calibration_map(y_true, logits)
    >>> calibration.slopes.round(1)
    array([0.1, 0.1, 0.1])
    >>> calibration.predict_proba([[0.0, 5.0, 10.0]]).round(2)
    array([[0.5 , 0.41, 0.25]])
    """
    given = given_scores(y_true, y_score, sample_weight, label_names)
    targets, scores = given.targets, given.scores
    if scores.size and scores.min() >= 0 and scores.max() <= 1 and probabilities is None:
        raise ValueError(
            "all scores lie between 0 and 1; pass probabilities=True if they are probabilities, "
            "False if they are scores of another kind"
        )
    if probabilities:
        _check_probabilities(scores)
    floor = probability_floor([scores]) if probabilities else None
    learned = trainable_labels(scores)
    part = CalibrationPart(np.arange(targets.n_rows), scores, learned)
    fitted = fit_map(method, [part], learned, floor, targets, given.sample_weight)
    prevalence = label_prevalence(targets, given.sample_weight)
    return CalibrationMap(learned=learned, prevalence=prevalence, floor=floor, **vars(fitted))


def _check_probabilities(scores: np.ndarray) -> None:
    """Raise ValueError if one lies outside of 0 and 1."""
    if scores.size and (scores.min() < 0 or scores.max() > 1):
        raise ValueError(
            f"y_score must hold probabilities in [0, 1], got {scores.min():.3g} to "
            f"{scores.max():.3g}. Fit with probabilities=False on scores of another kind"
        )
