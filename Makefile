# latelite: `make help` lists what there is. Every target makes the environment that it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# make export CHECKPOINT=<hub id or folder> OUT=<folder>; without them, the default checkpoint and its bundle
CHECKPOINT ?=
OUT ?= models/default-onnx
# make bench-full DATA=<folder of folders in BEIR layout>
DATA ?=
BENCH_OPTIONS ?=
PEERS ?= pylate sentence-transformers openvino maxsim-cpu fast-plaid voyager
DEFAULT_CHECKPOINT := models/latelite-colbert-16m
DEFAULT_BUNDLE := models/default-onnx
DEMO_COLLECTION := models/build/stdlib.lt

# hnswlib is built from source, by default for this very CPU; a cached wheel would then crash on another one.
export HNSWLIB_NO_NATIVE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install export demo test bench bench-full peers lint clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

install: $(VENV)/.runtime  ## the runtime, with hnswlib, into .venv

export: $(VENV)/.toolchain  ## checkpoint -> bundle: CHECKPOINT=<hub id or folder> OUT=<folder> [OVERRIDE=1]
	$(BIN)/latelite-export $(or $(CHECKPOINT),$(DEFAULT_CHECKPOINT)) -o $(OUT) \
		$(if $(or $(OVERRIDE),$(filter $(DEFAULT_BUNDLE),$(OUT))),--override)

$(DEFAULT_BUNDLE)/manifest.json: $(DEFAULT_CHECKPOINT)/model.safetensors
	$(MAKE) export CHECKPOINT= OUT=$(DEFAULT_BUNDLE)
	rm -rf $(DEMO_COLLECTION)  # of another model, if there is one

demo: $(DEFAULT_BUNDLE)/manifest.json $(VENV)/.runtime  ## ask Python's standard library in seven languages
	$(BIN)/python -m latelite.demo --model $(DEFAULT_BUNDLE) --collection $(DEMO_COLLECTION)

test: $(VENV)/.dev  ## the test suite
	$(BIN)/python -m pytest

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev $(DEFAULT_BUNDLE)/manifest.json  ## speed and footprint on this machine, beside PyTorch; minutes
	$(BIN)/python benchmarks/suite.py $(BENCH_OPTIONS)

bench-full: $(VENV)/.dev $(DEFAULT_BUNDLE)/manifest.json  ## everything, with quality on the sets in DATA=<folder>; hours
	$(BIN)/python benchmarks/suite.py --full $(if $(DATA),--data $(DATA)) $(BENCH_OPTIONS)

peers:  ## environments of what to compare with: PEERS="pylate openvino ..." (default: all)
	for peer in $(PEERS); do \
		$(PYTHON) -m venv .venv-peers/$$peer && \
		.venv-peers/$$peer/bin/python -m pip install -q --upgrade "pip>=25.1" && \
		.venv-peers/$$peer/bin/python -m pip install -q --group peer-$$peer || exit 1; \
	done

clean:  ## remove the environment and all build output
	rm -rf $(VENV) .venv-peers models/build $(DEFAULT_BUNDLE)

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
