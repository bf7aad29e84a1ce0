//! The event time of readings, and the local time at their location.

use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ZonedDateTime, civil};
use serde::{Deserialize, Serialize};

/// First plausible event time, 2015-01-01T00:00:00Z, in Unix seconds. SmartClean is younger.
const EARLIEST: i64 = 1_420_070_400;
/// First event time that is too late to be plausible, 2100-01-01T00:00:00Z, in Unix seconds.
const LATEST: i64 = 4_102_444_800;
/// Numbers from here on are milliseconds, smaller ones seconds: 10¹¹ s is the year 5138, 10¹¹ ms is 1973.
const MILLISECONDS_FROM: f64 = 1e11;

/// Whether `at` can be an event time: within the years 2015 to 2099.
#[must_use]
pub fn is_plausible(at: Timestamp) -> bool {
    (EARLIEST..LATEST).contains(&at.as_second())
}

/// Parses `unixT`. The vendor documents milliseconds and also sends seconds, so magnitude decides. `None` if the time is not
/// [plausible](is_plausible).
///
/// # Examples
/// ```
/// use domain::time::from_unix;
/// assert_eq!(from_unix(1_639_120_892.0), from_unix(1_639_120_892_000.0));
/// assert_eq!(from_unix(0.0), None);
/// ```
#[must_use]
pub fn from_unix(number: f64) -> Option<Timestamp> {
    let milliseconds = if number.abs() >= MILLISECONDS_FROM { number } else { number * 1000.0 };
    #[expect(clippy::cast_possible_truncation, reason = "saturates at a time that is not plausible")]
    let at = Timestamp::from_millisecond(milliseconds as i64).ok()?;
    is_plausible(at).then_some(at)
}

/// Parses `time`: ISO 8601 with an offset such as `+0800` or `+08:00`. Returns the time and the offset. `None` if the text is
/// not of that form, or the time not [plausible](is_plausible).
#[must_use]
pub fn from_iso(text: &str) -> Option<(Timestamp, Offset)> {
    let text = text.trim();
    let at: Timestamp = text.parse().ok()?;
    let offset = Pieces::parse(text).ok()?.to_numeric_offset()?;
    is_plausible(at).then_some((at, offset))
}

/// Parses `t`: local time `YYYYMMDDHHmmss` in `region`, an IANA time zone. A time that a clock change repeats is the earlier
/// one; a time that it skips is later by the length of the gap. `None` if a text is not of that form.
#[must_use]
pub fn from_local(digits: &str, region: &str) -> Option<Timestamp> {
    let digits = digits.trim();
    if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| digits[from..to].parse::<i8>().ok();
    let year = digits[..4].parse::<i16>().ok()?;
    let date = civil::Date::new(year, number(4, 6)?, number(6, 8)?).ok()?;
    let local = civil::Time::new(number(8, 10)?, number(10, 12)?, number(12, 14)?, 0).ok()?;
    let at = TimeZone::get(region.trim()).ok()?.to_timestamp(date.to_datetime(local)).ok()?;
    is_plausible(at).then_some(at)
}

/// Longest name of a time zone, in bytes. The longest in the IANA database has 32.
pub const LONGEST_REGION: usize = 64;

/// The time zone of a location, as far as its readings give it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalZone {
    /// The IANA name (`Asia/Singapore`), from `Region`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    /// The offset from UTC in seconds, from `time`. Used if the region is absent or unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset_seconds: Option<i32>,
}

impl LocalZone {
    /// `at` in local time, or in UTC if the zone is not known.
    #[must_use]
    pub fn local_time(&self, at: Timestamp) -> ZonedDateTime {
        at.to_zoned_datetime(self.time_zone().unwrap_or(TimeZone::UTC))
    }

    /// The last time at or before `at` when the local time was `time`.
    #[must_use]
    pub fn last_time_of_day(&self, time: civil::Time, at: Timestamp) -> Option<Timestamp> {
        let local = self.local_time(at);
        let on = |date: civil::Date| local.time_zone().to_timestamp(date.to_datetime(time)).ok();
        let today = on(local.date())?;
        if today <= at { Some(today) } else { on(local.date().yesterday().ok()?) }
    }

    /// Whether the local time is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.time_zone().is_some()
    }

    fn time_zone(&self) -> Option<TimeZone> {
        let by_region = self.region.as_deref().and_then(|region| TimeZone::get(region).ok());
        by_region.or_else(|| Offset::from_seconds(self.offset_seconds?).ok().map(TimeZone::fixed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn magnitude_distinguishes_unix_seconds_and_milliseconds() {
        assert_eq!(from_unix(1_639_120_892.0), Some(at("2021-12-10T07:21:32Z")));
        assert_eq!(from_unix(1_654_063_185_904.0), Some(at("2022-06-01T05:59:45.904Z")));
    }

    #[test]
    fn unix_times_outside_2015_to_2099_are_not_times() {
        for number in [-1.0, 0.0, 1_420_070_399.0, 4_102_444_800.0, 4_102_444_800_000.0, 1e18, -1e300] {
            assert_eq!(from_unix(number), None, "{number}");
        }
        assert!(from_unix(1_420_070_400.0).is_some());
        assert!(from_unix(4_102_444_799.0).is_some());
    }

    #[test]
    fn iso_time_takes_offsets_with_and_without_a_colon() {
        let expected = (at("2022-06-01T05:44:21Z"), Offset::constant(8));
        assert_eq!(from_iso("2022-06-01T13:44:21+0800"), Some(expected));
        assert_eq!(from_iso("2022-06-01T13:44:21+08:00"), Some(expected));
        assert_eq!(from_iso("2022-06-01T05:44:21Z"), Some((expected.0, Offset::UTC)));
        for wrong in ["", "2022-06-01T13:44:21", "2022-06-01", "1969-01-01T00:00:00Z", "yesterday"] {
            assert_eq!(from_iso(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn local_digits_are_read_in_their_region() {
        assert_eq!(from_local("20220601134421", "Asia/Singapore"), Some(at("2022-06-01T05:44:21Z")));
        assert_eq!(from_local("20231117114825", "Asia/Jakarta"), Some(at("2023-11-17T04:48:25Z")));
        for (digits, region) in [
            ("20220601134421", "Asia/Atlantis"),
            ("2022060113442", "UTC"),
            ("20221301000000", "UTC"),
            ("２０２２06", "UTC"),
        ] {
            assert_eq!(from_local(digits, region), None, "{digits} {region}");
        }
    }

    #[test]
    fn local_digits_in_a_clock_change_take_the_earlier_hour_and_skip_the_gap() {
        // Europe/Berlin 2023: 02:30 exists twice on 29 October and never on 26 March.
        assert_eq!(from_local("20231029023000", "Europe/Berlin"), Some(at("2023-10-29T00:30:00Z")));
        assert_eq!(from_local("20230326023000", "Europe/Berlin"), Some(at("2023-03-26T01:30:00Z")));
    }

    #[test]
    fn local_time_falls_back_from_region_to_offset_to_utc() {
        let moment = at("2022-06-01T05:59:45Z");
        let shown = |region: Option<&str>, offset_seconds| {
            let zone = LocalZone { region: region.map(Into::into), offset_seconds };
            zone.local_time(moment).strftime("%H:%M").to_string()
        };
        assert_eq!(shown(Some("Asia/Singapore"), None), "13:59");
        assert_eq!(shown(Some("Asia/Atlantis"), Some(7 * 3600)), "12:59");
        assert_eq!(shown(None, None), "05:59");
    }

    #[test]
    fn the_local_time_is_known_by_region_or_offset_and_not_by_an_unknown_name() {
        let known = |region: Option<&str>, offset_seconds| {
            LocalZone { region: region.map(Into::into), offset_seconds }.is_known()
        };
        assert!(known(Some("Asia/Singapore"), None) && known(None, Some(0)) && known(Some("Asia/Atlantis"), Some(0)));
        assert!(!known(None, None) && !known(Some("Asia/Atlantis"), None) && !known(None, Some(i32::MAX)));
    }
}
