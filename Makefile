# run: serve the API; test: everything that must hold; check: lint and types; bench: what it can do on this machine;
# template: write template.yaml; aws-local: serve it as AWS would; bench-aws: what a job costs there;
# bench-peers: the same beside other stacks; soak and overload: that it holds; differential: that its HTTP
# is read as another parser reads it; screenshot: the picture in the README;
# lifecycle: the one in docs/lifecycle.md.
PYTHON ?= python3
MINUTES ?= 5
AWS_LOCAL_PORT ?= 8001
BIN := .venv/bin
CHECKOV := .venv/checkov-env/bin/checkov
PIP := $(BIN)/pip --disable-pip-version-check --quiet install --constraint constraints.txt

.PHONY: run test check screenshot lifecycle bench bench-aws bench-growth bench-peers soak overload differential template aws-local clean

run: .venv/run
	@$(BIN)/asyncjob serve

test: check
	$(BIN)/pytest --numprocesses 3 --dist loadfile

check: .venv/test .venv/checkov
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m asyncjob.aws.template --check template.yaml
	$(BIN)/cfn-lint template.yaml
	$(CHECKOV) --file template.yaml --framework cloudformation --compact --quiet --skip-download

screenshot: .venv/test
	$(BIN)/python -m tests.screenshot docs/page.png

lifecycle: .venv/test
	$(BIN)/python -m tests.lifecycle docs/lifecycle.svg

bench: .venv/test
	$(BIN)/python bench/bench.py

bench-growth: .venv/test .venv/plot
	$(BIN)/python bench/growth.py
	.venv/plot-env/bin/python bench/plot.py bench/growth.json docs

soak: .venv/test
	$(BIN)/python -m bench.soak --minutes $(MINUTES)

overload: .venv/test
	$(BIN)/python bench/overload.py

differential: .venv/test
	$(BIN)/python -m tests.differential --count 100000

bench-aws: .venv/test .venv/aws-peer
	$(BIN)/python -m bench.aws

bench-peers: .venv/test
	$(BIN)/python bench/peers.py

template: .venv/run
	$(BIN)/python -m asyncjob.aws.template template.yaml

aws-local: .venv/test
	@$(BIN)/python -m tests.aws.double template.yaml --port $(AWS_LOCAL_PORT) $(PARAMETERS)

clean:
	rm -rf .venv bench/.peers

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up .venv: a minute, once"
	@$(PYTHON) -m venv .venv && touch $@

.venv/run: .venv/python pyproject.toml constraints.txt
	@$(PIP) --editable . && touch $@

.venv/test: .venv/run
	@$(PIP) --editable '.[test]' && touch $@

# Apart from the rest: it pins libraries that the tests need newer.
.venv/checkov: .venv/python tests/aws/checkov.txt
	@$(PYTHON) -m venv .venv/checkov-env
	@.venv/checkov-env/bin/pip --disable-pip-version-check --quiet install --requirement tests/aws/checkov.txt && touch $@

.venv/plot: .venv/python bench/plot.txt
	@$(PYTHON) -m venv .venv/plot-env
	@.venv/plot-env/bin/pip --disable-pip-version-check --quiet install --requirement bench/plot.txt && touch $@

.venv/aws-peer: .venv/test bench/aws_peer/requirements.txt
	@rm -rf .venv/aws-peer-libraries
	@$(PIP) --target .venv/aws-peer-libraries --requirement bench/aws_peer/requirements.txt && touch $@
