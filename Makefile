# latelite: `make help` lists what there is. Every target makes the environment that it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# make export CHECKPOINT=<hub id or folder> OUT=<folder>; without them, the default checkpoint and its bundle
CHECKPOINT ?=
OUT ?= models/default-onnx
DEFAULT_CHECKPOINT := models/build/default
DEFAULT_BUNDLE := models/default-onnx

# hnswlib is built from source, by default for this very CPU; a cached wheel would then crash on another one.
export HNSWLIB_NO_NATIVE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install export demo test bench lint clean

help:  ## this list
	@sed -nE 's/^([a-z]+):.*  ## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

install: $(VENV)/.runtime  ## the runtime, with hnswlib, into .venv

export: $(VENV)/.toolchain  ## checkpoint -> bundle: CHECKPOINT=<hub id or folder> OUT=<folder> [OVERRIDE=1]
ifeq ($(CHECKPOINT),)
	$(BIN)/python models/recipe/build.py -o $(DEFAULT_CHECKPOINT)
endif
	$(BIN)/latelite-export $(or $(CHECKPOINT),$(DEFAULT_CHECKPOINT)) -o $(OUT) \
		$(if $(or $(OVERRIDE),$(filter $(DEFAULT_BUNDLE),$(OUT))),--override)

$(DEFAULT_BUNDLE)/manifest.json:
	$(MAKE) export CHECKPOINT= OUT=$(DEFAULT_BUNDLE)

demo: $(DEFAULT_BUNDLE)/manifest.json $(VENV)/.runtime  ## ask Python's standard library in seven languages
	$(BIN)/python -m latelite.demo --model $(DEFAULT_BUNDLE) --collection models/build/stdlib.lt

test: $(VENV)/.dev  ## the test suite
	$(BIN)/python -m pytest

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev  ## speed of encoder and MaxSim on this machine, beside PyTorch and plain ONNX Runtime
	$(BIN)/python benchmarks/encode.py --models bert --lengths 32 180 512 --threads 1
	$(BIN)/python benchmarks/maxsim.py

clean:  ## remove the environment and all build output
	rm -rf $(VENV) models/build $(DEFAULT_BUNDLE)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"

$(VENV)/.runtime: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q -e ".[hnsw]"
	@touch $@

$(VENV)/.toolchain: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q -e ".[hnsw,export]" --group toolchain
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install -q -e ".[hnsw,export,bench]" --group dev
	@touch $@
