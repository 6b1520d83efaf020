# The project's commands; `make` lists them. CONTRIBUTING.md says when to use which.
PYTHON ?= python3
MINI ?= $(HOME)/.cache/incoder/mini
TINY ?= runs/tiny

BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
INSTALL := $(PIP) install -c constraints.txt
LOWEST := nice -n 19
MINI_IS_RUNNING = test -f $(MINI)/pid && ps -o args= -p "$$(cat $(MINI)/pid)" 2>/dev/null | grep -q 'incoder train'

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench tiny mini-corpus mini mini-resume mini-stop

help:  ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

# Each stamp says that an installation was done with these very versions; source changes need none (-e).
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "InCoder needs Python 3.11 or later; say which: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/.core: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into .venv …"
	@$(INSTALL) -e .
	@touch $@

.venv/.training: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into .venv, with what making a model needs …"
	@$(INSTALL) -e '.[corpus,training]'
	@touch $@ .venv/.core

.venv/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into .venv, with what developing needs …"
	@$(INSTALL) -e '.[dev]'
	@touch $@ .venv/.core .venv/.training

setup: .venv/.core  ## make .venv and install InCoder into it

demo: .venv/.core  ## fill the holes of examples/demo.py with the embedded model
	@echo "--- examples/demo.py, before"; cat examples/demo.py
	@printf '%s\n' "--- after: incoder fill examples/demo.py --stop '\n'"
	@$(BIN)/incoder fill examples/demo.py --stop '\n'

test: .venv/.dev  ## run the tests
	@$(BIN)/python -m pytest

lint: .venv/.dev  ## check style, formatting, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: .venv/.dev  ## mend style and formatting
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/.dev  ## run the measurements in benchmarks/; mini's training pauses meanwhile
	@if $(MINI_IS_RUNNING); then \
	  pid=$$(cat $(MINI)/pid); kill -STOP $$pid; trap 'kill -CONT $$pid' EXIT; \
	fi; \
	for file in benchmarks/*.py; do echo "--- $$file"; $(BIN)/python $$file || exit 1; done

# The newcomer's path: from the standard library's source to a filled hole in a few minutes on two cores.
tiny: .venv/.training  ## make a small model from nothing and fill a hole with it
	@rm -rf $(TINY)
	$(BIN)/incoder corpus build recipes/tiny/corpus.toml --output $(TINY)/corpus
	$(BIN)/incoder tokenizer train recipes/tiny/tokenizer.toml --corpus $(TINY)/corpus --output $(TINY)/tokenizer
	$(BIN)/incoder corpus encode $(TINY)/corpus --tokenizer $(TINY)/tokenizer
	$(BIN)/incoder train recipes/tiny/train.toml --output $(TINY)/run
	$(BIN)/incoder fill examples/demo.py --model $(TINY)/run/model

# The run that made the embedded model. Each step is done once; `rm` what should be made again.
$(MINI)/corpus/report.json: | .venv/.training
	@mkdir -p $(MINI)
	$(PIP) install --no-deps --no-compile --only-binary=:all: --implementation cp --python-version 3.13 \
	  --ignore-requires-python --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 \
	  --upgrade --target $(MINI)/packages -r recipes/mini/packages.txt
	$(LOWEST) $(BIN)/incoder corpus build recipes/mini/corpus.toml --output $(MINI)/corpus

$(MINI)/tokenizer/tokenizer.json: $(MINI)/corpus/report.json
	$(LOWEST) $(BIN)/incoder tokenizer train recipes/mini/tokenizer.toml --corpus $(MINI)/corpus \
	  --output $(MINI)/tokenizer

$(MINI)/corpus/tokens/meta.json: $(MINI)/tokenizer/tokenizer.json
	$(LOWEST) $(BIN)/incoder corpus encode $(MINI)/corpus --tokenizer $(MINI)/tokenizer

mini-corpus: $(MINI)/corpus/tokens/meta.json  ## make the corpus and the tokenizer of the embedded model

# Waiting threads that spin are 1.4 times as fast beside other work, at its cost (docs/mini.md).
mini: mini-corpus  ## train the embedded model, or go on with it
	OMP_WAIT_POLICY=ACTIVE $(BIN)/incoder train recipes/mini/train.toml --output $(MINI)/run --resume

# Linux weighs whole sessions against each other before it looks at the niceness of a process, hence `autogroup`.
mini-resume: mini-corpus  ## train mini's successor in the background; harmless when running or finished
	@if $(MINI_IS_RUNNING); then \
	  echo "already running as process $$(cat $(MINI)/pid); it writes to $(MINI)/log"; \
	else \
	  detach=$$(command -v setsid || true); \
	  nohup $$detach $(LOWEST) $(BIN)/incoder train recipes/mini/train-long.toml --output $(MINI)/run-long --resume \
	    >> $(MINI)/log 2>&1 < /dev/null & echo $$! > $(MINI)/pid; \
	  if [ -n "$$detach" ] && [ -w /proc/$$(cat $(MINI)/pid)/autogroup ]; then \
	    sleep 1; echo 19 > /proc/$$(cat $(MINI)/pid)/autogroup; \
	  fi; \
	  echo "training as process $$(cat $(MINI)/pid); it writes to $(MINI)/log"; \
	fi

mini-stop:  ## stop it: it writes a checkpoint first
	@if $(MINI_IS_RUNNING); then kill -TERM "$$(cat $(MINI)/pid)"; echo "stopping"; else echo "not running"; fi
