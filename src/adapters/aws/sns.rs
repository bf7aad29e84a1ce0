//! Messages to an SNS topic.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::operation::publish_batch::PublishBatchOutput;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::{PUBLISHING, READING, backoff, code, status, told, within};
use crate::ingest::ports::{AlertPublisher, Subscriptions, UnavailableError, chain};
use crate::notify::attributes::Attribute;
use crate::notify::render::Rendered;

/// Entries that a request may have; SNS, `PublishBatch`.
const MOST_ENTRIES: usize = 10;
/// Bytes that the messages of a request may have together, subjects and attributes counted; SNS, `PublishBatch`.
const MOST_BYTES: usize = 256 * 1024;
/// Requests under way at a time.
const CONCURRENCY: usize = 4;
/// Has SNS deliver a text as reliably as it can, `Transactional`, and not as cheaply, which is an account's default. Other
/// protocols do not look at it.
const SMS_TYPE: (&str, &str) = ("AWS.SNS.SMS.SMSType", "Transactional");
/// How often a message is sent that the service failed to take.
const ATTEMPTS: u32 = 3;

const NOT_COUNTED: &str = "the alert topic did not say who has subscribed";
const NOT_SENT: &str = "the alert topic did not take the message";

/// Publishes messages to a topic.
#[derive(Clone, Debug)]
pub struct SnsPublisher {
    client: Client,
    topic_arn: String,
}

/// A message on its way.
#[derive(Clone, Debug)]
struct Entry {
    /// Its position among the messages to be sent.
    index: usize,
    subject: String,
    /// What to send instead of a subject that was refused; `None` once it is sent, or where it would be the same.
    ascii_subject: Option<String>,
    body: String,
    attributes: HashMap<String, MessageAttributeValue>,
    /// How often the service failed to take it.
    failures: u32,
}

/// What became of an entry.
type Outcome = (usize, Result<(), String>);

impl SnsPublisher {
    /// Publishes to the topic that `topic_arn` names.
    #[must_use]
    pub fn new(client: Client, topic_arn: String) -> Self {
        Self { client, topic_arn }
    }

    /// Opens the connection, so that the first alert need not wait for it. Nothing is published: SNS refuses an empty
    /// batch. Whether that worked does not matter.
    pub async fn connect(&self) {
        let empty =
            self.client.publish_batch().topic_arn(&self.topic_arn).set_publish_batch_request_entries(Some(Vec::new()));
        let _ = tokio::time::timeout(READING, empty.send()).await;
    }

    /// Sends a batch until each of its entries has an outcome.
    async fn send(&self, batch: Vec<Entry>, outcomes: &mpsc::UnboundedSender<Outcome>) {
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            let failures = batch.iter().map(|entry| entry.failures).max().unwrap_or_default();
            if failures > 0 {
                tokio::time::sleep(backoff(failures)).await;
            }
            for again in self.send_once(batch, outcomes).await {
                waiting.push(again);
            }
        }
    }

    /// Sends a batch once, tells the outcomes that are final, and gives back what is to be sent again.
    async fn send_once(&self, batch: Vec<Entry>, outcomes: &mpsc::UnboundedSender<Outcome>) -> Vec<Vec<Entry>> {
        // Nobody listens any more only where the time for publishing is over.
        let tell = |index: usize, outcome: Result<(), String>| drop(outcomes.send((index, outcome)));
        let entries = batch.iter().map(Entry::to_request).collect();
        let request =
            self.client.publish_batch().topic_arn(&self.topic_arn).set_publish_batch_request_entries(Some(entries));
        let again = match request.send().await {
            Ok(answer) => refused_one_by_one(batch, &answer, tell),
            Err(fault) if status(&fault) == 400 && is_about_content(code(&fault)) => {
                return refused_as_a_whole(batch, &chain(&fault), tell);
            }
            // What the SDK does not know as throttling, and so has not tried again.
            Err(fault) if status(&fault) == 429 || code(&fault) == "KMSThrottling" => {
                let (again, given_up): (Vec<_>, Vec<_>) =
                    batch.into_iter().map(Entry::failed_once_more).partition(|entry| entry.failures < ATTEMPTS);
                given_up.iter().for_each(|entry| tell(entry.index, Err(chain(&fault))));
                again
            }
            Err(fault) => {
                // The SDK has tried often enough.
                batch.iter().for_each(|entry| tell(entry.index, Err(chain(&fault))));
                Vec::new()
            }
        };
        if again.is_empty() { Vec::new() } else { vec![again] }
    }
}

#[async_trait]
impl AlertPublisher for SnsPublisher {
    async fn publish(&self, messages: &[Rendered]) -> Vec<Result<(), UnavailableError>> {
        let mut results: Vec<_> =
            messages.iter().map(|_| Err(UnavailableError::new(NOT_SENT, "it was not confirmed in time"))).collect();
        let (sender, mut outcomes) = mpsc::unbounded_channel();
        let turns = Arc::new(Semaphore::new(CONCURRENCY));
        // Dropped at the end, and with it whatever still runs then.
        let mut requests = JoinSet::new();
        for batch in batches(messages.iter().enumerate().map(|(index, message)| Entry::of(index, message))) {
            let (publisher, sender, turns) = (self.clone(), sender.clone(), Arc::clone(&turns));
            requests.spawn(async move {
                // Only fails where the semaphore is closed, which nobody does.
                let _turn = turns.acquire().await;
                publisher.send(batch, &sender).await;
            });
        }
        drop(sender);
        let collect = async {
            while let Some((index, outcome)) = outcomes.recv().await {
                if let Some(result) = results.get_mut(index) {
                    *result = outcome.map_err(|fault| UnavailableError::new(NOT_SENT, fault));
                }
            }
        };
        // What has no outcome by then stays unconfirmed.
        let _ = tokio::time::timeout(PUBLISHING, collect).await;
        results
    }

    async fn subscriptions(&self) -> Result<Option<Subscriptions>, UnavailableError> {
        within(READING, NOT_COUNTED, async {
            let asked = self.client.get_topic_attributes().topic_arn(&self.topic_arn).send().await;
            let answer = asked.map_err(|fault| told(NOT_COUNTED, &fault))?;
            // Numbers as text, in SNS's API.
            let attributes = answer.attributes.unwrap_or_default();
            let count = |name| attributes.get(name).and_then(|number: &String| number.parse().ok());
            let counted = count("SubscriptionsConfirmed").zip(count("SubscriptionsPending"));
            Ok(counted.map(|(confirmed, pending)| Subscriptions { confirmed, pending }))
        })
        .await
    }
}

impl Entry {
    fn of(index: usize, message: &Rendered) -> Self {
        let attribute = |(name, value): &(&'static str, Attribute)| Some(((*name).to_owned(), value_of(value)?));
        let (name, value) = SMS_TYPE;
        let sms_type = (name, Attribute::One(value.to_owned()));
        Self {
            index,
            subject: message.subject.clone(),
            ascii_subject: Some(message.ascii_subject.clone()).filter(|ascii| *ascii != message.subject),
            body: message.sns_message(),
            attributes: message.attributes.iter().chain([&sms_type]).filter_map(attribute).collect(),
            failures: 0,
        }
    }

    /// Its name within a request.
    fn id(&self) -> String {
        self.index.to_string()
    }

    /// Bytes that SNS counts: text, subject, and names, types and values of the attributes.
    fn size(&self) -> usize {
        let attribute = |(name, value): (&String, &MessageAttributeValue)| {
            name.len() + value.data_type().len() + value.string_value().map_or(0, str::len)
        };
        self.body.len() + self.subject.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }

    fn failed_once_more(mut self) -> Self {
        self.failures += 1;
        self
    }

    /// Takes the ASCII subject; false where it has it already.
    fn fall_back_to_ascii(&mut self) -> bool {
        self.ascii_subject.take().map(|ascii| self.subject = ascii).is_some()
    }

    fn to_request(&self) -> PublishBatchRequestEntry {
        let entry = PublishBatchRequestEntry::builder()
            .id(self.id())
            .set_subject(Some(self.subject.clone()).filter(|subject| !subject.is_empty()))
            .message(&self.body)
            .message_structure("json")
            .set_message_attributes(Some(self.attributes.clone()));
        build(entry)
    }
}

/// # Panics
/// Never: id and message are the two members that it asks for.
#[expect(clippy::expect_used, reason = "both members that it asks for are set")]
fn build(entry: aws_sdk_sns::types::builders::PublishBatchRequestEntryBuilder) -> PublishBatchRequestEntry {
    entry.build().expect("id and message are set")
}

/// `None` where the value is empty, which SNS refuses.
fn value_of(attribute: &Attribute) -> Option<MessageAttributeValue> {
    let (data_type, text) = match attribute {
        Attribute::One(value) if value.is_empty() => return None,
        Attribute::One(value) => ("String", value.clone()),
        Attribute::Many(values) => {
            let values: Vec<_> = values.iter().filter(|value| !value.is_empty()).collect();
            if values.is_empty() {
                return None;
            }
            ("String.Array", serde_json::to_string(&values).ok()?)
        }
    };
    MessageAttributeValue::builder().data_type(data_type).string_value(text).build().ok()
}

/// Cuts `entries` into requests that SNS takes, in order. An entry that is too large by itself goes alone: its refusal
/// costs no other.
fn batches(entries: impl Iterator<Item = Entry>) -> Vec<Vec<Entry>> {
    let mut batches: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let size = entry.size();
        match batches.last_mut() {
            Some(batch) if batch.len() < MOST_ENTRIES && bytes + size <= MOST_BYTES => {
                bytes += size;
                batch.push(entry);
            }
            _ => {
                bytes = size;
                batches.push(vec![entry]);
            }
        }
    }
    batches
}

/// Whether a refusal is about what one of the messages holds, so that others, or another subject, can pass.
fn is_about_content(code: &str) -> bool {
    ["InvalidParameter", "InvalidParameterValue", "ValidationError", "ValidationException", "BatchRequestTooLong"]
        .contains(&code)
}

/// Where a request was answered, entries may have failed one by one. Gives back those that may pass another time.
fn refused_one_by_one(
    batch: Vec<Entry>,
    answer: &PublishBatchOutput,
    tell: impl Fn(usize, Result<(), String>),
) -> Vec<Entry> {
    let mut again = Vec::new();
    for mut entry in batch {
        let id = entry.id();
        if answer.successful().iter().any(|success| success.id() == Some(&id)) {
            tell(entry.index, Ok(()));
            continue;
        }
        let failure = answer.failed().iter().find(|failure| failure.id() == id);
        let code = failure.map_or("it has no outcome", |failure| failure.code());
        let may_pass = match failure {
            Some(failure) if failure.sender_fault() => is_about_content(code) && entry.fall_back_to_ascii(),
            _ => {
                entry = entry.failed_once_more();
                entry.failures < ATTEMPTS
            }
        };
        if may_pass {
            again.push(entry);
        } else {
            let message = failure.and_then(|failure| failure.message()).unwrap_or_default();
            tell(entry.index, Err(format!("{code}: {message}")));
        }
    }
    again
}

/// Where a whole request is refused for its content, the messages go one by one, so that only the guilty one stays; and
/// that one gets its ASCII subject.
fn refused_as_a_whole(mut batch: Vec<Entry>, fault: &str, tell: impl Fn(usize, Result<(), String>)) -> Vec<Vec<Entry>> {
    if let [entry] = batch.as_mut_slice() {
        if entry.fall_back_to_ascii() {
            return vec![batch];
        }
        tell(entry.index, Err(fault.to_owned()));
        return Vec::new();
    }
    batch.into_iter().map(|entry| vec![entry]).collect()
}
