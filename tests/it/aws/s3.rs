//! Raw objects in S3.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex};

use aws_sdk_s3::Client;
use smartclean_push::adapters::aws::s3::S3RawStore;
use smartclean_push::domain::archive::{Metadata, Object, ObjectKey, pack_readings};
use smartclean_push::domain::batch::BatchId;
use smartclean_push::domain::buffered::to_record;
use smartclean_push::domain::reading::Reading;
use smartclean_push::ingest::ports::{RawStore as _, Stored, StoredObjects as _, StoredPush, UnavailableError};

use super::mock_service::{MockReply, MockService, ReceivedRequest, config};
use crate::support::{gzip, stored_push};

const KEY: &str = "raw-undated/4f53cda18c2baa0c0354bb5f9a3ecbe5.ndjson.zst";

fn object() -> Object {
    let metadata = Metadata {
        received: "2026-11-23T10:00:00Z".parse().unwrap(),
        request_id: "JKJaXmPLvHcESHA=".into(),
        source: "203.0.113.7".into(),
        lines: 0,
    };
    Object { key: ObjectKey::of_readings(BatchId::of(b"[]"), &[]), bytes: pack_readings(&[]), metadata }
}

fn refused(status: u16, code: &str) -> MockReply {
    MockReply::new(
        status,
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message></Error>"),
    )
}

fn stored() -> MockReply {
    MockReply::new(200, "").with("etag", "\"1\"")
}

async fn put(service: &MockService, object: Object) -> Result<Stored, UnavailableError> {
    S3RawStore { client: Client::new(&service.config().await), bucket: "readings".into() }.put(object).await
}

/// The result of a put with these replies, and the number of requests.
async fn outcome(replies: impl IntoIterator<Item = MockReply>) -> (Result<Stored, String>, usize) {
    let service = MockService::replying(replies).await;
    let outcome = put(&service, object()).await.map_err(|error| error.source().unwrap().to_string());
    (outcome, service.requests().len())
}

/// The pushes of an object with this key.
async fn read(key: &str, reply: MockReply) -> Result<Option<Vec<StoredPush>>, String> {
    let service = MockService::replying([reply]).await;
    let store = S3RawStore { client: Client::new(&service.config().await), bucket: "readings".into() };
    let pushes = store.read(&ObjectKey::known(key)).await.map_err(|error| error.chain())?;
    pushes.map(|pushes| pushes.map(|push| push.map_err(|error| error.chain())).collect()).transpose()
}

#[tokio::test]
async fn an_object_is_read_as_the_pushes_in_it() {
    let of = |text: &str| {
        let readings = [Reading::read(text).unwrap()];
        Object::of_readings(BatchId::of(text.as_bytes()), &readings, object().metadata)
    };
    let (one, two) = (of("{}"), of(r#"{"unixT":1654063185904}"#));
    let reply = MockReply::new(200, one.bytes.clone()).with("x-amz-meta-received", "2026-11-23T10:00:00Z");
    assert_eq!(read(one.key.as_str(), reply).await, Ok(Some(vec![stored_push(&one)])));
    let unknown = StoredPush { received: None, ..stored_push(&one) };
    assert_eq!(read(one.key.as_str(), MockReply::new(200, one.bytes.clone())).await, Ok(Some(vec![unknown])));

    let records = [to_record(&two).unwrap(), to_record(&one).unwrap()].concat();
    let key = "raw/dt=2026-11-23/hh=10/pushes-1-2026-11-23-10-00-00-4f.ndjson.gz";
    let reply = MockReply::new(200, gzip(&records));
    assert_eq!(read(key, reply).await, Ok(Some(vec![stored_push(&two), stored_push(&one)])));
    let foreign = MockReply::new(200, gzip(&[b"{\"TICKER_SYMBOL\":\"QXZ\"}\n", &*records].concat()));
    assert_eq!(read(key, foreign).await, Ok(Some(vec![stored_push(&two), stored_push(&one)])));
    let damaged = MockReply::new(200, gzip(&records)[..40].to_vec());
    assert!(read(key, damaged).await.unwrap_err().contains("the raw store did not return the object"));
    assert_eq!(read(key, refused(404, "NoSuchKey")).await, Ok(None));
}

#[tokio::test]
async fn an_object_is_written_conditionally_with_its_metadata() {
    let service = MockService::replying([stored()]).await;
    assert_eq!(put(&service, object()).await.unwrap(), Stored::New);
    let [request] = service.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", &*format!("/readings/{KEY}?x-id=PutObject")));
    for (name, value) in [
        ("if-none-match", Some("*")),
        ("content-type", Some("application/zstd")),
        ("content-encoding", None),
        ("x-amz-meta-received", Some("2026-11-23T10:00:00Z")),
        ("x-amz-meta-request-id", Some("JKJaXmPLvHcESHA=")),
        ("x-amz-meta-source", Some("203.0.113.7")),
        ("x-amz-meta-lines", Some("0")),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn any_request_id_becomes_a_valid_header() {
    let service = MockService::replying([stored()]).await;
    let mut object = object();
    object.metadata.request_id = "厕所\r\nx-evil: 1".into();
    object.metadata.source = "\u{0}".repeat(100_000);
    assert_eq!(put(&service, object).await.unwrap(), Stored::New);
    let [request] = service.requests().try_into().unwrap();
    assert_eq!(request.header("x-amz-meta-request-id"), Some("%E5%8E%95%E6%89%80%0D%0Ax-evil:%201"));
    assert_eq!(request.header("x-evil"), None);
}

#[tokio::test]
async fn an_existing_object_is_left_unchanged() {
    let (outcome, requests) = outcome([refused(412, "PreconditionFailed")]).await;
    assert_eq!((outcome, requests), (Ok(Stored::Already), 1));
}

#[tokio::test]
async fn a_write_that_conflicts_with_another_is_retried() {
    let conflict = || refused(409, "ConditionalRequestConflict");
    assert_eq!(outcome([conflict(), stored()]).await, (Ok(Stored::New), 2));
    assert_eq!(outcome([conflict(), conflict(), refused(412, "PreconditionFailed")]).await, (Ok(Stored::Already), 3));
    let (outcome, requests) = outcome([conflict()]).await;
    assert!(outcome.unwrap_err().contains("ConditionalRequestConflict"));
    assert_eq!(requests, 4);
}

#[tokio::test]
async fn other_conflicts_are_not_retried() {
    let (outcome, requests) = outcome([refused(409, "OperationAborted")]).await;
    assert!(outcome.unwrap_err().contains("OperationAborted"));
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn transient_errors_are_tried_three_times() {
    for reply in [refused(500, "InternalError"), refused(503, "SlowDown"), MockReply::Reset] {
        assert_eq!(outcome([reply.clone(), reply.clone(), stored()]).await, (Ok(Stored::New), 3), "{reply:?}");
        let (outcome, requests) = outcome([reply.clone()]).await;
        assert!(outcome.is_err(), "{reply:?}");
        assert_eq!(requests, 3, "{reply:?}");
    }
}

#[tokio::test]
async fn permanent_errors_are_not_retried() {
    for (status, code) in [(403, "AccessDenied"), (404, "NoSuchBucket"), (400, "InvalidRequest")] {
        let (outcome, requests) = outcome([refused(status, code), stored()]).await;
        assert!(outcome.unwrap_err().contains(code), "{code}");
        assert_eq!(requests, 1, "{code}");
    }
}

#[tokio::test]
async fn an_attempt_without_a_response_times_out_and_is_retried() {
    assert_eq!(outcome([MockReply::Silence, stored()]).await, (Ok(Stored::New), 2));
}

#[tokio::test]
async fn a_lost_response_creates_no_second_object() {
    let bucket: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let objects = Arc::clone(&bucket);
    let service = MockService::responding(move |request: &ReceivedRequest, _| {
        let mut objects = objects.lock().unwrap();
        if objects.contains_key(&request.path) {
            return refused(412, "PreconditionFailed");
        }
        objects.insert(request.path.clone(), request.body.clone());
        MockReply::Reset
    })
    .await;
    assert_eq!(put(&service, object()).await.unwrap(), Stored::Already);
    assert_eq!(service.requests().len(), 2);
    assert_eq!(bucket.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_connection_is_an_error() {
    // TCPMUX: reserved, and closed on every machine that runs tests.
    let store = S3RawStore { client: Client::new(&config("http://127.0.0.1:1").await), bucket: "readings".into() };
    let error = store.put(object()).await.unwrap_err();
    assert_eq!(error.to_string(), "the raw store did not take the object");
}
