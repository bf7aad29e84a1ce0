//! Credentials cached in memory and refreshed, from a secret or a file.

use std::cmp::Reverse;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::auth::{Credentials, CredentialsError, Secret, parse_signing_key};
use crate::ingest::ports::{CredentialSource, UnavailableError, chain};

/// Least time between two reads once credentials are known. An unknown client causes a read, so this limits what guessing costs.
const MIN_INTERVAL: SignedDuration = SignedDuration::from_secs(10);
/// Age at which known clients cause a read, so that a revoked password stops working.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);
/// Pause before a failed first read is retried, once per push: without credentials every push is refused.
pub(crate) const FIRST_READ_RETRY: Duration = Duration::from_secs(1);
/// How long replaced credentials stay valid after a rotation, so that clients can follow.
const ROTATION_GRACE: SignedDuration = SignedDuration::from_hours(24);

/// The credentials as stored, with the versions that a rotation replaced.
#[derive(Debug)]
pub struct StoredCredentials {
    /// Changes whenever one of the texts does.
    pub version: String,
    /// The credentials' JSON.
    pub credentials: SecretVersions,
    /// The signing key, if it is stored apart from the JSON.
    pub signing_key: Option<SecretVersions>,
}

/// A secret text, and the one before it.
#[derive(Debug)]
pub struct SecretVersions {
    /// The current text.
    pub current: Secret,
    /// The previous text, and when it was replaced.
    pub previous: Option<(Secret, Timestamp)>,
}

impl StoredCredentials {
    /// The credentials' JSON alone.
    #[must_use]
    pub fn new(version: String, text: Secret) -> Self {
        Self { version, credentials: SecretVersions { current: text, previous: None }, signing_key: None }
    }
}

/// Reads the stored credentials.
pub trait CredentialReader: Send + Sync {
    /// Reads them once.
    ///
    /// # Errors
    /// [`UnavailableError`] if they cannot be read now; a retry can help.
    fn read(&self) -> impl Future<Output = Result<StoredCredentials, UnavailableError>> + Send;
}

/// Credentials from `R` as last read and accepted.
///
/// They are read at first use, again when they are five minutes old, and again when an unknown client comes, but at most
/// every ten seconds. If a later read fails, the last accepted ones stay in force. Credentials that a rotation replaced stay
/// valid for 24 hours.
#[derive(Debug)]
pub struct CachedCredentials<R> {
    reader: R,
    accepted: ArcSwap<AcceptedCredentials>,
    /// Locked during a read, so that all callers that need it share it.
    refresh: Mutex<CredentialsRefresh>,
}

#[derive(Debug, Default)]
struct CredentialsRefresh {
    /// When the last read began.
    last_read: Option<Timestamp>,
    /// When the last read began that returned accepted credentials.
    confirmed: Option<Timestamp>,
    /// The version that was read last.
    version: Option<String>,
    /// Whether that version was accepted: the error of a refused one is logged once.
    is_accepted: bool,
}

/// Credentials and when they expire. The current ones alone never do. Each further entry has one more version that a rotation
/// replaced, and expires before the entry in front of it. Empty until the first read.
#[derive(Debug, Default)]
struct AcceptedCredentials(Vec<(Timestamp, Arc<Credentials>)>);

impl AcceptedCredentials {
    fn parse(stored: &StoredCredentials) -> Result<Self, CredentialsError> {
        let StoredCredentials { credentials, signing_key, .. } = stored;
        let key = signing_key.as_ref().map(|key| parse_signing_key(&key.current));
        let mut all = Credentials::parse(credentials.current.expose())?.with_signing_keys(key)?;
        let previous = credentials.previous.iter();
        let previous = previous.map(|(text, replaced)| (replaced, Credentials::parse(text.expose())));
        let keys = signing_key.iter().flat_map(|key| &key.previous);
        let previous_keys = keys
            .map(|(text, replaced)| (replaced, Credentials::default().with_signing_keys([parse_signing_key(text)])));
        let mut previous: Vec<_> = previous.chain(previous_keys).collect();
        previous.sort_by_key(|(replaced, _)| Reverse(*replaced));
        let mut accepted = vec![(Timestamp::MAX, Arc::new(all.clone()))];
        for (replaced, previous) in previous {
            // An invalid previous version is no reason to refuse the current one.
            let Ok(previous) = previous else { continue };
            all = all.with_previous(&previous);
            accepted.push((*replaced + ROTATION_GRACE, Arc::new(all.clone())));
        }
        Ok(Self(accepted))
    }

    /// All credentials that are valid at `now`; `None` if none were read yet.
    fn valid_at(&self, now: Timestamp) -> Option<Arc<Credentials>> {
        self.0.iter().rev().find(|(expires, _)| now < *expires).map(|(_, credentials)| Arc::clone(credentials))
    }
}

impl<R: CredentialReader> CachedCredentials<R> {
    /// Creates the cache without reading the credentials.
    pub fn new(reader: R) -> Self {
        Self { reader, accepted: ArcSwap::default(), refresh: Mutex::default() }
    }

    fn valid_at(&self, now: Timestamp) -> Option<Arc<Credentials>> {
        self.accepted.load().valid_at(now)
    }

    /// Reads the credentials now. What is wrong is logged.
    async fn read(&self, refresh: &mut CredentialsRefresh, now: Timestamp) {
        refresh.last_read = Some(now);
        let stored = self.reader.read().await.inspect_err(|error| {
            tracing::warn!(error = chain(error), "credentials not read; the last ones stay in force, if any");
        });
        let Ok(stored) = stored else { return };
        if refresh.version.as_ref() != Some(&stored.version) {
            let (accepted, version) = (AcceptedCredentials::parse(&stored), stored.version);
            refresh.is_accepted = accepted.is_ok();
            match accepted {
                Ok(accepted) => {
                    tracing::info!(version, previous = accepted.0.len() - 1, "credentials read");
                    self.accepted.store(Arc::new(accepted));
                }
                Err(error) => {
                    tracing::error!(version, %error, "new credentials refused; the last ones stay in force, if any");
                }
            }
            refresh.version = Some(version);
        }
        if refresh.is_accepted {
            refresh.confirmed = Some(now);
        }
    }

    /// Reads the credentials if none were accepted before this call.
    async fn first_read(&self, now: Timestamp) {
        match self.refresh.try_lock() {
            Ok(mut refresh) if self.valid_at(now).is_none() => {
                // The function reads them when it starts, before a push. If that failed, a push is worth a second attempt.
                if let Some(last) = refresh.last_read {
                    let elapsed = now.duration_since(last).unsigned_abs();
                    tokio::time::sleep(FIRST_READ_RETRY.saturating_sub(elapsed)).await;
                }
                self.read(&mut refresh, now).await;
            }
            Ok(_) => {}
            Err(_) => drop(self.refresh.lock().await),
        }
    }
}

#[async_trait]
impl<R: CredentialReader> CredentialSource for CachedCredentials<R> {
    async fn current(&self, now: Timestamp) -> Result<Arc<Credentials>, UnavailableError> {
        if self.valid_at(now).is_none() {
            // The futures of the reads have 20 KB. Without a box, each push would move that for nothing.
            Box::pin(self.first_read(now)).await;
        // A caller that finds a read in progress does not wait for it: the last credentials are good enough.
        } else if let Ok(mut refresh) = self.refresh.try_lock()
            && has_elapsed(MAX_AGE, refresh.confirmed, now)
            && has_elapsed(MIN_INTERVAL, refresh.last_read, now)
        {
            Box::pin(self.read(&mut refresh, now)).await;
        }
        let unknown = || UnavailableError::new("the credentials are not known", "they could not be read yet");
        self.valid_at(now).ok_or_else(unknown)
    }

    async fn newer_than(&self, known: &Arc<Credentials>, now: Timestamp) -> Option<Arc<Credentials>> {
        let mut refresh = self.refresh.lock().await;
        if has_elapsed(MIN_INTERVAL, refresh.last_read, now) {
            self.read(&mut refresh, now).await;
        }
        self.valid_at(now).filter(|newest| !Arc::ptr_eq(newest, known))
    }
}

/// Whether `interval` has elapsed since `since`; true if there is no such time. A clock that was set back by more than the
/// interval delays nothing.
pub(super) fn has_elapsed(interval: SignedDuration, since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_none_or(|since| now.duration_since(since).abs() >= interval)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::adapters::fixtures::LogLines;

    /// A reader whose text a test sets, and which counts its reads.
    #[derive(Default)]
    struct FakeCredentialReader {
        stored: StdMutex<Option<(String, String)>>,
        previous: StdMutex<Option<(String, Timestamp)>>,
        reads: AtomicUsize,
    }

    impl CredentialReader for &FakeCredentialReader {
        async fn read(&self) -> Result<StoredCredentials, UnavailableError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            // Lets every other task run meanwhile.
            tokio::task::yield_now().await;
            match self.stored.lock().unwrap().clone() {
                Some((version, text)) => {
                    let mut stored = StoredCredentials::new(version, Secret::new(text));
                    if let Some((text, replaced)) = self.previous.lock().unwrap().clone() {
                        stored.credentials.previous = Some((Secret::new(text), replaced));
                    }
                    Ok(stored)
                }
                None => Err(UnavailableError::new("the secret did not answer", "no route")),
            }
        }
    }

    impl FakeCredentialReader {
        fn set(&self, version: &str, password: &str) {
            let text = format!(r#"{{"username":"u","password":"{password}"}}"#);
            *self.stored.lock().unwrap() = Some((version.into(), text));
        }

        fn fail_reads(&self) {
            *self.stored.lock().unwrap() = None;
        }

        fn reads(&self) -> usize {
            self.reads.load(Ordering::Relaxed)
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn password(credentials: &Credentials) -> &str {
        credentials.clients()[0].password.expose()
    }

    async fn current(cached: &CachedCredentials<&FakeCredentialReader>, second: i64) -> Option<String> {
        cached.current(at(second)).await.ok().map(|credentials| password(&credentials).to_owned())
    }

    /// The password after an unknown client came, if it is not the one that was known before.
    async fn refreshed(cached: &CachedCredentials<&FakeCredentialReader>, second: i64) -> Option<String> {
        let known = cached.valid_at(at(second))?;
        cached.newer_than(&known, at(second)).await.map(|credentials| password(&credentials).to_owned())
    }

    #[tokio::test]
    async fn known_clients_cost_one_read_in_five_minutes() {
        let reader = FakeCredentialReader::default();
        reader.set("1", "old");
        let cached = CachedCredentials::new(&reader);
        for second in [0, 1, 299] {
            assert_eq!(current(&cached, second).await.as_deref(), Some("old"));
        }
        assert_eq!(reader.reads(), 1);
        reader.set("2", "new");
        assert_eq!(current(&cached, 300).await.as_deref(), Some("new"));
        assert_eq!(current(&cached, 599).await.as_deref(), Some("new"));
        assert_eq!(reader.reads(), 2);
    }

    #[tokio::test]
    async fn an_unknown_client_after_a_rotation_gets_the_new_credentials_and_one_too_early_does_not() {
        let reader = FakeCredentialReader::default();
        reader.set("1", "old");
        let cached = CachedCredentials::new(&reader);
        current(&cached, 0).await;
        reader.set("2", "new");
        assert_eq!(refreshed(&cached, 9).await, None);
        assert_eq!(reader.reads(), 1);
        assert_eq!(refreshed(&cached, 10).await.as_deref(), Some("new"));
        assert_eq!(current(&cached, 10).await.as_deref(), Some("new"));
    }

    #[tokio::test]
    async fn unknown_clients_without_a_rotation_cost_one_read_in_ten_seconds() {
        let reader = FakeCredentialReader::default();
        reader.set("1", "old");
        let cached = CachedCredentials::new(&reader);
        current(&cached, 0).await;
        for second in 10..30 {
            assert_eq!(refreshed(&cached, second).await, None);
        }
        assert_eq!(reader.reads(), 3);
    }

    #[tokio::test]
    async fn simultaneous_unknown_clients_share_one_read_and_its_result() {
        let reader = FakeCredentialReader::default();
        reader.set("1", "old");
        let cached = CachedCredentials::new(&reader);
        current(&cached, 0).await;
        reader.set("2", "new");
        let (a, b, c) = tokio::join!(refreshed(&cached, 20), refreshed(&cached, 20), refreshed(&cached, 21));
        for outcome in [a, b, c] {
            assert_eq!(outcome.as_deref(), Some("new"));
        }
        assert_eq!(reader.reads(), 2);
    }

    #[tokio::test]
    async fn first_callers_share_one_read() {
        let reader = FakeCredentialReader::default();
        reader.set("1", "old");
        let cached = CachedCredentials::new(&reader);
        let (a, b) = tokio::join!(current(&cached, 0), current(&cached, 0));
        assert_eq!((a.as_deref(), b.as_deref()), (Some("old"), Some("old")));
        assert_eq!(reader.reads(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_first_read_is_retried_after_a_second_by_the_next_caller() {
        let reader = FakeCredentialReader::default();
        let cached = CachedCredentials::new(&reader);
        let (a, b) = tokio::join!(current(&cached, 0), current(&cached, 0));
        assert_eq!((a, b), (None, None));
        assert_eq!(reader.reads(), 1);
        let started = tokio::time::Instant::now();
        assert_eq!(current(&cached, 0).await, None);
        assert_eq!((reader.reads(), started.elapsed()), (2, FIRST_READ_RETRY));
        reader.set("1", "old");
        assert_eq!(current(&cached, 0).await.as_deref(), Some("old"));
        assert_eq!((reader.reads(), started.elapsed()), (3, 2 * FIRST_READ_RETRY));
        assert_eq!(current(&cached, 0).await.as_deref(), Some("old"));
        assert_eq!(started.elapsed(), 2 * FIRST_READ_RETRY, "no caller waits once they are read");
    }

    #[tokio::test]
    async fn a_later_failure_leaves_the_last_credentials_in_force() {
        let reader = FakeCredentialReader::default();
        reader.set("1", "old");
        let cached = CachedCredentials::new(&reader);
        current(&cached, 0).await;
        reader.fail_reads();
        assert_eq!(refreshed(&cached, 10).await, None);
        for second in [301, 302, 303] {
            assert_eq!(current(&cached, second).await.as_deref(), Some("old"));
        }
        assert_eq!(reader.reads(), 3, "a failing read is not repeated by every push");
    }

    #[tokio::test]
    async fn an_invalid_version_is_logged_once_and_leaves_the_last_credentials_in_force() {
        let reader = FakeCredentialReader::default();
        reader.set("1", "old");
        let cached = CachedCredentials::new(&reader);
        current(&cached, 0).await;
        *reader.stored.lock().unwrap() = Some(("2".into(), r#"{"username":"hunter2"}"#.into()));
        let log = LogLines::capture();
        for second in [10, 20, 30] {
            assert_eq!(refreshed(&cached, second).await, None);
            assert_eq!(current(&cached, second).await.as_deref(), Some("old"));
        }
        assert_eq!(log.containing("refused").len(), 1, "{log:?}");
        assert!(log.containing("hunter2").is_empty(), "{log:?}");
        reader.set("3", "new");
        assert_eq!(refreshed(&cached, 40).await.as_deref(), Some("new"));
    }

    fn passwords(credentials: &Credentials) -> Vec<&str> {
        credentials.clients().iter().map(|client| client.password.expose()).collect()
    }

    #[tokio::test]
    async fn replaced_credentials_are_valid_for_exactly_a_day() {
        let reader = FakeCredentialReader::default();
        reader.set("2", "new");
        *reader.previous.lock().unwrap() = Some((r#"{"username":"u","password":"old"}"#.into(), at(0)));
        let cached = CachedCredentials::new(&reader);
        assert_eq!(passwords(&cached.current(at(60)).await.unwrap()), ["new", "old"]);
        assert_eq!(passwords(&cached.current(at(86_399)).await.unwrap()), ["new", "old"]);
        let reads = reader.reads();
        assert_eq!(passwords(&cached.current(at(86_400)).await.unwrap()), ["new"]);
        assert_eq!(reader.reads(), reads, "they expire without a read");
        // Also in a process that starts later.
        assert_eq!(passwords(&CachedCredentials::new(&reader).current(at(90_000)).await.unwrap()), ["new"]);
    }

    #[tokio::test]
    async fn credentials_are_merged_once_per_change_and_not_with_each_push() {
        let reader = FakeCredentialReader::default();
        reader.set("2", "new");
        *reader.previous.lock().unwrap() = Some((r#"{"username":"u","password":"old"}"#.into(), at(0)));
        let cached = CachedCredentials::new(&reader);
        let (first, second) = (cached.current(at(60)).await.unwrap(), cached.current(at(61)).await.unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        assert!(cached.newer_than(&first, at(70)).await.is_none(), "nothing has changed");
        assert!(cached.newer_than(&first, at(86_400)).await.is_some(), "the replaced ones have expired");
    }

    #[tokio::test]
    async fn invalid_replaced_credentials_are_skipped() {
        let reader = FakeCredentialReader::default();
        reader.set("2", "new");
        *reader.previous.lock().unwrap() = Some(("not JSON".into(), at(0)));
        let cached = CachedCredentials::new(&reader);
        assert_eq!(passwords(&cached.current(at(60)).await.unwrap()), ["new"]);
    }

    #[test]
    fn a_signing_key_of_its_own_secret_follows_the_same_rule() {
        let (new, old) = ("n".repeat(32), "o".repeat(32));
        let stored = |current: &str, previous: &str| StoredCredentials {
            signing_key: Some(SecretVersions {
                current: Secret::new(current.to_owned()),
                previous: Some((Secret::new(previous.to_owned()), at(0))),
            }),
            ..StoredCredentials::new("1".into(), Secret::new(r#"{"username":"u","password":"p"}"#.into()))
        };
        let keys = |second| {
            let credentials = AcceptedCredentials::parse(&stored(&new, &old)).unwrap().valid_at(at(second)).unwrap();
            credentials.signing_keys().iter().map(|key| key.expose().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(keys(86_399), [new.clone(), old.clone()]);
        assert_eq!(keys(86_400), vec![new.clone()]);
        let refused = AcceptedCredentials::parse(&stored("short", &old)).unwrap_err();
        assert!(refused.to_string().starts_with("the credentials' signing_key has 5 bytes"), "{refused}");
        assert_eq!(AcceptedCredentials::parse(&stored(&new, "short")).unwrap().0.len(), 1);
    }

    #[tokio::test]
    async fn ten_thousand_guesses_in_a_minute_cost_six_reads() {
        let reader = FakeCredentialReader::default();
        reader.set("1", "old");
        let cached = CachedCredentials::new(&reader);
        current(&cached, 0).await;
        for guess in 0..10_000 {
            assert_eq!(refreshed(&cached, guess * 60 / 10_000).await, None);
        }
        assert_eq!(reader.reads(), 6, "at the start, and at 10, 20, 30, 40 and 50 seconds");
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_delays_nothing() {
        let reader = FakeCredentialReader::default();
        reader.set("1", "old");
        let cached = CachedCredentials::new(&reader);
        current(&cached, 10_000).await;
        reader.set("2", "new");
        assert_eq!(current(&cached, 0).await.as_deref(), Some("new"));
    }
}
