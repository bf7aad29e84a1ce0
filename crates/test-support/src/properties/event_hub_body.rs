//! Bodies of the send call of Azure Event Hubs: their content becomes the items of a push, exactly.

use smartclean_push::domain::batch::Items;
use smartclean_push::domain::event_hub::{of_batch, of_single};

use super::json;

pub(super) fn check(body: &[u8]) {
    let text = std::str::from_utf8(body).ok().map(|text| text.trim_start_matches('\u{feff}'));
    single(body, text);
    batch(body, text);
}

/// One reading becomes a batch of one; any other body is unchanged.
fn single(body: &[u8], text: Option<&str>) {
    let single = of_single(body);
    match text.filter(|text| json::is_object(text)) {
        Some(object) => assert_eq!(items(&single), [object.trim_matches([' ', '\t', '\r', '\n'])]),
        None => assert_eq!(single, body),
    }
}

/// The elements of all event bodies. A body is an array, the text of one, or one reading.
fn batch(body: &[u8], text: Option<&str>) {
    let unwrapped = of_batch(body);
    let Some(events) = text.and_then(json::elements) else {
        assert_eq!(unwrapped, body, "a body that is not a batch is unchanged");
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
