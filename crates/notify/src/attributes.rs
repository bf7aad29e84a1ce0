//! Message attributes, which subscriptions filter on.

use super::facts::{Facts, each_once};
use domain::alert::Alert;

/// Most values of one attribute of a message that is not split, so that attributes stay small beside the texts: SNS
/// counts them to the same 256 KB (API reference, Publish).
const MOST_VALUES: usize = 64;

/// Email and text messages, as the `channel` attribute names them.
pub(super) const EMAIL: &str = "email";
pub(super) const SMS: &str = "sms";

/// A message attribute's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A single value; never empty.
    One(String),
    /// Several values, each once; never empty.
    Many(Vec<String>),
}

impl Facts {
    /// The attributes. Several alerts of one message give each of their values.
    pub(super) fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        attributes(self.kind(), self.alerts.iter(), MOST_VALUES)
    }
}

/// The attributes of alerts that filters can ask for.
pub(super) const NAMES: [&str; 5] = ["severity", "rule", "device_type", "project", "zone"];

/// What an alert has for each of [`NAMES`].
pub(super) fn values(alert: &Alert) -> [Option<&str>; NAMES.len()] {
    [
        Some(alert.severity.as_str()),
        Some(&alert.rule),
        Some(&alert.location.device_type),
        alert.location.project.as_deref(),
        alert.location.zone.as_deref(),
    ]
}

/// The attributes of a message of `kind` about `alerts`: each value once, at most `most` of each. SNS documents no limit
/// of a String.Array but the message's size; its limit of 150 is one of filter policies ("Filter policy constraints").
pub(super) fn attributes<'a>(
    kind: &'static str,
    alerts: impl Iterator<Item = &'a Alert> + Clone,
    most: usize,
) -> Vec<(&'static str, Attribute)> {
    let mut attributes = vec![("kind", Attribute::One(kind.to_owned()))];
    for (index, name) in NAMES.into_iter().enumerate() {
        // SNS refuses empty values.
        let present = alerts.clone().filter_map(|alert| values(alert)[index]).filter(|value| !value.is_empty());
        let mut values: Vec<String> = each_once(present).into_iter().take(most).map(str::to_owned).collect();
        match values.len() {
            0 => {}
            1 => attributes.extend(values.pop().map(|value| (name, Attribute::One(value)))),
            _ => attributes.push((name, Attribute::Many(values))),
        }
    }
    attributes.push(channel(&[EMAIL, SMS]));
    attributes
}

/// The attribute that says over which channels a message goes; always a list, as filters know it.
pub(super) fn channel(names: &[&str]) -> (&'static str, Attribute) {
    ("channel", Attribute::Many(names.iter().map(|name| (*name).to_owned()).collect()))
}
