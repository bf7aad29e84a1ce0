//! Errors as clients see them: `application/problem+json` (RFC 9457). The texts reveal no internal error.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::{login_limit, uncached_response};
use crate::auth::{AuthMethod, AuthMethods};
use crate::domain::batch::BatchError;
use crate::domain::rules::names::NameError;
use crate::ingest::{CleaningError, PushError};

/// `charset` makes clients send UTF-8 (RFC 7617 §2.1).
pub(super) const BASIC: &str = r#"Basic realm="smartclean-push", charset="UTF-8""#;
/// RFC 6750 §3: without a token in the request, the challenge has no error.
const BEARER: &str = r#"Bearer realm="smartclean-push""#;
const INVALID_TOKEN: &str = r#"Bearer realm="smartclean-push", error="invalid_token", error_description="The token is expired, revoked or not for this service""#;
/// The scheme's name in Event Hubs. It is not a registered HTTP scheme.
const SIGNATURE: &str = r#"SharedAccessSignature realm="smartclean-push""#;
/// Seconds until a retry: longer than most throttles and failovers of AWS.
const RETRY_AFTER_SECONDS: &str = "30";

/// The prefix of each `type` (RFC 9457 §3.1.1). It is a name, not a URL to fetch.
const TYPES: &str = "urn:problem-type:smartclean-push:";

/// Every way in which a request can fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No such path.
    NotFound,
    /// The path does not support the method.
    MethodNotAllowed {
        /// The methods that it supports.
        allow: &'static str,
    },
    /// A content encoding other than gzip.
    UnsupportedEncoding,
    /// A gzip body that was decoded as text on its way.
    GzipAsText,
    /// A damaged gzip body.
    BrokenGzip,
    /// A body over the size limit.
    TooLarge,
    /// Missing or wrong credentials.
    Unauthorized {
        /// The enabled auth methods.
        methods: AuthMethods,
        /// Whether the request has an invalid token.
        has_invalid_token: bool,
    },
    /// A missing or wrong shared access signature.
    InvalidSignature,
    /// The host has verified no token of an external issuer.
    NoVerifiedToken,
    /// Too many failed logins from this network.
    TooManyFailures,
    /// A request of a browser for a page of another origin.
    ForeignOrigin,
    /// An HTTP/1.1 request without exactly one `Host` header.
    NotOneHost,
    /// A body that ended early.
    IncompleteBody,
    /// A body that took too long.
    TooSlow,
    /// No permit for a large body (`body_budget.rs`, local server only) or for a password hash (`hash_verifier.rs`).
    Busy {
        /// The scarce resource, for the log.
        resource: &'static str,
    },
    /// A body that is not a batch.
    NotABatch,
    /// Credentials cannot be read.
    CredentialsUnavailable,
    /// A token request without a signing key in the credentials.
    NoSigningKey,
    /// The object store and the fallback queue do not respond.
    StoreUnavailable,
    /// A zone without any reading so far.
    UnknownZone,
    /// A name that no zone has in the rules in force, or several zones.
    ZoneName(NameError),
    /// State cannot be read or written, or the rules were never read.
    StateUnavailable,
    /// An internal error.
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

impl From<CleaningError> for Problem {
    fn from(error: CleaningError) -> Self {
        match error {
            CleaningError::Name(error) => Self::ZoneName(error),
            CleaningError::UnknownZone => Self::UnknownZone,
            CleaningError::State(_) => Self::StateUnavailable,
        }
    }
}

impl Problem {
    /// The status: a retry can help after 408, 429, 5xx and an incomplete body (400), not after any other.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status_and_code().0
    }

    /// The status, and the last part of `type`. Clients rely on both: do not change them.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::UnsupportedEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding"),
            Self::GzipAsText => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "gzip-as-text"),
            Self::BrokenGzip => (StatusCode::BAD_REQUEST, "broken-gzip"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::Unauthorized { .. } | Self::InvalidSignature => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::NoVerifiedToken => (StatusCode::UNAUTHORIZED, "no-verified-token"),
            Self::TooManyFailures => (StatusCode::TOO_MANY_REQUESTS, "too-many-failures"),
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, "foreign-origin"),
            Self::NotOneHost => (StatusCode::BAD_REQUEST, "not-one-host"),
            Self::IncompleteBody => (StatusCode::BAD_REQUEST, "incomplete-body"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow"),
            Self::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::NotABatch => (StatusCode::BAD_REQUEST, "not-a-batch"),
            Self::CredentialsUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "credentials-unavailable"),
            Self::NoSigningKey => (StatusCode::SERVICE_UNAVAILABLE, "no-signing-key"),
            Self::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"),
            Self::ZoneName(NameError { is_ambiguous: true, .. }) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "ambiguous-zone")
            }
            Self::ZoneName(_) | Self::UnknownZone => (StatusCode::NOT_FOUND, "unknown-zone"),
            Self::StateUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "state-unavailable"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        let detail = match self {
            Self::ZoneName(error) => return error.to_string().into(),
            Self::NotFound => "This path does not exist. Send pushes to POST /push.",
            Self::MethodNotAllowed { .. } => "This path does not support this method; see the Allow header.",
            Self::UnsupportedEncoding => "This content encoding is not supported. Use gzip or none.",
            Self::GzipAsText => {
                "The gzip body was decoded as text on its way, which destroys it. Send Content-Type: \
                 application/octet-stream, or no gzip. The body was stored for inspection."
            }
            Self::BrokenGzip => {
                "The gzip body is damaged or incomplete. It was stored for inspection. Do not retry it unchanged: \
                 compress the batch anew."
            }
            Self::TooLarge => {
                "The body is too large: at most 10 MB as sent, 64 MiB decoded, 200,000 items. Split the batch."
            }
            Self::Unauthorized { methods, .. } => {
                match (methods.contains(AuthMethod::Basic), methods.contains(AuthMethod::Oauth)) {
                    (true, false) => "Credentials are missing or wrong. Use HTTP Basic authentication.",
                    (true, true) => {
                        "Credentials are missing or wrong. Use HTTP Basic authentication, or a token from POST /oauth2/token."
                    }
                    (false, _) => "Credentials are missing or wrong. Use a token from POST /oauth2/token.",
                }
            }
            Self::InvalidSignature => {
                "The shared access signature is missing, wrong, expired, or not for this host and hub."
            }
            Self::NoVerifiedToken => {
                "This path requires a token of an external issuer, verified by API Gateway, and no external issuer is set \
                 here. Push to POST /push."
            }
            Self::TooManyFailures => {
                "Too many logins from your network failed, so these credentials were not checked. Send the push again later."
            }
            Self::ForeignOrigin => {
                "A browser sent this request for a page of another origin; see its headers Origin and Sec-Fetch-Site. Send \
                 it from a program or from a page of this host. A proxy must pass on the Host header."
            }
            Self::NotOneHost => "An HTTP/1.1 request must have exactly one Host header.",
            Self::IncompleteBody => "The body ended before its declared length or its last chunk. Send it again.",
            Self::TooSlow => "The body took too long. Send it again, faster or in parts.",
            Self::Busy { .. } => "The server is busy. Send the push again later.",
            Self::NotABatch => {
                "The body is not a JSON array in UTF-8. It was stored for inspection. Do not retry it unchanged."
            }
            Self::CredentialsUnavailable => "Credentials cannot be checked at the moment. Send the push again later.",
            Self::NoSigningKey => "No token can be issued until the operator sets a signing key. Try again later.",
            Self::StoreUnavailable => "The push could not be stored. Send it again later.",
            Self::UnknownZone => "No reading has come from this zone yet. Use the InsID of its readings.",
            Self::StateUnavailable => "The cleaning could not be recorded. Send it again later.",
            Self::Internal => "An internal error occurred. Send the push again later.",
        };
        detail.into()
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let value = HeaderValue::from_static;
        match self {
            Self::MethodNotAllowed { allow } => Some((ALLOW, value(allow))),
            Self::Unauthorized { methods, has_invalid_token } => {
                Some((WWW_AUTHENTICATE, challenge(*methods, *has_invalid_token)))
            }
            Self::InvalidSignature => Some((WWW_AUTHENTICATE, value(SIGNATURE))),
            Self::NoVerifiedToken => Some((WWW_AUTHENTICATE, value(BEARER))),
            Self::TooManyFailures => Some((RETRY_AFTER, value(login_limit::RETRY_AFTER_SECONDS))),
            _ => self.status().is_server_error().then(|| (RETRY_AFTER, value(RETRY_AFTER_SECONDS))),
        }
    }

    /// The response. It contains the request id, so that the client can quote it.
    #[must_use]
    pub fn response(&self, request_id: &str) -> Response<Bytes> {
        let (status, code) = self.status_and_code();
        let body = json!({
            "type": format!("{TYPES}{code}"),
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "code": code,
            "detail": self.detail(),
            "request_id": request_id,
        });
        let mut response = uncached_response("application/problem+json", body.to_string());
        *response.status_mut() = status;
        response.headers_mut().extend(self.header());
        response
    }
}

/// One header with all challenges: API Gateway may pass on only one of several headers of the same name.
fn challenge(methods: AuthMethods, has_invalid_token: bool) -> HeaderValue {
    let bearer = if has_invalid_token { INVALID_TOKEN } else { BEARER };
    let enabled = [(AuthMethod::Basic, BASIC), (AuthMethod::Oauth, bearer)];
    let mut challenges: Vec<_> =
        enabled.into_iter().filter(|(method, _)| methods.contains(*method)).map(|(_, challenge)| challenge).collect();
    // The method that the client tried comes first.
    if has_invalid_token {
        challenges.reverse();
    }
    // Cannot fail: the constants have visible characters only.
    HeaderValue::try_from(challenges.join(", ")).unwrap_or(HeaderValue::from_static(BASIC))
}

#[cfg(test)]
mod tests {
    use http::header::{CACHE_CONTROL, CONTENT_TYPE};

    use super::*;

    /// The contract with clients: status, code and header of each problem.
    #[test]
    fn every_problem_has_its_status_code_and_header() {
        let unauthorized = |methods: &str, has_invalid_token| Problem::Unauthorized {
            methods: methods.parse().unwrap(),
            has_invalid_token,
        };
        let zone_name = |is_ambiguous| {
            Problem::ZoneName(NameError { message: "message".to_owned(), remedy: "remedy".to_owned(), is_ambiguous })
        };
        let expected = [
            (Problem::NotFound, 404, "not-found", ""),
            (Problem::MethodNotAllowed { allow: "POST" }, 405, "method-not-allowed", "allow: POST"),
            (Problem::UnsupportedEncoding, 415, "unsupported-encoding", ""),
            (Problem::GzipAsText, 415, "gzip-as-text", ""),
            (Problem::BrokenGzip, 400, "broken-gzip", ""),
            (Problem::TooLarge, 413, "too-large", ""),
            (unauthorized("basic,event-hub", false), 401, "unauthorized", "www-authenticate: Basic realm="),
            (unauthorized("basic,oauth", false), 401, "unauthorized", "www-authenticate: Basic realm="),
            (unauthorized("basic,oauth", true), 401, "unauthorized", "www-authenticate: Bearer realm="),
            (unauthorized("oauth", false), 401, "unauthorized", "www-authenticate: Bearer realm="),
            (Problem::InvalidSignature, 401, "unauthorized", "www-authenticate: SharedAccessSignature realm="),
            (Problem::NoVerifiedToken, 401, "no-verified-token", "www-authenticate: Bearer realm="),
            (Problem::TooManyFailures, 429, "too-many-failures", "retry-after: 3"),
            (Problem::ForeignOrigin, 403, "foreign-origin", ""),
            (Problem::NotOneHost, 400, "not-one-host", ""),
            (Problem::IncompleteBody, 400, "incomplete-body", ""),
            (Problem::TooSlow, 408, "too-slow", ""),
            (Problem::Busy { resource: "bodies" }, 503, "busy", "retry-after: 30"),
            (Problem::NotABatch, 400, "not-a-batch", ""),
            (Problem::CredentialsUnavailable, 503, "credentials-unavailable", "retry-after: 30"),
            (Problem::NoSigningKey, 503, "no-signing-key", "retry-after: 30"),
            (Problem::StoreUnavailable, 503, "store-unavailable", "retry-after: 30"),
            (Problem::UnknownZone, 404, "unknown-zone", ""),
            (zone_name(false), 404, "unknown-zone", ""),
            (zone_name(true), 422, "ambiguous-zone", ""),
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
            // The detail suggests a retry exactly if one can help.
            let suggests_retry = body["detail"].as_str().unwrap().to_lowercase().contains(" again");
            let helps = matches!(status, 408 | 429 | 500..) || matches!(problem, Problem::IncompleteBody);
            assert_eq!(suggests_retry, helps, "{problem:?}");
        }
    }
}
