"""Base of the estimators: validation, tags, and the family of predict methods."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from sklearn_mlce._objectives.objective import Objective, clipped, is_module, log_of
from sklearn_mlce._objectives.registry import AUTO, OBJECTIVES, check_targets, resolve_objective
from sklearn_mlce._objectives.weights import check_takes_weight, checked_weight
from sklearn_mlce._targets.class_probabilities import check_rows_of_outputs
from sklearn_mlce._targets.encoding import (
    check_y_given,
    encode_targets,
    known_entries,
    label_names_of,
)
from sklearn_mlce._targets.label_names import check_names_of_fitted
from sklearn_mlce._targets.tags import tag_accuracy, tag_rows, without_tags
from sklearn_mlce._targets.targets import TargetFormat, TargetFormatMixin, Targets, row_blocks
from sklearn_mlce._targets.top_k import largest_scores, shifted_to_best
from sklearn_mlce._utils.callbacks import CallbackSupportMixin, FitMonitor
from sklearn_mlce._utils.documentation import DocumentationLinkMixin
from sklearn_mlce._utils.estimator_scores import ProbabilitiesAt, at_columns
from sklearn_mlce._utils.features import check_same_features, validated_features
from sklearn_mlce._utils.numbers import check_k
from sklearn_mlce._utils.numeric_input import without_torch
from sklearn_mlce._utils.rows import with_duplicates_summed
from sklearn_mlce._utils.typing import TorchOutput, available_if

if TYPE_CHECKING:
    from torch import nn


def _has_probabilities(estimator: BaseMLCE) -> bool:
    loss = getattr(estimator, "loss_", estimator.loss)  # a module may be falsy, as a list is
    named = not is_module(loss)
    if not named or (loss in OBJECTIVES and not OBJECTIVES[loss].has_probabilities):
        raise AttributeError(
            f"loss={loss!r} gives no probabilities. Use decision_function, wrap the estimator in "
            "sklearn_mlce.calibration.MultilabelCalibratedClassifierCV, or set loss='mlce' or "
            "loss='bce'"
        )
    return True


class BaseMLCE(
    DocumentationLinkMixin, CallbackSupportMixin, TargetFormatMixin, ClassifierMixin, BaseEstimator
):
    """Base of the estimators: a subclass fits, and gives the scores of validated X."""

    # What predictions need of the fit, whatever becomes of the parameters.
    loss_: Any
    scale_: float | None
    margin_: Any
    _n_best: int | None  # labels of a row, where it is known
    classes_: Any
    label_names_: NDArray[Any]
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    learn_threshold = False  # a parameter of the network

    # The parameters that are read here.
    loss: Any
    scale: float | None
    margin: Any
    n_labels_per_row: int | None

    @abstractmethod
    def _scores(self, X: Any) -> np.ndarray:
        """Scores ``(n, n_outputs)`` of validated X."""

    @abstractmethod
    def _torch_model(self, outputs: nn.Module, n_best: int | None) -> nn.Module:
        """Torch module of the fit, that returns `outputs` of its scores."""

    def _objective_for(self, target_format: TargetFormat) -> Objective:
        """The loss that the parameters ask for on a kind of y."""
        return resolve_objective(self.loss, self.scale, self.margin, target_format)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.sparse = True
        return tags

    def _monitor(self, X: Any, y: Any, sample_weight: Any) -> FitMonitor:
        """Messenger to the callbacks, which score labels and know no tags."""
        listening = bool(getattr(self, "_skl_callbacks", ()))
        return FitMonitor(self, X, without_tags(y) if listening else y, sample_weight)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a model; parameters that its version lacked take their defaults."""
        super().__setstate__(state)
        for name, parameter in signature(type(self)).parameters.items():
            if name not in vars(self) and parameter.default is not parameter.empty:
                setattr(self, name, parameter.default)

    def _validate_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        reset: bool = True,
        encode: Callable[[Any], Targets] = encode_targets,
    ) -> tuple[Any, Targets, np.ndarray | None]:
        """Validated X, encoded targets and weights, without the rows of weight 0."""
        targets = encode(y)
        features_before = getattr(self, "feature_names_in_", None)
        X = with_duplicates_summed(validated_features(self, X, reset=reset, order="C"))
        if getattr(self, "warm_start", False):
            check_same_features(features_before, getattr(self, "feature_names_in_", None))
        if X.shape[0] != targets.n_rows:
            check_rows_of_outputs(y, X.shape[0])
            check_consistent_length(X, np.empty(targets.n_rows))
        objective = self._objective_for(targets.format)
        check_targets(objective, targets)
        self._check_rule(objective, targets)
        sample_weight = checked_weight(sample_weight, X, X.dtype)
        if sample_weight is not None:
            check_takes_weight(objective)
        if sample_weight is None or sample_weight.all():
            return X, targets, sample_weight
        kept = sample_weight > 0
        return X[kept], targets.index_rows(kept), sample_weight[kept]

    def _check_rule(self, objective: Objective, targets: Targets) -> None:
        """Raise ValueError unless labels can be decided as the parameters ask for."""
        kind, k, single = targets.kind, self.n_labels_per_row, targets.format.single_label
        no_labels = single or kind == "multioutput"
        if self.learn_threshold and (no_labels or objective.needs_n_labels):
            why = f"y is {kind}" if no_labels else f"{objective.described} has none"
            raise ValueError(
                f"learn_threshold=True learns the threshold of a row's labels, but {why}. Set "
                "learn_threshold=False"
            )
        if isinstance(k, bool):
            raise ValueError(f"n_labels_per_row={k} is not a number. Set it to None or to a number")
        if k is None and objective.needs_n_labels:
            raise ValueError(
                f"{objective.described} orders the labels of a row and knows no threshold. Set "
                "n_labels_per_row to the number of labels to predict for each row"
            )
        most = 1 if no_labels else targets.n_outputs
        if k is not None and k > most:
            raise ValueError(
                f"n_labels_per_row={k} is more than the labels that a row can have, {most} of a "
                f"{kind} y. Set it to {most} at most, or to None"
            )

    def _remember(self, targets: Targets) -> None:
        """Set what predictions need to know of y and of the parameters."""
        target_format = targets.format
        self._target_format = target_format
        self._remember_loss(targets)
        self.classes_ = target_format.classes
        if target_format.label_names is not None:
            self.label_names_ = target_format.label_names
        elif hasattr(self, "label_names_"):
            del self.label_names_

    def _remember_loss(self, targets: Targets) -> None:
        """Set what predictions need to know of the loss that was trained last."""
        objective = self._objective_for(targets.format)
        self.loss_ = objective.name if self.loss == AUTO else self.loss
        shaped = objective.takes_margin
        self.scale_ = objective.scale if shaped else None
        self.margin_ = objective.margin if shaped else None
        labels = targets.kind in ("multilabel", "soft")
        self._n_best = self.n_labels_per_row if labels else None

    def _validate_predict(self, X: Any) -> Any:
        check_is_fitted(self)
        return validated_features(self, X, reset=False)

    def _decision_scores(self, X: Any) -> np.ndarray:
        """Scores ``(n, n_outputs)`` of validated X, above zero where a label is predicted."""
        scores = self._scores(X)
        return scores if self._n_best is None else shifted_to_best(scores, self._n_best)

    def _probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities, in float64, of scores ``(n, n_outputs)`` of labels or of one y."""
        target_format = self._target_format
        objective = resolve_objective(self.loss_, self.scale_, self.margin_, target_format)
        return clipped(objective.probabilities(scores.astype(np.float64, copy=False)))

    def _scores_and_probabilities(self, X: Any) -> tuple[np.ndarray, ProbabilitiesAt | None]:
        """Scores of a matrix of labels, as `decision_function` has them, and probabilities."""
        scores = self._decision_scores(self._validate_predict(X))
        if not hasattr(self, "predict_proba"):
            return scores, None
        return scores, lambda columns: self._probabilities(at_columns(scores, columns))

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Scores of each label; above zero is what :meth:`predict` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels), or list of ndarray
            One score per row for binary y, per label for multi-label y, and per class for
            multiclass y, where the class of the largest score is predicted. For
            multiclass-multioutput y an array of shape (n_samples, n_classes) for each output.
        """
        scores = self._decision_scores(self._validate_predict(X))
        target_format = self._target_format
        if target_format.kind == "multioutput":
            return target_format.split(scores)  # type: ignore[return-value]  # a list, rarely
        return scores[:, 0] if target_format.kind == "binary" else scores

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to label.

        Returns
        -------
        ndarray or CSR matrix of shape (n_samples,) or (n_samples, n_labels)
            In the form of the y that the estimator was fitted on: class labels for 1-D y, 0 and 1
            in the dtype of a matrix, sparse for sparse y. For soft or unknown targets 0 and 1 of
            int64; for tags too, with a column for each of `label_names_`. For several outputs the
            classes, in an object array where some are text and some numbers.
        """
        X = self._validate_predict(X)
        return self._target_format.decode_by_blocks(X, self._decision_scores)

    def predict_topk(self, X: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The `k` labels or classes of each row with the highest scores.

        Scores are made for a block of rows at a time.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to label.
        k : int
            Number of labels of each row, from 1 to all.

        Returns
        -------
        indices : ndarray of shape (n_samples, k), int64
            Column numbers, the best first; of equal scores the lower number first.
            `classes_[indices]` are the labels, and `label_names_[indices]` their names where there
            are any.
        scores : ndarray of shape (n_samples, k)
            Scores of these labels, as :meth:`decision_function` gives them.

        Raises
        ------
        ValueError
            If `k` is not such a number, or y was binary or of several outputs.
        """
        X = self._validate_predict(X)
        kind = self._target_format.kind
        if kind in ("binary", "multioutput"):
            raise ValueError(f"predict_topk ranks labels or classes, but y was {kind}. Use predict")
        n_outputs = len(self.classes_)
        k = check_k(k, n_outputs)
        blocks = row_blocks(X.shape[0], n_outputs)
        best = [largest_scores(self._decision_scores(X[rows]), k) for rows in blocks]
        indices, scores = zip(*best, strict=True)
        return np.concatenate(indices), np.concatenate(scores)

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Scores mapped into (0, 1) by a fixed increasing function.

        For 1-D y these are the probabilities of logistic and softmax regression, and of
        ``loss="bce"`` with multiclass y the sigmoids divided by their sum. For multi-label y the
        map is a sigmoid: of ``scale_ * score``, under ``loss="mlce"`` of ``2 * scale_ * score``.
        Margins make the sigmoid of 0/1 labels less steep and move its centre. For soft labels the
        map is exact at the minimum of the loss, margins included. To maximise F1, predict a label
        when its probability exceeds half the best achievable F1, which is usually below 0.5. So a
        score of zero, where :meth:`predict` decides, has the probability 0.19 under the default
        loss. No fixed map is calibrated on all data. ``loss="squared_hinge"`` and a loss given as a
        module have none.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_labels), or list of ndarray
            Float64, never exactly 0 or 1. Two columns for binary y. For multiclass-multioutput y
            the softmax of each output, an array of shape (n_samples, n_classes) each.
        """
        scores = self._decision_scores(self._validate_predict(X))
        target_format = self._target_format
        if target_format.kind == "multioutput":
            scores = scores.astype(np.float64, copy=False)
            parts = target_format.split(scores)
            return [clipped(softmax(part, axis=1)) for part in parts]  # type: ignore[return-value]
        return self._probabilities(scores)

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Logarithms of what :meth:`predict_proba` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_labels), or list of ndarray
            Float64, finite and below 0. A list for multiclass-multioutput y.
        """
        return log_of(self.predict_proba(X))

    def to_torch(self, output: TorchOutput = "scores") -> nn.Module:
        """Make a torch module of what was learned, for serving, exporting and fine-tuning.

        The module maps a dense tensor of rows, of shape (n_samples, n_features). It is in
        evaluation mode and on the CPU, and shares no memory with the estimator. Input scaling,
        scores of constant labels and `n_labels_per_row` are parts of it.
        :func:`torch.export.export`, :func:`torch.onnx.export` with ``dynamo=True`` and
        ``torch.compile(fullgraph=True)`` take the module, and it is differentiable in the rows. Its
        state dict has torch's orientation and holds all that was learned. It may be loaded into the
        module of another fit of the same shape. See :doc:`/user_guide/torch_modules`.

        Parameters
        ----------
        output : {"scores", "labels", "probabilities"}, default="scores"
            Output of the module, in the shapes of :meth:`decision_function`, :meth:`predict` or
            `predict_proba`, and in the precision of the fit. Labels are int64: 0 and 1 of a matrix
            of labels, and for classes their index in `classes_`. Scores and probabilities of
            several outputs are a tuple of tensors.

        Returns
        -------
        torch.nn.Module
            The module.

        Raises
        ------
        ValueError
            If `output` is another value.
        AttributeError
            If the loss gives no probabilities, and these are asked for.
        """
        check_is_fitted(self)
        from sklearn_mlce._export.outputs import Outputs, check_output

        check_output(output)
        target_format, probabilities = self._target_format, None
        if output == "probabilities":
            _has_probabilities(self)
            objective = resolve_objective(self.loss_, self.scale_, self.margin_, target_format)
            probabilities = objective.probabilities_of_tensor
        outputs = Outputs(target_format.kind, target_format.sizes, output, probabilities)
        return self._torch_model(outputs, self._n_best).eval()

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Fraction of the rows whose labels are all predicted right.

        For multi-label y this is a strict measure: pass ``scoring="f1_micro"`` or another metric to
        a search. scikit-learn measures multi-label y alike, and has no measure for several outputs.
        There a row is right where all of its known outputs are, and a row without a known output
        does not count. Of probabilities the most probable class of each output is compared.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to label.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Labels or tags of these rows, or probabilities of the classes of several outputs, as
            `fit` takes them. A tag that `fit` has not seen is missed.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            The fraction.

        Raises
        ------
        ValueError
            If y has other column names than the y of `fit`, or another order of them, or no tag
            that is a label.
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
        if self._target_format.kind != "multioutput":
            return super().score(X, y, sample_weight)
        truth, is_known = known_entries(y, self._target_format)
        predicted = self.predict(X)
        if truth.shape != predicted.shape:
            raise ValueError(
                f"y has shape {truth.shape}; expected {predicted.shape}, a class of each output "
                "for each row of X"
            )
        counting = is_known.any(axis=1)
        if not counting.any():
            raise ValueError(
                "y holds no known class, so that there is nothing to compare with; expected one "
                "known output in one row at least"
            )
        right = ((predicted == truth) | ~is_known).all(axis=1)
        weight = None if sample_weight is None else np.asarray(sample_weight)[counting]
        return float(np.average(right[counting], weights=weight))
