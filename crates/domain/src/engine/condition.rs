//! Compares the values of a reading with the limits of a rule, by [`Comparison::is_breached`]. No other file of the engine
//! compares them.

use crate::breach::{Breach, Comparison};
use crate::reading::{Quantity, Reading};
use crate::rules::{Join, Settings, Test};
use crate::severity::Severity;

/// The result of a rule's condition for a reading.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ConditionResult {
    /// Limits are breached, with the worst severity.
    Breached(Severity, Vec<Breach>),
    /// The condition is not met, but the value is not beyond the clear level (hysteresis).
    Between,
    /// The condition is not met, and the value is beyond the clear level if there is one.
    Clear,
    /// The condition is not met because metrics or baselines are missing: no value is within its limit.
    Unmeasured,
}

/// Evaluates the condition of a rule for `reading`.
pub(super) fn evaluate_condition(settings: &Settings, reading: &Reading<'_>) -> ConditionResult {
    let Some(condition) = &settings.condition else { return ConditionResult::Unmeasured };
    let mut breaches = Vec::new();
    let mut worst = None;
    let (mut is_any_kept, mut are_all_clear) = (false, true);
    for measurement in condition.tests.iter().filter_map(|test| Measurement::new(test, settings, reading)) {
        match measurement.breach(settings.severity) {
            Some((severity, breach)) => {
                worst = worst.max(Some(severity));
                breaches.push(breach);
            }
            None => is_any_kept = true,
        }
        // Only a rule with one test has a clear level.
        let comparison = measurement.test.comparison;
        are_all_clear &= settings.clear.is_none_or(|clear| !comparison.is_breached(measurement.value, clear));
    }
    let is_breached = match condition.join {
        Join::All => breaches.len() == condition.tests.len(),
        Join::Any => !breaches.is_empty(),
    };
    match worst {
        Some(severity) if is_breached => ConditionResult::Breached(severity, breaches),
        _ if !is_any_kept => ConditionResult::Unmeasured,
        _ if are_all_clear => ConditionResult::Clear,
        _ => ConditionResult::Between,
    }
}

/// The value that an accumulate rule adds, if it is positive.
pub(super) fn addend(settings: &Settings, reading: &Reading<'_>) -> Option<f64> {
    let [test] = settings.condition.as_ref()?.tests.as_slice() else { return None };
    reading.metric(&test.metric).map(|quantity| quantity.value).filter(|value| *value > 0.0)
}

/// The breach of a sum that has reached `total`, with its severity.
pub(super) fn breach_of_total(settings: &Settings, reading: &Reading<'_>, total: f64) -> Option<(Severity, Breach)> {
    let [test] = settings.condition.as_ref()?.tests.as_slice() else { return None };
    let quantity = reading.metric(&test.metric)?;
    Measurement { test, value: total, quantity }.breach(settings.severity)
}

/// A test and the value that it compares.
struct Measurement<'r> {
    test: &'r Test,
    value: f64,
    quantity: Quantity<'r>,
}

impl<'r> Measurement<'r> {
    /// `None` if `reading` does not have the metric, or the settings do not have its baseline.
    fn new(test: &'r Test, settings: &Settings, reading: &Reading<'_>) -> Option<Self> {
        let quantity = reading.metric(&test.metric)?;
        let value = match test.comparison {
            Comparison::Deviates => deviation(quantity.value, *settings.baseline.get(&test.metric)?),
            _ => quantity.value,
        };
        Some(Self { test, value, quantity })
    }

    /// The breach of the worst level, with its severity.
    fn breach(&self, severity: Severity) -> Option<(Severity, Breach)> {
        let test = self.test;
        let level = test.levels.iter().rev().find(|level| test.comparison.is_breached(self.value, level.limit))?;
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

/// The smaller angle between two directions, 0 to 180 degrees.
fn deviation(angle: f64, baseline: f64) -> f64 {
    let turned = (angle - baseline).rem_euclid(360.0);
    turned.min(360.0 - turned)
}

#[cfg(test)]
mod tests {
    use super::deviation;

    #[test]
    fn a_deviation_is_the_smaller_angle() {
        assert_eq!(deviation(-87.5, -77.5), 10.0);
        assert_eq!(deviation(179.0, -179.0), 2.0);
        assert_eq!(deviation(0.0, 180.0), 180.0);
        assert_eq!(deviation(5.0, 5.0), 0.0);
    }
}
