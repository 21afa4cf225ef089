"""Problems of the linear estimator, and what its documentation says of a fit to them."""

import numpy as np
import scipy.sparse as sp
import torch
from scipy.optimize import brentq
from scipy.special import expit

from sklearn_mlce.losses import binary_cross_entropy_loss, mlce_loss

# A loss of each exact solver: labels that share a logarithm, and a sum over labels.
OF_EACH_SOLVER = {"coupled": {"loss": "mlce"}, "separable": {}}
LOSSES = {"mlce": mlce_loss, "bce": binary_cross_entropy_loss}


def make_labels(rng, n_rows=60, n_features=6, n_labels=5, noise=1.0):
    """Rows of correlated labels, some empty; every label has positives and negatives."""
    X = rng.normal(size=(n_rows, n_features))
    scores = X @ rng.normal(size=(n_features, n_labels)) + noise * rng.normal(
        size=(n_rows, n_labels)
    )
    Y = (scores > 1).astype(int)
    Y[0], Y[1] = 0, 1
    return X, Y


def scaled_features(X, rng):
    """The same features, each in a unit and from a zero of its own."""
    return X * 10.0 ** rng.uniform(-2, 3, X.shape[1]) + 100 * rng.normal(size=X.shape[1])


def parameters_of(model):
    """Coefficients and intercepts, one column a label."""
    return np.vstack([model.coef_.T, model.intercept_])


def loss_options(model):
    """Loss, scale and margins that were trained, as an oracle takes them."""
    return {"loss": model.loss_, "scale": model.scale_, "margin": model.margin_}


def sizes_of(X, sample_weight=None, centred=True):
    """Fourth root of each column's fourth moment about its mean; 0 of a constant column."""
    X = np.asarray(X.toarray() if sp.issparse(X) else X, dtype=float)
    if centred:
        X = np.where(np.ptp(X, axis=0) > 0, X - np.average(X, axis=0, weights=sample_weight), 0)
    return np.average(X**4, axis=0, weights=sample_weight) ** 0.25


def typical_squared_distance(X, sample_weight=None, centred=True):
    """Squared distance from the mean of a typical row, of columns divided by their sizes."""
    X = X - np.average(X, axis=0, weights=sample_weight) if centred else X
    distances = np.linalg.norm(X / sizes_of(X, sample_weight, centred), axis=1)
    return np.average(np.sqrt(distances), weights=sample_weight) ** 4


def units_of_columns(model, X, sample_weight=None):
    """Size ``(n_features, 1)`` of each column where a fit divided by them, else ones."""
    if model.input_scaling_ != "columns":
        return np.ones((X.shape[1], 1))
    return sizes_of(X, sample_weight, model.fit_intercept)[:, None]


def association_units(X, Y, sample_weight=None, centred=True):
    """Units ``(n_features, L)`` of coefficients, by the formula, one column and label at a time."""
    X = np.asarray(X.toarray() if sp.issparse(X) else X, dtype=float)
    weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, float)
    from_centre = X - np.average(X, axis=0, weights=weight) if centred else X
    second, fourth = (np.average(from_centre**n, axis=0, weights=weight) for n in (2, 4))
    gains = np.ones((X.shape[1], Y.shape[1]))
    for label, y in enumerate(np.asarray(Y, dtype=float).T):
        known = ~np.isnan(y)
        total, mean = weight[known].sum(), np.average(y[known], weights=weight[known])
        for column in np.flatnonzero(second > 1e-25):
            size = np.sqrt(fourth[column] / second[column])
            number = np.sum((weight * (y - mean) * X[:, column])[known]) / size
            expected = total * mean * (1 - mean) * second[column] ** 2 / fourth[column]
            gains[column, label] = (1 + number**2 / (expected + 0.5)) ** 0.35
    return np.sqrt(second @ gains / (second.sum() or 1) / gains)


def units_of_penalty(model, X, Y, sample_weight=None):
    """What coefficients are multiplied by in the penalty."""
    if model.input_scaling_ == "association":
        return association_units(X, Y, sample_weight, model.fit_intercept)
    return units_of_columns(model, X, sample_weight)


def mean_objective(parameters, model, X, Y, sample_weight=None, label_weight=None):
    """Objective of a fit divided by C and the sum of the weights, for autograd."""
    weight = np.ones(len(Y)) if sample_weight is None else np.asarray(sample_weight, float)
    loss = LOSSES[model.loss_](
        torch.from_numpy(X).double() @ parameters[:-1] + parameters[-1],
        torch.from_numpy(np.asarray(Y, dtype=float)),
        sample_weight=torch.from_numpy(weight),
        label_weight=None if label_weight is None else torch.as_tensor(label_weight),
        scale=model.scale_,
        margin=model.margin_,
    )
    divided = parameters[:-1] * torch.from_numpy(units_of_penalty(model, X, Y, sample_weight))
    penalty = divided.square().sum() / (2 * model.C_ * weight.sum())
    return loss / model.scale_ + penalty


def gradient_at(parameters, model, X, Y, sample_weight=None, label_weight=None):
    """Gradient of the mean objective at some parameters, without that of a missing intercept.

    It is that in the coefficients of the features that the fit saw.
    """
    X = X.toarray() if sp.issparse(X) else X
    parameters = torch.from_numpy(parameters).double().requires_grad_()
    mean_objective(parameters, model, X, Y, sample_weight, label_weight).backward()
    gradient, units = parameters.grad.numpy(), units_of_columns(model, X, sample_weight)
    gradient[:-1] = np.divide(gradient[:-1], units, out=0 * gradient[:-1], where=units > 0)
    return gradient if model.fit_intercept else gradient[:-1]


def constant_parameters(model, X, Y, sample_weight=None, label_weight=None):
    """Parameters without features, at the best intercept of each label by itself."""
    parameters = np.zeros((X.shape[1] + 1, Y.shape[1]))
    if not model.fit_intercept:
        return parameters
    scale, (negative_margin, positive_margin) = model.scale_, model.margin_
    weight = np.ones(len(Y)) if sample_weight is None else sample_weight
    log_weights = np.zeros(Y.shape[1])
    if label_weight is not None and model.loss_ == "mlce":  # a factor of the label's loss in others
        log_weights = np.log(label_weight)
    for label, log_weight in enumerate(log_weights):
        known = ~np.isnan(Y[:, label])
        positive = weight[known] @ Y[known, label]
        negative = weight[known].sum() - positive

        def slope(b, positive=positive, negative=negative, log_weight=log_weight):
            pull = negative * expit(scale * (b + negative_margin) + log_weight)
            return pull - positive * expit(-scale * (b - positive_margin) + log_weight)

        parameters[-1, label] = brentq(slope, -1e4, 1e4, xtol=1e-14)
    return parameters


def gradient_left(model, X, Y, sample_weight=None, label_weight=None):
    """Largest share, over the labels, that a fit left of the gradient at constant scores."""
    at_constant, at_fit = (
        np.abs(gradient_at(parameters, model, X, Y, sample_weight, label_weight)).max(axis=0)
        for parameters in (
            constant_parameters(model, X, Y, sample_weight, label_weight),
            parameters_of(model),
        )
    )
    return (at_fit / at_constant).max()
