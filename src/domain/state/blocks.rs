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
            blocks.sent(&alert(rule, device, *severity, minute(*at)), device, LONGEST_BLOCK);
        }
        blocks
    }

    /// Which of what was sent is remembered, by its minute.
    fn remembered(sent: &[(&str, &str, Severity, i64)]) -> Vec<i64> {
        let of = |sent: &Sent| sent.at.duration_since(minute(0)).as_mins();
        after(sent).sent.iter().map(of).collect()
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
    fn more_than_can_be_named_are_counted() {
        let mut blocks = Blocks::default();
        for number in 0..43 {
            blocks.hold(medium("r", &number.to_string(), number), minute(60 - number));
        }
        let held = blocks.take_ended(minute(60)).unwrap();
        assert_eq!((held.alerts.len(), held.more, held.until), (40, 3, minute(60)));
    }

    #[test]
    fn what_is_held_back_is_due_at_the_end_of_the_longest_block() {
        let mut blocks = Blocks::default();
        assert_eq!(blocks.due(), None);
        blocks.hold(medium("r", "d", 0), minute(15));
        blocks.hold(medium("s", "d", 1), minute(10));
        assert_eq!(blocks.due(), Some(minute(15)));
        assert_eq!(blocks.take_ended(minute(14)), None);
        assert_eq!(blocks.take_ended(minute(15)).unwrap().alerts.len(), 2);
        assert!(blocks.is_empty());
    }

    #[test]
    fn only_what_is_over_is_over_and_only_once() {
        let mut blocks = Blocks::default();
        for (rule, device) in [("r", "d"), ("s", "d"), ("r", "e")] {
            blocks.hold(medium(rule, device, 0), minute(15));
        }
        assert!(!blocks.over("s", "e", minute(1)));
        assert!(blocks.over("r", "d", minute(2)));
        assert!(!blocks.over("r", "d", minute(3)), "it is over already");
        let over =
            |blocks: &Blocks| blocks.held.clone().unwrap().alerts.iter().map(|held| held.over).collect::<Vec<_>>();
        assert_eq!(over(&blocks), [Some(minute(2)), None, None]);

        blocks.hold(medium("r", "f", 6), minute(15));
        blocks.cleaned(minute(5), |alert| alert.rule == "r");
        assert_eq!(over(&blocks), [Some(minute(2)), None, Some(minute(5)), None], "by a cleaning, up to then");
        blocks.cleaned(minute(6), |alert| alert.rule == "r");
        assert_eq!(over(&blocks)[3], Some(minute(6)));
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

    #[test]
    fn what_was_counted_is_told_once_and_nothing_is_not_written_down() {
        let mut blocks = after(&[("r", "d", Severity::Medium, 0)]);
        assert!(!serde_json::to_string(&blocks).unwrap().contains("counted"));
        blocks.count();
        blocks.count();
        assert!(serde_json::to_string(&blocks).unwrap().contains(r#""counted":2"#));
        assert_eq!((blocks.take_counted(), blocks.take_counted()), (2, 0));
    }
}
