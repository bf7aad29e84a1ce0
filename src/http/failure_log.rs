//! Log lines of authentication failures above the limit of a network: one a second for each reason, with a count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::ingest::RequestInfo;

/// Interval of the log lines of one reason.
const INTERVAL: SignedDuration = SignedDuration::from_secs(1);

/// Failures that are not logged yet, by reason. There are only a few reasons.
#[derive(Debug, Default)]
pub(super) struct FailureLog(Mutex<HashMap<String, FailureCount>>);

#[derive(Debug, Default)]
struct FailureCount {
    logged: Timestamp,
    count: u64,
    last: Option<RequestInfo>,
}

impl FailureLog {
    /// Counts a rejected request.
    pub(super) fn count(&self, reason: &str, request: &RequestInfo) {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = reasons.entry(reason.to_owned()).or_default();
        failures.count += 1;
        failures.last = Some(request.clone());
    }

    /// Removes and returns what is due at `now`: reasons with their number of requests and the last of them.
    pub(super) fn due(&self, now: Timestamp) -> Vec<(String, u64, RequestInfo)> {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = reasons.iter_mut().filter(|(_, failures)| now.duration_since(failures.logged).abs() >= INTERVAL);
        let lines = due.filter_map(|(reason, FailureCount { logged, count, last })| {
            let last = last.take()?;
            *logged = now;
            Some((reason.clone(), std::mem::take(count), last))
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
        RequestInfo { request_id, source, received: at(0), verified_client: None, url: None }
    }

    /// Counts a failure and returns the due lines.
    fn counted(log: &FailureLog, reason: &str, id: &str, second: i64) -> Vec<(String, u64, String)> {
        log.count(reason, &request(id));
        logged(log, second)
    }

    fn logged(log: &FailureLog, second: i64) -> Vec<(String, u64, String)> {
        let mut lines: Vec<_> =
            log.due(at(second)).into_iter().map(|(reason, count, last)| (reason, count, last.request_id)).collect();
        lines.sort();
        lines
    }

    fn line(reason: &str, count: u64, id: &str) -> (String, u64, String) {
        (reason.to_owned(), count, id.to_owned())
    }

    #[test]
    fn one_line_a_second_has_the_count_and_the_last_request() {
        let log = FailureLog::default();
        assert_eq!(counted(&log, "wrong", "1", 0), [line("wrong", 1, "1")]);
        assert_eq!(counted(&log, "wrong", "2", 0), []);
        assert_eq!(counted(&log, "wrong", "3", 0), []);
        assert_eq!(counted(&log, "wrong", "4", 1), [line("wrong", 3, "4")]);
        assert_eq!(logged(&log, 2), []);
    }

    #[test]
    fn the_rest_of_a_flood_is_logged_without_another_failure() {
        let log = FailureLog::default();
        for id in ["1", "2", "3"] {
            counted(&log, "wrong", id, 0);
        }
        assert_eq!(logged(&log, 0), [], "not yet");
        assert_eq!(logged(&log, 1), [line("wrong", 2, "3")]);
        assert_eq!(counted(&log, "wrong", "4", 9), [line("wrong", 1, "4")], "the next flood has its own count");
    }

    #[test]
    fn reasons_are_counted_separately() {
        let log = FailureLog::default();
        assert_eq!(counted(&log, "wrong", "1", 0), [line("wrong", 1, "1")]);
        assert_eq!(counted(&log, "none", "2", 0), [line("none", 1, "2")]);
        counted(&log, "wrong", "3", 0);
        counted(&log, "none", "4", 0);
        counted(&log, "none", "5", 0);
        assert_eq!(logged(&log, 1), [line("none", 2, "5"), line("wrong", 1, "3")]);
    }
}
