//! Two processes that push to the same zones concurrently: each breach is one alert, and no reading is lost.

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
use smartclean_push::ingest::ports::{AttentionEntry, Commit, IndexEntry, StateDocument, StateStore, UnavailableError};

use crate::support::{World, body, now, process, push_to, reading_with};

/// Number of zones. Both processes push the same reading to each of them.
const ZONES: usize = 30;
/// Number of pushes of each process, each of which counts one person.
const PEOPLE: usize = 50;
/// Prefix of the line that the parent process reads.
const REPORT: &str = "report: ";

/// A state store that counts the lost compare-and-swaps of zones.
struct Counting<T> {
    store: T,
    lost: Arc<AtomicUsize>,
}

#[async_trait]
impl<T: StateStore> StateStore for Counting<T> {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        self.store.load(keys).await
    }

    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError> {
        let outcome = self.store.commit(key, version, body, index).await;
        if key.starts_with("zone/") && matches!(outcome, Ok(Commit::Lost)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        self.store.due(now, most).await
    }

    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        self.store.attention(most).await
    }
}

/// Rules with which each alert is a message of its own and causes no block.
const RULES: &str = "[rate_limit]\nburst = 1000\n[[rule]]\nid = \"high-usage\"\nblock = \"none\"";

/// Returns the reading that both processes push to a zone.
fn smell(zone: usize) -> String {
    reading_with("ODRDTR_BATT_V1", &json!({ "amm": 270, "aqi": 10 }), &json!({ "InsID": format!("zone {zone}") }))
}

/// Returns a reading that counts one person. All have the same time, because an accumulator ignores readings that are
/// older than its last alert: with different times the total would depend on the order of the pushes.
fn person(counter: &str, number: usize) -> String {
    reading_with("UM", &json!({ "count": 1 }), &json!({ "note": format!("{counter} {number}") }))
}

/// Waits until the other process has reached the same location.
async fn wait_for_other(folder: &Path, who: &str, others: &str, location: usize) {
    let mark = |name: &str| folder.join(format!("{name} at {location}"));
    fs::write(mark(who), "").unwrap();
    while !mark(others).exists() {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// Runs the part of one process. Returns its report.
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
                wait_for_other(folder, who, others, zone).await;
                push(smell(zone)).await;
            }
        }
        "a counts" | "b counts" => {
            wait_for_other(folder, who, others, 0).await;
            for number in 0..PEOPLE {
                push(person(who, number)).await;
            }
        }
        _ => {
            // A push that lost too many races is still to be evaluated.
            ingest.evaluate_pending(Timestamp::MAX, now()).await.unwrap();
            ingest.sweep(now() + SignedDuration::from_secs(61)).await.unwrap();
        }
    }
    let lost = lost.load(Ordering::Relaxed);
    json!({ "alerts": alerts, "duplicates": duplicates, "unevaluated": unevaluated, "lost": lost })
}

/// One of the racing processes, or the one that runs after the race.
#[expect(clippy::print_stdout, reason = "the parent process reads this")]
#[tokio::test]
#[ignore = "child process of the other tests of this module"]
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

/// Runs both processes to their end and then the one after the race. Returns the sum of both reports.
#[expect(clippy::print_stdout, reason = "the number of lost races helps to judge the test")]
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

/// Returns the ids of the sent messages, without repetitions.
fn sent(folder: &Path) -> BTreeSet<String> {
    let log = fs::read_to_string(folder.join("alerts.ndjson")).unwrap();
    let ids = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn load_zone(state: &impl StateStore, zone: &str) -> ZoneState {
    let key = ZoneKey::zone("building", zone).to_string();
    let document = state.load(&[key]).await.unwrap().remove(0);
    serde_json::from_str(&document.body.unwrap()).unwrap()
}

/// Opens the state store only after the race, because the processes also race to create it.
async fn one_reading_pushed_by_both_is_one_alert<T: StateStore>(state: impl AsyncFnOnce(&Path) -> T) {
    let folder = tempfile::tempdir().unwrap();
    let both = race("smells", folder.path());
    assert_eq!((&both["alerts"], &both["duplicates"], &both["unevaluated"]), (&ZONES.into(), &ZONES.into(), &0.into()));
    assert_eq!(sent(folder.path()).len(), ZONES);
    let state = state(folder.path()).await;
    for zone in 0..ZONES {
        let zone = load_zone(&state, &format!("zone {zone}")).await;
        assert_eq!((zone.dedup_window.len(), zone.outbox.is_empty()), (1, true));
    }
    assert_races_were_lost(&both);
}

async fn each_person_is_counted_once<T: StateStore>(state: impl AsyncFnOnce(&Path) -> T) {
    let folder = tempfile::tempdir().unwrap();
    let both = race("counts", folder.path());
    // A hundred people are three alerts, one for every thirty.
    assert_eq!(sent(folder.path()).len(), 3);
    let zone = load_zone(&state(folder.path()).await, "zone").await;
    assert_eq!((zone.dedup_window.len(), zone.outbox.is_empty()), (2 * PEOPLE, true));
    match zone.rule_state("high-usage", "device-UM") {
        Some(RuleState::Accumulator(sum)) => assert!((sum.total() - 10.0).abs() < f64::EPSILON, "{sum:?}"),
        other => panic!("{other:?}"),
    }
    assert_races_were_lost(&both);
}

fn assert_races_were_lost(both: &Value) {
    assert_ne!(both["lost"], 0, "no race was lost, so the test has shown nothing");
}

async fn sqlite(folder: &Path) -> SqliteStore {
    SqliteStore::open(&folder.join("state.db")).unwrap()
}

#[tokio::test]
async fn sqlite_one_reading_pushed_by_two_processes_is_one_alert() {
    one_reading_pushed_by_both_is_one_alert(sqlite).await;
}

#[tokio::test]
async fn sqlite_two_processes_count_each_person_once() {
    each_person_is_counted_once(sqlite).await;
}

#[tokio::test]
#[ignore = "needs a DynamoDB: tests/e2e/test_state_store.py starts one and runs this (make e2e)"]
async fn dynamodb_race() {
    one_reading_pushed_by_both_is_one_alert(async |_: &Path| crate::support::dynamodb().await).await;
    each_person_is_counted_once(async |_: &Path| crate::support::dynamodb().await).await;
}
