# All of the project's commands; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 8000
URL ?= http://127.0.0.1:$(PORT)
# Package index for torch. Empty: the default index's build (with CUDA on Linux). A CPU build:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# By default torch is not checked against hashes, because indexes and local wheels differ for one version.
# If set, the build stage installs the default index's build with hashes (3 GB, with CUDA).
TORCH_HASHES ?=
# A folder of wheels instead of a package index, filled by `make wheels`: make demo WHEELS=wheels. pip installs from it
# alone, checked against the same hashes.
WHEELS ?=
ifneq ($(WHEELS),)
ifeq ($(filter wheels clean help,$(MAKECMDGOALS)),)
ifeq ($(wildcard $(WHEELS)/*.whl),)
$(error WHEELS=$(WHEELS) holds no wheels; fill it where there is a package index: make wheels WHEELS=$(WHEELS))
endif
export PIP_NO_INDEX := 1
export PIP_FIND_LINKS := $(abspath $(WHEELS))
endif
endif
# Sentence pairs with human scores (csv: sentence, sentence, score), not included. If the STS Benchmark's dev split is
# found next to the checkout, the tests also measure fidelity on it.
STS_PAIRS ?= $(firstword $(wildcard ../*/data/stsb-en-dev.csv))

# Tests that need another environment than .venv.
BUILD_TESTS := tests/unit/build tests/build
CLIENTS_TESTS := tests/clients
STORES_TESTS := tests/migrate
ELSEWHERE := $(addprefix --ignore ,$(BUILD_TESTS) $(CLIENTS_TESTS) $(STORES_TESTS))

# Two processes share the files, in order.
SIDE_BY_SIDE := -n 2 --no-loadscope-reorder --dist loadfile
# Builds side by side: more threads than cores would make OpenMP's threads wait for each other in busy loops.
ONE_THREAD := OMP_NUM_THREADS=1

RUN := .venv/bin/python
BUILD := .venv-build/bin/python
# make build-models MODEL=folder FROM=onnx: from the model's own onnx/model.onnx, in an environment without torch.
FROM ?=
BUILDER := $(if $(filter onnx,$(FROM)),.venv-build-onnx,.venv-build)
CLIENTS := .venv-clients/bin/python
PIP := -m pip --disable-pip-version-check
GRAPH := $(or $(MODELS_DIR),models)/$(notdir $(or $(MODEL),BAAI/bge-large-en-v1.5)).onnx
DEMO := all-MiniLM-L6-v2
FULL := synthetic-bge-large
SBOM ?= sbom.json
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' server/__init__.py)
STORES := .venv-stores/bin/python
# make migrate INPUT=texts.json OUTPUT=embeddings.npy [FORMAT=npy] [OUTPUT_DTYPE=int8] [MIGRATE_ARGS="--dry-run"]; stores use .venv-stores.
MIGRATE := $(if $(INPUT)$(OUTPUT)$(FORMAT),$(shell $(PYTHON) -m server.migrate.environment "$(INPUT)" "$(OUTPUT)" "$(FORMAT)"),.venv)
VERIFY := $(if $(STORE),$(shell $(PYTHON) -m server.migrate.environment "$(STORE)"),.venv)
# make test-one T=path::name: the path relative to the repository, the test's environment, and its prerequisites.
T_PATH := $(patsubst $(CURDIR)/%,%,$(abspath $(firstword $(subst ::, ,$(T)))))
T_IN = $(filter $(1) $(addsuffix /%,$(1)),$(T_PATH))
T_ENV := $(if $(call T_IN,$(BUILD_TESTS)),.venv-build,$(if $(call T_IN,$(CLIENTS_TESTS)),.venv-clients,$(if $(call T_IN,$(STORES_TESTS)),.venv-stores,.venv)))
T_NEEDS := $(if $(T),$(T_ENV)/ready $(if $(call T_IN,tests/unit),,models/$(DEMO).json models/$(FULL).json))

# make choose TEXTS=texts.jsonl [QUERIES=queries.jsonl] [QRELS=qrels.tsv] [BUDGET=0.5%]
BUDGET ?= 0.5%
CHOOSE := $(if $(TEXTS),$(shell $(PYTHON) -m server.migrate.environment "$(TEXTS)" "$(QUERIES)"),.venv)

export FROM MODEL QUANTIZATION DEVICE PORT MODELS_DIR STS_PAIRS VERSION

.PHONY: help demo check unit test coverage test-one reliability build-models inspect choose serve smoke verify tiers compare bench load migrate migrate-bench migrate-proof netron picture images sbom wheels lint format lock lock-images up down clean

help: ## list every verb
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: models/$(DEMO).json .venv/ready ## set everything up, build the embedded default, serve int8 on port 8000
	MODEL=$(DEMO) MODELS_DIR=models QUANTIZATION=int8 $(RUN) -m server

test: lint models/$(DEMO).json models/$(FULL).json .venv-build-onnx/ready .venv-clients/ready .venv-stores/ready ## set everything up, run lint, types and every test
	$(ONE_THREAD) $(BUILD) -m pytest $(SIDE_BY_SIDE) $(BUILD_TESTS)
	$(RUN) -m pytest $(SIDE_BY_SIDE) $(ELSEWHERE) tests/unit
	$(RUN) -m pytest $(SIDE_BY_SIDE) -m "not alone" $(ELSEWHERE) --ignore tests/unit
	$(RUN) -m pytest -m alone $(ELSEWHERE) --ignore tests/unit
	$(CLIENTS) -m pytest $(CLIENTS_TESTS)
	$(STORES) -m pytest $(SIDE_BY_SIDE) $(STORES_TESTS)

check: .venv/ready ## lint, types, and the unit tests that need neither torch nor a model
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint unit

unit: .venv/ready ## only the unit tests of make check
	HYPOTHESIS_EXAMPLES=20 $(RUN) -m pytest -q -n auto -m "not whole" $(ELSEWHERE) tests/unit

coverage: .venv/ready ## which lines of the server and the benchmarks the unit tests do not reach; fails below today's share
	$(RUN) -m pytest -q -n auto $(ELSEWHERE) tests/unit --cov

test-one: $(T_NEEDS) ## run T=path::name alone, in the environment that has what it needs
	@test -n "$$T" || { echo "which test? make test-one T=tests/unit/server/test_budget.py" >&2; exit 1; }
	$(T_ENV)/bin/python -m pytest $(if $(filter .venv,$(T_ENV)),$(ELSEWHERE)) "$$T"

reliability: .venv/ready .venv-clients/ready .venv-stores/ready models/$(DEMO).json models/$(FULL).json ## show every promise of docs/reliability.md and write down what was found
	-@$(MAKE) --no-print-directory .venv-fuzz/ready   # if it fails, two rows are reported as not run
	$(RUN) -m tests.reliability $(RELIABILITY_ARGS)

build-models: $(BUILDER)/ready ## build the ONNX variants of MODEL=BAAI/bge-large-en-v1.5 | folder | all-MiniLM-L6-v2 | synthetic-bge-large; FROM=onnx: of its onnx/model.onnx, without torch
	$(BUILDER)/bin/python -m build $(BUILD_ARGS)

inspect: $(BUILDER)/ready ## print what a build would read from the folder MODEL=, or all problems that prevent one
	@test -n "$$MODEL" || { echo "which folder? make inspect MODEL=/path/to/snapshot" >&2; exit 1; }
	@$(BUILDER)/bin/python -m build $(BUILD_ARGS) inspect "$$MODEL"

choose: $(CHOOSE)/ready ## choose the cheapest precision, output type and dimensions within BUDGET=0.5% on your own TEXTS=, QUERIES=, QRELS=
	@test -n "$(TEXTS)" || { echo "which texts? make choose TEXTS=texts.jsonl MODEL=all-MiniLM-L6-v2 BUDGET=0.5%" >&2; exit 1; }
	@$(CHOOSE)/bin/python -m server.choose --texts "$(TEXTS)" $(if $(QUERIES),--queries "$(QUERIES)") $(if $(QRELS),--qrels "$(QRELS)") --budget "$(BUDGET)" $(CHOOSE_ARGS)

serve: .venv/ready ## serve MODEL= in QUANTIZATION= on DEVICE= and PORT=
	$(RUN) -m server

smoke: .venv/ready ## send real texts to a running server at URL= and judge the answers
	$(RUN) -m server.smoke $(URL)

verify: $(VERIFY)/ready ## say whether vectors are of the space they claim: STORE= (a store, file or server) against MODEL=, or the server OTHER=
	@$(VERIFY)/bin/python -m server.verify $(VERIFY_ARGS) "$(STORE)" $(if $(OTHER),"$(OTHER)")

tiers: .venv/ready models/$(DEMO).json ## compare MODEL=all-MiniLM-L6-v2's vectors with those that QEMU's emulated processors without VNNI compute
	$(RUN) -m tests.numeric.tiers

compare: .venv/ready ## size, memory, speed and fidelity of every variant of MODEL= on this machine
	$(RUN) -m bench compare $(COMPARE_ARGS)

bench: .venv/ready .venv-build/ready ## race every variant of MODEL= against plain ONNX Runtime, torch, OpenVINO, CTranslate2, FastEmbed
	-@$(MAKE) --no-print-directory .venv-bench/ready   # peers that cannot be installed are skipped with a word
	$(RUN) -m bench run $(BENCH_ARGS)

load: .venv/ready .venv-build/ready ## put loads on a server of MODEL= in QUANTIZATION=int8: HTTP's cost, peers, overload, bulk, idle, soak
	-@$(MAKE) --no-print-directory .venv-peers/ready   # peers that cannot be installed are skipped with a word
	$(RUN) -m bench load $(LOAD_ARGS)

migrate: $(MIGRATE)/ready ## embed INPUT= into OUTPUT= (a file or a store) in FORMAT= and OUTPUT_DTYPE=, resumable; MIGRATE_ARGS="--help" tells more
	@$(MIGRATE)/bin/python -m server.migrate $(if $(INPUT),--input "$(INPUT)") $(if $(OUTPUT),--output "$(OUTPUT)") $(if $(FORMAT),--format $(FORMAT)) $(if $(OUTPUT_DTYPE),--output-dtype $(OUTPUT_DTYPE)) $(MIGRATE_ARGS)

migrate-bench: .venv/ready ## a migration's speed beside the engine's own, on texts of mixed length: MODEL= QUANTIZATION=int8
	$(RUN) -m bench migrate $(BENCH_ARGS)

migrate-proof: .venv-stores/ready models/$(DEMO).json ## kill migrations 200 times in all, then migrate 1,000,000 texts; each result must be exact
	MIGRATE_KILLS=200 $(STORES) -m pytest -s -v tests/migrate/stores/test_killed.py
	MIGRATE_ROWS=1000000 $(STORES) -m pytest -s -v tests/faults/test_migrate_memory.py

netron: .venv-build/ready ## open the fp32 graph of MODEL= in Netron
	@test -f $(GRAPH) || { echo "$(GRAPH) is not built: make build-models MODEL=$(or $(MODEL),BAAI/bge-large-en-v1.5)" >&2; exit 1; }
	.venv-build/bin/netron --browse $(GRAPH)

picture: .venv-build/ready ## draw the fp32 graph of MODEL= as docs/charts/graph.svg
	$(BUILD) -m build.picture $(GRAPH) $(or $(PICTURE),docs/charts/graph.svg)

images: .venv/ready ## build every image with buildah (root), run them read-only, print the size of the CPU image
	IMAGES=all $(RUN) -m pytest -v tests/images

sbom: .venv/ready ## list what the runtime installs, with versions and hashes, as CycloneDX: SBOM=sbom.json
	@test ! -L $(SBOM) && { test ! -e $(SBOM) || grep -q '"bomFormat": *"CycloneDX"' $(SBOM); } || { echo "$(SBOM) exists and is no SBOM: move it away, or set SBOM=" >&2; exit 1; }
	$(RUN) -W ignore::UserWarning -m cyclonedx_py requirements --pyproject <(sed 's/^dynamic = .*/version = "$(VERSION)"/' pyproject.toml) --output-reproducible --of JSON -o $(SBOM) requirements/runtime.txt

lint: .venv/ready ## ruff, mypy, and the contracts of who imports whom
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	.venv/bin/lint-imports --no-cache

format: .venv/ready ## let ruff rewrite the sources
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

up: ## start the containers (CPU)
	docker compose --profile cpu up --build

down: ## stop the containers
	docker compose --profile cpu --profile gpu --profile monitoring down

lock: ## pin what requirements/*.in changed, with hashes; UPGRADE="uvicorn ..." takes new versions of those, UPGRADE=all of everything
	./requirements/lock.sh $(UPGRADE)

wheels: ## fill the folder WHEELS=wheels with all that `make demo WHEELS=wheels` then installs without a package index
	@PYTHON="$(PYTHON)" TORCH_INDEX="$(TORCH_INDEX)" TORCH_HASHES="$(TORCH_HASHES)" ./requirements/wheels.sh "$(or $(WHEELS),wheels)"

lock-images: ## print the base and monitoring images with their digests of today, as lines for .env
	@./deploy/lock_images.sh

clean: ## remove the environments, caches and built models
	$(PYTHON) build/clean.py models
	rm -rf .venv .venv-build .venv-build-onnx .venv-clients .venv-stores .venv-bench .venv-peers .venv-fuzz .cache

# The runtime and the tests, without torch and transformers.
.venv/ready: requirements/runtime.txt requirements/test.txt
	$(PYTHON) -m venv --clear .venv
	$(RUN) $(PIP) install --quiet --no-deps --require-hashes -r requirements/runtime.txt
	$(RUN) $(PIP) install --quiet --require-hashes -r requirements/test.txt
	touch $@

# The build stage. Torch is last, so that pinned packages satisfy its dependencies.
.venv-build/ready: requirements/runtime.txt requirements/build.txt requirements/test.txt requirements/torch.txt
	$(PYTHON) -m venv --clear .venv-build
	$(BUILD) $(PIP) install --quiet --no-deps --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	$(BUILD) $(PIP) install --quiet --no-deps --require-hashes -r requirements/test.txt
	$(BUILD) $(PIP) install $(if $(TORCH_HASHES),--no-deps --require-hashes -r requirements/torch-hashed.txt,$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements/torch.txt)
	touch $@

# The build stage of FROM=onnx, without torch.
.venv-build-onnx/ready: requirements/runtime.txt requirements/build-onnx.txt
	$(PYTHON) -m venv --clear .venv-build-onnx
	.venv-build-onnx/bin/python $(PIP) install --quiet --no-deps --require-hashes -r requirements/runtime.txt -r requirements/build-onnx.txt
	touch $@

# Third-party clients and OpenAPI test tools; one test also runs the server here, with tracing.
.venv-clients/ready: requirements/runtime.txt requirements/test.txt requirements/otel.txt requirements/clients.txt
	$(PYTHON) -m venv --clear .venv-clients
	$(CLIENTS) $(PIP) install --quiet --no-deps --require-hashes -r requirements/runtime.txt
	$(CLIENTS) $(PIP) install --quiet --no-deps --require-hashes -r requirements/test.txt -r requirements/clients.txt
	touch $@

# The runtime and the clients of the migration's stores.
.venv-stores/ready: requirements/runtime.txt requirements/test.txt requirements/stores.txt requirements/stores-test.txt requirements/ray.txt
	$(PYTHON) -m venv --clear .venv-stores
	$(STORES) $(PIP) install --quiet --no-deps --require-hashes -r requirements/runtime.txt
	$(STORES) $(PIP) install --quiet --no-deps --require-hashes -r requirements/test.txt -r requirements/stores.txt -r requirements/stores-test.txt -r requirements/ray.txt
	touch $@

# Coverage-guided fuzzing of the runtime's parsers.
.venv-fuzz/ready: requirements/runtime.txt requirements/fuzz.txt
	$(PYTHON) -m venv --clear .venv-fuzz
	.venv-fuzz/bin/python $(PIP) install --quiet --no-deps --require-hashes -r requirements/runtime.txt
	.venv-fuzz/bin/python $(PIP) install --quiet --no-deps --require-hashes -r requirements/fuzz.txt
	touch $@

# The libraries that the benchmark compares with.
.venv-bench/ready: requirements/bench.txt requirements/torch.txt
	$(PYTHON) -m venv --clear .venv-bench
	.venv-bench/bin/python $(PIP) install --quiet --no-deps --require-hashes -r requirements/bench.txt
	.venv-bench/bin/python $(PIP) install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements/torch.txt
	touch $@

# The services that the load test compares with.
.venv-peers/ready: requirements/peers.txt requirements/torch.txt
	$(PYTHON) -m venv --clear .venv-peers
	.venv-peers/bin/python $(PIP) install --quiet --no-deps --require-hashes -r requirements/peers.txt
	.venv-peers/bin/python $(PIP) install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements/torch.txt
	touch $@

models/%.json: | .venv-build/ready
	FROM= MODEL=$* MODELS_DIR=models $(BUILD) -m build
