# Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin

.PHONY: help setup kafka demo test lint unit suites soak bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## system packages when missing, .venv, pinned libraries, sample recording
	@scripts/setup

kafka: ## Kafka's jars from Maven Central into var/, once; needs Java 17 and Maven
	@$(BIN)/python -m fullspan.stack.services.kafka_jars

demo: setup ## prove a live picture while the broker hangs; KEEP=1 leaves the stack up
	@$(BIN)/fullspan run focus -m demo --profile roomy $(if $(KEEP),--keep)

test: setup ## everything: lint, types, import rules, unit tests, suites, short benchmarks
	@scripts/test

lint: setup ## ruff, mypy, import rules
	@scripts/test lint

unit: setup ## the packages' own tests
	@scripts/test unit
	@scripts/test timed

suites: setup ## the end-to-end suites on a real stack
	@scripts/test suites
	@scripts/test outages

soak: setup ## what takes long: every assault of hostile clients, kills at 200 moments
	@scripts/test soak

bench: setup ## the benchmarks, with their full n
	@scripts/test bench

clean: ## remove .venv and var/ (a running stack is stopped first)
	@[ ! -x $(BIN)/fullspan ] || $(BIN)/fullspan down --all || true
	rm -rf .venv var
