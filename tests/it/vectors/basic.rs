//! Basic authentication, RFC 7617.

use http::Request;
use http_body_util::Full;

use crate::support::{TestApp, TestResponse};

async fn sent(clients: &str, authorization: &str) -> TestResponse {
    let app = TestApp::with_credentials(clients, "basic".parse().unwrap());
    let request = Request::post("/push").header("authorization", authorization);
    app.send(request.body(Full::new("[]".into())).unwrap()).await
}

#[tokio::test]
async fn section_2_aladdin_gets_in_with_open_sesame() {
    let clients = r#"{"username":"Aladdin","password":"open sesame"}"#;
    assert_eq!(sent(clients, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").await.status, 200);
    // "The user-id and password MUST NOT contain any control characters"; nobody's do.
    assert_eq!(sent(clients, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQo=").await.status, 401);
}

#[tokio::test]
async fn section_2_1_a_password_beyond_ascii_is_utf_8_and_the_challenge_asks_for_that() {
    let clients = r#"{"username":"test","password":"123£"}"#;
    assert_eq!(sent(clients, "Basic dGVzdDoxMjPCow==").await.status, 200);
    // The same in ISO 8859-1.
    let answer = sent(clients, "Basic dGVzdDoxMjOj").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["www-authenticate"], r#"Basic realm="smartclean-push", charset="UTF-8""#);
}

#[tokio::test]
async fn section_2_the_first_colon_parts_name_and_password() {
    // "a user-id containing a colon character is invalid", a password may have any.
    let clients = r#"{"username":"a","password":"b:c"}"#;
    assert_eq!(sent(clients, "Basic YTpiOmM=").await.status, 200);
    assert_eq!(sent(r#"{"username":"c","password":"b"}"#, "Basic YTpiOmM=").await.status, 401);
}

#[tokio::test]
async fn section_2_the_scheme_is_known_in_any_case() {
    // "Note that both scheme and parameter names are matched case-insensitively."
    let clients = r#"{"username":"Aladdin","password":"open sesame"}"#;
    for scheme in ["basic", "BASIC", "bAsIc"] {
        assert_eq!(sent(clients, &format!("{scheme} QWxhZGRpbjpvcGVuIHNlc2FtZQ==")).await.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn rfc_4648_section_10_every_length_of_padding_is_read_and_section_3_5_no_bits_are_left_over() {
    // The vectors of §10 behind "a:" and so at each of the three remainders.
    for (encoded, password) in [
        ("YTpm", "f"),
        ("YTpmbw==", "fo"),
        ("YTpmb28=", "foo"),
        ("YTpmb29i", "foob"),
        ("YTpmb29iYQ==", "fooba"),
        ("YTpmb29iYXI=", "foobar"),
    ] {
        let clients = format!(r#"{{"username":"a","password":"{password}"}}"#);
        assert_eq!(sent(&clients, &format!("Basic {encoded}")).await.status, 200, "{password}");
    }
    let clients = r#"{"username":"a","password":"fo"}"#;
    for not_canonical in ["YTpmbx==", "YTpmbw===", "YTpmbw=x", "YTpm bw==", "YTpm_w=="] {
        assert_eq!(sent(clients, &format!("Basic {not_canonical}")).await.status, 401, "{not_canonical}");
    }
}
