PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install train study lint test check format board clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## .venv with seqzoo and everything it is developed with; PYTHON=python3.12 chooses another Python

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	@touch $@

train: $(INSTALLED)  ## one training; ARGS='cell=gru task=tagging' chooses which
	$(BIN)/seqzoo train $(ARGS)

study: $(INSTALLED)  ## all cells on five tasks, a few at other sizes, into docs/RESULTS.md: goes on where it was; ARGS='--cells lstm,gru --seeds 0' does a part
	$(BIN)/python scripts/study.py $(ARGS)
	$(BIN)/python scripts/record_results.py

lint: $(INSTALLED)  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: $(INSTALLED)  ## the tests, on all cores; ARGS='-m slow' or ARGS='-k lstm' chooses which
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

check: lint test  ## lint and test: what has to pass before a commit

format: $(INSTALLED)  ## rewrite the files as `make lint` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

board: $(INSTALLED)  ## TensorBoard over runs/
	$(BIN)/tensorboard --logdir runs

clean:  ## remove .venv, caches and builds; runs/ stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find conf notebooks scripts seqzoo tests -name __pycache__ -type d -prune -exec rm -rf {} +
