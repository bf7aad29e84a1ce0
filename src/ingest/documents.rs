//! State documents as values. One that cannot be read is left as it is, and nothing is decided without it.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ports::{Document, StateStore, UnavailableError};
use crate::domain::state::StateVersion;
use crate::telemetry::MEASURED;

/// When something last arrived, from anywhere.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Arrivals {
    v: StateVersion,
    pub(super) last: Option<Timestamp>,
}

impl Arrivals {
    pub(super) fn at(now: Timestamp) -> Self {
        Self { v: StateVersion, last: Some(now) }
    }
}

/// What a document says; nothing where it is not there.
pub(super) fn read<T: Default + DeserializeOwned>(key: &str, document: &Document) -> Result<T, UnavailableError> {
    let Some(body) = &document.body else { return Ok(T::default()) };
    serde_json::from_str(body).map_err(|fault| {
        tracing::error!(target: MEASURED, state_refused = 1, key, error = %fault, "what is remembered cannot be read");
        UnavailableError::new("what is remembered is not what this release writes", fault)
    })
}

/// The document of this key, and what it says.
pub(super) async fn load<T: Default + DeserializeOwned>(
    store: &dyn StateStore,
    key: &str,
) -> Result<(T, Document), UnavailableError> {
    let document = store.load(&[key.to_owned()]).await?.into_iter().next().unwrap_or_default();
    Ok((read(key, &document)?, document))
}

/// A document that says this.
pub(super) fn written(value: &impl Serialize) -> Result<String, UnavailableError> {
    serde_json::to_string(value)
        .map_err(|fault| UnavailableError::new("what is remembered does not become JSON", fault))
}
