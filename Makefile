# What a person types. Each target makes .venv with what it needs; when nothing has changed since, that
# takes no time, and when pyproject.toml has, it is installed anew.
#
#   make demo     the whole loop with a simulated listener; writes demo/report.html
#   make studio   rate pairs of melodies yourself, in the browser
#   make test     the tests that take minutes at most; the slow ones are in make check
#   make check    everything that CI does
#   make chaos    power cuts, kills, full disks and careless raters, for hours: HOURS=2 or SCALE=20
#   make mutants  change the code at random, and count how many changes the tests notice
#   make fuzz     give every reader inputs that are almost right, for SECONDS=60 each
#   make audit    look the installed packages up among known vulnerabilities, over the network
#   make docs     write docs/commands.md from the commands
#
#   make demo PYTHON=python3.12   with another Python than `python3` (3.11 or newer)
#   make demo TORCH=cpu           without CUDA, which is 4 GB; `auto` (the default) does so on Linux
#                                 without an NVIDIA GPU; `default` takes the usual package.
#                                 An installed torch is kept: `make clean` first to change it.

PYTHON ?= python3
TORCH ?= auto
BIN := .venv/bin

.PHONY: help demo studio test check chaos docs mutants fuzz audit clean

help:
	@sed -n '4,17s/^# \{0,3\}//p' Makefile

# A demo that was there is kept as demo.old, so that two runs can be compared.
demo: .venv/.run
	@if [ -e demo ]; then rm -rf demo.old && mv demo demo.old && echo "kept the last demo as demo.old"; fi
	$(BIN)/tastemaker demo --out demo

studio: .venv/.run
	$(BIN)/tastemaker studio

test: .venv/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check:
	PYTHON=$(PYTHON) TORCH=$(TORCH) .ci/run

# SCALE is how many times as much of each as in CI. On two cores, SCALE=1 takes a quarter of an hour.
HOURS ?= 1
SCALE ?= $(shell awk 'BEGIN { print 4 * $(HOURS) }')
chaos: .venv/.test
	TASTEMAKER_CHAOS_SCALE=$(SCALE) .ci/chaos

mutants: .venv/.mutants
	$(BIN)/python .ci/mutants.py

# Both are kept out of CI: one takes an hour, the other needs a service of other people.
SECONDS ?= 60
fuzz: .venv/.fuzz
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.coverage --seconds $(SECONDS)

audit: .venv/.run
	$(BIN)/python .ci/audit.py

docs: .venv/.run
	$(BIN)/python docs/make_commands.py

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Stamps: what .venv was made for. Each holds what the ones before it hold.
.venv/.run: pyproject.toml .ci/install .ci/torch_index.py
	PYTHON=$(PYTHON) TORCH=$(TORCH) .ci/install
	@touch .venv/.run

.venv/.test: pyproject.toml .ci/install .ci/torch_index.py
	PYTHON=$(PYTHON) TORCH=$(TORCH) .ci/install test
	@touch .venv/.run .venv/.test

.venv/.check: pyproject.toml .ci/install .ci/torch_index.py
	PYTHON=$(PYTHON) TORCH=$(TORCH) .ci/install check
	@touch .venv/.run .venv/.test .venv/.check

.venv/.mutants: pyproject.toml .ci/install .ci/torch_index.py
	PYTHON=$(PYTHON) TORCH=$(TORCH) .ci/install mutants
	@touch .venv/.run .venv/.mutants

.venv/.fuzz: pyproject.toml .ci/install .ci/torch_index.py
	PYTHON=$(PYTHON) TORCH=$(TORCH) .ci/install fuzz
	@touch .venv/.run .venv/.test .venv/.fuzz
