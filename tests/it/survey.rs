//! `survey`, run as a shell runs it: it reports every difference that is added to a simulated folder, and nothing else.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};
use smartclean_push::adapters::local::FolderStore;
use smartclean_push::domain::archive::{Metadata, Object, pack_facts};
use smartclean_push::domain::batch::{BatchId, Items};
use smartclean_push::domain::response::{ReceivedResponse, Response};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::Facts;
use smartclean_push::ingest::ports::RawStore as _;

use crate::support::{CommandOutput, body, run};

#[test]
fn zones_writes_tables_whose_names_a_backtest_accepts() {
    let (folder, _) = simulate();
    let ran = run(folder.path(), &["zones", "--from", "data", "--toml"]);
    assert_eq!((ran.exit, ran.err.as_str()), (Some(0), ""));
    std::fs::write(folder.path().join("rules.toml"), &ran.out).unwrap();
    let names = RuleSet::parse("rules.toml", &ran.out).unwrap_or_else(|errors| panic!("{errors:#?}")).names;
    let listed = run(folder.path(), &["zones", "--from", "data", "--format", "json"]);
    let listed: Vec<Value> = serde_json::from_str(&listed.out).unwrap();
    assert_eq!((listed.len(), names.devices.len()), (40, 40));
    let heard = |device: &Value| device["last_heard"].as_str().unwrap().starts_with("2026-11-01T");
    assert!(names.zones.len() > 1 && listed.iter().any(heard));
    let named = names.zones.iter().find_map(|(id, zone)| Some((id, zone.name.as_ref()?)));
    let (id, name) = named.expect("a finished task has a ZoneName");
    let backtest = |zone: &str, rules: &str| {
        run(folder.path(), &["backtest", "--from", "data", "--rules", rules, "--zone", zone, "--format", "json"])
    };
    let (by_name, by_id) = (backtest(name, "rules.toml"), backtest(id, "rules.toml"));
    assert_eq!(
        (by_name.exit, by_name.out == by_id.out, by_name.err == by_id.err),
        (Some(0), true, true),
        "{}",
        by_name.err
    );
    let findings: Value = serde_json::from_str(&by_name.out).unwrap();
    assert!(findings["devices"].as_array().unwrap().iter().all(|device| device["location"]["zone_name"] == **name));
    let misspelled = backtest(&format!("{name}x"), "rules.toml");
    let error = format!("error: --zone: no [[zone]] has the id or name `{name}x`; did you mean `{name}`?\n");
    assert_eq!((misspelled.exit, misspelled.err), (Some(2), error));
    assert!(
        backtest(name, "built-in").err.contains("the history has no reading of the zone"),
        "without tables, it is an id"
    );
}

/// Log lines of `serve`.
const SERVED: &str = "2026-11-29T00:53:28Z  WARN not authenticated source=192.0.2.1 client=\"a\" reason=\"unknown or wrong\" auth_failures=3
2026-11-29T00:53:29Z  INFO pushed received=1
";

/// Simulates a day of forty devices that behave as documented. With this seed no gateway is offline.
fn simulate() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "simulate",
        "--out",
        "data",
        "--devices",
        "40",
        "--days",
        "1",
        "--from",
        "2026-11-01",
        "--push-every",
        "1m",
        "--seed",
        "2",
    ];
    let ran = run(folder.path(), &arguments);
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    let data = folder.path().join("data");
    (folder, data)
}

/// Stores a push as `serve` does, with this time of receipt.
fn store_push(data: &Path, received: &str, readings: &[Value]) {
    let body = body(&readings.iter().map(Value::to_string).collect::<Vec<_>>());
    let items = Items::split(&body).unwrap();
    let batch = items.read();
    let id = BatchId::of(&body);
    let received: Timestamp = received.parse().unwrap();
    let metadata = Metadata { received, request_id: "r".into(), source: "192.0.2.1".into(), lines: 0 };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = FolderStore::open_shared(data).unwrap();
    let put = |object| runtime.block_on(store.put(object)).unwrap();
    if !batch.readings.is_empty() {
        put(Object::of_readings(id, &batch.readings, metadata.clone()));
    }
    if !batch.rejections.is_empty() {
        put(Object::of_rejections(id, &batch.rejections, metadata));
    }
}

/// Returns a soap reading in which the members of `more` replace the usual ones.
fn soap(time: &str, values: &Value, more: &Value) -> Value {
    let unix = time.parse::<Timestamp>().unwrap().as_millisecond();
    let mut reading = json!({
        "DevType": "SMARTCLEAN#SS", "DEVID": "planted", "InsID": "zone", "PID": "tower", "Region": "Asia/Singapore",
        "unixT": unix, "v": values,
    });
    for (name, value) in more.as_object().unwrap() {
        reading[name] = value.clone();
    }
    reading
}

fn survey(data: &Path, more: &[&str]) -> CommandOutput {
    let folder = data.parent().unwrap();
    run(folder, &[&["survey", "--from", "data"], more].concat())
}

/// Returns the subjects of the observations that have advice.
fn subjects_with_advice(data: &Path, more: &[&str]) -> Vec<String> {
    let ran = survey(data, &[&["--format", "json"], more].concat());
    let observations: Vec<Value> = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{} {}", ran.out, ran.err));
    let subjects_with_advice = observations.iter().filter(|observation| !observation["advice"].is_null());
    let subjects_with_advice: Vec<_> =
        subjects_with_advice.map(|observation| observation["subject"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ran.exit, Some(i32::from(!subjects_with_advice.is_empty())), "{}", ran.err);
    subjects_with_advice
}

#[test]
fn differences_from_the_documentation_are_reported() {
    let (_folder, data) = simulate();
    assert_eq!(subjects_with_advice(&data, &[]), [""; 0], "a building that behaves as documented");
    let at = "2026-11-01T02:00:00Z";
    let normal = json!({"p": 50, "d": 40});
    store_push(
        &data,
        "2026-11-01T02:00:05Z",
        &[
            soap(at, &json!({"x": 1}), &json!({"DevType": "ACME#FAN"})),
            soap(at, &json!({"p": 50, "level": 3}), &json!({"Firmware": "2.1"})),
            soap(at, &json!({"p": "empty"}), &json!({})),
            soap(at, &json!({"p": 255}), &json!({})),
            soap(at, &normal, &json!({"InsID": null})),
            soap(at, &normal, &json!({"DEVID": ""})),
            soap(at, &normal, &json!({"PID": null})),
            soap(at, &normal, &json!({"Region": "Atlantis"})),
            soap(at, &normal, &json!({"unixT": 0})),
        ],
    );
    assert_eq!(
        subjects_with_advice(&data, &[]),
        [
            "without a device id",
            "without a zone",
            "without a project",
            "without a known time zone",
            "without a usable time",
            "members that nobody documents",
            "type ACME#FAN",
            "type SS, undocumented values",
            "type SS, values that are no number",
            "type SS, values that no sensor can measure",
        ]
    );
    let text = survey(&data, &[]).out;
    for expected in [
        "! type ACME#FAN: 1 reading, 1 device (expected: not documented)",
        "write a rule with types = \"ACME#FAN\"",
        "! members that nobody documents: Firmware 1 (expected: none)",
        "! type SS, undocumented values: level 1",
        "! type SS, values that are no number: p 1",
        "  type SS: ",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn late_repeated_and_refused_pushes_and_fast_clocks_are_reported() {
    let (folder, data) = simulate();
    let normal = json!({"p": 50});
    store_push(&data, "2026-11-01T05:00:00Z", &[soap("2026-11-01T02:00:00Z", &normal, &json!({}))]);
    store_push(&data, "2026-11-01T05:10:00Z", &[soap("2026-11-01T05:20:00Z", &normal, &json!({}))]);
    store_push(&data, "2026-11-01T05:20:00Z", &[json!("not a reading")]);
    let log = [
        json!({"level": "WARN", "fields": {"auth_failures": 1, "reason": "the password is wrong"}}),
        json!({"level": "INFO", "pushes": 1}),
        json!({"auth_failures": 1, "reason": "the password is wrong"}),
    ];
    std::fs::write(folder.path().join("log"), log.map(|line| format!("{line}\n")).concat() + SERVED).unwrap();
    let expected = ["delay from reading to receipt", "clocks ahead by more than 5 minutes", "rejected items"];
    assert_eq!(subjects_with_advice(&data, &[]), expected);
    let with_log = subjects_with_advice(&data, &["--log", "log"]);
    assert_eq!(with_log, [&expected[..], &["refused logins in the log"]].concat());
    let text = survey(&data, &["--log", "log"]).out;
    assert!(text.contains("! refused logins in the log: unknown or wrong 3, the password is wrong 2"), "{text}");
    assert!(text.contains("Older than `max_age`, 1h, when they came, and so silent: 1 "), "{text}");

    // The device reports every hour, but the no-data rule expects a reading every half hour.
    std::fs::write(folder.path().join("rules.toml"), "[[rule]]\nid = \"silent\"\nafter = \"30m\"\ntypes = \"TILT\"\n")
        .unwrap();
    let with_rules = subjects_with_advice(&data, &["--rules", "rules.toml"]);
    assert!(with_rules.contains(&"rules, rules.toml:2:6".to_owned()), "{with_rules:?}");

    // One push is repeated 50 times with small changes.
    let (_folder, data) = simulate();
    for second in 10..60 {
        let readings: Vec<_> =
            (0..60).map(|n| soap("2026-11-01T02:00:00Z", &json!({"p": 50, "d": n}), &json!({}))).collect();
        store_push(&data, &format!("2026-11-01T02:00:{second}Z"), &[&readings[..], &[json!({"n": second})]].concat());
    }
    assert!(subjects_with_advice(&data, &[]).contains(&"readings that were sent again".to_owned()));
}

#[test]
fn reported_cleanings_are_counted_and_events_without_a_begin_are_reported() {
    let (_folder, data) = simulate();
    let reported = |hour| {
        let received = format!("2026-11-01T{hour}:00:00Z").parse().unwrap();
        ReceivedResponse { received, response: Response::reported("zone", received) }
    };
    let facts = Facts { responses: vec![reported("10"), reported("11")], ..Facts::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for object in pack_facts(&facts, facts.responses[1].received).unwrap() {
        runtime.block_on(FolderStore::open_shared(&data).unwrap().put(object)).unwrap();
    }
    let cleanings = |text: &str| {
        text.lines()
            .find(|line| line.contains("cleanings that people reported"))
            .unwrap()
            .split(" (")
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(cleanings(&survey(&data, &[]).out), "  cleanings that people reported: 2");
    assert_eq!(cleanings(&survey(&data, &["--since", "2026-11-01T10:30"]).out), "  cleanings that people reported: 1");

    let other = tempfile::tempdir().unwrap();
    let data = other.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let event = |begin: i64| {
        let meta = json!({"Zone": "zone", "AStart": begin, "AEnd": 1_793_500_900});
        json!({"RoutingKey": "matrix.p", "Event": "TASK_CLOSED", "UnixTimeInt": 1_793_500_905, "Meta": meta})
    };
    store_push(&data, "2026-11-01T02:01:50Z", &[event(0)]);
    let text = survey(&data, &[]).out;
    assert!(text.contains("! Matrix events: 1 events, 0 with a begin, 1 finished cleanings"), "{text}");
    store_push(&data, "2026-11-01T02:02:00Z", &[event(1_793_500_000)]);
    let text = survey(&data, &[]).out;
    assert!(text.contains("  Matrix events: 2 events, 1 with a begin, 2 finished cleanings"), "{text}");
}

#[test]
fn an_empty_archive_a_missing_archive_and_a_missing_log_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(data.join("raw")).unwrap();
    let ran = survey(&data, &[]);
    assert!(ran.exit == Some(1) && ran.out.contains("! readings: no readings"), "{} {}", ran.out, ran.err);
    let ran = run(folder.path(), &["survey", "--from", "elsewhere"]);
    assert!(ran.exit != Some(0) && ran.err.contains("elsewhere"), "{}", ran.err);
    let ran = survey(&data, &["--log", "no-log"]);
    assert!(ran.exit == Some(2) && ran.err.contains("no-log cannot be read"), "{}", ran.err);
}
