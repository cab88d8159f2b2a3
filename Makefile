# Needs Python 3.11 or later, git and make; everything else is installed into .venv from the locks.
PYTHON ?= python3
VENV := .venv
LOCKS := requirements/numeric.txt requirements/tools.txt
# Named after the contents of the locks: changed locks, and nothing else, install again.
STAMP := $(VENV)/.locked-$(shell cat $(LOCKS) pyproject.toml | cksum | cut -d ' ' -f 1)
# `python -m pipeline`, the command of every stage, is then the environment's python.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help reproduce test test-fast check environment clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

reproduce: $(STAMP) ## run the whole pipeline of params.yaml (dvc repro)
	$(VENV)/bin/dvc repro

test: $(STAMP) ## run every test
	$(VENV)/bin/python -m pytest

test-fast: $(STAMP) ## run the tests that need no DVC
	$(VENV)/bin/python -m pytest -m "not e2e"

check: $(STAMP) ## lint, types, params.yaml
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pipeline check

environment: $(STAMP) ## make .venv from the locks

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.11 $(MAKECMDGOALS)." >&2; exit 2; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(addprefix -r ,$(LOCKS))
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.locked-*
	@touch $@

clean: ## remove the environment, caches and scratch; results and DVC's cache stay
	rm -rf $(VENV) .scratch build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
