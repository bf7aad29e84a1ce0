//! The oracle: a known ledger is pushed through the real programs while what they need goes wrong, and what is left is
//! judged. Each 2xx is an obligation.
//!
//! `function` runs the function's own binary against stand-ins for AWS, `server` runs `serve` on a folder. What is random has
//! a fixed seed; `ORACLE_SEED=… cargo test --all-features --test it oracle::` takes another one, which is printed.

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

/// The first seed: `ORACLE_SEED`, else the same one each time.
fn first_seed() -> u64 {
    std::env::var("ORACLE_SEED").map_or(1, |seed| seed.parse().unwrap_or_else(|_| panic!("{seed}: no seed")))
}
