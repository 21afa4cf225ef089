"""Who gets which of the parameters of `fit`, where an estimator is wrapped."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from sklearn import get_config
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing


def routed_params(
    owner: Any, sample_weight: Any, params: dict[str, Any], *, prefit: bool, weighs: str
) -> Any:
    """What goes to the fit of an owner's `estimator`, and to its splitter.

    Called from the owner's `fit`. Warns where the estimator does not take `sample_weight`, unless
    nothing is fitted; `weighs` names what the weights then still count for.

    Raises
    ------
    TypeError
        If nothing is fitted that could take the parameters.
    """
    if get_config().get("enable_metadata_routing", False):
        return process_routing(owner, "fit", sample_weight=sample_weight, **params)
    if params and (prefit or isinstance(owner.estimator, FrozenEstimator)):
        raise TypeError(
            f"{type(owner).__name__}.fit() got the arguments {sorted(params)}, which are for the "
            "estimator's fit, but a fitted estimator is not fitted again. Leave them out"
        )
    accepted = "sample_weight" in inspect.signature(owner.estimator.fit).parameters
    if sample_weight is not None and accepted:
        params = {**params, "sample_weight": sample_weight}
    elif sample_weight is not None and not prefit:
        warnings.warn(
            f"fit of {type(owner.estimator).__name__} does not take sample_weight: it weighs "
            f"{weighs} alone. Name the step of a pipeline, as in step__sample_weight=..., or "
            "enable metadata routing, to weigh the fits too",
            UserWarning,
            stacklevel=4,
        )
    return Bunch(estimator=Bunch(fit=params), splitter=Bunch(split={}))


def router_of(owner: Any) -> MetadataRouter:
    """Routing of `fit` to itself, the fit of its `estimator` and its splitter `cv`."""
    return (
        MetadataRouter(owner=owner)
        .add_self_request(owner)
        .add(
            estimator=owner.estimator,
            method_mapping=MethodMapping().add(caller="fit", callee="fit"),
        )
        .add(
            splitter=owner.cv,
            method_mapping=MethodMapping().add(caller="fit", callee="split"),
        )
    )
