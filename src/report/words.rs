//! Numbers, rates and moments as the page tells them.

use jiff::{SignedDuration, Timestamp};

use crate::domain::alert::Place;

/// A count with its thousands set apart: "1,234,567".
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The same for what is counted in memory.
pub(super) fn counted(number: usize) -> String {
    count(number as u64)
}

/// "1 alert", "41 alerts".
pub(super) fn plural(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", counted(number)) }
}

/// So many a week: "17", "2.5", "0"; "under 0.1" where it is that rare, and not never.
pub(super) fn rate(a_week: f64) -> String {
    match a_week {
        never if never <= 0.0 || never.is_nan() => "0".to_owned(),
        rare if rare < 0.1 => "under 0.1".to_owned(),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
        many if many >= 9.95 => count(many.round() as u64),
        few => format!("{few:.1}").trim_end_matches(".0").to_owned(),
    }
}

/// The moment on the clock of `place`: "Tue 3 Mar 2026, 14:05", with "(UTC)" where local time is not known there.
pub(super) fn moment(place: &Place, at: Timestamp) -> String {
    zoned(place, at, "%a %-d %b %Y, %H:%M")
}

/// The date at `place`: "Tue 3 Mar 2026".
pub(super) fn date(place: &Place, at: Timestamp) -> String {
    zoned(place, at, "%a %-d %b %Y")
}

fn zoned(place: &Place, at: Timestamp, format: &str) -> String {
    let wall = place.local_zone.on_the_wall(at).strftime(format).to_string();
    if place.local_zone.is_known() { wall } else { format!("{wall} (UTC)") }
}

/// What the local time of `place` is called: "Asia/Singapore", "UTC+07:00", "UTC".
pub(super) fn zone_name(place: &Place) -> String {
    let wall = place.local_zone.on_the_wall(Timestamp::UNIX_EPOCH);
    match wall.time_zone().iana_name() {
        Some(name) => name.to_owned(),
        None => wall.strftime("UTC%:z").to_string(),
    }
}

/// About how long: "4 weeks", "10 days", "5 hours", "20 minutes".
pub(super) fn length(span: SignedDuration) -> String {
    let minutes = span.as_secs().max(0) / 60;
    let (divisor, unit) = match minutes {
        0..120 => (1, "minute"),
        120..2_880 => (60, "hour"),
        2_880..30_240 => (1_440, "day"),
        _ => (10_080, "week"),
    };
    let number = usize::try_from((minutes + divisor / 2) / divisor).unwrap_or_default();
    plural(number, unit)
}

/// With its first letter large.
pub(super) fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::LocalZone;

    #[test]
    fn counts_have_their_thousands_apart() {
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), expected);
        }
        assert_eq!((plural(1, "alert"), plural(0, "alert")), ("1 alert".to_owned(), "0 alerts".to_owned()));
    }

    #[test]
    fn rates_are_whole_where_they_are_large_and_never_nothing_where_they_are_rare() {
        for (a_week, expected) in
            [(0.0, "0"), (0.04, "under 0.1"), (0.1, "0.1"), (3.0, "3"), (2.46, "2.5"), (9.94, "9.9"), (9.96, "10")]
        {
            assert_eq!(rate(a_week), expected, "{a_week}");
        }
        assert_eq!((rate(1234.4), rate(f64::NAN)), ("1,234".to_owned(), "0".to_owned()));
    }

    #[test]
    fn moments_are_local_and_say_so_where_they_are_not() {
        let at: Timestamp = "2026-03-02T18:05:00Z".parse().unwrap();
        let singapore = LocalZone { region: Some("Asia/Singapore".into()), offset_seconds: None };
        let here = Place { local_zone: singapore, ..Place::default() };
        assert_eq!(moment(&here, at), "Tue 3 Mar 2026, 02:05");
        assert_eq!(moment(&Place::default(), at), "Mon 2 Mar 2026, 18:05 (UTC)");
        assert_eq!((zone_name(&here), zone_name(&Place::default())), ("Asia/Singapore".into(), "UTC".into()));
    }

    #[test]
    fn a_length_is_told_in_the_unit_that_fits() {
        for (hours, expected) in [(1, "60 minutes"), (5, "5 hours"), (240, "10 days"), (28 * 24, "4 weeks")] {
            assert_eq!(length(SignedDuration::from_hours(hours)), expected);
        }
    }
}
