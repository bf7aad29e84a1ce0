//! Numbers, rates and times in words.

use indicatif::HumanCount;
use jiff::{SignedDuration, Timestamp};

use domain::device::Unit;
use domain::time::LocalZone;

/// Formats a number with a comma at each thousand.
///
/// ```
/// assert_eq!(analysis::words::count(1_234_567_u64), "1,234,567");
/// ```
#[must_use]
pub fn count(number: impl TryInto<u64>) -> String {
    HumanCount(number.try_into().unwrap_or(u64::MAX)).to_string()
}

/// Formats a number of things.
///
/// ```
/// use analysis::words::plural;
/// assert_eq!((plural(1, "alert").as_str(), plural(1_041, "alert").as_str()), ("1 alert", "1,041 alerts"));
/// ```
#[must_use]
pub fn plural(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", count(number)) }
}

/// "ammonia (ppb)"; without a unit only the words.
pub(crate) fn with_unit(words: &str, unit: Unit) -> String {
    match unit.symbol() {
        "" => words.to_owned(),
        symbol => format!("{words} ({symbol})"),
    }
}

/// A rate a week: "17", "2.5", "under 0.1", "0".
pub(crate) fn rate(a_week: f64) -> String {
    match a_week {
        never if never <= 0.0 || never.is_nan() => "0".to_owned(),
        rare if rare < 0.1 => "under 0.1".to_owned(),
        many if many >= 9.95 => count(many.round() as u64),
        few => format!("{few:.1}").trim_end_matches(".0").to_owned(),
    }
}

/// The local time: "Tue 3 Mar 2026, 14:05"; with "(UTC)" if the time zone is not known.
pub(crate) fn moment(zone: &LocalZone, at: Timestamp) -> String {
    local(zone, at, "%a %-d %b %Y, %H:%M")
}

/// The local date: "Tue 3 Mar 2026".
pub(crate) fn date(zone: &LocalZone, at: Timestamp) -> String {
    local(zone, at, "%a %-d %b %Y")
}

fn local(zone: &LocalZone, at: Timestamp, format: &str) -> String {
    let wall = zone.local_time(at).strftime(format).to_string();
    if zone.is_known() { wall } else { format!("{wall} (UTC)") }
}

/// The name of a time zone: "Asia/Singapore", "+07:00", "UTC".
pub(crate) fn zone_name(zone: &LocalZone) -> String {
    zone.local_time(Timestamp::UNIX_EPOCH).strftime("%:Q").to_string()
}

/// Parses an interval from a second to a day: "30s", "5m", "1h".
///
/// # Errors
/// What is expected, if `text` is anything else.
pub fn interval(text: &str) -> Result<SignedDuration, &'static str> {
    let (least, most) = (SignedDuration::from_secs(1), SignedDuration::from_hours(24));
    let interval = text.parse().ok().filter(|interval| (least..=most).contains(interval));
    interval.ok_or("a time such as 30s, 5m or 1h, from a second to a day")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_comma_at_each_thousand() {
        for (number, expected) in [(0_u64, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), expected);
        }
        assert_eq!((plural(1, "alert"), plural(0, "alert")), ("1 alert".to_owned(), "0 alerts".to_owned()));
        let titles = (with_unit("ammonia", Unit::Ppb), with_unit("people", Unit::One));
        assert_eq!(titles, ("ammonia (ppb)".to_owned(), "people".to_owned()));
    }

    #[test]
    fn large_rates_are_whole_and_rare_ones_are_not_zero() {
        for (a_week, expected) in
            [(0.0, "0"), (0.04, "under 0.1"), (0.1, "0.1"), (3.0, "3"), (2.46, "2.5"), (9.94, "9.9"), (9.96, "10")]
        {
            assert_eq!(rate(a_week), expected, "{a_week}");
        }
        assert_eq!((rate(1234.4), rate(f64::NAN)), ("1,234".to_owned(), "0".to_owned()));
    }

    #[test]
    fn times_are_local_or_marked_as_utc() {
        let at: Timestamp = "2026-03-02T18:05:00Z".parse().unwrap();
        let singapore = LocalZone { region: Some("Asia/Singapore".into()), offset_seconds: None };
        assert_eq!(moment(&singapore, at), "Tue 3 Mar 2026, 02:05");
        assert_eq!(moment(&LocalZone::default(), at), "Mon 2 Mar 2026, 18:05 (UTC)");
        assert_eq!((zone_name(&singapore), zone_name(&LocalZone::default())), ("Asia/Singapore".into(), "UTC".into()));
    }

    #[test]
    fn intervals_are_from_a_second_to_a_day() {
        assert_eq!(interval("30s"), Ok(SignedDuration::from_secs(30)));
        assert!(["0s", "2d", "5", ""].iter().all(|wrong| interval(wrong).is_err()));
    }
}
