//! Bearer tokens: RFC 6750, and the JWTs of RFC 7515 and RFC 7519. The vectors of HMAC (RFC 4231) are in the unit tests
//! of `crates/auth/src/token.rs`.

use http::Request;
use http_body_util::Full;

use crate::support::{PASSWORD, TestApp, TestResponse, USERNAME, basic};

const CREDENTIALS: &str =
    r#"{"username":"smartclean","password":"s3cret-Pa55","signing_key":"a-key-of-thirty-two-bytes-or-more"}"#;

fn app() -> TestApp {
    TestApp::with_credentials(CREDENTIALS, "oauth".parse().unwrap())
}

async fn with_header(authorization: &str) -> TestResponse {
    let request = Request::post("/push").header("authorization", authorization);
    app().send(request.body(Full::new("[]".into())).unwrap()).await
}

fn challenge(answer: &TestResponse) -> &str {
    assert_eq!(answer.status, 401, "{answer:?}");
    answer.headers["www-authenticate"].to_str().unwrap()
}

/// Requests a valid token.
async fn token(app: &TestApp) -> String {
    let request = Request::post("/oauth2/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", basic(USERNAME, PASSWORD));
    let answer = app.send(request.body(Full::new("grant_type=client_credentials".into())).unwrap()).await;
    answer.body["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn rfc_6750_section_2_1_the_token_of_the_example_is_not_valid_here() {
    let answer = with_header("Bearer mF_9.B5f-4.1JqM").await;
    // §3.1: "The access token provided is expired, revoked, malformed, or invalid for other reasons."
    assert!(challenge(&answer).starts_with(r#"Bearer realm="smartclean-push", error="invalid_token", "#));
}

#[tokio::test]
async fn rfc_6750_section_3_1_the_challenge_has_no_error_code_if_the_request_has_no_token() {
    let request = Request::post("/push").body(Full::new("[]".into())).unwrap();
    assert_eq!(challenge(&app().send(request).await), r#"Bearer realm="smartclean-push""#);
}

#[tokio::test]
async fn rfc_6750_section_2_a_token_is_accepted_only_in_the_header() {
    let app = app();
    let token = token(&app).await;
    // Sections 2.2 and 2.3: a token in the form or in the query, where logs would contain it.
    let form = Request::post("/push").header("content-type", "application/x-www-form-urlencoded");
    let form = form.body(Full::new(format!("access_token={token}").into())).unwrap();
    let query = Request::post(format!("/push?access_token={token}")).body(Full::new("[]".into())).unwrap();
    for request in [form, query] {
        assert_eq!(app.send(request).await.status, 401);
    }
    for authorization in [format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER  {token} ")] {
        let request = Request::post("/push").header("authorization", authorization);
        assert_eq!(app.send(request.body(Full::new("[]".into())).unwrap()).await.status, 200);
    }
}

#[tokio::test]
async fn rfc_7515_appendix_a_1_a_token_with_another_key_is_refused() {
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(with_header(&format!("Bearer {token}")).await.status, 401);
}

#[tokio::test]
async fn rfc_7519_section_6_1_an_unsecured_token_is_refused_with_any_claims() {
    // Also RFC 7515, appendix A.5.
    let example = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    assert_eq!(with_header(&format!("Bearer {example}")).await.status, 401);
    let app = app();
    let token = token(&app).await;
    let (_, claims_and_signature) = token.split_once('.').unwrap();
    let (claims, signature) = claims_and_signature.split_once('.').unwrap();
    // RFC 8725 §2.1: {"alg":"none"}, {"alg":"nOnE"}, {"typ":"at+jwt","alg":"none"}, {"alg":""}.
    for header in
        ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJuT25FIn0", "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJub25lIn0", "eyJhbGciOiIifQ"]
    {
        for signature in ["", signature] {
            let request =
                Request::post("/push").header("authorization", format!("Bearer {header}.{claims}.{signature}"));
            assert_eq!(app.send(request.body(Full::new("[]".into())).unwrap()).await.status, 401, "{header}");
        }
    }
}

#[tokio::test]
async fn rfc_7515_appendix_e_and_section_2_a_token_that_is_not_in_canonical_form_is_refused() {
    let app = app();
    let token = token(&app).await;
    let parts: Vec<&str> = token.split('.').collect();
    // Appendix E: unknown `crit`. §2: base64url without padding, without line breaks, in its one alphabet.
    let with_crit = "eyJhbGciOiJub25lIiwiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWV9.RkFJTA.";
    for token in [
        with_crit.to_owned(),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}=", parts[0], parts[1], parts[2]),
        format!("{}.{} .{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}.", parts[0], parts[1], parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        format!("\"{token}\""),
    ] {
        let request = Request::post("/push").header("authorization", format!("Bearer {token}"));
        assert_eq!(app.send(request.body(Full::new("[]".into())).unwrap()).await.status, 401, "{token}");
    }
}
