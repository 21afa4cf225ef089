"""Multi-layer perceptron estimator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Literal, Self

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sklearn_mlce._estimators.base import BaseMLCE
from sklearn_mlce._estimators.member_selection import MemberSelection, check_members
from sklearn_mlce._estimators.stopped import raise_stopped
from sklearn_mlce._estimators.streaming import (
    LONGEST_CURVE,
    check_goes_on,
    in_precision,
    network_learns_from_chunks,
    validate_chunk,
)
from sklearn_mlce._estimators.validation_rows import epoch_scorer, hold_rows_out
from sklearn_mlce._network.architecture import Architecture
from sklearn_mlce._network.batches import Rows
from sklearn_mlce._network.callbacks import copy_callbacks
from sklearn_mlce._network.checkpoint import CheckpointFile, TrainingState, open_checkpoint
from sklearn_mlce._network.fingerprint import check_same_fit, fingerprint
from sklearn_mlce._network.input_scaling import scaling_of
from sklearn_mlce._network.perceptron import (
    ACTIVATIONS,
    compute_scores,
    dtype_of,
    predictor,
)
from sklearn_mlce._network.plan import (
    AVERAGED_EPOCHS,
    SCHEDULES,
    TrainingPlan,
    layer_widths,
    network_device,
    resolve_batch_size,
    resolve_max_epochs,
    resolve_precision,
    training_dtype,
)
from sklearn_mlce._network.process_group import ALONE, SingleProcess, device_of_process, join_group
from sklearn_mlce._network.train import train, weight_headers
from sklearn_mlce._network.user_network import UserNetwork, check_not_shaped, of_module
from sklearn_mlce._objectives.registry import LOSSES, LossName
from sklearn_mlce._objectives.weights import check_label_weight, warn_unknown_labels
from sklearn_mlce._targets.targets import TargetFormat, constant_label_scores
from sklearn_mlce._utils.callbacks import fitted_state_kept
from sklearn_mlce._utils.random import draw_seed
from sklearn_mlce._utils.tensors import usual_torch_modes
from sklearn_mlce._utils.typing import available_if, fit_context, with_callbacks

# What shapes the perceptron, and is refused beside a module of the user's.
_HIDDEN_LAYER_SIZES, _ACTIVATION, _DROPOUT = (256,), "silu", 0.5


class MLCEMLP(BaseMLCE):
    """Multi-layer perceptron for multi-label classification.

    Trained by mini-batch gradient steps (AdamW). A label is predicted where its score is above
    zero. The default, ``loss="auto"``, trains a smooth hinge for each label of 0 and 1. Its margins
    put the threshold zero near the highest F1. ``loss="mlce"`` is the published multi-label softmax
    cross-entropy (MLCE) [1]_, which is also the default for soft labels. With a 1-D `y` the default
    is the loss of logistic regression (two classes) or softmax regression (more).

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(256,)
        Width of each hidden layer; ``()`` makes the model linear.
    module : callable, default=None
        Function or class that makes a network of your own in place of the perceptron. It is called
        with the numbers of features and of outputs, and returns a new :class:`torch.nn.Module`,
        which maps rows of shape (n, n_features) to scores of shape (n, n_outputs). The network gets
        dense batches, also of sparse X. With `learn_threshold` there is one output more. Define
        `module` where pickles can import it. `hidden_layer_sizes`, `activation` and `dropout` are
        then refused. See :doc:`/user_guide/torch_modules`.
    n_members : int, default=1
        Networks to train at once, each with the one hidden layer of `hidden_layer_sizes`. `fit`
        keeps one network, which gives the mean of their scores. Where a threshold decides on
        labels, `fit` chooses it: each network leaves out its own share of the rows, and scores it.
        `fit` keeps the epoch with the highest micro-averaged F1 of these scores, in the mean of
        five epochs, and subtracts its threshold. For noisy tables of some hundred rows try
        ``MLCEMLP(128, n_members=8, learning_rate_init=0.006)``; texts are better served by 1. See
        :doc:`/user_guide/network`.
    activation : {"silu", "relu", "gelu", "tanh", "logistic", "identity"}, default="silu"
        Function of the hidden units.
    dropout : float in [0, 1), default=0.5
        Probability with which a training step leaves out a hidden unit.
    input_scaling : {"auto", "robust", "overall"} or None, default="auto"
        How the network scales its features, learned from the training rows. "robust" is for dense
        X: it subtracts the median, divides by the distance of the quartiles, and draws outliers in
        smoothly, to 3 at most. "overall" multiplies X by one number, so that the absolute entries
        of a row add up to 32 on average. The weights of rare features then change more slowly.
        "auto" is "robust" for dense and "overall" for sparse X. None leaves X as it is. One number
        does not help if one column is far larger than the others: use
        :class:`~sklearn.preprocessing.MaxAbsScaler` first.
    alpha : float, default=0.1
        Weight decay: each step shrinks the weight matrices, not the biases, by the factor
        ``1 - learning_rate_init * alpha``. Unlike the alpha of
        :class:`~sklearn.neural_network.MLPClassifier` it is not divided by the number of rows.
    batch_size : int or "auto", default="auto"
        Number of rows of a step. "auto" is about a tenth of the rows, a power of 2 from 32 to 512.
        A batch never holds more rows than there are, and a batch of all rows is not shuffled.
    learning_rate : {"constant", "one_cycle"}, default="one_cycle"
        How the step size changes from step to step of `fit`. "constant" keeps `learning_rate_init`.
        "one_cycle" rises to it in the first twentieth of the steps, then falls along half a cosine,
        to almost 0 after `max_epochs`. `partial_fit` knows no last step and keeps
        `learning_rate_init`.
    learning_rate_init : float, default=0.003
        Step size of AdamW, the largest one where it changes.
    max_epochs : int or "auto", default="auto"
        Passes over the training rows; "auto" makes about 400 steps, in 3 to 60 passes. All passes
        are made unless `early_stopping` or a callback ends the training. Convergence is not tested,
        so there is no ConvergenceWarning.
    gradient_clipping : float, default=None
        Largest Euclidean norm of a step's gradient, over all weights; a longer one is shortened.
    early_stopping : bool, default=False
        Whether to hold out rows, and to stop when their score has not improved for
        `n_iter_no_change` epochs. The weights of the best epoch are kept.
    scoring : str or callable, default="loss"
        Score by which `early_stopping` compares epochs. "loss" is the training loss on the held-out
        rows. Others are the name of a scorer of scikit-learn, such as "f1_micro", or a callable
        ``scorer(estimator, X, y)``, the greater the better. Where a score is not a number, labels
        that are the same in all held-out rows are left out: "roc_auc" has none of a label that no
        held-out row carries.
    validation_fraction : float in (0, 1), default=0.1
        Part of the rows that `early_stopping` holds out where `fit` is not given `X_val`. It is
        drawn by `random_state` and stratified: each label or class is about as frequent there as in
        all rows, and keeps a positive row to train on.
    n_iter_no_change : int, default=10
        Epochs without a better score after which training with `early_stopping` ends. Training of
        several networks (`n_members`) ends after twice as many.
    loss : str or Module, default="auto"
        Loss to minimise. "auto" chooses by the kind of `y`. Labels of 0 and 1, some of them unknown
        or none, get "bce" with scale 8 and margins (0.2, 1.8). Soft labels, some strictly between 0
        and 1, get "mlce". A 1-D `y` gets the loss of logistic or softmax regression. Several
        outputs get :func:`~sklearn_mlce.losses.multioutput_loss`, or for their probabilities
        :func:`~sklearn_mlce.losses.multioutput_divergence_loss`. "mlce" is the published loss,
        "bce" the sum over labels of logistic losses, and both are shaped by `scale` and `margin`.
        "pairwise" compares each positive of a row with each negative and has no threshold, see
        `n_labels_per_row`. Other sums over labels are "squared_hinge", "focal",
        "class_balanced_focal", "distribution_balanced" and "asymmetric", as in
        :mod:`sklearn_mlce.losses`. They have the default options there, and the counts of labels in
        `y`. For other options pass a module from there; any torch module ``loss(scores, targets)``
        will do. With a multiclass `y` a sum over labels trains one class against the rest. Several
        outputs take "auto" and "mlce" alone.
    learn_threshold : bool, default=False
        Whether the network learns a threshold for each row, as one more output. The threshold is
        subtracted from the scores, so that zero is the threshold again.
    n_labels_per_row : int, default=None
        Number of labels to predict for each row of a multi-label `y`: the best ones. Scores are
        shifted, row by row, so that these alone are above zero. "pairwise" needs it.
    label_weight : array-like of shape (n_labels,), dict or "balanced", default=None
        Positive weight of each label of a multi-label `y`. In sums over labels the weight is a
        factor of the label's loss; in "mlce" and "pairwise" it stands inside the logarithms. A dict
        holds the weights that are not 1, by the column names of `y`, or by column number where it
        has none; a Series has all, by its index. "balanced" divides the mean number of positive
        rows per label by the label's own number.
    scale : float, default=None
        Scale of the scores in "mlce", "bce" and "pairwise", which are divided by it. None is 1.
        Refused with "auto", which chooses it.
    margin : float or pair of float, default=None
        Margin by which scores are to clear the threshold in "mlce" and "bce". A pair has the margin
        of negatives and that of positives. In "pairwise", and for a multiclass `y` in "mlce", one
        number by which a positive or the true class is to lead. None is 0. Refused with "auto",
        which chooses it.
    callbacks : list of skorch.callbacks.Callback, default=None
        Called during `fit`, for instance to log or to stop the training. The user guide says
        which ones work. A fit uses shallow copies. scikit-learn's go to `set_callbacks`.
    checkpoint_dir : str or path-like, default=None
        Directory where `fit` writes ``checkpoint.npz`` after each epoch. The file of an earlier fit
        is overwritten, and the last one stays. Each fit needs a directory of its own.
    resume : bool, default=False
        Whether `fit` goes on from the checkpoint in `checkpoint_dir`. It ends with the weights of a
        run that had not stopped, bit by bit on a CPU. Without a checkpoint `fit` starts anew. The
        checkpoint of a fit with other parameters or data is refused.
    device : str, default="cpu"
        Where to train and to predict: the name of any device of torch, such as "cuda:1". "auto"
        is the first of "cuda", "mps" and "xpu" that torch finds, else "cpu"; "mps" takes dense X
        of float32 alone.
    precision : {"auto", "full", "mixed"}, default="auto"
        Precision of training. "full" is that of X. "mixed" multiplies matrices in bfloat16 and
        keeps weights and loss in float32. It needs a GPU or CPU with instructions for bfloat16, and
        is refused elsewhere. "auto" is "mixed" on such a GPU, and float32 elsewhere, for float64 X
        too. Scaling and predictions are always made in the precision of X.
    data_parallel : bool, default=False
        Whether `fit` trains in all processes that ``torchrun`` or another launcher started, by
        torch's DistributedDataParallel. All are given the same X and y, and each computes a part of
        every batch, with ``device="cuda"`` on a GPU of its own. The weights are those of one
        process, up to rounding. See :doc:`/user_guide/long_trainings`.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights and moments of the last fit, for `max_epochs` more
        epochs. Classes or labels, number of features and layers must be the same. With
        ``learning_rate="one_cycle"`` the new epochs are a cycle of their own.
    random_state : int, RandomState instance or None, default=None
        Seed of the first weights, the order of rows, dropout and the held-out rows. None takes
        one from the operating system. The global generators of NumPy and torch are left alone.

    Attributes
    ----------
    state_dict_ : dict of str to ndarray
        Weights of layer i, ``"layers.{i}.weight"`` of shape (n_in, n_out), and its biases,
        ``"layers.{i}.bias"`` of shape (n_out,); with `input_scaling` also
        ``"input_scaling.centre"`` and ``"input_scaling.factor"``. A `module` has its own names,
        after ``"module."``. Float32 where X was float32, otherwise float64.
    optimizer_state_ : dict of str to dict of str to ndarray
        AdamW's moments of each weight and bias of `state_dict_`. Only with ``warm_start=True`` or
        after `partial_fit`; elsewhere empty, so that pickles stay small.
    loss_ : str or Module
        The loss that was trained: `loss`, or the name that "auto" stands for.
    scale_ : float or None
        Scale of the loss that was trained; None where the loss has none.
    margin_ : float, pair of float or None
        Margin or margins of the loss that was trained; None where the loss has none.
    classes_ : ndarray or list of ndarray
        Classes of a 1-D `y`; ``np.arange(n_labels)`` of a multi-label one; a list of the classes
        of each output of a multiclass-multioutput one.
    label_names_ : ndarray of shape (n_labels,)
        Column names of `y`, or its tags, sorted. Only where `y` was a DataFrame or tags.
    n_iter_ : int
        Epochs made, over all calls that trained these weights.
    loss_curve_ : list of float
        Mean training loss of each epoch; of the last 1,000 epochs after `partial_fit`.
    validation_scores_ : list of float
        Score of the held-out rows after each epoch, minus their mean loss for ``scoring="loss"``;
        empty without `early_stopping`. With several networks (`n_members`) the best micro-F1
        that a threshold reaches, each row scored by the network that was trained without it.
    best_epoch_ : int
        Epoch whose weights are kept, counted from 1: the one of the best score, or the last. With
        several networks (`n_members`) it is the last of the five epochs in a row with the best
        mean score.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features. Only where X had string column names.

    See Also
    --------
    MLCEClassifier : Linear model with the same losses, fitted exactly.
    sklearn_mlce.losses.mlce_loss : The published loss, for torch.
    sklearn_mlce.losses.binary_cross_entropy_loss : "bce", for torch.

    Notes
    -----
    `y` may be a matrix of 0 and 1, dense or sparse; a matrix of soft targets in [0, 1]; or 1-D
    classes. NaN in a matrix is an unknown label. Several outputs have a column of classes each, as
    text or as whole numbers of more than two values. There None and NaN are an unknown class. What
    is unknown takes no part in the loss. `fit` takes probabilities of several outputs too. Features
    of any size will do, since the network scales them itself. Sparse X is never made dense but for
    a `module`, a batch at a time. `partial_fit` learns the scaling, and how often each label
    occurs, from the first chunk, which should be a fair sample of a few hundred rows.

    The defaults were chosen on six public data sets, see :doc:`/user_guide/network`. The last
    biases start at the scores of least loss without features, or near them. With a loss that is a
    module they start at 0.

    A label that is positive in no training row has the score -1e9, below all others. It is never
    predicted, unless `n_labels_per_row` asks for more labels than were trained. A label that is
    negative in no training row has the score 1e9.

    With ``sample_weight`` the loss of a step is the weighted mean over its batch.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022.
    .. [2] Loshchilov, Hutter, "Decoupled Weight Decay Regularization",
       https://arxiv.org/abs/1711.05101, 2019 (AdamW).
    .. [3] Holzmueller, Grinsztajn, Steinwart, "Better by Default: Strong Pre-Tuned MLPs and
       Boosted Trees on Tabular Data", https://arxiv.org/abs/2407.04491, 2024 (the scaling).

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.metrics import f1_score
    >>> from sklearn_mlce import MLCEMLP
    >>> X, Y = make_multilabel_classification(n_samples=300, n_classes=6, random_state=0)
    >>> model = MLCEMLP(random_state=0).fit(X[:200], Y[:200])
    >>> model.decision_function(X[200:]).shape
    (100, 6)
    >>> f1_score(Y[200:], model.predict(X[200:]), average="micro") > 0.6
    True
    """

    __module__ = "sklearn_mlce"

    n_iter_: int
    loss_curve_: list[float]
    validation_scores_: list[float]
    _factory: Any = None  # of the user's module that was fitted; None is the perceptron

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "module": [callable, None],
        "n_members": [Interval(Integral, 1, 1000, closed="both")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "input_scaling": [StrOptions({"auto", "robust", "overall"}), None],
        "alpha": [Interval(Real, 0, 1e6, closed="both")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(SCHEDULES))],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "max_epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "gradient_clipping": [Interval(Real, 0, None, closed="neither"), None],
        "early_stopping": ["boolean"],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "loss": [StrOptions(set(LOSSES)), nn.Module],
        "learn_threshold": ["boolean"],
        "n_labels_per_row": [Interval(Integral, 1, None, closed="left"), None],
        "label_weight": ["array-like", StrOptions({"balanced"}), dict, None],
        "scale": [Interval(Real, 0, None, closed="neither"), None],
        "margin": [Interval(Real, 0, None, closed="left"), tuple, list, None],
        "callbacks": [list, tuple, None],
        "checkpoint_dir": [str, PathLike, None],
        "resume": ["boolean"],
        "device": [str],
        "precision": [StrOptions({"auto", "full", "mixed"})],
        "data_parallel": ["boolean"],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = _HIDDEN_LAYER_SIZES,
        *,
        module: Callable[[int, int], nn.Module] | None = None,
        n_members: int = 1,
        activation: str = _ACTIVATION,
        dropout: float = _DROPOUT,
        input_scaling: Literal["auto", "robust", "overall"] | None = "auto",
        alpha: float = 0.1,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: Literal["constant", "one_cycle"] = "one_cycle",
        learning_rate_init: float = 0.003,
        max_epochs: int | Literal["auto"] = "auto",
        gradient_clipping: float | None = None,
        early_stopping: bool = False,
        scoring: Any = "loss",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        loss: LossName | nn.Module = "auto",
        learn_threshold: bool = False,
        n_labels_per_row: int | None = None,
        label_weight: Any = None,
        scale: float | None = None,
        margin: Any = None,
        callbacks: Any = None,
        checkpoint_dir: Any = None,
        resume: bool = False,
        device: str = "cpu",
        precision: Literal["auto", "full", "mixed"] = "auto",
        data_parallel: bool = False,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes, self.module = hidden_layer_sizes, module
        self.n_members, self.input_scaling = n_members, input_scaling
        self.activation, self.dropout = activation, dropout
        self.alpha, self.batch_size = alpha, batch_size
        self.learning_rate, self.learning_rate_init = learning_rate, learning_rate_init
        self.max_epochs, self.gradient_clipping = max_epochs, gradient_clipping
        self.early_stopping, self.scoring = early_stopping, scoring
        self.validation_fraction, self.n_iter_no_change = validation_fraction, n_iter_no_change
        self.loss, self.learn_threshold = loss, learn_threshold
        self.n_labels_per_row, self.label_weight = n_labels_per_row, label_weight
        self.scale, self.margin = scale, margin
        self.callbacks = callbacks
        self.checkpoint_dir, self.resume = checkpoint_dir, resume
        self.device, self.precision = device, precision
        self.data_parallel = data_parallel
        self.warm_start, self.random_state = warm_start, random_state

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
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
            Numbers. float16 becomes float32; all types but these two become float64.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Classes, or the labels of each row: 0/1, soft in [0, 1], or NaN where unknown. Or tags:
            a list, tuple or set of text for each row. Or the classes of several outputs, of shape
            (n_samples, n_outputs), as text or whole numbers, None or NaN where unknown. Or their
            probabilities: an array (n_samples, n_outputs, n_classes), or a matrix for each output.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Rows for `early_stopping` to score, in place of a part of X. A
            :class:`~sklearn.pipeline.Pipeline` transforms them like X where it was made with
            ``transform_input=["X_val"]``.
        y_val : {array-like, sparse matrix} of shape (n_val,) or (n_val, n_labels), default=None
            Classes, labels or tags of `X_val`.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights.

        Returns
        -------
        MLCEMLP
            The fitted estimator.

        Raises
        ------
        TypeError
            If X holds text, dates or durations, or `module` makes none.
        ValueError
            If X, y, a weight or a parameter is not usable, if the checkpoint to resume is that of
            another fit, or if the loss or a weight becomes infinite or NaN. After any error an
            earlier fit is kept. Without an earlier fit, the estimator keeps the weights of the best
            epoch that had ended.
        OSError
            If a checkpoint cannot be written.
        MemoryError
            If the network, or a batch, does not fit in memory.
        RuntimeError
            If, with `data_parallel`, another process has ended before its time.
        KeyboardInterrupt
            If the fit is interrupted. After the first epoch the estimator keeps the weights of the
            best epoch so far, or the last one where none is scored, and a ConvergenceWarning says
            so. Before, the estimator keeps an earlier fit.
        """
        was_fitted, group = hasattr(self, "state_dict_"), join_group(self.data_parallel)
        with fitted_state_kept(self), usual_torch_modes(), group as processes:
            monitor = self._monitor(X, y, sample_weight)
            rows = Rows(*self._validate_fit(X, y, sample_weight))
            warn_unknown_labels(rows.targets)
            plan = self._plan(rows, self.max_epochs, self.warm_start, go_on=self.warm_start)
            monitor.open("epoch", plan.max_epochs)
            start = self._start(plan, rows.targets.format, go_on=self.warm_start)
            file, start = processes.call_on_first(partial(self._open_checkpoint, start))
            self._remember(rows.targets)
            members = MemberSelection.of(self, plan, rows, start.seed)
            monitor.attributes_of = lambda net: {"state_dict_": members.combined(net.weights())}
            given = (X_val, y_val, sample_weight_val)
            rows, held_out = hold_rows_out(self, rows, given, start.seed)
            callbacks = copy_callbacks(self.callbacks or (), plan.schedule, self.resume)
            self._fixed_scores = constant_label_scores(rows.targets)
            self._remember_network(plan, start.seed)
            score = epoch_scorer(self, self.scoring, held_out) if held_out else members.score
            start, save = self._resume(file, plan, start, rows, held_out, processes)
            state = train(
                plan,
                start,
                rows,
                held_out,
                member_weight=members.member_weight,
                score=score,
                callbacks=callbacks,
                monitor=monitor,
                save=save,
                processes=processes,
            )
            if isinstance(state.stopped_by, Exception) and was_fitted:
                raise state.stopped_by
            self._keep(replace(state, best_weights=members.combined(state.best_weights)))
            if state.stopped_by is None:
                monitor.close()
        if state.stopped_by is not None:
            raise_stopped(state.stopped_by, self)
        return self

    @available_if(network_learns_from_chunks)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Make one epoch over a chunk of rows, going on from the last call or fit.

        The step size is `learning_rate_init` whatever `learning_rate` says, as a stream has no
        known end, and AdamW's moments go on from call to call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features of the chunk.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Classes, or the labels or tags of each row; the first call fixes which labels.
        classes : array-like of shape (n_classes,), default=None
            All classes of a 1-D `y`, all tags, or a list of the classes of each output, on the
            first call; None takes those of its chunk. With a matrix of labels, None,
            ``np.arange(n_labels)``, or ``[0, 1]``, the values of its entries, which
            :func:`~sklearn.model_selection.learning_curve` passes.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row.

        Returns
        -------
        MLCEMLP
            The estimator, trained further.

        Raises
        ------
        TypeError
            If X holds text, dates or durations.
        ValueError
            If X, y, a weight or a parameter is not usable or does not fit the earlier calls.
            The state before the call is then kept.
        AttributeError
            If `early_stopping` is set: a chunk holds no rows out; or if `loss` or `label_weight`
            needs the labels of all rows.
        """
        group = join_group(self.data_parallel)
        with fitted_state_kept(self), usual_torch_modes(), group as processes:
            first = not hasattr(self, "state_dict_")
            X, targets, sample_weight = validate_chunk(
                self, X, y, classes, sample_weight, first=first
            )
            if not first:
                X, sample_weight = in_precision(dtype_of(self.state_dict_), X, sample_weight)
            rows = Rows(X, targets, sample_weight)
            plan = self._plan(rows, 1, keep_moments=True, go_on=True)
            plan = replace(plan, schedule="constant")
            start = processes.broadcast(self._start(plan, targets.format, go_on=True))
            self._resume(None, plan, start, rows, None, processes)
            fixed = constant_label_scores(targets)
            if first:
                self._remember(targets)
                self._fixed_scores = fixed
            else:
                self._remember_loss(targets)
                self._fixed_scores = np.where(fixed == self._fixed_scores, fixed, np.nan)
            self._remember_network(plan, start.seed)
            self._keep(train(plan, start, rows, processes=processes))
            self.loss_curve_ = self.loss_curve_[-LONGEST_CURVE:]
        return self

    def _plan(
        self, rows: Rows, max_epochs: int | str, keep_moments: bool, go_on: bool
    ) -> TrainingPlan:
        device = self._network_device(rows.X, rows.X.dtype)
        objective = self._objective_for(rows.targets.format)
        batch_size = resolve_batch_size(self.batch_size, len(rows))
        n_epochs = resolve_max_epochs(max_epochs, batch_size, len(rows))
        return TrainingPlan(
            architecture=self._planned_architecture(rows, go_on),
            dropout=float(self.dropout),
            alpha=float(self.alpha),
            batch_size=batch_size,
            learning_rate=float(self.learning_rate_init),
            schedule=self.learning_rate,
            gradient_clipping=self.gradient_clipping,
            max_epochs=n_epochs,
            patience=self.n_iter_no_change * (1 if self.n_members == 1 else 2),
            averaged_epochs=1 if self.n_members == 1 else AVERAGED_EPOCHS,
            label_weight=check_label_weight(
                self.label_weight, rows.targets, objective, rows.sample_weight
            ),
            objective=objective,
            device=device,
            dtype=training_dtype(self.precision, rows.X.dtype),
            mixed_precision=resolve_precision(self.precision, device),
            keep_moments=keep_moments,
            factory=self.module,
        )

    def _network_device(self, X: Any, dtype: np.dtype) -> torch.device:
        device = network_device(self.device, dtype, sparse=sp.issparse(X))
        return device_of_process(device) if self.data_parallel else device

    def _planned_architecture(self, rows: Rows, go_on: bool) -> Architecture:
        scaling = scaling_of(self.input_scaling, rows.X)
        if go_on and self.input_scaling == "auto" and hasattr(self, "state_dict_"):
            scaling = self._architecture["input_scaling"]  # what the first rows made of it
        widths = layer_widths(self.hidden_layer_sizes)
        if self.n_members > 1:
            check_members(self, len(widths))
            widths = (self.n_members * widths[0],)
        architecture = Architecture(
            rows.X.shape[1],
            widths if self.module is None else (),
            rows.targets.n_outputs,
            self.activation,
            scaling,
            learned_threshold=bool(self.learn_threshold),
            n_members=int(self.n_members),
        )
        if self.module is None:
            return architecture
        shaping = {
            "hidden_layer_sizes": (widths, _HIDDEN_LAYER_SIZES),
            "activation": (self.activation, _ACTIVATION),
            "dropout": (self.dropout, _DROPOUT),
        }
        check_not_shaped(shaping)
        return of_module(architecture, self.module)

    def _start(self, plan: TrainingPlan, target_format: TargetFormat, go_on: bool) -> TrainingState:
        """State to begin with: a new one, or that in which the last call ended."""
        if not (go_on and hasattr(self, "state_dict_")):
            return TrainingState(draw_seed(self.random_state))
        check_goes_on(self, plan.architecture, target_format)
        return TrainingState(
            self._seed, self._n_epochs, weights=self.state_dict_, moments=self.optimizer_state_
        )

    def _open_checkpoint(self, start: TrainingState) -> tuple[CheckpointFile | None, TrainingState]:
        """Return the checkpoint's file, and the state with the seed that the file may hold."""
        return open_checkpoint(
            self.checkpoint_dir,
            start,
            resume=self.resume,
            seed_is_drawn=self.random_state is None,
        )

    def _remember_network(self, plan: TrainingPlan, seed: int) -> None:
        """Keep what makes the network again from its weights."""
        self._architecture = asdict(plan.architecture.combined)
        self._factory, self._seed = plan.factory, seed

    def _resume(
        self,
        file: CheckpointFile | None,
        plan: TrainingPlan,
        start: TrainingState,
        rows: Rows,
        held_out: Rows | None,
        processes: SingleProcess,
    ) -> tuple[TrainingState, Callable[[TrainingState], None] | None]:
        """Return the state to go on from, and the function that saves each state after it."""
        if file is None and processes is ALONE:
            return start, None
        of_fit = fingerprint(
            plan,
            rows,
            held_out,
            seed=start.seed,
            n_epochs_before=start.n_epochs_before,
            scoring=self.scoring,
        )
        check_same_fit(of_fit, processes)
        if file is None:
            return start, None
        if self.resume:
            expected = partial(weight_headers, plan, rows.X.dtype, start.seed)
            start = processes.call_on_first(partial(file.resumable, of_fit, start, expected))
        return start, lambda state: processes.call_on_first(partial(file.write, state, of_fit))

    def _keep(self, state: TrainingState) -> None:
        """Set the fitted attributes of a state; the curves go on where the training did."""
        went_on = state.n_epochs_before > 0
        self.state_dict_, self.optimizer_state_ = state.best_weights, state.best_moments
        self._seed, self._n_epochs = state.seed, state.n_epochs_of_best
        self.best_epoch_ = state.best_epoch + (self.n_iter_ if went_on else 0)
        losses, scores = (self.loss_curve_, self.validation_scores_) if went_on else ([], [])
        self.loss_curve_ = [*losses, *state.losses]
        self.validation_scores_ = [*scores, *state.scores]
        self.n_iter_ = state.n_epochs + (self.n_iter_ if went_on else 0)

    def _scores(self, X: Any) -> np.ndarray:
        architecture, weights = Architecture(**self._architecture), self.state_dict_
        device = self._network_device(X, dtype_of(weights))
        with usual_torch_modes():
            scores = compute_scores(architecture, weights, X, device, self._factory, self._seed)
        fixed = ~np.isnan(self._fixed_scores)
        scores[:, fixed] = self._fixed_scores[fixed]
        return scores

    def _torch_model(self, outputs: nn.Module, n_best: int | None) -> nn.Module:
        from sklearn_mlce._export.models import ModuleModel, PerceptronModel

        architecture, arrays = Architecture(**self._architecture), self.state_dict_
        copies = {name: array.copy() for name, array in arrays.items()}
        network = predictor(architecture, copies, torch.device("cpu"), self._factory, self._seed)
        parameters = {
            "input_scaling": network.input_scaling,
            "learned_threshold": architecture.learned_threshold,
            "constant_scores": self._fixed_scores,
            "outputs": outputs,
            "n_best": n_best,
        }
        if isinstance(network, UserNetwork):
            return ModuleModel(network.module, **parameters)
        layers = [
            (arrays[f"layers.{i}.weight"], arrays[f"layers.{i}.bias"])
            for i in range(len(architecture.sizes) - 1)
        ]
        return PerceptronModel(layers, network.activation, **parameters)
