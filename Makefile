# `make demo` and `make test` need Python >= 3.11 and the package index, nothing else.

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

# Extras stay in the pins: without them an older pip looks past them for a newer release.
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-strip-extras

ZONES := Asia/Kathmandu America/Sao_Paulo

.PHONY: help demo test slow zones check lint format coverage crash bench picture requirements clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | sort | expand -t 14

demo: .venv/run  ## watch real ingestion from a sandbox: no key, no network
	$(BIN)/tapewatch demo

test: .venv/dev  ## the quick tests, on SQLite and on a real PostgreSQL
	$(PYTEST) -m "not slow"

slow: .venv/dev  ## the others: end to end, big stores, long random runs, hundreds of kills
	$(PYTEST) -m slow

zones: .venv/dev  ## what reckons with times, in time zones with odd offsets
	for zone in $(ZONES); do TZ=$$zone $(PYTEST) -m "not slow" tests/unit tests/engine || exit 1; done

check: lint coverage  ## formatting, lint, types, import contract, all tests with branch coverage of core

lint: .venv/dev  ## formatting, lint, types, import contract
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

coverage: .venv/dev
	$(PYTEST) -m "slow or not slow" --cov --cov-report=term-missing:skip-covered

format: .venv/dev  ## format the code and mend what lint can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

crash: .venv/dev  ## kill ingestion anywhere and cut its power, for longer than the suite does
	$(BIN)/python -m tests.crash --points 600 --kills 200 --errors 120

bench: .venv/dev .venv-bench/peers  ## speed, memory and latency beside the floor and what people use, as ratios
	$(BIN)/python -m tests.bench
	.venv-bench/bin/python -m tests.bench.caches
	$(BIN)/python -m tests.bench.cache_faults
	$(BIN)/python -m tests.bench.monitoring
	$(BIN)/python -m tests.bench.screens

picture: .venv/dev  ## take the pictures of the dashboard anew
	$(BIN)/python -m docs.picture

requirements: .venv/dev  ## compile the pins anew (needs uv)
	$(COMPILE) pyproject.toml --group build -o requirements/run.txt
	$(COMPILE) pyproject.toml --group dev -o requirements/dev.txt
	$(COMPILE) --group bench -o requirements/bench.txt

clean:  ## remove the environment and caches
	rm -rf .venv .venv-bench .mypy_cache .pytest_cache .ruff_cache .coverage

.venv/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tapewatch needs Python 3.11 or newer; say: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/run: .venv/pip requirements/run.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/pip requirements/dev.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# An environment of their own: what others need must not move the product's pins.
.venv-bench/peers: .venv/pip requirements/bench.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@
