//! The site's own time: what people there do, they do by the clock on their wall.

use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Unit};

/// The time zone of a site.
#[derive(Clone, Debug)]
pub struct SiteClock {
    region: Arc<str>,
    zone: TimeZone,
}

/// A moment as the site's clock shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Milliseconds since 1970.
    pub(super) ms: i64,
    /// What the clock on the wall shows.
    pub(super) wall: DateTime,
    /// How far the wall is from UTC.
    pub(super) offset: Offset,
}

impl SiteClock {
    /// The clock of an IANA zone such as `Asia/Singapore`; `None` where there is no zone of that name.
    #[must_use]
    pub fn of(region: &str) -> Option<Self> {
        let zone = TimeZone::get(region).ok()?;
        Some(Self { region: region.into(), zone })
    }

    /// The zone's name.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The moment at which a day or a local time begins there, written `2026-10-01` or `2026-10-01T08:00`; or a moment
    /// written with its offset, such as `2026-10-01T00:00:00Z`. `None` where the text is none of these.
    #[must_use]
    pub fn moment(&self, text: &str) -> Option<Timestamp> {
        let at: Timestamp = match text.parse() {
            Ok(at) => at,
            Err(_) => self.zone.to_timestamp(text.parse::<DateTime>().ok()?).ok()?,
        };
        at.round(Unit::Millisecond).ok()
    }

    pub(super) fn at(&self, ms: i64) -> Moment {
        let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let offset = self.zone.to_offset(at);
        Moment { ms, wall: offset.to_datetime(at), offset }
    }
}

impl Moment {
    /// The hour with its fraction: 13.5 is half past one in the afternoon.
    pub(super) fn hour(&self) -> f64 {
        f64::from(self.wall.hour()) + f64::from(self.wall.minute()) / 60.0
    }

    /// Whether it is Saturday or Sunday.
    pub(super) fn is_weekend(&self) -> bool {
        self.weekday() == 0 || self.weekday() == 6
    }

    /// The day of the week, 0 = Sunday, as the vendor counts in most places.
    pub(super) fn weekday(&self) -> i8 {
        self.wall.weekday().to_sunday_zero_offset()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_midnight_on_the_sites_wall() {
        let clock = SiteClock::of("Asia/Singapore").unwrap();
        let expected = "2026-09-30T16:00:00Z".parse().ok();
        assert_eq!(clock.moment("2026-10-01"), expected);
        assert_eq!(clock.moment("2026-10-01T00:00"), expected);
        assert_eq!(clock.moment("2026-09-30T16:00:00Z"), expected);
        assert_eq!(clock.moment("yesterday"), None);
    }

    #[test]
    fn a_zone_that_nobody_knows_has_no_clock() {
        assert!(SiteClock::of("Asia/Atlantis").is_none());
    }

    #[test]
    fn the_week_begins_on_sunday() {
        let clock = SiteClock::of("Asia/Singapore").unwrap();
        let at = |text| clock.at(clock.moment(text).unwrap().as_millisecond());
        assert_eq!(at("2021-12-10T15:21").weekday(), 5, "the vendor's own example");
        assert!(at("2026-11-22").is_weekend() && !at("2026-11-23").is_weekend());
    }
}
