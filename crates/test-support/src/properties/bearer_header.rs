//! Bearer tokens: a token is accepted only if a second, simpler parser accepts it.
//!
//! The bytes are the `Authorization` header. With a line break, they are the header and the claims of a token, which the target signs:
//! only signed tokens have their claims checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use serde_json::Value;
use sha2::Sha256;

use super::world::{CLIENTS, FuzzApp, NOW, SIGNING_KEY, credentials, request};

pub(super) fn check(data: &[u8]) {
    let header = match data.iter().position(|byte| *byte == b'\n') {
        Some(line_break) => format!("Bearer {}", signed(&data[..line_break], &data[line_break + 1..])).into_bytes(),
        None => data.to_vec(),
    };
    let Some(request) = request("/push", &header) else { return };
    let sent = std::str::from_utf8(&header).ok().filter(|text| text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    let token = sent.and_then(|sent| {
        let (scheme, token) = sent.trim().split_at_checked(6)?;
        Some(token.strip_prefix(' ')?.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))
    });
    let is_good = token.is_some_and(is_access_token);
    let status = FuzzApp::new().send(request.body(Full::new("[]".into())).expect("a request")).status();
    assert!(status == 200 || status == 401, "{status}");
    assert!(is_good || status != 200, "accepted");
    let Some(token) = token else { return };
    let checked = credentials().verify_access_token(token, NOW);
    assert_eq!(checked.is_ok(), status == 200);
    assert!(
        checked.is_err() || credentials().verify_refresh_token(token, NOW).is_err(),
        "a token is for access or for refresh"
    );
    // Conversely, a token without unusual forms is accepted.
    if is_good && is_plain(token) {
        assert!(checked.is_ok(), "{checked:?}");
    }
}

fn signed(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac(&message)))
}

/// RFC 7515 §5.1 with HS256 (RFC 7518 §3.2).
fn mac(message: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(SIGNING_KEY.as_bytes()).expect("a key of any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

/// Header, claims and signature of a token.
fn parts(token: &str) -> Option<(Value, Value, Vec<u8>)> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { return None };
    let decoded = |part| URL_SAFE_NO_PAD.decode(part).ok();
    let object = |part| serde_json::from_slice::<Value>(&decoded(part)?).ok().filter(Value::is_object);
    Some((object(header)?, object(claims)?, decoded(signature)?))
}

/// The header of an access token. A token with any other is refused.
const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;

/// Whether this is a valid access token of a known client.
fn is_access_token(token: &str) -> bool {
    let Some((_, claims, signature)) = parts(token) else { return false };
    let message = token.rsplit_once('.').map_or("", |(message, _)| message);
    signature == mac(message)
        && message.split('.').next() == Some(&URL_SAFE_NO_PAD.encode(HEADER))
        && claims["iss"] == "smartclean-push"
        && claims["aud"] == "smartclean-push"
        && claims["scope"] == "push"
        && CLIENTS.iter().any(|(name, _)| claims["sub"] == *name)
        && claims["exp"].as_i64().is_some_and(|end| NOW < end.saturating_add(60))
}

/// Whether a token has only the members of issued tokens, each once, without unusual forms.
fn is_plain(token: &str) -> bool {
    let Some((header, claims, _)) = parts(token) else { return false };
    let names =
        |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let lengths = |value: &Value| value.to_string().len();
    let raw: Vec<usize> =
        token.split('.').take(2).filter_map(|part| Some(URL_SAFE_NO_PAD.decode(part).ok()?.len())).collect();
    names(&claims).iter().all(|name| ["aud", "exp", "iat", "iss", "jti", "nbf", "scope", "sub"].contains(&name.as_str()))
        // Without repeated members and white space, serializing it again gives the same length.
        && raw == [lengths(&header), lengths(&claims)]
}
