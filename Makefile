# Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin

.PHONY: help setup kafka demo demo-k2 test test-e2e test-e2e-pipeline test-e2e-health test-e2e-freshness \
	validate-pipeline lint unit suites soak bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## system packages when missing, .venv, pinned libraries, sample recording
	@scripts/setup

kafka: ## Kafka's jars from Maven Central into var/, once; needs Java 17 and Maven
	@$(BIN)/python -m fullspan.stack.services.kafka_jars

demo: setup ## prove a live picture while the broker hangs; KEEP=1 leaves the stack up
	@$(BIN)/fullspan run focus -m demo --profile roomy $(if $(KEEP),--keep)

demo-k2: setup ## prove that no trade is lost while K2's writer is killed; KEEP=1 leaves the stack up
	@$(BIN)/fullspan run k2 -m demo --profile proof $(if $(KEEP),--keep)

test-e2e: setup ## the suites on K2: pipeline, health and freshness
	@$(BIN)/fullspan run k2 --profile proof

test-e2e-pipeline: setup ## every trade once, every field equal, whatever breaks
	@$(BIN)/fullspan run suites/k2/test_complete_pipeline.py --profile proof

test-e2e-health: setup ## the health of each component, order, ports, volumes, logs
	@$(BIN)/fullspan run suites/k2/test_docker_stack.py --profile proof

test-e2e-freshness: setup ## how fresh data are, how fast answers, what happens beyond the limits
	@$(BIN)/fullspan run suites/k2/test_data_freshness.py --profile proof

validate-pipeline: setup ## the same proof on a pipeline that runs already; STACK=k2, or endpoints by environment
	@$(BIN)/pytest suites/k2/test_complete_pipeline.py -m demo --stack $(or $(STACK),k2)

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
	@scripts/test k2

soak: setup ## what takes long: every assault of hostile clients, kills at 200 moments
	@scripts/test soak

bench: setup ## the benchmarks, with their full n
	@scripts/test bench

clean: ## remove .venv and var/ (a running stack is stopped first)
	@[ ! -x $(BIN)/fullspan ] || $(BIN)/fullspan down --all || true
	rm -rf .venv var
