//! What the use case needs of the world, each as narrow as its one use.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::auth::Credentials;
use crate::domain::archive::{Object, ObjectKey};
use crate::domain::rate_limit::TokenRequest;
use crate::domain::rules::{RefusedRules, RuleSet};
use crate::notify::render::Rendered;

/// What came of storing an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is new, and durable.
    New,
    /// An object of that key, and so of that content, was there before. It is left as it is.
    Already,
    /// The store does not take it now. It is as safe in another place, from which it is stored later.
    Parked,
}

/// Something outside does not answer as it should. A retry later can help. The source says what happened, for the log.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct UnavailableError {
    what: &'static str,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl UnavailableError {
    /// `what` names the thing and what it did not do: "the raw store did not take the object".
    pub fn new(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { what, source: source.into() }
    }

    /// What happened with everything it was caused by, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error with everything it was caused by, for the log.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// `work`, or [`UnavailableError`] with this text if it takes longer than `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    what: &'static str,
    work: impl Future<Output = Result<T, UnavailableError>> + Send,
) -> Result<T, UnavailableError> {
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(UnavailableError::new(what, format!("no answer within {} s", limit.as_secs_f32()))),
    }
}

/// Keeps raw objects for ever.
#[async_trait]
pub trait RawStore: Send + Sync {
    /// Stores `object` unless one of its key is there. When this returns `Ok`, the object survives a power cut.
    ///
    /// # Errors
    /// [`UnavailableError`] where the store did not confirm. The object may be there all the same; storing it again is safe.
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError>;
}

/// Lists the stored objects that are still to be evaluated. For a raw store that nobody else watches: a bucket sends notices
/// to a queue instead.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Objects that were first received before `received` and are neither marked as evaluated nor set aside, in the order of
    /// their keys.
    ///
    /// # Errors
    /// [`UnavailableError`] if they cannot be read now; a retry can help.
    async fn pending(&self, received: Timestamp) -> Result<Vec<PendingPush>, UnavailableError>;

    /// The lines of an object that [`Self::pending`] names.
    ///
    /// # Errors
    /// [`UnavailableError`] if they cannot be read now; a retry can help.
    async fn lines(&self, key: &ObjectKey) -> Result<String, UnavailableError>;

    /// Marks an object as evaluated: [`Self::pending`] does not name it any more.
    ///
    /// # Errors
    /// [`UnavailableError`] if that cannot be noted. The object is evaluated once more then, which changes nothing.
    async fn mark_evaluated(&self, key: &ObjectKey) -> Result<(), UnavailableError>;

    /// Sets an object aside: it stays stored, and [`Self::pending`] does not name it any more.
    ///
    /// # Errors
    /// [`UnavailableError`] if that cannot be noted now; a retry can help.
    async fn set_aside(&self, key: &ObjectKey) -> Result<(), UnavailableError>;
}

/// A stored object that is still to be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingPush {
    /// Its key.
    pub key: ObjectKey,
    /// When it was first received.
    pub received: Timestamp,
}

/// A raw store that gives its objects back.
#[async_trait]
pub trait StoredObjects: RawStore {
    /// When an object was first received, where that is known, and its lines; `None` where there is no such object.
    ///
    /// # Errors
    /// [`UnavailableError`] where it cannot be read now; a retry can help.
    async fn read(&self, key: &ObjectKey) -> Result<Option<(Option<Timestamp>, String)>, UnavailableError>;
}

/// A document as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Its text; `None` where there is no such document.
    pub body: Option<String>,
    /// How often it was written; 0 where there is no such document.
    pub version: u64,
}

/// How the keys of documents begin that list a zone's projects.
pub const PROJECTS_OF: &str = "projects-of/";

/// Whether a store may delete a document that was not written for a season and about which nothing is due. The list of a
/// zone's projects is written once, when the zone is new.
#[must_use]
pub fn may_expire(key: &str) -> bool {
    !key.starts_with(PROJECTS_OF)
}

/// What came of writing a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is written, and durable.
    Done,
    /// Somebody else has written it since it was read. Nothing is written.
    Lost,
}

/// Counts messages over all copies of the program.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Takes tokens of `channel` for messages that are about to be sent. How many of them are granted, to the urgent ones
    /// first. Copies that ask at the same time never get more than the limit together.
    ///
    /// # Errors
    /// [`UnavailableError`] if the store did not confirm. The tokens may be taken all the same: nothing may be sent.
    async fn take_tokens(&self, channel: &str, request: TokenRequest) -> Result<usize, UnavailableError>;

    /// Counts messages that are about to go out by SMS against `quota`, the most of a UTC day. How many of them may.
    ///
    /// # Errors
    /// [`UnavailableError`] if the store did not confirm. They may be counted all the same: nothing may go out by SMS.
    async fn take_sms(&self, quota: u32, wanted: usize, now: Timestamp) -> Result<usize, UnavailableError>;
}

/// Keeps what is remembered: small documents, each written as a whole by compare-and-swap. All copies of the program share
/// it, so it limits their messages as well.
#[async_trait]
pub trait StateStore: RateLimiter {
    /// The documents of these keys, in their order.
    ///
    /// # Errors
    /// [`UnavailableError`] where the store does not answer.
    async fn load(&self, keys: &[String]) -> Result<Vec<Document>, UnavailableError>;

    /// Writes a document that was read at `version`, and when something about it is due next.
    ///
    /// # Errors
    /// [`UnavailableError`] where the store did not confirm. It may have been written all the same.
    async fn commit(
        &self,
        key: &str,
        version: u64,
        body: &str,
        due: Option<Timestamp>,
    ) -> Result<Commit, UnavailableError>;

    /// The keys of documents about which something is due at `now`, the most overdue first, at most `most` of them. A
    /// query by time: it costs nothing for documents that are not due.
    ///
    /// # Errors
    /// [`UnavailableError`] where the store does not answer.
    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError>;
}

/// Sends messages to the people who subscribed.
#[async_trait]
pub trait AlertPublisher: Send + Sync {
    /// Sends each message; the outcomes are in the order of `messages`, one each.
    ///
    /// # Errors
    /// Each outcome by itself: [`UnavailableError`] where the message was not confirmed as sent. Sending it again is safe: its
    /// id is the same.
    async fn publish(&self, messages: &[Rendered]) -> Vec<Result<(), UnavailableError>>;

    /// How many have subscribed; `None` where nobody has to.
    ///
    /// # Errors
    /// [`UnavailableError`] where that cannot be asked now; a retry can help.
    async fn subscriptions(&self) -> Result<Option<Subscriptions>, UnavailableError> {
        Ok(None)
    }
}

/// How many have subscribed to the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriptions {
    /// Those that get them.
    pub confirmed: u32,
    /// Those that do not, because nobody has followed the link that was sent.
    pub pending: u32,
}

/// Knows the rules in force.
#[async_trait]
pub trait RuleSource: Send + Sync {
    /// The rules in force at `now`. Where newer rules cannot be read or are refused, the last accepted ones stay in force.
    ///
    /// # Errors
    /// [`UnavailableError`] where they were never read and cannot be now: by other rules than the operator's, alerts would be false
    /// or missing, and more SMS might go out than allowed. A retry can help.
    async fn current(&self, now: Timestamp) -> Result<Arc<RuleSet>, UnavailableError>;

    /// The newest rules, where they are refused and others are in force.
    fn refused(&self) -> Option<RefusedRules> {
        None
    }
}

/// Rules that never change.
#[async_trait]
impl RuleSource for Arc<RuleSet> {
    async fn current(&self, _now: Timestamp) -> Result<Arc<RuleSet>, UnavailableError> {
        Ok(Arc::clone(self))
    }
}

/// Knows who may push.
#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// The credentials in force, as last read.
    ///
    /// # Errors
    /// [`UnavailableError`] where they were never read and cannot be now.
    async fn current(&self, now: Timestamp) -> Result<Arc<Credentials>, UnavailableError>;

    /// Reads them again, since somebody came whom the last ones do not know: they may have been rotated. At most once
    /// every ten seconds, however many strangers come; `None` where it is too early or nothing has changed.
    async fn refreshed(&self, now: Timestamp) -> Option<Arc<Credentials>>;
}

/// Credentials that never change.
#[async_trait]
impl CredentialSource for Arc<Credentials> {
    async fn current(&self, _now: Timestamp) -> Result<Arc<Credentials>, UnavailableError> {
        Ok(Arc::clone(self))
    }

    async fn refreshed(&self, _now: Timestamp) -> Option<Arc<Credentials>> {
        None
    }
}
