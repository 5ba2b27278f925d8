# `make demo` and `make test` do everything on a fresh machine: they set up .venv first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test quick lint docs bench clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . $$($(PYTHON) -c "import tomllib; g = tomllib.load(open('pyproject.toml','rb'))['dependency-groups']; print(' '.join(x for k in ('test','docs') for x in g[k]))")
	touch $@

demo: $(STAMP)
	$(BIN)/augury demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The blocks of a document go on where the last one ended: one process.
test: lint
	$(BIN)/pytest -n 2 tests
	$(BIN)/pytest README.md docs

quick: lint
	$(BIN)/pytest -n 2 -m "not slow" tests

docs: $(STAMP)
	$(BIN)/mkdocs build --strict

bench: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) site out .pytest_cache .mypy_cache .ruff_cache
