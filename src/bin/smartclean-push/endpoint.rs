//! A push endpoint, as a client sees it.

use std::io::Read;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smartclean_push::auth::Client;

/// How long one exchange may take: a cold function answers within a few seconds, and API Gateway gives up after 30.
const WITHIN: Duration = Duration::from_secs(35);
/// Most bytes that an answer may have; ours have a few hundred.
const LARGEST_ANSWER: u64 = 64 * 1024;

/// An endpoint with connections that are kept.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: String,
    authorization: String,
    agent: ureq::Agent,
}

/// What an endpoint answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    /// How long to wait before the same is sent again, where it says so.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: String,
}

impl Endpoint {
    /// The endpoint at `url`, with as many connections kept.
    pub(super) fn new(url: &str, client: &Client, connections: usize) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(WITHIN))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections_per_host(connections)
            .build();
        let pair = format!("{}:{}", client.username, client.password.expose());
        let authorization = format!("Basic {}", STANDARD.encode(pair));
        Self { url: url.to_owned(), authorization, agent: agent.into() }
    }

    /// Pushes a body once. Where nothing is answered, the error says why.
    pub(super) fn push(&self, body: &[u8]) -> Result<Answered, String> {
        let sent = self
            .agent
            .post(&self.url)
            .header("Authorization", &self.authorization)
            .header("Content-Type", "application/json")
            .send(body);
        let answer = sent.map_err(|fault| fault.to_string())?;
        let status = answer.status().as_u16();
        let seconds = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut body = String::new();
        // To its end, so that the connection can be used again.
        let read = answer.into_body().into_reader().take(LARGEST_ANSWER).read_to_string(&mut body);
        read.map_err(|fault| format!("the answer broke off: {fault}"))?;
        Ok(Answered { status, retry_after: seconds.map(Duration::from_secs), body })
    }

    /// What an answer means that says the address or the credentials are wrong, and what to do; `None` for any other.
    pub(super) fn wrong(&self, status: u16) -> Option<String> {
        match status {
            401 | 403 => Some(format!(
                "the endpoint does not know these credentials ({status}). Compare PUSH_USERNAME and PUSH_PASSWORD with its \
                 credentials file or secret"
            )),
            404 | 405 => Some(format!(
                "there is no push endpoint at {} ({status}). The URL ends in /push, as it is given to SmartClean",
                self.url
            )),
            _ => None,
        }
    }

    /// What it means that nothing is answered, and what to do.
    pub(super) fn silent(&self, why: &str) -> String {
        format!(
            "{} does not answer: {why}. Is the address right, with http:// or https:// in front and /push at the end, and \
             does the endpoint run?",
            self.url
        )
    }
}
