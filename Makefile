# driftmesh: `make` or `make help` lists the targets.
VENV ?= .venv
BIN := $(VENV)/bin
CASE ?= monai
PYTEST_ARGS ?=
# Test files that run beside each other; 0: one after another. Those of several ranks have the machine to themselves.
TEST_PROCESSES ?= 2
export VENV
export OMP_NUM_THREADS ?= 1
export OMPI_ALLOW_RUN_AS_ROOT = 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM = 1

.DEFAULT_GOAL := help
.PHONY: help env run test lint format validate docs browser benchmark clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

env:  ## set up the environment in VENV (about 16 minutes on a bare machine; done steps are not done again)
	@./install.sh

run: env  ## set up, run the Monai tsunami, print where the report lies (CASE=name for another case)
	@$(BIN)/driftmesh run $(CASE)

test: env  ## set up and run the tests (PYTEST_ARGS="-k name" to choose)
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --max-worker-restart 0 -m "not parallel" $(PYTEST_ARGS) || [ $$? -eq 5 ]
	@$(BIN)/python -m pytest -m parallel $(PYTEST_ARGS) || [ $$? -eq 5 ]

lint: env  ## ruff, the import contract, mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy

format: env  ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

validate: env  ## the published benchmarks; writes docs/validation.md
	@$(BIN)/driftmesh validate --out results/validation --table docs/validation.md

docs: env  ## build the documentation site into build/site; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "site: build/site/index.html"

browser:  ## install Debian's chromium, which opens reports and the site in tests
	@./install.sh browser

benchmark: env  ## Monai against ANUGA (makes a second environment for it); writes docs/benchmarks.md
	@$(BIN)/python benchmarks/monai.py && $(BIN)/python benchmarks/profile_shallow_water.py

clean:  ## remove results and caches, keep the environment
	@rm -rf results .pytest_cache .mypy_cache .ruff_cache .hypothesis
