//! Moments as stores keep them: Unix milliseconds, turned so that nothing is due before it is.
//!
//! A moment between two milliseconds counts from the later one on, and now reaches up to the earlier one. So what a store
//! finds is due by the caller's clock too, and nothing is found more than a millisecond late. The other way round a sweep
//! would be given documents about which nothing is to be done yet.

use jiff::Timestamp;

/// Nanoseconds of a millisecond.
const MILLISECOND: i32 = 1_000_000;

/// When something is due, in Unix milliseconds: rounded up.
pub(super) fn due_from(due: Timestamp) -> i64 {
    due.as_millisecond() + i64::from(due.subsec_nanosecond() % MILLISECOND > 0)
}

/// Up to when what is due at `now` was due, in Unix milliseconds: rounded down.
pub(super) fn due_until(now: Timestamp) -> i64 {
    // Before 1970 both parts are negative.
    now.as_millisecond() - i64::from(now.subsec_nanosecond() % MILLISECOND < 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_due_early_and_nothing_more_than_a_millisecond_late() {
        for (nanoseconds, from, until) in [
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
            let moment = Timestamp::from_nanosecond(nanoseconds).unwrap();
            assert_eq!((due_from(moment), due_until(moment)), (from, until), "{nanoseconds} ns");
        }
    }

    #[test]
    fn the_first_and_the_last_moment_there_are_can_be_kept() {
        assert!(due_from(Timestamp::MIN) < due_from(Timestamp::MAX));
        assert!(due_until(Timestamp::MIN) < due_until(Timestamp::MAX));
    }
}
