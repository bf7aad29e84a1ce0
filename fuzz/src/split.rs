//! A push's body: every item is accounted for, to the letter, whatever is beside it.

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use smartclean_push::domain::archive::{pack_readings, pack_rejections, unpack, unpack_rejections};
use smartclean_push::domain::batch::{Batch, BatchError, BatchId, Items};

use super::json;

/// What has to become of the items: the texts of those that are readings, and what is kept of each of the others.
type Accounted = (Vec<String>, Vec<(usize, Vec<u8>)>);

pub(super) fn check(body: &[u8]) {
    assert_eq!(BatchId::of(body).to_string(), sha256(body)[..32]);
    let text = std::str::from_utf8(body).map(|text| text.strip_prefix('\u{feff}').unwrap_or(text));
    let elements = text.as_ref().ok().and_then(|text| json::elements(text));
    let is_json = |text| serde_json::from_str::<&RawValue>(text).is_ok();
    match (Items::split(body), text, elements) {
        (Err(BatchError::Utf8(at)), Err(fault), _) => assert_eq!(at, fault.valid_up_to()),
        (Err(BatchError::Shape), Ok(text), None) => assert!(is_json(text), "it is no JSON at all"),
        (Err(BatchError::Json(_)), Ok(text), None) => assert!(!is_json(text), "it is JSON, and no array"),
        (Ok(items), Ok(text), Some(elements)) => {
            assert_eq!((items.len(), items.is_empty()), (elements.len(), elements.is_empty()));
            let batch = items.read();
            assert_eq!(taken(&batch), expected(&elements));
            stored_to_the_letter(&batch);
            pushed_again(&batch, elements.len());
            beside_something_else(text, &batch, elements.len());
        }
        (split, _, elements) => panic!("{:?}, and serde_json: {elements:?}", split.map(|items| items.len())),
    }
}

fn expected(elements: &[&RawValue]) -> Accounted {
    let (mut readings, mut rejections) = (Vec::new(), Vec::new());
    for (index, element) in elements.iter().enumerate() {
        let sent = element.get();
        let text = if sent.starts_with('{') { Some(sent.to_owned()) } else { json::string(element) };
        match text {
            // Well-formed, so that a line break in it is white space, and a line of the stored object has none.
            Some(text) if json::is_object(&text) => readings.push(text.replace(['\n', '\r'], " ")),
            Some(text) => rejections.push((index, text.into_bytes())),
            None => rejections.push((index, sent.as_bytes().to_vec())),
        }
    }
    (readings, rejections)
}

fn taken(batch: &Batch<'_>) -> Accounted {
    let readings = batch.readings.iter().inspect(|reading| {
        assert_eq!(reading.id().to_string(), sha256(reading.text.as_bytes()), "a reading is known by its text");
    });
    let rejections = batch.rejections.iter().map(|rejection| {
        assert!(!rejection.reason.is_empty());
        (rejection.part.index().expect("an item has an index"), rejection.raw.to_vec())
    });
    (readings.map(|reading| reading.text.to_owned()).collect(), rejections.collect())
}

/// What is stored comes back: a line each reading, and each rejection with its place, reason and bytes.
fn stored_to_the_letter(batch: &Batch<'_>) {
    let lines = unpack(&pack_readings(&batch.readings)).expect("what was packed here");
    assert!(lines.lines().eq(batch.readings.iter().map(|reading| reading.text)), "{lines}");
    let lines = unpack(&pack_rejections(&batch.rejections)).expect("what was packed here");
    assert_eq!(lines.lines().count(), batch.rejections.len(), "{lines}");
    assert_eq!(unpack_rejections(&lines), batch.rejections);
}

/// A push that is put together from what is stored has the same items, with the same verdicts.
fn pushed_again(batch: &Batch<'_>, items: usize) {
    let lines = unpack(&pack_rejections(&batch.rejections)).expect("what was packed here");
    let rejections = unpack_rejections(&lines);
    let mut rejected = rejections.iter().peekable();
    let mut texts = batch.readings.iter().map(|reading| serde_json::Value::from(reading.text).to_string());
    let elements = (0..items).filter_map(|index| {
        let rejection = rejected.next_if(|rejection| rejection.part.index() == Some(index));
        rejection.map_or_else(|| texts.next(), smartclean_push::domain::batch::Rejection::element)
    });
    let body = format!("[{}]", elements.collect::<Vec<_>>().join(","));
    let split = Items::split(body.as_bytes()).expect("an array of these items");
    let again = split.read();
    assert_eq!((split.len(), &again.rejections), (items, &batch.rejections));
    assert_eq!(taken(&again), taken(batch));
}

/// The same items come out if there is another one among them.
fn beside_something_else(text: &str, batch: &Batch<'_>, items: usize) {
    let (before, after) = text.rsplit_once(']').expect("an array ends");
    let body = format!("{before}{}7]{after}", if items == 0 { "" } else { "," });
    let split = Items::split(body.as_bytes()).expect("an array with one element more");
    let (readings, mut rejections) = taken(&split.read());
    assert_eq!(rejections.pop(), Some((items, b"7".to_vec())));
    assert_eq!((readings, rejections), taken(batch));
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
