# The two commands are `make demo` and `make test`; each does all of its own set-up in .venv.
# ARGS is passed on, such as: make demo ARGS="--exit --json", make test ARGS="-k coverage".

ARGS ?=
PYTHON ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
# Compiled once, the many processes of the demo and of the tests start sooner, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE
# Ends its command when make itself is killed.
GUARD := $(BIN)/python -P -m tapekeeper.local.guard --grace-seconds 240 --

.DEFAULT_GOAL := help
.PHONY: help venv demo up secrets compose-demo compose-down test lint format types bench soak pins clean

help:
	@echo "make demo     backfill the last 7 days from a simulated venue through Airflow, and look at them"
	@echo "make up       the same from the live venue"
	@echo "make secrets  the secrets of docker-compose.yml that are not there yet"
	@echo "make compose-demo  the same as make demo in containers, with Prometheus and Grafana; make compose-down ends it"
	@echo "make test     format, lint, types, import arrows, and all tests"
	@echo "make lint     the linter and the import arrows alone; make format, make types likewise"
	@echo "make bench    the benchmarks, side by side with the alternatives"
	@echo "make soak     the live collector, disturbed for half an hour and compared with the truth"
	@echo "make venv     only install the pinned packages into .venv"
	@echo "make pins     choose the pinned packages anew, after a change in pyproject.toml"
	@echo "make clean    delete .venv, caches, and all data of demo and up"
	@echo
	@echo 'Options go through ARGS: make demo ARGS="--exit --json", make test ARGS="-k status"'
	@echo "Another Python: make venv PYTHON=python3.12"

venv: .venv/runtime

.venv/bin/python:
	@found=""; \
	for candidate in $(or $(PYTHON),python3 python3.12 python3.11 python3.13); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        found="$$candidate"; break; \
	    fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "tapekeeper needs Python 3.11 or newer; $(or $(PYTHON),python3) is $$($(or $(PYTHON),python3) --version 2>&1)." >&2; \
	    echo "Install one, then: make venv PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	"$$found" -m venv .venv || { rm -rf .venv; echo "On Debian: apt-get install python3-venv" >&2; exit 1; }

# Nothing is left to resolve: a set names all that it needs, and older versions of pip would look for newer ones.
# The stamps say which set of packages .venv holds. The larger one holds the smaller one in the same versions.
.venv/runtime: requirements/runtime.txt pyproject.toml | .venv/bin/python
	@echo "installing the pinned packages into .venv: once, for a minute or two" >&2
	@$(PIP) install --no-deps --require-hashes -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: requirements/dev.txt requirements/runtime.txt pyproject.toml | .venv/bin/python
	@echo "installing the pinned packages and the test tools into .venv: once, for a minute or two" >&2
	@$(PIP) install --no-deps --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch .venv/runtime $@

demo up: .venv/runtime
	@$(GUARD) $(BIN)/tapekeeper $@ $(ARGS)

secrets:
	@sh docker/make-secrets.sh $(ARGS)

compose-demo: .venv/runtime
	@$(BIN)/python -P -m tapekeeper.local.compose up $(ARGS)

compose-down: .venv/runtime
	@$(BIN)/python -P -m tapekeeper.local.compose down $(ARGS)

test: .venv/dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest $(ARGS)

lint: .venv/dev
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

format: .venv/dev
	@$(BIN)/ruff format .

types: .venv/dev
	@$(BIN)/mypy

bench: .venv/dev
	@$(BIN)/python -m benchmarks $(ARGS)

soak: .venv/dev
	@$(BIN)/python -m tests.soak $(ARGS)

COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet

PINS := printf 'hatchling\neditables\n' | $(COMPILE) pyproject.toml -

# What two sets share has one version.
pins: .venv/dev
	@$(PINS) --extra airflow --extra collector --extra git --extra local --extra dev -o requirements/dev.txt
	@$(PINS) --extra airflow --extra collector --extra local --constraint requirements/dev.txt -o requirements/runtime.txt
	@$(PINS) --extra airflow --extra server --constraint requirements/dev.txt -o requirements/airflow.txt
	@$(PINS) --extra collector --constraint requirements/dev.txt -o requirements/collector.txt
	@$(PINS) --extra simulator --constraint requirements/dev.txt -o requirements/simulator.txt

clean:
	@if [ -d .tapekeeper ] && [ -x $(BIN)/python ]; then $(BIN)/python -m tapekeeper.local.clean .tapekeeper; fi
	@rm -rf .venv .tapekeeper .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
