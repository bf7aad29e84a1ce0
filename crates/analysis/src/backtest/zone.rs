//! A zone of the history: its devices, its counts, and the evaluation by each set of rules.

use jiff::Timestamp;

use super::arrivals::Arrivals;
use super::device::ZoneDevices;
use super::evaluator::{HistoryEvaluator, ZonePush};
use super::findings::{OddTimes, Outliers, ReadingCounts, Span};
use super::trial_rules::TrialRules;
use domain::engine::{counts_at, is_stale};
use domain::reading::Reading;

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
        let cleanings = push.responses.iter().filter(|response| response.alert.is_none());
        for at in cleanings.filter_map(|response| response.done) {
            if self.cleaned.is_none_or(|cleaned| at > cleaned) {
                self.cleaned = Some(at);
                self.evaluators.iter_mut().for_each(|evaluator| evaluator.cleaned(at));
            }
        }
        let devices: Vec<usize> = push.readings.iter().map(|reading| self.devices.index(reading, self.rules)).collect();
        self.measure(push, &devices, since);
        for (number, evaluator) in self.evaluators.iter_mut().enumerate() {
            let has_rules = |index: usize| self.devices.all[index].has_rules[number];
            let evaluated = push.readings.iter().zip(&devices).filter(|(_, index)| has_rules(**index));
            let readings: Vec<&Reading<'_>> = evaluated.map(|(reading, _)| *reading).collect();
            evaluator.evaluate(push, &readings, arrivals, &self.devices);
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
