//! The JSON text of a message, for programs that subscribe: queues, functions, webhooks.
//!
//! The schema is `smartclean-push/alert/1`. Members may be added. Renaming or removing a member, or changing its meaning, requires
//! a new number after the first release. Unknown values are absent, never `null`. All times are RFC 3339 in UTC unless stated otherwise.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::facts::{AlertPhase, Facts};
use super::list::{ListedAlert, newest};
use domain::alert::{Alert, SuppressionReason, Trigger};
use domain::breach::{Breach, Comparison};
use domain::location::Location;
use domain::reading::ReadingId;
use domain::severity::Severity;

/// The name and version of the schema.
pub(super) const SCHEMA: &str = "smartclean-push/alert/1";

/// A message about alerts, each as an `A`.
#[derive(Default, Serialize)]
pub(super) struct MessagePayload<'a, A> {
    schema: &'static str,
    kind: &'static str,
    /// In a list of suppressed alerts.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<SuppressionReason>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reminder: bool,
    /// The highest severity of the alerts.
    severity: Severity,
    subject: &'a str,
    text: &'a str,
    /// The event time; in a follow-up its own time, in a list the newest time.
    at: Timestamp,
    /// `at` in local time with its offset; absent in a list, and if the time zone is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    local_time: Option<String>,
    /// In the last reminder of a silent device: the time of its last reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_reading_since: Option<Timestamp>,
    /// In a follow-up: the event time of the alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    raised_at: Option<Timestamp>,
    /// Absent in a list: each alert has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<LocationPayload<'a>>,
    /// The highest severity first.
    alerts: Vec<A>,
    #[serde(skip_serializing_if = "is_zero")]
    alerts_left_out: usize,
    /// Alerts of the zone that were blocked since its last message and are only counted.
    #[serde(skip_serializing_if = "is_zero")]
    blocked_before: usize,
}

impl<'a, A: Default + Serialize> MessagePayload<'a, A> {
    /// A list of at most `max` of `alerts`. The others are counted, with `more`.
    pub(super) fn list<'t>(
        reason: Option<SuppressionReason>,
        [subject, text]: [&'a str; 2],
        alerts: &'a [ListedAlert<'t>],
        (max, more): (usize, usize),
        payload: impl Fn(&'a ListedAlert<'t>) -> A,
    ) -> Self {
        Self {
            schema: SCHEMA,
            kind: "digest",
            reason,
            severity: alerts.iter().map(|listed| listed.alert().severity).max().unwrap_or_default(),
            subject,
            text,
            at: newest(alerts),
            alerts: alerts.iter().take(max).map(payload).collect(),
            alerts_left_out: more + alerts.len().saturating_sub(max),
            ..Self::default()
        }
    }

    pub(super) fn to_json(&self) -> String {
        // Cannot fail: the payload has no maps and no type that refuses to serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct LocationPayload<'a> {
    /// The display name in the texts.
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    site_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_name: Option<&'a str>,
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

#[derive(Default, Serialize)]
pub(super) struct AlertPayload<'a> {
    id: String,
    rule: &'a str,
    title: &'a str,
    /// What people should do.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    severity: Severity,
    /// SHA-256 of the stored text of the reading; absent for no-data alerts.
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
    /// The event time, if it is not that of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    /// The time at which a suppressed alert resolved; absent if it is firing or if the time is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<Timestamp>,
    /// The location, if it is not that of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<LocationPayload<'a>>,
}

/// How the breach became an alert; absent for an immediate one.
#[derive(Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum TriggerPayload {
    Sustained {
        since: Timestamp,
        seconds: i64,
    },
    Accumulated {
        since: Timestamp,
        seconds: i64,
    },
    Repeated {
        count: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        within_seconds: Option<i64>,
    },
    NoData {
        since: Timestamp,
        seconds: i64,
    },
}

#[derive(Serialize)]
struct BreachPayload<'a> {
    metric: &'a str,
    label: &'a str,
    /// In `unit`; for a deviation, the difference from the baseline; for a flag, 1 or 0.
    #[serde(skip_serializing_if = "is_not_finite", serialize_with = "as_written")]
    value: f64,
    /// The symbol; absent for flags and numbers without a unit.
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'static str,
    comparison: Comparison,
    /// In `unit`.
    #[serde(skip_serializing_if = "is_not_finite", serialize_with = "as_written")]
    limit: f64,
}

impl Facts<'_> {
    /// The JSON text with at most `max` alerts, and `max` breaches and reasons of each. The others are counted.
    pub(super) fn json(&self, subject: &str, sentence: &str, max: usize) -> String {
        let (first, at) = (self.first(), self.at());
        let alert = |alert| {
            let payload = AlertPayload::new(alert, max);
            AlertPayload { at: Some(alert.at).filter(|at| *at != first.at), ..payload }
        };
        let payload = MessagePayload {
            schema: SCHEMA,
            kind: self.kind(),
            reminder: matches!(self.phase, AlertPhase::Reminder(_)),
            severity: self.severity,
            subject,
            text: sentence,
            at,
            local_time: local_time(&first.location, at),
            no_reading_since: self.no_reading_since,
            raised_at: (self.phase != AlertPhase::Firing).then_some(first.at),
            location: Some(LocationPayload::new(self, at)),
            alerts: self.alerts.iter().take(max).map(alert).collect(),
            alerts_left_out: self.alerts.len().saturating_sub(max),
            blocked_before: self.blocked,
            ..MessagePayload::default()
        };
        payload.to_json()
    }

    /// The kind of message, for filters. A reminder counts as firing.
    pub(super) fn kind(&self) -> &'static str {
        match self.phase {
            AlertPhase::Firing | AlertPhase::Reminder(_) => "firing",
            AlertPhase::Resolved(_) => "resolved",
        }
    }
}

/// `at` in the local time of `location` with its offset; `None` if the time zone is unknown.
fn local_time(location: &Location, at: Timestamp) -> Option<String> {
    let zone = &location.local_zone;
    zone.is_known().then(|| zone.local_time(at).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string())
}

impl TriggerPayload {
    fn new(alert: &Alert) -> Option<Self> {
        let seconds = |since: Timestamp| alert.at.duration_since(since).as_secs().max(0);
        Some(match alert.trigger {
            Trigger::Immediate => return None,
            Trigger::Sustained { since } => Self::Sustained { since, seconds: seconds(since) },
            Trigger::Accumulated { since } => Self::Accumulated { since, seconds: seconds(since) },
            Trigger::Repeated { count, within } => {
                Self::Repeated { count, within_seconds: within.map(|within| within.as_secs()) }
            }
            Trigger::NoData { since } => Self::NoData { since, seconds: seconds(since) },
        })
    }
}

impl<'a> LocationPayload<'a> {
    fn new(facts: &'a Facts<'_>, at: Timestamp) -> Self {
        let (location, names) = (&facts.first().location, &facts.names);
        let zone = Some(&location.local_zone).filter(|zone| zone.is_known());
        Self {
            name: &facts.location,
            site_name: names.site.as_deref(),
            zone_name: names.zone.as_deref(),
            device_name: names.device.as_deref(),
            display: location.display.as_deref(),
            device: location.device.as_deref(),
            device_type: &location.device_type,
            device_title: location.device_title(),
            zone: location.zone.as_deref(),
            project: location.project.as_deref(),
            property: location.property.as_deref(),
            time_zone: zone.and_then(|zone| zone.local_time(at).time_zone().iana_name().map(str::to_owned)),
        }
    }
}

impl<'a> AlertPayload<'a> {
    fn new(alert: &'a Alert, max: usize) -> Self {
        Self {
            id: alert.id.to_string(),
            rule: &alert.rule,
            title: &alert.title,
            action: alert.action.as_deref(),
            severity: alert.severity,
            reading: (!matches!(alert.trigger, Trigger::NoData { .. })).then_some(alert.reading),
            trigger: TriggerPayload::new(alert),
            breaches: alert.breaches.iter().take(max).map(BreachPayload::new).collect(),
            breaches_left_out: alert.breaches.len().saturating_sub(max),
            reasons: &alert.reasons[..alert.reasons.len().min(max)],
            reasons_left_out: alert.reasons.len().saturating_sub(max),
            ..Self::default()
        }
    }

    /// An alert of a list, with its own time and location.
    pub(super) fn listed(listed: &'a ListedAlert<'_>, max: usize) -> Self {
        let alert = listed.alert();
        Self {
            at: Some(alert.at),
            over: listed.resolved,
            location: Some(LocationPayload::new(&listed.facts, alert.at)),
            ..Self::new(alert, max)
        }
    }
}

impl<'a> BreachPayload<'a> {
    fn new(breach: &'a Breach) -> Self {
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

/// 2⁵³: f64 represents every whole number up to here exactly.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes 270 for 270.0, as in the reading.
fn as_written<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() <= LARGEST_EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range of i64")]
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}

fn is_not_finite(value: &f64) -> bool {
    !value.is_finite()
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
