//! Publications on an MQTT topic: from the topic rule of AWS IoT, and from the queue if the rule could not invoke the function.
//!
//! There are no credentials here. AWS IoT authenticates publishers by certificate and policy. The resource policy of the function
//! permits only the topic rule, which the template creates if it has a topic.

use std::borrow::Cow;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::Envelope;
use crate::ingest::decode::Encoding;
use crate::ingest::{Ingest, PushError, PushOutcome, RequestInfo};

/// A message on an MQTT topic whose payload is a push.
#[derive(Debug, PartialEq, Eq)]
pub struct Publication {
    topic: String,
    /// The client id of the publisher; `None` if it has none, as over HTTPS.
    client: Option<String>,
    /// The time at which AWS IoT received it.
    published: Option<Timestamp>,
    payload: Bytes,
}

/// The outcome of a publication. AWS IoT ignores it; it is for manual invocations.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PublicationOutcome {
    /// Stored.
    Stored(Box<PushOutcome>),
    /// Not a batch, or too large. Stored for inspection. A retry cannot help.
    Rejected {
        /// The reason.
        rejected: String,
    },
}

impl Publication {
    /// Parses the event that the `SELECT` of the topic rule creates (see the template); `None` if it is anything else.
    pub(super) fn from_rule(event: &Envelope<'_>) -> Option<Self> {
        // In milliseconds, from `timestamp()`.
        let published = event.member::<i64>("published").ok()?;
        let published = published.and_then(|published| Timestamp::from_millisecond(published).ok());
        Self::parse(event, "data", "client", published)
    }

    /// Parses the message that the error action of the rule sent to the queue at `sent`; `None` if it is anything else.
    /// <https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html>
    pub(super) fn from_error_action(message: &Envelope<'_>, sent: Option<Timestamp>) -> Option<Self> {
        message.raw("ruleName").and(message.raw("failures"))?;
        Self::parse(message, "base64OriginalPayload", "clientId", sent)
    }

    fn parse(
        envelope: &Envelope<'_>,
        payload: &'static str,
        client: &'static str,
        published: Option<Timestamp>,
    ) -> Option<Self> {
        let payload = STANDARD.decode(&*envelope.get::<Cow<'_, str>>(payload)?).ok()?.into();
        let client: Option<String> = envelope.member(client).ok()?;
        // `clientid()` writes "n/a", the error action "N/A".
        let client = client.filter(|client| !client.is_empty() && !client.eq_ignore_ascii_case("n/a"));
        Some(Self { topic: envelope.get("topic")?, client, published, payload })
    }

    /// Client id and topic.
    fn source(&self) -> String {
        format!("mqtt:{}@{}", self.client.as_deref().unwrap_or("unknown"), self.topic)
    }
}

impl Ingest {
    /// Stores and evaluates a publication. `request_id` is the id of the invocation or of the queue message. After a retry, the
    /// push still counts as received when AWS IoT received it.
    ///
    /// # Errors
    /// [`PushError::Store`] if the push is neither stored nor queued. A retry can help: if the invocation fails, Lambda retries
    /// twice, then sends the event to the queue.
    pub async fn ingest_publication(
        &self,
        publication: Publication,
        request_id: &str,
        now: Timestamp,
    ) -> Result<PublicationOutcome, PushError> {
        let started = Instant::now();
        let source = publication.source();
        // The clocks can differ: the earlier time counts.
        let received = publication.published.map_or(now, |published| published.min(now));
        let verified_client = publication.client;
        let info = RequestInfo { request_id: request_id.to_owned(), source, received, verified_client, url: None };
        let client = info.verified_client.as_deref().unwrap_or("unknown");
        match self.push(publication.payload, Encoding::Identity, &info, now).await {
            Ok(outcome) => {
                outcome.log(&info, client, started);
                Ok(PublicationOutcome::Stored(Box::new(outcome)))
            }
            Err(error) => {
                error.log(&info, client);
                match error {
                    PushError::Store(_) => Err(error),
                    PushError::NotABatch(_) | PushError::TooLarge => {
                        Ok(PublicationOutcome::Rejected { rejected: error.to_string() })
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn from_rule(event: &Value) -> Option<Publication> {
        Publication::from_rule(&Envelope::parse(&event.to_string())?)
    }

    fn from_error_action(message: &Value, sent: Option<Timestamp>) -> Option<Publication> {
        Publication::from_error_action(&Envelope::parse(&message.to_string())?, sent)
    }

    const PUBLISHED: &str = "2026-11-23T10:00:00.123Z";

    fn event() -> Value {
        let published = PUBLISHED.parse::<Timestamp>().unwrap().as_millisecond();
        json!({"data": "WyJ7fSJd", "topic": "smartclean/push", "client": "smartclean-push-1", "published": published})
    }

    /// The example of AWS, with another payload.
    fn error_action() -> Value {
        json!({
            "ruleName": "TestAction",
            "topic": "testme/action",
            "cloudwatchTraceId": "7e146a2c-95b5-6caf-98b9-50e3969734c7",
            "clientId": "iotconsole-1511213971966-0",
            "sourceIp": "203.0.113.7",
            "base64OriginalPayload": "WyJ7fSJd",
            "failures": [{
                "failedAction": "LambdaAction",
                "failedResource": "arn:aws:lambda:ap-southeast-1:123456789012:function:push",
                "errorMessage": "Failed to invoke lambda function.",
            }],
        })
    }

    #[test]
    fn an_event_of_the_rule_has_payload_source_and_time() {
        let read = from_rule(&event()).unwrap();
        assert_eq!(read.payload, r#"["{}"]"#);
        assert_eq!(read.source(), "mqtt:smartclean-push-1@smartclean/push");
        assert_eq!(read.published.unwrap(), PUBLISHED.parse().unwrap());
    }

    #[test]
    fn a_publisher_without_a_client_id_is_unknown() {
        for client in [json!("n/a"), json!("N/A"), json!(""), Value::Null] {
            let mut event = event();
            event["client"] = client;
            assert_eq!(from_rule(&event).unwrap().source(), "mqtt:unknown@smartclean/push");
        }
    }

    #[test]
    fn a_payload_can_have_any_bytes() {
        let mut event = event();
        for (data, payload) in [("", b"".as_slice()), ("AP8=", b"\x00\xff")] {
            event["data"] = data.into();
            assert_eq!(from_rule(&event).unwrap().payload, payload);
        }
    }

    #[test]
    fn another_event_is_no_publication() {
        assert_eq!(from_rule(&error_action()), None);
        for (member, value) in
            [("data", json!("not base64!")), ("data", json!(7)), ("topic", json!(null)), ("published", json!("now"))]
        {
            let mut event = event();
            event[member] = value;
            assert_eq!(from_rule(&event), None, "{event}");
        }
        for missing in ["data", "topic"] {
            let mut event = event();
            event.as_object_mut().unwrap().remove(missing);
            assert_eq!(from_rule(&event), None, "{event}");
        }
    }

    #[test]
    fn a_message_of_the_error_action_is_the_same_publication() {
        let sent = PUBLISHED.parse().unwrap();
        let read = from_error_action(&error_action(), Some(sent)).unwrap();
        assert_eq!(read.payload, r#"["{}"]"#);
        assert_eq!(read.source(), "mqtt:iotconsole-1511213971966-0@testme/action");
        assert_eq!(read.published, Some(sent));
    }

    #[test]
    fn an_incomplete_message_of_the_error_action_is_none() {
        assert_eq!(from_error_action(&event(), None), None);
        for missing in ["ruleName", "topic", "base64OriginalPayload", "failures"] {
            let mut message = error_action();
            message.as_object_mut().unwrap().remove(missing);
            assert_eq!(from_error_action(&message, None), None, "{message}");
        }
        let mut message = error_action();
        message["base64OriginalPayload"] = "W!".into();
        assert_eq!(from_error_action(&message, None), None);
    }
}
