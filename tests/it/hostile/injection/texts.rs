//! Injection into subjects, emails, SMS, and the JSON for programs.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::notify::attributes::Attribute;
use smartclean_push::notify::rendered::Rendered;

use super::{ANY_TYPE, FIELDS, assert_plain, feedback, payloads};
use crate::support::{TestApp, body, now, push_to};

/// Largest state of a zone with one device and one pending message, in bytes: names of 120 characters in each alert.
const MAX_STATE_SIZE: usize = 16 * 1024;

static RULES: LazyLock<RuleSet> = LazyLock::new(|| RuleSet::parse("rules.toml", ANY_TYPE).unwrap());

/// The size of the largest state document, in bytes.
fn largest_document(app: &TestApp) -> usize {
    app.state.documents().into_values().map(|document| document.body.len()).max().unwrap_or_default()
}

/// The messages after a reading with these fields, and the size of the state.
async fn sent(fields: &[(&str, &str)]) -> (Vec<Rendered>, usize) {
    let app = TestApp::with_rules(RULES.clone());
    let outcome = push_to(app.ingest(), body(&[feedback(now(), fields)]), now()).await.unwrap();
    assert!(outcome.accepted == 1 && outcome.evaluated);
    (app.publisher.sent(), largest_document(&app))
}

/// The names of all members at any depth.
fn members(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            let path = format!("{path}.{name}");
            members(value, &path, found);
            found.insert(path);
        }),
        Value::Array(items) => items.iter().for_each(|item| members(item, &format!("{path}[]"), found)),
        _ => {}
    }
}

fn shape(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    members(&serde_json::from_str(text).unwrap(), "", &mut found);
    found
}

/// The labels of an email, in order.
fn labels(email: &str) -> Vec<&str> {
    let labels = [
        "Where: ",
        "When: ",
        "Device: ",
        "Device id: ",
        "Zone id: ",
        "Site id: ",
        "Property id: ",
        "Alert id: ",
        "Rule: ",
        "Rules: ",
        "- ",
    ];
    email.lines().filter_map(|line| labels.into_iter().find(|label| line.starts_with(label))).collect()
}

fn assert_neutral(message: &Rendered, plain: &Rendered, what: &str) {
    for text in [&message.id, &message.subject, &message.ascii_subject, &message.default, &message.sms] {
        assert_plain(text, what);
    }
    for subject in [&message.subject, &message.ascii_subject] {
        assert!(subject.encode_utf16().count() < 100 && !subject.trim().is_empty(), "{what}: {subject:?}");
    }
    assert!(message.ascii_subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{what}");
    assert!(message.subject.starts_with("[HIGH] ") || message.subject.starts_with("[MEDIUM] "), "{what}");
    message.email.split('\n').for_each(|line| assert_plain(line, what));
    // An id that is too long is omitted.
    let mut expected = labels(&plain.email).into_iter();
    assert!(
        labels(&message.email).into_iter().all(|label| expected.any(|other| other == label)),
        "{what}: {}",
        message.email
    );
    // Lines may wrap differently, but no value starts a line.
    for line in message.email.lines() {
        assert!(!line.starts_with("X-Evil") && !line.starts_with("ALERT") && !line.starts_with("2026-01"), "{what}");
    }
    let (may_lack, has) = (shape(&plain.json), shape(&message.json));
    assert!(has.is_subset(&may_lack), "{what}: {:?}", has.difference(&may_lack));
    let sns = message.sns_message();
    assert_eq!(shape(&sns), shape(&plain.sns_message()), "{what}");
    let record = message.record().to_string();
    assert!(!record.contains(['\n', '\r']), "{what}: a record is a line");
    for (name, value) in &message.attributes {
        let values = match value {
            Attribute::One(value) => std::slice::from_ref(value),
            Attribute::Many(values) => values,
        };
        for value in values {
            assert_plain(value, what);
            assert!(!value.is_empty() && value.chars().count() <= 120, "{what}: {name}");
        }
    }
    assert!(sns.len() <= 160 * 1024 && message.email.len() < 24 * 1024, "{what}: {} bytes", sns.len());
}

#[tokio::test]
async fn a_field_adds_only_its_own_value_to_a_message() {
    let (plain, _) = sent(&[("DevType", "ACME#FD")]).await;
    let (documented, _) = sent(&[]).await;
    assert!(!plain.is_empty() && !documented.is_empty());
    for (attempt, payload) in payloads() {
        for field in FIELDS {
            let what = format!("{attempt} as {field}");
            let (messages, size) = sent(&[(field, &payload)]).await;
            assert!(size < MAX_STATE_SIZE, "{what}: a state document of {size} bytes");
            let plain = if field == "DevType" { &plain } else { &documented };
            assert_eq!(messages.len(), plain.len(), "{what}");
            for (message, plain) in messages.iter().zip(plain) {
                assert_neutral(message, plain, &what);
            }
        }
    }
}

#[tokio::test]
async fn all_fields_together_add_only_their_values() {
    let (plain, _) = sent(&[]).await;
    for (attempt, payload) in payloads() {
        let fields: Vec<(&str, &str)> =
            FIELDS.iter().filter(|field| **field != "DevType").map(|field| (*field, payload.as_str())).collect();
        let (messages, size) = sent(&fields).await;
        assert!(size < MAX_STATE_SIZE, "{attempt}: a state document of {size} bytes");
        for (message, plain) in messages.iter().zip(&plain) {
            assert_neutral(message, plain, attempt);
        }
    }
}

#[tokio::test]
async fn a_plain_value_is_unchanged() {
    for name in
        ["Ladies L3", "三楼女厕 – L3", "Gents \"Café\" & Bar <2>", "حمام ٣", "👩\u{200d}🔧 Room", "O'Hara = A+B"]
    {
        let (messages, _) = sent(&[("Display", name)]).await;
        assert!(
            messages[0].subject.ends_with(name) && messages[0].email.contains(&format!("Where: {name}\n")),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_thousand_reasons_are_shortened_in_messages_and_in_state() {
    let mut reading: Value = serde_json::from_str(&feedback(now(), &[])).unwrap();
    for number in 0..1_000 {
        reading["v"]["reasons"][format!("ID_{number}")] =
            serde_json::json!({"Name": format!("{number} {}", "x".repeat(100))});
    }
    let app = TestApp::new();
    push_to(app.ingest(), body(&[reading.to_string()]), now()).await.unwrap();
    let largest = largest_document(&app);
    assert!((1..MAX_STATE_SIZE).contains(&largest), "a document of {largest} bytes");
    assert_eq!(app.publisher.sent().len(), 1);
}

#[tokio::test]
async fn unpaired_surrogates_in_a_field_become_a_replacement_character() {
    let text = feedback(now(), &[("Display", "HERE")]).replace("HERE", "a\\ud800b\\udc00c");
    let app = TestApp::new();
    let outcome = push_to(app.ingest(), body(&[text]), now()).await.unwrap();
    assert_eq!((outcome.accepted, outcome.rejected), (1, 0));
    assert!(app.subjects()[0].contains("a\u{fffd}"), "{}", app.subjects()[0]);
}
