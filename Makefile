# Every target sets up .venv by itself; the stamp is renewed when pyproject.toml changes.
# The first that runs: a version manager's shim may be there without its Python.
BOOT := $(shell for p in python3.11 python3; do $$p -c '' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
STAMP := .venv/.installed
BENCH_STAMP := .venv/.installed-bench
WORKERS ?= 2

# What the tests of the torch plugin run beside; versions that fit each other. Without the pins
# pip takes a torch with gigabytes of CUDA, and torchrec's own requirements overwrite the CPU build
# of FBGEMM, so that it is installed without them.
TORCH := torch==2.13.0 torchdata==0.11.0
TORCHREC := fbgemm-gpu-cpu==1.8.0 tensordict torchmetrics==1.0.3 tqdm pyre-extensions iopath

.PHONY: demo test test-bounds check format bench clean

$(STAMP): pyproject.toml Makefile
	$(BOOT) -m venv .venv
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet -e '.[dev]' $(TORCH) $(TORCHREC)
	$(BIN)/python -m pip install --quiet --no-deps torchrec==1.8.0
	@touch $@

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet -e '.[dev,bench]'
	@touch $@

demo: $(STAMP)
	$(BIN)/recd demo

# Kernels are compiled once here, not by every test process at the same time.
test: $(STAMP)
	$(BIN)/recd warmup
	$(PYTEST) -q -n $(WORKERS) tests

# The kernels again, with every index checked (compiled into a cache of their own).
test-bounds: $(STAMP)
	NUMBA_BOUNDSCHECK=1 $(BIN)/recd warmup
	NUMBA_BOUNDSCHECK=1 $(PYTEST) -q -n $(WORKERS) tests/codec tests/dedup tests/reader tests/writer tests/loader

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -q --doctest-modules recd_format

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BENCH_STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
