//! Ports: the traits through which ingest reaches object store, state store, publisher, rules and credentials.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::auth::Credentials;
use crate::domain::archive::{Object, ObjectKey};
use crate::domain::rules::{RefusedRules, RuleSet};
use crate::domain::state::{Attention, Channel, ZoneState};
use crate::notify::rendered::Rendered;

/// How an object was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The object is new and durable.
    New,
    /// An object with this key, and so with this content, exists already. It is unchanged.
    Already,
    /// The object store failed. The object is durable in the fallback queue and is stored from there later.
    Queued,
}

/// A dependency failed or did not answer in time. A retry can help. The source says why, for the log.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct UnavailableError {
    what: &'static str,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl UnavailableError {
    /// `what` names the dependency and what it failed to do: "the raw store did not take the object".
    pub fn new(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { what, source: source.into() }
    }

    /// The error and its causes in one line, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its causes in one line, for the log.
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

/// Awaits `work`; returns an [`UnavailableError`] with the text `what` if it takes longer than `limit`.
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

/// Object store: keeps raw objects without an end.
#[async_trait]
pub trait RawStore: Send + Sync {
    /// Stores `object` unless its key exists. After `Ok`, the object survives a power cut.
    ///
    /// # Errors
    /// [`UnavailableError`] if the store did not confirm. The object may be stored; storing it again is safe.
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError>;
}

/// Lists stored objects that are not evaluated yet. Only the data folder needs it: a bucket notifies a queue instead.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Objects received before `received` that are neither evaluated nor set aside, in order of their keys.
    ///
    /// # Errors
    /// [`UnavailableError`] if they cannot be read; a retry can help.
    async fn pending(&self, received: Timestamp) -> Result<Vec<PendingPush>, UnavailableError>;

    /// The lines of an object that [`Self::pending`] returned.
    ///
    /// # Errors
    /// [`UnavailableError`] if they cannot be read; a retry can help.
    async fn lines(&self, key: &ObjectKey) -> Result<String, UnavailableError>;

    /// Marks an object as evaluated, so that [`Self::pending`] no longer returns it.
    ///
    /// # Errors
    /// [`UnavailableError`] if the mark cannot be written. The object is then evaluated again, which changes nothing.
    async fn mark_evaluated(&self, key: &ObjectKey) -> Result<(), UnavailableError>;

    /// Sets an object aside: it stays stored, and [`Self::pending`] no longer returns it.
    ///
    /// # Errors
    /// [`UnavailableError`] if that cannot be written; a retry can help.
    async fn set_aside(&self, key: &ObjectKey) -> Result<(), UnavailableError>;
}

/// A stored object that is not evaluated yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingPush {
    /// Its key.
    pub key: ObjectKey,
    /// When it was first received.
    pub received: Timestamp,
}

/// A stored push.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredPush {
    /// When it was first received, if that is known.
    pub received: Option<Timestamp>,
    /// The key of its object. In a buffered object, the key that it would have as an object of its own.
    pub key: ObjectKey,
    /// Its readings, one line each.
    pub lines: String,
}

/// The pushes of an object, decoded one by one. The first error ends them.
pub type StoredPushes = Box<dyn Iterator<Item = Result<StoredPush, UnavailableError>> + Send>;

/// A raw store that can also read its objects.
#[async_trait]
pub trait StoredObjects: RawStore {
    /// The pushes of an object, of which a buffered one has many; `None` if no such object exists.
    ///
    /// # Errors
    /// [`UnavailableError`] if it cannot be read; a retry can help.
    async fn read(&self, key: &ObjectKey) -> Result<Option<StoredPushes>, UnavailableError>;
}

/// A state document as loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDocument {
    /// JSON text; `None` if the document does not exist.
    pub body: Option<String>,
    /// Number of writes so far, for compare-and-swap; 0 if the document does not exist.
    pub version: u64,
}

/// Key prefix of the documents that list the projects with a zone of one id.
pub const PROJECTS_OF: &str = "projects-of/";

/// Key prefix of the documents of links in messages.
pub const LINK: &str = "link/";

/// Key of the document with the URL of this receiver.
pub const PUBLIC_URL: &str = "public-url";

/// Days from the last write of a document, or from its due time if that is later, after which a store may delete it. Longer than
/// any rule looks back, and than a link is valid. `None` for a document that is only written when it changes: it stays.
#[must_use]
pub fn retention_days(key: &str) -> Option<i64> {
    match key {
        PUBLIC_URL => None,
        _ if key.starts_with(PROJECTS_OF) => None,
        _ if key.starts_with(LINK) => Some(LINK_DAYS),
        _ => Some(90),
    }
}

/// Days for which a link in a message is valid.
pub const LINK_DAYS: i64 = 7;

/// What a document is found by, beside its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexEntry {
    /// The time of its next action.
    pub due: Option<Timestamp>,
    /// What needs attention in its zone.
    pub attention: Option<AttentionEntry>,
}

/// An entry in the index of zones that need attention.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttentionEntry {
    /// The sort key: the most urgent zone has the least.
    pub sort_key: String,
    /// What needs attention, as JSON.
    pub summary: String,
}

impl AttentionEntry {
    /// The entry of the zone with this key; `None` if it needs no attention.
    ///
    /// # Errors
    /// Never in practice: a state is JSON.
    pub fn of(zone: &str, state: &ZoneState) -> Result<Option<Self>, UnavailableError> {
        let Some(attention) = Attention::of(zone, state) else { return Ok(None) };
        let summary = serde_json::to_string(&attention)
            .map_err(|error| UnavailableError::new("the state cannot be written as JSON", error))?;
        Ok(Some(Self { sort_key: attention.sort_key(), summary }))
    }
}

impl From<Option<Timestamp>> for IndexEntry {
    fn from(due: Option<Timestamp>) -> Self {
        Self { due, attention: None }
    }
}

/// Result of a compare-and-swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The document is written and durable.
    Done,
    /// Another writer was faster. Nothing is written.
    Lost,
}

/// State store: small documents, each written as a whole by compare-and-swap and shared by all copies of the program.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Loads the documents with these keys, in the same order.
    ///
    /// # Errors
    /// [`UnavailableError`] if the store does not answer.
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError>;

    /// Writes a document if its version is still `version`, and indexes it.
    ///
    /// # Errors
    /// [`UnavailableError`] if the store did not confirm. The document may be written.
    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError>;

    /// Keys of at most `most` documents that are due at `now`, the most overdue first. Documents that are not due cost
    /// nothing.
    ///
    /// # Errors
    /// [`UnavailableError`] if the store does not answer.
    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError>;

    /// The `most` most urgent entries in the index of zones that need attention, the most urgent first. Other zones cost nothing.
    ///
    /// # Errors
    /// [`UnavailableError`] if the store does not answer.
    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError>;
}

/// Publisher: sends messages over one channel.
#[async_trait]
pub trait AlertPublisher: Send + Sync {
    /// The channel.
    fn channel(&self) -> Channel;

    /// Whether these rules switch the channel on.
    fn is_on(&self, _rules: &RuleSet) -> bool {
        true
    }

    /// Sends each message as these rules say. Returns one outcome per message, in the same order. Sending a message again is
    /// safe: its id stays the same.
    async fn publish(&self, rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome>;

    /// Counts subscriptions; `None` if this publisher has none.
    ///
    /// # Errors
    /// [`UnavailableError`] if they cannot be counted; a retry can help.
    async fn subscriptions(&self) -> Result<Option<Subscriptions>, UnavailableError> {
        Ok(None)
    }

    /// The ids of the audiences that have a confirmed subscription; `None` if this publisher has none.
    ///
    /// # Errors
    /// [`UnavailableError`] if they cannot be listed; a retry can help.
    async fn subscribed_audiences(&self) -> Result<Option<BTreeSet<String>>, UnavailableError> {
        Ok(None)
    }
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// Its texts.
    pub rendered: Rendered,
    /// The recipients: addresses of an email, else audiences; empty for everybody.
    pub to: Vec<String>,
    /// Those of the message, in any language, that need no further attempt.
    pub done: Vec<String>,
}

/// What became of a message. By default it is sent.
#[derive(Debug, Default)]
pub struct PublishOutcome {
    /// Why it must be sent again.
    pub failure: Option<UnavailableError>,
    /// How long the receiver asked to wait before that.
    pub retry_after: Option<SignedDuration>,
    /// The recipients that need no further attempt: they have it now, or refused it.
    pub done: Vec<String>,
    /// The recipients that refused it for good.
    pub refusals: Vec<Refusal>,
    /// The answer of the receiver: `250 2.0.0 Ok`.
    pub reply: Option<String>,
}

impl PublishOutcome {
    /// Whether nobody gets the message.
    pub(crate) fn is_refused_by_all(&self) -> bool {
        self.failure.is_none() && self.reply.is_none() && !self.refusals.is_empty()
    }

    /// A message that must be sent again, and why.
    pub fn failed(what: &'static str, why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { failure: Some(UnavailableError::new(what, why)), ..Self::default() }
    }
}

/// A recipient that refused a message for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The email address, or the URL of the webhook.
    pub recipient: String,
    /// The answer.
    pub reply: String,
}

/// Number of subscriptions to alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriptions {
    /// Confirmed: they receive alerts.
    pub confirmed: u32,
    /// Not confirmed yet: they receive nothing until the subscriber opens the link in the confirmation message.
    pub pending: u32,
}

/// Provides the rules in force.
#[async_trait]
pub trait RuleSource: Send + Sync {
    /// The rules in force at `now`. If newer rules cannot be read or are refused, the last accepted ones stay in force. If
    /// rules are refused and there are no accepted ones, the built-in rules are in force.
    ///
    /// # Errors
    /// [`UnavailableError`] if the rules were never read and cannot be read now; a retry can help. The built-in rules do not
    /// replace unread ones: alerts would be false or missing, and more SMS might go out than allowed.
    async fn current(&self, now: Timestamp) -> Result<Arc<RuleSet>, UnavailableError>;

    /// The newest rules, if they are refused and others are in force.
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

/// Provides the credentials of clients.
#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// The credentials in force, as last read.
    ///
    /// # Errors
    /// [`UnavailableError`] if they were never read and cannot be read now.
    async fn current(&self, now: Timestamp) -> Result<Arc<Credentials>, UnavailableError>;

    /// Reads the credentials again, because a client is unknown and they may have been rotated. Reads at most once every ten
    /// seconds; returns `None` if the newest are still the `known` ones.
    async fn newer_than(&self, known: &Arc<Credentials>, now: Timestamp) -> Option<Arc<Credentials>>;
}

/// Credentials that never change.
#[async_trait]
impl CredentialSource for Arc<Credentials> {
    async fn current(&self, _now: Timestamp) -> Result<Arc<Credentials>, UnavailableError> {
        Ok(Arc::clone(self))
    }

    async fn newer_than(&self, _known: &Arc<Credentials>, _now: Timestamp) -> Option<Arc<Credentials>> {
        None
    }
}
