"""Thresholds tuned by cross-validation, for any multi-label estimator."""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.utils import indexable
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from sklearn_mlce._objectives.weights import checked_weight
from sklearn_mlce._targets.label_names import check_names_of_fitted
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.callbacks import fitted_state_kept
from sklearn_mlce.model_selection._f_measure import HeldOut, objective_of
from sklearn_mlce.model_selection._out_of_fold import (
    check_held_out,
    default_threshold,
    held_out_of,
    held_out_of_folds,
    never_positive,
    out_of_fold,
    scores_of,
    to_sklearn_y,
    without,
)
from sklearn_mlce.model_selection._splits import routed_params, router_of, splits_of
from sklearn_mlce.model_selection._sweep import tune
from sklearn_mlce.model_selection._wrapper import BaseThresholded, encode_thresholded


class MultilabelTunedThresholdClassifierCV(BaseThresholded):
    r"""Multi-label classifier whose thresholds maximise an F-measure of out-of-fold scores.

    Wraps any multi-label estimator with a `decision_function` or else `predict_proba`. Each
    fold's rows are scored by a clone that was fitted on the others; the thresholds that would
    have served these scores best are found exactly, among all that can make a difference, and
    kept for the predictions of a last clone, fitted on all rows. It is to multi-label
    estimators what :class:`~sklearn.model_selection.TunedThresholdClassifierCV` is to binary
    ones.

    Parameters
    ----------
    estimator : estimator instance
        Multi-label classifier with `decision_function` or `predict_proba`, of which the first
        is used where there are both. Fitted already with ``cv="prefit"``.
    scoring : {"f1_micro", "f1_macro", "f1_samples"} or scorer, default="f1_micro"
        What to maximise: F1 of all cells of `y` together, or its mean over labels or over rows. A
        scorer made by :func:`~sklearn.metrics.make_scorer` from
        :func:`~sklearn.metrics.f1_score` or :func:`~sklearn.metrics.fbeta_score` with such an
        `average` is taken too. Where it is 0/0, the measure counts as 0. For a binary `y`,
        the first two are F1 of the second class.
    thresholds : {"global", "per_label"}, default="global"
        One threshold for all labels, or one for each. A label's own threshold is drawn towards
        the global one for micro-F1, the more so the fewer positives it was found on. Only
        "global" goes with the mean over rows.
    cv : int, float, cross-validation generator, iterable or "prefit", default=3
        How rows are held out. An integer is a number of folds, of shuffled rows, stratified for
        a binary `y`; a float in (0, 1) is the share of rows in a single held-out part; None is
        five folds, not shuffled; "prefit" takes the estimator as it is and the rows as held out.
    refit : bool, default=True
        Whether to fit on all rows in the end. False keeps the fit on the training part of a
        single split, and has to be given with ``cv="prefit"``.
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
        Threshold that an estimator's score has to exceed, or each label's. inf for a label that
        is never predicted.
    best_score_ : float
        The objective on the out-of-fold scores at `best_thresholds_`. The thresholds were chosen
        on these scores, so it flatters a little.
    cv_results_ : dict of ndarray
        Of one threshold for all labels, also where each label has its own: "thresholds",
        ascending, one below each distinct score of a positive cell, between which F-measures
        only fall, and the objective "scores" there. Only with ``store_cv_results=True``.
    classes_ : ndarray
        Classes of a binary `y`; ``np.arange(n_labels)`` of a multi-label one.
    label_names_ : ndarray of shape (n_labels,)
        Column names of `y`. Only where `y` was a DataFrame.
    n_features_in_ : int
        Number of features. Only where the estimator says so.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features. Only where the estimator says so.

    See Also
    --------
    sklearn.model_selection.TunedThresholdClassifierCV : For binary classifiers, any metric.
    MLCEClassifierCV : The linear model, with thresholds and C chosen at once.

    Notes
    -----
    Takes as many fits as there are folds, and one more to refit. The sweeps take a sort of the
    out-of-fold scores, and no more memory than a few arrays of their size.

    `y` may be a 0/1 matrix, dense or sparse, soft in [0, 1], with NaN for unknown labels, or
    1-D with two classes, as far as the estimator takes such a `y`; it is given int64 labels,
    since scikit-learn 1.9 permutes the labels of narrower integers. A soft target counts with its
    mass, F1 being :math:`2 \sum t p / (\sum t + \sum p)` for targets :math:`t` and predictions
    :math:`p`, and an unknown one not at all.

    A label that no row carries is never predicted, and ranks last with a score of -1e9. One that
    no training row of a fold carries cannot be scored there: its positives count as missed.

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
    >>> published = MLCEClassifier(C=1.0, order=1)
    >>> tuned = MultilabelTunedThresholdClassifierCV(published, random_state=0)
    >>> tuned = tuned.fit(X[:400], Y[:400])
    >>> round(tuned.best_thresholds_, 2)
    -0.86
    >>> round(f1_score(Y[400:], tuned.predict(X[400:]), average="micro"), 2)
    0.71
    """

    __module__ = "sklearn_mlce.model_selection"

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit"])],
        "scoring": [str, callable],
        "thresholds": [StrOptions({"global", "per_label"})],
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
        thresholds: str = "global",
        cv: Any = 3,
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: Any = None,
        store_cv_results: bool = False,
    ) -> None:
        self.estimator = estimator
        self.scoring = scoring
        self.thresholds = thresholds
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.store_cv_results = store_cv_results

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, **params: Any
    ) -> MultilabelTunedThresholdClassifierCV:
        """Find the thresholds, and fit the estimator on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, in any form that the estimator takes.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Labels of each row: 0/1, soft in [0, 1], or NaN where unknown; or two classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row in the objective and, if the estimator's `fit` takes
            it (with metadata routing: if it was requested), in the fits.
        **params : dict
            Passed to the estimator's `fit`; what has an entry per row is split with the rows.
            With metadata routing, to whatever requested it, a splitter included.

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
            objective = objective_of(self.scoring, self.thresholds)
            _check_has_thresholds(self.estimator)
            targets = encode_thresholded(y)
            objective.check_kind(targets.kind)
            (X,) = indexable(X)
            check_consistent_length(X, np.empty(targets.n_rows))
            prefit = isinstance(self.cv, str)
            routed = routed_params(
                self, sample_weight, params, prefit=prefit, weighs="the rows of the objective"
            )
            weight = checked_weight(sample_weight, X, np.float64)
            held_out = self._fit_and_score(X, targets, weight, routed)
            default = default_threshold(self.estimator_)
            thresholds, curve = tune(held_out, objective, self.thresholds, default)
            reached = np.where(self._never_predicted, np.inf, thresholds)
            self.best_thresholds_ = thresholds if self.thresholds == "global" else reached
            self.best_score_ = objective.of(held_out, reached)
            self.classes_ = targets.classes
            self._target_format = targets.format
            self._set_optional_attributes(
                cv_results_={"thresholds": curve.thresholds, "scores": curve.values}
                if self.store_cv_results
                else None,
                label_names_=targets.label_names,
                n_features_in_=getattr(self.estimator_, "n_features_in_", None),
                feature_names_in_=getattr(self.estimator_, "feature_names_in_", None),
            )
        return self

    def _fit_and_score(
        self, X: Any, targets: Targets, weight: np.ndarray | None, routed: Any
    ) -> HeldOut:
        """Set what predicts, and give the scores of held-out rows."""
        every_row = np.arange(targets.n_rows)
        if isinstance(self.cv, str):
            if self.refit:
                raise ValueError("refit must be False with cv='prefit', got refit=True")
            check_is_fitted(self.estimator)
            check_names_of_fitted(self.estimator, targets.label_names)
            self.estimator_ = self.estimator
            self._never_predicted = never_positive(targets, every_row, weight)
            known = scores_of(self.estimator_, X, targets.n_outputs)
            return held_out_of(targets, every_row, without(self._never_predicted, known), weight)
        default_threshold(self.estimator)  # refused before anything is fitted
        y, fit_params = to_sklearn_y(targets), routed.estimator.fit
        splits = splits_of(self.cv, X, y, targets.kind, self.random_state, routed.splitter.split)
        check_held_out(targets, splits, weight)
        if not self.refit and len(splits) > 1:
            raise ValueError(
                f"refit=False keeps the fit of a single split, but cv={self.cv!r} makes "
                f"{len(splits)}. Pass refit=True, or a share of rows such as cv=0.2"
            )
        score = partial(scores_of, n_outputs=targets.n_outputs)
        clones = [clone(self.estimator) for _ in splits]
        scores, clones = out_of_fold(clones, X, y, splits, score, fit_params, self.n_jobs)
        if self.refit:
            self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
        else:
            self.estimator_ = clones[0]
        fitted_rows = every_row if self.refit else splits[0][0]
        self._never_predicted = never_positive(targets, fitted_rows, weight)
        return held_out_of_folds(targets, splits, scores, weight)

    def get_metadata_routing(self) -> MetadataRouter:
        """Who may get metadata from `fit`: itself, the estimator's `fit` and the splitter.

        Returns
        -------
        MetadataRouter
            The routing information.
        """
        return router_of(self)


def _check_has_thresholds(estimator: Any) -> None:
    """Raise ValueError if the estimator predicts a number of labels, whatever their scores."""
    k = getattr(estimator, "n_labels_per_row", None)
    if k is not None:
        raise ValueError(
            f"n_labels_per_row={k} of {type(estimator).__name__} predicts {k} labels for each row, "
            "and no threshold plays a part. Set n_labels_per_row=None to tune one"
        )
