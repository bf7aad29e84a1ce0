//! Rules judged by history: what they would have said, had they been in force.
//!
//! Stored readings are read in the order in which they happened, some hours at a time, and go through the same engine as a
//! push. Zones know nothing of each other, so that each core takes its share of them. What is kept grows with devices and
//! alerts, never with readings.

mod arrivals;
mod curves;
mod device;
mod difference;
pub mod findings;
mod gauge;
mod hearing;
mod histogram;
mod ladder;
mod series;
mod shard;
mod verdict;
mod zone;

use std::sync::mpsc::sync_channel;
use std::thread;

use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;

use self::arrivals::Arrivals;
use self::findings::{Findings, ReadingCounts, Span};
use self::hearing::told_when_over;
use self::series::Buckets;
use self::shard::{Shard, Share};
use self::zone::Rules;
use crate::domain::reading::Source;
use crate::domain::rules::RuleSet;
use crate::history::{Archive, Arrived, Counts, Hour, Order, Period, Round, Unreadable, hours, read_rounds};

/// Shares of the zones: several for each core, because some zones have more to do than others.
const SHARDS: usize = 64;

/// What is to be judged, and by what.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The rules on trial, and what they are called.
    pub rules: (String, RuleSet),
    /// The ones that they are compared with.
    pub against: Option<(String, RuleSet)>,
    /// Readings that count within it.
    pub period: Period,
    /// Zones (`InsID`) alone; all where there is none.
    pub zones: Vec<String>,
    /// Device types alone, by short name; all where there is none.
    pub device_types: Vec<String>,
    /// How many alerts a week are wanted at most of one rule; limits are suggested by it.
    pub wanted_a_week: f64,
}

impl Trial {
    /// Whether pushes whose newest reading is within `length` from `start` on may have a reading that is wanted. What came
    /// within an hour after its time has its place in the order of events; what came later is late.
    fn may_have(&self, start: Timestamp, length: SignedDuration) -> bool {
        let hour = SignedDuration::from_hours(1);
        self.period.touches(start.checked_sub(hour).unwrap_or(start), length.saturating_add(hour))
    }
}

/// How far a backtest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Hours of history there are.
    pub hours: usize,
    /// How many of them are judged.
    pub hours_done: usize,
    /// Readings judged so far.
    pub readings: u64,
}

/// Judges rules by the readings of an archive. `progress` is told after each step.
///
/// # Errors
/// [`Unreadable`] where the archive cannot be read; nothing is found then.
pub fn backtest(
    archive: &dyn Archive,
    trial: &Trial,
    mut progress: impl FnMut(Progress),
) -> Result<Findings, Unreadable> {
    let hours = hours(archive, "raw/", |start, length| trial.may_have(start, SignedDuration::from_hours(length)))?;
    let (rules, against) = (&trial.rules.1, trial.against.as_ref().map(|(_, rules)| rules));
    let told = (told_when_over(rules), against.map(told_when_over));
    let rules = Rules { rules: (rules, &told.0), against: against.zip(told.1.as_ref()) };
    let mut court = Court::new(trial, rules, &hours);
    let mut told = Progress { hours: hours.len(), ..Progress::default() };
    progress(told);
    thread::scope(|scope| {
        // One round is read while the one before it is judged, and none before that is wanted.
        let (send, receive) = sync_channel(1);
        let hours = &hours;
        let reader = scope.spawn(move || read_rounds(archive, hours, |round| send.send(round).is_ok()));
        for round in receive {
            court.take(&round);
            told = Progress { hours_done: round.hours, readings: court.counts.judged, ..told };
            progress(told);
        }
        reader.join().unwrap_or_else(|_| Err(Unreadable::new("the archive", "the reader failed; this is a bug")))
    })?;
    court.counts.undated += undated(archive)?;
    Ok(court.end())
}

/// Objects of readings that do not say when they were taken.
fn undated(archive: &dyn Archive) -> Result<u64, Unreadable> {
    Ok(archive.keys("raw-undated/")?.len() as u64)
}

/// Where a history is judged.
struct Court<'r> {
    trial: &'r Trial,
    order: Order,
    arrivals: Arrivals,
    /// Everything before this moment was judged.
    judged_until: Timestamp,
    span: Option<Span>,
    counts: ReadingCounts,
    buckets: Buckets,
    shards: Vec<Shard<'r>>,
}

impl<'r> Court<'r> {
    fn new(trial: &'r Trial, rules: Rules<'r>, hours: &[Hour]) -> Self {
        let first = hours.first().map_or(Timestamp::UNIX_EPOCH, |hour| hour.start);
        let last = hours.last().map_or(first, Hour::end);
        let from = trial.period.since.map_or(first, |since| since.max(first));
        let until = trial.period.until.map_or(last, |until| until.min(last));
        Self {
            trial,
            order: Order::default(),
            arrivals: Arrivals::default(),
            judged_until: Timestamp::MIN,
            span: None,
            counts: ReadingCounts::default(),
            buckets: Buckets::between(from, until),
            shards: (0..SHARDS).map(|_| Shard::new(rules)).collect(),
        }
    }

    fn take(&mut self, round: &Round) {
        let mut order = std::mem::take(&mut self.order);
        order.of(round, |arrived, counts| self.judge(&arrived, counts));
        self.order = order;
        self.judged_until = round.complete;
    }

    fn judge(&mut self, arrived: &[Arrived<'_>], counts: Counts) {
        self.counts.duplicates += counts.duplicates;
        self.counts.undated += counts.undated;
        self.counts.unreadable += counts.unreadable;
        let mut shares: Vec<Share<'_>> = (0..SHARDS).map(|_| Share::default()).collect();
        for arrived in arrived {
            self.arrivals.note(arrived.turn);
            if self.is_wanted(arrived) {
                self.count(arrived);
                shares[shard::of(&arrived.reading, SHARDS)].take(arrived);
            }
        }
        let (arrivals, buckets) = (&self.arrivals, &self.buckets);
        self.shards.par_iter_mut().zip(shares).for_each(|(shard, share)| shard.take(share, arrivals, buckets));
    }

    fn is_wanted(&self, arrived: &Arrived<'_>) -> bool {
        let Trial { period, zones, device_types, .. } = self.trial;
        let Source { zone, device_type, .. } = &arrived.reading.source;
        let zone = arrived.reading.cleaning.as_ref().map(|cleaning| cleaning.zone.as_str()).or(zone.as_deref());
        period.contains(arrived.at)
            && (zones.is_empty() || zone.is_some_and(|zone| zones.iter().any(|wanted| wanted == zone)))
            && (device_types.is_empty()
                || arrived.reading.cleaning.is_some()
                || device_types.iter().any(|wanted| *wanted == **device_type))
    }

    fn count(&mut self, arrived: &Arrived<'_>) {
        if arrived.reading.cleaning.is_some() {
            self.counts.cleanings += 1;
            return;
        }
        self.counts.judged += 1;
        let at = arrived.at;
        self.counts.late += u64::from(at < self.judged_until);
        let span = self.span.get_or_insert(Span { first: at, last: at });
        *span = Span { first: span.first.min(at), last: span.last.max(at) };
    }

    fn end(self) -> Findings {
        let names = std::iter::once(&self.trial.rules).chain(&self.trial.against).map(|(name, _)| name.clone());
        verdict::findings(
            self.shards,
            verdict::Frame {
                rules: &self.trial.rules.1,
                names: names.collect(),
                span: self.span,
                counts: self.counts,
                buckets: self.buckets,
                wanted_a_week: self.trial.wanted_a_week,
            },
        )
    }
}
