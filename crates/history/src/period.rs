//! A period of time.

use jiff::{SignedDuration, Timestamp};

/// A period of time. `None` is an open end.
///
/// ```
/// use history::Period;
/// let november = Period { since: "2026-11-01T00:00:00Z".parse().ok(), until: "2026-12-01T00:00:00Z".parse().ok() };
/// assert!(november.contains("2026-11-01T00:00:00Z".parse().unwrap()));
/// assert!(!november.contains("2026-12-01T00:00:00Z".parse().unwrap()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// Its start, in it.
    pub since: Option<Timestamp>,
    /// Its end, not in it.
    pub until: Option<Timestamp>,
}

impl Period {
    /// Whether `at` is in the period.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Whether the period overlaps `length` from `start` on.
    #[must_use]
    pub fn overlaps(&self, start: Timestamp, length: SignedDuration) -> bool {
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
    fn a_period_contains_its_start_and_not_its_end() {
        let day = period("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z");
        let is_in = |text: &str| day.contains(text.parse().unwrap());
        assert!(is_in("2026-11-01T00:00:00Z") && is_in("2026-11-01T23:59:00Z"));
        assert!(!is_in("2026-10-31T23:59:00Z") && !is_in("2026-11-02T00:00:00Z"));
        assert!(Period::default().contains(Timestamp::MIN));
    }

    #[test]
    fn a_period_overlaps_an_hour_that_is_partly_in_it() {
        let morning = period("2026-11-01T10:30:00Z", "2026-11-01T12:00:00Z");
        let overlaps = |text: &str| morning.overlaps(text.parse().unwrap(), SignedDuration::from_hours(1));
        assert!(overlaps("2026-11-01T10:00:00Z") && overlaps("2026-11-01T11:00:00Z"));
        assert!(!overlaps("2026-11-01T09:00:00Z") && !overlaps("2026-11-01T12:00:00Z"));
    }
}
