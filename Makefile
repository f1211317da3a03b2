# Everything that a fresh machine with Python 3.11 and make needs. `make demo` and `make test` are the two to know.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install demo test test-long check format ui bench docs services clean
.DEFAULT_GOAL := demo

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,postgres,ray,text]"
	touch $@

demo: install
	$(BIN)/affectlake demo

test: install
	$(BIN)/pytest -n 2 --dist loadscope -m "not long"

test-long: install
	$(BIN)/pytest -n 2 --dist loadscope --timeout 7200

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

ui: install
	$(BIN)/affectlake ui

bench: install
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

docs: install
	$(BIN)/zensical build --clean --strict

# What tests use where it is there: a database server and a browser. For Debian and its kin, as root.
services:
	apt-get update -q
	apt-get install -yq --no-install-recommends postgresql chromium

clean:
	rm -rf $(VENV) studies/demo site .cache
