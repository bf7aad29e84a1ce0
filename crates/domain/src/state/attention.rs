//! What needs attention in a zone: the summary that the board shows.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Channel, ZoneState};
use crate::alert::is_zero;
use crate::alert::life::AlertLife;
use crate::severity::Severity;

/// Most alerts of a zone in its summary, and most about its devices. The others are counted.
const MOST_ALERTS: usize = 10;

/// Attempts that can fail before a channel counts as in trouble. The first can be of a process that died, or one that is under way.
const TOLERATED_ATTEMPTS: usize = 1;

/// What needs attention in a zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// The key of the zone.
    pub zone: String,
    /// The open alerts that a cleaning answers: the worst first, the oldest first of those.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub alerts: Vec<AlertLife>,
    /// The number of further ones.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub more: usize,
    /// The open alerts about the devices themselves, in the same order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub devices: Vec<AlertLife>,
    /// The number of further ones.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub more_devices: usize,
    /// The number of alerts of the zone that wait until their suppression ends.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub waiting: usize,
    /// Messages that a channel has tried to send several times, by channel.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub unsent: BTreeMap<Channel, UnsentMessages>,
}

/// Messages that a channel does not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsentMessages {
    /// Their number.
    pub messages: usize,
    /// When the first of them was created.
    pub since: Timestamp,
}

impl UnsentMessages {
    /// Adds others of the same channel.
    pub fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.since = self.since.min(other.since);
    }
}

impl Attention {
    /// The summary of the zone with this key; `None` if it has no alert and no channel fails.
    #[must_use]
    pub fn of(zone: &str, state: &ZoneState) -> Option<Self> {
        let (mut open, unsent) = (state.lives.open().iter().collect::<Vec<_>>(), unsent(state));
        let waiting = state.suppressed.waiting();
        if open.is_empty() && unsent.is_empty() && waiting == 0 {
            return None;
        }
        open.sort_by_key(|life| urgency(life));
        let (alerts, devices): (Vec<_>, Vec<_>) = open.into_iter().partition(|life| life.answerable);
        let first = |lives: &[&AlertLife]| lives.iter().take(MOST_ALERTS).map(|life| (*life).clone()).collect();
        let more = |lives: &[&AlertLife]| lives.len().saturating_sub(MOST_ALERTS);
        Some(Self {
            zone: zone.to_owned(),
            alerts: first(&alerts),
            more: more(&alerts),
            devices: first(&devices),
            more_devices: more(&devices),
            waiting,
            unsent,
        })
    }

    /// A sort key: the zone with the worst alert first, then the one that waits for longest. Alerts that people have dealt with
    /// are the least urgent. Unsent messages of a zone without an alert come after the critical alerts.
    #[must_use]
    pub fn sort_key(&self) -> String {
        let alerts = self.alerts.iter().chain(&self.devices).map(urgency).min();
        let unsent = self.unsent.values().map(|unsent| unsent.since).min();
        let unsent =
            unsent.map(|since| format!("{}~{}", severity_key(false, Severity::Critical as u8), seconds(since)));
        // Where alerts only wait, nobody has to do anything yet.
        alerts.map(sort_key).or(unsent).unwrap_or_else(|| "2".to_owned())
    }
}

/// The messages of a zone that are not sent, by channel.
fn unsent(state: &ZoneState) -> BTreeMap<Channel, UnsentMessages> {
    let mut unsent: BTreeMap<Channel, UnsentMessages> = BTreeMap::new();
    for entry in state.outbox.entries() {
        for (channel, _) in entry.deliveries.iter().filter(|(_, delivery)| delivery.attempts > TOLERATED_ATTEMPTS) {
            let one = UnsentMessages { messages: 1, since: entry.created };
            unsent.entry(*channel).and_modify(|all| all.add(one)).or_insert(one);
        }
    }
    unsent
}

/// How urgent an alert is: the most urgent is the lowest.
fn urgency(life: &AlertLife) -> (bool, Reverse<u8>, Timestamp) {
    (life.is_done(), Reverse(life.severity as u8), life.raised)
}

/// Texts sort as the urgencies do.
fn sort_key((is_done, Reverse(severity), raised): (bool, Reverse<u8>, Timestamp)) -> String {
    format!("{}/{}", severity_key(is_done, severity), seconds(raised))
}

fn severity_key(is_done: bool, severity: u8) -> String {
    format!("{}{}", u8::from(is_done), u8::MAX - severity)
}

/// A time as a text that sorts as it does.
fn seconds(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%dT%H:%M:%SZ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Message;
    use crate::alert::notice::Notice;
    use crate::response::ResponseSource;
    use crate::state::OutboxEntry;

    fn life(severity: Severity, minute: i64) -> AlertLife {
        let line = include_str!("../../../../tests/data/alert.json");
        let life: AlertLife = serde_json::from_str(line).unwrap();
        let raised = Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap();
        AlertLife { severity, raised, at: raised, done: [].into(), contradiction: None, end: None, ..life }
    }

    fn key(alerts: &[AlertLife]) -> String {
        Attention { alerts: alerts.to_vec(), ..Attention::default() }.sort_key()
    }

    #[test]
    fn the_worst_zone_is_first_then_the_one_that_waits_for_longest() {
        let done = |life: AlertLife| AlertLife { done: [(ResponseSource::Reported, life.raised)].into(), ..life };
        let sorted = [
            key(&[life(Severity::Low, 0), life(Severity::Critical, 9)]),
            key(&[life(Severity::High, 1)]),
            key(&[life(Severity::High, 2)]),
            key(&[done(life(Severity::Critical, 0)), life(Severity::Low, 5)]),
            key(&[done(life(Severity::Critical, 0))]),
        ];
        assert!(sorted.is_sorted() && sorted.windows(2).all(|pair| pair[0] != pair[1]), "{sorted:?}");
    }

    #[test]
    fn messages_that_fail_again_need_attention() {
        let at = |minute: i64| Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap();
        let notice = |minute| Message::Notice(Notice::NothingArrives { since: at(minute) });
        let mut state = ZoneState::default();
        let messages = [3, 2].map(|minute| OutboxEntry::new(notice(minute), Vec::new(), at(minute)));
        let ids = state.outbox.add(messages.to_vec(), &[Channel::Sns, Channel::Log]).into_iter().collect();
        state.outbox.lease(Channel::Sns, &ids, at(4));
        assert_eq!(Attention::of("zone", &state), None, "the first attempt can be under way");
        state.outbox.lease(Channel::Sns, &ids, at(6));
        let attention = Attention::of("zone", &state).unwrap();
        assert_eq!(attention.unsent, [(Channel::Sns, UnsentMessages { messages: 2, since: at(2) })].into());
        assert!(key(&[life(Severity::Critical, 9)]) < attention.sort_key());
        assert!(attention.sort_key() < key(&[life(Severity::High, 0)]));
        let low = Attention { alerts: vec![life(Severity::Low, 0)], ..attention };
        assert_eq!(low.sort_key(), key(&low.alerts), "a channel that fails hides no worse alert");
        state.outbox.remove(Channel::Sns, &ids);
        assert_eq!(Attention::of("zone", &state), None);
    }

    #[test]
    fn alerts_that_wait_are_counted_and_come_last() {
        let waiting = Attention { waiting: 2, ..Attention::default() };
        let done = AlertLife {
            done: [(ResponseSource::Reported, life(Severity::Low, 9).raised)].into(),
            ..life(Severity::Low, 0)
        };
        assert!(key(&[done]) < waiting.sort_key());
    }

    #[test]
    fn a_contradicted_alert_is_as_urgent_as_before() {
        let open = life(Severity::High, 1);
        let line: AlertLife = serde_json::from_str(include_str!("../../../../tests/data/alert.json")).unwrap();
        let contradicted = AlertLife { contradiction: line.contradiction, done: line.done, ..open.clone() };
        assert_eq!(key(&[contradicted]), key(&[open]));
    }
}
