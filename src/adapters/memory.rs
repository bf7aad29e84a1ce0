//! Everything in memory: for tests and benchmarks, where the world must do as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{Timestamp, civil};

use crate::domain::alert::render::Rendered;
use crate::domain::archive::{Object, ObjectKey};
use crate::domain::auth::Credentials;
use crate::domain::rate_limit::{Bucket, RateLimit, Sender, Wanted, utc_day};
use crate::domain::rules::RuleSet;
#[cfg(feature = "command")]
use crate::history::{StoredObject, Unreadable};
use crate::ingest::ports::{
    AlertPublisher, Commit, CredentialSource, Document, RateLimiter, RawStore, RuleSource, StateStore, Stored,
    Unavailable,
};

/// A raw store whose objects can be looked at, and which can be told to fail.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<String, Object>>,
    broken: Mutex<bool>,
}

impl MemoryStore {
    /// From now on it takes nothing, or again everything.
    pub fn set_broken(&self, broken: bool) {
        *lock(&self.broken) = broken;
    }

    /// The objects, by key.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Object> {
        lock(&self.objects).clone()
    }
}

impl RawStore for Arc<MemoryStore> {
    async fn put(&self, object: Object) -> Result<Stored, Unavailable> {
        if *lock(&self.broken) {
            return Err(Unavailable::new("the raw store did not take the object", "told to fail"));
        }
        let mut objects = lock(&self.objects);
        if objects.contains_key(object.key.as_str()) {
            return Ok(Stored::Already);
        }
        objects.insert(object.key.to_string(), object);
        Ok(Stored::New)
    }

    async fn evaluated(&self, _key: &ObjectKey) -> Result<(), Unavailable> {
        Ok(())
    }
}

#[cfg(feature = "command")]
impl crate::history::Archive for Arc<MemoryStore> {
    fn folders(&self, folder: &str) -> Result<Vec<String>, Unreadable> {
        let below = |key: &String| {
            let (name, _) = key.strip_prefix(folder)?.split_once('/')?;
            Some(format!("{folder}{name}/"))
        };
        let mut folders: Vec<String> = lock(&self.objects).keys().filter_map(below).collect();
        folders.dedup();
        Ok(folders)
    }

    fn keys(&self, folder: &str) -> Result<Vec<ObjectKey>, Unreadable> {
        let is_there = |key: &&String| key.strip_prefix(folder).is_some_and(|name| !name.contains('/'));
        Ok(lock(&self.objects).keys().filter(is_there).map(|key| ObjectKey::known(key)).collect())
    }

    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, Unreadable> {
        let objects = lock(&self.objects);
        let read = |key: &ObjectKey| {
            let object = objects.get(key.as_str()).ok_or_else(|| Unreadable::new(key, "there is no such object"))?;
            let metadata = Some(object.metadata.clone());
            let received = Some(object.metadata.received);
            Ok(StoredObject { key: key.clone(), received, metadata, bytes: object.bytes.clone() })
        };
        keys.iter().map(read).collect()
    }
}

/// A publisher whose messages can be looked at, and which can be told to fail.
#[derive(Debug, Default)]
pub struct MemoryPublisher {
    sent: Mutex<Vec<Rendered>>,
    broken: Mutex<bool>,
}

impl MemoryPublisher {
    /// From now on it sends nothing, or again everything.
    pub fn set_broken(&self, broken: bool) {
        *lock(&self.broken) = broken;
    }

    /// The messages, in the order they were sent.
    #[must_use]
    pub fn sent(&self) -> Vec<Rendered> {
        lock(&self.sent).clone()
    }
}

impl AlertPublisher for Arc<MemoryPublisher> {
    async fn publish(&self, messages: &[Rendered]) -> Vec<Result<(), Unavailable>> {
        let broken = *lock(&self.broken);
        let send = |message: &Rendered| {
            if broken {
                return Err(Unavailable::new("the message was not sent", "told to fail"));
            }
            lock(&self.sent).push(message.clone());
            Ok(())
        };
        messages.iter().map(send).collect()
    }
}

/// A state store whose documents can be looked at, and which can be told to fail and to lose races.
#[derive(Debug, Default)]
pub struct MemoryState {
    documents: Mutex<BTreeMap<String, Remembered>>,
    buckets: Mutex<BTreeMap<String, Bucket>>,
    sms: Mutex<BTreeMap<civil::Date, usize>>,
    broken: Mutex<bool>,
    limiter_broken: Mutex<bool>,
    races_to_lose: Mutex<usize>,
}

/// A document of a [`MemoryState`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its text.
    pub body: String,
    /// How often it was written.
    pub version: u64,
    /// When something about it is due.
    pub due: Option<Timestamp>,
}

impl MemoryState {
    /// From now on it gives and takes nothing, or again everything.
    pub fn set_broken(&self, broken: bool) {
        *lock(&self.broken) = broken;
    }

    /// From now on it grants nothing, or again what there is; documents are kept all the same.
    pub fn set_limiter_broken(&self, broken: bool) {
        *lock(&self.limiter_broken) = broken;
    }

    /// The next `commits` find that somebody else was faster, whether or not somebody was.
    pub fn lose_next(&self, commits: usize) {
        *lock(&self.races_to_lose) = commits;
    }

    /// The documents, by key.
    #[must_use]
    pub fn documents(&self) -> BTreeMap<String, Remembered> {
        lock(&self.documents).clone()
    }

    fn answer(&self) -> Result<(), Unavailable> {
        if *lock(&self.broken) {
            Err(Unavailable::new("the state store did not answer", "told to fail"))
        } else {
            Ok(())
        }
    }

    fn limit(&self) -> Result<(), Unavailable> {
        if *lock(&self.limiter_broken) {
            return Err(Unavailable::new("the rate limiter did not answer", "told to fail"));
        }
        self.answer()
    }

    /// Whether this commit is one of those that are to be lost.
    fn loses(&self) -> bool {
        let mut left = lock(&self.races_to_lose);
        let loses = *left > 0;
        *left = left.saturating_sub(1);
        loses
    }
}

impl RateLimiter for Arc<MemoryState> {
    async fn take_tokens(
        &self,
        channel: &str,
        limit: &RateLimit,
        wanted: Wanted,
        sender: Sender,
        now: Timestamp,
    ) -> Result<usize, Unavailable> {
        self.limit()?;
        let mut buckets = lock(&self.buckets);
        let bucket = buckets.entry(channel.to_owned()).or_default();
        let take = limit.take(*bucket, wanted, sender, now);
        *bucket = take.bucket;
        Ok(take.granted)
    }

    async fn take_sms(&self, quota: u32, wanted: usize, now: Timestamp) -> Result<usize, Unavailable> {
        self.limit()?;
        let mut sms = lock(&self.sms);
        let counted = sms.entry(utc_day(now)).or_default();
        let granted = wanted.min((quota as usize).saturating_sub(*counted));
        *counted += granted;
        Ok(granted)
    }
}

impl StateStore for Arc<MemoryState> {
    async fn load(&self, keys: &[String]) -> Result<Vec<Document>, Unavailable> {
        self.answer()?;
        let documents = lock(&self.documents);
        let document = |found: &Remembered| Document { body: Some(found.body.clone()), version: found.version };
        Ok(keys.iter().map(|key| documents.get(key).map(document).unwrap_or_default()).collect())
    }

    async fn commit(&self, key: &str, version: u64, body: &str, due: Option<Timestamp>) -> Result<Commit, Unavailable> {
        self.answer()?;
        let mut documents = lock(&self.documents);
        if self.loses() || documents.get(key).map_or(0, |found| found.version) != version {
            return Ok(Commit::Lost);
        }
        documents.insert(key.to_owned(), Remembered { body: body.to_owned(), version: version + 1, due });
        Ok(Commit::Done)
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, Unavailable> {
        self.answer()?;
        let documents = lock(&self.documents);
        let due = documents.iter().filter_map(|(key, found)| Some((found.due.filter(|due| *due <= now)?, key)));
        let mut due: Vec<_> = due.collect();
        due.sort_unstable();
        Ok(due.into_iter().take(most).map(|(_, key)| key.clone()).collect())
    }
}

/// Rules that never change.
#[derive(Clone, Debug)]
pub struct FixedRules(pub Arc<RuleSet>);

impl RuleSource for FixedRules {
    async fn current(&self, _now: Timestamp) -> Arc<RuleSet> {
        Arc::clone(&self.0)
    }
}

/// Credentials that never change.
#[derive(Clone, Debug)]
pub struct FixedCredentials(pub Arc<Credentials>);

impl CredentialSource for FixedCredentials {
    async fn current(&self, _now: Timestamp) -> Result<Arc<Credentials>, Unavailable> {
        Ok(Arc::clone(&self.0))
    }

    async fn refreshed(&self, _now: Timestamp) -> Option<Arc<Credentials>> {
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A test that panics while holding it has failed already.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
