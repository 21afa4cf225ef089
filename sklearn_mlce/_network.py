"""What a network estimator keeps of its training, and what it computes from that."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mlce._objectives.options import FOR_LABELS, PUBLISHED, LossOptions, resolve_loss
from sklearn_mlce._objectives.weights import check_label_weight
from sklearn_mlce._streaming import StreamingMLCE
from sklearn_mlce._targets.label_names import check_label_names
from sklearn_mlce._targets.targets import TargetFormat, same_classes
from sklearn_mlce._training.engine import TrainingResult, compute_scores
from sklearn_mlce._training.input_scaling import scaling_of
from sklearn_mlce._training.perceptron import Architecture
from sklearn_mlce._training.plan import TrainingPlan, layer_widths, passes, rows_per_batch
from sklearn_mlce._training.precision import resolve_precision, training_dtype
from sklearn_mlce._training.rows import Rows
from sklearn_mlce._training.state import Arrays, TrainingState
from sklearn_mlce._utils.device import resolve_device
from sklearn_mlce._utils.random import draw_seed


class NetworkMLCE(StreamingMLCE):
    """Base of the network estimator, whose parameters are those of :class:`MLCEMLP`."""

    state_dict_: Arrays
    optimizer_state_: dict[str, Arrays]
    loss_curve_: list[float]
    validation_scores_: list[float]
    best_epoch_: int
    n_iter_: int
    _architecture: Architecture
    _fixed_scores: np.ndarray  # (n_outputs,), NaN where the network's own score counts
    _seed: int
    _n_epochs: int

    # The parameters that are read here.
    hidden_layer_sizes: Any
    activation: str
    dropout: float
    input_scaling: str | None
    alpha: float
    batch_size: int | str
    learning_rate: str
    learning_rate_init: float
    gradient_clipping: float | None
    early_stopping: bool
    n_iter_no_change: int
    label_weight: Any
    device: str
    precision: str
    compile: bool
    random_state: Any

    def _plan(
        self, rows: Rows, max_epochs: int | str, keep_optimizer: bool, go_on: bool
    ) -> TrainingPlan:
        device = resolve_device(self.device)
        options = self._options_for(rows.targets)
        batch_size = rows_per_batch(self.batch_size, len(rows))
        return TrainingPlan(
            architecture=self._planned_architecture(rows, go_on),
            dropout=float(self.dropout),
            alpha=float(self.alpha),
            batch_size=batch_size,
            learning_rate=float(self.learning_rate_init),
            schedule=self.learning_rate,
            gradient_clipping=self.gradient_clipping,
            max_epochs=passes(max_epochs, batch_size, len(rows)),
            patience=self.n_iter_no_change,
            label_weight=check_label_weight(
                self.label_weight, rows.targets, options, rows.sample_weight
            ),
            loss=options,
            device=device,
            dtype=training_dtype(self.precision, rows.X.dtype),
            mixed_precision=resolve_precision(self.precision, device),
            compile=self.compile,
            keep_optimizer=keep_optimizer,
        )

    def _planned_architecture(self, rows: Rows, go_on: bool) -> Architecture:
        scaling = scaling_of(self.input_scaling, rows.X)
        if go_on and self.input_scaling == "auto" and hasattr(self, "state_dict_"):
            scaling = self._architecture.input_scaling  # what the first rows made of it
        return Architecture(
            rows.X.shape[1],
            layer_widths(self.hidden_layer_sizes),
            rows.targets.n_outputs,
            self.activation,
            scaling,
            learned_threshold=bool(self.learn_threshold),
        )

    def _start(self, plan: TrainingPlan, target_format: TargetFormat, go_on: bool) -> TrainingState:
        """Where to begin: anew, or where the last call ended."""
        if not (go_on and hasattr(self, "state_dict_")):
            return TrainingState({}, {}, draw_seed(self.random_state), n_epochs=0)
        last, now = self._architecture, plan.architecture
        if (
            last != now
            or self._target_format.single_label != target_format.single_label
            or not same_classes(self.classes_, target_format.classes)
        ):
            raise ValueError(
                f"training cannot go on: the network has layers {last.sizes}, activation "
                f"{last.activation!r}, input scaling {last.input_scaling!r} and was trained on "
                f"{self._target_format.kind} y of classes {self.classes_}, got {now.sizes}, "
                f"{now.activation!r}, {now.input_scaling!r}, {target_format.kind} and "
                f"{target_format.classes}. Set warm_start=False and call fit to start anew"
            )
        check_label_names(
            target_format.label_names,
            self._target_format.label_names,
            "y",
            "Pass y[list(model.label_names_)], or set warm_start=False to start anew",
        )
        return TrainingState(
            self.state_dict_, self.optimizer_state_, self._seed, n_epochs=self._n_epochs
        )

    def _keep(self, result: TrainingResult, start: TrainingState) -> None:
        """Set the fitted attributes; the curves go on where the training did."""
        progress, went_on = result.progress, bool(start.weights)
        self.state_dict_ = result.state.weights
        self.optimizer_state_ = result.state.optimizer
        self._seed, self._n_epochs = result.state.seed, result.state.n_epochs
        self.best_epoch_ = progress.best_epoch + (self.n_iter_ if went_on else 0)
        curves = {"loss_curve_": progress.losses, "validation_scores_": progress.scores}
        for name, curve in curves.items():
            setattr(self, name, (getattr(self, name, []) if went_on else []) + list(curve))
        self.n_iter_ = len(self.loss_curve_)

    def _loss_options(self, target_format: TargetFormat) -> LossOptions:
        # A soft target's weight is inside the logarithm, where a large scale drowns it.
        for_labels = PUBLISHED if target_format.fractional else FOR_LABELS
        return resolve_loss(
            target_format.kind,
            loss=self.loss,
            scale=self.scale,
            margin=self.margin,
            order=self.order,
            for_labels=for_labels,
        )

    def _scores(self, X: Any) -> np.ndarray:
        device = resolve_device(self.device)
        scores = compute_scores(self._architecture, self.state_dict_, X, device)
        fixed = ~np.isnan(self._fixed_scores)
        scores[:, fixed] = self._fixed_scores[fixed]
        return scores
