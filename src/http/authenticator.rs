//! Who is it: from headers alone, before a byte of the body is looked at.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::Timestamp;

use super::hashing::Hashing;
use super::login_limit::{Limited, LoginLimit};
use super::origin::own_host;
use super::problem::{Bearer, Challenge, Problem};
use super::refusal_log::{RefusalLine, RefusalLog};
use crate::auth::{AuthMethod, AuthMethods, Check, Credentials, Login, SharedAccess, TokenError};
use crate::domain::display::is_hidden;
use crate::ingest::RequestInfo;
use crate::ingest::ports::{CredentialSource, chain};
use crate::telemetry::MEASURED;

/// Longest that a client's name is in the log, in characters. Anybody can send any.
const LONGEST_NAME: usize = 64;
/// Why a password or a signature is refused.
const WRONG: &str = "unknown or wrong";

/// Authenticates requests by the enabled auth methods.
pub struct Authenticator {
    credentials: Box<dyn CredentialSource>,
    auth_methods: AuthMethods,
    public_host: Option<String>,
    hashing: Hashing,
    login_limit: LoginLimit,
    refusals: RefusalLog,
}

/// What was sent to prove who it is.
enum Proof {
    Login(Login),
    Token(String),
    Signature { header: String, sent: SharedAccess, host: String, path: String },
}

impl Proof {
    /// What somebody could guess: a password, or a signature by a short key. Tokens are signed by 256 bits.
    fn guessable(&self, known: &Credentials) -> Option<[&str; 2]> {
        match self {
            Self::Login(login) => Some([&login.username, login.password.expose()]),
            Self::Signature { header, sent, .. } => (!known.has_long_key_of(sent)).then_some(["", header]),
            Self::Token(_) => None,
        }
    }

    /// The name that was sent with it.
    fn name(&self) -> &str {
        match self {
            Self::Login(login) => &login.username,
            Self::Token(_) => "",
            Self::Signature { sent, .. } => &sent.key_name,
        }
    }
}

/// Why nobody is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The password or the signature is wrong, or its owner unknown.
    Wrong,
    /// The token is wrong.
    Token(TokenError),
    /// It could not be checked.
    Unchecked(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Unchecked(problem)
    }
}

impl Refusal {
    /// Whether newer credentials may know better.
    fn may_pass(self) -> bool {
        matches!(self, Self::Wrong | Self::Token(TokenError::Signature | TokenError::Client))
    }
}

impl Authenticator {
    /// Lets in by Basic authentication alone.
    pub fn new(credentials: Box<dyn CredentialSource>) -> Self {
        Self {
            credentials,
            auth_methods: AuthMethods::default(),
            public_host: None,
            hashing: Hashing::new(),
            login_limit: LoginLimit::new(),
            refusals: RefusalLog::default(),
        }
    }

    /// Enables these auth methods and no others.
    #[must_use]
    pub fn with_auth_methods(mut self, auth_methods: AuthMethods) -> Self {
        self.auth_methods = auth_methods;
        self
    }

    /// Takes signatures for this host. Without one, a signature has to be for the host that the header `Host` names: only if
    /// the client cannot choose that, as behind API Gateway.
    #[must_use]
    pub fn with_public_host(mut self, host: Option<String>) -> Self {
        self.public_host = host;
        self
    }

    /// The enabled auth methods.
    pub fn auth_methods(&self) -> AuthMethods {
        self.auth_methods
    }

    /// The name of the client that the headers authenticate, by a password or a token.
    pub(super) async fn caller(&self, headers: &HeaderMap, context: &RequestInfo) -> Result<String, Problem> {
        self.admitted(self.proof(headers), self.challenge(Bearer::Asked), context).await
    }

    /// The name of the client whose token the host has verified.
    pub(super) fn verified_client(&self, context: &RequestInfo) -> Result<String, Problem> {
        let client = context.verified_client.as_deref().map(shown);
        client.ok_or_else(|| {
            self.without_guess("", "no token that API Gateway has verified", context, Problem::NoVerifiedToken)
        })
    }

    /// The name of the key that signed a call of Event Hubs'.
    pub(super) async fn sender(&self, parts: &Parts, context: &RequestInfo) -> Result<String, Problem> {
        let signature = |header: &str| {
            let host = self.public_host.clone().unwrap_or_else(|| own_host(parts).to_owned());
            let path = parts.uri.path().to_owned();
            Some(Proof::Signature { sent: SharedAccess::of_header(header)?, header: header.to_owned(), host, path })
        };
        let challenge = Challenge { basic: false, bearer: None, signature: true };
        self.admitted(authorization(&parts.headers).and_then(signature), challenge, context).await
    }

    /// The client of a proof. `challenge` is what a 401 asks for.
    async fn admitted(
        &self,
        proof: Option<Proof>,
        challenge: Challenge,
        context: &RequestInfo,
    ) -> Result<String, Problem> {
        let Some(proof) = proof else {
            return Err(self.without_guess("", "no usable header", context, Problem::Unauthorized(challenge)));
        };
        self.authenticated(std::slice::from_ref(&proof), context).await.map_err(|refusal| match refusal {
            Refusal::Token(TokenError::Scope) => {
                tracing::warn!(request_id = %context.request_id, source = %context.source, "a token without the scope");
                Problem::InsufficientScope
            }
            Refusal::Token(fault) => {
                let problem = Problem::Unauthorized(self.challenge(Bearer::InvalidToken));
                self.without_guess(proof.name(), &fault.to_string(), context, problem)
            }
            Refusal::Wrong if matches!(proof, Proof::Signature { .. }) => {
                self.without_guess(proof.name(), WRONG, context, Problem::Unauthorized(challenge))
            }
            Refusal::Wrong => self.refuse(proof.name(), WRONG, context, challenge),
            Refusal::Unchecked(problem) => problem,
        })
    }

    /// The client that asks for tokens by one of these logins; `None` if all are wrong.
    pub(super) async fn client(&self, logins: Vec<Login>, context: &RequestInfo) -> Result<Option<String>, Problem> {
        let proofs: Vec<_> = logins.into_iter().map(Proof::Login).collect();
        match self.authenticated(&proofs, context).await {
            Ok(client) => Ok(Some(client)),
            Err(Refusal::Unchecked(problem)) => Err(problem),
            Err(Refusal::Wrong | Refusal::Token(_)) => {
                let name = proofs.first().map_or("", Proof::name);
                self.refuse(name, "no client that may have tokens", context, self.challenge(Bearer::Asked));
                Ok(None)
            }
        }
    }

    /// The credentials in force.
    pub(super) async fn credentials(&self, context: &RequestInfo) -> Result<Arc<Credentials>, Problem> {
        self.credentials.current(context.received).await.map_err(|error| {
            tracing::error!(request_id = %context.request_id, error = %chain(&error), "credentials cannot be read");
            Problem::CredentialsUnavailable
        })
    }

    /// Newer credentials than those in force a moment ago, where there are any.
    pub(super) async fn newer_credentials(&self, context: &RequestInfo) -> Option<Arc<Credentials>> {
        self.credentials.refreshed(context.received).await
    }

    fn proof(&self, headers: &HeaderMap) -> Option<Proof> {
        let sent = authorization(headers)?;
        if let Some(login) = Login::of_basic(sent).filter(|_| self.auth_methods.contains(AuthMethod::Basic)) {
            return Some(Proof::Login(login));
        }
        let (scheme, token) = sent.trim().split_once(' ')?;
        let is_token = scheme.eq_ignore_ascii_case("bearer") && self.auth_methods.contains(AuthMethod::Oauth);
        is_token.then(|| Proof::Token(token.trim().to_owned()))
    }

    /// The client of the first right proof, by the credentials in force, and by newer ones if they may know better.
    async fn authenticated(&self, proofs: &[Proof], context: &RequestInfo) -> Result<String, Refusal> {
        // Read first: if they cannot be read, nothing is checked, and nothing has failed.
        let known = self.credentials(context).await?;
        let guessable: Vec<_> = proofs.iter().filter_map(|proof| proof.guessable(&known)).flatten().collect();
        if guessable.is_empty() {
            return self.checked(proofs, &known, context).await;
        }
        let RequestInfo { source, received, .. } = context;
        let attempt = self.login_limit.attempt(source, &guessable, *received).await.map_err(|Limited| {
            self.refusals.count("too many failed logins from this network", context);
            Problem::TooManyFailures
        })?;
        let checked = self.checked(proofs, &known, context).await;
        match &checked {
            Ok(_) => self.login_limit.verified(&attempt, *received),
            Err(Refusal::Wrong | Refusal::Token(_)) => self.login_limit.failed(&attempt),
            Err(Refusal::Unchecked(_)) => self.login_limit.undecided(&attempt),
        }
        checked
    }

    async fn checked(&self, proofs: &[Proof], known: &Credentials, context: &RequestInfo) -> Result<String, Refusal> {
        let checked = self.first_right(proofs, known, context).await;
        // They may have been rotated since they were read.
        if checked.as_ref().is_err_and(|refusal| refusal.may_pass())
            && let Some(newer) = self.newer_credentials(context).await
        {
            return self.first_right(proofs, &newer, context).await;
        }
        checked
    }

    async fn first_right(
        &self,
        proofs: &[Proof],
        known: &Credentials,
        context: &RequestInfo,
    ) -> Result<String, Refusal> {
        let mut checked = Err(Refusal::Wrong);
        for proof in proofs {
            checked = self.check(proof, known, context).await;
            if !matches!(checked, Err(Refusal::Wrong | Refusal::Token(_))) {
                break;
            }
        }
        checked
    }

    async fn check(&self, proof: &Proof, known: &Credentials, context: &RequestInfo) -> Result<String, Refusal> {
        let now = context.received.as_second();
        match proof {
            Proof::Login(login) => self.login(login, known).await,
            Proof::Token(token) => known.check_access(token, now).map_err(Refusal::Token),
            Proof::Signature { sent, host, path, .. } => {
                known.check_signature(sent, host, path, now).map(str::to_owned).ok_or(Refusal::Wrong)
            }
        }
    }

    async fn login(&self, login: &Login, known: &Credentials) -> Result<String, Refusal> {
        let name = match known.check(login) {
            Check::Known(client) => Some(client.username.clone()),
            Check::Unknown => None,
            Check::Hashed(checks) => {
                self.hashing.first_that_holds(checks).await.map_err(|_| Problem::Busy { with: "password hashes" })?
            }
        };
        name.ok_or(Refusal::Wrong)
    }

    fn challenge(&self, bearer: Bearer) -> Challenge {
        Challenge {
            basic: self.auth_methods.contains(AuthMethod::Basic),
            bearer: Some(bearer).filter(|_| self.auth_methods.contains(AuthMethod::Oauth)),
            signature: false,
        }
    }

    /// Logs a failed login.
    fn refuse(&self, name: &str, reason: &str, context: &RequestInfo, challenge: Challenge) -> Problem {
        self.log(1, name, reason, context);
        Problem::Unauthorized(challenge)
    }

    /// Logs a refused request that the limit of failed logins is not for. Its log line is limited.
    fn without_guess(&self, name: &str, reason: &str, context: &RequestInfo, problem: Problem) -> Problem {
        match self.login_limit.without_guess(&context.source) {
            Ok(()) => self.log(1, name, reason, context),
            Err(Limited) => self.refusals.count(reason, context),
        }
        problem
    }

    /// Logs the refusals above the limit of a network that are due in the log.
    pub(super) fn log_refusals(&self, now: Timestamp) {
        for RefusalLine { reason, count, last } in self.refusals.due(now) {
            self.log(count, "", &reason, &last);
        }
    }

    fn log(&self, refused: u64, name: &str, reason: &str, context: &RequestInfo) {
        let RequestInfo { request_id, source, .. } = context;
        let client = shown(name);
        tracing::warn!(target: MEASURED, %request_id, %source, client, reason, auth_failures = refused, "not authenticated");
    }
}

/// The one `Authorization` header. Two would leave it to us which one counts.
pub(super) fn authorization(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    match (sent.next(), sent.next()) {
        (Some(header), None) => header.to_str().ok(),
        _ => None,
    }
}

/// A name as somebody sent it, fit for a log line.
pub(super) fn shown(name: &str) -> String {
    name.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).take(LONGEST_NAME).collect()
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
