# What a person types. Each target makes .venv with what it needs; when nothing has changed since, that
# takes no time, and when pyproject.toml has, it is installed anew.
#
#   make demo     the whole loop with a simulated listener; writes demo/report.html
#   make studio   rate pairs of melodies yourself, in the browser
#   make test     the tests that a desk can wait for
#   make check    everything that CI does
#   make docs     write docs/commands.md from the commands
#
#   make demo PYTHON=python3.12   with another Python than `python3` (3.11 or newer)

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo studio test check docs clean

help:
	@sed -n '4,10s/^# *//p' Makefile

# A demo that was there is kept as demo.old, so that two runs can be compared.
demo: .venv/.run
	@if [ -e demo ]; then rm -rf demo.old && mv demo demo.old && echo "kept the last demo as demo.old"; fi
	$(BIN)/tastemaker demo --out demo

studio: .venv/.run
	$(BIN)/tastemaker studio

test: .venv/.test
	$(BIN)/python -m pytest

check:
	PYTHON=$(PYTHON) .ci/run

docs: .venv/.run
	$(BIN)/python docs/make_commands.py

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Stamps: what .venv was made for. Each holds what the ones before it hold.
.venv/.run: pyproject.toml .ci/install
	PYTHON=$(PYTHON) .ci/install
	@touch .venv/.run

.venv/.test: pyproject.toml .ci/install
	PYTHON=$(PYTHON) .ci/install test
	@touch .venv/.run .venv/.test

.venv/.check: pyproject.toml .ci/install
	PYTHON=$(PYTHON) .ci/install check
	@touch .venv/.run .venv/.test .venv/.check
