//! One item: it is a reading exactly where it is one JSON object, what is read of it is what stands there, and the rules
//! judge it without a fault.

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
    // A member has five bytes at least: a longer text may have more of them than are read.
    if text.len() > 5 * MOST_MEMBERS {
        return;
    }
    let read = Reading::read(text);
    assert_eq!(read.is_ok(), json::is_object(text), "{:?}", read.err().map(|fault| fault.to_string()));
    let Ok(reading) = read else { return };
    assert_eq!((reading.text, reading.id().to_string()), (text, sha256(data)));
    assert!(reading.time.is_none_or(is_plausible), "{:?}", reading.time);
    numbers(&reading);
    names(&reading, text);
    judged(&reading);
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

/// The envelope's names, where every name and text in it is Unicode text.
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
        let Some(shown) = presentable(name) else { continue };
        assert!(
            !shown.is_empty() && shown.chars().count() <= 120 && !shown.chars().any(limits::is_command),
            "{shown:?}"
        );
        assert_eq!(presentable(&shown).as_deref(), Some(&*shown), "once is enough");
    }
}

/// What a value says as a word; an error where it holds an unpaired surrogate.
fn word(value: &RawValue) -> Result<Option<String>, ()> {
    let word = match value.get().as_bytes()[0] {
        b'"' => json::string(value).ok_or(())?,
        b'-' | b'0'..=b'9' => value.get().to_owned(),
        _ => return Ok(None),
    };
    Ok(Some(word).filter(|word| !word.trim().is_empty()))
}

/// It is judged, its state survives being written down, and judged again it changes nothing.
fn judged(reading: &Reading<'_>) {
    let evaluation = evaluate(pack(), ZoneState::default(), &[reading], now(), now());
    for entry in &evaluation.messages {
        limits::check(&smartclean_push::notify::render::render(&entry.message));
    }
    let written = serde_json::to_string(&evaluation.state).expect("JSON");
    let state: ZoneState = serde_json::from_str(&written).expect("what was written here");
    assert_eq!(serde_json::to_string(&state).expect("JSON"), written);
    let again = evaluate(pack(), state, &[reading], now(), now());
    assert_eq!((again.stats.alerts, again.messages.len()), (0, 0), "judged again, it changes nothing");
}
