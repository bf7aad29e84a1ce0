//! When anything arrived from anywhere, as the sweep remembers it: while nothing does, no device is called silent.

use jiff::{SignedDuration, Timestamp};

/// How coarsely it is remembered, as live.
const NOTED_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// The moments at which something arrived, in order, coarsely.
#[derive(Debug, Default)]
pub(super) struct Arrivals(Vec<Timestamp>);

impl Arrivals {
    /// Notes that something arrived at `at`; what is older than what is known changes nothing.
    pub(super) fn note(&mut self, at: Timestamp) {
        if self.0.last().is_none_or(|last| at.duration_since(*last) >= NOTED_EVERY) {
            self.0.push(at);
        }
    }

    /// Whether nothing had arrived for longer than `quiet_after` before `now`.
    pub(super) fn is_quiet(&self, now: Timestamp, quiet_after: SignedDuration) -> bool {
        let last = self.0[..self.0.partition_point(|at| *at < now)].last();
        last.is_none_or(|last| now.duration_since(*last) > quiet_after)
    }

    /// When something arrived next, from `now` on.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.get(self.0.partition_point(|at| *at < now)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(clock: &str) -> Timestamp {
        format!("2026-11-23T{clock}:00Z").parse().unwrap()
    }

    #[test]
    fn it_is_quiet_once_nothing_came_for_longer_than_that_and_not_before() {
        let hour = SignedDuration::from_hours(1);
        let mut arrivals = Arrivals::default();
        assert!(arrivals.is_quiet(at("10:00"), hour));
        arrivals.note(at("10:00"));
        arrivals.note(at("10:04"));
        assert!(!arrivals.is_quiet(at("11:00"), hour));
        assert!(arrivals.is_quiet(at("11:01"), hour));
        arrivals.note(at("12:30"));
        assert!(arrivals.is_quiet(at("12:30"), hour), "what arrives now was not there before");
        assert!(!arrivals.is_quiet(at("12:31"), hour));
        assert_eq!((arrivals.next(at("11:01")), arrivals.next(at("12:31"))), (Some(at("12:30")), None));
    }
}
