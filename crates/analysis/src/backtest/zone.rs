//! A zone of the history: its devices, its counts, and the evaluation by each set of rules.

use std::collections::HashMap;

use jiff::Timestamp;

use super::arrivals::Arrivals;
use super::device::HistoryDevice;
use super::evaluator::{HistoryEvaluator, TrialRules};
use super::findings::{OddTimes, Outliers, ReadingCounts, Span};
use domain::alert::Alert;
use domain::engine::{counts_at, is_stale};
use domain::location::Location;
use domain::reading::Reading;

/// The part of a push that is about a zone.
#[derive(Debug)]
pub(super) struct ZonePush<'t> {
    /// The index of the push in its round.
    pub(super) push: usize,
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
    /// Indices by id. Devices of an id differ by type.
    by_id: HashMap<String, Vec<usize>>,
    /// Indices by id and type as alerts have them.
    by_location: HashMap<(Option<String>, String), usize>,
}

impl<'r> HistoryZone<'r> {
    pub(super) fn new(rules: &'r [TrialRules<'r>]) -> Self {
        let evaluators = rules.iter().map(HistoryEvaluator::new).collect();
        let (devices, counts) = (ZoneDevices::default(), HistoryCounts::default());
        Self { rules, evaluators, cleaned: None, devices, counts }
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

    /// Counts the readings of a push, and adds their values to their `devices`, in order of time.
    fn measure(&mut self, push: &ZonePush<'_>, devices: &[usize], since: Timestamp) {
        let received = push.received;
        let timed = push.readings.iter().zip(devices);
        let timed = timed.map(|(reading, index)| (counts_at(reading.time, received), *index, *reading));
        let mut timed: Vec<(Timestamp, usize, &Reading<'_>)> = timed.collect();
        timed.sort_by_key(|(at, ..)| *at);
        for (at, index, reading) in timed {
            let device = &mut self.devices.all[index];
            if device.is_copy(reading) {
                self.counts.readings.duplicates += 1;
                continue;
            }
            let is_stale = is_stale(self.rules[0].rules, at, received);
            device.add(reading, at);
            self.counts.add(at, index, reading, since);
            self.counts.readings.stale += u64::from(is_stale);
            self.counts.readings.implausible += if is_stale { 0 } else { reading.implausible() as u64 };
        }
    }

    /// Ends the history, whose last reading is of `last`.
    pub(super) fn end(&mut self, last: Timestamp) {
        self.evaluators.iter_mut().for_each(|evaluator| evaluator.end(last, &self.devices));
    }
}

impl HistoryCounts {
    /// Counts a reading of the device with the index `device` as of `at`.
    fn add(&mut self, at: Timestamp, device: usize, reading: &Reading<'_>, since: Timestamp) {
        self.readings.judged += 1;
        let odd = |time| OddTimes { count: 1, oldest: time, newest: time, reading: reading.id(), device };
        if let Some(time) = reading.time.filter(|time| *time > at) {
            self.outliers.ahead = Some(odd(time).merge(self.outliers.ahead));
        }
        if at < since {
            self.outliers.before = Some(odd(at).merge(self.outliers.before));
        } else {
            self.span = Some(Span { first: at, last: at }.merge(self.span));
        }
    }

    /// Adds the counts of a zone. `numbers` are the indices of its devices among all devices.
    pub(super) fn merge(&mut self, Self { readings, outliers, .. }: Self, numbers: &[usize]) {
        self.readings.judged += readings.judged;
        self.readings.duplicates += readings.duplicates;
        self.readings.stale += readings.stale;
        self.readings.implausible += readings.implausible;
        let merge = |known: &mut Option<OddTimes>, new: Option<OddTimes>| {
            if let Some(new) = new {
                *known = Some(OddTimes { device: numbers[new.device], ..new }.merge(*known));
            }
        };
        merge(&mut self.outliers.before, outliers.before);
        merge(&mut self.outliers.ahead, outliers.ahead);
    }
}

impl ZoneDevices {
    /// The index of the device of a reading. Adds a new device.
    fn index(&mut self, reading: &Reading<'_>, rules: &[TrialRules<'_>]) -> usize {
        let id = reading.source.device.as_deref().unwrap_or_default();
        let of_id = self.by_id.get(id).into_iter().flatten();
        let known = of_id.copied().find(|index| *self.all[*index].device_type == *reading.source.device_type);
        known.unwrap_or_else(|| {
            let device = HistoryDevice::new(reading, rules);
            let index = self.all.len();
            self.by_id.entry(id.to_owned()).or_default().push(index);
            self.by_location.entry(location_key(&device.location)).or_insert(index);
            self.all.push(device);
            index
        })
    }

    /// The index of the device of an alert.
    pub(super) fn index_of_alert(&self, alert: &Alert) -> Option<usize> {
        self.by_location.get(&location_key(&alert.location)).copied()
    }
}

fn location_key(location: &Location) -> (Option<String>, String) {
    (location.device.clone(), location.device_type.clone())
}
