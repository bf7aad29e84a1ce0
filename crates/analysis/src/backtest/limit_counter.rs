//! Counts the alerts that each of many limits would make of the values of a device.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use domain::breach::Comparison;
use domain::engine::deviation;
use domain::reading::Reading;
use domain::rules::{Kind, Settings, Test};

/// A test of a rule at a device, with many limits.
#[derive(Debug)]
pub(super) struct LimitCounter<'r> {
    effective: Cow<'r, Settings>,
    test: Test,
    is_sum: bool,
    limits: Arc<[f64]>,
    states: Vec<LimitState>,
    /// The newest values of a sum, and their times.
    recent: VecDeque<(Timestamp, f64)>,
}

/// Most values of a sum that a cleaning can remove if it is reported late.
const MAX_RECENT: usize = 64;

/// The state of a limit.
#[derive(Clone, Debug, Default)]
struct LimitState {
    /// The start of the breach that lasts.
    since: Option<Timestamp>,
    /// The last value that changed the state. Older values are late.
    as_of: Option<Timestamp>,
    is_raised: bool,
    /// Whether it was raised outside of active hours, and is sent when they begin.
    is_waiting: bool,
    total: f64,
    /// The last restart of the total. Earlier values are not in it.
    restarted: Option<Timestamp>,
    /// The time of the last alert.
    sent: Option<Timestamp>,
    alerts: u64,
}

impl<'r> LimitCounter<'r> {
    /// `None` if the kind of the rule has no limit, or there is no limit to try.
    pub(super) fn new(kind: Kind, effective: &Cow<'r, Settings>, test: &Test, limits: Arc<[f64]>) -> Option<Self> {
        let has_limit = matches!(kind, Kind::Threshold | Kind::Accumulate);
        (has_limit && !limits.is_empty()).then(|| Self {
            effective: effective.clone(),
            test: test.clone(),
            is_sum: kind == Kind::Accumulate,
            states: vec![LimitState::default(); limits.len()],
            limits,
            recent: VecDeque::new(),
        })
    }

    /// Adds a value of a reading as of `at`.
    pub(super) fn add(&mut self, at: Timestamp, value: f64, reading: &Reading<'_>) {
        let value = match (self.test.comparison, self.effective.baseline.get(&self.test.metric)) {
            (Comparison::Deviates, Some(baseline)) => deviation(value, *baseline),
            (Comparison::Deviates, None) => return,
            _ => value,
        };
        if self.is_sum {
            self.recent.truncate(MAX_RECENT - 1);
            self.recent.push_front((at, value.max(0.0)));
        }
        let Self { effective, test: Test { comparison, .. }, is_sum, limits, states, .. } = self;
        let block = effective.block.rule.unwrap_or(effective.block.zone).max(effective.block.device);
        let is_active = effective.active.is_none_or(|active| active.contain(at, &reading.local_zone()));
        for (limit, state) in limits.iter().zip(states) {
            state.is_waiting |= if *is_sum {
                state.accumulate(*comparison, *limit, value, at, effective.carry)
            } else {
                state.compare(*comparison, *limit, value, at, effective)
            };
            if is_active && std::mem::take(&mut state.is_waiting) {
                state.raise(at, block);
            }
        }
    }

    /// Adds a cleaning of the zone that ended at `at`: sums restart, and alerts resolve.
    pub(super) fn cleaned(&mut self, at: Timestamp) {
        for state in &mut self.states {
            if state.restarted < Some(at) {
                state.total = self.recent.iter().filter(|(of, _)| *of > at).map(|(_, value)| value).sum();
                state.restarted = Some(at);
            }
            if state.as_of <= Some(at) {
                state.resolve(at);
            }
        }
    }

    /// Alerts by limit.
    pub(super) fn alerts(&self) -> Vec<u64> {
        self.states.iter().map(|state| state.alerts).collect()
    }
}

impl LimitState {
    /// Adds a value to the sum. Returns whether it reaches the limit; then it restarts.
    fn accumulate(&mut self, comparison: Comparison, limit: f64, value: f64, at: Timestamp, carries: bool) -> bool {
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

    /// Compares a value. Returns whether a breach has just lasted as long as the rule requires.
    fn compare(&mut self, comparison: Comparison, limit: f64, value: f64, at: Timestamp, effective: &Settings) -> bool {
        if Some(at) <= self.as_of {
            return false;
        }
        if !comparison.is_broken(value, limit) {
            // The same distance between limit and clear level as in the rule.
            let slack = effective.clear.zip(first_limit(effective)).map_or(0.0, |(clear, first)| clear - first);
            let is_clear = slack == 0.0 || !comparison.is_broken(value, limit + slack);
            if self.since.is_some() && (is_clear || !self.is_raised) {
                self.resolve(at);
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
        self.is_raised = self.since.is_some_and(|since| at.duration_since(since) >= effective.lasting);
        self.is_raised
    }

    fn resolve(&mut self, at: Timestamp) {
        (self.since, self.as_of, self.is_raised, self.is_waiting) = (None, Some(at), false, false);
    }

    fn raise(&mut self, at: Timestamp, block: SignedDuration) {
        if self.sent.is_none_or(|sent| at.duration_since(sent) >= block) {
            self.sent = Some(at);
            self.alerts += 1;
        }
    }
}

/// The mildest limit of the first test of a rule.
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
        let mut counter = LimitCounter::new(rule.kind, &effective, test, LIMITS.into()).unwrap();
        for (index, value) in values.iter().enumerate() {
            counter.add(Timestamp::from_second(i64::try_from(index).unwrap() * 300).unwrap(), *value, &reading);
        }
        counter.alerts()
    }

    #[test]
    fn each_limit_alerts_when_it_is_crossed_and_again_after_it_resolved() {
        let values = [90.0, 160.0, 170.0, 210.0, 140.0, 90.0, 90.0, 120.0, 300.0];
        assert_eq!(alerts("", "ODRDTR_BATT_V1", &values), [2, 2, 2, 1]);
        assert_eq!(alerts("", "ODRDTR_BATT_V1", &[99.0; 20]), [0; 4]);
    }

    #[test]
    fn a_value_that_crosses_again_within_the_block_is_one_alert() {
        let trembling = [210.0, 190.0, 210.0, 210.0];
        assert_eq!(alerts("", "ODRDTR_BATT_V1", &trembling)[2], 1);
        let later = [210.0, 190.0, 190.0, 210.0];
        assert_eq!(alerts("", "ODRDTR_BATT_V1", &later)[2], 2);
    }

    #[test]
    fn a_breach_must_last_as_long_as_the_rule_says() {
        let rule = "[[rule]]\nid = \"ammonia-lite\"\nfor = \"10m\"";
        assert_eq!(alerts(rule, "ODRDTR_BATT_V1", &[210.0, 210.0, 90.0])[2], 0);
        assert_eq!(alerts(rule, "ODRDTR_BATT_V1", &[210.0, 210.0, 210.0])[2], 1);
    }

    #[test]
    fn every_limit_has_the_hysteresis_of_the_one_in_force() {
        let rule = "[[rule]]\nid = \"ammonia-lite\"\nclear = 150";
        let back = [310.0, 260.0, 260.0, 260.0, 310.0];
        assert_eq!(alerts(rule, "ODRDTR_BATT_V1", &back)[3], 1);
        assert_eq!(alerts("", "ODRDTR_BATT_V1", &back)[3], 2);
    }

    #[test]
    fn an_alert_outside_active_hours_counts_when_they_begin_if_it_still_lasts() {
        // The first value is of midnight.
        let counted = |hours: &str, values: &[f64]| {
            let rule = format!("[[rule]]\nid = \"ammonia-lite\"\nactive = \"{hours}\"");
            alerts(&rule, "ODRDTR_BATT_V1", values)[2]
        };
        assert_eq!(counted("00:00-00:05", &[90.0, 210.0]), 0, "they have ended");
        assert_eq!(counted("00:00-00:06", &[90.0, 210.0]), 1);
        assert_eq!(counted("00:10-01:00", &[90.0, 210.0, 210.0]), 1, "it lasts when they begin");
        assert_eq!(counted("00:10-01:00", &[90.0, 210.0, 90.0]), 0, "it has resolved when they begin");
    }

    #[test]
    fn a_cleaning_that_is_reported_late_removes_the_values_before_it() {
        let rules = RuleSet::pack();
        let reading = Reading::read(r#"{"DevType":"UM","DEVID":"d","InsID":"z","v":{}}"#).unwrap();
        let rule = rules.rules.iter().find(|rule| rule.kind == Kind::Accumulate).unwrap();
        let effective = rule.effective(&reading.source).unwrap();
        let test = &effective.condition.as_ref().unwrap().tests[0];
        let mut counter = LimitCounter::new(rule.kind, &effective, test, LIMITS.into()).unwrap();
        let minute = |number: i64| Timestamp::from_second(number * 60).unwrap();
        for (at, value) in [(0, 90.0), (8, 20.0)] {
            counter.add(minute(at), value, &reading);
        }
        assert_eq!(counter.alerts(), [1, 0, 0, 0]);
        counter.cleaned(minute(5));
        counter.add(minute(9), 135.0, &reading);
        // At 100 the sum restarted when it was reached, and that alert still blocks. At 150 the 20 is left.
        assert_eq!(counter.alerts(), [1, 1, 0, 0]);
    }

    #[test]
    fn a_sum_starts_again_at_each_limit_by_itself() {
        // At 100 every second report, ten minutes apart, so that the block suppresses every second alert.
        assert_eq!(alerts("", "UM", &[60.0; 10]), [3, 3, 2, 2]);
    }
}
