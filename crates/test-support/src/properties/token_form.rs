//! The form of a token request: the response has tokens or an error of the RFC, and tokens only for a valid form.
//!
//! The bytes are the form. If they begin with `!`, the request has the client's `Authorization` header.

use std::collections::BTreeMap;

use http::Request;
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::world::{CLIENTS, FuzzApp, NOW, basic, credentials};

/// RFC 6749 §5.2.
const ERRORS: [&str; 5] =
    ["invalid_request", "invalid_client", "invalid_grant", "unsupported_grant_type", "invalid_scope"];

pub(super) fn check(data: &[u8]) {
    let (by_header, form) = data.strip_prefix(b"!").map_or((false, data), |form| (true, form));
    let mut request = Request::post("/oauth2/token").header("content-type", "application/x-www-form-urlencoded");
    if by_header {
        request = request.header("authorization", basic());
    }
    let app = FuzzApp::new();
    let response = app.send(request.body(Full::new(form.to_vec().into())).expect("a request"));
    let status = response.status().as_u16();
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    let fields = fields(form);
    let field = |name: &str| fields.as_ref().and_then(|fields| fields.get(name)).filter(|value| !value.is_empty());
    let client = match (field("client_id"), field("client_secret")) {
        (id, None) => Some(CLIENTS[0].0).filter(|name| by_header && id.is_none_or(|id| id == name)),
        (Some(id), Some(secret)) if !by_header => {
            CLIENTS.iter().find(|known| **known == (id, secret)).map(|(name, _)| *name)
        }
        (_, Some(_)) => None,
    };
    let client_of = |token: &String| credentials().verify_refresh_token(token, NOW).ok();
    let may_have = form.len() <= 16 * 1024
        && client.is_some()
        && field("scope").is_none_or(|scopes| scopes.split_ascii_whitespace().all(|scope| scope == "push"))
        && match field("grant_type").map(String::as_str) {
            Some("client_credentials") => true,
            Some("refresh_token") => field("refresh_token").and_then(client_of).as_deref() == client,
            _ => false,
        };
    assert_eq!(status == 200, may_have, "{body}");
    if may_have {
        let token = |name: &str| body[name].as_str().expect("a token").to_owned();
        assert_eq!(
            credentials().verify_access_token(&token("access_token"), NOW).as_deref(),
            Ok(client.unwrap_or_default())
        );
        assert_eq!(
            credentials().verify_refresh_token(&token("refresh_token"), NOW).as_deref(),
            Ok(client.unwrap_or_default())
        );
        assert!(credentials().verify_access_token(&token("refresh_token"), NOW).is_err());
    } else {
        let error = body["error"].as_str().expect("an error has a code");
        assert!(ERRORS.contains(&error), "{error}");
        assert_eq!(status, if error == "invalid_client" { 401 } else { 400 });
    }
}

/// The fields of a form (WHATWG URL §5.1); `None` if it is invalid or repeats a field (RFC 6749 §3.2).
fn fields(form: &[u8]) -> Option<BTreeMap<String, String>> {
    let form = std::str::from_utf8(form).ok()?;
    let mut fields = BTreeMap::new();
    for pair in form.split('&').filter(|pair| !pair.is_empty()) {
        let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(String::from);
        let at = pair.find('=');
        let (name, value) = (&pair[..at.unwrap_or(pair.len())], at.map_or("", |at| &pair[at + 1..]));
        if fields.insert(decoded(name)?, decoded(value)?).is_some() {
            return None;
        }
    }
    Some(fields)
}
