# Needs Python 3.11 or later, git and make; everything else is installed into .venv from the locks.
PYTHON ?= python3
VENV := .venv
LOCKS := requirements/numeric.txt requirements/analysis.txt requirements/tools.txt
# Named after the contents of the locks: changed locks, and nothing else, install again.
STAMP := $(VENV)/.locked-$(shell cat $(LOCKS) pyproject.toml | cksum | cut -d ' ' -f 1)
# SAEBench's own code runs in an environment of its own (docs/parity.md); torch is the one of our lock.
PARITY := .venv-parity
PARITY_STAMP := $(PARITY)/.locked-$(shell cat requirements/parity.txt requirements/numeric.txt | cksum | cut -d ' ' -f 1)
# Others' trainers beside ours (docs/benchmarks).
BENCH := .venv-bench
BENCH_STAMP := $(BENCH)/.locked-$(shell cat requirements/bench.txt requirements/numeric.txt | cksum | cut -d ' ' -f 1)
# `python -m pipeline`, the command of every stage, is then the environment's python.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help reproduce study experiments ablations browser test test-fast check parity parity-page bench bench-run remote environment clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

reproduce: $(STAMP) ## run the whole pipeline of params.yaml, a stage per core (dvc repro gives the same)
	$(VENV)/bin/python -m pipeline reproduce

# Hours of every core: `python -m pipeline study --plan` says how many, and a stopped study goes on.
study: $(STAMP) ## several language models, seeds and targets: study.yaml into study/ (hours); `python -m pipeline docs` writes its page
	$(VENV)/bin/python -m pipeline study

# `dvc exp show` has hundreds of columns: a score per method and L0 target, a hash per dependency.
experiments: $(STAMP) ## what differs between experiments: parameters, and three scores of the methods that changed
	@$(VENV)/bin/dvc exp show --only-changed \
	  --drop 'Created|.*/|.*\.(l0|kl|dead|letter_f1|probing)$$|.*\.truth-'

# The columns of one method: its experiments' names and states, what was varied, the scores at each L0 target.
SHOW = $(VENV)/bin/dvc exp show --no-pager --md --hide-workspace --drop '.*' \
  --keep '^(Experiment|State|$(1))|^$(2)\.l0-[0-9]+\.(l0|explained_variance|kl|miss_rate|persistence_energy)$$'

ablations: $(STAMP) ## temporal's switches and atm's sweep: 17 experiments, then their tables (docs/claims.md)
	$(VENV)/bin/dvc exp run --queue -n temporal -S 'temporal.temporal_penalty=false,true' \
	  -S 'temporal.resampling=false,true' -S 'temporal.gradient_scaling=false,true' compare
	$(VENV)/bin/dvc exp run --queue -n atm -S 'atm.threshold=-0.5,0.0,0.5' -S 'atm.sharpness=0.5,1.0,2.0' compare
	$(VENV)/bin/dvc exp run --run-all
	@$(call SHOW,temporal\.(temporal_|resampling|gradient_),temporal) | grep -v '\[atm-'
	@$(call SHOW,atm\.(threshold|sharpness),atm) | grep -v '\[temporal-'

# Debian's own, where this machine lets us; the tests of the page in a browser are collected only where there is one.
browser: ## install Chromium for the tests of the page, if there is none and apt can
	@for each in chromium chromium-browser google-chrome; do if command -v $$each > /dev/null; then exit 0; fi; done; \
	if test "$$(id -u)" = 0 && command -v apt-get > /dev/null && \
	  timeout 600 sh -c "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium" > /dev/null 2>&1; \
	then echo "Chromium: installed."; \
	else echo "Chromium: not installed (no root, no apt-get or no package): the tests of the page in a browser are left out."; fi

# A file of tests, with what its tests share, stays in one process.
TEST_WORKERS ?= 2
test: $(STAMP) ## run every test, files side by side in two processes
	$(VENV)/bin/python -m pytest -n $(TEST_WORKERS) --dist loadfile

test-fast: $(STAMP) ## run the tests that need no DVC
	$(VENV)/bin/python -m pytest -n $(TEST_WORKERS) --dist loadfile -m "not e2e"

check: $(STAMP) ## lint, types, params.yaml
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pipeline check

parity: $(STAMP) $(PARITY_STAMP) ## compare our metrics with SAEBench's own code
	SAEBENCH_PYTHON=$(PARITY)/bin/python $(VENV)/bin/python -m pytest tests/parity

parity-page: $(STAMP) $(PARITY_STAMP) ## the same, and write the result to docs/parity.md
	SAEBENCH_PYTHON=$(PARITY)/bin/python $(VENV)/bin/python -m pytest tests/parity --page docs/parity.md

bench: $(STAMP) $(BENCH_STAMP) $(PARITY_STAMP) ## speed and memory beside others' code, into docs/benchmarks
	OMP_WAIT_POLICY=passive $(BENCH)/bin/python -W ignore -m benchmarks
	$(VENV)/bin/python -m benchmarks page

bench-run: $(STAMP) ## time the whole default run, stage by stage, in a throwaway clone
	$(VENV)/bin/python -m benchmarks run
	$(VENV)/bin/python -m benchmarks page

remote: $(STAMP) ## install the S3 drivers, test stores and DVC remotes on a local S3 server
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/remote.txt
	$(VENV)/bin/python -m pytest tests/remote

environment: $(STAMP) ## make .venv from the locks

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.11 $(MAKECMDGOALS)." >&2; exit 2; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(addprefix -r ,$(LOCKS))
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.locked-*
	@touch $@

$(PARITY_STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || \
	  { echo "error: SAEBench's numpy < 2 needs Python 3.11 or 3.12: make PYTHON=python3.11 $(MAKECMDGOALS)." >&2; exit 2; }
	@test -x $(PARITY)/bin/python || $(PYTHON) -m venv $(PARITY)
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep ^torch== requirements/numeric.txt)"
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/parity.txt
	@rm -f $(PARITY)/.locked-*
	@touch $@

$(BENCH_STAMP):
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/numeric.txt
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/bench.txt
	@rm -f $(BENCH)/.locked-*
	@touch $@

clean: ## remove the environment, caches and scratch; results and DVC's cache stay
	rm -rf $(VENV) $(PARITY) $(BENCH) .scratch build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
