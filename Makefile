PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# said at the end of what a newcomer runs, unless this environment is active already
define ACTIVATE
@test "$$VIRTUAL_ENV" = "$(CURDIR)/.venv" || printf '\n%s\n' \
	'source .venv/bin/activate    # makes seqzoo, tensorboard and python those of .venv'
endef

.DEFAULT_GOAL := help
.PHONY: help install train study lint test check format board docs release clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## make .venv with seqzoo, all optional packages and the development tools; PYTHON=python3.12 chooses another Python
	$(ACTIVATE)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	@touch $@

train: $(INSTALLED)  ## train one model; ARGS='cell=gru task=tagging' chooses which
	$(BIN)/seqzoo train $(ARGS)
	$(ACTIVATE)

study: $(INSTALLED)  ## train all cells on five tasks, a few at other sizes, and write docs/RESULTS.md; resumes; ARGS='--cells lstm,gru --seeds 0' does a part
	$(BIN)/python scripts/study.py $(ARGS)
	$(BIN)/python scripts/record_results.py

lint: $(INSTALLED)  ## check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: $(INSTALLED)  ## run the tests on all cores, and why some were skipped; ARGS='-m slow' or ARGS='-k lstm' chooses which
	$(BIN)/python -m pytest -n auto --dist worksteal -rs $(ARGS)

check: lint test  ## lint and test, as required before a commit

format: $(INSTALLED)  ## format the files
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

board: $(INSTALLED)  ## open TensorBoard on runs/
	$(BIN)/tensorboard --logdir runs

docs: $(INSTALLED)  ## build the documentation site, build/docs/site
	$(BIN)/python scripts/build_docs.py

release: $(INSTALLED)  ## build sdist and wheel into dist/, check them, and train with the wheel on every Python that is installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[release]'
	$(BIN)/python scripts/release.py $(ARGS)

clean:  ## remove .venv, caches and builds; keeps runs/
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find conf notebooks scripts seqzoo tests -name __pycache__ -type d -prune -exec rm -rf {} +
