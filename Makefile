# The list of commands. Continuous integration runs `make test`; a person can type all of them.

CARGO ?= cargo
DEMO  := fixtures/demo-site
# Size of the benchmark's captures (1 is what the goals are stated for) and interleaved runs.
SCALE ?= 0.05
RUNS  ?= 3
BENCH := $(CARGO) bench --locked --bench bench --

.PHONY: run test check fmt lint doc unit cases bless bench bench-docs bench-rooms bench-guard setup help
.DEFAULT_GOAL := help

help:
	@echo 'make run     audit the bundled capture of a small site (installs what is missing)'
	@echo 'make test    format, lints, docs and every test (installs what is missing)'
	@echo 'make check   the same without installing anything'
	@echo 'make bless   write the crafted fixtures, their expected reports and the README's report anew'
	@echo 'make bench   measure speed against every peer that is installed (SCALE=1 RUNS=5: full size)'
	@echo 'make bench-docs   the same at full size, into docs/performance.md'
	@echo 'make bench-rooms  measure the rooms one by one'
	@echo 'make bench-guard  count instructions per packet and compare them with those on record'

run: setup
	$(CARGO) build --release --locked
	./target/release/portassay check $(DEMO)/capture.pcapng --topology $(DEMO)/topology.toml --exit-zero

test: setup check

check: fmt lint doc unit cases

fmt:
	$(CARGO) fmt --check

lint:
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps

unit:
	$(CARGO) test --locked

cases:
	$(CARGO) run --locked --quiet -- test fixtures

bless:
	PORTASSAY_BLESS=1 $(CARGO) test --locked --test suite -- crafted readme
	$(CARGO) run --locked --quiet -- test fixtures --bless

bench: setup
	$(BENCH) speed --scale $(SCALE) --runs $(RUNS)

bench-docs: SCALE = 1
bench-docs: setup
	$(BENCH) speed --scale $(SCALE) --runs $(RUNS) --docs

bench-rooms: setup
	$(BENCH) rooms

bench-guard: setup
	$(BENCH) guard

# The one thing cargo cannot fetch: libpcap's headers, and a C linker to go with them.
setup:
	@./scripts/setup
