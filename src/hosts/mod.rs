//! Hosts that pass requests to the handler: the local server and AWS Lambda.

#[cfg(feature = "lake")]
pub mod compaction;
#[cfg(feature = "function")]
pub mod lambda;
#[cfg(feature = "local")]
pub mod server;

/// The URL that a client called, by the header `Host`; `None` if it has no plausible host.
#[cfg(any(feature = "function", feature = "local"))]
fn called_url(scheme: &str, headers: &http::HeaderMap) -> Option<crate::ingest::PublicUrl> {
    let host = headers.get(http::header::HOST)?.to_str().ok()?;
    format!("{scheme}://{host}").parse().ok()
}

#[cfg(all(test, any(feature = "function", feature = "local")))]
mod tests {
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn a_called_url_has_the_host_of_the_request_if_it_is_plausible() {
        let called = |host: &'static [u8]| {
            let host = ("host".parse().unwrap(), HeaderValue::from_bytes(host).unwrap());
            super::called_url("https", &HeaderMap::from_iter([host])).map(|url| url.to_string())
        };
        assert_eq!(called(b"push.example.com:8443").as_deref(), Some("https://push.example.com:8443"));
        for wrong in [&b""[..], b"a b", b"evil.example/x", b"evil.example?x", b"me@evil.example", b"a\"b", b"\xff"] {
            assert_eq!(called(wrong), None, "{wrong:?}");
        }
        assert_eq!(super::called_url("https", &HeaderMap::new()), None);
    }
}
