//! One zone: its devices, and what each set of rules says of them.

use std::sync::Arc;

use jiff::Timestamp;

use super::arrivals::Arrivals;
use super::device::{Device, Histograms};
use super::findings::{AlertFact, Crossing};
use super::hearing::{Event, Heard, Hearing};
use super::series::Buckets;
use crate::domain::alert::{Alert, Place};
use crate::domain::reading::Reading;
use crate::domain::rules::RuleSet;

/// Rules on trial, and the ones that they are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'r> {
    pub(super) rules: &'r RuleSet,
    pub(super) against: Option<&'r RuleSet>,
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
}

impl<'r> Zone<'r> {
    pub(super) fn new(rules: Rules<'r>) -> Self {
        let hearings = std::iter::once(rules.rules).chain(rules.against);
        let hearings = hearings.map(|rules| (Hearing::new(rules), Said::default())).collect();
        Self { rules: rules.rules, hearings, devices: Vec::new() }
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

    /// What was found, when the history has ended: the devices, and what each set of rules said of them, by their place
    /// in this zone.
    pub(super) fn end(mut self) -> (Vec<Device<'r>>, Vec<Said>) {
        for (hearing, said) in &mut self.hearings {
            let mut heard = Heard::default();
            hearing.end(&mut heard);
            said.add(heard, &self.devices);
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
        self.alerts.extend(heard.alerts.into_iter().filter_map(|(alert, blocked)| fact(&alert, blocked, devices)));
    }
}

/// `None` where the device is not known, which cannot be: what raises an alert was read.
fn fact(alert: &Alert, blocked: bool, devices: &[Device<'_>]) -> Option<AlertFact> {
    let is_at = |place: &Place| devices.iter().position(|device| device.is_at(place));
    Some(AlertFact {
        id: alert.id,
        rule: Arc::from(alert.rule.as_str()),
        severity: alert.severity,
        device: is_at(&alert.place)?,
        at: alert.at,
        breach: alert.breaches.first().map(|breach| Crossing {
            metric: Arc::from(breach.metric.as_str()),
            value: breach.value,
            comparison: breach.comparison,
            limit: breach.limit,
            unit: breach.unit,
        }),
        blocked,
    })
}
