//! When pushes arrived from any device. While none arrives, no no-data alert is raised.

use jiff::{SignedDuration, Timestamp};

/// The shortest time between two recorded arrivals: the same as live.
const RECORDED_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// The recorded arrivals, in order.
#[derive(Debug, Default)]
pub(super) struct Arrivals(Vec<Timestamp>);

impl Arrivals {
    /// Records an arrival, unless one shortly before or after it is recorded.
    pub(super) fn record(&mut self, at: Timestamp) {
        if self.0.last().is_none_or(|last| at.duration_since(*last) >= RECORDED_EVERY) {
            self.0.push(at);
        }
    }

    /// Whether nothing arrived for longer than `quiet_after` before `now`.
    pub(super) fn is_quiet(&self, now: Timestamp, quiet_after: SignedDuration) -> bool {
        let last = self.0[..self.0.partition_point(|at| *at < now)].last();
        last.is_none_or(|last| now.duration_since(*last) > quiet_after)
    }

    /// The next arrival from `now` on.
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
    fn it_is_quiet_when_nothing_arrived_for_longer_than_quiet_after() {
        let hour = SignedDuration::from_hours(1);
        let mut arrivals = Arrivals::default();
        assert!(arrivals.is_quiet(at("10:00"), hour));
        arrivals.record(at("10:00"));
        arrivals.record(at("10:04"));
        assert!(!arrivals.is_quiet(at("11:00"), hour));
        assert!(arrivals.is_quiet(at("11:01"), hour));
        arrivals.record(at("12:30"));
        assert!(arrivals.is_quiet(at("12:30"), hour), "an arrival of now is not before now");
        assert!(!arrivals.is_quiet(at("12:31"), hour));
        assert_eq!((arrivals.next(at("11:01")), arrivals.next(at("12:31"))), (Some(at("12:30")), None));
    }
}
