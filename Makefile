# Every way to set up, check, test, run and operate Tiercel. `make help` explains the targets; each does its own set-up.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Some images set it; the tests and the demo start processes by the dozen, and each would compile all its libraries anew.
unexport PYTHONDONTWRITEBYTECODE

PY := .venv/bin/python
# The first of these that runs and is new enough; `make setup PYTHON=/usr/local/bin/python3` chooses another.
PYTHONS := $(PYTHON) python3.13 python3.12 python3.11 python3
# What a pytest run is given besides: make test PYTEST="-k outbox -x"
PYTEST ?=

.PHONY: help setup check lint test test-long demo serve stack-up stack-down bench schemas lock clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready  ## Leave .venv with every locked dependency (hashes checked) and Tiercel itself; needs Python 3.11 or newer.
	@:

check: lint  ## The gate before every commit, no server needed: format, lint, types, imports, fast tests.
	$(PY) -m pytest -q --hypothesis-profile=gate -m "not slow" tests/architecture tests/unit tests/property $(PYTEST)

lint: setup  ## The part of check that runs no test: format, lint, types, imports.
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

test: setup  ## All tests, against real PostgreSQL, Kafka and Redis where this machine can have them (CI=true: it must).
	$(PY) -m tests.run $(PYTEST)

test-long: setup  ## All tests with many more generated cases and the slow ones.
	$(PY) -m tests.run --long $(PYTEST)

# make demo | make demo ORDERS=orders.csv MAP="order_id=Invoice sku=StockCode ..." | make demo FORM=distributed
DEMO := $(if $(ORDERS),--orders '$(ORDERS)') $(if $(MAP),--map '$(MAP)') $(if $(FORM),--form '$(FORM)')
demo: setup  ## Replay an order history through the three services. No server needed. ORDERS=<file> MAP=<columns> FORM=distributed
	.venv/bin/tiercel demo $(DEMO) $(ARGS)

PORT ?= 8080
DATA ?= .tiercel
serve: setup  ## Keep the all-in-one form up (not for production): the three services on PORT, PORT+1 and PORT+2. PORT=8080 DATA=.tiercel
	.venv/bin/tiercel serve --port $(PORT) --data '$(DATA)' $(ARGS)

stack-up: setup  ## Start real PostgreSQL, Kafka, Redis and Prometheus on loopback, without Docker; says which Debian packages it installs.
	$(PY) -m tiercel.stack up

stack-down: setup  ## Stop what stack-up started.
	$(PY) -m tiercel.stack down

bench: setup  ## Measure against the baselines; results in build/bench/. ARGS=... goes to the runner.
	$(PY) -m bench $(ARGS)

schemas: setup  ## Render schemas/ from the payload models and the services' routes.
	$(PY) -m tiercel.schemas

lock: .venv/.ready  ## Resolve the dependencies anew into requirements.lock: every platform, every hash, no download address.
	@uv=$$(command -v uv || echo .uv/bin/uv); \
	"$$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links --group dev $(ARGS) --output-file requirements.lock pyproject.toml
	@$(MAKE) setup

clean:  ## Remove what can be made again: caches and build/. Leaves .venv, .tiercel and .stack.
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path './.uv/*' -prune -exec rm -rf {} +

# `uv` from the PATH, or brought into .uv from the package index. No system package is installed here.
.venv/.ready: requirements.lock pyproject.toml
	@python=; for candidate in $(PYTHONS); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'Tiercel needs Python 3.11 or newer, and none of these is one: $(PYTHONS).' >&2; \
	  echo 'Install one (Debian: apt-get install python3 python3-venv) or name it: make setup PYTHON=<path>.' >&2; exit 1; \
	fi; \
	uv=$$(command -v uv || echo .uv/bin/uv); \
	if ! "$$uv" --version >/dev/null 2>&1; then \
	  echo "bringing uv into .uv"; \
	  rm -rf .uv; "$$python" -m venv .uv || { \
	    echo 'This Python cannot make virtual environments. Install uv, or (Debian) apt-get install python3-venv.' >&2; exit 1; }; \
	  .uv/bin/pip install --quiet --disable-pip-version-check uv; uv=.uv/bin/uv; \
	fi; \
	if ! $(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	  "$$uv" venv --quiet --clear --python "$$("$$python" -c 'import sys; print(sys.executable)')" .venv; \
	fi; \
	echo "installing the locked dependencies for $$($(PY) -V)"; \
	"$$uv" pip sync --quiet --require-hashes --python $(PY) requirements.lock; \
	"$$uv" pip install --quiet --no-deps --python $(PY) --editable .
	@touch $@
