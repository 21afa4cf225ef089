"""What users install is whole: version, files, dependencies, README, and imports."""

import ast
import graphlib
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import sklearn_mlce

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PINS = ["constraints.txt", "constraints-oldest.txt", "constraints-tools.txt"]
# What each room of the package may import: rooms below it alone.
ALLOWED = {
    "_utils": set(),
    "_targets": {"_utils"},
    "_kernels": set(),
    "_export": {"_targets"},
    "losses": {"_kernels", "_utils"},
    "_objectives": {"_kernels", "_targets", "_utils", "losses"},
    "_solvers": {"_kernels", "_objectives", "_targets", "_utils"},
    "_network": {"_kernels", "_objectives", "_targets", "_utils"},
    "metrics": {"_objectives", "_targets", "_utils"},
    "model_selection": {"_export", "_objectives", "_targets", "_utils", "labels"},
    "calibration": {"_export", "_objectives", "_targets", "_utils", "model_selection"},
    "decisions": {"_export", "_objectives", "_targets", "_utils", "model_selection"},
    "inspection": {"_targets", "_utils", "labels", "metrics", "model_selection"},
    "labels": {"_targets", "_utils"},
    "nn": set(),
    "_estimators": {
        "_export",
        "_network",
        "_objectives",
        "_solvers",
        "_targets",
        "_utils",
        "model_selection",
    },
    "onnx": {"_estimators", "calibration", "decisions", "model_selection"},
    "__init__": {"_estimators", "_utils"},
}


PUBLIC_MODULES = [
    "sklearn_mlce",
    *(f"sklearn_mlce.{room}" for room in ALLOWED if not room.startswith("_")),
]


def pinned(name):
    """Return the versions of a constraints file by package name."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    requirements = [Requirement(line) for line in lines if line]
    return {canonicalize_name(item.name): str(item.specifier) for item in requirements}


def required(*extras):
    """Return what the package and the named extras ask for, extras of extras included."""
    wanted = list(PROJECT["dependencies"])
    for extra in extras:
        wanted += PROJECT["optional-dependencies"][extra]
    found = {}
    for requirement in map(Requirement, wanted):
        if requirement.name == PROJECT["name"]:
            found |= required(*requirement.extras)
        else:
            found[canonicalize_name(requirement.name)] = requirement.specifier
    return found


def run_python(code, *options):
    """Run code in a fresh interpreter that imports this checkout, and return what it printed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel and return its names with their contents."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_holds_every_module_and_nothing_else(wheel):
    shipped = {name for name in wheel if ".dist-info/" not in name}
    modules = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("sklearn_mlce/**/*.py")}
    assert shipped == modules | {"sklearn_mlce/py.typed"}


def test_wheel_has_the_version_of_the_module_and_the_licence(wheel):
    (metadata,) = [text.decode() for name, text in wheel.items() if name.endswith("/METADATA")]
    assert f"\nVersion: {sklearn_mlce.__version__}\n" in metadata
    (licence,) = [text for name, text in wheel.items() if name.endswith("/licenses/LICENSE")]
    assert licence == (ROOT / "LICENSE").read_bytes()


def test_changelog_speaks_of_this_version():
    version = sklearn_mlce.__version__
    assert str(Version(version)) == version
    headings = re.findall(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert any(version in heading for heading in headings)


@pytest.mark.parametrize("name", PINS)
def test_pins_are_exact_and_install_on_every_platform(name):
    for package, specifier in pinned(name).items():
        assert re.fullmatch(r"==[^+*,]+", specifier), f"{name}: {package}{specifier}"
    assert pinned(name)["torch"] == "==2.13.0"


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        *((PINS[0], extra) for extra in ("dev", "test-serving")),
        (PINS[1], "test"),
        *((PINS[2], extra) for extra in ("test-serving", "test-tools", "mutants")),
    ],
)
def test_everything_asked_for_is_pinned_within_its_bounds(name, extra):
    pins = pinned(name)
    for package, specifier in required(extra).items():
        assert package in pins, f"{package} is missing from {name}"
        version = pins[package].removeprefix("==")
        assert specifier.contains(version), f"{name}: {package} {version} is not {specifier}"


def test_dependency_floors_are_the_versions_that_make_oldest_tests():
    pins = pinned("constraints-oldest.txt")
    for package, specifier in required().items():
        if package != "torch":
            (floor,) = specifier
            assert floor.operator == ">="
            assert f"{pins[package]}.".startswith(f"=={floor.version}.")


def test_supported_versions_in_the_readme_are_those_of_the_package():
    supported = README[README.index("Supported:") :].split("\n\n")[0].lower()
    for package, specifier in required().items():
        assert f"{package} {specifier}".replace(">=", ">= ") in " ".join(supported.split())
    assert f"python {PROJECT['requires-python']}".replace(">=", ">= ") in supported


def test_set_up_is_two_commands():
    block = re.search(r"```sh\n(.*?)```", README, re.S).group(1)
    assert block.split("\n") == ["make demo", "make test", ""]


def test_first_readme_example_has_ten_lines_at_most():
    block = re.search(r"```python\n(.*?)```", README, re.S).group(1)
    assert len([line for line in block.splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.S))
def test_readme_example_runs(code, capsys):
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    if "print" in code:
        assert capsys.readouterr().out.strip()


def test_public_names_are_there():
    assert {"MLCEClassifier", "MLCEClassifierCV", "MLCEMLP"} <= set(sklearn_mlce.__all__)
    for name in sklearn_mlce.__all__:
        assert getattr(sklearn_mlce, name).__module__.startswith("sklearn_mlce")


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_public_classes_are_of_the_module_that_exports_them(name):
    """A pickle and a trust list of skops name that module, wherever the class stands."""
    module = importlib.import_module(name)
    for item in (getattr(module, public) for public in module.__all__):
        if isinstance(item, type):
            assert item.__module__ == name


SURROUNDINGS = """
import json, logging, os, random, sys, warnings

class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {extras!r}:
            raise ModuleNotFoundError("not installed: " + name)

sys.meta_path.insert(0, Absent())
import numpy, scipy.sparse, sklearn, torch
import sklearn.linear_model, sklearn.model_selection, skorch

def surroundings():
    return {{
        "default dtype": str(torch.get_default_dtype()),
        "default device": str(torch.get_default_device()),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "torch seed": torch.get_rng_state().tolist(),
        "numpy seed": [str(part) for part in numpy.random.get_state()],
        "python seed": str(random.getstate()),
        "numpy errors": numpy.geterr(),
        "warnings": [str(entry) for entry in warnings.filters],
        "log handlers": [str(handler) for handler in logging.getLogger().handlers],
        "sklearn": {{key: str(value) for key, value in sklearn.get_config().items()}},
        "environment": dict(os.environ),
    }}

before = surroundings()
import sklearn_mlce.losses
from sklearn_mlce import *
after = surroundings()
print(json.dumps([key for key in before if before[key] != after[key]]))
"""


@pytest.mark.slow
def test_import_needs_no_extra_and_changes_nothing_for_others():
    extras = {name.replace("-", "_") for name in set(required("dev")) - set(required())}
    assert json.loads(run_python(SURROUNDINGS.format(extras=extras), "-W", "error")) == []


def imported_rooms(path):
    """Return the rooms of the package that a file imports from, wherever in it that stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            if first == "sklearn_mlce":
                yield rest.partition(".")[0]


def rooms():
    """Return the entries of the package that hold code, with their files."""
    package = ROOT / "sklearn_mlce"
    files = {path.stem: [path] for path in package.glob("*.py")}
    folders = {
        path.parent.name: sorted(path.parent.glob("**/*.py"))
        for path in package.glob("*/__init__.py")
    }
    return files | folders


def imported_files(path):
    """Return the files of the package that a file imports from, for types included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sklearn_mlce"):
            target = ROOT.joinpath(*node.module.split("."))
            for item in (target / alias.name for alias in node.names):
                found = [item.with_suffix(".py"), target.with_suffix(".py"), target / "__init__.py"]
                yield next(file for file in found if file.exists())


def test_no_circle_of_imports():
    files = (ROOT / "sklearn_mlce").glob("**/*.py")
    sorter = graphlib.TopologicalSorter({path: set(imported_files(path)) for path in files})
    sorter.prepare()


def test_every_room_is_in_the_table():
    assert rooms().keys() == ALLOWED.keys()


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_run_downwards(room):
    for path in rooms()[room]:
        beyond = set(imported_rooms(path)) - ALLOWED[room] - {room}
        assert not beyond, f"{path.name} imports {sorted(beyond)}"


def test_rooms_stand_on_six_floors_without_a_circle():
    height = {}
    while len(height) < len(ALLOWED):
        ready = {
            room: 1 + max((height[other] for other in below), default=0)
            for room, below in ALLOWED.items()
            if room not in height and below <= height.keys()
        }
        assert ready, f"a circle among {sorted(ALLOWED.keys() - height.keys())}"
        height |= ready
    assert max(height.values()) <= 6
