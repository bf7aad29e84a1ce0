//! A stretch of time.

use jiff::{SignedDuration, Timestamp};

/// From when to when. `None` is an open end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// Its first moment.
    pub since: Option<Timestamp>,
    /// The first moment after it.
    pub until: Option<Timestamp>,
}

impl Period {
    /// Whether `at` is in it.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Whether any moment of `length` from `start` on is in it.
    #[must_use]
    pub fn touches(&self, start: Timestamp, length: SignedDuration) -> bool {
        let ends = start.checked_add(length).unwrap_or(Timestamp::MAX);
        self.since.is_none_or(|since| since < ends) && self.until.is_none_or(|until| start < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(since: &str, until: &str) -> Period {
        Period { since: since.parse().ok(), until: until.parse().ok() }
    }

    #[test]
    fn the_first_moment_is_in_and_the_last_is_not() {
        let day = period("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z");
        let is_in = |text: &str| day.contains(text.parse().unwrap());
        assert!(is_in("2026-11-01T00:00:00Z") && is_in("2026-11-01T23:59:00Z"));
        assert!(!is_in("2026-10-31T23:59:00Z") && !is_in("2026-11-02T00:00:00Z"));
        assert!(Period::default().contains(Timestamp::MIN));
    }

    #[test]
    fn an_hour_counts_where_any_of_it_does() {
        let morning = period("2026-11-01T10:30:00Z", "2026-11-01T12:00:00Z");
        let touches = |text: &str| morning.touches(text.parse().unwrap(), SignedDuration::from_hours(1));
        assert!(touches("2026-11-01T10:00:00Z") && touches("2026-11-01T11:00:00Z"));
        assert!(!touches("2026-11-01T09:00:00Z") && !touches("2026-11-01T12:00:00Z"));
    }
}
