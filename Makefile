# The commands of this house. Only `make lock` and the first set-up need a network; nothing needs root.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# It more than doubles the time of every import.
unexport PYTHONDONTWRITEBYTECODE
# A checkout on the path would hide the installed wheel.
unexport PYTHONPATH
export PYTHONSAFEPATH := 1

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := coldchain tasks flows deployments
SOURCES := $(shell find $(PACKAGES) -type f -not -path '*/__pycache__/*' -not -name '*.pyc' -not -path '*/.ruff_cache/*' 2>/dev/null) prefect.yaml pyproject.toml README.md LICENSE
PARALLEL ?= 2
TESTS ?= tests

.PHONY: help setup demo ui test check format bench crash histories fuzz mutants lock clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

setup: $(VENV)/.wheel ## Make .venv with the locked packages and our own wheel

demo: setup ## Take a real acquisition through its whole life, on embedded defaults
	@$(BIN)/coldchain demo

ui: setup ## Serve the demo's site: Prefect UI, a worker and every deployment, until Ctrl-C
	@$(BIN)/coldchain ui

test: setup ## Run every test that this machine can run, against the installed wheel, and say what was left out
	@$(BIN)/pytest -n $(PARALLEL) --dist loadgroup $(TESTS) || { echo "make test: FAILED" >&2; exit 1; }
	@echo "make test: passed. Lines that begin with SKIPPED, above, say what was left out and why."

check: setup ## Check format, lint, types and layers: what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/house

format: setup ## Lay out the code, and mend what can be mended by rule
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## Run every benchmark and print one table
	@$(BIN)/python -P tests/benchmarks/run_all.py

crash: setup ## Kill each procedure with SIGKILL before every effect, then the demo at ten random moments; see both complete
	@COLDCHAIN_POINTS=$${COLDCHAIN_POINTS:-all} $(BIN)/pytest -s tests/crash
	@COLDCHAIN_KILLS=$${COLDCHAIN_KILLS:-10} $(BIN)/pytest -s tests/e2e/test_crash_demo.py

histories: setup ## Try random histories for STEPS steps (20000) and hold the disks against a simple model; SEED repeats a run
	@mkdir -p build && export TMPDIR=$$(mktemp -d -p $$([ -w /dev/shm ] && echo /dev/shm || echo $(CURDIR)/build)) && trap 'rm -rf "$$TMPDIR"' EXIT && \
	seed=$${SEED:-$$RANDOM} && echo "make histories: SEED=$$seed PARALLEL=$(PARALLEL)" && \
	export COLDCHAIN_STEPS=$$(( ($${STEPS:-20000} + $(PARALLEL) - 1) / $(PARALLEL) )) && \
	seq 0 $$(( $(PARALLEL) - 1 )) | xargs -I{} -P $(PARALLEL) bash -c \
	'$(BIN)/pytest -q -s --timeout=0 -p no:cacheprovider --hypothesis-seed=$$(( '$$seed' + {} )) tests/histories'

fuzz: setup ## Hand EXAMPLES (20000) odd names, descriptions and manifests to each parser
	@COLDCHAIN_FUZZ=$${EXAMPLES:-20000} $(BIN)/pytest -q --timeout=0 -p no:cacheprovider tests/fuzz

mutants: setup ## Take out the guards of what decides and removes, one by one, and see a test go red for each (MODULES=coldchain/consent.py for one)
	@$(BIN)/python tests/mutants/mutate.py $(MODULES)

lock: ## Resolve the locked packages anew (needs a network and uv)
	infra/lock/update.sh

clean: ## Remove what was built; the demo's site and its data stay
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The environment: made anew when the lock changes. pip's --no-deps is sound here because the lock is complete, and needed because hash mode
# refuses requirements with extras otherwise.
$(VENV)/.packages: infra/lock/dev.txt infra/find_python.sh
	@python=$$(infra/find_python.sh); \
	echo "Setting up $(VENV) with $$python; this takes some minutes, once."; \
	"$$python" -m venv --clear $(VENV) || { echo "The venv module is missing: install python3-venv (Debian, Ubuntu), or set PYTHON." >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r infra/lock/dev.txt
	@touch $@

# Our own wheel: built without a network and installed whenever a source file is newer.
$(VENV)/.wheel: $(VENV)/.packages $(SOURCES)
	@rm -rf $(VENV)/wheel
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir $(VENV)/wheel .
	@$(BIN)/python -m pip install --quiet --no-deps --no-index --force-reinstall $(VENV)/wheel/coldchain-*.whl
	@touch $@
