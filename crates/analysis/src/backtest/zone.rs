//! One zone: its devices, what was read of them, and what each set of rules says.

use std::collections::HashMap;

use jiff::Timestamp;

use super::arrivals::Arrivals;
use super::device::Device;
use super::findings::{OddTimes, Outliers, ReadingCounts, Span};
use super::judge::{Judge, TriedRules};
use domain::alert::Alert;
use domain::engine::{counts_at, is_stale};
use domain::location::Location;
use domain::reading::Reading;

/// What one push brought of one zone.
#[derive(Debug)]
pub(super) struct Visit<'t> {
    /// The push's number among those that are taken together.
    pub(super) push: usize,
    /// When the push was first received.
    pub(super) received: Timestamp,
    /// When cleanings of the zone ended.
    pub(super) cleanings: Vec<Timestamp>,
    /// Readings from the zone, in the order in which they were sent.
    pub(super) readings: Vec<&'t Reading<'t>>,
}

/// One zone.
#[derive(Debug)]
pub(super) struct Zone<'r> {
    rules: &'r [TriedRules<'r>],
    pub(super) judges: Vec<Judge<'r>>,
    /// When its last cleaning ended.
    cleaned: Option<Timestamp>,
    pub(super) devices: Devices<'r>,
    pub(super) tally: Tally,
}

/// What was read of a zone.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) counts: ReadingCounts,
    pub(super) span: Option<Span>,
    pub(super) outliers: Outliers,
}

/// The devices of a zone.
#[derive(Debug, Default)]
pub(super) struct Devices<'r> {
    /// In order of first appearance.
    pub(super) all: Vec<Device<'r>>,
    /// By id; those of an id differ by type.
    by_id: HashMap<String, Vec<usize>>,
    /// By id and type as alerts spell them.
    by_location: HashMap<(Option<String>, String), usize>,
}

impl<'r> Zone<'r> {
    pub(super) fn new(rules: &'r [TriedRules<'r>]) -> Self {
        let judges = rules.iter().map(Judge::new).collect();
        Self { rules, judges, cleaned: None, devices: Devices::default(), tally: Tally::default() }
    }

    /// Takes what a push brought. No reading of this history can be older than `since`.
    pub(super) fn take(&mut self, visit: &Visit<'_>, arrivals: &Arrivals, since: Timestamp) {
        for at in &visit.cleanings {
            if self.cleaned.is_none_or(|cleaned| *at > cleaned) {
                self.cleaned = Some(*at);
                self.devices.all.iter_mut().for_each(|device| device.cleaned(*at));
                self.judges.iter_mut().for_each(|judge| judge.cleaned(*at));
            }
        }
        let seen: Vec<usize> = visit.readings.iter().map(|reading| self.devices.index(reading, self.rules)).collect();
        self.measure(visit, &seen, since);
        for (number, judge) in self.judges.iter_mut().enumerate() {
            let is_watched = |index: usize| self.devices.all[index].is_watched[number];
            let watched = visit.readings.iter().zip(&seen).filter(|(_, index)| is_watched(**index));
            let readings: Vec<&Reading<'_>> = watched.map(|(reading, _)| *reading).collect();
            judge.take(visit, &readings, &seen, arrivals, &self.devices);
        }
    }

    /// Counts and measures the readings of a visit, in order of time. `seen` are their devices.
    fn measure(&mut self, visit: &Visit<'_>, seen: &[usize], since: Timestamp) {
        let received = visit.received;
        let timed = visit.readings.iter().zip(seen);
        let timed = timed.map(|(reading, index)| (counts_at(reading.time, received), *index, *reading));
        let mut timed: Vec<(Timestamp, usize, &Reading<'_>)> = timed.collect();
        timed.sort_by_key(|(at, ..)| *at);
        for (at, index, reading) in timed {
            let device = &mut self.devices.all[index];
            if device.has_had(reading) {
                self.tally.counts.duplicates += 1;
                continue;
            }
            let is_stale = is_stale(self.rules[0].rules, at, received);
            device.take(reading, at, !is_stale);
            self.tally.take(at, index, reading, since);
            self.tally.counts.stale += u64::from(is_stale);
            self.tally.counts.implausible += if is_stale { 0 } else { reading.implausible() as u64 };
        }
    }

    /// Ends with the history, whose last reading is of `last`.
    pub(super) fn end(&mut self, last: Timestamp) {
        self.judges.iter_mut().for_each(|judge| judge.end(last, &self.devices));
    }
}

impl Tally {
    /// Counts a reading of device number `device` as of `at`.
    fn take(&mut self, at: Timestamp, device: usize, reading: &Reading<'_>, since: Timestamp) {
        self.counts.judged += 1;
        let odd = |time| OddTimes { count: 1, oldest: time, newest: time, reading: reading.id(), device };
        if let Some(time) = reading.time.filter(|time| *time > at) {
            self.outliers.ahead = Some(odd(time).and(self.outliers.ahead));
        }
        if at < since {
            self.outliers.before = Some(odd(at).and(self.outliers.before));
        } else {
            self.span = Some(Span { first: at, last: at }.and(self.span));
        }
    }

    /// Adds what was read of a zone whose devices have other numbers in the whole.
    pub(super) fn add(&mut self, Self { counts, outliers, .. }: Self, numbered: impl Fn(usize) -> usize) {
        self.counts.judged += counts.judged;
        self.counts.duplicates += counts.duplicates;
        self.counts.stale += counts.stale;
        self.counts.implausible += counts.implausible;
        let merge = |known: &mut Option<OddTimes>, new: Option<OddTimes>| {
            if let Some(new) = new {
                *known = Some(OddTimes { device: numbered(new.device), ..new }.and(*known));
            }
        };
        merge(&mut self.outliers.before, outliers.before);
        merge(&mut self.outliers.ahead, outliers.ahead);
    }
}

impl<'r> Devices<'r> {
    /// The number of the device that a reading is of; a new one if it is its first.
    fn index(&mut self, reading: &Reading<'_>, rules: &'r [TriedRules<'r>]) -> usize {
        let id = reading.source.device.as_deref().unwrap_or_default();
        let of_id = self.by_id.get(id).into_iter().flatten();
        let known = of_id.copied().find(|index| self.all[*index].device_type() == reading.source.device_type);
        known.unwrap_or_else(|| {
            let device = Device::of(reading, rules);
            let index = self.all.len();
            self.by_id.entry(id.to_owned()).or_default().push(index);
            self.by_location.entry(named(&device.location)).or_insert(index);
            self.all.push(device);
            index
        })
    }

    /// The number of the device that an alert is of: known, because it was read.
    pub(super) fn of(&self, alert: &Alert) -> Option<usize> {
        self.by_location.get(&named(&alert.location)).copied()
    }

    /// The id of a device as readings spell it.
    pub(super) fn id(&self, index: usize) -> &str {
        self.all[index].id()
    }
}

fn named(location: &Location) -> (Option<String>, String) {
    (location.device.clone(), location.device_type.clone())
}
