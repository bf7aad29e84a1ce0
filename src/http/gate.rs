//! Who is it: from headers alone, before a byte of the body is looked at.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::RequestContext;
use super::attempts::Attempts;
use super::hashing::Hashing;
use super::problem::{Bearer, Challenge, Problem};
use crate::domain::auth::{Check, Credentials, Door, Doors, Login};
use crate::ingest::ports::{CredentialSource, chain};

/// Longest that a client's name is in the log, in characters. Anybody can send any.
const LONGEST_NAME: usize = 64;

/// The doors, with what tells who may come in by them.
#[derive(Debug)]
pub struct Gate<C> {
    credentials: C,
    doors: Doors,
    hashing: Hashing,
    attempts: Attempts,
}

/// What was sent to prove who it is.
enum Proof {
    Login(Login),
}

impl Proof {
    /// The name that was sent with it.
    fn name(&self) -> &str {
        match self {
            Self::Login(login) => &login.username,
        }
    }
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Wrong,
}

impl<C: CredentialSource> Gate<C> {
    /// Lets in by Basic authentication alone.
    pub fn new(credentials: C) -> Self {
        Self { credentials, doors: Doors::default(), hashing: Hashing::new(), attempts: Attempts::counted() }
    }

    /// With these doors open, and no others.
    #[must_use]
    pub fn with_doors(mut self, doors: Doors) -> Self {
        self.doors = doors;
        self
    }

    /// With refusals slowed after failed attempts from the same source. Not for where waiting is paid for.
    #[must_use]
    pub fn slowing(mut self) -> Self {
        self.attempts = Attempts::slowed();
        self
    }

    /// The open doors.
    pub fn doors(&self) -> Doors {
        self.doors
    }

    /// The name of the client that the headers prove the caller to be.
    pub(super) async fn caller(&self, headers: &HeaderMap, context: &RequestContext) -> Result<String, Problem> {
        let Some(proof) = self.proof(headers) else {
            let has_sent = headers.contains_key(AUTHORIZATION);
            return Err(self.refuse("", has_sent, self.challenge(false), context).await);
        };
        match self.proven(&proof, context).await? {
            Ok(name) => Ok(name),
            Err(Refusal::Wrong) => Err(self.refuse(proof.name(), true, self.challenge(false), context).await),
        }
    }

    fn proof(&self, headers: &HeaderMap) -> Option<Proof> {
        let sent = authorization(headers)?;
        let login = Login::of_basic(sent).filter(|_| self.doors.contains(Door::Basic));
        login.map(Proof::Login)
    }

    /// Whom a proof is of, by the credentials in force, and by newer ones where it is of nobody.
    async fn proven(&self, proof: &Proof, context: &RequestContext) -> Result<Result<String, Refusal>, Problem> {
        let known = self.credentials.current(context.received).await.map_err(|error| {
            tracing::error!(request_id = %context.request_id, error = %chain(&error), "credentials cannot be read");
            Problem::CredentialsUnavailable
        })?;
        let mut proven = self.prove(proof, &known, context).await?;
        // They may have been rotated since they were read.
        if proven.is_err()
            && let Some(newer) = self.credentials.refreshed(context.received).await
        {
            proven = self.prove(proof, &newer, context).await?;
        }
        if proven.is_ok() {
            self.attempts.succeeded(&context.source);
        }
        Ok(proven)
    }

    async fn prove(
        &self,
        proof: &Proof,
        known: &Credentials,
        context: &RequestContext,
    ) -> Result<Result<String, Refusal>, Problem> {
        match proof {
            Proof::Login(login) => self.login(login, known, context).await,
        }
    }

    async fn login(
        &self,
        login: &Login,
        known: &Credentials,
        context: &RequestContext,
    ) -> Result<Result<String, Refusal>, Problem> {
        let name = match known.check(login) {
            Check::Known(client) => Some(client.username.clone()),
            Check::Unknown => None,
            Check::Hashed(checks) => self.hashing.first_that_holds(checks).await.map_err(|_| {
                tracing::error!(request_id = %context.request_id, "too many password hashes wait to be checked");
                Problem::CredentialsUnavailable
            })?,
        };
        Ok(name.ok_or(Refusal::Wrong))
    }

    fn challenge(&self, had_token: bool) -> Challenge {
        let bearer = if had_token { Bearer::InvalidToken } else { Bearer::Asked };
        Challenge {
            basic: self.doors.contains(Door::Basic),
            bearer: Some(bearer).filter(|_| self.doors.contains(Door::Oauth)),
        }
    }

    /// Counts and logs a failure, and waits where that is asked for. Somebody who sent nothing has guessed nothing.
    async fn refuse(&self, name: &str, has_sent: bool, challenge: Challenge, context: &RequestContext) -> Problem {
        let RequestContext { request_id, source, received } = context;
        let failed_lately = if has_sent { self.attempts.failed(source, *received) } else { 0 };
        tracing::warn!(%request_id, %source, client = shown(name), failed_lately, "not authenticated");
        self.attempts.wait(failed_lately).await;
        Problem::Unauthorized(challenge)
    }
}

/// The one `Authorization` header. Two would leave it to us which one counts.
fn authorization(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    match (sent.next(), sent.next()) {
        (Some(header), None) => header.to_str().ok(),
        _ => None,
    }
}

/// A name as somebody sent it, fit for a log line.
fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_log_cannot_break_its_line_or_fill_it() {
        assert_eq!(shown("a\nb\u{1b}[31m"), "a\u{fffd}b\u{fffd}[31m");
        assert_eq!(shown(&"é".repeat(1000)), "é".repeat(64));
    }
}
