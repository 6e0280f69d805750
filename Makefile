# The one door. `make help` lists what is behind it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DATA := data/scenes.h5
RUN := runs/demo

.PHONY: help setup demo test coverage browser lint docs site bench models reproduce estimators future-work why-45 scaling soak clean

help:  ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## */  make \1\t/' | expand -t 18

setup: $(VENV)/.done  ## make the environment in .venv

# The pinned torch is a CPU build where the package index has one; a torch that is already there is kept.
$(VENV)/.done: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs,formats]'
	touch $@

COINS := $$($(BIN)/python -c 'import skimage.data, os; print(os.path.join(os.path.dirname(skimage.data.__file__), "coins.png"))')

demo: setup  ## a real photograph counted; real digits, training, count accuracy, report page (about ten minutes)
	$(BIN)/airctl count $(COINS) -o runs/coins --force
	@test -f $(DATA) || $(BIN)/airctl generate-data $(DATA) --digits mnist || \
	  { echo "MNIST cannot be had from here; taking its 5 000 digit sample, mnist-5k, instead" >&2; \
	    $(BIN)/airctl generate-data $(DATA) --digits mnist-5k; }
	$(BIN)/airctl train $(DATA) --run $(RUN) --preset fast --resume
	$(BIN)/airctl variance-report $(RUN) --samples 100 --fit-steps 300
	$(BIN)/airctl eval $(RUN)
	@page=$$($(BIN)/airctl report $(RUN)) && echo "all of it in one page, to open in a browser: $$page"

test: setup lint site  ## linter, types, documentation, tests and their coverage (floor: setup.cfg)
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term

coverage: setup  ## the same tests, with a page in build/coverage that shows each line
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=html:build/coverage

browser: setup  ## the report page and the page of counts in a real browser, as Debian's chromium-driver package has it
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[browser]'
	$(BIN)/python -m pytest tests/reporting/test_browser.py tests/reporting/counts_page/test_counts_browser.py -rs

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup  ## docs/cli.md, docs/config.md and docs/json.md from the code, and the site with all pages in build/site
	$(BIN)/python -m airctl.cli.reference > docs/cli.md.part && mv docs/cli.md.part docs/cli.md
	$(BIN)/python -m airctl.cli.config_reference > docs/config.md.part && mv docs/config.md.part docs/config.md
	$(BIN)/python -m airctl.cli.json_reference > docs/json.md.part && mv docs/json.md.part docs/json.md
	$(MAKE) site

site: setup  # warnings, such as a dead link or a page outside the navigation, are errors (with --quiet they would be lost)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/.bench $(DATA)  ## time of a step and time to 98 % beside Pyro: docs/benchmark.md, docs/performance.md
	$(BIN)/python -m benchmarks.against_pyro $(DATA) --train --out docs
	$(BIN)/python -m benchmarks.floor --out docs

$(VENV)/.bench: $(VENV)/.done
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

$(DATA): | $(VENV)/.done
	$(BIN)/airctl generate-data $(DATA)

models: setup  ## the models that come with airctl, airctl/weights, from nothing (half an hour)
	$(BIN)/python -m benchmarks.models

reproduce: setup $(DATA)  ## the figures of docs/results.md that docs/results.json has not (hours; piecewise: --only)
	$(BIN)/python -m benchmarks.reproduce

estimators: setup $(DATA)  ## the measured part of docs/estimators.md (hours; wants the runs of reproduce)
	$(BIN)/python -m benchmarks.estimators $(DATA)

future-work: setup $(DATA)  ## the measured part of docs/future-work.md (hours; piecewise: --only)
	$(BIN)/python -m benchmarks.future_work --test

why-45: setup $(DATA)  ## the runs of docs/why-45-percent.md (hours)
	$(BIN)/python -m benchmarks.why_45 $(DATA)

scaling: $(VENV)/.bench  ## a step's cost against steps, canvas and batch: docs/scaling.md
	$(BIN)/python -m benchmarks.scaling --out docs

soak: setup  ## all kills, disk errors, damage and hostile files (docs/reliability.md), and what needs MNIST
	$(BIN)/python -m pytest tests/reliability -m "" --summary docs/reliability.md
	$(BIN)/python -m pytest -m slow

clean:  ## remove the environment, caches and demo run
	rm -rf $(VENV) $(RUN) $(DATA) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
