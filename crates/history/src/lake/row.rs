//! A line of an object as a row of the table.

use jiff::Timestamp;

use domain::digest::Digest;
use domain::reading::{Reading, Source};

/// A row. A line that is no reading has no columns but `reading_id`, `batch`, `line`, `received` and `raw`.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// SHA-256 of the line, 64 hex digits: the reading's id.
    pub(super) reading_id: String,
    /// The id of the batch: the object's name without the extension.
    pub(super) batch: String,
    /// The number of the line in the object, from 0.
    pub(super) line: i32,
    /// The first receipt of the batch, in milliseconds since 1970.
    pub(super) received: Option<i64>,
    /// The time of the reading, in milliseconds since 1970.
    pub(super) event_time: Option<i64>,
    /// The columns from `device_id` to `region`. The device type is without SmartClean's provider prefix.
    pub(super) texts: [Option<String>; 7],
    /// The measured numbers, each once: [`Reading::metrics`].
    pub(super) metrics: Vec<(String, f64)>,
    /// The line as received.
    pub(super) raw: String,
}

impl Row {
    /// The row of a line.
    pub(super) fn new(text: &str, batch: &str, line: i32, received: Option<Timestamp>) -> Self {
        let row = Self {
            reading_id: Digest::of(text.as_bytes()).to_string(),
            batch: batch.to_owned(),
            line,
            received: received.map(Timestamp::as_millisecond),
            raw: text.to_owned(),
            ..Self::default()
        };
        let Ok(reading) = Reading::read(text) else { return row };
        let metrics = reading.metrics();
        let Source { device, device_type, display, zone, project, property, region } = reading.source;
        let device_type = Some(device_type).filter(|name| !name.is_empty());
        Self {
            event_time: reading.time.map(Timestamp::as_millisecond),
            texts: [device, device_type, display, zone, project, property, region]
                .map(|text| text.map(|text| text.trim().to_owned())),
            metrics: metrics.into_iter().map(|(key, value)| (key.into_owned(), value)).collect(),
            ..row
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn row(text: &str) -> Row {
        Row::new(text, "b", 7, None)
    }

    #[test]
    fn metrics_are_those_that_rules_know_in_their_units_and_then_all_other_numbers() {
        let lite = row(
            r#"{"DevType":"SMARTCLEAN#ODRDTR_BATT_V1","DEVID":" d","v":{"z":" 7 ","temp":304,"amm":"270","x":1,"n":"NaN"}}"#,
        );
        let expected = [("amm", 270.0), ("temp", 30.4), ("x", 1.0), ("z", 7.0)];
        assert_eq!(lite.metrics, expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!((lite.texts[1].as_deref(), lite.texts[0].as_deref()), (Some("ODRDTR_BATT_V1"), Some("d")));
        let cubicle = row(r#"{"DevType":"OCCMINEW","v":{"occ":0}}"#);
        assert_eq!(cubicle.metrics, [("occupied".to_owned(), 1.0)]);
        let stray = row(r#"{"DevType":"OCCMINEW","v":{"occ":0,"occupied":0}}"#);
        assert_eq!(stray.metrics, [("occupied".to_owned(), 1.0)], "what is documented counts");
    }

    #[test]
    fn each_number_of_an_unknown_type_is_a_metric_once() {
        let unknown = row(r#"{"DevType":"ACME#BIN","v":{"p":3,"x":"4","name":"bin","p":5}}"#);
        assert_eq!(unknown.metrics, [("p".to_owned(), 5.0), ("x".to_owned(), 4.0)]);
        assert_eq!(unknown.texts[1].as_deref(), Some("ACME#BIN"));
    }

    #[test]
    fn readings_of_the_most_members_become_rows_in_a_time_that_grows_with_their_length() {
        let members: Vec<_> = (0..domain::reading::MOST_MEMBERS).map(|name| format!("\"{name:04}\":1")).collect();
        let text = format!("{{\"v\":{{{}}}}}", members.join(","));
        let began = Instant::now();
        for _ in 0..30 {
            assert_eq!(row(&text).metrics.len(), members.len());
        }
        let elapsed = began.elapsed();
        assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    }

    #[test]
    fn a_line_that_is_no_reading_is_a_row_with_its_text() {
        let row = row("no reading");
        assert_eq!(
            (row.raw.as_str(), row.event_time, row.texts, row.line),
            ("no reading", None, [const { None }; 7], 7)
        );
        assert_eq!(row.reading_id, Digest::of(b"no reading").to_string());
    }

    #[test]
    fn times_are_milliseconds() {
        let received = "2026-11-23T10:00:00.1239Z".parse().unwrap();
        let row = Row::new(r#"{"unixT":1654063185904}"#, "b", 0, Some(received));
        assert_eq!((row.event_time, row.received), (Some(1_654_063_185_904), Some(received.as_millisecond())));
    }
}
