//! How many alerts each of many limits would make of one device's values: all limits at once, as the values come.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use domain::breach::Comparison;
use domain::engine::deviation;
use domain::reading::Reading;
use domain::rules::{Kind, Settings, Test};

/// One rule's test at one device, with many limits.
#[derive(Debug)]
pub(super) struct Gauge<'r> {
    effective: Cow<'r, Settings>,
    test: Test,
    adds_up: bool,
    limits: Arc<[f64]>,
    stands: Vec<Stand>,
    /// The newest values that were added up, and when they were measured.
    recent: VecDeque<(Timestamp, f64)>,
}

/// Most values that are kept because a cleaning that is reported late may take them away.
const MOST_RECENT: usize = 64;

/// Where one limit stands.
#[derive(Clone, Debug, Default)]
struct Stand {
    /// The first value of the breach that lasts.
    since: Option<Timestamp>,
    /// The value that last changed something; what is older comes too late.
    as_of: Option<Timestamp>,
    is_raised: bool,
    /// Whether it was raised outside active hours, and is to be sent within them.
    waits: bool,
    /// What has been added up.
    total: f64,
    /// When that last began anew; earlier values are not in it.
    restarted: Option<Timestamp>,
    /// When an alert was last sent.
    sent: Option<Timestamp>,
    alerts: u64,
}

impl<'r> Gauge<'r> {
    /// `None` where the rule is of a kind that one limit alone does not decide.
    pub(super) fn new(kind: Kind, effective: &Cow<'r, Settings>, test: &Test, limits: Arc<[f64]>) -> Option<Self> {
        let is_decided = matches!(kind, Kind::Threshold | Kind::Accumulate);
        let stands = vec![Stand::default(); limits.len()];
        (is_decided && !limits.is_empty()).then_some(Self {
            effective: effective.clone(),
            test: test.clone(),
            adds_up: kind == Kind::Accumulate,
            limits,
            stands,
            recent: VecDeque::new(),
        })
    }

    /// Takes a value of a reading, as it was measured at `at`.
    pub(super) fn take(&mut self, at: Timestamp, value: f64, reading: &Reading<'_>) {
        let value = match (self.test.comparison, self.effective.baseline.get(&self.test.metric)) {
            (Comparison::Deviates, Some(baseline)) => deviation(value, *baseline),
            (Comparison::Deviates, None) => return,
            _ => value,
        };
        if self.adds_up {
            self.recent.truncate(MOST_RECENT - 1);
            self.recent.push_front((at, value.max(0.0)));
        }
        let Self { effective, test, adds_up, limits, stands, .. } = self;
        let block = effective.block.rule.unwrap_or(effective.block.zone).max(effective.block.device);
        let is_active = effective.active.is_none_or(|active| active.contain(at, &reading.local_zone()));
        for (limit, stand) in limits.iter().zip(stands) {
            stand.waits |= if *adds_up {
                stand.add(test.comparison, *limit, value, at, effective.carry)
            } else {
                stand.compare(test.comparison, *limit, value, at, effective)
            };
            if is_active && std::mem::take(&mut stand.waits) {
                stand.raise(at, block);
            }
        }
    }

    /// Notes that the zone was cleaned at `at`: what was added up before is taken away, and what was raised is over.
    pub(super) fn cleaned(&mut self, at: Timestamp) {
        for stand in &mut self.stands {
            if stand.restarted < Some(at) {
                stand.total = self.recent.iter().filter(|(of, _)| *of > at).map(|(_, value)| value).sum();
                stand.restarted = Some(at);
            }
            if stand.as_of <= Some(at) {
                (stand.since, stand.as_of, stand.is_raised, stand.waits) = (None, Some(at), false, false);
            }
        }
    }

    /// Alerts by limit.
    pub(super) fn alerts(&self) -> Vec<u64> {
        self.stands.iter().map(|stand| stand.alerts).collect()
    }
}

impl Stand {
    /// Whether the sum reaches the limit with this value; it starts again then.
    fn add(&mut self, comparison: Comparison, limit: f64, value: f64, at: Timestamp, carries: bool) -> bool {
        if Some(at) <= self.restarted {
            return false;
        }
        self.total += value.max(0.0);
        let is_reached = comparison.is_broken(self.total, limit);
        if is_reached {
            (self.total, self.restarted) = (if carries { self.total - limit } else { 0.0 }, Some(at));
        }
        is_reached
    }

    /// Whether the limit is broken anew, for as long as the rule asks.
    fn compare(&mut self, comparison: Comparison, limit: f64, value: f64, at: Timestamp, effective: &Settings) -> bool {
        if Some(at) <= self.as_of {
            return false;
        }
        if !comparison.is_broken(value, limit) {
            // As far from the limit as the rule in force asks.
            let slack = effective.clear.zip(first_limit(effective)).map_or(0.0, |(clear, first)| clear - first);
            let is_well = slack == 0.0 || !comparison.is_broken(value, limit + slack);
            if self.since.is_some() && (is_well || !self.is_raised) {
                (self.since, self.as_of, self.is_raised, self.waits) = (None, Some(at), false, false);
            }
            return false;
        }
        if self.is_raised {
            return false;
        }
        let is_gap = self.as_of.is_some_and(|as_of| at.duration_since(as_of) > effective.longest_gap());
        if self.since.is_none() || is_gap {
            self.since = Some(at);
        }
        self.as_of = Some(at);
        let lasts = self.since.is_some_and(|since| at.duration_since(since) >= effective.lasting);
        self.is_raised = lasts;
        lasts
    }

    fn raise(&mut self, at: Timestamp, block: SignedDuration) {
        if self.sent.is_none_or(|sent| at.duration_since(sent) >= block) {
            self.sent = Some(at);
            self.alerts += 1;
        }
    }
}

/// The mildest limit of the rule's one test.
fn first_limit(effective: &Settings) -> Option<f64> {
    effective.condition.as_ref()?.tests.first()?.levels.first().map(|level| level.limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::rules::RuleSet;

    const LIMITS: [f64; 4] = [100.0, 150.0, 200.0, 300.0];

    /// Alerts by limit of values five minutes apart.
    fn alerts(rule: &str, device: &str, values: &[f64]) -> Vec<u64> {
        let rules = RuleSet::parse("rules.toml", rule).unwrap();
        let text = format!(r#"{{"DevType":"{device}","DEVID":"d","InsID":"z","v":{{}}}}"#);
        let reading = Reading::read(&text).unwrap();
        let rule = rules.rules.iter().find(|rule| rule.scope.types.iter().any(|of| of == device)).unwrap();
        let effective = rule.effective(&reading.source).unwrap();
        let test = &effective.condition.as_ref().unwrap().tests[0];
        let mut gauge = Gauge::new(rule.kind, &effective, test, LIMITS.into()).unwrap();
        for (index, value) in values.iter().enumerate() {
            gauge.take(Timestamp::from_second(i64::try_from(index).unwrap() * 300).unwrap(), *value, &reading);
        }
        gauge.alerts()
    }

    #[test]
    fn each_limit_is_raised_when_it_is_crossed_and_again_once_all_was_well() {
        let values = [90.0, 160.0, 170.0, 210.0, 140.0, 90.0, 90.0, 120.0, 300.0];
        assert_eq!(alerts("", "ODRDTR_BATT_V1", &values), [2, 2, 2, 1]);
        assert_eq!(alerts("", "ODRDTR_BATT_V1", &[99.0; 20]), [0; 4]);
    }

    #[test]
    fn a_value_that_trembles_within_the_block_is_one_alert_and_after_it_another() {
        let trembling = [210.0, 190.0, 210.0, 210.0];
        assert_eq!(alerts("", "ODRDTR_BATT_V1", &trembling)[2], 1);
        let later = [210.0, 190.0, 190.0, 210.0];
        assert_eq!(alerts("", "ODRDTR_BATT_V1", &later)[2], 2);
    }

    #[test]
    fn a_breach_must_last_where_the_rule_says_so() {
        let rule = "[[rule]]\nid = \"ammonia-lite\"\nfor = \"10m\"";
        assert_eq!(alerts(rule, "ODRDTR_BATT_V1", &[210.0, 210.0, 90.0])[2], 0);
        assert_eq!(alerts(rule, "ODRDTR_BATT_V1", &[210.0, 210.0, 210.0])[2], 1);
    }

    #[test]
    fn the_way_back_is_as_long_for_every_limit_as_for_the_one_in_force() {
        let rule = "[[rule]]\nid = \"ammonia-lite\"\nclear = 150";
        let back = [310.0, 260.0, 260.0, 260.0, 310.0];
        assert_eq!(alerts(rule, "ODRDTR_BATT_V1", &back)[3], 1);
        assert_eq!(alerts("", "ODRDTR_BATT_V1", &back)[3], 2);
    }

    #[test]
    fn what_is_raised_outside_active_hours_counts_once_they_begin_if_it_still_lasts() {
        // The first value is of midnight.
        let counted = |hours: &str, values: &[f64]| {
            let rule = format!("[[rule]]\nid = \"ammonia-lite\"\nactive = \"{hours}\"");
            alerts(&rule, "ODRDTR_BATT_V1", values)[2]
        };
        assert_eq!(counted("00:00-00:05", &[90.0, 210.0]), 0, "they are over");
        assert_eq!(counted("00:00-00:06", &[90.0, 210.0]), 1);
        assert_eq!(counted("00:10-01:00", &[90.0, 210.0, 210.0]), 1, "it lasts when they begin");
        assert_eq!(counted("00:10-01:00", &[90.0, 210.0, 90.0]), 0, "all is well when they begin");
    }

    #[test]
    fn a_cleaning_takes_away_what_was_added_up_before_it_however_late_it_is_reported() {
        let rules = RuleSet::pack();
        let reading = Reading::read(r#"{"DevType":"UM","DEVID":"d","InsID":"z","v":{}}"#).unwrap();
        let rule = rules.rules.iter().find(|rule| rule.kind == Kind::Accumulate).unwrap();
        let effective = rule.effective(&reading.source).unwrap();
        let test = &effective.condition.as_ref().unwrap().tests[0];
        let mut gauge = Gauge::new(rule.kind, &effective, test, LIMITS.into()).unwrap();
        let minute = |number: i64| Timestamp::from_second(number * 60).unwrap();
        for (at, value) in [(0, 90.0), (8, 20.0)] {
            gauge.take(minute(at), value, &reading);
        }
        assert_eq!(gauge.alerts(), [1, 0, 0, 0]);
        gauge.cleaned(minute(5));
        gauge.take(minute(9), 135.0, &reading);
        // At 100 the sum began anew when it was reached, and that alert still blocks; at 150 the 20 is left.
        assert_eq!(gauge.alerts(), [1, 1, 0, 0]);
    }

    #[test]
    fn what_is_added_up_starts_again_at_each_limit_by_itself() {
        // At 100 every second report, ten minutes apart, so that the block holds every second alert back.
        assert_eq!(alerts("", "UM", &[60.0; 10]), [3, 3, 2, 2]);
    }
}
