//! Sums of more readings than are kept separately: at most 64, of the last hour. A late cleaning removes some of these, and all or none
//! of the older ones. An alert can therefore be earlier than the exact one, never later.

use std::cell::Cell;
use std::sync::LazyLock;

use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use smartclean_push::domain::engine::{evaluate, respond};
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::response::Response;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::ZoneState;

use crate::model::config;
use crate::model::worlds::timestamp;

/// Readings that are kept separately.
const KEPT: usize = 64;
/// For this many minutes before the newest.
const KEPT_FOR: i64 = 60;

#[derive(Clone, Debug)]
enum SumEvent {
    /// This many people, counted this many minutes ago.
    Count { value: u8, lag: i64 },
    /// A cleaning that was finished this many minutes ago.
    Cleaned { lag: i64 },
}

fn some_steps() -> impl Strategy<Value = Vec<(i64, SumEvent)>> {
    let gaps = prop_oneof![6 => Just(0i64), 4 => Just(1), 1 => 2..20i64];
    let lags = prop_oneof![4 => Just(0i64), 2 => 1..10i64, 1 => 10..100i64];
    let count = (1..4u8, lags).prop_map(|(value, lag)| SumEvent::Count { value, lag });
    let late = prop_oneof![1 => 1..10i64, 2 => 30..120i64].prop_map(|lag| SumEvent::Cleaned { lag });
    vec((gaps, prop_oneof![40 => count, 1 => late]), 1..300)
}

/// The readings of a sum, each kept separately.
#[derive(Default)]
struct ExactSum {
    /// Each reading: its time, the time as of which it is kept, and its value.
    readings: Vec<(i64, i64, u32)>,
    cleaned: Option<i64>,
}

impl ExactSum {
    fn count(&mut self, at: i64, value: u8) {
        if self.cleaned.is_some_and(|cleaned| at <= cleaned) {
            return;
        }
        self.readings.push((at, at, u32::from(value)));
        self.readings.sort_by_key(|(_, kept_as, _)| *kept_as);
        let newest = self.readings.last().map_or(at, |(_, newest, _)| *newest);
        let too_many = self.readings.len().saturating_sub(KEPT);
        let is_merged = |index: usize, kept_as: i64| index < too_many || newest - kept_as > KEPT_FOR;
        let merged = self.readings.iter().enumerate().filter(|(index, reading)| is_merged(*index, reading.1)).count();
        if let Some(newest_merged) = merged.checked_sub(1).map(|last| self.readings[last].1) {
            self.readings[..merged].iter_mut().for_each(|reading| reading.1 = newest_merged);
        }
    }

    fn cleaned(&mut self, at: i64) {
        self.cleaned = self.cleaned.max(Some(at));
        self.readings.retain(|(_, kept_as, _)| Some(*kept_as) > self.cleaned);
    }

    /// The people after the last cleaning, and those that can be counted as if they came after it.
    fn totals(&self) -> (u32, u32) {
        let is_after = |at: i64| self.cleaned.is_none_or(|cleaned| at > cleaned);
        let truth = self.readings.iter().filter(|(at, _, _)| is_after(*at)).map(|(_, _, value)| value).sum();
        let most = self.readings.iter().map(|(_, _, value)| value).sum();
        (truth, most)
    }
}

/// Whether the exact sum and the counted one differ at the alert or at the end.
fn an_alert_is_never_later_than_exact(limit: u32, steps: &[(i64, SumEvent)]) -> Result<bool, TestCaseError> {
    static RULES: LazyLock<RuleSet> = LazyLock::new(|| RuleSet {
        max_age: SignedDuration::from_hours(6),
        ..RuleSet::parse("rules.toml", "[[rule]]\nid = \"high-usage\"\nat_least = 1").unwrap()
    });
    let mut rules = RULES.clone();
    let rule = rules.rules.iter_mut().find(|rule| rule.id == "high-usage").unwrap();
    rule.settings.condition.as_mut().unwrap().tests[0].levels[0].limit = f64::from(limit);
    let (mut state, mut counted, mut now) = (ZoneState::default(), ExactSum::default(), 0);
    for (number, (gap, step)) in steps.iter().enumerate() {
        now += gap;
        let evaluation = match step {
            SumEvent::Cleaned { lag } => {
                counted.cleaned(now - lag);
                let cleaning = Response::reported("z", timestamp(now - lag));
                respond(&rules, state.clone(), &[&cleaning], timestamp(now), timestamp(now))
            }
            SumEvent::Count { value, lag } => {
                counted.count(now - lag, *value);
                let unix = timestamp(now - lag).as_millisecond();
                let text = format!(
                    r#"{{"DevType":"UM","DEVID":"d","InsID":"z","unixT":{unix},"v":{{"count":{value}}},"number":{number}}}"#
                );
                let reading = Reading::read(&text).unwrap();
                evaluate(&rules, state.clone(), &[&reading], timestamp(now), timestamp(now))
            }
        };
        let (truth, most) = counted.totals();
        let is_raised = evaluation.stats.alerts > 0;
        prop_assert!(!is_raised || most >= limit, "step {number}: raised at {truth} to {most} of {limit}");
        prop_assert!(is_raised || truth < limit, "step {number}: not raised at {truth} to {most} of {limit}");
        state = evaluation.state;
        if is_raised {
            return Ok(truth < most);
        }
    }
    let (truth, most) = counted.totals();
    Ok(truth < most)
}

#[test]
fn an_alert_of_a_long_sum_is_never_later_than_an_exact_one() {
    let cases = 1_000;
    let differ = Cell::new(0u32);
    let limits = prop_oneof![1 => 5..40u32, 3 => 100..400u32];
    let mut runner = TestRunner::new(config(cases));
    let outcome = runner.run(&(limits, some_steps()), |(limit, steps)| {
        differ.set(differ.get() + u32::from(an_alert_is_never_later_than_exact(limit, &steps)?));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(differ.get() * 50 >= cases, "only {} of {cases} histories have more than is kept one by one", differ.get());
}
