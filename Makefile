# Every target sets up what it needs: a machine with Python and make is enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# Hundreds of processes are started by the tests, and each would compile everything for itself.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check demo bench crash fuzz format clean

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

run: $(READY)     ## serve on http://127.0.0.1:8000 with the example flow registered
	$(BIN)/flowmgr serve --flows examples/flow123.json

test: $(READY)    ## the whole test suite, on asyncio, uvloop and trio
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: $(READY)   ## formatting, lint, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: $(READY)    ## a tour through a real server, on both backends
	$(BIN)/python examples/demo.py

bench: $(READY)   ## speed and memory, each as a ratio to a baseline of the same run
	$(BIN)/python -m tests.benchmarks

N ?= 10000
crash: $(READY)   ## kill servers under load N times (10000), and check what they have promised
	$(BIN)/python -m tests.crash --kills $(N)

fuzz: $(READY)    ## run N random flows (10000) both on the engine and by a plain interpreter
	$(BIN)/python -m tests.fuzz --flows $(N)

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
