//! Publications on an MQTT topic, also if the object store or the queue fails: the events in `events/iot` and
//! `events/queue`, handled as in the function.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::adapters::fallback_queue::StoreWithFallback;
use smartclean_push::domain::archive::{Object, ObjectKey, unpack};
use smartclean_push::hosts::lambda::EventError;
use smartclean_push::http::App;
use smartclean_push::ingest::ports::{RawStore, Stored, StoredObjects, StoredPushes, UnavailableError};

use crate::support::World;
use crate::support::memory::{MemoryPublisher, MemoryStore};

/// Time at which the messages in `events/` were published, in Unix milliseconds.
const PUBLISHED: i64 = 1_795_428_000_123;

/// A queue that can be set to full.
#[derive(Clone, Debug, Default)]
struct Queue(Arc<Mutex<bool>>);

#[async_trait]
impl RawStore for Queue {
    async fn put(&self, _: Object) -> Result<Stored, UnavailableError> {
        if *self.0.lock().unwrap() {
            Err(UnavailableError::new("the queue did not take the object", "full"))
        } else {
            Ok(Stored::Queued)
        }
    }
}

/// A bucket for the consumer of the queue. No message of these tests refers to it.
#[derive(Debug)]
struct NoBucket;

#[async_trait]
impl RawStore for NoBucket {
    async fn put(&self, _: Object) -> Result<Stored, UnavailableError> {
        Err(UnavailableError::new("not here", "no bucket"))
    }
}

#[async_trait]
impl StoredObjects for NoBucket {
    async fn read(&self, _: &ObjectKey) -> Result<Option<StoredPushes>, UnavailableError> {
        Ok(None)
    }
}

/// The function's handler, with an object store that has a fallback queue.
pub(crate) struct WithFallback {
    store: MemoryStore,
    publisher: MemoryPublisher,
    queue: Queue,
    app: App,
}

impl WithFallback {
    pub(crate) fn new() -> Self {
        let (store, publisher, queue) = (MemoryStore::default(), MemoryPublisher::default(), Queue::default());
        let fallback = StoreWithFallback { store: store.clone(), queue: queue.clone() };
        let app = World::new().with_store(fallback).with_publisher(publisher.clone()).app();
        Self { store, publisher, queue, app }
    }

    /// Handles an event of `events/` one minute after its message was published. Returns the reply.
    pub(crate) async fn reply_to(&self, name: &str) -> Result<Value, EventError> {
        let path = crate::support::repository().join("events").join(name);
        let event = std::fs::read_to_string(path).unwrap();
        let now = published() + SignedDuration::from_mins(1);
        self.app
            .handle_event(&NoBucket, event.as_bytes(), "invocation-1", now)
            .await
            .map(|reply| serde_json::to_value(reply).unwrap())
    }

    /// Sweeps `seconds` after the event. Returns the number of messages sent so far.
    async fn sent_after_sweep(&self, seconds: i64) -> usize {
        let now = published() + SignedDuration::from_mins(1) + SignedDuration::from_secs(seconds);
        self.app.ingest().sweep(now).await.unwrap();
        self.publisher.sent().len()
    }

    fn set_broken(&self, broken: bool) {
        self.store.set_broken(broken);
        *self.queue.0.lock().unwrap() = broken;
    }

    fn one_object(&self) -> Object {
        let objects = self.store.objects();
        assert_eq!(objects.len(), 1, "{:?}", objects.keys());
        objects.into_values().next().unwrap()
    }
}

fn published() -> Timestamp {
    Timestamp::from_millisecond(PUBLISHED).unwrap()
}

fn all_done() -> Value {
    json!({"batchItemFailures": []})
}

fn failed(message: &str) -> Value {
    json!({"batchItemFailures": [{"itemIdentifier": message}]})
}

#[tokio::test]
async fn a_publication_is_stored_unchanged_and_alerts() {
    let world = WithFallback::new();
    let reply = world.reply_to("iot/push-alert.json").await.unwrap();
    assert_eq!((&reply["accepted"], &reply["alerts"]), (&json!(1), &json!(1)), "{reply}");
    assert_eq!(world.publisher.sent().len(), 1);
    let object = world.one_object();
    assert!(object.key.as_str().contains(reply["batch"].as_str().unwrap()));
    assert!(unpack(&object.bytes).unwrap().contains("男厕"));
    assert_eq!(object.metadata.source, "mqtt:smartclean-push-1@smartclean/push");
    assert_eq!(object.metadata.request_id, "invocation-1");
    assert_eq!(object.metadata.received, published(), "the time of publication, not of the retry");
}

#[tokio::test]
async fn a_repeated_publication_is_one_object_and_one_alert() {
    let world = WithFallback::new();
    for alerts in [1, 0] {
        assert_eq!(world.reply_to("iot/push-alert.json").await.unwrap()["alerts"], alerts);
    }
    assert_eq!(world.publisher.sent().len(), 1);
    world.one_object();
}

#[tokio::test]
async fn a_publication_over_https_has_no_client_id_and_is_accepted() {
    let world = WithFallback::new();
    assert_eq!(world.reply_to("iot/without-client-id.json").await.unwrap()["accepted"], 1);
    assert_eq!(world.one_object().metadata.source, "mqtt:unknown@smartclean/push");
}

#[tokio::test]
async fn a_publication_that_is_not_a_batch_is_stored_and_not_retried() {
    let world = WithFallback::new();
    let reply = world.reply_to("iot/not-an-array.json").await.unwrap();
    assert!(reply["rejected"].is_string(), "{reply}");
    assert!(world.one_object().key.as_str().starts_with("rejected/"));
}

#[tokio::test]
async fn the_invocation_fails_only_if_the_publication_cannot_be_queued() {
    let world = WithFallback::new();
    world.store.set_broken(true);
    assert_eq!(world.reply_to("iot/push-alert.json").await.unwrap()["alerts"], 1);
    world.set_broken(true);
    for name in ["iot/push-alert.json", "iot/not-an-array.json"] {
        assert_eq!(world.reply_to(name).await.unwrap_err(), EventError::Publication, "{name}");
    }
}

#[tokio::test]
async fn a_failed_publication_is_ingested_from_the_queue() {
    let undisturbed = WithFallback::new();
    undisturbed.reply_to("iot/push-alert.json").await.unwrap();
    for name in ["queue/iot-error-action.json", "queue/function-gave-up-on-publication.json"] {
        let world = WithFallback::new();
        assert_eq!(world.reply_to(name).await.unwrap(), all_done(), "{name}");
        assert_eq!(world.publisher.sent().len(), 1, "{name}");
        let (expected, object) = (undisturbed.one_object(), world.one_object());
        assert_eq!((object.key, object.bytes), (expected.key, expected.bytes), "{name}");
        assert_eq!(object.metadata.received, expected.metadata.received, "{name}");
        assert_eq!(object.metadata.source, expected.metadata.source, "{name}");
    }
}

#[tokio::test]
async fn a_publication_that_still_fails_stays_in_the_queue() {
    let world = WithFallback::new();
    world.set_broken(true);
    for (name, message) in [
        ("queue/iot-error-action.json", "059f36b4-87a3-44ab-83d2-661975830a7d"),
        ("queue/function-gave-up-on-publication.json", "2e1424d4-f796-459a-8184-9c92662be6da"),
    ] {
        assert_eq!(world.reply_to(name).await.unwrap(), failed(message), "{name}");
    }
    world.set_broken(false);
    for name in ["queue/iot-error-action.json", "queue/function-gave-up-on-publication.json"] {
        assert_eq!(world.reply_to(name).await.unwrap(), all_done(), "{name}");
    }
    world.one_object();
    assert_eq!(world.publisher.sent().len(), 1);
}

#[tokio::test]
async fn a_failed_sweep_is_skipped_and_an_unknown_message_stays_in_the_queue() {
    let world = WithFallback::new();
    assert_eq!(world.reply_to("queue/function-gave-up-on-sweep.json").await.unwrap(), all_done());
    let unknown = world.reply_to("queue/not-understood.json").await.unwrap();
    assert_eq!(unknown, failed("4b1424d4-f796-459a-8184-9c92662be6da"));
    assert!(world.store.objects().is_empty() && world.publisher.sent().is_empty());
}

#[tokio::test]
async fn the_lease_of_a_late_publication_starts_at_its_evaluation() {
    let world = WithFallback::new();
    world.publisher.set_broken(true);
    world.reply_to("iot/push-alert.json").await.unwrap();
    world.publisher.set_broken(false);
    assert_eq!(world.sent_after_sweep(59).await, 0, "the holder of the lease may still send the message");
    assert_eq!(world.sent_after_sweep(60).await, 1);
}
