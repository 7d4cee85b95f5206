# latelite: `make help` lists what there is. Every target makes the environment that it needs in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# make export CHECKPOINT=<hub id or folder> OUT=<folder>; without them, the default checkpoint and its bundle
CHECKPOINT ?=
OUT ?= models/build/default-onnx
# make export TORCH_INDEX=<PyTorch's index of CPU builds>: on x86-64 Linux, PyPI's PyTorch brings CUDA
TORCH_INDEX ?=
# make bench-full DATA=<folder of folders in BEIR layout>; make finetune DATA=<documents, pairs or a set> OUT=<folder>
DATA ?=
# make finetune BASE=<checkpoint or hub id> FINETUNE_OPTIONS="--minutes 30 --evaluate <set>"
BASE ?=
FINETUNE_OPTIONS ?=
BENCH_OPTIONS ?=
# make test TESTS="tests/runtime/test_models.py -x"
TESTS ?=
INTEGRATIONS ?= langchain haystack llamaindex handover ray spark mteb sentence_transformers pylate \
	$(if $(shell command -v $(PYTHON313)),homeassistant)
# Home Assistant needs it; make test-integrations leaves that out where it is missing.
PYTHON313 ?= python3.13
PEERS ?= pylate sentence-transformers openvino maxsim-cpu fast-plaid voyager
FINETUNE := .venv-finetune
PYLATE := pylate==1.6.0
DEFAULT_CHECKPOINT := models/latelite-colbert-16m
DEFAULT_BUNDLE := models/default-onnx
DEMO_COLLECTION := models/build/stdlib.lt

# hnswlib is built from source, by default for this very CPU; a cached wheel would then crash on another one.
export HNSWLIB_NO_NATIVE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
PIP = $(BIN)/python -m pip install -q
TORCH = $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
COMPILER = command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all test-integrations test-wheels test-arm test-finetune export finetune finetune-usage wheels release maxsim-graphs bench bench-full peers browser lint clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

install: $(VENV)/.runtime  ## the runtime into .venv: numpy, onnxruntime, tokenizers

demo: $(VENV)/.runtime  ## ask Python's standard library in seven languages
	@# of another model, if it is older than this one
	@[ $(DEMO_COLLECTION)/collection.json -nt $(DEFAULT_BUNDLE)/manifest.json ] || rm -rf $(DEMO_COLLECTION)
	$(BIN)/latelite demo --collection $(DEMO_COLLECTION)

test: $(VENV)/.test  ## the runtime's tests, and those of what else is installed
	$(BIN)/python -m pytest $(TESTS)

test-all: $(VENV)/.dev  ## every test, with the export toolchain, all extras, and hnswlib where a compiler is
	LATELITE_TEST_ALL=1 $(BIN)/python -m pytest $(TESTS)

# Their pins conflict, so each project has an environment of its own.
test-integrations:  ## each integration with its project's own tests: INTEGRATIONS="langchain ..." (default: all)
	for each in $(INTEGRATIONS); do \
		python="$(PYTHON)"; [ $$each != homeassistant ] || python="$(PYTHON313)"; \
		$$python -m venv .venv-integrations/$$each && \
		.venv-integrations/$$each/bin/python -m pip install -q --upgrade "pip>=25.1" && \
		.venv-integrations/$$each/bin/python -m pip install -q -e . --group integration-$$each $(TORCH) && \
		{ [ $$each != pylate ] || .venv-integrations/$$each/bin/python -m pip install -q --no-deps "$(PYLATE)"; } && \
		.venv-integrations/$$each/bin/python -m pytest -o asyncio_mode=auto tests/integrations/test_$$each*.py || exit 1; \
	done

test-wheels: $(BIN)/python  ## the wheels on every Python here, with the oldest and the newest dependencies
	$(BIN)/python tests/wheels/run.py

test-arm:  ## the runtime on an emulated Raspberry Pi 4 and 5 (Debian, qemu-user); minutes
	tests/arm/run

export: $(VENV)/.toolchain  ## checkpoint -> bundle: CHECKPOINT=<hub id or folder> OUT=<folder> [OVERRIDE=1]
	$(BIN)/latelite-export $(or $(CHECKPOINT),$(DEFAULT_CHECKPOINT)) -o $(OUT) \
		$(if $(or $(OVERRIDE),$(filter models/build/default-onnx,$(OUT))),--override)

finetune: finetune-usage $(FINETUNE)/.done  ## adapt a checkpoint: DATA=<documents, pairs or a set> OUT=<folder> [BASE=<checkpoint or hub id>]
	$(FINETUNE)/bin/python models/finetune --data "$(DATA)" --out "$(OUT)" $(if $(BASE),--base "$(BASE)") $(FINETUNE_OPTIONS)

test-finetune: finetune-usage $(FINETUNE)/.done  ## the tests of `make finetune`, in its environment; minutes
	$(FINETUNE)/bin/python -m pytest tests/finetune

wheels: $(VENV)/.runtime  ## latelite and the default model as wheels, into dist
	$(BIN)/python -m pip wheel -q --no-deps -w dist .
	$(BIN)/latelite-export $(DEFAULT_BUNDLE) --wheel -o dist

release: $(VENV)/.pip  ## wheels and sdist into dist, and the tests of these files; minutes
	rm -rf dist
	$(MAKE) wheels
	$(PIP) build && $(BIN)/python -m build --sdist --outdir dist
	$(BIN)/python tests/wheels/run.py --dist dist

maxsim-graphs: $(VENV)/.dev  ## make the small ONNX graphs anew that score documents
	$(BIN)/python -m latelite_export.maxsim_graphs runtime/latelite/maxsim

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev  ## speed and footprint on this machine, beside PyTorch; minutes
	$(BIN)/python benchmarks/suite.py $(BENCH_OPTIONS)

bench-full: $(VENV)/.dev  ## everything, with quality on the sets in DATA=<folder>; hours
	$(BIN)/python benchmarks/suite.py --full $(if $(DATA),--data $(DATA)) $(BENCH_OPTIONS)

peers:  ## environments of what to compare with: PEERS="pylate openvino ..." (default: all)
	for peer in $(PEERS); do \
		$(PYTHON) -m venv .venv-peers/$$peer && \
		.venv-peers/$$peer/bin/python -m pip install -q --upgrade "pip>=25.1" && \
		.venv-peers/$$peer/bin/python -m pip install -q --group peer-$$peer || exit 1; \
	done

browser:  ## npm packages for the tests in Node and, with Chromium (Debian: apt-get install chromium), in a browser
	npm ci --ignore-scripts --prefix tests/web
	npm ci --ignore-scripts --prefix runtime/web

clean:  ## remove the environments and all build output
	rm -rf $(VENV) .venv-* models/build dist

$(FINETUNE)/.done: pyproject.toml
	$(PYTHON) -m venv $(FINETUNE)
	$(FINETUNE)/bin/python -m pip install -q --upgrade "pip>=25.1"
	$(FINETUNE)/bin/python -m pip install -q -e ".[files]" --group finetune --group test $(TORCH)
	$(FINETUNE)/bin/python -m pip install -q --no-deps "$(PYLATE)"
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# --group needs pip 25.1.
$(VENV)/.pip: $(BIN)/python
	$(PIP) --upgrade "pip>=25.1"
	@touch $@

# Compiling every module takes longer than what the demo needs of them.
$(VENV)/.runtime: $(BIN)/python pyproject.toml
	$(PIP) --no-compile -e .
	@touch $@

$(VENV)/.test: $(VENV)/.pip pyproject.toml
	$(PIP) -e . --group test
	@touch $@

$(VENV)/.toolchain: $(VENV)/.pip pyproject.toml
	@echo "This installs PyTorch, transformers and ONNX into $(VENV): 300 MB to download, 1.2 GB on disk."
	@[ -n "$(TORCH_INDEX)" ] || [ "$$(uname -sm)" != "Linux x86_64" ] || echo "On x86-64 Linux, PyPI's PyTorch brings" \
		"CUDA, gigabytes of it, if your index is PyPI: TORCH_INDEX=<PyTorch's index of CPU builds> avoids that."
	$(PIP) -e ".[export]" --group toolchain $(TORCH)
	@touch $@

$(VENV)/.dev: $(VENV)/.toolchain
	$(PIP) -e ".[all]" --group dev $(TORCH)
	@if $(COMPILER); then $(PIP) -e ".[hnsw]"; else echo "No C++ compiler: without hnswlib, tests of HNSW are skipped."; fi
	@touch $@
