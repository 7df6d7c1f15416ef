# Every target does its own set-up in .venv; `make help` lists them.
PYTHON ?= python3
ARGS ?=
N ?= 50
BIN := .venv/bin
READY := .venv/.ready

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# Tests and the demo start many processes; without stored bytecode each of them compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test kafka test-kafka chaos check format lint types imports schemas schemas-check alembic-check bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make the virtual environment in .venv

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "exportgate needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1); run: make PYTHON=python3.12" >&2; exit 1; }
	@echo "setting up .venv (once, and again when requirements.lock changes)" >&2
	@rm -f $@
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## run the main job end to end on embedded servers, then June 2026 by its commands; ARGS="--json" for a program
	@$(BIN)/exportgate demo $(ARGS)
	@$(BIN)/exportgate demo --june $(ARGS)

test: $(READY) ## run the tests; ARGS="tests/test_x.py -k name" to choose
	@$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile $(ARGS)

kafka: $(READY) ## run Apache Kafka until Ctrl-C and print its address; needs Java 17 and Maven
	@$(BIN)/python -m tests.kafka

test-kafka: $(READY) ## run the tests of the stream on Apache Kafka; skipped, with the reason, without Java 17 or Maven
	@$(BIN)/python -m pytest --broker=kafka tests/test_stream.py tests/test_contract.py tests/test_positions.py tests/test_relay.py tests/test_lifting.py tests/test_faults.py tests/test_outages.py tests/test_checker.py tests/test_checker_tells.py $(ARGS)

chaos: $(READY) ## N=50 faults at random on Apache Kafka and PostgreSQL, and a verdict by the checker; SEED=S draws the same again
	@$(BIN)/python -m tests.chaos --faults $(N) $(if $(SEED),--seed $(SEED))

check: lint types imports schemas-check alembic-check ## everything that must pass: format, lint, types, imports, schemas, migrations, tests
	@$(BIN)/ruff format --quiet --check . || { echo "not formatted; run: make format" >&2; exit 1; }
	@$(MAKE) --no-print-directory test

format: $(READY) ## rewrite the code in the one format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only --quiet .

lint: $(READY) ## ruff
	@$(BIN)/ruff check .

types: $(READY) ## mypy
	@$(BIN)/mypy

imports: $(READY) ## who may import whom
	@$(BIN)/lint-imports --no-logo

schemas: $(READY) ## write schemas/json and schemas/asyncapi.yaml from the models
	@$(BIN)/python -m schemas.export
	@$(BIN)/python -m service.policies.schema

schemas-check: $(READY) ## fail when the written schemas are stale or break the published version
	@$(BIN)/python -m schemas.export --check
	@$(BIN)/python -m service.policies.schema --check

alembic-check: $(READY) ## fail when the tables and the migrations differ
	@$(BIN)/exportgate db check --embedded

bench: $(READY) ## measure beside baselines; writes build/bench.json and .svg; ARGS="--quick" for a smoke run
	@$(BIN)/python -m tests.bench $(ARGS)

lock: ## resolve the dependencies anew and write requirements.lock
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet uv
	@env -u UV_FIND_LINKS -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL .venv-lock/bin/uv pip compile --quiet --no-config \
	  --universal --python-version 3.11 --all-extras --generate-hashes --only-binary :all: --no-emit-index-url \
	  --no-emit-find-links --no-annotate --upgrade --custom-compile-command "make lock" \
	  pyproject.toml --output-file requirements.lock
	@rm -rf .venv-lock

clean: ## remove what was made here, .venv included
	rm -rf .venv .venv-lock build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
