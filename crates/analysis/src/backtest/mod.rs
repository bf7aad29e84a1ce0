//! Rules judged by history: what they would have said, had they been in force.
//!
//! Stored pushes are read in the order in which they were first received, some at a time, and go through the same engine as
//! when they came, with the sweeps that came in between: the alerts have the same ids. Zones know nothing of each other, so
//! that each core takes its share of them. What is kept grows with devices and alerts, never with readings.

mod arrivals;
mod bins;
mod curves;
mod device;
mod difference;
pub mod findings;
mod gauge;
mod histogram;
mod judge;
mod series;
mod verdict;
mod zone;

use std::collections::HashMap;
use std::sync::mpsc::sync_channel;
use std::thread;

use foldhash::fast::RandomState;
use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;

use self::arrivals::Arrivals;
use self::findings::{Findings, ReadingCounts};
use self::judge::TriedRules;
use self::zone::{Visit, Zone};
use domain::engine::counts_at;
use domain::reading::{Reading, Source};
use domain::rules::{MentionKind, RuleSet};
use domain::state::ZoneKey;
use history::{Archive, ArchiveError, ArchivedPush, Ids, Period, Round, hours, read_pushes};

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
    /// Where the newest readings lie of pushes that have a reading that is wanted. One that is older than its push's newest by
    /// more than an hour came too late to alert, most often.
    fn pushed_within(&self) -> Period {
        let until = self.period.until.map(|until| until.checked_add(SignedDuration::from_hours(1)).unwrap_or(until));
        Period { until, ..self.period }
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
    let hours = hours(archive, "raw/", &trial.pushed_within())?;
    let tried: Vec<TriedRules<'_>> = std::iter::once(&trial.rules).chain(&trial.against).map(TriedRules::of).collect();
    let mut court = Court::new(trial, &tried);
    let mut told = Progress { hours: hours.len(), ..Progress::default() };
    progress(told);
    let damaged = thread::scope(|scope| {
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
    let damaged = damaged.iter().map(ToString::to_string).collect();
    Ok(Findings { damaged, ..court.end() })
}

/// Where a history is judged.
struct Court<'r> {
    trial: &'r Trial,
    tried: &'r [TriedRules<'r>],
    zones: Vec<Zone<'r>>,
    by_key: HashMap<ZoneKey<'static>, usize, RandomState>,
    /// The zones of an id, one for each project: a cleaning names no project.
    by_name: HashMap<String, Vec<usize>>,
    arrivals: Arrivals,
    /// When the first push with a wanted reading was received.
    began: Option<Timestamp>,
    /// When the last push was received, of those judged so far.
    judged_until: Timestamp,
    /// Readings of the last round.
    readings: u64,
    counts: ReadingCounts,
    /// The ids of the history, if the trial names any.
    ids: Option<Ids>,
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
    fn new(trial: &'r Trial, tried: &'r [TriedRules<'r>]) -> Self {
        Self {
            trial,
            tried,
            zones: Vec::new(),
            by_key: HashMap::default(),
            by_name: HashMap::new(),
            arrivals: Arrivals::default(),
            began: None,
            judged_until: Timestamp::MIN,
            readings: 0,
            counts: ReadingCounts::default(),
            ids: (names_ids(&trial.rules.1) || !trial.zones.is_empty()).then(Ids::default),
        }
    }

    fn take(&mut self, round: &Round) {
        self.counts.undated += round.undated;
        let pushes: Vec<ReadPush<'_>> = round.pushes.par_iter().map(ReadPush::of).collect();
        let mut visits: Vec<Vec<Visit<'_>>> = Vec::new();
        self.readings = 0;
        for (number, push) in pushes.iter().enumerate() {
            self.counts.unreadable += push.unreadable;
            if !push.readings.is_empty() {
                self.arrivals.note(push.received);
            }
            self.share_out(number, push, &mut visits);
        }
        // The earliest that a reading can be from which came with the first push.
        let since = self.began.and_then(|began| began.checked_sub(self.trial.rules.1.max_age).ok());
        let (arrivals, since) = (&self.arrivals, since.unwrap_or(Timestamp::MIN));
        self.zones.par_iter_mut().zip(visits).for_each(|(zone, visits)| {
            visits.iter().for_each(|visit| zone.take(visit, arrivals, since));
        });
    }

    /// Gives each zone what a push brought of it.
    fn share_out<'t>(&mut self, number: usize, push: &'t ReadPush<'t>, visits: &mut Vec<Vec<Visit<'t>>>) {
        let received = push.received;
        let mut cleanings = Vec::new();
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
                cleanings.push(cleaning);
                // Most often no rule is about what reports it.
                if !self.tried.iter().any(|rules| rules.are_about(&reading.source)) {
                    continue;
                }
            }
            self.readings += 1;
            let zone = self.zone(ZoneKey::of(&reading.source));
            visit(visits, zone, number, received).readings.push(reading);
        }
        // A cleaning also finds a zone that is known by a reading of its own push.
        for cleaning in cleanings {
            for zone in self.by_name.get(&cleaning.zone).into_iter().flatten() {
                visit(visits, *zone, number, received).cleanings.push(cleaning.at);
            }
        }
        self.judged_until = self.judged_until.max(received);
    }

    fn zone(&mut self, key: ZoneKey<'_>) -> usize {
        if let Some(zone) = self.by_key.get(&key) {
            return *zone;
        }
        let index = self.zones.len();
        self.zones.push(Zone::new(self.tried));
        if let ZoneKey::Zone { zone, .. } = &key {
            self.by_name.entry(zone.clone().into_owned()).or_default().push(index);
        }
        self.by_key.insert(key.into_owned(), index);
        index
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
        let ids = self.ids.unwrap_or_default();
        let of_rules = ids.unknown(&self.trial.rules.1);
        let of_rules = of_rules.iter().map(ToString::to_string);
        let unknown = ids.unknown_zones(&self.trial.zones).chain(of_rules).collect();
        verdict::findings(self.zones, self.tried, self.counts, unknown, self.trial.wanted_a_week)
    }
}

/// Whether rules name an id, so that those of the history are worth noting.
fn names_ids(rules: &RuleSet) -> bool {
    rules.mentions.iter().any(|mention| !matches!(mention.kind, MentionKind::Rule | MentionKind::Type))
}

/// The visit of push number `push` in a zone; it is the zone's last one, or begins now.
fn visit<'v, 't>(
    visits: &'v mut Vec<Vec<Visit<'t>>>,
    zone: usize,
    push: usize,
    received: Timestamp,
) -> &'v mut Visit<'t> {
    if visits.len() <= zone {
        visits.resize_with(zone + 1, Vec::new);
    }
    let of_zone = &mut visits[zone];
    if of_zone.last().is_none_or(|visit| visit.push != push) {
        of_zone.push(Visit { push, received, cleanings: Vec::new(), readings: Vec::new() });
    }
    let last = of_zone.len() - 1;
    &mut of_zone[last]
}
