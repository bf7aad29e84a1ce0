//! `POST /oauth2/token`: tokens for clients (RFC 6749 §4.4) and for those who bring a refresh token (§6).

use std::collections::HashMap;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::App;
use super::authenticator::authorization;
use super::body::{RequestBody, content_type, declared_length, read_bounded};
use super::problem::Problem;
use crate::auth::{ACCESS_SECONDS, Login, SCOPE, Secret};
use crate::domain::digest::Digest;
use crate::ingest::RequestInfo;

/// Most bytes of a form: a refresh token has a few hundred.
const MAX_FORM: usize = 16 * 1024;

/// The errors of RFC 6749 §5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Request(&'static str),
    Client {
        by_header: bool,
    },
    Grant,
    GrantType,
    Scope,
    /// None of the RFC's: the request could not be looked at.
    Unchecked(Problem),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Unchecked(problem)
    }
}

impl Refused {
    fn response(self) -> Result<Response<Bytes>, Problem> {
        let (error, description) = match self {
            Self::Unchecked(problem) => return Err(problem),
            Self::Request(what) => ("invalid_request", what),
            Self::Client { .. } => ("invalid_client", "The client id or secret is wrong or missing."),
            Self::Grant => ("invalid_grant", "The refresh token is wrong, expired, revoked or of another client."),
            Self::GrantType => ("unsupported_grant_type", "Use client_credentials or refresh_token."),
            Self::Scope => ("invalid_scope", "The only scope is push."),
        };
        let mut response = answer(&json!({ "error": error, "error_description": description }));
        *response.status_mut() = match self {
            Self::Client { .. } => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        if self == (Self::Client { by_header: true }) {
            let challenge = HeaderValue::from_static(r#"Basic realm="smartclean-push", charset="UTF-8""#);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
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
        let too_large = Refused::Request("The form is larger than 16 KiB.");
        if declared_length(&parts.headers, MAX_FORM).is_err() {
            return too_large.response();
        }
        let body = match read_bounded(body, MAX_FORM).await {
            Err(Problem::TooLarge) => return too_large.response(),
            body => body?,
        };
        self.granted(parts, &body, context).await.or_else(Refused::response)
    }

    async fn granted(&self, parts: &Parts, body: &[u8], context: &RequestInfo) -> Result<Response<Bytes>, Refused> {
        let form = Form::read(parts, body)?;
        let (logins, by_header) = logins(parts, &form)?;
        let Some(client) = self.authenticator.client(logins, context).await? else {
            return Err(Refused::Client { by_header });
        };
        let is_known_scope = |scopes: &str| scopes.split_ascii_whitespace().all(|scope| scope == SCOPE);
        if !form.get("scope").is_none_or(is_known_scope) {
            return Err(Refused::Scope);
        }
        match (form.get("grant_type"), form.get("refresh_token")) {
            (None, _) => return Err(Refused::Request("grant_type is missing.")),
            (Some("client_credentials"), _) => {}
            (Some("refresh_token"), None) => return Err(Refused::Request("refresh_token is missing.")),
            (Some("refresh_token"), Some(token)) => {
                if !self.is_refresh_token_of(&client, token, context).await? {
                    return Err(Refused::Grant);
                }
            }
            (Some(_), _) => return Err(Refused::GrantType),
        }
        let id = [context.request_id.as_bytes(), context.source.as_bytes(), client.as_bytes()];
        let id = format!("{:.32}-{}", Digest::of_fields(&id), context.received.as_millisecond());
        let known = self.authenticator.credentials(context).await?;
        let Some(issued) = known.issue(&client, &id, context.received.as_second()) else {
            tracing::error!(request_id = %context.request_id, "the credentials have no signing_key, so that no token can be given");
            return Err(Problem::NoSigningKey.into());
        };
        tracing::info!(request_id = %context.request_id, client, grant = form.get("grant_type"), "token given");
        Ok(answer(&json!({
            "access_token": issued.access,
            "token_type": "Bearer",
            "expires_in": ACCESS_SECONDS,
            "refresh_token": issued.refresh,
            "scope": SCOPE,
        })))
    }

    async fn is_refresh_token_of(&self, client: &str, token: &str, context: &RequestInfo) -> Result<bool, Problem> {
        let now = context.received.as_second();
        let mut checked = self.authenticator.credentials(context).await?.check_refresh(token, now);
        if checked.is_err()
            && let Some(newer) = self.authenticator.newer_credentials(context).await
        {
            checked = newer.check_refresh(token, now);
        }
        if let Err(fault) = &checked {
            tracing::warn!(request_id = %context.request_id, client, %fault, "refresh token refused");
        }
        Ok(checked.is_ok_and(|holder| holder == client))
    }
}

/// A form's fields, none of them twice (RFC 6749 §3.2). An empty one counts as left out.
struct Form(HashMap<String, String>);

impl Form {
    fn read(parts: &Parts, body: &[u8]) -> Result<Self, Refused> {
        if content_type(&parts.headers).as_deref() != Some(mime::APPLICATION_WWW_FORM_URLENCODED.essence_str()) {
            return Err(Refused::Request("Send the fields as application/x-www-form-urlencoded."));
        }
        let mut fields = HashMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Refused::Request("A field is there twice."));
            }
        }
        Ok(Self(fields))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// One value of a form; `None` if the text holds more than one, so that no form encoder wrote it.
fn form_decoded(text: &str) -> Option<String> {
    let text = format!("={text}");
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    let (_, value) = pairs.next()?;
    pairs.next().is_none().then(|| value.into_owned())
}

/// The logins that a client may mean, and whether it sent them as a header. By the header they are encoded as in a form
/// (RFC 6749 §2.3.1), and many clients forget that: either reading may be the right one.
fn logins(parts: &Parts, form: &Form) -> Result<(Vec<Login>, bool), Refused> {
    if parts.headers.contains_key(http::header::AUTHORIZATION) {
        if form.get("client_secret").is_some() {
            return Err(Refused::Request("Send the client's secret as a header or in the form, not as both."));
        }
        let by_header = Refused::Client { by_header: true };
        let sent = authorization(&parts.headers).and_then(Login::of_basic).ok_or(by_header)?;
        let (name, secret) = (&sent.username, sent.password.expose());
        let decoded = form_decoded(name).zip(form_decoded(secret));
        let decoded = decoded.filter(|(username, password)| username != name || password != secret);
        let decoded = decoded.map(|(username, password)| Login { username, password: Secret::new(password) });
        let logins: Vec<_> = std::iter::once(sent.clone()).chain(decoded).collect();
        let is_same = |id: &str| logins.iter().any(|login| login.username == id);
        return if form.get("client_id").is_none_or(is_same) { Ok((logins, true)) } else { Err(by_header) };
    }
    let by_form = Refused::Client { by_header: false };
    let (username, password) = form.get("client_id").zip(form.get("client_secret")).ok_or(by_form)?;
    Ok((vec![Login { username: username.to_owned(), password: Secret::new(password.to_owned()) }], false))
}

fn answer(body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // RFC 6749 §5.1: no cache may keep a token.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
