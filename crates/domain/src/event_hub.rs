//! Bodies of Azure Event Hubs' send call as bodies of a push.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json;

/// The body of a single event as a push's body: one reading becomes a batch of one, anything else stays as it is.
#[must_use]
pub fn of_single(body: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(body).map(|text| text.trim_start_matches('\u{feff}')) {
        Ok(text) if text.trim_start().starts_with('{') && json::is_well_formed(text) => {
            Cow::Owned(format!("[{text}]").into_bytes())
        }
        _ => Cow::Borrowed(body),
    }
}

/// The body of a batch of events (`application/vnd.microsoft.servicebus.json`) as a push's body: the items of every
/// event's `Body`, in their order, to the letter. What is no event of that form becomes an item as it stands, and a whole
/// that is no array stays as it is, so that splitting finds and keeps it.
#[must_use]
pub fn of_batch(body: &[u8]) -> Cow<'_, [u8]> {
    #[derive(Deserialize)]
    struct Event<'e> {
        #[serde(borrow, rename = "Body")]
        body: &'e RawValue,
    }
    let text = std::str::from_utf8(body).ok().map(|text| text.trim_start_matches('\u{feff}'));
    let mut items = String::new();
    let events = text.and_then(|text| {
        items.reserve(text.len());
        json::each_element(text, |event| {
            let event = event.as_str();
            // An array would be read as an event's members in their order.
            let read = event.starts_with('{').then(|| serde_json::from_str::<Event<'_>>(event).ok()).flatten();
            match read.map(|event| event.body.get()) {
                Some(sent) => push_body(&mut items, sent),
                None => push(&mut items, event),
            }
        })
        .ok()
    });
    if events.is_none() {
        return Cow::Borrowed(body);
    }
    items.push_str(if items.is_empty() { "[]" } else { "]" });
    Cow::Owned(items.into_bytes())
}

/// Adds what an event holds: the elements of an array, written as text or as it is; anything else is one item, a reading or
/// not, judged like any other.
fn push_body(items: &mut String, sent: &str) {
    let unescaped = serde_json::from_str::<String>(sent).ok();
    let before = items.len();
    if json::each_element(unescaped.as_deref().unwrap_or(sent), |element| push(items, element.as_str())).is_err() {
        items.truncate(before);
        push(items, sent);
    }
}

fn push(items: &mut String, item: &str) {
    items.push(if items.is_empty() { '[' } else { ',' });
    items.push_str(item);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Items;

    fn single(body: &str) -> String {
        String::from_utf8(of_single(body.as_bytes()).into_owned()).unwrap()
    }

    fn batch(body: &str) -> String {
        String::from_utf8(of_batch(body.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn one_reading_is_a_batch_of_one_and_an_array_is_what_it_is() {
        assert_eq!(single(r#"{"t": 1.0}"#), r#"[{"t": 1.0}]"#);
        assert_eq!(single("\u{feff} {}"), "[ {}]", "with a byte order mark, as a batch may have it");
        for same in [r#"["{}"]"#, "[]", "{oops", "7", "", "{} {}"] {
            assert_eq!(single(same), same);
        }
        assert_eq!(of_single(b"\xff{}").as_ref(), b"\xff{}");
    }

    #[test]
    fn every_events_readings_become_items_to_the_letter() {
        let body = r#"[{"Body":"[\"{\\\"a\\\": 1.0}\",{\"b\":2}]","UserProperties":{"x":1}},
                       {"Body":"{\"c\": 3}"},{"Body":{"d":4}},{"Body":["{}"]}]"#;
        let unwrapped = batch(body);
        assert_eq!(unwrapped, r#"["{\"a\": 1.0}",{"b":2},"{\"c\": 3}",{"d":4},"{}"]"#);
        let items = Items::split(unwrapped.as_bytes()).unwrap();
        let texts: Vec<_> = items.read().readings.iter().map(|reading| reading.text.to_owned()).collect();
        assert_eq!(texts, [r#"{"a": 1.0}"#, r#"{"b":2}"#, r#"{"c": 3}"#, r#"{"d":4}"#, "{}"]);
    }

    #[test]
    fn what_is_no_event_is_kept_as_an_item() {
        let unwrapped = batch(r#"[{"Body":"oops"},7,{"DevType":"x"},{"Body":null},"{}","\ud800",["{}"]]"#);
        assert_eq!(unwrapped, r#"["oops",7,{"DevType":"x"},null,"{}","\ud800",["{}"]]"#);
        assert_eq!(Items::split(unwrapped.as_bytes()).unwrap().len(), 7);
    }

    #[test]
    fn what_is_no_batch_stays_as_it_is() {
        for same in ["{}", "[oops", "", "7"] {
            assert_eq!(batch(same), same);
        }
        assert_eq!(batch("[]"), "[]");
        assert_eq!(batch(r#"[{"Body":"[]"}]"#), "[]");
    }
}
