"""How a network estimator is trained: its fit and partial_fit."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if

from sklearn_mlce._estimators.streaming import StreamingMLCE, in_precision, learns_from_chunks
from sklearn_mlce._estimators.validation_rows import epoch_scorer, given_rows
from sklearn_mlce._network.batches import Rows
from sklearn_mlce._network.callbacks import Supervision, user_callbacks
from sklearn_mlce._network.checkpoint import CheckpointFile
from sklearn_mlce._network.fingerprint import identity_of
from sklearn_mlce._network.input_scaling import scaling_of
from sklearn_mlce._network.perceptron import Architecture
from sklearn_mlce._network.plan import (
    TrainingPlan,
    layer_widths,
    passes,
    resolve_precision,
    rows_per_batch,
    training_dtype,
)
from sklearn_mlce._network.state import Arrays, TrainingState
from sklearn_mlce._network.train import TrainingResult, compute_scores, net_weights, train
from sklearn_mlce._objectives.options import FOR_LABELS, PUBLISHED, LossOptions, resolve_loss
from sklearn_mlce._objectives.weights import check_label_weight, warn_unknown_labels
from sklearn_mlce._targets.label_names import check_label_names
from sklearn_mlce._targets.targets import TargetFormat, constant_label_scores, same_classes
from sklearn_mlce._utils.callbacks import FitMonitor, fitted_state_kept, with_callbacks
from sklearn_mlce._utils.device import resolve_device
from sklearn_mlce._utils.random import draw_seed, split_order


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


def _takes_chunks(estimator: NetworkMLCE) -> bool:
    if estimator.early_stopping:
        raise AttributeError(
            "partial_fit makes one epoch over the rows it is given and holds none out, but "
            "early_stopping is True. Set early_stopping=False and score rows of your own after "
            "each call"
        )
    return learns_from_chunks(estimator)


class TrainableNetwork(NetworkMLCE):
    """The methods that train a network estimator."""

    # The parameters that are read here.
    max_epochs: int | str
    scoring: Any
    validation_fraction: float
    callbacks: Any
    checkpoint_dir: Any
    resume: bool
    warm_start: bool

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features; float32 and float64 are kept, others become float64.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Classes, or the labels of each row: 0/1, soft in [0, 1], or NaN where unknown; or, of
            shape (n_samples, n_outputs), the classes of several outputs as whole numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Rows for `early_stopping` to score, in place of a part of X. A
            :class:`~sklearn.pipeline.Pipeline` transforms them like X where it was made with
            ``transform_input=["X_val"]``.
        y_val : {array-like, sparse matrix} of shape (n_val,) or (n_val, n_labels), default=None
            Their classes or labels.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights.

        Returns
        -------
        MLCEMLP
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, a weight or a parameter is not usable, if the checkpoint to resume is that of
            another fit, or if the loss or a weight becomes infinite or NaN. An earlier fit is
            then kept. Where there was none, and the loss was finite for an epoch, the estimator
            keeps the weights of the best epoch by then.
        KeyboardInterrupt
            If the fit is interrupted. After its first epoch the estimator keeps the weights of
            the best epoch by then, the last one where none is scored, and a ConvergenceWarning
            says so; before, it keeps an earlier fit.
        """
        fitted_before = hasattr(self, "state_dict_")
        with fitted_state_kept(self):
            monitor = FitMonitor(self, X, y, sample_weight)
            rows = Rows(*self._validate_fit(X, y, sample_weight))
            warn_unknown_labels(rows.targets)
            plan = self._plan(rows, self.max_epochs, self.warm_start, go_on=self.warm_start)
            monitor.open("epoch", plan.max_epochs)
            start = self._start(plan, rows.targets.format, go_on=self.warm_start)
            self._remember(rows.targets)
            held_out = given_rows(
                self, X_val, y_val, sample_weight_val, rows.X.dtype, used=self.early_stopping
            )
            start, rows, watch = self._supervise(plan, start, rows, held_out)
            watch.monitor = monitor
            monitor.attributes_of = lambda net: {"state_dict_": net_weights(net)}
            result = train(plan, start, rows, watch)
            if isinstance(result.stopped_by, ValueError) and fitted_before:
                raise result.stopped_by
            self._keep(result, start)
            if result.stopped_by is None:
                monitor.close()
        self._pass_on(result.stopped_by)
        return self

    def _supervise(
        self, plan: TrainingPlan, start: TrainingState, rows: Rows, held_out: Rows | None
    ) -> tuple[TrainingState, Rows, Supervision]:
        """Where to start, the rows to train on, and what watches the training."""
        file = self._checkpoint_file()
        if file is not None and self.resume and self.random_state is None and not start.weights:
            # The operating system will not give the seed again.
            saved = file.read()
            start = start if saved is None else replace(start, seed=saved.last.seed)
        if self.early_stopping and held_out is None:
            order = split_order(start.seed, len(rows))
            rows, held_out = rows.split(self.validation_fraction, order)
        callbacks = user_callbacks(self.callbacks or (), plan.schedule, self.resume)
        watch = Supervision(held_out, callbacks=callbacks, file=file)
        self._fixed_scores = constant_label_scores(rows.targets)
        self._architecture = plan.architecture
        if held_out is not None:
            watch.score = epoch_scorer(self, self.scoring, held_out)
        if file is not None:
            watch.identity = identity_of(plan, start, rows, held_out, self.scoring)
            watch.resumed = file.resumable(watch.identity, start) if self.resume else None
        return start, rows, watch

    def _checkpoint_file(self) -> CheckpointFile | None:
        if self.checkpoint_dir is None:
            if self.resume:
                raise ValueError(
                    "resume=True goes on from a checkpoint, but checkpoint_dir is None. Set it to "
                    "the directory of the fit to resume, or set resume=False"
                )
            return None
        file = CheckpointFile(self.checkpoint_dir)
        file.prepare()
        return file

    def _pass_on(self, stopped_by: BaseException | None) -> None:
        """Raise what ended the training before its time, and say what the estimator keeps."""
        if isinstance(stopped_by, KeyboardInterrupt):
            which = "the best of them on the held-out rows" if self.early_stopping else "the last"
            try:
                warnings.warn(
                    f"training was interrupted after epoch {self.n_iter_}; the estimator keeps the "
                    f"weights of epoch {self.best_epoch_}, {which}",
                    ConvergenceWarning,
                    stacklevel=5,
                )
            finally:  # whatever a filter makes of the warning, what calls fit is to stop
                raise stopped_by
        if stopped_by is not None:
            raise stopped_by

    @available_if(_takes_chunks)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Make one epoch over a chunk of rows, going on from the last call or fit.

        The step size is `learning_rate_init` whatever `learning_rate` says, as a stream has no
        known end, and AdamW's moments go on from call to call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features of the chunk.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Classes, or the labels of each row; the first call fixes which, and how many labels.
        classes : array-like of shape (n_classes,), default=None
            All classes of a 1-D `y`, or a list of those of each output, on the first call; None
            takes those of its chunk. With a
            multi-label `y`, None, ``np.arange(n_labels)``, or ``[0, 1]``, the values of its
            entries, which :func:`~sklearn.model_selection.learning_curve` passes.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row.

        Returns
        -------
        MLCEMLP
            The estimator, trained further.

        Raises
        ------
        ValueError
            If X, y, a weight or a parameter is not usable or does not fit the earlier calls.
            The state before the call is then kept.
        AttributeError
            If `early_stopping` is set: a chunk holds no rows out; or if `loss` or `label_weight`
            needs the labels of all rows.
        """
        with fitted_state_kept(self):
            first = not hasattr(self, "state_dict_")
            X, targets, sample_weight = self._validate_chunk(X, y, classes, sample_weight, first)
            if not first:
                weights = next(iter(self.state_dict_.values()))
                X, sample_weight = in_precision(weights.dtype, X, sample_weight)
            rows = Rows(X, targets, sample_weight)
            plan = self._plan(rows, 1, keep_optimizer=True, go_on=True)
            plan = replace(plan, schedule="constant")
            start = self._start(plan, rows.targets.format, go_on=True)
            fixed = constant_label_scores(rows.targets)
            if first:
                self._remember(rows.targets)
                self._fixed_scores = fixed
            else:
                self._remember_loss(rows.targets)
            self._fixed_scores = np.where(fixed == self._fixed_scores, fixed, np.nan)
            self._architecture = plan.architecture
            result = train(plan, start, rows)
            self._keep(result, start)
        return self
