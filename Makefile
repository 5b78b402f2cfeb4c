# Every target does all of its own set-up and can be run again at any time.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test privacy-test crash-test power-cut-test build lint bench fuzz train train-smoke doc arm64 arm64-test notices clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: build ## Watch a rendered drive: plates read, one alerted, the hit delivered
	target/release/outrider demo $(ARGS)

build: ## Release build, beside its ONNX Runtime
	@scripts/setup.sh build
	@. scripts/lib.sh; use_rust; cargo build --release --locked
	@cp -u build/onnxruntime/$$(uname -m)/libonnxruntime.so target/release/
	@ln -sfn ../../models target/release/models

test: ## Run the tests against the real parts
	@scripts/setup.sh test
	@. scripts/lib.sh; use_rust; cargo test --locked $(ARGS)
	@$(if $(ARGS),true,. scripts/lib.sh; use_rust; cargo test --locked --features testing --test hotlist_sync --test hotlist_hostile)

privacy-test: ## The commissioner's test: search everything for plates that should be gone
	@scripts/setup.sh test
	@. scripts/lib.sh; use_rust; OUTRIDER_PRIVACY_FULL=1 cargo test --locked --test commissioner -- --nocapture

crash-test: ## Kill a car 1,000 times at random moments under load (ROUNDS=n for more or fewer)
	@scripts/setup.sh test
	@. scripts/lib.sh; use_rust; OUTRIDER_CRASH_ROUNDS=$(or $(ROUNDS),1000) cargo test --locked --test crash killed_at_random -- --nocapture

power-cut-test: ## Cut the power of a virtual machine 50 times (ROUNDS=n for more or fewer)
	@scripts/setup.sh test
	@. scripts/lib.sh; use_rust; program=$$(cargo test --locked --test crash --no-run --message-format=json | sed -n 's/.*"executable":"\([^"]*crash-[^"]*\)".*/\1/p'); \
	  tests/vm/power-cut.sh build/vm "$$program" && \
	  OUTRIDER_VM=$$PWD/build/vm OUTRIDER_POWER_CUTS=$(or $(ROUNDS),50) cargo test --locked --test crash power_cut -- --nocapture

lint: ## Format, clippy and documentation without a warning
	@scripts/setup.sh build
	cargo fmt --check
	cargo clippy --locked --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
	scripts/notices.sh --check

bench: ## Criterion benches of every stage and of the whole path
	@scripts/setup.sh build
	@. scripts/lib.sh; use_rust; cargo bench --locked --features testing $(ARGS)

fuzz: ## Fuzz what comes from outside, a minute each (SECONDS_EACH=n for more, ARGS="chunk" for one)
	@scripts/setup.sh build
	@. scripts/lib.sh; use_rust; scripts/fuzz.sh $(ARGS)

train: ## Render, train, measure and package the models: hours (models/training/README.md)
	@$(MAKE) -C models/training train

train-smoke: ## Unit tests of the training code and a two-minute training, from nothing
	@$(MAKE) -C models/training WORK=$(CURDIR)/build/training test smoke

arm64: ## Cross-build the daemon for the car's computer into build/arm64/
	@scripts/arm64.sh build

arm64-test: ## Unit tests and one read under emulation, equal to this machine's
	@scripts/arm64.sh test

notices: ## Write THIRD-PARTY.md from the locked dependencies
	@scripts/notices.sh

doc: ## Build the API documentation
	cargo doc --no-deps --document-private-items

clean: ## Remove everything that was built or fetched
	rm -rf target build
