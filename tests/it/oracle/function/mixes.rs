//! Everything at once, by chance: every call may go wrong in any way, the process may die at any of them.

use std::time::Duration;

use jiff::SignedDuration;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::site::Site;
use crate::oracle::LEASED_FOR;
use crate::oracle::ledger::Producer;
use crate::oracle::verdict::Verdict;

/// Of a hundred calls so many go wrong.
const PER_CENT: u32 = 12;
/// Pushes of a site.
const PUSHES: usize = 12;
/// How many come side by side at most.
const AT_ONCE: usize = 3;
/// The function's time: some pushes do not get done in it.
const LIMIT: Duration = Duration::from_secs(5);

/// A site to which pushes came while everything went wrong.
pub(super) async fn mix(seed: u64) -> Site {
    let site = Site::new(&format!("mix {seed}"));
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut producer = Producer::new(&format!("mix {seed}"));
    let pushes = site.enter((0..PUSHES).map(|_| producer.push()));
    let mut waiting = pushes.clone();
    site.world.plan.chance(seed, PER_CENT);
    while !waiting.is_empty() {
        let count = dice.random_range(1..=AT_ONCE).min(waiting.len());
        let now: Vec<usize> = waiting.drain(..count).collect();
        // The same one twice at a time, now and then.
        let twice = now.iter().copied().filter(|_| dice.random_bool(0.2)).collect::<Vec<_>>();
        site.push_to(&site.function, LIMIT, &[&now[..], &twice].concat()).await;
    }
    // Some are sent again, while it goes on.
    let again: Vec<usize> = site.unobliged(&pushes).into_iter().filter(|_| dice.random_bool(0.5)).collect();
    for push in again {
        site.push_to(&site.function, LIMIT, &[push]).await;
    }
    site.function.renew();
    site
}

/// Sweeps while it goes on, then without, and judges it.
pub(super) async fn judged(site: Site, seed: u64) -> Verdict {
    let mut later = SignedDuration::from_secs(2);
    for round in 1..=3 {
        later += LEASED_FOR;
        let function = site.function.by_clock(later);
        site.world.plan.chance(seed + round, PER_CENT);
        site.catch_up(&function, LIMIT, 2).await;
        site.world.plan.end();
    }
    site.conclude(later).await
}
