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

/// The attributes that hold values of alerts.
pub(super) const NAMES: [&str; 5] = ["severity", "rule", "device_type", "project", "zone"];

/// The values of an alert in the order of [`NAMES`].
pub(super) fn values(alert: &Alert) -> [Option<&str>; NAMES.len()] {
    [
        Some(alert.severity.as_str()),
        Some(&alert.rule),
        Some(&alert.location.device_type),
        alert.location.project.as_deref(),
        alert.location.zone.as_deref(),
    ]
}

/// The attributes of a message of `kind` about `alerts`, with at most `max` values each, without duplicates. SNS limits a
/// String.Array only by the message size; its limit of 150 applies to filter policies ("Filter policy constraints").
pub(super) fn attributes<'a>(
    kind: &'static str,
    alerts: impl Iterator<Item = &'a Alert> + Clone,
    max: usize,
) -> Vec<(&'static str, Attribute)> {
    let mut attributes = vec![("kind", Attribute::One(kind.to_owned()))];
    for (index, name) in NAMES.into_iter().enumerate() {
        // SNS refuses empty values.
        let present = alerts.clone().filter_map(|alert| values(alert)[index]).filter(|value| !value.is_empty());
        let mut values: Vec<String> = deduplicated(present).into_iter().take(max).map(str::to_owned).collect();
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
