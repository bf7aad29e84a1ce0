//! Responses: what people did about the alerts of a zone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::alert::AlertId;
use super::digest::Digest;
use super::display::presentable;
use super::json::Raw;
use super::time::from_unix;
use super::words;

words! {
    /// How it is known that people have dealt with an alert.
    pub enum ResponseSource {
        /// People said so.
        Reported = "reported",
        /// An event of SmartClean's task system Matrix says so.
        Recorded = "recorded",
        /// The sensor measured it.
        Measured = "measured",
    }
}

/// What people did in a zone: they began to deal with its alerts, or have cleaned it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Response {
    /// The zone (`InsID` of readings).
    pub zone: String,
    /// The project (`PID` of readings); `None` for the zones with this id in every project.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<String>,
    /// The name of the zone, made [presentable]. It is shown and never matched.
    #[serde(skip)]
    pub zone_name: Option<String>,
    /// Who says so.
    pub source: ResponseSource,
    /// When they began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started: Option<Timestamp>,
    /// When they had finished: the zone is clean, or the alert is dealt with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub done: Option<Timestamp>,
    /// The alert that they answered, and only this one; `None` for all alerts of the zone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alert: Option<AlertId>,
    /// They take the alert: others need not, until then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub taken: Option<Hold>,
    /// They snooze the alert: they want to hear no more of it until then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub snoozed: Option<Hold>,
    /// The team or the initials of those who say so, made [presentable].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
}

/// A time in which nobody is reminded of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hold {
    /// When people said so.
    pub at: Timestamp,
    /// The end.
    pub until: Timestamp,
}

impl Response {
    /// A response that says nothing yet.
    pub fn new(zone: impl Into<String>, source: ResponseSource) -> Self {
        let (zone, project, zone_name, alert, by) = (zone.into(), None, None, None, None);
        Self { zone, project, zone_name, source, started: None, done: None, alert, taken: None, snoozed: None, by }
    }

    /// A finished cleaning of a zone that people reported.
    pub fn reported(zone: impl Into<String>, done: Timestamp) -> Self {
        Self { done: Some(done), ..Self::new(zone, ResponseSource::Reported) }
    }

    /// Reads the parts of a Matrix event: `RoutingKey` = `matrix.…`, and `Meta` with `Zone`, `ZoneName`, and `AStart` and `AEnd`, the
    /// begin and the end of a task or incident in Unix seconds, or 0 before them. `None` for other values, and before both.
    #[must_use]
    pub fn read(routing_key: Raw<'_>, meta: Raw<'_>) -> Option<Self> {
        if !routing_key.text()?.starts_with("matrix.") {
            return None;
        }
        let time = |name| from_unix(meta.member(name)?.number()?);
        let (started, done) = (time("AStart"), time("AEnd"));
        let zone_name = meta.member("ZoneName").and_then(Raw::text).and_then(|name| presentable(&name));
        let zone = meta.member("Zone")?.text()?.into_owned();
        let response = Self { zone_name, started, done, ..Self::new(zone, ResponseSource::Recorded) };
        (started.is_some() || done.is_some()).then_some(response)
    }

    /// Whether it is about this zone. Without a project, it is about the zones with its id in every project.
    #[must_use]
    pub fn is_about(&self, zone: &str, project: &str) -> bool {
        self.zone == zone && self.project.as_ref().is_none_or(|own| own == project)
    }

    /// When it happened: the end, else the begin.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        self.done.or(self.started).or(self.taken.or(self.snoozed).map(|hold| hold.at))
    }

    /// The id. The same response has the same id, however often it is received.
    #[must_use]
    pub fn id(&self) -> Digest {
        let time = |time: Option<Timestamp>| time.map_or_else(String::new, |time| time.to_string());
        let (project, source) = (self.project.as_deref().unwrap_or_default(), self.source.as_str());
        let mut fields = vec![self.zone.clone(), project.to_owned(), source.to_owned()];
        fields.extend([time(self.started), time(self.done)]);
        if let Some(alert) = self.alert {
            let hold = |hold: Option<Hold>| [time(hold.map(|hold| hold.at)), time(hold.map(|hold| hold.until))];
            fields.extend([alert.to_string(), self.by.clone().unwrap_or_default()]);
            fields.extend([hold(self.taken), hold(self.snoozed)].into_iter().flatten());
        }
        Digest::of_fields(&fields)
    }
}

/// A response with the time of its first receipt: a line of an object below `responses/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReceivedResponse {
    /// When it was first received.
    pub received: Timestamp,
    /// The response.
    #[serde(flatten)]
    pub response: Response,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Reading;

    fn response(routing_key: &str, meta: &str) -> Option<Response> {
        let text =
            format!(r#"{{"RoutingKey":"{routing_key}","Event":"TASK_CLOSED","UnixTimeInt":1654063185,"Meta":{meta}}}"#);
        Reading::read(&text).unwrap().response
    }

    fn recorded(started: Option<&str>, done: Option<&str>) -> Option<Response> {
        let time = |time: Option<&str>| time.map(|time| time.parse().unwrap());
        let (started, done) = (time(started), time(done));
        Some(Response { started, done, ..Response::new("z", ResponseSource::Recorded) })
    }

    #[test]
    fn a_finished_task_has_its_begin_and_its_end() {
        let read =
            response("matrix.p.task.closed.high", r#"{"Zone":"z","Start":1,"AStart":1654060000,"AEnd":1654063000}"#);
        assert_eq!(read, recorded(Some("2022-06-01T05:06:40Z"), Some("2022-06-01T05:56:40Z")));
    }

    #[test]
    fn a_task_that_people_have_begun_has_its_begin() {
        let read = response("matrix.p.task.open.high", r#"{"Zone":"z","AStart":1654060000,"AEnd":0}"#);
        assert_eq!(read, recorded(Some("2022-06-01T05:06:40Z"), None));
    }

    #[test]
    fn a_task_that_nobody_has_begun_and_another_event_are_no_response() {
        assert_eq!(
            response("matrix.p.incident.open.high", r#"{"Zone":"z","Start":1654060000,"AStart":0,"AEnd":0}"#),
            None
        );
        assert_eq!(response("matrix.p.incident.open.high", r#"{"Zone":"z"}"#), None);
        assert_eq!(response("matrix.p.incident.open.high", r#"{"AEnd":1654063000}"#), None);
        assert_eq!(response("other.p", r#"{"Zone":"z","AEnd":1654063000}"#), None);
        assert_eq!(response("matrix.p", "null"), None);
    }

    #[test]
    fn a_matrix_event_has_its_own_event_time() {
        let text = r#"{"RoutingKey":"matrix.p","UnixTimeInt":1654063185,"Meta":{}}"#;
        assert_eq!(Reading::read(text).unwrap().time.unwrap().as_second(), 1_654_063_185);
    }

    #[test]
    fn responses_that_differ_have_different_ids() {
        let at = |minute: i64| Some(Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap());
        let one = Response { started: at(1), ..Response::reported("z", at(2).unwrap()) };
        let others = [
            Response { zone: "y".into(), ..one.clone() },
            Response { project: Some("p".into()), ..one.clone() },
            Response { source: ResponseSource::Recorded, ..one.clone() },
            Response { started: None, ..one.clone() },
            Response { started: at(2), done: at(1), ..one.clone() },
        ];
        assert!(others.iter().all(|other| other.id() != one.id()));
        assert_eq!(Response { zone_name: Some("Gym".into()), ..one.clone() }.id(), one.id(), "a name is only shown");
        let received = ReceivedResponse { received: at(3).unwrap(), response: one };
        let line = serde_json::to_string(&received).unwrap();
        let (times, text) = (["03:00", "01:00", "02:00"].map(|time| format!("2027-01-15T08:{time}Z")), &*line);
        let [received_at, started, done] = times;
        assert_eq!(
            text,
            format!(
                r#"{{"received":"{received_at}","zone":"z","source":"reported","started":"{started}","done":"{done}"}}"#
            )
        );
        assert_eq!(serde_json::from_str::<ReceivedResponse>(text).unwrap(), received);
    }
}
