//! Messages of the queue: objects to evaluate, objects to store, and events that the function missed or failed on. Each sender has
//! its own envelope:
//!
//! | sender | envelope | task |
//! |---|---|---|
//! | S3 | its notice | [`QueueTask::Evaluate`] |
//! | the function, if the bucket was unavailable | [`queued_object`] | [`QueueTask::Store`] |
//! | the error action of the topic rule, if Lambda was unavailable | [AWS IoT's](https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html) | [`QueueTask::Push`] |
//! | Lambda, if the function failed on an event three times | [its own](https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html) | that of the event |

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::{Envelope, Publication, SourceEvent, notice};
use crate::domain::archive::{Object, ObjectKey};
use crate::domain::queued_object;
use crate::ingest::Ingest;
use crate::ingest::ports::{StoredObjects, UnavailableError, chain};
use crate::telemetry::MEASURED;

/// Time limit for evaluating an object. Most buffered ones have 5 MB: 12,000 pushes of one reading, for which a test needs 3 s
/// without optimization. The function has a third of a processor, and the state store to wait for.
pub(crate) const OBJECT_TIMEOUT: Duration = Duration::from_secs(11);
/// How long after the first message of an event the last one is begun.
pub(crate) const LAST_START: Duration = Duration::from_secs(4);

/// A message of the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct QueueMessage {
    /// Its id in the queue.
    pub id: String,
    /// The time at which it was sent, if it is known.
    pub sent: Option<Timestamp>,
    /// Its task.
    pub task: QueueTask,
}

/// The task of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum QueueTask {
    /// Evaluate these stored objects, if they are not evaluated yet.
    Evaluate(Vec<ObjectKey>),
    /// Store this object.
    Store(Box<Object>),
    /// Store and evaluate this publication.
    Push(Box<Publication>),
    /// Nothing: the next sweep does it.
    Skip,
    /// Unknown.
    Unknown,
}

/// The messages that failed, which the queue retries. The format is that of Lambda's `ReportBatchItemFailures`.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct BatchItemFailures {
    #[serde(rename = "batchItemFailures")]
    items: Vec<BatchItemFailure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct BatchItemFailure {
    #[serde(rename = "itemIdentifier")]
    message: String,
}

impl QueueMessage {
    /// Parses a record of Lambda's event; `None` if it comes from another service than SQS.
    pub(super) fn from_record(record: &Envelope<'_>) -> Option<Self> {
        record.get::<Cow<'_, str>>("eventSource").filter(|source| source == "aws:sqs")?;
        let attributes = record.get::<Envelope<'_>>("attributes");
        // Unix time in milliseconds.
        let sent = attributes.and_then(|attributes| attributes.get::<Cow<'_, str>>("SentTimestamp")?.parse().ok());
        let sent = sent.and_then(|sent| Timestamp::from_millisecond(sent).ok());
        let body = record.get::<Cow<'_, str>>("body").unwrap_or_default();
        Some(Self { id: record.get("messageId").unwrap_or_default(), sent, task: QueueTask::parse(&body, sent) })
    }
}

impl QueueTask {
    fn parse(body: &str, sent: Option<Timestamp>) -> Self {
        if let Some(object) = queued_object::from_text(body) {
            return Self::Store(Box::new(object));
        }
        let Some(message) = Envelope::parse(body) else { return Self::Unknown };
        let noticed = notice::keys(&message).map(Self::Evaluate);
        let publication = || Publication::from_error_action(&message, sent);
        noticed
            .or_else(|| publication().map(|publication| Self::Push(Box::new(publication))))
            .or_else(|| Self::from_failed_event(&message))
            .unwrap_or(Self::Unknown)
    }

    /// The task of an event whose asynchronous invocations have all failed.
    fn from_failed_event(message: &Envelope<'_>) -> Option<Self> {
        message.raw("requestContext")?;
        match SourceEvent::parse(&message.get("requestPayload")?)? {
            SourceEvent::Iot(publication) => Some(Self::Push(Box::new(publication))),
            // The next sweep does what is due.
            SourceEvent::Sweep => Some(Self::Skip),
            // The queue retries its messages itself: its invocations are synchronous.
            SourceEvent::Queue(_) => None,
        }
    }
}

impl Ingest {
    /// Does the tasks of `messages`. `bucket` is the object store without its fallback queue: an object that cannot be stored stays
    /// in the queue. Every task is idempotent. A message that fails, and one for which too little time remains, is retried. Logs the
    /// age of the oldest message that failed.
    pub async fn process_messages(
        &self,
        bucket: &dyn StoredObjects,
        messages: Vec<QueueMessage>,
        now: Timestamp,
    ) -> BatchItemFailures {
        let mut failures = BatchItemFailures::default();
        let (mut failed, mut oldest_failed) = (0, None);
        let began = Instant::now();
        for QueueMessage { id, sent, task } in messages {
            // Has not failed: the alarm on the age would look for a cause that does not exist.
            if began.elapsed() > LAST_START {
                tracing::info!(message = id, "queue message postponed, the messages before it took too long");
                failures.items.push(BatchItemFailure { message: id });
                continue;
            }
            let done = match task {
                QueueTask::Evaluate(keys) => self.evaluate_objects(bucket, &keys, now).await,
                QueueTask::Store(object) => store(bucket, *object).await,
                QueueTask::Push(publication) => self
                    .ingest_publication(*publication, &id, now)
                    .await
                    .map(drop)
                    .map_err(|error| UnavailableError::new("publication not stored", error)),
                QueueTask::Skip => Ok(()),
                // After the retries, the dead-letter queue keeps it for inspection.
                QueueTask::Unknown => Err(UnavailableError::new("unknown message", "no known envelope")),
            };
            if let Err(error) = done {
                tracing::warn!(message = id, error = %chain(&error), "queue message failed, will be retried");
                failures.items.push(BatchItemFailure { message: id });
                failed += 1;
                oldest_failed = oldest_failed.into_iter().chain(sent).min();
            }
        }
        if let Some(sent) = oldest_failed {
            // ApproximateAgeOfOldestMessage of SQS omits messages that were received three times.
            let age = now.duration_since(sent).as_secs();
            tracing::warn!(target: MEASURED, queue_failed_age_s = age, failed, "queue messages failed");
        }
        failures
    }

    async fn evaluate_objects(
        &self,
        bucket: &dyn StoredObjects,
        keys: &[ObjectKey],
        now: Timestamp,
    ) -> Result<(), UnavailableError> {
        for key in keys {
            match bucket.read(key).await? {
                Some(pushes) => self.evaluate_object(key, pushes, now, OBJECT_TIMEOUT).await?,
                None => tracing::warn!(%key, "stored object not found"),
            }
        }
        Ok(())
    }
}

/// Stores an object. The notice of the bucket then causes its evaluation.
async fn store(bucket: &dyn StoredObjects, object: Object) -> Result<(), UnavailableError> {
    let key = object.key.clone();
    let stored = bucket.put(object).await?;
    tracing::info!(%key, ?stored, "queued object stored");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SENT: i64 = 1_795_428_000_123;

    fn event() -> Value {
        json!({"data": "WyJ7fSJd", "topic": "smartclean/push", "client": "smartclean-push-1", "published": SENT})
    }

    /// The example of AWS, with another event.
    fn destination(event: &Value) -> Value {
        json!({
            "version": "1.0",
            "timestamp": "2026-11-23T10:03:20.123Z",
            "requestContext": {
                "requestId": "e4b46cbf-b738-xmpl-8880-a18cdf61200e",
                "functionArn": "arn:aws:lambda:ap-southeast-1:123456789012:function:push:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": event,
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": {"errorMessage": "the push was not stored", "errorType": "EventError"},
        })
    }

    fn error_action() -> Value {
        json!({
            "ruleName": "push", "topic": "smartclean/push", "clientId": "smartclean-push-1", "sourceIp": "203.0.113.7",
            "cloudwatchTraceId": "7e146a2c-95b5-6caf-98b9-50e3969734c7", "base64OriginalPayload": "WyJ7fSJd",
            "failures": [{"failedAction": "LambdaAction", "failedResource": "arn:…", "errorMessage": "Too many requests"}],
        })
    }

    /// The task of a message with this body.
    fn task(body: &Value) -> QueueTask {
        let record = json!({
            "messageId": "m", "eventSource": "aws:sqs", "body": body.to_string(),
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": SENT.to_string()},
        });
        let Some(SourceEvent::Queue(mut messages)) =
            SourceEvent::parse(&Envelope::parse(&json!({"Records": [record]}).to_string()).unwrap())
        else {
            panic!("no message")
        };
        messages.remove(0).task
    }

    #[test]
    fn a_failed_event_and_a_message_of_the_error_action_are_the_same_publication() {
        let published = Publication::from_rule(&Envelope::parse(&event().to_string()).unwrap()).unwrap();
        assert_eq!(task(&destination(&event())), QueueTask::Push(Box::new(published)));
        assert_eq!(task(&error_action()), task(&destination(&event())), "the rule sends it when it is published");
    }

    #[test]
    fn a_failed_sweep_is_left_to_the_next_one() {
        assert_eq!(task(&destination(&json!({"smartclean-push": "sweep"}))), QueueTask::Skip);
    }

    #[test]
    fn an_unknown_envelope_is_an_unknown_task() {
        let without = |mut whole: Value, member: &str| {
            whole.as_object_mut().unwrap().remove(member);
            whole
        };
        for body in [
            json!("hello"),
            json!({}),
            event(), // without an envelope
            without(destination(&event()), "requestContext"),
            without(destination(&event()), "requestPayload"),
            without(error_action(), "failures"),
            destination(&json!({"version": "2.0", "rawPath": "/push", "body": "[]"})),
            destination(&json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": "x"}]})),
            destination(&without(event(), "topic")),
        ] {
            assert_eq!(task(&body), QueueTask::Unknown, "{body}");
        }
    }
}
