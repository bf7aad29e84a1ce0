//! State documents as items of the table.
//!
//! | attribute | type | what |
//! |---|---|---|
//! | `pk` | S | the document's key, shortened where DynamoDB would refuse it |
//! | `version` | N | how often it was written |
//! | `body` | S or B | its text; B is the text compressed by Zstandard |
//! | `ttl` | N | when DynamoDB may delete it, in epoch seconds; absent if it never may |
//! | `due` | N | when something about it is due, in Unix milliseconds; absent where nothing is |
//! | `shard` | S | absent where `due` is, so that only documents about which something is due are in the index `due` |
//!
//! Beside documents there is the rate limiter: `rate-limit/<channel>` with `tat` and `waiting` (N, in Unix microseconds), and
//! `sms/<UTC day>` with `sent` (N). They have a `ttl`, and are never due.
//!
//! A write is billed per started KB, so a body is compressed where the item would be larger than one; below, it stays
//! readable in the console. The index holds keys only: a write that changes `due` costs one KB more where there was none
//! or there is none then, two where it moves, and none where it stays.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use zstd::bulk::{Compressor, Decompressor};

use crate::adapters::due::due_from;
use crate::domain::digest::Digest;
use crate::ingest::ports::{StateDocument, may_expire};

/// Longest partition key, in bytes; DynamoDB, "Service, account, and table quotas".
const LONGEST_KEY: usize = 2_048;
/// How much of a longer key stays readable, in bytes.
const READABLE: usize = 256;
/// Parts of the index. One takes 1,000 writes a second, above which the table itself is throttled; each costs a read
/// every sweep. Fewer must not be set while something is due: it would not be found.
pub(super) const SHARDS: u8 = 4;
/// How long a document stays after it was last written, or after something about it was due where that is later. Longer
/// than any rule looks back; a zone that was silent for a season starts anew. What was due all that time and was not
/// seen to goes as well.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Largest item that is billed as one write, in bytes.
const WRITE_UNIT: usize = 1_024;
/// What an item holds beside key and body, in bytes: the attributes' names, and numbers at one byte for two digits.
const OVERHEAD: usize = 80;
/// Zstandard's own default.
const COMPRESSION_LEVEL: i32 = 3;
/// Largest body that is read, in bytes. What is written is far below: an item has 400 KB at most, compressed about 5:1.
const LARGEST_BODY: usize = 64 << 20;

pub(super) type Item = HashMap<String, AttributeValue>;

/// Makes items of documents, and documents of items.
///
/// Zstandard's working memory is kept from one body to the next: to make it is more work than to compress most of them.
#[derive(Default)]
pub(super) struct Items {
    compressor: Mutex<Option<Compressor<'static>>>,
    decompressor: Mutex<Option<Decompressor<'static>>>,
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Items")
    }
}

impl Items {
    /// The item of a document that is written at `now`.
    pub(super) fn write(&self, key: &str, version: u64, body: &str, due: Option<Timestamp>, now: Timestamp) -> Item {
        let may_expire = may_expire(key);
        let key = item_key(key);
        let mut item = HashMap::from([
            ("version".to_owned(), AttributeValue::N(version.to_string())),
            ("body".to_owned(), self.body(body, key.len())),
        ]);
        if may_expire {
            let expires = expires(due.map_or(now, |due| due.max(now)));
            item.insert("ttl".to_owned(), AttributeValue::N(expires.to_string()));
        }
        if let Some(due) = due {
            item.insert("due".to_owned(), AttributeValue::N(due_from(due).to_string()));
            item.insert("shard".to_owned(), AttributeValue::S(shard_of(&key).to_string()));
        }
        item.insert("pk".to_owned(), AttributeValue::S(key));
        item
    }

    /// The text, or where its item would be billed as more than one write the compressed text, if that is smaller.
    fn body(&self, text: &str, key_length: usize) -> AttributeValue {
        if text.len() + key_length + OVERHEAD > WRITE_UNIT
            && let Some(packed) = self.compress(text)
            && packed.len() < text.len()
        {
            return AttributeValue::B(Blob::new(packed));
        }
        AttributeValue::S(text.to_owned())
    }

    /// A document and its key; or what is wrong with the item, which then no release of this program has written.
    pub(super) fn read(&self, mut item: Item) -> Result<(String, StateDocument), String> {
        let key = text(&mut item, "pk")?;
        let version = number(&item, "version")?;
        let body = match item.remove("body") {
            Some(AttributeValue::S(text)) => Some(text),
            Some(AttributeValue::B(packed)) => self.decompress(packed.as_ref()),
            _ => None,
        };
        match body {
            Some(body) => Ok((key, StateDocument { body: Some(body), version })),
            None => Err(format!("the body of item {key:?} is not text")),
        }
    }

    fn compress(&self, text: &str) -> Option<Vec<u8>> {
        let mut kept = self.compressor.lock().unwrap_or_else(PoisonError::into_inner);
        let compressor = match kept.as_mut() {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::new(COMPRESSION_LEVEL).ok()?),
        };
        compressor.compress(text.as_bytes()).ok()
    }

    fn decompress(&self, packed: &[u8]) -> Option<String> {
        let mut kept = self.decompressor.lock().unwrap_or_else(PoisonError::into_inner);
        let decompressor = match kept.as_mut() {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new().ok()?),
        };
        // Its size stands before what Zstandard has compressed in one piece.
        let size = zstd::zstd_safe::get_frame_content_size(packed).ok()??;
        let size = usize::try_from(size).ok().filter(|size| *size <= LARGEST_BODY)?;
        String::from_utf8(decompressor.decompress(packed, size).ok()?).ok()
    }
}

/// When DynamoDB may delete an item that was last needed at `last`, in epoch seconds.
pub(super) fn expires(last: Timestamp) -> i64 {
    last.checked_add(KEPT_FOR).unwrap_or(Timestamp::MAX).as_second()
}

/// A document's key as DynamoDB takes it: itself, or where it is too long its beginning and its digest.
pub(super) fn item_key(key: &str) -> String {
    if key.len() <= LONGEST_KEY {
        return key.to_owned();
    }
    format!("{}…sha256:{}", &key[..key.floor_char_boundary(READABLE)], Digest::of(key.as_bytes()))
}

/// The part of the index that a document is in, by its key in the table.
fn shard_of(item_key: &str) -> u8 {
    Digest::of(item_key.as_bytes()).as_bytes()[0] % SHARDS
}

pub(super) fn text(item: &mut Item, name: &str) -> Result<String, String> {
    match item.remove(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(format!("an item has no text {name}")),
    }
}

pub(super) fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, String> {
    match item.get(name) {
        Some(AttributeValue::N(digits)) => digits.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| format!("an item has no whole number {name}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const SEASON: i64 = 90 * 24 * 3_600;

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn digits(item: &Item, name: &str) -> i64 {
        number(item, name).unwrap()
    }

    #[test]
    fn only_what_is_due_is_in_the_index() {
        let item = Items::default().write("zone/1:a/b", 1, "{}", None, NOW);
        assert_eq!(item.keys().map(String::as_str).collect::<BTreeSet<_>>(), ["body", "pk", "ttl", "version"].into());
        let item = Items::default().write("zone/1:a/b", 1, "{}", Some(seconds(7)), NOW);
        assert_eq!(digits(&item, "due"), 7_000);
        assert!(["0", "1", "2", "3"].contains(&item["shard"].as_s().unwrap().as_str()));
    }

    #[test]
    fn keys_spread_over_the_shards() {
        let mut counts = [0_u32; SHARDS as usize];
        (0..1_000).for_each(|number| counts[usize::from(shard_of(&format!("zone/1:a/{number}")))] += 1);
        assert!(counts.iter().all(|count| (200..300).contains(count)), "{counts:?}");
    }

    #[test]
    fn document_stays_for_a_season_after_it_was_written_and_after_it_is_due() {
        let expires = |due: Option<Timestamp>| digits(&Items::default().write("a", 1, "{}", due, seconds(100)), "ttl");
        assert_eq!(expires(None), 100 + SEASON);
        assert_eq!(expires(Some(seconds(99))), 100 + SEASON);
        assert_eq!(expires(Some(seconds(101))), 101 + SEASON);
        assert_eq!(expires(Some(Timestamp::MAX)), Timestamp::MAX.as_second());
        let projects = Items::default().write("projects-of/zone", 1, "{}", None, seconds(100));
        assert!(!projects.contains_key("ttl"), "it is written once, and a zone lives longer");
    }

    #[test]
    fn body_is_compressed_from_the_second_billed_kilobyte_on() {
        let room = WRITE_UNIT - OVERHEAD - "key".len();
        let kind = |length: usize| Items::default().body(&"a".repeat(length), "key".len());
        assert!(kind(room).is_s());
        assert!(kind(room + 1).is_b());
        let item = Items::default().write("key", u64::MAX, &"a".repeat(room), Some(NOW), NOW);
        let size = |value: &AttributeValue| match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
            _ => 0,
        };
        let size: usize = item.iter().map(|(name, value)| name.len() + size(value)).sum();
        assert!(size <= WRITE_UNIT, "{size} bytes are two writes");
    }

    #[test]
    fn longest_key_that_fits_is_kept_and_a_longer_one_is_shortened_between_characters() {
        let fits = "k".repeat(LONGEST_KEY);
        assert_eq!(item_key(&fits), fits);
        let long = format!("k{}", "ß".repeat(LONGEST_KEY / 2));
        let short = item_key(&long);
        assert!(short.starts_with("kßß") && short.len() < LONGEST_KEY, "{short}");
        assert_eq!(item_key(&short), short, "so that it names the same document");
        assert_ne!(item_key(&format!("{long}x")), short);
    }

    #[test]
    fn item_that_is_no_document_is_refused() {
        let good = Items::default().write("key", 1, "{}", None, NOW);
        assert!(Items::default().read(good.clone()).is_ok());
        for (name, wrong) in [
            ("pk", AttributeValue::N("1".into())),
            ("version", AttributeValue::S("1".into())),
            ("version", AttributeValue::N("-1".into())),
            ("version", AttributeValue::N("1.5".into())),
            ("body", AttributeValue::B(Blob::new("no Zstandard frame"))),
            (
                "body",
                AttributeValue::B(Blob::new([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 255, 255, 255, 255, 255, 255, 255, 255])),
            ),
            ("body", AttributeValue::B(Blob::new(zstd::bulk::compress(&[0xFF], 3).unwrap()))),
            ("body", AttributeValue::Null(true)),
        ] {
            let mut item = good.clone();
            item.insert(name.into(), wrong.clone());
            assert!(Items::default().read(item).is_err(), "{name} {wrong:?}");
        }
    }
}
