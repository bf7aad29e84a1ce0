//! Rules judged by history: what they would have said, had they been in force.
//!
//! Stored pushes are read in the order in which they were first received, some at a time, and go through the same engine as
//! when they came, with the sweeps that came in between: the alerts have the same ids. Zones know nothing of each other, so
//! that each core takes its share of them. What is kept grows with devices and alerts, never with readings.

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
use self::findings::{Findings, ReadingCounts};
use self::hearing::RuleSets;
use self::shard::{Portion, Shard};
use self::zone::Rules;
use domain::engine::counts_at;
use domain::reading::{Reading, Source};
use domain::rules::{Kind, Mentioned, RuleSet};
use history::{Archive, ArchiveError, ArchivedPush, Ids, Period, Round, hours, read_pushes};

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
    /// Whether pushes whose newest reading is within `length` from `start` on may have a reading that is wanted. One that is
    /// older than its push's newest by more than an hour came too late to alert, most often.
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
/// [`ArchiveError`] where the archive cannot be read; nothing is found then.
pub fn backtest(
    archive: &dyn Archive,
    trial: &Trial,
    mut progress: impl FnMut(Progress),
) -> Result<Findings, ArchiveError> {
    let hours = hours(archive, "raw/", |start, length| trial.may_have(start, SignedDuration::from_hours(length)))?;
    let (rules, against) = (&trial.rules.1, trial.against.as_ref().map(|(_, rules)| rules));
    let loud = (without_silences(rules), against.map(without_silences));
    let sets = |rules, without_silences| RuleSets { rules, without_silences };
    let rules = Rules {
        rules: sets(rules, &loud.0),
        against: against.zip(loud.1.as_ref()).map(|(rules, loud)| sets(rules, loud)),
    };
    let mut court = Court::new(trial, rules);
    let mut told = Progress { hours: hours.len(), ..Progress::default() };
    progress(told);
    thread::scope(|scope| {
        // One round is read while the one before it is judged, and none before that is wanted.
        let (send, receive) = sync_channel(1);
        let hours = &hours;
        let reader = scope.spawn(move || read_pushes(archive, hours, |round| send.send(round).is_ok()));
        for round in receive {
            court.take(&round);
            told = Progress { hours_done: round.hours, readings: told.readings + court.readings, ..told };
            progress(told);
        }
        reader.join().unwrap_or_else(|_| Err(ArchiveError::not_read("the archive", "the reader failed; this is a bug")))
    })?;
    Ok(court.end())
}

/// The same rules without those that are about silence.
fn without_silences(rules: &RuleSet) -> RuleSet {
    let mut rules = rules.clone();
    rules.rules.retain(|rule| rule.kind != Kind::Silence);
    rules
}

/// Where a history is judged.
struct Court<'r> {
    trial: &'r Trial,
    rules: Rules<'r>,
    arrivals: Arrivals,
    /// When the first push with a wanted reading was received.
    began: Option<Timestamp>,
    /// When the last push was received, of those judged so far.
    judged_until: Timestamp,
    /// Readings of the last round.
    readings: u64,
    counts: ReadingCounts,
    /// The ids of the history, if the rules on trial name any.
    ids: Option<Ids>,
    shards: Vec<Shard<'r>>,
}

/// A push and its readings.
struct ReadPush<'t> {
    received: Timestamp,
    readings: Vec<Reading<'t>>,
    /// Lines that are no reading.
    unreadable: u64,
}

impl<'t> ReadPush<'t> {
    fn of(push: &'t ArchivedPush) -> Self {
        let lines = push.lines.lines().count();
        let readings: Vec<_> = push.lines.lines().filter_map(|line| Reading::read(line).ok()).collect();
        Self { received: push.received, unreadable: (lines - readings.len()) as u64, readings }
    }
}

impl<'r> Court<'r> {
    fn new(trial: &'r Trial, rules: Rules<'r>) -> Self {
        Self {
            trial,
            rules,
            arrivals: Arrivals::default(),
            began: None,
            judged_until: Timestamp::MIN,
            readings: 0,
            counts: ReadingCounts::default(),
            ids: names_ids(&trial.rules.1).then(Ids::default),
            shards: (0..SHARDS).map(|_| Shard::new(rules)).collect(),
        }
    }

    fn take(&mut self, round: &Round) {
        self.counts.undated += round.undated;
        let pushes: Vec<ReadPush<'_>> = round.pushes.par_iter().map(ReadPush::of).collect();
        let mut shares: Vec<Vec<Portion<'_>>> = (0..SHARDS).map(|_| Vec::new()).collect();
        self.readings = 0;
        for (number, push) in pushes.iter().enumerate() {
            self.counts.unreadable += push.unreadable;
            if !push.readings.is_empty() {
                self.arrivals.note(push.received);
            }
            self.share_out(number, push, &mut shares);
        }
        // The earliest that a reading can be from which came with the first push.
        let since = self.began.and_then(|began| began.checked_sub(self.trial.rules.1.max_age).ok());
        let (arrivals, since) = (&self.arrivals, since.unwrap_or(Timestamp::MIN));
        self.shards.par_iter_mut().zip(shares).for_each(|(shard, share)| shard.take(&share, arrivals, since));
    }

    /// Gives each share of the zones what a push brought of it.
    fn share_out<'t>(&mut self, number: usize, push: &'t ReadPush<'t>, shares: &mut [Vec<Portion<'t>>]) {
        let received = push.received;
        for reading in &push.readings {
            if let Some(ids) = &mut self.ids {
                ids.note(&reading.source);
            }
            if !self.is_wanted(reading, received) {
                continue;
            }
            self.began.get_or_insert(received);
            self.counts.late += u64::from(received < self.judged_until);
            if let Some(cleaning) = &reading.cleaning {
                self.counts.cleanings += 1;
                let share = &mut shares[shard::of_name(&cleaning.zone, SHARDS)];
                portion(share, number, received).cleanings.push(cleaning);
                // Most often no rule is about what reports it.
                if !self.rules.are_about(&reading.source) {
                    continue;
                }
            }
            self.readings += 1;
            portion(&mut shares[shard::of(reading, SHARDS)], number, received).readings.push(reading);
        }
        self.judged_until = self.judged_until.max(received);
    }

    fn is_wanted(&self, reading: &Reading<'_>, received: Timestamp) -> bool {
        let Trial { period, zones, device_types, .. } = self.trial;
        let Source { zone, device_type, .. } = &reading.source;
        let zone = reading.cleaning.as_ref().map(|cleaning| cleaning.zone.as_str()).or(zone.as_deref());
        period.contains(counts_at(reading.time, received))
            && (zones.is_empty() || zone.is_some_and(|zone| zones.iter().any(|wanted| wanted == zone)))
            && (device_types.is_empty()
                || reading.cleaning.is_some()
                || device_types.iter().any(|wanted| *wanted == **device_type))
    }

    fn end(self) -> Findings {
        let unknown = self.ids.map(|ids| ids.unknown(&self.trial.rules.1)).unwrap_or_default();
        let names = std::iter::once(&self.trial.rules).chain(&self.trial.against).map(|(name, _)| name.clone());
        verdict::findings(
            self.shards,
            verdict::Frame {
                rules: &self.trial.rules.1,
                names: names.collect(),
                counts: self.counts,
                unknown_ids: unknown.iter().map(ToString::to_string).collect(),
                wanted_a_week: self.trial.wanted_a_week,
            },
        )
    }
}

/// Whether rules name an id, so that those of the history are worth noting.
fn names_ids(rules: &RuleSet) -> bool {
    rules.mentions.iter().any(|mention| !matches!(mention.what, Mentioned::Rule | Mentioned::Type))
}

/// The portion of push number `number` in a share; it is the last one there, or begins now.
fn portion<'s, 't>(share: &'s mut Vec<Portion<'t>>, number: usize, received: Timestamp) -> &'s mut Portion<'t> {
    if share.last().is_none_or(|portion| portion.push != number) {
        share.push(Portion { push: number, received, readings: Vec::new(), cleanings: Vec::new() });
    }
    let last = share.len() - 1;
    &mut share[last]
}
