//! Raw objects in S3.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex};

use smartclean_push::adapters::aws::s3::{S3RawStore, client};
use smartclean_push::domain::archive::{Metadata, Object, ObjectKey, pack_readings};
use smartclean_push::domain::batch::BatchId;
use smartclean_push::ingest::ports::{RawStore as _, Stored, UnavailableError};

use super::stand_in::{ReceivedRequest, Reply, StandIn, config};

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

fn refused(status: u16, code: &str) -> Reply {
    Reply::new(status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>told to</Message></Error>"))
}

fn stored() -> Reply {
    Reply::new(200, "").with("etag", "\"1\"")
}

async fn put(stand_in: &StandIn, object: Object) -> Result<Stored, UnavailableError> {
    S3RawStore::new(client(&stand_in.config().await, true), "readings".into()).put(object).await
}

/// What comes of a put that is answered with `replies`, and how many requests it took.
async fn outcome(replies: impl IntoIterator<Item = Reply>) -> (Result<Stored, String>, usize) {
    let stand_in = StandIn::replying(replies).await;
    let outcome = put(&stand_in, object()).await.map_err(|fault| fault.source().unwrap().to_string());
    (outcome, stand_in.seen().len())
}

#[tokio::test]
async fn an_object_is_written_once_and_says_what_it_is() {
    let stand_in = StandIn::replying([stored()]).await;
    assert_eq!(put(&stand_in, object()).await.unwrap(), Stored::New);
    let [request] = stand_in.seen().try_into().unwrap();
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
async fn whatever_the_caller_sends_as_its_id_is_a_valid_header() {
    let stand_in = StandIn::replying([stored()]).await;
    let mut object = object();
    object.metadata.request_id = "厕所\r\nx-evil: 1".into();
    object.metadata.source = "\u{0}".repeat(100_000);
    assert_eq!(put(&stand_in, object).await.unwrap(), Stored::New);
    let [request] = stand_in.seen().try_into().unwrap();
    assert_eq!(request.header("x-amz-meta-request-id"), Some("%E5%8E%95%E6%89%80%0D%0Ax-evil:%201"));
    assert_eq!(request.header("x-evil"), None);
}

#[tokio::test]
async fn an_object_that_is_there_is_left_as_it_is() {
    let (outcome, requests) = outcome([refused(412, "PreconditionFailed")]).await;
    assert_eq!((outcome, requests), (Ok(Stored::Already), 1));
}

#[tokio::test]
async fn a_write_that_met_another_is_made_again() {
    let conflict = || refused(409, "ConditionalRequestConflict");
    assert_eq!(outcome([conflict(), stored()]).await, (Ok(Stored::New), 2));
    assert_eq!(outcome([conflict(), conflict(), refused(412, "PreconditionFailed")]).await, (Ok(Stored::Already), 3));
    let (outcome, requests) = outcome([conflict()]).await;
    assert!(outcome.unwrap_err().contains("ConditionalRequestConflict"));
    assert_eq!(requests, 4);
}

#[tokio::test]
async fn a_conflict_of_another_kind_is_not_made_again() {
    let (outcome, requests) = outcome([refused(409, "OperationAborted")]).await;
    assert!(outcome.unwrap_err().contains("OperationAborted"));
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn what_passes_is_tried_three_times() {
    for reply in [refused(500, "InternalError"), refused(503, "SlowDown"), Reply::Reset] {
        assert_eq!(outcome([reply.clone(), reply.clone(), stored()]).await, (Ok(Stored::New), 3), "{reply:?}");
        let (outcome, requests) = outcome([reply.clone()]).await;
        assert!(outcome.is_err(), "{reply:?}");
        assert_eq!(requests, 3, "{reply:?}");
    }
}

#[tokio::test]
async fn what_does_not_pass_is_not_tried_again() {
    for (status, code) in [(403, "AccessDenied"), (404, "NoSuchBucket"), (400, "InvalidRequest")] {
        let (outcome, requests) = outcome([refused(status, code), stored()]).await;
        assert!(outcome.unwrap_err().contains(code), "{code}");
        assert_eq!(requests, 1, "{code}");
    }
}

#[tokio::test]
async fn a_silent_attempt_is_given_up_and_made_again() {
    assert_eq!(outcome([Reply::Silence, stored()]).await, (Ok(Stored::New), 2));
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_makes_no_second_object() {
    let bucket: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let objects = Arc::clone(&bucket);
    let stand_in = StandIn::answering(move |request: &ReceivedRequest, _| {
        let mut objects = objects.lock().unwrap();
        if objects.contains_key(&request.path) {
            return refused(412, "PreconditionFailed");
        }
        objects.insert(request.path.clone(), request.body.clone());
        Reply::Reset
    })
    .await;
    assert_eq!(put(&stand_in, object()).await.unwrap(), Stored::Already);
    assert_eq!(stand_in.seen().len(), 2);
    assert_eq!(bucket.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn where_nobody_listens_the_fault_is_told() {
    // Reserved (TCPMUX) and closed on every machine that runs tests.
    let store = S3RawStore::new(client(&config("http://127.0.0.1:1").await, true), "readings".into());
    let fault = store.put(object()).await.unwrap_err();
    assert_eq!(fault.to_string(), "the raw store did not take the object");
}
