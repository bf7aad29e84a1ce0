//! Restores a state store that was lost: writes what a replay of the stored readings has made.
//!
//! The replay feeds another store, and its result is copied. Fed directly, zones would be in the past for a while, and the
//! sweep of a live receiver would send alerts about it.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::documents::read;
use super::evaluator::CONCURRENT;
use super::ports::{Commit, StateStore, UnavailableError};
use super::projects;
use crate::domain::state::{ZoneKey, ZoneState};

/// A state document that a replay has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedDocument {
    /// Its key.
    pub key: String,
    /// Its text.
    pub body: String,
    /// When something about it is due next.
    pub due: Option<Timestamp>,
}

/// What was restored. Keys are in no order.
#[derive(Debug, Default)]
pub struct Restored {
    /// Zones that were written.
    pub written: usize,
    /// Keys of zones that the store has already; they are left as they are.
    pub kept: Vec<String>,
    /// Keys of documents that could not be written, and why.
    pub failed: Vec<(String, UnavailableError)>,
}

/// Writes each document that `store` does not have. A zone that it has is left as it is, unless it still has the version in
/// `replaceable`, which was read before the history was, and no message of it waits. `progress` is called for each document.
///
/// Safe to run again, and beside pushes and sweeps.
pub async fn restore(
    documents: Vec<ReplayedDocument>,
    store: &dyn StateStore,
    replaceable: &HashMap<String, u64>,
    progress: impl Fn(),
) -> Restored {
    // Before the zones themselves, so that a zone that is known is always found.
    let (lists, others): (Vec<_>, Vec<_>) = documents.into_iter().partition(|document| projects::is_key(&document.key));
    let mut restored = Restored::default();
    for documents in [lists, others] {
        let writes = documents.into_iter().map(|document| async move {
            let outcome = write(&document, store, replaceable).await;
            (document.key, outcome)
        });
        let mut outcomes = stream::iter(writes).buffer_unordered(CONCURRENT);
        while let Some((key, outcome)) = outcomes.next().await {
            progress();
            match outcome {
                Ok(_) if !ZoneKey::is_key(&key) => {}
                Ok(Commit::Done) => restored.written += 1,
                Ok(Commit::Lost) => restored.kept.push(key),
                Err(error) => restored.failed.push((key, error)),
            }
        }
    }
    restored
}

async fn write(
    ReplayedDocument { key, body, due }: &ReplayedDocument,
    store: &dyn StateStore,
    replaceable: &HashMap<String, u64>,
) -> Result<Commit, UnavailableError> {
    if projects::is_key(key) {
        projects::restore_projects(store, key, body).await?;
        return Ok(Commit::Done);
    }
    let version = match replaceable.get(key).filter(|_| ZoneKey::is_key(key)) {
        Some(version) => {
            let found = store.load(std::slice::from_ref(key)).await?.pop().unwrap_or_default();
            let state: ZoneState = read(key, &found)?;
            if found.version != *version || !state.outbox.is_empty() {
                return Ok(Commit::Lost);
            }
            *version
        }
        None => 0,
    };
    store.commit(key, version, body, *due).await
}
