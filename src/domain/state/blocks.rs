//! What was sent lately in a zone, and what is held back because of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::alert::{Alert, HeldAlert};
use crate::domain::rules::Block;
use crate::domain::severity::Severity;

/// Most alerts that are held back by name; further ones are counted.
const MOST_HELD: usize = 40;

/// What was sent lately in a zone, and what is held back because of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Blocks {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sent: Vec<Sent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
    /// Alerts that were blocked since the last message, where they are only counted.
    #[serde(skip_serializing_if = "is_zero")]
    counted: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// An alert that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sent {
    at: Timestamp,
    rule: String,
    device: String,
    severity: Severity,
}

/// Alerts that are held back until a block ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// When it ends.
    pub until: Timestamp,
    /// What was raised meanwhile, in the order it was raised.
    pub alerts: Vec<HeldAlert>,
    /// How many more there were.
    #[serde(default)]
    pub more: usize,
}

impl Blocks {
    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.held.is_none() && self.counted == 0
    }

    /// Until when an alert is blocked by what was sent before it; `None` where it is not.
    ///
    /// As the vendor has it: a sent alert blocks its device, and its zone, for the times that the *new* alert's rule
    /// says, whichever is longer. Where that rule has a time for its own kind, only alerts of that rule count for the
    /// zone. What is less severe never blocks what is more severe.
    #[must_use]
    pub fn until(&self, alert: &Alert, device: &str, block: &Block) -> Option<Timestamp> {
        let ends = |sent: &Sent| {
            let of_device = (sent.device == device).then_some(block.device);
            let of_zone = match block.rule {
                Some(of_rule) => (sent.rule == alert.rule).then_some(of_rule),
                None => Some(block.zone),
            };
            let longest = of_device.max(of_zone)?;
            // Both ways, because a reading may come late.
            let is_near = alert.at.duration_since(sent.at).abs() < longest;
            is_near.then(|| sent.at.checked_add(longest).ok()).flatten()
        };
        self.sent.iter().filter(|sent| sent.severity >= alert.severity).filter_map(ends).max()
    }

    /// Remembers that an alert was sent. What can block nothing any more that this one does not block as well is
    /// forgotten, and so is what is older than the longest block.
    pub fn sent(&mut self, alert: &Alert, device: &str, longest: jiff::SignedDuration) {
        let new = Sent { at: alert.at, rule: alert.rule.clone(), device: device.to_owned(), severity: alert.severity };
        let is_over = |sent: &Sent| sent.at.checked_add(longest).is_ok_and(|end| end <= new.at);
        let is_outdone = |sent: &Sent| {
            sent.at <= new.at && sent.severity <= new.severity && sent.rule == new.rule && sent.device == new.device
        };
        self.sent.retain(|sent| !is_over(sent) && !is_outdone(sent));
        self.sent.push(new);
    }

    /// Holds an alert back until `until`, together with those that are held back already.
    pub fn hold(&mut self, alert: Alert, until: Timestamp) {
        let held = self.held.get_or_insert(Held { until, alerts: Vec::new(), more: 0 });
        held.until = held.until.max(until);
        if held.alerts.len() < MOST_HELD {
            held.alerts.push(HeldAlert { alert, over: None });
        } else {
            held.more += 1;
        }
    }

    /// Counts an alert that is blocked, for the zone's next message.
    pub fn count(&mut self) {
        self.counted += 1;
    }

    /// How many were counted since this was last asked.
    pub fn take_counted(&mut self) -> usize {
        std::mem::take(&mut self.counted)
    }

    /// Notes that what `rule` raised for `device` is over, where it is held back. Whether it is.
    pub fn over(&mut self, rule: &str, device: &str, at: Timestamp) -> bool {
        let mut is_held = false;
        let held = self.held.iter_mut().flat_map(|held| &mut held.alerts);
        for held in held.filter(|held| held.alert.rule == rule && held.over.is_none()) {
            if held.alert.place.device.as_deref().unwrap_or_default() == device {
                held.over = Some(at);
                is_held = true;
            }
        }
        is_held
    }

    /// Notes that a cleaning has ended what was raised up to `at`, where it is held back and one of `these`.
    pub fn cleaned(&mut self, at: Timestamp, these: impl Fn(&Alert) -> bool) {
        let held = self.held.iter_mut().flat_map(|held| &mut held.alerts);
        for held in held.filter(|held| held.over.is_none() && held.alert.at <= at && these(&held.alert)) {
            held.over = Some(at);
        }
    }

    /// When what is held back is to be said.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.held.as_ref().map(|held| held.until)
    }

    /// Takes what is held back, where the block has ended by `now`.
    pub fn take_ended(&mut self, now: Timestamp) -> Option<Held> {
        self.held.take_if(|held| held.until <= now)
    }
}
