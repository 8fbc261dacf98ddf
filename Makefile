# Every target that needs .venv makes it first; scripts/bootstrap.sh says how.
# make PYTHON=/path/to/python3.10 names the interpreter to use.

SHELL := bash
.DEFAULT_GOAL := help

VENV_PYTHON := .venv/bin/python
export PYTHON

# TensorFlow and Courier log what no user of ours can act on; errors are still shown.
# tests/conftest.py sets the same where pytest runs without make.
export TF_CPP_MIN_LOG_LEVEL ?= 2

# Side by side, a file of tests each; the slow ones, which use all cores, one by one.
# No process of tests that dies is replaced: xdist 3.8 can wait for ever after that.
TEST_PROCESSES ?= 2

.PHONY: help venv demo test test-doors test-slow test-environment lint format docs lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | \
	  while IFS=$$'\t' read -r name text; do printf '  %-10s %s\n' "$$name" "$$text"; done

venv:  ## make .venv: find Python 3.10, install requirements.lock
	@bash scripts/bootstrap.sh

demo: venv  ## run the whole pipeline small, end with a table
	@$(VENV_PYTHON) -m launchers.demo

test: venv  ## run the linters and the tests but slow ones and doors, TEST_PROCESSES=2 at a time
	@$(VENV_PYTHON) -m ruff check --quiet
	@$(VENV_PYTHON) -m mypy --no-error-summary
	@$(VENV_PYTHON) -m pytest -m "not slow and not doors" --numprocesses=$(TEST_PROCESSES) \
	  --dist=loadfile --no-loadscope-reorder --max-worker-restart=0 \
	  --durations=30 --durations-min=5

test-doors: venv  ## run a small example of each door: data, environments, formats, own parts
	@$(VENV_PYTHON) -m pytest -m doors --numprocesses=$(TEST_PROCESSES) \
	  --dist=worksteal --max-worker-restart=0 --durations=0 --durations-min=5

test-slow: venv  ## run the slow tests
	@$(VENV_PYTHON) -m pytest -m slow

# A Python without the rest of the project: 3.10 to 3.13. dm_robotics says that it does
# not run on 3.13; what is used of it does.
ENVIRONMENT_PYTHON ?= python3
test-environment:  ## check the environment alone, with ENVIRONMENT_PYTHON; SB3=1 also by SB3's checker
	@rm -rf runs/venv-environment
	@$(ENVIRONMENT_PYTHON) -m venv runs/venv-environment
	@runs/venv-environment/bin/pip install --quiet --no-deps --ignore-requires-python \
	  -r requirements-environment.txt
	@$(if $(SB3),runs/venv-environment/bin/pip install --quiet stable-baselines3==2.9.2)
	@runs/venv-environment/bin/python scripts/check_environment.py

lint: venv  ## check style, format and types
	@$(VENV_PYTHON) -m ruff check
	@$(VENV_PYTHON) -m ruff format --check
	@$(VENV_PYTHON) -m mypy

format: venv  ## rewrite the code in our style and format
	@$(VENV_PYTHON) -m ruff check --fix
	@$(VENV_PYTHON) -m ruff format

# Not --quiet: with it MkDocs counts no warnings, and a broken link would pass.
docs: venv  ## build the documentation into runs/site; a broken link fails
	@set -o pipefail; NO_MKDOCS_2_WARNING=1 $(VENV_PYTHON) -m mkdocs build --strict 2>&1 | \
	  { grep -v '^INFO' || true; }
	@echo "runs/site/index.html"

lock:  ## resolve requirements.txt and requirements-environment.in; needs uv
	@command -v uv >/dev/null || { echo "error: make lock needs uv" >&2; exit 2; }
	@UV_CUSTOM_COMPILE_COMMAND="make lock (uv pip compile, for Python 3.10 on Linux x86-64)" \
	  uv pip compile --quiet requirements.txt --override overrides.txt \
	  --output-file requirements.lock --python-version 3.10 \
	  --python-platform x86_64-unknown-linux-gnu \
	  --no-emit-index-url --no-emit-find-links
	@UV_CUSTOM_COMPILE_COMMAND="make lock (uv pip compile, for Python 3.10 to 3.13)" \
	  uv pip compile --quiet requirements-environment.in \
	  --override overrides-environment.txt --output-file requirements-environment.txt \
	  --universal --python-version 3.10 --no-emit-index-url --no-emit-find-links

clean:  ## remove .venv and caches; runs/ stays
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
