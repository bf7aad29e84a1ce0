//! State documents in a DynamoDB table: one item each (`items.rs`), written by compare-and-swap.

mod operator;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementErrorCodeEnum, KeysAndAttributes};
use futures_util::future::{join_all, try_join_all};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::items::{ATTENTION_SHARDS, ItemCodec, SHARDS, TableItem, item_key, number, text, update_statement};
use super::{OPTIONAL_TIMEOUT, backoff, error_code, unavailable, within};
use crate::adapters::due_millis::now_millis;
use crate::ingest::ports::{AttentionEntry, Commit, IndexEntry, StateDocument, StateStore, UnavailableError};

/// For one load, write or search, all retries included.
const STATE_TIMEOUT: Duration = Duration::from_secs(4);
/// For one attempt. Responses take milliseconds, so a second attempt is sooner than a slow first one.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Most keys of a request; DynamoDB, `BatchGetItem`.
const MAX_KEYS: usize = 100;
/// Most statements of a request; DynamoDB, `BatchExecuteStatement`.
const MAX_STATEMENTS: usize = 25;
/// Longest text of a document that shares a request, in bytes. Its limit is not documented; those of other batches are 4 and 16 MB.
const MAX_SHARING: usize = 64 * 1024;
/// Requests of one load at the same time.
const CONCURRENCY: usize = 8;

const NOT_READ: &str = "the state store did not return the documents";
const NOT_WRITTEN: &str = "the state store did not take the document";
const NOT_SEARCHED: &str = "the state store did not return the due documents";

/// Creates a client with the configuration of [`super::with_timeouts`] and shorter timeouts.
#[must_use]
pub fn client(config: &aws_config::SdkConfig) -> Client {
    let timeouts =
        TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).operation_timeout(STATE_TIMEOUT).build();
    Client::from_conf(aws_sdk_dynamodb::config::Builder::from(config).timeout_config(timeouts).build())
}

/// Stores state documents in a table.
///
/// A key of more than 2,048 bytes is shortened to its beginning and its SHA-256. [`due`](StateStore::due) returns the
/// shortened key, which loads and writes the same document.
#[derive(Clone)]
pub struct DynamoStore {
    client: Client,
    table: String,
    codec: Arc<ItemCodec>,
    queue: Arc<Mutex<Vec<QueuedWrite>>>,
}

/// A write that waits for the others of the same time.
struct QueuedWrite {
    item: TableItem,
    /// The version that was read.
    version: u64,
    outcome: oneshot::Sender<Result<Commit, UnavailableError>>,
}

impl DynamoStore {
    /// Uses `table`, which has the partition key `pk`, the index `due` with the keys `shard` and `due`, and the index
    /// `attention` with the keys `attention_shard` and `attention`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table, codec: Arc::default(), queue: Arc::default() }
    }

    /// Opens the connection, so that the first push does not wait for it. Nothing is read: DynamoDB refuses a request without
    /// keys. The result is not essential.
    pub async fn connect(&self) {
        let _ = tokio::time::timeout(OPTIONAL_TIMEOUT, self.client.batch_get_item().send()).await;
    }

    /// The documents of at most [`MAX_KEYS`] different keys.
    async fn get(&self, keys: &[String]) -> Result<HashMap<String, StateDocument>, UnavailableError> {
        let invalid = |error: String| UnavailableError::new(NOT_READ, error);
        let keys = keys.iter().map(|key| HashMap::from([("pk".to_owned(), AttributeValue::S(key.clone()))])).collect();
        // Consistent, because a stale read loses the compare-and-swap for certain.
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let keys = keys.map_err(|error| UnavailableError::new(NOT_READ, error))?;
        let mut unprocessed = HashMap::from([(self.table.clone(), keys)]);
        let mut documents = HashMap::new();
        let mut failures = 0;
        // The caller's timeout ends the loop at the latest.
        while !unprocessed.is_empty() {
            if failures > 0 {
                tokio::time::sleep(backoff(failures)).await;
            }
            let response = self.client.batch_get_item().set_request_items(Some(unprocessed)).send().await;
            let response = response.map_err(|error| unavailable(NOT_READ, &error))?;
            let before = documents.len();
            for item in response.responses.unwrap_or_default().into_values().flatten() {
                let (key, document) = self.codec.decode(item).map_err(invalid)?;
                documents.insert(key, document);
            }
            // Keys are also left if the response would exceed 16 MB: the backoff starts again after any progress.
            failures = if documents.len() > before { 1 } else { failures + 1 };
            unprocessed = response.unprocessed_keys.unwrap_or_default();
        }
        Ok(documents)
    }

    async fn get_all(&self, keys: BTreeSet<String>) -> Result<HashMap<String, StateDocument>, UnavailableError> {
        let keys: Vec<_> = keys.into_iter().collect();
        let requests: Vec<_> = keys.chunks(MAX_KEYS).map(|keys| self.get(keys)).collect();
        let documents: Vec<_> = stream::iter(requests).buffer_unordered(CONCURRENCY).try_collect().await?;
        Ok(documents.into_iter().flatten().collect())
    }

    async fn put(&self, item: TableItem, version: u64) -> Result<Commit, UnavailableError> {
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
            // Also after a write of this process whose response was lost. To compare with the stored document would not help:
            // a repeated push writes the very same at the same time, and only one of the two may continue.
            Err(error) if error_code(&error) == "ConditionalCheckFailedException" => Ok(Commit::Lost),
            Err(error) => Err(unavailable(NOT_WRITTEN, &error)),
        }
    }

    /// Writes an item in one request with those that other callers write at the same time: the zones of a push. Each has a
    /// condition and an outcome of its own, and costs as much as alone. In a transaction, it would cost twice as much.
    async fn put_with_others(&self, item: TableItem, version: u64) -> Result<Commit, UnavailableError> {
        let (outcome, written) = oneshot::channel();
        let write = QueuedWrite { item, version, outcome };
        if let Some(QueuedWrite { item, .. }) = self.enqueue(write) {
            return self.put(item, version).await;
        }
        // The others enter the queue. The first of them to continue sends all.
        tokio::task::yield_now().await;
        self.put_each(self.dequeue()).await;
        written.await.unwrap_or_else(|_| Err(UnavailableError::new(NOT_WRITTEN, "its request has no outcome for it")))
    }

    /// Adds a write to the queue. Returns it if the queue has one of the same item.
    fn enqueue(&self, write: QueuedWrite) -> Option<QueuedWrite> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.iter().any(|queued| queued.item["pk"] == write.item["pk"]) {
            return Some(write);
        }
        queue.push(write);
        None
    }

    /// The first writes of the queue, as many as a request takes. Drops those whose caller was cancelled: they would be written
    /// instead of the caller's own.
    fn dequeue(&self) -> Vec<QueuedWrite> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.retain(|write| !write.outcome.is_closed());
        let count = queue.len().min(MAX_STATEMENTS);
        queue.drain(..count).collect()
    }

    /// Writes two or more items in one request, an item alone without the cost of a statement.
    async fn put_each(&self, mut writes: Vec<QueuedWrite>) {
        if writes.len() > 1 {
            writes = self.update_each(writes).await;
        }
        join_all(writes.into_iter().map(async |QueuedWrite { item, version, outcome }| {
            // A caller that was cancelled no longer receives.
            let _ = outcome.send(self.put(item, version).await);
        }))
        .await;
    }

    /// Updates items in one request. Returns the writes that failed for another reason than their condition, such as throttling:
    /// the SDK retries them only one by one. If the whole request failed, these are all: a role may forbid only statements.
    async fn update_each(&self, writes: Vec<QueuedWrite>) -> Vec<QueuedWrite> {
        let statements = writes.iter().map(|write| update_statement(&self.table, &write.item, write.version)).collect();
        let response = self.client.batch_execute_statement().set_statements(Some(statements)).send().await;
        let response = response.inspect_err(|error| {
            let error = unavailable(NOT_WRITTEN, error).chain();
            tracing::warn!(
                documents = writes.len(),
                error,
                "shared request failed, each document is written by itself"
            );
        });
        let mut outcomes = response.ok().and_then(|response| response.responses).unwrap_or_default().into_iter();
        let mut failed = Vec::new();
        for write in writes {
            let outcome = match outcomes.next().map(|response| response.error.map(|error| error.code)) {
                Some(None) => Commit::Done,
                Some(Some(Some(BatchStatementErrorCodeEnum::ConditionalCheckFailed))) => Commit::Lost,
                _ => {
                    failed.push(write);
                    continue;
                }
            };
            let _ = write.outcome.send(Ok(outcome));
        }
        failed
    }

    /// The first `most` documents of one shard that are due: due time and key.
    async fn due_in(&self, shard: u8, now: i64, most: usize) -> Result<Vec<(i64, String)>, UnavailableError> {
        let query = self.shard("due", "shard", shard, most);
        let query = query
            .key_condition_expression("#shard = :shard AND #due <= :now")
            .expression_attribute_names("#due", "due")
            .expression_attribute_values(":now", AttributeValue::N(now.to_string()));
        first(query, most, |item| Ok((number(item, "due")?, text(item, "pk")?))).await
    }

    /// The first `most` entries of one shard of zones that need attention.
    async fn attention_in(&self, shard: u8, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        let query = self.shard("attention", "attention_shard", shard, most);
        let query = query.key_condition_expression("#shard = :shard");
        let entry = |item: &mut TableItem| {
            Ok(AttentionEntry { sort_key: text(item, "attention")?, summary: text(item, "summary")? })
        };
        first(query, most, entry).await
    }

    /// A query of one shard of an index.
    fn shard(&self, index: &str, key: &str, shard: u8, most: usize) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.table).index_name(index);
        let query = query.expression_attribute_names("#shard", key).limit(i32::try_from(most).unwrap_or(i32::MAX));
        query.expression_attribute_values(":shard", AttributeValue::S(shard.to_string()))
    }

    async fn due_in_all(&self, now: i64, most: usize) -> Result<Vec<String>, UnavailableError> {
        let due = try_join_all((0..SHARDS).map(|shard| self.due_in(shard, now, most))).await?;
        Ok(merged(due, most).map(|(_, key)| key).collect())
    }
}

/// The first `most` items of a query.
async fn first<T>(
    query: QueryFluentBuilder,
    most: usize,
    read: impl Fn(&mut TableItem) -> Result<T, String>,
) -> Result<Vec<T>, UnavailableError> {
    let mut items = query.into_paginator().items().send();
    let mut found = Vec::new();
    while found.len() < most
        && let Some(item) = items.next().await
    {
        let mut item = item.map_err(|error| unavailable(NOT_SEARCHED, &error))?;
        found.push(read(&mut item).map_err(|error| UnavailableError::new(NOT_SEARCHED, error))?);
    }
    Ok(found)
}

/// The first `most` of all shards.
fn merged<T: Ord + Clone>(shards: Vec<Vec<T>>, most: usize) -> impl Iterator<Item = T> {
    let mut all = shards.concat();
    all.sort_unstable();
    all.into_iter().take(most)
}

#[async_trait]
impl StateStore for DynamoStore {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        let keys: Vec<_> = keys.iter().map(|key| item_key(key)).collect();
        // DynamoDB refuses a request that names a key twice.
        let documents = within(STATE_TIMEOUT, NOT_READ, self.get_all(keys.iter().cloned().collect())).await?;
        Ok(keys.iter().map(|key| documents.get(key).cloned().unwrap_or_default()).collect())
    }

    /// Also returns [`Commit::Lost`] if this write succeeded, its response was lost, and the SDK retried. To load and evaluate
    /// again is right then too: the dedup window knows the readings, and the outbox has the messages of the first attempt.
    ///
    /// # Errors
    /// [`UnavailableError`] if DynamoDB did not confirm, or if the document has more than 400 KB after compression. A retry
    /// does not help against the latter.
    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError> {
        let item = self.codec.encode(key, version + 1, body, index, Timestamp::now());
        let write = async {
            // A new document has nothing to update.
            if version == 0 || body.len() > MAX_SHARING {
                self.put(item, version).await
            } else {
                self.put_with_others(item, version).await
            }
        };
        within(STATE_TIMEOUT, NOT_WRITTEN, write).await
    }

    /// The index follows the table within about a second: a document that was just written may be missing, or be listed
    /// although it is no longer due.
    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        if most == 0 {
            // DynamoDB refuses a limit of 0.
            return Ok(Vec::new());
        }
        within(STATE_TIMEOUT, NOT_SEARCHED, self.due_in_all(now_millis(now), most)).await
    }

    /// Follows the table as [`Self::due`] does.
    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        let shards = try_join_all((0..ATTENTION_SHARDS).map(|shard| self.attention_in(shard, most.max(1))));
        Ok(merged(within(STATE_TIMEOUT, NOT_SEARCHED, shards).await?, most).collect())
    }
}
