//! The queue that keeps objects while S3 is unavailable.

use std::error::Error as _;

use serde_json::Value;
use smartclean_push::adapters::aws::sqs::SqsFallbackQueue;
use smartclean_push::domain::archive::{Metadata, Object, ObjectKey};
use smartclean_push::domain::queued_object;
use smartclean_push::ingest::ports::{RawStore as _, Stored};

use super::mock_service::{MockReply, MockService};

const URL: &str = "https://sqs.ap-southeast-1.amazonaws.com/123456789012/stored";

fn object(bytes: usize) -> Object {
    Object {
        key: ObjectKey::known("raw-undated/4f53cda18c2baa0c0354bb5f9a3ecbe5.ndjson.zst"),
        bytes: vec![7; bytes],
        metadata: Metadata {
            received: "2026-11-23T10:00:00Z".parse().unwrap(),
            request_id: "r".into(),
            source: "203.0.113.7".into(),
            lines: 1,
        },
    }
}

async fn enqueue(object: &Object, reply: MockReply) -> (Result<Stored, String>, MockService) {
    let service = MockService::replying([reply]).await;
    let queue = SqsFallbackQueue { client: aws_sdk_sqs::Client::new(&service.config().await), url: URL.into() };
    let outcome = queue.put(object.clone()).await.map_err(|error| error.source().unwrap().to_string());
    (outcome, service)
}

fn accepted() -> MockReply {
    MockReply::new(200, r#"{"MessageId":"m"}"#).with("content-type", "application/x-amz-json-1.0")
}

#[tokio::test]
async fn an_object_becomes_one_message_and_is_restored_from_it() {
    let (outcome, service) = enqueue(&object(100), accepted()).await;
    assert_eq!(outcome, Ok(Stored::Queued));
    let [request] = service.requests().try_into().unwrap();
    let sent: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(sent["QueueUrl"], URL);
    assert_eq!(queued_object::from_text(sent["MessageBody"].as_str().unwrap()), Some(object(100)));
}

#[tokio::test]
async fn an_object_that_is_too_large_for_a_message_is_not_sent() {
    // The envelope takes 220 bytes, and Base64 four bytes for three.
    let fits = (0..)
        .map(|index| 786_200 + 3 * index)
        .take_while(|bytes| queued_object::to_text(&object(*bytes)).len() <= 1 << 20);
    let most = fits.last().unwrap();
    let (outcome, service) = enqueue(&object(most), accepted()).await;
    assert_eq!((outcome, service.requests().len()), (Ok(Stored::Queued), 1));
    let (outcome, service) = enqueue(&object(most + 3), accepted()).await;
    assert!(outcome.unwrap_err().contains("the limit is 1048576"));
    assert_eq!(service.requests().len(), 0);
}

#[tokio::test]
async fn a_queue_that_refuses_or_does_not_respond_is_an_error() {
    let refused = MockReply::new(403, r#"{"__type":"com.amazonaws.sqs#AccessDenied","message":"not allowed"}"#);
    assert!(enqueue(&object(1), refused).await.0.is_err());
    let started = std::time::Instant::now();
    assert!(enqueue(&object(1), MockReply::Silence).await.0.unwrap_err().contains("no answer within 2 s"));
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
}
