//! Errors as the caller sees them: `application/problem+json` (RFC 9457) with fixed texts. Nothing internal, ever.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::login_limit;
use crate::domain::batch::NotABatch;
use crate::ingest::PushError;

/// The realm is the program's name; `charset` tells the client to send UTF-8 (RFC 7617 §2.1).
const BASIC: &str = r#"Basic realm="smartclean-push", charset="UTF-8""#;
/// RFC 6750 §3: somebody who sent no token is told of no error.
const BEARER: &str = r#"Bearer realm="smartclean-push""#;
const INVALID_TOKEN: &str = r#"Bearer realm="smartclean-push", error="invalid_token", error_description="The token is expired, revoked or not for this service""#;
const INSUFFICIENT_SCOPE: &str = r#"Bearer realm="smartclean-push", error="insufficient_scope", error_description="The token does not allow to push""#;
/// What Event Hubs' clients send without being asked; no registered scheme has another name for it.
const SIGNATURE: &str = r#"SharedAccessSignature realm="smartclean-push""#;
/// Seconds after which a retry is worthwhile: longer than a throttle or a failover of what is behind us usually lasts.
const RETRY_AFTER_SECONDS: &str = "30";

/// What a 401 asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Basic authentication.
    pub basic: bool,
    /// A token, where tokens are taken.
    pub bearer: Option<Bearer>,
    /// A shared access signature, for Event Hubs' send call.
    pub signature: bool,
}

/// How a token is asked for (RFC 6750 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// For the first time.
    Asked,
    /// Another one than was sent.
    InvalidToken,
}

impl Challenge {
    /// One header with all of it: of two headers of the same name API Gateway may pass on one.
    fn header(self) -> HeaderValue {
        let bearer = self.bearer.map(|bearer| match bearer {
            Bearer::Asked => BEARER,
            Bearer::InvalidToken => INVALID_TOKEN,
        });
        if self.signature {
            return HeaderValue::from_static(SIGNATURE);
        }
        // The one that was tried comes first.
        let mut asked: Vec<_> = bearer.into_iter().chain(self.basic.then_some(BASIC)).collect();
        if self.bearer == Some(Bearer::Asked) {
            asked.reverse();
        }
        // Constants of visible characters.
        HeaderValue::try_from(asked.join(", ")).unwrap_or(HeaderValue::from_static(BASIC))
    }
}

/// Every way a request can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No such path.
    NotFound,
    /// The path exists, and not for this method.
    MethodNotAllowed {
        /// The method that it has.
        allow: &'static str,
    },
    /// A content encoding other than gzip.
    UnsupportedEncoding,
    /// Bytes of gzip that arrived as text.
    GzipAsText,
    /// A body over the size limit.
    TooLarge,
    /// No credentials, or wrong ones.
    Unauthorized(Challenge),
    /// No token of an external issuer that the host has verified.
    NoVerifiedToken,
    /// Too many logins from this network failed lately.
    TooManyFailures,
    /// A token that does not allow to push.
    InsufficientScope,
    /// A browser sends it for a page of another origin.
    ForeignOrigin,
    /// The body ended early.
    IncompleteBody,
    /// The body took too long.
    TooSlow,
    /// More is being worked on than there is memory for.
    Busy,
    /// A body that is not a batch.
    NotABatch,
    /// Credentials cannot be read now.
    CredentialsUnavailable,
    /// The store does not answer.
    StoreUnavailable,
    /// A zone that no reading has named yet.
    UnknownZone,
    /// What is remembered cannot be read or written now.
    StateUnavailable,
    /// A fault of ours.
    Internal,
}

impl From<&PushError> for Problem {
    fn from(error: &PushError) -> Self {
        match error {
            PushError::NotABatch(NotABatch::TooMany) | PushError::TooLarge => Self::TooLarge,
            PushError::NotABatch(_) => Self::NotABatch,
            PushError::Store(_) => Self::StoreUnavailable,
        }
    }
}

impl Problem {
    /// The status: 4xx means a retry cannot help, except 408 and 429; 5xx means it can.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotFound | Self::UnknownZone => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedEncoding | Self::GzipAsText => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthorized(_) | Self::NoVerifiedToken => StatusCode::UNAUTHORIZED,
            Self::TooManyFailures => StatusCode::TOO_MANY_REQUESTS,
            Self::InsufficientScope | Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::IncompleteBody | Self::NotABatch => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::CredentialsUnavailable | Self::StoreUnavailable | Self::StateUnavailable | Self::Busy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::NotFound => "There is nothing at this path. Pushes go to POST /push.",
            Self::MethodNotAllowed { .. } => "This path does not take this method; see the Allow header.",
            Self::UnsupportedEncoding => "The body's content encoding is not known here. Use gzip or none.",
            Self::GzipAsText => {
                "The bytes of gzip arrived as text, which cannot be undone. Send them with Content-Type: \
                 application/octet-stream, or send no gzip. The body was kept."
            }
            Self::TooLarge => {
                "The body is too large: at most 10 MB as sent, 64 MiB decoded, 200,000 items. Split the batch."
            }
            Self::Unauthorized(Challenge { signature: true, .. }) => {
                "The shared access signature is missing, wrong, expired, or not for this host and hub."
            }
            Self::NoVerifiedToken => {
                "This path takes tokens that API Gateway has verified for an external issuer, and no external issuer is set \
                 here. Push to POST /push."
            }
            Self::TooManyFailures => {
                "Too many logins from your network failed lately, so that these credentials were not checked. Send the push \
                 again later."
            }
            Self::InsufficientScope => "The token does not have the scope that pushing asks for.",
            Self::ForeignOrigin => {
                "A browser sent this for a web page of another origin; see its headers Origin and Sec-Fetch-Site. Send it \
                 from a program, or from a page of this host. A proxy in front has to pass on the Host header."
            }
            Self::Unauthorized(Challenge { basic: true, bearer: None, .. }) => {
                "Credentials are missing or wrong. Use HTTP Basic authentication."
            }
            Self::Unauthorized(Challenge { basic: true, bearer: Some(_), .. }) => {
                "Credentials are missing or wrong. Use HTTP Basic authentication, or a token from POST /oauth2/token."
            }
            Self::Unauthorized(Challenge { basic: false, .. }) => {
                "Credentials are missing or wrong. Use a token from POST /oauth2/token."
            }
            Self::IncompleteBody => "The body did not arrive whole.",
            Self::TooSlow => "The body took too long. Send it again, faster or in parts.",
            Self::Busy => "Too much is being worked on right now. Send the push again later.",
            Self::NotABatch => "The body is not a JSON array in UTF-8. It was kept; the same body will not be taken.",
            Self::CredentialsUnavailable => "Credentials cannot be checked right now. Send the push again later.",
            Self::StoreUnavailable => "The push could not be stored right now. Send it again later.",
            Self::UnknownZone => "No reading has come from a zone of this id yet. It is the InsID of the readings.",
            Self::StateUnavailable => "The cleaning could not be noted right now. Send it again later.",
            Self::Internal => "Something went wrong here. Send the push again later.",
        }
    }

    fn header(self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::MethodNotAllowed { allow } => Some((ALLOW, HeaderValue::from_static(allow))),
            Self::Unauthorized(challenge) => Some((WWW_AUTHENTICATE, challenge.header())),
            Self::NoVerifiedToken => Some((WWW_AUTHENTICATE, HeaderValue::from_static(BEARER))),
            Self::InsufficientScope => Some((WWW_AUTHENTICATE, HeaderValue::from_static(INSUFFICIENT_SCOPE))),
            Self::TooManyFailures => Some((RETRY_AFTER, HeaderValue::from_static(login_limit::RETRY_AFTER_SECONDS))),
            Self::CredentialsUnavailable
            | Self::StoreUnavailable
            | Self::StateUnavailable
            | Self::Busy
            | Self::Internal => Some((RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS))),
            Self::NotFound
            | Self::UnknownZone
            | Self::UnsupportedEncoding
            | Self::GzipAsText
            | Self::TooLarge
            | Self::ForeignOrigin
            | Self::IncompleteBody
            | Self::TooSlow
            | Self::NotABatch => None,
        }
    }

    /// The response, which names the request so that the caller can ask about it.
    #[must_use]
    pub fn response(self, request_id: &str) -> Response<Bytes> {
        let status = self.status();
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": self.detail(),
            "request_id": request_id,
        });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.header() {
            headers.insert(name, value);
        }
        response
    }
}
