//! An outside issuer's keys: found by OpenID Connect Discovery, fetched over HTTPS, kept.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::cached_credentials::has_passed;
use super::https::{self, HttpsClient, Trust};
use super::signatures::is_signed;
use crate::domain::auth::{KeySet, Outside, Signed, is_safe};
use crate::ingest::ports::{IssuerKeys, Keys, Unavailable};

const NOT_FETCHED: &str = "the issuer's keys could not be fetched";
/// Unknown key ids make the keys be fetched again at most this often, however many come.
const UNKNOWN: SignedDuration = SignedDuration::from_secs(60);
/// Where none were ever fetched, trying again is worth more than sparing the issuer: every token is refused meanwhile.
const FIRST_FETCH_AGAIN: SignedDuration = SignedDuration::from_secs(5);
/// Known ones make them be fetched again this often, so that a key that was withdrawn stops counting.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);
/// Longest that fetching takes, both documents together. A push waits for it.
pub(super) const FETCHED_WITHIN: Duration = Duration::from_secs(2);
/// Most bytes of a document. The largest issuers' sets have some 20 KB.
const MOST_BYTES: usize = 256 * 1024;

/// The keys of one issuer, as last fetched. Whatever goes wrong later, the last ones stay.
pub struct OutsideIssuer {
    client: HttpsClient<Empty<Bytes>>,
    issuer: String,
    fetched: RwLock<Option<(Arc<KeySet>, Timestamp)>>,
    /// When the last attempt began. Held while fetching, so that everybody who needs it shares it.
    attempts: Mutex<Option<Timestamp>>,
}

impl fmt::Debug for OutsideIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutsideIssuer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl OutsideIssuer {
    /// The issuer of `outside`; it is not asked yet.
    ///
    /// # Errors
    /// Where this machine is asked for its certificates, and has none.
    pub fn new(outside: &Outside, trust: Trust) -> io::Result<Self> {
        let client = https::client(trust, None)?;
        Ok(Self { client, issuer: outside.issuer.clone(), fetched: RwLock::default(), attempts: Mutex::default() })
    }

    fn fetched(&self) -> Option<(Arc<KeySet>, Timestamp)> {
        self.fetched.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn fetch(&self) -> Result<KeySet, Unavailable> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let wrong = |what: &str| Unavailable::new(NOT_FETCHED, what.to_owned());
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovery: Discovery =
            serde_json::from_slice(&self.get(&address).await?).map_err(|fault| Unavailable::new(NOT_FETCHED, fault))?;
        // OpenID Connect Discovery §4.3: who says to be somebody else is not to be believed.
        if discovery.issuer != self.issuer {
            return Err(wrong("the discovery document names another issuer"));
        }
        if !is_safe(&discovery.jwks_uri) {
            return Err(wrong("the keys are not at an https:// address"));
        }
        let keys = self.get(&discovery.jwks_uri).await?;
        let keys = std::str::from_utf8(&keys).ok().and_then(KeySet::parse);
        keys.ok_or_else(|| wrong("the keys are not a JSON Web Key Set"))
    }

    async fn get(&self, address: &str) -> Result<Bytes, Unavailable> {
        let fault = |fault: Box<dyn std::error::Error + Send + Sync>| Unavailable::new(NOT_FETCHED, fault);
        let address: Uri = address.parse().map_err(|wrong: http::uri::InvalidUri| fault(wrong.into()))?;
        let request = Request::get(address).header("accept", "application/json").body(Empty::new());
        let answer = self.client.request(request.map_err(|wrong| fault(wrong.into()))?).await;
        let answer = answer.map_err(|wrong| fault(wrong.into()))?;
        if answer.status() != http::StatusCode::OK {
            return Err(Unavailable::new(NOT_FETCHED, format!("answered {}", answer.status())));
        }
        Ok(Limited::new(answer.into_body(), MOST_BYTES).collect().await.map_err(fault)?.to_bytes())
    }

    /// Fetches them now, and keeps them. What fails is logged, and leaves the last ones.
    async fn renew(&self, attempt: &mut Option<Timestamp>, now: Timestamp) -> Result<Arc<KeySet>, Unavailable> {
        *attempt = Some(now);
        let keys = match tokio::time::timeout(FETCHED_WITHIN, self.fetch()).await {
            Ok(fetched) => fetched,
            Err(late) => Err(Unavailable::new(NOT_FETCHED, late)),
        };
        let keys = Arc::new(keys.inspect_err(|fault| {
            tracing::warn!(
                issuer = self.issuer,
                fault = fault.chain(),
                "the issuer's keys could not be fetched; the last ones stay"
            );
        })?);
        *self.fetched.write().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(&keys), now));
        Ok(keys)
    }

    async fn current(&self, kid: Option<&str>, now: Timestamp) -> Result<Arc<KeySet>, Unavailable> {
        let is_enough =
            |(keys, at): &(Arc<KeySet>, Timestamp)| keys.knows(kid) && !has_passed(LIFETIME, Some(*at), now);
        if let Some((keys, _)) = self.fetched().filter(is_enough) {
            return Ok(keys);
        }
        let mut attempt = self.attempts.lock().await;
        // Whoever had the lock before may have brought them.
        if let Some((keys, _)) = self.fetched().filter(is_enough) {
            return Ok(keys);
        }
        let last = self.fetched().map(|(keys, _)| keys);
        let again = if last.is_some() { UNKNOWN } else { FIRST_FETCH_AGAIN };
        if !has_passed(again, *attempt, now) {
            return last.ok_or_else(|| Unavailable::new(NOT_FETCHED, "the last attempt failed a moment ago"));
        }
        match self.renew(&mut attempt, now).await {
            Ok(keys) => Ok(keys),
            Err(fault) => last.ok_or(fault),
        }
    }
}

impl IssuerKeys for OutsideIssuer {
    fn keys<'a>(&'a self, kid: Option<&'a str>, now: Timestamp) -> Keys<'a> {
        Box::pin(self.current(kid, now))
    }

    fn is_signed(&self, signed: &Signed<'_>) -> bool {
        is_signed(signed)
    }
}
