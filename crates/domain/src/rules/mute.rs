//! Mutes: alerts that are not sent before a time, for a reason that people write down.

use jiff::{Timestamp, civil};
use toml::de::DeValue;

use super::diagnostic::{Position, Positioned};
use super::document::TableReader;
use super::selection::AlertSelection;
use super::{Diagnostic, RuleSet};
use crate::location::Location;
use crate::severity::Severity;
use crate::time::LocalZone;

/// A stated silence with an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mute {
    /// The alerts that are not sent.
    pub alerts: AlertSelection,
    /// When they are sent again, in local time.
    pub until: civil::DateTime,
    /// Why.
    pub reason: String,
    /// The position of `until`.
    pub position: Position,
}

impl Mute {
    /// When it ends in `zone`. A time that a clock change repeats is the earlier one; a time that it skips is later by the
    /// length of the gap. `None` if it has ended by `now`.
    #[must_use]
    pub fn end(&self, zone: &LocalZone, now: Timestamp) -> Option<Timestamp> {
        let time_zone = zone.local_time(now).time_zone().clone();
        time_zone.to_timestamp(self.until).ok().filter(|end| *end > now)
    }

    /// Whether it has not ended everywhere by `now`.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        let westernmost = LocalZone { region: None, offset_seconds: Some(-12 * 3600) };
        self.end(&westernmost, now).is_some()
    }

    /// Reads a mute of `set`. `None` if a key is missing, which is reported.
    pub(super) fn read(table: &mut TableReader<'_, '_>, position: &Position, set: &RuleSet) -> Option<Self> {
        table.require("until", position, "add the day on which it ends: until = \"2026-12-24\"");
        table.require("reason", position, "add why: reason = \"renovation\"");
        let wanted = "a day or a time of the site such as \"2026-12-24\" or \"2026-12-24 07:00\"";
        let until = table.value("until", wanted, |value| match value {
            DeValue::String(text) => local_time(text),
            DeValue::Datetime(time) => local_time(&time.to_string()),
            _ => None,
        });
        if !AlertSelection::is_in(table) {
            let suggestion = "add rules, types, properties, sites, zones or devices";
            table.diagnostics.suggest(position, "a mute of all alerts", suggestion);
        }
        let alerts = AlertSelection::read(table, set);
        alerts.check_raised(Severity::Low, ("this mute", position), set, table.diagnostics);
        let reason = table.nonblank("reason")?.value;
        let Positioned { value: until, position } = until?;
        Some(Self { alerts, until, reason, position })
    }
}

impl RuleSet {
    /// The mute that ends last of those that suppress the alerts of `rule` at `location`, and its end.
    #[must_use]
    pub fn mute(&self, rule: &str, location: &Location, now: Timestamp) -> Option<(&Mute, Timestamp)> {
        let mutes = self.mutes.iter().filter(|mute| mute.alerts.contains(rule, location));
        let zone = self.local_zone(location);
        mutes.filter_map(|mute| Some((mute, mute.end(zone, now)?))).max_by_key(|(_, end)| *end)
    }

    /// Warns of mutes that have ended everywhere by `now`.
    #[must_use]
    pub fn ended_mutes(&self, now: Timestamp) -> Vec<Diagnostic> {
        let ended = self.mutes.iter().filter(|mute| !mute.is_in_force(now));
        let warning = |mute: &Mute| {
            let message = format!("this mute ended on {}", mute.until.strftime("%Y-%m-%d %H:%M"));
            Diagnostic::new(&mute.position, message, Some("remove it".to_owned()))
        };
        ended.map(warning).collect()
    }
}

/// A day, which begins at midnight, or a day and a time. Not an instant: a site has its own time.
fn local_time(text: &str) -> Option<civil::DateTime> {
    let has_offset = jiff::fmt::temporal::Pieces::parse(text).ok()?.offset().is_some();
    text.parse().ok().filter(|_| !has_offset)
}
