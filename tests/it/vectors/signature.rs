//! Shared access signatures of Azure Event Hubs by the recipes on Microsoft's page "Generate SAS token"
//! (<https://learn.microsoft.com/rest/api/eventhub/generate-sas-token>). They differ in how they encode: what is signed is
//! what was sent, to the letter. The first was made by the page's own function, the others by ours with their encodings.

use http::Request;
use http_body_util::Full;
use jiff::SignedDuration;

use crate::support::{TestApp, now};

/// A key as the portal shows it; its text is what the programs sign with.
const CREDENTIALS: &str =
    r#"{"event_hub_keys":{"RootManageSharedAccessKey":"2hmLYbJk2q5uZ2Yfyl0XSezXbxD+afO9ysh0Vsv4Xq8="}}"#;

/// Node.js: `encodeURIComponent`, upper-case escapes.
const NODE: &str = "SharedAccessSignature sr=https%3A%2F%2Fpush.example.com%2Fwashrooms&sig=Q1zdt9hptTVDzZ6erP9cV%2BwTvTmKDZp2ulC7r32JnnE%3D&se=1795428600&skn=RootManageSharedAccessKey";
/// As Python's `urllib.parse.quote_plus` writes it. The signature is also what `openssl dgst -sha256 -hmac` makes of the two lines.
const PYTHON: &str = "SharedAccessSignature sr=sb%3A%2F%2Fpush.example.com%2Fwashrooms&sig=rhPMmQUFj50JViFhkJMG3VpvqszSVkVfxSSh4VdU4Js%3D&se=1795428600&skn=RootManageSharedAccessKey";
/// As C#'s `HttpUtility.UrlEncode` writes it: lower-case escapes, which sign differently.
const CSHARP: &str = "SharedAccessSignature sr=sb%3a%2f%2fpush.example.com%2fwashrooms&sig=EeJcosQd%2bl0poWPQUCvEQnak01%2f0QyUXOQ0lwgWujaY%3d&se=1795428600&skn=RootManageSharedAccessKey";
/// The same for the very path that is sent to.
const CSHARP_PATH: &str = "SharedAccessSignature sr=https%3a%2f%2fpush.example.com%2fwashrooms%2fmessages&sig=tWGqJwPfDlzU7zkOhsN%2bkeKvj%2bE4lpXNKj0Aq0P%2bHPo%3d&se=1795428600&skn=RootManageSharedAccessKey";

async fn status(authorization: &str, seconds: i64) -> u16 {
    let app = TestApp::with_credentials(CREDENTIALS, "event-hub".parse().unwrap());
    let request = Request::post("/washrooms/messages").header("host", "push.example.com");
    let request = request.header("authorization", authorization).body(Full::new("[]".into())).unwrap();
    app.send_at(request, now() + SignedDuration::from_secs(seconds)).await.status
}

#[tokio::test]
async fn the_recipes_of_microsoft_are_verified_until_the_signature_expires() {
    for token in [NODE, PYTHON, CSHARP, CSHARP_PATH] {
        assert_eq!(
            (status(token, 0).await, status(token, 659).await, status(token, 660).await),
            (201, 201, 401),
            "{token}"
        );
    }
}

#[tokio::test]
async fn a_signature_over_one_encoding_does_not_sign_another_of_the_same_resource() {
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
    // The fields in another order, as Microsoft's own libraries have them, and the signature with other escapes.
    let fields: Vec<&str> = NODE.split_once(' ').unwrap().1.split('&').collect();
    let reordered = format!("SharedAccessSignature {}&{}&{}&{}", fields[3], fields[2], fields[1], fields[0]);
    for token in [reordered, NODE.replace("%3D", "="), NODE.replace("%3D", "%3d"), NODE.replacen("Shared", "shared", 1)]
    {
        assert_eq!(status(&token, 0).await, 201, "{token}");
    }
}
