//! What is remembered of a zone from one reading to the next: a value that commits as a whole, alerts and all.

mod accumulator;
mod blocks;
mod dedup_window;
mod outbox;
mod packed;
mod rule_state;
mod suppressions;
mod version;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::accumulator::Accumulator;
pub use self::blocks::Blocks;
pub use self::dedup_window::{DedupWindow, Fingerprint};
pub use self::outbox::{EntryId, Outbox, OutboxEntry};
pub use self::rule_state::{NoData, OccurrenceCounter, RuleState, ThresholdState};
pub use self::suppressions::{Released, Suppression, Suppressions};
pub use self::version::StateVersion;
use super::location::Location;
use super::reading::Source;

/// The unit that alerts are judged and remembered by: a zone of a project; a device without a zone is its own zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ZoneKey<'a> {
    /// `PID` and `InsID`.
    Zone {
        /// `PID`, empty where absent.
        project: Cow<'a, str>,
        /// `InsID`.
        zone: Cow<'a, str>,
    },
    /// A device that names no zone.
    Device {
        /// `PID`, empty where absent.
        project: Cow<'a, str>,
        /// The device's id, empty where absent.
        device: Cow<'a, str>,
    },
}

impl<'a> ZoneKey<'a> {
    /// The zone that a reading belongs to.
    #[must_use]
    pub fn of(source: &Source<'a>) -> Self {
        let project = source.project.clone().unwrap_or_default();
        match &source.zone {
            Some(zone) => Self::Zone { project, zone: zone.clone() },
            None => Self::Device { project, device: source.device.clone().unwrap_or_default() },
        }
    }

    /// Whether a document of this key is the state of a zone.
    #[must_use]
    pub fn is_key(key: &str) -> bool {
        key.starts_with("zone/") || key.starts_with("device/")
    }

    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> ZoneKey<'static> {
        let own = |name: Cow<'a, str>| Cow::Owned(name.into_owned());
        match self {
            Self::Zone { project, zone } => ZoneKey::Zone { project: own(project), zone: own(zone) },
            Self::Device { project, device } => ZoneKey::Device { project: own(project), device: own(device) },
        }
    }
}

/// One line of text for stores: the parts are told apart whatever characters they hold.
impl fmt::Display for ZoneKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, project, name) = match self {
            Self::Zone { project, zone } => ("zone", project, zone),
            Self::Device { project, device } => ("device", project, device),
        };
        write!(f, "{kind}/{}:{project}/{name}", project.len())
    }
}

/// What is remembered of one zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ZoneState {
    /// The version of what follows.
    pub v: StateVersion,
    /// Readings that changed something, so that they do it once.
    #[serde(skip_serializing_if = "DedupWindow::is_empty")]
    pub dedup_window: DedupWindow,
    /// Where each rule stands with each device: by rule id, then by device id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rule_states: BTreeMap<String, BTreeMap<String, RuleState>>,
    /// When the zone was last reported as cleaned; what was measured up to then is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleaned: Option<Timestamp>,
    /// What was sent lately, and blocks what follows.
    #[serde(skip_serializing_if = "Blocks::is_empty")]
    pub blocks: Blocks,
    /// Alerts and resolved notices that are not sent before a time.
    #[serde(skip_serializing_if = "Suppressions::is_empty")]
    pub suppressed: Suppressions,
    /// Devices that a silence rule watches.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub devices: BTreeMap<String, LastSeen>,
    /// Messages that are to be sent.
    #[serde(skip_serializing_if = "Outbox::is_empty")]
    pub outbox: Outbox,
}

/// When a device was last heard of, kept coarsely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSeen {
    /// Event time of a reading of it; a newer one may have come since, by no more than a quarter of the shortest silence
    /// that a rule watches for.
    pub at: Timestamp,
    /// Where it is, for the message.
    pub location: Location,
}

impl ZoneState {
    /// Where `rule` stands with `device`.
    #[must_use]
    pub fn rule_state(&self, rule: &str, device: &str) -> Option<&RuleState> {
        self.rule_states.get(rule)?.get(device)
    }

    /// Where `rule` stands with `device`, to be changed.
    pub fn rule_state_mut(&mut self, rule: &str, device: &str) -> Option<&mut RuleState> {
        self.rule_states.get_mut(rule)?.get_mut(device)
    }

    /// The time of the newest reading of `device` that anything is kept of; `None` if nothing is.
    #[must_use]
    pub fn last_heard(&self, device: &str) -> Option<Timestamp> {
        let rule_states = self.rule_states.values().filter_map(|devices| devices.get(device)?.newest());
        self.devices.get(device).map(|known| known.at).into_iter().chain(rule_states).max()
    }

    /// Forgets where rules stand with `device`, and when it was heard.
    pub fn forget(&mut self, device: &str) {
        self.devices.remove(device);
        self.rule_states.retain(|_, devices| {
            devices.remove(device);
            !devices.is_empty()
        });
    }

    /// Sets where `rule` stands with `device`; `None` forgets it.
    pub fn set_rule_state(&mut self, rule: &str, device: &str, rule_state: Option<RuleState>) {
        match rule_state {
            Some(rule_state) => match self.rule_state_mut(rule, device) {
                // Nearly always, and then nothing needs a name of its own.
                Some(known) => *known = rule_state,
                None => {
                    self.rule_states.entry(rule.to_owned()).or_default().insert(device.to_owned(), rule_state);
                }
            },
            None => {
                if let Some(devices) = self.rule_states.get_mut(rule) {
                    devices.remove(device);
                    if devices.is_empty() {
                        self.rule_states.remove(rule);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_names_do_not_run_into_each_other() {
        let zone =
            |project: &'static str, zone: &'static str| ZoneKey::Zone { project: project.into(), zone: zone.into() };
        assert_ne!(zone("a/b", "c").to_string(), zone("a", "b/c").to_string());
        let device = ZoneKey::Device { project: "a".into(), device: "b".into() };
        assert_ne!(zone("a", "b").to_string(), device.to_string());
        assert!(ZoneKey::is_key(&device.to_string()) && ZoneKey::is_key(&zone("", "").to_string()));
        assert!(!["arrivals", "operations", "projects-of/zone/1"].into_iter().any(ZoneKey::is_key));
    }

    #[test]
    fn nothing_remembered_is_nothing_stored_but_the_version() {
        assert_eq!(serde_json::to_string(&ZoneState::default()).unwrap(), r#"{"v":4}"#);
        assert_eq!(serde_json::from_str::<ZoneState>("{}").unwrap(), ZoneState::default());
    }
}
