//! Restores a lost state store from the result of a replay of stored readings.
//!
//! The replay runs on another store, and its result is copied. A replay on the live store would put zones into the past for
//! a while, and the sweep of the live receiver would send alerts about it.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::evaluator::CONCURRENT;
use super::ports::{AttentionEntry, Commit, IndexEntry, StateDocument, StateStore, UnavailableError};
use super::projects;
use super::state_documents::read;
use crate::domain::state::{ZoneKey, ZoneState};

/// A state document from a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedDocument {
    /// Its key.
    pub key: String,
    /// Its JSON text.
    pub body: String,
    /// Time of its next action.
    pub due: Option<Timestamp>,
}

/// Result of a restore. Keys are in no order.
#[derive(Debug, Default)]
pub struct Restored {
    /// Number of zones that were written.
    pub written: usize,
    /// Keys of zones that exist in the store already; they are unchanged.
    pub kept: Vec<String>,
    /// Keys of documents that could not be written, each with the error.
    pub failed: Vec<(String, UnavailableError)>,
}

/// Writes each document that does not exist in `store`. An existing zone is replaced only if it still has its version in
/// `replaceable`, which was read before the history, and it has nothing to send or to archive. Calls `progress` once per document.
///
/// Safe to repeat, and safe beside pushes and sweeps.
pub async fn restore(
    documents: Vec<ReplayedDocument>,
    store: &dyn StateStore,
    replaceable: &HashMap<String, u64>,
    progress: impl Fn(),
) -> Restored {
    // Projects first, so that a cleaning finds every zone that exists.
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
            let stored = store.load(std::slice::from_ref(key)).await?.pop().unwrap_or_default();
            let state: ZoneState = read(key, &stored)?;
            if stored.version != *version || !state.outbox.is_empty() || !state.lives.facts().is_empty() {
                return Ok(Commit::Lost);
            }
            *version
        }
        None => 0,
    };
    let mut index = IndexEntry::from(*due);
    if ZoneKey::is_key(key) {
        let document = StateDocument { body: Some(body.clone()), version };
        index.attention = AttentionEntry::of(key, &read(key, &document)?)?;
    }
    store.commit(key, version, body, index).await
}
