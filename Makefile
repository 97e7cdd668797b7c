# Every target sets up what it needs in .venv, and says nothing when nothing is to do.
PYTHON ?= python3
BIN := .venv/bin
MARKS ?=

# Keep compiled modules, whatever the environment says: compiling the SDKs at every start takes seconds.
export PYTHONDONTWRITEBYTECODE =
# Trust the certificates that the machine trusts, as pip does: behind a company's proxy uv would refuse its own.
export UV_SYSTEM_CERTS = 1

.PHONY: demo test tools interop check lint format slow clean constraints pubsub

# The demo needs the run-time packages only.
.venv/.run: constraints.txt constraints-uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else "leadbridge needs Python 3.11, 3.12 or 3.13, and %s is %d.%d. Say which to use: make PYTHON=python3.12 ..." % (sys.executable, *v))'
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r constraints-uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r constraints.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.run constraints-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r constraints-dev.txt
	@touch $@

demo: .venv/.run
	@$(BIN)/leadbridge demo

test: check tools
	@$(BIN)/python -m pytest -n 2 $(MARKS)

# Servers and tools that some tests drive. Where they are missing those tests say so; a CI machine gets them.
tools:
	@if [ "$(CI)" = true ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  ! { command -v redis-server && command -v strace && test -x /usr/lib/rabbitmq/bin/rabbitmq-server; } >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends redis-server strace rabbitmq-server >/dev/null; fi

# The vendors' own clients for Node against the sandbox: optional, so that nothing else here needs Node.
interop: .venv/.dev tests/interop/node_modules/.done
	@$(BIN)/python -m pytest -n 2 tests/interop

tests/interop/node_modules/.done: tests/interop/package-lock.json
	@command -v npm >/dev/null || { echo "the clients are for Node.js, 20 or newer, with npm; on Debian and Ubuntu: apt-get install nodejs npm" >&2; exit 1; }
	@npm ci --silent --prefix tests/interop
	@touch $@

check: lint
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

lint: .venv/.dev
	@$(BIN)/ruff format --check --quiet . || { echo "run 'make format'" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .

format: .venv/.dev
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

# The messages of Salesforce's Pub/Sub API, from their proto.
pubsub: .venv/.dev
	@$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. connectors/salesforce/pubsub/pubsub_api.proto

# New exact versions, with hashes and without any index address.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade
constraints: .venv/.dev
	@$(COMPILE) pyproject.toml --extra build -o constraints.txt
	@$(COMPILE) pyproject.toml --all-extras -c constraints.txt -o constraints-dev.txt

clean:
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
