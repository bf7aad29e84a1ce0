//! The one place of the engine where values are compared with limits, by [`Comparison::is_broken`].

use crate::breach::{Breach, Comparison};
use crate::reading::Reading;
use crate::rules::{Join, Settings, Test};
use crate::severity::Severity;

/// What a reading says about a condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Its limits are broken: how badly, and which.
    Broken(Severity, Vec<Breach>),
    /// They are kept, but not by as much as the rule asks before all is well again.
    Between,
    /// All is well.
    Well,
    /// The reading does not carry what is asked for.
    Unknown,
}

/// What `reading` says about the condition of a rule.
pub(super) fn judge(effective: &Settings, reading: &Reading<'_>) -> Verdict {
    let Some(condition) = &effective.condition else { return Verdict::Unknown };
    let mut broken = Vec::new();
    let mut worst = None;
    let (mut is_any_kept, mut are_all_clear) = (false, true);
    for measured in condition.tests.iter().filter_map(|test| measure(test, effective, reading)) {
        match measured.breach(effective.severity) {
            Some((severity, breach)) => {
                worst = worst.max(Some(severity));
                broken.push(breach);
            }
            None => is_any_kept = true,
        }
        // A level to clear belongs to a rule of one test.
        let comparison = measured.test.comparison;
        are_all_clear &= effective.clear.is_none_or(|clear| !comparison.is_broken(measured.value, clear));
    }
    let fires = match condition.join {
        Join::All => broken.len() == condition.tests.len(),
        Join::Any => !broken.is_empty(),
    };
    match worst {
        Some(severity) if fires => Verdict::Broken(severity, broken),
        _ if !is_any_kept => Verdict::Unknown,
        _ if are_all_clear => Verdict::Well,
        _ => Verdict::Between,
    }
}

/// The value that a rule adds up: its one metric, where it is more than nothing.
pub(super) fn addend(effective: &Settings, reading: &Reading<'_>) -> Option<f64> {
    let [test] = effective.condition.as_ref()?.tests.as_slice() else { return None };
    reading.metric(&test.metric).map(|quantity| quantity.value).filter(|value| *value > 0.0)
}

/// The worst level of a rule's one test that `total` breaks, as a breach.
pub(super) fn judge_total(effective: &Settings, reading: &Reading<'_>, total: f64) -> Option<(Severity, Breach)> {
    let [test] = effective.condition.as_ref()?.tests.as_slice() else { return None };
    let quantity = reading.metric(&test.metric)?;
    Measured { test, value: total, quantity }.breach(effective.severity)
}

/// A test and the value that it is about.
struct Measured<'r> {
    test: &'r Test,
    value: f64,
    quantity: crate::reading::Quantity<'r>,
}

/// What `reading` carries for `test`; `None` where it is not there, or has nothing to deviate from.
fn measure<'r>(test: &'r Test, effective: &Settings, reading: &Reading<'_>) -> Option<Measured<'r>> {
    let quantity = reading.metric(&test.metric)?;
    let value = match test.comparison {
        Comparison::Deviates => deviation(quantity.value, *effective.baseline.get(&test.metric)?),
        _ => quantity.value,
    };
    Some(Measured { test, value, quantity })
}

impl Measured<'_> {
    /// The worst level that is broken.
    fn breach(&self, severity: Severity) -> Option<(Severity, Breach)> {
        let test = self.test;
        let level = test.levels.iter().rev().find(|level| test.comparison.is_broken(self.value, level.limit))?;
        let breach = Breach {
            metric: test.metric.clone(),
            label: self.quantity.label.to_owned(),
            value: self.value,
            unit: self.quantity.unit,
            comparison: test.comparison,
            limit: level.limit,
        };
        Some((level.severity.unwrap_or(severity), breach))
    }
}

/// The angle between two directions in degrees, the shorter way round: 0 to 180.
#[must_use]
pub fn deviation(angle: f64, baseline: f64) -> f64 {
    let turned = (angle - baseline).rem_euclid(360.0);
    turned.min(360.0 - turned)
}

#[cfg(test)]
mod tests {
    use super::deviation;

    #[test]
    fn angles_part_the_shorter_way_round() {
        assert_eq!(deviation(-87.5, -77.5), 10.0);
        assert_eq!(deviation(179.0, -179.0), 2.0);
        assert_eq!(deviation(0.0, 180.0), 180.0);
        assert_eq!(deviation(5.0, 5.0), 0.0);
    }
}
