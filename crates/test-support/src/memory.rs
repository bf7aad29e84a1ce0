//! Stores and a publisher in memory, for tests, fuzz targets and benchmarks. A clone is another handle to the same content. They
//! fail on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use smartclean_push::domain::archive::Object;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::ports::{
    AlertPublisher, AttentionEntry, Commit, IndexEntry, OutgoingMessage, PublishOutcome, RawStore, StateDocument,
    StateStore, Stored, UnavailableError,
};
use smartclean_push::ingest::rate_limit::RATE_LIMIT;
use smartclean_push::notify::rendered::Rendered;

/// A raw store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Objects>>);

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<String, Object>,
    is_broken: bool,
}

impl MemoryStore {
    /// Whether it accepts nothing from now on.
    pub fn set_broken(&self, is_broken: bool) {
        lock(&self.0).is_broken = is_broken;
    }

    /// The objects, by key.
    pub fn objects(&self) -> BTreeMap<String, Object> {
        self.with_objects(Clone::clone)
    }

    /// Reads the objects without a copy.
    pub fn with_objects<R>(&self, read: impl FnOnce(&BTreeMap<String, Object>) -> R) -> R {
        read(&lock(&self.0).by_key)
    }
}

#[async_trait]
impl RawStore for MemoryStore {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        let mut objects = lock(&self.0);
        if objects.is_broken {
            return Err(UnavailableError::new("the raw store did not take the object", "failure injected by the test"));
        }
        if objects.by_key.contains_key(object.key.as_str()) {
            return Ok(Stored::Already);
        }
        objects.by_key.insert(object.key.to_string(), object);
        Ok(Stored::New)
    }
}

/// A publisher.
#[derive(Clone, Debug)]
pub struct MemoryPublisher {
    channel: Channel,
    messages: Arc<Mutex<Messages>>,
}

#[derive(Debug, Default)]
struct Messages {
    sent: Vec<Rendered>,
    is_broken: bool,
    is_off: bool,
    audiences: Option<BTreeSet<String>>,
}

impl Default for MemoryPublisher {
    /// A topic.
    fn default() -> Self {
        Self::of(Channel::Sns)
    }
}

impl MemoryPublisher {
    /// A publisher of this channel.
    #[must_use]
    pub fn of(channel: Channel) -> Self {
        Self { channel, messages: Arc::default() }
    }

    /// Whether it sends nothing from now on.
    pub fn set_broken(&self, is_broken: bool) {
        lock(&self.messages).is_broken = is_broken;
    }

    /// Removes the channel from the rules.
    pub fn switch_off(&self) {
        lock(&self.messages).is_off = true;
    }

    /// The audiences with a confirmed subscription; before the first call, it has no subscriptions.
    pub fn set_audiences(&self, ids: &[&str]) {
        lock(&self.messages).audiences = Some(ids.iter().map(|id| (*id).to_owned()).collect());
    }

    /// The messages, in the order of sending.
    pub fn sent(&self) -> Vec<Rendered> {
        lock(&self.messages).sent.clone()
    }
}

#[async_trait]
impl AlertPublisher for MemoryPublisher {
    fn channel(&self) -> Channel {
        self.channel
    }

    fn is_on(&self, _rules: &RuleSet) -> bool {
        !lock(&self.messages).is_off
    }

    async fn publish(&self, _rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        let mut all = lock(&self.messages);
        if all.is_broken {
            let refused = |_| PublishOutcome::failed("the message was not sent", "failure injected by the test");
            return messages.iter().map(refused).collect();
        }
        all.sent.extend(messages.iter().map(|message| message.rendered.clone()));
        messages.iter().map(|_| PublishOutcome::default()).collect()
    }

    async fn subscribed_audiences(&self) -> Result<Option<BTreeSet<String>>, UnavailableError> {
        let messages = lock(&self.messages);
        if messages.is_broken {
            return Err(UnavailableError::new("the topic did not answer", "failure injected by the test"));
        }
        Ok(messages.audiences.clone())
    }
}

/// A state store.
#[derive(Clone, Debug, Default)]
pub struct MemoryState(Arc<Mutex<MemoryStateContent>>);

#[derive(Debug, Default)]
struct MemoryStateContent {
    documents: BTreeMap<String, MemoryDocument>,
    is_broken: bool,
    rate_limit_is_broken: bool,
    races_to_lose: usize,
}

/// A document of a [`MemoryState`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryDocument {
    /// Its text.
    pub body: String,
    /// How often it was written.
    pub version: u64,
    /// Its due time.
    pub due: Option<Timestamp>,
    /// Its entry in the index of zones that need attention.
    pub attention: Option<AttentionEntry>,
}

impl MemoryState {
    /// Whether all its calls fail from now on.
    pub fn set_broken(&self, is_broken: bool) {
        lock(&self.0).is_broken = is_broken;
    }

    /// Whether all loads and writes of the rate limit fail from now on. Other documents are not affected.
    pub fn set_rate_limit_broken(&self, is_broken: bool) {
        lock(&self.0).rate_limit_is_broken = is_broken;
    }

    /// The next `commits` are lost, whether or not another process has written.
    pub fn lose_next(&self, commits: usize) {
        lock(&self.0).races_to_lose = commits;
    }

    /// The documents, by key.
    pub fn documents(&self) -> BTreeMap<String, MemoryDocument> {
        lock(&self.0).documents.clone()
    }

    fn locked(&self, keys: &[String]) -> Result<MutexGuard<'_, MemoryStateContent>, UnavailableError> {
        let state = lock(&self.0);
        if state.is_broken || state.rate_limit_is_broken && keys.iter().any(|key| key == RATE_LIMIT) {
            return Err(UnavailableError::new("the state store did not respond", "failure injected by the test"));
        }
        Ok(state)
    }
}

#[async_trait]
impl StateStore for MemoryState {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        let state = self.locked(keys)?;
        let document =
            |found: &MemoryDocument| StateDocument { body: Some(found.body.clone()), version: found.version };
        Ok(keys.iter().map(|key| state.documents.get(key).map(document).unwrap_or_default()).collect())
    }

    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError> {
        let mut state = self.locked(&[key.to_owned()])?;
        if let Some(left) = state.races_to_lose.checked_sub(1) {
            state.races_to_lose = left;
            return Ok(Commit::Lost);
        }
        if state.documents.get(key).map_or(0, |found| found.version) != version {
            return Ok(Commit::Lost);
        }
        let IndexEntry { due, attention } = index;
        let document = MemoryDocument { body: body.to_owned(), version: version + 1, due, attention };
        state.documents.insert(key.to_owned(), document);
        Ok(Commit::Done)
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        let state = self.locked(&[])?;
        let due = state.documents.iter().filter_map(|(key, found)| Some((found.due.filter(|due| *due <= now)?, key)));
        let mut due: Vec<_> = due.collect();
        due.sort_unstable();
        Ok(due.into_iter().take(most).map(|(_, key)| key.clone()).collect())
    }

    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        let state = self.locked(&[])?;
        let mut entries: Vec<_> = state.documents.values().filter_map(|document| document.attention.clone()).collect();
        entries.sort_unstable();
        entries.truncate(most);
        Ok(entries)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panics while it holds the lock has failed already.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
