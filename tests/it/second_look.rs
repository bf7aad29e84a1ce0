//! The second look at buffered objects, which hold the pushes of some minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use serde_json::{Value, json};
use smartclean_push::domain::archive::{Object, ObjectKey};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::ZoneState;
use smartclean_push::ingest::ports::{
    AttentionEntry, Commit, IndexEntry, RawStore, StateDocument, StateStore, Stored, StoredObjects, StoredPush,
    StoredPushes, UnavailableError,
};
use smartclean_push::sources::{BatchItemFailures, Envelope, QueueMessage, QueueTask, SourceEvent};

use crate::model::worlds::{Event, EventKind, World as ModelWorld, some_world, timestamp};
use crate::model::{config, in_order};
use crate::support::memory::{MemoryDocument, MemoryPublisher, MemoryState};
use crate::support::{TestApp, World, alert_ids, body, now, push_to, reading_with, stored_push};

/// The pushes of each object of a bucket.
#[derive(Clone, Default)]
struct Buffered(Arc<Mutex<BTreeMap<String, Vec<StoredPush>>>>);

#[async_trait]
impl RawStore for Buffered {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        panic!("{} stored", object.key)
    }
}

#[async_trait]
impl StoredObjects for Buffered {
    async fn read(&self, key: &ObjectKey) -> Result<Option<StoredPushes>, UnavailableError> {
        if key.as_str().contains("slow") {
            tokio::time::sleep(Duration::from_millis(4_100)).await;
        }
        let pushes = self.0.lock().unwrap().get(key.as_str()).cloned();
        Ok(pushes.map(|pushes| Box::new(pushes.into_iter().map(Ok)) as StoredPushes))
    }
}

/// The messages of an event with a notice about each of these objects.
fn messages(keys: &[&str]) -> Vec<QueueMessage> {
    let record = |key: &&str| {
        let notice = json!({"Records": [{"s3": {"object": {"key": key}}}]}).to_string();
        json!({"messageId": key, "eventSource": "aws:sqs", "body": notice})
    };
    let event = json!({"Records": keys.iter().map(record).collect::<Vec<_>>()}).to_string();
    let Some(SourceEvent::Queue(messages)) = SourceEvent::parse(&Envelope::parse(&event).unwrap()) else {
        panic!("{event}")
    };
    messages
}

impl TestApp {
    /// Evaluates these pushes as one object.
    async fn second_look(&self, pushes: Vec<StoredPush>, now: Timestamp) {
        let bucket = Buffered(Arc::new(Mutex::new([("raw/o.ndjson.gz".to_owned(), pushes)].into())));
        let failures = self.ingest().process_messages(&bucket, messages(&["raw/o.ndjson.gz"]), now).await;
        assert_eq!(failures, BatchItemFailures::default());
    }

    /// Pushes these readings, as received a number of seconds after [`now`].
    async fn push_after(&self, seconds: i64, readings: &[String]) -> usize {
        push_to(self.ingest(), body(readings), after(seconds)).await.unwrap().stats.alerts
    }

    fn pushes(&self) -> Vec<StoredPush> {
        self.store.objects().values().map(stored_push).collect()
    }
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// A reading of a number of seconds after [`now`].
fn at(seconds: i64, device_type: &str, values: &Value) -> String {
    reading_with(device_type, values, &json!({"unixT": after(seconds).as_millisecond()}))
}

fn smell(zone: usize) -> String {
    reading_with("ODRDTR_BATT_V1", &json!({"amm": 270}), &json!({"InsID": format!("z{zone}")}))
}

#[tokio::test]
async fn a_push_that_was_never_evaluated_alerts_at_the_second_look_exactly_once() {
    let app = TestApp::new();
    app.state.set_broken(true);
    assert_eq!(app.push_after(0, &[smell(1)]).await, 0);
    app.state.set_broken(false);
    let pushes = app.pushes();
    app.second_look([pushes.clone(), pushes.clone()].concat(), after(420)).await;
    assert_eq!(app.publisher.sent().len(), 1, "the record was delivered twice");
    let documents = app.state.documents();
    app.second_look(pushes, after(900)).await;
    assert_eq!((app.publisher.sent().len(), app.state.documents()), (1, documents));
}

#[tokio::test]
async fn a_push_that_was_evaluated_changes_nothing_and_writes_nothing() {
    let app = TestApp::new();
    assert_eq!(
        app.push_after(0, &[smell(1), at(0, "UM", &json!({"count": 3})), "{\"DEVID\":\"untimed\"}".into()]).await,
        1
    );
    let documents = app.state.documents();
    app.second_look(app.pushes(), after(420)).await;
    assert_eq!((app.publisher.sent().len(), app.state.documents()), (1, documents));
}

#[tokio::test]
async fn the_age_of_a_reading_counts_from_the_receipt_of_its_own_push() {
    let app = TestApp::new();
    app.state.set_broken(true);
    app.push_after(0, &[smell(1)]).await;
    // More than an hour old when it was received.
    app.push_after(3_700, &[smell(2)]).await;
    app.state.set_broken(false);
    app.second_look(app.pushes(), after(4_000)).await;
    let zones: Vec<_> = app.publisher.sent().iter().map(|sent| sent.json.contains("\"z1\"")).collect();
    assert_eq!(zones, [true], "only the first push alerts");
}

#[tokio::test]
async fn pushes_of_one_zone_are_evaluated_in_the_order_of_receipt_with_one_load_and_one_write() {
    let state = CountedState::default();
    let (publisher, rules) =
        (MemoryPublisher::default(), "[[rule]]\nid = \"ammonia-lite\"\nresolved = true\nblock = \"none\"");
    let world = World::new().with_rules(RuleSet::parse("rules.toml", rules).unwrap()).with_state(state.clone());
    let app = world.with_publisher(publisher.clone()).start();
    state.state.set_broken(true);
    for (seconds, ppb) in [(0, 270), (60, 5), (120, 270)] {
        app.push_after(seconds, &[at(seconds, "ODRDTR_BATT_V1", &json!({"amm": ppb}))]).await;
    }
    state.state.set_broken(false);
    let zone = "zone/8:building/zone";
    app.second_look(app.pushes(), after(420)).await;
    let kinds = |sent: &str| serde_json::from_str::<Value>(sent).unwrap()["kind"].clone();
    let sent: Vec<_> = publisher.sent().iter().map(|sent| kinds(&sent.json)).collect();
    assert_eq!(sent, ["firing", "resolved", "firing"]);
    // Evaluated by one load and one write; a second pair removes the sent messages from the outbox.
    assert_eq!((state.loads.load(Ordering::Relaxed), state.state.documents()[zone].version), (2, 2));
}

#[tokio::test]
async fn a_cleaning_in_a_later_push_of_an_object_comes_first() {
    let cleaning = |seconds| {
        let end = after(seconds).as_second();
        json!({"RoutingKey": "matrix.p", "UnixTimeInt": end, "Meta": {"Zone": "zone", "AEnd": end}}).to_string()
    };
    let total = async |readings: &[(i64, String)]| {
        let app = TestApp::new();
        app.state.set_broken(true);
        for (seconds, reading) in readings {
            app.push_after(*seconds, std::slice::from_ref(reading)).await;
        }
        app.state.set_broken(false);
        app.second_look(app.pushes(), after(420)).await;
        app.publisher.sent().len()
    };
    let person = |seconds, count: u32| (seconds, at(seconds, "UM", &json!({"count": count})));
    assert_eq!(total(&[person(0, 20), person(60, 15)]).await, 1, "35 people are more than 30");
    assert_eq!(total(&[person(0, 20), person(60, 15), (120, cleaning(30))]).await, 0, "15 since the cleaning");
    assert_eq!(
        total(&[person(0, 20), person(60, 15), (120, cleaning(-30))]).await,
        1,
        "all of them since the cleaning"
    );
}

#[tokio::test]
async fn an_arrival_is_recorded_as_of_its_receipt() {
    let app = TestApp::new();
    app.push_after(0, &[smell(1)]).await;
    let last = app.state.documents()["arrivals"].clone();
    assert!(last.body.contains(&now().to_string()), "{last:?}");
    app.second_look(app.pushes(), after(900)).await;
    assert_eq!(app.state.documents()["arrivals"], last);
}

/// Otherwise each second look would count it again: it counts as of its receipt, and 1,024 readings evict it.
#[tokio::test]
async fn a_reading_without_a_usable_time_changes_nothing_after_1024_others_of_its_zone() {
    let app = TestApp::new();
    let untimed = reading_with("UM", &json!({"count": 7}), &json!({"unixT": null}));
    app.push_after(0, &[untimed]).await;
    let pushes = app.pushes();
    let others: Vec<_> = (1..=1_100)
        .map(|ms| reading_with("UM", &json!({"count": 0.001}), &json!({"unixT": now().as_millisecond() + ms})))
        .collect();
    app.push_after(2, &others).await;
    let state: ZoneState = serde_json::from_str(&app.state.documents()["zone/8:building/zone"].body).unwrap();
    assert_eq!(state.dedup_window.len(), 1_024);
    let documents = app.state.documents();
    app.second_look(pushes, after(420)).await;
    assert_eq!(app.state.documents(), documents);
}

#[tokio::test]
async fn a_reading_that_changed_nothing_is_evaluated_once_more_after_an_older_one_that_came_later() {
    let rules = "[[rule]]\nid = \"ammonia-lite\"\nresolved = true\n";
    let app = TestApp::with_rules(RuleSet::parse("rules.toml", rules).unwrap());
    app.push_after(60, &[at(60, "ODRDTR_BATT_V1", &json!({"amm": 5}))]).await;
    let normal = app.pushes();
    assert_eq!(app.push_after(90, &[at(0, "ODRDTR_BATT_V1", &json!({"amm": 270}))]).await, 1);
    for seconds in [420, 720] {
        app.second_look(normal.clone(), after(seconds)).await;
        assert!(app.subjects().len() == 2 && app.subjects()[1].starts_with("[OK]"), "{:?}", app.subjects());
    }
}

/// Collects the fields of log lines.
#[derive(Clone, Default)]
struct LoggedFields(Arc<Mutex<Vec<String>>>);

impl tracing::field::Visit for LoggedFields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push(format!("{field}={value:?}"));
    }
}

impl tracing::Subscriber for LoggedFields {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_message_for_which_no_time_is_left_is_retried_and_has_not_failed() {
    let app = TestApp::new();
    let logged = LoggedFields::default();
    let _guard = tracing::subscriber::set_default(logged.clone());
    let failures = async |keys: &[&str]| {
        let messages = messages(keys).into_iter().enumerate().map(|(minutes, message)| QueueMessage {
            sent: Some(after(-60 * (minutes as i64 + 1))),
            task: if message.id == "unknown" { QueueTask::Unknown } else { message.task },
            ..message
        });
        let failures = app.ingest().process_messages(&Buffered::default(), messages.collect(), now()).await;
        let failures = serde_json::to_value(failures).unwrap()["batchItemFailures"].as_array().unwrap().len();
        let logged = std::mem::take(&mut *logged.0.lock().unwrap());
        (failures, logged.into_iter().filter(|field| field.starts_with("queue_failed_age_s")).collect::<String>())
    };
    assert_eq!(failures(&["raw/1", "raw/2", "raw/3"]).await, (0, String::new()));
    assert_eq!(failures(&["raw/1", "raw/slow", "raw/3", "raw/4"]).await, (2, String::new()));
    assert_eq!(failures(&["raw/1", "unknown", "raw/slow", "unknown"]).await, (2, "queue_failed_age_s=120".into()));
}

/// Pushes with so many MB of text in all, each with an alert of a zone of its own.
fn backlog(megabytes: usize) -> Vec<StoredPush> {
    let push = |number| {
        let reading = reading_with(
            "ODRDTR_BATT_V1",
            &json!({"amm": 270}),
            &json!({"InsID": format!("z{number:02}"), "Name": "x".repeat(1_000_000)}),
        );
        let key = ObjectKey::known(&format!("raw/{number:02}.ndjson.zst"));
        StoredPush { received: Some(now()), key, lines: format!("{reading}\n") }
    };
    (0..megabytes).map(push).collect()
}

#[tokio::test(start_paused = true)]
async fn a_large_object_is_evaluated_in_slices_and_an_attempt_continues_where_the_last_one_ended() {
    // The first two slices take 3.5 s each, and 2 s until the outboxes are left to the sweep: too little is left for the third one.
    let state = CountedState { pause: Duration::from_millis(3_500), ..CountedState::default() };
    let app = World::new().with_state(state.clone()).start();
    let key = "raw/o.ndjson.gz";
    let bucket = Buffered(Arc::new(Mutex::new([(key.to_owned(), backlog(20))].into())));
    let attempt = async |seconds| {
        let began = tokio::time::Instant::now();
        let failures = app.ingest().process_messages(&bucket, messages(&[key]), after(seconds)).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}");
        let zones = state.state.documents().into_keys().filter(|key| key.starts_with("zone/"));
        (failures == BatchItemFailures::default(), zones.count(), state.loads.swap(0, Ordering::Relaxed))
    };
    assert_eq!(attempt(420).await, (false, 14, 2));
    assert_eq!(attempt(600).await, (true, 20, 1));
    let documents = state.state.documents();
    assert!(documents[&format!("second-look/{key}")].body.contains("\"pushes\":20"), "{documents:?}");
    assert_eq!(attempt(780).await, (true, 20, 0), "nothing is left");
    assert_eq!(state.state.documents(), documents);
}

#[tokio::test]
async fn an_object_of_one_slice_needs_no_record_of_its_progress() {
    for (megabytes, slices) in [(6, 1), (8, 2)] {
        let app = TestApp::new();
        app.second_look(backlog(megabytes), after(420)).await;
        let has_progress = app.state.documents().keys().any(|key| key.starts_with("second-look/"));
        assert_eq!(has_progress, slices > 1, "{megabytes}");
    }
}

/// DynamoDB is slow after the evaluation.
#[tokio::test(start_paused = true)]
async fn messages_do_not_wait_until_the_arrival_is_recorded() {
    let state = CountedState { hanging: "arrivals", ..CountedState::default() };
    let publisher = MemoryPublisher::default();
    let app = World::new().with_state(state).with_publisher(publisher.clone()).start();
    let push = async {
        let began = tokio::time::Instant::now();
        assert_eq!(app.push_after(0, &[smell(1)]).await, 1);
        assert!(began.elapsed() <= Duration::from_millis(1_100), "{:?}", began.elapsed());
    };
    let look = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(publisher.sent().len(), 1);
    };
    tokio::join!(push, look);
}

/// The buffering hint of the stream. In a build without optimization, it takes 2 to 3 s.
#[tokio::test]
async fn five_megabytes_of_pushes_are_evaluated_within_the_time_limit() {
    let app = TestApp::new();
    let push = |number: i64| {
        let (zone, received) = (format!("zone-{}", number % 500), after(number / 40));
        let device = json!({"InsID": zone, "DEVID": format!("device-{number}"), "unixT": received.as_millisecond()});
        let values = json!({"amm": 150 + number % 100, "aqi": 103, "rh": 730, "temp": 304});
        let lines = reading_with("ODRDTR_BATT_V1", &values, &device);
        let key = ObjectKey::known(&format!("raw/dt=2026-11-23/hh=10/{number:032}.ndjson.zst"));
        StoredPush { received: Some(received), key, lines }
    };
    let pushes: Vec<_> = (0..12_000).map(push).collect();
    let StoredPush { received, key, lines } = &pushes[0];
    let (request_id, source) = ("JKJaXmPLvHcESHA=", "203.0.113.7");
    let record =
        json!({"key": key, "received": received, "request_id": request_id, "source": source, "readings": [lines]});
    assert!(record.to_string().len() * pushes.len() > 5_000_000, "{record}");
    app.second_look(pushes, after(600)).await;
    assert!(!app.publisher.sent().is_empty());
    assert_eq!(app.state.documents().keys().filter(|key| key.starts_with("zone/")).count(), 500);
}

/// A state in memory that counts the loads of zones.
#[derive(Clone, Default)]
struct CountedState {
    state: MemoryState,
    loads: Arc<AtomicUsize>,
    /// How long a load of zones takes.
    pause: Duration,
    /// The key of a document that is never loaded.
    hanging: &'static str,
}

#[async_trait]
impl StateStore for CountedState {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        if keys.iter().any(|key| key == self.hanging) {
            std::future::pending::<()>().await;
        }
        if keys.iter().any(|key| key.starts_with("zone/")) {
            tokio::time::sleep(self.pause).await;
        }
        let documents = self.state.load(keys).await?;
        self.loads.fetch_add(usize::from(keys.iter().any(|key| key.starts_with("zone/"))), Ordering::Relaxed);
        Ok(documents)
    }

    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError> {
        self.state.commit(key, version, body, index).await
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        self.state.due(now, most).await
    }

    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        self.state.attention(most).await
    }
}

/// A second look at some earlier pushes, each received at least five minutes before.
type Look = (Index, Vec<Index>);

/// What a history leaves behind.
#[derive(Debug, PartialEq)]
struct Left {
    documents: BTreeMap<String, MemoryDocument>,
    alerts: Vec<String>,
    messages: usize,
    /// The lines of archived alerts and responses.
    facts: BTreeSet<String>,
}

/// Runs a history with these second looks. Returns also the number of pushes in them.
async fn run(world: &ModelWorld, looks: &[Look]) -> (Left, usize) {
    let app = World::new().with_rules(world.rule_set()).start();
    let last = world.history.last().unwrap().now;
    let sweeps = (1..=16).map(|minute| Event { now: last + minute, kind: EventKind::Sweep });
    let history: Vec<Event> = world.history.iter().cloned().chain(sweeps).collect();
    let mut pushes: Vec<StoredPush> = Vec::new();
    let mut looked = 0;
    for (number, event) in history.iter().enumerate() {
        let now = timestamp(event.now);
        match &event.kind {
            EventKind::Sweep => drop(app.ingest().sweep(now).await.unwrap()),
            EventKind::Responded(responded) => {
                app.ingest().respond(&[(now, &responded.response())], now).await.unwrap();
            }
            // Which alert it is about depends on the state.
            EventKind::Answered(_) => {}
            EventKind::Push(readings) => {
                let texts: Vec<String> = readings.iter().map(|reading| reading.text(world)).collect();
                assert!(push_to(app.ingest(), body(&texts), now).await.unwrap().evaluated);
                let lines = texts.into_iter().flat_map(|text| [text, "\n".into()]).collect();
                let key = ObjectKey::known(&format!("raw/{number}.ndjson.zst"));
                pushes.push(StoredPush { received: Some(now), key, lines });
            }
        }
        for (_, which) in looks.iter().filter(|(when, _)| when.index(history.len()) == number) {
            let since = |push: &&StoredPush| now.duration_since(push.received.unwrap()).as_mins();
            let due: Vec<&StoredPush> = pushes.iter().filter(|push| (5..=15).contains(&since(push))).collect();
            if !due.is_empty() {
                let again: Vec<_> = which.iter().map(|which| which.get(&due).to_owned().clone()).collect();
                looked += again.len();
                app.second_look(again, now).await;
            }
        }
    }
    let sent = app.publisher.sent();
    let alerts = sent.iter().flat_map(|sent| alert_ids(&serde_json::from_str(&sent.json).unwrap())).collect();
    let facts =
        app.lines().into_iter().filter(|(key, _)| !key.starts_with("raw")).flat_map(|(_, lines)| lines).collect();
    (Left { documents: app.state.documents(), alerts, messages: sent.len(), facts }, looked)
}

proptest! {
    #![proptest_config(config(150))]

    /// Second looks at any pushes of the last 5 to 15 minutes, in any grouping and order, between the other events. Without late
    /// readings, as in `model`.
    #[test]
    fn second_looks_change_nothing(
        world in some_world(1..=3),
        looks in vec((any::<Index>(), vec(any::<Index>(), 1..8)), 1..6),
    ) {
        let world = in_order(world);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (without, _) = runtime.block_on(run(&world, &[]));
        let (with, _) = runtime.block_on(run(&world, &looks));
        prop_assert_eq!(with, without);
    }
}

#[test]
fn the_histories_of_the_property_have_second_looks_and_alerts() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (some_world(1..=3), vec((any::<Index>(), vec(any::<Index>(), 1..8)), 1..6));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (mut looked, mut alerts) = (0, BTreeSet::new());
    for number in 0..30 {
        let (world, looks) = strategy.new_tree(&mut runner).unwrap().current();
        let (left, count) = runtime.block_on(run(&in_order(world), &looks));
        looked += count;
        alerts.extend(left.alerts.into_iter().map(|alert| (number, alert)));
    }
    assert!(looked > 30 && alerts.len() > 10, "{looked} pushes looked at, {} alerts", alerts.len());
}
