//! The function's own binary with injected faults in all services.

mod clocks;
mod deployment;
mod kills;
mod mixes;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use futures_util::future::join_all;
use jiff::SignedDuration;

use self::deployment::Deployment;
pub(crate) use self::deployment::RawDelivery;
use self::rows::Cell;
use crate::oracle::faults::{Fault, Service};
use crate::oracle::first_seed;
use crate::oracle::ledger::Producer;
use crate::oracle::verdict::{Verdict, assert_no_objections};

/// Seeds of a short run.
const SEEDS: u64 = 4;
/// Seeds at the same time in a long run; most of the time they wait for processes to start.
const CONCURRENT_SEEDS: u64 = 8;

/// The responses to pushes during each fault of each service, as a table.
fn matrix(cells: &[Cell]) -> String {
    let by_cell: BTreeMap<(Fault, Service), &Cell> =
        cells.iter().map(|cell| ((cell.fault, cell.service), cell)).collect();
    let mut text = "200 / 503 / no response".to_owned();
    let services: BTreeSet<Service> = cells.iter().map(|cell| cell.service).collect();
    for service in &services {
        // Writing to a String cannot fail.
        let _ = write!(text, " | {service:<15}");
    }
    let mut faults: Vec<Fault> = by_cell.keys().map(|(fault, _)| *fault).collect();
    faults.dedup();
    for fault in faults {
        let _ = write!(text, "\n{fault:<21}");
        for service in &services {
            let counts = by_cell.get(&(fault, *service)).map_or_else(String::new, |cell| cell.responses.to_string());
            let _ = write!(text, " | {counts:<15}");
        }
    }
    text
}

/// All faults of a deployment, one after the other; kills; wrong clocks. Returns the verdicts and further objections.
#[expect(clippy::print_stdout, reason = "shown if the test fails, and with --nocapture")]
async fn faults(delivery: RawDelivery) -> (Vec<Verdict>, Vec<String>) {
    // Credentials have nothing to do with the delivery.
    let missing = if delivery == RawDelivery::Direct { Service::Firehose } else { Service::Secrets };
    let services = Service::ALL.into_iter().filter(|service| *service != missing);
    let rows = services.map(|service| async move {
        let (deployment, cells) = rows::row(service, delivery).await;
        (rows::concluded(deployment).await, cells)
    });
    let kills = async {
        let (deployment, calls) = kills::pushes(delivery).await;
        (rows::concluded(deployment).await, calls)
    };
    let sweeps = async {
        let (deployment, ahead) = kills::sweeps(delivery).await;
        deployment.conclude(ahead).await
    };
    let clocks = async { clocks::clocks(delivery).await.conclude(clocks::MOST_AHEAD).await };
    let (rows, (killed, calls), sweeps, clocks) = tokio::join!(join_all(rows), kills, sweeps, clocks);
    let (rows, cells): (Vec<Verdict>, Vec<Vec<Cell>>) = rows.into_iter().unzip();
    let cells: Vec<Cell> = cells.into_iter().flatten().collect();
    println!("{delivery}: {}\n\nkilled at each of {calls} calls of a push", matrix(&cells));
    let objections = cells.iter().filter_map(Cell::objection).collect();
    (rows.into_iter().chain([killed, sweeps, clocks]).collect(), objections)
}

async fn assert_faults_lose_nothing(delivery: RawDelivery) {
    let (verdicts, objections) = faults(delivery).await;
    assert_no_objections(&verdicts);
    assert_eq!(objections, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_pushes_are_stored_and_every_alert_is_sent_during_any_fault() {
    assert_faults_lose_nothing(RawDelivery::Direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_buffered_pushes_are_stored_and_every_alert_is_sent_during_any_fault() {
    assert_faults_lose_nothing(RawDelivery::Buffered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "shown if the test fails, and with --nocapture")]
async fn acknowledged_pushes_are_stored_and_every_alert_is_sent_during_random_faults() {
    let seed = first_seed();
    println!("seeds {seed} to {}", seed + SEEDS - 1);
    let mixes = (seed..seed + SEEDS).map(|seed| async move { mixes::concluded(mixes::mix(seed).await, seed).await });
    assert_no_objections(&join_all(mixes).await);
}

/// The long run, with many seeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; make soak-oracle runs it"]
async fn nothing_is_lost_during_random_faults() {
    let rounds: u64 = std::env::var("ORACLE_ROUNDS").map_or(50, |rounds| rounds.parse().unwrap());
    let seed = first_seed();
    for first in (seed..seed + rounds).step_by(usize::try_from(CONCURRENT_SEEDS).unwrap()) {
        let seeds = first..(first + CONCURRENT_SEEDS).min(seed + rounds);
        let mixes = seeds.map(|seed| async move { mixes::concluded(mixes::mix(seed).await, seed).await });
        assert_no_objections(&join_all(mixes).await);
    }
}

/// The verdict on a few pushes without faults: their alerts leave in the pushes, except those that a block suppresses.
pub(crate) async fn undisturbed(delivery: RawDelivery) -> Verdict {
    let deployment = Deployment::new("undisturbed", delivery);
    let mut producer = Producer::new("undisturbed");
    for _ in 0..4 {
        let pushes = deployment.add([producer.push(), producer.invalid_body()]);
        deployment.aws.with_state(|state| state.table.refill());
        deployment.push(&pushes).await;
        deployment.push(&pushes[..1]).await;
    }
    let mut evidence = deployment.conclude(SignedDuration::ZERO).await.evidence;
    evidence.latest.as_mut().unwrap().prompt = SignedDuration::ZERO;
    Verdict::new(&format!("undisturbed, {delivery}"), evidence)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_judge_has_no_objections_without_faults() {
    assert_no_objections(&join_all(RawDelivery::ALL.map(undisturbed)).await);
}
