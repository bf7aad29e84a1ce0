//! The function's own binary with injected faults in all services.

mod clocks;
mod deployment;
mod kills;
mod mixes;
mod rows;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures_util::future::join_all;
use jiff::SignedDuration;

use self::deployment::Deployment;
use self::rows::Cell;
use crate::oracle::faults::{Fault, Service};
use crate::oracle::first_seed;
use crate::oracle::ledger::Producer;
use crate::oracle::verdict::{Verdict, assert_no_objections};

/// Seeds of a short run.
const SEEDS: u64 = 3;
/// Seeds at the same time in a long run; most of the time they wait for processes to start.
const CONCURRENT_SEEDS: u64 = 8;

/// The responses to pushes during each fault of each service, as a table.
fn matrix(cells: &[Cell]) -> String {
    let by_cell: BTreeMap<(Fault, Service), &Cell> =
        cells.iter().map(|cell| ((cell.fault, cell.service), cell)).collect();
    let mut text = "200 / 503 / no response".to_owned();
    for service in Service::ALL {
        // Writing to a String cannot fail.
        let _ = write!(text, " | {service:<15}");
    }
    let mut faults: Vec<Fault> = by_cell.keys().map(|(fault, _)| *fault).collect();
    faults.dedup();
    for fault in faults {
        let _ = write!(text, "\n{fault:<21}");
        for service in Service::ALL {
            let counts = by_cell.get(&(fault, service)).map_or_else(String::new, |cell| cell.responses.to_string());
            let _ = write!(text, " | {counts:<15}");
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "shown if the test fails, and with --nocapture")]
async fn acknowledged_pushes_are_stored_and_every_alert_is_sent_during_any_fault() {
    let seed = first_seed();
    println!("seeds {seed} to {}", seed + SEEDS - 1);
    let rows = Service::ALL.map(|service| async move {
        let (deployment, cells) = rows::row(service).await;
        (rows::concluded(deployment).await, cells)
    });
    let kills = async {
        let (deployment, calls) = kills::pushes().await;
        (rows::concluded(deployment).await, calls)
    };
    let sweeps = async {
        let (deployment, ahead) = kills::sweeps().await;
        deployment.conclude(ahead).await
    };
    let clocks = async { clocks::clocks().await.conclude(clocks::MOST_AHEAD).await };
    let mixes = (seed..seed + SEEDS).map(|seed| async move { mixes::concluded(mixes::mix(seed).await, seed).await });
    let (rows, (killed, calls), sweeps, clocks, mixes) =
        tokio::join!(join_all(rows), kills, sweeps, clocks, join_all(mixes));
    let (rows, cells): (Vec<Verdict>, Vec<Vec<Cell>>) = rows.into_iter().unzip();
    let cells: Vec<Cell> = cells.into_iter().flatten().collect();
    println!("{}\n\nkilled at each of {calls} calls of a push", matrix(&cells));
    let objections: Vec<String> = cells.iter().filter_map(Cell::objection).collect();
    objections.iter().for_each(|objection| println!("{objection}"));
    let verdicts: Vec<Verdict> = rows.into_iter().chain([killed, sweeps, clocks]).chain(mixes).collect();
    assert_no_objections(&verdicts);
    assert_eq!(objections, [""; 0]);
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

/// The verdict on a few pushes without faults.
pub(crate) async fn undisturbed() -> Verdict {
    let deployment = Deployment::new("undisturbed");
    let mut producer = Producer::new("undisturbed");
    for _ in 0..4 {
        let pushes = deployment.add([producer.push(), producer.invalid_body()]);
        deployment.push(&pushes).await;
        deployment.push(&pushes[..1]).await;
    }
    deployment.conclude(SignedDuration::ZERO).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_judge_has_no_objections_without_faults() {
    assert_no_objections(&[undisturbed().await]);
}
