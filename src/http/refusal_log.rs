//! Log lines of refusals above the limit of a network: one a second for each reason, with a count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::ingest::RequestInfo;

/// How often refusals of one reason are logged.
const LOGGED_EVERY: SignedDuration = SignedDuration::from_secs(1);

/// Refusals that are not logged yet, by their reason, of which there are a few.
#[derive(Debug, Default)]
pub(super) struct RefusalLog(Mutex<HashMap<String, Unlogged>>);

#[derive(Debug, Default)]
struct Unlogged {
    logged: Timestamp,
    count: u64,
    last: Option<RequestInfo>,
}

/// Refusals that are due in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RefusalLine {
    /// Why they were refused.
    pub(super) reason: String,
    /// How many they are.
    pub(super) count: u64,
    /// The last of the requests.
    pub(super) last: RequestInfo,
}

impl RefusalLog {
    /// Counts a refused request.
    pub(super) fn count(&self, reason: &str, request: &RequestInfo) {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !reasons.contains_key(reason) {
            reasons.insert(reason.to_owned(), Unlogged::default());
        }
        if let Some(unlogged) = reasons.get_mut(reason) {
            unlogged.count += 1;
            unlogged.last = Some(request.clone());
        }
    }

    /// Takes out what is to be logged at `now`.
    pub(super) fn due(&self, now: Timestamp) -> Vec<RefusalLine> {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = reasons.iter_mut().filter(|(_, unlogged)| now.duration_since(unlogged.logged).abs() >= LOGGED_EVERY);
        let lines = due.filter_map(|(reason, Unlogged { logged, count, last })| {
            let line = RefusalLine { reason: reason.clone(), last: last.take()?, count: std::mem::take(count) };
            *logged = now;
            Some(line)
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn request(id: &str) -> RequestInfo {
        let (request_id, source) = (id.to_owned(), "192.0.2.1".to_owned());
        RequestInfo { request_id, source, received: at(0), verified_client: None }
    }

    /// What is logged after a refusal.
    fn refused(log: &RefusalLog, reason: &str, id: &str, second: i64) -> Vec<(String, u64, String)> {
        log.count(reason, &request(id));
        logged(log, second)
    }

    fn logged(log: &RefusalLog, second: i64) -> Vec<(String, u64, String)> {
        let mut lines: Vec<_> =
            log.due(at(second)).into_iter().map(|it| (it.reason, it.count, it.last.request_id)).collect();
        lines.sort();
        lines
    }

    fn line(reason: &str, count: u64, id: &str) -> (String, u64, String) {
        (reason.to_owned(), count, id.to_owned())
    }

    #[test]
    fn a_line_a_second_has_the_count_and_the_last_request() {
        let log = RefusalLog::default();
        assert_eq!(refused(&log, "wrong", "1", 0), [line("wrong", 1, "1")]);
        assert_eq!(refused(&log, "wrong", "2", 0), []);
        assert_eq!(refused(&log, "wrong", "3", 0), []);
        assert_eq!(refused(&log, "wrong", "4", 1), [line("wrong", 3, "4")]);
        assert_eq!(logged(&log, 2), []);
    }

    #[test]
    fn the_rest_of_a_flood_is_logged_without_another_refusal() {
        let log = RefusalLog::default();
        for id in ["1", "2", "3"] {
            refused(&log, "wrong", id, 0);
        }
        assert_eq!(logged(&log, 0), [], "not yet");
        assert_eq!(logged(&log, 1), [line("wrong", 2, "3")]);
        assert_eq!(refused(&log, "wrong", "4", 9), [line("wrong", 1, "4")], "the next flood begins with its own");
    }

    #[test]
    fn reasons_are_counted_apart() {
        let log = RefusalLog::default();
        assert_eq!(refused(&log, "wrong", "1", 0), [line("wrong", 1, "1")]);
        assert_eq!(refused(&log, "none", "2", 0), [line("none", 1, "2")]);
        refused(&log, "wrong", "3", 0);
        refused(&log, "none", "4", 0);
        refused(&log, "none", "5", 0);
        assert_eq!(logged(&log, 1), [line("none", 2, "5"), line("wrong", 1, "3")]);
    }
}
