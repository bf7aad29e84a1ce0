//! Due times as state stores keep them, in Unix milliseconds.
//!
//! A due time is rounded up and the current time is rounded down. By the caller's clock, rounding therefore makes no document
//! due early, and none more than a millisecond late.

use jiff::Timestamp;

const NANOSECONDS_PER_MILLISECOND: i32 = 1_000_000;

/// A due time in Unix milliseconds, rounded up.
pub(super) fn due_millis(due: Timestamp) -> i64 {
    due.as_millisecond() + i64::from(due.subsec_nanosecond() % NANOSECONDS_PER_MILLISECOND > 0)
}

/// The latest due time that has passed at `now`, in Unix milliseconds, rounded down.
pub(super) fn now_millis(now: Timestamp) -> i64 {
    // Before 1970, both parts are negative.
    now.as_millisecond() - i64::from(now.subsec_nanosecond() % NANOSECONDS_PER_MILLISECOND < 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_due_early_and_nothing_more_than_a_millisecond_late() {
        for (nanoseconds, due, now) in [
            (0, 0, 0),
            (1, 1, 0),
            (999_999, 1, 0),
            (1_000_000, 1, 1),
            (1_000_001, 2, 1),
            (1_764_000_000_123_456_789, 1_764_000_000_124, 1_764_000_000_123),
            (-1, 0, -1),
            (-999_999, 0, -1),
            (-1_000_000, -1, -1),
            (-1_000_001, -1, -2),
        ] {
            let time = Timestamp::from_nanosecond(nanoseconds).unwrap();
            assert_eq!((due_millis(time), now_millis(time)), (due, now), "{nanoseconds} ns");
        }
    }

    #[test]
    fn the_first_and_the_last_timestamp_have_milliseconds() {
        assert!(due_millis(Timestamp::MIN) < due_millis(Timestamp::MAX));
        assert!(now_millis(Timestamp::MIN) < now_millis(Timestamp::MAX));
    }
}
