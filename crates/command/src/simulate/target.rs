//! Delivers pushes to an endpoint, or into a folder.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use analysis::simulate::{LedgerEntry, SimulatedPush};
use jiff::Timestamp;
use smartclean_push::adapters::local::NewDataFolder;

use crate::endpoint::{Endpoint, PushResponse};
use crate::stop::Stop;
use crate::{Failure, OrFailure as _};

/// How often a push is tried.
const ATTEMPTS: u32 = 6;
/// The first backoff, if the response names none. Each is twice the one before.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// The longest backoff that a response can ask for.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// The destination of pushes.
#[derive(Debug)]
pub(super) enum Target {
    /// Pushes go over HTTP. An endpoint that has never answered is not retried: its address is more likely wrong.
    Endpoint { endpoint: Endpoint, has_answered: AtomicBool },
    /// Pushes go into a folder, as a receiver would store them.
    Folder(NewDataFolder),
}

impl Target {
    /// The endpoint at `url`, with at most so many connections.
    pub(super) fn endpoint(url: &str, connections: usize) -> Result<Self, Failure> {
        let endpoint = Endpoint::open(url, connections)?;
        Ok(Self::Endpoint { endpoint, has_answered: AtomicBool::new(false) })
    }

    /// A folder that is new or empty.
    pub(super) fn folder(path: &Path) -> Result<Self, Failure> {
        let path_shown = path.display();
        NewDataFolder::create(path).map(Self::Folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::usage(format!(
                "{path_shown} already holds readings: {error}. Name a folder that is new or empty"
            )),
            _ => Failure::new(format!("{path_shown} cannot be made: {error}")),
        })
    }

    /// Delivers a push, and records the response. Fails if no further push should be sent.
    pub(super) fn deliver(&self, push: &SimulatedPush, entry: &mut LedgerEntry, stop: &Stop) -> Result<(), Failure> {
        match self {
            Self::Folder(folder) => {
                let stored = push.objects().iter().try_for_each(|object| folder.put(object));
                stored.or_failure("an object cannot be stored")?;
                let (status, counts) = entry.expected_response();
                (entry.status, entry.counts) = (Some(status), counts);
                Ok(())
            }
            Self::Endpoint { endpoint, has_answered } => {
                entry.at = Timestamp::now();
                let response = push_with_retries(endpoint, has_answered, &push.body, stop);
                let PushResponse { status, body, .. } = response.map_err(|error| endpoint.unreachable(&error))?;
                entry.status = Some(status);
                entry.counts = if status == 200 { serde_json::from_str(&body).ok() } else { None };
                endpoint.rejection(status).or_else(|| unexpected(status)).map_or(Ok(()), Err)
            }
        }
    }
}

/// Pushes a body. Retries with backoff if the endpoint is busy or does not answer. Returns the last result.
fn push_with_retries(
    endpoint: &Endpoint,
    has_answered: &AtomicBool,
    body: &[u8],
    stop: &Stop,
) -> Result<PushResponse, ureq::Error> {
    let mut backoff = FIRST_BACKOFF;
    for _ in 1..ATTEMPTS {
        let result = endpoint.push(body);
        has_answered.fetch_or(result.is_ok(), Ordering::Relaxed);
        let retry_after = match &result {
            Ok(PushResponse { status, retry_after, .. }) if is_retryable(*status) => *retry_after,
            Err(_) if has_answered.load(Ordering::Relaxed) => None,
            _ => return result,
        };
        if stop.is_requested() {
            return result;
        }
        stop.sleep(retry_after.map_or(backoff, |wait| wait.min(LONGEST_BACKOFF)));
        backoff *= 2;
    }
    endpoint.push(body)
}

/// Whether a retry can help: the endpoint is busy, or something behind it is down.
fn is_retryable(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

/// The failure if no push endpoint answers with this status, or if it stays after all attempts.
fn unexpected(status: u16) -> Option<Failure> {
    match status {
        200..=299 | 400 | 413 => None,
        _ if is_retryable(status) => {
            Some(Failure::new(format!("the endpoint answered {status}, also at attempt {ATTEMPTS}. Its log says why")))
        }
        _ => Some(Failure::new(format!("the endpoint answered {status}, which no push endpoint of this program does"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_endpoint_is_retried_and_one_that_refuses_is_not() {
        assert!([429, 500, 502, 503, 504].into_iter().all(is_retryable));
        assert!(![200, 400, 401, 403, 404, 413, 415].into_iter().any(is_retryable));
    }
}
