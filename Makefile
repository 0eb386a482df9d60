# What a developer does with packstore. CI (.ci/run) calls the same targets.
# Needs: make, python3 >= 3.11 with venv. Everything else is fetched by `make setup`.

VENV ?= .venv
PYTHON ?=
SOAK_MINUTES ?= 30
SOAK_SEED ?=
BENCH_DIR ?= bench-out
BENCH_ROUNDS ?= 3
SCALE_DIR ?= /dev/shm/packstore-scale
BIN := $(VENV)/bin
STAMP := $(VENV)/.packstore-setup
FAST_TESTS := $(wildcard tests/unit tests/contract tests/vectors tests/docs tests/cli)
TEXTS := $(wildcard *.md Makefile pyproject.toml .ci contrib docs spec packstore tools tests)
PROGRAMS := mkfs.ext4=e2fsprogs debugfs=e2fsprogs losetup=mount blockdev=util-linux sfdisk=fdisk rsync=rsync fallocate=util-linux zbarimg=zbar-tools systemd-analyze=systemd udevadm=udev ionice=util-linux

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast soak lint fmt types arch vectors check bench bench-quick bench-scale cover dist clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP)  ## Make the virtual environment (VENV=.venv), install packstore and its tools

# Runs again only when pyproject.toml changes; the installation is editable, so code changes need nothing.
$(STAMP): pyproject.toml
	@test -x $(BIN)/python || { \
	  for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	    python=; \
	  done; \
	  test -n "$$python" || { echo "No Python 3.11 or newer found; name one: make setup PYTHON=..." >&2; exit 1; }; \
	  echo "Making $(VENV) with $$python"; \
	  $$python -m venv $(VENV) || { rm -rf $(VENV); echo "On Debian: apt-get install python3-venv" >&2; exit 1; }; \
	}
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/python tools/programs.py $(PROGRAMS)
	@touch $@

demo: $(STAMP)  ## Back up a real disk image, change it, back up again, restore both, compare
	$(BIN)/python -m tools.demo

test: $(STAMP)  ## Run all tests
	$(BIN)/python -m pytest -n auto

test-fast: $(STAMP)  ## Run the tests that take seconds
	$(BIN)/python -m pytest -n auto -q $(FAST_TESTS)

soak: $(STAMP)  ## Let many processes work on one repository, some killed (SOAK_MINUTES=30 SOAK_SEED=n)
	$(BIN)/python -m tools.soak --minutes $(SOAK_MINUTES) $(if $(SOAK_SEED),--seed $(SOAK_SEED))

lint: $(STAMP)  ## Check style, formatting, spelling and sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell --ignore-words-list reencode,padd --skip '*.pyc,*.hex,*.bin,./spec/vectors,./tests/golden' $(TEXTS)
	$(BIN)/python tools/check_size.py

fmt: $(STAMP)  ## Format the code and apply the safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)  ## Check types (mypy, strict)
	$(BIN)/mypy packstore tools

arch: $(STAMP)  ## Check which module may import which
	$(BIN)/lint-imports

vectors: $(STAMP)  ## Make spec/vectors/ anew; the result must not differ from what is committed
	$(BIN)/python -m tools.make_vectors

check: lint types arch test  ## All that must pass before a merge

bench: $(STAMP)  ## Measure packstore next to its peers (needs root; BENCH_DIR=bench-out BENCH_ROUNDS=3)
	$(BIN)/python -m tools.bench --dir $(BENCH_DIR) --rounds $(BENCH_ROUNDS) --docs docs
	$(BIN)/python -m tools.bench --dir $(BENCH_DIR) --rounds $(BENCH_ROUNDS) --docs docs --disk "borg fixed" restic

bench-quick: $(STAMP)  ## The same with small images, for anybody; the report goes to BENCH_DIR/quick
	$(BIN)/python -m tools.bench --dir $(BENCH_DIR) --rounds 1 --quick

bench-scale: $(STAMP)  ## Measure 200 TiB and 50 million objects (SCALE_DIR=/dev/shm/packstore-scale), write docs/SCALE.md
	$(BIN)/python -m tools.bench.scale $(SCALE_DIR) --write docs/SCALE.md

cover: $(STAMP)  ## Run all tests and show what they do not reach
	$(BIN)/python -m pytest -n auto --cov --cov-report=term-missing:skip-covered

dist: $(STAMP)  ## Build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean:  ## Remove what the other targets leave behind, except the virtual environment
	rm -rf build dist demo-out bench-out .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find $(wildcard packstore tools tests) -name __pycache__ -type d -prune -exec rm -rf {} +
