//! Implausible values: each metric at both ends of its range, and one step outside.

use jiff::Timestamp;
use serde_json::json;

use super::{Evaluation, evaluate};
use crate::device::{DEVICE_TYPES, DeviceType, Metric};
use crate::reading::Reading;
use crate::rules::RuleSet;
use crate::state::ZoneState;

/// The number on the wire for this value of the metric.
fn sent(metric: &Metric, value: f64) -> f64 {
    let forms = [value, value * 10.0, 1.0 - value];
    forms.into_iter().find(|sent| metric.value(*sent) == value).unwrap()
}

fn evaluated(rules: &RuleSet, device_type: &DeviceType, metric: &Metric, value: f64) -> Evaluation {
    let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
    let name = metric.sent_as()[0];
    let text = json!({
        "DevType": device_type.name, "DEVID": "d", "InsID": "z", "unixT": now.as_millisecond(),
        "v": { name: sent(metric, value) },
    });
    let text = text.to_string();
    let reading = Reading::read(&text).unwrap();
    evaluate(rules, ZoneState::default(), &[&reading], now, now)
}

#[test]
fn every_metric_fires_at_both_ends_of_its_range_and_not_one_step_outside() {
    const STEP: f64 = 0.5;
    for device_type in &DEVICE_TYPES {
        for metric in device_type.metrics {
            let (least, most) = (*metric.plausible.start(), *metric.plausible.end());
            let rule = format!(
                "[[rule]]\nid = \"any-value\"\ntitle = \"T\"\ntypes = [\"{}\"]\nmetric = \"{}\"\nat_least = {least:?}\nblock = \"none\"\n",
                device_type.name, metric.key
            );
            let mut rules = RuleSet::parse("r", &rule).unwrap();
            rules.rules.retain(|rule| rule.id == "any-value");
            let counts = |value| {
                let evaluation = evaluated(&rules, device_type, metric, value);
                (evaluation.stats.alerts, evaluation.stats.implausible)
            };
            for (value, expected) in [(least, (1, 0)), (most, (1, 0)), (least - STEP, (0, 1)), (most + STEP, (0, 1))] {
                assert_eq!(counts(value), expected, "{} {} = {value}", device_type.name, metric.key);
            }
        }
    }
}

#[test]
fn a_type_that_is_not_documented_has_no_range() {
    let rule = "[[rule]]\nid = \"x\"\ntitle = \"T\"\ntypes = [\"ACME#BIN\"]\nmetric = \"p\"\nbelow = 5\n";
    let rules = RuleSet::parse("r", rule).unwrap();
    let text = r#"{"DevType":"ACME#BIN","DEVID":"d","v":{"p":-65535}}"#;
    let reading = Reading::read(text).unwrap();
    let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
    let evaluation = evaluate(&rules, ZoneState::default(), &[&reading], now, now);
    assert_eq!((evaluation.stats.alerts, evaluation.stats.implausible), (1, 0));
}
