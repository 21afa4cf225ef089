"""The features that speak for and against each label."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_array, check_is_fitted

from sklearn_mlce._targets.targets import is_trainable, row_blocks
from sklearn_mlce._utils.estimator_scores import check_predicts, scores_of
from sklearn_mlce._utils.numbers import check_k
from sklearn_mlce._utils.optional import pandas_for
from sklearn_mlce._utils.pipelines import split_transformers, transformed
from sklearn_mlce._utils.sparse_format import check_sparse
from sklearn_mlce._utils.warnings import ignored_warnings
from sklearn_mlce.labels._names import inner_of, names_of_labels


def top_features(
    estimator: Any, k: int = 10, label: Any = None, *, X: Any = None, labels: Any = None
) -> Any:
    r"""Table of the `k` features with the most weight for each label, and the `k` most against it.

    In a linear model the weight of a feature is its coefficient. Any other model needs some rows
    `X`, and the weight is a slope of its scores. One feature at a time is set to its reference
    value: 0 in sparse rows, the mean of its column in dense ones. The weight is the slope of the
    least-squares line, through zero, of the changes of the score over those of the feature. For a
    linear model that is the coefficient again. A slope is a mean over the rows `X`, so effects of
    features together show as far as these rows have them together.

    Parameters
    ----------
    estimator : estimator instance
        A fitted multi-label classifier: linear, one-vs-rest or multi-output of linear ones, or any
        other with `decision_function` or `predict_proba`. In a pipeline, a search, a tuner or a
        calibrator, the scores of the inner estimator are explained.
    k : int, default=10
        Number of features for a label, and number against it.
    label : object, default=None
        Label to explain, by its name, or by its number where labels have no names. None takes all.
    X : array-like of shape (n_samples, ...), default=None
        Rows as the estimator takes them, for a model that is not linear; a few hundred are enough.
        Linear models do not use them. All features of a row are tried: the time is that of
        predicting as many rows as `X` has values, or non-zero values if `X` becomes sparse.
    labels : array-like of shape (n_labels,), default=None
        Names of the labels, such as ``y.columns``. None takes `label_names_` of the estimator,
        inside wrappers and pipelines too, or column numbers if there are none.

    Returns
    -------
    DataFrame
        Columns `label`; `side`, "for" or "against"; `rank`, from 1; `feature`; and `weight`, per
        unit of the feature as the last step is given it. Names of features come from
        `get_feature_names_out` of the transformers of a pipeline, else from `feature_names_in_`,
        else they are x0, x1, ... A feature of weight 0 is left out, so that a label may have fewer
        than `k`. A label that could not be learned has none.

    Raises
    ------
    ImportError
        If pandas is not installed.
    ValueError
        If the model is not linear and `X` is None, `label` or `k` is not usable, or the estimator
        has no features of numbers.

    Notes
    -----
    Weights can be compared where features have one scale, as TF-IDF has. Put a StandardScaler into
    the pipeline where they have not.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_mlce import MLCEClassifier
    >>> from sklearn_mlce.labels import top_features
    >>> texts = ["sun, sea", "grey sky", "blue sea", "sun, sky"]
    >>> tags = [["sun", "sea"], ["sky"], ["sea"], ["sun", "sky"]]
    >>> model = make_pipeline(CountVectorizer(), MLCEClassifier(C=10)).fit(texts, tags)
    >>> top_features(model, k=1, label="sky")[["label", "side", "feature"]]
      label     side feature
    0   sky      for     sky
    1   sky  against     sea
    """
    pd = pandas_for("top_features")
    k = check_k(k)
    check_predicts(estimator)
    transformers, predictor = _innermost(estimator)
    check_is_fitted(predictor)
    weights = _coefficients(predictor)
    if weights is None:
        if X is None:
            raise ValueError(
                f"{type(predictor).__name__} has no coefficient for each label and feature. Pass "
                "X, some rows to measure slopes on, such as X=X_test[:200]"
            )
        check_sparse(X, "X")
        X = check_array(transformed(transformers, X), accept_sparse="csr", dtype=np.float64)
    # Rows with one feature changed have no names, which scikit-learn's estimators warn of.
    with ignored_warnings(UserWarning, "X does not have valid feature names"):
        n_labels = predictor.predict(X[:1]).shape[-1] if weights is None else len(weights)
        names = names_of_labels(estimator, labels, n_labels)
        chosen = _chosen(names, label)
        weights = _slopes(predictor, X, n_labels, chosen) if weights is None else weights[chosen]
    features = _names_of_features(transformers, predictor, weights.shape[1])
    entries = [
        (name, side, rank, features[column], row[column])
        for name, row in zip(names[chosen], weights, strict=True)
        for side, sign in (("for", 1), ("against", -1))
        for rank, column in enumerate(_largest(sign * row, k), start=1)
    ]
    return pd.DataFrame(entries, columns=["label", "side", "rank", "feature", "weight"])


def _innermost(estimator: Any) -> tuple[list[Any], Any]:
    """All transformers of X, in order, and the estimator within all wrappers."""
    transformers: list[Any] = []
    inner = estimator
    while inner is not None:
        outer, predictor = split_transformers(inner)
        transformers += outer
        inner = inner_of(predictor)
    return transformers, predictor


def _coefficients(predictor: Any) -> np.ndarray | None:
    """Coefficients ``(n_labels, d)``; None of an estimator that has none."""
    coef = getattr(predictor, "coef_", None)
    if coef is None:
        return _coefficients_of_labels(getattr(predictor, "estimators_", ()))
    coef = coef.toarray() if sp.issparse(coef) else np.asarray(coef)
    return np.atleast_2d(coef)


def _coefficients_of_labels(estimators: Any) -> np.ndarray | None:
    """Coefficients of an estimator for each label; zero for one that always says the same."""
    # One-vs-rest puts a constant, without coefficients, in the place of a label that never varies.
    varies = np.array([not _is_constant(part) for part in estimators], dtype=bool)
    found: Any = [_coefficients_of_one(part) for part in estimators if not _is_constant(part)]
    sizes = {None if part is None else part.shape for part in found}
    if len(sizes) != 1 or None in sizes:  # not linear, or a chain, which has features of its own
        return None
    coefficients = np.zeros((len(varies), found[0].shape[1]))
    coefficients[varies] = np.vstack(found)
    return coefficients


def _is_constant(estimator: Any) -> bool:
    return type(estimator).__name__ == "_ConstantPredictor"


def _coefficients_of_one(estimator: Any) -> np.ndarray | None:
    """Coefficients ``(1, d)`` of an estimator of two classes."""
    coef = getattr(estimator, "coef_", None)
    if coef is None:
        return None
    coef = np.atleast_2d(coef.toarray() if sp.issparse(coef) else coef)
    return coef if coef.shape[0] == 1 else None


def _chosen(names: np.ndarray, label: Any) -> np.ndarray:
    """Column numbers of a label, or of all.

    Raises
    ------
    ValueError
        If there is no such label.
    """
    if label is None:
        return np.arange(len(names))
    found = np.array([name == label for name in names.tolist()], dtype=bool)
    if not found.any():
        raise ValueError(
            f"label={label!r} is none of the {len(names)} labels, such as {names[0]!r}. Pass one "
            "of them, or labels=y.columns where the estimator keeps no names"
        )
    return np.flatnonzero(found)


def _slopes(predictor: Any, X: Any, n_labels: int, chosen: np.ndarray) -> np.ndarray:
    """Slopes ``(len(chosen), d)`` of scores along each feature, over the rows of X."""
    n_features = X.shape[1]
    if sp.issparse(X):
        entries = X.tocoo()
        rows, columns, steps = entries.row, entries.col, entries.data
        reference = np.zeros(n_features)
    else:
        reference = X.mean(axis=0)
        rows, columns = np.indices(X.shape).reshape(2, -1)
        steps = (X - reference).ravel()
    scores = scores_of(predictor, X, n_labels)
    products = np.zeros((n_features, len(chosen)))
    for block in row_blocks(len(rows), max(n_labels, n_features)):
        row, column, step = rows[block], columns[block], steps[block]
        changed = _with_reference(X[row], column, reference)
        change = (scores[row] - scores_of(predictor, changed, n_labels))[:, chosen]
        at_features = sp.csr_array((step, (column, np.arange(len(step)))), (n_features, len(step)))
        products += at_features @ change
    squares = np.bincount(columns, weights=steps**2, minlength=n_features)[:, None]
    slopes = np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)
    learned = is_trainable(scores[:, chosen]).all(axis=0)
    return np.where(learned, slopes, 0).T


def _with_reference(X: Any, columns: np.ndarray, reference: np.ndarray) -> Any:
    """Copy of rows in which one feature of each has its reference value."""
    if sp.issparse(X):
        changed = np.repeat(columns, np.diff(X.indptr)) == X.indices
        data = np.where(changed, 0, X.data)
        return sp.csr_matrix((data, X.indices, X.indptr), shape=X.shape)
    X[np.arange(len(X)), columns] = reference[columns]
    return X


def _names_of_features(transformers: list[Any], predictor: Any, n_features: int) -> np.ndarray:
    """Names ``(d,)`` of the features that the innermost estimator is given."""
    names = None
    for transformer in transformers:
        try:
            names = transformer.get_feature_names_out(names)
        except AttributeError:  # a step names nothing
            names = None
    if names is None:
        names = getattr(predictor, "feature_names_in_", None)
    if names is None or len(names) != n_features:
        names = [f"x{number}" for number in range(n_features)]
    return np.asarray(names, dtype=object)


def _largest(weights: np.ndarray, k: int) -> np.ndarray:
    """Numbers of the `k` largest positive weights, the largest first."""
    k = min(k, len(weights))
    best = np.argpartition(-weights, k - 1)[:k]
    best = best[np.lexsort((best, -weights[best]))]
    return best[weights[best] > 0]
