//! How many alerts each of many limits would make of one device's values: all limits at once, as the values come.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::domain::alert::Comparison;
use crate::domain::engine::deviation;
use crate::domain::reading::Reading;
use crate::domain::rules::{Effective, Kind, Test};

/// One rule's test at one device, with many limits.
#[derive(Debug)]
pub(super) struct Gauge<'r> {
    effective: Effective<'r>,
    test: &'r Test,
    adds_up: bool,
    limits: Arc<[f64]>,
    stands: Vec<Stand>,
}

/// Where one limit stands.
#[derive(Clone, Debug, Default)]
struct Stand {
    /// The first value of the breach that lasts.
    since: Option<Timestamp>,
    /// The last one of it.
    last: Option<Timestamp>,
    is_raised: bool,
    /// What has been added up.
    total: f64,
    /// When an alert was last sent.
    sent: Option<Timestamp>,
    alerts: u64,
}

impl<'r> Gauge<'r> {
    /// `None` where the rule is of a kind that one limit alone does not decide.
    pub(super) fn new(kind: Kind, effective: Effective<'r>, test: &'r Test, limits: Arc<[f64]>) -> Option<Self> {
        let is_decided = matches!(kind, Kind::Threshold | Kind::Accumulate);
        let stands = vec![Stand::default(); limits.len()];
        (is_decided && !limits.is_empty()).then_some(Self {
            effective,
            test,
            adds_up: kind == Kind::Accumulate,
            limits,
            stands,
        })
    }

    /// Takes a value of a reading, as it was measured at `at`.
    pub(super) fn take(&mut self, at: Timestamp, value: f64, reading: &Reading<'_>) {
        if self.effective.active.is_some_and(|active| !active.contain(at, &reading.local_zone())) {
            return;
        }
        let value = match (self.test.comparison, self.effective.baseline) {
            (Comparison::Deviates, Some(baseline)) => match baseline.get(&self.test.metric) {
                Some(baseline) => deviation(value, *baseline),
                None => return,
            },
            (Comparison::Deviates, None) => return,
            _ => value,
        };
        let Self { effective, test, adds_up, limits, stands } = self;
        let block = effective.block.rule.unwrap_or(effective.block.zone).max(effective.block.device);
        for (limit, stand) in limits.iter().zip(stands) {
            let is_reached = if *adds_up {
                stand.add(test.comparison, *limit, value, effective.carry)
            } else {
                stand.compare(test.comparison, *limit, value, at, effective)
            };
            if is_reached {
                stand.raise(at, block);
            }
        }
    }

    /// Notes that the zone was cleaned: sums start again, and what was raised is over.
    pub(super) fn cleaned(&mut self) {
        for stand in &mut self.stands {
            (stand.since, stand.is_raised, stand.total) = (None, false, 0.0);
        }
    }

    /// Alerts by limit.
    pub(super) fn alerts(&self) -> Vec<u64> {
        self.stands.iter().map(|stand| stand.alerts).collect()
    }
}

impl Stand {
    /// Whether the sum reaches the limit with this value; it starts again then.
    fn add(&mut self, comparison: Comparison, limit: f64, value: f64, carries: bool) -> bool {
        self.total += value.max(0.0);
        let is_reached = comparison.is_broken(self.total, limit);
        if is_reached {
            self.total = if carries { self.total - limit } else { 0.0 };
        }
        is_reached
    }

    /// Whether the limit is broken anew, for as long as the rule asks.
    fn compare(
        &mut self,
        comparison: Comparison,
        limit: f64,
        value: f64,
        at: Timestamp,
        effective: &Effective<'_>,
    ) -> bool {
        if !comparison.is_broken(value, limit) {
            // As far from the limit as the rule in force asks.
            let slack = effective.clear.zip(first_limit(effective)).map_or(0.0, |(clear, first)| clear - first);
            if slack == 0.0 || !comparison.is_broken(value, limit + slack) {
                (self.since, self.is_raised) = (None, false);
            }
            return false;
        }
        let is_gap = self.last.is_some_and(|last| at.duration_since(last) > effective.max_gap);
        if self.since.is_none() || (is_gap && !self.is_raised) {
            self.since = Some(at);
        }
        self.last = Some(at);
        let lasts = self.since.is_some_and(|since| at.duration_since(since) >= effective.lasting);
        let is_reached = lasts && !self.is_raised;
        self.is_raised |= is_reached;
        is_reached
    }

    fn raise(&mut self, at: Timestamp, block: SignedDuration) {
        if self.sent.is_none_or(|sent| at.duration_since(sent) >= block) {
            self.sent = Some(at);
            self.alerts += 1;
        }
    }
}

/// The mildest limit of the rule's one test.
fn first_limit(effective: &Effective<'_>) -> Option<f64> {
    effective.condition?.tests.first()?.levels.first().map(|level| level.limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::RuleSet;

    const LIMITS: [f64; 4] = [100.0, 150.0, 200.0, 300.0];

    /// Alerts by limit of values five minutes apart.
    fn alerts(rule: &str, device: &str, values: &[f64]) -> Vec<u64> {
        let rules = RuleSet::parse("rules.toml", rule).unwrap();
        let text = format!(r#"{{"DevType":"{device}","DEVID":"d","InsID":"z","v":{{}}}}"#);
        let reading = Reading::read(&text).unwrap();
        let rule = rules.rules.iter().find(|rule| rule.scope.types.iter().any(|of| of == device)).unwrap();
        let effective = rule.effective(&reading.source).unwrap();
        let test = &effective.condition.unwrap().tests[0];
        let mut gauge = Gauge::new(rule.kind, effective, test, LIMITS.into()).unwrap();
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
    fn a_rule_looks_only_in_its_hours() {
        // The first value is of midnight.
        let rule = |hours| format!("[[rule]]\nid = \"ammonia-lite\"\nactive = \"{hours}\"");
        assert_eq!(alerts(&rule("00:00-00:05"), "ODRDTR_BATT_V1", &[90.0, 210.0])[2], 0);
        assert_eq!(alerts(&rule("00:00-00:06"), "ODRDTR_BATT_V1", &[90.0, 210.0])[2], 1);
    }

    #[test]
    fn what_is_added_up_starts_again_at_each_limit_by_itself() {
        // At 100 every second report, ten minutes apart, so that the block holds every second alert back.
        assert_eq!(alerts("", "UM", &[60.0; 10]), [3, 3, 2, 2]);
    }
}
