//! Reads periods and moments from the command line.

use clap::Args;
use history::Period;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::Failure;

/// `--since` and `--until`, by the time at which readings were taken.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct PeriodArguments {
    /// Start: 2026-11-01, 2026-11-01T08:00 (both in UTC) or 2026-11-01T08:00+08:00 [default: the first reading]
    #[arg(long, value_name = "TIME", value_parser = moment_in_utc)]
    since: Option<Timestamp>,
    /// End, not included, in the same formats. A date is its first moment [default: the last reading]
    #[arg(long, value_name = "TIME", value_parser = moment_in_utc)]
    until: Option<Timestamp>,
}

impl PeriodArguments {
    /// The period. Fails if it is empty.
    pub(super) fn read(self) -> Result<Period, Failure> {
        let Self { since, until } = self;
        match since.zip(until) {
            Some((since, until)) if since >= until => {
                Err(Failure::usage(format!("--since {since} is not before --until {until}: no reading is in between")))
            }
            _ => Ok(Period { since, until }),
        }
    }
}

fn moment_in_utc(text: &str) -> Result<Timestamp, String> {
    moment(text, &TimeZone::UTC)
}

/// Reads a moment: RFC 3339, or a date or a date and time in `zone`.
pub(super) fn moment(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let local: DateTime =
        text.parse().map_err(|_| "a time is written 2026-11-01, 2026-11-01T08:00 or 2026-11-01T08:00+08:00")?;
    zone.to_timestamp(local).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_given_zone_unless_they_say_otherwise() {
        for (text, expected) in [
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T08:00", "2026-11-01T08:00:00Z"),
            ("2026-11-01T08:00+08:00", "2026-11-01T00:00:00Z"),
            ("2026-11-01T08:00:05.5Z", "2026-11-01T08:00:05.5Z"),
        ] {
            assert_eq!(moment_in_utc(text).unwrap().to_string(), expected, "{text}");
        }
        let singapore = TimeZone::get("Asia/Singapore").unwrap();
        for (text, expected) in [
            ("2026-11-01", "2026-10-31T16:00:00Z"),
            ("2026-11-01T08:00", "2026-11-01T00:00:00Z"),
            ("2026-11-01T08:00Z", "2026-11-01T08:00:00Z"),
        ] {
            assert_eq!(moment(text, &singapore).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "08:00", "2026-11"] {
            assert!(moment_in_utc(text).unwrap_err().contains("2026-11-01T08:00+08:00"), "{text}");
        }
    }
}
