# A newcomer needs two commands: `make run` and `make test`. Both build .venv first, when it is missing or stale.

PYTHON ?= python3
PYTEST_ARGS ?= -n 2
VENV := .venv
BIN := $(VENV)/bin
LOCKS := requirements.lock requirements-run.lock

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run demo test setup check bench lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1#/p' Makefile | awk -F'#' '{ printf "%-14s %s\n", $$1, $$2 }'

run: $(VENV)/.run-installed ## start the server on http://127.0.0.1:8000 (ARGS="--port 8001" for more)
	@exec $(BIN)/scim-server run $(ARGS)

demo: $(VENV)/.run-installed ## invented people to log in as, and to end, on this machine (ARGS="--port 8010" for more)
	@exec $(BIN)/scim-server demo $(ARGS)

test: $(VENV)/.test-installed ## the whole suite, on SQLite and on a real PostgreSQL (PYTEST_ARGS="-k filter")
	$(BIN)/pytest $(PYTEST_ARGS)

setup: $(VENV)/.test-installed ## only build .venv, with everything in it

check: $(VENV)/.test-installed ## lint, types, import contracts, locks, dependency audit
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@! grep -nE '://|index-url|find-links|trusted-host' $(LOCKS)
	$(BIN)/python -m pip check
	$(BIN)/python .ci/audit.py requirements.lock

bench: $(VENV)/.test-installed ## the benchmark suite
	$(BIN)/python -m bench $(ARGS)

# No host may stand in a lock, so that it works with any mirror: no header (it repeats the command), no index URLs.
# The second lock is a part of the first, kept apart so that `make run` on a bare machine is quick.
COMPILE = $(BIN)/uv pip compile -q --universal --generate-hashes --no-header $(ARGS) pyproject.toml
lock: | $(BIN)/python ## compile the locks anew (ARGS=--upgrade for newer versions)
	$(COMPILE) --extra install --extra postgres --extra demo --extra test --extra dev -o requirements.lock
	$(COMPILE) --extra install --extra postgres --extra demo -c requirements.lock -o requirements-run.lock

clean: ## remove what can be made again; var/, the data, stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find scim_server sso admin_ui tests bench -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The test lock holds all that the run lock holds.
$(VENV)/.test-installed: requirements.lock pyproject.toml | $(BIN)/python
	$(call install,requirements.lock)
	@touch $(VENV)/.run-installed $@

$(VENV)/.run-installed: requirements-run.lock pyproject.toml | $(BIN)/python
	$(call install,requirements-run.lock)
	@touch $@

# uv does in seconds what takes pip minutes. Where it is not to be had, or cannot reach a registry that only pip is
# configured for, pip does the same with the same hashes.
define install
@echo "Installing $(1) into $(VENV)"
@if [ -x $(BIN)/uv ] \
	&& $(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode --require-hashes -r $(1) \
	&& $(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .; then :; \
else \
	echo "uv cannot do it here; pip takes over (a minute or two)"; \
	$(BIN)/python -m pip install -q --require-hashes -r $(1) \
	&& $(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .; \
fi
endef

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not there)."; \
		echo "Install one and name it, for example: make $(or $(MAKECMDGOALS),run) PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "'$(PYTHON)' comes without venv or ensurepip. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; } >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@sed -n '/^uv==/,/# via/p' requirements-run.lock > $(VENV)/uv.txt
	-@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt
