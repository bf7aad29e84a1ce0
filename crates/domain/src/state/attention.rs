//! What needs attention in a zone: the summary that the board shows.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ZoneState;
use crate::alert::is_zero;
use crate::alert::life::AlertLife;

/// Most alerts of a zone in its summary. The others are counted.
const MOST_ALERTS: usize = 10;

/// The open alerts of a zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// The worst first, the oldest first of those.
    pub alerts: Vec<AlertLife>,
    /// The number of further ones.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub more: usize,
    /// The number of alerts of the zone that are suppressed.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub suppressed: usize,
}

impl Attention {
    /// The summary of a zone; `None` if it has no open alert.
    #[must_use]
    pub fn of(state: &ZoneState) -> Option<Self> {
        let mut alerts = state.lives.open().to_vec();
        alerts.sort_by_cached_key(urgency);
        let more = alerts.len().saturating_sub(MOST_ALERTS);
        alerts.truncate(MOST_ALERTS);
        (!alerts.is_empty()).then(|| Self { alerts, more, suppressed: state.suppressed.alerts() })
    }

    /// A sort key: the zone with the worst alert first, then the one that waits for longest. Alerts that people have dealt with are the
    /// least urgent.
    #[must_use]
    pub fn sort_key(&self) -> String {
        self.alerts.iter().map(urgency).min().map(sort_key).unwrap_or_default()
    }
}

/// How urgent an alert is: the most urgent is the lowest.
fn urgency(life: &AlertLife) -> (bool, Reverse<u8>, Timestamp) {
    let is_done = !life.done.is_empty() && life.contradiction.is_none();
    (is_done, Reverse(life.severity as u8), life.raised)
}

/// Texts sort as the urgencies do.
fn sort_key((is_done, Reverse(severity), raised): (bool, Reverse<u8>, Timestamp)) -> String {
    format!("{}{}/{}", u8::from(is_done), u8::MAX - severity, raised.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::ResponseSource;
    use crate::severity::Severity;

    fn life(severity: Severity, minute: i64) -> AlertLife {
        let line = include_str!("../../../../tests/data/alert.json");
        let life: AlertLife = serde_json::from_str(line).unwrap();
        let raised = Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap();
        AlertLife { severity, raised, at: raised, done: [].into(), contradiction: None, end: None, ..life }
    }

    fn key(alerts: &[AlertLife]) -> String {
        Attention { alerts: alerts.to_vec(), more: 0, suppressed: 0 }.sort_key()
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
    fn a_contradicted_alert_is_as_urgent_as_before() {
        let open = life(Severity::High, 1);
        let line: AlertLife = serde_json::from_str(include_str!("../../../../tests/data/alert.json")).unwrap();
        let contradicted = AlertLife { contradiction: line.contradiction, done: line.done, ..open.clone() };
        assert_eq!(key(&[contradicted]), key(&[open]));
    }
}
