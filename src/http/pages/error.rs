//! Pages that say why a request had no effect, and what to do next.

use bytes::Bytes;
use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use maud::html;

use super::layout::{name, page};
use crate::http::problem::Problem;
use crate::ingest::CleaningError;
use crate::ingest::ports::UnavailableError;

/// Seconds until a retry.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("60");

/// Why a request had no effect.
#[derive(Debug)]
pub(super) enum PageError {
    NotFound,
    UnknownLink,
    UnknownInvitation,
    UnknownZone,
    NotInvited,
    /// The browser does not keep the cookie of an invitation without HTTPS.
    NoHttps,
    TooMany,
    ViewOnly,
    MethodNotAllowed(&'static str),
    ForeignOrigin,
    MediaType,
    TooLarge,
    /// The body did not arrive.
    Incomplete,
    /// The form has no known action, or is about another alert.
    Form,
    NoName,
    NoLength,
    /// Others have the alert.
    Held {
        by: String,
        since: String,
        until: String,
    },
    Unavailable(UnavailableError),
}

impl From<UnavailableError> for PageError {
    fn from(error: UnavailableError) -> Self {
        Self::Unavailable(error)
    }
}

impl From<CleaningError> for PageError {
    fn from(error: CleaningError) -> Self {
        match error {
            CleaningError::Name(_) | CleaningError::UnknownZone => Self::UnknownZone,
            CleaningError::State(error) => Self::Unavailable(error),
        }
    }
}

impl From<Problem> for PageError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::ForeignOrigin => Self::ForeignOrigin,
            Problem::TooLarge => Self::TooLarge,
            _ => Self::Incomplete,
        }
    }
}

impl PageError {
    /// The status, the heading, and what to do.
    fn parts(&self) -> (StatusCode, String, &'static str) {
        let (status, heading, advice) = match self {
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "This page does not exist",
                "Open the link of a message, or scan the code again.",
            ),
            Self::UnknownLink => (
                StatusCode::NOT_FOUND,
                "This link is not valid",
                "It is incomplete, older than 7 days, or withdrawn. Open the link of a newer message.",
            ),
            Self::UnknownInvitation => (
                StatusCode::NOT_FOUND,
                "This invitation is not valid",
                "It is incomplete, has expired, or was withdrawn. Ask your supervisor for a new one.",
            ),
            Self::UnknownZone => (
                StatusCode::NOT_FOUND,
                "This room is not known",
                "No sensor has sent anything from it, or several rooms have this name. Tell your supervisor.",
            ),
            Self::NotInvited => (
                StatusCode::FORBIDDEN,
                "This phone is not invited",
                "Ask your supervisor for an invitation: a link or a code that you open once on this phone. Then open \
                 this page again.",
            ),
            Self::NoHttps => (
                StatusCode::FORBIDDEN,
                "This phone cannot be invited over http",
                "Open the invitation at a URL that begins with https. Tell your operator if there is none.",
            ),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many answers",
                "This room had too many answers in the last minute. Nothing was recorded. Try again in a minute.",
            ),
            Self::ViewOnly => (
                StatusCode::FORBIDDEN,
                "This phone may only see alerts",
                "Nothing was recorded. Ask your supervisor for an invitation that may answer.",
            ),
            Self::MethodNotAllowed(_) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "This page cannot do that",
                "Nothing was recorded. Open the page again.",
            ),
            Self::ForeignOrigin => (
                StatusCode::FORBIDDEN,
                "Nothing was recorded",
                "The answer did not come from a button of this page. Open the page again, and use its buttons.",
            ),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Nothing was recorded",
                "The answer did not come from a button of this page. Open the page again, and use its buttons.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "Nothing was recorded",
                "The answer is too long. Open the page again, and write your team or initials only.",
            ),
            Self::Incomplete | Self::Form => (
                StatusCode::BAD_REQUEST,
                "Nothing was recorded",
                "The answer was incomplete. Open the page again, and use its buttons.",
            ),
            Self::NoName => (
                StatusCode::BAD_REQUEST,
                "Write your team or initials",
                "Nothing was recorded: others need to know who has the alert. Use at most 40 characters.",
            ),
            Self::NoLength => (
                StatusCode::BAD_REQUEST,
                "Choose a time",
                "Nothing was recorded: to snooze an alert, choose for how long.",
            ),
            Self::Held { .. } => (
                StatusCode::CONFLICT,
                "Somebody else has this alert",
                "You need not do anything. Nothing was recorded.",
            ),
            Self::Unavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Alerts are not available now",
                "No answer is recorded until this page shows it. Try again in a minute. To send an answer twice does no harm.",
            ),
        };
        (status, heading.to_owned(), advice)
    }

    /// The page.
    pub(super) fn response(&self) -> Response<Bytes> {
        let (status, heading, advice) = self.parts();
        // An empty reference is this page, with GET.
        let has_way_back = !matches!(self, Self::NotFound | Self::UnknownLink | Self::UnknownInvitation);
        let content = html! {
            h1 { (heading) }
            @if let Self::Held { by, since, until } = self {
                p.status { (name(by)) " has it since " (since) ", until " (until) "." }
            }
            p { (advice) }
            @if has_way_back { p { a href="" { "Open the page again" } } }
        };
        let mut response = page(status, &heading, &content);
        match self {
            Self::MethodNotAllowed(allow) => response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow)),
            Self::Unavailable(_) => response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS),
            _ => None,
        };
        response
    }
}
