//! Rollback of a release: state documents of a newer version are left unchanged, and no reading and no alert is lost.

use http::Request;
use http_body_util::Full;
use jiff::SignedDuration;
use serde_json::{Value, json};
use smartclean_push::domain::archive::ObjectKey;
use smartclean_push::domain::state::ZoneState;
use smartclean_push::ingest::EVALUATION_TIMEOUT;
use smartclean_push::ingest::ports::{Commit, IndexEntry, StateStore as _};

use crate::support::{PASSWORD, TestApp, TestResponse, USERNAME, basic, body, now, reading, reading_with, stored_push};

/// A state document of the next version, in a format that this release does not know.
const NEWER: &str = r#"{"v":8,"rule_states":["in","another","form"],"promised":true}"#;
const ZONE: &str = "zone/8:building/zone";

async fn put(app: &TestApp, key: &str, body: &str) {
    let version = app.state.documents().get(key).map_or(0, |found| found.version);
    assert_eq!(app.state.commit(key, version, body, IndexEntry::default()).await.unwrap(), Commit::Done);
}

fn document(app: &TestApp, key: &str) -> String {
    app.state.documents().get(key).unwrap_or_else(|| panic!("no {key}: {:?}", app.state.documents())).body.clone()
}

fn smell() -> String {
    reading("ODRDTR_BATT_V1", &json!({"amm": 270}))
}

async fn cleaned(app: &TestApp) -> TestResponse {
    let request = Request::post("/zones/zone/cleaned").header("authorization", basic(USERNAME, PASSWORD));
    app.send(request.body(Full::default()).unwrap()).await
}

/// Evaluates every stored object, as the consumer of the queue does until it succeeds.
async fn evaluate_stored(app: &TestApp) -> bool {
    for (key, object) in app.store.objects() {
        let (push, later) = (vec![stored_push(&object)], now() + SignedDuration::from_mins(3));
        if app.ingest().evaluate_stored(&ObjectKey::known(&key), push, later, EVALUATION_TIMEOUT).await.is_err() {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn a_zone_of_a_newer_version_is_unchanged_and_its_push_is_evaluated_once_the_zone_is_readable() {
    let app = TestApp::new();
    put(&app, ZONE, NEWER).await;
    let answer = app.push(body(&[smell()])).await;
    assert_eq!((answer.status, &answer.body["accepted"], &answer.body["alerts"]), (200, &1.into(), &0.into()));
    assert_eq!((app.store.objects().len(), app.publisher.sent().len()), (1, 0));
    assert!(!evaluate_stored(&app).await, "the push stays in the queue");
    assert_eq!(document(&app, ZONE), NEWER);
    // The document is readable again: here it is an empty one of this version.
    put(&app, ZONE, r#"{"v":7}"#).await;
    assert!(evaluate_stored(&app).await);
    assert_eq!(app.publisher.sent().len(), 1);
}

#[tokio::test]
async fn other_zones_of_the_same_push_are_evaluated_and_their_alerts_sent_at_once() {
    let app = TestApp::new();
    put(&app, ZONE, NEWER).await;
    let elsewhere = ["before", "zz-behind"]
        .map(|zone| reading_with("ODRDTR_BATT_V1", &json!({"amm": 270}), &json!({"InsID": zone, "DEVID": zone})));
    let [before, behind] = elsewhere;
    let answer = app.push(body(&[smell(), before, behind])).await;
    assert_eq!((answer.status, &answer.body["alerts"]), (200, &2.into()));
    assert_eq!((app.publisher.sent().len(), document(&app, ZONE)), (2, NEWER.to_owned()));
    assert!(!evaluate_stored(&app).await, "the push stays in the queue because of the zone of the newer version");
    assert_eq!(app.publisher.sent().len(), 2, "the alerts of the other zones are not sent again");
}

#[tokio::test]
async fn a_cleaning_gets_503_if_the_projects_of_the_zone_have_a_newer_version() {
    let app = TestApp::new();
    app.push(body(&[smell()])).await;
    assert_eq!(cleaned(&app).await.status, 200);
    put(&app, "projects-of/zone", NEWER).await;
    let answer = cleaned(&app).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(document(&app, "projects-of/zone"), NEWER);
}

#[tokio::test]
async fn a_sweep_fails_and_changes_nothing_if_a_document_has_a_newer_version() {
    let app = TestApp::new();
    assert!(app.ingest().sweep(now()).await.is_ok());
    for key in ["arrivals", "operations"] {
        put(&app, key, NEWER).await;
        // If no push has arrived, the sweep has no notice to write to "operations".
        assert!(app.ingest().sweep(now()).await.is_err() || key == "operations", "{key}");
        app.push(body(&[smell()])).await;
        assert_eq!(document(&app, key), NEWER);
        put(&app, key, r#"{"v":7}"#).await;
    }
}

/// The older version was never released.
#[tokio::test]
async fn a_zone_of_an_older_version_is_unchanged() {
    let app = TestApp::new();
    let older = r#"{"v":2,"blocks":{"sent":[]}}"#;
    put(&app, ZONE, older).await;
    assert_eq!(app.push(body(&[smell()])).await.body["alerts"], 0);
    assert_eq!((app.publisher.sent().len(), document(&app, ZONE)), (0, older.to_owned()));
}

/// A later release must read this format.
#[test]
fn a_document_of_this_version_is_read_and_written_unchanged() {
    let zones: Vec<Value> = serde_json::from_str(include_str!("../data/state/v7.json")).unwrap();
    for zone in &zones {
        let state: ZoneState = serde_json::from_value(zone.clone()).unwrap();
        assert_eq!(serde_json::to_value(&state).unwrap(), *zone);
    }
    // A part that is in none of the documents would not be tested.
    let text = Value::from(zones).to_string();
    let parts = [
        "pending",
        "firing",
        "resolved",
        "accumulator",
        "occurrences",
        "no_data",
        "blocks",
        "suppressed",
        "outbox",
        "dedup_window",
        "cleaned",
    ];
    for part in parts {
        assert!(text.contains(&format!("\"{part}\"")), "{part} is in none of them");
    }
}
