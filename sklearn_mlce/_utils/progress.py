"""scikit-learn's progress bar, or a sentence on what is missing for it."""

from __future__ import annotations

from typing import Any

from sklearn_mlce._utils.callbacks import needs_newer_sklearn


def progress_bar(max_propagation_depth: int | None = 1) -> Any:
    """Progress bar of a fit, by its iterations, epochs, folds or values of C.

    The bar is a :class:`sklearn.callback.ProgressBar`, for `set_callbacks` of any estimator that
    has it: those of this package, pipelines and searches.

    Parameters
    ----------
    max_propagation_depth : int or None, default=1
        How deep within pipelines, searches and tuners the fits of other estimators have bars of
        their own; None is without bound.

    Returns
    -------
    ProgressBar
        A callback. Set it on the outermost estimator alone.

    Raises
    ------
    ImportError
        If scikit-learn is older than 1.9, or rich, with which the bar is drawn, is not installed.

    Examples
    --------
    >>> from sklearn_mlce import MLCEMLP, progress_bar
    >>> model = MLCEMLP().set_callbacks(progress_bar())  # doctest: +SKIP
    """
    try:
        from sklearn.callback import ProgressBar
    except ImportError as error:  # scikit-learn < 1.9
        raise ImportError(needs_newer_sklearn("progress_bar")) from error
    try:
        import rich  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "progress_bar draws with rich, which is not installed. Type: pip install rich"
        ) from error
    return ProgressBar(max_propagation_depth=max_propagation_depth)
