//! Stored pushes whose evaluation keeps failing: others are evaluated, and after three attempts such a push is set
//! aside. Slow ones do not shorten the lease of later messages.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use smartclean_push::adapters::local::FolderStore;
use smartclean_push::domain::archive::{Object, ObjectKey};
use smartclean_push::domain::batch::BatchId;
use smartclean_push::ingest::ports::{
    AttentionEntry, Commit, IndexEntry, Journal, PendingPush, RawStore, StateDocument, StateStore, Stored,
    UnavailableError,
};

use super::injection::feedback;
use crate::support::memory::{MemoryPublisher, MemoryState};
use crate::support::{World, body, files, now, push_to};

/// A state store that refuses every commit whose key contains "stuck".
#[derive(Debug)]
struct Stuck(MemoryState);

#[async_trait]
impl StateStore for Stuck {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        self.0.load(keys).await
    }

    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError> {
        if key.contains("stuck") {
            return Err(UnavailableError::new(
                "the state store did not take the document",
                "failure injected by the test",
            ));
        }
        self.0.commit(key, version, body, index).await
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        self.0.due(now, most).await
    }

    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        self.0.attention(most).await
    }
}

#[tokio::test]
async fn a_push_that_cannot_be_evaluated_does_not_block_others() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FolderStore::open(folder.path()).unwrap();
    let state = MemoryState::default();
    let ingest = World::new().with_journaled_store(store).with_state(Stuck(state.clone())).ingest();
    state.set_broken(true);
    for number in 0..4 {
        for name in ["stuck", "sound"] {
            let text = feedback(now(), &[("InsID", &format!("{name}-{number}"))]);
            let outcome = push_to(&ingest, body(&[text]), now()).await.unwrap();
            assert!(!outcome.evaluated);
        }
    }
    state.set_broken(false);
    assert!(ingest.evaluate_pending(Timestamp::MAX, now()).await.is_err(), "four pushes cannot be evaluated yet");
    let zones = state.documents().into_keys().filter(|key| key.contains("/sound-") && key.starts_with("zone/")).count();
    assert_eq!(zones, 4);
    let left = files(&folder.path().join("to-evaluate"));
    assert_eq!(left.len(), 4, "{left:?}");
}

#[tokio::test]
async fn a_push_that_fails_three_times_is_set_aside_with_one_notice_and_stays_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FolderStore::open(folder.path()).unwrap();
    let (state, publisher) = (MemoryState::default(), MemoryPublisher::default());
    let world = World::new().with_journaled_store(store).with_publisher(publisher.clone());
    let ingest = world.with_state(Stuck(state.clone())).ingest();
    let text = feedback(now(), &[("InsID", "stuck")]);
    assert!(!push_to(&ingest, body(&[text]), now()).await.unwrap().evaluated);
    let count = |part: &str| files(&folder.path().join(part)).len();
    // Attempts do not count while the whole state store is down.
    state.set_broken(true);
    for _ in 0..5 {
        assert!(ingest.evaluate_pending(Timestamp::MAX, now()).await.is_err());
    }
    assert_eq!(count("to-evaluate"), 1);
    state.set_broken(false);
    assert!(ingest.evaluate_pending(Timestamp::MAX, now()).await.is_err());
    assert_eq!(ingest.evaluate_pending(Timestamp::MAX, now()).await.unwrap(), 0, "it is not retried");
    assert_eq!((count("to-evaluate"), count("set-aside"), count("raw")), (0, 1, 1));
    for minutes in [2, 3, 4] {
        ingest.sweep(now() + jiff::SignedDuration::from_mins(minutes)).await.unwrap();
    }
    let sent = publisher.sent();
    let notices: Vec<_> = sent.iter().filter(|message| message.subject.contains("not evaluated")).collect();
    assert_eq!(notices.len(), 1, "{sent:?}");
    let key = files(&folder.path().join("raw")).remove(0);
    assert!(notices[0].email.contains(&format!("zstd -dc raw/{key}")), "{}", notices[0].email);
}

/// Three pending pushes, each of another zone. Reading one takes 40 s.
#[derive(Clone)]
struct SlowJournal;

#[async_trait]
impl RawStore for SlowJournal {
    async fn put(&self, _: Object) -> Result<Stored, UnavailableError> {
        Ok(Stored::Already)
    }
}

#[async_trait]
impl Journal for SlowJournal {
    async fn pending(&self, _: Timestamp) -> Result<Vec<PendingPush>, UnavailableError> {
        let key = |zone: &str| ObjectKey::of_rejections(BatchId::of(zone.as_bytes()), now());
        Ok(["a", "b", "c"].map(|zone| PendingPush { key: key(zone), received: now() }).to_vec())
    }

    async fn lines(&self, key: &ObjectKey) -> Result<String, UnavailableError> {
        tokio::time::sleep(Duration::from_secs(40)).await;
        let pending = self.pending(now()).await?;
        let index = pending.iter().position(|push| push.key == *key).unwrap();
        Ok(feedback(now(), &[("InsID", ["a", "b", "c"][index])]))
    }

    async fn mark_evaluated(&self, _: &ObjectKey) -> Result<(), UnavailableError> {
        Ok(())
    }

    async fn set_aside(&self, key: &ObjectKey) -> Result<(), UnavailableError> {
        panic!("{key} is set aside")
    }
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_message_counts_from_the_evaluation_of_its_push() {
    let (state, publisher) = (MemoryState::default(), MemoryPublisher::default());
    let world = World::new().with_journaled_store(SlowJournal).with_publisher(publisher.clone());
    let ingest = world.with_state(state.clone()).ingest();
    publisher.set_broken(true);
    assert_eq!(ingest.evaluate_pending(Timestamp::MAX, now()).await.unwrap(), 3);
    let zones = state.documents().into_iter().filter(|(key, _)| key.starts_with("zone/"));
    let due = |body: &str| -> Timestamp {
        let state: serde_json::Value = serde_json::from_str(body).unwrap();
        serde_json::from_value(state["outbox"][0]["deliveries"]["sns"]["due"].clone()).unwrap()
    };
    let leased: Vec<i64> = zones.map(|(_, zone)| due(&zone.body).duration_since(now()).as_secs()).collect();
    assert_eq!(leased, [60, 100, 140]);
    // The publisher works again. The message of the last push is still leased, so the sweep does not send it.
    publisher.set_broken(false);
    ingest.sweep_due(now() + SignedDuration::from_secs(120)).await.unwrap();
    assert_eq!(publisher.sent().len(), 2);
}
