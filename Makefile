# make example · make test · make app · make lint · make images · make bench
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help app example test soak fuzz wheel lint format images bench bench-live bench-train shipped clean

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

example: .venv/run  ## separate a real excerpt with the shipped checkpoint and measure it
	$(BIN)/python example/excerpt.py

test: .venv/dev  ## the whole test suite
	$(BIN)/python -m pytest -n auto --maxprocesses 4

FIRST ?= 0
fuzz: .venv/dev  ## spoilt files of every format for an hour (FIRST=NUMBER goes on where an earlier hour ended)
	PYTHONPATH=src:. $(BIN)/python -m tests.fuzz.run --seconds 3600 --first $(FIRST)

app: .venv/app  ## a page in the browser: drop a song, mix its stems
	$(BIN)/python src/app.py

soak: .venv/dev  ## 30 visitors and 210 songs at once: what the page holds afterwards
	$(BIN)/python -m pytest -n0 -s -m soak tests/test_app_soak.py

wheel: .venv/dev  ## build the package, install it into an empty environment (5 GB for a while), and separate with it
	$(BIN)/python -m pytest -m wheel tests/test_wheel.py

lint: .venv/dev  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/dev  ## apply the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

images: .venv/run  ## draw the pictures in images/ again
	$(BIN)/python src/make_images.py

# A half that was stopped goes on, one that is complete ends at once.
RUNS := $(CURDIR)/src/logs/bandsplitrnn
go_on = $(if $(wildcard $(RUNS)/$(1)/weights/last.ckpt),ckpt_path=last)
shipped: .venv/run  ## train the shipped checkpoint again, in two halves (MUSDB_DIR; three hours on two cores)
	$(BIN)/python src/train.py experiment=shipped hydra.run.dir=$(RUNS)/shipped $(call go_on,shipped)
	$(BIN)/python src/train.py experiment=shipped_tuned init=$(RUNS)/shipped hydra.run.dir=$(RUNS)/shipped_tuned \
		$(call go_on,shipped_tuned)

clean:  ## remove the environment
	rm -rf .venv

# The environment, in two layers; pip runs again when a list of packages changes.
.venv/run: requirements.txt pyproject.toml hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "the venv module is missing: sudo apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/app: .venv/run requirements-app.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-app.txt
	@touch $@

.venv/dev: .venv/run $(wildcard requirements-*.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

bench: .venv/run  ## how fast songs are separated, where the time goes, and how much memory it takes
	$(BIN)/python benchmarks/separation.py
	$(BIN)/python benchmarks/memory.py

bench-live: .venv/dev  ## what a hop of live separation costs
	$(BIN)/python benchmarks/live.py

bench-train: .venv/run  ## how fast training goes, and whether the loader keeps up
	$(BIN)/python benchmarks/training.py
