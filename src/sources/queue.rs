//! Messages of the queue: objects that were stored and are to be evaluated, objects that are still to be stored, and what
//! the function did not get or did not get done. Each comes in its sender's envelope:
//!
//! | sender | envelope | asks for |
//! |---|---|---|
//! | S3 | its notice | [`Task::Evaluate`] |
//! | the function, where the bucket took nothing | [`queued_object`] | [`Task::Store`] |
//! | the topic rule's error action, where Lambda took nothing | [AWS IoT's](https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html) | [`Task::Push`] |
//! | Lambda, where the function failed on an event three times | [its own](https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html) | what the event asked for |

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Envelope, Event, Publication, notice};
use crate::domain::archive::{Object, ObjectKey};
use crate::domain::queued_object;
use crate::ingest::ports::{StoredObjects, UnavailableError, chain};
use crate::ingest::{EVALUATION_TIMEOUT, Ingest};
use crate::telemetry::MEASURED;

/// A message as Lambda hands it over.
#[derive(Deserialize)]
pub(super) struct Record<'e> {
    #[serde(borrow, rename = "eventSource")]
    pub(super) source: Cow<'e, str>,
    #[serde(borrow, rename = "messageId")]
    id: Cow<'e, str>,
    #[serde(borrow)]
    body: Cow<'e, str>,
    #[serde(borrow, default)]
    attributes: Attributes<'e>,
}

#[derive(Default, Deserialize)]
struct Attributes<'e> {
    /// When it was sent, in milliseconds since 1970.
    #[serde(borrow, default, rename = "SentTimestamp")]
    sent: Option<Cow<'e, str>>,
}

/// One message of the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The queue's id of it.
    pub id: String,
    /// When it was put into the queue, if the queue said so.
    pub sent: Option<Timestamp>,
    /// What it asks for.
    pub task: Task,
}

/// What a message asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Evaluate these stored objects, unless that was done.
    Evaluate(Vec<ObjectKey>),
    /// Store this object, which the store did not take when it came.
    Store(Box<Object>),
    /// Take in this publication, which did not reach the function or which it could not take in.
    Push(Box<Publication>),
    /// Nothing: what it was about is done by somebody else.
    Pass,
    /// Nothing that is known here.
    Unknown,
}

/// Which messages have to come again; the others are done. The shape is Lambda's own, for `ReportBatchItemFailures`.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failures {
    #[serde(rename = "batchItemFailures")]
    items: Vec<Failure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    message: String,
}

impl From<Record<'_>> for Message {
    fn from(record: Record<'_>) -> Self {
        let sent = record.attributes.sent.and_then(|sent| Timestamp::from_millisecond(sent.parse().ok()?).ok());
        Self { id: record.id.into_owned(), sent, task: Task::read(&record.body, sent) }
    }
}

impl Task {
    fn read(body: &str, sent: Option<Timestamp>) -> Self {
        if let Some(object) = queued_object::from_text(body) {
            return Self::Store(Box::new(object));
        }
        let Some(message) = Envelope::read(body) else { return Self::Unknown };
        let noticed = notice::keys(&message).map(Self::Evaluate);
        let not_handed_over = || Publication::of_error_action(&message, sent).map(|it| Self::Push(Box::new(it)));
        noticed.or_else(not_handed_over).or_else(|| Self::not_got_done(&message)).unwrap_or(Self::Unknown)
    }

    /// What an event asks for that Lambda gave up on: an asynchronous invocation failed each time.
    fn not_got_done(message: &Envelope<'_>) -> Option<Self> {
        message.text("requestContext")?;
        match Event::read(&Envelope::read(message.text("requestPayload")?)?)? {
            Event::Iot(publication) => Some(Self::Push(Box::new(publication))),
            // The next tick does what is due.
            Event::Sweep => Some(Self::Pass),
            // The queue itself tries its messages again, and calls the function in a way that has no destination.
            Event::Queue(_) => None,
        }
    }
}

impl Ingest {
    /// Does what `messages` ask for. `bucket` is the store itself, with nothing behind it: what it does not take stays in the
    /// queue. What was done before is done again and changes nothing. Logs the age of the oldest message that failed.
    pub async fn process_messages(
        &self,
        bucket: &dyn StoredObjects,
        messages: Vec<Message>,
        now: Timestamp,
    ) -> Failures {
        let mut failures = Failures::default();
        let mut oldest_failed = None;
        for Message { id, sent, task } in messages {
            let done = match task {
                Task::Evaluate(keys) => self.evaluate_objects(bucket, &keys, now).await,
                Task::Store(object) => store(bucket, *object).await,
                // What is no batch is kept, and done.
                Task::Push(publication) => self
                    .take_publication(*publication, &id, now)
                    .await
                    .map(drop)
                    .map_err(|error| UnavailableError::new("what was published is not taken in", error)),
                Task::Pass => Ok(()),
                // Coming again would not make it known; the queue's dead letters keep it for a look.
                Task::Unknown => Err(UnavailableError::new("it is not understood", "no envelope that is known here")),
            };
            if let Err(error) = done {
                tracing::warn!(message = id, error = %chain(&error), "a message of the queue is not done, and comes again");
                failures.items.push(Failure { message: id });
                oldest_failed = oldest_failed.into_iter().chain(sent).min();
            }
        }
        if let Some(sent) = oldest_failed {
            // SQS leaves a message that was received three times out of ApproximateAgeOfOldestMessage.
            let age = now.duration_since(sent).as_secs();
            tracing::warn!(target: MEASURED, queue_failed_age_s = age, failed = failures.items.len(), "queue messages failed");
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
                Some((received, lines)) => {
                    self.evaluate_stored(key, &lines, received.unwrap_or(now), now, EVALUATION_TIMEOUT).await?;
                }
                None => tracing::warn!(%key, "an object that was stored is gone"),
            }
        }
        Ok(())
    }
}

/// Stores an object. The bucket tells of it then, and so it is evaluated where that could not be done when it came.
async fn store(bucket: &dyn StoredObjects, object: Object) -> Result<(), UnavailableError> {
    let key = object.key.clone();
    let stored = bucket.put(object).await?;
    tracing::info!(%key, ?stored, "stored at last");
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

    /// AWS's own example, with another event.
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

    /// The one message of an event, as Lambda hands it over.
    fn task(body: &Value) -> Task {
        let record = json!({
            "messageId": "m", "eventSource": "aws:sqs", "body": body.to_string(),
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": SENT.to_string()},
        });
        let Some(Event::Queue(mut messages)) =
            Event::read(&Envelope::read(&json!({"Records": [record]}).to_string()).unwrap())
        else {
            panic!("no message")
        };
        messages.remove(0).task
    }

    #[test]
    fn what_lambda_gave_up_on_and_what_the_rule_did_not_hand_over_are_the_same_publication() {
        let published = Publication::selected(&Envelope::read(&event().to_string()).unwrap()).unwrap();
        assert_eq!(task(&destination(&event())), Task::Push(Box::new(published)));
        assert_eq!(task(&error_action()), task(&destination(&event())), "sent by the rule as it was published");
    }

    #[test]
    fn a_tick_that_lambda_gave_up_on_is_left_to_the_next_one() {
        assert_eq!(task(&destination(&json!({"smartclean-push": "sweep"}))), Task::Pass);
    }

    #[test]
    fn what_is_no_envelope_of_these_is_unknown() {
        let without = |whole: Value, member: &str| {
            let mut part = whole;
            part.as_object_mut().unwrap().remove(member);
            part
        };
        for body in [
            json!("hello"),
            json!({}),
            event(), // bare: nobody sends it so
            without(destination(&event()), "requestContext"),
            without(destination(&event()), "requestPayload"),
            without(error_action(), "failures"),
            destination(&json!({"version": "2.0", "rawPath": "/push", "body": "[]"})),
            destination(&json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": "x"}]})),
            destination(&without(event(), "topic")),
        ] {
            assert_eq!(task(&body), Task::Unknown, "{body}");
        }
    }
}
