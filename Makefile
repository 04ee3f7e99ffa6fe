# The gallery's commands; `make` lists them. Each works from a fresh clone.

PYTHON ?= python3
PORT ?= 3939
SERVER ?=
NEW ?=
ARGS ?=
VERBOSE ?=
# not from the environment, where others have a NAME
NAME :=
FROM :=
TAG :=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
GALLERY := $(BIN)/python -m scripts
# the line of --progress in place of pytest's dots and percents
SUITE := -n 4 --dist worksteal --progress --override-ini console_output_style=classic
EXAMPLES := $(shell sed -n 's/^\[\(.*\)\]$$/\1/p' gallery.toml)

export RSCONNECT_DISABLE_VERSION_CHECK := 1
export UV_PYTHON_DOWNLOADS := never
export VERBOSE
# with it, each of the many Pythons that run here would compile all that it reads
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help gallery check test test-wheel test-lowest coverage fuzz soak bench bench-smoke deploy verify vip new screenshots sync manifests lint requirements \
	cassandra release-notes clean $(EXAMPLES:%=deploy-%) $(EXAMPLES:%=run-%)

help: ## this list
	@sed -n 's/^\([a-z%-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
		awk -F'|' '{ printf "  make %-13s %s\n", $$1, $$2 }'
	@echo
	@echo "Examples:" $(EXAMPLES)

gallery: $(READY) ## local Connect with every example deployed by rsconnect (PORT=3939); Ctrl-C ends it
	@$(BIN)/local-connect --port $(PORT) -- $(GALLERY) up

test: $(READY) ## everything (ARGS="--target process -k console" narrows it)
	@$(BIN)/pytest $(SUITE) $(ARGS)

test-wheel: $(READY) ## the same on the wheel, built and installed (ARGS="-m quick": in a minute)
	$(call on_the_wheel,highest)

test-lowest: $(READY) ## the same on the oldest releases that pyproject.toml allows
	$(call on_the_wheel,lowest-direct)

# an environment like $(VENV), with the wheel in place of the checkout, and of what the wheel needs the
# highest or the lowest releases; what pytest finds there first is the wheel, as it brings a plugin
define on_the_wheel
	@rm -rf .cache/$(1)
	@$(BIN)/uv build --quiet --wheel --out-dir .cache/$(1)
	@$(BIN)/uv venv --quiet --python $(BIN)/python .cache/$(1)/venv
	@$(BIN)/uv pip sync --quiet --python .cache/$(1)/venv/bin/python requirements-dev.txt
	@$(BIN)/uv pip compile --quiet --resolution $(1) --extra pytest --python .cache/$(1)/venv/bin/python \
		$(if $(filter highest,$(1)),--constraint requirements-dev.txt) \
		--output-file .cache/$(1)/requirements.txt pyproject.toml
	@$(BIN)/uv pip install --quiet --python .cache/$(1)/venv/bin/python --no-deps --compile-bytecode \
		--requirement .cache/$(1)/requirements.txt .cache/$(1)/*.whl
	@.cache/$(1)/venv/bin/pytest $(SUITE) $(ARGS)
endef

check: lint ## what takes less than a minute: style, types, and the tests that start nothing
	@$(BIN)/pytest -q -m quick $(ARGS)

coverage: $(READY) ## which lines and branches the tests do not run, in the processes that they start too
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(SUITE) $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

fuzz: $(READY) ## 10,000 hostile requests and bundles, new ones each time (FUZZ_PROFILE=long: more)
	@FUZZ_PROFILE=$(or $(FUZZ_PROFILE),full) $(BIN)/pytest -n 2 tests/fuzz $(ARGS)

soak: $(READY) ## redeploys under load and kills, counted (ARGS="--requests 100000 --kills 200")
	@$(BIN)/python -m tests.soak $(ARGS)

bench: $(READY) ## what it costs, in a quarter of an hour: writes docs/benchmarks.md (ARGS=gateway: that part only)
	@$(BIN)/python -m benchmarks $(ARGS)

bench-smoke: $(READY) ## the same in moments, to see that the benchmark works
	@$(BIN)/python -m benchmarks --smoke $(ARGS)

deploy: $(READY) ## every example: SERVER=<saved name>, or CONNECT_SERVER and CONNECT_API_KEY (NEW=1: anew)
	@$(GALLERY) deploy --name "$(SERVER)" $(if $(NEW),--new)

deploy-%: ## one of them
$(EXAMPLES:%=deploy-%): deploy-%: $(READY)
	@$(GALLERY) deploy $* --name "$(SERVER)" $(if $(NEW),--new)

verify: $(READY) ## what is deployed there, held to the contract; it changes nothing (SERVER as for deploy)
	@$(GALLERY) server --name "$(SERVER)"
	@$(BIN)/pytest -q -rNfE --tb short --target connect --connect-server "$(SERVER)" tests/contract $(ARGS)

vip: $(READY) ## Posit's own checks of a Connect (VIP), without browser, R and Quarto, on local-connect
	@$(BIN)/python -m scripts.vip

run-%: ## one example by itself, in its own environment, reloading, its services beside it
$(EXAMPLES:%=run-%): run-%: $(READY)
	@$(GALLERY) run $* $(ARGS)

cassandra: $(READY) ## Cassandra's jars, fetched once, for what stands on it (needs Java 17 and Maven)
	@$(BIN)/python -m scripts.services.cassandra

new: $(READY) ## a new example like another: NAME=my-api FROM=flask-restx-example
	@$(GALLERY) new "$(NAME)" --from "$(FROM)"

screenshots: $(READY) ## the pictures in docs/images, of the pages as they are now
	@$(BIN)/python -m scripts.screenshots

sync: $(READY) ## copies of the greetings and README's table, from their sources
	@$(GALLERY) sync

manifests: $(READY) ## each example's manifest.json, for publishing from git
	@$(GALLERY) manifests

lint: $(READY) ## style, types, and which package imports which
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

release-notes: $(READY) ## what CHANGELOG.md has of a version, for its release: TAG=v0.1.0
	@$(BIN)/python -m scripts.release "$(TAG)"

requirements: $(READY) ## pins of the development environment, from pyproject.toml
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" \
		--group dev pyproject.toml --output-file requirements-dev.txt

clean: ## removes what the other targets made
	rm -rf $(VENV) .cache .local-connect .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf $(EXAMPLES:%=%/rsconnect-python) $(EXAMPLES:%=%/node_modules) $(EXAMPLES:%=%/instance)

$(READY): requirements-dev.txt pyproject.toml
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet $$(grep '^uv==' requirements-dev.txt)
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
