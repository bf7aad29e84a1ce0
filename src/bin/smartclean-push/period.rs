//! A stretch of time, as it is named on the command line.

use clap::Args;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// From when to when, by the time at which readings were taken.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct Period {
    /// From then on: 2026-11-01, 2026-11-01T08:00 (both in UTC), 2026-11-01T08:00+08:00. Else from the first
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) since: Option<Timestamp>,
    /// Up to and not including then, as for --since; a date means its first moment. Else to the last
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) until: Option<Timestamp>,
}

impl Period {
    /// Whether `at` is in it.
    pub(super) fn contains(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Whether any moment of `length` from `start` on is in it.
    pub(super) fn touches(&self, start: Timestamp, length: SignedDuration) -> bool {
        let ends = start.checked_add(length).unwrap_or(Timestamp::MAX);
        self.since.is_none_or(|since| since < ends) && self.until.is_none_or(|until| start < until)
    }
}

/// Reads a moment: RFC 3339, or a date or a date and time in UTC.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let local: DateTime =
        text.parse().map_err(|_| "a time is written 2026-11-01, 2026-11-01T08:00 or 2026-11-01T08:00+08:00")?;
    TimeZone::UTC.to_timestamp(local).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc_unless_they_say_otherwise() {
        for (text, expected) in [
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T08:00", "2026-11-01T08:00:00Z"),
            ("2026-11-01T08:00+08:00", "2026-11-01T00:00:00Z"),
            ("2026-11-01T08:00:05.5Z", "2026-11-01T08:00:05.5Z"),
        ] {
            assert_eq!(moment(text).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "08:00", "2026-11"] {
            assert!(moment(text).unwrap_err().contains("2026-11-01T08:00+08:00"), "{text}");
        }
    }

    #[test]
    fn the_first_moment_is_in_and_the_last_is_not() {
        let period = Period { since: moment("2026-11-01").ok(), until: moment("2026-11-02").ok() };
        let is_in = |text| period.contains(moment(text).unwrap());
        assert!(is_in("2026-11-01T00:00") && is_in("2026-11-01T23:59"));
        assert!(!is_in("2026-10-31T23:59") && !is_in("2026-11-02"));
        assert!(Period::default().contains(Timestamp::MIN));
    }

    #[test]
    fn an_hour_counts_where_any_of_it_does() {
        let period = Period { since: moment("2026-11-01T10:30").ok(), until: moment("2026-11-01T12:00").ok() };
        let touches = |text| period.touches(moment(text).unwrap(), SignedDuration::from_hours(1));
        assert!(touches("2026-11-01T10:00") && touches("2026-11-01T11:00"));
        assert!(!touches("2026-11-01T09:00") && !touches("2026-11-01T12:00"));
    }
}
