//! A finished cleaning: the one thing that SmartClean's Matrix events tell and no sensor does.

use jiff::Timestamp;

use super::json::Raw;
use super::time::from_unix;

/// A zone was cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleaning {
    /// The zone's id (`InsID` of readings).
    pub zone: String,
    /// When it was finished.
    pub at: Timestamp,
}

impl Cleaning {
    /// Reads it from the parts of a Matrix event: `RoutingKey` = `matrix.…`, and `Meta` with the zone and `AEnd`, the
    /// actual end of a task or incident in seconds since 1970, 0 while it is not finished. `None` for anything else.
    #[must_use]
    pub fn read(routing_key: Raw<'_>, meta: Raw<'_>) -> Option<Self> {
        if !routing_key.text()?.starts_with("matrix.") {
            return None;
        }
        let at = from_unix(meta.member("AEnd")?.number()?)?;
        Some(Self { zone: meta.member("Zone")?.text()?.into_owned(), at })
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
        assert_eq!(read, Some(Cleaning { zone: "z".into(), at: "2022-06-01T05:56:40Z".parse().unwrap() }));
    }

    #[test]
    fn what_is_not_finished_or_no_matrix_event_is_none() {
        assert_eq!(cleaning("matrix.p.incident.open.high", r#"{"Zone":"z","AEnd":0}"#), None);
        assert_eq!(cleaning("matrix.p.incident.open.high", r#"{"Zone":"z"}"#), None);
        assert_eq!(cleaning("matrix.p.incident.open.high", r#"{"AEnd":1654063000}"#), None);
        assert_eq!(cleaning("other.p", r#"{"Zone":"z","AEnd":1654063000}"#), None);
        assert_eq!(cleaning("matrix.p", "null"), None);
    }

    #[test]
    fn a_matrix_event_is_dated_by_its_own_clock() {
        let text = r#"{"RoutingKey":"matrix.p","UnixTimeInt":1654063185,"Meta":{}}"#;
        assert_eq!(Reading::read(text).unwrap().time.unwrap().as_second(), 1_654_063_185);
    }
}
