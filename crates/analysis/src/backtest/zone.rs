//! A zone of the history: its devices, its counts, and the evaluation by each set of rules.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;

use super::arrivals::Arrivals;
use super::device::HistoryDevice;
use super::evaluator::{HistoryEvaluator, TrialRules};
use super::findings::{OddTimes, Outliers, ReadingCounts, Span};
use domain::alert::Alert;
use domain::engine::{counts_at, is_stale};
use domain::location::Location;
use domain::reading::{Reading, Source};

/// The part of a push that is about a zone.
#[derive(Debug)]
pub(super) struct ZonePush<'t> {
    /// First receipt of the push.
    pub(super) received: Timestamp,
    /// Ends of cleanings of the zone.
    pub(super) cleanings: Vec<Timestamp>,
    /// Readings from the zone, in the order of the push.
    pub(super) readings: Vec<&'t Reading<'t>>,
}

/// A zone of the history.
#[derive(Debug)]
pub(super) struct HistoryZone<'r> {
    rules: &'r [TrialRules<'r>],
    pub(super) evaluators: Vec<HistoryEvaluator<'r>>,
    /// The end of the last cleaning.
    cleaned: Option<Timestamp>,
    pub(super) devices: ZoneDevices,
    pub(super) counts: HistoryCounts,
}

/// The counts of readings.
#[derive(Debug, Default)]
pub(super) struct HistoryCounts {
    pub(super) readings: ReadingCounts,
    pub(super) span: Option<Span>,
    pub(super) outliers: Outliers,
}

/// The devices of a zone.
#[derive(Debug, Default)]
pub(super) struct ZoneDevices {
    /// In order of first appearance.
    pub(super) all: Vec<HistoryDevice>,
    /// Indices by id and type as readings have them.
    by_source: HashMap<(Cow<'static, str>, Cow<'static, str>), usize>,
    /// Indices by id and type as alerts have them.
    by_location: HashMap<(Option<String>, String), usize>,
}

impl<'r> HistoryZone<'r> {
    pub(super) fn new(rules: &'r [TrialRules<'r>]) -> Self {
        Self {
            rules,
            evaluators: rules.iter().map(HistoryEvaluator::new).collect(),
            cleaned: None,
            devices: ZoneDevices::default(),
            counts: HistoryCounts::default(),
        }
    }

    /// Evaluates a push. No reading of the history can be older than `since`.
    pub(super) fn add(&mut self, push: &ZonePush<'_>, arrivals: &Arrivals, since: Timestamp) {
        for at in &push.cleanings {
            if self.cleaned.is_none_or(|cleaned| *at > cleaned) {
                self.cleaned = Some(*at);
                self.evaluators.iter_mut().for_each(|evaluator| evaluator.cleaned(*at));
            }
        }
        let devices: Vec<usize> = push.readings.iter().map(|reading| self.devices.index(reading, self.rules)).collect();
        self.measure(push, &devices, since);
        for (number, evaluator) in self.evaluators.iter_mut().enumerate() {
            let has_rules = |index: usize| self.devices.all[index].has_rules[number];
            let evaluated = push.readings.iter().zip(&devices).filter(|(_, index)| has_rules(**index));
            let readings: Vec<&Reading<'_>> = evaluated.map(|(reading, _)| *reading).collect();
            evaluator.evaluate(push, &readings, &devices, arrivals, &self.devices);
        }
    }

    /// Runs the sweeps after the last push of the zone, up to `until`.
    pub(super) fn sweep_until(&mut self, until: Timestamp, arrivals: &Arrivals) {
        self.evaluators.iter_mut().for_each(|evaluator| evaluator.sweep_until(until, arrivals, &self.devices));
    }

    /// Counts the readings of a push, and adds their values to their `devices`.
    fn measure(&mut self, push: &ZonePush<'_>, devices: &[usize], since: Timestamp) {
        for (reading, index) in push.readings.iter().zip(devices) {
            let device = &mut self.devices.all[*index];
            if device.is_copy(reading) {
                self.counts.readings.duplicates += 1;
                continue;
            }
            let at = counts_at(reading.time, push.received);
            device.readings += 1;
            if at >= since {
                device.add(reading, at);
            }
            self.counts.add(at, *index, reading, since);
            let is_stale = is_stale(self.rules[0].rules, at, push.received);
            self.counts.readings.stale += u64::from(is_stale);
            self.counts.readings.implausible += if is_stale { 0 } else { reading.implausible() as u64 };
        }
    }
}

impl HistoryCounts {
    /// Counts a reading of the device with the index `device` as of `at`.
    fn add(&mut self, at: Timestamp, device: usize, reading: &Reading<'_>, since: Timestamp) {
        self.readings.judged += 1;
        let odd = |time| OddTimes { count: 1, oldest: time, newest: time, reading: reading.id(), device };
        if let Some(time) = reading.time.filter(|time| *time > at) {
            merge(&mut self.outliers.ahead, odd(time), OddTimes::merge);
        }
        if at < since {
            merge(&mut self.outliers.before, odd(at), OddTimes::merge);
        } else {
            merge(&mut self.span, Span { first: at, last: at }, Span::merge);
        }
    }

    /// Adds the counts of a zone whose devices begin with the index `first`.
    pub(super) fn merge(&mut self, Self { readings, outliers, .. }: Self, first: usize) {
        self.readings.judged += readings.judged;
        self.readings.duplicates += readings.duplicates;
        self.readings.stale += readings.stale;
        self.readings.implausible += readings.implausible;
        for (known, odd) in [(&mut self.outliers.before, outliers.before), (&mut self.outliers.ahead, outliers.ahead)] {
            if let Some(odd) = odd {
                merge(known, OddTimes { device: first + odd.device, ..odd }, OddTimes::merge);
            }
        }
    }
}

/// Merges `new` into what is known.
fn merge<T: Copy>(known: &mut Option<T>, new: T, merge: impl Fn(T, T) -> T) {
    *known = Some(known.map_or(new, |known| merge(known, new)));
}

impl ZoneDevices {
    /// The index of the device of a reading. Adds a new device.
    fn index(&mut self, reading: &Reading<'_>, rules: &[TrialRules<'_>]) -> usize {
        let Source { device, device_type, .. } = &reading.source;
        let key = (device.clone().unwrap_or_default(), device_type.clone());
        if let Some(index) = self.by_source.get(&key) {
            return *index;
        }
        let device = HistoryDevice::new(reading, rules);
        let index = self.all.len();
        self.by_source.insert((key.0.into_owned().into(), key.1.into_owned().into()), index);
        self.by_location.entry(location_key(&device.location)).or_insert(index);
        self.all.push(device);
        index
    }

    /// The index of the device of an alert.
    pub(super) fn index_of_alert(&self, alert: &Alert) -> Option<usize> {
        self.by_location.get(&location_key(&alert.location)).copied()
    }
}

fn location_key(location: &Location) -> (Option<String>, String) {
    (location.device.clone(), location.device_type.clone())
}
