//! Bodies of Azure Event Hubs' send call: what they hold becomes items of a push, nothing more and nothing less.

use smartclean_push::domain::batch::Items;
use smartclean_push::domain::event_hub::{of_batch, of_single};

use super::json;

pub(super) fn check(body: &[u8]) {
    let text = std::str::from_utf8(body).ok().map(|text| text.trim_start_matches('\u{feff}'));
    single(body, text);
    batch(body, text);
}

/// One reading is a batch of one; anything else is what it was.
fn single(body: &[u8], text: Option<&str>) {
    let single = of_single(body);
    match text.filter(|text| json::is_object(text)) {
        Some(object) => assert_eq!(items(&single), [object.trim_matches([' ', '\t', '\r', '\n'])]),
        None => assert_eq!(single, body),
    }
}

/// The elements of every event's body, whether that is an array, the text of one, or one reading.
fn batch(body: &[u8], text: Option<&str>) {
    let unwrapped = of_batch(body);
    let Some(events) = text.and_then(json::elements) else {
        assert_eq!(unwrapped, body, "what is no batch stays as it is");
        return;
    };
    let mut expected = Vec::new();
    for event in &events {
        let Some(sent) = json::only_member(event.get(), "Body") else {
            expected.push(event.get().to_owned());
            continue;
        };
        let text = json::string(sent).unwrap_or_else(|| sent.get().to_owned());
        match json::elements(&text) {
            Some(elements) => expected.extend(elements.iter().map(|element| element.get().to_owned())),
            None => expected.push(sent.get().to_owned()),
        }
    }
    assert_eq!(items(&unwrapped), expected);
    assert_eq!(Items::split(&unwrapped).expect("an array").len(), expected.len());
}

fn items(body: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(body).expect("text");
    json::elements(text).expect("an array").iter().map(|element| element.get().to_owned()).collect()
}
