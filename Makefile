# Everything from a fresh clone with git, make and Python >= 3.11: `make demo`, `make test`. ARGS passes options on.
# `make PYTHON=/path/to/python3` chooses the interpreter; `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
export PYTHON
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test test-long test-system airflow-check repeat-check extras-check chaos check format bench lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv from requirements.lock (the other targets do it themselves)

$(STAMP): requirements.lock pyproject.toml setup.py .ci/python.sh
	@python=$$(bash .ci/python.sh); \
	if ! $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "making $(VENV) with $$python"; "$$python" -m venv --clear $(VENV); fi
	@echo "installing requirements.lock into $(VENV)"
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)  ## the whole loop on embedded Kafka and Redis, ending with a checked summary (ARGS="--seed 7")
	@exec $(BIN)/longshore demo $(ARGS)

test: $(STAMP)  ## the whole suite, in two processes, each with embedded servers of its own (ARGS="-k codec")
	@exec $(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

test-long: $(STAMP)  ## what make test leaves out because it takes minutes and is covered otherwise
	@exec $(BIN)/python -m pytest -m long $(ARGS)

test-system: $(STAMP)  ## a browser, Prometheus, kcat and a balancer against real services (needs Debian packages)
	@bash .ci/system_packages.sh
	@exec $(BIN)/python -m pytest -m system $(ARGS)

airflow-check: $(STAMP)  ## load deploy/airflow with a real Airflow in an environment of its own, and run it once
	@exec bash .ci/airflow_check.sh

repeat-check: $(STAMP)  ## train the same rows in two new environments from the lock file: equal to the byte
	@exec bash .ci/repeat_check.sh

extras-check: $(STAMP)  ## try every optional extra for real: S3 (a local moto server), MLflow, W&B offline, PMML, Dask
	@exec bash .ci/extras_check.sh $(ARGS)

chaos: $(STAMP)  ## kill, stop, cut off and swap everything under load, then count every record (ARGS="--seed 7", "--long")
	@exec $(BIN)/python -m tests.faults.chaos $(ARGS)

check: $(STAMP)  ## ruff, mypy strict, and the edges the architecture allows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	bash .ci/source_tree.sh
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -p no:randomly tests/test_architecture.py

format: $(STAMP)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## run every benchmark (ARGS="scoring --quick": one of them, with its options)
	@chosen=( $(ARGS) ); for file in benchmarks/[a-z]*.py benchmarks/*/__main__.py; do \
	  module=$${file%.py}; module=$${module%/__main__}; module=$${module//\//.}; all="$${all:-} $${module#benchmarks.}"; \
	  if [ -z "$${chosen[*]}" ] || [ "benchmarks.$${chosen[0]}" = "$$module" ]; then \
	    found=yes; echo "== $$module $${chosen[*]:1}"; $(BIN)/python -m "$$module" "$${chosen[@]:1}"; fi; done; \
	[ -n "$${found:-}" ] || { echo "benchmarks/ holds no $${chosen[0]}; there are:$$all" >&2; exit 1; }

lock:  ## renew requirements.lock after a change in pyproject.toml (ARGS="--upgrade")
	@bash .ci/lock.sh $(ARGS)

clean:  ## remove what the targets made, .venv and .longshore too (refuses while the local stack is up)
	@if [ -x $(BIN)/longshore ] && env -u LONGSHORE_BOOTSTRAP_SERVERS -u LONGSHORE_REDIS_URL -u LONGSHORE_HOME $(BIN)/longshore local status --output json >/dev/null 2>&1; then \
	  echo "the local stack is up; stop it first: $(BIN)/longshore local down" >&2; exit 1; fi
	rm -rf $(VENV) .airflow .extras .repeat .longshore .bench .tree .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf src/*.egg-info
