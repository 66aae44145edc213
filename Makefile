# Everything is done in .venv, made on first use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Stands in an environment that make itself made: `clean` deletes no other.
MADE := $(VENV)/.made-by-make

# All tests, with ../shared, run 96.8 % of the lines; what other processes run does not count.
COVERAGE_FLOOR := 90

.PHONY: demo test cover check bench docs format dist clean

demo: $(STAMP)  ## pick P and S on a real earthquake record; results in demo/
	$(BIN)/scperformer demo -o demo

test: $(STAMP)  ## all tests, or TESTS=...; those that need ../shared or SeisComP skip where it is absent
	$(BIN)/python -m pytest $(TESTS)

cover: $(STAMP)  ## all tests, measuring which lines they run; fails below the floor
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE_FLOOR)

check: $(STAMP)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMP)  ## measure speed, memory, start-up into bench.json; BENCH=--full or "--only PART,..."
	$(BIN)/python -m benchmarks.run --json bench.json $(BENCH)

docs: $(STAMP)  ## the documents as a site, in site/; a link or anchor that leads nowhere fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

dist: $(STAMP)  ## wheel and sdist into dist/
	$(BIN)/hatchling build -d dist

$(STAMP): pyproject.toml
	if [ ! -e $(VENV) ]; then mkdir -p $(VENV) && touch $(MADE); fi
	if [ -e $(MADE) ]; then $(PYTHON) -m venv $(VENV); fi
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:  ## what make made: environment, caches, packages; results and builds of yours stay
	if [ -e $(MADE) ]; then rm -rf $(VENV); fi
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find scperformer tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
	if [ -e site/sitemap.xml ]; then rm -rf site; fi
	rm -f dist/scperformer-*.whl dist/scperformer-*.tar.gz
	if [ -d dist ]; then rmdir --ignore-fail-on-non-empty dist; fi
