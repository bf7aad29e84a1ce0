//! Message attributes, which subscriptions filter on.

use super::Alert;
use super::facts::{Facts, each_once};
use super::render::Attribute;

/// Most values of one attribute of a message that is not split, so that attributes stay small beside the texts: SNS
/// counts them to the same 256 KB (API reference, Publish).
const MOST_VALUES: usize = 64;

/// A way to a person that a subscription's filter can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Channel {
    /// Email.
    Email,
    /// Text message.
    Sms,
}

impl Channel {
    /// The word in the `channel` attribute: `sms`.
    #[must_use]
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

impl Facts {
    /// The attributes. Several alerts of one message give each of their values.
    pub(super) fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        attributes(self.kind(), self.alerts.iter(), MOST_VALUES)
    }
}

/// What filters can ask an alert for: the attribute's name, and the alert's value.
pub(super) fn values(alert: &Alert) -> [(&'static str, Option<&str>); 5] {
    [
        ("severity", Some(alert.severity.as_str())),
        ("rule", Some(&alert.rule)),
        ("device_type", Some(&alert.place.device_type)),
        ("project", alert.place.project.as_deref()),
        ("zone", alert.place.zone.as_deref()),
    ]
}

/// The attributes of a message of `kind` about `alerts`: each value once, at most `most` of each. SNS documents no limit
/// of a String.Array but the message's size; its limit of 150 is one of filter policies ("Filter policy constraints").
pub(super) fn attributes<'a>(
    kind: &'static str,
    alerts: impl Iterator<Item = &'a Alert> + Clone,
    most: usize,
) -> Vec<(&'static str, Attribute)> {
    let of_alerts = |index: usize| {
        // SNS refuses empty values.
        let present = alerts.clone().filter_map(move |alert| values(alert)[index].1).filter(|value| !value.is_empty());
        let mut values: Vec<String> = each_once(present).into_iter().take(most).map(str::to_owned).collect();
        match values.len() {
            0 => None,
            1 => values.pop().map(Attribute::One),
            _ => Some(Attribute::Many(values)),
        }
    };
    let order: [(&'static str, usize); 5] =
        [("severity", 0), ("rule", 1), ("device_type", 2), ("project", 3), ("zone", 4)];
    let mut attributes: Vec<(&'static str, Attribute)> =
        order.into_iter().filter_map(|(name, index)| of_alerts(index).map(|value| (name, value))).collect();
    let behind_the_rules = attributes.iter().position(|(name, _)| !matches!(*name, "severity" | "rule"));
    let behind_the_rules = behind_the_rules.unwrap_or(attributes.len());
    attributes.insert(behind_the_rules, ("kind", Attribute::One(kind.to_owned())));
    attributes.push(channel(&[Channel::Email, Channel::Sms]));
    attributes
}

/// The attribute that says which ways a message goes; always a list, as filters know it.
pub(super) fn channel(channels: &[Channel]) -> (&'static str, Attribute) {
    let names = each_once(channels.iter().map(|channel| channel.as_str()));
    ("channel", Attribute::Many(names.into_iter().map(str::to_owned).collect()))
}
