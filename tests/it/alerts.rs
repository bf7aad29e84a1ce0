//! The archive of alerts and of what people did: one object of each for all zones, written by the sweep.

use http::Request;
use http_body_util::Full;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::domain::rules::RuleSet;

use crate::support::{PASSWORD, TestApp, USERNAME, World, basic, body, now, reading_with};

fn after(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

/// A reading of the soap dispenser of a zone, `minutes` after the start.
fn soap(zone: &str, value: i64, minutes: i64) -> String {
    let members = json!({ "InsID": zone, "DEVID": zone, "unixT": after(minutes).as_millisecond() });
    reading_with("SS", &json!({ "p": value }), &members)
}

async fn push(app: &TestApp, readings: &[String], minutes: i64) {
    let request = Request::post("/push").header("authorization", basic(USERNAME, PASSWORD));
    let answer = app.send_at(request.body(Full::from(body(readings))).unwrap(), after(minutes)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn cleaned(app: &TestApp, zone: &str, minutes: i64) {
    let request = Request::post(format!("/zones/{zone}/cleaned")).header("authorization", basic(USERNAME, PASSWORD));
    let answer = app.send_at(request.body(Full::default()).unwrap(), after(minutes)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The objects below this folder, each with its lines.
fn objects(app: &TestApp, folder: &str) -> Vec<(String, Vec<Value>)> {
    let parse = |lines: Vec<String>| lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines = app.lines().into_iter().filter(|(key, _)| key.starts_with(folder));
    lines.map(|(key, lines)| (key, parse(lines))).collect()
}

/// The lines of all objects below this folder.
fn lines(app: &TestApp, folder: &str) -> Vec<Value> {
    objects(app, folder).into_iter().flat_map(|(_, lines)| lines).collect()
}

#[tokio::test]
async fn a_sweep_writes_one_object_for_the_alerts_of_all_zones() {
    let app = TestApp::new();
    push(&app, &["a", "b", "c"].map(|zone| soap(zone, 4, 0)), 0).await;
    assert_eq!(objects(&app, "alerts/"), [], "a push does not wait for it");
    app.ingest().sweep(after(1)).await.unwrap();
    let [(key, alerts)] = &objects(&app, "alerts/")[..] else { panic!("{:?}", app.lines()) };
    assert!(key.starts_with("alerts/dt=2026-11-23/") && key.ends_with(".ndjson.zst"), "{key}");
    let mut zones: Vec<&Value> = alerts.iter().map(|alert| &alert["location"]["zone"]).collect();
    zones.sort_by_key(|zone| zone.to_string());
    assert_eq!(zones, ["a", "b", "c"]);
    assert_eq!((&alerts[0]["rule"], &alerts[0]["end"]), (&"soap-low".into(), &Value::Null));
    app.ingest().sweep(after(2)).await.unwrap();
    assert_eq!(objects(&app, "alerts/").len(), 1, "each fact is archived once");
}

#[tokio::test]
async fn the_end_of_an_alert_and_what_people_did_are_archived() {
    let app = TestApp::new();
    push(&app, &[soap("a", 4, 0), soap("b", 4, 0)], 0).await;
    app.ingest().sweep(after(1)).await.unwrap();
    cleaned(&app, "a", 10).await;
    push(&app, &[soap("a", 90, 20), soap("b", 3, 20)], 20).await;
    app.ingest().sweep(after(22)).await.unwrap();
    let [response] = &lines(&app, "responses/")[..] else { panic!("{:?}", app.lines()) };
    let (received, done) = (&response["received"], &response["done"]);
    assert_eq!((&response["zone"], &response["source"]), (&"a".into(), &"reported".into()));
    assert!(received == done && *done == after(10).to_string(), "{response}");
    let ended: Vec<Value> = lines(&app, "alerts/").into_iter().filter(|alert| !alert["end"].is_null()).collect();
    let [alert] = &ended[..] else { panic!("{ended:?}") };
    assert_eq!((&alert["location"]["zone"], &alert["end"]["reason"]), (&"a".into(), &"resolved".into()));
    assert_eq!(alert["done"]["reported"], *done);
    assert_eq!(alert["done"]["measured"], after(20).to_string());
}

#[tokio::test]
async fn a_cleaning_does_not_answer_the_alert_about_a_battery() {
    let app = TestApp::new();
    let readings = |minutes: i64| {
        let members = json!({ "InsID": "a", "DEVID": "counter", "unixT": after(minutes).as_millisecond() });
        [soap("a", 4, minutes), reading_with("UM", &json!({ "b": 2300 }), &members)]
    };
    push(&app, &readings(0), 0).await;
    cleaned(&app, "a", 10).await;
    push(&app, &readings(20), 20).await;
    app.ingest().sweep(after(22)).await.unwrap();
    let alerts = lines(&app, "alerts/");
    let of = |rule: &str| Vec::from_iter(alerts.iter().filter(|alert| alert["rule"] == rule));
    let [battery] = &of("battery-people-counter")[..] else { panic!("{alerts:?}") };
    assert_eq!(
        (&battery["answerable"], &battery["done"], &battery["end"]),
        (&false.into(), &Value::Null, &Value::Null)
    );
    let [soap, again] = &of("soap-low")[..] else { panic!("{alerts:?}") };
    assert_eq!((&soap["answerable"], &soap["end"]["reason"]), (&Value::Null, &"contradicted".into()));
    assert_eq!(again["end"], Value::Null);
    assert_eq!(app.alert_ids().len(), 3);
}

#[tokio::test]
async fn events_of_the_task_system_are_responses_once() {
    let app = TestApp::new();
    push(&app, &[soap("a", 4, 0)], 0).await;
    let task = |started: i64, done: i64| {
        let seconds = |minutes: i64| if minutes > 0 { after(minutes).as_second() } else { 0 };
        json!({
            "RoutingKey": "matrix.p.task.x.high", "Event": "TASK", "UnixTimeInt": after(20).as_second(),
            "Meta": { "Zone": "a", "Start": after(1).as_second(), "AStart": seconds(started), "AEnd": seconds(done) },
        })
        .to_string()
    };
    push(&app, &[task(0, 0)], 2).await;
    push(&app, &[task(5, 0)], 6).await;
    push(&app, &[task(5, 0), task(5, 15)], 16).await;
    push(&app, &[task(5, 15), soap("b", 50, 17)], 17).await;
    app.ingest().sweep(after(18)).await.unwrap();
    let responses = lines(&app, "responses/");
    let times: Vec<_> =
        responses.iter().map(|response| (response["started"].clone(), response["done"].clone())).collect();
    let minute = |minutes| Value::from(after(minutes).to_string());
    assert_eq!(times, [(minute(5), Value::Null), (minute(5), minute(15))]);
    assert!(responses.iter().all(|response| response["source"] == "recorded"), "{responses:?}");
}

#[tokio::test]
async fn what_could_not_be_archived_is_archived_by_the_next_sweep() {
    let app = TestApp::new();
    push(&app, &[soap("a", 4, 0)], 0).await;
    app.store.set_broken(true);
    let swept = app.ingest().sweep(after(1)).await;
    assert!(swept.is_ok(), "messages do not wait for the archive: {swept:?}");
    app.store.set_broken(false);
    assert_eq!(objects(&app, "alerts/"), []);
    app.ingest().sweep(after(2)).await.unwrap();
    assert_eq!(lines(&app, "alerts/").len(), 1);
}

#[tokio::test]
async fn an_alert_that_is_archived_twice_is_the_same_line() {
    let app = TestApp::new();
    push(&app, &[soap("a", 4, 0)], 0).await;
    let (one, other) = tokio::join!(app.ingest().sweep(after(1)), app.ingest().sweep(after(1)));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(lines(&app, "alerts/").len(), 1, "the name of an object is its content");
}

#[tokio::test]
async fn an_alert_that_nobody_is_told_about_is_not_archived() {
    let rules = RuleSet::parse("rules.toml", "[[rule]]\nid = \"soap-low\"\nactive = \"22:00-23:00\"").unwrap();
    let app = World::new().with_rules(rules).start();
    push(&app, &[soap("a", 4, 0)], 0).await;
    app.ingest().sweep(after(1)).await.unwrap();
    push(&app, &[soap("a", 90, 2)], 2).await;
    app.ingest().sweep(after(3)).await.unwrap();
    assert_eq!(objects(&app, "alerts/"), []);
}

#[tokio::test]
async fn a_cleaning_that_is_not_recorded_is_not_archived() {
    let app = TestApp::new();
    push(&app, &[soap("a", 4, 0)], 0).await;
    app.state.set_broken(true);
    let request = Request::post("/zones/a/cleaned").header("authorization", basic(USERNAME, PASSWORD));
    assert_eq!(app.send_at(request.body(Full::default()).unwrap(), after(5)).await.status, 503);
    app.state.set_broken(false);
    app.ingest().sweep(after(6)).await.unwrap();
    assert_eq!(objects(&app, "responses/"), []);
}
