//! Evaluates rules against stored history: the alerts that they would have raised.
//!
//! Stored pushes are read in the order of their first receipt. They go through the same engine as live, with the sweeps between
//! them: the alerts have the same ids. Zones are independent of each other, and are evaluated in parallel. Memory grows with
//! devices and alerts, not with readings.

mod arrivals;
mod bins;
mod collect;
mod device;
mod difference;
mod evaluator;
pub mod findings;
mod trial_rules;
mod zone;

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::sync_channel;
use std::thread;

use foldhash::fast::RandomState;
use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;

use self::arrivals::Arrivals;
use self::evaluator::ZonePush;
use self::findings::{Findings, ReadingCounts};
use self::trial_rules::TrialRules;
use self::zone::HistoryZone;
use domain::engine::counts_at;
use domain::reading::{Reading, Source};
use domain::response::{ReceivedResponse, Response};
use domain::rules::{MentionKind, RuleSet};
use domain::state::ZoneKey;
use history::{Archive, ArchiveError, ArchivedFacts, KnownIds, Period, Round, hours, read_pushes};

/// The rules and the readings of a backtest.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The rules on trial, and their name.
    pub rules: (String, RuleSet),
    /// The rules that they are compared with.
    pub against: Option<(String, RuleSet)>,
    /// The period of readings.
    pub period: Period,
    /// Sites (`PID`); empty for all.
    pub sites: Vec<String>,
    /// Zones (`InsID`); empty for all.
    pub zones: Vec<String>,
    /// Short names of device types; empty for all.
    pub device_types: Vec<String>,
}

/// The progress of a backtest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Hours of history.
    pub hours: usize,
    /// Hours that are evaluated.
    pub hours_done: usize,
    /// Readings that are evaluated.
    pub readings: u64,
}

/// Evaluates rules against the readings of an archive. Calls `progress` after each step.
///
/// # Errors
/// [`ArchiveError`] if the archive cannot be read.
pub fn backtest(
    archive: &dyn Archive,
    trial: &Trial,
    mut progress: impl FnMut(Progress),
) -> Result<Findings, ArchiveError> {
    // A reading that is older than the newest of its push by more than an hour mostly came too late to alert.
    let until = trial.period.until.map(|until| until.checked_add(SignedDuration::from_hours(1)).unwrap_or(until));
    let hours = hours(archive, "raw/", &Period { until, ..trial.period })?;
    let rules: Vec<TrialRules<'_>> = std::iter::once(&trial.rules).chain(&trial.against).map(TrialRules::new).collect();
    let mut damaged = Vec::new();
    let mut reported = ArchivedFacts::read_reported(archive, &trial.period, &mut damaged)?;
    reported.retain(|reported| trial.zones.is_empty() || trial.zones.contains(&reported.response.zone));
    let mut run = BacktestRun::new(trial, &rules, &reported);
    let mut done = Progress { hours: hours.len(), ..Progress::default() };
    progress(done);
    damaged.extend(thread::scope(|scope| {
        // One round is read while the one before it is evaluated.
        let (send, receive) = sync_channel(1);
        let hours = &hours;
        let reader = scope.spawn(move || read_pushes(archive, hours, |round| send.send(round).is_ok()));
        for round in receive {
            done.readings += run.add(&round);
            done.hours_done = round.hours;
            progress(done);
        }
        reader.join().unwrap_or_else(|_| Err(ArchiveError::not_read("the archive", "the reader failed; this is a bug")))
    })?);
    let damaged = damaged.iter().map(ToString::to_string).collect();
    Ok(Findings { damaged, ..run.findings() })
}

/// A backtest in progress: the history evaluated so far.
struct BacktestRun<'r> {
    trial: &'r Trial,
    rules: &'r [TrialRules<'r>],
    /// The reported responses that are not evaluated, in order of receipt.
    reported: &'r [ReceivedResponse],
    zones: Vec<HistoryZone<'r>>,
    by_key: HashMap<ZoneKey<'static>, usize, RandomState>,
    arrivals: Arrivals,
    /// First receipt of a push with a wanted reading.
    began: Option<Timestamp>,
    /// Last receipt of the pushes so far.
    evaluated_until: Timestamp,
    counts: ReadingCounts,
    /// The ids of the history, if the trial has any.
    ids: Option<KnownIds>,
}

impl<'r> BacktestRun<'r> {
    fn new(trial: &'r Trial, rules: &'r [TrialRules<'r>], reported: &'r [ReceivedResponse]) -> Self {
        let has_ids = trial.rules.1.mentions.iter().any(|mention| mention.kind != MentionKind::Type);
        Self {
            trial,
            rules,
            reported,
            zones: Vec::new(),
            by_key: HashMap::default(),
            arrivals: Arrivals::default(),
            began: None,
            evaluated_until: Timestamp::MIN,
            counts: ReadingCounts::default(),
            ids: (has_ids || !trial.zones.is_empty()).then(KnownIds::default),
        }
    }

    /// Evaluates a round of pushes. Returns the number of readings.
    fn add(&mut self, round: &Round) -> u64 {
        self.counts.undated += round.undated;
        let parsed = round.pushes.par_iter().map(|push| push.lines.lines().map(Reading::read).collect());
        let parsed: Vec<Vec<Result<Reading<'_>, _>>> = parsed.collect();
        let mut zone_pushes: Vec<Vec<ZonePush<'_>>> = Vec::new();
        for (push, readings) in round.pushes.iter().zip(&parsed) {
            self.add_reported(push.received, &mut zone_pushes);
            let by_zone = self.split(push.received, readings.iter().flatten());
            self.counts.unreadable += readings.iter().filter(|reading| reading.is_err()).count() as u64;
            if readings.iter().any(Result::is_ok) {
                self.arrivals.record(push.received);
            }
            zone_pushes.resize_with(self.zones.len(), Vec::new);
            by_zone.into_iter().for_each(|(zone, part)| zone_pushes[zone].push(part));
        }
        self.evaluate(&zone_pushes);
        zone_pushes.iter().flatten().map(|part| part.readings.len() as u64).sum()
    }

    /// Adds the responses that people reported up to `until` to the pushes of their zones.
    fn add_reported<'t>(&mut self, until: Timestamp, zone_pushes: &mut Vec<Vec<ZonePush<'t>>>)
    where
        'r: 't,
    {
        let (due, later) = self.reported.split_at(self.reported.partition_point(|one| one.received <= until));
        self.reported = later;
        zone_pushes.resize_with(self.zones.len(), Vec::new);
        for ReceivedResponse { received, response } in due {
            self.counts.cleanings += u64::from(response.done.is_some() && response.alert.is_none());
            let part = || ZonePush { responses: vec![response], ..ZonePush::new(*received) };
            self.zones_of(response).for_each(|zone| zone_pushes[zone].push(part()));
        }
    }

    /// Evaluates the parts of pushes of each zone.
    fn evaluate(&mut self, zone_pushes: &[Vec<ZonePush<'_>>]) {
        // The earliest time that a reading of the first push can have.
        let since = self.began.and_then(|began| began.checked_sub(self.trial.rules.1.max_age).ok());
        let (arrivals, since) = (&self.arrivals, since.unwrap_or(Timestamp::MIN));
        self.zones.par_iter_mut().zip(zone_pushes).for_each(|(zone, parts)| {
            parts.iter().for_each(|part| zone.add(part, arrivals, since));
        });
    }

    /// Splits the readings of a push by the index of their zone.
    fn split<'t>(
        &mut self,
        received: Timestamp,
        readings: impl Iterator<Item = &'t Reading<'t>>,
    ) -> BTreeMap<usize, ZonePush<'t>> {
        let (mut by_zone, mut responses) = (BTreeMap::new(), Vec::new());
        for reading in readings {
            if let Some(ids) = &mut self.ids {
                ids.add(&reading.source);
            }
            if !self.is_wanted(reading, received) {
                continue;
            }
            self.began.get_or_insert(received);
            self.counts.late += u64::from(received < self.evaluated_until);
            if let Some(response) = &reading.response {
                self.counts.cleanings += u64::from(response.done.is_some());
                responses.push(response);
                // Mostly no rule applies to the source of a response.
                if !self.rules.iter().any(|rules| rules.apply_to(&reading.source)) {
                    continue;
                }
            }
            let zone = self.zone(ZoneKey::of(&reading.source));
            by_zone.entry(zone).or_insert_with(|| ZonePush::new(received)).readings.push(reading);
        }
        // After the readings, which can make the zone of a response known.
        for response in responses {
            for zone in self.zones_of(response) {
                by_zone.entry(zone).or_insert_with(|| ZonePush::new(received)).responses.push(response);
            }
        }
        self.evaluated_until = self.evaluated_until.max(received);
        by_zone
    }

    /// The indices of the known zones that a response is about.
    fn zones_of(&self, response: &Response) -> impl Iterator<Item = usize> {
        // An answer to the alert of a device without a zone has its id in the place of the zone's.
        let has_kind = |key: &ZoneKey<'_>| key.is_zone || response.alert.is_some();
        let is_about = move |key: &ZoneKey<'_>| has_kind(key) && response.is_about(&key.id, &key.project);
        self.by_key.iter().filter(move |(key, _)| is_about(key)).map(|(_, zone)| *zone)
    }

    /// The index of a zone. Adds a new zone.
    fn zone(&mut self, key: ZoneKey<'_>) -> usize {
        if let Some(zone) = self.by_key.get(&key) {
            return *zone;
        }
        let index = self.zones.len();
        self.zones.push(HistoryZone::new(self.rules));
        self.by_key.insert(key.into_owned(), index);
        index
    }

    fn is_wanted(&self, reading: &Reading<'_>, received: Timestamp) -> bool {
        let Trial { period, sites, zones, device_types, .. } = self.trial;
        let Source { project, zone, device_type, .. } = &reading.source;
        let zone = reading.response.as_ref().map(|response| response.zone.as_str()).or(zone.as_deref());
        period.contains(counts_at(reading.time, received))
            && (zones.is_empty() || zone.is_some_and(|zone| zones.iter().any(|wanted| wanted == zone)))
            // A response has neither a site nor a device type.
            && (reading.response.is_some()
                || (sites.is_empty() || project.as_deref().is_some_and(|site| sites.iter().any(|wanted| wanted == site)))
                    && (device_types.is_empty() || device_types.iter().any(|wanted| *wanted == **device_type)))
    }

    fn findings(mut self) -> Findings {
        let mut zone_pushes = Vec::new();
        self.add_reported(Timestamp::MAX, &mut zone_pushes);
        self.evaluate(&zone_pushes);
        // Live sweeps go on while other zones send. After `until`, all zones miss readings.
        let until = self.trial.period.until.map_or(self.evaluated_until, |until| until.min(self.evaluated_until));
        self.zones.par_iter_mut().for_each(|zone| zone.sweep_until(until, &self.arrivals));
        let ids = self.ids.unwrap_or_default();
        let in_rules = ids.unknown(&self.trial.rules.1);
        let in_rules = in_rules.iter().map(ToString::to_string);
        let unknown = ids.unknown_zones(&self.trial.zones).chain(in_rules).collect();
        collect::findings(self.zones, self.rules, self.counts, unknown)
    }
}
