//! The findings with indices for the sections.

use jiff::ZonedDateTime;

use crate::backtest::findings::{AlertFact, Findings};
use domain::device::DeviceType;
use domain::location::Location;

/// The findings, with the alerts by device.
pub(super) struct View<'a> {
    pub(super) findings: &'a Findings,
    /// The alerts of the rules on trial, by device.
    pub(super) by_device: Vec<Vec<&'a AlertFact>>,
    unknown: Location,
}

impl<'a> View<'a> {
    pub(super) fn new(findings: &'a Findings) -> Self {
        let mut by_device = vec![Vec::new(); findings.devices.len()];
        for alert in &findings.rules.alerts {
            if let Some(alerts) = by_device.get_mut(alert.device) {
                alerts.push(alert);
            }
        }
        Self { findings, by_device, unknown: Location::default() }
    }

    /// The location of a device by its index.
    pub(super) fn location(&self, device: usize) -> &Location {
        self.findings.devices.get(device).map_or(&self.unknown, |device| &device.location)
    }

    /// The location whose time zone the page uses.
    pub(super) fn usual_location(&self) -> &Location {
        let mut locations = self.findings.devices.iter().map(|device| &device.location);
        locations.find(|location| location.local_zone.is_known()).unwrap_or(&self.unknown)
    }

    /// The local time of an alert.
    pub(super) fn local_time(&self, alert: &AlertFact) -> ZonedDateTime {
        self.location(alert.device).local_zone.on_the_wall(alert.at)
    }
}

/// The title of a documented device type; else its name.
pub(super) fn type_title(device_type: &str) -> &str {
    DeviceType::named(device_type).map_or(device_type, |known| known.title)
}
