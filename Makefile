# The one door. `make help` lists what is behind it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DATA := data/scenes.h5
RUN := runs/demo

.PHONY: help setup lock oldest demo test coverage browser lint docs site bench models reproduce estimators figures future-work why-45 scaling soak ray clean

help:  ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## */  make \1\t/' | expand -t 18

setup: $(VENV)/.done  ## make the environment in .venv

# All but torch is checked against the hashes in requirements.txt, also what is only there because others need it. torch
# is pinned by its version: its builds (CPU, CUDA) differ, and with them their hashes and what they bring along.
$(VENV)/.done: setup.cfg constraints.txt requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	touch $@

# What only torch's CUDA builds need.
GPU := triton cuda-bindings cuda-toolkit nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvshmem-cu13

lock: setup  ## requirements.txt anew: setup.cfg at the versions of constraints.txt, with what these need, and all hashes
	mkdir -p build && printf '%s\n' $(GPU) > build/gpu.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip compile --quiet setup.cfg --extra dev --extra docs --extra formats --constraint constraints.txt \
	  --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-package torch --excludes build/gpu.txt \
	  --custom-compile-command 'make lock' --upgrade --output-file requirements.txt

OLDEST := $(VENV)-oldest
# What needs none of the extras, in a few minutes.
OLD_TESTS := tests/test_files.py tests/test_config.py tests/scenes tests/model tests/training tests/commands/test_export.py \
  tests/commands/test_evaluate.py tests/commands/test_infer.py tests/commands/test_report.py tests/reporting

oldest: setup  ## a part of the tests with the oldest versions that setup.cfg allows, but for torch, in .venv-oldest
	mkdir -p build
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip compile --quiet setup.cfg --no-deps --resolution lowest-direct --no-emit-package torch --no-header \
	  --output-file build/oldest.txt
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --constraint constraints.txt torch
	$(OLDEST)/bin/python -m pip install --quiet --requirement build/oldest.txt pytest hypothesis
	$(OLDEST)/bin/python -m pip check
	$(OLDEST)/bin/python -m pytest -p no:cacheprovider -o filterwarnings=default $(OLD_TESTS)

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

figures: setup  ## which figures of the pages are of older code (docs/figures.toml)
	$(BIN)/python -m benchmarks.figures --check

future-work: setup $(DATA)  ## the measured part of docs/future-work.md (hours; piecewise: --only)
	$(BIN)/python -m benchmarks.future_work --test

why-45: setup $(DATA)  ## the runs of docs/why-45-percent.md (hours)
	$(BIN)/python -m benchmarks.why_45 $(DATA)

scaling: $(VENV)/.bench  ## a step's cost against steps, canvas and batch: docs/scaling.md
	$(BIN)/python -m benchmarks.scaling --out docs

soak: setup  ## all kills, disk errors, damage and hostile files (docs/reliability.md), and what needs MNIST
	$(BIN)/python -m pytest tests/reliability -m "" --summary docs/reliability.md
	$(BIN)/python -m pytest -m slow

ray: setup  ## sweeps and pictures on a Ray cluster of two nodes, both of them this machine (docs/clusters.md)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ray]'
	$(BIN)/python -m pytest -m ray tests/commands/test_ray.py

clean:  ## remove the environment, caches and demo run
	rm -rf $(VENV) $(RUN) $(DATA) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
