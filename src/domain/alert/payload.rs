//! The facts as JSON, for programs that subscribe: queues, functions, webhooks.
//!
//! The shape is `smartclean-push/alert/1`. Members may be added to it; none is renamed, removed or given another
//! meaning without another number. What is not known is left out, never `null`.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::facts::{Facts, each_once};
use super::render::Attribute;
use super::text::device_title;
use super::{Alert, AlertId, Breach, Comparison, Place};
use crate::domain::reading::ReadingId;
use crate::domain::severity::Severity;

/// The name and number of the shape.
const SCHEMA: &str = "smartclean-push/alert/1";

/// Most values of one attribute, so that attributes stay small beside the texts: SNS counts them to the same 256 KB.
const MOST_VALUES: usize = 64;

#[derive(Serialize)]
struct Payload<'a> {
    schema: &'static str,
    kind: &'static str,
    /// The worst of the alerts'.
    severity: Severity,
    subject: &'a str,
    /// The sentence.
    text: &'a str,
    /// Event time, RFC 3339 in UTC.
    at: Timestamp,
    /// The same moment on the clock of the place, RFC 3339 with its offset; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    local_time: Option<String>,
    place: PlacePayload<'a>,
    /// The worst first.
    alerts: Vec<AlertPayload<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    alerts_left_out: usize,
}

#[derive(Serialize)]
struct PlacePayload<'a> {
    /// What the texts call it.
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    display: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    device_type: &'a str,
    device_title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    property: Option<&'a str>,
    /// IANA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
}

#[derive(Serialize)]
struct AlertPayload<'a> {
    #[serde(serialize_with = "as_shown")]
    id: AlertId,
    rule: &'a str,
    title: &'a str,
    severity: Severity,
    /// SHA-256 of the reading's text as it is stored.
    reading: ReadingId,
    breaches: Vec<BreachPayload<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    breaches_left_out: usize,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    reasons: &'a [String],
    #[serde(skip_serializing_if = "is_zero")]
    reasons_left_out: usize,
}

#[derive(Serialize)]
struct BreachPayload<'a> {
    metric: &'a str,
    label: &'a str,
    /// In `unit`; of a deviation the difference from the baseline; 1 or 0 for yes or no.
    #[serde(skip_serializing_if = "is_not_finite", serialize_with = "as_written")]
    value: f64,
    /// The symbol; absent for plain numbers, yes and no.
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'static str,
    comparison: Comparison,
    /// In `unit`.
    #[serde(skip_serializing_if = "is_not_finite", serialize_with = "as_written")]
    limit: f64,
}

impl Facts {
    /// The JSON text. At most `most` alerts, breaches and reasons of each are in it, the rest is counted.
    pub(super) fn json(&self, subject: &str, sentence: &str, most: usize) -> String {
        let first = self.first();
        let payload =
            Payload {
                schema: SCHEMA,
                kind: "firing",
                severity: self.severity,
                subject,
                text: sentence,
                at: first.at,
                local_time: first.place.local_zone.is_known().then(|| {
                    first.place.local_zone.on_the_wall(first.at).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string()
                }),
                place: PlacePayload::of(&first.place, &self.place, first.at),
                alerts: self.alerts.iter().take(most).map(|alert| AlertPayload::of(alert, most)).collect(),
                alerts_left_out: self.alerts.len().saturating_sub(most),
            };
        // Texts, numbers and lists of them: there is nothing that JSON could refuse.
        serde_json::to_string(&payload).unwrap_or_default()
    }

    /// The message attributes, which subscriptions filter on. Several alerts of one message give each of their values.
    pub(super) fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let of_alerts = |value: fn(&Alert) -> Option<&str>| {
            each_once(self.alerts.iter().filter_map(value)).into_iter().take(MOST_VALUES).map(str::to_owned).collect()
        };
        let values: [(&'static str, Vec<String>); 6] = [
            ("severity", of_alerts(|alert| Some(alert.severity.as_str()))),
            ("rule", of_alerts(|alert| Some(&alert.rule))),
            ("kind", vec!["firing".to_owned()]),
            ("device_type", of_alerts(|alert| Some(&alert.place.device_type))),
            ("project", of_alerts(|alert| alert.place.project.as_deref())),
            ("zone", of_alerts(|alert| alert.place.zone.as_deref())),
        ];
        let attribute = |mut values: Vec<String>| {
            // SNS refuses empty values.
            values.retain(|value| !value.is_empty());
            match values.len() {
                0 => None,
                1 => values.pop().map(Attribute::One),
                _ => Some(Attribute::Many(values)),
            }
        };
        let channel = ("channel", Attribute::Many(vec!["email".to_owned(), "sms".to_owned()]));
        let present = values.into_iter().filter_map(|(name, values)| attribute(values).map(|value| (name, value)));
        present.chain([channel]).collect()
    }
}

impl<'a> PlacePayload<'a> {
    fn of(place: &'a Place, name: &'a str, at: Timestamp) -> Self {
        Self {
            name,
            display: place.display.as_deref(),
            device: place.device.as_deref(),
            device_type: &place.device_type,
            device_title: device_title(place),
            zone: place.zone.as_deref(),
            project: place.project.as_deref(),
            property: place.property.as_deref(),
            time_zone: place
                .local_zone
                .is_known()
                .then(|| place.local_zone.on_the_wall(at).time_zone().iana_name().map(str::to_owned))
                .flatten(),
        }
    }
}

impl<'a> AlertPayload<'a> {
    fn of(alert: &'a Alert, most: usize) -> Self {
        Self {
            id: alert.id,
            rule: &alert.rule,
            title: &alert.title,
            severity: alert.severity,
            reading: alert.reading,
            breaches: alert.breaches.iter().take(most).map(BreachPayload::of).collect(),
            breaches_left_out: alert.breaches.len().saturating_sub(most),
            reasons: &alert.reasons[..alert.reasons.len().min(most)],
            reasons_left_out: alert.reasons.len().saturating_sub(most),
        }
    }
}

impl<'a> BreachPayload<'a> {
    fn of(breach: &'a Breach) -> Self {
        Self {
            metric: &breach.metric,
            label: &breach.label,
            value: breach.value,
            unit: breach.unit.symbol(),
            comparison: breach.comparison,
            limit: breach.limit,
        }
    }
}

/// Up to here every whole number is a f64 of its own: 2⁵³.
const WHOLE_UP_TO: f64 = 9_007_199_254_740_992.0;

/// Writes 270 for 270.0, as the reading had it.
fn as_written<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() <= WHOLE_UP_TO {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range of i64")]
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}

/// Writes the id as every other text has it, 32 hex digits.
fn as_shown<S: Serializer>(id: &AlertId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn is_not_finite(value: &f64) -> bool {
    !value.is_finite()
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
