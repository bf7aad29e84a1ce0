//! Whole pushes of two processes that race for one zone: each limit that is crossed is one alert, and nothing is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::adapters::local::{AlertLog, FolderStore};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::{RuleState, ZoneKey, ZoneState};
use smartclean_push::ingest::ports::{Commit, StateDocument, StateStore, UnavailableError};

use crate::support::{World, body, now, process, push_to, reading_with};

/// Zones for which the processes race with one and the same reading.
const ZONES: usize = 30;
/// People whom each process counts, one a push.
const PEOPLE: usize = 50;
/// What starts with this is for the parent.
const REPORT: &str = "report: ";

/// A state store that counts how often somebody else was faster in a zone.
struct Counting<T> {
    store: T,
    lost: Arc<AtomicUsize>,
}

#[async_trait]
impl<T: StateStore> StateStore for Counting<T> {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        self.store.load(keys).await
    }

    async fn commit(
        &self,
        key: &str,
        version: u64,
        body: &str,
        due: Option<Timestamp>,
    ) -> Result<Commit, UnavailableError> {
        let outcome = self.store.commit(key, version, body, due).await;
        if key.starts_with("zone/") && matches!(outcome, Ok(Commit::Lost)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        self.store.due(now, most).await
    }
}

/// Each alert is sent by itself, and none blocks the next one.
const RULES: &str = "[rate_limit]\nburst = 1000\n[[rule]]\nid = \"high-usage\"\nblock = \"none\"";

/// The same reading, whoever pushes it.
fn smell(zone: usize) -> String {
    reading_with("ODRDTR_BATT_V1", &json!({ "amm": 270, "aqi": 10 }), &json!({ "InsID": format!("zone {zone}") }))
}

/// One of many people, all at the same moment: a reading that is older than the last alert of its sum does not count any
/// more, so that otherwise the total would depend on who comes first.
fn person(counter: &str, number: usize) -> String {
    reading_with("UM", &json!({ "count": 1 }), &json!({ "note": format!("{counter} {number}") }))
}

/// Waits until the other process is here as well.
async fn meet(folder: &Path, who: &str, others: &str, location: usize) {
    let mark = |name: &str| folder.join(format!("{name} at {location}"));
    fs::write(mark(who), "").unwrap();
    while !mark(others).exists() {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// What one process does. What it has to report.
async fn run(state: impl StateStore + 'static, part: &str, folder: &Path) -> Value {
    let (who, others) = if part.starts_with('a') { ("a", "b") } else { ("b", "a") };
    let store = FolderStore::open_shared(folder).unwrap();
    let lost = Arc::new(AtomicUsize::new(0));
    let state = Counting { store: state, lost: Arc::clone(&lost) };
    let world = World::new().with_rules(RuleSet::parse("rules.toml", RULES).unwrap());
    let ingest =
        world.with_journaled_store(store).with_state(state).with_publisher(AlertLog::open(folder).unwrap()).ingest();
    let (mut alerts, mut duplicates, mut unevaluated) = (0, 0, 0);
    let mut push = async |reading: String| {
        let outcome = push_to(&ingest, body(&[reading]), now()).await.unwrap();
        alerts += outcome.stats.alerts;
        duplicates += outcome.stats.duplicates;
        unevaluated += usize::from(!outcome.evaluated);
    };
    match part {
        "a smells" | "b smells" => {
            for zone in 0..ZONES {
                meet(folder, who, others, zone).await;
                push(smell(zone)).await;
            }
        }
        "a counts" | "b counts" => {
            meet(folder, who, others, 0).await;
            for number in 0..PEOPLE {
                push(person(who, number)).await;
            }
        }
        _ => {
            // Who lost too many races has left it to be evaluated later.
            ingest.evaluate_pending(Timestamp::MAX, now()).await.unwrap();
            ingest.sweep(now() + SignedDuration::from_secs(61)).await.unwrap();
        }
    }
    let lost = lost.load(Ordering::Relaxed);
    json!({ "alerts": alerts, "duplicates": duplicates, "unevaluated": unevaluated, "lost": lost })
}

/// One process of a race, or the one that comes after it.
#[expect(clippy::print_stdout, reason = "its parent reads this")]
#[tokio::test]
#[ignore = "a part of the other tests here, which start it"]
async fn racer() {
    let part = std::env::var("RACE_TEST_PART").unwrap();
    let folder = PathBuf::from(std::env::var_os("RACE_TEST_FOLDER").unwrap());
    if std::env::var_os("STATE_TEST_TABLE").is_some() {
        let report = run(crate::support::dynamodb().await, &part, &folder).await;
        println!("{REPORT}{report}");
        return;
    }
    let state = SqliteStore::open(&folder.join("state.db")).unwrap();
    println!("{REPORT}{}", run(state, &part, &folder).await);
}

fn start(part: &str, folder: &Path) -> std::process::Child {
    process(module_path!(), "racer")
        .env("RACE_TEST_PART", part)
        .env("RACE_TEST_FOLDER", folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn report(racer: std::process::Child) -> Value {
    let output = racer.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    serde_json::from_str(text.lines().find_map(|line| line.strip_prefix(REPORT)).unwrap()).unwrap()
}

/// Both processes to their end, and then the one after them. What both report, added up.
#[expect(clippy::print_stdout, reason = "how close the race was is worth knowing")]
fn race(what: &str, folder: &Path) -> Value {
    let racers = ["a", "b"].map(|who| start(&format!("{who} {what}"), folder));
    let [a, b] = racers.map(report);
    report(start("afterwards", folder));
    let sum = |name: &str| a[name].as_u64().unwrap() + b[name].as_u64().unwrap();
    let both = json!({
        "alerts": sum("alerts"), "duplicates": sum("duplicates"), "unevaluated": sum("unevaluated"), "lost": sum("lost"),
    });
    println!("{what}: {both}");
    both
}

/// The ids of what was sent, however often.
fn sent(folder: &Path) -> BTreeSet<String> {
    let log = fs::read_to_string(folder.join("alerts.ndjson")).unwrap();
    let ids = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn remembered(state: &impl StateStore, zone: &str) -> ZoneState {
    let key = ZoneKey::Zone { project: "building".into(), zone: zone.into() }.to_string();
    let document = state.load(&[key]).await.unwrap().remove(0);
    serde_json::from_str(&document.body.unwrap()).unwrap()
}

/// Opens the state store only after the race, because the processes race for that as well.
async fn one_reading_is_one_alert_whoever_pushes_it<T: StateStore>(state: impl AsyncFnOnce(&Path) -> T) {
    let folder = tempfile::tempdir().unwrap();
    let both = race("smells", folder.path());
    assert_eq!((&both["alerts"], &both["duplicates"], &both["unevaluated"]), (&ZONES.into(), &ZONES.into(), &0.into()));
    assert_eq!(sent(folder.path()).len(), ZONES);
    let state = state(folder.path()).await;
    for zone in 0..ZONES {
        let remembered = remembered(&state, &format!("zone {zone}")).await;
        assert_eq!((remembered.dedup_window.len(), remembered.outbox.is_empty()), (1, true));
    }
    they_have_met(&both);
}

async fn everybody_is_counted_once<T: StateStore>(state: impl AsyncFnOnce(&Path) -> T) {
    let folder = tempfile::tempdir().unwrap();
    let both = race("counts", folder.path());
    // A hundred people, an alert at each thirty.
    assert_eq!(sent(folder.path()).len(), 3);
    let remembered = remembered(&state(folder.path()).await, "zone").await;
    assert_eq!((remembered.dedup_window.len(), remembered.outbox.is_empty()), (2 * PEOPLE, true));
    match remembered.rule_state("high-usage", "device-UM") {
        Some(RuleState::Accumulator(sum)) => assert!((sum.total() - 10.0).abs() < f64::EPSILON, "{sum:?}"),
        other => panic!("{other:?}"),
    }
    they_have_met(&both);
}

fn they_have_met(both: &Value) {
    assert_ne!(both["lost"], 0, "they have not, so this has shown nothing");
}

async fn sqlite(folder: &Path) -> SqliteStore {
    SqliteStore::open(&folder.join("state.db")).unwrap()
}

#[tokio::test]
async fn sqlite_one_reading_is_one_alert_whoever_pushes_it() {
    one_reading_is_one_alert_whoever_pushes_it(sqlite).await;
}

#[tokio::test]
async fn sqlite_everybody_is_counted_once_whoever_counts_them() {
    everybody_is_counted_once(sqlite).await;
}

#[tokio::test]
#[ignore = "needs a DynamoDB: tests/e2e/test_state_store.py starts one and runs this (make e2e)"]
async fn dynamodb_race() {
    one_reading_is_one_alert_whoever_pushes_it(async |_: &Path| crate::support::dynamodb().await).await;
    everybody_is_counted_once(async |_: &Path| crate::support::dynamodb().await).await;
}
