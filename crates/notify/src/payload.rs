//! The facts as JSON, for programs that subscribe: queues, functions, webhooks.
//!
//! The shape is `smartclean-push/alert/1`. Members may be added to it; none is renamed, removed or given another
//! meaning without another number. What is not known is left out, never `null`.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::facts::{Facts, Stage};
use super::list::{Entry, newest};
use domain::alert::{Alert, AlertId, SuppressionReason, Trigger};
use domain::breach::{Breach, Comparison};
use domain::location::Location;
use domain::reading::ReadingId;
use domain::severity::Severity;

/// The name and number of the shape.
pub(super) const SCHEMA: &str = "smartclean-push/alert/1";

#[derive(Serialize)]
struct Payload<'a> {
    schema: &'static str,
    kind: &'static str,
    /// Whether it was said before and still lasts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reminder: bool,
    /// The worst of the alerts'.
    severity: Severity,
    subject: &'a str,
    /// The sentence.
    text: &'a str,
    /// Event time, RFC 3339 in UTC; of what was raised before, when it is over or said again.
    at: Timestamp,
    /// The same moment on the clock of the location, RFC 3339 with its offset; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    local_time: Option<String>,
    /// Of the last reminder, since when nothing has come from the device; RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_reading_since: Option<Timestamp>,
    /// When it was raised, where that is before `at`; RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    raised_at: Option<Timestamp>,
    location: LocationPayload<'a>,
    /// The worst first.
    alerts: Vec<DatedPayload<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    alerts_left_out: usize,
    /// Alerts of the zone that were blocked since its last message, where they are only counted.
    #[serde(skip_serializing_if = "is_zero")]
    blocked_before: usize,
}

/// Many alerts, each told as `E` does it.
#[derive(Serialize)]
pub(super) struct ListPayload<'a, E> {
    schema: &'static str,
    kind: &'static str,
    /// Why the alerts were suppressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<SuppressionReason>,
    /// The worst of the alerts'.
    severity: Severity,
    subject: &'a str,
    text: &'a str,
    /// The newest moment that any of them speaks of, RFC 3339 in UTC.
    at: Timestamp,
    /// The worst first.
    alerts: Vec<E>,
    #[serde(skip_serializing_if = "is_zero")]
    alerts_left_out: usize,
}

impl<'a, E: Serialize> ListPayload<'a, E> {
    /// The JSON text of `entries`, each told by `of`. At most `most` of them are in it, the rest is counted with `more`.
    pub(super) fn json(
        reason: Option<SuppressionReason>,
        [subject, text]: [&'a str; 2],
        entries: &'a [Entry],
        (most, more): (usize, usize),
        of: impl Fn(&'a Entry) -> E,
    ) -> String {
        let payload = Self {
            schema: SCHEMA,
            kind: "digest",
            reason,
            severity: entries.iter().map(|entry| entry.alert().severity).max().unwrap_or(Severity::Low),
            subject,
            text,
            at: newest(entries),
            alerts: entries.iter().take(most).map(of).collect(),
            alerts_left_out: more + entries.len().saturating_sub(most),
        };
        // Texts, numbers and lists of them: there is nothing that JSON could refuse.
        serde_json::to_string(&payload).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct LocationPayload<'a> {
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

/// An alert, and what of it is not that of the message.
#[derive(Serialize)]
pub(super) struct DatedPayload<'a> {
    #[serde(flatten)]
    alert: AlertPayload<'a>,
    /// Event time, RFC 3339 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    /// Since when it is over; absent where it lasts, or where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<LocationPayload<'a>>,
}

impl<'a> DatedPayload<'a> {
    /// An alert of a list.
    pub(super) fn of(entry: &'a Entry, most: usize) -> Self {
        let alert = entry.alert();
        Self {
            alert: AlertPayload::of(alert, most),
            at: Some(alert.at),
            over: entry.over,
            location: Some(LocationPayload::of(&alert.location, &entry.facts.location, alert.at)),
        }
    }
}

#[derive(Serialize)]
struct AlertPayload<'a> {
    #[serde(serialize_with = "as_shown")]
    id: AlertId,
    rule: &'a str,
    title: &'a str,
    severity: Severity,
    /// SHA-256 of the reading's text as it is stored; absent of silence, which no reading raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    reading: Option<ReadingId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<TriggerPayload>,
    breaches: Vec<BreachPayload<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    breaches_left_out: usize,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    reasons: &'a [String],
    #[serde(skip_serializing_if = "is_zero")]
    reasons_left_out: usize,
}

/// How it came about; absent where one reading did it.
#[derive(Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum TriggerPayload {
    /// By readings that all broke the limit, for so long when it was raised.
    Sustained { since: Timestamp, seconds: i64 },
    /// Added up for so long.
    Accumulated { since: Timestamp, seconds: i64 },
    Repeated {
        count: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        within_seconds: Option<i64>,
    },
    /// Nothing came for so long.
    NoData { since: Timestamp, seconds: i64 },
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
        let (first, at) = (self.first(), self.at());
        let dated = |alert| DatedPayload {
            alert: AlertPayload::of(alert, most),
            at: Some(alert.at).filter(|at| *at != first.at),
            over: None,
            location: None,
        };
        let payload = Payload {
            schema: SCHEMA,
            kind: self.kind(),
            reminder: matches!(self.stage, Stage::Still(_)),
            severity: self.severity,
            subject,
            text: sentence,
            at,
            local_time: local_time(&first.location, at),
            no_reading_since: self.unheard_since,
            raised_at: (self.stage != Stage::Raised).then_some(first.at),
            location: LocationPayload::of(&first.location, &self.location, at),
            alerts: self.alerts.iter().take(most).map(dated).collect(),
            alerts_left_out: self.alerts.len().saturating_sub(most),
            blocked_before: self.blocked,
        };
        // Texts, numbers and lists of them: there is nothing that JSON could refuse.
        serde_json::to_string(&payload).unwrap_or_default()
    }

    /// The kind of message, for filters. What still lasts is firing.
    pub(super) fn kind(&self) -> &'static str {
        match self.stage {
            Stage::Raised | Stage::Still(_) => "firing",
            Stage::Over(_) => "resolved",
        }
    }
}

/// `at` on the clock of `location`, RFC 3339 with its offset; `None` where that is not known.
fn local_time(location: &Location, at: Timestamp) -> Option<String> {
    let zone = &location.local_zone;
    zone.is_known().then(|| zone.on_the_wall(at).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string())
}

impl TriggerPayload {
    fn of(alert: &Alert) -> Option<Self> {
        let seconds = |since: Timestamp| alert.at.duration_since(since).as_secs().max(0);
        match alert.trigger {
            Trigger::Immediate => None,
            Trigger::Sustained { since } => Some(Self::Sustained { since, seconds: seconds(since) }),
            Trigger::Accumulated { since } => Some(Self::Accumulated { since, seconds: seconds(since) }),
            Trigger::Repeated { count, within } => {
                Some(Self::Repeated { count, within_seconds: within.map(|within| within.as_secs()) })
            }
            Trigger::NoData { since } => Some(Self::NoData { since, seconds: seconds(since) }),
        }
    }
}

impl<'a> LocationPayload<'a> {
    fn of(location: &'a Location, name: &'a str, at: Timestamp) -> Self {
        Self {
            name,
            display: location.display.as_deref(),
            device: location.device.as_deref(),
            device_type: &location.device_type,
            device_title: location.device_title(),
            zone: location.zone.as_deref(),
            project: location.project.as_deref(),
            property: location.property.as_deref(),
            time_zone: location
                .local_zone
                .is_known()
                .then(|| location.local_zone.on_the_wall(at).time_zone().iana_name().map(str::to_owned))
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
            reading: (!matches!(alert.trigger, Trigger::NoData { .. })).then_some(alert.reading),
            trigger: TriggerPayload::of(alert),
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
pub(super) fn as_shown<S: Serializer>(id: &AlertId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn is_not_finite(value: &f64) -> bool {
    !value.is_finite()
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
