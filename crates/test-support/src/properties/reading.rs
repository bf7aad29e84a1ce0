//! One item: it is a reading if and only if it is one JSON object, its parsed values are those of the text, and the rules evaluate
//! it without a panic.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use smartclean_push::domain::display::presentable;
use smartclean_push::domain::engine::evaluate;
use smartclean_push::domain::reading::MOST_MEMBERS;
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::state::ZoneState;
use smartclean_push::domain::time::is_plausible;

use super::world::{now, pack};
use super::{json, limits, split::sha256};

pub(super) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A member has at least five bytes: a longer text may have more members than the parser accepts.
    if text.len() > 5 * MOST_MEMBERS {
        return;
    }
    let read = Reading::read(text);
    assert_eq!(read.is_ok(), json::is_object(text), "{:?}", read.err().map(|error| error.to_string()));
    let Ok(reading) = read else { return };
    assert_eq!((reading.text, reading.id().to_string()), (text, sha256(data)));
    assert!(reading.time.is_none_or(is_plausible), "{:?}", reading.time);
    numbers(&reading);
    names(&reading, text);
    evaluates(&reading);
}

fn numbers(reading: &Reading<'_>) {
    let metrics = reading.metrics();
    assert!(metrics.iter().all(|(_, value)| value.is_finite()), "{metrics:?}");
    let names: BTreeSet<_> = metrics.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), metrics.len(), "each once: {metrics:?}");
    if let Some(known) = reading.device_type() {
        for metric in known.metrics {
            let sent = metrics.iter().find(|(name, _)| name == metric.key).map(|(_, value)| *value);
            let plausible = sent.filter(|value| metric.plausible.contains(value));
            assert_eq!(reading.metric(metric.key).map(|quantity| quantity.value), plausible, "{}", metric.key);
        }
    }
    let reasons = reading.reasons();
    assert!(reasons.iter().all(|reason| !reason.is_empty() && reason.trim() == reason), "{reasons:?}");
    assert_eq!(reasons.iter().collect::<BTreeSet<_>>().len(), reasons.len(), "each once: {reasons:?}");
}

/// The names in the envelope, if all of its texts are valid Unicode.
fn names(reading: &Reading<'_>, text: &str) {
    let Some(members) = json::members(text) else { return };
    let word = |name: &str| members.get(name).map_or(Ok(None), |value| word(value));
    let source = &reading.source;
    for (name, read) in [
        ("Display", &source.display),
        ("InsID", &source.zone),
        ("PID", &source.project),
        ("PropId", &source.property),
        ("Region", &source.region),
    ] {
        if let Ok(sent) = word(name) {
            assert_eq!(read.as_deref(), sent.as_deref(), "{name}");
        }
    }
    if let (Ok(slot), Ok(id), Ok(physical)) = (word("DEVID"), word("ID"), word("DASSOC")) {
        assert_eq!(source.device.as_deref(), slot.or(id).or(physical).as_deref());
    }
    if let Ok(sent) = word("DevType") {
        let sent = sent.unwrap_or_default();
        assert_eq!(source.device_type, sent.trim().strip_prefix("SMARTCLEAN#").unwrap_or(sent.trim()));
    }
    for name in [&source.display, &source.device, &source.zone].into_iter().flatten() {
        let Some(displayed) = presentable(name) else { continue };
        assert!(
            !displayed.is_empty() && displayed.chars().count() <= 120 && !displayed.chars().any(limits::is_command),
            "{displayed:?}"
        );
        assert_eq!(presentable(&displayed).as_deref(), Some(&*displayed), "presentable twice changes nothing");
    }
}

/// A value as a word; an error if it has an unpaired surrogate.
fn word(value: &RawValue) -> Result<Option<String>, ()> {
    let word = match value.get().as_bytes()[0] {
        b'"' => json::string(value).ok_or(())?,
        b'-' | b'0'..=b'9' => value.get().to_owned(),
        _ => return Ok(None),
    };
    Ok(Some(word).filter(|word| !word.trim().is_empty()))
}

/// The state survives serialization, and a second evaluation changes nothing.
fn evaluates(reading: &Reading<'_>) {
    let evaluation = evaluate(pack(), ZoneState::default(), &[reading], now(), now());
    for entry in &evaluation.messages {
        limits::check(&smartclean_push::notify::render::Renderer::default().render(&entry.message));
    }
    let written = serde_json::to_string(&evaluation.state).expect("JSON");
    let state: ZoneState = serde_json::from_str(&written).expect("the text was serialized above");
    assert_eq!(serde_json::to_string(&state).expect("JSON"), written);
    let repeated = evaluate(pack(), state, &[reading], now(), now());
    assert_eq!((repeated.stats.alerts, repeated.messages.len()), (0, 0), "a second evaluation changes nothing");
}
