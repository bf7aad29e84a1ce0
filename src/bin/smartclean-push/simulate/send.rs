//! Pushes over HTTP: several at a time, at their pace, each noted before and after.

use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use smartclean_push::simulate::{Entry, Plan, Push, Pushes, Reply};

use super::client::Patient;
use super::ledger_file::LedgerFile;
use super::progress::Progress;
use crate::stop::{INTERRUPTED, Stop};
use crate::{Failure, environment};

/// How fast pushes go out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Simulated seconds in a real one; `None` is as fast as the endpoint answers.
    pub(super) speed: Option<f64>,
    /// Pushes that are under way at the same time.
    pub(super) connections: usize,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    pushes: u64,
    readings: u64,
    rejected: u64,
    refused: u64,
    duplicates: u64,
    alerts: u64,
    unanswered: u64,
}

/// A run, as its threads share it.
struct Run {
    endpoint: Patient,
    ledger: LedgerFile,
    /// Tells this run's lines in the ledger from those of others.
    number: i64,
    stop: Stop,
    progress: Progress,
    tally: Mutex<Tally>,
    /// Why it ends early.
    failure: Mutex<Option<Failure>>,
}

pub(super) fn run(url: &str, plan: &Plan, pushes: Pushes, pace: Pace, ledger: &Path) -> Result<(), Failure> {
    let credentials = environment::client()?.ok_or_else(|| {
        Failure::new("set PUSH_USERNAME and PUSH_PASSWORD to the credentials that the endpoint was given")
    })?;
    let run = Run {
        endpoint: Patient::new(url, &credentials, pace.connections),
        ledger: LedgerFile::open(ledger)?,
        number: Timestamp::now().as_millisecond(),
        stop: Stop::listening()?,
        progress: Progress::of(plan),
        tally: Mutex::default(),
        failure: Mutex::default(),
    };
    let (sender, receiver) = sync_channel(0);
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        for _ in 0..pace.connections {
            scope.spawn(|| run.work(&receiver));
        }
        run.feed(pushes, plan.from, pace.speed, sender);
    });
    run.progress.end();
    run.conclude()
}

impl Run {
    /// Hands out the pushes, each not before its time.
    fn feed(&self, pushes: Pushes, from: Timestamp, speed: Option<f64>, sender: SyncSender<(u64, Push)>) {
        let began = Instant::now();
        for (number, push) in (1..).zip(pushes) {
            if let Some(speed) = speed {
                let due = push.at.duration_since(from).as_secs_f64().max(0.0) / speed;
                let due = Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX);
                self.stop.sleep(due.saturating_sub(began.elapsed()));
            }
            // Who takes none any more has failed, and says why.
            if self.is_over() || sender.send((number, push)).is_err() {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop.is_asked() || locked(&self.failure).is_some()
    }

    fn work(&self, pushes: &Mutex<Receiver<(u64, Push)>>) {
        loop {
            let next = locked(pushes).recv();
            let Ok((number, push)) = next else { return };
            if self.is_over() {
                continue;
            }
            if let Err(failure) = self.push(number, &push) {
                locked(&self.failure).get_or_insert(failure);
            }
        }
    }

    fn push(&self, number: u64, push: &Push) -> Result<(), Failure> {
        let entry = Entry::of(self.number, number, Timestamp::now(), &push.body);
        self.ledger.add(&entry)?;
        let came = self.endpoint.push(&push.body, &self.stop);
        self.ledger.add(&Reply {
            run: self.number,
            push: number,
            status: came.status,
            answer: came.answer,
            error: came.status.is_none().then(|| "no answer".to_owned()),
        })?;
        let tally = {
            let mut tally = locked(&self.tally);
            tally.pushes += 1;
            tally.refused += u64::from(came.status == Some(400));
            tally.unanswered += u64::from(came.status.is_none_or(|status| status > 400));
            if let Some(answer) = came.answer {
                tally.readings += answer.accepted as u64;
                tally.rejected += answer.rejected as u64;
                tally.duplicates += answer.duplicates as u64;
                tally.alerts += answer.alerts as u64;
            }
            *tally
        };
        self.progress.reached(push.at, tally.readings);
        came.end.map_or(Ok(()), |end| Err(Failure::new(end)))
    }

    fn conclude(self) -> Result<(), Failure> {
        let tally = *locked(&self.tally);
        let ledger = self.ledger.path().display();
        let _ = writeln!(
            anstream::stdout(),
            "{} pushes, {} readings accepted in {:.1} s ({} a second); {} bad items rejected, {} bodies refused, \
             {} duplicates, {} alerts, {} pushes without an answer\nNoted in {ledger}. To prove that all is kept: \
             smartclean-push simulate --verify DATA{option}",
            tally.pushes,
            tally.readings,
            self.progress.seconds(),
            self.progress.rate(tally.readings),
            tally.rejected,
            tally.refused,
            tally.duplicates,
            tally.alerts,
            tally.unanswered,
            option = if self.ledger.path() == Path::new(super::LEDGER) {
                String::new()
            } else {
                format!(" --ledger {ledger}")
            },
        );
        match self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => Err(failure),
            None if self.stop.is_asked() => Err(Failure {
                what: "interrupted; what was sent until then is in the ledger".into(),
                exit: INTERRUPTED,
            }),
            None => Ok(()),
        }
    }
}

/// A lock that a thread which panicked does not keep from the others: each value behind one is whole between two lines.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
