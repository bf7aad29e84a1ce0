//! Reads and writes state documents as JSON. A document that cannot be read stays unchanged, and its
//! zone is not evaluated.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ports::{StateDocument, StateStore, UnavailableError};
use crate::domain::state::StateVersion;
use crate::telemetry::MEASURED;

/// When the last push arrived, from any device.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LastArrival {
    v: StateVersion,
    pub(super) last: Option<Timestamp>,
}

impl LastArrival {
    pub(super) fn at(now: Timestamp) -> Self {
        Self { v: StateVersion, last: Some(now) }
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

/// The JSON text of a document.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, UnavailableError> {
    serde_json::to_string(value).map_err(|error| UnavailableError::new("the state cannot be written as JSON", error))
}
