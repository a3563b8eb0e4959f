# make reproduce: everything from a declaration to results/<scale>/report.html.   make test: the tests.
PYTHON ?= python3
SCALE ?= $(shell sed -n 's/^scale: *//p' params.yaml)
PORT ?= 5000
GPUS ?= 1
SEED ?= 0
# Of the tracking server; what a shell exports under such a name means something else
HOST = 127.0.0.1
FOLDER = results/tracking
DATABASE =
BIN := .venv/bin
# What a shell sets for other programs of Python's, or for installations elsewhere
unexport $(filter-out PYTHONIOENCODING PYTHONUTF8 PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE,$(filter PYTHON%,$(.VARIABLES)))
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_NO_BINARY UV_CONSTRAINT UV_OVERRIDE UV_NO_BINARY UV_EXCLUDE_NEWER
# Where the home can hold no caches, they lie here
HOLDS_CACHES = cache=$${XDG_CACHE_HOME:-$${HOME:-.}/.cache}; [ "$${cache\#/}" != "$$cache" ] && mkdir -p "$$cache" && [ -w "$$cache" ] && echo yes
ifneq ($(shell exec 2>&-; $(HOLDS_CACHES)),yes)
export XDG_CACHE_HOME := $(CURDIR)/.cache
endif

.PHONY: reproduce plan throughput data bench lint test faults check-run publish pages ui tracking-server lock
.DELETE_ON_ERROR:

reproduce: .venv/ready
	@workflow/run.sh all --config scale=$(SCALE)
	@echo "Report: results/$(SCALE)/report.html    Table 1: results/$(SCALE)/tables/table1.md    MLflow: make ui"

# What a campaign costs and how far it is, by measured throughput:  make plan SCALE=paper GPUS=8
plan: .venv/ready
	@$(BIN)/python -m pipeline.plan --scale $(SCALE) --gpus $(GPUS) $(if $(DEVICE),--device "$(DEVICE)")

# How fast each kind of training is on this machine, before any is begun:  make throughput SCALE=paper (BATCH=n, STEPS=n)
throughput: .venv/ready
	@$(BIN)/python -m pipeline.throughput --scale $(SCALE) $(if $(BATCH),--batch $(BATCH)) $(if $(STEPS),--steps $(STEPS))

# Only the data sets; only the speed of the methods, side by side
data bench: .venv/ready
	@workflow/run.sh $@ --config scale=$(SCALE)

# The linter and the formatter, as before every commit (pre-commit install); both change nothing here
lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test: .venv/ready
	$(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder

# A run beside the reference curves of its kind, while it trains or after:  make check-run RUN=<id> SCALE=laptop
check-run: .venv/ready
	@$(BIN)/python -m pipeline.reference --scale $(SCALE) --check "$(RUN)"

# What git keeps of a small campaign besides tables, figures and records: the weights, and how its trainings went
publish: .venv/ready
	$(BIN)/python -m pipeline.published --scale $(SCALE)
	$(BIN)/python -m pipeline.reference --scale $(SCALE)

# The numbers in README.md, RESULTS.md and docs/speed.md, from the files that they link to
pages: .venv/ready
	$(BIN)/python -m pipeline.pages

# Files, data and names of any content are read or refused, and stay where they belong; a tiny campaign that is killed at random, 40
# times, and copies of it that meet full disks, lost servers and damaged files end with the numbers of one that nobody disturbed
faults: .venv/ready
	rm -rf .faults/$(SEED) results/faults.jsonl
	ATSNN_EXAMPLES=1000 $(BIN)/python -m pytest -q tests/faults/test_untrusted*.py tests/faults/test_expos*.py
	$(BIN)/python tests/faults/kills.py --kills 40 --seed $(SEED) --folder .faults/$(SEED)/kills --log results/faults.jsonl
	$(BIN)/python tests/faults/scenarios.py --seed $(SEED) --folder .faults/$(SEED)/scenarios --log results/faults.jsonl

# MLflow's pages, of the server that MLFLOW_TRACKING_URI names or, where there is none, of this machine
ui: .venv/ready
	@$(BIN)/python -m pipeline.tracking --scale $(SCALE) $$([ -n "$$MLFLOW_TRACKING_URI" ] || echo --address http://127.0.0.1:$(PORT))
	@[ -n "$$MLFLOW_TRACKING_URI" ] || MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
	  $(BIN)/mlflow ui --backend-store-uri sqlite:///results/mlflow.db --host 127.0.0.1 --port $(PORT) --workers 1

# MLflow for the jobs of any number of machines, on a PostgreSQL of its own in FOLDER or on DATABASE=postgresql://...; ends with Ctrl-C
tracking-server: .venv/ready
	@exec $(BIN)/python -m pipeline.tracking_server --host "$(HOST)" --port "$(PORT)" --folder "$(FOLDER)"

# The environment: uv, itself pinned and hashed in requirements.lock, installs all the rest of it.
.venv/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
	  { echo "make: Python 3.11 or 3.12 is needed; name one with make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv --clear .venv || { echo "make: $(PYTHON) can't make environments: install its venv module (Debian: python3-venv)" >&2; exit 2; }
	@awk '/^[a-z0-9]/ { wanted = /^uv==/ } wanted' requirements.lock > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.lock
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@cd .venv/lib/python*/site-packages && ln -s ../../../../pipeline/core/surroundings.py at_snn_surroundings.py && echo \
	  'import os, sys; os.path.exists(sys.prefix + "/../pipeline/core/surroundings.py") and __import__("at_snn_surroundings")' > 0_at_snn.pth
	@touch $@

# After a change of the dependencies in pyproject.toml
lock: .venv/ready
	$(BIN)/uv pip compile --quiet pyproject.toml --generate-hashes --no-emit-index-url --universal --python-version 3.11 -o requirements.lock
