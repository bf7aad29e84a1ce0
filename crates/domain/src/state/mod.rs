//! The state of a zone, which is committed as a whole, with the messages in its outbox.

mod accumulator;
mod attention;
mod blocks;
mod dedup_window;
mod lives;
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
pub use self::attention::{Attention, UnsentMessages};
pub use self::blocks::Blocks;
pub use self::dedup_window::{DedupWindow, Fingerprint};
pub use self::lives::{Facts, Lives, MOST_OPEN};
pub use self::outbox::{Channel, EntryId, LEASE, Outbox, OutboxEntry, PendingDelivery};
pub use self::rule_state::{NoData, OccurrenceCounter, RuleState, ThresholdState};
pub use self::suppressions::{DueSuppressions, Suppression, Suppressions, UnnamedSuppressions};
pub use self::version::StateVersion;
use super::location::Location;
use super::reading::Source;

/// The key of a zone state: a zone of a project, or a device without a zone. Prints as one line of text, unique for the key.
///
/// # Examples
/// ```
/// use domain::reading::Reading;
/// use domain::state::ZoneKey;
///
/// let reading = Reading::read(r#"{"DEVID":"d1","InsID":"z1","PID":"p1"}"#)?;
/// assert_eq!(ZoneKey::of(&reading.source).to_string(), "zone/2:p1/z1");
/// # Ok::<(), domain::reading::ReadingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneKey<'a> {
    /// Whether it is a zone. Otherwise a device without one.
    pub is_zone: bool,
    /// `PID`, empty if absent.
    pub project: Cow<'a, str>,
    /// `InsID`, or the id of the device, empty if absent.
    pub id: Cow<'a, str>,
}

impl<'a> ZoneKey<'a> {
    /// The key of a zone.
    pub fn zone(project: impl Into<Cow<'a, str>>, zone: impl Into<Cow<'a, str>>) -> Self {
        Self { is_zone: true, project: project.into(), id: zone.into() }
    }

    /// The key of the zone of a reading.
    #[must_use]
    pub fn of(source: &Source<'a>) -> Self {
        let id = source.zone.as_ref().or(source.device.as_ref()).cloned().unwrap_or_default();
        Self { is_zone: source.zone.is_some(), project: source.project.clone().unwrap_or_default(), id }
    }

    /// The key that prints as `text`; `None` for other texts.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        let (length, rest) = rest.split_once(':')?;
        let (project, id) = rest.split_at_checked(length.parse().ok()?)?;
        let is_zone = match kind {
            "zone" => true,
            "device" => false,
            _ => return None,
        };
        Some(Self { is_zone, project: project.into(), id: id.strip_prefix('/')?.into() })
    }

    /// Whether the state document with this key is a zone state.
    #[must_use]
    pub fn is_key(key: &str) -> bool {
        key.starts_with("zone/") || key.starts_with("device/")
    }

    /// The same key with owned names.
    #[must_use]
    pub fn into_owned(self) -> ZoneKey<'static> {
        let own = |name: Cow<'a, str>| Cow::Owned(name.into_owned());
        ZoneKey { is_zone: self.is_zone, project: own(self.project), id: own(self.id) }
    }
}

impl fmt::Display for ZoneKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_zone { "zone" } else { "device" };
        write!(f, "{kind}/{}:{}/{}", self.project.len(), self.project, self.id)
    }
}

/// The state of one zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ZoneState {
    /// The version of the document.
    pub v: StateVersion,
    /// The readings that changed the state.
    #[serde(skip_serializing_if = "DedupWindow::is_empty")]
    pub dedup_window: DedupWindow,
    /// The state of each rule for each device, by rule id and device id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rule_states: BTreeMap<String, BTreeMap<String, RuleState>>,
    /// When the zone was last cleaned. Rules that a cleaning answers do not evaluate readings up to then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleaned: Option<Timestamp>,
    /// The name of the zone in the last cleaning that had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
    /// The sent alerts that block others.
    #[serde(skip_serializing_if = "Blocks::is_empty")]
    pub blocks: Blocks,
    /// The suppressed alerts and resolved notices.
    #[serde(skip_serializing_if = "Suppressions::is_empty")]
    pub suppressed: Suppressions,
    /// The devices that a silence rule watches.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub devices: BTreeMap<String, LastSeen>,
    /// The open alerts, for people to deal with.
    #[serde(skip_serializing_if = "Lives::is_empty")]
    pub lives: Lives,
    /// The messages to send.
    #[serde(skip_serializing_if = "Outbox::is_empty")]
    pub outbox: Outbox,
}

/// When and where a device last sent something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSeen {
    /// The event time of one of its last readings. The newest can be later by a quarter of the shortest silence that a rule
    /// allows.
    pub at: Timestamp,
    /// The location, for the alert.
    pub location: Location,
}

impl ZoneState {
    /// The state of `rule` for `device`.
    #[must_use]
    pub fn rule_state(&self, rule: &str, device: &str) -> Option<&RuleState> {
        self.rule_states.get(rule)?.get(device)
    }

    /// The state of `rule` for `device`, to be changed.
    pub fn rule_state_mut(&mut self, rule: &str, device: &str) -> Option<&mut RuleState> {
        self.rule_states.get_mut(rule)?.get_mut(device)
    }

    /// The time of the newest reading of `device` that the state knows of; `None` without state.
    #[must_use]
    pub fn last_heard(&self, device: &str) -> Option<Timestamp> {
        let rule_states = self.rule_states.values().filter_map(|devices| devices.get(device)?.newest());
        self.devices.get(device).map(|known| known.at).into_iter().chain(rule_states).max()
    }

    /// Removes the rule states and the last reading of `device`.
    pub fn remove_device(&mut self, device: &str) {
        self.devices.remove(device);
        self.rule_states.retain(|_, devices| {
            devices.remove(device);
            !devices.is_empty()
        });
    }

    /// Sets the state of `rule` for `device`.
    pub fn set_rule_state(&mut self, rule: &str, device: &str, rule_state: RuleState) {
        match self.rule_state_mut(rule, device) {
            // The usual case, which allocates nothing.
            Some(known) => *known = rule_state,
            None => {
                self.rule_states.entry(rule.to_owned()).or_default().insert(device.to_owned(), rule_state);
            }
        }
    }

    /// Removes the state of `rule` for `device`.
    pub fn remove_rule_state(&mut self, rule: &str, device: &str) {
        if let Some(devices) = self.rule_states.get_mut(rule) {
            devices.remove(device);
            if devices.is_empty() {
                self.rule_states.remove(rule);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_zones_have_different_keys() {
        let zone = |project: &'static str, zone: &'static str| ZoneKey::zone(project, zone);
        assert_ne!(zone("a/b", "c").to_string(), zone("a", "b/c").to_string());
        let device = ZoneKey { is_zone: false, project: "a".into(), id: "b".into() };
        assert_ne!(zone("a", "b").to_string(), device.to_string());
        for key in [zone("a/b", "c"), zone("", ""), zone("1:é/", "2:/"), device.clone()] {
            assert_eq!(ZoneKey::parse(&key.to_string()), Some(key));
        }
        for other in ["arrivals", "zone/9:a/b", "zone/1:é/b", "projects-of/1:a/b", "zone/a"] {
            assert_eq!(ZoneKey::parse(other), None, "{other}");
        }
        assert!(ZoneKey::is_key(&device.to_string()) && ZoneKey::is_key(&zone("", "").to_string()));
        assert!(!["arrivals", "operations", "projects-of/zone/1"].into_iter().any(ZoneKey::is_key));
    }

    #[test]
    fn an_empty_state_is_stored_as_its_version() {
        assert_eq!(serde_json::to_string(&ZoneState::default()).unwrap(), r#"{"v":7}"#);
        assert_eq!(serde_json::from_str::<ZoneState>("{}").unwrap(), ZoneState::default());
    }
}
