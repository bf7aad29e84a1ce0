//! Times and durations as text: "13:40", "Tue 13:40", "19 min".

use jiff::{SignedDuration, Timestamp};

use super::text::clock;
use super::texts::Texts;
use domain::location::Location;

/// The local time of day, to the minute, with a date relative to `now`: none on the same day, "Tue" within a week, "25 May"
/// within the year, else "25 May 2021".
pub(super) fn moment(texts: &Texts<'_>, location: &Location, at: Timestamp, now: Timestamp) -> String {
    let time = clock(location, at);
    let (wall, today) = (location.local_zone.local_time(at), location.local_zone.local_time(now).date());
    let month = || texts.month(wall.month());
    let day = match (today - wall.date()).get_days().unsigned_abs() {
        0 => return time,
        1..=6 => texts.weekday(wall.weekday().to_monday_one_offset()),
        _ if wall.year() == today.year() => texts.day_month(wall.day(), month()),
        _ => texts.day_month_year(wall.day(), month(), wall.year()),
    };
    format!("{day} {time}")
}

/// The local date: "Wed 1 June 2022".
pub(super) fn date(texts: &Texts<'_>, location: &Location, at: Timestamp) -> String {
    let wall = location.local_zone.local_time(at);
    let weekday = texts.weekday(wall.weekday().to_monday_one_offset());
    texts.date(weekday, wall.day(), texts.month(wall.month()), wall.year())
}

/// Local date and time to the second, with the time zone: "Wed 1 June 2022, 13:59:45 (Asia/Singapore)".
pub(super) fn date_and_time(texts: &Texts<'_>, location: &Location, at: Timestamp) -> String {
    let wall = location.local_zone.local_time(at);
    format!("{}, {} ({})", date(texts, location, at), wall.strftime("%H:%M:%S"), zone(location, at))
}

/// The time zone: "Asia/Singapore", or "UTC+08:00" if only its offset is known.
pub(super) fn zone(location: &Location, at: Timestamp) -> String {
    let wall = location.local_zone.local_time(at);
    wall.time_zone().iana_name().map_or_else(|| wall.strftime("UTC%:z").to_string(), str::to_owned)
}

/// The duration from `since` to `at`. Counts the minutes between the two times of day, so that it agrees with them.
pub(super) fn elapsed(texts: &Texts<'_>, since: Timestamp, at: Timestamp) -> String {
    let minutes = |moment: Timestamp| moment.as_second().div_euclid(60);
    match minutes(at) - minutes(since) {
        0 => span(texts, at.duration_since(since)),
        between => span(texts, SignedDuration::from_secs(60 * between)),
    }
}

/// A duration: "45 s", "19 min", "1 h 30 min", "24 h", "3 days". A negative one is "0 s".
pub(super) fn span(texts: &Texts<'_>, duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let one = |unit: &'static str, count: i64| texts.duration(unit, count);
    let two = |[large, small]: [(&'static str, i64); 2]| match small {
        (_, 0) => one(large.0, large.1),
        _ => format!("{} {}", one(large.0, large.1), one(small.0, small.1)),
    };
    match seconds {
        0..60 => one("s", seconds),
        60..600 => two([("min", minutes), ("s", if seconds % 60 == 30 { 30 } else { 0 })]),
        600..3_600 => one("min", minutes),
        3_600..36_000 => two([("h", hours), ("min", minutes % 60)]),
        36_000..172_800 => one("h", hours),
        172_800..864_000 => two([("days", days), ("h", hours % 24)]),
        _ => one("days", days),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::location;
    use domain::time::LocalZone;

    #[test]
    fn a_time_of_another_day_has_a_date() {
        let singapore = location("UM", "Lobby");
        // Wed 1 June 2022, 13:59 there.
        let now: Timestamp = "2022-06-01T05:59:45Z".parse().unwrap();
        for (at, expected) in [
            ("2022-06-01T05:40:00Z", "13:40"),
            // The first minute of the day in Singapore, and the minute before.
            ("2022-05-31T16:00:00Z", "00:00"),
            ("2022-05-31T15:59:59Z", "Tue 23:59"),
            ("2022-05-25T16:00:00Z", "Thu 00:00"),
            ("2022-05-25T15:59:59Z", "25 May 23:59"),
            ("2021-12-31T15:59:59Z", "31 December 2021 23:59"),
            ("2022-06-01T16:00:00Z", "Thu 00:00"),
        ] {
            assert_eq!(moment(&Texts::english(), &singapore, at.parse().unwrap(), now), expected, "{at}");
        }
        let nowhere = Location { local_zone: LocalZone::default(), ..singapore };
        assert_eq!(moment(&Texts::english(), &nowhere, "2022-05-31T16:00:00Z".parse().unwrap(), now), "Tue 16:00 UTC");
    }

    #[test]
    fn a_duration_has_at_most_two_units() {
        for (seconds, expected) in [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (90, "1 min 30 s"),
            (599, "9 min"),
            (1_140, "19 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (5_400, "1 h 30 min"),
            (35_999, "9 h 59 min"),
            (36_000, "10 h"),
            (86_400, "24 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
            (176_400, "2 days 1 h"),
            (864_000, "10 days"),
            (i64::MAX, "106751991167300 days"),
        ] {
            assert_eq!(span(&Texts::english(), SignedDuration::from_secs(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn an_elapsed_time_agrees_with_the_two_times_of_day() {
        let text = |since: &str, at: &str| elapsed(&Texts::english(), since.parse().unwrap(), at.parse().unwrap());
        // 13:40 to 13:59 is 19 minutes, although 18 min 15 s elapsed.
        assert_eq!(text("2022-06-01T05:40:50Z", "2022-06-01T05:59:05Z"), "19 min");
        assert_eq!(text("2022-06-01T05:59:05Z", "2022-06-01T05:59:50Z"), "45 s");
        assert_eq!(text("2022-06-01T05:59:05Z", "2022-06-01T05:40:50Z"), "0 s");
    }
}
