//! The judge is shown evidence that something is wrong with, and objects.

use serde_json::{Value, json};

use crate::oracle::function::undisturbed;
use crate::oracle::judge::{Evidence, judge};

/// What is done to evidence, and what the judge has to say of it.
type Damage = (&'static str, fn(&mut Evidence));

/// The first object below `folder`.
fn key(evidence: &Evidence, folder: &str) -> String {
    evidence.objects.keys().find(|key| key.starts_with(folder)).unwrap().clone()
}

/// The first message that tells of an alert of `rule`.
fn message<'e>(evidence: &'e mut Evidence, rule: &str) -> &'e mut Value {
    evidence.messages.iter_mut().find(|message| message["alerts"][0]["rule"] == rule).unwrap()
}

/// What is remembered of the zone whose people are few.
fn few(evidence: &mut Evidence) -> &mut Value {
    let (key, document) =
        evidence.documents.iter_mut().find(|(key, _)| key.starts_with("zone/") && key.ends_with(" few")).unwrap();
    let device = format!("UM of {}", key.rsplit('/').next().unwrap());
    &mut document["rule_states"]["high-usage"][device]["merged"]
}

const OF_THE_STORE: [Damage; 6] = [
    ("its readings are not stored", |evidence| {
        let key = key(evidence, "raw");
        evidence.objects.remove(&key);
    }),
    ("what was rejected is not kept", |evidence| {
        let key = key(evidence, "rejected");
        evidence.objects.remove(&key);
    }),
    ("stored 2 times", |evidence| {
        let key = key(evidence, "raw");
        let again = key.replace("raw/", "raw-undated/");
        evidence.objects.insert(again, evidence.objects[&key].clone());
    }),
    ("stored otherwise than it was sent", |evidence| {
        let key = key(evidence, "raw");
        let text = evidence.objects.get_mut(&key).unwrap();
        *text = text.lines().skip(1).map(|line| format!("{line}\n")).collect();
    }),
    ("rejected otherwise than it was sent", |evidence| {
        let key = key(evidence, "rejected");
        let text = evidence.objects.get_mut(&key).unwrap();
        *text = text.replace("undisturbed", "disturbed");
    }),
    ("nobody has sent that", |evidence| {
        evidence.objects.insert("raw/dt=2026-11-23/hh=10/0.ndjson.zst".into(), "{}\n".into());
    }),
];

const OF_MESSAGES: [Damage; 7] = [
    ("0 of 1 alerts were sent", |evidence| {
        evidence.messages.retain(|message| message["alerts"][0]["rule"] != "soap-low");
    }),
    ("invented", |evidence| {
        let mut invented = message(evidence, "soap-low").clone();
        invented["location"]["device"] = "a device that nobody knows".into();
        evidence.messages.push(invented);
    }),
    ("2 alerts were sent where 1 are due", |evidence| {
        let mut again = message(evidence, "soap-low").clone();
        again["alerts"][0]["id"] = "0".repeat(32).into();
        evidence.messages.push(again);
    }),
    ("one id for two causes", |evidence| {
        let id = message(evidence, "ammonia-lite")["alerts"][0]["id"].clone();
        message(evidence, "soap-low")["alerts"][0]["id"] = id;
    }),
    ("one id for several readings", |evidence| {
        let reading = message(evidence, "ammonia-lite")["alerts"][0]["reading"].clone();
        let mut again = message(evidence, "soap-low").clone();
        again["alerts"][0]["reading"] = reading;
        evidence.messages.push(again);
    }),
    ("raised by a reading that was not stored", |evidence| {
        message(evidence, "soap-low")["alerts"][0]["reading"] = "0".repeat(64).into();
    }),
    ("a message that nobody expects", |evidence| {
        evidence.messages.push(json!({ "kind": "notice", "subject": "[NOTICE] Nothing arrives" }));
    }),
];

const OF_THE_STATE: [Damage; 5] = [
    ("people are remembered", |evidence| {
        *few(evidence) = json!({ "total": 1.0, "since": 0, "newest": 0 });
    }),
    ("people are remembered", |evidence| {
        *few(evidence) = json!({ "total": -1.0, "since": 0, "newest": 0 });
    }),
    ("is still to be sent", |evidence| {
        evidence.documents.values_mut().next().unwrap()["outbox"] = json!([{}]);
    }),
    ("is still suppressed", |evidence| {
        evidence.documents.values_mut().next().unwrap()["suppressed"] = json!({});
    }),
    ("nobody could do this", |evidence| evidence.undone.push("a message".into())),
];

const OF_ANSWERS: [Damage; 4] = [
    ("before it was safe", |evidence| evidence.ledger.answers[0].is_safe = false),
    ("answered 500", |evidence| evidence.ledger.answers[0].status = Some(500)),
    ("answered {", |evidence| {
        let answer = evidence.ledger.answers.iter_mut().find(|answer| answer.status == Some(200)).unwrap();
        answer.body["accepted"] = 0.into();
    }),
    // A 2xx for what is no batch, and a 400 for what is one.
    ("answered 400", |evidence| {
        let answer = evidence.ledger.answers.iter_mut().find(|answer| answer.status == Some(200)).unwrap();
        answer.status = Some(400);
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_that_something_is_wrong_with_is_objected_to() {
    let undisturbed = undisturbed().await.evidence;
    assert_eq!(judge(&undisturbed), [""; 0]);
    for (what, damage) in OF_THE_STORE.iter().chain(&OF_MESSAGES).chain(&OF_THE_STATE).chain(&OF_ANSWERS) {
        let mut evidence = undisturbed.clone();
        damage(&mut evidence);
        let objections = judge(&evidence);
        assert!(objections.iter().any(|objection| objection.contains(what)), "{what}: {objections:?}");
    }
    // Said twice is as good as said once; and who has not answered owes nothing but what it has stored.
    let mut evidence = undisturbed.clone();
    evidence.messages.extend(undisturbed.messages.clone());
    evidence.ledger.answers.clear();
    assert_eq!(judge(&evidence), [""; 0]);
}
