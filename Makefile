# Each target sets itself up: `make demo` or `make test` is all that a fresh checkout needs.
# `make demo` installs what it runs; `make test` and `make lint` add the development tools.

SHELL := bash
.SHELLFLAGS := -o pipefail -c

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_TO_DEVELOP := $(VENV)/.ready-to-develop
PORT ?= 5000
# Where test-engines puts vLLM, whose torch and transformers are not ours.
ENGINES ?= .engines
RUNS := $(or $(PROVOST_HOME),runs)
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
# Looked for when it is first needed, and once.
PYTHON ?= $(eval PYTHON := $(shell for python in python3.11 python3.12 python3 python; do \
	$$python -c '$(SUITABLE)' >/dev/null 2>&1 && echo $$python && break; done))$(PYTHON)
# pip says a line or three for each of 150 packages: every 25th is progress enough.
COUNTED := awk '/^Collecting/ && ++n % 25 == 0 { print "  " n " packages found"; fflush() } \
	/^Installing collected/ { print "  installing them"; fflush() }'
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt

# A torch without CUDA takes a fifth of the room. It comes from torch's own index, unless the machine
# has a GPU or its user an index of their own. pip would try an index that gives no answer several
# times for each package, so it is asked first.
TORCH_INDEX := https://download.pytorch.org/whl/cpu
ANSWERS := import urllib.request; urllib.request.urlopen("$(TORCH_INDEX)/torch/", timeout=5)
WITHOUT_CUDA := $$([ "$$(uname)" != Linux ] || command -v nvidia-smi >/dev/null \
	|| $(BIN)/python -m pip config list | grep -q index-url \
	|| { $(BIN)/python -c '$(ANSWERS)' 2>/dev/null && echo --extra-index-url $(TORCH_INDEX); })

# An environment that does not start, or of another Python, is made again.
ifneq ($(wildcard $(VENV)/bin),)
ifneq ($(shell $(BIN)/python -c '$(SUITABLE)' >/dev/null 2>&1 || echo broken),)
$(info The environment in $(VENV) does not work with Python 3.11 or 3.12: it is made again.)
$(shell rm -rf $(VENV))
endif
endif

# One worker more than there are cores, because tests wait for processes and clocks, and 1.5 GB for
# each worker. A file's tests stay with one worker, because they share what they made.
WORKERS ?= -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 8 --dist loadfile

# What runs is offline and quiet, and one process takes one core.
export HF_HUB_OFFLINE := 1
export HF_DATASETS_OFFLINE := 1
export TRANSFORMERS_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export OMP_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help setup tools demo test test-all test-engines lint ui cluster-up cluster-down clean-runs

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## install into .venv (every other target does it too)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo >&2 "No Python 3.11 or 3.12 with venv was found." \
	"Install one (on Debian or Ubuntu: python3.11 and python3.11-venv), or name it:" \
	"make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -c '$(SUITABLE)' >/dev/null 2>&1 || { echo >&2 "PYTHON=$(PYTHON) is" \
	"$$($(PYTHON) --version 2>&1 || true); Python 3.11 or 3.12 with venv is needed:" \
	"make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "Installing into $(VENV) with $(PYTHON): a few minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) $(WITHOUT_CUDA) -e . | $(COUNTED)
	@touch $@

$(READY_TO_DEVELOP): $(READY)
	@echo "Installing the development tools into $(VENV): a minute, once."
	@$(INSTALL) -e '.[dev]' | $(COUNTED)
	@touch $@

tools: $(READY_TO_DEVELOP) ## add the development tools, such as pytest (test and lint do it too)

demo: $(READY) ## run the main job: four teams climb, one consolidation merges them (about 10 minutes)
	@$(BIN)/provost demo

test: $(READY_TO_DEVELOP) ## run the tests that a laptop passes in minutes
	@$(BIN)/python -m pytest $(WORKERS)

test-medium: $(READY_TO_DEVELOP) ## run the tests of one to ten seconds each (every merge does it too)
	@$(BIN)/python -m pytest -m 'medium and not (slow or gpu or cluster or browser)' $(WORKERS)

test-all: $(READY_TO_DEVELOP) ## run the slow, browser and GPU tests as well, part by part (RESUME=1 goes on)
	@$(BIN)/python -m benchmarks.platform.all_tests --workers="$(WORKERS)" $(if $(RESUME),--resume)

test-engines: $(READY_TO_DEVELOP) ## install vLLM into .engines and run the tests with it and with SeaweedFS
	@$(BIN)/python -m tests.support.vllm_environment $(ENGINES)/vllm
	@$(BIN)/python -m benchmarks.platform.engine_tests --vllm=$(ENGINES)/vllm

lint: $(READY_TO_DEVELOP) ## check format, style, types, import contracts, scripts, Dockerfiles and manifests
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/codespell workflows tasks images lineage tests infra docs benchmarks *.md Makefile pyproject.toml
	@$(BIN)/hadolint --failure-threshold ignore images/*/Dockerfile
	@$(BIN)/shellcheck images/*.sh infra/*.sh infra/*/*.sh .ci/run .ci/unprivileged .ci/flyte-2
	@$(BIN)/python -m tests.lint.manifests

ui: $(READY) ## open the runs, checkpoints and registered models in MLflow, on 127.0.0.1 (PORT=5000)
	@test -f $(RUNS)/mlflow.db || { echo >&2 "Nothing to show yet: run 'make demo' first."; exit 1; }
	@$(BIN)/python -c "import socket; socket.create_server(('127.0.0.1', $(PORT))).close()" \
		2>/dev/null || { echo >&2 "Port $(PORT) is not free. Choose another: make ui PORT=5001"; exit 1; }
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --host 127.0.0.1 --port $(PORT) \
		--workers 1 --backend-store-uri sqlite:///$(RUNS)/mlflow.db

cluster-up: ## bring up Flyte and MLflow in a kind cluster on this machine (needs Docker)
	@infra/laptop/up.sh

cluster-down: ## remove that cluster, with all that is in it
	@infra/laptop/down.sh

clean-runs: ## delete ./runs: the store, the MLflow database and every report
	@test ! -d runs || chmod -R u+w runs
	@rm -rf runs
