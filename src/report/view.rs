//! The findings, arranged so that each section finds what it shows.

use std::collections::{BTreeMap, HashMap};

use crate::backtest::findings::{AlertFact, DeviceFindings, Findings, Limit};
use crate::domain::alert::Place;
use crate::domain::device::DeviceType;
use crate::domain::severity::Severity;

use super::words::capitalised;

/// The findings with their indices.
pub(super) struct View<'a> {
    /// What is shown.
    pub(super) findings: &'a Findings,
    /// The alerts of the rules on trial, by device.
    pub(super) by_device: Vec<Vec<&'a AlertFact>>,
    titles: HashMap<&'a str, &'a str>,
    nowhere: Place,
}

impl<'a> View<'a> {
    pub(super) fn of(findings: &'a Findings) -> Self {
        let mut by_device = vec![Vec::new(); findings.devices.len()];
        for alert in &findings.rules.alerts {
            if let Some(alerts) = by_device.get_mut(alert.device) {
                alerts.push(alert);
            }
        }
        let titles = findings.curves.iter().map(|curve| (&*curve.rule, curve.title.as_str())).collect();
        Self { findings, by_device, titles, nowhere: Place::default() }
    }

    /// The device of that index.
    pub(super) fn device(&self, index: usize) -> Option<&'a DeviceFindings> {
        self.findings.devices.get(index)
    }

    /// Where the device of that index is.
    pub(super) fn place(&self, index: usize) -> &Place {
        self.device(index).map_or(&self.nowhere, |device| &device.place)
    }

    /// What a rule is called: its title where a curve tells it, else its id in words.
    pub(super) fn title(&self, rule: &str) -> String {
        match self.titles.get(rule) {
            Some(title) if !title.trim().is_empty() => (*title).to_owned(),
            _ => capitalised(&rule.replace(['-', '_'], " ")),
        }
    }

    /// The limits that are in force for a metric of a device type.
    pub(super) fn limits(&self, device_type: &str, metric: &str) -> &'a [Limit] {
        let found =
            self.findings.distributions.iter().find(|one| &*one.device_type == device_type && &*one.metric == metric);
        found.map_or(&[], |distribution| &distribution.limits)
    }

    /// The place whose clock most of the devices go by.
    pub(super) fn usual_place(&self) -> &Place {
        let mut clocks: BTreeMap<_, Vec<&Place>> = BTreeMap::new();
        for device in &self.findings.devices {
            let zone = &device.place.local_zone;
            let offset = if zone.region.is_none() { zone.offset_seconds } else { None };
            clocks.entry((&zone.region, offset)).or_default().push(&device.place);
        }
        clocks.into_values().max_by_key(Vec::len).and_then(|places| places.first().copied()).unwrap_or(&self.nowhere)
    }
}

/// What kind of device a type is, in words where it is documented.
pub(super) fn type_title(device_type: &str) -> &str {
    DeviceType::named(device_type).map_or(device_type, |known| known.title)
}

/// How many alerts of each severity there are, the worst first: "2 high, 15 medium".
pub(super) fn by_severity<'a>(alerts: impl IntoIterator<Item = &'a AlertFact>) -> Vec<(Severity, usize)> {
    let mut counts = BTreeMap::new();
    for alert in alerts {
        *counts.entry(alert.severity).or_insert(0) += 1;
    }
    counts.into_iter().rev().collect()
}
