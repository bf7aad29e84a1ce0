//! Crash safety: a process is killed between any two steps of a push or a sweep, and the next process continues from
//! the data folder. The result must equal a run without a crash: every alert is sent at least once, no alert is
//! invented, and the state is the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use history::ArchivedFacts;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::adapters::local::{AlertLog, FolderArchive, FolderStore};
use smartclean_push::domain::alert::life::AlertLife;
use smartclean_push::domain::archive::{Object, ObjectKey};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::ports::{
    AlertPublisher, AttentionEntry, Commit, IndexEntry, Journal, OutgoingMessage, PendingPush, PublishOutcome,
    RawStore, StateDocument, StateStore, Stored, UnavailableError,
};
use smartclean_push::ingest::rate_limit::RATE_LIMIT;
use smartclean_push::ingest::{Ingest, PushOutcome};
use tokio::sync::{Mutex, MutexGuard};

use crate::support::memory::MemoryPublisher;
use crate::support::{StoredDocument, World, documents, files, now, process, push_to, reading_with};

/// Minimum number of steps of a push and of the sweeps after it. With fewer steps the test would not cover every kind
/// of step.
const FEWEST_STEPS: usize = 12;
/// A step that no process reaches.
const NEVER: usize = usize::MAX;
/// Subjects of the messages of the push, including those that are suppressed at first.
const SUBJECTS: [&str; 5] = [
    "[HIGH] Bad air, Bad smell: smelly",
    "[MEDIUM] 1 more alert: supplies",
    "[MEDIUM] High usage: busy",
    "[MEDIUM] Soap low: supplies",
    "[OK] Soap low: cleaned",
];

/// The progress of a process, and the step at which it is killed.
struct Lifetime {
    steps: Mutex<usize>,
    killed_at: usize,
    folder: PathBuf,
}

impl Lifetime {
    /// Starts a step after the previous one, or aborts the process. As in a power failure, nothing is closed and
    /// nothing is dropped.
    #[expect(clippy::print_stdout, reason = "the parent process shows this if the test fails")]
    async fn step(&self, what: &str) -> MutexGuard<'_, usize> {
        let mut steps = self.steps.lock().await;
        println!("step {steps}: {what}");
        if *steps == self.killed_at {
            std::process::abort();
        }
        *steps += 1;
        steps
    }
}

/// A port that counts each call as a step at which the process may be killed. Calls that only read are not steps,
/// because a crash before or after them leaves the same data.
#[derive(Clone)]
struct Killable<P> {
    port: P,
    lifetime: Arc<Lifetime>,
}

#[async_trait]
impl RawStore for Killable<FolderStore> {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        let mut steps = self.lifetime.step(&format!("put {}", object.key)).await;
        if *steps == self.lifetime.killed_at {
            // `put` writes the journal entry first. Removing the object simulates a crash between the two.
            let path = self.lifetime.folder.join(object.key.as_str());
            self.port.put(object).await.unwrap();
            fs::remove_file(path).unwrap();
            std::process::abort();
        }
        *steps += 1;
        self.port.put(object).await
    }
}

#[async_trait]
impl Journal for Killable<FolderStore> {
    async fn mark_evaluated(&self, key: &ObjectKey) -> Result<(), UnavailableError> {
        let _step = self.lifetime.step("evaluated").await;
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
impl StateStore for Killable<SqliteStore> {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        self.port.load(keys).await
    }

    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError> {
        let _step = self.lifetime.step(&format!("commit {key}")).await;
        self.port.commit(key, version, body, index).await
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        self.port.due(now, most).await
    }

    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        self.port.attention(most).await
    }
}

/// Publishes one message at a time, because a crash may happen between two messages.
#[async_trait]
impl AlertPublisher for Killable<AlertLog> {
    fn channel(&self) -> Channel {
        self.port.channel()
    }

    async fn publish(&self, rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        let mut outcomes = Vec::new();
        for message in messages {
            let _step = self.lifetime.step(&format!("publish {}", message.rendered.subject)).await;
            outcomes.extend(self.port.publish(rules, std::slice::from_ref(message)).await);
        }
        outcomes
    }
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn world() -> World {
    // The rule sends a resolved notice, so that a cleaning causes a message.
    World::new().with_rules(RuleSet::parse("rules.toml", "[[rule]]\nid = \"soap-low\"\nresolved = true").unwrap())
}

fn measured(zone: &str, device_type: &str, values: Value, seconds: i64) -> Value {
    let envelope = json!({ "InsID": zone, "Display": zone, "DEVID": format!("{zone}-{device_type}"), "unixT": after(seconds).as_second() });
    reading_with(device_type, &values, &envelope).into()
}

/// The push half an hour earlier: two zones have an accumulator, and in one of them the soap is low.
fn earlier_push() -> Value {
    json!([
        measured("cleaned", "SS", json!({ "p": 4 }), -1800),
        measured("cleaned", "UM", json!({ "count": 29 }), -1800),
        measured("counting", "UM", json!({ "count": 10 }), -1800),
    ])
}

/// The push during which the process is killed.
fn killed_push() -> Value {
    json!([
        // One message for two alerts.
        measured("smelly", "ODRDTR_BATT_V1", json!({ "amm": 270, "aqi": 400 }), -9),
        // In "busy" both together reach the limit. In "counting" they do not, even with the earlier count.
        measured("busy", "UM", json!({ "count": 20 }), -8),
        measured("busy", "UM", json!({ "count": 15 }), -7),
        measured("counting", "UM", json!({ "count": 9 }), -8),
        measured("counting", "UM", json!({ "count": 8 }), -7),
        // The first alert suppresses the second.
        measured("supplies", "SS", json!({ "p": 4 }), -60),
        measured("supplies", "BIN", json!({ "p": 4 }), -50),
        measured("well", "ODRDTR_BATT_V1", json!({ "amm": 10, "aqi": 10 }), -9),
        // Without the cleaning this reaches the limit. The cleaning also resolves the earlier alert.
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

/// Runs one part in a process until it ends or is killed.
async fn run_part(part: &str, lifetime: Lifetime) {
    let folder = lifetime.folder.clone();
    let (store, _) = FolderStore::open(&folder).unwrap();
    let state = SqliteStore::open(&folder.join("state.db")).unwrap();
    let lifetime = Arc::new(lifetime);
    let ingest = world()
        .with_journaled_store(Killable { port: store.clone(), lifetime: Arc::clone(&lifetime) })
        .with_state(Killable { port: state.clone(), lifetime: Arc::clone(&lifetime) })
        .with_publisher(Killable { port: AlertLog::open(&folder).unwrap(), lifetime: Arc::clone(&lifetime) })
        .ingest()
        .with_public_url(Some("https://push.example.com".parse().unwrap()));
    match part {
        "push" => {
            let outcome = push(&ingest, &killed_push(), now()).await;
            assert!(outcome.evaluated && outcome.delivery.failed == 0, "{outcome:?}");
        }
        "sweeps" => {
            // None of the messages is sent.
            let failing_publisher = MemoryPublisher::of(Channel::Log);
            failing_publisher.set_broken(true);
            let broken =
                world().with_journaled_store(store).with_state(state).with_publisher(failing_publisher).ingest();
            let outcome = push(&broken, &killed_push(), now()).await;
            assert!(outcome.evaluated && outcome.delivery.failed > 0, "{outcome:?}");
            // The second sweep is after the end of the block.
            for seconds in [61, 1000] {
                ingest.sweep(after(seconds)).await.unwrap();
            }
        }
        restarted => {
            // A sweep is killed later than a push is.
            let at = after(if restarted == "restarted late" { 1100 } else { 5 });
            ingest.evaluate_pending(Timestamp::MAX, at).await.unwrap();
            if restarted == "restarted and repeated" {
                push(&ingest, &killed_push(), at).await;
            }
            for seconds in [61, 1000, 1100] {
                ingest.sweep(at + SignedDuration::from_secs(seconds)).await.unwrap();
            }
        }
    }
    let _end = lifetime.step("the end").await;
}

/// The process that is killed.
#[tokio::test]
#[ignore = "child process of the other tests of this module"]
async fn killed_process() {
    let variable = |name| std::env::var(name).unwrap();
    let killed_at = variable("KILL_TEST_STEP").parse().unwrap();
    let folder = variable("KILL_TEST_FOLDER").into();
    run_part(&variable("KILL_TEST_PART"), Lifetime { steps: Mutex::new(0), killed_at, folder }).await;
}

/// Runs a process that is killed at a step. Returns its output, and whether it ended before that step.
fn run(part: &str, folder: &Path, killed_at: usize) -> (String, bool) {
    let output = process(module_path!(), "killed_process")
        .env("KILL_TEST_STEP", killed_at.to_string())
        .env("KILL_TEST_FOLDER", folder)
        .env("KILL_TEST_PART", part)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let ended = output.status.success() && text.contains("1 passed");
    // A failed test exits with 101, a killed one does not.
    assert!(ended || output.status.code() != Some(101), "{text}");
    (text, ended)
}

/// The observable result in the data folder.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// The id, subject and facts of each line of the alert log. Repetitions do not count, nor does a missing SMS: the quota
    /// is read within a second, and a busy machine may take longer.
    sent: BTreeSet<[String; 3]>,
    /// The state documents with their due times. Versions, the time of the last arrival and the remaining tokens do not
    /// count, because a push that is evaluated twice changes them. Links do not count: each is random, and one whose message was
    /// not sent opens nothing.
    state: Vec<StoredDocument>,
    /// The archived alerts and responses. Repetitions do not count.
    archived: (Vec<String>, usize),
    /// Names of the objects with readings.
    objects: Vec<String>,
    /// Number of objects that are still to be evaluated.
    unevaluated: usize,
}

fn sent(line: &str) -> [String; 3] {
    let mut message: Value = serde_json::from_str(line).unwrap();
    let link = message["message"]["json"].as_object_mut().unwrap().remove("link");
    assert_eq!(link.is_some(), message["attributes"]["kind"] != "resolved", "{line}");
    ["/id", "/subject", "/message/json"].map(|member| {
        let value = message.pointer(member).unwrap();
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    })
}

fn outcome_in(folder: &Path) -> Outcome {
    let mut state = documents(&folder.join("state.db"));
    state.retain(|document| !["arrivals", RATE_LIMIT].contains(&document.key.as_str()));
    state.retain(|document| !document.key.starts_with("link/"));
    state.iter_mut().for_each(forget_when_raised);
    assert!(state.iter().all(|document| !document.body.contains("outbox")), "the outboxes are empty: {state:#?}");
    Outcome {
        sent: fs::read_to_string(folder.join("alerts.ndjson")).unwrap().lines().map(sent).collect(),
        state,
        archived: archived(folder),
        objects: files(&folder.join("raw")),
        unevaluated: files(&folder.join("to-evaluate")).len(),
    }
}

/// Creates a data folder that has ingested the earlier push.
async fn folder_with_earlier_push() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FolderStore::open(folder.path()).unwrap();
    let state = SqliteStore::open(&folder.path().join("state.db")).unwrap();
    let ingest = world().with_journaled_store(store).with_state(state).ingest();
    assert_eq!(push(&ingest, &earlier_push(), after(-1799)).await.delivery.messages, 1);
    folder
}

/// Returns the result of these parts without a crash.
async fn outcome_of(parts: &[&str]) -> Outcome {
    let folder = folder_with_earlier_push().await;
    for part in parts {
        let (text, ended) = run(part, folder.path(), NEVER);
        assert!(ended, "{text}");
    }
    outcome_in(folder.path())
}

/// Removes when alerts were raised, and when they expire: after a crash, a push can be received later, or people are told later
/// that a block has ended.
fn forget_when_raised(document: &mut StoredDocument) {
    let mut body: Value = serde_json::from_str(&document.body).unwrap();
    let Some(open) = body.pointer_mut("/lives/open").and_then(Value::as_array_mut) else { return };
    for life in open {
        let raised: Timestamp = serde_json::from_value(life["raised"].take()).unwrap();
        let expires = (raised + SignedDuration::from_hours(24)).as_millisecond();
        document.due = document.due.filter(|due| (due - expires).abs() > 1);
    }
    document.body = body.to_string();
}

/// The archived alerts, each once and without when they were raised, and the number of responses.
fn archived(folder: &Path) -> (Vec<String>, usize) {
    let facts = ArchivedFacts::read(&FolderArchive::open(folder).unwrap(), None).unwrap();
    assert_eq!(facts.damaged.len(), 0);
    let alerts = facts.alerts.into_iter().map(|life| {
        let life = AlertLife { raised: Timestamp::UNIX_EPOCH, ..life };
        serde_json::to_string(&life).unwrap()
    });
    (alerts.collect(), facts.responses.len())
}

/// Kills `part` at each of its steps and then runs `restarted`. The result must equal that of `undisturbed`.
async fn survives_kills(part: &str, restarted: &str, undisturbed: &[&str]) {
    let (expected, without) = (outcome_of(undisturbed).await, outcome_of(&["restarted"]).await);
    let mut subjects: Vec<String> = expected.sent.iter().map(|[_, subject, _]| subject.clone()).collect();
    subjects.sort();
    assert_eq!(subjects, SUBJECTS);
    assert_eq!((without.sent.len(), without.objects.len(), expected.objects.len()), (0, 1, 2));
    for step in 0.. {
        let folder = folder_with_earlier_push().await;
        let (text, ended) = run(part, folder.path(), step);
        let is_stored = files(&folder.path().join("raw")).len() == 2;
        let (again, has_restarted) = run(restarted, folder.path(), NEVER);
        assert!(has_restarted, "{text}\n{again}");
        let is_known = is_stored || restarted == "restarted and repeated";
        let expected = if is_known { &expected } else { &without };
        assert_eq!(outcome_in(folder.path()), *expected, "{text}\n{again}");
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
async fn a_push_killed_at_any_step_is_completed_by_the_next_process() {
    survives_kills("push", "restarted", &["push", "restarted"]).await;
}

#[tokio::test]
async fn a_push_killed_at_any_step_and_retried_has_the_result_of_one_push() {
    survives_kills("push", "restarted and repeated", &["push", "restarted"]).await;
}

#[tokio::test]
async fn a_sweep_killed_at_any_step_is_completed_by_the_next_process() {
    survives_kills("sweeps", "restarted late", &["sweeps", "restarted late"]).await;
}
