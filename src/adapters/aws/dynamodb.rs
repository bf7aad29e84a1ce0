//! State documents in a DynamoDB table: one item each (`items.rs`), written by compare-and-swap.

mod operator;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::items::{Item, Items, SHARDS, expires, item_key, number, text};
use super::{READING, backoff, code, told, within};
use crate::adapters::due::due_until;
use crate::domain::rate_limit::{Bucket, Expected, Sender, Take, TokenRequest, utc_day};
use crate::ingest::ports::{Commit, RateLimiter, StateDocument, StateStore, UnavailableError};

/// Longest that loading, writing or asking what is due takes, with all retries.
pub(super) const REMEMBERING: Duration = Duration::from_secs(4);
/// Longest that an attempt takes. Answers take milliseconds: a second attempt is sooner there than one that takes longer.
const ATTEMPT: Duration = Duration::from_millis(1_500);
/// Keys that a request may have; DynamoDB, `BatchGetItem`.
const MOST_KEYS: usize = 100;
/// Requests of one load under way at a time.
const CONCURRENCY: usize = 8;
const NOT_READ: &str = "the state store did not give the documents";
const NOT_WRITTEN: &str = "the state store did not take the document";
const NOT_SEARCHED: &str = "the state store did not say what is due";
const NOT_LIMITED: &str = "the rate limiter did not answer";
/// How often a conditional write of the limiter is made, each time by what the last one has found. After that nothing is
/// granted.
const ATTEMPTS: usize = 6;

/// A client of DynamoDB: as [`super::with_limits`] has it, but with less patience.
#[must_use]
pub fn client(config: &aws_config::SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(REMEMBERING).build();
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
    items: Arc<Items>,
}

impl DynamoStore {
    /// Keeps them in `table`, which has the partition key `pk` and the index `due`, of `shard` and `due`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table, items: Arc::default() }
    }

    /// Opens the connection, so that the first push need not wait for it. Nothing is read: DynamoDB refuses a request for
    /// no keys. Whether that worked does not matter.
    pub async fn connect(&self) {
        let _ = tokio::time::timeout(READING, self.client.batch_get_item().send()).await;
    }

    /// The documents of `keys`, at most [`MOST_KEYS`] of them, all different.
    async fn get(&self, keys: Vec<String>) -> Result<HashMap<String, StateDocument>, UnavailableError> {
        let keys = keys.into_iter().map(|key| HashMap::from([("pk".to_owned(), AttributeValue::S(key))])).collect();
        // Consistent: what the last push has written must be seen by the next, or it loses the race for certain.
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let mut left =
            HashMap::from([(self.table.clone(), keys.map_err(|fault| UnavailableError::new(NOT_READ, fault))?)]);
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
                let (key, document) = self.items.read(item).map_err(|fault| UnavailableError::new(NOT_READ, fault))?;
                documents.insert(key, document);
            }
            // Also where the answer would have been larger than 16 MB, and then there is no need to wait longer.
            failures = if documents.len() > before { 1 } else { failures + 1 };
            left = answer.unprocessed_keys.unwrap_or_default();
        }
        Ok(documents)
    }

    async fn get_all(&self, keys: BTreeSet<String>) -> Result<HashMap<String, StateDocument>, UnavailableError> {
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
            documents.extend(outcome.map_err(|fault| UnavailableError::new(NOT_READ, fault))??);
        }
        Ok(documents)
    }

    async fn put(&self, item: Item, version: u64) -> Result<Commit, UnavailableError> {
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
    async fn due_in(&self, shard: u8, until: i64, most: usize) -> Result<Vec<(i64, String)>, UnavailableError> {
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
                due.push(entry.map_err(|fault| UnavailableError::new(NOT_SEARCHED, fault))?);
            }
            // An answer ends at 1 MB, whatever its limit.
            start = answer.last_evaluated_key;
            if start.is_none() || due.len() >= most {
                return Ok(due);
            }
        }
    }

    async fn due_in_all(&self, until: i64, most: usize) -> Result<Vec<String>, UnavailableError> {
        let mut queries = JoinSet::new();
        for shard in 0..SHARDS {
            let store = self.clone();
            queries.spawn(async move { store.due_in(shard, until, most).await });
        }
        let mut due = Vec::new();
        while let Some(outcome) = queries.join_next().await {
            due.extend(outcome.map_err(|fault| UnavailableError::new(NOT_SEARCHED, fault))??);
        }
        due.sort_unstable();
        Ok(due.into_iter().take(most).map(|(_, key)| key).collect())
    }
}

/// A conditional write of the limiter.
struct Update {
    key: String,
    expression: String,
    condition: Option<String>,
    values: Vec<(&'static str, i64)>,
}

impl DynamoStore {
    /// Makes the write. `Some` with the item that is there if the condition does not hold.
    async fn update(&self, update: Update) -> Result<Option<Item>, UnavailableError> {
        let Update { key, expression, condition, values } = update;
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), AttributeValue::N(value.to_string())));
        let ttl = AttributeValue::N(expires(Timestamp::now()).to_string());
        let written = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key))
            .update_expression(expression)
            .set_condition_expression(condition)
            .expression_attribute_names("#ttl", "ttl")
            .set_expression_attribute_values(Some(values.chain([(":ttl".to_owned(), ttl)]).collect()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match written {
            Ok(_) => Ok(None),
            Err(fault) => match fault.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(found)) => {
                    Ok(Some(found.item.clone().unwrap_or_default()))
                }
                _ => Err(told(NOT_LIMITED, &fault)),
            },
        }
    }

    async fn take(&self, channel: &str, request: TokenRequest) -> Result<usize, UnavailableError> {
        // Taken to be full at first, as it nearly always is.
        let mut bucket = Bucket::default();
        for _ in 0..ATTEMPTS {
            let take = request.take(bucket);
            if take.bucket == bucket {
                return Ok(take.granted);
            }
            let Some(found) = self.update(tokens_update(channel, bucket, &take, request.sender)).await? else {
                return Ok(take.granted);
            };
            let number = |name| found.contains_key(name).then(|| number(&found, name)).transpose();
            let (tat, waiting) = (number("tat"), number("waiting"));
            let fault = |fault: String| UnavailableError::new(NOT_LIMITED, fault);
            bucket = Bucket { tat: tat.map_err(fault)?, waiting: waiting.map_err(fault)? };
        }
        Ok(0)
    }

    async fn count_sms(&self, quota: u32, mut wanted: usize, now: Timestamp) -> Result<usize, UnavailableError> {
        let quota = quota as usize;
        wanted = wanted.min(quota);
        for _ in 0..ATTEMPTS {
            if wanted == 0 {
                break;
            }
            let update = Update {
                key: format!("sms/{}", utc_day(now)),
                expression: "ADD sent :wanted SET #ttl = :ttl".to_owned(),
                condition: Some("attribute_not_exists(sent) OR sent <= :most".to_owned()),
                values: vec![(":wanted", count(wanted)), (":most", count(quota - wanted))],
            };
            let Some(found) = self.update(update).await? else { return Ok(wanted) };
            let sent: usize = number(&found, "sent").map_err(|fault| UnavailableError::new(NOT_LIMITED, fault))?;
            wanted = wanted.min(quota.saturating_sub(sent));
        }
        Ok(0)
    }
}

/// The write of `take` from `bucket`. Expressions have no `max`: a bucket that is full starts again at now, another one is
/// added to, so that copies which take at the same time do not undo each other's takes.
fn tokens_update(channel: &str, bucket: Bucket, take: &Take, sender: Sender) -> Update {
    let mut sets = vec!["#ttl = :ttl"];
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    if let Some(tat) = take.bucket.tat.filter(|_| take.granted > 0) {
        match take.expected {
            Expected::Full { now, implausible } => {
                sets.push("tat = :tat");
                conditions.push("(attribute_not_exists(tat) OR tat <= :now OR tat > :implausible)");
                values.extend([(":tat", tat), (":now", now), (":implausible", implausible)]);
            }
            Expected::Between { now, highest } => {
                sets.push("tat = tat + :cost");
                conditions.push("tat > :now AND tat <= :highest");
                let cost = tat - bucket.tat.unwrap_or(now);
                values.extend([(":cost", cost), (":now", now), (":highest", highest)]);
            }
        }
        if let Some(until) = take.waiting_until {
            conditions.push("(attribute_not_exists(waiting) OR waiting <= :until)");
            values.push((":until", until));
        }
    }
    if let Some(waiting) = take.bucket.waiting.filter(|_| take.bucket.waiting != bucket.waiting) {
        sets.push("waiting = :waiting");
        values.push((":waiting", waiting));
    }
    // Also if this copy has not read it: another one may have set it meanwhile.
    let removed =
        if matches!(sender, Sender::Sweep { .. }) && take.bucket.waiting.is_none() { " REMOVE waiting" } else { "" };
    Update {
        key: format!("rate-limit/{channel}"),
        expression: format!("SET {}{removed}", sets.join(", ")),
        condition: (!conditions.is_empty()).then(|| conditions.join(" AND ")),
        values,
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[async_trait]
impl RateLimiter for DynamoStore {
    /// As the port has it. A take whose answer was lost, and which the SDK makes again, is taken twice.
    ///
    /// # Errors
    /// [`UnavailableError`] if DynamoDB did not confirm.
    async fn take_tokens(&self, channel: &str, request: TokenRequest) -> Result<usize, UnavailableError> {
        within(REMEMBERING, NOT_LIMITED, self.take(channel, request)).await
    }

    /// As the port has it. A count whose answer was lost, and which the SDK makes again, is counted twice.
    ///
    /// # Errors
    /// [`UnavailableError`] if DynamoDB did not confirm.
    async fn take_sms(&self, quota: u32, wanted: usize, now: Timestamp) -> Result<usize, UnavailableError> {
        within(REMEMBERING, NOT_LIMITED, self.count_sms(quota, wanted, now)).await
    }
}

#[async_trait]
impl StateStore for DynamoStore {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
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
    /// [`UnavailableError`] where DynamoDB did not confirm; and where the document is larger than 400 KB when compressed, which
    /// no retry makes smaller.
    async fn commit(
        &self,
        key: &str,
        version: u64,
        body: &str,
        due: Option<Timestamp>,
    ) -> Result<Commit, UnavailableError> {
        let item = self.items.write(key, version + 1, body, due, Timestamp::now());
        within(REMEMBERING, NOT_WRITTEN, self.put(item, version)).await
    }

    /// As the port has it. The index follows the table within a second or so: a document that was just written may be
    /// missing, or be here still although nothing about it is due any more.
    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        if most == 0 {
            // Refused as a limit.
            return Ok(Vec::new());
        }
        within(REMEMBERING, NOT_SEARCHED, self.due_in_all(due_until(now), most)).await
    }
}
