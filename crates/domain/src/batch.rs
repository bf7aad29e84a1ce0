//! A push's body taken apart: bytes in; readings, rejections and an identity out.
//!
//! Partial success is the normal case: one bad item never costs a good one. Only a body that is not a JSON array at all
//! is an error, and what it was is kept as well.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use memchr::memchr2;
use serde::de::IgnoredAny;

use super::digest::Digest;
use super::json::{self, Raw};
use super::reading::Reading;

/// Most items that a batch may have. What is made of an item takes a hundred times the memory of the shortest one, `{}`. The
/// vendor's smallest example has 347 bytes, so that the largest body that is taken, 64 MiB, holds fewer than these.
pub const MOST_ITEMS: usize = 200_000;

/// Most members of `v` that the readings of a batch may have together: ten for each of [`MOST_ITEMS`], and 80 MB of memory. The
/// largest body has room for 13 million of the shortest, however few each reading has.
pub const MOST_VALUES: usize = 2_000_000;

/// A body's identity: the SHA-256 of its decoded bytes, shown as its first 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(Digest);

impl BatchId {
    /// The identity of a body, after its content encoding was undone.
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

/// Why a body is not a batch. No retry of the same bytes can help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Its content encoding could not be undone.
    #[error("the body does not decode: {0}")]
    Encoding(String),
    /// It is not UTF-8.
    #[error("the body is not UTF-8: a wrong byte at offset {0}")]
    Utf8(usize),
    /// It is not JSON.
    #[error("the body is not JSON: {0}")]
    Json(String),
    /// It is JSON, and not an array.
    #[error("the body is JSON, but not an array")]
    Shape,
    /// It has more items than [`MOST_ITEMS`].
    #[error("the body has more than {MOST_ITEMS} items")]
    TooMany,
}

/// An item that is not a reading, or a whole body that is not a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection<'a> {
    /// What `raw` holds.
    pub part: RejectedPart,
    /// Why, in words; for the operator, never for the caller.
    pub reason: String,
    /// The bytes as received.
    pub raw: Cow<'a, [u8]>,
}

/// What a rejection keeps of a push, so that the push's own reader can read it again. An index counts from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedPart {
    /// The text of the item at this index, which was a JSON string: unescaped.
    String(usize),
    /// The JSON of the item at this index, which was no string, or one that is not Unicode text.
    Json(usize),
    /// The whole body, its content encoding undone.
    Body,
    /// The whole body as it was sent, in gzip: it did not decode.
    Gzip,
}

impl RejectedPart {
    /// Position of the item in the batch; `None` for a whole body.
    #[must_use]
    pub fn index(self) -> Option<usize> {
        match self {
            Self::String(index) | Self::Json(index) => Some(index),
            Self::Body | Self::Gzip => None,
        }
    }
}

impl Rejection<'_> {
    /// The item as an element of an array, as a push could bring it again; `None` for a whole body.
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
/// The text of an item is as it was received but for line breaks, which JSON allows between tokens only: each is a
/// space here, so that a reading is a line.
#[derive(Debug, Default)]
pub struct Items<'b> {
    texts: String,
    items: Vec<Item>,
    rejections: Vec<Rejection<'b>>,
}

#[derive(Debug)]
struct Item {
    part: RejectedPart,
    /// The range of its text in the texts of all items.
    text: Range<usize>,
}

/// The readings of a push in the order received, and what was not a reading.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Well-formed items.
    pub readings: Vec<Reading<'a>>,
    /// The others.
    pub rejections: Vec<Rejection<'a>>,
}

impl<'b> Items<'b> {
    /// Splits a decoded body into its items. A leading byte order mark is passed over, as RFC 8259 §8.1 allows.
    ///
    /// # Errors
    /// [`BatchError`] where the body as a whole is not a JSON array in UTF-8. A retry cannot help.
    pub fn split(body: &'b [u8]) -> Result<Self, BatchError> {
        let text = std::str::from_utf8(body).map_err(|fault| BatchError::Utf8(fault.valid_up_to()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut items = Self::default();
        let mut texts = Vec::with_capacity(text.len());
        match json::each_element(text, |element| items.push(element, &mut texts)) {
            Ok(()) if items.len() > MOST_ITEMS => Err(BatchError::TooMany),
            Ok(()) => {
                items.texts =
                    String::from_utf8(texts).map_err(|error| BatchError::Utf8(error.utf8_error().valid_up_to()))?;
                Ok(items)
            }
            Err(_) => match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => Err(BatchError::Shape),
                Err(error) => Err(BatchError::Json(error.to_string())),
            },
        }
    }

    /// How many items the body holds, good and bad.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len() + self.rejections.len()
    }

    /// Whether the body is the empty array.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads each item.
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
                Err(fault) => fault.to_string(),
            };
            let raw = Cow::Borrowed(text.as_bytes());
            batch.rejections.push(Rejection { part: item.part, reason, raw });
        }
        batch.rejections.sort_by_key(|rejection| rejection.part.index());
        batch
    }

    /// Adds an element of the body's array, its text to `texts`. What is beyond [`MOST_ITEMS`] takes no memory.
    fn push(&mut self, element: Raw<'b>, texts: &mut Vec<u8>) {
        let index = self.len();
        if index > MOST_ITEMS {
            return;
        }
        let sent = element.as_str();
        let start = texts.len();
        // An object is taken as it stands: Matrix events are objects, and so is what other senders forget to stringify.
        let part = if sent.starts_with('{') {
            texts.extend_from_slice(sent.as_bytes());
            RejectedPart::Json(index)
        } else if element.unescape_into(texts).is_some() {
            RejectedPart::String(index)
        } else {
            let reason = match sent.starts_with('"') {
                true => "a string that is not Unicode text: it holds an unpaired surrogate",
                false => "neither a string nor an object",
            };
            let (part, raw) = (RejectedPart::Json(index), Cow::Borrowed(sent.as_bytes()));
            self.rejections.push(Rejection { part, reason: reason.to_owned(), raw });
            return;
        };
        put_on_one_line(&mut texts[start..]);
        self.items.push(Item { part, text: start..texts.len() });
    }
}

/// Makes each line break of a reading a space. Anything else stays as it is.
///
/// A reading has line breaks between tokens alone: inside of a string a line break is no JSON, and a space would make it some.
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
    fn strings_alone_are_read_as_they_are_beside_something_else() {
        let strings = r#""{\"a\":\"é\\n\"}","{\r\n}","not json","\ud83e\uddfb","""#;
        let (alone, beside) = (format!("[{strings}]"), format!("[{strings},7,\"\\ud800\"]"));
        assert_eq!(texts(&alone), texts(&beside));
        assert_eq!(rejected(&alone), rejected(&beside)[..rejected(&alone).len()]);
        assert_eq!(rejected(&beside).len(), rejected(&alone).len() + 2);
    }

    #[test]
    fn good_and_bad_items_are_counted() {
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
    fn items_are_kept_to_the_letter() {
        assert_eq!(
            texts(r#"["{\"t\": \"1\" }", "{\"a\":\"\\u00e9\\\"\"}"]"#),
            [r#"{"t": "1" }"#, r#"{"a":"\u00e9\""}"#]
        );
    }

    #[test]
    fn objects_are_taken_as_they_stand() {
        assert_eq!(texts(r#"[{"a" : 1.0}, "{}"]"#), [r#"{"a" : 1.0}"#, "{}"]);
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces() {
        assert_eq!(texts("[\"{\\n\\\"a\\\":\\r\\n1}\", {\n\"b\":2}]"), [r#"{ "a":  1}"#, r#"{ "b":2}"#]);
    }

    #[test]
    fn a_line_break_inside_of_a_string_is_no_json_and_kept_as_it_came() {
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
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(texts("\u{feff}[\"{}\"]"), ["{}"]);
    }

    #[test]
    fn one_bad_item_costs_no_good_one() {
        let body = r#"["{\"a\":1}", 7, "{", null, "\ud800", [1], "{\"b\":2}", "[]", "{} {}", ""]"#;
        assert_eq!(texts(body), [r#"{"a":1}"#, r#"{"b":2}"#]);
        let indices: Vec<_> = rejected(body).into_iter().map(|(index, _)| index.unwrap()).collect();
        assert_eq!(indices, [1, 2, 3, 4, 5, 7, 8, 9]);
        assert_eq!(Items::split(body.as_bytes()).unwrap().len(), 10);
    }

    #[test]
    fn a_rejection_keeps_what_was_sent() {
        let items = Items::split(br#"["{oops}", "\ud800"]"#).unwrap();
        let raw: Vec<_> = items.read().rejections.iter().map(|rejection| rejection.raw.to_vec()).collect();
        assert_eq!(raw, [b"{oops}".to_vec(), br#""\ud800""#.to_vec()]);
    }

    #[test]
    fn an_unpaired_surrogate_inside_an_item_is_read() {
        assert_eq!(texts(r#"["{\"Display\":\"\\ud800\"}"]"#).len(), 1);
    }

    #[test]
    fn what_is_no_array_is_no_batch() {
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
    fn nesting_of_any_depth_is_an_answer_and_not_a_crash() {
        let deep = format!("[{}{}]", "[".repeat(300_000), "]".repeat(300_000));
        assert_eq!(rejected(&deep).len(), 1);
        let inner = format!(r#"["{{\"v\":{}{}}}"]"#, "[".repeat(300_000), "]".repeat(300_000));
        assert_eq!(texts(&inner).len(), 1);
    }

    #[test]
    fn more_items_than_there_may_be_are_no_batch_whatever_they_are() {
        for item in ["{}", "\"\"", "7"] {
            let most = vec![item; MOST_ITEMS].join(",");
            assert_eq!(Items::split(format!("[{most}]").as_bytes()).unwrap().len(), MOST_ITEMS);
            assert_eq!(Items::split(format!("[{most},{item}]").as_bytes()).unwrap_err(), BatchError::TooMany);
        }
    }

    #[test]
    fn an_item_of_too_many_members_is_rejected_and_costs_no_good_one() {
        let item = |members: usize| format!(r#"{{"v":{{{}}}}}"#, vec![r#""":1"#; members].join(","));
        let (most, more) = (item(MOST_MEMBERS), item(MOST_MEMBERS + 1));
        let body = format!("[{most},{more},{{}}]");
        assert_eq!(texts(&body), [most, "{}".to_owned()]);
        let reason = "more than 4096 members in `v`".to_owned();
        assert_eq!(rejected(&body), [(Some(1), reason)]);
    }

    #[test]
    fn readings_have_so_many_values_together_and_what_is_beyond_is_rejected() {
        let members = 4_000;
        let item = format!(r#"{{"v":{{{}}}}}"#, vec![r#""":1"#; members].join(","));
        let most = MOST_VALUES / members;
        // What has no more than is left is still taken.
        let body = format!("[{}{item},{{\"v\":{{}}}}]", format!("{item},").repeat(most));
        let items = Items::split(body.as_bytes()).unwrap();
        let batch = items.read();
        assert_eq!((batch.readings.len(), batch.rejections.len()), (most + 1, 1));
        assert_eq!(batch.rejections[0].part.index(), Some(most));
        let reason = "more than 2000000 values in one batch: send fewer readings at a time";
        assert_eq!(batch.rejections[0].reason, reason);
    }

    #[test]
    fn a_batch_is_known_by_its_bytes() {
        assert_eq!(BatchId::of(b"[]").to_string().len(), 32);
        assert_ne!(BatchId::of(b"[]").to_string(), BatchId::of(b"[ ]").to_string());
    }
}
