//! A push that is stored but not evaluated is evaluated by a later sweep, also on the local server.

use jiff::SignedDuration;
use serde_json::json;
use smartclean_push::adapters::local::FolderStore;

use crate::support::memory::{MemoryPublisher, MemoryState};
use crate::support::{World, body, now, push_to, reading};

#[tokio::test]
async fn a_sweep_evaluates_a_pending_push_once_its_first_evaluation_has_timed_out() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FolderStore::open(folder.path()).unwrap();
    let (state, publisher) = (MemoryState::default(), MemoryPublisher::default());
    let ingest =
        World::new().with_journaled_store(store).with_state(state.clone()).with_publisher(publisher.clone()).ingest();
    state.set_broken(true);
    let smell = body(&[reading("ODRDTR_BATT_V1", &json!({"amm": 270}))]);
    assert!(!push_to(&ingest, smell, now()).await.unwrap().evaluated);
    let sweep = async |seconds| ingest.sweep(now() + SignedDuration::from_secs(seconds)).await;
    assert!(sweep(61).await.is_err(), "the state store is still down");
    state.set_broken(false);
    sweep(60).await.unwrap();
    assert_eq!(publisher.sent().len(), 0, "the first evaluation may still be running");
    sweep(61).await.unwrap();
    assert_eq!(publisher.sent().len(), 1);
    sweep(200).await.unwrap();
    assert_eq!(publisher.sent().len(), 1);
}

#[tokio::test]
async fn a_push_of_a_restored_object_without_metadata_is_evaluated_even_if_the_state_store_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FolderStore::open(folder.path()).unwrap();
    let (state, publisher) = (MemoryState::default(), MemoryPublisher::default());
    let world = || World::new().with_journaled_store(store.clone()).with_publisher(publisher.clone());
    let smell = body(&[reading("ODRDTR_BATT_V1", &json!({"amm": 270}))]);
    push_to(&world().ingest(), smell.clone(), now()).await.unwrap();
    assert_eq!(publisher.sent().len(), 1);
    for part in ["metadata", "to-evaluate"] {
        std::fs::remove_dir_all(folder.path().join(part)).unwrap();
    }
    let ingest = world().with_state(state.clone()).ingest();
    state.set_broken(true);
    assert!(!push_to(&ingest, smell, now()).await.unwrap().evaluated);
    state.set_broken(false);
    for seconds in [61, 200] {
        ingest.sweep(now() + SignedDuration::from_secs(seconds)).await.unwrap();
        assert_eq!(publisher.sent().len(), 2);
    }
}
