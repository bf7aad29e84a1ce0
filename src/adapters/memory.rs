//! Everything in memory: for tests and benchmarks, where the world must do as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::domain::alert::render::Rendered;
use crate::domain::archive::Object;
use crate::domain::auth::Credentials;
use crate::domain::rules::RuleSet;
use crate::ingest::ports::{AlertPublisher, CredentialSource, RawStore, RuleSource, Stored, Unavailable};

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
