"""The linear estimator with C and thresholds chosen on the same out-of-fold scores."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_consistent_length

from sklearn_mlce._estimators.linear import MLCEClassifier
from sklearn_mlce._objectives.registry import THRESHOLDED_LOSSES, ThresholdedLossName
from sklearn_mlce._objectives.weights import checked_weight
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.targets import Targets, constant_label_scores, is_trainable
from sklearn_mlce._utils.callbacks import FitMonitor, fitted_state_kept
from sklearn_mlce._utils.estimator_scores import scores_of
from sklearn_mlce._utils.features import validated_features
from sklearn_mlce._utils.numeric_input import array_of_numbers
from sklearn_mlce._utils.optional import Module, import_torch
from sklearn_mlce._utils.rows import with_duplicates_summed
from sklearn_mlce._utils.typing import SolverName, fit_context, with_callbacks
from sklearn_mlce.model_selection._f_measure import FMeasure, ScoredCells, f_measure_of
from sklearn_mlce.model_selection._highest_cells import (
    HighestCells,
    certified_cells,
    keeps_highest_cells,
    scorers_of_folds,
)
from sklearn_mlce.model_selection._out_of_fold import (
    check_held_out,
    clone_for,
    held_out_of_folds,
    out_of_fold,
    to_sklearn_y,
)
from sklearn_mlce.model_selection._output_codes import check_outputs_known, output_accuracy
from sklearn_mlce.model_selection._splits import Splits, splits_of
from sklearn_mlce.model_selection._sweep import resolve_shrinkage, tune

if TYPE_CHECKING:
    from torch import nn

# Smallest and largest C of a grid that is given by its size, as factors of MLCEClassifier's own.
C_FACTORS = (0.1, 10.0)


class MLCEClassifierCV(MLCEClassifier):
    r"""Linear multi-label classifier that chooses C, and its thresholds, by cross-validation.

    For each C, a model per fold is fitted and scores its held-out rows. On these scores the best
    thresholds are found exactly. The C that reaches the highest `scoring` with its thresholds is
    taken for a fit on all rows, and the thresholds are subtracted from the intercepts. The result
    is a linear model that predicts where its score is above zero, like :class:`MLCEClassifier`. The
    default loss is the same: a smooth hinge for each label of 0 and 1, the published loss
    (``loss="mlce"``) for soft labels.

    Parameters
    ----------
    Cs : int or array-like of float, default=10
        Inverse strengths of the L2 penalty to try, or their number. A number of them lies evenly on
        a log scale, from a tenth to ten times the default `C` of :class:`MLCEClassifier` on these
        rows. 1 is that `C` itself. While the smallest or the largest is the best, such a grid goes
        on past that end in steps of the same ratio, by two decades at most.
    cv : int, float, cross-validation generator or iterable, default=3
        How rows are held out. An integer is a number of folds, of shuffled rows, stratified by
        :class:`~sklearn_mlce.model_selection.MultilabelStratifiedKFold`, or with `groups` by
        :class:`~sklearn_mlce.model_selection.MultilabelStratifiedGroupKFold`; a float in (0, 1)
        is the fraction of rows in a single held-out part, stratified as well; None is
        scikit-learn's five folds, not shuffled. A splitter of another package is given the labels
        as a dense matrix of 0 and 1.
    scoring : {"f1_micro", "f1_macro", "f1_samples"}, dict or scorer, default="f1_micro"
        Score that C and thresholds maximise: F1 of all cells of `y` together, or its mean over
        labels or over rows. A dict of these names and their weights stands for the weighted mean,
        as ``{"f1_micro": 1, "f1_macro": 4}``. A scorer will do that
        :func:`~sklearn.metrics.make_scorer` makes of :func:`~sklearn.metrics.fbeta_score` with such
        an `average`. For a binary `y`, the first two are F1 of the second class. A multiclass `y`
        does not use it: C is chosen by accuracy, for several outputs by the mean of their
        accuracies, unknown classes left out.
    thresholds : {"global", "per_label"} or None, default="global"
        Whether one threshold is found for all labels, or one for each. Thresholds per label are
        shrunk towards the global one for micro-F1, the more so the fewer positives the label has.
        None leaves the threshold at zero and chooses C for it. Multiclass `y` and several outputs
        have no thresholds.
    threshold_shrinkage : float or "auto", default="auto"
        How much each label's own threshold is shrunk towards the global one :math:`t_0`, with
        ``thresholds="per_label"``. A threshold :math:`t` found on :math:`n` positives becomes
        :math:`(n t + k t_0) / (n + k)`. With `k` positives both weigh the same: 0 leaves each label
        its own threshold, inf the global one. "auto" is 30, or 3 for a weighted mean.
    n_jobs : int, default=None
        Number of folds fitted at a time; -1 for as many as there are processors.
    loss : str or Module, default="auto"
        Loss to minimise, as in :class:`MLCEClassifier`; not "pairwise", which has no threshold.
        "auto" is chosen once, by the `y` of all rows.
    fit_intercept : bool, default=True
        Whether scores have an intercept in training. Thresholds become intercepts either way.
    input_scaling : {"auto", "association", "columns"} or None, default="auto"
        In which units coefficients are penalised, as in :class:`MLCEClassifier`. "auto" is None
        where `Cs` holds values. Where `Cs` is a number it is what "auto" is there without a `C`.
    label_weight : array-like of shape (n_labels,), dict or "balanced", default=None
        Positive weight of each label of a multi-label `y` in the loss, as in
        :class:`MLCEClassifier`.
    scale : float, default=None
        Scale of the scores in the loss, as in :class:`MLCEClassifier`; None is 1. Refused with
        "auto".
    margin : float or pair of float, default=None
        Margins by which scores are asked to clear the threshold, as in :class:`MLCEClassifier`;
        None is 0. Refused with "auto".
    solver : {"auto", "newton-cg", "sgd"}, default="auto"
        How each fit is made, as in :class:`MLCEClassifier`; "auto" chooses one for all of them,
        by the shape of all rows.
    tol : float, default=1e-2
        Fraction of the first gradient at which "newton-cg" stops.
    max_iter : int, default=None
        Most Newton iterations, or number of epochs, of each fit, as in :class:`MLCEClassifier`.
    label_block_size : int or "auto", default="auto"
        Most labels that are fitted at a time, as in :class:`MLCEClassifier`.
    coef_threshold : float, default=0.0
        Limit below which coefficients are set to zero in every fit, as in :class:`MLCEClassifier`;
        above 0 `coef_` is sparse.
    device : str, default="cpu"
        Where to fit, as in :class:`MLCEClassifier`.
    random_state : int, RandomState instance or None, default=None
        Shuffles the rows where `cv` is a number, and draws the order of the rows in fits by "sgd".

    Attributes
    ----------
    C_ : float
        The chosen C: the best, and the smallest of those that are equally good.
    input_scaling_ : "association", "columns" or None
        The `input_scaling` that was used in all fits. ``MLCEClassifier(C=cv.C_,
        input_scaling=cv.input_scaling_)`` fits the same coefficients.
    loss_ : str or Module
        The loss that was trained: `loss`, or the name that "auto" stands for.
    scale_ : float or None
        Scale of the loss that was trained; None where the loss has none.
    margin_ : float, pair of float or None
        Margin or margins of the loss that was trained; None where the loss has none.
    Cs_ : ndarray of shape (n_Cs,)
        Values of C that were tried, ascending, with those past an end of the grid.
    scores_ : ndarray of shape (n_Cs,)
        Score that each C reached on the out-of-fold scores, with the best thresholds for it.
    thresholds_ : float or ndarray of shape (n_labels,)
        Thresholds that were subtracted from the intercepts; 0 where none was.
    coef_ : ndarray of shape (n_outputs, n_features)
        Coefficients of the fit on all rows.
    intercept_ : ndarray of shape (n_outputs,)
        Intercepts of the fit on all rows, less the thresholds. Labels that no row or every row
        carries have -1e9 and 1e9.
    classes_ : ndarray or list of ndarray
        Classes of a 1-D `y`; ``np.arange(n_labels)`` of a multi-label one; a list of the classes
        of each of several outputs.
    label_names_ : ndarray of shape (n_labels,)
        Column names of `y`, or its tags, sorted. Only where `y` was a DataFrame or tags.
    n_iter_ : int
        Newton iterations, or epochs, of the fit on all rows.
    loss_curve_ : list of float
        Mean objective of the fit on all rows after each iteration, at the threshold zero.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features. Only where X had string column names.

    See Also
    --------
    MLCEClassifier : The model, with a given C and its threshold at zero.
    sklearn_mlce.model_selection.MultilabelTunedThresholdClassifierCV : Thresholds for any
        estimator.

    Notes
    -----
    Each C takes as many fits as there are folds, and the end takes one more. By "newton-cg", a fit
    of a fold starts from the solution for the next smaller C; the first one and those below the
    grid start anew. The scores of one C are kept at a time, in one array of the dtype of X, beside
    the models that the next fits start from. Of more than 2**27 scores of labels, the micro average
    keeps the highest alone, as the tuner of any estimator does.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.metrics import f1_score
    >>> from sklearn_mlce import MLCEClassifierCV
    >>> X, Y = make_multilabel_classification(
    ...     n_samples=600, n_classes=6, n_labels=3, random_state=0
    ... )
    >>> classifier = MLCEClassifierCV([0.001, 0.1, 10], random_state=0).fit(X[:400], Y[:400])
    >>> classifier.C_
    0.1
    >>> round(f1_score(Y[400:], classifier.predict(X[400:]), average="micro"), 2)
    0.71
    """

    __module__ = "sklearn_mlce"

    _parameter_constraints: ClassVar[dict] = {
        **{
            name: constraint
            for name, constraint in MLCEClassifier._parameter_constraints.items()
            if name not in ("C", "warm_start", "n_labels_per_row")
        },
        "loss": [StrOptions(set(THRESHOLDED_LOSSES)), Module],
        "Cs": [Interval(Integral, 1, 1000, closed="both"), "array-like"],
        "cv": ["cv_object", Interval(Real, 0, 1, closed="neither")],
        "scoring": [str, callable, dict],
        "thresholds": [StrOptions({"global", "per_label"}), None],
        "threshold_shrinkage": [
            Interval(Real, 0, np.inf, closed="both"),
            StrOptions({"auto"}),
        ],
        "n_jobs": [Integral, None],
    }

    n_labels_per_row = None  # the thresholds decide

    @property
    def _C_is_given(self) -> bool:
        return not isinstance(self.Cs, Integral)

    def __init__(
        self,
        Cs: Any = 10,
        *,
        cv: Any = 3,
        scoring: Any = "f1_micro",
        thresholds: Literal["global", "per_label"] | None = "global",
        threshold_shrinkage: float | Literal["auto"] = "auto",
        n_jobs: int | None = None,
        loss: ThresholdedLossName | nn.Module = "auto",
        fit_intercept: bool = True,
        input_scaling: Literal["auto", "association", "columns"] | None = "auto",
        label_weight: Any = None,
        scale: float | None = None,
        margin: Any = None,
        solver: SolverName = "auto",
        tol: float = 1e-2,
        max_iter: int | None = None,
        label_block_size: int | Literal["auto"] = "auto",
        coef_threshold: float = 0.0,
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.Cs = Cs
        self.cv = cv
        self.scoring = scoring
        self.thresholds = thresholds
        self.threshold_shrinkage = threshold_shrinkage
        self.n_jobs = n_jobs
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.input_scaling = input_scaling
        self.label_weight = label_weight
        self.scale = scale
        self.margin = margin
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.label_block_size = label_block_size
        self.coef_threshold = coef_threshold
        self.device = device
        self.random_state = random_state

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Choose C and the thresholds, and fit the model on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Numbers. float16 becomes float32; all types but these two become float64.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Classes, or the labels of each row: 0/1, soft in [0, 1], or NaN where unknown. Or tags:
            a list, tuple or set of text for each row. Or the classes of several outputs, of shape
            (n_samples, n_outputs), as text or whole numbers, None or NaN where unknown.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row, in the fits and in `scoring`.
        groups : array-like of shape (n_samples,), default=None
            Group of each row, for the splitter: rows of a group are held out together.

        Returns
        -------
        MLCEClassifierCV
            The fitted estimator.

        Raises
        ------
        TypeError
            If X holds text, dates or durations.
        ValueError
            If X, y, a weight or a parameter is not usable. An earlier fit is then kept.

        Warns
        -----
        ConvergenceWarning
            If the solver did not reach `tol` in one of the fits.
        UserWarning
            If the best C is the smallest or the largest of three or more, so that others may be
            better. Also if a label has five positives or more, and all lie in one fold.
        """
        import_torch("MLCEClassifierCV.fit")
        from sklearn_mlce._utils.tensors import usual_torch_modes

        with fitted_state_kept(self), usual_torch_modes():
            objective = f_measure_of(self.scoring, self.thresholds or "global")
            # Refused before any fit.
            resolve_shrinkage(self.threshold_shrinkage, self.thresholds, objective)
            Cs = _grid(self.Cs)
            n_beyond = int(self.Cs) - 1 if isinstance(self.Cs, Integral) else 0
            monitor = self._monitor(X, y, sample_weight)
            monitor.open("C", None if n_beyond else len(Cs))
            targets = encode_targets(y)
            _check_no_probabilities(targets)
            objective.check_kind(targets.kind)
            X = validated_features(self, X, reset=True, order="C")
            check_consistent_length(X, np.empty(targets.n_rows))
            X = with_duplicates_summed(X)
            weight = checked_weight(sample_weight, X, X.dtype)
            sizes = self._column_sizes(X, weight)
            if isinstance(self.Cs, Integral):
                Cs = Cs * self._default_C(X, weight, targets.format, sizes)
            # Folds are smaller: "auto" might fit them by another solver than all rows.
            solver, self.input_scaling_ = self._choices_of_all_rows(X, targets, weight, sizes)
            model = self._model(solver=solver, input_scaling=self.input_scaling_)
            model = clone_for(model, targets.format)
            candidates = _Candidates(Cs, n_beyond)
            splits = self._splits(X, targets, weight, groups)
            self._search(model, X, targets, weight, objective, candidates, monitor, splits)
            if not monitor.stopped:
                candidates.warn_at_end()
            final = model.set_params(C=self.C_, n_jobs=self.n_jobs).fit(
                X, to_sklearn_y(targets, model), weight
            )
            self._adopt(final, targets)
            monitor.close()
        return self

    @property
    def partial_fit(self) -> Any:
        """Not available: folds need all rows."""
        raise AttributeError(
            "MLCEClassifierCV chooses C on held-out rows and has no partial_fit. Use "
            "MLCEClassifier(C=...) with the C_ that it found"
        )

    def _splits(self, X: Any, targets: Targets, weight: np.ndarray | None, groups: Any) -> Splits:
        """Return the splits by `cv`, checked."""
        split_params = {} if groups is None else {"groups": groups}
        y = to_sklearn_y(targets, self)
        splits = splits_of(self.cv, X, y, targets.kind, self.random_state, split_params)
        check_held_out(targets, splits, weight, stacklevel=7)
        if targets.kind == "multioutput":
            check_outputs_known(targets, splits)
        return splits

    def _search(
        self,
        model: MLCEClassifier,
        X: Any,
        targets: Targets,
        weight: np.ndarray | None,
        objective: FMeasure,
        candidates: _Candidates,
        monitor: FitMonitor,
        splits: Splits,
    ) -> None:
        """Set C, its thresholds, and the score of each C."""
        y = to_sklearn_y(targets, model)
        # Epochs from C to C would add up, beside those of the one fit on all rows.
        warm_start = model.solver == "newton-cg"
        models: Iterable[Any] = ()
        scorers = self._scorers(targets, splits, weight, objective)
        parameters = {} if weight is None else {"sample_weight": weight}
        thresholds: dict[float, float | np.ndarray] = {}
        monitor.attributes_of = lambda state: None  # no model of all rows yet
        for C in candidates:
            monitor.begin()
            is_lowest = all(other > C for other in thresholds)
            for score in scorers:
                if is_lowest or not warm_start:  # the last models, if any, are of a larger C
                    models = (copy(model).set_params(warm_start=warm_start) for _ in splits)
                scores, models = out_of_fold(
                    (fold_model.set_params(C=C) for fold_model in models),
                    X,
                    y,
                    splits,
                    score,
                    parameters,
                    self.n_jobs,
                    keep=warm_start,
                )
                judged = self._judge(targets, splits, scores, weight, objective)
                if judged is not None:
                    candidates.scores[C], thresholds[C] = judged
                    break
            if monitor.end(None):
                break
        self.Cs_ = np.array(sorted(thresholds))
        self.scores_ = np.array([candidates.scores[C] for C in self.Cs_])
        self.C_ = float(self.Cs_[self.scores_.argmax()])
        self.thresholds_ = thresholds[self.C_]

    def _scorers(
        self, targets: Targets, splits: Splits, weight: np.ndarray | None, objective: FMeasure
    ) -> list[Any]:
        """Return what is asked of the models of folds, each in case that the one before failed."""
        whole = _score_function(targets)
        if not keeps_highest_cells(targets, splits, objective, weight):
            return [whole]
        per_label = self.thresholds == "per_label"
        return [scorers_of_folds(targets, splits, weight, objective, per_label=per_label), whole]

    def _judge(
        self,
        targets: Targets,
        splits: Splits,
        scores: list[Any],
        weight: np.ndarray | None,
        objective: FMeasure,
    ) -> tuple[float, float | np.ndarray] | None:
        """Return the score of out-of-fold scores, and the thresholds that reach it.

        None where the highest cells that were kept may be too few.
        """
        if targets.codes is not None:
            rows = np.concatenate([test for _, test in splits])
            right = np.concatenate(scores) == targets.codes[rows]
            return float(np.average(right, weights=None if weight is None else weight[rows])), 0.0
        if targets.kind == "multioutput":
            rows = np.concatenate([test for _, test in splits])
            return output_accuracy(targets, rows, np.concatenate(scores), weight), 0.0
        held_out: ScoredCells | None
        if not isinstance(scores[0], HighestCells):
            held_out = held_out_of_folds(targets, splits, scores, weight)
        elif self.thresholds is None:
            held_out = HighestCells.of_folds(scores)
        else:
            per_label = self.thresholds == "per_label"
            held_out = certified_cells(scores, objective, per_label=per_label)
        if held_out is None:
            return None
        if self.thresholds is None:
            return objective.score(held_out, 0.0), 0.0
        shrinkage = resolve_shrinkage(self.threshold_shrinkage, self.thresholds, objective)
        thresholds, _ = tune(held_out, objective, self.thresholds, 0.0, shrinkage)
        return objective.score(held_out, thresholds), thresholds

    def _choices_of_all_rows(
        self, X: Any, targets: Targets, weight: np.ndarray | None, sizes: np.ndarray | None
    ) -> tuple[str, str | None]:
        """Return what "auto" stands for: the solver, and the scaling of columns."""
        from sklearn_mlce._solvers.fit import BlockOptions, resolve_solver

        problem = self._model()._problem(X, targets, weight, C=1.0, sizes=sizes)
        fixed = constant_label_scores(targets)
        solver = resolve_solver(
            problem, fixed, self.solver, self.max_iter, self.tol, 0, BlockOptions("auto", None, 0.0)
        ).solver
        return solver, self._resolved_scaling(problem, solver)

    def _model(self, **changes: Any) -> MLCEClassifier:
        """Make the estimator that is fitted, with every parameter that it shares with this one."""
        # The folds share the jobs out; the model of all rows has them for its labels.
        own = self.get_params(deep=False) | {"n_jobs": None} | changes
        names = MLCEClassifier._get_param_names()
        return MLCEClassifier(**{name: own[name] for name in names if name in own})

    def _adopt(self, model: MLCEClassifier, targets: Targets) -> None:
        """Take the attributes of a fit, with the thresholds folded into the intercepts."""
        for name, value in vars(model).items():
            if name.endswith("_") and not name.startswith("_"):
                setattr(self, name, value)
        folded = np.where(is_trainable(model.intercept_), self.thresholds_, 0.0)
        self.intercept_ = (model.intercept_ - folded).astype(model.intercept_.dtype)
        if np.ndim(self.thresholds_):
            self.thresholds_ = folded
        self._remember(targets)


class _Candidates:
    """Values of C to try: a grid, ascending, and more past an end while the best one is there.

    Parameters
    ----------
    grid : ndarray of shape (n_Cs,)
        The grid, ascending.
    n_beyond : int
        Values past either end at most, in steps of the grid's ratio.

    Attributes
    ----------
    scores : dict of float to float
        Score of each value that was tried, which the caller fills in.
    """

    def __init__(self, grid: np.ndarray, n_beyond: int) -> None:
        self._grid, self._n_beyond = [float(C) for C in grid], n_beyond
        self.scores: dict[float, float] = {}

    def __iter__(self) -> Iterator[float]:
        yield from self._grid
        for number in range(1, self._n_beyond + 1):
            if self._end_of_best() == "largest":
                yield self._grid[-1] * (self._grid[1] / self._grid[0]) ** number
        for number in range(1, self._n_beyond + 1):
            if self._end_of_best() == "smallest":
                yield self._grid[0] * (self._grid[0] / self._grid[1]) ** number

    def _end_of_best(self) -> str | None:
        """Return which end alone has the best score; None where others have it too."""
        best = max(self.scores.values())
        of_best = [C for C, score in self.scores.items() if score == best]
        if len(self.scores) == 1 or len(of_best) > 1:
            return None
        return {max(self.scores): "largest", min(self.scores): "smallest"}.get(of_best[0])

    def warn_at_end(self) -> None:
        """Warn where the best value is an end of those that were tried; of two, one always is."""
        end = self._end_of_best()
        if end is None or len(self.scores) < 3:
            return
        C = max(self.scores) if end == "largest" else min(self.scores)
        low, high = (C, 100 * C) if end == "largest" else (C / 100, C)
        warnings.warn(
            f"the best C, {C:.3g}, is the {end} of the {len(self.scores)} that were tried, and one "
            f"beyond it may be better. Set Cs=np.geomspace({low:.3g}, {high:.3g}, 10) to search on",
            UserWarning,
            stacklevel=5,
        )


def _grid(Cs: Any) -> np.ndarray:
    """Return the values of C to try, or factors of the default one for a number; ascending.

    Raises
    ------
    ValueError
        If they are not positive finite numbers.
    """
    if isinstance(Cs, Integral):
        return np.ones(1) if Cs == 1 else np.geomspace(*C_FACTORS, int(Cs))
    values = np.unique(array_of_numbers(Cs, "Cs").astype(np.float64))
    if not values.size or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(
            f"Cs={Cs!r} must hold positive finite numbers, one at least, such as [0.1, 1, 10], or "
            "be a number of values such as 10"
        )
    return values


def _check_no_probabilities(targets: Targets) -> None:
    """Raise ValueError if y is of probabilities, which no rule of choice here knows."""
    if targets.kind == "multioutput" and targets.format.fractional:
        raise ValueError(
            "y holds probabilities of the classes of several outputs, but MLCEClassifierCV chooses "
            "C by the fraction of right classes; expected classes. For probabilities as one "
            "array type GridSearchCV(MLCEClassifier(), {'C': [0.1, 1, 10]}, scoring=scorer) of "
            "sklearn.model_selection, with a scorer(estimator, X, y) of your own"
        )


def _score_function(targets: Targets) -> Callable[[Any, Any], np.ndarray]:
    """Return what is asked of the models of folds: scores of labels, or predicted classes."""
    if targets.kind == "multiclass":
        return partial(_predicted_codes, classes=targets.classes)
    if targets.kind == "multioutput":
        return _predicted_output_codes
    return partial(scores_of, n_outputs=targets.n_outputs)


def _predicted_codes(model: Any, X: Any, classes: np.ndarray) -> np.ndarray:
    """Return the index of the predicted class of each row; a fold may know fewer classes."""
    return np.searchsorted(classes, model.predict(X))


def _predicted_output_codes(model: Any, X: Any) -> np.ndarray:
    """Return the index of the predicted class of each output of each row."""
    return model.predict(X).astype(np.intp)
