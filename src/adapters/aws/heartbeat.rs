//! A dead man's switch: calls a monitoring service outside AWS that raises an alarm if no call comes, such as healthchecks.io.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Empty;

use super::https::{self, Trust};
use crate::ingest::ports::chain;

/// For one call: the sweep has to end before the next one begins.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls one URL. The URL is a secret: anybody who knows it can keep the alarm silent.
pub struct Heartbeat {
    /// The root certificates.
    pub trust: Trust,
    /// The URL.
    pub url: Uri,
}

impl Heartbeat {
    /// Calls the URL once. A failure is only logged: the next sweep calls again.
    pub async fn send(&self) {
        match tokio::time::timeout(HEARTBEAT_TIMEOUT, self.call()).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => tracing::warn!(error, "heartbeat not delivered"),
            Err(_) => tracing::warn!(error = "no response within 10 s", "heartbeat not delivered"),
        }
    }

    async fn call(&self) -> Result<(), String> {
        // A new client each time: a connection would not stay open for the minute until the next call.
        let client = https::client::<Empty<Bytes>>(self.trust, HEARTBEAT_TIMEOUT).map_err(|error| chain(&error))?;
        let response = client.get(self.url.clone()).await.map_err(|error| chain(&error))?;
        if response.status().is_success() { Ok(()) } else { Err(format!("the response was {}", response.status())) }
    }
}
