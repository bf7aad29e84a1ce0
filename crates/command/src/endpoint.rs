//! A client of a push endpoint.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use smartclean_push::ingest::ChannelReport;

use crate::{Failure, environment};

/// How long one request may take. A cold function answers within a few seconds, and API Gateway gives up after 30.
const TIMEOUT: Duration = Duration::from_secs(35);
/// Most bytes that are read of a response. Ours have a few hundred.
const MAX_RESPONSE: u64 = 64 * 1024;

/// A push endpoint, with connections that stay open.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: String,
    authorization: String,
    agent: ureq::Agent,
}

/// The response of an endpoint.
#[derive(Debug)]
pub(super) struct PushResponse {
    pub(super) status: u16,
    /// How long to wait before a retry, if the endpoint says so.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: String,
}

impl Endpoint {
    /// The endpoint at `url`, for at most so many connections, with the credentials of the environment.
    pub(super) fn open(url: &str, connections: usize) -> Result<Self, Failure> {
        let client = environment::client()?.ok_or_else(|| {
            Failure::new("set PUSH_USERNAME and PUSH_PASSWORD to the credentials that SmartClean was given")
        })?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections_per_host(connections)
            .build();
        let credentials = STANDARD.encode(format!("{}:{}", client.username, client.password.expose()));
        Ok(Self { url: url.to_owned(), authorization: format!("Basic {credentials}"), agent: agent.into() })
    }

    /// Pushes a body once. Fails if no response arrives.
    pub(super) fn push(&self, body: &[u8]) -> Result<PushResponse, ureq::Error> {
        let request = self.agent.post(&self.url).header("Authorization", &self.authorization);
        let response = request.header("Content-Type", "application/json").send(body)?;
        let status = response.status().as_u16();
        let seconds = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut body = String::new();
        // To its end, so that the connection can be used again.
        response.into_body().into_reader().take(MAX_RESPONSE).read_to_string(&mut body)?;
        Ok(PushResponse { status, retry_after: seconds.map(Duration::from_secs), body })
    }

    /// What each channel of a server did so far, by name. `None` for an endpoint that does not say.
    pub(super) fn channels(&self) -> Option<BTreeMap<String, ChannelReport>> {
        #[derive(Deserialize)]
        struct Health {
            channels: BTreeMap<String, ChannelReport>,
        }
        let url = format!("{}/health", self.url.strip_suffix("/push")?);
        let response = self.agent.get(&url).header("Authorization", &self.authorization).call().ok()?;
        let health = response.into_body().into_reader().take(MAX_RESPONSE);
        serde_json::from_reader(health).ok().map(|health: Health| health.channels)
    }

    /// The failure if a status says that the address or the credentials are wrong.
    pub(super) fn rejection(&self, status: u16) -> Option<Failure> {
        match status {
            401 | 403 => Some(Failure::new(format!(
                "the endpoint does not know these credentials ({status}). Compare PUSH_USERNAME and PUSH_PASSWORD with its \
                 credentials file or secret"
            ))),
            404 | 405 => Some(Failure::new(format!(
                "there is no push endpoint at {} ({status}). The URL ends in /push, as it is given to SmartClean",
                self.url
            ))),
            _ => None,
        }
    }

    /// The failure if no whole response arrives.
    pub(super) fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::new(format!(
            "{} does not answer: {error}. Is the address right, with http:// or https:// in front and /push at the end, and \
             does the endpoint run?",
            self.url
        ))
    }
}
