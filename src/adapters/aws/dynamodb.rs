//! State documents in a DynamoDB table: one item each, written by compare-and-swap.
//!
//! | attribute | type | what |
//! |---|---|---|
//! | `pk` | S | the document's key, shortened where DynamoDB would refuse it |
//! | `version` | N | how often it was written |
//! | `body` | S or B | its text; B is the text compressed by Zstandard |
//! | `ttl` | N | when DynamoDB may delete it, in epoch seconds |
//! | `due` | N | when something about it is due, in Unix milliseconds; absent where nothing is |
//! | `shard` | S | absent where `due` is, so that only documents about which something is due are in the index `due` |
//!
//! A write is billed per started KB, so a body is compressed where the item would be larger than one; below, it stays
//! readable in the console. The index holds keys only: a write that changes `due` costs one KB more where there was none
//! or there is none then, two where it moves, and none where it stays.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{READING, backoff, code, told, within};
use crate::adapters::due::{due_from, due_until};
use crate::domain::digest::Digest;
use crate::ingest::ports::{Commit, Document, StateStore, Unavailable};

/// Longest that loading, writing or asking what is due takes, with all retries.
pub(super) const REMEMBERING: Duration = Duration::from_secs(4);
/// Longest that an attempt takes. Answers take milliseconds: a second attempt is sooner there than one that takes longer.
const ATTEMPT: Duration = Duration::from_millis(1_500);
/// Keys that a request may have; DynamoDB, `BatchGetItem`.
const MOST_KEYS: usize = 100;
/// Requests of one load under way at a time.
const CONCURRENCY: usize = 8;
/// Longest partition key, in bytes; DynamoDB, "Service, account, and table quotas".
const LONGEST_KEY: usize = 2_048;
/// How much of a longer key stays readable, in bytes.
const READABLE: usize = 256;
/// Parts of the index. One takes 1,000 writes a second, above which the table itself is throttled; each costs a read
/// every sweep. Fewer must not be set while something is due: it would not be found.
const SHARDS: u8 = 4;
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

const NOT_READ: &str = "the state store did not give the documents";
const NOT_WRITTEN: &str = "the state store did not take the document";
const NOT_SEARCHED: &str = "the state store did not say what is due";

type Item = HashMap<String, AttributeValue>;

/// A client of DynamoDB: as [`super::with_limits`] has it, but with less patience.
#[must_use]
pub fn client(config: &aws_config::SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(REMEMBERING)
        .build();
    Client::from_conf(aws_sdk_dynamodb::config::Builder::from(config).timeout_config(timeouts).build())
}

/// Keeps state documents in a table.
///
/// A key of more than 2,048 bytes is shortened to its beginning and its SHA-256. [`due`](StateStore::due) gives the
/// shortened key back, by which the same document is loaded and written.
#[derive(Clone, Debug)]
pub struct DynamoStore {
    client: Client,
    table: String,
}

impl DynamoStore {
    /// Keeps them in `table`, which has the partition key `pk` and the index `due`, of `shard` and `due`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Opens the connection, so that the first push need not wait for it. Nothing is read: DynamoDB refuses a request for
    /// no keys. Whether that worked does not matter.
    pub async fn connect(&self) {
        let _ = tokio::time::timeout(READING, self.client.batch_get_item().send()).await;
    }

    /// The documents of `keys`, at most [`MOST_KEYS`] of them, all different.
    async fn get(&self, keys: Vec<String>) -> Result<HashMap<String, Document>, Unavailable> {
        let keys = keys.into_iter().map(|key| HashMap::from([("pk".to_owned(), AttributeValue::S(key))])).collect();
        // Consistent: what the last push has written must be seen by the next, or it loses the race for certain.
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let mut left = HashMap::from([(self.table.clone(), keys.map_err(|fault| Unavailable::new(NOT_READ, fault))?)]);
        let mut documents = HashMap::new();
        let mut failures = 0;
        while !left.is_empty() {
            // Ended by the time limit at the latest.
            if failures > 0 {
                tokio::time::sleep(backoff(failures)).await;
            }
            let answer = self.client.batch_get_item().set_request_items(Some(left)).send().await;
            let answer = answer.map_err(|fault| told(NOT_READ, &fault))?;
            let before = documents.len();
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                let (key, document) = from_item(item).map_err(|fault| Unavailable::new(NOT_READ, fault))?;
                documents.insert(key, document);
            }
            // Also where the answer would have been larger than 16 MB, and then there is no need to wait longer.
            failures = if documents.len() > before { 1 } else { failures + 1 };
            left = answer.unprocessed_keys.unwrap_or_default();
        }
        Ok(documents)
    }

    async fn get_all(&self, keys: BTreeSet<String>) -> Result<HashMap<String, Document>, Unavailable> {
        let turns = Arc::new(Semaphore::new(CONCURRENCY));
        // Dropped at the end, and with it whatever still runs then.
        let mut requests = JoinSet::new();
        for keys in keys.into_iter().collect::<Vec<_>>().chunks(MOST_KEYS).map(<[_]>::to_vec) {
            let (store, turns) = (self.clone(), Arc::clone(&turns));
            requests.spawn(async move {
                // Only fails where the semaphore is closed, which nobody does.
                let _turn = turns.acquire().await;
                store.get(keys).await
            });
        }
        let mut documents = HashMap::new();
        while let Some(outcome) = requests.join_next().await {
            documents.extend(outcome.map_err(|fault| Unavailable::new(NOT_READ, fault))??);
        }
        Ok(documents)
    }

    async fn put(&self, item: Item, version: u64) -> Result<Commit, Unavailable> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = match version {
            0 => put.condition_expression("attribute_not_exists(pk)"),
            read => put
                .condition_expression("#version = :read")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":read", AttributeValue::N(read.to_string())),
        };
        match put.send().await {
            Ok(_) => Ok(Commit::Done),
            // Also after a write of ours whose answer was lost. To tell that apart by what is there now would not do: a
            // push that is repeated at the same time writes the very same, and only one of the two may go on.
            Err(fault) if code(&fault) == "ConditionalCheckFailedException" => Ok(Commit::Lost),
            Err(fault) => Err(told(NOT_WRITTEN, &fault)),
        }
    }

    /// What is due in one shard: moment and key, the first `most` of them.
    async fn due_in(&self, shard: u8, until: i64, most: usize) -> Result<Vec<(i64, String)>, Unavailable> {
        let mut due = Vec::new();
        let mut start = None;
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("due")
                .key_condition_expression("#shard = :shard AND #due <= :until")
                .expression_attribute_names("#shard", "shard")
                .expression_attribute_names("#due", "due")
                .expression_attribute_values(":shard", AttributeValue::S(shard.to_string()))
                .expression_attribute_values(":until", AttributeValue::N(until.to_string()))
                .limit(i32::try_from(most - due.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start);
            let answer = query.send().await.map_err(|fault| told(NOT_SEARCHED, &fault))?;
            for mut item in answer.items.unwrap_or_default() {
                let entry = number(&item, "due").and_then(|due| Ok((due, text(&mut item, "pk")?)));
                due.push(entry.map_err(|fault| Unavailable::new(NOT_SEARCHED, fault))?);
            }
            // An answer ends at 1 MB, whatever its limit.
            start = answer.last_evaluated_key;
            if start.is_none() || due.len() >= most {
                return Ok(due);
            }
        }
    }

    async fn due_in_all(&self, until: i64, most: usize) -> Result<Vec<String>, Unavailable> {
        let mut queries = JoinSet::new();
        for shard in 0..SHARDS {
            let store = self.clone();
            queries.spawn(async move { store.due_in(shard, until, most).await });
        }
        let mut due = Vec::new();
        while let Some(outcome) = queries.join_next().await {
            due.extend(outcome.map_err(|fault| Unavailable::new(NOT_SEARCHED, fault))??);
        }
        due.sort_unstable();
        Ok(due.into_iter().take(most).map(|(_, key)| key).collect())
    }
}

impl StateStore for DynamoStore {
    async fn load(&self, keys: &[String]) -> Result<Vec<Document>, Unavailable> {
        let keys: Vec<_> = keys.iter().map(|key| item_key(key)).collect();
        // DynamoDB refuses a request that names a key twice.
        let documents = within(REMEMBERING, NOT_READ, self.get_all(keys.iter().cloned().collect())).await?;
        Ok(keys.iter().map(|key| documents.get(key).cloned().unwrap_or_default()).collect())
    }

    /// As the port has it, and [`Commit::Lost`] as well where this very write was made, its answer lost, and the SDK has
    /// tried again. To load and to evaluate once more is right then too: the readings are known by then, so it changes
    /// nothing, and what the first attempt has put into the outbox is due later.
    ///
    /// # Errors
    /// [`Unavailable`] where DynamoDB did not confirm; and where the document is larger than 400 KB when compressed, which
    /// no retry makes smaller.
    async fn commit(&self, key: &str, version: u64, body: &str, due: Option<Timestamp>) -> Result<Commit, Unavailable> {
        let item = to_item(key, version + 1, body, due, Timestamp::now());
        within(REMEMBERING, NOT_WRITTEN, self.put(item, version)).await
    }

    /// As the port has it. The index follows the table within a second or so: a document that was just written may be
    /// missing, or be here still although nothing about it is due any more.
    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, Unavailable> {
        if most == 0 {
            // Refused as a limit.
            return Ok(Vec::new());
        }
        within(REMEMBERING, NOT_SEARCHED, self.due_in_all(due_until(now), most)).await
    }
}

/// A document's key as DynamoDB takes it: itself, or where it is too long its beginning and its digest.
fn item_key(key: &str) -> String {
    if key.len() <= LONGEST_KEY {
        return key.to_owned();
    }
    format!("{}…sha256:{}", &key[..key.floor_char_boundary(READABLE)], Digest::of(key.as_bytes()))
}

/// The part of the index that a document is in, by its key in the table.
fn shard_of(item_key: &str) -> u8 {
    Digest::of(item_key.as_bytes()).as_bytes()[0] % SHARDS
}

fn to_item(key: &str, version: u64, body: &str, due: Option<Timestamp>, now: Timestamp) -> Item {
    let key = item_key(key);
    let last = due.map_or(now, |due| due.max(now));
    let expires = last.checked_add(KEPT_FOR).unwrap_or(Timestamp::MAX).as_second();
    let mut item = HashMap::from([
        ("version".to_owned(), AttributeValue::N(version.to_string())),
        ("body".to_owned(), to_body(body, key.len())),
        ("ttl".to_owned(), AttributeValue::N(expires.to_string())),
    ]);
    if let Some(due) = due {
        item.insert("due".to_owned(), AttributeValue::N(due_from(due).to_string()));
        item.insert("shard".to_owned(), AttributeValue::S(shard_of(&key).to_string()));
    }
    item.insert("pk".to_owned(), AttributeValue::S(key));
    item
}

/// The text, or where its item would be billed as more than one write the compressed text, if that is smaller.
fn to_body(text: &str, key_length: usize) -> AttributeValue {
    if text.len() + key_length + OVERHEAD > WRITE_UNIT
        && let Ok(packed) = zstd::bulk::compress(text.as_bytes(), COMPRESSION_LEVEL)
        && packed.len() < text.len()
    {
        return AttributeValue::B(Blob::new(packed));
    }
    AttributeValue::S(text.to_owned())
}

/// A document and its key; or what is wrong with the item, which then no release of this program has written.
fn from_item(mut item: Item) -> Result<(String, Document), String> {
    let key = text(&mut item, "pk")?;
    let version = number(&item, "version")?;
    let body = match item.remove("body") {
        Some(AttributeValue::S(text)) => Some(text),
        Some(AttributeValue::B(packed)) => {
            zstd::decode_all(packed.as_ref()).ok().and_then(|text| String::from_utf8(text).ok())
        }
        _ => None,
    };
    match body {
        Some(body) => Ok((key, Document { body: Some(body), version })),
        None => Err(format!("the body of item {key:?} is not text")),
    }
}

fn text(item: &mut Item, name: &str) -> Result<String, String> {
    match item.remove(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(format!("an item has no text {name}")),
    }
}

fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, String> {
    match item.get(name) {
        Some(AttributeValue::N(digits)) => digits.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| format!("an item has no whole number {name}"))
}

#[cfg(test)]
mod tests {
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
        let item = to_item("zone/1:a/b", 1, "{}", None, NOW);
        assert_eq!(item.keys().map(String::as_str).collect::<BTreeSet<_>>(), ["body", "pk", "ttl", "version"].into());
        let item = to_item("zone/1:a/b", 1, "{}", Some(seconds(7)), NOW);
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
        let expires = |due: Option<Timestamp>| digits(&to_item("a", 1, "{}", due, seconds(100)), "ttl");
        assert_eq!(expires(None), 100 + SEASON);
        assert_eq!(expires(Some(seconds(99))), 100 + SEASON);
        assert_eq!(expires(Some(seconds(101))), 101 + SEASON);
        assert_eq!(expires(Some(Timestamp::MAX)), Timestamp::MAX.as_second());
    }

    #[test]
    fn body_is_compressed_from_the_second_billed_kilobyte_on() {
        let room = WRITE_UNIT - OVERHEAD - "key".len();
        let kind = |length: usize| to_body(&"a".repeat(length), "key".len());
        assert!(kind(room).is_s());
        assert!(kind(room + 1).is_b());
        let item = to_item("key", u64::MAX, &"a".repeat(room), Some(NOW), NOW);
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
        let good = to_item("key", 1, "{}", None, NOW);
        assert!(from_item(good.clone()).is_ok());
        for (name, wrong) in [
            ("pk", AttributeValue::N("1".into())),
            ("version", AttributeValue::S("1".into())),
            ("version", AttributeValue::N("-1".into())),
            ("version", AttributeValue::N("1.5".into())),
            ("body", AttributeValue::B(Blob::new("no Zstandard frame"))),
            ("body", AttributeValue::B(Blob::new(zstd::bulk::compress(&[0xFF], 3).unwrap()))),
            ("body", AttributeValue::Null(true)),
        ] {
            let mut item = good.clone();
            item.insert(name.into(), wrong.clone());
            assert!(from_item(item).is_err(), "{name} {wrong:?}");
        }
    }
}
