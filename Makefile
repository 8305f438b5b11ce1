# Each target runs setup by itself. PORT, ADDRESS and ONCE are for demo, SEEDS and SEED for simulate, TARGET and SECONDS for
# fuzz, SECONDS and SEED for delivery, COUNT for open, SECONDS, RATE and T1 for soak, USERS, CALLS and RATE for proxy-load, PARTS and ROUNDS for bench-load; see
# README.md and CONTRIBUTING.md.
export LANG := C.UTF-8
export LC_ALL := C.UTF-8
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: setup test simulate delivery open fuzz asan matrix dialyzer lint demo interop proxy-load bench bench-crates \
	bench-scheduling bench-instructions bench-load bench-overload bench-telemetry soak clean

setup:
	@bash scripts/setup.sh

test: setup
	cargo test --locked --workspace
	mix test

# Networks of engines by seed: the first SEEDS, or the one that SEED names.
simulate: setup
	SEEDS="$${SEEDS:-100000}" cargo test --locked --release -p sippet_proto --test simulation -- --nocapture

# The targets of native/fuzz for SECONDS each, or the one that TARGET names, from their seeds and what earlier runs found. Setup
# does not install cargo-fuzz.
fuzz: setup
	@bash scripts/fuzz.sh "$(or $(SECONDS),60)" "$(TARGET)"

asan: setup
	@bash scripts/asan.sh

# The host's runtime last: its build is the one that stays.
matrix: setup
	@bash scripts/trixie.sh test
	mix test

dialyzer: setup
	@bash scripts/trixie.sh dialyzer

# What a core may rely on, under load and while processes are killed at random, for SECONDS.
delivery: setup
	DELIVERY_SECONDS="$(or $(SECONDS),60)" $(if $(SEED),DELIVERY_SEED="$(SEED)") mix test test/integration/delivery_load_test.exs

# Calls at a steady rate for SECONDS, 5 % of the messages lost: nothing may grow.
soak: setup
	MIX_ENV=prod mix run bench/load/soak.exs "$(or $(SECONDS),60)"

# Looks at COUNT open transactions and ends their stack: times and memory. A million take 1.5 GB.
open: setup
	OPEN="$(or $(COUNT),1000000)" mix test test/integration/open_transactions_test.exs

lint: setup
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	mix format --check-formatted
	mix compile --warnings-as-errors
	MIX_ENV=test mix compile --warnings-as-errors
	@bash bench/instructions.sh compare || true

demo: setup
	@ELIXIR_ERL_OPTIONS="+Bd $$ELIXIR_ERL_OPTIONS" mix run examples/demo.exs

interop: setup
	bash test/interop/run.sh

# SIPp registers USERS at examples/sip_server and places CALLS calls through it, RATE a second: 10000, 10000, 200.
proxy-load: setup
	mix compile
	SIPPET_NIF_PATH="$(CURDIR)/_build/dev/lib/sippet/priv/native/sippet_nif.so" bash examples/sip_server/load/run.sh

# See bench/README.md.
bench: setup
	@bash bench/run.sh messages

bench-crates: setup
	@bash bench/run.sh crates

bench-scheduling: setup
	@bash bench/run.sh scheduling

bench-instructions: setup
	@bash bench/instructions.sh record
	@bash bench/instructions.sh worst

bench-load: setup
	@bash bench/load/run.sh

bench-overload: setup
	@bash bench/load/overload.sh

bench-telemetry: setup
	@bash bench/load/telemetry.sh

clean:
	rm -rf _build target native/fuzz/target bench/_build bench/deps
