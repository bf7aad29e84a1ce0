//! Shared access signatures of Azure Event Hubs by the recipes on Microsoft's page "Generate SAS token"
//! (<https://learn.microsoft.com/rest/api/eventhub/generate-sas-token>). The recipes encode differently, and the
//! signature covers the encoded text. The first vector was created by the function on that page, the others with the
//! encodings of the other languages.

use http::Request;
use http_body_util::Full;
use jiff::SignedDuration;

use crate::support::{TestApp, now};

/// A key as the Azure portal shows it. Programs sign with its text, not with the decoded bytes.
const CREDENTIALS: &str =
    r#"{"event_hub_keys":{"RootManageSharedAccessKey":"2hmLYbJk2q5uZ2Yfyl0XSezXbxD+afO9ysh0Vsv4Xq8="}}"#;

/// Node.js: `encodeURIComponent`, upper-case escapes.
const NODE: &str = "SharedAccessSignature sr=https%3A%2F%2Fpush.example.com%2Fwashrooms&sig=Q1zdt9hptTVDzZ6erP9cV%2BwTvTmKDZp2ulC7r32JnnE%3D&se=1795428600&skn=RootManageSharedAccessKey";
/// Python: `urllib.parse.quote_plus`. `openssl dgst -sha256 -hmac` gives the same signature for the two lines.
const PYTHON: &str = "SharedAccessSignature sr=sb%3A%2F%2Fpush.example.com%2Fwashrooms&sig=rhPMmQUFj50JViFhkJMG3VpvqszSVkVfxSSh4VdU4Js%3D&se=1795428600&skn=RootManageSharedAccessKey";
/// C#: `HttpUtility.UrlEncode`, lower-case escapes, which result in another signature.
const CSHARP: &str = "SharedAccessSignature sr=sb%3a%2f%2fpush.example.com%2fwashrooms&sig=EeJcosQd%2bl0poWPQUCvEQnak01%2f0QyUXOQ0lwgWujaY%3d&se=1795428600&skn=RootManageSharedAccessKey";
/// C#, for the full path of the request.
const CSHARP_PATH: &str = "SharedAccessSignature sr=https%3a%2f%2fpush.example.com%2fwashrooms%2fmessages&sig=tWGqJwPfDlzU7zkOhsN%2bkeKvj%2bE4lpXNKj0Aq0P%2bHPo%3d&se=1795428600&skn=RootManageSharedAccessKey";

async fn status(authorization: &str, seconds: i64) -> u16 {
    let app = TestApp::with_credentials(CREDENTIALS, "event-hub".parse().unwrap());
    let request = Request::post("/washrooms/messages").header("host", "push.example.com");
    let request = request.header("authorization", authorization).body(Full::new("[]".into())).unwrap();
    app.send_at(request, now() + SignedDuration::from_secs(seconds)).await.status
}

#[tokio::test]
async fn signatures_of_the_microsoft_recipes_are_verified_until_they_expire() {
    for token in [NODE, PYTHON, CSHARP, CSHARP_PATH] {
        assert_eq!(
            (status(token, 0).await, status(token, 659).await, status(token, 660).await),
            (201, 201, 401),
            "{token}"
        );
    }
}

#[tokio::test]
async fn a_signature_for_one_encoding_is_not_valid_for_another_encoding_of_the_same_resource() {
    for token in [
        CSHARP.replace("sb%3a%2f%2fpush.example.com%2f", "sb%3A%2F%2Fpush.example.com%2F"),
        PYTHON.replace("sb%3A%2F%2Fpush.example.com%2F", "sb://push.example.com/"),
        NODE.replace("https", "http"),
    ] {
        assert_eq!(status(&token, 0).await, 401, "{token}");
    }
}

#[tokio::test]
async fn the_order_and_the_encoding_of_unsigned_parts_do_not_matter() {
    // The fields in the order of the Microsoft libraries, and the signature with other escapes.
    let fields: Vec<&str> = NODE.split_once(' ').unwrap().1.split('&').collect();
    let reordered = format!("SharedAccessSignature {}&{}&{}&{}", fields[3], fields[2], fields[1], fields[0]);
    for token in [reordered, NODE.replace("%3D", "="), NODE.replace("%3D", "%3d"), NODE.replacen("Shared", "shared", 1)]
    {
        assert_eq!(status(&token, 0).await, 201, "{token}");
    }
}
