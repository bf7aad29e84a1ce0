//! What one set of rules says that another does not.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::findings::{AlertFact, Difference, SAME_EVENT};
use domain::alert::AlertId;

/// What each rule told of each device: from when to when, in order.
type Told<'a> = BTreeMap<(&'a Arc<str>, usize), Vec<(Timestamp, Timestamp)>>;

/// What `rules` say that `against` do not, and the other way round. Both are in order of time.
pub(super) fn difference(rules: &[AlertFact], against: &[AlertFact]) -> Difference {
    let ids = |alerts: &[AlertFact]| alerts.iter().map(|alert| alert.id).collect::<HashSet<AlertId>>();
    let (here, there) = (ids(rules), ids(against));
    let (told_here, told_there) = (told(rules), told(against));
    let mut difference = Difference::default();
    for (index, alert) in rules.iter().enumerate() {
        if there.contains(&alert.id) {
            difference.same += 1;
        } else if tells_of(&told_there, alert) {
            difference.moved += 1;
        } else {
            difference.gained.push(index);
        }
    }
    let missed = |(_, alert): &(usize, &AlertFact)| !here.contains(&alert.id) && !tells_of(&told_here, alert);
    difference.missed = against.iter().enumerate().filter(missed).map(|(index, _)| index).collect();
    difference
}

fn told(alerts: &[AlertFact]) -> Told<'_> {
    let mut told = Told::new();
    for alert in alerts {
        told.entry((&alert.rule, alert.device)).or_default().push((alert.at, alert.over));
    }
    told
}

/// Whether something that is told lay within [`SAME_EVENT`] of what `alert` tells of.
fn tells_of(told: &Told<'_>, alert: &AlertFact) -> bool {
    let Some(told) = told.get(&(&alert.rule, alert.device)) else { return false };
    let (from, to) = (
        alert.at.checked_sub(SAME_EVENT).unwrap_or(alert.at),
        alert.over.checked_add(SAME_EVENT).unwrap_or(alert.over),
    );
    // Those that began in time; the later they began, the likelier they lasted.
    let begun = &told[..told.partition_point(|(at, _)| *at <= to)];
    begun.iter().rev().any(|(_, over)| *over >= from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::digest::Digest;
    use domain::severity::Severity;

    fn alert(rule: &str, device: usize, clock: &str) -> AlertFact {
        lasting(rule, device, clock, clock)
    }

    fn lasting(rule: &str, device: usize, clock: &str, over: &str) -> AlertFact {
        let at = |clock: &str| format!("2026-11-23T{clock}:00Z").parse().unwrap();
        let id = Digest::of(format!("{rule} {device} {clock}").as_bytes());
        AlertFact {
            id: serde_json::from_value(serde_json::to_value(id).unwrap()).unwrap(),
            rule: rule.into(),
            severity: Severity::Medium,
            device,
            at: at(clock),
            over: at(over),
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
    fn what_is_told_earlier_and_lasts_is_not_missed() {
        let (at_five, at_ten) = (lasting("soap", 0, "13:36", "20:00"), lasting("soap", 0, "09:00", "20:00"));
        let told_earlier = difference(std::slice::from_ref(&at_ten), std::slice::from_ref(&at_five));
        assert_eq!(told_earlier, Difference { moved: 1, ..Difference::default() });
        let told_later = difference(std::slice::from_ref(&at_five), std::slice::from_ref(&at_ten));
        assert_eq!(told_later, Difference { moved: 1, ..Difference::default() });
        let refilled_before = [lasting("soap", 0, "09:00", "12:00")];
        let missed = difference(&refilled_before, &[at_five]);
        assert_eq!((missed.gained, missed.missed), (vec![0], vec![0]));
    }
}
