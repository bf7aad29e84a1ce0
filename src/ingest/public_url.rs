//! The URL of this receiver, for links in messages.

use std::fmt;
use std::net::IpAddr;
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
    /// Whether it is of this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.map_or(name == "localhost", |address| address.is_loopback() || address.is_unspecified())
    }

    /// Whether browsers send cookies of `__Host-` to it: over HTTPS, or on this machine.
    #[must_use]
    pub fn takes_cookies(&self) -> bool {
        self.0.starts_with("https://") || self.is_loopback()
    }

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
    /// Records the URL of an accepted push if it is new. After a failure, the next push does. A URL of this machine, such as
    /// that of a test, does not replace one that phones reach.
    pub(super) async fn record(&self, store: &dyn StateStore, url: Option<&PublicUrl>) {
        let Some(url) = url.filter(|_| self.configured.is_none()) else { return };
        if self.last().as_ref() == Some(url) {
            return;
        }
        let replace = |known: &mut Option<PublicUrl>| {
            if known.as_ref().is_none_or(|known| known.is_loopback() || !url.is_loopback()) {
                *known = Some(url.clone());
            }
            known.clone()
        };
        match within(RECORD_TIMEOUT, "the URL was not recorded in time", change(store, PUBLIC_URL, 0, replace)).await {
            Ok(known) => *self.last.lock().unwrap_or_else(PoisonError::into_inner) = known,
            Err(error) => tracing::warn!(error = %error.chain(), "URL of the push not recorded, the next push does"),
        }
    }

    /// The URL for links; `None` before the first push over HTTP.
    pub(super) async fn get(&self, store: &dyn StateStore) -> Result<Option<PublicUrl>, UnavailableError> {
        match self.configured.clone().or_else(|| self.last()) {
            Some(known) => Ok(Some(known)),
            None => Ok(load(store, PUBLIC_URL).await?.0),
        }
    }

    fn last(&self) -> Option<PublicUrl> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_this_machine_is_known() {
        let is_loopback = |text: &str| text.parse::<PublicUrl>().unwrap().is_loopback();
        for local in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://localhost:1",
            "http://[::1]:8080",
            "http://0.0.0.0:1",
            "https://[::1]",
        ] {
            assert!(is_loopback(local), "{local}");
        }
        for other in [
            "https://push.example.com",
            "http://10.0.0.5:8080",
            "http://localhost.example.com",
            "http://[2001:db8::1]:1",
        ] {
            assert!(!is_loopback(other), "{other}");
        }
    }

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
