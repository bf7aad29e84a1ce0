//! Delivers pushes: several at a time, at their pace, each recorded in the ledger.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::iter;
use std::path::Path;
use std::time::{Duration, Instant};

use analysis::simulate::{LedgerEntry, Plan, Pushes, SimulatedPush};
use jiff::Timestamp;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use super::target::Target;
use crate::output::{print, progress_bar};
use crate::stop::Stop;
use crate::{Failure, OrFailure as _};

/// Delivers all pushes of a plan, `connections` at a time, until one fails or Ctrl-C is pressed. `speed` is in simulated
/// seconds per second; `None` is as fast as the target takes them.
pub(super) fn run(
    target: &Target,
    plan: &Plan,
    pushes: Pushes,
    speed: Option<f64>,
    connections: usize,
    ledger: Option<&Path>,
) -> Result<(), Failure> {
    let mut ledger = ledger.map(Ledger::open).transpose()?;
    let stop = Stop::listen()?;
    let pool = ThreadPoolBuilder::new().num_threads(connections).build().or_failure("threads cannot be started")?;
    let from = plan.from.timestamp();
    let seconds = |at: Timestamp| u64::try_from(at.duration_since(from).as_secs()).unwrap_or(0);
    let (began, mut totals) = (Instant::now(), Totals::default());
    let bar = progress_bar(seconds(plan.to));
    let time_until_due = |push: &SimulatedPush| {
        let due = speed.map_or(0.0, |speed| push.at.duration_since(from).as_secs_f64().max(0.0) / speed);
        Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX).saturating_sub(began.elapsed())
    };
    let deliver = |push: &SimulatedPush| {
        let mut entry = LedgerEntry::new(push.at, &push.body);
        let delivered = target.deliver(push, &mut entry, &stop);
        (entry, delivered)
    };
    let mut pushes = pushes.peekable();
    let mut result = Ok(());
    while let (Ok(()), Some(next)) = (&result, pushes.peek()) {
        bar.set_position(seconds(next.at));
        bar.set_message(format!("{} readings", totals.readings));
        stop.sleep(time_until_due(next));
        if stop.is_requested() {
            result = Err(Failure::interrupted("Each push until then was delivered as a whole"));
            break;
        }
        let due = iter::from_fn(|| pushes.next_if(|push| time_until_due(push).is_zero()));
        let due: Vec<SimulatedPush> = due.take(connections).collect();
        let delivered: Vec<_> = pool.install(|| due.par_iter().with_max_len(1).map(deliver).collect());
        for (entry, delivered) in delivered {
            totals.add(&entry);
            let recorded = ledger.as_mut().map_or(Ok(()), |ledger| ledger.add(&entry));
            result = result.and(delivered).and(recorded);
        }
    }
    bar.finish_and_clear();
    totals.print(began);
    if let Some(Ledger { path, .. }) = ledger {
        let path = path.display();
        print(format_args!(
            "Recorded in {path}. To verify that all is stored: smartclean-push simulate --verify DATA --ledger {path}\n"
        ));
    }
    result.and(totals.fail_if_refused())
}

/// The sums of what was delivered.
#[derive(Clone, Debug, Default)]
struct Totals {
    pushes: usize,
    readings: usize,
    rejections: usize,
    /// Bodies that are no batch, and were refused with 400 as they should be.
    malformed: usize,
    duplicates: usize,
    alerts: usize,
    /// Other refused pushes, by their status.
    refused: BTreeMap<u16, usize>,
    unanswered: usize,
}

impl Totals {
    fn add(&mut self, entry: &LedgerEntry) {
        let counts = entry.counts.unwrap_or_default();
        self.pushes += 1;
        self.readings += counts.accepted;
        self.rejections += counts.rejected;
        self.duplicates += counts.duplicates;
        self.alerts += counts.alerts;
        match entry.status {
            None => self.unanswered += 1,
            Some(400) if !entry.is_batch => self.malformed += 1,
            Some(status @ 300..) => *self.refused.entry(status).or_default() += 1,
            Some(_) => {}
        }
    }

    fn print(&self, began: Instant) {
        let Self { pushes, readings, rejections, malformed, duplicates, alerts, refused, unanswered } = self;
        let refused: usize = refused.values().sum();
        let seconds = began.elapsed().as_secs_f64();
        let rate = *readings as f64 / seconds.max(0.001);
        print(format_args!(
            "{pushes} pushes, {readings} readings in {seconds:.1} s ({rate:.0} a second); {rejections} bad items, {malformed} \
             bad bodies, {duplicates} duplicates, {alerts} alerts, {refused} pushes refused, {unanswered} without an answer\n"
        ));
    }

    /// Fails if a push was refused that should have been stored.
    fn fail_if_refused(&self) -> Result<(), Failure> {
        if self.refused.is_empty() {
            return Ok(());
        }
        let each: Vec<_> = self.refused.iter().map(|(status, count)| format!("{count} with {status}")).collect();
        Err(Failure::new(format!(
            "pushes were refused, and nothing of them was stored: {}. The endpoint's log says why",
            each.join(", ")
        )))
    }
}

/// The file of the ledger.
struct Ledger<'p> {
    path: &'p Path,
    file: File,
}

impl<'p> Ledger<'p> {
    fn open(path: &'p Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.map(|file| Self { path, file }).map_err(|error| not_written(path, &error))
    }

    /// Adds a line in one write: if the process is killed, the line is there or it is not.
    fn add(&mut self, entry: &LedgerEntry) -> Result<(), Failure> {
        let line = serde_json::to_string(entry).map_err(io::Error::from);
        let written = line.and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()));
        written.map_err(|error| not_written(self.path, &error))
    }
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("the ledger {} cannot be written: {error}. Choose another with --ledger", path.display()))
}
