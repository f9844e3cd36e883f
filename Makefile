# One command each: `make demo` shows the project at work, `make test` proves it.  `make help` lists the rest.

PYTHON ?= python3.11
# cpu, or gpu on a machine with NVIDIA GPUs: make setup LOCK=gpu
LOCK ?= cpu
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.odr-setup-$(LOCK)
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
TORCH = $(shell sed -n '/^torch==/p' requirements/$(LOCK).lock)
# Where pip is not configured to find torch's CPU build, this index of the PyTorch project has it.
TORCH_INDEX := https://download.pytorch.org/whl/cpu

# Processes, not threads, share the cores; and nothing of an activated environment may leak in.
export OMP_NUM_THREADS ?= 1
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PYTHONSTARTUP

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help
help: ## List the commands.
	@echo "usage: make COMMAND"
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 16

.PHONY: setup
setup: $(STAMP) ## Make .venv with every package at its locked version (PYTHON=..., LOCK=cpu|gpu). Done once.
	@:

$(STAMP): requirements/$(LOCK).lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "error: no $(PYTHON) on this machine; install Python 3.11, or say where it is: make setup PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	  echo "error: $(PYTHON) is $$("$(PYTHON)" -V 2>&1), but the locked packages are for Python 3.11; say where one is: make setup PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "setting up $(VENV) from requirements/$(LOCK).lock (a few minutes, about 5 GB)"
	@rm -f $(VENV)/.odr-setup-*
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP) install --no-deps --no-compile "$(TORCH)" 2>/dev/null \
	  || $(PIP) install --no-deps --no-compile --extra-index-url $(TORCH_INDEX) "$(TORCH)"
	@# Bytecode on all cores afterwards takes half the time of pip's own, and every child process needs it.
	@$(PIP) install --no-deps --no-compile -r requirements/$(LOCK).lock
	@$(BIN)/python -m compileall -q -j 0 -x '/tests/' $(VENV)/lib >/dev/null || true
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: demo
demo: setup ## Watch a tiny model learn arithmetic from its own attempts: minutes, on two CPU cores.
	@$(BIN)/odr demo

.PHONY: test
test: setup ## Run the whole test suite, with the engines and trainers.
	@# Three processes, also on two cores: end-to-end tests wait for servers and locks. Two keep the cores busy to 70 %.
	@$(BIN)/python -m pytest -n 3 --no-loadscope-reorder

.PHONY: browser
browser: setup ## The tests that click: Prefect's form, MLflow's comparison, the run page. Needs Debian's chromium.
	@$(PIP) install playwright==1.65.2
	@$(BIN)/python -m pytest tests/e2e/test_browser.py

.PHONY: check
check: check-static ## Format, lint, types, import rules, and the tests that take seconds.
	@$(BIN)/python -m pytest -m "not slow" -n 2

.PHONY: check-static
check-static: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

.PHONY: docs
docs: setup ## Write docs/reference anew from the code.
	@$(BIN)/python docs/generate.py

.PHONY: bench
bench: setup ## Measure what the README states: learning, training, overhead, sampling, storage, grading, lines. Hours.
	@for figure in first_result demo learning train overhead sampling store grader hostile lines; do \
	  echo "== $$figure"; $(BIN)/python -m tests.bench.$$figure; done

# torchvision, torchaudio and torchcodec are named by vLLM, used by nothing here, and large.
UNUSED := torchvision torchaudio torchcodec
UV_FLAGS := --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-header --no-annotate \
  $(addprefix --no-emit-package ,$(UNUSED))
# uv does not read pip's configuration: a folder of wheels is handed over, else the PyTorch index is used.
CPU_TORCH := $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS),--extra-index-url $(TORCH_INDEX) --index-strategy unsafe-best-match)
# UPGRADE=--upgrade takes the newest versions; without it, only what the .in files or pyproject.toml demand changes.
UPGRADE ?=

.PHONY: lock
lock: ## Work out requirements/*.lock anew from pyproject.toml and requirements/*.in (UPGRADE=--upgrade).
	@"$(PYTHON)" -m venv build/uv
	@build/uv/bin/python -m pip -qq --disable-pip-version-check install uv
	@build/uv/bin/uv pip compile $(UV_FLAGS) $(UPGRADE) $(CPU_TORCH) pyproject.toml --extra cpu --extra dev \
	  requirements/cpu.in requirements/dev.in -o requirements/cpu.lock >/dev/null
	@build/uv/bin/uv pip compile $(UV_FLAGS) $(UPGRADE) pyproject.toml --extra gpu --extra dev \
	  requirements/gpu.in requirements/dev.in -o requirements/gpu.lock >/dev/null
	@for kind in cpu gpu; do \
	  sed -i "1i # Every version of the $$kind environment, direct and indirect; made by \`make lock\`, installed with --no-deps." \
	    requirements/$$kind.lock; done

.PHONY: clean
clean: ## Remove .venv, caches and build products. What runs produced (.odr) stays.
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.odr/*' -prune -exec rm -rf {} +
