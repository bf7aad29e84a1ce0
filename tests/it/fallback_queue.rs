//! The fallback queue: an object that the object store refuses is queued and stored later.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::json;
use smartclean_push::adapters::fallback_queue::StoreWithFallback;
use smartclean_push::domain::archive::{Object, ObjectKey};
use smartclean_push::domain::queued_object;
use smartclean_push::ingest::ports::{RawStore, Stored, StoredObjects, StoredPushes, UnavailableError};
use smartclean_push::ingest::{Ingest, PushError, PushOutcome};
use smartclean_push::sources::{BatchItemFailures, Envelope, SourceEvent};

use crate::support::memory::{MemoryPublisher, MemoryState, MemoryStore};
use crate::support::{World, body, now, push_to, reading, stored_push};

/// A queue with readable messages that can be set to full.
#[derive(Clone, Debug, Default)]
struct Queue {
    messages: Arc<Mutex<Vec<String>>>,
    is_full: Arc<Mutex<bool>>,
}

#[async_trait]
impl RawStore for Queue {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        if *self.is_full.lock().unwrap() {
            return Err(UnavailableError::new("the queue did not take the object", "failure injected by the test"));
        }
        self.messages.lock().unwrap().push(queued_object::to_text(&object));
        Ok(Stored::Queued)
    }
}

/// The object store as the consumer of the queue uses it: readable, and without a fallback.
#[derive(Clone, Debug)]
struct Bucket(MemoryStore);

#[async_trait]
impl RawStore for Bucket {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        self.0.put(object).await
    }
}

#[async_trait]
impl StoredObjects for Bucket {
    async fn read(&self, key: &ObjectKey) -> Result<Option<StoredPushes>, UnavailableError> {
        let objects = self.0.objects();
        let pushes = |object| Box::new(std::iter::once(Ok(stored_push(object)))) as StoredPushes;
        Ok(objects.get(key.as_str()).map(pushes))
    }
}

/// A receiver whose object store has a fallback queue.
struct WithFallback {
    store: MemoryStore,
    state: MemoryState,
    publisher: MemoryPublisher,
    queue: Queue,
    ingest: Ingest,
}

impl WithFallback {
    fn new() -> Self {
        let (store, state, publisher) = (MemoryStore::default(), MemoryState::default(), MemoryPublisher::default());
        let queue = Queue::default();
        let world = World::new().with_store(StoreWithFallback { store: store.clone(), queue: queue.clone() });
        let ingest = world.with_state(state.clone()).with_publisher(publisher.clone()).ingest();
        Self { store, state, publisher, queue, ingest }
    }

    async fn push(&self, body: Vec<u8>) -> Result<PushOutcome, PushError> {
        push_to(&self.ingest, body, now()).await
    }

    /// Passes the messages of the queue to the handler as Lambda does. If one fails, all stay in the queue.
    async fn drain_queue(&self) -> BatchItemFailures {
        let messages = std::mem::take(&mut *self.queue.messages.lock().unwrap());
        let record = |body: &String| json!({"messageId": "m", "eventSource": "aws:sqs", "body": body});
        let event = json!({"Records": messages.iter().map(record).collect::<Vec<_>>()}).to_string();
        let Some(SourceEvent::Queue(read)) = SourceEvent::parse(&Envelope::parse(&event).unwrap()) else {
            panic!("{event}")
        };
        let failures = self.ingest.process_messages(&Bucket(self.store.clone()), read, now()).await;
        if failures != BatchItemFailures::default() {
            *self.queue.messages.lock().unwrap() = messages;
        }
        failures
    }
}

fn smell() -> Vec<u8> {
    body(&[reading("ODRDTR_BATT_V1", &json!({"amm": 270})), "no reading".into()])
}

#[tokio::test]
async fn an_object_that_cannot_be_stored_is_evaluated_at_once_queued_and_stored_later() {
    let undisturbed = WithFallback::new();
    undisturbed.push(smell()).await.unwrap();
    let world = WithFallback::new();
    world.store.set_broken(true);
    let outcome = world.push(smell()).await.unwrap();
    assert_eq!((outcome.stored, outcome.accepted, outcome.rejected, outcome.stats.alerts), (Stored::Queued, 1, 1, 1));
    assert_eq!(world.publisher.sent().len(), 1, "an outage of the store delays no alert");
    assert_eq!(world.queue.messages.lock().unwrap().len(), 2, "the reading and the rejection");

    assert_ne!(
        world.drain_queue().await,
        BatchItemFailures::default(),
        "the messages stay in the queue while the store is down"
    );
    world.store.set_broken(false);
    assert_eq!(world.drain_queue().await, BatchItemFailures::default());
    assert_eq!(world.store.objects(), undisturbed.store.objects(), "the stored bytes and metadata are identical");
    assert_eq!(world.publisher.sent().len(), 1);
}

#[tokio::test]
async fn an_object_that_can_be_stored_is_not_queued() {
    let world = WithFallback::new();
    assert_eq!(world.push(smell()).await.unwrap().stored, Stored::New);
    assert!(world.queue.messages.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_push_fails_only_if_the_queue_fails_too() {
    let world = WithFallback::new();
    world.store.set_broken(true);
    *world.queue.is_full.lock().unwrap() = true;
    assert!(matches!(world.push(smell()).await, Err(PushError::Store(_))));
    assert!(world.publisher.sent().is_empty() && world.state.documents().is_empty());
}

#[tokio::test]
async fn a_body_that_is_not_a_batch_is_queued_too() {
    let world = WithFallback::new();
    world.store.set_broken(true);
    assert!(matches!(world.push(b"no batch".to_vec()).await, Err(PushError::NotABatch(_))));
    world.store.set_broken(false);
    assert_eq!(world.drain_queue().await, BatchItemFailures::default());
    assert!(world.store.objects().keys().all(|key| key.starts_with("rejected/")));
    assert_eq!(world.store.objects().len(), 1);
}

#[tokio::test]
async fn an_object_queued_while_the_state_store_is_down_is_evaluated_after_the_bucket_notification() {
    let world = WithFallback::new();
    world.store.set_broken(true);
    world.state.set_broken(true);
    let outcome = world.push(smell()).await.unwrap();
    assert!(outcome.stored == Stored::Queued && !outcome.evaluated);
    world.store.set_broken(false);
    world.state.set_broken(false);
    world.drain_queue().await;
    let key = world.store.objects().into_keys().find(|key| key.starts_with("raw")).unwrap();
    let notice = json!({"Records": [{"s3": {"object": {"key": key.replace('=', "%3D")}}}]});
    world.queue.messages.lock().unwrap().push(notice.to_string());
    assert_eq!(world.drain_queue().await, BatchItemFailures::default());
    assert_eq!(world.publisher.sent().len(), 1);
}
