//! Blocks: sent alerts suppress further alerts of their device and zone for a time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::rules::Block;
use crate::severity::Severity;

/// The alerts that were sent in a zone within the longest block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// By device: without blocks, each device of the zone can have sent some.
    sent: BTreeMap<String, Vec<SentAlert>>,
    newest: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SentAlert {
    at: Timestamp,
    rule: String,
    severity: Severity,
}

impl SentAlert {
    /// Until when it blocks `alert`, with a block of this length; `None` if it does not.
    fn blocks(&self, alert: &Alert, length: SignedDuration) -> Option<Timestamp> {
        // Before and after, because a reading can be late.
        let is_near = alert.at.duration_since(self.at).abs() < length;
        (is_near && self.severity >= alert.severity).then(|| self.at.checked_add(length).ok()).flatten()
    }
}

impl Blocks {
    /// Whether no alert was sent within the longest block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Until when an alert is blocked by sent alerts; `None` if it is not.
    ///
    /// As in the vendor's alerts, a sent alert blocks its device and its zone for the times of the *new* alert's rule, and the
    /// longer one applies. If `block.rule` is set, only alerts of the same rule block the zone. An alert never blocks a more
    /// severe one.
    #[must_use]
    pub fn until(&self, alert: &Alert, device: &str, block: &Block) -> Option<Timestamp> {
        let of_device = self.sent.get(device).into_iter().flatten();
        let by_device = of_device.filter_map(|sent| sent.blocks(alert, block.device));
        let in_zone = block.rule.unwrap_or(block.zone);
        // Without a block of the zone, there is an alert for each of many devices.
        let of_zone = self.sent.values().take_while(|_| in_zone.is_positive()).flatten();
        let of_zone = of_zone.filter(|sent| block.rule.is_none() || sent.rule == alert.rule);
        by_device.chain(of_zone.filter_map(|sent| sent.blocks(alert, in_zone))).max()
    }

    /// Records that an alert was sent at `at`, in place of earlier ones that block no more than it does. Once an hour, alerts
    /// older than the longest block are removed.
    pub fn record(&mut self, alert: &Alert, device: &str, at: Timestamp, longest: SignedDuration) {
        if self.newest.is_some_and(|newest| hour(newest) < hour(at)) {
            self.sent.retain(|_, sent| {
                sent.retain(|sent| sent.at.checked_add(longest).map_or(true, |end| end > at));
                !sent.is_empty()
            });
        }
        let new = SentAlert { at, rule: alert.rule.clone(), severity: alert.severity };
        let of_device = self.sent.entry(device.to_owned()).or_default();
        of_device.retain(|sent| sent.at > new.at || sent.severity > new.severity || sent.rule != new.rule);
        of_device.push(new);
        self.newest = self.newest.max(Some(at));
    }
}

fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3_600)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::alert::{AlertId, Trigger};
    use crate::digest::Digest;
    use crate::location::Location;
    use crate::reading::Reading;
    use crate::rules::LONGEST_BLOCK;

    fn minute(number: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * number).unwrap()
    }

    fn alert(rule: &str, device: &str, severity: Severity, at: Timestamp) -> Alert {
        Alert {
            id: AlertId::of(rule, &Reading::read("{}").unwrap()),
            rule: rule.to_owned(),
            title: String::new(),
            template: None,
            action: None,
            severity,
            breaches: Vec::new(),
            trigger: Trigger::Immediate,
            reasons: Vec::new(),
            at,
            reading: Digest::of(b"{}"),
            location: Location { device: Some(device.to_owned()), ..Location::default() },
        }
    }

    fn medium(rule: &str, device: &str, at: i64) -> Alert {
        alert(rule, device, Severity::Medium, minute(at))
    }

    /// After these were sent, in this order: rule, device, severity, minute.
    fn after(sent: &[(&str, &str, Severity, i64)]) -> Blocks {
        let mut blocks = Blocks::default();
        for (rule, device, severity, at) in sent {
            let at = minute(*at);
            blocks.record(&alert(rule, device, *severity, at), device, at, LONGEST_BLOCK);
        }
        blocks
    }

    /// The minutes of the alerts that are kept.
    fn kept_minutes(sent: &[(&str, &str, Severity, i64)]) -> Vec<i64> {
        let of = |sent: &SentAlert| sent.at.duration_since(minute(0)).as_mins();
        after(sent).sent.values().flatten().map(of).collect()
    }

    #[test]
    fn a_sent_alert_replaces_those_that_block_no_more() {
        use Severity::{High, Low, Medium};
        assert_eq!(kept_minutes(&[("r", "d", Medium, 0), ("r", "d", Medium, 1)]), [1]);
        assert_eq!(kept_minutes(&[("r", "d", Low, 0), ("r", "d", High, 1)]), [1]);
        assert_eq!(kept_minutes(&[("r", "d", High, 0), ("r", "d", Medium, 1)]), [0, 1], "the first is more severe");
        assert_eq!(kept_minutes(&[("r", "d", Medium, 0), ("s", "d", Medium, 1)]), [0, 1], "of another rule");
        assert_eq!(kept_minutes(&[("r", "d", Medium, 0), ("r", "e", Medium, 1)]), [0, 1], "of another device");
        assert_eq!(kept_minutes(&[("r", "d", Medium, 1), ("r", "d", Medium, 0)]), [1, 0], "the second is older");
    }

    #[test]
    fn a_sent_alert_is_removed_after_the_longest_block() {
        let longest = LONGEST_BLOCK.as_mins();
        let after = |minutes: i64| kept_minutes(&[("r", "d", Severity::High, 0), ("s", "e", Severity::Low, minutes)]);
        assert_eq!(after(longest - 1), [0, longest - 1]);
        assert_eq!(after(longest), [longest]);
        // Once an hour, with its first alert.
        let sent = [("r", "d", 30), ("s", "e", longest + 10), ("s", "f", longest + 40), ("s", "g", longest + 60)];
        let sent = sent.map(|(rule, device, at)| (rule, device, Severity::Low, at));
        assert_eq!(kept_minutes(&sent[..3]), [30, longest + 10, longest + 40]);
        assert_eq!(kept_minutes(&sent), [longest + 10, longest + 40, longest + 60]);
    }

    #[test]
    fn blocks_survive_a_round_trip_through_json() {
        use Severity::{High, Low};
        let blocks = after(&[("r", "e", Low, 5), ("r", "d", High, 7), ("s", "d", Low, 3)]);
        let text = serde_json::to_string(&blocks).unwrap();
        assert_eq!(serde_json::from_str::<Blocks>(&text).unwrap(), blocks);
    }

    #[test]
    fn a_block_applies_before_and_after_the_sent_alert() {
        let blocks = after(&[("r", "d", Severity::Medium, 30)]);
        let block = Block { device: SignedDuration::from_mins(10), zone: SignedDuration::from_mins(5), rule: None };
        let until = |device, at| blocks.until(&medium("s", device, at), device, &block);
        assert_eq!(until("d", 39), Some(minute(40)));
        assert_eq!(until("d", 40), None);
        assert_eq!(until("d", 21), Some(minute(40)), "a late reading");
        assert_eq!(until("d", 20), None);
        assert_eq!((until("e", 34), until("e", 35)), (Some(minute(35)), None));
    }
}
