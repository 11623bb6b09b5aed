# run: serve the API
# test: everything that must hold; check: lint, types and the template
# test-all: the same, with the tests on each Python of PYTHONS that this machine has
# template: write template.yaml; aws-local: serve it as AWS would, on this machine
# aws-localstack: the conformance suite against both editions on LocalStack (it needs Python 3.13)
# bench: what the server can do on this machine; bench-growth: its curves; bench-peers: the same on other stacks;
# bench-listeners: what 1,000 listeners to events cost; bench-claims: what a claim costs beside a million scheduled jobs;
# bench-aws: what a job costs on AWS
# soak, overload: whether it holds up; differential: whether it reads HTTP as another parser does;
# fuzz: hostile input, SECONDS for each target
# screenshot: the pictures of the page; lifecycle: the one in docs/lifecycle.md
# constraints: pin every package by version and hash; sbom: what the product is made of; audit: its known vulnerabilities
PYTHON ?= python3
PYTHONS ?= 3.11 3.12 3.13
VENV ?= .venv
MINUTES ?= 5
SECONDS ?= 600
AWS_LOCAL_PORT ?= 8001
TEMPLATE ?= template.yaml
BIN := $(VENV)/bin
LAMBDA := 3.13
CHECKOV := .venv/checkov-env/bin/checkov
PIP := pip --disable-pip-version-check --quiet install
# Only files whose hash is known, and only wheels: building a package would run tools whose hash is not.
HASHED := $(PIP) --require-hashes --only-binary :all: --requirement
# A Python of that version: on the path, or one of pyenv's; nothing if this machine has none.
python = $(firstword $(shell for each in python$(1) ~/.pyenv/versions/$(1).*/bin/python; do \
	$$each -c '' 2>/dev/null && echo $$each; done))
# Tests wait twice as long as they compute: three processes for each of CI's cores. In the order of the files: xdist's own,
# most tests first, begins the longest tests last, since they are in files with few.
TESTS := pytest --numprocesses 6 --dist loadfile --no-loadscope-reorder
SUPPLY := .venv/supply-env/bin
VERSION := import sys; print(sys.version_info[:2])
UPGRADE ?=
LOCK := UV_CUSTOM_COMPILE_COMMAND="make constraints" $(SUPPLY)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate $(UPGRADE)
LOCALSTACK := tests/aws/localstack

.PHONY: run test test-all $(PYTHONS:%=test-%) check check-code check-template screenshot lifecycle bench bench-aws bench-growth \
	bench-listeners bench-claims bench-peers soak overload differential fuzz template aws-local aws-localstack constraints sbom audit clean

run: .venv/run
	@$(BIN)/asyncjob serve

test: check .venv/awscli .venv/lambda .venv/compiled
	$(BIN)/$(TESTS)

test-all: check .venv/awscli .venv/lambda $(PYTHONS:%=test-%)

# Each Python has an environment of its own.
$(PYTHONS:%=test-%): test-%:
	@$(if $(call python,$*),$(MAKE) --no-print-directory VENV=.venv-$* PYTHON=$(call python,$*) .venv-$*/test)
	@$(if $(call python,$*),.venv-$*/bin/$(TESTS),echo "Python $* is not on this machine: not tested")

check: check-code check-template

check-code: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check-template: .venv/test .venv/checkov
	$(BIN)/python -m asyncjob.aws.build.template --check template.yaml
	$(BIN)/cfn-lint template.yaml
	$(CHECKOV) --file template.yaml --framework cloudformation --compact --quiet --skip-download

screenshot: .venv/test
	$(BIN)/python -m tests.screenshot docs

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

fuzz: .venv/fuzz
	@for target in submission query channel notify; do \
		.venv/fuzz-env/bin/python -m tests.fuzz $$target --seconds $(SECONDS) || exit 1; \
	done

bench-listeners: .venv/test
	$(BIN)/python bench/listeners.py

bench-claims: .venv/test
	$(BIN)/python bench/claims.py

bench-aws: .venv/test .venv/aws-peer
	$(BIN)/python -m bench.aws

bench-peers: .venv/test
	$(BIN)/python bench/peers.py

template: .venv/run
	$(BIN)/python -m asyncjob.aws.build.template template.yaml

aws-local: .venv/test
	@$(BIN)/python -m tests.aws.double $(TEMPLATE) --port $(AWS_LOCAL_PORT) $(PARAMETERS)

aws-localstack: .venv/test .venv/localstack
	$(BIN)/python -m tests.aws.localstack

# UPGRADE=--upgrade takes the newest version of everything, UPGRADE="--upgrade-package NAME" of one package.
constraints: .venv/supply
	$(LOCK) --group build --output-file constraints-build.txt
	$(LOCK) pyproject.toml --extra server --constraint constraints-build.txt --output-file constraints.txt
	$(LOCK) pyproject.toml --extra server --extra aws --constraint constraints-build.txt --constraint constraints.txt \
		--output-file constraints-aws.txt
	$(LOCK) pyproject.toml --extra server --extra aws --extra test --group build --constraint constraints-build.txt \
		--constraint constraints-aws.txt --output-file tests/constraints.txt
	$(LOCK) --group aws-peer --constraint tests/constraints.txt --output-file bench/aws_peer/requirements.txt
	$(LOCK) --group checkov --output-file tests/aws/checkov.txt
	$(LOCK) --group awscli --output-file tests/aws/awscli.txt
	$(LOCK) --group lambda --constraint tests/constraints.txt --output-file tests/aws/lambda.txt
	$(LOCK) --group plot --output-file bench/plot.txt
	$(LOCK) --group supply --constraint tests/constraints.txt --output-file tests/supply.txt
	$(LOCK) --group fuzz --output-file tests/fuzz/atheris.txt
	$(subst --universal --python-version 3.11,--python-platform linux --python-version 3.13,$(LOCK)) --group localstack \
		--output-file $(LOCALSTACK)/requirements.txt
	$(LOCK) --group localstack-build --constraint $(LOCALSTACK)/requirements.txt --output-file $(LOCALSTACK)/build.txt

sbom: .venv/supply
	$(SUPPLY)/cyclonedx-py requirements --pyproject pyproject.toml --output-format JSON --output-reproducible \
		--output-file sbom.json constraints-aws.txt

audit: .venv/supply
	@$(SUPPLY)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off \
		--requirement constraints-aws.txt \
		|| { echo "make audit: a known vulnerability, or the advisory database cannot be reached: see above" >&2; exit 1; }

clean:
	rm -rf .venv .venv-* bench/.peers

# A PYTHON that somebody names must be the one that $(VENV) has been made with.
.PHONY: named-python
named-python:
ifneq ($(filter command environment,$(firstword $(origin PYTHON))),)
	@[ ! -e $(VENV)/python ] || [ "$$($(PYTHON) -c '$(VERSION)')" = "$$($(BIN)/python -c '$(VERSION)')" ] \
		|| { echo "$(VENV) is of $$($(BIN)/python --version), not of $(PYTHON): run make clean first" >&2; exit 1; }
endif

$(VENV)/python: | named-python
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; to choose one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV): a minute, once"
	@$(PYTHON) -m venv $(VENV) && touch $@

$(VENV)/run: $(VENV)/python pyproject.toml constraints-aws.txt constraints-build.txt | named-python
	@$(BIN)/$(HASHED) constraints-aws.txt --requirement constraints-build.txt
	@$(BIN)/$(PIP) --no-deps --no-build-isolation --editable . && touch $@

$(VENV)/test: $(VENV)/run tests/constraints.txt
	@echo "Setting up the tests' libraries: a few minutes, once"
	@$(BIN)/$(HASHED) tests/constraints.txt && touch $@

# pytest rewrites and compiles each test module, and keeps the result: without this, each of its processes would do so.
# It says itself, in the tests, what cannot be collected.
.venv/compiled: .venv/test
	@$(BIN)/pytest --collect-only --quiet >/dev/null || true; touch $@

# In environments of their own: they pin libraries that the tests need in newer versions.
.venv/awscli: tests/aws/awscli.txt
.venv/checkov: tests/aws/checkov.txt
.venv/plot: bench/plot.txt
.venv/supply: tests/supply.txt
.venv/awscli .venv/checkov .venv/plot .venv/supply: .venv/python
	@$(PYTHON) -m venv $@-env
	@$@-env/bin/$(HASHED) $(filter %.txt,$^) && touch $@

# The Python that template.yaml names, if this machine has it. If not, the double uses ours, and the tests say so.
.venv/lambda: .venv/python tests/aws/lambda.txt
	@rm -rf $@-env
	@$(if $(call python,$(LAMBDA)),{ $(call python,$(LAMBDA)) -m venv $@-env && $@-env/bin/$(HASHED) tests/aws/lambda.txt; } \
		|| { echo "Python $(LAMBDA) cannot be set up: the double runs functions on our own" >&2; rm -rf $@-env; })
	@touch $@

# The fuzzer has no wheels for some of the Pythons that the tests run on.
.venv/fuzz: .venv/python pyproject.toml constraints.txt constraints-build.txt tests/fuzz/atheris.txt
	@$(PYTHON) -m venv $@-env
	@$@-env/bin/$(HASHED) constraints.txt --requirement constraints-build.txt --requirement tests/fuzz/atheris.txt
	@$@-env/bin/$(PIP) --no-deps --no-build-isolation --editable . && touch $@

.venv/aws-peer: .venv/test bench/aws_peer/requirements.txt
	@rm -rf .venv/aws-peer-libraries
	@$(BIN)/$(HASHED) bench/aws_peer/requirements.txt --target .venv/aws-peer-libraries && touch $@

# LocalStack's functions run in .venv/lambda-env, away from its own libraries.
.venv/localstack: .venv/run .venv/lambda $(LOCALSTACK)/requirements.txt $(LOCALSTACK)/build.txt
	@.venv/lambda-env/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null \
		|| { echo "LocalStack needs Python 3.13: install it, as python3.13 or with pyenv, and rm .venv/lambda" >&2; exit 1; }
	@echo "Setting up LocalStack: a minute, once"
	@rm -rf $@-env && .venv/lambda-env/bin/python -m venv $@-env
	@$@-env/bin/$(HASHED) $(LOCALSTACK)/build.txt
	@$@-env/bin/$(HASHED) $(LOCALSTACK)/requirements.txt --no-binary airspeed-ext,crontab,jsonpath-rw \
		--no-build-isolation --use-pep517 && touch $@
