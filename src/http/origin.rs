//! Rejects cross-origin requests of browsers.
//!
//! A browser adds a stored Basic login even to a request that a page of another origin sends. Pages cannot change the headers
//! `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (Fetch §3.2). Programs send neither.

use http::header::{HOST, ORIGIN};
use http::request::Parts;

use super::problem::Problem;

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Checks the headers, before authentication, so that the response says nothing about a password. `public` is the host by which
/// browsers know this receiver, if a proxy changes the header `Host`.
///
/// # Errors
/// [`Problem::ForeignOrigin`] if a browser sent the request for a page of another origin. A retry cannot help.
pub(super) fn reject_cross_origin(parts: &Parts, public: Option<&str>) -> Result<(), Problem> {
    let is_own_host =
        |origin: &str| [Some(own_host(parts)), public].iter().flatten().any(|host| is_same_host(origin, host));
    let mut sites = parts.headers.get_all(SEC_FETCH_SITE).iter();
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    let is_own_site = sites.all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    let is_own = is_own_site && origins.all(|origin| origin.to_str().is_ok_and(is_own_host));
    if is_own { Ok(()) } else { Err(Problem::ForeignOrigin) }
}

/// The host of the request, with the port if it has one; empty if it has no host.
pub(super) fn own_host(parts: &Parts) -> &str {
    parts.headers.get(HOST).and_then(|host| host.to_str().ok()).or(parts.uri.host()).unwrap_or_default()
}

/// Whether `origin` has this host. The scheme may differ: a proxy may terminate TLS.
fn is_same_host(origin: &str, host: &str) -> bool {
    let named = origin.strip_prefix("https://").map(|named| (named, ":443"));
    let named = named.or(origin.strip_prefix("http://").map(|named| (named, ":80")));
    // A browser omits the default port of the scheme.
    named.is_some_and(|(named, port)| {
        !named.is_empty() && named.eq_ignore_ascii_case(host.strip_suffix(port).unwrap_or(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(headers: &[(&str, &str)]) -> bool {
        let mut request = http::Request::post("/push");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        reject_cross_origin(&request.body(()).unwrap().into_parts().0, None).is_ok()
    }

    #[test]
    fn requests_of_programs_and_of_same_origin_pages_are_accepted() {
        for headers in [
            &[][..],
            &[("host", "push.example.com")],
            &[("host", "push.example.com"), ("origin", "https://push.example.com")],
            &[("host", "push.example.com:443"), ("origin", "https://Push.Example.com")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")],
            &[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")],
            &[("host", "push.example.com"), ("sec-fetch-site", "none")],
        ] {
            assert!(is_accepted(headers), "{headers:?}");
        }
    }

    #[test]
    fn requests_of_cross_origin_pages_are_rejected() {
        for headers in [
            &[("host", "a.example"), ("sec-fetch-site", "cross-site")][..],
            &[("host", "a.example"), ("sec-fetch-site", "same-site")],
            // API Gateway joins repeated headers like this.
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
            assert!(!is_accepted(headers), "{headers:?}");
        }
    }
}
