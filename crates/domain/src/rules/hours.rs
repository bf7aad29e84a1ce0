//! Weekly hours, in local time: when the messages of a rule are sent, and when an audience is on duty.

use std::fmt;

use jiff::civil::{self, Weekday};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::diagnostic::Positioned;
use super::document::TableReader;
use super::values::time_of_day;
use crate::time::LocalZone;

/// The days of the week as they are written, from Monday on.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// The longest wait for hours on one day of the week is a week. A clock change can skip all of the hours on that day.
const LONGEST_WAIT_DAYS: usize = 15;

/// The same hours on some days of each week, in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeeklyHours {
    /// The days on which the hours begin.
    pub days: Days,
    /// The first moment.
    pub from: civil::Time,
    /// The first moment after the hours. At or before `from`, the hours span midnight.
    pub to: civil::Time,
}

/// Days of the week: whether each is one of them, from Monday on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(pub [bool; 7]);

impl Days {
    /// Every day.
    pub const ALL: Self = Self([true; 7]);

    /// Whether `day` is one of them.
    #[must_use]
    pub fn contain(self, day: Weekday) -> bool {
        self.0[usize::from(day.to_monday_zero_offset().unsigned_abs())]
    }

    /// Parses `Mon`, `Mon-Sat`, `Sat-Mon` or `Mon,Wed,Fri`. No text is every day.
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::ALL);
        }
        let number = |name: &str| DAYS.iter().position(|day| *day == name.trim());
        let mut days = [false; 7];
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            (first..=first + (last + 7 - first) % 7).for_each(|day| days[day % 7] = true);
        }
        Some(Self(days))
    }
}

impl WeeklyHours {
    /// What a value with these hours is, in messages.
    pub(super) const WANTED: &'static str =
        "hours such as \"07:00-22:00\" or \"Mon-Fri 07:00-22:00\", with different begin and end";

    /// Parses `Mon-Sat 07:00-15:00`. The days can be left out. `00:00-24:00` is all day; no other hours may end when they begin.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (days, hours) = text.split_at(text.find(|character: char| character.is_ascii_digit())?);
        let (from, to) = hours.split_once('-')?;
        let is_all_day = (from.trim(), to.trim()) == ("00:00", "24:00");
        let hours = Self { days: Days::parse(days.trim())?, from: time_of_day(from)?, to: time_of_day(to)? };
        (is_all_day || hours.from != hours.to).then_some(hours)
    }

    /// Whether `at` is within the hours in `zone`.
    #[must_use]
    pub fn contain(&self, at: Timestamp, zone: &LocalZone) -> bool {
        let local = zone.local_time(at);
        let (today, time) = (local.weekday(), local.time());
        let began_today = self.from <= time && self.days.contain(today);
        if self.from < self.to {
            return began_today && time < self.to;
        }
        began_today || time < self.to && self.days.contain(today.previous())
    }

    /// How much of the time from `from` to `to` is within the hours in `zone`.
    #[must_use]
    pub fn overlap(&self, from: Timestamp, to: Timestamp, zone: &LocalZone) -> SignedDuration {
        let mut total = SignedDuration::ZERO;
        let mut at = self.next(from, zone);
        while at < to && self.contain(at, zone) {
            let end = self.end(at, zone).min(to);
            total += end.duration_since(at);
            at = self.next(end, zone);
        }
        total
    }

    /// The first moment after `at`, which is within the hours, that is not within them, at the latest two days later.
    fn end(&self, at: Timestamp, zone: &LocalZone) -> Timestamp {
        let local = zone.local_time(at);
        let time_zone = local.time_zone();
        // The end can be today or tomorrow; a clock change can skip it, repeat it, or set the clock out of the hours.
        let ends = local.date().series(1.day()).take(3).flat_map(|date| {
            let end = time_zone.to_ambiguous_timestamp(date.to_datetime(self.to));
            [end.earlier(), end.later()].into_iter().filter_map(Result::ok)
        });
        let change = time_zone.following(at).next().map(|change| change.timestamp());
        let latest = at.checked_add(SignedDuration::from_hours(48)).unwrap_or(Timestamp::MAX);
        ends.chain(change).filter(|end| *end > at && !self.contain(*end, zone)).min().unwrap_or(latest).min(latest)
    }

    /// The first moment within the hours from `at` on.
    #[must_use]
    pub fn next(&self, at: Timestamp, zone: &LocalZone) -> Timestamp {
        if self.contain(at, zone) {
            return at;
        }
        let local = zone.local_time(at);
        let time_zone = local.time_zone();
        let days = local.date().series(1.day()).take(LONGEST_WAIT_DAYS);
        // A clock change can skip the first moment, repeat it, or set the clock back into the hours.
        let begins = days.flat_map(|date| {
            let begin = time_zone.to_ambiguous_timestamp(date.to_datetime(self.from));
            [begin.earlier(), begin.later()].into_iter().filter_map(Result::ok)
        });
        let change = time_zone.following(at).next().map(|change| change.timestamp());
        let first = begins.chain(change).filter(|begin| *begin >= at && self.contain(*begin, zone)).min();
        first.unwrap_or(at)
    }
}

/// As in a rules file: `Mon,Tue 07:00-22:00`.
impl fmt::Display for WeeklyHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != Days::ALL {
            let names = DAYS.iter().zip(self.days.0).filter(|(_, is_one)| *is_one).map(|(name, _)| *name);
            write!(f, "{} ", names.collect::<Vec<_>>().join(","))?;
        }
        let to =
            if self.to == civil::Time::midnight() { "24:00".to_owned() } else { self.to.strftime("%H:%M").to_string() };
        write!(f, "{}-{to}", self.from.strftime("%H:%M"))
    }
}

impl Serialize for WeeklyHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WeeklyHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format_args!("`{text}` is not {}", Self::WANTED)))
    }
}

/// Reads hours under one key.
pub(super) fn read_hours(table: &mut TableReader<'_, '_>, key: &'static str) -> Option<Positioned<WeeklyHours>> {
    table.value(key, WeeklyHours::WANTED, |value| WeeklyHours::parse(value.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{}:00Z", text.replace(' ', "T")).parse().unwrap()
    }

    #[test]
    fn hours_are_written_as_they_are_read() {
        for text in ["07:00-22:00", "22:00-06:00", "00:00-24:00", "Mon,Wed,Sun 18:00-24:00"] {
            assert_eq!(WeeklyHours::parse(text).unwrap().to_string(), text);
        }
        let days = WeeklyHours::parse("Sat-Mon 07:00-08:30").unwrap();
        assert_eq!(days.to_string(), "Mon,Sat,Sun 07:00-08:30");
        let json = serde_json::to_string(&days).unwrap();
        assert_eq!(serde_json::from_str::<WeeklyHours>(&json).unwrap(), days);
        assert!(serde_json::from_str::<WeeklyHours>("\"always\"").is_err());
    }

    #[test]
    fn only_time_within_the_hours_counts() {
        let minutes = |hours: &str, from: &str, to: &str| {
            let hours = WeeklyHours::parse(hours).unwrap();
            hours.overlap(at(from), at(to), &LocalZone::default()).as_mins()
        };
        // 23 November 2026 is a Monday.
        assert_eq!(minutes("07:00-15:00", "23 10:00", "23 10:20"), 20);
        assert_eq!(minutes("07:00-15:00", "23 14:50", "24 07:10"), 20);
        assert_eq!(minutes("07:00-15:00", "23 16:00", "23 17:00"), 0);
        assert_eq!(minutes("07:00-15:00", "23 10:20", "23 10:00"), 0, "backwards");
        assert_eq!(minutes("Mon-Fri 07:00-15:00", "27 14:00", "30 08:00"), 120, "over a weekend");
        assert_eq!(minutes("22:00-06:00", "23 23:00", "24 05:00"), 360, "across midnight");
        assert_eq!(minutes("Mon 22:00-06:00", "24 05:00", "25 05:00"), 60, "the hours that begin on Monday");
        assert_eq!(minutes("00:00-24:00", "23 10:00", "25 10:00"), 2 * 24 * 60);
        assert_eq!(minutes("Sat,Sun 00:00-24:00", "27 12:00", "30 12:00"), 2 * 24 * 60);
    }

    #[test]
    fn a_clock_change_counts_the_hours_that_pass() {
        let berlin = LocalZone { region: Some("Europe/Berlin".into()), offset_seconds: None };
        let night = WeeklyHours::parse("22:00-06:00").unwrap();
        let overlap =
            |from: &str, to: &str| night.overlap(from.parse().unwrap(), to.parse().unwrap(), &berlin).as_hours();
        assert_eq!(overlap("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), 7, "02:00 to 03:00 is skipped");
        assert_eq!(overlap("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"), 9, "02:00 to 03:00 comes twice");
    }
}
