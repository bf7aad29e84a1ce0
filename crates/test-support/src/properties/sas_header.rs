//! Shared access signatures: a signature is accepted exactly if a second, simpler implementation of Microsoft's specification accepts
//! it.
//!
//! The bytes are the `Authorization` header. With a line break, they are resource, expiry, key name and path, one per line, which the
//! target signs: only signed headers have their other fields checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::Sha256;
use smartclean_push::auth::SharedAccessSignature;

use super::world::{FuzzApp, HOST, HUB_KEY, HUB_KEY_NAME, NOW, credentials, request};

const PATH: &str = "/Washrooms/messages";

pub(super) fn check(data: &[u8]) {
    let header = match std::str::from_utf8(data) {
        Ok(text) if text.contains('\n') => signed(text).into_bytes(),
        _ => data.to_vec(),
    };
    let Ok(text) = std::str::from_utf8(&header) else { return };
    let sent = SharedAccessSignature::from_header(text);
    let checked = sent.as_ref().and_then(|sent| credentials().verify_signature(sent, HOST, PATH, NOW));
    assert_eq!(checked, is_good(text).then_some(HUB_KEY_NAME));
    let Some(request) = request(PATH, &header) else { return };
    let is_sent = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let response = FuzzApp::new().send(request.body(Full::new("[]".into())).expect("a request"));
    assert_eq!(response.status().as_u16(), if checked.is_some() && is_sent { 201 } else { 401 });
}

fn quoted(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn signature(resource: &str, expiry: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(HUB_KEY.as_bytes()).expect("a key of any length");
    STANDARD.encode(mac.chain_update(format!("{resource}\n{expiry}")).finalize().into_bytes())
}

fn signed(lines: &str) -> String {
    let mut lines = lines.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (resource, expiry, key_name) = (quoted(line()), line(), quoted(line()));
    let signature = quoted(&signature(&resource, expiry));
    format!("SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={key_name}")
}

/// The scheme in any case, each of the four fields once, a signature by the key over the resource as written, not expired, and for
/// this host and a prefix of this path.
fn is_good(header: &str) -> bool {
    let Some((scheme, fields)) = header.trim().split_once(' ') else { return false };
    if !scheme.eq_ignore_ascii_case("sharedaccesssignature") {
        return false;
    }
    let mut found = [None; 4];
    for pair in fields.trim().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "\0"));
        let Some(index) = ["sr", "sig", "se", "skn"].iter().position(|known| *known == name) else { continue };
        if value != "\0" && found[index].replace(value).is_some() {
            return false;
        }
    }
    let [Some(resource), Some(sent), Some(expiry), Some(key_name)] = found else { return false };
    let decoded = |text| percent_decode_str(text).decode_utf8().ok().map(String::from);
    decoded(sent).as_deref() == Some(&signature(resource, expiry))
        && decoded(key_name).as_deref() == Some(HUB_KEY_NAME)
        && expiry.parse::<i64>().is_ok_and(|end| i128::from(NOW) < i128::from(end) + 60)
        && decoded(resource).is_some_and(|resource| covers(&resource))
}

/// Whether a resource is the host, its hub, or the path, with any scheme, port and case.
fn covers(resource: &str) -> bool {
    let resource = resource.to_lowercase();
    let after_scheme = resource.find("://").map_or(0, |at| at + 3);
    let parts: Vec<&str> = resource[after_scheme..].split('/').collect();
    let host = match parts[0].rfind(':') {
        Some(at) if parts[0][at + 1..].chars().all(|digit| digit.is_ascii_digit()) => &parts[0][..at],
        _ => parts[0],
    };
    let path: Vec<&str> = parts[1..].iter().copied().filter(|part| !part.is_empty()).collect();
    host == HOST && "washrooms/messages".split('/').collect::<Vec<_>>().starts_with(&path)
}
