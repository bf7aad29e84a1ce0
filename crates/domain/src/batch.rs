//! Splits the body of a push into readings and rejections.
//!
//! Partial success is a value: a malformed item does not affect the others. Only a body that is not a JSON array is an error.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use memchr::memchr2;
use serde::de::IgnoredAny;

use super::digest::Digest;
use super::json::{self, Cursor};
use super::reading::Reading;

/// Most items of a batch. An item needs a hundred times the memory of the shortest one, `{}`. The largest body, 64 MiB, holds
/// fewer of the vendor's smallest example, which has 347 bytes.
pub const MOST_ITEMS: usize = 200_000;

/// Most members of `v` in all readings of a batch: ten for each of [`MOST_ITEMS`], in 80 MB of memory. The largest body could hold
/// 13 million.
pub const MOST_VALUES: usize = 2_000_000;

/// The id of a batch: the SHA-256 of its decoded body. Prints as the first 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(Digest);

impl BatchId {
    /// The id of a decoded body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self(Digest::of(body))
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.32}", self.0)
    }
}

/// Why a body is not a batch. A retry does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The content encoding does not decode.
    #[error("the body does not decode: {0}")]
    Encoding(String),
    /// The body is not UTF-8. The offset is of the first invalid byte.
    #[error("the body is not UTF-8: a wrong byte at offset {0}")]
    Utf8(usize),
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    Json(String),
    /// The body is JSON, but not an array.
    #[error("the body is JSON, but not an array")]
    Shape,
    /// The body has more items than [`MOST_ITEMS`].
    #[error("the body has more than {MOST_ITEMS} items")]
    TooMany,
}

/// An item that is not a reading, or a whole body that is not a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection<'a> {
    /// The part of the push in `raw`.
    pub part: RejectedPart,
    /// Why it was rejected; for the operator, never for the client.
    pub reason: String,
    /// The bytes as received.
    pub raw: Cow<'a, [u8]>,
}

/// The part of a push that a rejection holds. An index counts from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedPart {
    /// The unescaped text of an item that was a JSON string.
    String(usize),
    /// The JSON of an item that was no string, or a string that is not Unicode text.
    Json(usize),
    /// The whole decoded body.
    Body,
    /// The whole body in gzip, because it did not decode.
    Gzip,
}

impl RejectedPart {
    /// The index of the item in the batch; `None` for a whole body.
    #[must_use]
    pub fn index(self) -> Option<usize> {
        match self {
            Self::String(index) | Self::Json(index) => Some(index),
            Self::Body | Self::Gzip => None,
        }
    }
}

impl Rejection<'_> {
    /// The item as a JSON element of another push; `None` for a whole body.
    #[must_use]
    pub fn element(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.raw);
        match self.part {
            RejectedPart::String(_) => Some(serde_json::Value::from(text).to_string()),
            RejectedPart::Json(_) => Some(text.into_owned()),
            RejectedPart::Body | RejectedPart::Gzip => None,
        }
    }
}

/// The items of a body, unescaped into one text.
///
/// The text of an item is unchanged except for line breaks, which JSON allows only between tokens: each becomes a space, so that a
/// reading is one line.
///
/// # Examples
/// ```
/// use domain::batch::Items;
///
/// let items = Items::split(br#"["{\"DevType\":\"UM\"}", 7]"#)?;
/// let batch = items.read();
/// assert_eq!(batch.readings[0].text, r#"{"DevType":"UM"}"#);
/// assert_eq!(batch.rejections[0].reason, "neither a string nor an object");
/// # Ok::<(), domain::batch::BatchError>(())
/// ```
#[derive(Debug, Default)]
pub struct Items<'b> {
    texts: String,
    items: Vec<AcceptedItem>,
    rejections: Vec<Rejection<'b>>,
}

#[derive(Debug)]
struct AcceptedItem {
    part: RejectedPart,
    /// The range of its text in `Items::texts`.
    text: Range<usize>,
}

/// The readings and rejections of a push, in their order.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The well-formed items.
    pub readings: Vec<Reading<'a>>,
    /// The malformed items.
    pub rejections: Vec<Rejection<'a>>,
}

impl<'b> Items<'b> {
    /// Splits a decoded body into its items. Ignores a byte order mark, as RFC 8259 §8.1 allows.
    ///
    /// # Errors
    /// [`BatchError`] if the body is not a JSON array in UTF-8. A retry does not help.
    pub fn split(body: &'b [u8]) -> Result<Self, BatchError> {
        let text = std::str::from_utf8(body).map_err(|error| BatchError::Utf8(error.valid_up_to()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut items = Self::default();
        let (mut texts, mut end) = (vec![0; text.len()], 0);
        let walked = json::each_item(text, ['[', ']'], |cursor| {
            end = items.push(cursor, &mut texts, end)?;
            (items.len() <= MOST_ITEMS).then_some(())
        });
        if walked.is_some() {
            texts.truncate(end);
            items.texts =
                String::from_utf8(texts).map_err(|error| BatchError::Utf8(error.utf8_error().valid_up_to()))?;
            return Ok(items);
        }
        match serde_json::from_str::<IgnoredAny>(text) {
            _ if items.len() > MOST_ITEMS => Err(BatchError::TooMany),
            Ok(_) => Err(BatchError::Shape),
            Err(error) => Err(BatchError::Json(error.to_string())),
        }
    }

    /// The number of items, with malformed ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len() + self.rejections.len()
    }

    /// Whether the body is the empty array.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Parses each item.
    #[must_use]
    pub fn read(&self) -> Batch<'_> {
        let mut batch = Batch { readings: Vec::with_capacity(self.items.len()), rejections: self.rejections.clone() };
        let mut values = 0;
        for item in &self.items {
            let text = &self.texts[item.text.clone()];
            let reason = match Reading::read(text) {
                Ok(reading) if values + reading.value_count() <= MOST_VALUES => {
                    values += reading.value_count();
                    batch.readings.push(reading);
                    continue;
                }
                Ok(_) => format!("more than {MOST_VALUES} values in one batch: send fewer readings at a time"),
                Err(error) => error.to_string(),
            };
            let raw = Cow::Borrowed(text.as_bytes());
            batch.rejections.push(Rejection { part: item.part, reason, raw });
        }
        batch.rejections.sort_by_key(|rejection| rejection.part.index());
        batch
    }

    /// Adds the element of the body's array at `cursor`, and its text at `start` of `texts`. Returns the end of its text; `None` if the
    /// element is not JSON.
    fn push(&mut self, cursor: &mut Cursor<'b>, texts: &mut [u8], start: usize) -> Option<usize> {
        let index = self.len();
        let room = texts.get_mut(start..)?;
        let (part, length) = if let Some(length) = cursor.unescape(room) {
            (RejectedPart::String(index), length)
        } else {
            let sent = cursor.value()?.as_str();
            if !sent.starts_with('{') {
                let reason = match sent.starts_with('"') {
                    true => "a string that is not Unicode text: it holds an unpaired surrogate",
                    false => "neither a string nor an object",
                };
                let (part, raw) = (RejectedPart::Json(index), Cow::Borrowed(sent.as_bytes()));
                self.rejections.push(Rejection { part, reason: reason.to_owned(), raw });
                return Some(start);
            }
            // Matrix events are objects, and other senders do not stringify their objects.
            room.get_mut(..sent.len())?.copy_from_slice(sent.as_bytes());
            (RejectedPart::Json(index), sent.len())
        };
        put_on_one_line(room.get_mut(..length)?);
        let text = start..start + length;
        self.items.push(AcceptedItem { part, text: text.clone() });
        Some(text.end)
    }
}

/// Replaces each line break of a JSON object with a space. Other text is unchanged: a line break in a string is not JSON, and a space
/// would make it JSON.
fn put_on_one_line(text: &mut [u8]) {
    let has_breaks = memchr2(b'\n', b'\r', text).is_some();
    let is_object = || text.trim_ascii_start().starts_with(b"{");
    if has_breaks && is_object() && std::str::from_utf8(text).is_ok_and(json::is_well_formed) {
        text.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::MOST_MEMBERS;

    fn texts(body: &str) -> Vec<String> {
        let items = Items::split(body.as_bytes()).unwrap();
        items.read().readings.iter().map(|reading| reading.text.to_owned()).collect()
    }

    fn rejected(body: &str) -> Vec<(Option<usize>, String)> {
        let items = Items::split(body.as_bytes()).unwrap();
        let batch = items.read();
        batch.rejections.into_iter().map(|rejection| (rejection.part.index(), rejection.reason)).collect()
    }

    #[test]
    fn strings_are_parsed_alike_with_and_without_other_elements() {
        let strings = r#""{\"a\":\"é\\n\"}","{\r\n}","not json","\ud83e\uddfb","""#;
        let (alone, beside) = (format!("[{strings}]"), format!("[{strings},7,\"\\ud800\"]"));
        assert_eq!(texts(&alone), texts(&beside));
        assert_eq!(rejected(&alone), rejected(&beside)[..rejected(&alone).len()]);
        assert_eq!(rejected(&beside).len(), rejected(&alone).len() + 2);
    }

    #[test]
    fn well_formed_and_malformed_items_are_counted() {
        let counted = |body: &str| {
            let items = Items::split(body.as_bytes()).unwrap();
            (items.len(), items.is_empty())
        };
        assert_eq!(counted("[]"), (0, true));
        assert_eq!(counted(r#"["{}"]"#), (1, false));
        assert_eq!(counted("[7]"), (1, false));
        assert_eq!(counted(r#"["{}",7,{}]"#), (3, false));
    }

    #[test]
    fn items_are_unchanged() {
        assert_eq!(
            texts(r#"["{\"t\": \"1\" }", "{\"a\":\"\\u00e9\\\"\"}"]"#),
            [r#"{"t": "1" }"#, r#"{"a":"\u00e9\""}"#]
        );
    }

    #[test]
    fn objects_are_unchanged() {
        assert_eq!(texts(r#"[{"a" : 1.0}, "{}"]"#), [r#"{"a" : 1.0}"#, "{}"]);
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces() {
        assert_eq!(texts("[\"{\\n\\\"a\\\":\\r\\n1}\", {\n\"b\":2}]"), [r#"{ "a":  1}"#, r#"{ "b":2}"#]);
    }

    #[test]
    fn a_line_break_in_a_string_is_no_json_and_is_unchanged() {
        let items = Items::split(br#"["{\"a\":\"b\nc\"}","no\r\njson",{"d":"\n"}]"#).unwrap();
        let batch = items.read();
        assert_eq!(batch.readings.len(), 1);
        let raw: Vec<_> = batch.rejections.iter().map(|rejection| rejection.raw.to_vec()).collect();
        assert_eq!(raw, [b"{\"a\":\"b\nc\"}".to_vec(), b"no\r\njson".to_vec()]);
    }

    #[test]
    fn the_empty_array_is_a_batch() {
        assert!(Items::split(b"[]").unwrap().is_empty());
        assert!(Items::split(b" [ ] ").unwrap().is_empty());
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        assert_eq!(texts("\u{feff}[\"{}\"]"), ["{}"]);
    }

    #[test]
    fn a_malformed_item_does_not_affect_others() {
        let body = r#"["{\"a\":1}", 7, "{", null, "\ud800", [1], "{\"b\":2}", "[]", "{} {}", ""]"#;
        assert_eq!(texts(body), [r#"{"a":1}"#, r#"{"b":2}"#]);
        let indices: Vec<_> = rejected(body).into_iter().map(|(index, _)| index.unwrap()).collect();
        assert_eq!(indices, [1, 2, 3, 4, 5, 7, 8, 9]);
        assert_eq!(Items::split(body.as_bytes()).unwrap().len(), 10);
    }

    #[test]
    fn a_rejection_has_the_bytes_as_received() {
        let items = Items::split(br#"["{oops}", "\ud800"]"#).unwrap();
        let raw: Vec<_> = items.read().rejections.iter().map(|rejection| rejection.raw.to_vec()).collect();
        assert_eq!(raw, [b"{oops}".to_vec(), br#""\ud800""#.to_vec()]);
    }

    #[test]
    fn an_unpaired_surrogate_inside_an_item_is_accepted() {
        assert_eq!(texts(r#"["{\"Display\":\"\\ud800\"}"]"#).len(), 1);
    }

    #[test]
    fn a_body_that_is_no_array_is_no_batch() {
        assert_eq!(Items::split(b"{}").unwrap_err(), BatchError::Shape);
        assert_eq!(Items::split(b"\"[]\"").unwrap_err(), BatchError::Shape);
        assert_eq!(Items::split(b"null").unwrap_err(), BatchError::Shape);
        // JSON, if of no number and no text that can be read.
        assert_eq!(Items::split(b"1e999").unwrap_err(), BatchError::Shape);
        assert_eq!(Items::split(br#""\ud800""#).unwrap_err(), BatchError::Shape);
        assert_eq!(Items::split(b"[\"\xff\"]").unwrap_err(), BatchError::Utf8(2));
        for text in ["", " ", "[", "[}", "[\"{}\"", "[\"{}\",]", "[] []", "{", "nul", "[\"a\u{0}\"]"] {
            assert!(matches!(Items::split(text.as_bytes()), Err(BatchError::Json(_))), "{text:?}");
        }
    }

    #[test]
    fn nesting_of_any_depth_does_not_crash() {
        let deep = format!("[{}{}]", "[".repeat(300_000), "]".repeat(300_000));
        assert_eq!(rejected(&deep).len(), 1);
        let inner = format!(r#"["{{\"v\":{}{}}}"]"#, "[".repeat(300_000), "]".repeat(300_000));
        assert_eq!(texts(&inner).len(), 1);
    }

    #[test]
    fn more_than_the_most_items_are_no_batch() {
        for item in ["{}", "\"\"", "7"] {
            let most = vec![item; MOST_ITEMS].join(",");
            assert_eq!(Items::split(format!("[{most}]").as_bytes()).unwrap().len(), MOST_ITEMS);
            assert_eq!(Items::split(format!("[{most},{item}]").as_bytes()).unwrap_err(), BatchError::TooMany);
        }
    }

    #[test]
    fn an_item_with_too_many_members_is_rejected_alone() {
        let item = |members: usize| format!(r#"{{"v":{{{}}}}}"#, vec![r#""":1"#; members].join(","));
        let (most, more) = (item(MOST_MEMBERS), item(MOST_MEMBERS + 1));
        let body = format!("[{most},{more},{{}}]");
        assert_eq!(texts(&body), [most, "{}".to_owned()]);
        let reason = "more than 4096 members in `v`".to_owned();
        assert_eq!(rejected(&body), [(Some(1), reason)]);
    }

    #[test]
    fn readings_beyond_the_most_values_of_a_batch_are_rejected() {
        let members = 4_000;
        let item = format!(r#"{{"v":{{{}}}}}"#, vec![r#""":1"#; members].join(","));
        let most = MOST_VALUES / members;
        // A later reading that fits is accepted.
        let body = format!("[{}{item},{{\"v\":{{}}}}]", format!("{item},").repeat(most));
        let items = Items::split(body.as_bytes()).unwrap();
        let batch = items.read();
        assert_eq!((batch.readings.len(), batch.rejections.len()), (most + 1, 1));
        assert_eq!(batch.rejections[0].part.index(), Some(most));
        let reason = "more than 2000000 values in one batch: send fewer readings at a time";
        assert_eq!(batch.rejections[0].reason, reason);
    }

    #[test]
    fn the_id_of_a_batch_depends_on_its_bytes() {
        assert_eq!(BatchId::of(b"[]").to_string().len(), 32);
        assert_ne!(BatchId::of(b"[]").to_string(), BatchId::of(b"[ ]").to_string());
    }
}
