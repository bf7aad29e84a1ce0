//! `POST /oauth2/token`: issues tokens for client credentials (RFC 6749 §4.4) and refresh tokens (§6).

use std::collections::HashMap;

use bytes::Bytes;
use http::header::{PRAGMA, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::authenticator::authorization;
use super::body::{RequestBody, content_type, declared_length, read_bounded};
use super::problem::{BASIC, Problem};
use super::{App, json_response};
use crate::auth::{ACCESS_SECONDS, Login, SCOPE, Secret};
use crate::domain::digest::Digest;
use crate::ingest::RequestInfo;

/// Largest form, in bytes. A refresh token has a few hundred.
const MAX_FORM: usize = 16 * 1024;

/// The errors of RFC 6749 §5.2.
enum TokenRequestError {
    Request(&'static str),
    Client {
        by_header: bool,
    },
    Grant,
    GrantType,
    Scope,
    /// The request could not be processed. Not an error of the RFC.
    Unprocessed(Problem),
}

impl From<Problem> for TokenRequestError {
    fn from(problem: Problem) -> Self {
        Self::Unprocessed(problem)
    }
}

impl TokenRequestError {
    fn response(self) -> Result<Response<Bytes>, Problem> {
        let (error, description) = match self {
            Self::Unprocessed(problem) => return Err(problem),
            Self::Request(description) => ("invalid_request", description),
            Self::Client { .. } => ("invalid_client", "The client id or secret is wrong or missing."),
            Self::Grant => ("invalid_grant", "The refresh token is wrong, expired, revoked or of another client."),
            Self::GrantType => ("unsupported_grant_type", "Use client_credentials or refresh_token."),
            Self::Scope => ("invalid_scope", "The only scope is push."),
        };
        let mut response = token_response(&json!({ "error": error, "error_description": description }));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        if let Self::Client { by_header } = self {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response.headers_mut().extend(by_header.then_some((WWW_AUTHENTICATE, HeaderValue::from_static(BASIC))));
        }
        Ok(response)
    }
}

impl App {
    pub(super) async fn token(
        &self,
        parts: &Parts,
        body: impl RequestBody,
        context: &RequestInfo,
    ) -> Result<Response<Bytes>, Problem> {
        let body = match declared_length(&parts.headers, MAX_FORM) {
            Ok(_) => read_bounded(body, MAX_FORM).await,
            Err(problem) => Err(problem),
        };
        match body {
            Err(Problem::TooLarge) => TokenRequestError::Request("The form is larger than 16 KiB.").response(),
            body => self.grant(parts, &body?, context).await.or_else(TokenRequestError::response),
        }
    }

    async fn grant(
        &self,
        parts: &Parts,
        body: &[u8],
        context: &RequestInfo,
    ) -> Result<Response<Bytes>, TokenRequestError> {
        let form = TokenForm::parse(parts, body)?;
        let (logins, by_header) = logins(parts, &form)?;
        let Some(client) = self.authenticator.authenticate_login(logins, context).await? else {
            return Err(TokenRequestError::Client { by_header });
        };
        let is_known_scope = |scopes: &str| scopes.split_ascii_whitespace().all(|scope| scope == SCOPE);
        if !form.get("scope").is_none_or(is_known_scope) {
            return Err(TokenRequestError::Scope);
        }
        match (form.get("grant_type"), form.get("refresh_token")) {
            (None, _) => return Err(TokenRequestError::Request("grant_type is missing.")),
            (Some("client_credentials"), _) => {}
            (Some("refresh_token"), None) => return Err(TokenRequestError::Request("refresh_token is missing.")),
            (Some("refresh_token"), Some(token)) => {
                if !self.is_refresh_token_of(&client, token, context).await? {
                    return Err(TokenRequestError::Grant);
                }
            }
            (Some(_), _) => return Err(TokenRequestError::GrantType),
        }
        let id = [context.request_id.as_bytes(), context.source.as_bytes(), client.as_bytes()];
        let id = format!("{:.32}-{}", Digest::of_fields(&id), context.received.as_millisecond());
        let known = self.authenticator.credentials(context).await?;
        let Some(tokens) = known.issue_tokens(&client, &id, context.received.as_second()) else {
            tracing::error!(request_id = %context.request_id, "token not issued: the credentials have no signing_key");
            return Err(Problem::NoSigningKey.into());
        };
        tracing::info!(request_id = %context.request_id, client, grant = form.get("grant_type"), "token issued");
        Ok(token_response(&json!({
            "access_token": tokens.access,
            "token_type": "Bearer",
            "expires_in": ACCESS_SECONDS,
            "refresh_token": tokens.refresh,
            "scope": SCOPE,
        })))
    }

    async fn is_refresh_token_of(&self, client: &str, token: &str, context: &RequestInfo) -> Result<bool, Problem> {
        let now = context.received.as_second();
        let known = self.authenticator.credentials(context).await?;
        let mut verified = known.verify_refresh_token(token, now);
        if verified.is_err()
            && let Some(newer) = self.authenticator.newer_credentials(&known, context).await
        {
            verified = newer.verify_refresh_token(token, now);
        }
        if let Err(error) = &verified {
            tracing::warn!(request_id = %context.request_id, client, %error, "refresh token rejected");
        }
        Ok(verified.is_ok_and(|holder| holder == client))
    }
}

/// The fields of a form, without duplicates (RFC 6749 §3.2). An empty field counts as missing.
struct TokenForm(HashMap<String, String>);

impl TokenForm {
    fn parse(parts: &Parts, body: &[u8]) -> Result<Self, TokenRequestError> {
        if content_type(&parts.headers).as_deref() != Some(mime::APPLICATION_WWW_FORM_URLENCODED.essence_str()) {
            return Err(TokenRequestError::Request("Send the fields as application/x-www-form-urlencoded."));
        }
        let mut fields = HashMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(TokenRequestError::Request("A field occurs twice."));
            }
        }
        Ok(Self(fields))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Decodes one value of a form; `None` if the text contains several, so that it is not form-encoded.
fn form_decoded(text: &str) -> Option<String> {
    let text = format!("={text}");
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    let (_, value) = pairs.next()?;
    pairs.next().is_none().then(|| value.into_owned())
}

/// The logins that a client may have sent, and whether it sent a header. Clients must form-encode the parts of the header (RFC 6749
/// §2.3.1), but many do not: both readings are tried.
fn logins(parts: &Parts, form: &TokenForm) -> Result<(Vec<Login>, bool), TokenRequestError> {
    if parts.headers.contains_key(http::header::AUTHORIZATION) {
        if form.get("client_secret").is_some() {
            return Err(TokenRequestError::Request(
                "Send the client's secret as a header or in the form, not as both.",
            ));
        }
        let by_header = || TokenRequestError::Client { by_header: true };
        let sent = authorization(&parts.headers).and_then(Login::from_basic_header).ok_or_else(by_header)?;
        let (name, secret) = (&sent.username, sent.password.expose());
        let decoded = form_decoded(name).zip(form_decoded(secret));
        let decoded = decoded.filter(|(username, password)| username != name || password != secret);
        let decoded = decoded.map(|(username, password)| Login { username, password: Secret::new(password) });
        let logins: Vec<_> = std::iter::once(sent.clone()).chain(decoded).collect();
        let is_same = |id: &str| logins.iter().any(|login| login.username == id);
        return if form.get("client_id").is_none_or(is_same) { Ok((logins, true)) } else { Err(by_header()) };
    }
    let by_form = TokenRequestError::Client { by_header: false };
    let (username, password) = form.get("client_id").zip(form.get("client_secret")).ok_or(by_form)?;
    Ok((vec![Login { username: username.to_owned(), password: Secret::new(password.to_owned()) }], false))
}

/// RFC 6749 §5.1: no cache may store a token.
fn token_response(body: &Value) -> Response<Bytes> {
    let mut response = json_response(body);
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
