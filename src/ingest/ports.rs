//! What the use case needs of the world, each as narrow as its one use.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::alert::render::Rendered;
use crate::domain::archive::{Object, ObjectKey};
use crate::domain::auth::Credentials;
use crate::domain::rate_limit::TokenRequest;
use crate::domain::rules::{Refused, RuleSet};

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
pub struct Unavailable {
    what: &'static str,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl Unavailable {
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

/// Keeps raw objects for ever.
pub trait RawStore: Send + Sync {
    /// Stores `object` unless one of its key is there. When this returns `Ok`, the object survives a power cut.
    ///
    /// # Errors
    /// [`Unavailable`] where the store did not confirm. The object may be there all the same; storing it again is safe.
    fn put(&self, object: Object) -> impl Future<Output = Result<Stored, Unavailable>> + Send;

    /// Notes that the readings of an object were evaluated, so that nobody needs to see to that any more.
    ///
    /// # Errors
    /// [`Unavailable`] where that could not be noted; it will be evaluated once more then, which changes nothing.
    fn evaluated(&self, key: &ObjectKey) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Objects that were first received before `received` and of which that was not noted, in the order of their keys, but
    /// for those set aside. A store that somebody else tells of, such as a bucket with a queue, knows of none.
    ///
    /// # Errors
    /// [`Unavailable`] where they cannot be read now; a retry can help.
    fn unevaluated(&self, received: Timestamp) -> impl Future<Output = Result<Vec<Unevaluated>, Unavailable>> + Send {
        let _ = received;
        std::future::ready(Ok(Vec::new()))
    }

    /// The lines of an object that [`Self::unevaluated`] names.
    ///
    /// # Errors
    /// [`Unavailable`] if they cannot be read now; a retry can help.
    fn lines(&self, key: &ObjectKey) -> impl Future<Output = Result<String, Unavailable>> + Send {
        let _ = key;
        std::future::ready(Ok(String::new()))
    }

    /// Sets an object aside: it stays stored, and [`Self::unevaluated`] does not name it any more.
    ///
    /// # Errors
    /// [`Unavailable`] if that cannot be noted now; a retry can help.
    fn set_aside(&self, key: &ObjectKey) -> impl Future<Output = Result<(), Unavailable>> + Send {
        let _ = key;
        std::future::ready(Ok(()))
    }
}

/// An object whose readings are still to be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unevaluated {
    /// Its name.
    pub key: ObjectKey,
    /// When it was first received.
    pub received: Timestamp,
}

/// Gives stored objects back.
pub trait StoredObjects: Send + Sync {
    /// When an object was first received, where that is known, and its lines; `None` where there is no such object.
    ///
    /// # Errors
    /// [`Unavailable`] where it cannot be read now; a retry can help.
    fn read(
        &self,
        key: &ObjectKey,
    ) -> impl Future<Output = Result<Option<(Option<Timestamp>, String)>, Unavailable>> + Send;
}

/// A document as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Its text; `None` where there is no such document.
    pub body: Option<String>,
    /// How often it was written; 0 where there is no such document.
    pub version: u64,
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
pub trait RateLimiter: Send + Sync {
    /// Takes tokens of `channel` for messages that are about to be sent. How many of them are granted, to the urgent ones
    /// first. Copies that ask at the same time never get more than the limit together.
    ///
    /// # Errors
    /// [`Unavailable`] if the store did not confirm. The tokens may be taken all the same: nothing may be sent.
    fn take_tokens(
        &self,
        channel: &str,
        request: TokenRequest,
    ) -> impl Future<Output = Result<usize, Unavailable>> + Send;

    /// Counts messages that are about to go out by SMS against `quota`, the most of a UTC day. How many of them may.
    ///
    /// # Errors
    /// [`Unavailable`] if the store did not confirm. They may be counted all the same: nothing may go out by SMS.
    fn take_sms(
        &self,
        quota: u32,
        wanted: usize,
        now: Timestamp,
    ) -> impl Future<Output = Result<usize, Unavailable>> + Send;
}

/// Keeps what is remembered: small documents, each written as a whole by compare-and-swap. All copies of the program share
/// it, so it limits their messages as well.
pub trait StateStore: RateLimiter {
    /// The documents of these keys, in their order.
    ///
    /// # Errors
    /// [`Unavailable`] where the store does not answer.
    fn load(&self, keys: &[String]) -> impl Future<Output = Result<Vec<Document>, Unavailable>> + Send;

    /// Writes a document that was read at `version`, and when something about it is due next.
    ///
    /// # Errors
    /// [`Unavailable`] where the store did not confirm. It may have been written all the same.
    fn commit(
        &self,
        key: &str,
        version: u64,
        body: &str,
        due: Option<Timestamp>,
    ) -> impl Future<Output = Result<Commit, Unavailable>> + Send;

    /// The keys of documents about which something is due at `now`, the most overdue first, at most `most` of them. A
    /// query by time: it costs nothing for documents that are not due.
    ///
    /// # Errors
    /// [`Unavailable`] where the store does not answer.
    fn due(&self, now: Timestamp, most: usize) -> impl Future<Output = Result<Vec<String>, Unavailable>> + Send;
}

/// Sends messages to the people who subscribed.
pub trait AlertPublisher: Send + Sync {
    /// Sends each message; the outcomes are in the order of `messages`, one each.
    ///
    /// # Errors
    /// Each outcome by itself: [`Unavailable`] where the message was not confirmed as sent. Sending it again is safe: its
    /// id is the same.
    fn publish(&self, messages: &[Rendered]) -> impl Future<Output = Vec<Result<(), Unavailable>>> + Send;

    /// How many have subscribed; `None` where nobody has to.
    ///
    /// # Errors
    /// [`Unavailable`] where that cannot be asked now; a retry can help.
    fn subscriptions(&self) -> impl Future<Output = Result<Option<Subscriptions>, Unavailable>> + Send {
        std::future::ready(Ok(None))
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
pub trait RuleSource: Send + Sync {
    /// The rules in force at `now`. Never fails: where newer rules cannot be read or are refused, the last accepted ones
    /// stay in force.
    fn current(&self, now: Timestamp) -> impl Future<Output = Arc<RuleSet>> + Send;

    /// The newest rules, where they are refused and others are in force.
    fn refused(&self) -> Option<Refused> {
        None
    }
}

/// Knows who may push.
pub trait CredentialSource: Send + Sync {
    /// The credentials in force, as last read.
    ///
    /// # Errors
    /// [`Unavailable`] where they were never read and cannot be now.
    fn current(&self, now: Timestamp) -> impl Future<Output = Result<Arc<Credentials>, Unavailable>> + Send;

    /// Reads them again, since somebody came whom the last ones do not know: they may have been rotated. At most once
    /// every ten seconds, however many strangers come; `None` where it is too early or nothing has changed.
    fn refreshed(&self, now: Timestamp) -> impl Future<Output = Option<Arc<Credentials>>> + Send;
}
