//! One zone: its devices, and what each set of rules says of them.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::arrivals::Arrivals;
use super::device::{Device, Histograms};
use super::findings::{AlertFact, Crossing, OddTimes, Outliers, ReadingCounts, Span};
use super::hearing::{Heard, HeardAlert, Hearing, RuleSets, Visit};
use domain::alert::{Alert, Place};
use domain::engine::{counts_at, is_stale};
use domain::reading::{Reading, Source};

/// Rules on trial, and the ones that they are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'r> {
    pub(super) rules: RuleSets<'r>,
    pub(super) against: Option<RuleSets<'r>>,
}

impl<'r> Rules<'r> {
    /// Both, the ones on trial first.
    pub(super) fn each(self) -> impl Iterator<Item = RuleSets<'r>> {
        std::iter::once(self.rules).chain(self.against)
    }

    /// Whether any rule is about what comes from `source`.
    pub(super) fn are_about(self, source: &Source<'_>) -> bool {
        self.each().any(|sets| sets.are_about(source))
    }
}

/// One zone.
#[derive(Debug)]
pub(super) struct Zone<'r> {
    rules: Rules<'r>,
    hearings: Vec<(Hearing<'r>, Said)>,
    /// When its last cleaning ended.
    cleaned: Option<Timestamp>,
    devices: Devices<'r>,
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
struct Devices<'r> {
    /// In order of first appearance.
    all: Vec<Device<'r>>,
    /// By id; those of an id differ by type.
    by_id: HashMap<String, Vec<usize>>,
    /// By id and type as alerts spell them.
    by_place: HashMap<(Option<String>, String), usize>,
}

/// What one set of rules said of a zone.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) alerts: Vec<AlertFact>,
    pub(super) counted: u64,
    pub(super) messages: u64,
    /// Alerts that last, by device.
    open: HashMap<usize, Vec<usize>>,
    /// Sums and counts that were sent: the alert, and the first end of a cleaning that takes something away from it.
    sums: Vec<(usize, Timestamp)>,
    /// When the last sum or count was, by rule and device.
    last_sum: HashMap<(Arc<str>, usize), Timestamp>,
}

impl<'r> Zone<'r> {
    pub(super) fn new(rules: Rules<'r>) -> Self {
        let hearings = rules.each().map(|rules| (Hearing::new(rules), Said::default())).collect();
        Self { rules, hearings, cleaned: None, devices: Devices::default(), tally: Tally::default() }
    }

    /// Takes what a push brought. No reading of this history can be older than `since`.
    pub(super) fn take(
        &mut self,
        visit: &Visit<'_>,
        arrivals: &Arrivals,
        since: Timestamp,
        histograms: &mut Histograms,
    ) {
        for at in &visit.cleanings {
            if self.cleaned.is_none_or(|cleaned| *at > cleaned) {
                self.cleaned = Some(*at);
                self.devices.all.iter_mut().for_each(|device| device.cleaned(*at));
                self.hearings.iter_mut().for_each(|(_, said)| said.cleaned(*at));
            }
        }
        let seen: Vec<usize> = visit.readings.iter().map(|reading| self.devices.index(reading, self.rules)).collect();
        self.measure(visit, &seen, since, histograms);
        for (number, (hearing, said)) in self.hearings.iter_mut().enumerate() {
            let watched =
                visit.readings.iter().zip(&seen).filter(|(_, index)| self.devices.all[**index].is_watched[number]);
            let readings: Vec<&Reading<'_>> = watched.map(|(reading, _)| *reading).collect();
            let mut heard = Heard::default();
            hearing.take(visit, &readings, arrivals, &mut heard);
            said.add(heard, &self.devices);
            let changed = if visit.cleanings.is_empty() { seen.clone() } else { said.open.keys().copied().collect() };
            said.note_what_is_over(&changed, hearing, &self.devices, visit.received);
        }
    }

    /// Counts and measures the readings of a visit, in order of time. `seen` are their devices.
    fn measure(&mut self, visit: &Visit<'_>, seen: &[usize], since: Timestamp, histograms: &mut Histograms) {
        let received = visit.received;
        let timed = visit
            .readings
            .iter()
            .zip(seen)
            .map(|(reading, index)| (counts_at(reading.time, received), *index, *reading));
        let mut timed: Vec<(Timestamp, usize, &Reading<'_>)> = timed.collect();
        timed.sort_by_key(|(at, ..)| *at);
        for (at, index, reading) in timed {
            let device = &mut self.devices.all[index];
            if device.has_had(reading) {
                self.tally.counts.duplicates += 1;
                continue;
            }
            let is_stale = is_stale(self.rules.rules.rules, at, received);
            device.take(reading, at, !is_stale, histograms);
            self.tally.take(at, index, reading, since);
            self.tally.counts.stale += u64::from(is_stale);
            self.tally.counts.implausible += if is_stale { 0 } else { reading.implausible() as u64 };
        }
    }

    /// What was found, when the history has ended with `last`: the devices, and what each set of rules said of them, by
    /// their place in this zone.
    pub(super) fn end(mut self, last: Timestamp) -> (Vec<Device<'r>>, Vec<Said>) {
        for (hearing, said) in &mut self.hearings {
            let mut heard = Heard::default();
            hearing.end(&mut heard);
            said.add(heard, &self.devices);
            said.end(last);
        }
        (self.devices.all, self.hearings.into_iter().map(|(_, said)| said).collect())
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
    pub(super) fn add(&mut self, of_zone: Self, numbered: impl Fn(usize) -> usize) {
        let Self { counts, outliers, .. } = of_zone;
        self.counts.judged += counts.judged;
        self.counts.duplicates += counts.duplicates;
        self.counts.stale += counts.stale;
        self.counts.implausible += counts.implausible;
        let merged = |known: Option<OddTimes>, new: Option<OddTimes>| match new {
            Some(new) => Some(OddTimes { device: numbered(new.device), ..new }.and(known)),
            None => known,
        };
        self.outliers = Outliers {
            before: merged(self.outliers.before, outliers.before),
            ahead: merged(self.outliers.ahead, outliers.ahead),
        };
    }
}

impl<'r> Devices<'r> {
    /// The number of the device that a reading is of; a new one begins as of `at`.
    fn index(&mut self, reading: &Reading<'_>, rules: Rules<'r>) -> usize {
        let id = reading.source.device.as_deref().unwrap_or_default();
        let of_id = self.by_id.get(id).into_iter().flatten();
        let known = of_id.copied().find(|index| self.all[*index].device_type() == reading.source.device_type);
        known.unwrap_or_else(|| {
            let device = Device::of(reading, rules);
            let index = self.all.len();
            self.by_id.entry(id.to_owned()).or_default().push(index);
            self.by_place.entry(named(&device.place)).or_insert(index);
            self.all.push(device);
            index
        })
    }

    /// The number of the device that an alert is of: known, because it was read.
    fn of(&self, alert: &Alert) -> Option<usize> {
        self.by_place.get(&named(&alert.place)).copied()
    }
}

fn named(place: &Place) -> (Option<String>, String) {
    (place.device.clone(), place.device_type.clone())
}

impl Said {
    fn add(&mut self, heard: Heard, devices: &Devices<'_>) {
        self.counted += heard.counted;
        self.messages += heard.messages;
        for heard in &heard.alerts {
            if let Some(device) = devices.of(&heard.alert) {
                self.raise(heard, device);
            }
        }
    }

    fn raise(&mut self, heard: &HeardAlert, device: usize) {
        let HeardAlert { alert, blocked, over, .. } = heard;
        let (index, rule) = (self.alerts.len(), Arc::<str>::from(alert.rule.as_str()));
        if heard.lasts() && over.is_none() {
            self.open.entry(device).or_default().push(index);
        }
        if let Some(from) = heard.counted_from() {
            let last = self.last_sum.insert((Arc::clone(&rule), device), alert.at);
            let after = last.and_then(|last| last.checked_add(SignedDuration::from_nanos(1)).ok());
            if !blocked {
                self.sums.push((index, after.map_or(from, |after| after.max(from))));
            }
        }
        self.alerts.push(AlertFact {
            id: alert.id,
            rule,
            severity: alert.severity,
            device,
            at: alert.at,
            over: over.unwrap_or(alert.at),
            breach: alert.breaches.first().map(|breach| Crossing {
                metric: Arc::from(breach.metric.as_str()),
                value: breach.value,
                comparison: breach.comparison,
                limit: breach.limit,
                unit: breach.unit,
            }),
            blocked: *blocked,
            avoidable: false,
        });
    }

    /// Notes that a push brought a cleaning that ended at `at`: too late for what was sent before.
    fn cleaned(&mut self, at: Timestamp) {
        let alerts = &mut self.alerts;
        // A zone's cleanings come in order of time, or change nothing: what is before this one is before all that follow.
        self.sums.retain(|(index, from)| {
            let alert = &mut alerts[*index];
            alert.avoidable = (*from..=alert.at).contains(&at);
            alert.at > at && !alert.avoidable
        });
    }

    /// Notes which alerts of these devices are over, now that a push was taken.
    fn note_what_is_over(&mut self, seen: &[usize], hearing: &Hearing<'_>, devices: &Devices<'_>, now: Timestamp) {
        for device in seen {
            let Some(open) = self.open.get_mut(device) else { continue };
            let alerts = &mut self.alerts;
            open.retain(|index| {
                let alert = &mut alerts[*index];
                let over = hearing.over(&alert.rule, devices.all[*device].id(), alert.at, now);
                alert.over = over.map_or(alert.over, |over| over.max(alert.at));
                over.is_none()
            });
            if open.is_empty() {
                self.open.remove(device);
            }
        }
    }

    /// What is not over when the history ends lasted as long as it.
    fn end(&mut self, last: Timestamp) {
        for index in std::mem::take(&mut self.open).into_values().flatten() {
            let alert = &mut self.alerts[index];
            alert.over = alert.over.max(last);
        }
    }
}
