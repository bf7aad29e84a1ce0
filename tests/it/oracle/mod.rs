//! The oracle pushes a known ledger through the real programs while it injects faults, then judges the result. Each 2xx is an
//! obligation.
//!
//! `function` runs the function's own binary against fakes of AWS, with both values of `RawDelivery`; `server` runs `serve` on a
//! folder. Random choices have a fixed seed, which is printed; `ORACLE_SEED=… cargo test --workspace --all-features --test it
//! --test function oracle::` uses another one.

mod aws;
mod clock;
mod faults;
mod function;
mod judge;
mod judge_tests;
mod ledger;
mod port;
mod runtime;
mod server;
mod verdict;

use jiff::SignedDuration;

/// Time after which the sweep may send messages again that were not recorded as sent: a lease, and a little more. No test waits
/// for it: sweeps run with a clock that is ahead.
const AFTER_A_LEASE: SignedDuration = SignedDuration::from_secs(62);
/// Time after which all blocks have ended: a quarter of an hour, and a little more.
const AFTER_ALL_BLOCKS: SignedDuration = SignedDuration::from_mins(17);
/// Sweeps after which no message may be pending.
const MAX_SWEEPS: usize = 20;
/// Sweeps within which every message leaves that may: one per minute. The first one finds valid leases or no tokens.
const SWEEPS: i32 = 3;

/// The first seed: `ORACLE_SEED`, else the same one each time.
fn first_seed() -> u64 {
    std::env::var("ORACLE_SEED")
        .map_or(1, |seed| seed.parse().unwrap_or_else(|_| panic!("ORACLE_SEED is not a number: {seed}")))
}
