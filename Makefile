# Every target does all of its own set-up and can be run again at any time.
SHELL := /bin/bash
.DEFAULT_GOAL := help
DEB_ARCH = $(or $(ARCH),$(shell dpkg --print-architecture))
.PHONY: help demo test privacy-test crash-test power-cut-test soak vm-test build lint bench fuzz train train-smoke doc arm64 arm64-test deb deb-test apt-repo notices clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: build ## Watch a rendered drive: plates read, one alerted, the hit delivered
	target/release/outrider demo $(ARGS)

build: ## Release build, beside its ONNX Runtime
	@scripts/setup.sh build
	@. scripts/lib.sh; use_rust; OUTRIDER_BUILD=$$(scripts/build-id.sh) cargo build --release --locked
	@cp -u build/onnxruntime/$$(uname -m)/libonnxruntime.so target/release/
	@ln -sfn ../../models target/release/models

test: ## Run the tests of every crate against the real parts (ARGS="--test uplink" for some)
	@scripts/setup.sh test
	@scripts/test.sh $(ARGS)

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

soak: ## Drive for 72 hours of a fast clock in half an hour (HOURS=2 FACTOR=1 for two real hours)
	@scripts/setup.sh test
	@. scripts/lib.sh; use_rust; OUTRIDER_SOAK_HOURS=$(or $(HOURS),72) OUTRIDER_SOAK_FACTOR=$(or $(FACTOR),144) \
	  cargo test --locked --workspace --features testing --test soak -- --nocapture

vm-test: deb ## A car's life in a virtual machine with systemd: package, USB camera, broker, wipe, TPM, GPIO, as root (ARCH=arm64 for the car's computer)
	@scripts/setup.sh test
	@. scripts/lib.sh; use_rust; car=build/vm/car$(if $(filter arm64,$(DEB_ARCH)),-arm64); mkdir -p $$car/pictures; \
	  cargo run --quiet --locked -p outrider-render --features drives --example standing_car -- CKSV841 $$car/pictures && \
	  if [ "$(DEB_ARCH)" = arm64 ]; then \
	    cross/arm64.sh devices $$car && tests/vm/machine.sh $$car arm64 && \
	    HERE=target/release/outrider tests/vm/appliance.sh $$car arm64 build/arm64/outrider build/arm64/libonnxruntime.so; \
	  else \
	    for device in usb_camera usb_gpio; do rustc --edition 2024 -O -o $$car/$$device examples/$$device.rs || exit 1; done && \
	    tests/vm/machine.sh $$car amd64 && \
	    tests/vm/appliance.sh $$car amd64 build/deb/outrider-amd64 build/onnxruntime/x86_64/libonnxruntime.so; \
	  fi

lint: ## Format, clippy, documentation and dependencies without a warning
	@scripts/setup.sh build
	@scripts/lint.sh

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
	@cross/arm64.sh build

arm64-test: ## Unit tests and one read under emulation, equal to this machine's
	@cross/arm64.sh test

deb: ## Debian package of the car's program into build/deb/ (ARCH=arm64 cross-builds it first)
	@scripts/setup.sh build
	@if [ "$(DEB_ARCH)" = "$$(dpkg --print-architecture)" ]; then \
	  . scripts/lib.sh; use_rust; export OUTRIDER_BUILD=$$(scripts/build-id.sh) RUSTFLAGS="$$(remap)"; cargo build --release --locked --no-default-features --bin outrider && \
	  mkdir -p build/deb && cp target/release/outrider build/deb/outrider-$(DEB_ARCH) && \
	  scripts/deb.sh $(DEB_ARCH) build/deb/outrider-$(DEB_ARCH) build/onnxruntime/$$(uname -m)/libonnxruntime.so; \
	else \
	  . scripts/lib.sh; use_rust; export OUTRIDER_BUILD=$$(scripts/build-id.sh) RUSTFLAGS="$$(remap)"; cross/arm64.sh build && cargo build --release --locked --no-default-features --bin outrider && \
	  HERE=target/release/outrider scripts/deb.sh $(DEB_ARCH) build/arm64/outrider build/arm64/libonnxruntime.so; \
	fi

deb-test: deb ## Packed twice alike, lintian, then install to purge in a clean Debian, as root (SUITE=trixie for 13)
	@tests/package.sh build/deb/outrider-$$(dpkg --print-architecture) build/onnxruntime/$$(uname -m)/libonnxruntime.so $(or $(SUITE),bookworm)

apt-repo: ## Signed apt repository of build/deb into build/apt/ (KEY=fingerprint or address of gpg's)
	@scripts/apt-repo.sh "$(KEY)"

notices: ## Write THIRD-PARTY.md from the locked dependencies
	@scripts/notices.sh

doc: ## Build the API documentation
	@. scripts/lib.sh; use_rust; cargo doc --locked --workspace --all-features --no-deps --document-private-items

clean: ## Remove everything that was built or fetched
	rm -rf target build
