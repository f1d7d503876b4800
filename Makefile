# The commands of the project; `make help` lists them. Variables of run, backfill, dev, doctor and check:
#   DATA_DIR  where the data lies, absolute or relative to here (default: data)
#   SYSTEMS   source systems that are on, comma-separated (default: all canonical ones)
#   VARS      YAML that overrides policies, such as VARS='{account_mrr_policy: latest_start}'
#   MEMORY_LIMIT  memory of DuckDB, such as 800MB (default: 4GB)
#   NOTIFY_WEBHOOK  http(s) address that is told what goes wrong; a secret: set it in the environment
# and for bench:
#   EVENTS ACCOUNTS MONTHS PERIODS  size of the generated exports
#   RUNS      how often each thing is measured; the median counts (default: 1)
#   LINES     which of the lines 1 to 6 of bench/cases.py (default: 1,5,6)
#   PEERS     duckdb, pandas, pyspark (default: duckdb,pandas); PEER_PYTHON may be another's Python
#   FOLDER    where exports and results are kept (default: data/bench)
export DATA_DIR SYSTEMS VARS MEMORY_LIMIT

PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help run backfill dev doctor test check bench fuzz kills

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s%s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@sed -n 's/^#   /  /p' $(MAKEFILE_LIST)

run: $(INSTALLED)  ## bring everything up to date with what has landed, and publish
	@$(BIN)/python -m dagster_project run || [ $$? -eq 3 ]

backfill: $(INSTALLED)  ## FROM=2024-02-01 TO=2024-02-29 EXPORTS=crm/users,... : these days again, and publish
	@$(BIN)/python -m dagster_project backfill --from '$(FROM)' --to '$(TO)' --exports '$(EXPORTS)' \
	    || [ $$? -eq 3 ]

dev: $(INSTALLED)  ## the Dagster UI on http://127.0.0.1:3000 (or PORT=), with the nightly schedule
	@$(BIN)/python -m dagster_project dev --port $(or $(PORT),3000)

doctor: $(INSTALLED)  ## say what is wrong, in words; HASH=1 reads every landing file for it
	@$(BIN)/python -m dagster_project doctor $(if $(HASH),--hash)

test: $(INSTALLED)  ## the tests
	@$(BIN)/python -m pytest

fuzz: $(INSTALLED)  ## FILES=10000 hostile export files
	@PYTHONPATH=. $(BIN)/python tests/fuzz.py $(or $(FILES),10000)

kills: $(INSTALLED)  ## KILLS=100 times kill -9, and 50 readers during 20 publishes
	@PYTHONPATH=. $(BIN)/python tests/kills.py $(or $(KILLS),100)

check: $(INSTALLED)  ## linters, types, dbt parse, the Dagster definitions
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m dagster_project prepare
	VIRTUAL_ENV=$(CURDIR)/.venv PYTHONPATH=$(CURDIR) $(BIN)/dg check defs

bench: $(INSTALLED)  ## the program beside plain DuckDB, pandas and PySpark; small unless told otherwise
	@$(BIN)/python -m bench $(foreach name,EVENTS ACCOUNTS MONTHS PERIODS RUNS LINES PEERS FOLDER, \
	    $(if $($(name)),--$(shell echo $(name) | tr A-Z a-z) '$($(name))'))

# uv where it is present: 2 seconds instead of 60.
$(INSTALLED): requirements.lock
	@echo "Installing the pinned versions into .venv ..."
	@if command -v uv >/dev/null; then \
	    uv venv --quiet --allow-existing --python $(PYTHON) .venv && \
	    uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock; \
	else \
	    $(PYTHON) -m venv .venv && \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	        -r requirements.lock; \
	fi
	@touch $@
