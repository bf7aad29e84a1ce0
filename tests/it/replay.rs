//! `replay`, run as a shell runs it, on data folders filled by pushes.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::adapters::local::{AlertLog, FolderStore};
use smartclean_push::domain::archive::{Metadata, Object, ObjectKey, pack_rejections, unpack};
use smartclean_push::domain::batch::{BatchId, RejectedPart, Rejection};
use smartclean_push::domain::rate_limit::RateLimitState;
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::decode::Encoding;
use smartclean_push::ingest::ports::{IndexEntry, Journal as _, RawStore as _, StateStore as _};
use smartclean_push::ingest::rate_limit::RATE_LIMIT;
use smartclean_push::ingest::{Ingest, Replay};

use crate::support::memory::MemoryPublisher;
use crate::support::{
    CommandOutput, World, body, documents, eventually, files, gzip, now, push_to, reading_with, request_info, run,
};

fn replay(folder: &Path, arguments: &[&str]) -> CommandOutput {
    run(folder, &[&["replay"], arguments].concat())
}

/// Opens a data folder as `serve` does.
fn ingest(data: &Path) -> Ingest {
    let (store, _) = FolderStore::open(data).unwrap();
    let state = SqliteStore::open(&data.join("state.db")).unwrap();
    World::new().with_journaled_store(store).with_state(state).with_publisher(AlertLog::open(data).unwrap()).ingest()
}

fn at(time: &str) -> Timestamp {
    format!("2024-05-01T{time}Z").parse().unwrap()
}

fn measured_reading(device_type: &str, metric: &str, value: i32, time: &str) -> String {
    reading_with(device_type, &json!({ metric: value }), &json!({"unixT": at(time).as_millisecond()}))
}

/// A push: its time of receipt and its readings.
type TimedPush = (&'static str, Vec<String>);

/// Creates a folder whose `data` has ingested these pushes as `serve` does, with a sweep every minute in between.
async fn folder_with_pushes(pushes: &[TimedPush]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ingest = ingest(&folder.path().join("data"));
    let mut sweep = at(pushes.first().map_or("00:00:00", |first| first.0));
    for (received, readings) in pushes {
        let received = at(received);
        while sweep <= received {
            ingest.sweep(sweep).await.unwrap();
            sweep += SignedDuration::from_mins(1);
        }
        push_to(&ingest, body(readings), received).await.unwrap();
    }
    folder
}

fn history() -> Vec<TimedPush> {
    vec![
        (
            "10:01:00",
            vec![
                measured_reading("UM", "count", 20, "09:58:00"),
                measured_reading("ODRDTR_BATT_V1", "amm", 270, "10:00:00"),
            ],
        ),
        ("10:21:00", vec![measured_reading("SS", "p", 50, "10:20:00")]),
        ("11:31:00", vec![measured_reading("UM", "count", 15, "11:30:00"), "{}".into()]),
        ("12:11:00", vec![measured_reading("ODRDTR_BATT_V1", "amm", 600, "12:10:00")]),
    ]
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

/// Creates a folder whose `data` has one object of rejections, received at 10:00.
async fn rejected(rejections: &[(RejectedPart, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FolderStore::open(&folder.path().join("data")).unwrap();
    let rejections = rejections.iter().map(|(part, raw)| Rejection {
        part: *part,
        reason: "then".into(),
        raw: raw.as_bytes().into(),
    });
    let rejections: Vec<_> = rejections.collect();
    let metadata =
        Metadata { received: at("10:00:00"), request_id: "r".into(), source: "s".into(), lines: rejections.len() };
    let key = ObjectKey::of_rejections(BatchId::of(b"body"), at("10:00:00"));
    store.put(Object { key, bytes: pack_rejections(&rejections), metadata }).await.unwrap();
    folder
}

#[tokio::test]
async fn replaying_readings_and_reported_cleanings_builds_the_state_of_the_server_and_sends_nothing() {
    let folder = folder_with_pushes(&history()).await;
    let data = folder.path().join("data");
    let log_lines = lines(&data.join("alerts.ndjson"));
    assert_eq!(log_lines, 4, "including the notice after an hour without pushes");
    let live = ingest(&data);
    live.cleaned_by_name("zone", None, at("12:20:00")).await.unwrap();
    // What is due until now, as in the replay.
    Replay::of(&live, Vec::new()).conclude(Timestamp::now()).await.unwrap();
    drop(live);
    let archived = |folder: &str| files(&data.join(folder)).len();
    assert_eq!((archived("alerts"), archived("responses")), (3, 1));
    let ran = replay(folder.path(), &["raw", "--from", "data", "--state", "new/state.db"]);
    assert_eq!((ran.exit, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.starts_with("Objects   4\nReadings  6; 0 of them known before, 0 too old"), "{}", ran.out);
    assert!(ran.out.contains("\nMessages  4, sent to nobody\n"), "{}", ran.out);
    let mut expected = documents(&data.join("state.db"));
    expected.retain(|document| document.key != RATE_LIMIT);
    assert!(
        expected.iter().any(|document| document.body.contains(r#""cleaned":"2024-05-01T12:20:00Z""#)),
        "{expected:?}"
    );
    assert_eq!(documents(&folder.path().join("new/state.db")), expected);
    assert!(!folder.path().join("new/alerts").exists(), "a replay archives nothing");
    assert!(!folder.path().join("new/alerts.ndjson").exists());
    assert_eq!(lines(&data.join("alerts.ndjson")), log_lines);
}

#[tokio::test]
async fn messages_of_a_replay_use_up_nothing_of_the_rate_limit_and_the_sms_quota() {
    let folder = folder_with_pushes(&history()).await;
    let file = folder.path().join("state.db");
    let mut used = RateLimitState::default();
    assert_eq!(used.take_sms(100, 7, now()), 7);
    let used = serde_json::to_string(&used).unwrap();
    SqliteStore::open(&file).unwrap().commit(RATE_LIMIT, 0, &used, IndexEntry::default()).await.unwrap();
    let ran = replay(folder.path(), &["raw", "--from", "data", "--state", "state.db"]);
    assert!(ran.out.contains("\nMessages  4, sent to nobody\n"), "{}{}", ran.out, ran.err);
    let limit: Vec<_> = documents(&file).into_iter().filter(|document| document.key == RATE_LIMIT).collect();
    assert_eq!(limit.iter().map(|document| document.body.as_str()).collect::<Vec<_>>(), [used]);
}

#[tokio::test]
async fn messages_that_wait_for_email_stay_in_the_state_of_a_replay() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (store, _) = FolderStore::open(&data).unwrap();
    let (state, email) = (data.join("state.db"), MemoryPublisher::of(Channel::Email));
    email.set_broken(true);
    let world = World::new().with_journaled_store(store).with_state(SqliteStore::open(&state).unwrap());
    let ingest = world.with_publisher(AlertLog::open(&data).unwrap()).with_background(email).ingest();
    push_to(&ingest, body(&[measured_reading("SS", "p", 3, "12:00:00")]), at("12:00:00")).await.unwrap();
    drop(ingest);
    let waiting = || documents(&state).into_iter().filter(|document| document.body.contains("\"email\":{")).count();
    assert_eq!(waiting(), 1);
    let ran = replay(folder.path(), &["raw", "--from", "data", "--state", "data/state.db"]);
    assert_eq!((ran.exit, waiting()), (Some(0), 1), "{}", ran.err);
}

#[tokio::test]
async fn replaying_twice_changes_nothing() {
    let folder = folder_with_pushes(&history()).await;
    let state = folder.path().join("state.db");
    replay(folder.path(), &["raw", "--from", "data", "--state", "state.db"]);
    let once = documents(&state);
    let ran = replay(folder.path(), &["raw", "--from", "data", "--state", "state.db", "--alerts"]);
    assert!(ran.out.contains("Alerts    0 raised, 0 suppressed by a block\nMessages  0,"), "{}", ran.out);
    assert_eq!((documents(&state), lines(&folder.path().join("alerts.ndjson"))), (once, 0));
}

#[tokio::test]
async fn the_option_alerts_writes_the_alerts() {
    let folder = folder_with_pushes(&history()).await;
    let ran = replay(folder.path(), &["raw", "--from", "data", "--state", "new/state.db", "--alerts"]);
    assert_eq!(ran.exit, Some(0));
    let (new, old) = (folder.path().join("new/alerts.ndjson"), folder.path().join("data/alerts.ndjson"));
    let ids = |file: &Path| -> Vec<_> {
        let text = std::fs::read_to_string(file).unwrap();
        let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].clone();
        text.lines().map(id).collect()
    };
    assert_eq!(ids(&new), ids(&old));
}

#[tokio::test]
async fn pushes_that_the_server_has_not_evaluated_are_not_replayed() {
    let folder = folder_with_pushes(&history()).await;
    let data = folder.path().join("data");
    let log_lines = || lines(&data.join("alerts.ndjson"));
    // Stores a push without evaluating it, as if its evaluation had failed.
    let envelope = json!({"InsID": "other", "DEVID": "other", "unixT": at("12:12:00").as_millisecond()});
    let text = reading_with("SS", &json!({"p": 3}), &envelope);
    let metadata = Metadata { received: at("12:12:10"), request_id: "r".into(), source: "s".into(), lines: 1 };
    let object = Object::of_readings(BatchId::of(b"pending"), &[Reading::read(&text).unwrap()], metadata);
    let (store, _) = FolderStore::open(&data).unwrap();
    store.put(object).await.unwrap();
    let arguments = ["raw", "--from", "data", "--state", "data/state.db"];
    eventually("the server's state is closed", || !data.join("state.db-wal").exists());
    let before = std::fs::read(data.join("state.db")).unwrap();
    let ran = replay(folder.path(), &arguments);
    assert!(ran.exit == Some(1) && ran.err.contains("uses the data folder data. Stop it"), "{}", ran.err);
    assert_eq!(std::fs::read(data.join("state.db")).unwrap(), before);
    drop(store);
    std::fs::remove_file(data.join("state.db")).unwrap();
    let ran = replay(folder.path(), &arguments);
    assert!(ran.exit == Some(0) && ran.out.starts_with("Objects   4\n"), "{}{}", ran.out, ran.err);
    assert!(ran.err.starts_with("Left out, because they are not evaluated yet: 1 object. `serve`"), "{}", ran.err);
    assert_eq!(log_lines(), 4);
    ingest(&data).sweep(at("12:20:00")).await.unwrap();
    assert_eq!(log_lines(), 5, "the alert of the pending push is sent");
    let elsewhere = replay(folder.path(), &["raw", "--from", "data", "--state", "new/state.db"]);
    assert!(elsewhere.out.starts_with("Objects   5\n") && elsewhere.err.is_empty(), "{}", elsewhere.out);
}

#[tokio::test]
async fn a_period_limits_the_replayed_readings() {
    let folder = folder_with_pushes(&history()).await;
    let objects = |since: &str, until: &str| {
        let state = format!("{since}.db").replace(':', "");
        let ran =
            replay(folder.path(), &["raw", "--from", "data", "--state", &state, "--since", since, "--until", until]);
        ran.out.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(objects("2024-05-01T10:00", "2024-05-01T10:20"), "Objects   1", "the period excludes its end");
    assert_eq!(objects("2024-05-01T10:00:01", "2024-05-01T10:21"), "Objects   1", "the period includes its start");
    assert_eq!(objects("2024-05-01T18:20+08:00", "2024-05-02"), "Objects   3");
    assert_eq!(objects("2024-05-02", "2024-05-03"), "Objects   0");
}

#[tokio::test]
async fn alerts_that_a_block_suppresses_at_the_end_of_a_replay_are_not_sent_later() {
    let soap = |device: &str, percent: i32, time: &str| {
        let envelope = json!({"unixT": at(time).as_millisecond(), "DEVID": device});
        reading_with("SS", &json!({"p": percent}), &envelope)
    };
    let rules = "block = \"15m\"\n";
    let pushes = [("10:01:00", vec![soap("a", 4, "10:00:00")]), ("10:06:00", vec![soap("b", 4, "10:05:00")])];
    let folder = folder_with_pushes(&pushes).await;
    std::fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let arguments = ["raw", "--from", "data", "--state", "state.db", "--rules", "rules.toml"];
    let ran = replay(folder.path(), &arguments);
    assert!(
        ran.out.contains("Alerts    1 raised, 1 suppressed by a block\nMessages  2, sent to nobody"),
        "{}",
        ran.out
    );
}

#[tokio::test]
async fn a_rejection_that_is_valid_now_is_stored_once() {
    let text = measured_reading("ODRDTR_BATT_V1", "amm", 270, "10:00:00");
    let folder = rejected(&[
        (RejectedPart::String(3), &text),
        (RejectedPart::String(4), "{\"a\":"),
        (RejectedPart::Json(7), "7"),
    ])
    .await;
    let data = folder.path().join("data");
    let into = ["rejected", "--from", "data", "--into", "data"];
    let ran = replay(folder.path(), &into);
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("Rejected  3 items\nRead now  1 reading\nRefused   2 items\n"), "{}", ran.out);
    assert!(ran.out.contains("  1 × neither a string nor an object\n"), "{}", ran.out);
    assert!(ran.out.ends_with("Stored    1 new object in data\n"), "{}", ran.out);
    let stored = files(&data.join("raw"));
    assert_eq!(unpack(&std::fs::read(data.join("raw").join(&stored[0])).unwrap()).unwrap(), format!("{text}\n"));
    assert!(stored[0].starts_with("dt=2024-05-01/hh=10/"), "{stored:?}");
    let again = replay(folder.path(), &into);
    assert!(again.out.ends_with("Stored    0 new objects in data\n"), "{}", again.out);
    assert_eq!((files(&data.join("raw")), files(&data.join("rejected")).len()), (stored, 1));
}

#[tokio::test]
async fn a_valid_rejection_keeps_its_time_of_receipt_and_is_evaluated_only_with_alerts() {
    let text = measured_reading("ODRDTR_BATT_V1", "amm", 270, "10:00:00");
    for (alerts, waiting) in [(false, 0), (true, 1)] {
        let folder = rejected(&[(RejectedPart::String(3), &text)]).await;
        let data = folder.path().join("data");
        let mut arguments = vec!["rejected", "--from", "data", "--into", "data"];
        arguments.extend(alerts.then_some("--alerts"));
        assert_eq!(replay(folder.path(), &arguments).exit, Some(0));
        assert_eq!(data.join("to-evaluate").exists(), alerts, "a server beside it would evaluate the readings");
        let (store, _) = FolderStore::open(&data).unwrap();
        let pending = store.pending(Timestamp::MAX).await.unwrap();
        assert_eq!(pending.len(), waiting);
        assert!(pending.iter().all(|object| object.received == at("10:00:00")));
    }
}

#[tokio::test]
async fn without_into_nothing_is_stored_and_the_output_states_it() {
    let folder = rejected(&[(RejectedPart::Body, "[{\"a\":1},7]")]).await;
    let ran = replay(folder.path(), &["rejected", "--from", "data"]);
    assert_eq!(ran.exit, Some(0));
    assert!(ran.out.contains("Read now  1 reading\nRefused   1 item\n"), "{}", ran.out);
    assert!(ran.out.contains("Nothing was stored: this was a trial."), "{}", ran.out);
    assert!(files(&folder.path().join("data/raw")).is_empty());
}

/// Every rejection of a push, sent in `encoding`, is rejected again for the same reason, and no reading is stored that
/// the push did not have.
#[tokio::test]
async fn a_rejection_that_is_still_invalid_has_the_same_reason_again() {
    let one = "Rejected  1 item\nRead now  0 readings\nRefused   1 item\n";
    let (json, utf8) = ("1 × not a JSON object: ", "1 × the body is not UTF-8");
    for (sent, encoding, reason) in [
        (br#"["{\"a\":1},{\"b\":2}"]"#.to_vec(), Encoding::Identity, json),
        (br#"[""]"#.to_vec(), Encoding::Identity, json),
        (br#"["\ufeff{}"]"#.to_vec(), Encoding::Identity, json),
        (br#"["7]"#.to_vec(), Encoding::Identity, "1 × the body is not JSON: "),
        (br#"["\ud800"]"#.to_vec(), Encoding::Identity, "1 × a string that is not Unicode text"),
        (b"[\"\xff\"]".to_vec(), Encoding::Identity, utf8),
        (gzip(b"[{}]"), Encoding::Identity, utf8),
        (br#"["{}"]"#.to_vec(), Encoding::Gzip, "1 × the body is not gzip: "),
        (gzip(b"[{}]")[..10].to_vec(), Encoding::Gzip, "1 × the body is not gzip: "),
        (gzip(b"{}"), Encoding::Gzip, "1 × the body is JSON, but not an array"),
    ] {
        let folder = folder_with_pushes(&[]).await;
        let data = folder.path().join("data");
        // The status, 200 or 400, does not matter here.
        let _ = ingest(&data).push(sent.clone().into(), encoding, &request_info(now()), now()).await;
        let ran = replay(folder.path(), &["rejected", "--from", "data", "--into", "data"]);
        assert_eq!(ran.exit, Some(0), "{}", ran.err);
        assert!(ran.out.starts_with(one) && ran.out.contains(reason), "{sent:?}: {}", ran.out);
        assert!(files(&data.join("raw")).is_empty() && files(&data.join("raw-undated")).is_empty(), "{sent:?}");
    }
}

#[tokio::test]
async fn rejections_outside_the_period_are_skipped() {
    let folder = rejected(&[(RejectedPart::Json(0), "{}")]).await;
    let rejected_since = |since| replay(folder.path(), &["rejected", "--from", "data", "--since", since]).out;
    assert!(rejected_since("2024-05-01T10:00").starts_with("Rejected  1 item\n"));
    assert!(rejected_since("2024-05-01T10:00:01").starts_with("Rejected  0 items\n"));
}

#[tokio::test]
async fn invalid_arguments_are_refused_with_a_remedy() {
    let folder = folder_with_pushes(&[]).await;
    let ran = replay(folder.path(), &["raw", "--from", "nowhere", "--state", "state.db"]);
    assert_eq!(ran.exit, Some(2));
    assert!(ran.err.contains("nowhere cannot be read: there is no such folder. Name the one"), "{}", ran.err);
    assert_eq!(replay(folder.path(), &["raw", "--from", "data"]).exit, Some(2), "without --state");
    let raw = |more: &[&str]| replay(folder.path(), &[&["raw", "--from", "data"], more].concat());
    for (arguments, remedy) in [
        (&["--state", "s.db", "--replace"][..], "--replace is about the zones of a dynamodb://table; leave it out"),
        (&["--state", "dynamodb://t", "--alerts"], "Leave it out, or give a file as --state"),
        (&["--state", "dynamodb://t", "--until", "2026-11-01"], "Leave --until out"),
    ] {
        let ran = raw(arguments);
        assert!(ran.exit == Some(2) && ran.err.contains(remedy), "{}", ran.err);
    }
    let ran = replay(folder.path(), &["raw", "--from", "data", "--state", "s.db", "--since", "yesterday"]);
    assert_eq!(ran.exit, Some(2));
    assert!(ran.err.contains("2026-11-01T08:00+08:00"), "{}", ran.err);
    assert_eq!(replay(folder.path(), &["rejected", "--from", "data", "--alerts"]).exit, Some(2), "without --into");
    for verb in ["raw", "rejected"] {
        let help = replay(folder.path(), &[verb, "--help"]);
        assert!(help.exit == Some(0) && help.out.contains("Examples:"), "{}", help.out);
    }
}
