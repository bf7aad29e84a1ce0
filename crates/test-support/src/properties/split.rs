//! The body of a push: every item becomes a reading or a rejection, byte for byte, whatever the other items are.

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use smartclean_push::domain::archive::{pack_readings, pack_rejections, unpack, unpack_rejections};
use smartclean_push::domain::batch::{Batch, BatchError, BatchId, Items};

use super::json;

/// The texts of the readings, and index and bytes of each rejection.
type SplitItems = (Vec<String>, Vec<(usize, Vec<u8>)>);

pub(super) fn check(body: &[u8]) {
    assert_eq!(BatchId::of(body).to_string(), sha256(body)[..32]);
    let text = std::str::from_utf8(body).map(|text| text.strip_prefix('\u{feff}').unwrap_or(text));
    let elements = text.as_ref().ok().and_then(|text| json::elements(text));
    let is_json = |text| serde_json::from_str::<&RawValue>(text).is_ok();
    match (Items::split(body), text, elements) {
        (Err(BatchError::Utf8(at)), Err(error), _) => assert_eq!(at, error.valid_up_to()),
        (Err(BatchError::Shape), Ok(text), None) => assert!(is_json(text), "the body is not JSON"),
        (Err(BatchError::Json(_)), Ok(text), None) => assert!(!is_json(text), "the body is JSON, but not an array"),
        (Ok(items), Ok(text), Some(elements)) => {
            assert_eq!((items.len(), items.is_empty()), (elements.len(), elements.is_empty()));
            let batch = items.read();
            assert_eq!(items_of(&batch), expected(&elements));
            is_restored(&batch);
            can_be_rebuilt(&batch, elements.len());
            is_independent(text, &batch, elements.len());
        }
        (split, _, elements) => panic!("{:?}, and serde_json: {elements:?}", split.map(|items| items.len())),
    }
}

fn expected(elements: &[&RawValue]) -> SplitItems {
    let (mut readings, mut rejections) = (Vec::new(), Vec::new());
    for (index, element) in elements.iter().enumerate() {
        let sent = element.get();
        let text = if sent.starts_with('{') { Some(sent.to_owned()) } else { json::string(element) };
        match text {
            // In well-formed JSON, a line break is white space; a line of the stored object has none.
            Some(text) if json::is_object(&text) => readings.push(text.replace(['\n', '\r'], " ")),
            Some(text) => rejections.push((index, text.into_bytes())),
            None => rejections.push((index, sent.as_bytes().to_vec())),
        }
    }
    (readings, rejections)
}

fn items_of(batch: &Batch<'_>) -> SplitItems {
    let readings = batch.readings.iter().inspect(|reading| {
        assert_eq!(reading.id().to_string(), sha256(reading.text.as_bytes()), "the id is the digest of the text");
    });
    let rejections = batch.rejections.iter().map(|rejection| {
        assert!(!rejection.reason.is_empty());
        (rejection.part.index().expect("an item has an index"), rejection.raw.to_vec())
    });
    (readings.map(|reading| reading.text.to_owned()).collect(), rejections.collect())
}

/// Stored objects restore a line per reading, and each rejection with its index, reason and bytes.
fn is_restored(batch: &Batch<'_>) {
    let lines = unpack(&pack_readings(&batch.readings)).expect("it was packed above");
    assert!(lines.lines().eq(batch.readings.iter().map(|reading| reading.text)), "{lines}");
    let lines = unpack(&pack_rejections(&batch.rejections)).expect("it was packed above");
    assert_eq!(lines.lines().count(), batch.rejections.len(), "{lines}");
    assert_eq!(unpack_rejections(&lines), batch.rejections);
}

/// A push that is rebuilt from the stored objects has the same readings and rejections.
fn can_be_rebuilt(batch: &Batch<'_>, items: usize) {
    let lines = unpack(&pack_rejections(&batch.rejections)).expect("it was packed above");
    let rejections = unpack_rejections(&lines);
    let mut rejected = rejections.iter().peekable();
    let mut texts = batch.readings.iter().map(|reading| serde_json::Value::from(reading.text).to_string());
    let elements = (0..items).filter_map(|index| {
        let rejection = rejected.next_if(|rejection| rejection.part.index() == Some(index));
        rejection.map_or_else(|| texts.next(), smartclean_push::domain::batch::Rejection::element)
    });
    let body = format!("[{}]", elements.collect::<Vec<_>>().join(","));
    let split = Items::split(body.as_bytes()).expect("an array of these items");
    let rebuilt = split.read();
    assert_eq!((split.len(), &rebuilt.rejections), (items, &batch.rejections));
    assert_eq!(items_of(&rebuilt), items_of(batch));
}

/// An additional item changes no other one.
fn is_independent(text: &str, batch: &Batch<'_>, items: usize) {
    let (before, after) = text.rsplit_once(']').expect("an array ends");
    let body = format!("{before}{}7]{after}", if items == 0 { "" } else { "," });
    let split = Items::split(body.as_bytes()).expect("an array with one element more");
    let (readings, mut rejections) = items_of(&split.read());
    assert_eq!(rejections.pop(), Some((items, b"7".to_vec())));
    assert_eq!((readings, rejections), items_of(batch));
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
