//! The oracle: a known ledger is pushed through the real programs while what they need goes wrong, and what is left is
//! judged. Each 2xx is an obligation.
//!
//! `function` runs the function's own binary against stand-ins for AWS, `server` runs `serve` on a folder. The seed of what
//! is random is printed; `ORACLE_SEED=… cargo test --all-features --test oracle` runs the same again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aws;
mod clock;
mod door;
mod faults;
mod function;
mod judge;
mod judge_tests;
mod ledger;
mod runtime;
mod server;
mod verdict;

/// The first seed: given, or of this moment.
fn first_seed() -> u64 {
    let given =
        std::env::var("ORACLE_SEED").ok().map(|seed| seed.parse().unwrap_or_else(|_| panic!("{seed}: no seed")));
    given.unwrap_or_else(|| u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default())
}
