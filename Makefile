# run: serve the API; test: everything that must hold; check: lint and types; bench: what it can do on this machine.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet install --constraint constraints.txt

.PHONY: run test check bench bench-aws template aws-local clean

run: .venv/run
	@$(BIN)/asyncjob serve

test: check
	$(BIN)/pytest

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/test
	$(BIN)/python bench/bench.py

bench-aws: .venv/test .venv/aws-peer
	$(BIN)/python -m bench.aws

template: .venv/run
	$(BIN)/python -m asyncjob.aws.template template.yaml

aws-local: .venv/test
	@$(BIN)/python -m tests.aws.double template.yaml --port 8001

clean:
	rm -rf .venv

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up .venv: a minute, once"
	@$(PYTHON) -m venv .venv && touch $@

.venv/run: .venv/python pyproject.toml constraints.txt
	@$(PIP) --editable . && touch $@

.venv/test: .venv/run
	@$(PIP) --editable '.[test]' && touch $@

.venv/aws-peer: .venv/test bench/aws_peer/requirements.txt
	@rm -rf .venv/aws-peer-libraries
	@$(PIP) --target .venv/aws-peer-libraries --requirement bench/aws_peer/requirements.txt && touch $@
