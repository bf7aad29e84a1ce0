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

use jiff::SignedDuration;

/// How much later the sweep may send what nobody has noted as sent: after a lease, and a little more. Nobody waits for it:
/// sweeps are done by a clock that is ahead.
const LEASED_FOR: SignedDuration = SignedDuration::from_secs(62);
/// How much later all blocks are over: a quarter of an hour, and a little more.
const BLOCKS_ARE_OVER: SignedDuration = SignedDuration::from_mins(17);
/// Sweeps after which nothing may wait any more.
const MOST_SWEEPS: usize = 20;

/// The first seed: `ORACLE_SEED`, else the same one each time.
fn first_seed() -> u64 {
    std::env::var("ORACLE_SEED").map_or(1, |seed| seed.parse().unwrap_or_else(|_| panic!("{seed}: no seed")))
}
