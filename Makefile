# Thin aliases: what they do lies in envs/, scripts/main.py and tests/.
#   make demo    environment, sample input, the whole pipeline on it, summary
#   make test    environment with test tools, all tests
#   make help    the rest
# PYTHON=python3.12 chooses the interpreter of the environment (3.11 to 3.13); DEMO=DIR the output folder of the demo.

SHELL := /bin/bash
VENV := .venv
RUN := $(VENV)/bin/python
DEMO ?= demo
export PYTHON

.PHONY: help demo test bench quality burned-in-text lint format env dev-env launcher cluster storage image tesseract lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       run everything on sample input; output in $(DEMO)/"
	@echo "make test       run all tests"
	@echo "make lint       ruff, snakefmt, snakemake --lint"
	@echo "make bench      measure speed"
	@echo "make quality    measure what policies and other tools leave of planted identifiers and of the rest"
	@echo "make burned-in-text  measure what readers of burned-in text hide of planted text"
	@echo "make env        make the environment in $(VENV)/ only"
	@echo "make image      build the container image (SIF=FILE: for Apptainer too)"
	@echo "make launcher   make an environment in $(VENV)-launcher/ that starts runs whose steps are in containers"
	@echo "make storage    add what s3:// needs, likewise"
	@echo "make cluster    add Snakemake's plugins for clusters to both environments, as far as they are there"
	@echo "make format     let ruff and snakefmt lay out the code"
	@echo "make lock       write envs/*.lock anew (UPGRADE=1: with newer versions)"
	@echo "make clean      remove the environments, caches and the demo's output"

env:
	@envs/make_env.sh $(VENV) requirements models

dev-env:
	@envs/make_env.sh $(VENV) requirements models dev readers cluster storage

launcher:
	@envs/make_env.sh $(VENV)-launcher launcher

cluster: env
	@envs/make_env.sh $(VENV) requirements models cluster
	@[ ! -d $(VENV)-launcher ] || envs/make_env.sh $(VENV)-launcher launcher cluster

storage: env
	@envs/make_env.sh $(VENV) requirements models storage
	@[ ! -d $(VENV)-launcher ] || envs/make_env.sh $(VENV)-launcher launcher storage

image: env
	@envs/make_image.sh $(RUN)

# Tesseract is the second reader of burned-in text. Without it the pipeline runs on the first one and says so.
tesseract:
	@if command -v tesseract >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing tesseract-ocr" && \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	      tesseract-ocr tesseract-ocr-eng; } >/dev/null; then :; \
	else echo "Tesseract, the second text reader, is missing: sudo apt-get install tesseract-ocr" >&2; fi

demo: env tesseract
	@$(RUN) scripts/main.py demo --output $(DEMO)

test: dev-env tesseract
	@$(RUN) -m pytest -n 3 tests

# Peers that cannot be installed are left out, and the table says so. ARGS holds options, e.g. ARGS="--large 4 --json FILE".
bench: dev-env
	@tests/benchmarks/peers.sh >/dev/null || echo "some peers could not be installed" >&2
	@$(RUN) tests/benchmarks/bench.py $(ARGS)

# ARGS holds options, e.g. ARGS="--seed 1001 --peer kitware --json quality.json"; see tests/benchmarks/quality/README.md.
quality: dev-env tesseract
	@PYTHONPATH=tests:scripts $(RUN) -W ignore -m benchmarks.quality $(ARGS)

# ARGS holds options, e.g. ARGS="--seed 3001 --images 240 --json FILE", or ARGS=--real; see tests/benchmarks/burned_in_text/README.md.
burned-in-text: dev-env tesseract
	@tests/benchmarks/peers.sh presidio >/dev/null || echo "presidio could not be installed" >&2
	@PYTHONPATH=tests:scripts $(RUN) -W ignore -m benchmarks.burned_in_text $(ARGS)

# Every tool runs even if one before it complains, so that one call shows all there is to mend.
lint: dev-env
	@status=0; \
	echo "ruff check"; $(RUN) -m ruff check --quiet . || status=1; \
	echo "ruff format"; $(RUN) -m ruff format --quiet --check . || { echo "run: make format"; status=1; }; \
	echo "snakefmt"; $(RUN) -m snakefmt --check Snakefile workflow >$(VENV)/lint.log 2>&1 || \
	    { cat $(VENV)/lint.log; echo "run: make format"; status=1; }; \
	echo "snakemake --lint"; $(RUN) -m snakemake --lint >$(VENV)/lint.log 2>&1 || \
	    { cat $(VENV)/lint.log; status=1; }; \
	exit $$status

format: dev-env
	@$(RUN) -m ruff check --fix --quiet . ; $(RUN) -m ruff format --quiet . ; $(RUN) -m snakefmt Snakefile workflow

# requirements.lock first: the other locks are bound to its versions. Without UPGRADE the versions of the locks are kept.
LOCK := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --no-header $(if $(UPGRADE),--upgrade)
lock: dev-env
	@cd envs && for name in requirements build dev launcher cluster storage; do ../$(LOCK) $$name.in -o $$name.lock || exit 1; done && \
	../$(LOCK) --no-deps models.in -o models.lock && ../$(LOCK) --no-deps readers.in -o readers.lock && ../$(RUN) conda_pins.py

clean:
	rm -rf $(VENV) $(VENV)-launcher .cache .pytest_cache .ruff_cache .hypothesis .snakemake $(DEMO)
	find scripts tests workflow -name __pycache__ -type d -prune -exec rm -rf {} +
