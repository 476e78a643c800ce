# Everything from a fresh clone: `make demo` or `make test`. Needs python3 of at least 3.11; no more for the demo.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint soak proto alerts clean

help:  ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/'

demo: $(VENV)/core  ## the whole daemon on a real data set, and a picture (demo.png)
	@$(BIN)/streamlearn demo $(ARGS)

test: lint  ## lint, then all tests but the soak; fetches Kafka's jars where they are needed
	$(BIN)/pytest -n 2 --dist worksteal

lint: $(VENV)/test  ## ruff (rules and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: $(VENV)/test  ## the long runs of faults
	$(BIN)/pytest -m soak

proto: $(VENV)/test  ## generate the code of protos/
	@mkdir -p build/proto
	$(BIN)/python -m grpc_tools.protoc -I protos --python_out=build/proto --pyi_out=build/proto streamlearn/v1/wire.proto
	@cp build/proto/streamlearn/v1/wire_pb2.py build/proto/streamlearn/v1/wire_pb2.pyi streamlearn/edges/formats/

RULE := deploy/components/monitoring/prometheusrule.yaml
alerts:  ## write the PrometheusRule of deploy/alerts/rules.yaml
	@{ cat deploy/alerts/prometheusrule.head.yaml; sed 's/^./  &/' deploy/alerts/rules.yaml; } > $(RULE)

clean:  ## remove the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info

# What is installed is remembered by a stamp, so that the second call is quick.
$(VENV)/core: $(VENV)/made pyproject.toml constraints.txt
	@echo "installing streamlearn into $(VENV)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/test: $(VENV)/made pyproject.toml constraints.txt
	@echo "installing streamlearn and its tests' needs into $(VENV)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/core

$(VENV)/made:
	@command -v $(PYTHON) >/dev/null || { echo "streamlearn needs python3 of at least 3.11: there is no '$(PYTHON)'; install it, or name one with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "streamlearn needs python3 of at least 3.11: '$(PYTHON)' is $$($(PYTHON) -V 2>&1); name another with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "the virtual environment could not be made: install python's venv module (Debian: apt install python3-venv)" >&2; exit 1; }
	@touch $@
