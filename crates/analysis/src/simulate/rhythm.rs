//! When people are there: by the hour and the day of the week.

use super::clock::Moment;

/// What a zone is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A washroom.
    Washroom,
    /// A room for meetings.
    MeetingRoom,
    /// A lobby at the lifts.
    Lobby,
    /// Trees outdoors.
    Garden,
}

/// Parts of the day's busiest hour, for each hour of a working day in an office building with shops: people come at
/// eight, go to lunch at noon and home from six.
const WORKING_DAY: [f64; 24] = [
    0.01, 0.01, 0.0, 0.0, 0.0, 0.01, 0.05, 0.2, 0.55, 0.75, 0.75, 0.85, 1.0, 0.95, 0.75, 0.7, 0.7, 0.75, 0.6, 0.4,
    0.25, 0.15, 0.06, 0.02,
];
/// The same for a day at the weekend: the shops alone.
const WEEKEND: [f64; 24] = [
    0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.03, 0.06, 0.1, 0.18, 0.25, 0.3, 0.32, 0.3, 0.28, 0.26, 0.24, 0.2, 0.15, 0.1,
    0.06, 0.03, 0.01,
];

/// How busy it is, as a part of the busiest hour, 0 to 1.
pub(super) fn busyness(at: &Moment) -> f64 {
    let day = if at.is_weekend() { &WEEKEND } else { &WORKING_DAY };
    let of = |hour: i8| day[usize::try_from(hour).unwrap_or(0) % 24];
    let part = f64::from(at.wall.minute()) / 60.0;
    of(at.wall.hour()) * (1.0 - part) + of(at.wall.hour() + 1) * part
}

impl Use {
    /// Visitors in the busiest hour.
    pub(super) fn visitors_an_hour(self) -> f64 {
        match self {
            Self::Washroom => 12.0,
            Self::MeetingRoom => 5.0,
            Self::Lobby => 17.0,
            Self::Garden => 0.0,
        }
    }

    /// Whether a cleaner comes by at fixed hours.
    pub(super) fn has_rounds(self) -> bool {
        matches!(self, Self::Washroom | Self::Lobby)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::SiteClock;
    use super::*;

    fn at(text: &str) -> f64 {
        let clock = SiteClock::of("Asia/Singapore").unwrap();
        busyness(&clock.at(clock.moment(text).unwrap().as_millisecond()))
    }

    #[test]
    fn noon_is_busier_than_night_and_a_weekday_than_a_weekend() {
        assert!(at("2026-11-23T12:00") > 10.0 * at("2026-11-23T03:00"));
        assert!(at("2026-11-23T12:00") > 2.0 * at("2026-11-22T12:00"));
        assert!(at("2026-11-22T12:00") > at("2026-11-22T03:00"));
    }

    #[test]
    fn one_hour_passes_into_the_next_without_a_step() {
        assert!((at("2026-11-23T07:59") - at("2026-11-23T08:00")).abs() < 0.01);
        assert!((at("2026-11-23T23:59") - at("2026-11-24T00:00")).abs() < 0.01);
    }
}
