//! The difference between the alerts of two sets of rules.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::findings::{AlertFact, Difference, SAME_EVENT};
use domain::alert::AlertId;

/// The start and the end of each alert, in order, by rule and device.
type AlertTimes<'a> = BTreeMap<(&'a Arc<str>, usize), Vec<(Timestamp, Timestamp)>>;

/// Compares the alerts of two sets of rules. Both are in order of time.
pub(super) fn difference(rules: &[AlertFact], against: &[AlertFact]) -> Difference {
    let ids = |alerts: &[AlertFact]| alerts.iter().map(|alert| alert.id).collect::<HashSet<AlertId>>();
    let (ids_here, ids_there) = (ids(rules), ids(against));
    let (times_here, times_there) = (alert_times(rules), alert_times(against));
    let mut difference = Difference::default();
    for (index, alert) in rules.iter().enumerate() {
        if ids_there.contains(&alert.id) {
            difference.same += 1;
        } else if has_same_event(&times_there, alert) {
            difference.moved += 1;
        } else {
            difference.gained.push(index);
        }
    }
    let is_missed = |alert: &AlertFact| !ids_here.contains(&alert.id) && !has_same_event(&times_here, alert);
    difference.missed = (0..against.len()).filter(|index| is_missed(&against[*index])).collect();
    difference
}

fn alert_times(alerts: &[AlertFact]) -> AlertTimes<'_> {
    let mut times = AlertTimes::new();
    for alert in alerts {
        times.entry((&alert.rule, alert.device)).or_default().push((alert.at, alert.ended));
    }
    times
}

/// Whether there is an alert of the same rule and device within [`SAME_EVENT`] of `alert`.
fn has_same_event(times: &AlertTimes<'_>, alert: &AlertFact) -> bool {
    let Some(times) = times.get(&(&alert.rule, alert.device)) else { return false };
    let from = alert.at.checked_sub(SAME_EVENT).unwrap_or(alert.at);
    let to = alert.ended.checked_add(SAME_EVENT).unwrap_or(alert.ended);
    // Backwards: the later an alert began, the likelier it lasted until `from`.
    let begun = &times[..times.partition_point(|(at, _)| *at <= to)];
    begun.iter().rev().any(|(_, ended)| *ended >= from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::digest::Digest;
    use domain::severity::Severity;

    fn alert(rule: &str, device: usize, clock: &str) -> AlertFact {
        lasting(rule, device, clock, clock)
    }

    fn lasting(rule: &str, device: usize, clock: &str, ended: &str) -> AlertFact {
        let at = |clock: &str| format!("2026-11-23T{clock}:00Z").parse().unwrap();
        let id = Digest::of(format!("{rule} {device} {clock}").as_bytes());
        AlertFact {
            id: serde_json::from_value(serde_json::to_value(id).unwrap()).unwrap(),
            rule: rule.into(),
            title: rule.into(),
            severity: Severity::Medium,
            device,
            at: at(clock),
            ended: at(ended),
            breach: None,
            blocked: false,
            avoidable: false,
        }
    }

    #[test]
    fn an_alert_near_another_one_of_the_same_device_and_rule_is_the_same_event() {
        let against = [alert("smell", 0, "10:00"), alert("smell", 0, "15:00"), alert("smell", 0, "18:00")];
        let rules = [alert("smell", 0, "11:00"), alert("smell", 0, "18:00"), alert("smell", 0, "21:00")];
        let expected = Difference { same: 1, moved: 1, gained: vec![2], missed: vec![1] };
        assert_eq!(difference(&rules, &against), expected);
    }

    #[test]
    fn another_device_another_rule_or_another_time_is_another_event() {
        let against = [alert("smell", 0, "10:00"), alert("smell", 1, "10:30"), alert("air", 0, "10:30")];
        let later = [alert("smell", 0, "11:01")];
        let expected = Difference { same: 0, moved: 0, gained: vec![0], missed: vec![0, 1, 2] };
        assert_eq!(difference(&later, &against), expected);
        assert_eq!(difference(&[], &[]), Difference::default());
    }

    #[test]
    fn an_alert_that_begins_earlier_and_lasts_is_the_same_event() {
        let (at_five, at_ten) = (lasting("soap", 0, "13:36", "20:00"), lasting("soap", 0, "09:00", "20:00"));
        let earlier = difference(std::slice::from_ref(&at_ten), std::slice::from_ref(&at_five));
        assert_eq!(earlier, Difference { moved: 1, ..Difference::default() });
        let later = difference(std::slice::from_ref(&at_five), std::slice::from_ref(&at_ten));
        assert_eq!(later, Difference { moved: 1, ..Difference::default() });
        let refilled_before = [lasting("soap", 0, "09:00", "12:00")];
        let missed = difference(&refilled_before, &[at_five]);
        assert_eq!((missed.gained, missed.missed), (vec![0], vec![0]));
    }
}
