//! The judge objects to damaged evidence.

use serde_json::{Value, json};

use crate::oracle::aws::AHEAD_S;
use crate::oracle::function::{RawDelivery, undisturbed};
use crate::oracle::judge::{Evidence, judge};

/// The expected objection, and a change that causes it.
type Damage = (&'static str, fn(&mut Evidence));

/// The first push below `folder`.
fn object<'e>(evidence: &'e mut Evidence, folder: &str) -> &'e mut (String, String) {
    evidence.objects.iter_mut().find(|(key, _)| key.starts_with(folder)).unwrap()
}

fn remove(evidence: &mut Evidence, folder: &str) {
    let key = object(evidence, folder).0.clone();
    evidence.objects.retain(|(other, _)| *other != key);
}

/// The first message with an alert of `rule`.
fn message<'e>(evidence: &'e mut Evidence, rule: &str) -> &'e mut Value {
    evidence.messages.iter_mut().find(|message| message["alerts"][0]["rule"] == rule).unwrap()
}

/// The people count in the state of the zone `few`.
fn few(evidence: &mut Evidence) -> &mut Value {
    let (key, document) =
        evidence.documents.iter_mut().find(|(key, _)| key.starts_with("zone/") && key.ends_with(" few")).unwrap();
    let device = format!("UM of {}", key.rsplit('/').next().unwrap());
    &mut document["rule_states"]["high-usage"][device]["merged"]
}

const STORE_DAMAGES: [Damage; 8] = [
    ("its readings are not stored", |evidence| remove(evidence, "raw")),
    ("its rejections are not stored", |evidence| remove(evidence, "rejected")),
    ("stored under 2 keys", |evidence| {
        let (key, text) = object(evidence, "raw").clone();
        evidence.objects.push((key.replace("raw/", "raw-undated/"), text));
    }),
    ("stored differently from what was sent", |evidence| {
        let text = &mut object(evidence, "raw").1;
        *text = text.lines().skip(1).map(|line| format!("{line}\n")).collect();
    }),
    ("rejected differently from what was sent", |evidence| {
        let text = &mut object(evidence, "rejected").1;
        *text = text.replace("undisturbed", "disturbed");
    }),
    ("was never sent", |evidence| {
        evidence.objects.push(("raw/dt=2026-11-23/hh=10/0.ndjson.zst".into(), "{}\n".into()));
    }),
    ("archived, and no message names it", |evidence| {
        let line = format!("{{\"alert\":\"{}\"}}\n", "0".repeat(64));
        evidence.objects.push(("alerts/dt=2026-11-23/0.ndjson.zst".into(), line));
    }),
    ("is not archived", |evidence| {
        let (_, document) = evidence.documents.iter_mut().find(|(key, _)| key.starts_with("zone/")).unwrap();
        document["lives"]["facts"] = serde_json::json!({ "alerts": [] });
    }),
];

const MESSAGE_DAMAGES: [Damage; 10] = [
    ("0 of 1 alerts were sent", |evidence| {
        evidence.messages.retain(|message| message["alerts"][0]["rule"] != "soap-low");
    }),
    ("invented", |evidence| {
        let mut invented = message(evidence, "soap-low").clone();
        invented["location"]["device"] = "unknown device".into();
        evidence.messages.push(invented);
    }),
    ("2 alerts were sent, at most 1 are expected", |evidence| {
        let mut copy = message(evidence, "soap-low").clone();
        copy["alerts"][0]["id"] = "0".repeat(32).into();
        evidence.messages.push(copy);
    }),
    ("one id for two causes", |evidence| {
        let id = message(evidence, "ammonia-lite")["alerts"][0]["id"].clone();
        message(evidence, "soap-low")["alerts"][0]["id"] = id;
    }),
    ("one id for several readings", |evidence| {
        let reading = message(evidence, "ammonia-lite")["alerts"][0]["reading"].clone();
        let mut copy = message(evidence, "soap-low").clone();
        copy["alerts"][0]["reading"] = reading;
        evidence.messages.push(copy);
    }),
    ("raised by a reading that was not stored", |evidence| {
        message(evidence, "soap-low")["alerts"][0]["reading"] = "0".repeat(64).into();
    }),
    ("left after 60 s", |evidence| {
        message(evidence, "soap-low")[AHEAD_S] = 60.into();
    }),
    ("left after 200 s, and not after 186 s", |evidence| {
        let message = message(evidence, "bin-full");
        message[AHEAD_S] = 200.into();
        let id = message["alerts"][0]["id"].to_string();
        evidence.latest.as_mut().unwrap().outboxes = id;
    }),
    ("left after 7200 s", |evidence| {
        message(evidence, "bin-full")[AHEAD_S] = 7_200.into();
    }),
    ("unexpected message", |evidence| {
        evidence.messages.push(json!({ "kind": "notice", "subject": "[NOTICE] Nothing arrives" }));
    }),
];

const STATE_DAMAGES: [Damage; 5] = [
    ("the state has", |evidence| {
        *few(evidence) = json!({ "total": 1.0, "since": 0, "newest": 0 });
    }),
    ("the state has", |evidence| {
        *few(evidence) = json!({ "total": -1.0, "since": 0, "newest": 0 });
    }),
    ("is not sent", |evidence| {
        evidence.documents.values_mut().next().unwrap()["outbox"] = json!([{}]);
    }),
    ("is still suppressed", |evidence| {
        evidence.documents.values_mut().next().unwrap()["suppressed"] = json!({});
    }),
    ("not processed", |evidence| evidence.unprocessed.push("a message".into())),
];

const RESPONSE_DAMAGES: [Damage; 4] = [
    ("before it was safe", |evidence| evidence.ledger.responses[0].is_safe = false),
    ("response 500", |evidence| evidence.ledger.responses[0].status = Some(500)),
    ("response {", |evidence| {
        let response = evidence.ledger.responses.iter_mut().find(|response| response.status == Some(200)).unwrap();
        response.body["accepted"] = 0.into();
    }),
    // A 400 for a batch.
    ("response 400", |evidence| {
        let response = evidence.ledger.responses.iter_mut().find(|response| response.status == Some(200)).unwrap();
        response.status = Some(400);
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_judge_objects_to_each_kind_of_damage() {
    let undisturbed = undisturbed(RawDelivery::Buffered).await.evidence;
    assert_eq!(judge(&undisturbed), [""; 0]);
    for (what, damage) in STORE_DAMAGES.iter().chain(&MESSAGE_DAMAGES).chain(&STATE_DAMAGES).chain(&RESPONSE_DAMAGES) {
        let mut evidence = undisturbed.clone();
        damage(&mut evidence);
        let objections = judge(&evidence);
        assert!(objections.iter().any(|objection| objection.contains(what)), "{what}: {objections:?}");
    }
    // A message that is sent twice is allowed, and without responses only stored readings cause obligations.
    let mut evidence = undisturbed.clone();
    evidence.messages.extend(undisturbed.messages.clone());
    evidence.ledger.responses.clear();
    assert_eq!(judge(&evidence), [""; 0]);
}
