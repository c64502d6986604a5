# Ways in. The work is done by `cargo xtask`; these lines only put its commands in order.
.PHONY: help run test setup corpus demo serve services cluster peers check clean-data bootstrap

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

run: bootstrap ## install what is missing, fetch the demo documents, ingest them, search them
	@cargo xtask setup --for run && cargo xtask corpus && cargo xtask demo

test: bootstrap ## install what is missing, run all tests
	@cargo xtask setup --for test && cargo xtask test

setup: bootstrap ## install all that running and testing need
	@cargo xtask setup

corpus: bootstrap ## fetch the demo documents
	@cargo xtask setup --for run && cargo xtask corpus

demo: bootstrap ## ingest the demo documents again and search them
	@cargo xtask demo

serve: bootstrap ## serve the demo documents: dashboard and API at http://127.0.0.1:8080, until Ctrl-C
	@cargo xtask setup --for run && cargo run --quiet --locked --package docmill -- --data-dir out/demo serve

services: bootstrap ## start Redis, PostgreSQL, S3, Neo4j, an API and two workers until Ctrl-C
	@cargo xtask setup --for test && cargo xtask services

cluster: bootstrap ## start a real Kubernetes cluster with docmill and a first pipeline until Ctrl-C (as root)
	@cargo xtask setup --for test && cargo xtask cluster up

peers: bootstrap ## measure a Celery pipeline beside our own benchmark (bench/peers)
	@cargo xtask setup --for test && cargo xtask peers

check: bootstrap ## formatting, lints, licences, crate boundaries
	@cargo xtask setup --for test && cargo xtask check

clean-data: ## remove what the demo wrote (not the cache)
	@rm -rf out/demo

bootstrap:
	@./scripts/bootstrap.sh
