//! The stream before the object store.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use smartclean_push::adapters::aws::firehose::BufferedStore;
use smartclean_push::domain::archive::{Metadata, Object, ObjectKey};
use smartclean_push::domain::batch::{BatchId, Items, RejectedPart, Rejection};
use smartclean_push::domain::buffered::to_record;
use smartclean_push::ingest::ports::{RawStore as _, Stored};

use super::mock_service::{MockReply, MockService, ReceivedRequest};
use crate::support::memory::MemoryStore;

fn metadata() -> Metadata {
    let received = "2026-11-23T10:00:00Z".parse().unwrap();
    Metadata { received, request_id: "r".into(), source: "203.0.113.7".into(), lines: 0 }
}

/// The readings of a push with this many bytes more than the shortest.
fn readings(more: usize) -> Object {
    let body = format!(r#"[{{"v":"{}"}}]"#, "x".repeat(more));
    Object::of_readings(
        BatchId::of(body.as_bytes()),
        &Items::split(body.as_bytes()).unwrap().read().readings,
        metadata(),
    )
}

fn accepted() -> MockReply {
    MockReply::new(200, r#"{"RecordId":"1"}"#).with("content-type", "application/x-amz-json-1.1")
}

fn refused(status: u16, code: &str) -> MockReply {
    MockReply::new(status, format!(r#"{{"__type":"{code}","message":"injected"}}"#))
        .with("content-type", "application/x-amz-json-1.1")
}

/// The requests for a put, and whether the store behind the stream took the object.
async fn put(object: &Object, replies: impl IntoIterator<Item = MockReply>) -> (Vec<ReceivedRequest>, bool) {
    let service = MockService::replying(replies).await;
    let behind = MemoryStore::default();
    let store = BufferedStore::new(&service.config().await, "pushes".into(), behind.clone());
    assert_eq!(store.put(object.clone()).await.unwrap(), Stored::New);
    let stored = behind.objects();
    assert!(stored.is_empty() || stored.values().eq([object]), "{stored:?}");
    (service.requests(), !stored.is_empty())
}

#[tokio::test]
async fn readings_become_one_record_of_the_stream_and_no_object() {
    let (requests, is_stored) = put(&readings(9), [accepted()]).await;
    let [request] = requests.try_into().unwrap();
    assert!(!is_stored);
    assert_eq!(request.header("x-amz-target"), Some("Firehose_20150804.PutRecord"));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["DeliveryStreamName"], "pushes");
    assert_eq!(STANDARD.decode(body["Record"]["Data"].as_str().unwrap()).unwrap(), to_record(&readings(9)).unwrap());
}

#[tokio::test]
async fn rejections_and_pushes_larger_than_a_record_become_objects_without_a_request() {
    let rejection = Rejection { part: RejectedPart::Body, reason: "why".into(), raw: b"x".as_slice().into() };
    let rejections = Object::of_rejections(BatchId::of(b"x"), &[rejection], metadata());
    let most = 1_024_000 - to_record(&readings(0)).unwrap().len();
    for (object, expected) in [(rejections, (0, true)), (readings(most + 1), (0, true)), (readings(most), (1, false))] {
        let (requests, is_stored) = put(&object, [accepted()]).await;
        assert_eq!((requests.len(), is_stored), expected, "{}", object.key);
    }
}

#[tokio::test]
async fn an_undated_push_is_buffered_too() {
    let object = Object { key: ObjectKey::known("raw-undated/4f.ndjson.zst"), ..readings(0) };
    assert!(!put(&object, [accepted()]).await.1);
}

#[tokio::test]
async fn a_push_that_the_stream_does_not_take_becomes_an_object() {
    let (requests, is_stored) = put(&readings(0), [refused(400, "ResourceNotFoundException")]).await;
    assert_eq!((requests.len(), is_stored), (1, true), "a retry does not help");
    for reply in [refused(503, "ServiceUnavailableException"), refused(400, "ThrottlingException"), MockReply::Reset] {
        let (requests, is_stored) = put(&readings(0), [reply.clone()]).await;
        assert_eq!((requests.len(), is_stored), (2, true), "{reply:?}");
        let (requests, is_stored) = put(&readings(0), [reply.clone(), accepted()]).await;
        assert_eq!((requests.len(), is_stored), (2, false), "{reply:?}, then accepted");
    }
}

#[tokio::test]
async fn a_stream_that_does_not_respond_delays_a_push_by_a_second() {
    let began = Instant::now();
    let (requests, is_stored) = put(&readings(0), [MockReply::Silence]).await;
    assert_eq!((requests.len(), is_stored), (2, true));
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_first_connection_needs_no_record() {
    let service = MockService::replying([refused(400, "InvalidArgumentException")]).await;
    BufferedStore::new(&service.config().await, "pushes".into(), MemoryStore::default()).connect().await;
    assert_eq!(service.requests().len(), 1);
}
