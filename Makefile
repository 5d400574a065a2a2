# The one entry. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Another pair gets an environment of its own: make demo PYTHON=python3.12 ANSIBLE_CORE=2.21
ANSIBLE_CORE ?= 2.19
PYTHON ?=
ifeq ($(ANSIBLE_CORE)$(PYTHON),2.19)
VENV := build/venv
else
VENV := build/venv-$(ANSIBLE_CORE)$(if $(PYTHON),-$(notdir $(PYTHON)))
endif

host_path := $(PATH)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build
export ANSIBLE_HOME := $(CURDIR)/build/home/.ansible
export ANSIBLE_PIPELINING := true
unexport PYTHONPATH

# With the caller's PATH: an environment must not be made by its own Python.
make_venv := PATH="$(host_path)" python3 tests/gates/make_venv.py --python "$(PYTHON)" --core $(ANSIBLE_CORE) --directory $(VENV)
python := $(CURDIR)/$(VENV)/bin/python
pytest := $(python) -m pytest
# One file of tests at a time to each process, in the order named: the long ones first. A third of the time tests wait for servers,
# so there are two processes more than cores.
in_parallel := -n $(shell expr $$(nproc) + 2) --dist loadfile --no-loadscope-reorder
demo := $(python) examples/ablage/demo.py

.PHONY: help setup setup-test link collection demo demo-bad-release demo-no-go demo-killed \
	test test-all lint sanity importer units integration e2e molecule coverage matrix mission bench clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## (.*)/  \1 # \2/' | column -t -s '#'

setup: link ## the virtual environment of the demos
	@$(make_venv) demo

setup-test: link ## the virtual environment of the tests and gates
	@$(make_venv) test lint

# ansible finds collections below ansible_collections only.
link:
	@mkdir -p build/ansible_collections/opsready
	@ln -sfn ../../.. build/ansible_collections/opsready/golive

collection: ## a copy of the sources as ansible's own tools want it, in build/gate
	@python3 tests/gates/copy_collection.py build/gate

demo: setup ## the reference system goes from version 1 to version 2
	@$(demo) release --directory build/demo

demo-bad-release: setup ## three bad releases, each taken back as its plan says
	@$(demo) bad-release --directory build/demo-bad-release

demo-no-go: setup ## a checklist that fails; nothing is changed
	@$(demo) no-go --directory build/demo-no-go

demo-killed: setup ## the controller is killed half-way; the way back without Ansible
	@$(demo) killed --directory build/demo-killed

test: setup-test ## linters, types, sanity, three demos, molecule, unit and integration tests
	@$(pytest) $(in_parallel) -m "not long" tests/e2e/test_demos.py tests/gates/test_sanity.py tests/e2e/test_checklist_faults.py tests/gates/test_molecule.py \
	  tests/gates/test_lint.py tests/gates/test_frame.py tests/integration tests/unit

test-all: setup-test ## what make test runs, and all demos, the kills, the laws on whole releases, the artifact and Python 3.9
	@$(pytest) $(in_parallel) $(wildcard tests/gates tests/e2e tests/matrix/test_python39.py tests/integration tests/unit)

lint: setup-test ## linters and types
	@$(pytest) tests/gates/test_lint.py tests/gates/test_frame.py

sanity: setup-test ## ansible-test sanity
	@$(pytest) tests/gates/test_sanity.py

importer: setup-test ## build, Galaxy import, install, use
	@$(pytest) tests/gates/test_artifact.py

units: setup-test ## unit tests
	@$(pytest) -n logical tests/unit

integration: setup-test ## tests against real services
	@$(pytest) $(in_parallel) tests/integration

e2e: setup-test ## whole demos, and the laws broken on purpose
	@$(pytest) tests/e2e

molecule: setup-test ## the roles' scenarios
	@$(pytest) tests/gates/test_molecule.py

coverage: setup-test ## what units and integration reach, line by line; a package below its bar fails
	@$(pytest) $(in_parallel) --cov --cov-report=term-missing --cov-report=html:build/coverage/html tests/integration tests/unit
	@$(python) tests/gates/coverage_bar.py build/coverage/data

matrix: setup-test ## unit tests on every supported pair of ansible-core and Python that is installed
	@$(pytest) tests/matrix

mission: setup-test ## which items of the written checklists are served; build/mission.json and docs/mission.md
	@$(python) -m tests.mission.served $(in_parallel)

bench: setup-test ## measure against peers; build/bench.json
	@$(python) -m tests.benchmarks

clean: ## remove everything that was built
	@rm -rf build
