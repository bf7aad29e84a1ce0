//! The URL of this receiver, for links in messages.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use serde::{Deserialize, Serialize};

use super::ports::{PUBLIC_URL, StateStore, UnavailableError, within};
use super::state_documents::{change, load};

/// Time limit for recording the URL of a push. Shorter than the one of its evaluation, which runs beside it.
const RECORD_TIMEOUT: Duration = Duration::from_secs(1);

/// The URL of a receiver: scheme and host, perhaps with a port, without a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicUrl(String);

/// A text is no URL of a receiver. A retry cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write scheme and host without a path, for example https://push.example.com")]
pub struct PublicUrlError;

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        let uri: Uri = text.parse().map_err(|_| PublicUrlError)?;
        let (scheme, host) = uri.scheme_str().zip(uri.authority()).ok_or(PublicUrlError)?;
        let is_plain = matches!(scheme, "http" | "https") && uri.path() == "/" && !text.contains(['?', '#']);
        // The URL stands in texts for people.
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        let has_port = host.as_str() != host.host();
        if !is_plain || !host.as_str().chars().all(is_safe) || has_port && host.port_u16().is_none() {
            return Err(PublicUrlError);
        }
        Ok(Self(format!("{scheme}://{host}")))
    }
}

impl PublicUrl {
    /// The host, with the port if it has one.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, host)| host)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The URL of this receiver, as this process knows it.
#[derive(Debug, Default)]
pub(super) struct KnownUrl {
    /// The one that the operator has set.
    pub(super) configured: Option<PublicUrl>,
    /// The one of the last accepted push of this process. It saves a lookup per push.
    last: Mutex<Option<PublicUrl>>,
}

impl KnownUrl {
    /// Records the URL of an accepted push if it is new. After a failure, the next push does.
    pub(super) async fn record(&self, store: &dyn StateStore, url: Option<&PublicUrl>) {
        let Some(url) = url.filter(|_| self.configured.is_none()) else { return };
        if self.set_last(Some(url)).as_ref() == Some(url) {
            return;
        }
        let recording = change(store, PUBLIC_URL, 0, |known| *known = Some(url.clone()));
        if let Err(error) = within(RECORD_TIMEOUT, "the URL was not recorded in time", recording).await {
            tracing::warn!(error = %error.chain(), "URL of the push not recorded, the next push does");
            self.set_last(None);
        }
    }

    /// The URL for links; `None` before the first push over HTTP.
    pub(super) async fn get(&self, store: &dyn StateStore) -> Result<Option<PublicUrl>, UnavailableError> {
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.configured.clone().or_else(last) {
            Some(known) => Ok(Some(known)),
            None => Ok(load(store, PUBLIC_URL).await?.0),
        }
    }

    /// Replaces the last one, and returns the previous one.
    fn set_last(&self, url: Option<&PublicUrl>) -> Option<PublicUrl> {
        std::mem::replace(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner), url.cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_scheme_and_host() {
        for (text, expected) in [
            ("https://push.example.com", "https://push.example.com"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://[::1]", "https://[::1]"),
        ] {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!(
                (url.to_string().as_str(), url.host()),
                (expected, &expected[expected.find("//").unwrap() + 2..])
            );
        }
        for wrong in [
            "",
            "push.example.com",
            "/board",
            "ftp://push.example.com",
            "javascript:alert(1)",
            "https://",
            "https://push.example.com/board",
            "https://push.example.com?a=b",
            "https://push.example.com#top",
            "https://me@push.example.com",
            "https://push.example.com:",
            "https://push.example.com:99999",
            "https://push.example.com\"onclick",
            "https://push example.com",
            "https://<script>",
            "https://a'b",
            "https://a&b",
        ] {
            assert_eq!(wrong.parse::<PublicUrl>(), Err(PublicUrlError), "{wrong}");
        }
    }
}
