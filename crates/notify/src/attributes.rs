//! SNS message attributes, for the filter policies of subscriptions.

use serde::Serialize;

use super::facts::deduplicated;
use domain::alert::Alert;

/// Most values of one attribute of a message that cannot be split. SNS limits message and attributes together to 256 KB (API
/// reference, Publish).
pub(super) const MOST_VALUES: usize = 64;

/// Values of the attribute `channel`.
pub(super) const EMAIL: &str = "email";
pub(super) const SMS: &str = "sms";

/// The value of a message attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Attribute {
    /// A single value; never empty.
    One(String),
    /// Several values without duplicates; never empty.
    Many(Vec<String>),
}

/// The attributes of an alert that have a value. SNS refuses empty values.
pub(super) fn values(alert: &Alert) -> impl Iterator<Item = (&'static str, &str)> {
    let values = [
        Some(alert.severity.as_str()),
        Some(&alert.rule),
        Some(&alert.location.device_type),
        alert.location.project.as_deref(),
        alert.location.zone.as_deref(),
    ];
    NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
}

const NAMES: [&str; 5] = ["severity", "rule", "device_type", "project", "zone"];

/// The attributes of a message of `kind` about `alerts`, with at most `max` values each, without duplicates. SNS limits a
/// String.Array only by the message size; its limit of 150 applies to filter policies ("Filter policy constraints").
pub(super) fn attributes<'a>(
    kind: &'static str,
    alerts: impl Iterator<Item = &'a Alert>,
    max: usize,
) -> Vec<(&'static str, Attribute)> {
    let mut attributes = vec![("kind", Attribute::One(kind.to_owned()))];
    let present = deduplicated(alerts.flat_map(values));
    for name in NAMES {
        let of_name = present.iter().filter(|(other, _)| *other == name);
        let mut values: Vec<String> = of_name.take(max).map(|(_, value)| (*value).to_owned()).collect();
        match values.len() {
            0 => {}
            1 => attributes.extend(values.pop().map(|value| (name, Attribute::One(value)))),
            _ => attributes.push((name, Attribute::Many(values))),
        }
    }
    attributes.push(channel(&[EMAIL, SMS]));
    attributes
}

/// The attribute for the channels of a message; always a list, because filter policies expect one.
pub(super) fn channel(names: &[&str]) -> (&'static str, Attribute) {
    ("channel", Attribute::Many(names.iter().map(|name| (*name).to_owned()).collect()))
}
