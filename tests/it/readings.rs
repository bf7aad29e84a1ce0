//! Readings for tests and their alerts. Needs the crate `domain` only.

use jiff::Timestamp;
use serde_json::{Value, json};
use smartclean_push::domain::alert::{Alert, Message};
use smartclean_push::domain::engine::evaluate;
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::ZoneState;

/// The current time of every test.
pub(crate) const NOW: &str = "2026-11-23T10:00:00Z";

/// [`NOW`] as a timestamp.
pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// The vendor's examples: type and text.
pub(crate) fn samples() -> Vec<(String, String)> {
    let folder = crate::support::repository().join("tests/data/samples");
    let mut samples: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    samples.sort();
    samples
}

/// A reading of a device type with these values, at [`NOW`], from a location in Singapore.
pub(crate) fn reading(device_type: &str, values: &Value) -> String {
    reading_with(device_type, values, &json!({}))
}

/// A [`reading`] with further members of the envelope. `null` leaves a member out.
pub(crate) fn reading_with(device_type: &str, values: &Value, envelope: &Value) -> String {
    let mut reading = json!({
        "DevType": format!("SMARTCLEAN#{device_type}"),
        "DEVID": format!("device-{device_type}"),
        "Display": "Washroom 3",
        "PID": "building",
        "InsID": "zone",
        "PropId": "property",
        "Region": "Asia/Singapore",
        "unixT": now().as_millisecond(),
        "v": values,
    });
    for (name, value) in envelope.as_object().unwrap() {
        match value {
            Value::Null => drop(reading.as_object_mut().unwrap().remove(name)),
            value => reading[name] = value.clone(),
        }
    }
    reading.to_string()
}

/// The alerts of a reading, received at [`NOW`], in a zone without state.
pub(crate) fn alerts(rules: &RuleSet, text: &str) -> Vec<Alert> {
    alerts_at(rules, text, now())
}

/// The alerts of a reading, received at `received`, in a zone without state.
pub(crate) fn alerts_at(rules: &RuleSet, text: &str, received: Timestamp) -> Vec<Alert> {
    let reading = Reading::read(text).unwrap();
    let evaluation = evaluate(rules, ZoneState::default(), &[&reading], received, received);
    let raised = evaluation.messages.iter().flat_map(|entry| match &entry.message {
        Message::Firing { alerts, .. } => alerts.clone(),
        other => panic!("{other:?}"),
    });
    raised.collect()
}
