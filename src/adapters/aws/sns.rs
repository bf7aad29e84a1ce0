//! Messages to an SNS topic.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::operation::publish_batch::PublishBatchOutput;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::{OPTIONAL_TIMEOUT, PUBLISH_TIMEOUT, backoff, error_code, http_status, unavailable, within};
use crate::domain::rules::RuleSet;
use crate::domain::state::Channel;
use crate::ingest::ports::{AlertPublisher, OutgoingMessage, PublishOutcome, Subscriptions, UnavailableError, chain};
use crate::notify::attributes::Attribute;
use crate::notify::rendered::Rendered;

/// Most messages of a request; SNS, `PublishBatch`.
const MAX_MESSAGES: usize = 10;
/// Most bytes of the messages of a request together, with subjects and attributes; SNS, `PublishBatch`.
const MAX_BYTES: usize = 256 * 1024;
/// Requests at the same time.
const CONCURRENCY: usize = 4;
/// Makes SNS deliver an SMS as reliably as possible, `Transactional`; an account's default is as cheaply as possible. Other
/// protocols ignore it.
const SMS_TYPE: (&str, &str) = ("AWS.SNS.SMS.SMSType", "Transactional");
/// Attempts at a message that fails on the side of the service.
const ATTEMPTS: u32 = 3;

/// Time limit for listing the audiences with a subscription, with a request for each subscription.
const LISTING_TIMEOUT: Duration = Duration::from_secs(10);

const NOT_LISTED: &str = "the alert topic did not list its subscriptions";
const NOT_COUNTED: &str = "the alert topic did not return its subscriptions";
const NOT_SENT: &str = "the alert topic did not take the message";

/// Publishes messages to a topic.
#[derive(Clone, Debug)]
pub struct SnsPublisher {
    /// The client of SNS.
    pub client: Client,
    /// The ARN of the topic.
    pub topic_arn: String,
}

/// A message to be sent.
#[derive(Clone, Debug)]
struct BatchEntry {
    /// Its index among the messages to be sent. Also its id in a request.
    index: usize,
    request: PublishBatchRequestEntry,
    /// Replaces a subject that SNS refuses; `None` once it is used, or if it is the same.
    ascii_subject: Option<String>,
    /// Failed attempts.
    failures: u32,
}

/// Takes the index of a message, and its final result.
type Report<'r> = &'r (dyn Fn(usize, Result<(), String>) + Sync);

impl SnsPublisher {
    /// Opens the connection, so that the first alert does not wait for it. Nothing is published: SNS refuses an empty batch. The
    /// result is not essential.
    pub async fn connect(&self) {
        let empty =
            self.client.publish_batch().topic_arn(&self.topic_arn).set_publish_batch_request_entries(Some(Vec::new()));
        let _ = tokio::time::timeout(OPTIONAL_TIMEOUT, empty.send()).await;
    }

    /// Sends a batch until each of its messages has an outcome.
    async fn send(&self, batch: Vec<BatchEntry>, report: Report<'_>) {
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            let failures = batch.iter().map(|entry| entry.failures).max().unwrap_or_default();
            if failures > 0 {
                tokio::time::sleep(backoff(failures)).await;
            }
            waiting.extend(self.send_once(batch, report).await);
        }
    }

    /// Sends a batch once, reports final outcomes, and returns the batches to retry.
    async fn send_once(&self, batch: Vec<BatchEntry>, report: Report<'_>) -> Vec<Vec<BatchEntry>> {
        let entries = batch.iter().map(|entry| entry.request.clone()).collect();
        let request =
            self.client.publish_batch().topic_arn(&self.topic_arn).set_publish_batch_request_entries(Some(entries));
        let retry = match request.send().await {
            Ok(response) => retry_entries(batch, &response, report),
            Err(error) if http_status(&error) == 400 && is_about_content(error_code(&error)) => {
                return split_refused(batch, &chain(&error), report);
            }
            Err(error) => {
                // The SDK has made all its attempts, except after throttling that it does not recognize.
                let is_throttled = http_status(&error) == 429 || error_code(&error) == "KMSThrottling";
                let mut retry = batch;
                retry.retain_mut(|entry| {
                    let may_succeed = is_throttled && entry.may_retry();
                    if !may_succeed {
                        report(entry.index, Err(chain(&error)));
                    }
                    may_succeed
                });
                retry
            }
        };
        if retry.is_empty() { Vec::new() } else { vec![retry] }
    }
}

#[async_trait]
impl AlertPublisher for SnsPublisher {
    fn channel(&self) -> Channel {
        Channel::Sns
    }

    async fn publish(&self, _rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        let unconfirmed = |_| PublishOutcome::failed(NOT_SENT, "it was not confirmed in time");
        let results = Mutex::new(messages.iter().map(unconfirmed).collect::<Vec<_>>());
        let report = |index: usize, outcome: Result<(), String>| {
            if let Some(result) = results.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
                *result = outcome
                    .map_or_else(|error| PublishOutcome::failed(NOT_SENT, error), |()| PublishOutcome::default());
            }
        };
        let entries = messages.iter().enumerate().map(|(index, message)| BatchEntry::new(index, &message.rendered));
        let requests: Vec<_> = batches(entries).into_iter().map(|batch| self.send(batch, &report)).collect();
        let sending = stream::iter(requests).buffer_unordered(CONCURRENCY).collect::<()>();
        // A message without an outcome by then stays unconfirmed.
        let _ = tokio::time::timeout(PUBLISH_TIMEOUT, sending).await;
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn subscriptions(&self) -> Result<Option<Subscriptions>, UnavailableError> {
        within(OPTIONAL_TIMEOUT, NOT_COUNTED, async {
            let response = self.client.get_topic_attributes().topic_arn(&self.topic_arn).send().await;
            let response = response.map_err(|error| unavailable(NOT_COUNTED, &error))?;
            // SNS returns numbers as text.
            let attributes = response.attributes.unwrap_or_default();
            let count = |name| attributes.get(name).and_then(|number: &String| number.parse().ok());
            let counts = count("SubscriptionsConfirmed").zip(count("SubscriptionsPending"));
            Ok(counts.map(|(confirmed, pending)| Subscriptions { confirmed, pending }))
        })
        .await
    }

    async fn subscribed_audiences(&self) -> Result<Option<BTreeSet<String>>, UnavailableError> {
        within(LISTING_TIMEOUT, NOT_LISTED, async {
            let mut audiences = BTreeSet::new();
            let mut subscriptions =
                self.client.list_subscriptions_by_topic().topic_arn(&self.topic_arn).into_paginator().items().send();
            while let Some(subscription) = subscriptions.next().await {
                let subscription = subscription.map_err(|error| unavailable(NOT_LISTED, &error))?;
                // In place of an ARN, an unconfirmed subscription has a text.
                let Some(arn) = subscription.subscription_arn.filter(|arn| arn.starts_with("arn:")) else { continue };
                let response = self.client.get_subscription_attributes().subscription_arn(arn).send().await;
                let response = response.map_err(|error| unavailable(NOT_LISTED, &error))?;
                let policy = response.attributes.and_then(|mut attributes| attributes.remove("FilterPolicy"));
                let policy: Value = serde_json::from_str(&policy.unwrap_or_default()).unwrap_or_default();
                let ids = policy["to"].as_array().into_iter().flatten().filter_map(Value::as_str);
                audiences.extend(ids.map(str::to_owned));
            }
            Ok(Some(audiences))
        })
        .await
    }
}

impl BatchEntry {
    fn new(index: usize, message: &Rendered) -> Self {
        let attribute = |(name, value): &(&'static str, Attribute)| Some(((*name).to_owned(), value_of(value)?));
        let (name, value) = SMS_TYPE;
        let sms_type = (name, Attribute::One(value.to_owned()));
        let request = PublishBatchRequestEntry::builder()
            .id(index.to_string())
            .set_subject(Some(message.subject.clone()).filter(|subject| !subject.is_empty()))
            .message(message.sns_message())
            .message_structure("json")
            .set_message_attributes(Some(message.attributes.iter().chain([&sms_type]).filter_map(attribute).collect()));
        let ascii_subject = Some(message.ascii_subject.clone()).filter(|ascii| *ascii != message.subject);
        Self { index, request: build(request), ascii_subject, failures: 0 }
    }

    /// The bytes that SNS counts: text, subject, and the names, types and values of the attributes.
    fn size(&self) -> usize {
        let attribute = |(name, value): (&String, &MessageAttributeValue)| {
            name.len() + value.data_type().len() + value.string_value().map_or(0, str::len)
        };
        let attributes = self.request.message_attributes().into_iter().flatten().map(attribute).sum::<usize>();
        self.request.message().len() + self.request.subject().map_or(0, str::len) + attributes
    }

    /// Counts a failure; false after the last attempt.
    fn may_retry(&mut self) -> bool {
        self.failures += 1;
        self.failures < ATTEMPTS
    }

    /// Switches to the ASCII subject; false if it is used already.
    fn fall_back_to_ascii(&mut self) -> bool {
        self.ascii_subject.take().map(|ascii| self.request.subject = Some(ascii)).is_some()
    }
}

/// # Panics
/// Never: the two required members, id and message, are set.
#[expect(clippy::expect_used, reason = "both required members are set")]
fn build(entry: aws_sdk_sns::types::builders::PublishBatchRequestEntryBuilder) -> PublishBatchRequestEntry {
    entry.build().expect("id and message are set")
}

/// `None` for an empty value, which SNS refuses.
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

/// Splits `entries` into batches that SNS accepts, in order. An entry that is too large goes alone, so that its refusal affects
/// no other one.
fn batches(entries: impl Iterator<Item = BatchEntry>) -> Vec<Vec<BatchEntry>> {
    let mut batches: Vec<Vec<BatchEntry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let size = entry.size();
        match batches.last_mut() {
            Some(batch) if batch.len() < MAX_MESSAGES && bytes + size <= MAX_BYTES => {
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

/// Whether a request was refused for the content of one message, so that the others, or another subject, can succeed.
fn is_about_content(code: &str) -> bool {
    ["InvalidParameter", "InvalidParameterValue", "ValidationError", "ValidationException", "BatchRequestTooLong"]
        .contains(&code)
}

/// Reports the final outcomes of a request that succeeded, in which single entries may have failed. Returns those to retry.
fn retry_entries(batch: Vec<BatchEntry>, response: &PublishBatchOutput, report: Report<'_>) -> Vec<BatchEntry> {
    let mut retry = Vec::new();
    for mut entry in batch {
        let id = entry.request.id();
        if response.successful().iter().any(|success| success.id() == Some(id)) {
            report(entry.index, Ok(()));
            continue;
        }
        let failure = response.failed().iter().find(|failure| failure.id() == id);
        let code = failure.map_or("it has no outcome", |failure| failure.code());
        let may_succeed = match failure {
            Some(failure) if failure.sender_fault() => is_about_content(code) && entry.fall_back_to_ascii(),
            _ => entry.may_retry(),
        };
        if may_succeed {
            retry.push(entry);
        } else {
            let message = failure.and_then(|failure| failure.message()).unwrap_or_default();
            report(entry.index, Err(format!("{code}: {message}")));
        }
    }
    retry
}

/// Splits a batch that was refused for its content into single messages, so that only the invalid one fails; that one is retried
/// with its ASCII subject.
fn split_refused(mut batch: Vec<BatchEntry>, error: &str, report: Report<'_>) -> Vec<Vec<BatchEntry>> {
    if let [entry] = batch.as_mut_slice() {
        if entry.fall_back_to_ascii() {
            return vec![batch];
        }
        report(entry.index, Err(error.to_owned()));
        return Vec::new();
    }
    batch.into_iter().map(|entry| vec![entry]).collect()
}
