//! Where pushes go: to an endpoint, or into a folder.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use analysis::simulate::{LedgerEntry, Push};
use jiff::Timestamp;
use smartclean_push::adapters::local::NewDataFolder;

use crate::endpoint::{Answered, Endpoint};
use crate::stop::Stop;
use crate::{Failure, environment};

/// How often a push is tried.
const ATTEMPTS: u32 = 6;
/// The first wait between two attempts if the answer names none; each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait that an answer can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Where pushes go.
#[derive(Debug)]
pub(super) enum Target {
    /// Over HTTP. An endpoint that has never answered is not tried again: its address is more likely wrong than it is busy.
    Endpoint { endpoint: Endpoint, has_answered: AtomicBool },
    /// Into a folder, as a receiver would have stored them.
    Folder(NewDataFolder),
}

impl Target {
    /// The endpoint at `url`, with as many connections.
    pub(super) fn endpoint(url: &str, connections: usize) -> Result<Self, Failure> {
        let credentials = environment::client()?.ok_or_else(|| {
            Failure::new("set PUSH_USERNAME and PUSH_PASSWORD to the credentials that the endpoint was given")
        })?;
        let endpoint = Endpoint::new(url, &credentials, connections);
        Ok(Self::Endpoint { endpoint, has_answered: AtomicBool::new(false) })
    }

    /// A folder that is new or empty.
    pub(super) fn folder(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        NewDataFolder::create(path).map(Self::Folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::usage(format!("{shown} already holds readings: {error}. Name a folder that is new or empty"))
            }
            _ => Failure::new(format!("{shown} cannot be made: {error}")),
        })
    }

    /// Delivers a push, and records the answer.
    ///
    /// Fails if nothing further should be sent.
    pub(super) fn deliver(&self, push: &Push, entry: &mut LedgerEntry, stop: &Stop) -> Result<(), Failure> {
        let reason = match self {
            Self::Folder(folder) => {
                let stored = push.objects().iter().try_for_each(|object| folder.put(object));
                stored.map_err(|error| Failure::new(format!("an object cannot be stored: {error}")))?;
                let (status, answer) = entry.expected_answer();
                (entry.status, entry.answer) = (Some(status), answer);
                None
            }
            Self::Endpoint { endpoint, has_answered } => {
                entry.at = Timestamp::now();
                let Answered { status, body, .. } = send(endpoint, has_answered, &push.body, stop)
                    .map_err(|why| Failure::new(endpoint.silent(&why)))?;
                entry.status = Some(status);
                entry.answer = if status == 200 { serde_json::from_str(&body).ok() } else { None };
                endpoint.wrong(status).or_else(|| unexpected(status))
            }
        };
        reason.map_or(Ok(()), |reason| Err(Failure::new(reason)))
    }
}

/// Pushes a body: again if the endpoint is busy or gone for a moment, at most a few times. Returns the last answer, or why
/// there is none.
fn send(endpoint: &Endpoint, has_answered: &AtomicBool, body: &[u8], stop: &Stop) -> Result<Answered, String> {
    let mut wait = FIRST_WAIT;
    for _ in 1..ATTEMPTS {
        let answered = endpoint.push(body);
        has_answered.fetch_or(answered.is_ok(), Ordering::Relaxed);
        let asked = match &answered {
            Ok(Answered { status, retry_after, .. }) if is_worth_a_retry(*status) => *retry_after,
            Err(_) if has_answered.load(Ordering::Relaxed) => None,
            _ => return answered,
        };
        if stop.is_asked() {
            return answered;
        }
        stop.sleep(asked.map_or(wait, |asked| asked.min(LONGEST_WAIT)));
        wait *= 2;
    }
    endpoint.push(body)
}

/// Whether the same push may be taken later: the endpoint is busy, or something behind it is down.
fn is_worth_a_retry(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

/// What an answer means that is none of a push endpoint, or that stays after all attempts.
fn unexpected(status: u16) -> Option<String> {
    match status {
        200..=299 | 400 | 413 => None,
        _ if is_worth_a_retry(status) => {
            Some(format!("the endpoint answered {status}, also at attempt {ATTEMPTS}. Its log says why"))
        }
        _ => Some(format!("the endpoint answered {status}, which no push endpoint of this program does")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_endpoint_is_asked_again_and_one_that_refuses_is_not() {
        assert!([429, 500, 502, 503, 504].into_iter().all(is_worth_a_retry));
        assert!(![200, 400, 401, 403, 404, 413, 415].into_iter().any(is_worth_a_retry));
    }
}
