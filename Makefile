# Each target works as the first command on a fresh machine with Python 3.11+ and pip.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup train test lint docs clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	@echo 'Installing plusx and PyTorch into .venv: once, a minute or two'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

train: setup
	$(BIN)/plusx train

# As many tests at a time as there are cores, each on one thread.
test: .venv/.tested lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile

# Triton is large, and only the tests want it where there is no GPU.
.venv/.tested: .venv/.ready
	@echo 'Installing Triton for the tests: once, half a minute'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,triton]'
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup
	$(BIN)/python scripts/build_site.py build/site

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
