//! Credentials kept in memory, and when they are read again: the part that is the same for a secret and for a file.

use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::auth::{Credentials, CredentialsError, Secret, signing_key_of};
use crate::ingest::ports::{CredentialSource, UnavailableError, chain};

/// A stranger makes the credentials be read again at most this often, so that guessing costs no more than one read.
const STRANGERS: SignedDuration = SignedDuration::from_secs(10);
/// Known clients make them be read again this often, so that a password that was taken away stops working.
const LIFETIME: SignedDuration = SignedDuration::from_mins(5);
/// Where they were never read, trying again is worth more than sparing the reader: every push is refused meanwhile. It is
/// waited for, once a push.
pub(crate) const FIRST_READ_AGAIN: Duration = Duration::from_secs(1);

/// How long credentials stay in force beside those that replaced them, so that whoever pushes can follow.
const FOLLOWED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// The credentials as they are kept, with those they replaced, and which version of all that this is.
#[derive(Debug)]
pub struct Document {
    /// Changes whenever one of the texts does.
    pub version: String,
    /// The credentials' JSON in force, and after it what it replaced.
    pub credentials: Vec<Kept>,
    /// The same of the signing key, where that is kept apart.
    pub signing_keys: Vec<Kept>,
}

/// One text.
#[derive(Debug)]
pub struct Kept {
    /// The text.
    pub text: Secret,
    /// When another one replaced it; `None` for the one in force.
    pub replaced: Option<Timestamp>,
}

impl Document {
    /// The credentials' JSON alone.
    #[must_use]
    pub fn new(version: String, text: Secret) -> Self {
        Self { version, credentials: vec![Kept { text, replaced: None }], signing_keys: Vec::new() }
    }
}

/// Reads the credentials' JSON from where it is kept.
pub trait CredentialReader: Send + Sync {
    /// Reads it once.
    ///
    /// # Errors
    /// [`UnavailableError`] where it cannot be read now; a retry can help.
    fn read(&self) -> impl Future<Output = Result<Document, UnavailableError>> + Send;
}

/// Credentials from `R`, as last read and accepted.
///
/// They are read at first use, again when they are five minutes old, and again when a stranger comes, but then at most
/// every ten seconds. Whatever goes wrong later, the last accepted ones stay. Those that were replaced are accepted beside
/// them for 24 hours.
#[derive(Debug)]
pub struct CachedCredentials<R> {
    reader: R,
    accepted: RwLock<Option<Accepted>>,
    /// Held while reading, so that everybody who needs that read shares it.
    reads: Mutex<Reads>,
}

#[derive(Clone, Debug)]
struct Accepted {
    /// All that are in force.
    credentials: Arc<Credentials>,
    /// When some of them end.
    ends: Option<Timestamp>,
    texts: Arc<Texts>,
    version: String,
    confirmed: Timestamp,
    /// When these replaced others; `None` for the first ones.
    replaced: Option<Timestamp>,
}

/// What was read, each with its end.
#[derive(Debug)]
struct Texts {
    current: Credentials,
    previous: Vec<(Credentials, Timestamp)>,
}

impl Texts {
    fn read(document: &Document) -> Result<Self, CredentialsError> {
        // What was replaced was accepted once, or never: no reason to refuse what is in force.
        let previous =
            |kept: &Kept| Some((Credentials::parse(kept.text.expose()).ok()?, kept.replaced? + FOLLOWED_WITHIN));
        let in_force = document.credentials.first().ok_or(CredentialsError::Empty)?;
        let keys = document.signing_keys.iter();
        let key = keys.clone().filter(|kept| kept.replaced.is_none()).map(|kept| signing_key_of(&kept.text));
        let current = Credentials::parse(in_force.text.expose())?.with_signing_keys(key)?;
        let previous = document.credentials.iter().skip(1).filter_map(previous);
        let previous_keys = keys.filter_map(|kept| {
            let ends = kept.replaced? + FOLLOWED_WITHIN;
            Some((Credentials::default().with_signing_keys([signing_key_of(&kept.text)]).ok()?, ends))
        });
        Ok(Self { current, previous: previous.chain(previous_keys).collect() })
    }

    /// All in force at `now`, and when some of them end.
    fn in_force(&self, now: Timestamp) -> (Credentials, Option<Timestamp>) {
        let previous = self.previous.iter().filter(|(_, ends)| now < *ends);
        let credentials = previous.clone().fold(self.current.clone(), |all, (previous, _)| all.beside(previous));
        (credentials, previous.map(|(_, ends)| *ends).min())
    }
}

impl Accepted {
    fn at(texts: Arc<Texts>, version: String, now: Timestamp, replaced: Option<Timestamp>) -> Self {
        let (credentials, ends) = texts.in_force(now);
        Self { credentials: Arc::new(credentials), ends, texts, version, confirmed: now, replaced }
    }
}

#[derive(Debug, Default)]
struct Reads {
    /// When the last one began.
    last: Option<Timestamp>,
    /// The version that was refused last, so that its fault is logged once.
    refused: Option<String>,
}

impl<R: CredentialReader> CachedCredentials<R> {
    /// Nothing is read yet.
    pub fn new(reader: R) -> Self {
        Self { reader, accepted: RwLock::new(None), reads: Mutex::new(Reads::default()) }
    }

    /// What is in force at `now` of what was accepted.
    fn in_force(&self, now: Timestamp) -> Option<Accepted> {
        let accepted = self.accepted()?;
        if accepted.ends.is_none_or(|ends| now < ends) {
            return Some(accepted);
        }
        let Accepted { texts, version, confirmed, replaced, .. } = accepted;
        let accepted = Accepted { confirmed, ..Accepted::at(texts, version, now, replaced) };
        self.accept(accepted.clone());
        Some(accepted)
    }

    fn accepted(&self) -> Option<Accepted> {
        self.accepted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn accept(&self, accepted: Accepted) {
        *self.accepted.write().unwrap_or_else(PoisonError::into_inner) = Some(accepted);
    }

    /// Reads the credentials now and says whether they are new.
    async fn read(&self, reads: &mut Reads, now: Timestamp) -> Result<bool, UnavailableError> {
        reads.last = Some(now);
        let document = self.reader.read().await.inspect_err(|fault| {
            tracing::warn!(fault = chain(fault), "the credentials could not be read; the last ones stay");
        })?;
        let before = self.accepted();
        if let Some(before) = before.as_ref().filter(|before| before.version == document.version) {
            self.accept(Accepted { confirmed: now, ..before.clone() });
            return Ok(false);
        }
        match Texts::read(&document) {
            Ok(texts) => {
                let previous = texts.previous.len();
                tracing::info!(version = document.version, previous, "credentials read");
                reads.refused = None;
                self.accept(Accepted::at(Arc::new(texts), document.version, now, before.map(|_| now)));
                Ok(true)
            }
            Err(fault) => {
                if reads.refused.as_ref() != Some(&document.version) {
                    tracing::error!(version = document.version, %fault, "new credentials are refused; the last ones stay");
                    reads.refused = Some(document.version);
                }
                Err(UnavailableError::new("the credentials cannot be used", fault))
            }
        }
    }
}

#[async_trait]
impl<R: CredentialReader> CredentialSource for CachedCredentials<R> {
    async fn current(&self, now: Timestamp) -> Result<Arc<Credentials>, UnavailableError> {
        if let Some(accepted) = self.in_force(now) {
            if has_passed(LIFETIME, Some(accepted.confirmed), now)
                // Whoever finds another reading does not wait for it: the last ones are good enough.
                && let Ok(mut reads) = self.reads.try_lock()
                && has_passed(STRANGERS, reads.last, now)
                && self.read(&mut reads, now).await.is_ok()
            {
                return Ok(self.accepted().unwrap_or(accepted).credentials);
            }
            return Ok(accepted.credentials);
        }
        let (mut reads, has_waited) = match self.reads.try_lock() {
            Ok(reads) => (reads, false),
            Err(_) => (self.reads.lock().await, true),
        };
        if self.accepted().is_none() && !has_waited {
            // The function starts for a push, and reads before it. A push is worth a second try.
            if let Some(last) = reads.last {
                let since = now.duration_since(last).abs();
                tokio::time::sleep(FIRST_READ_AGAIN.saturating_sub(since.unsigned_abs())).await;
            }
            self.read(&mut reads, now).await?;
        }
        let unread = || UnavailableError::new("the credentials were not read yet", "nothing was accepted");
        self.accepted().map(|accepted| accepted.credentials).ok_or_else(unread)
    }

    async fn refreshed(&self, now: Timestamp) -> Option<Arc<Credentials>> {
        let mut reads = self.reads.lock().await;
        if has_passed(STRANGERS, reads.last, now) {
            let is_new = self.read(&mut reads, now).await.unwrap_or(false);
            return self.accepted().filter(|_| is_new).map(|accepted| accepted.credentials);
        }
        // Somebody else's read may just have brought what the caller has not seen: it waited for the lock, or looked at
        // the credentials a moment before they were replaced.
        let accepted = self.accepted()?;
        accepted.replaced.filter(|replaced| !has_passed(STRANGERS, Some(*replaced), now))?;
        Some(accepted.credentials)
    }
}

/// Whether `interval` has passed since `since`; true where there is nothing to wait for. A clock that was set back by
/// more than the interval does not hold anything up.
pub(super) fn has_passed(interval: SignedDuration, since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_none_or(|since| now.duration_since(since).abs() >= interval)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::adapters::log_lines::LogLines;

    /// A reader that says what it is told to, and counts.
    #[derive(Default)]
    struct Memory {
        says: StdMutex<Option<(String, String)>>,
        previous: StdMutex<Option<(String, Timestamp)>>,
        reads: AtomicUsize,
    }

    impl CredentialReader for &Memory {
        async fn read(&self) -> Result<Document, UnavailableError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            // Everybody who could come in between does.
            tokio::task::yield_now().await;
            match self.says.lock().unwrap().clone() {
                Some((version, text)) => {
                    let mut document = Document::new(version, Secret::new(text));
                    if let Some((text, replaced)) = self.previous.lock().unwrap().clone() {
                        document.credentials.push(Kept { text: Secret::new(text), replaced: Some(replaced) });
                    }
                    Ok(document)
                }
                None => Err(UnavailableError::new("the secret did not answer", "no route")),
            }
        }
    }

    impl Memory {
        fn says(&self, version: &str, password: &str) {
            let text = format!(r#"{{"username":"u","password":"{password}"}}"#);
            *self.says.lock().unwrap() = Some((version.into(), text));
        }

        fn is_silent(&self) {
            *self.says.lock().unwrap() = None;
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

    async fn current(cached: &CachedCredentials<&Memory>, second: i64) -> Option<String> {
        cached.current(at(second)).await.ok().map(|credentials| password(&credentials).to_owned())
    }

    async fn refreshed(cached: &CachedCredentials<&Memory>, second: i64) -> Option<String> {
        cached.refreshed(at(second)).await.map(|credentials| password(&credentials).to_owned())
    }

    #[tokio::test]
    async fn known_clients_cost_one_read_in_five_minutes() {
        let memory = Memory::default();
        memory.says("1", "old");
        let cached = CachedCredentials::new(&memory);
        for second in [0, 1, 299] {
            assert_eq!(current(&cached, second).await.as_deref(), Some("old"));
        }
        assert_eq!(memory.reads(), 1);
        memory.says("2", "new");
        assert_eq!(current(&cached, 300).await.as_deref(), Some("new"));
        assert_eq!(current(&cached, 599).await.as_deref(), Some("new"));
        assert_eq!(memory.reads(), 2);
    }

    #[tokio::test]
    async fn a_stranger_after_a_rotation_is_let_in_and_one_too_early_is_not() {
        let memory = Memory::default();
        memory.says("1", "old");
        let cached = CachedCredentials::new(&memory);
        current(&cached, 0).await;
        memory.says("2", "new");
        assert_eq!(refreshed(&cached, 9).await, None);
        assert_eq!(memory.reads(), 1);
        assert_eq!(refreshed(&cached, 10).await.as_deref(), Some("new"));
        assert_eq!(current(&cached, 10).await.as_deref(), Some("new"));
    }

    #[tokio::test]
    async fn strangers_without_a_rotation_get_nothing_and_cost_one_read_in_ten_seconds() {
        let memory = Memory::default();
        memory.says("1", "old");
        let cached = CachedCredentials::new(&memory);
        current(&cached, 0).await;
        for second in 10..30 {
            assert_eq!(refreshed(&cached, second).await, None);
        }
        assert_eq!(memory.reads(), 3);
    }

    #[tokio::test]
    async fn strangers_who_come_together_share_one_read_and_all_get_what_it_brought() {
        let memory = Memory::default();
        memory.says("1", "old");
        let cached = CachedCredentials::new(&memory);
        current(&cached, 0).await;
        memory.says("2", "new");
        let (a, b, c) = tokio::join!(refreshed(&cached, 20), refreshed(&cached, 20), refreshed(&cached, 21));
        for outcome in [a, b, c] {
            assert_eq!(outcome.as_deref(), Some("new"));
        }
        assert_eq!(memory.reads(), 2);
    }

    #[tokio::test]
    async fn first_callers_share_one_read() {
        let memory = Memory::default();
        memory.says("1", "old");
        let cached = CachedCredentials::new(&memory);
        let (a, b) = tokio::join!(current(&cached, 0), current(&cached, 0));
        assert_eq!((a.as_deref(), b.as_deref()), (Some("old"), Some("old")));
        assert_eq!(memory.reads(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_fails_at_first_is_asked_again_after_a_second_by_whoever_comes_next() {
        let memory = Memory::default();
        let cached = CachedCredentials::new(&memory);
        let (a, b) = tokio::join!(current(&cached, 0), current(&cached, 0));
        assert_eq!((a, b), (None, None));
        assert_eq!(memory.reads(), 1);
        let started = tokio::time::Instant::now();
        assert_eq!(current(&cached, 0).await, None);
        assert_eq!((memory.reads(), started.elapsed()), (2, FIRST_READ_AGAIN));
        memory.says("1", "old");
        assert_eq!(current(&cached, 0).await.as_deref(), Some("old"));
        assert_eq!((memory.reads(), started.elapsed()), (3, 2 * FIRST_READ_AGAIN));
        assert_eq!(current(&cached, 0).await.as_deref(), Some("old"));
        assert_eq!(started.elapsed(), 2 * FIRST_READ_AGAIN, "nobody waits once they are read");
    }

    #[tokio::test]
    async fn what_cannot_be_read_later_leaves_the_last_ones() {
        let memory = Memory::default();
        memory.says("1", "old");
        let cached = CachedCredentials::new(&memory);
        current(&cached, 0).await;
        memory.is_silent();
        assert_eq!(refreshed(&cached, 10).await, None);
        for second in [301, 302, 303] {
            assert_eq!(current(&cached, second).await.as_deref(), Some("old"));
        }
        assert_eq!(memory.reads(), 3, "a failing read is not repeated by every push");
    }

    #[tokio::test]
    async fn a_broken_new_version_is_logged_once_and_leaves_the_last_ones_until_a_good_one_comes() {
        let memory = Memory::default();
        memory.says("1", "old");
        let cached = CachedCredentials::new(&memory);
        current(&cached, 0).await;
        *memory.says.lock().unwrap() = Some(("2".into(), r#"{"username":"hunter2"}"#.into()));
        let log = LogLines::capture();
        for second in [10, 20, 30] {
            assert_eq!(refreshed(&cached, second).await, None);
            assert_eq!(current(&cached, second).await.as_deref(), Some("old"));
        }
        assert_eq!(log.containing("refused").len(), 1, "{log:?}");
        assert!(log.containing("hunter2").is_empty(), "{log:?}");
        memory.says("3", "new");
        assert_eq!(refreshed(&cached, 40).await.as_deref(), Some("new"));
    }

    fn passwords(credentials: &Credentials) -> Vec<&str> {
        credentials.clients().iter().map(|client| client.password.expose()).collect()
    }

    #[tokio::test]
    async fn what_was_replaced_is_in_force_for_a_day_after_the_rotation_to_the_second() {
        let memory = Memory::default();
        memory.says("2", "new");
        *memory.previous.lock().unwrap() = Some((r#"{"username":"u","password":"old"}"#.into(), at(0)));
        let cached = CachedCredentials::new(&memory);
        assert_eq!(passwords(&cached.current(at(60)).await.unwrap()), ["new", "old"]);
        assert_eq!(passwords(&cached.current(at(86_399)).await.unwrap()), ["new", "old"]);
        let reads = memory.reads();
        assert_eq!(passwords(&cached.current(at(86_400)).await.unwrap()), ["new"]);
        assert_eq!(memory.reads(), reads, "nobody has to read it again for that");
        // A process that starts later does not take it up again.
        assert_eq!(passwords(&CachedCredentials::new(&memory).current(at(90_000)).await.unwrap()), ["new"]);
    }

    #[tokio::test]
    async fn what_was_replaced_and_cannot_be_used_is_passed_over() {
        let memory = Memory::default();
        memory.says("2", "new");
        *memory.previous.lock().unwrap() = Some(("not JSON".into(), at(0)));
        let cached = CachedCredentials::new(&memory);
        assert_eq!(passwords(&cached.current(at(60)).await.unwrap()), ["new"]);
    }

    #[test]
    fn a_signing_key_of_its_own_secret_follows_the_same_rule() {
        let kept = |text: &str, replaced| Kept { text: Secret::new(text.to_owned()), replaced };
        let (new, old) = ("n".repeat(32), "o".repeat(32));
        let document = |new: &str, old: &str| Document {
            signing_keys: vec![kept(new, None), kept(old, Some(at(0)))],
            ..Document::new("1".into(), Secret::new(r#"{"username":"u","password":"p"}"#.into()))
        };
        let keys = |second| {
            let known = Texts::read(&document(&new, &old)).unwrap().in_force(at(second)).0;
            known.signing_keys().iter().map(|key| key.expose().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(keys(86_399), [new.clone(), old.clone()]);
        assert_eq!(keys(86_400), vec![new.clone()]);
        assert_eq!(Texts::read(&document("short", &old)).unwrap_err(), CredentialsError::SigningKey(5));
        assert!(Texts::read(&document(&new, "short")).unwrap().previous.is_empty());
    }

    #[tokio::test]
    async fn ten_thousand_guesses_in_a_minute_cost_six_reads() {
        let memory = Memory::default();
        memory.says("1", "old");
        let cached = CachedCredentials::new(&memory);
        current(&cached, 0).await;
        for guess in 0..10_000 {
            assert_eq!(refreshed(&cached, guess * 60 / 10_000).await, None);
        }
        assert_eq!(memory.reads(), 6, "at the start, and at 10, 20, 30, 40 and 50 seconds");
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_holds_nothing_up() {
        let memory = Memory::default();
        memory.says("1", "old");
        let cached = CachedCredentials::new(&memory);
        current(&cached, 10_000).await;
        memory.says("2", "new");
        assert_eq!(current(&cached, 0).await.as_deref(), Some("new"));
    }
}
