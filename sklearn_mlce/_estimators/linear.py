"""The linear estimator."""

from __future__ import annotations

from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import scipy.sparse as sp
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.extmath import safe_sparse_dot

from sklearn_mlce._estimators.base import BaseMLCE
from sklearn_mlce._estimators.stored_coefficients import StoredCoefficientsMixin
from sklearn_mlce._estimators.streaming import (
    LONGEST_CURVE,
    in_precision,
    learns_from_chunks,
    validate_chunk,
)
from sklearn_mlce._objectives.registry import LOSSES, LossName
from sklearn_mlce._objectives.weights import check_label_weight, warn_unknown_labels
from sklearn_mlce._solvers.coefficients import WarmStart
from sklearn_mlce._solvers.standardisation import (
    column_sizes,
    mean_squared_distance,
    name_of_scaling,
    typical_squared_distance,
)
from sklearn_mlce._solvers.stream_state import StreamState
from sklearn_mlce._targets.label_names import check_label_names
from sklearn_mlce._targets.targets import (
    CONSTANT_LABEL_SCORE,
    TargetFormat,
    Targets,
    constant_label_scores,
    is_trainable,
    same_classes,
)
from sklearn_mlce._utils.callbacks import fitted_state_kept
from sklearn_mlce._utils.optional import Module, import_torch
from sklearn_mlce._utils.random import draw_seed
from sklearn_mlce._utils.typing import (
    SolverName,
    available_if,
    fit_context,
    with_callbacks,
)

if TYPE_CHECKING:
    from torch import nn

    from sklearn_mlce._solvers.problem import LinearProblem
    from sklearn_mlce._solvers.stream import LiveWeights

# The default C of labels is one over the rows' squared distance where the loss has a margin.
# Without one threshold zero is good where scores are large: of 1, 10, 100 and 1000 this factor was
# the best or next to it (benchmarks/results/default_c.md). A 1-D y has the C of scikit-learn's
# LogisticRegression.
_C_WITHOUT_MARGIN = 100.0
# Several outputs have no threshold: of 1, 3, 10, 30, 100 and 1000 this was next to the best in the
# mean, beside 3, which is worse on texts (benchmarks/results/outputs.md).
_C_OF_OUTPUTS = 10.0


class MLCEClassifier(StoredCoefficientsMixin, BaseMLCE):
    r"""Linear multi-label classifier, fitted exactly or, where that is slow, in mini-batches.

    The default, ``loss="auto"``, trains a smooth hinge for each label of 0 and 1. Its margins put
    the threshold zero near the highest F1. ``loss="mlce"`` is the published multi-label softmax
    cross-entropy (MLCE) [1]_, which is also the default for soft labels. A label is predicted where
    its score is above zero. With a 1-D `y` the default is logistic regression (two classes) or
    softmax regression (more).

    Minimises, over coefficients :math:`W` and intercepts :math:`b` of the scores
    :math:`s_r = W x_r + b`,

    .. math::

        \frac{1}{2} \sum_{j, l} \sigma_{jl}^2 W_{lj}^2
        + \frac{C}{\gamma} \sum_r v_r\, \ell(s_r),

    where :math:`W_{lj}` is the coefficient of column :math:`j` for label :math:`l`, and
    :math:`\sigma_{jl}` its unit, 1 unless `input_scaling` says otherwise. Row :math:`r` has sample
    weight :math:`v_r`, and :math:`\gamma` is the scale. Let a row have positive labels :math:`P`
    and negative ones :math:`N`, :math:`w` be label weights, and :math:`m_0` and :math:`m_1` the
    margins. Under "mlce" and "bce" the loss of the row is

    .. math::

        \ell_\mathrm{mlce} &= \log\Bigl(1 + \sum_{i \in N} w_i e^{\gamma (s_i + m_0)}\Bigr) \\
        &+ \log\Bigl(1 + \sum_{j \in P} w_j e^{-\gamma (s_j - m_1)}\Bigr), \\
        \ell_\mathrm{bce} &= \sum_{i \in N} w_i \log\bigl(1 + e^{\gamma (s_i + m_0)}\bigr) \\
        &+ \sum_{j \in P} w_j \log\bigl(1 + e^{-\gamma (s_j - m_1)}\bigr).

    Parameters
    ----------
    C : float, default=None
        Inverse strength of the L2 penalty, as in :class:`~sklearn.linear_model.LogisticRegression`.
        The intercepts are not penalised. None is 1.0 for a 1-D `y`. Otherwise None is one over the
        squared distance of the rows of X from their mean (from zero without intercept), so that the
        unit of X does not matter. A loss without a margin gets a hundred times that, several
        outputs ten times. The squared distance is the mean over rows. Where `input_scaling` divides
        columns by their sizes, it is that of a typical row: the fourth power of the mean of the
        distances' square roots.
    loss : str or Module, default="auto"
        Loss to minimise. "auto" chooses by the kind of `y`. Labels of 0 and 1, some of them unknown
        or none, get "bce" with scale 8 and margins (0.2, 1.8). Soft labels, some strictly between 0
        and 1, get "mlce". A 1-D `y` gets logistic or softmax regression. Several outputs get
        :func:`~sklearn_mlce.losses.multioutput_loss`, or for probabilities of their classes
        :func:`~sklearn_mlce.losses.multioutput_divergence_loss`. "mlce" is the published loss,
        "bce" the sum over labels of logistic losses, and both are shaped by `scale` and `margin`.
        "pairwise" compares each positive of a row with each negative and has no threshold, see
        `n_labels_per_row`. "squared_hinge" sums :math:`\max(0, 1 - y_{ri} s_{ri})^2` with
        :math:`y_{ri} = \pm 1`: the objective of :class:`~sklearn.svm.LinearSVC`, but without its
        penalty of the intercept. "focal", "class_balanced_focal", "distribution_balanced" and
        "asymmetric" are those of :mod:`sklearn_mlce.losses`, with the default options there and the
        counts of labels in `y`. These four are not convex, and take ``solver="sgd"``. So does any
        torch module ``loss(scores, targets)``. With a multiclass `y` a sum over labels fits one
        class against the rest. Several outputs take "auto" and "mlce" alone.
    n_labels_per_row : int, default=None
        Number of labels to predict for each row of a multi-label `y`: the best ones. Scores are
        shifted, row by row, so that these alone are above zero. "pairwise" needs it.
    fit_intercept : bool, default=True
        Whether scores have an intercept.
    input_scaling : {"auto", "association", "columns"} or None, default="auto"
        In which units coefficients are penalised; `coef_` is for X as given. None treats all alike,
        as :class:`~sklearn.linear_model.LogisticRegression` does. "columns" divides each column of
        X by its size, inside the solver. The size is the fourth root of the fourth moment about the
        mean (about zero without intercept). So the unit of a column does not matter, and a constant
        column has coefficient 0. "association" weakens the penalty of a column for the labels that
        it goes with, see Notes. It needs "newton-cg" and a loss that is a sum over labels. "auto"
        is None where `C` is given: to search `C` on texts, set "association" as well. Else it is
        "columns" for dense X. For sparse X it is "association" if `y` has several labels, 0/1 or
        soft, and solver and loss allow it, else None. The first chunk of `partial_fit` decides for
        the rest; after a `fit` by association chunks go on with None.
    label_weight : array-like of shape (n_labels,), dict or "balanced", default=None
        Positive weight of each label of a multi-label `y`. In sums over labels the weight is a
        factor of the label's loss; in "mlce" and "pairwise" it stands inside the logarithms. A dict
        holds the weights that are not 1, by the column names of `y`, or by column number where it
        has none; a Series has all, by its index. "balanced" divides the mean number of positive
        rows per label by the label's own number.
    scale : float, default=None
        Scale :math:`\gamma` of the scores in "mlce", "bce" and "pairwise", which are divided by
        it. None is 1. Refused with "auto", which chooses it.
    margin : float or pair of float, default=None
        Margins :math:`m_0` of negatives and :math:`m_1` of positives, by which scores are to clear
        the threshold in "mlce" and "bce"; one number is both. In "pairwise", and for a multiclass
        `y` in "mlce", one number by which a positive or the true class is to lead. None is 0.
        Refused with "auto", which chooses it.
    solver : {"auto", "newton-cg", "sgd"}, default="auto"
        "newton-cg" goes to the optimum by a truncated Newton method. "sgd" goes near the optimum of
        the same objective, if `input_scaling_` is the same, by stochastic gradient descent in
        mini-batches. An epoch costs the stored entries of X times ``n_labels``. "auto" chooses by
        the shape of the data, see Notes.
    tol : float, default=1e-2
        Fraction of the first gradient at which "newton-cg" stops, for each label or class. Compared
        are the largest entries of the gradient, now and at constant scores: coefficients 0, and the
        best intercept of the label alone.
    max_iter : int, default=None
        Most Newton iterations of each label, where None is 100. For "sgd" the number of epochs,
        where None is 10, or more with few rows: as many as 1000 steps take. A large `C` needs more.
    warm_start : bool, default=False
        Whether `fit` starts from the coefficients of the last fit. Classes or labels and the number
        of features must be the same.
    label_block_size : int or "auto", default="auto"
        Most labels that are fitted at a time, where `loss` is a sum over labels that does not count
        them. "auto" is all labels, unless `n_jobs` or `coef_threshold` asks for blocks. A block
        then has 128 MiB of coefficients at most, and 129 labels at least.
    coef_threshold : float, default=0.0
        Limit below which coefficients are set to zero. Compared is the magnitude times the standard
        deviation of the feature (root mean square, without intercept). Intercepts take over what
        the coefficients add to the score of the mean row. Above 0 `coef_` is sparse from the first,
        block by block of labels. 1e-4 hardly changes rankings; 1e-5 hardly changes F1 either.
    n_jobs : int, default=None
        Blocks of labels that are fitted at a time, by :mod:`joblib`: in threads, unless its
        ``parallel_config`` says otherwise. None is 1 unless in a ``parallel_config``, -1 is all
        processors. A loss that couples the labels of a row is one block.
    device : str, default="cpu"
        Where to fit: "cpu", "cuda", one GPU of several such as "cuda:1", or "auto", which is "cuda"
        where torch finds a GPU, else "cpu". Predictions are made with NumPy.
    random_state : int, RandomState instance or None, default=None
        Draws the order of the rows in "sgd" and `partial_fit`; an int makes them repeatable.
        "newton-cg" has no randomness.

    Attributes
    ----------
    coef_ : ndarray or CSC array of shape (n_outputs, n_features)
        Coefficients; one row for a binary `y`, else one per label or class, output by output.
        Sparse where `coef_threshold` is above 0, and after :meth:`sparsify`.
        Float32 where X was float32, otherwise float64.
    intercept_ : ndarray of shape (n_outputs,)
        Intercepts. A label that was positive in no training row has coefficients 0 and intercept
        -1e9, below all others. It is never predicted, unless `n_labels_per_row` asks for more
        labels than were trained. A label that was negative in no training row has intercept 1e9.
    C_ : float
        The `C` that was used.
    input_scaling_ : "association", "columns" or None
        The `input_scaling` that was used. ``MLCEClassifier(C=model.C_,
        input_scaling=model.input_scaling_)`` fits the same model.
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
        Newton iterations, of the label that took the most where each is a problem of its own;
        epochs; or, by `partial_fit`, chunks.
    loss_curve_ : list of float
        Mean objective after each iteration: the formula above, divided by :math:`C \sum_r v_r`. Of
        an epoch or chunk it is the mean met on the way. The last 1,000 chunks are kept.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features. Only where X had string column names.

    See Also
    --------
    MLCEMLP : Multi-layer perceptron with the same losses.
    sklearn_mlce.losses.mlce_loss : The published loss, for torch.
    sklearn_mlce.losses.binary_cross_entropy_loss : "bce", for torch.

    Notes
    -----
    `y` may be a matrix of 0 and 1, dense or sparse; a matrix of soft targets in [0, 1]; or 1-D
    classes. NaN in a matrix is an unknown label. Several outputs have a column of classes each, as
    text or as whole numbers of more than two values. There None and NaN are an unknown class. What
    is unknown takes no part in the loss. Probabilities of their classes are an array of shape
    (n_samples, n_outputs, n_classes), which scikit-learn's searches index by rows. A list of
    matrices (n_samples, n_classes), as forests predict them, will do too. An output is unknown
    where all of its probabilities are NaN. `score` is the fraction of rows with every label right.
    Pass ``scoring="f1_micro"`` to searches instead.

    ``solver="auto"`` is "sgd" where that is three times as fast or more with
    ``input_scaling=None``, and "newton-cg" otherwise.
    For sparse X and several outputs the bound is (stored entries + ``n_features``) * ``n_outputs``
    above 2e7, or above 1e8 with sums over labels. "bce" with a margin, as in "auto", has no such
    bound. "sgd" is taken too where ``n_samples * n_outputs`` is above 1e8, where ``n_features *
    n_outputs`` is above 5e8, or where the loss is not known to be convex.

    ``input_scaling="association"`` takes the units

    .. math::

        \sigma_{jl}^2 &= c_l \bigl(1 + z_{jl}^2\bigr)^{-0.35}, \\
        z_{jl} &= \frac{\sum_r v_r (y_{rl} - \bar y_l)\, x_{rj} / \tau_j}
        {\sqrt{V \bar y_l (1 - \bar y_l)\, q_j + 1/2}}.

    :math:`z_{jl}` is the statistic of a test whether column and label go together [5]_: near 0 if
    they do not. Its sums are over the rows in which the label is known, of total weight :math:`V`
    and mean label :math:`\bar y_l`. From the second and the fourth moment of a column about its
    mean (about zero without intercept), :math:`m_2` and :math:`m_4`, come
    :math:`\tau_j^2 = m_4 / m_2` and :math:`q_j = m_2^2 / m_4`. In a rare column of 0 and 1 they are
    1 and the share of ones. The 1/2 keeps a word that is met once from counting as proof.
    :math:`c_l` leaves the mean squared distance of the rows, divided by :math:`\sigma_{jl}`, as it
    was: so the default `C` is good for every label.

    Newton's linear systems are solved by conjugate gradients, preconditioned by the Hessian's
    diagonal. A Hessian-vector product takes one product with X and one with its transpose. Losses
    that are sums over labels ("bce" and "squared_hinge") keep the scores of one block of labels in
    memory, the others those of all; `y` is kept as the list of its positives.

    A step of "sgd" for the rows of a batch, with the gradient :math:`g_r` of a row's loss in its
    scores, weighted by :math:`v_r` over the mean weight, is

    .. math::

        W &\leftarrow \frac{W - \eta_t \sum_r g_r (x_r - \mu)^T}{1 + \eta_t \lambda w}, \\
        b &\leftarrow b - \beta\, \eta_t \sum_r g_r,

    where :math:`x_r` is the row, its columns divided by their sizes if they are, :math:`\mu` is the
    mean row, :math:`w` the batch's weight and :math:`\lambda = 1 / (C \sum_r v_r)`. The step only
    touches the coefficients of features present in the batch: the factor and the mean are kept
    apart [3]_, [4]_. The first step is 2 to 4, divided by a bound of the loss's curvature and by
    the largest eigenvalue of a batch's Gram matrix. The steps fall linearly to zero. The intercepts
    start where the loss is least without features. No array of ``n_samples * n_labels`` is made.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022.
    .. [2] Lin, Weng, Keerthi, "Trust Region Newton Method for Large-Scale Logistic
       Regression", https://www.jmlr.org/papers/v9/lin08b.html, 2008 (Newton methods for
       regularised linear classifiers).
    .. [3] Bottou, "Stochastic Gradient Descent Tricks",
       https://doi.org/10.1007/978-3-642-35289-8_25, 2012.
    .. [4] Shalev-Shwartz, Singer, Srebro, Cotter, "Pegasos: Primal Estimated sub-GrAdient SOlver
       for SVM", https://doi.org/10.1007/s10107-010-0420-4, 2011 (the factor).
    .. [5] Rao, "Large Sample Tests of Statistical Hypotheses concerning Several Parameters",
       https://doi.org/10.1017/S0305004100023987, 1948 (the score test). Zou, "The Adaptive Lasso
       and Its Oracle Properties", https://doi.org/10.1198/016214506000000735, 2006 (penalties that
       a first estimate makes weaker).

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.metrics import f1_score
    >>> from sklearn_mlce import MLCEClassifier
    >>> X, Y = make_multilabel_classification(
    ...     n_samples=600, n_classes=6, n_labels=3, random_state=0
    ... )
    >>> classifier = MLCEClassifier().fit(X[:400], Y[:400])
    >>> classifier.decision_function(X[400:]).shape
    (200, 6)
    >>> round(f1_score(Y[400:], classifier.predict(X[400:]), average="micro"), 2)
    0.7

    The published loss has no margin, and a weaker penalty:

    >>> published = MLCEClassifier(loss="mlce").fit(X[:400], Y[:400])
    >>> float(round(published.C_ / classifier.C_))
    100.0
    >>> round(f1_score(Y[400:], published.predict(X[400:]), average="micro"), 2)
    0.68
    """

    __module__ = "sklearn_mlce"

    intercept_: np.ndarray
    C_: float
    input_scaling_: str | None
    n_iter_: int
    loss_curve_: list[float]
    _stream: dict[str, Any]  # fields of a StreamState

    _parameter_constraints: ClassVar[dict] = {
        "C": [Interval(Real, 0, None, closed="neither"), None],
        "loss": [StrOptions(set(LOSSES)), Module],
        "n_labels_per_row": [Interval(Integral, 1, None, closed="left"), None],
        "fit_intercept": ["boolean"],
        "input_scaling": [StrOptions({"auto", "association", "columns"}), None],
        "label_weight": ["array-like", StrOptions({"balanced"}), dict, None],
        "scale": [Interval(Real, 0, None, closed="neither"), None],
        "margin": [Interval(Real, 0, None, closed="left"), tuple, list, None],
        "tol": [Interval(Real, 0, 1e6, closed="right")],
        "solver": [StrOptions({"auto", "newton-cg", "sgd"})],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "warm_start": ["boolean"],
        "label_block_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "coef_threshold": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "device": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        C: float | None = None,
        *,
        loss: LossName | nn.Module = "auto",
        n_labels_per_row: int | None = None,
        fit_intercept: bool = True,
        input_scaling: Literal["auto", "association", "columns"] | None = "auto",
        label_weight: Any = None,
        scale: float | None = None,
        margin: Any = None,
        solver: SolverName = "auto",
        tol: float = 1e-2,
        max_iter: int | None = None,
        warm_start: bool = False,
        label_block_size: int | Literal["auto"] = "auto",
        coef_threshold: float = 0.0,
        n_jobs: int | None = None,
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.C = C
        self.loss = loss
        self.n_labels_per_row = n_labels_per_row
        self.fit_intercept = fit_intercept
        self.input_scaling = input_scaling
        self.label_weight = label_weight
        self.scale = scale
        self.margin = margin
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.label_block_size = label_block_size
        self.coef_threshold = coef_threshold
        self.n_jobs = n_jobs
        self.device = device
        self.random_state = random_state

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Numbers. float16 becomes float32; all types but these two become float64.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Classes, or the labels of each row: 0/1, soft in [0, 1], or NaN where unknown. Or tags:
            a list, tuple or set of text for each row. Or the classes of several outputs, of shape
            (n_samples, n_outputs), as text or whole numbers, None or NaN where unknown. Or their
            probabilities: one array (n_samples, n_outputs, n_classes), or a list with a matrix
            (n_samples, n_classes) for each output.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row.

        Returns
        -------
        MLCEClassifier
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
            If the solver did not reach `tol`.
        """
        import_torch("MLCEClassifier.fit")
        from sklearn_mlce._solvers.fit import BlockOptions, fit_linear, resolve_solver
        from sklearn_mlce._utils.tensors import usual_torch_modes

        self._write_coef()  # a warm start reads it, and the roll-back keeps what is written
        with fitted_state_kept(self), usual_torch_modes():
            monitor = self._monitor(X, y, sample_weight)
            X, targets, sample_weight = self._validate_fit(X, y, sample_weight)
            warn_unknown_labels(targets)
            start = self._start(X, targets)
            self._remember(targets)
            fixed = constant_label_scores(targets)
            sizes = self._column_sizes(X, sample_weight)
            problem = self._problem(X, targets, sample_weight, self.C, sizes)
            seed = draw_seed(self.random_state)
            blocks = BlockOptions(self.label_block_size, self.n_jobs, self.coef_threshold)
            solver = resolve_solver(
                problem, fixed, self.solver, self.max_iter, self.tol, seed, blocks
            )
            scaling = self._resolved_scaling(problem, solver.solver)
            problem = problem._replace(by_association=scaling == "association")
            monitor.open(solver.task_name, solver.n_tasks)
            for name, value in fit_linear(problem, fixed, start, solver, monitor).items():
                setattr(self, name, value)
            # Plain values: a stored model names no class of ours.
            self._stream = vars(StreamState(seed, problem.total_weight, fixed, sizes=sizes))
            self.input_scaling_ = scaling
            monitor.close()
        return self

    @available_if(learns_from_chunks)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        r"""Pass once over a chunk of rows in mini-batches, going on from the last call or fit.

        Each chunk is read once, whatever `solver` says but for "newton-cg", and `max_iter` plays no
        part. The penalty is that of all rows seen so far, those of an earlier `fit` included. So
        `C` means what it means in a fit of all rows together; a row passed twice counts twice. The
        steps fall with their number t as :math:`1 / \sqrt{1 + t / 50}`, so that the stream may end
        anywhere. A call costs what the features of its chunk cost. Where `coef_` was read since the
        last call, by a prediction or a pickle, say, the call copies `coef_` first.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features of the chunk. The first chunk should be a fair sample of a few hundred rows
            at least: it sets the size of the steps.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Classes, or the labels or tags of each row; the first call fixes which labels.
            A label is trained from the first chunk on by which it has been seen both ways.
        classes : array-like of shape (n_classes,), default=None
            All classes of a 1-D `y`, all tags, or a list of the classes of each output, on the
            first call; None takes those of its chunk. With a matrix of labels, None,
            ``np.arange(n_labels)``, or ``[0, 1]``, the values of its entries, which
            :func:`~sklearn.model_selection.learning_curve` passes.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row.

        Returns
        -------
        MLCEClassifier
            The estimator, trained further.

        Raises
        ------
        TypeError
            If X holds text, dates or durations.
        ValueError
            If X, y, a weight or a parameter is not usable or does not fit the earlier calls, or
            if ``solver="newton-cg"`` or ``input_scaling="association"``, which need all rows at
            once. The state before the call is then kept.
        AttributeError
            If `loss` or `label_weight` needs the labels of all rows.
        """
        if self.solver == "newton-cg":
            raise ValueError(
                "solver='newton-cg' needs all rows at once and cannot learn from chunks; "
                "set solver='auto' or solver='sgd', or call fit"
            )
        if self.input_scaling == "association":
            raise ValueError(
                "input_scaling='association' needs all rows at once and cannot learn from chunks; "
                "set input_scaling='auto' or input_scaling=None, or call fit"
            )
        import_torch("MLCEClassifier.partial_fit")
        from sklearn_mlce._solvers.stream import learn_chunk
        from sklearn_mlce._utils.tensors import usual_torch_modes

        with fitted_state_kept(self), usual_torch_modes():
            self._check_not_pruned()
            first = not self._is_started
            X, targets, sample_weight = validate_chunk(
                self, X, y, classes, sample_weight, first=first
            )
            if first:
                self._remember(targets)
            else:
                self._remember_loss(targets)
                X, sample_weight = in_precision(self.intercept_.dtype, X, sample_weight)
            state = self._stream_state(X, targets, sample_weight, first)
            # None is the C of the first chunk, or of an earlier fit.
            C = self.C_ if self.C is None and not first else self.C
            problem = self._problem(X, targets, sample_weight, C, state.sizes)
            parameters = partial(self._stream_parameters, X, targets, first)
            live = None if first else vars(self).get("_live")
            live, state, objective = learn_chunk(problem, state, live, parameters)
            self._keep_stream(problem, live, state, objective, first)
        return self

    def _stream_state(
        self, X: Any, targets: Targets, sample_weight: np.ndarray | None, first: bool
    ) -> StreamState:
        """Return the state that the last call left, or that of a new stream."""
        if first:
            seen_neither_way = np.full(targets.n_outputs, -CONSTANT_LABEL_SCORE)
            sizes = self._column_sizes(X, sample_weight)
            return StreamState(draw_seed(self.random_state), 0.0, seen_neither_way, sizes=sizes)
        state = StreamState(**self._stream)
        if self.input_scaling not in ("auto", name_of_scaling(state.sizes)):
            raise ValueError(
                f"input_scaling={self.input_scaling!r} differs from the earlier calls, which used "
                f"{self.input_scaling_!r}. Set input_scaling='auto' to go on, or call fit to start "
                "anew"
            )
        if state.batch_size and self.fit_intercept != (state.offset is not None):
            raise ValueError(
                f"fit_intercept={self.fit_intercept} differs from the earlier calls of "
                "partial_fit. Set it as it was, or call fit to start anew"
            )
        return state

    def _stream_parameters(self, X: Any, targets: Targets, first: bool) -> np.ndarray:
        """A copy of the parameters, ``(n_features + fit_intercept, n_outputs)``."""
        n_features = X.shape[1]
        shape = (n_features + bool(self.fit_intercept), targets.n_outputs)
        if "_live" in vars(self):
            return self._live.parameters(copy=True)
        parameters = np.zeros(shape, X.dtype if first else self.coef_.dtype)
        if not first:
            parameters[:n_features] = self.coef_.T
            if self.fit_intercept:
                parameters[-1] = np.where(is_trainable(self.intercept_), self.intercept_, 0)
        return parameters

    def _keep_stream(
        self,
        problem: LinearProblem,
        live: LiveWeights,
        state: StreamState,
        objective: float,
        first: bool,
    ) -> None:
        self._live = live
        self.__dict__.pop("coef_", None)  # written out of `_live` where it is read
        learned = live.intercepts() if self.fit_intercept else 0
        self.intercept_ = np.where(np.isnan(state.fixed), learned, state.fixed).astype(
            problem.X.dtype
        )
        self.C_, self.input_scaling_ = problem.C, name_of_scaling(state.sizes)
        n_before, earlier = (0, []) if first else (self.n_iter_, self.loss_curve_)
        self.loss_curve_ = [*earlier, objective][-LONGEST_CURVE:]
        self.n_iter_ = n_before + 1
        self._stream = vars(state)

    def _problem(
        self,
        X: Any,
        targets: Targets,
        sample_weight: np.ndarray | None,
        C: float | None,
        sizes: np.ndarray | None,
    ) -> LinearProblem:
        """Put together what a solver reads."""
        from sklearn_mlce._solvers.problem import LinearProblem, linear_device

        if C is None:
            C = self._default_C(X, sample_weight, targets.format, sizes)
        objective = self._objective_for(targets.format)
        if sample_weight is None:
            weight, total = np.ones(X.shape[0], dtype=X.dtype), float(X.shape[0])
        else:
            weight, total = sample_weight, float(sample_weight.sum(dtype=np.float64))
        return LinearProblem(
            X=X,
            targets=targets,
            sample_weight=sample_weight,
            row_weight=weight / X.dtype.type(total),
            total_weight=total,
            objective=objective,
            label_weight=check_label_weight(self.label_weight, targets, objective, sample_weight),
            C=float(C),
            l2=1 / (C * total),
            fit_intercept=bool(self.fit_intercept),
            sizes=sizes,
            device=linear_device(self.device),
        )

    def _start(self, X: Any, targets: Targets) -> WarmStart | None:
        """Return the coefficients of the last fit, for a warm start."""
        if not (self.warm_start and self._is_started):
            return None
        n_outputs, n_features = self.coef_.shape
        shape = (targets.n_outputs, X.shape[1])
        if (n_outputs, n_features) != shape or not same_classes(self.classes_, targets.classes):
            raise ValueError(
                f"warm_start=True continues a fit of {n_features} features and classes "
                f"{self.classes_}, got {shape[1]} features and classes {targets.classes}. "
                "Set warm_start=False to start anew"
            )
        check_label_names(
            targets.label_names,
            self._target_format.label_names,
            "y",
            "Pass y[list(model.label_names_)], or set warm_start=False to start anew",
        )
        # A label without a positive in the last fit has no place to go on from.
        intercepts = np.where(is_trainable(self.intercept_), self.intercept_, 0)
        return WarmStart(self.coef_, intercepts)

    @property
    def _C_is_given(self) -> bool:
        return self.C is not None

    def _column_sizes(self, X: Any, sample_weight: np.ndarray | None) -> np.ndarray | None:
        """Return what columns are divided by; None where they are left as they are."""
        scaling = self.input_scaling
        if scaling == "auto":
            scaling = None if sp.issparse(X) or self._C_is_given else "columns"
        if scaling != "columns":
            return None
        weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
        return column_sizes(X, weight, centred=bool(self.fit_intercept))

    def _resolved_scaling(self, problem: LinearProblem, solver: str) -> str | None:
        """Return what `input_scaling` stands for."""
        from sklearn_mlce._solvers.fit import resolve_scaling

        return resolve_scaling(problem, solver, self.input_scaling, not self._C_is_given)

    def _default_C(
        self,
        X: Any,
        sample_weight: np.ndarray | None,
        target_format: TargetFormat,
        sizes: np.ndarray | None,
    ) -> float:
        """Return the C of rows for which none is given; see `_C_WITHOUT_MARGIN`."""
        if target_format.single_label:
            return 1.0
        objective = self._objective_for(target_format)
        weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
        factor = 1.0 if objective.has_margin else _C_WITHOUT_MARGIN
        if target_format.kind == "multioutput":
            factor = _C_OF_OUTPUTS
        centred = bool(self.fit_intercept)
        if sizes is None:
            return factor / mean_squared_distance(X, weight, centred=centred)
        return factor / typical_squared_distance(X, weight, sizes, centred=centred)

    def _scores(self, X: Any) -> np.ndarray:
        scores = safe_sparse_dot(X, self.coef_.T, dense_output=True)
        if scores.dtype == self.intercept_.dtype:
            return np.add(scores, self.intercept_, out=scores)
        return scores + self.intercept_

    def _torch_model(self, outputs: nn.Module, n_best: int | None) -> nn.Module:
        from sklearn_mlce._export.models import LinearModel

        coefficients: Any = self.coef_
        if sp.issparse(coefficients):
            coefficients = coefficients.toarray()
        return LinearModel(coefficients, self.intercept_, outputs, n_best)
