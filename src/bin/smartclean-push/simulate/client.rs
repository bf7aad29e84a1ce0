//! Pushing to an endpoint, again where that helps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use smartclean_push::domain::auth::Client as Credentials;
use smartclean_push::simulate::Answer;

use crate::endpoint::{Answered, Endpoint};
use crate::stop::Stop;

/// How often a push is tried.
const ATTEMPTS: u32 = 6;
/// The first wait between two attempts where the answer names none; each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait that an answer can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// An endpoint that is pushed to until it has answered for good.
#[derive(Debug)]
pub(super) struct Patient {
    endpoint: Endpoint,
    /// Whether it has ever answered: if not, the address is more likely wrong than the endpoint busy.
    has_answered: AtomicBool,
}

/// What came of a push.
#[derive(Debug)]
pub(super) struct Came {
    /// The status of the last answer.
    pub(super) status: Option<u16>,
    /// What it counts.
    pub(super) answer: Option<Answer>,
    /// Why nothing further should be sent, in words for the operator.
    pub(super) end: Option<String>,
}

impl Patient {
    pub(super) fn new(url: &str, credentials: &Credentials, connections: usize) -> Self {
        Self { endpoint: Endpoint::new(url, credentials, connections), has_answered: AtomicBool::new(false) }
    }

    /// Pushes a body: again where the endpoint is busy or not there for a moment, in vain at most a few times.
    pub(super) fn push(&self, body: &[u8], stop: &Stop) -> Came {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let is_last = attempt == ATTEMPTS || stop.is_asked();
            let answered = self.endpoint.push(body);
            self.has_answered.fetch_or(answered.is_ok(), Ordering::Relaxed);
            match answered {
                Ok(Answered { status, retry_after, .. }) if is_worth_a_retry(status) && !is_last => {
                    stop.sleep(retry_after.map_or(wait, |wait| wait.min(LONGEST_WAIT)));
                }
                Ok(Answered { status, body, .. }) => return self.answered(status, &body, attempt),
                Err(why) if is_last || !self.has_answered.load(Ordering::Relaxed) => {
                    return Came { status: None, answer: None, end: Some(self.endpoint.silent(&why)) };
                }
                Err(_) => stop.sleep(wait),
            }
            wait *= 2;
        }
        Came { status: None, answer: None, end: None }
    }

    fn answered(&self, status: u16, body: &str, attempts: u32) -> Came {
        let answer = if status == 200 { serde_json::from_str(body).ok() } else { None };
        let unexpected = || match status {
            200..=299 | 400 | 413 => None,
            status if is_worth_a_retry(status) => {
                Some(format!("the endpoint answered {status}, also at attempt {attempts}. Its log says why"))
            }
            status => Some(format!("the endpoint answered {status}, which no push endpoint of this program does")),
        };
        Came { status: Some(status), answer, end: self.endpoint.wrong(status).or_else(unexpected) }
    }
}

/// Whether the same push may be taken later: the endpoint is busy, or something behind it is down.
fn is_worth_a_retry(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_busy_is_asked_again_and_what_refuses_is_not() {
        assert!([429, 500, 502, 503, 504].into_iter().all(is_worth_a_retry));
        assert!(![200, 400, 401, 403, 404, 413, 415].into_iter().any(is_worth_a_retry));
    }
}
