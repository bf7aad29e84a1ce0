//! Token requests, RFC 6749.

use bytes::Bytes;
use http::Request;
use http::request::Builder;
use http_body_util::Full;
use serde_json::json;

use crate::support::{TestApp, TestResponse};

/// The client of the RFC, with the secret in the header of section 4.4.2.
const CLIENT: &str =
    r#"{"username":"s6BhdRkqt3","password":"gX1fBat3bV","signing_key":"a-key-of-thirty-two-bytes-or-more"}"#;
/// The header of section 4.4.2.
const HEADER: &str = "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW";

fn form() -> Builder {
    Request::post("/oauth2/token").header("content-type", "application/x-www-form-urlencoded")
}

async fn send(credentials: &str, request: Builder, fields: &str) -> TestResponse {
    let app = TestApp::with_credentials(credentials, "oauth".parse().unwrap());
    app.send(request.body(Full::new(Bytes::from(fields.to_owned()))).unwrap()).await
}

async fn send_with_header(fields: &str) -> TestResponse {
    send(CLIENT, form().header("authorization", HEADER), fields).await
}

fn error(answer: &TestResponse) -> (u16, &str) {
    (answer.status, answer.body["error"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn section_4_4_2_the_request_of_the_example_gets_the_response_of_section_4_4_3() {
    let answer = send_with_header("grant_type=client_credentials").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(
        (&answer.headers["cache-control"], &answer.headers["pragma"]),
        (&"no-store".parse().unwrap(), &"no-cache".parse().unwrap())
    );
    assert!(answer.body["access_token"].is_string() && answer.body["expires_in"].is_u64(), "{answer:?}");
    assert!(answer.body["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"));
}

#[tokio::test]
async fn section_2_3_1_the_secret_of_the_example_is_accepted_in_the_form() {
    let credentials = CLIENT.replace("gX1fBat3bV", "7Fjfp0ZBr1KtDRbnfVdmIw");
    let fields = "grant_type=client_credentials&client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw";
    assert_eq!(send(&credentials, form(), fields).await.status, 200);
    assert_eq!(error(&send(CLIENT, form(), fields).await), (401, "invalid_client"));
    // "MUST NOT use more than one authentication method in each request."
    let both = send(&credentials, form().header("authorization", HEADER), fields).await;
    assert_eq!(error(&both), (400, "invalid_request"));
    // "The parameters can only be transmitted in the request-body and MUST NOT be included in the request URI."
    let in_query = Request::post("/oauth2/token?client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw")
        .header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(error(&send(&credentials, in_query, "grant_type=client_credentials").await), (401, "invalid_client"));
}

#[tokio::test]
async fn appendix_b_the_value_of_the_example_is_decoded_in_the_form_and_in_the_header() {
    // The value is " %&+£€".
    let credentials = CLIENT.replace("gX1fBat3bV", " %&+£€");
    let encoded = "+%25%26%2B%C2%A3%E2%82%AC";
    let fields = format!("grant_type=client_credentials&client_id=s6BhdRkqt3&client_secret={encoded}");
    assert_eq!(send(&credentials, form(), &fields).await.status, 200);
    let header = crate::support::basic("s6BhdRkqt3", encoded);
    let answer = send(&credentials, form().header("authorization", header), "grant_type=client_credentials").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn section_6_an_unknown_refresh_token_is_refused_and_an_issued_one_is_accepted() {
    let answer = send_with_header("grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA").await;
    assert_eq!(error(&answer), (400, "invalid_grant"));
    let first = send_with_header("grant_type=client_credentials").await;
    let refresh = first.body["refresh_token"].as_str().unwrap();
    assert_eq!(send_with_header(&format!("grant_type=refresh_token&refresh_token={refresh}")).await.status, 200);
}

#[tokio::test]
async fn sections_4_1_3_and_4_3_2_other_grants_are_not_supported() {
    for fields in [
        "grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA&redirect_uri=https%3A%2F%2Fclient%2Eexample%2Ecom%2Fcb",
        "grant_type=password&username=johndoe&password=A3ddj3w",
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Asaml2-bearer&assertion=PEFzc2VydGlvbiBJc3N1ZUluc3RhbnQ",
    ] {
        assert_eq!(error(&send_with_header(fields).await), (400, "unsupported_grant_type"), "{fields}");
    }
}

#[tokio::test]
async fn section_3_2_repeated_parameters_and_get_are_refused_and_empty_or_unknown_parameters_are_ignored() {
    assert_eq!(send_with_header("grant_type=client_credentials&scope=&x=1&x2").await.status, 200);
    assert_eq!(error(&send_with_header("grant_type=").await), (400, "invalid_request"));
    assert_eq!(error(&send_with_header("grant_type=client_credentials&x=1&x=1").await), (400, "invalid_request"));
    let app = TestApp::with_credentials(CLIENT, "oauth".parse().unwrap());
    let get = Request::get("/oauth2/token?grant_type=client_credentials").header("authorization", HEADER);
    assert_eq!(app.send(get.body(Full::default()).unwrap()).await.status, 405);
}

#[tokio::test]
async fn section_3_3_scopes_are_separated_by_spaces_and_case_sensitive() {
    for (scope, status) in
        [("push", 200), ("push+push", 200), ("Push", 400), ("push%0Apush", 200), ("push%2Cpush", 400)]
    {
        let answer = send_with_header(&format!("grant_type=client_credentials&scope={scope}")).await;
        assert_eq!(answer.status, status, "{scope}");
        let expected = if status == 200 { json!("push") } else { json!(null) };
        assert_eq!(answer.body["scope"], expected, "{scope}");
    }
}

#[tokio::test]
async fn section_5_2_a_client_that_fails_with_the_header_gets_a_challenge_for_the_same_scheme() {
    let wrong = crate::support::basic("s6BhdRkqt3", "x");
    let answer = send(CLIENT, form().header("authorization", wrong), "grant_type=client_credentials").await;
    assert_eq!(error(&answer), (401, "invalid_client"));
    assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    assert_eq!(answer.headers["cache-control"], "no-store");
}
