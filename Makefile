# The project's commands; `make` lists them. CONTRIBUTING.md says when to use which.
PYTHON ?= python3
MINI ?= $(HOME)/.cache/incoder/mini
TINY ?= runs/tiny

BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
INSTALL := $(PIP) install -c constraints.txt

# Packages whose source is read and never run; the platform is named so that every machine gets the same files.
AS_DATA := $(PIP) install --no-deps --no-compile --only-binary=:all: --implementation cp --python-version 3.13 \
  --ignore-requires-python --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --upgrade

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format docs playground bench tiny mini-corpus mini mini-cpu

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

.venv/.docs: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into .venv, with what the documentation needs …"
	@$(INSTALL) -e '.[docs]'
	@touch $@ .venv/.core

setup: .venv/.core  ## make .venv and install InCoder into it

demo: .venv/.core  ## fill the holes of examples/demo.py with the embedded model
	@echo "--- examples/demo.py, before"; cat examples/demo.py
	@echo "--- after: incoder fill examples/demo.py"
	@$(BIN)/incoder fill examples/demo.py
	@echo "--- incoder is in $(BIN): run '. $(BIN)/activate', then try: incoder --help"

# Most tests are one thread of Python, so a process for each core takes 7 minutes on two, where one takes 11.
test: .venv/.dev  ## run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

lint: .venv/.dev  ## check style, formatting, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: .venv/.dev  ## mend style and formatting
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: .venv/.docs  ## build the documentation site into build/docs; a dead link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file website/mkdocs.yml
	@echo "open build/docs/index.html"

# The built page is committed; a test compares it with its source where these packages are installed.
playground/node_modules/.package-lock.json: playground/package.json playground/package-lock.json
	@npm ci --prefix playground --silent

playground: playground/node_modules/.package-lock.json  ## check, test and build the page that the server shows (needs Node.js)
	@cd playground && npm run --silent check && npm run --silent test && npm run --silent build

bench: .venv/.dev  ## run the measurements in benchmarks/
	@for file in benchmarks/*.py; do echo "--- $$file"; $(BIN)/python $$file || exit 1; done

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
	$(AS_DATA) --target $(MINI)/packages -r recipes/mini/packages.txt
	$(AS_DATA) --target $(MINI)/held-out -r recipes/mini/held-out.txt
	$(BIN)/incoder corpus build recipes/mini/corpus.toml --output $(MINI)/corpus

$(MINI)/tokenizer/tokenizer.json: $(MINI)/corpus/report.json
	$(BIN)/incoder tokenizer train recipes/mini/tokenizer.toml --corpus $(MINI)/corpus \
	  --output $(MINI)/tokenizer

$(MINI)/corpus/tokens/meta.json: $(MINI)/tokenizer/tokenizer.json
	$(BIN)/incoder corpus encode $(MINI)/corpus --tokenizer $(MINI)/tokenizer

mini-corpus: $(MINI)/corpus/tokens/meta.json  ## make the corpus and the tokenizer of the embedded model

mini: mini-corpus  ## train the embedded model, or go on with it: eight minutes on an H100
	$(BIN)/incoder train recipes/mini/train.toml --output $(MINI)/run --resume
	$(BIN)/incoder train recipes/mini/second.toml --output $(MINI)/second --resume

# Waiting threads that spin are 1.4 times as fast beside other work, at its cost (docs/mini.md).
mini-cpu: mini-corpus  ## the same on two CPU cores in two hours: a fifth of the size, a tenth of the tokens
	OMP_WAIT_POLICY=ACTIVE $(BIN)/incoder train recipes/mini/train-cpu.toml --output $(MINI)/run-cpu --resume
