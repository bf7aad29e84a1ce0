//! The process dies between any two steps of a push, or of a sweep. What the next one makes of what is left on the disk
//! must be what would have come of it without that: every alert that is due said at least once, none invented, and the
//! state as if nothing had happened.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::adapters::local::{AlertLog, FolderStore};
use smartclean_push::domain::archive::{Object, ObjectKey};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::ingest::ports::{
    AlertPublisher, Commit, Journal, PendingPush, RawStore, StateDocument, StateStore, Stored, UnavailableError,
};
use smartclean_push::ingest::rate_limit::RATE_LIMIT;
use smartclean_push::ingest::{Ingest, PushOutcome};
use smartclean_push::notify::render::Rendered;
use tokio::sync::{Mutex, MutexGuard};

use crate::support::memory::MemoryPublisher;
use crate::support::{StoredDocument, World, documents, files, now, process, push_to, reading_with};

/// Fewest steps of a push, and of the sweeps after it: with fewer the test would not see what it is about.
const FEWEST_STEPS: usize = 12;
/// A step that nothing comes to.
const NEVER: usize = usize::MAX;
/// What the push has to say, what is suppressed at first among it.
const SUBJECTS: [&str; 5] = [
    "[HIGH] Bad air, Bad smell: smelly",
    "[MEDIUM] 1 more alert: supplies",
    "[MEDIUM] High usage: busy",
    "[MEDIUM] Refill soap: supplies",
    "[OK] Refill soap: cleaned",
];

/// How far a process has come, and the step at which it dies.
struct Life {
    steps: Mutex<usize>,
    dies_at: usize,
    folder: PathBuf,
}

impl Life {
    /// Begins a step, once the one before it is done; or dies. The process ends as by a power cut: nothing is closed,
    /// nothing is dropped.
    #[expect(clippy::print_stdout, reason = "its parent shows this where the test fails")]
    async fn step(&self, what: &str) -> MutexGuard<'_, usize> {
        let mut steps = self.steps.lock().await;
        println!("step {steps}: {what}");
        if *steps == self.dies_at {
            std::process::abort();
        }
        *steps += 1;
        steps
    }
}

/// A port at each call of which the process may die; but for those that only read, because who dies before one of them
/// leaves what they leave who die after it.
#[derive(Clone)]
struct Dying<P> {
    port: P,
    life: Arc<Life>,
}

#[async_trait]
impl RawStore for Dying<FolderStore> {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        let mut steps = self.life.step(&format!("put {}", object.key)).await;
        if *steps == self.life.dies_at {
            // The note that it is to be evaluated is written first: as if it had come no further.
            let path = self.life.folder.join(object.key.as_str());
            self.port.put(object).await.unwrap();
            fs::remove_file(path).unwrap();
            std::process::abort();
        }
        *steps += 1;
        self.port.put(object).await
    }
}

#[async_trait]
impl Journal for Dying<FolderStore> {
    async fn mark_evaluated(&self, key: &ObjectKey) -> Result<(), UnavailableError> {
        let _step = self.life.step("evaluated").await;
        self.port.mark_evaluated(key).await
    }

    async fn pending(&self, received: Timestamp) -> Result<Vec<PendingPush>, UnavailableError> {
        self.port.pending(received).await
    }

    async fn lines(&self, key: &ObjectKey) -> Result<String, UnavailableError> {
        self.port.lines(key).await
    }

    async fn set_aside(&self, key: &ObjectKey) -> Result<(), UnavailableError> {
        self.port.set_aside(key).await
    }
}

#[async_trait]
impl StateStore for Dying<SqliteStore> {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        self.port.load(keys).await
    }

    async fn commit(
        &self,
        key: &str,
        version: u64,
        body: &str,
        due: Option<Timestamp>,
    ) -> Result<Commit, UnavailableError> {
        let _step = self.life.step(&format!("commit {key}")).await;
        self.port.commit(key, version, body, due).await
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        self.port.due(now, most).await
    }
}

/// Message by message, because others than this log may have sent a part of them.
#[async_trait]
impl AlertPublisher for Dying<AlertLog> {
    async fn publish(&self, messages: &[Rendered]) -> Vec<Result<(), UnavailableError>> {
        let mut outcomes = Vec::new();
        for message in messages {
            let _step = self.life.step(&format!("publish {}", message.subject)).await;
            outcomes.extend(self.port.publish(std::slice::from_ref(message)).await);
        }
        outcomes
    }
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn world() -> World {
    // Somebody is told when the soap is back, so that a cleaning has something to say.
    World::new().with_rules(RuleSet::parse("rules.toml", "[[rule]]\nid = \"soap-low\"\nresolved = true").unwrap())
}

fn measured(zone: &str, device_type: &str, values: Value, seconds: i64) -> Value {
    let envelope = json!({ "InsID": zone, "Display": zone, "DEVID": format!("{zone}-{device_type}"), "unixT": after(seconds).as_second() });
    reading_with(device_type, &values, &envelope).into()
}

/// What was pushed half an hour before: a sum is begun in two zones, and in one of them the soap is low.
fn earlier() -> Value {
    json!([
        measured("cleaned", "SS", json!({ "p": 4 }), -1800),
        measured("cleaned", "UM", json!({ "count": 29 }), -1800),
        measured("counting", "UM", json!({ "count": 10 }), -1800),
    ])
}

/// The push that the process dies in.
fn pushed() -> Value {
    json!([
        // One message of two alerts.
        measured("smelly", "ODRDTR_BATT_V1", json!({ "amm": 270, "aqi": 400 }), -9),
        // Together they reach the limit; and here they do not, with what was counted before.
        measured("busy", "UM", json!({ "count": 20 }), -8),
        measured("busy", "UM", json!({ "count": 15 }), -7),
        measured("counting", "UM", json!({ "count": 9 }), -8),
        measured("counting", "UM", json!({ "count": 8 }), -7),
        // The second one is suppressed by the first.
        measured("supplies", "SS", json!({ "p": 4 }), -60),
        measured("supplies", "BIN", json!({ "p": 4 }), -50),
        measured("well", "ODRDTR_BATT_V1", json!({ "amm": 10, "aqi": 10 }), -9),
        // Would reach the limit but for the cleaning, which also ends the alert of before.
        measured("cleaned", "UM", json!({ "count": 29 }), -5),
        {
            "RoutingKey": "matrix.p.task.closed.high", "UnixTimeInt": now().as_second(),
            "Meta": { "Zone": "cleaned", "AEnd": after(-20).as_second() },
        },
        "{broken",
    ])
}

async fn push(ingest: &Ingest, items: &Value, received: Timestamp) -> PushOutcome {
    push_to(ingest, items.to_string(), received).await.unwrap()
}

/// What a process does until it dies.
async fn live(part: &str, life: Life) {
    let folder = life.folder.clone();
    let (store, _) = FolderStore::open(&folder).unwrap();
    let state = SqliteStore::open(&folder.join("state.db")).unwrap();
    let life = Arc::new(life);
    let ingest = world()
        .with_journaled_store(Dying { port: store.clone(), life: Arc::clone(&life) })
        .with_state(Dying { port: state.clone(), life: Arc::clone(&life) })
        .with_publisher(Dying { port: AlertLog::open(&folder).unwrap(), life: Arc::clone(&life) })
        .ingest();
    match part {
        "push" => {
            let outcome = push(&ingest, &pushed(), now()).await;
            assert!(outcome.evaluated && outcome.delivery.failed == 0, "{outcome:?}");
        }
        "sweeps" => {
            // None of its messages left.
            let unheard = MemoryPublisher::default();
            unheard.set_broken(true);
            let broken = world().with_journaled_store(store).with_state(state).with_publisher(unheard).ingest();
            let outcome = push(&broken, &pushed(), now()).await;
            assert!(outcome.evaluated && outcome.delivery.failed > 0, "{outcome:?}");
            // The second one comes after the end of the block.
            for seconds in [61, 1000] {
                ingest.sweep(after(seconds)).await.unwrap();
            }
        }
        restarted => {
            // A sweep is killed later than a push.
            let at = after(if restarted == "restarted late" { 1100 } else { 5 });
            ingest.evaluate_pending(Timestamp::MAX, at).await.unwrap();
            if restarted == "restarted and repeated" {
                push(&ingest, &pushed(), at).await;
            }
            for seconds in [61, 1000, 1100] {
                ingest.sweep(at + SignedDuration::from_secs(seconds)).await.unwrap();
            }
        }
    }
    let _end = life.step("the end").await;
}

/// A process that dies.
#[tokio::test]
#[ignore = "a part of the other tests here, which start it"]
async fn mortal() {
    let variable = |name| std::env::var(name).unwrap();
    let dies_at = variable("KILL_TEST_STEP").parse().unwrap();
    let folder = variable("KILL_TEST_FOLDER").into();
    live(&variable("KILL_TEST_PART"), Life { steps: Mutex::new(0), dies_at, folder }).await;
}

/// Runs a process that dies at a step. What it printed, and whether it came to its end before that.
fn run(part: &str, folder: &Path, dies_at: usize) -> (String, bool) {
    let output = process(module_path!(), "mortal")
        .env("KILL_TEST_STEP", dies_at.to_string())
        .env("KILL_TEST_FOLDER", folder)
        .env("KILL_TEST_PART", part)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let ended = output.status.success() && text.contains("1 passed");
    // A test that fails has an exit code, and this one.
    assert!(ended || output.status.code() != Some(101), "{text}");
    (text, ended)
}

/// What is left in the end, as far as anybody could ask for it.
#[derive(Debug, PartialEq)]
struct Left {
    /// Every message that was sent, to the letter; how often is left out.
    told: BTreeSet<String>,
    /// What is remembered, and when something is due. Not how often it was written, which is more often where a push was
    /// evaluated twice; nor, for the same reason, when something last arrived, and how many tokens are left.
    state: Vec<StoredDocument>,
    /// Names of the objects of readings.
    objects: Vec<String>,
    /// Objects that are still to be evaluated.
    unevaluated: usize,
}

fn left(folder: &Path) -> Left {
    let mut state = documents(&folder.join("state.db"));
    state.retain(|document| !["arrivals", RATE_LIMIT].contains(&document.key.as_str()));
    assert!(state.iter().all(|document| !document.body.contains("outbox")), "all was sent: {state:#?}");
    Left {
        told: fs::read_to_string(folder.join("alerts.ndjson")).unwrap().lines().map(str::to_owned).collect(),
        state,
        objects: files(&folder.join("raw")),
        unevaluated: files(&folder.join("to-evaluate")).len(),
    }
}

/// A data folder of which the earlier push is remembered.
async fn used_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FolderStore::open(folder.path()).unwrap();
    let state = SqliteStore::open(&folder.path().join("state.db")).unwrap();
    let ingest = world().with_journaled_store(store).with_state(state).ingest();
    assert_eq!(push(&ingest, &earlier(), after(-1799)).await.delivery.messages, 1);
    folder
}

/// What is left where nothing but these parts took place, and none was disturbed.
async fn left_by(parts: &[&str]) -> Left {
    let folder = used_folder().await;
    for part in parts {
        let (text, ended) = run(part, folder.path(), NEVER);
        assert!(ended, "{text}");
    }
    left(folder.path())
}

/// Kills `part` at each of its steps and then restarts; what is left is what `undisturbed` leaves.
async fn survives(part: &str, restarted: &str, undisturbed: &[&str]) {
    let (expected, without) = (left_by(undisturbed).await, left_by(&["restarted"]).await);
    let subjects = expected.told.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["subject"].clone());
    let mut subjects: Vec<String> = subjects.map(|subject| subject.as_str().unwrap().to_owned()).collect();
    subjects.sort();
    assert_eq!(subjects, SUBJECTS);
    assert_eq!((without.told.len(), without.objects.len(), expected.objects.len()), (0, 1, 2));
    for step in 0.. {
        let folder = used_folder().await;
        let (text, ended) = run(part, folder.path(), step);
        let is_stored = files(&folder.path().join("raw")).len() == 2;
        let (again, has_restarted) = run(restarted, folder.path(), NEVER);
        assert!(has_restarted, "{text}\n{again}");
        let is_known = is_stored || restarted == "restarted and repeated";
        let expected = if is_known { &expected } else { &without };
        assert_eq!(left(folder.path()), *expected, "{text}\n{again}");
        if restarted == "restarted and repeated" {
            assert_eq!(files(&folder.path().join("rejected")).len(), 1, "{text}\n{again}");
        }
        if ended {
            assert!(step >= FEWEST_STEPS, "{text}");
            break;
        }
    }
}

#[tokio::test]
async fn a_push_that_is_killed_anywhere_is_finished_by_the_next_process() {
    survives("push", "restarted", &["push", "restarted"]).await;
}

#[tokio::test]
async fn a_push_that_is_killed_anywhere_and_sent_again_is_a_push_that_was_not_killed() {
    survives("push", "restarted and repeated", &["push", "restarted"]).await;
}

#[tokio::test]
async fn a_sweep_that_is_killed_anywhere_is_finished_by_the_next_process() {
    survives("sweeps", "restarted late", &["sweeps", "restarted late"]).await;
}
