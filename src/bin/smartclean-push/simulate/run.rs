//! Delivers pushes: several at a time, at their pace, each recorded in the ledger.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::iter;
use std::path::Path;
use std::time::{Duration, Instant};

use analysis::simulate::{LedgerEntry, Plan, Push, Pushes};
use indicatif::ProgressBar;
use jiff::Timestamp;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use super::target::Target;
use crate::stop::{INTERRUPTED, Stop};
use crate::{Failure, progress};

/// Delivers all pushes of a plan, `at_a_time` at the same time, until something goes wrong or Ctrl-C is pressed. `speed` is in
/// simulated seconds in a real one; `None` is as fast as the target takes them.
pub(super) fn run(
    target: &Target,
    plan: &Plan,
    pushes: Pushes,
    speed: Option<f64>,
    at_a_time: usize,
    ledger: Option<&Path>,
) -> Result<(), Failure> {
    let mut ledger = ledger.map(Ledger::open).transpose()?;
    let stop = Stop::listening()?;
    let pool = ThreadPoolBuilder::new().num_threads(at_a_time).build();
    let pool = pool.map_err(|error| Failure::new(format!("threads cannot be started: {error}")))?;
    let from = plan.from.timestamp();
    let (began, mut totals) = (Instant::now(), Totals::default());
    let bar = progress::styled(ProgressBar::new(seconds(from, plan.to)));
    // How long it is until a push is due.
    let wait = |push: &Push| {
        let due = speed.map_or(0.0, |speed| push.at.duration_since(from).as_secs_f64().max(0.0) / speed);
        Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX).saturating_sub(began.elapsed())
    };
    let deliver = |push: &Push| {
        let mut entry = LedgerEntry::new(push.at, &push.body);
        let delivered = target.deliver(push, &mut entry, &stop);
        (entry, delivered)
    };
    let mut pushes = pushes.peekable();
    let mut result = Ok(());
    while let (Ok(()), Some(next)) = (&result, pushes.peek()) {
        bar.set_position(seconds(from, next.at));
        bar.set_message(format!("{} readings", totals.readings));
        stop.sleep(wait(next));
        if stop.is_asked() {
            let what = "interrupted; each push until then was delivered as a whole".to_owned();
            result = Err(Failure { what, exit: INTERRUPTED });
            break;
        }
        let due = iter::from_fn(|| pushes.next_if(|push| wait(push).is_zero()));
        let due: Vec<Push> = due.take(at_a_time).collect();
        let delivered: Vec<_> = pool.install(|| due.par_iter().with_max_len(1).map(deliver).collect());
        for (entry, delivered) in delivered {
            totals.add(&entry);
            let recorded = ledger.as_mut().map_or(Ok(()), |ledger| ledger.add(&entry));
            result = result.and(delivered).and(recorded);
        }
    }
    bar.finish_and_clear();
    totals.print(began, ledger.as_ref());
    result.and(totals.without_refusals())
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0)
}

/// The sums of what was delivered.
#[derive(Clone, Debug, Default)]
struct Totals {
    pushes: usize,
    readings: usize,
    rejections: usize,
    /// Bodies that are no batch, and were refused as such.
    bad_bodies: usize,
    duplicates: usize,
    alerts: usize,
    /// Other refused pushes, by their status.
    refused: BTreeMap<u16, usize>,
    unanswered: usize,
}

impl Totals {
    fn add(&mut self, entry: &LedgerEntry) {
        let answer = entry.answer.unwrap_or_default();
        self.pushes += 1;
        self.readings += answer.accepted;
        self.rejections += answer.rejected;
        self.duplicates += answer.duplicates;
        self.alerts += answer.alerts;
        match entry.status {
            None => self.unanswered += 1,
            Some(400) if !entry.is_batch => self.bad_bodies += 1,
            Some(status @ 300..) => *self.refused.entry(status).or_default() += 1,
            Some(_) => {}
        }
    }

    /// Fails if a push was refused that should have been stored.
    fn without_refusals(&self) -> Result<(), Failure> {
        if self.refused.is_empty() {
            return Ok(());
        }
        let each = self.refused.iter().map(|(status, count)| format!("{count} with {status}"));
        let each = each.collect::<Vec<_>>().join(", ");
        Err(Failure::new(format!(
            "pushes were refused, and nothing of them was stored: {each}. The endpoint's log says why"
        )))
    }

    fn print(&self, began: Instant, ledger: Option<&Ledger<'_>>) {
        let Self { pushes, readings, rejections, bad_bodies, duplicates, alerts, refused, unanswered } = self;
        let refused: usize = refused.values().sum();
        let seconds = began.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 readings")]
        let rate = *readings as f64 / seconds.max(0.001);
        let mut text = format!(
            "{pushes} pushes, {readings} readings in {seconds:.1} s ({rate:.0} a second); {rejections} bad items, {bad_bodies} \
             bad bodies, {duplicates} duplicates, {alerts} alerts, {refused} pushes refused, {unanswered} without an answer\n"
        );
        if let Some(Ledger { path, .. }) = ledger {
            let path = path.display();
            text += &format!(
                "Recorded in {path}. To verify that all is stored: smartclean-push simulate --verify DATA --ledger {path}\n"
            );
        }
        let _ = write!(anstream::stdout(), "{text}");
    }
}

/// The ledger's file, which lines are added to.
struct Ledger<'p> {
    path: &'p Path,
    file: File,
}

impl<'p> Ledger<'p> {
    fn open(path: &'p Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.map(|file| Self { path, file }).map_err(|error| not_written(path, &error))
    }

    /// Adds a line, in one write: whatever ends the process, the line is there or it is not.
    fn add(&mut self, entry: &LedgerEntry) -> Result<(), Failure> {
        let written = serde_json::to_string(entry).map_err(Into::into);
        let written = written.and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()));
        written.map_err(|error| not_written(self.path, &error))
    }
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("the ledger {} cannot be written: {error}. Choose another with --ledger", path.display()))
}
