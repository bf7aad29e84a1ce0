//! Authenticates requests from their headers alone, before the body is read. Logins of token requests can come from a form.

use std::sync::Arc;

use governor::clock::MonotonicClock;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::failure_log::FailureLog;
use super::hash_verifier::{self, verify_any};
use super::login_limit::LoginLimit;
use super::origin::own_host;
use super::problem::Problem;
use crate::auth::{AuthMethod, AuthMethods, Credentials, Login, LoginCheck, SharedAccessSignature, TokenError};
use crate::domain::digest::Digest;
use crate::domain::display::is_hidden;
use crate::ingest::RequestInfo;
use crate::ingest::ports::{CredentialSource, chain};
use crate::telemetry::MEASURED;

/// Longest client name in the log, in characters. A name is unverified input.
const LONGEST_NAME: usize = 64;

/// Authenticates requests by the enabled auth methods.
pub struct Authenticator {
    credentials: Box<dyn CredentialSource>,
    pub(super) auth_methods: AuthMethods,
    public_host: Option<String>,
    hash_permits: Arc<Semaphore>,
    login_limit: LoginLimit,
    failures: FailureLog,
}

/// The credentials that a request contains, unverified.
enum SentCredentials {
    /// The possible readings of one login.
    Login(Vec<Login>),
    Token(String),
    Signature {
        header: String,
        sent: SharedAccessSignature,
        host: String,
        path: String,
    },
}

impl SentCredentials {
    /// The secret that the client may have guessed: a password, or a signature by a short key. Tokens are signed with 256 bits.
    fn guessable(&self, known: &Credentials) -> Vec<&str> {
        match self {
            Self::Login(logins) => {
                logins.iter().flat_map(|login| [login.username.as_str(), login.password.expose()]).collect()
            }
            Self::Signature { header, sent, .. } if !known.has_long_key_for(sent) => vec![header],
            Self::Signature { .. } | Self::Token(_) => Vec::new(),
        }
    }

    /// The name of the client or key.
    fn name(&self) -> &str {
        match self {
            Self::Login(logins) => logins.first().map_or("", |login| &login.username),
            Self::Token(_) => "",
            Self::Signature { sent, .. } => &sent.key_name,
        }
    }
}

enum AuthError {
    /// The password or the signature is wrong, or the name is unknown.
    Secret,
    Token(TokenError),
    /// The credentials could not be verified.
    Unverified(Problem),
}

impl From<Problem> for AuthError {
    fn from(problem: Problem) -> Self {
        Self::Unverified(problem)
    }
}

impl Authenticator {
    /// Authenticates by Basic authentication alone.
    pub fn new(credentials: Box<dyn CredentialSource>) -> Self {
        Self {
            credentials,
            auth_methods: AuthMethods::default(),
            public_host: None,
            hash_permits: Arc::new(Semaphore::new(hash_verifier::PERMITS)),
            login_limit: LoginLimit::new(&MonotonicClock),
            failures: FailureLog::default(),
        }
    }

    /// Enables these auth methods and no others.
    #[must_use]
    pub fn with_auth_methods(mut self, auth_methods: AuthMethods) -> Self {
        self.auth_methods = auth_methods;
        self
    }

    /// Requires signatures for this host. Without it, a signature must be for the host in the header `Host`: only safe if the
    /// client cannot choose that, as behind API Gateway.
    #[must_use]
    pub fn with_public_host(mut self, host: Option<String>) -> Self {
        self.public_host = host;
        self
    }

    /// Authenticates a client by password or token and returns its name.
    pub(super) async fn authenticate(&self, headers: &HeaderMap, context: &RequestInfo) -> Result<String, Problem> {
        let unauthorized = Problem::Unauthorized { methods: self.auth_methods, has_invalid_token: false };
        self.verify_or_reject(self.sent_credentials(headers), unauthorized, context).await
    }

    /// Authenticates a call of Event Hubs by its signature and returns the name of the key.
    pub(super) async fn authenticate_signature(&self, parts: &Parts, context: &RequestInfo) -> Result<String, Problem> {
        let signature = |header: &str| {
            let sent = SharedAccessSignature::from_header(header)?;
            let host = self.public_host.clone().unwrap_or_else(|| own_host(parts).to_owned());
            let (header, path) = (header.to_owned(), parts.uri.path().to_owned());
            Some(SentCredentials::Signature { header, sent, host, path })
        };
        let sent = authorization(&parts.headers).and_then(signature);
        self.verify_or_reject(sent, Problem::InvalidSignature, context).await
    }

    /// The name of the client whose token the host has verified.
    pub(super) fn verified_client(&self, context: &RequestInfo) -> Result<String, Problem> {
        context.verified_client.as_deref().map(sanitized_name).ok_or_else(|| {
            self.reject(None, "no token that API Gateway has verified", context);
            Problem::NoVerifiedToken
        })
    }

    /// Authenticates a token request by the possible readings of its login; `None` if all are wrong.
    pub(super) async fn authenticate_login(
        &self,
        logins: Vec<Login>,
        context: &RequestInfo,
    ) -> Result<Option<String>, Problem> {
        let sent = SentCredentials::Login(logins);
        match self.verify_limited(&sent, context).await {
            Ok(client) => Ok(Some(client)),
            Err(AuthError::Unverified(problem)) => Err(problem),
            Err(AuthError::Secret | AuthError::Token(_)) => {
                self.reject(Some(&sent), "no client that may have tokens", context);
                Ok(None)
            }
        }
    }

    /// The current credentials.
    pub(super) async fn credentials(&self, context: &RequestInfo) -> Result<Arc<Credentials>, Problem> {
        self.credentials.current(context.received).await.map_err(|error| {
            tracing::error!(request_id = %context.request_id, error = %chain(&error), "credentials not read");
            Problem::CredentialsUnavailable
        })
    }

    /// Reads the credentials again; `None` if they are still the `known` ones.
    pub(super) async fn newer_credentials(
        &self,
        known: &Arc<Credentials>,
        context: &RequestInfo,
    ) -> Option<Arc<Credentials>> {
        self.credentials.newer_than(known, context.received).await
    }

    fn sent_credentials(&self, headers: &HeaderMap) -> Option<SentCredentials> {
        let header = authorization(headers)?;
        if let Some(login) = Login::from_basic_header(header).filter(|_| self.auth_methods.contains(AuthMethod::Basic))
        {
            return Some(SentCredentials::Login(vec![login]));
        }
        let (scheme, token) = header.trim().split_once(' ')?;
        let is_token = scheme.eq_ignore_ascii_case("bearer") && self.auth_methods.contains(AuthMethod::Oauth);
        is_token.then(|| SentCredentials::Token(token.trim().to_owned()))
    }

    async fn verify_or_reject(
        &self,
        sent: Option<SentCredentials>,
        unauthorized: Problem,
        context: &RequestInfo,
    ) -> Result<String, Problem> {
        let Some(sent) = sent else {
            self.reject(None, "no usable header", context);
            return Err(unauthorized);
        };
        self.verify_limited(&sent, context).await.map_err(|error| match error {
            AuthError::Token(error) => {
                self.reject(Some(&sent), &error.to_string(), context);
                Problem::Unauthorized { methods: self.auth_methods, has_invalid_token: true }
            }
            AuthError::Secret => {
                self.reject(Some(&sent), "unknown or wrong", context);
                unauthorized
            }
            AuthError::Unverified(problem) => problem,
        })
    }

    /// Verifies `sent` within the rate limit of failed logins.
    async fn verify_limited(&self, sent: &SentCredentials, context: &RequestInfo) -> Result<String, AuthError> {
        // Before the limit: if the credentials cannot be read, no login has failed.
        let known = self.credentials(context).await?;
        let guessable = sent.guessable(&known);
        if guessable.is_empty() {
            return self.verify_with_newest(sent, &known, &mut None, context).await;
        }
        let RequestInfo { source, received, .. } = context;
        let Some(mut attempt) = self.login_limit.attempt(source, &guessable, *received).await else {
            self.failures.count("too many failed logins from this network", context);
            return Err(Problem::TooManyFailures.into());
        };
        let verified = self.verify_with_newest(sent, &known, &mut attempt.hash, context).await;
        match &verified {
            Ok(_) => self.login_limit.verified(&mut attempt, *received),
            Err(AuthError::Secret | AuthError::Token(_)) => self.login_limit.failed(&attempt),
            Err(AuthError::Unverified(_)) => {}
        }
        verified
    }

    /// Verifies `sent` by the `known` credentials, then by newer ones if those may accept it: the cache can be older than a
    /// rotation.
    /// `hash` is the slow hash that has verified this login before, or does it now.
    async fn verify_with_newest(
        &self,
        sent: &SentCredentials,
        known: &Arc<Credentials>,
        hash: &mut Option<Digest>,
        context: &RequestInfo,
    ) -> Result<String, AuthError> {
        use AuthError::{Secret, Token};
        let now = context.received.as_second();
        let verified = self.verify(sent, known, hash, now).await;
        if let Err(Secret | Token(TokenError::Signature | TokenError::Client)) = verified
            && let Some(newer) = self.newer_credentials(known, context).await
        {
            return self.verify(sent, &newer, hash, now).await;
        }
        verified
    }

    async fn verify(
        &self,
        sent: &SentCredentials,
        known: &Credentials,
        hash: &mut Option<Digest>,
        now: i64,
    ) -> Result<String, AuthError> {
        match sent {
            SentCredentials::Login(logins) => {
                for login in logins {
                    match known.verify_login(login) {
                        LoginCheck::Verified(client) => return Ok(client.username.clone()),
                        LoginCheck::Rejected => {}
                        LoginCheck::Hashed(checks) => {
                            let cached = checks.iter().find(|check| Some(check.identity) == *hash).cloned();
                            let verified = match cached {
                                None => verify_any(&self.hash_permits, checks).await?,
                                cached => cached,
                            };
                            if let Some(check) = verified {
                                *hash = Some(check.identity);
                                return Ok(check.username);
                            }
                        }
                    }
                }
                Err(AuthError::Secret)
            }
            SentCredentials::Token(token) => known.verify_access_token(token, now).map_err(AuthError::Token),
            SentCredentials::Signature { sent, host, path, .. } => {
                known.verify_signature(sent, host, path, now).map(str::to_owned).ok_or(AuthError::Secret)
            }
        }
    }

    /// Logs an authentication failure. The limit of failed logins also limits their log lines; other failures have a limit here.
    fn reject(&self, sent: Option<&SentCredentials>, reason: &str, context: &RequestInfo) {
        let is_login = matches!(sent, Some(SentCredentials::Login(_)));
        if is_login || self.login_limit.permits_log_line(&context.source) {
            self.log(1, sent.map_or("", SentCredentials::name), reason, context);
        } else {
            self.failures.count(reason, context);
        }
    }

    /// Logs the authentication failures that were only counted and are due at `now`.
    pub(super) fn log_failures(&self, now: Timestamp) {
        for (reason, count, last) in self.failures.due(now) {
            self.log(count, "", &reason, &last);
        }
    }

    fn log(&self, count: u64, name: &str, reason: &str, context: &RequestInfo) {
        let RequestInfo { request_id, source, .. } = context;
        let client = sanitized_name(name);
        tracing::warn!(target: MEASURED, %request_id, %source, client, reason, auth_failures = count, "not authenticated");
    }
}

/// The `Authorization` header; `None` if there are several.
pub(super) fn authorization(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let first = values.next()?;
    first.to_str().ok().filter(|_| values.next().is_none())
}

/// An unverified name, shortened and without control characters, for the log.
pub(super) fn sanitized_name(name: &str) -> String {
    name.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Client, Secret};

    /// Credentials of one client, whose hash is by argon2id with the least memory.
    fn credentials(password: &str) -> Arc<Credentials> {
        let least = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).unwrap());
        let hash = argon2::PasswordHasher::hash_password_with_salt(&least, password.as_bytes(), b"somesalt").unwrap();
        let client = Client { username: "test".into(), password: Secret::new(hash.to_string()) };
        Arc::new(Credentials::from_clients(vec![client]).unwrap())
    }

    #[tokio::test]
    async fn a_verified_password_is_not_hashed_again_unless_the_credentials_change() {
        let mut authenticator = Authenticator::new(Box::new(credentials("password")));
        let login = |password: &str| vec![Login { username: "test".into(), password: Secret::new(password.into()) }];
        let context = RequestInfo {
            request_id: "r".into(),
            source: "192.0.2.1".into(),
            received: Timestamp::UNIX_EPOCH,
            verified_client: None,
            url: None,
        };
        assert_eq!(authenticator.authenticate_login(login("passwore"), &context).await, Ok(None));
        assert_eq!(authenticator.authenticate_login(login("password"), &context).await, Ok(Some("test".into())));
        // Without permits, no hash is computed.
        authenticator.hash_permits.close();
        let busy = Err(Problem::Busy { resource: "password hashes" });
        assert_eq!(authenticator.authenticate_login(login("password"), &context).await, Ok(Some("test".into())));
        assert_eq!(authenticator.authenticate_login(login("passwore"), &context).await, busy);
        authenticator.credentials = Box::new(credentials("new password"));
        assert_eq!(authenticator.authenticate_login(login("password"), &context).await, busy);
    }

    #[test]
    fn a_name_cannot_break_or_fill_a_log_line() {
        assert_eq!(sanitized_name("a\nb\u{1b}[31m"), "a\u{fffd}b\u{fffd}[31m");
        assert_eq!(sanitized_name(&"é".repeat(1000)), "é".repeat(64));
    }
}
