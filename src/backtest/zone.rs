//! One zone: its devices, and what each set of rules says of them.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::arrivals::Arrivals;
use super::device::{Device, Histograms};
use super::findings::{AlertFact, Crossing};
use super::hearing::{Event, Heard, Hearing, Word};
use super::series::Buckets;
use crate::domain::alert::Alert;
use crate::domain::reading::Reading;
use crate::domain::rules::RuleSet;

/// Rules as they are, and the same that [say when something is over](super::hearing::told_when_over).
pub(super) type Asked<'r> = (&'r RuleSet, &'r RuleSet);

/// Rules on trial, and the ones that they are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'r> {
    pub(super) rules: Asked<'r>,
    pub(super) against: Option<Asked<'r>>,
}

/// One zone.
#[derive(Debug)]
pub(super) struct Zone<'r> {
    rules: &'r RuleSet,
    hearings: Vec<(Hearing<'r>, Said)>,
    devices: Vec<Device<'r>>,
}

/// What one set of rules said of a zone.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) alerts: Vec<AlertFact>,
    pub(super) counted: u64,
    pub(super) messages: u64,
    pub(super) stale: u64,
    /// Alerts of which it was not said yet that they are over, by rule and device.
    open: HashMap<(Arc<str>, usize), Vec<usize>>,
}

impl<'r> Zone<'r> {
    pub(super) fn new(rules: Rules<'r>) -> Self {
        let hearings = std::iter::once(rules.rules).chain(rules.against);
        let hearings = hearings.map(|(asked, rules)| (Hearing::new(asked, rules), Said::default())).collect();
        Self { rules: rules.rules.0, hearings, devices: Vec::new() }
    }

    /// Takes what happened, in order.
    pub(super) fn take(
        &mut self,
        events: &[Event<'_>],
        arrivals: &Arrivals,
        buckets: &Buckets,
        histograms: &mut Histograms,
    ) {
        for event in events {
            match event {
                Event::Reading { at, reading, .. } => {
                    self.device(reading, *at).take(reading, *at, buckets, histograms);
                }
                Event::Cleaned { .. } => self.devices.iter_mut().for_each(Device::cleaned),
            }
        }
        for (hearing, said) in &mut self.hearings {
            let mut heard = Heard::default();
            hearing.take(events, arrivals, &mut heard);
            said.add(heard, &self.devices);
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
        (self.devices, self.hearings.into_iter().map(|(_, said)| said).collect())
    }

    fn device(&mut self, reading: &Reading<'_>, at: Timestamp) -> &mut Device<'r> {
        let known = self.devices.iter().position(|device| device.is_of(reading));
        let index = known.unwrap_or_else(|| {
            self.devices.push(Device::of(reading, at, self.rules));
            self.devices.len() - 1
        });
        &mut self.devices[index]
    }
}

impl Said {
    fn add(&mut self, heard: Heard, devices: &[Device<'_>]) {
        self.counted += heard.counted;
        self.messages += heard.messages;
        self.stale += heard.stale;
        for word in heard.words {
            let (Word::Alert { alert, .. } | Word::Over { alert, .. }) = &word;
            // Known in any case: what raises an alert was read.
            let Some(device) = devices.iter().position(|device| device.is_at(&alert.place)) else { continue };
            let about = (Arc::from(alert.rule.as_str()), device);
            match word {
                Word::Alert { alert, lasts, blocked } => self.raise(&alert, about, lasts, blocked),
                Word::Over { at, .. } => {
                    let open = self.open.remove(&about).unwrap_or_default();
                    open.into_iter().for_each(|index| self.alerts[index].over = at);
                }
            }
        }
    }

    fn raise(&mut self, alert: &Alert, about: (Arc<str>, usize), lasts: bool, blocked: bool) {
        let (rule, device) = about.clone();
        if lasts {
            self.open.entry(about).or_default().push(self.alerts.len());
        }
        self.alerts.push(AlertFact {
            id: alert.id,
            rule,
            severity: alert.severity,
            device,
            at: alert.at,
            over: alert.at,
            breach: alert.breaches.first().map(|breach| Crossing {
                metric: Arc::from(breach.metric.as_str()),
                value: breach.value,
                comparison: breach.comparison,
                limit: breach.limit,
                unit: breach.unit,
            }),
            blocked,
        });
    }

    /// What is not over when the history ends lasted as long as it.
    fn end(&mut self, last: Timestamp) {
        for index in std::mem::take(&mut self.open).into_values().flatten() {
            let alert = &mut self.alerts[index];
            alert.over = alert.over.max(last);
        }
    }
}
