//! Errors as the caller sees them: `application/problem+json` (RFC 9457) with fixed texts. Nothing internal, ever.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::login_limit;
use crate::domain::batch::BatchError;
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

/// What each problem's `type` begins with (RFC 9457 §3.1.1). A `type` is a name: nothing has to be fetched from it.
const TYPES: &str = "urn:problem-type:smartclean-push:";

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
    fn detail(self) -> &'static str {
        match self {
            Self { signature: true, .. } => {
                "The shared access signature is missing, wrong, expired, or not for this host and hub."
            }
            Self { basic: true, bearer: None, .. } => {
                "Credentials are missing or wrong. Use HTTP Basic authentication."
            }
            Self { basic: true, bearer: Some(_), .. } => {
                "Credentials are missing or wrong. Use HTTP Basic authentication, or a token from POST /oauth2/token."
            }
            Self { basic: false, .. } => "Credentials are missing or wrong. Use a token from POST /oauth2/token.",
        }
    }

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
    /// A body in gzip that does not unpack.
    BrokenGzip,
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
    /// An HTTP/1.1 request that does not name its host, or names two.
    NotOneHost,
    /// The body ended early.
    IncompleteBody,
    /// The body took too long.
    TooSlow,
    /// More is being worked on than there is memory for, or more password hashes than there are processors for.
    Busy {
        /// What of, for the log.
        with: &'static str,
    },
    /// A body that is not a batch.
    NotABatch,
    /// Credentials cannot be read now.
    CredentialsUnavailable,
    /// Tokens are asked for, and there is no key to sign them with.
    NoSigningKey,
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
            PushError::NotABatch(BatchError::TooMany) | PushError::TooLarge => Self::TooLarge,
            PushError::NotABatch(BatchError::Encoding(_)) => Self::BrokenGzip,
            PushError::NotABatch(_) => Self::NotABatch,
            PushError::Store(_) => Self::StoreUnavailable,
        }
    }
}

/// What a problem is to the caller.
struct Description {
    status: StatusCode,
    /// Its name for programs, the last part of its `type`. Stable.
    code: &'static str,
    detail: &'static str,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Description {
    fn new(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self { status, code, detail, header: None }
    }

    fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    fn retry_after(self, seconds: &'static str) -> Self {
        self.with(RETRY_AFTER, HeaderValue::from_static(seconds))
    }
}

impl Problem {
    /// The status: 4xx means a retry cannot help, except 408 and 429; 5xx means it can.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.description().status
    }

    fn description(self) -> Description {
        let new = Description::new;
        match self {
            Self::NotFound => {
                new(StatusCode::NOT_FOUND, "not-found", "There is nothing at this path. Pushes go to POST /push.")
            }
            Self::MethodNotAllowed { allow } => new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "This path does not take this method; see the Allow header.",
            )
            .with(ALLOW, HeaderValue::from_static(allow)),
            Self::UnsupportedEncoding => new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-encoding",
                "The body's content encoding is not known here. Use gzip or none.",
            ),
            Self::GzipAsText => new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "gzip-as-text",
                "The bytes of gzip arrived as text, which cannot be undone. Send them with Content-Type: \
                 application/octet-stream, or send no gzip. The body was kept.",
            ),
            Self::BrokenGzip => new(
                StatusCode::BAD_REQUEST,
                "broken-gzip",
                "The body's gzip is damaged or not whole. It was kept; the same body will not be taken. Compress the batch anew.",
            ),
            Self::TooLarge => new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large: at most 10 MB as sent, 64 MiB decoded, 200,000 items. Split the batch.",
            ),
            Self::Unauthorized(challenge) => new(StatusCode::UNAUTHORIZED, "unauthorized", challenge.detail())
                .with(WWW_AUTHENTICATE, challenge.header()),
            Self::NoVerifiedToken => new(
                StatusCode::UNAUTHORIZED,
                "no-verified-token",
                "This path takes tokens that API Gateway has verified for an external issuer, and no external issuer is set \
                 here. Push to POST /push.",
            )
            .with(WWW_AUTHENTICATE, HeaderValue::from_static(BEARER)),
            Self::TooManyFailures => new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-failures",
                "Too many logins from your network failed lately, so that these credentials were not checked. Send the push \
                 again later.",
            )
            .retry_after(login_limit::RETRY_AFTER_SECONDS),
            Self::InsufficientScope => new(
                StatusCode::FORBIDDEN,
                "insufficient-scope",
                "The token does not have the scope that pushing asks for.",
            )
            .with(WWW_AUTHENTICATE, HeaderValue::from_static(INSUFFICIENT_SCOPE)),
            Self::ForeignOrigin => new(
                StatusCode::FORBIDDEN,
                "foreign-origin",
                "A browser sent this for a web page of another origin; see its headers Origin and Sec-Fetch-Site. Send it \
                 from a program, or from a page of this host. A proxy in front has to pass on the Host header.",
            ),
            Self::NotOneHost => new(
                StatusCode::BAD_REQUEST,
                "not-one-host",
                "An HTTP/1.1 request names its host in exactly one header Host.",
            ),
            Self::IncompleteBody => {
                new(StatusCode::BAD_REQUEST, "incomplete-body", "The body did not arrive whole.")
            }
            Self::TooSlow => new(
                StatusCode::REQUEST_TIMEOUT,
                "too-slow",
                "The body took too long. Send it again, faster or in parts.",
            ),
            Self::Busy { .. } => new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Too much is being worked on right now. Send the push again later.",
            )
            .retry_after(RETRY_AFTER_SECONDS),
            Self::NotABatch => new(
                StatusCode::BAD_REQUEST,
                "not-a-batch",
                "The body is not a JSON array in UTF-8. It was kept; the same body will not be taken.",
            ),
            Self::CredentialsUnavailable => new(
                StatusCode::SERVICE_UNAVAILABLE,
                "credentials-unavailable",
                "Credentials cannot be checked right now. Send the push again later.",
            )
            .retry_after(RETRY_AFTER_SECONDS),
            Self::NoSigningKey => new(
                StatusCode::SERVICE_UNAVAILABLE,
                "no-signing-key",
                "No token can be given: the operator has to set a signing key first. Ask again later.",
            )
            .retry_after(RETRY_AFTER_SECONDS),
            Self::StoreUnavailable => new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store-unavailable",
                "The push could not be stored right now. Send it again later.",
            )
            .retry_after(RETRY_AFTER_SECONDS),
            Self::UnknownZone => new(
                StatusCode::NOT_FOUND,
                "unknown-zone",
                "No reading has come from a zone of this id yet. It is the InsID of the readings.",
            ),
            Self::StateUnavailable => new(
                StatusCode::SERVICE_UNAVAILABLE,
                "state-unavailable",
                "The cleaning could not be noted right now. Send it again later.",
            )
            .retry_after(RETRY_AFTER_SECONDS),
            Self::Internal => new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong here. Send the push again later.",
            )
            .retry_after(RETRY_AFTER_SECONDS),
        }
    }

    /// The response, which names the request so that the caller can ask about it.
    #[must_use]
    pub fn response(self, request_id: &str) -> Response<Bytes> {
        let Description { status, code, detail, header } = self.description();
        let body = json!({
            "type": format!("{TYPES}{code}"),
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "code": code,
            "detail": detail,
            "request_id": request_id,
        });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(header);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each problem is to a caller: a change here changes what clients do.
    #[test]
    fn every_problem_has_its_status_code_and_header() {
        let challenge = |basic, bearer, signature| Problem::Unauthorized(Challenge { basic, bearer, signature });
        let expected = [
            (Problem::NotFound, 404, "not-found", ""),
            (Problem::MethodNotAllowed { allow: "POST" }, 405, "method-not-allowed", "allow: POST"),
            (Problem::UnsupportedEncoding, 415, "unsupported-encoding", ""),
            (Problem::GzipAsText, 415, "gzip-as-text", ""),
            (Problem::BrokenGzip, 400, "broken-gzip", ""),
            (Problem::TooLarge, 413, "too-large", ""),
            (challenge(true, None, false), 401, "unauthorized", "www-authenticate: Basic realm="),
            (challenge(true, Some(Bearer::Asked), false), 401, "unauthorized", "www-authenticate: Basic realm="),
            (
                challenge(true, Some(Bearer::InvalidToken), false),
                401,
                "unauthorized",
                "www-authenticate: Bearer realm=",
            ),
            (challenge(false, Some(Bearer::Asked), false), 401, "unauthorized", "www-authenticate: Bearer realm="),
            (challenge(false, None, true), 401, "unauthorized", "www-authenticate: SharedAccessSignature realm="),
            (Problem::NoVerifiedToken, 401, "no-verified-token", "www-authenticate: Bearer realm="),
            (Problem::TooManyFailures, 429, "too-many-failures", "retry-after: 3"),
            (Problem::InsufficientScope, 403, "insufficient-scope", "www-authenticate: Bearer realm="),
            (Problem::ForeignOrigin, 403, "foreign-origin", ""),
            (Problem::NotOneHost, 400, "not-one-host", ""),
            (Problem::IncompleteBody, 400, "incomplete-body", ""),
            (Problem::TooSlow, 408, "too-slow", ""),
            (Problem::Busy { with: "bodies" }, 503, "busy", "retry-after: 30"),
            (Problem::NotABatch, 400, "not-a-batch", ""),
            (Problem::CredentialsUnavailable, 503, "credentials-unavailable", "retry-after: 30"),
            (Problem::NoSigningKey, 503, "no-signing-key", "retry-after: 30"),
            (Problem::StoreUnavailable, 503, "store-unavailable", "retry-after: 30"),
            (Problem::UnknownZone, 404, "unknown-zone", ""),
            (Problem::StateUnavailable, 503, "state-unavailable", "retry-after: 30"),
            (Problem::Internal, 500, "internal", "retry-after: 30"),
        ];
        for (problem, status, code, header) in expected {
            let response = problem.response("r");
            let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(
                (response.status().as_u16(), body["status"].as_u64()),
                (status, Some(status.into())),
                "{problem:?}"
            );
            assert_eq!((body["code"].as_str(), body["request_id"].as_str()), (Some(code), Some("r")), "{problem:?}");
            assert_eq!(body["type"], format!("urn:problem-type:smartclean-push:{code}"), "{problem:?}");
            let own = response.headers().iter().filter(|(name, _)| **name != CONTENT_TYPE && **name != CACHE_CONTROL);
            let own: Vec<_> = own.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            let is_expected =
                if header.is_empty() { own.is_empty() } else { own.len() == 1 && own[0].starts_with(header) };
            assert!(is_expected, "{problem:?}: {own:?}");
            // A retry can help exactly where the caller is asked for one.
            let asks_for_a_retry = body["detail"].as_str().unwrap().to_lowercase().contains(" again");
            assert_eq!(asks_for_a_retry, matches!(status, 408 | 429 | 500..), "{problem:?}");
        }
    }
}
