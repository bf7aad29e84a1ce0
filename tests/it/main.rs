//! Integration tests of the receiver and the command, one module per subject.
//!
//! Three modules are larger suites: `model` compares the engine with a naive implementation, `hostile` attacks the
//! server, and `oracle` compares stored readings and sent alerts with a ledger while dependencies fail. The crate
//! `test_support` is shared with the fuzz targets and the benchmarks.
#![expect(clippy::disallowed_methods, reason = "the Makefile sets the duration of tests by environment variables")]
#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod alert_ids;
mod alerts;
mod audiences;
mod auth_methods;
mod aws;
mod backtest;
mod buffered;
mod commands;
mod compact;
mod corpus;
mod cost;
mod damaged;
mod deliveries;
mod events;
mod fallback_queue;
mod goldens;
mod guessing;
mod hostile;
mod invitations;
mod json_suite;
mod kill;
mod languages;
mod links;
mod metrics;
mod model;
mod notices;
mod oracle;
mod pack;
mod pages;
mod pending_pushes;
mod publications;
mod push;
mod races;
mod rate_limit;
mod readings;
mod replay;
mod restore;
mod rule_cases;
mod rules;
mod samples;
mod second_look;
mod serve;
mod simulate;
mod sla;
mod soak;
mod state_stores;
mod support;
mod survey;
mod unicode;
mod unknown_rules;
mod upgrades;
mod vectors;

use test_support::properties;
