# make demo     environment, then a page of pictures by shipped experts, in a minute
# make table1   environment, then Table 1 at the mini profile (CPU, no download of data or weights)
# make test     environment, then the CPU test suite
# make test-slow  a real SLURM, thirty kills, every table at smoke
PYTHON ?= python3
BIN := .venv/bin
# Waiting threads spin briefly, then sleep: no slower on an idle machine, and kinder beside a busy process.
export GOMP_SPINCOUNT ?= 2000

TEST_WORKERS ?= 2

.PHONY: setup demo docs table1 test test-slow lint smoke bench clean

setup: .venv/.ready

.venv/.ready: pyproject.toml
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), f'Python 3.11 or newer is needed, this is {sys.version.split()[0]}; try: make PYTHON=python3.12 $(MAKECMDGOALS)'"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar on --editable ".[dev]"
	touch $@

demo: setup
	$(BIN)/python -m mmdiff.demo

table1: setup
	$(BIN)/python -m experiments.table1 --workers 0

test: setup
	$(BIN)/python -m pytest -n $(TEST_WORKERS) -m "not slow"

test-slow: setup
	$(BIN)/python -m pytest -n $(TEST_WORKERS) -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

smoke: setup
	for table in $$($(BIN)/python -c "from experiments import INDEX; print(*[entry.name for entry in INDEX])"); do \
	  $(BIN)/python -m experiments.$$table --profile smoke || exit 1; \
	done

docs: setup
	$(BIN)/python -m mkdocs build --strict

bench: setup
	for file in sampling data packing features training multitask collaborative scaling checkpointing; do $(BIN)/python -m benchmarks.$$file || exit 1; done

clean:
	rm -rf .venv runs data/mini data/smoke
