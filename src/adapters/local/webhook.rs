//! A signed webhook, as [Standard Webhooks](https://www.standardwebhooks.com) defines it. The body is a line of `alerts.ndjson`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;
use tower_service::Service;

use crate::auth::WebhookKey;
use crate::domain::rules::RuleSet;
use crate::domain::rules::channels::{Webhook, is_reachable};
use crate::domain::state::Channel;
use crate::ingest::ports::{AlertPublisher, CredentialSource, OutgoingMessage, PublishOutcome, Refusal, chain};

/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Calls the webhook of the rules.
pub struct WebhookPublisher {
    /// The credentials, whose secrets contain the key.
    pub credentials: Arc<dyn CredentialSource>,
}

/// A client that refuses other addresses than [`is_reachable`] ones, and follows no redirects.
type HttpsClient = Client<HttpsConnector<HttpConnector<ReachableResolver>>, Full<Bytes>>;

impl WebhookPublisher {
    async fn call_each(
        &self,
        webhook: &Webhook,
        messages: &[OutgoingMessage],
        outcomes: &mut Vec<PublishOutcome>,
    ) -> Result<(), Down> {
        let key = self.key(&webhook.secret).await?;
        let client = client().map_err(|error| error.to_string())?;
        for message in messages {
            outcomes.push(call(&client, webhook, &key, message).await?);
        }
        Ok(())
    }

    async fn key(&self, secret: &str) -> Result<WebhookKey, String> {
        let known = self.credentials.current(Timestamp::now()).await.map_err(|error| chain(&error))?;
        let key = known.secret(secret).and_then(WebhookKey::parse);
        key.ok_or_else(|| format!("the credentials have no secret \"{secret}\" of the form whsec_…"))
    }
}

#[async_trait]
impl AlertPublisher for WebhookPublisher {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn is_on(&self, rules: &RuleSet) -> bool {
        rules.webhook.is_some()
    }

    async fn publish(&self, rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        let mut outcomes = Vec::new();
        if let Some(webhook) = &rules.webhook
            && let Err(Down { error, retry_after }) = self.call_each(webhook, messages, &mut outcomes).await
        {
            // The others would fail in the same way.
            outcomes.resize_with(messages.len(), || PublishOutcome {
                retry_after,
                ..PublishOutcome::failed(NOT_SENT, error.clone())
            });
        }
        outcomes
    }
}

const NOT_SENT: &str = "the webhook did not take the message";

/// The receiver takes no message for now.
struct Down {
    error: String,
    retry_after: Option<SignedDuration>,
}

impl From<String> for Down {
    fn from(error: String) -> Self {
        Self { error, retry_after: None }
    }
}

/// Calls the webhook once.
async fn call(
    client: &HttpsClient,
    webhook: &Webhook,
    key: &WebhookKey,
    message: &OutgoingMessage,
) -> Result<PublishOutcome, Down> {
    let (id, body) = (message.rendered.id.as_str(), message.rendered.record().to_string());
    let timestamp = Timestamp::now().as_second();
    let request = Request::post(&webhook.url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", key.sign(id, timestamp, &body))
        .body(Full::from(body))
        .map_err(|error| error.to_string())?;
    let response = match timeout(CALL_TIMEOUT, client.request(request)).await {
        Ok(response) => response.map_err(|error| chain(&error))?,
        Err(_) => return Err(Down::from(format!("no response within {} s", CALL_TIMEOUT.as_secs()))),
    };
    let status = response.status();
    Ok(match status {
        _ if status.is_success() => PublishOutcome { reply: Some(status.to_string()), ..PublishOutcome::default() },
        StatusCode::GONE => {
            let refusal = Refusal { recipient: webhook.origin(), reply: status.to_string() };
            PublishOutcome { refusals: vec![refusal], ..PublishOutcome::default() }
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            return Err(Down { error: status.to_string(), retry_after: retry_after(response.headers()) });
        }
        _ if status.is_redirection() => PublishOutcome::failed(
            NOT_SENT,
            format!("{status}, and redirects are not followed: write the URL that it leads to"),
        ),
        _ => PublishOutcome::failed(NOT_SENT, status.to_string()),
    })
}

/// The time that `Retry-After` names, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<SignedDuration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = text.parse().ok().map(SignedDuration::from_secs);
    seconds.or_else(|| {
        let date = httpdate::parse_http_date(text).ok()?;
        Some(Timestamp::try_from(date).ok()?.duration_since(Timestamp::now()))
    })
}

/// Trusts the machine's certificates, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
fn client() -> io::Result<HttpsClient> {
    let mut tcp = HttpConnector::new_with_resolver(ReachableResolver);
    tcp.enforce_http(false);
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
        .https_only()
        .enable_http1()
        .wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new()).build(https))
}

/// Resolves names to the addresses to which messages may be sent.
#[derive(Clone)]
struct ReachableResolver;

impl Service<Name> for ReachableResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        async move {
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let reachable: Vec<SocketAddr> = addresses.filter(|address| is_reachable(address.ip())).collect();
            if reachable.is_empty() {
                return Err(io::Error::other(format!("{name} has only unspecified or link-local addresses")));
            }
            Ok(reachable.into_iter())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Option<SignedDuration> {
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]))
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        assert_eq!(parsed("120"), Some(SignedDuration::from_secs(120)));
        let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3600));
        assert!((3500..=3600).contains(&parsed(&date).unwrap().as_secs()), "{date}");
        assert_eq!((parsed("soon"), parsed("")), (None, None));
    }

    #[tokio::test]
    async fn a_name_with_link_local_addresses_alone_is_refused() {
        let addresses = |name: &str| ReachableResolver.call(name.parse().unwrap());
        assert!(addresses("localhost").await.unwrap().count() > 0);
        for refused in ["169.254.169.254", "0.0.0.0", "fe80::1"] {
            let error = addresses(refused).await.unwrap_err();
            assert!(error.to_string().contains("link-local"), "{error}");
        }
    }
}
