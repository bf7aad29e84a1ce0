//! Tests of the whole, from outside: one module for what a reader would look for.
//!
//! Four of them are suites of their own: `model` compares the engine with a naive one, `hostile` attacks the server, `oracle`
//! pushes a known ledger while what the programs need fails, `test_support` is shared with the fuzz targets and the benchmarks.
#![expect(clippy::disallowed_methods, reason = "the Makefile tells tests by variables how long to run")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alert_ids;
mod auth_methods;
mod aws;
mod backtest;
mod commands;
mod compact;
mod corpus;
mod cost;
mod damaged;
mod events;
mod fallback_queue;
mod goldens;
mod guessing;
mod hostile;
mod json_suite;
mod kill;
mod left_over;
mod metrics;
mod model;
mod notices;
mod oracle;
mod pack;
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
mod serve;
mod simulate;
mod soak;
mod state_stores;
mod support;
mod survey;
mod unicode;
mod unknown_rules;
mod upgrades;
mod vectors;

use test_support::properties;
