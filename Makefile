# The front door. `make help` lists everything in a line each.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

# Without compiled bytecode every process imports Airflow from source: 20 seconds instead of 4.
unexport PYTHONDONTWRITEBYTECODE
# The Python of this machine (3.11 or 3.12), never one that uv would fetch.
export UV_PYTHON_DOWNLOADS := never

VENV := .venv
PYTHON := $(VENV)/bin/python
QUIETUS := $(VENV)/bin/quietus
TOOLS := .quietus/tools
UV := $(shell if uv --version >/dev/null 2>&1; then command -v uv; else echo $(TOOLS)/bin/uv; fi)
INSTALLED := $(VENV)/.installed
# The two whole houses mostly wait, so they do not count as cores.
WORKERS := 4
FAST := not postgres and not s3 and not slow and not e2e

.PHONY: help install demo demo-days demo-shutdown up down status test test-fast bench lint format lock clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED) ## Make .venv from requirements.lock, with the quietus command in it

demo: up ## Start everything, cancel one person's account through Airflow, show what went and what stayed
	@$(QUIETUS) sandbox demo

demo-days: up ## The same of somebody else, then the days of that case, 60 and on to its final certificate
	@$(QUIETUS) sandbox demo --days 60 --until-closed

demo-shutdown: $(INSTALLED) ## Stop the whole company by logical dates, with a successor that takes over
	@$(QUIETUS) sandbox up --successor
	@$(QUIETUS) sandbox demo-shutdown

up: $(INSTALLED) ## Start the sandbox: PostgreSQL, S3, recipients, signer, Airflow; all on loopback
	@$(QUIETUS) sandbox up

down: ## Stop what was started here (its state stays: quietus sandbox down --purge removes it)
	@if [ -x $(QUIETUS) ]; then $(QUIETUS) sandbox down; else echo "nothing is installed here"; fi

status: $(INSTALLED) ## What runs, and where
	@$(QUIETUS) sandbox status

test: lint ## Lint, then every test, on real servers (WORKERS=1 for one after the other)
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder --durations 40 --durations-min 20

test-fast: $(INSTALLED) ## The tests that need no server, in a minute and a half on two cores
	$(PYTHON) -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder -m "$(FAST)"

bench: $(INSTALLED) ## What it costs, against the floor and against peers, to bench/RESULTS.md
	$(PYTHON) -m bench

lint: $(INSTALLED) ## Ruff and mypy --strict
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(INSTALLED) ## Format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lock: $(UV) ## Resolve requirements-dev.txt into requirements.lock, with hashes, for Python 3.11 and 3.12
	$(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --custom-compile-command "make lock" --output-file requirements.lock requirements-dev.txt

clean: down ## Stop the sandbox, then remove its state and the venv
	@if [ -x $(QUIETUS) ]; then $(QUIETUS) sandbox down --purge; fi
	rm -rf $(VENV)

# --- the venv, made once for each lock ----------------------------------------------------------

$(INSTALLED): requirements.lock pyproject.toml | $(UV)
	@echo "installing into $(VENV) ..."
	@[ -x $(PYTHON) ] || $(UV) venv --quiet --no-project --python '>=3.11,<3.13' $(VENV)
	@$(UV) pip sync --quiet --python $(PYTHON) --require-hashes --compile-bytecode requirements.lock
	@$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .
	@touch $@

$(TOOLS)/bin/uv:
	@echo "installing uv into $(TOOLS) ..."
	@mkdir -p .quietus && chmod 700 .quietus
	@python3 -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
