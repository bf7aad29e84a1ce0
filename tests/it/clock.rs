//! Whose time counts: history that is pushed again by its own time, and by the machine's.

use std::sync::Arc;

use http::Request;
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::json;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::ingest::{Clock, Outcome};

use crate::support::{PASSWORD, TestApp, USERNAME, World, basic, body, now, push_to, reading_with};

/// A moment of the day in history on which these tests take place.
fn at(time: &str) -> Timestamp {
    format!("2024-05-01T{time}Z").parse().unwrap()
}

fn measured(device_type: &str, device: &str, metric: &str, value: i32, time: &str) -> String {
    let envelope = json!({"unixT": at(time).as_millisecond(), "DEVID": device, "Display": device});
    reading_with(device_type, &json!({ metric: value }), &envelope)
}

fn smell(ammonia: i32, time: &str) -> String {
    measured("ODRDTR_BATT_V1", "air", "amm", ammonia, time)
}

fn soap(percent: i32, time: &str) -> String {
    measured("SS", "soap", "p", percent, time)
}

fn app(clock: Clock, rules: &str) -> TestApp {
    World::new().with_rules(RuleSet::parse("rules.toml", rules).unwrap()).with_clock(clock).start()
}

/// Pushes readings [`now`], by the machine's time.
async fn push(app: &TestApp, readings: &[String]) -> Outcome {
    push_to(app.ingest(), body(readings), now()).await.unwrap()
}

#[tokio::test]
async fn a_reading_of_years_ago_alerts_by_its_own_time() {
    let app = app(Clock::Readings, "");
    let outcome = push(&app, &[smell(270, "10:00:00")]).await;
    assert_eq!((outcome.alerts, outcome.stale, outcome.messages), (1, 0, 1));
    assert!(app.publisher.sent()[0].sms.ends_with("at 18:00"), "{}", app.publisher.sent()[0].sms);
}

#[tokio::test]
async fn a_reading_of_years_ago_is_silent_by_the_machines_time() {
    let app = app(Clock::Wall, "");
    let outcome = push(&app, &[smell(270, "10:00:00")]).await;
    assert_eq!((outcome.alerts, outcome.stale, outcome.messages), (0, 1, 0));
}

#[tokio::test]
async fn the_receipt_that_is_kept_is_the_readings() {
    let app = app(Clock::Readings, "");
    let outcome = push(&app, &[smell(1, "10:00:00"), smell(1, "10:07:00"), "{broken".into()]).await;
    let objects = app.store.objects();
    let received: Vec<_> = objects.values().map(|object| object.metadata.received).collect();
    assert_eq!((received, outcome.at), (vec![at("10:07:00"); 2], at("10:07:00")));
    assert!(objects.keys().any(|key| key.starts_with("rejected/dt=2024-05-01/hh=10/")));
}

#[tokio::test]
async fn the_machines_receipt_is_kept_by_its_own_time() {
    let app = app(Clock::Wall, "");
    push(&app, &[smell(1, "10:00:00")]).await;
    assert_eq!(app.store.objects().values().next().unwrap().metadata.received, now());
}

#[tokio::test]
async fn time_never_goes_back_and_stands_still_where_nothing_tells_it() {
    let app = app(Clock::Readings, "");
    let timeless = reading_with("SS", &json!({"p": 50}), &json!({"unixT": null}));
    assert_eq!(push(&app, std::slice::from_ref(&timeless)).await.at, now(), "nothing has told yet");
    assert_eq!(push(&app, &[smell(1, "10:00:00")]).await.at, at("10:00:00"));
    assert_eq!(push(&app, &[smell(1, "09:30:00")]).await.at, at("10:00:00"));
    assert_eq!(push(&app, &[timeless, "[]".into()]).await.at, at("10:00:00"));
    assert_eq!(push(&app, &[smell(1, "10:00:01")]).await.at, at("10:00:01"));
}

#[tokio::test]
async fn what_comes_late_by_the_readings_time_is_stale_there_too() {
    let app = app(Clock::Readings, "");
    push(&app, &[smell(1, "10:00:00")]).await;
    let hour_late = push(&app, &[measured("SS", "soap", "p", 3, "09:00:00")]).await;
    let later = push(&app, &[measured("SS", "soap", "p", 2, "08:59:59")]).await;
    assert_eq!((hour_late.alerts, hour_late.stale, later.alerts, later.stale), (1, 0, 0, 1));
}

#[tokio::test]
async fn what_a_block_held_back_is_named_once_the_readings_pass_its_end() {
    let app = app(Clock::Readings, "block = \"15m\"\n");
    push(&app, &[soap(4, "10:00:00")]).await;
    push(&app, &[measured("TR", "roll", "p", 3, "10:05:00")]).await;
    assert_eq!(app.subjects().len(), 1, "held back");
    let elsewhere = |time: &str| {
        reading_with("TH", &json!({"t": 20}), &json!({"unixT": at(time).as_millisecond(), "InsID": "another"}))
    };
    push(&app, &[elsewhere("10:14:59")]).await;
    assert_eq!(app.subjects().len(), 1, "the block lasts");
    push(&app, &[elsewhere("10:15:00")]).await;
    assert_eq!(app.subjects().len(), 2, "{:?}", app.subjects());
    assert!(app.publisher.sent()[1].email.contains("roll"), "{}", app.publisher.sent()[1].email);
}

const SILENT_AFTER_AN_HOUR: &str = "quiet_after = \"45m\"\n[[rule]]\nid = \"silent\"\nafter = \"1h\"\n";

#[tokio::test]
async fn a_silence_is_raised_by_the_readings_time() {
    let app = app(Clock::Readings, SILENT_AFTER_AN_HOUR);
    push(&app, &[soap(50, "10:00:00")]).await;
    for time in ["10:30:00", "11:00:00", "11:14:59"] {
        push(&app, &[smell(1, time)]).await;
    }
    assert_eq!(app.subjects(), [""; 0]);
    push(&app, &[smell(1, "11:15:00")]).await;
    assert_eq!(app.subjects(), ["[LOW] No data: soap"]);
}

#[tokio::test]
async fn nobody_is_called_silent_where_nothing_came_at_all() {
    let app = app(Clock::Readings, SILENT_AFTER_AN_HOUR);
    push(&app, &[soap(50, "10:00:00"), smell(1, "10:00:00")]).await;
    push(&app, &[smell(1, "13:00:00")]).await;
    let said = app.subjects();
    assert!(said.iter().all(|subject| !subject.contains("No data")), "{said:?}");
    push(&app, &[smell(1, "13:01:00")]).await;
    assert!(app.subjects().contains(&"[LOW] No data: soap".to_owned()), "{:?}", app.subjects());
}

#[tokio::test]
async fn history_makes_the_alerts_that_it_made_live() {
    let rules = "block = \"15m\"\nquiet_after = \"3h\"\n[[rule]]\nid = \"silent\"\nafter = \"1h\"\n";
    let pushes = [
        vec![soap(50, "10:00:10"), smell(100, "10:00:20")],
        vec![smell(250, "10:20:00")],
        vec![measured("TR", "roll", "p", 3, "10:25:00")],
        vec![smell(100, "10:50:00")],
        vec![smell(260, "11:29:30")],
    ];
    // Live: each push as it is measured, and a sweep every minute.
    let live = app(Clock::Wall, rules);
    let mut minute = at("10:00:00");
    for readings in &pushes {
        let times = readings.iter().filter_map(|text| smartclean_push::domain::reading::Reading::read(text).ok()?.time);
        let received = times.max().unwrap();
        while minute <= received {
            live.ingest().sweep(minute).await.unwrap();
            minute += jiff::SignedDuration::from_mins(1);
        }
        push_to(live.ingest(), body(readings), received).await.unwrap();
    }
    let again = app(Clock::Readings, rules);
    for readings in &pushes {
        push(&again, readings).await;
    }
    let ids = |app: &TestApp| -> Vec<_> { app.publisher.sent().iter().map(|message| message.id.clone()).collect() };
    assert_eq!(ids(&live).len(), 4, "{:?}", live.subjects());
    assert_eq!(ids(&live), ids(&again), "{:?} {:?}", live.subjects(), again.subjects());
}

#[tokio::test]
async fn a_zone_is_cleaned_when_the_readings_say_it_is() {
    let app = app(Clock::Readings, "");
    push(&app, &[measured("UM", "door", "count", 25, "10:00:00")]).await;
    let cleaned = Request::post("/zones/zone/cleaned").header("authorization", basic(USERNAME, PASSWORD));
    let answer = app.send(cleaned.body(Full::default()).unwrap()).await;
    assert_eq!((answer.status, &answer.body["at"]), (200, &json!("2024-05-01T10:00:00Z")));
    assert_eq!(push(&app, &[measured("UM", "door", "count", 25, "10:01:00")]).await.alerts, 0);
    assert_eq!(push(&app, &[measured("UM", "door", "count", 5, "10:02:00")]).await.alerts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_side_by_side_lose_nothing_and_time_goes_forward() {
    let app = Arc::new(app(Clock::Readings, "block = \"none\"\n"));
    let pushes = (0..16).map(|index| {
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let device = format!("dispenser-{index}");
            push(&app, &[measured("SS", &device, "p", 3, &format!("10:{:02}:00", 59 - index))]).await.alerts
        })
    });
    let mut alerts = 0;
    for push in pushes.collect::<Vec<_>>() {
        alerts += push.await.unwrap();
    }
    assert_eq!(alerts, 16);
}

#[cfg(feature = "command")]
#[test]
fn serve_takes_the_clock_by_name() {
    use crate::support::{Server, serve};

    for (clock, expected) in [("readings", 1), ("wall", 0)] {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(serve(data.path()).args(["--clock", clock]));
        let request = ureq::post(server.url()).header("authorization", basic(USERNAME, PASSWORD));
        let mut answer = request.send(body(&[smell(270, "10:00:00")])).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        assert_eq!(answer["alerts"], expected, "{clock}");
    }
}
