//! Reads and writes state documents as JSON. A document that cannot be read stays unchanged, and its
//! zone is not evaluated.

use std::time::Duration;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ports::{Commit, IndexEntry, StateDocument, StateStore, UnavailableError};
use crate::domain::state::StateVersion;
use crate::telemetry::MEASURED;

/// Retries of a compare-and-swap after another writer was first.
pub(super) const RETRIES: u32 = 5;
/// Upper bound of the first backoff in milliseconds. It doubles with each retry.
const FIRST_BACKOFF_MS: u64 = 10;
/// How often the backoff doubles in [`change`]. With a higher bound, writers that lost often would pause while others win.
const MAX_DOUBLINGS: u32 = 3;

/// Key of the document with the time of the last push.
pub(super) const ARRIVALS: &str = "arrivals";

/// When the last push arrived, from any device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LastArrival {
    v: StateVersion,
    pub(super) last: Option<Timestamp>,
}

/// Key of the document with the audiences that have a confirmed subscription.
pub(super) const SUBSCRIBED_AUDIENCES: &str = "subscribed-audiences";

/// The ids of the audiences that have a confirmed subscription.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SubscribedAudiences {
    v: StateVersion,
    pub(super) ids: BTreeSet<String>,
}

/// Loads the ids of the audiences that have a confirmed subscription; none if they are not known.
pub(super) async fn subscribed_audiences(store: &dyn StateStore) -> BTreeSet<String> {
    match load::<SubscribedAudiences>(store, SUBSCRIBED_AUDIENCES).await {
        Ok((subscribed, _)) => subscribed.ids,
        Err(error) => {
            tracing::warn!(error = %error.chain(), "subscribed audiences not known, messages go to everybody");
            BTreeSet::new()
        }
    }
}

/// Parses a document; returns the default if it does not exist.
pub(super) fn read<T: Default + DeserializeOwned>(key: &str, document: &StateDocument) -> Result<T, UnavailableError> {
    let Some(body) = &document.body else { return Ok(T::default()) };
    serde_json::from_str(body).map_err(|error| {
        tracing::error!(target: MEASURED, state_refused = 1, key, error = %error, "state document not readable");
        UnavailableError::new("the state document was written by another release, or is damaged", error)
    })
}

/// Loads and parses the document with this key.
pub(super) async fn load<T: Default + DeserializeOwned>(
    store: &dyn StateStore,
    key: &str,
) -> Result<(T, StateDocument), UnavailableError> {
    let document = store.load(&[key.to_owned()]).await?.into_iter().next().unwrap_or_default();
    Ok((read(key, &document)?, document))
}

/// Changes the document with this key by compare-and-swap. Returns what `change` returns, which is called again after a lost
/// one, at most `retries` times. An unchanged document is not written.
pub(super) async fn change<T: Clone + Default + PartialEq + Serialize + DeserializeOwned + Send, R: Send>(
    store: &dyn StateStore,
    key: &str,
    retries: u32,
    change: impl Fn(&mut T) -> R + Send,
) -> Result<R, UnavailableError> {
    for attempt in 0..=retries {
        let (before, document) = load::<T>(store, key).await?;
        let mut value = before.clone();
        let result = change(&mut value);
        if value == before {
            return Ok(result);
        }
        match store.commit(key, document.version, &to_json(&value)?, IndexEntry::default()).await? {
            Commit::Done => return Ok(result),
            Commit::Lost if attempt == retries => break,
            Commit::Lost => backoff(attempt.min(MAX_DOUBLINGS)).await,
        }
    }
    Err(UnavailableError::new("a state document could not be written", "other writers were first in all attempts"))
}

/// Waits for a random time, so that two writers do not collide again. Its upper bound doubles with each attempt.
pub(super) async fn backoff(attempt: u32) {
    let milliseconds = fastrand::u64(1..=(FIRST_BACKOFF_MS << attempt));
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// The JSON text of a document.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, UnavailableError> {
    serde_json::to_string(value).map_err(|error| UnavailableError::new("the state cannot be written as JSON", error))
}
