"""Thresholds tuned by cross-validation, for any multi-label estimator."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_mlce._objectives.objective import log_of
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from sklearn_mlce._utils.callbacks import fitted_state_kept
from sklearn_mlce._utils.estimator_scores import (
    ProbabilitiesAt,
    scores_and_probabilities,
    scores_of,
    to_dense,
)
from sklearn_mlce._utils.numeric_input import check_X
from sklearn_mlce._utils.optional import pandas_for
from sklearn_mlce._utils.typing import TorchOutput, available_if, fit_context, with_callbacks
from sklearn_mlce.model_selection._f_measure import FMeasure, ScoredCells, f_measure_of
from sklearn_mlce.model_selection._highest_cells import (
    HighestCells,
    certified_cells,
    keeps_highest_cells,
    scorers_of_folds,
)
from sklearn_mlce.model_selection._label_results import label_results
from sklearn_mlce.model_selection._out_of_fold import (
    check_held_out,
    held_out_of_folds,
    never_positive,
)
from sklearn_mlce.model_selection._splits import Splits
from sklearn_mlce.model_selection._sweep import (
    drawn_label_thresholds,
    global_curve,
    label_curves,
    resolve_shrinkage,
)
from sklearn_mlce.model_selection._wrapper import (
    BaseWrapper,
    FitArguments,
    FoldScores,
    torch_model_of,
)

if TYPE_CHECKING:
    from torch import nn

# Of the parameters that say what to maximise, and by which thresholds.
SWEEP_CONSTRAINTS: dict[str, list[Any]] = {
    "scoring": [str, callable, dict],
    "thresholds": [StrOptions({"global", "per_label"})],
    "threshold_shrinkage": [Interval(Real, 0, np.inf, closed="both"), StrOptions({"auto"})],
}


def _estimator_has(method: str) -> Callable[[Any], bool]:
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), method)


class MultilabelTunedThresholdClassifierCV(BaseWrapper):
    r"""Multi-label classifier whose thresholds maximise an F-measure of out-of-fold scores.

    The tuner wraps any multi-label estimator with a `decision_function` or else `predict_proba`.
    Each fold is scored by a clone that was fitted on the other folds. The best thresholds of these
    scores are found exactly, among all that can make a difference. A last clone is fitted on all
    rows, and predicts with these thresholds. For binary estimators scikit-learn has
    :class:`~sklearn.model_selection.TunedThresholdClassifierCV`.

    Parameters
    ----------
    estimator : estimator instance
        Multi-label classifier with `decision_function` or `predict_proba`, of which the first
        is used where there are both. Fitted already with ``cv="prefit"``.
    scoring : {"f1_micro", "f1_macro", "f1_samples"}, dict or scorer, default="f1_micro"
        Score to maximise: F1 of all cells of `y` together, or its mean over labels or over rows. A
        dict of these names and their weights stands for the weighted mean, as
        ``{"f1_micro": 1, "f1_macro": 4}``. A scorer made by :func:`~sklearn.metrics.make_scorer`
        from :func:`~sklearn.metrics.f1_score` or :func:`~sklearn.metrics.fbeta_score` with such an
        `average` is taken too. Where it is 0/0, the measure counts as 0. For a binary `y`, the
        first two are F1 of the second class.
    thresholds : {"global", "per_label"}, default="global"
        One threshold for all labels, or one for each. A label's own threshold is shrunk towards the
        global one for micro-F1, the more so the fewer positives the label has. Only "global" goes
        with the mean over rows. For a dict no other threshold of one label would be better,
        before they are shrunk.
    threshold_shrinkage : float or "auto", default="auto"
        How much each label's own threshold is shrunk towards the global one :math:`t_0`, with
        ``thresholds="per_label"``. A threshold :math:`t` found on :math:`n` positives becomes
        :math:`(n t + k t_0) / (n + k)`. With `k` positives both weigh the same: 0 leaves each label
        its own threshold, inf the global one. "auto" is 30, or 3 for a weighted mean.
    cv : int, float, cross-validation generator, iterable or "prefit", default=3
        How rows are held out. An integer is a number of folds, of shuffled rows, stratified by
        :class:`~sklearn_mlce.model_selection.MultilabelStratifiedKFold`, or with groups by
        :class:`~sklearn_mlce.model_selection.MultilabelStratifiedGroupKFold`; a float in (0, 1) is
        the fraction of rows in a single held-out part, stratified as well; None is scikit-learn's
        five folds, not shuffled; "prefit" takes the estimator as it is and the rows as held out. A
        splitter of another package is given the labels as a dense matrix of 0 and 1.
    refit : bool, default=True
        Whether to fit on all rows in the end. False keeps the fit on the training part of a single
        split. ``cv="prefit"`` needs False.
    n_jobs : int, default=None
        Number of folds fitted at a time; -1 for as many as there are processors.
    random_state : int, RandomState instance or None, default=None
        Shuffles the rows where `cv` is a number.
    store_cv_results : bool, default=False
        Whether to keep `cv_results_`.

    Attributes
    ----------
    estimator_ : estimator instance
        The fitted estimator; with ``cv="prefit"`` the one given.
    best_thresholds_ : float or ndarray of shape (n_labels,)
        Threshold that an estimator's score has to exceed, or the threshold of each label. inf for a
        label that is never predicted.
    best_score_ : float
        Objective on the out-of-fold scores at `best_thresholds_`. The thresholds were chosen on
        these scores, so the value is a little too high.
    scores_by_thresholds_ : dict of str to float
        Objective on the out-of-fold scores, whatever `thresholds` is: at the "default" threshold of
        the estimator (zero, or 0.5 of probabilities), at the best "global" one, and at thresholds
        "per_label". The last one is the most optimistic. The mean over rows has no "per_label".
    label_results_ : dict of ndarray of shape (n_labels,)
        Results of each label on the out-of-fold scores. "positives" are the rows that carry it, by
        their weights, and "threshold" is that of `best_thresholds_`. "precision", "recall" and "f1"
        (or "f2" for a scorer with beta 2) have "_before" at the default threshold, "_after" at the
        label's own. 0/0 counts as 0. :meth:`label_table` makes a table of them.
    cv_results_ : dict
        Curve of one threshold for all labels, also where each label has its own. "thresholds"
        ascend, with one below each distinct score of a positive cell, as F-measures only fall
        between them. "scores" has the objective there. ``thresholds="per_label"`` adds
        "label_thresholds" and "label_scores", lists with the curve of each label, empty if it has
        no positive. Only with ``store_cv_results=True``.
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
    sklearn.model_selection.TunedThresholdClassifierCV : For binary classifiers, any metric.
    sklearn_mlce.MLCEClassifierCV : The linear model, with thresholds and C chosen at once.
    sklearn_mlce.decisions.MultilabelDecisionClassifier : Labels by probabilities, row by row too.

    Notes
    -----
    The tuner takes as many fits as there are folds, and one more to refit. The thresholds take a
    sort of the out-of-fold scores. The scores are kept in one array, in the dtype that the
    estimator gives, until the thresholds are found. The estimators of folds are not kept.

    For a micro-averaged score without ``store_cv_results``, more than 2**27 scores of labels are
    not all kept if one in 400 at most is of a positive (F1, three folds). Kept are those of
    positives, and the highest of all and of each label; rows are then scored by blocks. The
    thresholds are those of all scores: the F-measure that they reach proves that no lower one is as
    good. Where it is too low to prove that, folds are fitted once more, and all scores are kept.
    The other averages always keep all scores.

    `y` may be a matrix of 0 and 1, dense or sparse, of soft labels in [0, 1], or with NaN for
    unknown labels, or 1-D with two classes, as far as the estimator takes such a `y`. The estimator
    is given int64 labels, since scikit-learn 1.9 permutes the labels of narrower integers. For
    targets :math:`t` and predictions :math:`p`, F1 is :math:`2 \sum t p / (\sum t + \sum p)`. So a
    soft target counts as that fraction of a positive. Unknown targets do not count.

    A label that no row carries is never predicted, and ranks last with a score of -1e9. A label
    that no training row of a fold carries cannot be scored there: its positives count as missed. A
    warning names labels of five positives or more of which none could be scored. Sorted rows and
    folds that are not shuffled are a usual cause.

    References
    ----------
    .. [1] Lipton, Elkan, Narayanaswamy, "Thresholding Classifiers to Maximize F1 Score",
       https://arxiv.org/abs/1402.1892, 2014.
    .. [2] Dinkelbach, "On Nonlinear Fractional Programming",
       https://doi.org/10.1287/mnsc.13.7.492, 1967 (thresholds per label for micro-F).

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.metrics import f1_score
    >>> from sklearn_mlce import MLCEClassifier
    >>> from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
    >>> X, Y = make_multilabel_classification(
    ...     n_samples=600, n_classes=6, n_labels=3, random_state=0
    ... )
    >>> published = MLCEClassifier(C=1.0, loss="mlce")
    >>> tuned = MultilabelTunedThresholdClassifierCV(published, random_state=0)
    >>> tuned = tuned.fit(X[:400], Y[:400])
    >>> round(tuned.best_thresholds_, 2)
    -0.75
    >>> round(f1_score(Y[400:], tuned.predict(X[400:]), average="micro"), 2)
    0.71
    >>> {name: round(score, 2) for name, score in tuned.scores_by_thresholds_.items()}
    {'default': 0.66, 'global': 0.7, 'per_label': 0.71}
    >>> tuned.label_table()[["positives", "f1_before", "f1_after"]].round(2).head(3)
           positives  f1_before  f1_after
    label
    0          179.0       0.62      0.68
    1          231.0       0.78      0.78
    2          189.0       0.58      0.67
    """

    __module__ = "sklearn_mlce.model_selection"

    _never_predicted: np.ndarray  # (n_outputs,) mask of the labels that have no threshold

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit"])],
        **SWEEP_CONSTRAINTS,
        "cv": [
            "cv_object",
            StrOptions({"prefit"}),
            Interval(RealNotInt, 0.0, 1.0, closed="neither"),
        ],
        "refit": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "store_cv_results": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        scoring: Any = "f1_micro",
        thresholds: Literal["global", "per_label"] = "global",
        threshold_shrinkage: float | Literal["auto"] = "auto",
        cv: Any = 3,
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: Any = None,
        store_cv_results: bool = False,
    ) -> None:
        self.estimator = estimator
        self.scoring = scoring
        self.thresholds = thresholds
        self.threshold_shrinkage = threshold_shrinkage
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.store_cv_results = store_cv_results

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Self:
        """Find the thresholds, and fit the estimator on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, in any form that the estimator takes.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Labels of each row: 0/1, soft in [0, 1], or NaN where unknown; or tags, a list, tuple
            or set of text for each row; or two classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row in the objective and, if the estimator's `fit` takes
            it (with metadata routing: if it was requested), in the fits.
        **params : dict
            Passed to the estimator's `fit`; what has an entry per row is split with the rows.
            `groups` go to the splitter instead: rows of a group are held out together. With
            metadata routing, to whatever requested it, a splitter included.

        Returns
        -------
        MultilabelTunedThresholdClassifierCV
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter is not usable. An earlier fit is then kept.
        """
        with fitted_state_kept(self):
            objective = f_measure_of(self.scoring, self.thresholds)
            shrinkage = resolve_shrinkage(self.threshold_shrinkage, self.thresholds, objective)
            _check_has_thresholds(self.estimator)
            arguments = self._validate_fit(
                X,
                y,
                sample_weight,
                params,
                prefit=isinstance(self.cv, str),
                weighs="the rows of the objective",
            )
            targets, weight = arguments.targets, arguments.sample_weight
            objective.check_kind(targets.kind)
            folds = self._score_held_out(arguments, objective)
            fitted_rows = arguments.all_rows if self.refit else folds.splits[0][0]
            self._never_predicted = never_positive(targets, fitted_rows, weight)
            cv_results = self._tune(folds, arguments, objective, shrinkage)
            # Last, when the scores are released.
            self.estimator_ = arguments.fit(self.estimator) if self.refit else folds.estimators[0]
            kept = cv_results if self.store_cv_results else None
            self._remember(targets, self.estimator_, cv_results_=kept)
            arguments.monitor.close()
        return self

    def _tune(
        self,
        folds: FoldScores,
        arguments: FitArguments,
        objective: FMeasure,
        shrinkage: float,
    ) -> dict[str, Any]:
        """Set the thresholds and what they bought; return what `cv_results_` may keep."""
        held_out = self._held_out(folds, arguments, objective)
        default = folds.default_threshold
        curve = global_curve(held_out, objective)
        found: dict[str, float | np.ndarray] = {"default": default, "global": curve.best(default)}
        if objective.has_label_thresholds:
            found["per_label"] = drawn_label_thresholds(
                held_out, objective, curve, default, shrinkage
            )
        never = self._never_predicted
        reached = {name: np.where(never, np.inf, value) for name, value in found.items()}
        chosen = reached[self.thresholds]
        self.best_thresholds_ = found["global"] if self.thresholds == "global" else chosen
        counts = {name: held_out.counts(value) for name, value in reached.items()}
        self.scores_by_thresholds_ = {
            name: objective.score_of_counts(*parts, held_out.row_weight())
            for name, parts in counts.items()
        }
        self.best_score_ = self.scores_by_thresholds_[self.thresholds]
        (before, _), (after, _) = counts["default"], counts[self.thresholds]
        self.label_results_ = label_results(objective, before, after, chosen)
        results: dict[str, Any] = {"thresholds": curve.thresholds, "scores": curve.values}
        if self.store_cv_results and self.thresholds == "per_label":
            curves = label_curves(held_out, objective)
            results["label_thresholds"] = [label_curve.thresholds for label_curve in curves]
            results["label_scores"] = [label_curve.values for label_curve in curves]
        return results

    def label_table(self) -> Any:
        """Precision, recall and F-measure of each label, before tuning and after it.

        Returns
        -------
        pandas.DataFrame of n_labels rows
            Columns of `label_results_`. The index has the names of the labels: the columns of `y`
            or their numbers, for a binary `y` its second class.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        check_is_fitted(self)
        pandas = pandas_for("label_table")
        names = self._target_format.label_names
        if names is None:
            names = self.classes_[-len(self._never_predicted) :]
        return pandas.DataFrame(self.label_results_, index=pandas.Index(names, name="label"))

    def _held_out(
        self, folds: FoldScores, arguments: FitArguments, objective: FMeasure
    ) -> ScoredCells:
        """Scores of folds, which are emptied, beside the targets of their rows."""
        if isinstance(folds.scores[0], HighestCells):
            cells = certified_cells(folds.scores, objective, per_label=True)
            if cells is not None:
                return cells
            folds = arguments.score_again(folds, self.estimator, self.n_jobs)
        targets, weight = arguments.targets, arguments.sample_weight
        return held_out_of_folds(targets, folds.splits, folds.scores, weight)

    def _scorers(
        self, arguments: FitArguments, splits: Splits, objective: FMeasure
    ) -> list[Callable[..., Any]]:
        """Functions that score the held-out rows of each split, or keep their highest cells."""
        targets, weight = arguments.targets, arguments.sample_weight
        if self.store_cv_results or not keeps_highest_cells(targets, splits, objective, weight):
            return [scores_of] * len(splits)
        return scorers_of_folds(targets, splits, weight, objective, per_label=True)

    def _score_held_out(self, arguments: FitArguments, objective: FMeasure) -> FoldScores:
        """Score held-out rows."""
        if isinstance(self.cv, str):
            if self.refit:
                raise ValueError("refit must be False with cv='prefit', got refit=True")
            arguments.monitor.open("fold", 0)
            rows = arguments.all_rows
            (score,) = self._scorers(arguments, [(rows, rows)], objective)
            return arguments.score_fitted(self.estimator, score)
        splits = arguments.splits(self.cv, self.random_state)
        check_held_out(arguments.targets, splits, arguments.sample_weight)
        if not self.refit and len(splits) > 1:
            raise ValueError(
                f"refit=False keeps the fit of a single split, but cv={self.cv!r} makes "
                f"{len(splits)}. Pass refit=True, or a fraction of rows such as cv=0.2"
            )
        arguments.monitor.open("fold", len(splits) + bool(self.refit))
        scorers = self._scorers(arguments, splits, objective)
        keep = not self.refit
        return arguments.score_folds(self.estimator, splits, self.n_jobs, scorers, keep=keep)

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Scores less their thresholds; above zero is what :meth:`predict` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels), float64
            Scores of the estimator, less the thresholds; -1e9 for labels that are never predicted.
            One threshold for all labels keeps their order; thresholds per label may change it.
        """
        check_is_fitted(self)
        scores = self._zero_scores(X)
        return scores.ravel() if self._target_format.kind == "binary" else scores

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Probabilities as the estimator gives them, which no threshold shifts.

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

    @available_if(_estimator_has("predict_proba"))
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
        from sklearn_mlce._export.models import ThresholdedModel
        from sklearn_mlce._export.outputs import Outputs

        if output == "probabilities":  # which no threshold shifts
            return torch_model_of(self.estimator_, output, self)
        scores = torch_model_of(self.estimator_, "scores", self)
        constant = np.where(self._never_predicted, -CONSTANT_LABEL_SCORE, np.nan)
        outputs = Outputs(self._target_format.kind, (), output)
        return ThresholdedModel(scores, self._thresholds, constant, outputs).eval()

    @property
    def _thresholds(self) -> np.ndarray:
        """Threshold of each label, finite, ``(n_outputs,)`` in float64."""
        return np.where(self._never_predicted, 0.0, self.best_thresholds_)

    def _zero_scores(self, X: Any) -> np.ndarray:
        """Scores less thresholds, ``(n, n_outputs)``, in float64 as the thresholds are."""
        return self._shifted(scores_of(self.estimator_, X, len(self._never_predicted)))

    def _scores_and_probabilities(self, X: Any) -> tuple[np.ndarray, ProbabilitiesAt | None]:
        """Scores less thresholds, and the estimator's probabilities."""
        n_outputs = len(self._never_predicted)
        scores, probabilities_at = scores_and_probabilities(self.estimator_, X, n_outputs)
        return self._shifted(scores), probabilities_at

    def _shifted(self, scores: np.ndarray) -> np.ndarray:
        shifted = np.subtract(scores, self._thresholds, dtype=np.float64)
        shifted[:, self._never_predicted] = -CONSTANT_LABEL_SCORE
        return shifted


def _check_has_thresholds(estimator: Any) -> None:
    """Raise ValueError if the estimator predicts a number of labels, whatever their scores."""
    k = getattr(estimator, "n_labels_per_row", None)
    if k is not None:
        raise ValueError(
            f"n_labels_per_row={k} of {type(estimator).__name__} predicts {k} labels for each row, "
            "and thresholds have no effect. Set n_labels_per_row=None to tune one"
        )
