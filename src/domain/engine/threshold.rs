//! The one place where a limit is compared.

use jiff::Timestamp;

use crate::domain::alert::{Alert, AlertId, Breach, Comparison, Place};
use crate::domain::reading::Reading;
use crate::domain::rules::{Effective, Join, Rule, Test};
use crate::domain::severity::Severity;

/// The alert that `rule` raises at `reading`, if it does.
pub(super) fn fire(rule: &Rule, reading: &Reading<'_>, at: Timestamp) -> Option<Alert> {
    let effective = rule.effective(&reading.source)?;
    let broken: Vec<(Severity, Breach)> =
        effective.condition.tests.iter().filter_map(|test| judge(test, &effective, reading)).collect();
    let fires = match effective.condition.join {
        Join::All => broken.len() == effective.condition.tests.len(),
        Join::Any => !broken.is_empty(),
    };
    let severity = broken.iter().map(|(severity, _)| *severity).max().filter(|_| fires)?;
    Some(Alert {
        id: AlertId::of(&rule.id, reading),
        rule: rule.id.clone(),
        title: rule.title.clone(),
        template: rule.template.clone(),
        severity,
        breaches: broken.into_iter().map(|(_, breach)| breach).collect(),
        reasons: reading.reasons().iter().filter_map(|reason| crate::domain::alert::presentable(reason)).collect(),
        at,
        reading: reading.id,
        place: Place::of(reading),
    })
}

/// The worst level of `test` that `reading` breaks. A metric that the reading does not carry breaks nothing.
fn judge(test: &Test, effective: &Effective<'_>, reading: &Reading<'_>) -> Option<(Severity, Breach)> {
    let quantity = reading.metric(&test.metric)?;
    let value = match test.comparison {
        Comparison::Deviates => deviation(quantity.value, *effective.baseline?.get(&test.metric)?),
        _ => quantity.value,
    };
    let level = test.levels.iter().rev().find(|level| test.comparison.is_broken(value, level.limit))?;
    let breach = Breach {
        metric: test.metric.clone(),
        label: quantity.label.to_owned(),
        value,
        unit: quantity.unit,
        comparison: test.comparison,
        limit: level.limit,
    };
    Some((level.severity.unwrap_or(effective.severity), breach))
}

/// The angle between two directions in degrees, the shorter way round: 0 to 180.
fn deviation(angle: f64, baseline: f64) -> f64 {
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
