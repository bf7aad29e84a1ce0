//! What was stored and not evaluated is evaluated by a later sweep, on a machine of one's own as well.

use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use serde_json::json;
use smartclean_push::adapters::files::FolderStore;
use smartclean_push::adapters::memory::{FixedRules, MemoryPublisher, MemoryState};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::ingest::decode::Encoding;
use smartclean_push::ingest::{Ingest, Receipt};

use crate::support::{body, now, reading};

#[tokio::test]
async fn a_sweep_evaluates_what_was_left_once_whoever_began_has_had_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FolderStore::open(folder.path()).unwrap();
    let (state, publisher) = (Arc::<MemoryState>::default(), Arc::<MemoryPublisher>::default());
    let rules = FixedRules(Arc::new(RuleSet::pack()));
    let ingest = Ingest::new(store, Arc::clone(&state), Arc::clone(&publisher), rules);
    state.set_broken(true);
    let smell = body(&[reading("ODRDTR_BATT_V1", &json!({"amm": 270}))]);
    let receipt = Receipt { request_id: "r".into(), source: "203.0.113.7".into(), received: now() };
    assert!(ingest.push(Bytes::from(smell), Encoding::Identity, &receipt).await.unwrap().unevaluated);
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
