//! Where a request comes from, as far as a browser says it.
//!
//! A browser adds a stored Basic login by itself, also to what a page of another origin sends. Pages cannot set or remove
//! the headers `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (Fetch §3.2). Programs send neither.

use http::header::{HOST, ORIGIN};
use http::request::Parts;

use super::problem::Problem;

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Lets through what no browser sends for a page of another origin. It looks at headers alone and before authentication, so
/// that the answer says nothing about a password.
///
/// # Errors
/// [`Problem::ForeignOrigin`] for the request of such a page.
pub(super) fn check(parts: &Parts) -> Result<(), Problem> {
    let own = own_host(parts);
    let mut sites = parts.headers.get_all(SEC_FETCH_SITE).iter();
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    let is_own_site = sites.all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    let is_own = is_own_site && origins.all(|origin| origin.to_str().is_ok_and(|origin| is_of(origin, own)));
    if is_own { Ok(()) } else { Err(Problem::ForeignOrigin) }
}

/// The host that the request was sent to, with its port where that was named; empty where it names none.
pub(super) fn own_host(parts: &Parts) -> &str {
    parts.headers.get(HOST).and_then(|host| host.to_str().ok()).or(parts.uri.host()).unwrap_or_default()
}

/// Whether `origin` is that of `host`, whatever its scheme: TLS may end in front of us.
fn is_of(origin: &str, host: &str) -> bool {
    let named = origin.strip_prefix("https://").map(|named| (named, ":443"));
    let named = named.or(origin.strip_prefix("http://").map(|named| (named, ":80")));
    // A browser leaves the scheme's own port out of the origin.
    named.is_some_and(|(named, port)| {
        !named.is_empty() && named.eq_ignore_ascii_case(host.strip_suffix(port).unwrap_or(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_let_through(headers: &[(&str, &str)]) -> bool {
        let mut request = http::Request::post("/push");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn programs_and_pages_of_the_host_itself_are_let_through() {
        for headers in [
            &[][..],
            &[("host", "push.example.com")],
            &[("host", "push.example.com"), ("origin", "https://push.example.com")],
            &[("host", "push.example.com:443"), ("origin", "https://Push.Example.com")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")],
            &[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")],
            &[("host", "push.example.com"), ("sec-fetch-site", "none")],
        ] {
            assert!(is_let_through(headers), "{headers:?}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_not_let_through() {
        for headers in [
            &[("host", "a.example"), ("sec-fetch-site", "cross-site")][..],
            &[("host", "a.example"), ("sec-fetch-site", "same-site")],
            // As API Gateway joins headers that were sent twice.
            &[("host", "a.example"), ("sec-fetch-site", "cross-site,same-origin")],
            &[("host", "a.example"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("host", "a.example"), ("sec-fetch-site", "")],
            &[("host", "a.example"), ("origin", "null")],
            &[("host", "a.example"), ("origin", "")],
            &[("host", "a.example"), ("origin", "https://b.example")],
            &[("host", "a.example"), ("origin", "https://a.example.b.example")],
            &[("host", "a.example"), ("origin", "https://a.example:8443")],
            &[("host", "a.example:8080"), ("origin", "http://a.example")],
            &[("host", "a.example:80"), ("origin", "https://a.example")],
            &[("host", "a.example"), ("origin", "a.example")],
            &[("host", "a.example"), ("origin", "chrome-extension://a.example")],
            &[("host", "a.example"), ("origin", "https://a.example"), ("origin", "https://b.example")],
            &[("host", "a.example"), ("origin", "https://a.example"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://a.example")],
            &[("origin", "https://")],
        ] {
            assert!(!is_let_through(headers), "{headers:?}");
        }
    }
}
