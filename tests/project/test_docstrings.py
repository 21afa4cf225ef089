"""Every public object says what it takes, gives and raises, and shows itself at work."""

import importlib
import inspect
import pkgutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import ERROR_MSGS, validate
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils._testing import assert_docstring_consistency

import sklearn_mlce
from sklearn_mlce import MLCEClassifier

ROOT = Path(__file__).parents[2]


def public_modules():
    """Return the package and every module of it that users may import."""
    names = [
        module.name
        for module in pkgutil.walk_packages(sklearn_mlce.__path__, "sklearn_mlce.")
        if not any(part.startswith("_") for part in module.name.split("."))
    ]
    return [sklearn_mlce, *map(importlib.import_module, names)]


def public_objects():
    """Return the public functions and classes by the path that users import them from."""
    found = {}
    for module in public_modules():
        for name in getattr(module, "__all__", []):
            candidate = getattr(module, name)
            if inspect.isclass(candidate) or inspect.isfunction(candidate):
                found[f"{module.__name__}.{name}"] = candidate
    return found


def public_members(cls):
    """Return the names of the methods and properties that this package gave to a class.

    scikit-learn generates the ``set_*_request`` methods, and documents them itself.
    """
    ours = [base for base in cls.__mro__ if base.__module__.startswith("sklearn_mlce")]
    names = {name for base in ours for name, value in vars(base).items() if documentable(value)}
    return sorted(
        name for name in names if not name.startswith("_") and not name.endswith("_request")
    )


def documentable(value):
    if hasattr(value, "attribute_name"):  # what available_if makes of a method
        return True
    return callable(value) or isinstance(value, property | classmethod | staticmethod)


OBJECTS = public_objects()
ESTIMATORS = {
    path: item
    for path, item in OBJECTS.items()
    if inspect.isclass(item) and issubclass(item, BaseEstimator)
}
PATHS = [
    full
    for path, item in OBJECTS.items()
    for full in [
        path,
        *(f"{path}.{member}" for member in (public_members(item) if inspect.isclass(item) else [])),
    ]
]


def enforced_checks():
    """Return the numpydoc checks that pyproject.toml asks for."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = settings["tool"]["numpydoc_validation"]["checks"]
    assert listed[0] == "all", "pyproject.toml lists the checks that are left out, after 'all'"
    return set(ERROR_MSGS) - set(listed)


@pytest.mark.parametrize("path", PATHS)
def test_docstring_is_complete(path):
    errors = [
        f"{code}: {text}" for code, text in validate(path)["errors"] if code in enforced_checks()
    ]
    assert not errors, f"{path}\n" + "\n".join(errors)


@pytest.mark.parametrize("path", OBJECTS)
def test_docstring_has_a_doctest(path):
    examples = NumpyDocString(inspect.getdoc(OBJECTS[path]))["Examples"]
    assert any(line.lstrip().startswith(">>>") for line in examples)


def test_wrappers_say_the_same_of_what_they_share():
    wrappers = [item for item in ESTIMATORS.values() if issubclass(item, MetaEstimatorMixin)]
    assert len(wrappers) == 3
    assert_docstring_consistency(
        wrappers,
        include_params=["n_jobs", "random_state"],
        include_attrs=["label_names_", "n_features_in_", "feature_names_in_"],
    )
    for name in ("X", "**params"):
        fits = [NumpyDocString(inspect.getdoc(wrapper.fit))["Parameters"] for wrapper in wrappers]
        said = {" ".join(part.desc) for parts in fits for part in parts if part.name == name}
        assert len(said) == 1
    if "ignore_types" not in inspect.signature(assert_docstring_consistency).parameters:
        return  # scikit-learn 1.6
    assert_docstring_consistency(
        wrappers,
        include_params=["cv"],
        ignore_types=["cv"],
        descr_regex_pattern=r"An integer is a number of folds, .* with groups by .* a float in "
        r"\(0, 1\) is the fraction of rows in a single held-out part, stratified as well; None is "
        r"scikit-learn's five folds, not shuffled",
    )


@pytest.mark.parametrize("path", ESTIMATORS)
def test_fitted_attributes_are_documented(path):
    pd = pytest.importorskip("pandas")
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    Y = pd.DataFrame((X.to_numpy() > 0).astype(int), columns=["p", "q", "r"])
    wrapped = [MLCEClassifier()] if issubclass(ESTIMATORS[path], MetaEstimatorMixin) else []
    model = ESTIMATORS[path](*wrapped).fit(X, Y)
    fitted = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    documented = {entry.name for entry in NumpyDocString(inspect.getdoc(model))["Attributes"]}
    assert fitted <= documented
