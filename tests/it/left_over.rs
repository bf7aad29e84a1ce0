//! What was stored and not evaluated is evaluated by a later sweep, on a machine of one's own as well.

use jiff::SignedDuration;
use serde_json::json;
use smartclean_push::adapters::local::FolderStore;

use crate::support::memory::{MemoryPublisher, MemoryState};
use crate::support::{World, body, now, push_to, reading};

#[tokio::test]
async fn a_sweep_evaluates_what_was_left_once_whoever_began_has_had_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FolderStore::open(folder.path()).unwrap();
    let (state, publisher) = (MemoryState::default(), MemoryPublisher::default());
    let ingest =
        World::new().with_journaled_store(store).with_state(state.clone()).with_publisher(publisher.clone()).ingest();
    state.set_broken(true);
    let smell = body(&[reading("ODRDTR_BATT_V1", &json!({"amm": 270}))]);
    assert!(!push_to(&ingest, smell, now()).await.unwrap().evaluated);
    let sweep = async |seconds| ingest.sweep(now() + SignedDuration::from_secs(seconds)).await;
    assert!(sweep(61).await.is_err(), "the state is still down");
    state.set_broken(false);
    sweep(60).await.unwrap();
    assert_eq!(publisher.sent().len(), 0, "it may still be at it");
    sweep(61).await.unwrap();
    assert_eq!(publisher.sent().len(), 1);
    sweep(200).await.unwrap();
    assert_eq!(publisher.sent().len(), 1);
}
