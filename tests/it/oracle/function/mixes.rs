//! All faults at random: any call may fail in any way, and the process may be killed at any of them.

use std::time::Duration;

use jiff::SignedDuration;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::deployment::{Deployment, RawDelivery};
use crate::oracle::AFTER_A_LEASE;
use crate::oracle::ledger::Producer;
use crate::oracle::verdict::Verdict;

/// Calls with a fault, in per cent.
const PER_CENT: u32 = 12;
/// Pushes of a deployment.
const PUSHES: usize = 12;
/// Most concurrent pushes.
const CONCURRENCY: usize = 3;
/// The function's timeout, which is too short for some pushes.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time between sweeps with faults, so that most records of the stream are delivered during faults.
const STEP: SignedDuration = SignedDuration::from_mins(4);

/// A deployment after pushes with random faults; with an even seed a buffered one.
pub(super) async fn mix(seed: u64) -> Deployment {
    let delivery = RawDelivery::ALL[usize::from(seed.is_multiple_of(2))];
    let deployment = Deployment::with_seed(&format!("mix {seed}"), delivery, seed);
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut producer = Producer::new(&format!("mix {seed}"));
    let pushes = deployment.add((0..PUSHES).map(|_| producer.push()));
    let mut waiting = pushes.clone();
    deployment.aws.faults.chance(seed, PER_CENT);
    while !waiting.is_empty() {
        let count = dice.random_range(1..=CONCURRENCY).min(waiting.len());
        let now: Vec<usize> = waiting.drain(..count).collect();
        // Some pushes are sent twice at the same time.
        let twice = now.iter().copied().filter(|_| dice.random_bool(0.2)).collect::<Vec<_>>();
        deployment.push_to(&deployment.function, TIMEOUT, &[&now[..], &twice].concat()).await;
        if dice.random_bool(0.2) {
            deployment.catch_up(&deployment.function, TIMEOUT, 1).await;
        }
    }
    // Some are repeated, still with faults.
    let repeated: Vec<usize> =
        deployment.unacknowledged(&pushes).into_iter().filter(|_| dice.random_bool(0.5)).collect();
    for push in repeated {
        deployment.push_to(&deployment.function, TIMEOUT, &[push]).await;
    }
    deployment.function.stop_idle();
    deployment
}

/// Sweeps with faults, then without, and judges the result.
pub(super) async fn concluded(deployment: Deployment, seed: u64) -> Verdict {
    let mut later = SignedDuration::from_secs(2);
    for round in 1..=3 {
        later += if deployment.delivery == RawDelivery::Direct { AFTER_A_LEASE } else { STEP };
        let function = deployment.function.with_clock(later);
        deployment.aws.faults.chance(seed + round, PER_CENT);
        deployment.catch_up(&function, TIMEOUT, 2).await;
        deployment.aws.faults.end();
    }
    deployment.conclude(later).await
}
