//! Pushes from request to response, with all ports in memory: what is stored, sent and returned.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use jiff::SignedDuration;
use serde_json::{Value, json};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::ingest::{EVALUATION_TIMEOUT, SweepStats};

use crate::support::{
    PASSWORD, TestApp, TestResponse, USERNAME, basic, body, gzip, now, push_request, reading, reading_with, samples,
    stored_push,
};

/// The example of the vendor's page on data push.
const SEED: &str = r#"["{\"t\":\"20220602120301\",\"DevType\":\"SMARTCLEAN#ODRDTR_BATT_V1\"}","{\"t\":\"20220602120301\",\"DevType\":\"SMARTCLEAN#ODRDTR_BATT_V1\"}"]"#;

fn smell(ppb: u32) -> String {
    reading("ODRDTR_BATT_V1", &json!({"amm": ppb, "aqi": 10}))
}

/// The counts of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
struct Counts {
    received: u64,
    accepted: u64,
    rejected: u64,
    duplicates: u64,
    alerts: u64,
}

fn counts(answer: &TestResponse) -> Counts {
    serde_json::from_value(answer.body.clone()).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// This many readings, all accepted.
fn accepted(readings: u64) -> Counts {
    Counts { received: readings, accepted: readings, ..Counts::default() }
}

fn problem(answer: &TestResponse, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.body["status"], status);
    assert_eq!(answer.body["request_id"], "request-1");
    answer.body["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_example_of_the_vendor_is_stored_unchanged() {
    let app = TestApp::new();
    let answer = app.push(SEED).await;
    assert_eq!((answer.status, counts(&answer)), (200, Counts { duplicates: 1, ..accepted(2) }));
    let strings: Vec<String> = serde_json::from_str(SEED).unwrap();
    let key = format!("raw-undated/{}.ndjson.zst", answer.body["batch"].as_str().unwrap());
    assert_eq!(app.lines(), [(key, strings)]);
}

#[tokio::test]
async fn every_sample_in_one_push_is_accepted() {
    let app = TestApp::new();
    let texts: Vec<_> = samples().into_iter().map(|(_, text)| text).collect();
    let answer = app.push(body(&texts)).await;
    assert_eq!(counts(&answer), accepted(16), "too old to alert");
}

/// The table of docs/connect.md, line by line: received, accepted, rejected, duplicates, alerts.
#[tokio::test]
async fn the_response_counts_as_documented() {
    let app = TestApp::new();
    let in_zone = |device_type: &str, metrics: Value, envelope: Value| reading_with(device_type, &metrics, &envelope);
    let app_counts = async |items: &[String]| counts(&app.push(body(items)).await);
    let without_rules = "{}".to_owned();
    let resolved = in_zone("SS", json!({"p": 50}), json!({}));
    let old = in_zone("SS", json!({"p": 3}), json!({"unixT": 1_654_063_185_904_i64}));
    // Copies are duplicates in any zone: without rules, without breaches, too old to alert. Rejected items are not.
    let items = [&without_rules, &without_rules, &resolved, &resolved, &resolved, &old, &old].map(Clone::clone);
    assert_eq!(app_counts(&items).await, Counts { duplicates: 4, ..accepted(7) });
    assert_eq!(app_counts(&["x".into(), "x".into()]).await, Counts { received: 2, rejected: 2, ..Counts::default() });
    // A reading that changed no state is not a duplicate in another push, nor in the same one sent twice.
    assert_eq!(app_counts(&[without_rules, resolved, old]).await, accepted(3));
    assert_eq!(app_counts(&items).await, Counts { duplicates: 4, ..accepted(7) });
    // One reading that breaches two limits causes two alerts. It changed the state, so its copies are duplicates.
    let both = in_zone("ODRDTR_BATT_V1", json!({"amm": 270, "aqi": 210}), json!({"DEVID": "air"}));
    assert_eq!(app_counts(std::slice::from_ref(&both)).await, Counts { alerts: 2, ..accepted(1) });
    assert_eq!(app_counts(&[both.clone(), both]).await, Counts { duplicates: 2, ..accepted(2) });
    // A suppressed alert does not count. One of higher severity than the block is not suppressed.
    let bin = in_zone("BIN", json!({"p": 4}), json!({"DEVID": "bin"}));
    let spill = in_zone("WD", json!({"value": 1, "AreaP": 9}), json!({"DEVID": "floor"}));
    assert_eq!(app_counts(&[bin]).await, accepted(1));
    assert_eq!(app_counts(&[spill]).await, Counts { alerts: 1, ..accepted(1) });
}

#[tokio::test]
async fn a_crossed_limit_is_stored_and_sent() {
    let app = TestApp::new();
    let answer = app.push(body(&[smell(270)])).await;
    assert_eq!((answer.status, counts(&answer)), (200, Counts { alerts: 1, ..accepted(1) }));
    assert_eq!(app.lines()[0].1, [smell(270)]);
    let sent = app.publisher.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].subject, "[MEDIUM] Bad smell: Washroom 3");
    let action = "Clean and flush the toilets, then air the room";
    assert_eq!(sent[0].sms, format!("Washroom 3: ammonia 270 ppb (limit 200) at 18:00. {action}"));
}

#[tokio::test]
async fn one_step_below_the_limit_is_stored_and_silent() {
    let app = TestApp::new();
    let answer = app.push(body(&[smell(199)])).await;
    assert_eq!(counts(&answer), accepted(1));
    assert_eq!((app.lines().len(), app.publisher.sent().len()), (1, 0));
}

#[tokio::test]
async fn one_reading_that_breaches_two_limits_causes_one_message_by_severity() {
    let app = TestApp::new();
    let reading = reading("ODRDTR_BATT_V1", &json!({"amm": 270, "aqi": 400}));
    let answer = app.push(body(&[reading])).await;
    assert_eq!(counts(&answer).alerts, 2);
    let sent = app.publisher.sent();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].subject.starts_with("[HIGH] Bad air"), "{}", sent[0].subject);
    assert!(sent[0].email.contains("ammonia 270 ppb") && sent[0].email.contains("air quality index 400"));
}

#[tokio::test]
async fn a_reading_without_a_time_counts_as_received_now() {
    let app = TestApp::new();
    let reading = reading_with("ODRDTR_BATT_V1", &json!({"amm": 270}), &json!({"unixT": null}));
    assert_eq!(counts(&app.push(body(&[reading])).await).alerts, 1);
    assert!(app.lines()[0].0.starts_with("raw-undated/"));
}

#[tokio::test]
async fn a_stale_reading_is_stored_and_silent() {
    let app = TestApp::new();
    let old = now().as_second() - 3601;
    let reading = reading_with("ODRDTR_BATT_V1", &json!({"amm": 270}), &json!({"unixT": old}));
    assert_eq!(counts(&app.push(body(&[reading])).await), accepted(1));
    assert_eq!(app.lines().len(), 1);
}

#[tokio::test]
async fn a_reading_from_the_future_alerts_with_the_current_time() {
    let app = TestApp::new();
    let soon = now().as_second() + 3600;
    let reading = reading_with("ODRDTR_BATT_V1", &json!({"amm": 270}), &json!({"unixT": soon}));
    assert_eq!(counts(&app.push(body(&[reading])).await).alerts, 1);
    assert!(app.publisher.sent()[0].sms.contains(" at 18:00. "), "{}", app.publisher.sent()[0].sms);
}

#[tokio::test]
async fn a_reading_twice_in_a_push_alerts_once_and_is_stored_twice() {
    let app = TestApp::new();
    let answer = app.push(body(&[smell(270), smell(270)])).await;
    assert_eq!(counts(&answer), Counts { duplicates: 1, alerts: 1, ..accepted(2) });
    assert_eq!(app.lines()[0].1.len(), 2);
}

#[tokio::test]
async fn the_same_push_twice_makes_one_object_and_one_alert() {
    let app = TestApp::new();
    let first = app.push(body(&[smell(270)])).await;
    let second = app.push(body(&[smell(270)])).await;
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.body["batch"], second.body["batch"]);
    assert_eq!(app.lines().len(), 1);
    assert_eq!(
        (counts(&first), counts(&second)),
        (Counts { alerts: 1, ..accepted(1) }, Counts { duplicates: 1, ..accepted(1) })
    );
    assert_eq!(app.publisher.sent().len(), 1);
}

#[tokio::test]
async fn an_empty_array_is_a_push_of_nothing() {
    let app = TestApp::new();
    let answer = app.push("[]").await;
    assert_eq!((answer.status, counts(&answer)), (200, Counts::default()));
    assert!(app.lines().is_empty());
}

#[tokio::test]
async fn a_malformed_item_is_stored_with_its_index_and_the_others_are_accepted() {
    let app = TestApp::new();
    let items = json!([smell(270), "{broken", smell(10)]).to_string();
    let answer = app.push(items).await;
    assert_eq!(
        (answer.status, counts(&answer)),
        (200, Counts { received: 3, accepted: 2, rejected: 1, alerts: 1, ..Counts::default() })
    );
    let lines = app.lines();
    assert_eq!(lines.len(), 2);
    let rejection: Value = serde_json::from_str(&lines[1].1[0]).unwrap();
    assert!(lines[1].0.starts_with("rejected/dt=2026-11-23/hh=10/"));
    assert_eq!((&rejection["index"], &rejection["raw"]), (&json!(1), &json!("{broken")));
    assert!(rejection["reason"].as_str().unwrap().contains("key must be a string"));
}

#[tokio::test]
async fn a_push_of_malformed_items_only_is_stored() {
    let app = TestApp::new();
    let answer = app.push("[7, null]").await;
    assert_eq!((answer.status, counts(&answer)), (200, Counts { received: 2, rejected: 2, ..Counts::default() }));
    assert_eq!(app.lines().len(), 1);
}

#[tokio::test]
async fn a_body_that_is_no_batch_is_rejected_and_stored() {
    for (sent, kept) in [
        (&b"\xff["[..], json!({"raw_base64": "/1s="})),
        (b"[\"{}\"", json!({"raw": "[\"{}\""})),
        (b"{}", json!({"raw": "{}"})),
        (b"", json!({"raw": ""})),
    ] {
        let app = TestApp::new();
        let answer = app.push(Bytes::from_static(sent)).await;
        let detail = problem(&answer, 400);
        assert!(detail.contains("not a JSON array"), "{detail}");
        let lines = app.lines();
        let line: Value = serde_json::from_str(&lines[0].1[0]).unwrap();
        assert!(lines[0].0.starts_with("rejected/"));
        assert_eq!(line["index"], Value::Null);
        for (name, value) in kept.as_object().unwrap() {
            assert_eq!(line[name], *value);
        }
        assert!(app.publisher.sent().is_empty());
    }
}

#[tokio::test]
async fn hostile_items_get_a_response() {
    let deep = format!("{{\"v\":{}{}}}", "{\"a\":".repeat(100_000), "0".to_owned() + &"}".repeat(100_000));
    let long = json!({"Display": "x".repeat(2_000_000), "DevType": "UM", "v": {"count": 99}}).to_string();
    let nul = "{\"Display\":\"a\\u0000b\"}".to_owned();
    let repeated = "{\"v\":{\"count\":1},\"v\":{\"count\":2},\"DevType\":\"UM\"}".to_owned();
    let items = json!([deep, long, nul, repeated, "\u{feff}{}", "{\"Display\":\"\\ud800\"}"]).to_string();
    let app = TestApp::new();
    let answer = app.push(items).await;
    assert_eq!(
        (answer.status, counts(&answer)),
        (200, Counts { received: 6, accepted: 5, rejected: 1, alerts: 1, ..Counts::default() }),
        "the byte order mark is no JSON"
    );
    let message = app.publisher.sent().remove(0);
    assert!(message.sns_message().len() < 256 * 1024 && message.subject.chars().count() < 100);
}

#[tokio::test]
async fn gzip_is_decoded_and_the_batch_id_is_that_of_the_decoded_body() {
    let app = TestApp::new();
    let packed = gzip(&body(&[smell(270)]));
    let request = push_request().header("content-encoding", "gzip").body(Full::new(packed.into())).unwrap();
    let (zipped, plain) = (app.send(request).await, app.push(body(&[smell(270)])).await);
    assert_eq!(zipped.status, 200);
    assert_eq!(zipped.body["batch"], plain.body["batch"]);
}

#[tokio::test]
async fn damaged_gzip_is_rejected_and_stored() {
    let app = TestApp::new();
    let packed = gzip(&body(&[smell(270)]));
    let mut changed = packed.clone();
    changed[20] ^= 1;
    for (number, broken) in
        [packed[..packed.len() - 1].to_vec(), packed[..10].to_vec(), changed].into_iter().enumerate()
    {
        let request = push_request().header("content-encoding", "gzip").body(Full::new(broken.into())).unwrap();
        let refused = app.send(request).await;
        problem(&refused, 400);
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("The gzip body is damaged or incomplete.")
                && detail.ends_with("compress the batch anew.")
        );
        assert_eq!(app.lines().len(), number + 1);
    }
    // Valid gzip of an invalid batch, and an invalid batch without gzip.
    let packed = push_request().header("content-encoding", "gzip").body(Full::new(gzip(b"[oops").into())).unwrap();
    let plain = push_request().body(Full::new("[oops".into())).unwrap();
    for request in [packed, plain] {
        assert!(app.send(request).await.body["detail"].as_str().unwrap().starts_with("The body is not a JSON array"));
    }
}

/// A REST API decompresses gzip without removing the header.
#[tokio::test]
async fn a_body_that_a_rest_api_has_decompressed_is_accepted() {
    let app = TestApp::new();
    let request =
        push_request().header("content-encoding", "gzip").body(Full::new(body(&[smell(270)]).into())).unwrap();
    let (inflated, plain) = (app.send(request).await, app.push(body(&[smell(270)])).await);
    assert_eq!((inflated.status, &inflated.body["batch"]), (200, &plain.body["batch"]));
}

/// An HTTP API decodes a body with a text content type as UTF-8.
#[tokio::test]
async fn gzip_that_was_decoded_as_text_is_rejected_with_advice_and_stored() {
    let app = TestApp::new();
    let text = String::from_utf8_lossy(&gzip(&body(&[smell(270)]))).into_owned();
    let request = push_request().header("content-encoding", "gzip").body(Full::new(text.clone().into())).unwrap();
    let refused = app.send(request).await;
    problem(&refused, 415);
    assert!(refused.body["detail"].as_str().unwrap().contains("application/octet-stream"), "{}", refused.body);
    assert_eq!(app.lines().len(), 1);
    let request = push_request().body(Full::new(text.clone().into())).unwrap();
    problem(&app.send(request).await, 400);
    let app = TestApp::new();
    app.store.set_broken(true);
    let request = push_request().header("content-encoding", "gzip").body(Full::new(text.into())).unwrap();
    problem(&app.send(request).await, 503);
}

#[tokio::test]
async fn an_unknown_content_encoding_is_rejected() {
    let app = TestApp::new();
    for name in ["br", "gzip, gzip", "zstd"] {
        let request = push_request().header("content-encoding", name).body(Full::new("[]".into())).unwrap();
        problem(&app.send(request).await, 415);
    }
    let request = push_request().header("content-encoding", "identity").body(Full::new("[]".into())).unwrap();
    assert_eq!(app.send(request).await.status, 200);
}

#[tokio::test]
async fn a_push_requires_valid_credentials() {
    let app = TestApp::new();
    let sends = [
        Request::post("/push"),
        Request::post("/push").header("authorization", basic(USERNAME, "wrong")),
        Request::post("/push").header("authorization", basic("wrong", PASSWORD)),
        Request::post("/push").header("authorization", "Bearer x"),
        push_request().header("authorization", basic(USERNAME, PASSWORD)),
    ];
    for request in sends {
        // The body was not read: this one would be a 400, and stored.
        let answer = app.send(request.body(Full::new("no batch".into())).unwrap()).await;
        problem(&answer, 401);
        assert_eq!(answer.headers["www-authenticate"], r#"Basic realm="smartclean-push", charset="UTF-8""#);
    }
    assert!(app.lines().is_empty());
}

#[tokio::test]
async fn unknown_paths_and_methods_are_rejected() {
    let app = TestApp::new();
    let ask = |method: &str, path: &str| Request::builder().method(method).uri(path).body(Full::default()).unwrap();
    for (method, path, status) in [
        ("GET", "/push", 405),
        ("PUT", "/push", 405),
        ("POST", "/health", 405),
        ("POST", "/", 404),
        ("POST", "/push/", 404),
        ("POST", "/Push", 404),
        ("GET", "/nowhere", 404),
    ] {
        problem(&app.send(ask(method, path)).await, status);
    }
    assert_eq!(app.send(ask("DELETE", "/push")).await.headers["allow"], "POST");
    let health = app.send(ask("GET", "/health")).await;
    assert_eq!((health.status, health.body), (200, json!({"status": "ok", "version": smartclean_push::VERSION})));
}

#[tokio::test]
async fn ten_megabytes_are_the_limit() {
    let app = TestApp::new();
    let padded = |length: usize| {
        let mut body = vec![b' '; length];
        body[0] = b'[';
        body[1] = b']';
        body
    };
    assert_eq!(app.push(padded(10_000_000)).await.status, 200);
    problem(&app.push(padded(10_000_001)).await, 413);
    // A declared length is checked before the body is read and before authentication.
    let declared = Request::post("/push").header("content-length", "10000001").body(Full::default()).unwrap();
    problem(&app.send(declared).await, 413);
}

#[tokio::test]
async fn a_decompression_bomb_is_rejected_and_stored_as_sent() {
    let app = TestApp::new();
    let packed = gzip(&vec![b' '; 80 << 20]);
    let request = push_request().header("content-encoding", "gzip").body(Full::new(packed.into())).unwrap();
    problem(&app.send(request).await, 413);
    assert_eq!(app.lines().len(), 1);
}

#[tokio::test]
async fn if_the_store_is_down_the_response_is_503_with_retry_after_and_nothing_is_sent() {
    let app = TestApp::new();
    app.store.set_broken(true);
    for sent in [body(&[smell(270)]), b"no batch".to_vec(), b"[7]".to_vec()] {
        let answer = app.push(sent).await;
        let detail = problem(&answer, 503);
        assert!(!detail.contains("injected by the test"), "internals stay inside: {detail}");
        assert_eq!(answer.headers["retry-after"], "30");
    }
    assert!(app.publisher.sent().is_empty());
    app.store.set_broken(false);
    assert_eq!(app.push(body(&[smell(270)])).await.status, 200);
    assert_eq!(app.publisher.sent().len(), 1);
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_stays_in_the_outbox_until_the_sweep_sends_it() {
    let app = TestApp::new();
    app.publisher.set_broken(true);
    let answer = app.push(body(&[smell(270)])).await;
    assert_eq!((answer.status, counts(&answer).alerts), (200, 1), "stored and accounted for");
    app.publisher.set_broken(false);
    let sweep =
        async |seconds| app.ingest().sweep(now() + SignedDuration::from_secs(seconds)).await.unwrap().delivery.messages;
    assert_eq!(sweep(59).await, 0, "the lease has not expired");
    assert_eq!(sweep(60).await, 1);
    assert_eq!(sweep(180).await, 0);
    assert_eq!(app.publisher.sent().len(), 1);
}

#[tokio::test]
async fn state_that_cannot_be_committed_leaves_the_push_stored_and_to_be_evaluated_later() {
    let app = TestApp::new();
    app.state.set_broken(true);
    let answer = app.push(body(&[smell(270)])).await;
    assert_eq!((answer.status, counts(&answer)), (200, accepted(1)));
    assert_eq!((app.lines().len(), app.publisher.sent().len()), (1, 0));
    app.state.set_broken(false);
    let stored = app.store.objects().into_values().next().unwrap();
    let (key, push) = (&stored.key, vec![stored_push(&stored)]);
    app.ingest().evaluate_stored(key, push.clone(), now(), EVALUATION_TIMEOUT).await.unwrap();
    assert_eq!(app.publisher.sent().len(), 1);
    app.ingest().evaluate_stored(key, push, now(), EVALUATION_TIMEOUT).await.unwrap();
    assert_eq!(app.publisher.sent().len(), 1, "evaluated again, it changes nothing");
}

#[tokio::test]
async fn a_lost_compare_and_swap_is_retried_five_times() {
    let app = TestApp::new();
    app.state.lose_next(5);
    assert_eq!(counts(&app.push(body(&[smell(270)])).await).alerts, 1);
    let app = TestApp::new();
    app.state.lose_next(6);
    assert_eq!(counts(&app.push(body(&[smell(270)])).await).alerts, 0);
}

#[tokio::test]
async fn the_state_of_a_zone_without_rules_is_neither_read_nor_written() {
    let app = TestApp::new();
    app.state.set_broken(true);
    let answer = app.push(body(&[reading("OCCDESK", &json!({"occ": 1})), reading("UNKNOWN", &json!({"x": 1}))])).await;
    assert_eq!(counts(&answer), accepted(2));
    app.state.set_broken(false);
    assert_eq!(app.state.documents().keys().collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn a_zone_without_state_can_be_cleaned() {
    let app = TestApp::new();
    let feedback = |rating: u8, minutes: i64| {
        let at = (now() + SignedDuration::from_mins(minutes)).as_millisecond();
        reading_with("FD", &json!({ "rating": rating }), &json!({ "unixT": at }))
    };
    for minute in [-9, -8] {
        assert_eq!(app.push(body(&[feedback(1, minute)])).await.status, 200);
    }
    let documents = app.state.documents();
    assert!(!documents.keys().any(|key| key.starts_with("zone/")), "{documents:?}");
    let request = Request::post("/zones/zone/cleaned").header("authorization", basic(USERNAME, PASSWORD));
    assert_eq!(app.send(request.body(Full::default()).unwrap()).await.status, 200);
    // From before the cleaning, pushed after it.
    assert_eq!(app.push(body(&[feedback(5, -5)])).await.body["alerts"], 0);
    assert_eq!(app.push(body(&[feedback(5, 1)])).await.body["alerts"], 1);
}

#[tokio::test]
async fn a_cleaning_by_button_resets_the_count() {
    let app = TestApp::new();
    let clean = async |path: &str| {
        let request = Request::post(path).header("authorization", basic(USERNAME, PASSWORD)).body(Full::default());
        app.send(request.unwrap()).await
    };
    problem(&clean("/zones/zone/cleaned").await, 404);
    let count = |count: u32, ago: i64| {
        let at = now().as_second() - ago;
        body(&[reading_with("UM", &json!({"count": count}), &json!({"unixT": at}))])
    };
    app.push(count(29, 60)).await;
    let answer = clean("/zones/zone/cleaned").await;
    assert_eq!((answer.status, &answer.body["zones"]), (200, &json!(1)));
    assert_eq!(counts(&app.push(count(1, 30)).await).alerts, 0, "from before the cleaning");
    let elsewhere = clean("/zones/zone/cleaned?project=another").await;
    problem(&elsewhere, 404);
    problem(&app.send(Request::post("/zones/zone/cleaned").body(Full::default()).unwrap()).await, 401);
    problem(&app.send(Request::get("/zones/zone/cleaned").body(Full::default()).unwrap()).await, 405);
    for path in ["/zones//cleaned", "/zones/a/b/cleaned", "/zones/a", "/zones/a/cleaned/"] {
        problem(&clean(path).await, 404);
    }
}

#[tokio::test]
async fn a_cleaning_by_button_names_a_zone_of_the_rules_in_force() {
    let rules = r#"
        [[zone]]
        id = "z1"
        name = "Level 2 Washroom"
        site = "building"
        [[zone]]
        id = "z2"
        name = "Level 2 Washroom"
        site = "tower"
        [[zone]]
        id = "z3"
        name = "Lobby"
        [[zone]]
        id = "z4"
        name = "z3"
        [[site]]
        id = "building"
        name = "Tower A"
        [[site]]
        id = "tower"
    "#;
    let app = TestApp::with_rules(RuleSet::parse("rules.toml", rules).unwrap());
    let count = |zone: &str| reading_with("UM", &json!({"count": 1}), &json!({"InsID": zone, "Display": "Lobby"}));
    let same_id = reading_with("UM", &json!({"count": 1}), &json!({"InsID": "z1", "PID": "tower"}));
    app.push(body(&[count("z1"), count("z2"), count("z3"), count("undeclared"), same_id])).await;
    let clean = async |path: &str| {
        let request = Request::post(path).header("authorization", basic(USERNAME, PASSWORD)).body(Full::default());
        app.send(request.unwrap()).await
    };
    assert_eq!(clean("/zones/z1/cleaned").await.body["zones"], 2, "an id means the zones of every site");
    for path in [
        "/zones/z1/cleaned?project=Tower%20A",
        "/zones/z3/cleaned",
        "/zones/Lobby/cleaned",
        "/zones/Tower%20A%20%C2%B7%20Level%202%20Washroom/cleaned",
        "/zones/Lobby/cleaned?project=Tower%20A",
        "/zones/undeclared/cleaned",
    ] {
        let answer = clean(path).await;
        assert_eq!((answer.status, &answer.body["zones"]), (200, &json!(1)), "{path}");
    }
    let unknown = clean("/zones/Loby/cleaned").await;
    problem(&unknown, 404);
    assert_eq!(unknown.body["detail"], "no [[zone]] has the id or name `Loby`; did you mean `Lobby`?");
    let ambiguous = clean("/zones/Level%202%20Washroom/cleaned").await;
    problem(&ambiguous, 422);
    assert_eq!(
        (&ambiguous.body["code"], &ambiguous.body["detail"]),
        (
            &json!("ambiguous-zone"),
            &json!(
                "`Level 2 Washroom` is the name of 2 zones; write one of `Tower A · Level 2 Washroom`, `tower · Level 2 Washroom`"
            )
        )
    );
    problem(&clean("/zones/Lobby/cleaned?project=tower").await, 404);
}

#[tokio::test]
async fn a_cleaning_by_a_matrix_event_is_stored_like_a_reading_and_resets_the_count() {
    let app = TestApp::new();
    let count = |count: u32, ago: i64| {
        let at = now().as_second() - ago;
        reading_with("UM", &json!({"count": count}), &json!({"unixT": at}))
    };
    let event = |end: i64| {
        json!({
            "RoutingKey": "matrix.p.task.closed.high", "Event": "TASK_CLOSED", "UnixTimeInt": now().as_second(),
            "Meta": {"Zone": "zone", "ZoneName": "Washroom 3", "AEnd": end},
        })
    };
    app.push(body(&[count(29, 60)])).await;
    let open = app.push(json!([event(0)]).to_string()).await;
    assert_eq!(counts(&open), accepted(1));
    assert_eq!(counts(&app.push(body(&[count(1, 50)])).await).alerts, 1, "an unfinished cleaning changes nothing");
    app.push(body(&[count(29, 40)])).await;
    app.push(json!([event(now().as_second() - 30)]).to_string()).await;
    assert_eq!(counts(&app.push(body(&[count(29, 20)])).await).alerts, 0);
    assert_eq!(app.lines().iter().filter(|(_, lines)| lines[0].contains("RoutingKey")).count(), 2);
}

#[tokio::test]
async fn a_cleaning_in_a_zones_very_first_push_counts() {
    let at = now().as_second();
    let count = |count: u32, ago: i64| reading_with("UM", &json!({"count": count}), &json!({"unixT": at - ago}));
    let event = json!({
        "RoutingKey": "matrix.p.task.closed.high", "Event": "TASK_CLOSED", "UnixTimeInt": at,
        "Meta": {"Zone": "zone", "ZoneName": "Washroom 3", "AEnd": at - 30},
    });
    for (last, alerts) in [(29, 0), (30, 1)] {
        let app = TestApp::new();
        let items = [Value::from(count(29, 60)), event.clone(), Value::from(count(last, 20))];
        let answer = app.push(Value::from(items.to_vec()).to_string()).await;
        assert_eq!(counts(&answer).alerts, alerts, "29 before the cleaning, {last} after it");
    }
}

#[tokio::test]
async fn a_sweep_reports_the_age_of_the_oldest_unsent_message() {
    let app = TestApp::new();
    let sweep = async |seconds| app.ingest().sweep(now() + SignedDuration::from_secs(seconds)).await.unwrap();
    app.publisher.set_broken(true);
    app.push(body(&[smell(270)])).await;
    assert_eq!(sweep(59).await, SweepStats::default(), "the lease has not expired");
    let stats = sweep(61).await;
    assert_eq!((stats.delivery.failed, stats.delivery.oldest_unsent_s), (1, 61));
    assert_eq!(sweep(200).await.delivery.oldest_unsent_s, 200);
    app.publisher.set_broken(false);
    let stats = sweep(300).await;
    assert_eq!((stats.delivery.messages, stats.delivery.failed, stats.delivery.oldest_unsent_s), (1, 0, 0));
}

#[tokio::test]
async fn suppressed_no_data_alerts_do_not_delay_other_due_work() {
    let app = TestApp::new();
    let climate: Vec<_> = (0..120)
        .map(|room| {
            reading_with("TH", &json!({"t": 20}), &json!({"DEVID": format!("d{room}"), "InsID": format!("z{room}")}))
        })
        .collect();
    app.push(body(&climate)).await;
    app.publisher.set_broken(true);
    app.push(body(&[smell(270)])).await;
    app.publisher.set_broken(false);
    // After two days without any reading, one notice is sent, no no-data alert, and the unsent message.
    let later = now() + SignedDuration::from_hours(48);
    let stats = app.ingest().sweep(later).await.unwrap();
    assert!(stats.zones >= 121);
    assert_eq!((stats.alerts, stats.delivery.messages, stats.delivery.failed), (0, 2, 0));
    let again = app.ingest().sweep(later + SignedDuration::from_secs(1)).await.unwrap();
    assert_eq!((again.alerts, again.delivery.messages, again.delivery.failed), (0, 0, 0));
}
