//! Matrix events: a finished cleaning is recognized exactly as by a second, simpler parser, and any event can be pushed.

use serde_json::value::RawValue;
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::response::Response;
use smartclean_push::domain::time::is_plausible;

use super::json::{members, number, string};
use super::world::FuzzApp;

pub(super) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(reading) = Reading::read(text) else { return };
    if let Some(response) = &reading.response {
        assert!(response.at().is_some_and(is_plausible) && !response.zone.trim().is_empty(), "{response:?}");
    }
    if let Some(expected) = naive(text) {
        let done = |response: &Response| Some((response.zone.clone(), response.done?.as_millisecond()));
        let read = reading.response.as_ref().and_then(done);
        assert_eq!(read, expected);
    }
    let response = FuzzApp::new().push(format!("[{text}]"));
    assert_eq!(response["accepted"], 1, "{response}");
}

/// Zone and time of the cleaning of an event. `None` if a part of it is not valid Unicode: only the parser under test accepts an
/// unpaired surrogate.
fn naive(text: &str) -> Option<Option<(String, i64)>> {
    let event = members(text)?;
    let meta = match event.get("Meta") {
        Some(meta) if meta.get().starts_with('{') => members(meta.get())?,
        _ => return Some(None),
    };
    let parts = [event.get("RoutingKey"), meta.get("Zone"), meta.get("AEnd")];
    if parts.iter().flatten().any(|value| value.get().starts_with('"') && string(value).is_none()) {
        return None;
    }
    let [Some(key), Some(zone), Some(end)] = parts else { return Some(None) };
    Some(cleaning(key, zone, end))
}

fn cleaning(key: &RawValue, zone: &RawValue, end: &RawValue) -> Option<(String, i64)> {
    string(key)?.strip_prefix("matrix.")?;
    let zone = match zone.get().as_bytes()[0] {
        b'"' => string(zone).filter(|zone| !zone.trim().is_empty())?,
        b'-' | b'0'..=b'9' => zone.get().to_owned(),
        _ => return None,
    };
    let end = number(end)?;
    let milliseconds = if end.abs() < 1e11 { end * 1000.0 } else { end };
    // From 2015-01-01 to 2100-01-01. The cast truncates; the vendor sends whole seconds.
    let milliseconds = milliseconds as i64;
    (1_420_070_400_000..4_102_444_800_000).contains(&milliseconds).then_some((zone, milliseconds))
}
