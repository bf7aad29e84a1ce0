//! One endpoint, pushed to again where that helps.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smartclean_push::domain::auth::Client as Credentials;
use smartclean_push::simulate::Answer;

use super::stop::Stop;

/// How long one exchange may take: a cold function answers within a few seconds, and API Gateway gives up after 30.
const WITHIN: Duration = Duration::from_secs(35);
/// How often a push is tried.
const ATTEMPTS: u32 = 6;
/// The first wait between two attempts where the answer names none; each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait that an answer can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Most bytes that an answer may have; ours have a few hundred.
const LARGEST_ANSWER: u64 = 64 * 1024;

/// An endpoint with connections that are kept.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: String,
    authorization: String,
    agent: ureq::Agent,
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

/// One attempt.
enum Attempt {
    Answered { status: u16, retry_after: Option<Duration>, body: String },
    Unanswered(String),
}

impl Endpoint {
    pub(super) fn new(url: &str, credentials: &Credentials, connections: usize) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(WITHIN))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections_per_host(connections)
            .build();
        let pair = format!("{}:{}", credentials.username, credentials.password.expose());
        let authorization = format!("Basic {}", STANDARD.encode(pair));
        Self { url: url.to_owned(), authorization, agent: agent.into(), has_answered: AtomicBool::new(false) }
    }

    /// Pushes a body: again where the endpoint is busy or not there for a moment, in vain at most a few times.
    pub(super) fn push(&self, body: &[u8], stop: &Stop) -> Came {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let is_last = attempt == ATTEMPTS || stop.is_asked();
            match self.attempt(body) {
                Attempt::Answered { status, retry_after, .. } if is_worth_a_retry(status) && !is_last => {
                    stop.sleep(retry_after.map_or(wait, |wait| wait.min(LONGEST_WAIT)));
                }
                Attempt::Answered { status, body, .. } => return self.answered(status, &body, attempt),
                Attempt::Unanswered(why) if is_last || !self.has_answered.load(Ordering::Relaxed) => {
                    let end = format!(
                        "{} does not answer: {why}. Is the address right, with http:// or https:// in front and /push at \
                         the end, and does the endpoint run?",
                        self.url
                    );
                    return Came { status: None, answer: None, end: Some(end) };
                }
                Attempt::Unanswered(_) => stop.sleep(wait),
            }
            wait *= 2;
        }
        Came { status: None, answer: None, end: None }
    }

    fn attempt(&self, body: &[u8]) -> Attempt {
        let sent = self
            .agent
            .post(&self.url)
            .header("Authorization", &self.authorization)
            .header("Content-Type", "application/json")
            .send(body);
        let answer = match sent {
            Ok(answer) => answer,
            Err(fault) => return Attempt::Unanswered(fault.to_string()),
        };
        self.has_answered.store(true, Ordering::Relaxed);
        let status = answer.status().as_u16();
        let seconds = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut text = String::new();
        // To its end, so that the connection can be used again.
        match answer.into_body().into_reader().take(LARGEST_ANSWER).read_to_string(&mut text) {
            Ok(_) => Attempt::Answered { status, retry_after: seconds.map(Duration::from_secs), body: text },
            Err(fault) => Attempt::Unanswered(format!("the answer broke off: {fault}")),
        }
    }

    fn answered(&self, status: u16, body: &str, attempts: u32) -> Came {
        let answer = if status == 200 { serde_json::from_str(body).ok() } else { None };
        let end = match status {
            200..=299 | 400 | 413 => None,
            401 | 403 => Some(format!(
                "the endpoint does not know these credentials ({status}). Compare PUSH_USERNAME and PUSH_PASSWORD with its \
                 credentials file or secret"
            )),
            404 | 405 => Some(format!(
                "there is no push endpoint at {} ({status}). The URL ends in /push, as it is given to SmartClean",
                self.url
            )),
            status if is_worth_a_retry(status) => {
                Some(format!("the endpoint answered {status}, also at attempt {attempts}. Its log says why"))
            }
            status => Some(format!("the endpoint answered {status}, which no push endpoint of this program does")),
        };
        Came { status: Some(status), answer, end }
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
