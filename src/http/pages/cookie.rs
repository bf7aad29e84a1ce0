//! The cookie of an invited phone: the token of its invitation.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;

/// The prefix makes browsers accept it only from this host, over HTTPS, for all paths (RFC 6265bis §4.1.3.2).
const NAME: &str = "__Host-smartclean";

/// The token in the cookie; `None` without one.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == NAME).then_some(value))
}

/// The header that sets the cookie until `expires`. `SameSite=Lax` sends it when somebody scans a code, and with no form of another
/// site.
pub(super) fn set(token: &str, expires: Timestamp, now: Timestamp) -> Option<HeaderValue> {
    let seconds = expires.duration_since(now).as_secs();
    let cookie = format!("{NAME}={token}; Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite=Lax");
    HeaderValue::try_from(cookie).ok()
}
