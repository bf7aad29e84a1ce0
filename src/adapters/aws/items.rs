//! State documents as items of the table.
//!
//! | attribute | type | content |
//! |---|---|---|
//! | `pk` | S | the document's key, shortened if DynamoDB would refuse it |
//! | `version` | N | how often the document was written |
//! | `body` | S or B | the document's text; B is the text compressed with Zstandard |
//! | `ttl` | N | when DynamoDB may delete the item, in epoch seconds; absent if it never may |
//! | `due` | N | the document's due time in Unix milliseconds; absent if it has none |
//! | `shard` | S | present together with `due`, so that the index `due` holds only documents with a due time |
//! | `attention` | S | the sort key of a zone that needs attention; absent for all others |
//! | `attention_shard` | S | present together with `attention`, for the index `attention` |
//! | `summary` | S | what needs attention, as JSON; the index `attention` holds it too |
//!
//! A write is billed per started KB. A body is therefore compressed if the item would be larger than 1 KB; a smaller one stays
//! readable in the console. The index holds keys only. A write that adds or removes `due` costs one KB more, one that changes
//! it two, and one that keeps it none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest};
use jiff::{SignedDuration, Timestamp};
use zstd::bulk::{Compressor, Decompressor};

use crate::adapters::due_millis::due_millis;
use crate::domain::digest::Digest;
use crate::ingest::ports::{AttentionEntry, IndexEntry, StateDocument, retention_days};

/// Longest partition key, in bytes; DynamoDB, "Service, account, and table quotas".
const MAX_KEY: usize = 2_048;
/// How much of a longer key stays readable, in bytes.
const READABLE_PREFIX: usize = 256;
/// Partitions of the index. Each takes 1,000 writes a second, above which the table itself is throttled, and costs a read per
/// sweep. Do not lower it while documents are due: the sweep would not find them.
pub(super) const SHARDS: u8 = 4;
/// Partitions of the index of zones that need attention. Each view of the board reads all of them.
pub(super) const ATTENTION_SHARDS: u8 = 8;
/// Largest item that is billed as one write, in bytes.
const WRITE_UNIT: usize = 1_024;
/// Size of an item without key and body, in bytes: the attributes' names, and numbers at one byte per two digits.
const OVERHEAD: usize = 80;
/// Size of the further attributes of a zone that needs attention, without the summary.
const ATTENTION_OVERHEAD: usize = 64;
/// Zstandard's own default.
const COMPRESSION_LEVEL: i32 = 3;
/// Largest body that is decompressed, in bytes. Written ones are far smaller: an item has at most 400 KB, compressed about 5:1.
const MAX_BODY: usize = 64 << 20;

pub(super) type TableItem = HashMap<String, AttributeValue>;

/// Encodes documents as items, and decodes them.
///
/// Zstandard's working memory is reused: to allocate it takes longer than to compress most bodies.
#[derive(Default)]
pub(super) struct ItemCodec {
    compressor: Mutex<Option<Compressor<'static>>>,
    decompressor: Mutex<Option<Decompressor<'static>>>,
}

impl ItemCodec {
    /// The item of a document that is written at `now`.
    pub(super) fn encode(
        &self,
        key: &str,
        version: u64,
        body: &str,
        IndexEntry { due, attention }: IndexEntry,
        now: Timestamp,
    ) -> TableItem {
        let retention_days = retention_days(key);
        let key = item_key(key);
        let others = key.len() + attention.as_ref().map_or(0, |entry| entry.summary.len() + ATTENTION_OVERHEAD);
        let mut item = HashMap::from([
            ("version".to_owned(), AttributeValue::N(version.to_string())),
            ("body".to_owned(), self.encode_body(body, others)),
        ]);
        if let Some(days) = retention_days {
            let expires = expires(due.map_or(now, |due| due.max(now)), days);
            item.insert("ttl".to_owned(), AttributeValue::N(expires.to_string()));
        }
        if let Some(due) = due {
            item.insert("due".to_owned(), AttributeValue::N(due_millis(due).to_string()));
            item.insert("shard".to_owned(), AttributeValue::S(shard_of(&key, SHARDS).to_string()));
        }
        if let Some(AttentionEntry { sort_key, summary }) = attention {
            let shard = shard_of(&key, ATTENTION_SHARDS).to_string();
            let attributes = [("attention", sort_key), ("attention_shard", shard), ("summary", summary)];
            item.extend(attributes.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))));
        }
        item.insert("pk".to_owned(), AttributeValue::S(key));
        item
    }

    /// The text, or the compressed text if that is smaller and the item would be billed as more than one write. `others` is the
    /// size of the key and the summary.
    fn encode_body(&self, text: &str, others: usize) -> AttributeValue {
        if text.len() + others + OVERHEAD > WRITE_UNIT
            && let Some(compressed) = self.compress(text)
            && compressed.len() < text.len()
        {
            return AttributeValue::B(Blob::new(compressed));
        }
        AttributeValue::S(text.to_owned())
    }

    /// A document and its key.
    ///
    /// # Errors
    /// What is wrong with the item. No release has written such an item; a retry cannot help.
    pub(super) fn decode(&self, mut item: TableItem) -> Result<(String, StateDocument), String> {
        let key = text(&mut item, "pk")?;
        let version = number(&item, "version")?;
        let body = match item.remove("body") {
            Some(AttributeValue::S(text)) => Some(text),
            Some(AttributeValue::B(compressed)) => self.decompress(compressed.as_ref()),
            _ => None,
        };
        match body {
            Some(body) => Ok((key, StateDocument { body: Some(body), version })),
            None => Err(format!("the body of item {key:?} is not text")),
        }
    }

    fn compress(&self, text: &str) -> Option<Vec<u8>> {
        let mut compressor = self.compressor.lock().unwrap_or_else(PoisonError::into_inner);
        if compressor.is_none() {
            *compressor = Compressor::new(COMPRESSION_LEVEL).ok();
        }
        compressor.as_mut()?.compress(text.as_bytes()).ok()
    }

    fn decompress(&self, compressed: &[u8]) -> Option<String> {
        let mut decompressor = self.decompressor.lock().unwrap_or_else(PoisonError::into_inner);
        if decompressor.is_none() {
            *decompressor = Decompressor::new().ok();
        }
        // A frame that was compressed in one piece begins with the size of its content.
        let size = zstd::zstd_safe::get_frame_content_size(compressed).ok()??;
        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_BODY)?;
        String::from_utf8(decompressor.as_mut()?.decompress(compressed, size).ok()?).ok()
    }
}

/// The PartiQL statement that replaces the item, if the table has it with version `read`. Otherwise its condition is not met.
///
/// # Panics
/// Never: the required member, the statement, is set.
#[expect(clippy::expect_used, reason = "the required member is set")]
pub(super) fn update_statement(table: &str, item: &TableItem, read: u64) -> BatchStatementRequest {
    let mut statement = format!("UPDATE \"{table}\"");
    let mut parameters = Vec::new();
    for name in ["version", "body", "ttl", "due", "shard", "attention", "attention_shard", "summary"] {
        if let Some(value) = item.get(name) {
            statement.push_str(&format!(" SET \"{name}\" = ?"));
            parameters.push(value.clone());
        } else {
            statement.push_str(&format!(" REMOVE \"{name}\""));
        }
    }
    statement.push_str(" WHERE \"pk\" = ? AND \"version\" = ?");
    parameters.extend([item["pk"].clone(), AttributeValue::N(read.to_string())]);
    let request = BatchStatementRequest::builder().statement(statement).set_parameters(Some(parameters));
    request.build().expect("the statement is set")
}

/// When DynamoDB may delete an item that was last needed at `last`, in epoch seconds. An item that is due all that time and never
/// swept expires as well.
fn expires(last: Timestamp, days: i64) -> i64 {
    last.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX).as_second()
}

/// The partition key of a document: its key, or if that is too long its beginning and its digest.
pub(super) fn item_key(key: &str) -> String {
    if key.len() <= MAX_KEY {
        return key.to_owned();
    }
    format!("{}…sha256:{}", &key[..key.floor_char_boundary(READABLE_PREFIX)], Digest::of(key.as_bytes()))
}

/// The index partition of a document, by its partition key.
fn shard_of(item_key: &str, shards: u8) -> u8 {
    Digest::of(item_key.as_bytes()).as_bytes()[0] % shards
}

pub(super) fn text(item: &mut TableItem, name: &str) -> Result<String, String> {
    match item.remove(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(format!("an item has no text {name}")),
    }
}

pub(super) fn number<T: std::str::FromStr>(item: &TableItem, name: &str) -> Result<T, String> {
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
    const RETENTION_SECONDS: i64 = 90 * 24 * 3_600;

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn digits(item: &TableItem, name: &str) -> i64 {
        number(item, name).unwrap()
    }

    #[test]
    fn only_documents_with_a_due_time_are_in_the_index() {
        let item = ItemCodec::default().encode("zone/1:a/b", 1, "{}", IndexEntry::default(), NOW);
        assert_eq!(item.keys().map(String::as_str).collect::<BTreeSet<_>>(), ["body", "pk", "ttl", "version"].into());
        let item = ItemCodec::default().encode("zone/1:a/b", 1, "{}", Some(seconds(7)).into(), NOW);
        assert_eq!(digits(&item, "due"), 7_000);
        assert!(["0", "1", "2", "3"].contains(&item["shard"].as_s().unwrap().as_str()));
    }

    #[test]
    fn only_zones_that_need_attention_are_in_their_index() {
        let attention = Some(AttentionEntry { sort_key: "03/2026".into(), summary: r#"{"alerts":[]}"#.into() });
        let item = ItemCodec::default().encode("zone/1:a/b", 1, "{}", IndexEntry { due: None, attention }, NOW);
        assert!(!item.contains_key("due") && !item.contains_key("shard"));
        let text = |name: &str| item[name].as_s().unwrap().as_str();
        assert_eq!((text("attention"), text("summary")), ("03/2026", r#"{"alerts":[]}"#));
        assert!(text("attention_shard").parse::<u8>().unwrap() < ATTENTION_SHARDS);
        let statement = update_statement("table", &item, 1);
        assert!(statement.statement().contains(r#" SET "attention" = ? SET "attention_shard" = ? SET "summary" = ?"#));
        let calm = ItemCodec::default().encode("zone/1:a/b", 2, "{}", IndexEntry::default(), NOW);
        let statement = update_statement("table", &calm, 2);
        assert!(statement.statement().contains(r#" REMOVE "attention" REMOVE "attention_shard" REMOVE "summary""#));
    }

    #[test]
    fn keys_spread_over_the_shards() {
        let mut counts = [0_u32; SHARDS as usize];
        (0..1_000).for_each(|number| counts[usize::from(shard_of(&format!("zone/1:a/{number}"), SHARDS))] += 1);
        assert!(counts.iter().all(|count| (200..300).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_document_expires_90_days_after_its_write_or_its_due_time() {
        let expires = |due: Option<Timestamp>| {
            digits(&ItemCodec::default().encode("a", 1, "{}", due.into(), seconds(100)), "ttl")
        };
        assert_eq!(expires(None), 100 + RETENTION_SECONDS);
        assert_eq!(expires(Some(seconds(99))), 100 + RETENTION_SECONDS);
        assert_eq!(expires(Some(seconds(101))), 101 + RETENTION_SECONDS);
        assert_eq!(expires(Some(Timestamp::MAX)), Timestamp::MAX.as_second());
        let link = ItemCodec::default().encode("link/0", 1, "{}", IndexEntry::default(), seconds(100));
        assert_eq!(digits(&link, "ttl"), 100 + 7 * 24 * 3_600);
        for key in ["projects-of/zone", "public-url"] {
            let item = ItemCodec::default().encode(key, 1, "{}", IndexEntry::default(), seconds(100));
            assert!(!item.contains_key("ttl"), "{key} is written once, and needed longer");
        }
    }

    #[test]
    fn a_body_is_compressed_if_the_item_exceeds_one_kilobyte() {
        let most = WRITE_UNIT - OVERHEAD - "key".len();
        let kind = |length: usize| ItemCodec::default().encode_body(&"a".repeat(length), "key".len());
        assert!(kind(most).is_s());
        assert!(kind(most + 1).is_b());
        let item = ItemCodec::default().encode("key", u64::MAX, &"a".repeat(most), Some(NOW).into(), NOW);
        let size = |value: &AttributeValue| match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
            _ => 0,
        };
        let size: usize = item.iter().map(|(name, value)| name.len() + size(value)).sum();
        assert!(size <= WRITE_UNIT, "{size} bytes are two writes");
    }

    #[test]
    fn a_key_that_is_too_long_is_shortened_between_characters() {
        let fits = "k".repeat(MAX_KEY);
        assert_eq!(item_key(&fits), fits);
        let long = format!("k{}", "ß".repeat(MAX_KEY / 2));
        let short = item_key(&long);
        assert!(short.starts_with("kßß") && short.len() < MAX_KEY, "{short}");
        assert_eq!(item_key(&short), short, "it identifies the same document");
        assert_ne!(item_key(&format!("{long}x")), short);
    }

    #[test]
    fn an_item_that_is_not_a_document_is_refused() {
        let good = ItemCodec::default().encode("key", 1, "{}", IndexEntry::default(), NOW);
        assert!(ItemCodec::default().decode(good.clone()).is_ok());
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
            assert!(ItemCodec::default().decode(item).is_err(), "{name} {wrong:?}");
        }
    }
}
