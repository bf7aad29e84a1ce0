//! The JSON text of a message, for programs that subscribe: queues, functions, webhooks.
//!
//! The schema is `smartclean-push/alert/1`. Members may be added. Renaming or removing a member, or changing its meaning, requires
//! a new number after the first release. Unknown values are absent, never `null`. All times are RFC 3339 in UTC unless stated
//! otherwise.

use jiff::Timestamp;
use serde_json::{Number, Value, json};

use super::facts::{AlertPhase, Facts};
use super::list::AlertList;
use domain::alert::{Alert, Trigger};
use domain::breach::Breach;
use domain::location::Location;

/// The name and version of the schema.
pub(super) const SCHEMA: &str = "smartclean-push/alert/1";

impl Facts<'_> {
    /// The JSON text with at most `max` alerts, and `max` breaches and reasons of each. The others are counted.
    pub(super) fn json(&self, subject: &str, sentence: &str, max: usize) -> String {
        let (first, at) = (self.first(), self.at());
        let alerts = self.alerts.iter().take(max).map(|alert| {
            let mut members = alert_members(alert, max);
            if alert.at != first.at {
                members["at"] = json!(alert.at);
            }
            members
        });
        let message = json!({
            "schema": SCHEMA,
            "kind": self.kind(),
            "reminder": matches!(self.phase, AlertPhase::Reminder(_)).then_some(true),
            "escalation": self.escalation_members(),
            // The highest severity of the alerts.
            "severity": self.severity,
            "subject": subject,
            "text": sentence,
            // The event time; in a follow-up its own time.
            "at": at,
            "local_time": local_time(&first.location, at),
            // In the last reminder of a silent device: the time of its last reading.
            "no_reading_since": self.no_reading_since,
            // In a follow-up: the event time of the alert.
            "raised_at": (self.phase != AlertPhase::Firing).then_some(first.at),
            "location": self.location_members(at),
            // The highest severity first.
            "alerts": alerts.collect::<Vec<_>>(),
            "alerts_left_out": count(self.alerts.len().saturating_sub(max)),
            // Alerts of the zone that were blocked since its last message and are only counted.
            "blocked_before": count(self.more),
        });
        known(message).to_string()
    }

    fn escalation_members(&self) -> Option<Value> {
        let escalation = self.escalation.as_ref()?;
        let (at, by) = escalation.taken.as_ref().map(|(at, by)| (at, by)).unzip();
        Some(known(json!({
            // From 1.
            "step": escalation.step,
            // When people could first know of the alert.
            "raised_at": escalation.raised,
            // Who took it last, and when; absent if nobody did.
            "taken_by": by,
            "taken_at": at,
        })))
    }

    /// The kind of message, for filters. Reminders and escalations count as firing.
    pub(super) fn kind(&self) -> &'static str {
        match self.phase {
            AlertPhase::Firing | AlertPhase::Reminder(_) | AlertPhase::Escalated(_) => "firing",
            AlertPhase::Resolved(_) => "resolved",
        }
    }

    fn location_members(&self, at: Timestamp) -> Value {
        let (location, names) = (&self.first().location, &self.names);
        let zone = Some(&location.local_zone).filter(|zone| zone.is_known());
        known(json!({
            // The display name in the texts.
            "name": self.location,
            "site_name": names.site,
            "zone_name": names.zone,
            "device_name": names.device,
            "display": location.display,
            "device": location.device,
            "device_type": nonempty(&location.device_type),
            "device_title": location.device_title(),
            "zone": location.zone,
            "project": location.project,
            "property": location.property,
            // The IANA name.
            "time_zone": zone.and_then(|zone| zone.local_time(at).time_zone().iana_name().map(str::to_owned)),
        }))
    }
}

impl AlertList<'_> {
    /// The JSON text with at most `max` alerts. The others are counted.
    pub(super) fn json(&self, subject: &str, text: &str, max: usize) -> String {
        let alerts = self.alerts.iter().take(max).map(|listed| match self.reason {
            Some(_) => listed.listed_members(max),
            None => listed.digest_members(),
        });
        let message = json!({
            "schema": SCHEMA,
            "kind": "digest",
            "reason": self.reason,
            "severity": self.alerts.iter().map(|listed| listed.severity).max().unwrap_or_default(),
            "subject": subject,
            "text": text,
            // The newest time.
            "at": self.newest().map_or_else(Timestamp::default, |listed| listed.at()),
            "alerts": alerts.collect::<Vec<_>>(),
            "alerts_left_out": count(self.total() - self.alerts.len().min(max)),
        });
        known(message).to_string()
    }
}

impl Facts<'_> {
    /// The alert in a list, with its own time and location.
    fn listed_members(&self, max: usize) -> Value {
        let mut members = alert_members(self.first(), max);
        members["at"] = json!(self.first().at);
        members["location"] = self.location_members(self.first().at);
        if let Some(over) = self.over {
            members["over"] = json!(over);
        }
        members
    }

    /// The alert in a digest. The archive has the readings.
    pub(super) fn digest_members(&self) -> Value {
        let alert = self.first();
        let resolved = match self.phase {
            AlertPhase::Resolved(at) => Some(at),
            AlertPhase::Firing | AlertPhase::Reminder(_) | AlertPhase::Escalated(_) => None,
        };
        known(json!({
            "id": alert.id.to_string(),
            // Absent for a firing alert.
            "kind": resolved.map(|_| "resolved"),
            "reminder": matches!(self.phase, AlertPhase::Reminder(_)).then_some(true),
            "escalation": self.escalation_members(),
            "rule": alert.rule,
            "severity": alert.severity,
            "at": alert.at,
            "over": resolved.or(self.over),
            "device": alert.location.device,
            "zone": alert.location.zone,
        }))
    }
}

fn alert_members(alert: &Alert, max: usize) -> Value {
    let reasons = &alert.reasons[..alert.reasons.len().min(max)];
    known(json!({
        "id": alert.id.to_string(),
        "rule": alert.rule,
        "title": alert.title,
        "action": alert.action,
        "severity": alert.severity,
        // SHA-256 of the stored text of the reading; absent for no-data alerts.
        "reading": (!matches!(alert.trigger, Trigger::NoData { .. })).then_some(alert.reading),
        "trigger": trigger(alert),
        "breaches": alert.breaches.iter().take(max).map(breach).collect::<Vec<_>>(),
        "breaches_left_out": count(alert.breaches.len().saturating_sub(max)),
        "reasons": (!reasons.is_empty()).then_some(reasons),
        "reasons_left_out": count(alert.reasons.len().saturating_sub(max)),
    }))
}

/// How the breach became an alert; `null` for an immediate one.
fn trigger(alert: &Alert) -> Value {
    let seconds = |since| alert.at.duration_since(since).as_secs().max(0);
    match alert.trigger {
        Trigger::Immediate => Value::Null,
        Trigger::Repeated { count, within, since } => {
            let within_seconds = within.map(|within| within.as_secs());
            known(json!({
                "is": "repeated", "count": count, "within_seconds": within_seconds, "since": since, "seconds": seconds(since),
            }))
        }
        Trigger::Sustained { since } | Trigger::Accumulated { since } | Trigger::NoData { since } => {
            let mut trigger = json!(alert.trigger);
            trigger["seconds"] = json!(seconds(since));
            trigger
        }
    }
}

fn breach(breach: &Breach) -> Value {
    known(json!({
        "metric": breach.metric,
        "label": breach.label,
        // In `unit`; for a deviation, the difference from the baseline; for a flag, 1 or 0.
        "value": number(breach.value),
        // The symbol; absent for flags and numbers without a unit.
        "unit": nonempty(breach.unit.symbol()),
        "comparison": breach.comparison,
        // In `unit`.
        "limit": number(breach.limit),
    }))
}

/// `object` without the members that are `null`.
fn known(mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    object
}

fn nonempty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn count(count: usize) -> Option<usize> {
    Some(count).filter(|count| *count > 0)
}

/// `at` in the local time of `location` with its offset; `None` if the time zone is unknown.
fn local_time(location: &Location, at: Timestamp) -> Option<String> {
    let zone = &location.local_zone;
    zone.is_known().then(|| zone.local_time(at).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string())
}

/// 2⁵³: f64 represents every whole number up to here exactly.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// 270 for 270.0, as in the reading; `None` if it is not finite.
fn number(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() <= LARGEST_EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range of i64")]
        Some(Number::from(value as i64))
    } else {
        Number::from_f64(value)
    }
}
