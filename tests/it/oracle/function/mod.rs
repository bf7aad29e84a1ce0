//! The function's own binary, and everything that it needs going wrong.

mod clocks;
mod kills;
mod mixes;
mod rows;
mod site;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures_util::future::join_all;
use jiff::SignedDuration;

use self::rows::Cell;
use self::site::Site;
use crate::oracle::faults::{Diagnostic, Service};
use crate::oracle::first_seed;
use crate::oracle::ledger::Producer;
use crate::oracle::verdict::{Verdict, show};

/// Seeds that are tried in a short run.
const SEEDS: u64 = 3;
/// Seeds that are tried side by side in a long run; most of the time they wait for processes that start.
const AT_ONCE: u64 = 8;

/// The matrix: for each service and fault, how the pushes were answered that came meanwhile.
fn matrix(cells: &[Cell]) -> String {
    let by_location: BTreeMap<(Diagnostic, Service), &Cell> =
        cells.iter().map(|cell| ((cell.fault, cell.service), cell)).collect();
    let mut text = "200 / 503 / no answer".to_owned();
    for service in Service::ALL {
        // Writing to a String cannot fail.
        let _ = write!(text, " | {service:<15}");
    }
    let mut faults: Vec<Diagnostic> = by_location.keys().map(|(fault, _)| *fault).collect();
    faults.dedup();
    for fault in faults {
        let _ = write!(text, "\n{fault:<21}");
        for service in Service::ALL {
            let told = by_location.get(&(fault, service)).map_or_else(String::new, |cell| cell.answers.to_string());
            let _ = write!(text, " | {told:<15}");
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "what is shown where the test fails, and with --nocapture")]
async fn whatever_goes_wrong_what_was_acknowledged_is_kept_and_every_alert_is_sent() {
    let seed = first_seed();
    println!("seeds {seed} to {}", seed + SEEDS - 1);
    let rows = Service::ALL.map(|service| async move {
        let (site, cells) = rows::row(service).await;
        (rows::judged(site).await, cells)
    });
    let kills = async {
        let (site, calls) = kills::pushes().await;
        (rows::judged(site).await, calls)
    };
    let sweeps = async {
        let (site, ahead) = kills::sweeps().await;
        site.conclude(ahead).await
    };
    let clocks = async { clocks::clocks().await.conclude(clocks::MOST_AHEAD).await };
    let mixes = (seed..seed + SEEDS).map(|seed| async move { mixes::judged(mixes::mix(seed).await, seed).await });
    let (rows, (killed, calls), sweeps, clocks, mixes) =
        tokio::join!(join_all(rows), kills, sweeps, clocks, join_all(mixes));
    let (rows, cells): (Vec<Verdict>, Vec<Vec<Cell>>) = rows.into_iter().unzip();
    let cells: Vec<Cell> = cells.into_iter().flatten().collect();
    println!("{}\n\nkilled at each of {calls} calls of a push", matrix(&cells));
    let objections: Vec<String> = cells.iter().filter_map(Cell::objection).collect();
    objections.iter().for_each(|objection| println!("{objection}"));
    let verdicts: Vec<Verdict> = rows.into_iter().chain([killed, sweeps, clocks]).chain(mixes).collect();
    show(&verdicts);
    assert_eq!(objections, [""; 0]);
}

/// The long run: one seed after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; make soak-oracle runs it"]
async fn whatever_goes_wrong_at_random_nothing_is_lost() {
    let rounds: u64 = std::env::var("ORACLE_ROUNDS").map_or(50, |rounds| rounds.parse().unwrap());
    let seed = first_seed();
    for first in (seed..seed + rounds).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let seeds = first..(first + AT_ONCE).min(seed + rounds);
        let mixes = seeds.map(|seed| async move { mixes::judged(mixes::mix(seed).await, seed).await });
        show(&join_all(mixes).await);
    }
}

/// What is left of a few pushes while nothing goes wrong.
pub(crate) async fn undisturbed() -> Verdict {
    let site = Site::new("undisturbed");
    let mut producer = Producer::new("undisturbed");
    for _ in 0..4 {
        let pushes = site.enter([producer.push(), producer.no_batch()]);
        site.push(&pushes).await;
        site.push(&pushes[..1]).await;
    }
    site.conclude(SignedDuration::ZERO).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_goes_wrong_there_is_nothing_to_object_to() {
    show(&[undisturbed().await]);
}
