# `make demo` and `make test` set themselves up: a virtual environment in the checkout, the install, the run.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
EXTRAS ?= test,lint,docs
PYTEST_ARGS ?= -n auto

.PHONY: install demo test lint types imports docs check clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$(EXTRAS)]"
	touch $@

demo: install
	$(BIN)/python examples/demo.py

test: install
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

docs: install
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going --quiet -b html docs docs/_build/html

check: lint types imports docs test

clean:
	rm -rf $(VENV) demo_output docs/_build docs/gallery docs/api/generated
