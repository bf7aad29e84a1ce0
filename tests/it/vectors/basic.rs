//! Basic authentication, RFC 7617.

use http::Request;
use http_body_util::Full;

use crate::support::{TestApp, TestResponse};

async fn send(clients: &str, authorization: &str) -> TestResponse {
    let app = TestApp::with_credentials(clients, "basic".parse().unwrap());
    let request = Request::post("/push").header("authorization", authorization);
    app.send(request.body(Full::new("[]".into())).unwrap()).await
}

#[tokio::test]
async fn section_2_aladdin_is_authenticated_with_open_sesame() {
    let clients = r#"{"username":"Aladdin","password":"open sesame"}"#;
    assert_eq!(send(clients, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").await.status, 200);
    // "The user-id and password MUST NOT contain any control characters". No client here has such a password.
    assert_eq!(send(clients, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQo=").await.status, 401);
}

#[tokio::test]
async fn section_2_1_a_password_is_utf_8_and_the_challenge_names_the_charset() {
    let clients = r#"{"username":"test","password":"123£"}"#;
    assert_eq!(send(clients, "Basic dGVzdDoxMjPCow==").await.status, 200);
    // The same password in ISO 8859-1.
    let answer = send(clients, "Basic dGVzdDoxMjOj").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["www-authenticate"], r#"Basic realm="smartclean-push", charset="UTF-8""#);
}

#[tokio::test]
async fn section_2_the_first_colon_separates_user_id_and_password() {
    // "a user-id containing a colon character is invalid", but a password may contain colons.
    let clients = r#"{"username":"a","password":"b:c"}"#;
    assert_eq!(send(clients, "Basic YTpiOmM=").await.status, 200);
    assert_eq!(send(r#"{"username":"c","password":"b"}"#, "Basic YTpiOmM=").await.status, 401);
}

#[tokio::test]
async fn section_2_the_scheme_is_case_insensitive() {
    // "Note that both scheme and parameter names are matched case-insensitively."
    let clients = r#"{"username":"Aladdin","password":"open sesame"}"#;
    for scheme in ["basic", "BASIC", "bAsIc"] {
        assert_eq!(send(clients, &format!("{scheme} QWxhZGRpbjpvcGVuIHNlc2FtZQ==")).await.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn rfc_4648_section_10_every_padding_length_is_decoded_and_section_3_5_nonzero_pad_bits_are_refused() {
    // The vectors of section 10 after "a:", so that each of the three padding lengths occurs.
    for (encoded, password) in [
        ("YTpm", "f"),
        ("YTpmbw==", "fo"),
        ("YTpmb28=", "foo"),
        ("YTpmb29i", "foob"),
        ("YTpmb29iYQ==", "fooba"),
        ("YTpmb29iYXI=", "foobar"),
    ] {
        let clients = format!(r#"{{"username":"a","password":"{password}"}}"#);
        assert_eq!(send(&clients, &format!("Basic {encoded}")).await.status, 200, "{password}");
    }
    let clients = r#"{"username":"a","password":"fo"}"#;
    for not_canonical in ["YTpmbx==", "YTpmbw===", "YTpmbw=x", "YTpm bw==", "YTpm_w=="] {
        assert_eq!(send(clients, &format!("Basic {not_canonical}")).await.status, 401, "{not_canonical}");
    }
}
