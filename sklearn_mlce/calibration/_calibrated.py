"""Calibrated probabilities by cross-validation, for any multi-label estimator."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_mlce._objectives.objective import clipped, log_of
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from sklearn_mlce._utils.callbacks import fitted_state_kept
from sklearn_mlce._utils.estimator_scores import ProbabilitiesAt, at_columns
from sklearn_mlce._utils.typing import TorchOutput, fit_context, with_callbacks
from sklearn_mlce.calibration._maps import FITS
from sklearn_mlce.calibration._members import (
    CalibratedClassifier,
    CalibrationPart,
    calibrate,
    calibration_parts,
    label_prevalence,
    learned_by_any,
    learned_labels,
    mean_log_odds,
    torch_member,
    trainable_labels,
)
from sklearn_mlce.model_selection._out_of_fold import warn_unscored_labels
from sklearn_mlce.model_selection._wrapper import BaseWrapper, FitArguments, torch_model_of

if TYPE_CHECKING:
    from torch import nn


class MultilabelCalibratedClassifierCV(BaseWrapper):
    r"""Multi-label classifier whose probabilities are calibrated on out-of-fold scores.

    Each fold is scored by a clone of the estimator that was fitted on the other folds. On these
    scores a map from scores to probabilities is fitted for each label. The map is shrunk towards
    one map for all labels, the more so the fewer positives the label has. For one class per row
    scikit-learn has :class:`~sklearn.calibration.CalibratedClassifierCV`.

    Parameters
    ----------
    estimator : estimator instance
        Multi-label classifier with `decision_function`, or else `predict_proba`, whose log-odds are
        used. A fitted estimator inside a :class:`~sklearn.frozen.FrozenEstimator` is taken as it
        is. All rows given to `fit` then calibrate it, and `cv` plays no part. Give rows that the
        estimator was not fitted on.
    method : {"sigmoid", "isotonic", "scale"}, default="sigmoid"
        Form of the maps. "sigmoid" has a slope and an intercept for each label (Platt scaling).
        "scale" has one slope and one intercept for all labels. "isotonic" mixes an isotonic
        regression for each label with its sigmoid: the map follows any increasing curve, and needs
        more positives.
    cv : int, float, cross-validation generator or iterable, default=5
        How rows are held out. An integer is a number of folds, of shuffled rows, stratified by
        :class:`~sklearn_mlce.model_selection.MultilabelStratifiedKFold`, or with groups by
        :class:`~sklearn_mlce.model_selection.MultilabelStratifiedGroupKFold`; a float in (0, 1) is
        the fraction of rows in a single held-out part, stratified as well; None is scikit-learn's
        five folds, not shuffled. A splitter of another package is given the labels as a dense
        matrix of 0 and 1.
    n_jobs : int, default=None
        Number of folds fitted at a time; -1 for as many as there are processors.
    ensemble : bool or "auto", default=False
        False pools the out-of-fold scores of all folds for one set of maps, and fits the estimator
        on all rows in the end. The result is one model, and a rare label has all its positives in
        one map. True keeps the clone of each fold with maps of its own, fitted on that fold's rows
        alone, and averages their probabilities. That takes as many models as there are folds, and
        one fit less. "auto" is True unless the estimator is frozen, as in scikit-learn.
    random_state : int, RandomState instance or None, default=None
        Shuffles the rows where `cv` is a number.

    Attributes
    ----------
    calibrated_classifiers_ : list
        One entry, or one for each fold with ``ensemble=True``. Each has the fitted `estimator` and
        a `calibrator`. The calibrator of "sigmoid" and "scale" has `slopes` and `intercepts` of the
        log-odds as a function of the estimator's score, arrays of shape (n_labels,).
    classes_ : ndarray
        Classes of a binary `y`; ``np.arange(n_labels)`` of a multi-label one.
    label_names_ : ndarray of shape (n_labels,)
        Column names of `y`, or its tags, sorted. Only where `y` was a DataFrame or tags.
    n_features_in_ : int
        Number of features. Only where the estimator says so.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features. Only where the estimator says so.

    See Also
    --------
    sklearn.calibration.CalibratedClassifierCV : For one class per row, two classes or more.
    sklearn_mlce.model_selection.MultilabelTunedThresholdClassifierCV : Thresholds for F1.
    sklearn_mlce.decisions.MultilabelDecisionClassifier : Labels that serve one, by probabilities.

    Notes
    -----
    The shared map :math:`p = \sigma(a_0 s + b_0)` of scores :math:`s` has the least log-loss over
    all cells, with Platt's targets :math:`1 / (n_0 + 2)` and :math:`(n_1 + 1) / (n_1 + 2)` for
    :math:`n_0` negative and :math:`n_1` positive cells. A label's own adds a penalty to the
    log-loss of its cells,

    .. math:: \frac{k}{2} \begin{pmatrix} a - a_0 \\ b - b_0 \end{pmatrix}^T M
              \begin{pmatrix} a - a_0 \\ b - b_0 \end{pmatrix},

    where :math:`M` holds the moments 1, s and s squared of the scores near the shared map's
    middle, weighed by :math:`p (1 - p)`. With :math:`k = 3` a label of about three positives lies
    midway; an isotonic regression of :math:`n` has the weight :math:`n / (n + 100)` beside the
    sigmoid. Both constants come from the data sets of the benchmarks. All slopes are positive:
    within a label, the order of the scores of one model stays.

    `y` may be a matrix of 0 and 1, dense or sparse, of soft labels in [0, 1], or with NaN for
    unknown labels, or 1-D with two classes, as far as the estimator takes such a `y`. A soft target
    counts as a fraction of a positive, an unknown one not at all. For a binary `y` and a decision
    function, the sigmoid is that of :class:`~sklearn.calibration.CalibratedClassifierCV`.

    A label that no row carries has the probability 1 / (2n + 2) in all n rows, and the score -1e9.
    A label that every row carries has one less that, and 1e9. A label that no training row of a
    fold carries takes no part in that fold. Where all positives (or all negatives) of a label lie
    in one fold, the others score one kind of rows alone. Then the label's frequency stands for
    their targets, and its probabilities lie near the frequency. A warning names the label if it has
    five positives or more.

    The out-of-fold scores are kept in one array, in the dtype that the estimator gives, until the
    maps are fitted. Then the estimator is fitted on all rows. The estimators of folds are kept with
    ``ensemble=True`` alone.

    References
    ----------
    .. [1] Platt, "Probabilistic Outputs for Support Vector Machines and Comparisons to
       Regularized Likelihood Methods", Advances in Large Margin Classifiers, 1999.
    .. [2] Zadrozny, Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability
       Estimates", https://doi.org/10.1145/775047.775151, 2002 (isotonic regression).
    .. [3] Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks",
       https://arxiv.org/abs/1706.04599, 2017 (temperature scaling, calibration error).

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn_mlce import MLCEClassifier
    >>> from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
    >>> X, Y = make_multilabel_classification(
    ...     n_samples=600, n_classes=6, n_labels=3, random_state=0
    ... )
    >>> model = MLCEClassifier().fit(X[:400], Y[:400])
    >>> calibrated = MultilabelCalibratedClassifierCV(MLCEClassifier(), random_state=0)
    >>> calibrated = calibrated.fit(X[:400], Y[:400])
    >>> for one in (model, calibrated):
    ...     print(round(((one.predict_proba(X[400:]) - Y[400:]) ** 2).mean(), 2))
    0.22
    0.19
    """

    __module__ = "sklearn_mlce.calibration"

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit"])],
        "method": [StrOptions(set(FITS))],
        "cv": ["cv_object", Interval(RealNotInt, 0.0, 1.0, closed="neither")],
        "n_jobs": [Integral, None],
        "ensemble": ["boolean", StrOptions({"auto"})],
        "random_state": ["random_state"],
    }

    _learned: np.ndarray  # (n_outputs,) mask of the labels that have a map
    _prevalence: np.ndarray  # (n_outputs,) probabilities of the others
    _member_states: list[dict[str, Any]]

    def __init__(
        self,
        estimator: Any,
        *,
        method: Literal["sigmoid", "isotonic", "scale"] = "sigmoid",
        cv: Any = 5,
        n_jobs: int | None = None,
        ensemble: bool | Literal["auto"] = False,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.n_jobs = n_jobs
        self.ensemble = ensemble
        self.random_state = random_state

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Self:
        """Fit the estimator, and maps of its scores.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, in any form that the estimator takes.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Labels of each row: 0/1, soft in [0, 1], or NaN where unknown; or tags, a list, tuple
            or set of text for each row; or two classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row in the maps and, if the estimator's `fit` takes it
            (with metadata routing: if it was requested), in the fits.
        **params : dict
            Passed to the estimator's `fit`; what has an entry per row is split with the rows.
            `groups` go to the splitter instead: rows of a group are held out together. With
            metadata routing, to whatever requested it, a splitter included.

        Returns
        -------
        MultilabelCalibratedClassifierCV
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter is not usable. An earlier fit is then kept.
        """
        with fitted_state_kept(self):
            frozen = isinstance(self.estimator, FrozenEstimator)
            arguments = self._validate_fit(
                X,
                y,
                sample_weight,
                params,
                prefit=frozen,
                weighs="the rows of the maps",
                for_classes="sklearn.calibration.CalibratedClassifierCV",
            )
            members = self._fit_members(arguments, frozen)
            self._member_states = [member.to_state() for member in members]
            self._learned = learned_by_any(members)
            self._prevalence = label_prevalence(arguments.targets, arguments.sample_weight)
            self._remember(arguments.targets, members[0].estimator)
            arguments.monitor.close()
        return self

    def _fit_members(self, arguments: FitArguments, frozen: bool) -> list[CalibratedClassifier]:
        """Fit estimators, and maps of their scores."""
        if not frozen:
            splits = arguments.splits(self.cv, self.random_state)
            effect = "Their probabilities are near the label's share of the rows"
            weight = arguments.sample_weight
            warn_unscored_labels(arguments.targets, splits, weight, effect, stacklevel=6)
            arguments.monitor.open("fold", len(splits) + (not self.ensemble))
            folds = arguments.score_folds(
                self.estimator, splits, self.n_jobs, keep=bool(self.ensemble)
            )
            parts = calibration_parts(folds, arguments)
        elif self.ensemble is True:
            raise ValueError(
                "ensemble=True averages estimators that were fitted on different rows, but a "
                "FrozenEstimator is not fitted again. Pass ensemble=False"
            )
        else:
            arguments.monitor.open("fold", 0)
            folds = arguments.score_fitted(self.estimator)
            learned = trainable_labels(folds.scores[0])
            parts = [CalibrationPart(arguments.all_rows, folds.scores.pop(), learned)]
        probabilities = folds.default_threshold != 0
        if frozen or self.ensemble:
            return [
                calibrate(
                    fitted,
                    self.method,
                    [part],
                    part.learned,
                    arguments,
                    probabilities=probabilities,
                )
                for fitted, part in zip(folds.estimators, parts, strict=True)
            ]
        learned = learned_labels(arguments.targets, arguments.all_rows, arguments.sample_weight)
        member = calibrate(
            None, self.method, parts, learned, arguments, probabilities=probabilities
        )
        # Last, when the scores are released.
        return [replace(member, estimator=arguments.fit(self.estimator))]

    @property
    def calibrated_classifiers_(self) -> list[CalibratedClassifier]:
        """Fitted estimators with their calibrators: one, or one for each fold."""
        return [CalibratedClassifier.from_state(state) for state in self._member_states]

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Log-odds of the calibrated probabilities; above zero is what :meth:`predict` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels), float64
            Above zero where a label is more likely than not. -1e9 (1e9) for labels that no row
            (every row) carried.
        """
        check_is_fitted(self)
        scores = self._zero_scores(X)
        return scores[:, 0] if self._target_format.kind == "binary" else scores

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Calibrated probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples, 2) or (n_samples, n_labels), float64
            Never exactly 0 or 1. For a matrix y each label has its own probability, and rows need
            not sum to 1.
        """
        check_is_fitted(self)
        scores, prevalence, learned = self._zero_scores(X), self._prevalence, self._learned
        if self._target_format.kind == "binary":
            scores = np.hstack([-scores, scores])
            prevalence, learned = np.append(1 - prevalence, prevalence), np.append(learned, learned)
        return _probabilities(scores, prevalence, learned)

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Logarithms of what :meth:`predict_proba` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples, 2) or (n_samples, n_labels), float64
            Finite and below 0.
        """
        return log_of(self.predict_proba(X))

    def _torch_model(self, output: TorchOutput) -> nn.Module:
        from sklearn_mlce._export.calibrated import CalibratedModel
        from sklearn_mlce._export.outputs import Outputs

        members = [
            torch_member(member, torch_model_of(member.estimator, "scores", self))
            for member in self.calibrated_classifiers_
        ]
        outputs = Outputs(self._target_format.kind, (), output)
        return CalibratedModel(members, self._learned, self._prevalence, outputs).eval()

    def _scores_and_probabilities(self, X: Any) -> tuple[np.ndarray, ProbabilitiesAt]:
        """Log-odds of a matrix of labels, and probabilities."""
        scores, prevalence, learned = self._zero_scores(X), self._prevalence, self._learned
        return scores, lambda columns: _probabilities(
            at_columns(scores, columns), prevalence[columns], learned[columns]
        )

    def _zero_scores(self, X: Any) -> np.ndarray:
        """Log-odds ``(n, n_outputs)``, with the scores of constant labels among them."""
        scores = mean_log_odds(self.calibrated_classifiers_, X)
        limit = CONSTANT_LABEL_SCORE
        constant = np.where(self._prevalence > 0.5, limit, -limit)
        scores[:, ~self._learned] = constant[~self._learned]
        return scores


def _probabilities(scores: np.ndarray, prevalence: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """Sigmoids of log-odds, and the prevalence of labels that were not learned."""
    return clipped(np.where(learned, expit(scores), prevalence))
