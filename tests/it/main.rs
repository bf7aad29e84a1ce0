//! Tests of the whole, from outside: one module for what a reader would look for.
//!
//! Four of them are suites of their own: `model` compares the engine with a naive one, `hostile` attacks the server, `oracle`
//! pushes a known ledger while what the programs need fails, `properties` is shared with the fuzz targets.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(feature = "command")]
mod alert_ids;
#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "command")]
mod backtest;
#[cfg(feature = "command")]
mod commands;
#[cfg(feature = "command")]
mod compact;
mod corpus;
#[cfg(feature = "command")]
mod cost;
mod doors;
#[cfg(feature = "function")]
mod events;
mod goldens;
mod guessing;
#[cfg(feature = "command")]
mod hostile;
#[cfg(any(feature = "command", feature = "function"))]
mod json_suite;
#[cfg(feature = "command")]
mod kill;
#[cfg(feature = "command")]
mod left_over;
mod metrics;
mod model;
mod notices;
#[cfg(all(feature = "command", feature = "function"))]
mod oracle;
mod pack;
mod parked;
#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, clippy::expect_used, reason = "a library by itself where it is fuzzed")]
mod properties;
#[cfg(feature = "function")]
mod publications;
mod push;
#[cfg(feature = "command")]
mod races;
mod rate_limit;
mod readings;
#[cfg(feature = "command")]
mod replay;
#[cfg(feature = "command")]
mod rule_cases;
mod rules;
mod samples;
#[cfg(feature = "command")]
mod serve;
#[cfg(feature = "command")]
mod simulate;
#[cfg(feature = "command")]
mod soak;
mod state_stores;
mod support;
mod unicode;
mod upgrades;
mod vectors;
