//! Restoring a lost state from a replay while pushes continue.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use smartclean_push::domain::response::Response;
use smartclean_push::ingest::{Ingest, ReplayedDocument, Restored, restore};

use crate::support::memory::{MemoryPublisher, MemoryState};
use crate::support::{World, body, push_to, reading_with};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_764_576_000 + second).unwrap()
}

/// Returns a count of people in a zone. The limit of the rule is thirty.
fn people_counted(zone: &str, count: i32, second: i64) -> String {
    let envelope = json!({"DEVID": zone, "PID": "p", "InsID": zone, "unixT": at(second).as_millisecond()});
    reading_with("UM", &json!({ "count": count }), &envelope)
}

fn key(zone: &str) -> String {
    format!("zone/1:p/{zone}")
}

struct Receiver {
    state: MemoryState,
    publisher: MemoryPublisher,
    ingest: Ingest,
}

impl Receiver {
    fn new() -> Self {
        let (state, publisher) = (MemoryState::default(), MemoryPublisher::default());
        let ingest = World::new().with_state(state.clone()).with_publisher(publisher.clone()).ingest();
        Self { state, publisher, ingest }
    }

    /// Pushes a count for each zone. Returns the number of raised alerts.
    async fn push(&self, zones: &[&str], count: i32, second: i64) -> usize {
        let readings: Vec<_> = zones.iter().map(|zone| people_counted(zone, count, second)).collect();
        push_to(&self.ingest, body(&readings), at(second)).await.unwrap().stats.alerts
    }

    fn documents(&self) -> Vec<ReplayedDocument> {
        let documents = self.state.documents().into_iter();
        documents.map(|(key, kept)| ReplayedDocument { key, body: kept.body, due: kept.due }).collect()
    }

    fn versions(&self) -> HashMap<String, u64> {
        self.state.documents().into_iter().map(|(key, kept)| (key, kept.version)).collect()
    }

    /// Restores the replayed state documents into this state store.
    async fn restore(&self, replay: &Self, replaceable: &HashMap<String, u64>) -> Restored {
        restore(replay.documents(), &self.state, replaceable, || ()).await
    }
}

/// Replays the stored readings: 20 people in each zone.
async fn replay() -> Receiver {
    let replay = Receiver::new();
    replay.push(&["a", "b"], 20, 0).await;
    replay
}

#[tokio::test]
async fn a_restored_state_continues_like_the_lost_one() {
    let (replay, live) = (replay().await, Receiver::new());
    let restored = live.restore(&replay, &HashMap::new()).await;
    assert_eq!((restored.written, restored.kept.len(), restored.failed.len()), (2, 0, 0));
    assert_eq!(live.documents(), replay.documents());
    assert_eq!(live.push(&["a", "b"], 20, 0).await, 0, "the readings of the repeated push are duplicates");
    assert_eq!(live.push(&["a"], 10, 60).await, 1, "the accumulator continues to thirty");
    assert_eq!(live.publisher.sent().len(), 1);
}

#[tokio::test]
async fn existing_zones_are_kept_and_listed_and_a_second_run_changes_nothing() {
    let (replay, live) = (replay().await, Receiver::new());
    live.push(&["a"], 3, 60).await;
    let before = live.state.documents()[&key("a")].clone();
    let restored = live.restore(&replay, &HashMap::new()).await;
    assert_eq!((restored.written, restored.kept), (1, vec![key("a")]));
    assert_eq!(live.state.documents()[&key("a")], before);
    let once = live.state.documents();
    let mut again = live.restore(&replay, &HashMap::new()).await;
    again.kept.sort();
    assert_eq!((again.written, again.kept, live.state.documents()), (0, vec![key("a"), key("b")], once));
}

#[tokio::test]
async fn a_replaceable_zone_is_kept_if_a_push_changes_it_meanwhile() {
    let live = Receiver::new();
    live.push(&["a", "b"], 3, 60).await;
    let versions = live.versions();
    // The replay reads the history after these pushes, so it has their readings.
    let replay = replay().await;
    replay.push(&["a", "b"], 3, 60).await;
    live.push(&["b"], 2, 120).await;
    let newer = live.state.documents()[&key("b")].clone();
    let restored = live.restore(&replay, &versions).await;
    assert_eq!((restored.written, restored.kept), (1, vec![key("b")]));
    assert_eq!(live.state.documents()[&key("b")], newer);
    assert_eq!(live.push(&["a"], 7, 180).await, 1, "20 and 3 were counted before");
}

#[tokio::test]
async fn a_zone_with_a_pending_message_is_not_replaced() {
    let (replay, live) = (replay().await, Receiver::new());
    live.publisher.set_broken(true);
    assert_eq!(live.push(&["a"], 30, 60).await, 1);
    let restored = live.restore(&replay, &live.versions()).await;
    assert_eq!((restored.written, restored.kept), (1, vec![key("a")]));
    live.publisher.set_broken(false);
    live.ingest.sweep(at(60) + SignedDuration::from_mins(2)).await.unwrap();
    assert_eq!(live.publisher.sent().len(), 1, "the pending message is sent");
}

#[tokio::test]
async fn a_zone_with_something_to_archive_is_not_replaced() {
    let (replay, live) = (replay().await, Receiver::new());
    live.push(&["a", "b"], 20, 0).await;
    live.ingest.respond(&[(at(30), &Response::reported("a", at(30)))], at(30)).await.unwrap();
    let restored = live.restore(&replay, &live.versions()).await;
    assert_eq!((restored.written, restored.kept), (1, vec![key("a")]), "the replay cannot know the cleaning");
    live.ingest.sweep(at(120)).await.unwrap();
    assert_eq!(live.restore(&replay, &live.versions()).await.written, 2);
}

#[tokio::test]
async fn a_cleaning_applies_to_the_restored_zones_of_every_project() {
    let (replay, live) = (replay().await, Receiver::new());
    let other = json!({"DEVID": "d", "PID": "q", "InsID": "a", "unixT": at(60).as_millisecond()});
    push_to(&live.ingest, body(&[reading_with("UM", &json!({"count": 1}), &other)]), at(60)).await.unwrap();
    live.restore(&replay, &HashMap::new()).await;
    let cleaning = Response::reported("a", at(120));
    assert_eq!(live.ingest.respond(&[(at(120), &cleaning)], at(120)).await.unwrap(), 2);
}

#[tokio::test]
async fn documents_that_cannot_be_written_are_listed_with_the_reason() {
    let (replay, live) = (replay().await, Receiver::new());
    live.state.set_broken(true);
    let restored = live.restore(&replay, &HashMap::new()).await;
    assert!(restored.written == 0 && restored.kept.is_empty());
    assert!(
        restored.failed.iter().any(|(failed, fault)| *failed == key("a") && fault.chain().contains("did not respond"))
    );
    live.state.set_broken(false);
    assert_eq!(live.restore(&replay, &HashMap::new()).await.written, 2, "a second run succeeds");
}
