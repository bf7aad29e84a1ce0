//! Maps a path and a method to a route. The paths of disabled auth methods do not exist.

use http::Method;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::auth::{AuthMethod, AuthMethods};

/// The operation that a request calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Push,
    PushJwt,
    Cleaned { zone: String, project: Option<String> },
    Token,
    SendEvents,
    Health,
    Metrics,
}

impl Route {
    /// Whether the operation has side effects.
    pub(super) fn changes_state(&self) -> bool {
        match self {
            Self::Push | Self::PushJwt | Self::Cleaned { .. } | Self::Token | Self::SendEvents => true,
            Self::Health | Self::Metrics => false,
        }
    }
}

/// A page for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PageRoute<'p> {
    /// What needs attention.
    Board,
    /// The link of a message.
    Link { token: &'p str },
    /// An invitation.
    Invitation { token: &'p str },
    /// The code on a door.
    Door { zone: String, project: Option<String> },
}

/// The path of the board, below which all pages are.
const BOARD: &str = "/board";

impl<'p> PageRoute<'p> {
    /// Whether the path is one of pages, known or not.
    pub(super) fn is_page(parts: &Parts) -> bool {
        parts.uri.path().strip_prefix(BOARD).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The page of a request; `None` if its path is unknown.
    pub(super) fn parse(parts: &'p Parts) -> Option<Self> {
        let path = parts.uri.path().strip_prefix(BOARD)?;
        if matches!(path, "" | "/") {
            return Some(Self::Board);
        }
        // API Gateway decodes paths, so that the id of a zone can contain a slash.
        let (kind, rest) = path.strip_prefix('/')?.split_once('/')?;
        match kind {
            "a" => Some(Self::Link { token: rest }),
            "i" => Some(Self::Invitation { token: rest }),
            "z" => Some(Self::Door { zone: decoded(rest), project: query(parts, "project") }),
            _ => None,
        }
    }
}

/// The route of a request.
///
/// # Errors
/// [`Problem::NotFound`] or [`Problem::MethodNotAllowed`].
pub(super) fn route(parts: &Parts, auth_methods: AuthMethods, has_metrics: bool) -> Result<Route, Problem> {
    let takes_pushes = auth_methods.takes_pushes();
    let path = parts.uri.path();
    let (allow, route) = match path {
        "/health" => ("GET, HEAD", Route::Health),
        "/metrics" if has_metrics && takes_pushes => ("GET, HEAD", Route::Metrics),
        "/push" if takes_pushes => ("POST", Route::Push),
        // Needs no auth method: API Gateway verifies its tokens if an issuer is set.
        "/push/jwt" => ("POST", Route::PushJwt),
        "/oauth2/token" if auth_methods.contains(AuthMethod::Oauth) => ("POST", Route::Token),
        _ if auth_methods.contains(AuthMethod::EventHub) && path.strip_suffix("/messages").is_some_and(is_hub) => {
            ("POST", Route::SendEvents)
        }
        _ if takes_pushes && let Some(zone) = cleaned_zone(path) => {
            ("POST", Route::Cleaned { zone, project: query(parts, "project") })
        }
        _ => return Err(Problem::NotFound),
    };
    let is_allowed = match parts.method {
        Method::POST => allow == "POST",
        Method::GET | Method::HEAD => allow != "POST",
        _ => false,
    };
    if is_allowed { Ok(route) } else { Err(Problem::MethodNotAllowed { allow }) }
}

/// The zone of `/zones/{zone}/cleaned`.
fn cleaned_zone(path: &str) -> Option<String> {
    let zone = path.strip_prefix("/zones/")?.strip_suffix("/cleaned")?;
    let is_one_segment = !zone.is_empty() && !zone.contains('/');
    is_one_segment.then(|| decoded(zone))
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// Whether `path` is the hub of `/{hub}/messages`.
fn is_hub(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|hub| !hub.is_empty() && !hub.contains('/'))
}

/// A query parameter; `None` if it is missing or empty.
fn query(parts: &Parts, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(parts.uri.query()?.as_bytes());
    pairs.find_map(|(key, value)| (key == name && !value.is_empty()).then(|| value.into_owned()))
}
