# make demo: the whole factory, small.  make test: every check CI runs.  Both set up what they need.
PYTHON ?= python3
ROOT   ?= ./factory
BIN    := .venv/bin
READY  := .venv/.ready

.PHONY: setup demo test lint types imports unit exactly-once format lock

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/prefect server database upgrade --yes >/dev/null
	touch $(READY)

demo: setup
	$(BIN)/cxr-factory demo --root $(ROOT)

test: lint types imports unit

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

unit: setup
	$(BIN)/pytest -n 3 --dist loadfile

exactly-once: setup  ## 4 publishers and a collector racing under 100 kills
	$(BIN)/python -m benchmarks.exactly_once --kills 100

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup  ## names and versions only
	$(BIN)/uv pip compile --universal --python-version 3.11 --extra dev --no-header --no-annotate \
		--no-emit-index-url --quiet pyproject.toml --output-file requirements.lock
