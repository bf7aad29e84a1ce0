//! What was sent lately in a zone, and how long it blocks what follows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::alert::Alert;
use crate::domain::rules::Block;
use crate::domain::severity::Severity;

/// What was sent lately in a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Blocks(Vec<Sent>);

/// An alert that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sent {
    at: Timestamp,
    rule: String,
    device: String,
    severity: Severity,
}

impl Blocks {
    /// Whether nothing was sent lately.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        self.0.iter().filter(|sent| sent.severity >= alert.severity).filter_map(ends).max()
    }

    /// Remembers that an alert was sent at `at`. What can block nothing any more that this one does not block as well is
    /// forgotten, and so is what is older than the longest block.
    pub fn sent(&mut self, alert: &Alert, device: &str, at: Timestamp, longest: jiff::SignedDuration) {
        let new = Sent { at, rule: alert.rule.clone(), device: device.to_owned(), severity: alert.severity };
        let is_over = |sent: &Sent| sent.at.checked_add(longest).is_ok_and(|end| end <= new.at);
        let is_outdone = |sent: &Sent| {
            sent.at <= new.at && sent.severity <= new.severity && sent.rule == new.rule && sent.device == new.device
        };
        self.0.retain(|sent| !is_over(sent) && !is_outdone(sent));
        self.0.push(new);
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::domain::alert::{AlertId, Course, Place};
    use crate::domain::digest::Digest;
    use crate::domain::reading::Reading;
    use crate::domain::rules::LONGEST_BLOCK;

    fn minute(number: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * number).unwrap()
    }

    fn alert(rule: &str, device: &str, severity: Severity, at: Timestamp) -> Alert {
        Alert {
            id: AlertId::of(rule, &Reading::read("{}").unwrap()),
            rule: rule.to_owned(),
            title: String::new(),
            template: None,
            severity,
            breaches: Vec::new(),
            course: Course::AtOnce,
            reasons: Vec::new(),
            at,
            reading: Digest::of(b"{}"),
            place: Place { device: Some(device.to_owned()), ..Place::default() },
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
            blocks.sent(&alert(rule, device, *severity, at), device, at, LONGEST_BLOCK);
        }
        blocks
    }

    /// Which of what was sent is remembered, by its minute.
    fn remembered(sent: &[(&str, &str, Severity, i64)]) -> Vec<i64> {
        let of = |sent: &Sent| sent.at.duration_since(minute(0)).as_mins();
        after(sent).0.iter().map(of).collect()
    }

    #[test]
    fn what_was_sent_is_forgotten_where_the_next_one_blocks_as_much() {
        use Severity::{High, Low, Medium};
        assert_eq!(remembered(&[("r", "d", Medium, 0), ("r", "d", Medium, 1)]), [1]);
        assert_eq!(remembered(&[("r", "d", Low, 0), ("r", "d", High, 1)]), [1]);
        assert_eq!(remembered(&[("r", "d", High, 0), ("r", "d", Medium, 1)]), [0, 1], "the first is more severe");
        assert_eq!(remembered(&[("r", "d", Medium, 0), ("s", "d", Medium, 1)]), [0, 1], "of another rule");
        assert_eq!(remembered(&[("r", "d", Medium, 0), ("r", "e", Medium, 1)]), [0, 1], "of another device");
        assert_eq!(remembered(&[("r", "d", Medium, 1), ("r", "d", Medium, 0)]), [1, 0], "the second is older");
    }

    #[test]
    fn what_was_sent_is_forgotten_when_it_can_block_nothing_any_more() {
        let longest = LONGEST_BLOCK.as_mins();
        let after = |minutes: i64| remembered(&[("r", "d", Severity::High, 0), ("s", "e", Severity::Low, minutes)]);
        assert_eq!(after(longest - 1), [0, longest - 1]);
        assert_eq!(after(longest), [longest]);
    }

    #[test]
    fn a_nearer_block_counts_from_what_was_sent_either_way() {
        let blocks = after(&[("r", "d", Severity::Medium, 30)]);
        let block = Block { device: SignedDuration::from_mins(10), zone: SignedDuration::from_mins(5), rule: None };
        let until = |device, at| blocks.until(&medium("s", device, at), device, &block);
        assert_eq!(until("d", 39), Some(minute(40)));
        assert_eq!(until("d", 40), None);
        assert_eq!(until("d", 21), Some(minute(40)), "a reading that comes late");
        assert_eq!(until("d", 20), None);
        assert_eq!((until("e", 34), until("e", 35)), (Some(minute(35)), None));
    }
}
