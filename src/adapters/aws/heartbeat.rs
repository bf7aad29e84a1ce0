//! A call to a service outside AWS that raises an alarm if no call comes, such as healthchecks.io.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Empty;

use super::https::{self, Trust};
use crate::ingest::ports::chain;

/// Longest that a call takes; the sweep has to end before the next one begins.
const LONGEST: Duration = Duration::from_secs(10);

/// Calls one URL. Its address is a secret: whoever knows it can keep the alarm quiet.
pub struct Heartbeat {
    trust: Trust,
    url: Uri,
}

impl Heartbeat {
    /// Calls `url`, whose server has a certificate that `trust` believes.
    #[must_use]
    pub fn new(trust: Trust, url: Uri) -> Self {
        Self { trust, url }
    }

    /// Calls the URL once. A failure is logged, and has no other consequence: the next sweep calls again.
    pub async fn send(&self) {
        match tokio::time::timeout(LONGEST, self.call()).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => tracing::warn!(error, "heartbeat not delivered"),
            Err(_) => tracing::warn!(error = "no answer within 10 s", "heartbeat not delivered"),
        }
    }

    async fn call(&self) -> Result<(), String> {
        // A connection would not outlast the minute to the next call.
        let client = https::client::<Empty<Bytes>>(self.trust, LONGEST).map_err(|error| chain(&error))?;
        let answer = client.get(self.url.clone()).await.map_err(|error| chain(&error))?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("the answer was {}", answer.status())) }
    }
}
