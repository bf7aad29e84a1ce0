//! What one set of rules says that another does not.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::findings::{AlertFact, Difference, SAME_EVENT};
use crate::domain::alert::AlertId;

/// When each rule raised something of each device, in order.
type Times<'a> = BTreeMap<(&'a Arc<str>, usize), Vec<Timestamp>>;

/// What `rules` say that `against` do not, and the other way round. Both are in order of time.
pub(super) fn difference(rules: &[AlertFact], against: &[AlertFact]) -> Difference {
    let ids = |alerts: &[AlertFact]| alerts.iter().map(|alert| alert.id).collect::<HashSet<AlertId>>();
    let (here, there) = (ids(rules), ids(against));
    let (times_here, times_there) = (times(rules), times(against));
    let mut difference = Difference::default();
    for (index, alert) in rules.iter().enumerate() {
        if there.contains(&alert.id) {
            difference.same += 1;
        } else if tells_of(&times_there, alert) {
            difference.moved += 1;
        } else {
            difference.gained.push(index);
        }
    }
    let missed = |(_, alert): &(usize, &AlertFact)| !here.contains(&alert.id) && !tells_of(&times_here, alert);
    difference.missed = against.iter().enumerate().filter(missed).map(|(index, _)| index).collect();
    difference
}

fn times(alerts: &[AlertFact]) -> Times<'_> {
    let mut times = Times::new();
    for alert in alerts {
        times.entry((&alert.rule, alert.device)).or_default().push(alert.at);
    }
    times
}

/// Whether there is an alert of the same event.
fn tells_of(times: &Times<'_>, alert: &AlertFact) -> bool {
    let Some(times) = times.get(&(&alert.rule, alert.device)) else { return false };
    let next = times.partition_point(|at| *at < alert.at);
    let near = |at: Option<&Timestamp>| at.is_some_and(|at| alert.at.duration_since(*at).abs() <= SAME_EVENT);
    near(times.get(next)) || near(next.checked_sub(1).and_then(|last| times.get(last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Digest;
    use crate::domain::severity::Severity;

    fn alert(rule: &str, device: usize, clock: &str) -> AlertFact {
        let id = Digest::of(format!("{rule} {device} {clock}").as_bytes());
        AlertFact {
            id: serde_json::from_value(serde_json::to_value(id).unwrap()).unwrap(),
            rule: rule.into(),
            severity: Severity::Medium,
            device,
            at: format!("2026-11-23T{clock}:00Z").parse().unwrap(),
            breach: None,
            blocked: false,
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
}
