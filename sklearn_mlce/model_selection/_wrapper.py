"""Base of the classifiers that learn from the out-of-fold scores of an estimator."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from sklearn_mlce._objectives.weights import checked_weight
from sklearn_mlce._targets.encoding import check_y_given, encode_targets, label_names_of
from sklearn_mlce._targets.label_names import check_label_names, check_names_of_fitted
from sklearn_mlce._targets.tags import check_no_tags, tag_accuracy, tag_rows
from sklearn_mlce._targets.targets import TargetFormatMixin, Targets
from sklearn_mlce._utils.callbacks import CallbackSupportMixin, FitMonitor
from sklearn_mlce._utils.documentation import DocumentationLinkMixin
from sklearn_mlce._utils.estimator_scores import default_threshold, scores_of
from sklearn_mlce._utils.numeric_input import check_X, without_torch
from sklearn_mlce._utils.typing import TorchOutput
from sklearn_mlce.labels._names import known_names
from sklearn_mlce.model_selection._out_of_fold import (
    clone_for,
    fit_as_task,
    out_of_fold,
    to_sklearn_y,
)
from sklearn_mlce.model_selection._splits import Splits, routed_params, router_of, splits_of

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FoldScores:
    """Fitted estimators, and the scores that each gives the held-out rows of its split."""

    estimators: list[Any]  # None each, where they were not to be kept
    splits: Splits
    scores: list[Any]  # (n_held_out, n_outputs) each, or HighestCells
    default_threshold: float  # that the predictions of the first one use


@dataclass(frozen=True)
class FitArguments:
    """Validated arguments of a wrapper's `fit`, and the fits of its estimator on them."""

    X: Any
    targets: Targets
    sample_weight: np.ndarray | None
    fit_params: dict[str, Any]  # of the estimator
    split_params: dict[str, Any]  # of the splitter
    monitor: FitMonitor  # tells callbacks of the fits
    estimator: Any  # not fitted, but for a frozen or prefit one

    @cached_property
    def y(self) -> Any:
        """The y that the estimator and the splitter are given."""
        return to_sklearn_y(self.targets, self.estimator)

    @property
    def all_rows(self) -> np.ndarray:
        """Numbers of the rows."""
        return np.arange(self.targets.n_rows)

    def splits(self, cv: Any, random_state: Any) -> Splits:
        """Row numbers to train on and to hold out, of each split; see :func:`splits_of`."""
        kind = self.targets.kind
        return splits_of(cv, self.X, self.y, kind, random_state, self.split_params)

    def fit(self, estimator: Any) -> Any:
        """Clone of an estimator, fitted on all rows."""
        copied = clone_for(estimator, self.targets.format)
        (task,) = self.monitor.tasks("refit", 1)
        return fit_as_task(task, copied, self.X, self.y, self.fit_params)

    def score_folds(
        self,
        estimator: Any,
        splits: Splits,
        n_jobs: int | None,
        score: Callable[..., Any] | list[Any] = scores_of,
        *,
        keep: bool = False,
        tell: bool = True,
    ) -> FoldScores:
        """Fit a clone of an estimator on each split, keep it or not, and score held-out rows.

        `score` may be a list, of a function for each split. Callbacks are told unless not `tell`.
        """
        clones = (clone_for(estimator, self.targets.format) for _ in splits)
        scorers = score if isinstance(score, list) else [score] * len(splits)
        n_outputs = self.targets.n_outputs
        score_and_threshold = [
            partial(_score_and_threshold, score=of_fold, n_outputs=n_outputs) for of_fold in scorers
        ]
        tasks = self.monitor.tasks("fold", len(splits)) if tell else None
        answers, fitted = out_of_fold(
            clones,
            self.X,
            self.y,
            splits,
            score_and_threshold,
            self.fit_params,
            n_jobs,
            tasks,
            keep=keep,
        )
        scores, thresholds = zip(*answers, strict=True)
        return FoldScores(fitted, splits, list(scores), thresholds[0])

    def score_again(self, folds: FoldScores, estimator: Any, n_jobs: int | None) -> FoldScores:
        """All scores of the held-out rows of folds; those whose estimators are gone are fitted."""
        if any(fitted is None for fitted in folds.estimators):
            return self.score_folds(estimator, folds.splits, n_jobs, tell=False)
        scores = [
            scores_of(fitted, _safe_indexing(self.X, test), self.targets.n_outputs)
            for fitted, (_, test) in zip(folds.estimators, folds.splits, strict=True)
        ]
        return replace(folds, scores=scores)

    def score_fitted(self, estimator: Any, score: Callable[..., Any] = scores_of) -> FoldScores:
        """Score all rows by an estimator that was fitted on others."""
        check_is_fitted(estimator)
        advice = "Pass y[list(names)] with the names that the estimator has learned"
        check_label_names(self.targets.label_names, known_names(estimator), "y", advice)
        splits = [(self.all_rows, self.all_rows)]
        scores, threshold = _score_and_threshold(estimator, self.X, score, self.targets.n_outputs)
        return FoldScores([estimator], splits, [scores], threshold)


def _score_and_threshold(
    estimator: Any, X: Any, score: Callable[..., Any], n_outputs: int
) -> tuple[Any, float]:
    """Scores of rows, and the threshold that the estimator's own predictions use."""
    return score(estimator, X, n_outputs=n_outputs), default_threshold(estimator)


class BaseWrapper(
    DocumentationLinkMixin,
    CallbackSupportMixin,
    TargetFormatMixin,
    ClassifierMixin,
    MetaEstimatorMixin,
    BaseEstimator,
):
    """Wrapper of an estimator that predicts where scores of its own are above zero."""

    estimator: Any
    cv: Any
    classes_: np.ndarray

    @abstractmethod
    def _zero_scores(self, X: Any) -> np.ndarray:
        """Scores ``(n, n_outputs)`` whose threshold is zero, float64."""

    @abstractmethod
    def _torch_model(self, output: TorchOutput) -> nn.Module:
        """Make a torch module that returns `output`, one of those of :meth:`to_torch`."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.classifier_tags.multi_class = False
        if inner.classifier_tags is not None:
            tags.classifier_tags.multi_label = inner.classifier_tags.multi_label
        return tags

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to label.

        Returns
        -------
        ndarray or CSR matrix of shape (n_samples,) or (n_samples, n_labels)
            In the form of the y of `fit`: classes for 1-D y, 0 and 1 in the dtype of a matrix,
            sparse for sparse y. For soft or unknown targets 0 and 1 of int64; for tags too, with a
            column for each of `label_names_`.
        """
        check_is_fitted(self)
        check_X(X)
        return self._target_format.decode_by_blocks(X, self._zero_scores)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Fraction of the rows whose labels are all predicted right.

        For multi-label y this is a strict measure: pass ``scoring="f1_micro"`` or another metric to
        a search.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to label.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Labels or tags of these rows. A tag that `fit` has not seen is missed.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            The fraction.

        Raises
        ------
        ValueError
            If y is None, has other column names than the y of `fit`, or another order of them, or
            no tag that is a label.
        """
        check_y_given(y, "score")
        check_is_fitted(self)
        y = without_torch(y, "y")
        labels = self._target_format.kind in ("multilabel", "soft")
        rows = tag_rows(y, certain=True) if labels else None
        if rows is not None:
            names = self._target_format.label_names
            return tag_accuracy(rows, self.predict(X), names, sample_weight)
        check_names_of_fitted(self, label_names_of(y))
        if labels:
            encode_targets(y)  # -1 and 1, say, would be counted as wrong
        return super().score(X, y, sample_weight)

    def to_torch(self, output: TorchOutput = "scores") -> nn.Module:
        """Make a torch module of the estimator and of the decisions after it.

        The module, in evaluation mode and on the CPU, maps a dense tensor of rows, of shape
        (n_samples, n_features), and can be exported, see :doc:`/user_guide/torch_modules`.

        Parameters
        ----------
        output : {"scores", "labels", "probabilities"}, default="scores"
            Output of the module, in the shapes of `decision_function`, :meth:`predict` or
            `predict_proba`. Labels are int64: 0 and 1, and for classes their index in `classes_`.

        Returns
        -------
        torch.nn.Module
            The module.

        Raises
        ------
        TypeError
            If the estimator has no `to_torch`, as pipelines and those of other libraries.
        ValueError
            If `output` is another value.
        """
        check_is_fitted(self)
        from sklearn_mlce._export.outputs import check_output

        check_output(output)
        return self._torch_model(output)

    def _validate_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        params: dict[str, Any],
        *,
        prefit: bool,
        weighs: str,
        for_classes: str | None = None,
        takes_classes: bool = False,
    ) -> FitArguments:
        """Validate the arguments of `fit`, of which nothing is fitted where `prefit`.

        The warning says what weights weigh where the estimator takes none, and the error what
        takes a y of more than two classes, unless these are taken.
        """
        monitor = FitMonitor(self, X, y, sample_weight)
        label_names = known_names(self.estimator) if prefit else None
        if prefit and label_names is None:
            check_no_tags(y)
        targets = encode_thresholded(y, for_classes, label_names, takes_classes=takes_classes)
        check_X(X)
        (X,) = indexable(X)
        check_consistent_length(X, np.empty(targets.n_rows))
        routed = routed_params(self, sample_weight, params, prefit=prefit, weighs=weighs)
        weight = checked_weight(sample_weight, X, np.float64)
        if not prefit:
            default_threshold(self.estimator)  # refused before anything is fitted
        of_fit, of_split = routed.estimator.fit, routed.splitter.split
        return FitArguments(X, targets, weight, of_fit, of_split, monitor, self.estimator)

    def _remember(self, targets: Targets, fitted: Any, **attributes: Any) -> None:
        """Set what predictions need of y, and those attributes that are not None.

        Attributes that are None are deleted: an earlier fit may have left them.
        """
        self._target_format = targets.format
        self.classes_ = targets.classes
        attributes["label_names_"] = targets.label_names
        for name in ("n_features_in_", "feature_names_in_"):
            attributes[name] = getattr(fitted, name, None)
        for name, value in attributes.items():
            if value is not None:
                setattr(self, name, value)
            elif name in vars(self):
                delattr(self, name)

    def get_metadata_routing(self) -> MetadataRouter:
        """Routing of the metadata of `fit`: to itself, the estimator's `fit` and the splitter.

        Returns
        -------
        MetadataRouter
            The routing information.
        """
        return router_of(self)


def torch_model_of(estimator: Any, output: str, wrapper: Any) -> nn.Module:
    """Torch module of the fitted estimator inside a wrapper.

    Raises
    ------
    TypeError
        If the estimator has none.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)  # which a search hands rows to
    if hasattr(estimator, "to_torch"):
        return estimator.to_torch(output)
    name, around = type(estimator).__name__, type(wrapper).__name__
    instead = "export it by a converter of its own library, such as skl2onnx"
    if isinstance(estimator, Pipeline):
        instead = f"put {around} last in the pipeline, and call pipeline[-1].to_torch()"
    raise TypeError(
        f"{around} is fitted around a {name}, which has no torch module; expected an "
        f"estimator of sklearn_mlce. Wrap one, or {instead}"
    )


def encode_thresholded(
    y: Any,
    for_classes: str | None = None,
    label_names: np.ndarray | None = None,
    *,
    takes_classes: bool = False,
) -> Targets:
    """Encode a y that is predicted by thresholds; `for_classes` names what takes more classes.

    Tags are encoded by `label_names`, where these are given. More classes pass if `takes_classes`.

    Raises
    ------
    ValueError
        If y has more than two classes or several outputs, or cannot be trained on at all.
    """
    targets = encode_targets(y, label_names)
    if targets.kind == "multioutput":
        raise ValueError(
            "y is multiclass-multioutput: the best class of each output is predicted, and "
            "thresholds have no effect; expected a matrix of labels, or two classes"
        )
    if targets.kind == "multiclass" and not takes_classes:
        instead = f". For more classes use {for_classes}" if for_classes else ""
        raise ValueError(
            f"Only binary classification is supported. y has the {len(targets.classes)} classes "
            f"{targets.classes[:5].tolist()}, of which the highest score is predicted, and "
            f"thresholds have no effect; expected a matrix of labels, or two classes{instead}"
        )
    return targets
