# Each target sets up what it needs: Python 3.11 or later (with venv) and make are enough.
#   make demo [CASES=500] [LOG=events.csv.gz]   all three stages on a real broker, until Ctrl-C or that many cases
#   make bench [QUICK=1]                     the flow's speed beside peers; QUICK: the same figures in under 4 minutes
#   make chaos [SEED=7] [DB=postgres] [DURATION=240] [DRIVER=kafka-python]
#   make test | long | lint | types | format | coverage | model | fuzz | soak | lock | clean
# ARGS= is handed to the command behind a target: make test ARGS="-k lanes"

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
SDK := $(wildcard producers/sdk/pyproject.toml)
PACKAGES := schemas jurisdictions cases bus web producers consumers monitoring kuayu
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo test long model chaos fuzz soak coverage lint types format bench lock clean

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

# The lock file is complete, so nothing is resolved here; of the bytecode only what a node loads is written ahead, also
# where Python is told to write none: without it each start of a node takes two seconds longer.
$(READY): requirements.lock pyproject.toml $(SDK)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@echo "Setting up .venv (after changes only; a minute the first time) ..."
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes \
		-r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		-e . $(if $(SDK),-e producers/sdk)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -c 'import kuayu.cli, kuayu.demo, kuayu.node, bus.transport.confluent, bus.transport.kafka_python'
	@touch $@

setup: $(READY)

demo: $(READY)
	@$(BIN)/kuayu demo $(if $(CASES),--cases $(CASES)) $(if $(LOG),--log $(LOG)) $(ARGS)

test: $(READY)
	$(PYTEST) -m "not long" $(ARGS)

# Short forms of chaos and soak, and whole regions once more: what would make the tests above too long.
long: $(READY)
	$(PYTEST) -m long $(ARGS)

# The lane protocol under chance, longer than each run of the tests has it.
model: $(READY)
	KUAYU_MODEL_EXAMPLES=$(or $(EXAMPLES),400) $(PYTEST) --timeout=0 tests/unit/bus/test_lane_model.py $(ARGS)

# Bad input of all kinds; longer, and with other examples than each run of the tests has.
fuzz: $(READY)
	KUAYU_FUZZ_EXAMPLES=$(or $(EXAMPLES),1000) $(PYTEST) --timeout=0 tests/fuzz $(ARGS)

# Steady load and steady nonsense on a real broker: memory and handles must stay flat, and the numbers add up.
soak: $(READY)
	$(BIN)/python -m tests.soak.soak --minutes $(or $(MINUTES),20) $(ARGS)

# Faults of all kinds under load, then the proof; about five minutes. docs/chaos.md says what is proven.
chaos: $(READY)
	@$(BIN)/python -m tests.chaos.run $(if $(SEED),--seed $(SEED)) $(if $(DB),--db $(DB)) \
		$(if $(DURATION),--duration $(DURATION)) $(if $(DRIVER),--driver $(DRIVER)) $(ARGS)

# Twice as long as without; every CI run shows it.
coverage: $(READY)
	$(PYTEST) --cov --cov-report=html $(ARGS)
	@echo "See htmlcov/index.html"

lint: types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/kuayu schemas lint
	$(BIN)/kuayu schemas check
	$(BIN)/kuayu directory lint

types: $(READY)
	$(BIN)/mypy $(PACKAGES) tests

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	@$(BIN)/kuayu bench $(if $(QUICK),--quick) $(ARGS)

# Pins every package for every platform, with digests; addresses of registries stay out of it.
# The second file is the part of the first that a node in a container needs. The last two are for the bench's peers,
# which have environments of their own: the same drivers as ours, except where Quix Streams asks for an older one.
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet
LOCK := $(COMPILE) pyproject.toml --group build
lock: $(READY)
	$(LOCK) --all-extras $(ARGS) --output-file requirements.lock
	$(LOCK) --extra confluent --extra postgres --constraint requirements.lock --output-file requirements-node.lock
	$(COMPILE) --group peers --constraint requirements.lock --output-file requirements-bench.lock
	$(COMPILE) --group quix --output-file requirements-bench-quix.lock

# What was built and cached; the data of brokers and nodes (var/) and .venv stay.
clean:
	rm -rf build dist htmlcov *.egg-info producers/sdk/*.egg-info
	rm -rf .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
