//! How moments and spans of time are told: "13:40", "Tue 13:40", "19 min".

use jiff::{SignedDuration, Timestamp};

use super::text::clock;
use domain::location::Location;

/// The time of day at `location`, to the minute, with as much of the date as it takes to find it from `now`: none on the
/// same day there, "Tue" within a week, "25 May" within the year, else "25 May 2021".
pub(super) fn moment(location: &Location, at: Timestamp, now: Timestamp) -> String {
    let time = clock(location, at);
    let (wall, today) = (location.local_zone.on_the_wall(at), location.local_zone.on_the_wall(now).date());
    let days = (today - wall.date()).get_days().unsigned_abs();
    let format = match days {
        0 => return time,
        1..=6 => "%a",
        _ if wall.year() == today.year() => "%-d %b",
        _ => "%-d %b %Y",
    };
    format!("{} {time}", wall.strftime(format))
}

/// The time from `since` to `at` in words; as many minutes as the two clocks that are shown differ by. Nothing where
/// `at` comes first.
pub(super) fn elapsed(since: Timestamp, at: Timestamp) -> String {
    let minutes = |moment: Timestamp| moment.as_second().div_euclid(60);
    match minutes(at) - minutes(since) {
        0 => span(at.duration_since(since)),
        between => span(SignedDuration::from_secs(60 * between)),
    }
}

/// A span of time in words: "45 s", "19 min", "1 h 30 min", "24 h", "3 days". Two units at most, the smaller one only
/// where it is a good part of the whole; never less than nothing.
pub(super) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, large_name: &str, small: i64, small_name: &str| match small {
        0 => format!("{large} {large_name}"),
        _ => format!("{large} {large_name} {small} {small_name}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 => two(minutes, "min", if seconds % 60 == 30 { 30 } else { 0 }, "s"),
        600..3_600 => format!("{minutes} min"),
        3_600..36_000 => two(hours, "h", minutes % 60, "min"),
        36_000..172_800 => format!("{hours} h"),
        172_800..864_000 => two(days, "days", hours % 24, "h"),
        _ => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::location;
    use domain::time::LocalZone;

    #[test]
    fn a_moment_of_another_day_has_a_date() {
        let singapore = location("UM", "Lobby");
        // Wed 1 June 2022, 13:59 there.
        let now: Timestamp = "2022-06-01T05:59:45Z".parse().unwrap();
        for (at, expected) in [
            ("2022-06-01T05:40:00Z", "13:40"),
            // The first minute of the day there, and the one before it.
            ("2022-05-31T16:00:00Z", "00:00"),
            ("2022-05-31T15:59:59Z", "Tue 23:59"),
            ("2022-05-25T16:00:00Z", "Thu 00:00"),
            ("2022-05-25T15:59:59Z", "25 May 23:59"),
            ("2021-12-31T15:59:59Z", "31 Dec 2021 23:59"),
            ("2022-06-01T16:00:00Z", "Thu 00:00"),
        ] {
            assert_eq!(moment(&singapore, at.parse().unwrap(), now), expected, "{at}");
        }
        let nowhere = Location { local_zone: LocalZone::default(), ..singapore };
        assert_eq!(moment(&nowhere, "2022-05-31T16:00:00Z".parse().unwrap(), now), "Tue 16:00 UTC");
    }

    #[test]
    fn a_span_is_as_short_as_it_reads_well() {
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
            assert_eq!(span(SignedDuration::from_secs(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn what_is_told_between_two_clocks_adds_up_with_them() {
        let told = |since: &str, at: &str| elapsed(since.parse().unwrap(), at.parse().unwrap());
        // 13:40 to 13:59 reads as 19 minutes, although they are 18 and some seconds.
        assert_eq!(told("2022-06-01T05:40:50Z", "2022-06-01T05:59:05Z"), "19 min");
        assert_eq!(told("2022-06-01T05:59:05Z", "2022-06-01T05:59:50Z"), "45 s");
        assert_eq!(told("2022-06-01T05:59:05Z", "2022-06-01T05:40:50Z"), "0 s");
    }
}
