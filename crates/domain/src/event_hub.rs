//! Converts bodies of Azure Event Hubs' send call into bodies of a push.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json;

/// Converts the body of a single event: a JSON object becomes a batch of one. Other bodies stay unchanged.
#[must_use]
pub fn of_single(body: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(body).map(|text| text.trim_start_matches('\u{feff}')) {
        Ok(text) if text.trim_start().starts_with('{') && json::is_well_formed(text) => {
            Cow::Owned(format!("[{text}]").into_bytes())
        }
        _ => Cow::Borrowed(body),
    }
}

/// Converts the body of a batch of events (`application/vnd.microsoft.servicebus.json`): the batch has the items of each event's
/// `Body`, unchanged and in order. An element that is not such an event becomes an item. A body that is not an array stays
/// unchanged: [`Items::split`](super::batch::Items::split) rejects it.
#[must_use]
pub fn of_batch(body: &[u8]) -> Cow<'_, [u8]> {
    #[derive(Deserialize)]
    struct Event<'e> {
        #[serde(borrow, rename = "Body")]
        body: &'e RawValue,
    }
    let text = std::str::from_utf8(body).ok().map(|text| text.trim_start_matches('\u{feff}'));
    let mut items = String::new();
    let events = text.filter(|text| json::is_well_formed(text)).and_then(|text| {
        items.reserve(text.len());
        json::each_item(text, ['[', ']'], |cursor| {
            let event = cursor.value()?.as_str();
            // Serde would also read an array as the members of an event.
            let parsed = event.starts_with('{').then(|| serde_json::from_str::<Event<'_>>(event).ok()).flatten();
            match parsed.map(|event| event.body.get()) {
                Some(sent) => push_body(&mut items, sent),
                None => push(&mut items, event),
            }
            Some(())
        })
    });
    if events.is_none() {
        return Cow::Borrowed(body);
    }
    items.push_str(if items.is_empty() { "[]" } else { "]" });
    Cow::Owned(items.into_bytes())
}

/// Adds the body of an event: the elements of an array, which can be JSON in a string, or one item.
fn push_body(items: &mut String, sent: &str) {
    let unescaped = serde_json::from_str::<String>(sent).ok();
    let elements = unescaped.as_deref().unwrap_or(sent);
    let pushed = json::is_well_formed(elements).then_some(()).and_then(|()| {
        json::each_item(elements, ['[', ']'], |cursor| {
            push(items, cursor.value()?.as_str());
            Some(())
        })
    });
    if pushed.is_none() {
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
    fn an_object_is_a_batch_of_one_and_an_array_stays_unchanged() {
        assert_eq!(single(r#"{"t": 1.0}"#), r#"[{"t": 1.0}]"#);
        assert_eq!(single("\u{feff} {}"), "[ {}]", "with a byte order mark");
        for same in [r#"["{}"]"#, "[]", "{oops", "7", "", "{} {}"] {
            assert_eq!(single(same), same);
        }
        assert_eq!(of_single(b"\xff{}").as_ref(), b"\xff{}");
    }

    #[test]
    fn the_readings_of_every_event_become_items_unchanged() {
        let body = r#"[{"Body":"[\"{\\\"a\\\": 1.0}\",{\"b\":2}]","UserProperties":{"x":1}},
                       {"Body":"{\"c\": 3}"},{"Body":{"d":4}},{"Body":["{}"]}]"#;
        let unwrapped = batch(body);
        assert_eq!(unwrapped, r#"["{\"a\": 1.0}",{"b":2},"{\"c\": 3}",{"d":4},"{}"]"#);
        let items = Items::split(unwrapped.as_bytes()).unwrap();
        let texts: Vec<_> = items.read().readings.iter().map(|reading| reading.text.to_owned()).collect();
        assert_eq!(texts, [r#"{"a": 1.0}"#, r#"{"b":2}"#, r#"{"c": 3}"#, r#"{"d":4}"#, "{}"]);
    }

    #[test]
    fn an_element_that_is_no_event_becomes_an_item() {
        let unwrapped = batch(r#"[{"Body":"oops"},7,{"DevType":"x"},{"Body":null},"{}","\ud800",["{}"]]"#);
        assert_eq!(unwrapped, r#"["oops",7,{"DevType":"x"},null,"{}","\ud800",["{}"]]"#);
        assert_eq!(Items::split(unwrapped.as_bytes()).unwrap().len(), 7);
        let both = r#"[{"Body":1,"Body":2}]"#;
        assert_eq!(batch(both), both, "neither is lost");
    }

    #[test]
    fn a_body_that_is_no_batch_stays_unchanged() {
        for same in ["{}", "[oops", "", "7"] {
            assert_eq!(batch(same), same);
        }
        assert_eq!(batch("[]"), "[]");
        assert_eq!(batch(r#"[{"Body":"[]"}]"#), "[]");
    }
}
