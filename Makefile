# Everything is a target here; `.ci/run` calls the same ones.
CARGO ?= cargo
BENCH_VENV = target/bench-venv

SOAK_KILLS ?= 1000
SEED ?= $(shell date +%s)

.PHONY: help run build test soak check bench bench-profile bench-micro bench-smoke archive

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Build, and score data/input.json with the iris model
	target/release/etl-host --plugin target/release/libiris_model.so --input data/input.json

build: ## Build the host and the plugins (release)
	$(CARGO) build --release --locked --workspace

test: build ## Run all tests, with the real binary and real plugins
	$(CARGO) test --locked --workspace

soak: build ## Kill and resume a run a thousand times: make soak SOAK_KILLS=1000 SEED=1
	SOAK_KILLS=$(SOAK_KILLS) SEED=$(SEED) $(CARGO) test --locked -p etl-host-tests --test it -- \
		--nocapture --exact kills::a_run_that_is_killed_at_any_moment_goes_on_and_loses_and_doubles_nothing

check: ## Check formatting, lints, docs and benchmarks; warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items
	$(MAKE) --no-print-directory bench-smoke

bench: build $(BENCH_VENV)/installed ## Measure against a hand-written program and Python; writes docs/benchmarks.md (Python 3.11)
	python3 benches/bench.py --records 5000000 --rounds 5 --memory-bytes 10000000 10000000000 --write

bench-profile: build ## Write where the time of a record goes, to docs/benchmarks.md (needs perf)
	python3 benches/bench.py --profile --write

$(BENCH_VENV)/installed: benches/python/requirements.txt
	python3 -m venv --clear $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

bench-micro: build ## Measure the host's parts one by one: make bench-micro ONLY=framing
	$(CARGO) bench --locked --workspace --bench micro -- $(ONLY)

# Of the debug build, which the tests need anyway: what is measured is linked with the whole host, and
# that takes a minute where it is optimized.
bench-smoke: build ## Prove that the benchmarks run; their numbers mean nothing
	$(CARGO) test --locked --workspace --bench micro -- --test
	python3 benches/bench.py --quick --no-python

archive: ## Build a plugin for the tests' archive: make archive RUSTC=/usr/bin/rustc PLUGIN=iris_model
	tests/archive/build.sh "$(RUSTC)" $(PLUGIN)
