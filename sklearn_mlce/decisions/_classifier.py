"""Labels decided by a rule from the probabilities of any multi-label estimator."""

from __future__ import annotations

from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_mlce._objectives.objective import log_of
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from sklearn_mlce._utils.callbacks import fitted_state_kept
from sklearn_mlce._utils.estimator_scores import (
    ProbabilitiesAt,
    at_columns,
    checked_probabilities,
    to_dense,
)
from sklearn_mlce._utils.numeric_input import check_X
from sklearn_mlce._utils.typing import TorchOutput, fit_context, with_callbacks
from sklearn_mlce.decisions._expected_f1 import quadrature_of
from sklearn_mlce.decisions._rules import (
    best_and_others,
    best_f1_of_rows,
    best_of_rows,
    plug_in_thresholds,
)
from sklearn_mlce.model_selection._out_of_fold import never_positive, warn_unscored_labels
from sklearn_mlce.model_selection._wrapper import (
    BaseWrapper,
    FitArguments,
    FoldScores,
    torch_model_of,
)

if TYPE_CHECKING:
    from torch import nn

# Rules that decide each row by itself, with the parameter that each has and its value for None.
_ROW_RULES: dict[str, tuple[str, Any, Any]] = {
    "f1_samples": ("zero_division", 0.0, best_f1_of_rows),
    "top_k": ("k", 1, best_of_rows),
    "best_and_above": ("threshold", 0.5, best_and_others),
}

_SINGLE_LABEL = ("binary", "multiclass")  # kinds of y whose rows have one label, their class

_ROUNDING = 1e-5  # beyond 0 and 1, of probabilities in float32


class MultilabelDecisionClassifier(BaseWrapper):
    """Multi-label classifier whose labels serve a measure, given the probabilities.

    The classifier wraps any multi-label estimator with `predict_proba`, and predicts by a rule
    instead of a threshold of one half. The rules need calibrated probabilities: wrap the estimator
    in a :class:`~sklearn_mlce.calibration.MultilabelCalibratedClassifierCV` first, unless it is
    calibrated already.

    Parameters
    ----------
    estimator : estimator instance
        Multi-label classifier with `predict_proba`. A fitted estimator inside a
        :class:`~sklearn.frozen.FrozenEstimator` is taken as it is. Thresholds then come from all
        rows given to `fit`, and `cv` plays no part. Give rows that the estimator was not fitted on.
    decision : {"f1_samples", "f1_micro", "f1_macro", "top_k", "best_and_above"}, \
            default="f1_samples"
        "f1_samples" predicts the labels with the highest expected F1 of each row, exactly (see
        :func:`maximize_f1`). "f1_micro" and "f1_macro" predict above one threshold, or one for each
        label, at half the best expected F1 (see :func:`f1_thresholds`). "top_k" predicts the `k`
        most probable labels of each row, and "best_and_above" the most probable one and those above
        `threshold`.
    zero_division : float, default=None
        For "f1_samples": F1 of a row without labels for which none is predicted, from 0 to 1. None
        is 0, with which a row always gets a label.
    k : int, default=None
        For "top_k": number of labels that a row gets, fewer where their probability is 0. None is
        1.
    threshold : float, default=None
        For "best_and_above": limit that the probabilities of further labels have to exceed. None is
        0.5.
    cv : int, float, cross-validation generator or iterable, default=3
        How rows are held out for the thresholds of "f1_micro" and "f1_macro"; the other rules need
        none. An integer is a number of folds, of shuffled rows, stratified by
        :class:`~sklearn_mlce.model_selection.MultilabelStratifiedKFold`, or with groups by
        :class:`~sklearn_mlce.model_selection.MultilabelStratifiedGroupKFold`; a float in (0, 1) is
        the fraction of rows in a single held-out part, stratified as well; None is scikit-learn's
        five folds, not shuffled. A splitter of another package is given the labels as a dense
        matrix of 0 and 1.
    n_jobs : int, default=None
        Number of folds fitted at a time; -1 for as many as there are processors.
    random_state : int, RandomState instance or None, default=None
        Shuffles the rows where `cv` is a number.

    Attributes
    ----------
    estimator_ : estimator instance
        The estimator, fitted on all rows; a frozen one as it was given.
    thresholds_ : float or ndarray of shape (n_labels,)
        Threshold that a probability has to exceed, or the threshold of each label. inf for a label
        that is never predicted. Only for "f1_micro" and "f1_macro".
    classes_ : ndarray
        Classes of a 1-D `y`; ``np.arange(n_labels)`` of a multi-label one.
    label_names_ : ndarray of shape (n_labels,)
        Column names of `y`, or its tags, sorted. Only where `y` was a DataFrame or tags.
    n_features_in_ : int
        Number of features. Only where the estimator says so.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features. Only where the estimator says so.

    See Also
    --------
    sklearn_mlce.model_selection.MultilabelTunedThresholdClassifierCV : Thresholds by the labels of
        held-out rows, for any scores.
    maximize_f1, f1_thresholds, best_and_above : The rules as functions of probabilities.
    best_within_budget : A budget for all rows together, which no estimator can keep to: what a row
        gets would depend on the rows beside it.

    Notes
    -----
    The thresholds of "f1_micro" and "f1_macro" come from probabilities of held-out rows, not from
    labels. A rare label has as many probabilities as a frequent one.

    `y` may be a matrix of 0 and 1, dense or sparse, of soft labels in [0, 1], or with NaN for
    unknown labels, or 1-D, as far as the estimator takes such a `y`. A label that no row carries is
    never predicted, and has the score -1e9, unless the estimator is frozen.

    The rows of a 1-D `y` have one label each, their class. The rules that decide each row by itself
    then predict the most probable class: the expected F1 of a row is its probability. A `k` above
    1 or a `threshold` below 0.5, which would give a row a second class, is refused. "f1_micro" and
    "f1_macro" are about the second of two classes, and take no more than two.

    The module that `to_torch` makes of "f1_samples" holds some ``4 * n_labels * sqrt(n_labels)``
    numbers for each row.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.metrics import f1_score
    >>> from sklearn_mlce import MLCEClassifier
    >>> from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
    >>> from sklearn_mlce.decisions import MultilabelDecisionClassifier
    >>> X, Y = make_multilabel_classification(
    ...     n_samples=600, n_classes=6, n_labels=3, random_state=0
    ... )
    >>> calibrated = MultilabelCalibratedClassifierCV(MLCEClassifier(), random_state=0)
    >>> decided = MultilabelDecisionClassifier(calibrated).fit(X[:400], Y[:400])
    >>> calibrated = calibrated.fit(X[:400], Y[:400])
    >>> before, after = (
    ...     f1_score(Y[400:], model.predict(X[400:]), average="samples")
    ...     for model in (calibrated, decided)
    ... )
    >>> print(after > before)
    True
    """

    __module__ = "sklearn_mlce.decisions"

    _rule: tuple[str, Any]  # the decision that was fitted, and its parameter
    _never_predicted: np.ndarray  # (n_outputs,) mask of the labels that are none to choose from

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit"])],
        "decision": [StrOptions({*_ROW_RULES, "f1_micro", "f1_macro"})],
        "zero_division": [Interval(Real, 0, 1, closed="both"), None],
        "k": [Interval(Integral, 1, None, closed="left"), None],
        "threshold": [Interval(Real, 0, 1, closed="both"), None],
        "cv": ["cv_object", Interval(RealNotInt, 0.0, 1.0, closed="neither")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        decision: Literal[
            "f1_samples", "top_k", "best_and_above", "f1_micro", "f1_macro"
        ] = "f1_samples",
        zero_division: float | None = None,
        k: int | None = None,
        threshold: float | None = None,
        cv: Any = 3,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.decision = decision
        self.zero_division = zero_division
        self.k = k
        self.threshold = threshold
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator).classifier_tags
        by_rows = self.decision in _ROW_RULES
        tags.classifier_tags.multi_class = by_rows and (inner is None or inner.multi_class)
        return tags

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Self:
        """Fit the estimator on all rows, and find the thresholds if the rule has any.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, in any form that the estimator takes.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Labels of each row: 0/1, soft in [0, 1], or NaN where unknown; or tags, a list, tuple or
            set of text for each row; or classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row in the thresholds and, if the estimator's `fit` takes
            it (with metadata routing: if it was requested), in the fits.
        **params : dict
            Passed to the estimator's `fit`; what has an entry per row is split with the rows.
            `groups` go to the splitter instead: rows of a group are held out together. With
            metadata routing, to whatever requested it, a splitter included.

        Returns
        -------
        MultilabelDecisionClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter is not usable. An earlier fit is then kept.
        TypeError
            If the estimator has no probabilities.
        """
        with fitted_state_kept(self):
            rule = (self.decision, self._parameter_of_rule())
            if not hasattr(self.estimator, "predict_proba"):
                raise TypeError(
                    f"{type(self.estimator).__name__} has no predict_proba, and labels are decided "
                    "from probabilities. Make them with sklearn_mlce.calibration."
                    "MultilabelCalibratedClassifierCV(estimator)"
                )
            frozen = isinstance(self.estimator, FrozenEstimator)
            weighed = (
                "that say which labels there are"
                if self.decision in _ROW_RULES
                else "of the thresholds"
            )
            arguments = self._validate_fit(
                X,
                y,
                sample_weight,
                params,
                prefit=frozen,
                weighs=f"the rows {weighed}",
                for_classes="decision='f1_samples', which predicts the most probable",
                takes_classes=self.decision in _ROW_RULES,
            )
            targets, weight = arguments.targets, arguments.sample_weight
            if targets.kind in _SINGLE_LABEL:
                _check_one_label(*rule)
            folds = self._fit_estimators(arguments, frozen)
            self._never_predicted = np.zeros(targets.n_outputs, dtype=bool)
            if not frozen:
                self._never_predicted = never_positive(targets, arguments.all_rows, weight)
            thresholds = None if folds is None else self._thresholds(arguments, folds, frozen)
            self._rule = rule
            self._remember(targets, self.estimator_, thresholds_=thresholds)
            arguments.monitor.close()
        return self

    def _parameter_of_rule(self) -> float | None:
        """Value of the rule's own parameter.

        Raises
        ------
        ValueError
            If the parameter of another rule is given.
        """
        own, default, _ = _ROW_RULES.get(self.decision, (None, None, None))
        for decision, (name, _, _) in _ROW_RULES.items():
            value = getattr(self, name)
            if name != own and value is not None:
                raise ValueError(
                    f"{name}={value!r} is not used by decision={self.decision!r}. Leave it out, "
                    f"or pass decision={decision!r}"
                )
        given = None if own is None else getattr(self, own)
        return default if given is None else given

    def _fit_estimators(self, arguments: FitArguments, frozen: bool) -> FoldScores | None:
        """Set the estimator that predicts; held-out probabilities if the rule has thresholds."""
        if frozen:
            arguments.monitor.open("fold", 0)
            folds = arguments.score_fitted(self.estimator, _probabilities)
            self.estimator_ = self.estimator
            return None if self.decision in _ROW_RULES else folds
        if self.decision in _ROW_RULES:
            arguments.monitor.open("fold", 1)
            self.estimator_ = arguments.fit(self.estimator)
            return None
        splits = arguments.splits(self.cv, self.random_state)
        effect = "The thresholds rest on rows without them"
        weight = arguments.sample_weight
        warn_unscored_labels(arguments.targets, splits, weight, effect, stacklevel=6)
        arguments.monitor.open("fold", len(splits) + 1)
        folds = arguments.score_folds(self.estimator, splits, self.n_jobs, _probabilities)
        self.estimator_ = arguments.fit(self.estimator)
        return folds

    def _thresholds(self, arguments: FitArguments, folds: FoldScores, frozen: bool) -> Any:
        """Half the best expected F1 of held-out rows; cells that a fold could not learn aside."""
        targets, sample_weight = arguments.targets, arguments.sample_weight
        weight = np.ones(targets.n_rows) if sample_weight is None else sample_weight
        rows = np.concatenate([test for _, test in folds.splits])
        if not weight[rows].any():
            raise ValueError(
                f"cv holds {len(rows)} rows out, none of a weight above zero, so that "
                "thresholds cannot be chosen. Pass another cv, such as cv=3"
            )
        cell_weight = np.concatenate(
            [
                weight[test, None] * (frozen | ~never_positive(targets, train, sample_weight))
                for train, test in folds.splits
            ]
        )
        probabilities = np.concatenate(folds.scores)
        (shared,) = plug_in_thresholds(probabilities, cell_weight, "micro")
        if self.decision == "f1_micro":
            return float(shared)
        by_label = plug_in_thresholds(probabilities, cell_weight, "macro")
        by_label = np.where(cell_weight.any(axis=0), by_label, shared)
        return np.where(self._never_predicted, np.inf, by_label)

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Probabilities less what they have to exceed; above zero is what :meth:`predict` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels), float64
            Probabilities less the threshold. A rule that decides each row by itself subtracts the
            midpoint between the last label predicted and the first one that is not. Labels that are
            never predicted have -1e9. A y of more than two classes has plain probabilities, of
            which the highest is predicted.
        """
        check_is_fitted(self)
        scores = self._zero_scores(X)
        return scores[:, 0] if self._target_format.kind == "binary" else scores

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Probabilities as the estimator gives them, which no rule changes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray or list of ndarray
            Probabilities in the form of the estimator's `predict_proba`, sparse matrices as arrays.
            A threshold of one half does not give :meth:`predict`.
        """
        check_is_fitted(self)
        check_X(X)
        return to_dense(self.estimator_.predict_proba(X))

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Logarithms of what :meth:`predict_proba` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray or list of ndarray
            In the form of the probabilities; -inf where one is 0.
        """
        return log_of(self.predict_proba(X))

    def _torch_model(self, output: TorchOutput) -> nn.Module:
        from sklearn_mlce._export.decided import PositiveProbabilities, RuleModel
        from sklearn_mlce._export.models import ThresholdedModel
        from sklearn_mlce._export.outputs import Outputs

        of_estimator = torch_model_of(self.estimator_, "probabilities", self)
        if output == "probabilities":  # which no rule changes
            return of_estimator
        probabilities = PositiveProbabilities(of_estimator, len(self._never_predicted))
        constant = np.where(self._never_predicted, -CONSTANT_LABEL_SCORE, np.nan)
        outputs = Outputs(self._target_format.kind, (), output)
        thresholds = self._thresholds_of_labels()
        if thresholds is None:
            return RuleModel(probabilities, self._torch_rule(), constant, outputs).eval()
        return ThresholdedModel(probabilities, thresholds, constant, outputs).eval()

    def _torch_rule(self) -> nn.Module:
        """Module of a rule that decides each row by itself."""
        from sklearn_mlce._export import decided

        (decision, parameter), n_labels = self._rule, len(self._never_predicted)
        if decision == "top_k":
            return decided.BestLabels(parameter, n_labels)
        if decision == "best_and_above":
            return decided.BestAndAbove(parameter)
        return decided.HighestExpectedF1(parameter, n_labels, *quadrature_of(n_labels))

    def _thresholds_of_labels(self) -> np.ndarray | None:
        """What probabilities have to exceed ``(n_outputs,)``; None where rows are looked at."""
        able = ~self._never_predicted
        if self._rule[0] not in _ROW_RULES:
            return np.where(able, self.thresholds_, 0.0)
        kind = self._target_format.kind
        if kind not in _SINGLE_LABEL:
            return None
        return np.full(len(able), 0.5 if kind == "binary" else 0.0)

    def _zero_scores(self, X: Any) -> np.ndarray:
        """Probabilities less what they have to exceed, ``(n, n_outputs)``."""
        return self._decided(_probabilities(self.estimator_, X, len(self._never_predicted)))

    def _scores_and_probabilities(self, X: Any) -> tuple[np.ndarray, ProbabilitiesAt]:
        """Probabilities less what they have to exceed, and themselves."""
        p = _probabilities(self.estimator_, X, len(self._never_predicted))
        return self._decided(p), partial(at_columns, p)

    def _decided(self, p: np.ndarray) -> np.ndarray:
        scores, able = np.full(p.shape, -CONSTANT_LABEL_SCORE), ~self._never_predicted
        thresholds = self._thresholds_of_labels()
        if thresholds is not None:
            scores[:, able] = p[:, able] - thresholds[able]
            return scores
        decision, parameter = self._rule
        scores[:, able] = _margins(p[:, able], _ROW_RULES[decision][2](p[:, able], parameter))
        return scores


def _check_one_label(decision: str, parameter: float | None) -> None:
    """Raise ValueError if a rule may give a row more than one label."""
    given = None
    if decision == "top_k" and parameter != 1:
        given = f"k={parameter}"
    if decision == "best_and_above" and parameter is not None and parameter < 0.5:
        given = f"threshold={parameter}"
    if given:
        raise ValueError(
            f"{given} may predict several labels for a row, but y is 1-D: its rows have one class "
            "each. Leave it out, or pass a matrix of labels"
        )


def _probabilities(estimator: Any, X: Any, n_outputs: int) -> np.ndarray:
    """Probabilities ``(n, n_outputs)`` in float64, rounding beyond 0 and 1 undone.

    Raises
    ------
    ValueError
        If they are none.
    """
    p = checked_probabilities(estimator, X, n_outputs).astype(np.float64, copy=False)
    if p.size and not (p.min() > -_ROUNDING and p.max() < 1 + _ROUNDING):
        raise ValueError(
            f"predict_proba of {type(estimator).__name__} gave numbers from {p.min():g} to "
            f"{p.max():g}; expected probabilities, from 0 to 1. Calibrate its scores with "
            "sklearn_mlce.calibration.MultilabelCalibratedClassifierCV"
        )
    return p.clip(0, 1)


def _margins(p: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Probabilities less a number per row, so that the chosen labels alone are above zero.

    The chosen are the most probable of their row: the number is the midpoint of the last of them
    and the next, 0 or 1 where one is missing. Of equals that are not all chosen, those that are
    become the smallest positive number.
    """
    last = np.min(p, axis=1, where=chosen, initial=1)
    following = np.max(p, axis=1, where=~chosen, initial=0)
    margins = p - ((last + following) / 2)[:, None]
    margins[chosen & (margins <= 0)] = np.finfo(np.float64).tiny
    margins[~chosen & (margins > 0)] = 0
    return margins
