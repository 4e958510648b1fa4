# Builds, shows and tests Serinus. Everything that is fetched or built goes below target/.
# Needs Rust by rustup, Python 3.11 with venv, and Node; a target that misses one says so.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

CARGO_TARGET_DIR ?= target
WASM_TARGET := wasm32-unknown-unknown
TOOLS := target/tools
PYTHON := target/venv/bin/python
# The runner of wasm-bindgen-test must have the version of the library in Cargo.lock.
BINDGEN_VERSION := $(shell sed -n '/^name = "wasm-bindgen"$$/{n;s/version = "\(.*\)"/\1/p;}' Cargo.lock)
BINDGEN := $(TOOLS)/wasm-bindgen-$(BINDGEN_VERSION)/bin/wasm-bindgen-test-runner
BINARYEN_VERSION := 132.0.0
WASM_OPT := $(TOOLS)/binaryen-$(BINARYEN_VERSION)/node_modules/binaryen/bin/wasm-opt
# What rustc's wasm32 target uses; V8 in Envoy has had it for years.
WASM_FEATURES := bulk-memory sign-ext mutable-globals nontrapping-float-to-int multivalue reference-types
# Found by trying (decision 15). Below address 1024 there is but the far end of the stack. A function
# with one caller stays one: what few requests need is not to lie in the way of all (decision 21).
SMALL := $(addprefix --enable-,$(WASM_FEATURES)) --low-memory-unused --flatten --rereloop \
	--one-caller-inline-max-function-size=0 -Oz -Oz
DENY_VERSION := 0.20.2
DENY := $(TOOLS)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny
# Of `make bench`: what its method asks for.
ROUNDS := 20
WARM := 25000
# The package that runs Envoy lies there and is not installed.
export PYTHONPATH := tests/e2e
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help: ## lists the targets
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | awk -F '\t' '{printf "  make %-18s %s\n", $$1, $$2}'

.PHONY: build
build: wasm tool ## the filter at target/serinus.wasm and the native tool at target/serinus

.PHONY: wasm
wasm: need-rust need-node $(WASM_OPT) ## the filter alone
	cargo rustc --locked --profile filter --lib --crate-type cdylib \
		--no-default-features --features plugin --target $(WASM_TARGET)
	@mkdir -p target
	@built=$(CARGO_TARGET_DIR)/$(WASM_TARGET)/filter/serinus.wasm; \
	if ! test -e target/serinus.wasm || ! cmp -s $$built target/serinus-as-built.wasm; then \
		echo "serinus: making the filter small"; \
		node $(WASM_OPT) $(SMALL) $$built -o target/serinus.wasm; \
		cp $$built target/serinus-as-built.wasm; \
	fi

.PHONY: core-bench
core-bench: need-rust need-node $(WASM_OPT) ## the core alone as a module, to count its instructions
	cargo build --locked --profile filter --package serinus-core-bench --target $(WASM_TARGET)
	node $(WASM_OPT) $(SMALL) \
		$(CARGO_TARGET_DIR)/$(WASM_TARGET)/filter/serinus_core_bench.wasm -o target/serinus-core-bench.wasm

.PHONY: tool
tool: need-rust ## the native tool alone
	cargo build --locked --release --bin serinus
	@mkdir -p target
	@rm -f target/serinus
	cp $(CARGO_TARGET_DIR)/release/serinus target/serinus

.PHONY: demo
demo: wasm need-envoy ## two versions of a shop behind a real Envoy: who goes where, and why
	@$(PYTHON) demo/demo.py

.PHONY: demo-maintenance
demo-maintenance: wasm need-envoy ## writes wait, reads go to a replica: on and off under load
	@$(PYTHON) demo/maintenance.py

.PHONY: demo-flags
demo-flags: wasm need-envoy ## flags: off for everybody at once, and giving way under load
	@$(PYTHON) demo/flags.py

.PHONY: demo-rescue
demo-rescue: wasm need-envoy ## a canary that breaks, and what its callers see of it
	@$(PYTHON) demo/rescue.py

.PHONY: demo-blue-green
demo-blue-green: wasm need-envoy ## a flip to green and back under load: how long it takes
	@$(PYTHON) demo/blue_green.py

.PHONY: demo-api-move
demo-api-move: wasm need-envoy ## /get_widgets to /v2/widgets: both written, compared, moved, and back
	@$(PYTHON) demo/api_move.py

.PHONY: demo-old-clients
demo-old-clients: wasm need-envoy ## old clients are told to refresh, and nobody else is
	@$(PYTHON) demo/old_clients.py

.PHONY: demo-sessions
demo-sessions: wasm need-envoy ## WebSockets stay with their version, until a gate that shut cuts them
	@$(PYTHON) demo/sessions.py

.PHONY: demo-experiment
demo-experiment: wasm need-envoy ## an A/B/n experiment: exposures, conversions, a drop that shuts, a sample ratio that is off
	@$(PYTHON) demo/experiment.py

.PHONY: test
test: test-core test-wasm test-host test-e2e ## all tests

.PHONY: test-core
test-core: need-rust ## unit, property and command-line tests of the native build
	cargo test --locked

.PHONY: test-wasm
test-wasm: need-rust need-node $(BINDGEN) ## the same core as wasm32, in Node
	CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(abspath $(BINDGEN)) \
		cargo test --locked --no-default-features --target $(WASM_TARGET) --test decisions --test diff_pairs --test hash_vectors

.PHONY: test-host
test-host: wasm core-bench ## the compiled filter against a strict fake host, and its cost against limits
	cargo test --locked --package serinus-host-tests

.PHONY: test-e2e
test-e2e: wasm need-envoy need-prometheus ## the filter in real Envoys of two versions
	$(PYTHON) -m pytest -c tests/e2e/pytest.ini tests/e2e --numprocesses 2 --dist worksteal

.PHONY: test-mesh
test-mesh: wasm need-envoy need-mesh ## the filter and its manifests in a real Istio: API server, istiod, agent, Envoy, registry
	tests/mesh/inside.sh $(PYTHON) -m pytest -c tests/mesh/pytest.ini tests/mesh

.PHONY: test-envoy-gateway
test-envoy-gateway: wasm need-envoy ## the filter and its manifest in a real Envoy Gateway; not part of CI
	tests/mesh/build.sh envoy-gateway
	tests/mesh/inside.sh $(PYTHON) -m pytest -c tests/mesh/pytest.ini tests/mesh/envoy_gateway.py

.PHONY: image
image: wasm need-python ## the filter as an OCI image, at target/image; prints its digest (SOURCE=https://… names the source)
	@python3 image/image.py build --source '$(SOURCE)'

.PHONY: push
push: image ## sends it to a registry: make push REF=registry.example.com/serinus/serinus:0.1.0
	@test -n '$(REF)' || { echo "serinus: say where: make push REF=HOST/REPOSITORY:TAG" >&2; exit 1; }
	@python3 image/image.py push '$(REF)'

.PHONY: bench
bench: wasm bench-count need-envoy ## Serinus beside what else there is: benches/RESULTS.md (ROUNDS=n to shorten)
	cargo build --locked --release --package serinus-load
	cargo build --locked --profile filter --package serinus-empty-filter --target $(WASM_TARGET)
	node $(WASM_OPT) $(SMALL) \
		$(CARGO_TARGET_DIR)/$(WASM_TARGET)/filter/serinus_empty_filter.wasm -o target/serinus-empty-filter.wasm
	@mkdir -p target/release
	@test $(CARGO_TARGET_DIR)/release/serinus-load -ef target/release/serinus-load || \
		cp $(CARGO_TARGET_DIR)/release/serinus-load target/release/serinus-load
	PYTHONPATH=benches $(PYTHON) -m compare --rounds $(ROUNDS) --warm $(WARM)

.PHONY: bench-count
bench-count: wasm core-bench ## instructions and host calls of a request, against benches/limits.toml
	cargo test --locked --package serinus-host-tests --test cost -- --nocapture
	node benches/v8.mjs

.PHONY: lint
lint: lint-rust lint-python lint-deny ## formatting, clippy, docs, licences

.PHONY: lint-rust
lint-rust: need-rust ## formatting, clippy for both sides, docs without warnings
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --lib --no-default-features --features plugin --target $(WASM_TARGET) -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --lib \
		--no-default-features --features plugin --target $(WASM_TARGET)

.PHONY: lint-python
lint-python: need-envoy ## formatting and mistakes of the Python
	target/venv/bin/ruff format --check benches demo image tests/e2e tests/mesh
	target/venv/bin/ruff check benches demo image tests/e2e tests/mesh

.PHONY: lint-deny
lint-deny: need-rust $(DENY) ## licences, bans and sources of all dependencies
	$(DENY) --locked --all-features check licenses bans sources

.PHONY: docs
docs: need-rust ## writes docs/policy.md and docs/policy.schema.json from the code
	SERINUS_WRITE_DOCS=1 cargo test --locked --test reference

.PHONY: clean
clean: ## removes all that was built or fetched
	rm -rf target

# What a target needs, each with one line that says how to get it.

.PHONY: need-rust
need-rust:
	@command -v cargo >/dev/null || { echo "serinus: cargo is missing: install Rust by rustup" >&2; exit 1; }
	@rustc --print target-libdir --target $(WASM_TARGET) 2>/dev/null | xargs -r test -d || \
		{ echo "serinus: Rust cannot build for $(WASM_TARGET): rustup target add $(WASM_TARGET)" >&2; exit 1; }

.PHONY: need-node
need-node:
	@command -v node >/dev/null || { echo "serinus: node is missing: install Node.js 20 or newer" >&2; exit 1; }
	@command -v npm >/dev/null || { echo "serinus: npm is missing: install it beside Node.js" >&2; exit 1; }

.PHONY: need-envoy
need-envoy:
	@tests/e2e/setup.sh

.PHONY: need-prometheus
need-prometheus:
	@tests/e2e/prometheus.sh

.PHONY: need-python
need-python:
	@python3 -c 'import tomllib' 2>/dev/null || \
		{ echo "serinus: Python is missing or too old: install Python 3.11 or newer" >&2; exit 1; }

.PHONY: need-mesh
need-mesh:
	@tests/mesh/build.sh

# Tools that Cargo builds once, each in a folder of its version. They run for seconds, so that making
# them fast takes longer than it saves.
QUICK_BUILD := CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

$(TOOLS)/wasm-bindgen-%/bin/wasm-bindgen-test-runner:
	$(QUICK_BUILD) cargo install --quiet wasm-bindgen-cli --version $* --root $(TOOLS)/wasm-bindgen-$*

$(TOOLS)/binaryen-%/node_modules/binaryen/bin/wasm-opt:
	npm install --silent --no-fund --no-audit --prefix $(TOOLS)/binaryen-$* binaryen@$*
	@touch $@

$(TOOLS)/cargo-deny-%/bin/cargo-deny:
	$(QUICK_BUILD) cargo install --quiet --locked cargo-deny --version $* --root $(TOOLS)/cargo-deny-$*
