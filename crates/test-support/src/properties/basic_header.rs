//! Basic authentication: a client is authenticated exactly if a second, simpler parser finds its credentials.

use http_body_util::Full;
use smartclean_push::auth::Login;

use super::world::{CLIENTS, FuzzApp, request};

pub(super) fn check(header: &[u8]) {
    let text = std::str::from_utf8(header).ok();
    let naive = text.and_then(naive);
    let read = text.and_then(Login::from_basic_header);
    let read = read.map(|login| (login.username, login.password.expose().to_owned()));
    assert_eq!(read, naive);
    let Some(request) = request("/push", header) else { return };
    // A header's value has no white space around it (RFC 9110 §5.5), and is ASCII.
    let is_ours = naive.is_some_and(|(name, word)| CLIENTS.contains(&(name.as_str(), word.as_str())));
    let is_sent = header.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let response = FuzzApp::new().send(request.body(Full::new("[]".into())).expect("a request"));
    assert_eq!(response.status().as_u16(), if is_ours && is_sent { 200 } else { 401 });
}

/// RFC 7617 §2: the scheme in any case, a space or more, then base64 of name, colon, password.
fn naive(header: &str) -> Option<(String, String)> {
    let header = header.trim();
    let scheme = header.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("basic"))?;
    let encoded = header[scheme.len()..].strip_prefix(' ')?.trim();
    let decoded = String::from_utf8(base64(encoded)?).ok()?;
    let colon = decoded.find(':')?;
    Some((decoded[..colon].to_owned(), decoded[colon + 1..].to_owned()))
}

/// RFC 4648 §4, bit by bit. Padding may be left out, also in part; bits beyond the last byte have to be 0.
fn base64(encoded: &str) -> Option<Vec<u8>> {
    let digits = encoded.trim_end_matches('=');
    let padding = encoded.len() - digits.len();
    if digits.len() % 4 == 1 || padding > (4 - digits.len() % 4) % 4 {
        return None;
    }
    let mut bits = String::new();
    for digit in digits.bytes() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        bits.push_str(&format!("{:06b}", alphabet.iter().position(|known| *known == digit)?));
    }
    let (whole, rest) = bits.split_at(bits.len() / 8 * 8);
    if rest.contains('1') {
        return None;
    }
    (0..whole.len() / 8).map(|byte| u8::from_str_radix(&whole[byte * 8..][..8], 2).ok()).collect()
}
