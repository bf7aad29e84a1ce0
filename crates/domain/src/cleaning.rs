//! Finished cleanings, which SmartClean's Matrix events report.

use jiff::Timestamp;

use super::display::presentable;
use super::json::Raw;
use super::time::from_unix;

/// A finished cleaning of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleaning {
    /// The zone (`InsID` of readings).
    pub zone: String,
    /// The name of the zone, made [presentable]. It is shown and never matched.
    pub zone_name: Option<String>,
    /// When it was finished.
    pub at: Timestamp,
}

impl Cleaning {
    /// The cleaning of a zone without a known name, finished at `at`.
    pub fn new(zone: impl Into<String>, at: Timestamp) -> Self {
        Self { zone: zone.into(), zone_name: None, at }
    }

    /// Reads the parts of a Matrix event: `RoutingKey` = `matrix.…`, and `Meta` with `Zone`, `ZoneName` and `AEnd`, the end of a task or
    /// incident in Unix seconds, or 0 before its end. `None` for other values.
    #[must_use]
    pub fn read(routing_key: Raw<'_>, meta: Raw<'_>) -> Option<Self> {
        if !routing_key.text()?.starts_with("matrix.") {
            return None;
        }
        let at = from_unix(meta.member("AEnd")?.number()?)?;
        let zone_name = meta.member("ZoneName").and_then(Raw::text).and_then(|name| presentable(&name));
        Some(Self { zone: meta.member("Zone")?.text()?.into_owned(), zone_name, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Reading;

    fn cleaning(routing_key: &str, meta: &str) -> Option<Cleaning> {
        let text =
            format!(r#"{{"RoutingKey":"{routing_key}","Event":"TASK_CLOSED","UnixTimeInt":1654063185,"Meta":{meta}}}"#);
        Reading::read(&text).unwrap().cleaning
    }

    #[test]
    fn a_finished_task_is_a_cleaning_of_its_zone_at_its_end() {
        let read =
            cleaning("matrix.p.task.closed.high", r#"{"Zone":"z","Start":1,"AStart":1654060000,"AEnd":1654063000}"#);
        assert_eq!(read, Some(Cleaning::new("z", "2022-06-01T05:56:40Z".parse().unwrap())));
    }

    #[test]
    fn an_unfinished_task_or_another_event_is_no_cleaning() {
        assert_eq!(cleaning("matrix.p.incident.open.high", r#"{"Zone":"z","AEnd":0}"#), None);
        assert_eq!(cleaning("matrix.p.incident.open.high", r#"{"Zone":"z"}"#), None);
        assert_eq!(cleaning("matrix.p.incident.open.high", r#"{"AEnd":1654063000}"#), None);
        assert_eq!(cleaning("other.p", r#"{"Zone":"z","AEnd":1654063000}"#), None);
        assert_eq!(cleaning("matrix.p", "null"), None);
    }

    #[test]
    fn a_matrix_event_has_its_own_event_time() {
        let text = r#"{"RoutingKey":"matrix.p","UnixTimeInt":1654063185,"Meta":{}}"#;
        assert_eq!(Reading::read(text).unwrap().time.unwrap().as_second(), 1_654_063_185);
    }
}
