//! The findings, indexed so that each section finds what it shows.

use jiff::ZonedDateTime;

use super::words::capitalised;
use crate::backtest::findings::{AlertFact, Findings, Limit};
use domain::device::DeviceType;
use domain::location::Location;

/// The findings with their indices.
pub(super) struct View<'a> {
    pub(super) findings: &'a Findings,
    /// The alerts of the rules on trial, by device.
    pub(super) by_device: Vec<Vec<&'a AlertFact>>,
    nowhere: Location,
}

impl<'a> View<'a> {
    pub(super) fn of(findings: &'a Findings) -> Self {
        let mut by_device = vec![Vec::new(); findings.devices.len()];
        for alert in &findings.rules.alerts {
            if let Some(alerts) = by_device.get_mut(alert.device) {
                alerts.push(alert);
            }
        }
        Self { findings, by_device, nowhere: Location::default() }
    }

    /// Where the device of that index is.
    pub(super) fn location(&self, device: usize) -> &Location {
        self.findings.devices.get(device).map_or(&self.nowhere, |device| &device.location)
    }

    /// The title of a rule, or its id in words if it has none.
    pub(super) fn title(&self, rule: &str) -> String {
        let curve = self.findings.curves.iter().find(|curve| &*curve.rule == rule && !curve.title.trim().is_empty());
        curve.map_or_else(|| capitalised(&rule.replace(['-', '_'], " ")), |curve| curve.title.clone())
    }

    /// The limits that are in force for a metric of a device type.
    pub(super) fn limits(&self, device_type: &str, metric: &str) -> &'a [Limit] {
        let mut all = self.findings.distributions.iter();
        let found = all.find(|one| &*one.device_type == device_type && &*one.metric == metric);
        found.map_or(&[], |distribution| &distribution.limits)
    }

    /// The location whose clock the page goes by.
    pub(super) fn usual_location(&self) -> &Location {
        let mut locations = self.findings.devices.iter().map(|device| &device.location);
        locations.find(|location| location.local_zone.is_known()).unwrap_or(&self.nowhere)
    }

    /// An alert's time on the clock of its device.
    pub(super) fn wall(&self, alert: &AlertFact) -> ZonedDateTime {
        self.location(alert.device).local_zone.on_the_wall(alert.at)
    }
}

/// The kind of a device type, in words if it is documented.
pub(super) fn type_title(device_type: &str) -> &str {
    DeviceType::named(device_type).map_or(device_type, |known| known.title)
}
