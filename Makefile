# Everything here starts from a bare machine: Python >= 3.11 (with venv), pip and make.
# Each target makes the environment it needs, installs what it needs, and may be repeated.

PYTHON ?= python3
VENV ?= .venv
VENV_OLDEST ?= .venv-oldest
VENV_BARE ?= .venv-bare
VENV_TOOLS ?= .venv-tools
VENV_MUTANTS ?= .venv-mutants

# Where pip looks for torch besides its usual index. On Linux the usual index has the CUDA build;
# TORCH_INDEX=https://download.pytorch.org/whl/cpu takes the much smaller CPU build instead.
TORCH_INDEX ?=

# More for pytest, such as PYTEST_ARGS='-k mlp -x'. PYTEST_WORKERS=0 runs in one process.
PYTEST_ARGS ?=
PYTEST_WORKERS ?= 2

# More for Sphinx, such as DOCS_ARGS='-D plot_gallery=0', which runs no example.
DOCS_ARGS ?=

# Python compiles what it imports; to compile all that is installed takes as long again as to install it.
# A machine may be set up to keep no bytecode: each process of the tests and of the documentation would
# compile torch and scikit-learn anew, which takes longer than to import them.
export PYTHONDONTWRITEBYTECODE :=

PIP = $(@D)/bin/python -m pip --disable-pip-version-check install --no-compile \
	$(if $(CI),--quiet) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

SITE_PACKAGES = $(1)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

# Two workers with a thread per core each would fight over the cores: one thread for each worker.
RUN_TESTS = env OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
	$(1)/bin/python -m pytest -n $(PYTEST_WORKERS) $(2) $(PYTEST_ARGS)

# What `make test` skips where the tools are absent, and no test that it runs.
EXPORTERS = tests/export/test_exporters.py::test
OF_SERVING = $(EXPORTERS)_onnx_with_any_number_of_rows $(EXPORTERS)_safetensors_there_and_back \
	$(EXPORTERS)_safetensors_of_the_arrays_of_an_estimator tests/onnx tests/project/test_mlflow.py \
	tests/solvers/test_dask.py tests/project/test_large_data_page.py
OF_TOOLS = tests/project/test_other_tools_page.py \
	tests/losses/test_training_loops.py::test_a_program_of_the_page_runs

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The environments' stamps are kept although no rule names them.
.SECONDARY:
.PHONY: help demo test test-fast test-serving test-tools test-others test-bare test-properties coverage \
	mutants lint format docs bench oldest clean

help:
	@echo "make demo       train on real films, print the result, draw examples/output/"
	@echo "make test       run the whole test suite"
	@echo "make test-fast  run the tests that are not marked slow"
	@echo "make test-serving  run the tests of exports, stored models and clusters, with ONNX,"
	@echo "                MLflow, safetensors and dask"
	@echo "make test-tools  run the programs of the guide that use optuna, SHAP, Lightning and others"
	@echo "make test-others  test-serving and test-tools in one run"
	@echo "make test-properties  search longer for data that break what tests claim of all data"
	@echo "make test-bare  serve models in an environment without torch"
	@echo "make coverage   run the whole test suite, list the lines and branches it misses"
	@echo "make mutants    change the package in 500 small ways, list the changes that no test notices"
	@echo "make lint       ruff, codespell, mypy and pyright"
	@echo "make format     let ruff put the code in order"
	@echo "make docs       build docs/_build/html, warnings as errors"
	@echo "make bench      compare with the peers, write benchmarks/results/"
	@echo "make oldest     run the fast tests and scikit-learn's full checks with the oldest"
	@echo "                supported dependencies; PYTEST_ARGS='-m \"\"' runs the slow ones too"
	@echo "make clean      remove the environments, the caches and all that was built"
	@echo ""
	@echo "variables: PYTHON=python3.12  PYTEST_ARGS='-k mlp'  TORCH_INDEX=URL (see the README)"

demo: $(VENV)/.has-demo
	$(VENV)/bin/python examples/plot_film_genres.py

test: $(VENV)/.has-test
	$(call RUN_TESTS,$(VENV))

test-fast: $(VENV)/.has-test
	$(call RUN_TESTS,$(VENV),-m "not slow")

test-serving: $(VENV_TOOLS)/.has-tools
	$(call RUN_TESTS,$(VENV_TOOLS),$(OF_SERVING))

# The guide's programs with other tools, in an environment that has them all.
test-tools: $(VENV_TOOLS)/.has-tools
	$(call RUN_TESTS,$(VENV_TOOLS),$(OF_TOOLS))

test-others: $(VENV_TOOLS)/.has-tools
	$(call RUN_TESTS,$(VENV_TOOLS),$(OF_SERVING) $(OF_TOOLS))

test-bare: $(VENV)/.has-test $(VENV_BARE)/.has-bare
	SKLEARN_MLCE_BARE_PYTHON=$(CURDIR)/$(VENV_BARE)/bin/python \
	$(call RUN_TESTS,$(VENV),tests/project/test_without_torch.py)

# As many draws of each test as SKLEARN_MLCE_EXAMPLES says, other ones in each run.
test-properties: export SKLEARN_MLCE_EXAMPLES ?= 300
test-properties: $(VENV)/.has-test
	$(call RUN_TESTS,$(VENV),tests/estimators/test_searched_properties.py \
	tests/losses/test_searched_properties.py)

# Branches too; pyproject.toml has the settings.
coverage: $(VENV)/.has-test
	$(call RUN_TESTS,$(VENV),--cov --cov-report=term-missing:skip-covered)

# MUTANTS_ARGS='--rooms kernels' for those of a room; docs/developer/mutation.md says what was found.
MUTANTS_ARGS ?=
mutants: $(VENV_MUTANTS)/.has-mutants
	env OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
	$(VENV_MUTANTS)/bin/python tests/project/mutants.py $(MUTANTS_ARGS)

lint: $(VENV)/.has-lint
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m codespell_lib .
	$(VENV)/bin/python -m mypy
	$(VENV)/bin/python -m mypy --strict --follow-imports=silent tests/project/typed_user.py
	$(VENV)/bin/python -m pyright --pythonpath $(VENV)/bin/python

format: $(VENV)/.has-lint
	$(VENV)/bin/python -m ruff check --fix .
	$(VENV)/bin/python -m ruff format .

docs: $(VENV)/.has-docs
	$(VENV)/bin/python -m sphinx -n -W --keep-going -b html $(DOCS_ARGS) docs docs/_build/html

bench: $(VENV)/.has-bench
	$(VENV)/bin/python -m benchmarks

# What hangs on a dependency's version shows in the fast tests and the full checks; the slow tests
# are more of the same at other losses and sizes. torch is the same version in both environments: what
# torch alone computes is not computed again, nor are the benchmarks and the texts, which are no part of
# the package.
OF_TORCH_ALONE = tests/kernels tests/test_nn.py tests/export/test_exporters.py tests/losses/test_traceable.py \
	$(addprefix tests/losses/test_,loss_family.py mlce_loss.py multioutput_loss.py loss_equalities.py)
oldest: $(VENV_OLDEST)/.has-test
	$(call RUN_TESTS,$(VENV_OLDEST),-m "not slow or full_checks" \
	$(addprefix --ignore=,$(OF_TORCH_ALONE) tests/project/test_docstrings.py) --ignore-glob='*/test_benchmark*.py')

# An environment, once made, is only added to; `make clean` starts over.
%/.made:
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.version_info >= (3, 11) or sys.exit( \
	"sklearn-mlce needs Python 3.11 or newer, and $(PYTHON) is " + v + ". Type, say: make test PYTHON=python3.12")'
	$(PYTHON) -m venv --clear $(@D)
	@touch $@

$(VENV)/.has-%: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing what 'make $*' needs into $(VENV). The first time takes some minutes."
	$(PIP) -c constraints.txt hatchling editables
	$(PIP) -c constraints.txt --no-build-isolation --editable '.[$*]'
	@touch $@

# What predictions of linear models need, and what loads stored ones.
$(VENV_BARE)/.has-bare: constraints.txt | $(VENV_BARE)/.made
	@echo "Installing an environment without torch into $(VENV_BARE)."
	$(PIP) -c constraints.txt numpy scipy scikit-learn joblib pandas skops
	@touch $@

# On top of the first environment: what both have at the same version is not installed again.
$(VENV_TOOLS)/.has-tools: pyproject.toml constraints-tools.txt $(VENV)/.has-test | $(VENV_TOOLS)/.made
	@echo "Installing the tools that the guide shows into $(VENV_TOOLS), on top of $(VENV)."
	@$(call SITE_PACKAGES,$(VENV)) > `$(call SITE_PACKAGES,$(VENV_TOOLS))`/on_top_of.pth
	$(PIP) -c constraints-tools.txt --no-build-isolation --editable '.[test-serving,test-tools]'
	@touch $@

# The tests' packages are those of the first environment: only what makes mutants is added.
$(VENV_MUTANTS)/.has-mutants: pyproject.toml constraints-tools.txt $(VENV)/.has-test | $(VENV_MUTANTS)/.made
	@echo "Installing what makes mutants into $(VENV_MUTANTS), on top of $(VENV)."
	@$(call SITE_PACKAGES,$(VENV)) > `$(call SITE_PACKAGES,$(VENV_MUTANTS))`/on_top_of.pth
	$(PIP) -c constraints-tools.txt --no-build-isolation --editable '.[mutants]'
	@touch $@

$(VENV_OLDEST)/.has-%: pyproject.toml constraints-oldest.txt | $(VENV_OLDEST)/.made
	@echo "Installing the oldest supported dependencies into $(VENV_OLDEST)."
	$(PIP) -c constraints-oldest.txt hatchling editables
	$(PIP) -c constraints-oldest.txt --no-build-isolation --editable '.[$*]'
	@touch $@

clean:
	rm -rf $(VENV) $(VENV_OLDEST) $(VENV_BARE) $(VENV_TOOLS) $(VENV_MUTANTS) .venv-*
	rm -rf build dist docs/_build docs/auto_examples docs/benchmarks docs/generated examples/output
	rm -rf .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
