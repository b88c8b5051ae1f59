# make demo    set up and run the main job: the videos land in demo/
# make test    set up and run every check: format, lint, types, import rules, tests
# make docs    build the site of docs/ into site/, and check its links
# make test-gpu  the checks that want a CUDA device; prints a table, writes gpu-report.json
# All need Python 3.10 or newer and a package index, nothing else.

PYTHON ?= python3
VENV ?= .venv
# One of cpu and gpu: two builds of ONNX Runtime that shut each other out.
BUILD ?= cpu

PIP = $(VENV)/bin/python -m pip install --quiet --constraint .ci/constraints.txt
.PHONY: demo test docs test-gpu install install-browser format clean

demo: $(VENV)/installed
	$(VENV)/bin/anim demo --output demo

# Three workers keep two cores busy, since a quarter of a test's time goes into waiting.
# Hundreds of processes that tests start read our bytecode, even where nobody else keeps any.
# Types are checked against the annotations of NumPy; 2.2's, the last for 3.10, don't do.
test: $(VENV)/installed-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	if $(VENV)/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; \
		then $(VENV)/bin/mypy; fi
	$(VENV)/bin/lint-imports
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(VENV)/bin/python -m pytest -n 3 --dist worksteal

docs: $(VENV)/installed-dev
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict -f .ci/mkdocs.yml

test-gpu: $(VENV)/installed-dev
	$(VENV)/bin/python -m pytest -m gpu -s tests/gpu

install: $(VENV)/installed

# What the tests of the page in a real browser need, beside a Chromium.
install-browser: $(VENV)/installed-dev
	$(PIP) --editable '.[$(BUILD),dev,studio-test]'

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml .ci/constraints.txt
	$(PIP) --editable '.[$(BUILD)]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --editable '.[$(BUILD),dev,docs]'
	touch $@

format:
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

clean:
	rm -rf $(VENV) demo site
