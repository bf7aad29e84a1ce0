//! What was published on an MQTT topic: as AWS IoT's topic rule hands it over, and as the queue holds it where that did
//! not work.
//!
//! No credentials are looked at here. Who may publish on the topic is decided by AWS IoT, from the publisher's certificate
//! and its policy; who may hand an event to the function, by the function's own resource policy. The template gives both
//! to its topic rule alone, and makes that rule only where it is given a topic.

use std::borrow::Cow;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::Envelope;
use crate::ingest::decode::Encoding;
use crate::ingest::{Ingest, Outcome, PushError, RequestInfo};

/// One message of an MQTT topic, whose payload is a push.
#[derive(Debug, PartialEq, Eq)]
pub struct Publication {
    /// The topic it was published on.
    topic: String,
    /// The publisher's client id; `None` where AWS IoT knows none, as of what came by HTTPS.
    client: Option<String>,
    /// When AWS IoT got it.
    published: Option<Timestamp>,
    /// The payload as it was published.
    payload: Bytes,
}

/// What became of a publication. AWS IoT does not listen; this is for whoever invokes the function by hand.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Taken {
    /// It is stored and accounted for.
    Push(Box<Outcome>),
    /// It is no batch. It is kept, and nothing more can be done about it.
    Refused {
        /// Why.
        refused: String,
    },
}

impl Publication {
    /// Reads the event that our rule's `SELECT` makes (see the template); `None` if it is something else.
    pub(super) fn selected(event: &Envelope<'_>) -> Option<Self> {
        // `timestamp()` gives milliseconds.
        let published = event.member::<i64>("published").ok()?;
        let published = published.and_then(|published| Timestamp::from_millisecond(published).ok());
        Self::of(event, "data", "client", published)
    }

    /// Reads what the rule's error action sent into the queue at `sent`; `None` if it is something else.
    /// <https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html>
    pub(super) fn of_error_action(message: &Envelope<'_>, sent: Option<Timestamp>) -> Option<Self> {
        message.text("ruleName").and(message.text("failures"))?;
        Self::of(message, "base64OriginalPayload", "clientId", sent)
    }

    fn of(
        envelope: &Envelope<'_>,
        payload: &'static str,
        client: &'static str,
        published: Option<Timestamp>,
    ) -> Option<Self> {
        let payload = STANDARD.decode(&*envelope.get::<Cow<'_, str>>(payload)?).ok()?.into();
        let client: Option<String> = envelope.member(client).ok()?;
        // "n/a" is what clientid() says, "N/A" what the error action does.
        let client = client.filter(|client| !client.is_empty() && !client.eq_ignore_ascii_case("n/a"));
        Some(Self { topic: envelope.get("topic")?, client, published, payload })
    }

    /// Whom it came from, for the receipt: client id and topic.
    fn source(&self) -> String {
        format!("mqtt:{}@{}", self.client.as_deref().unwrap_or("unknown"), self.topic)
    }
}

impl Ingest {
    /// Takes in one publication. `request_id` is the invocation's, or the queue's id of the message. What came late, because
    /// it was tried again, counts as received when AWS IoT got it.
    ///
    /// # Errors
    /// [`PushError::Store`] only: it could neither be stored nor parked. A retry can help, so the invocation has to fail:
    /// Lambda invokes twice more then, and after that gives the event to the queue.
    pub async fn take_publication(
        &self,
        publication: Publication,
        request_id: &str,
        now: Timestamp,
    ) -> Result<Taken, PushError> {
        let started = Instant::now();
        let source = publication.source();
        // Of two clocks, the earlier one: nothing was received in the future.
        let received = publication.published.map_or(now, |published| published.min(now));
        let verified_client = publication.client;
        let info = RequestInfo { request_id: request_id.to_owned(), source, received, verified_client };
        let client = info.verified_client.as_deref().unwrap_or("unknown");
        match self.push(publication.payload, Encoding::Identity, &info, now).await {
            Ok(outcome) => {
                outcome.log(&info, client, started);
                Ok(Taken::Push(Box::new(outcome)))
            }
            Err(error) => {
                error.log(&info, client);
                match error {
                    PushError::Store(_) => Err(error),
                    PushError::NotABatch(_) | PushError::TooLarge => Ok(Taken::Refused { refused: error.to_string() }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn selected(event: &Value) -> Option<Publication> {
        Publication::selected(&Envelope::read(&event.to_string())?)
    }

    fn of_error_action(message: &Value, sent: Option<Timestamp>) -> Option<Publication> {
        Publication::of_error_action(&Envelope::read(&message.to_string())?, sent)
    }

    const PUBLISHED: &str = "2026-11-23T10:00:00.123Z";

    fn event() -> Value {
        let published = PUBLISHED.parse::<Timestamp>().unwrap().as_millisecond();
        json!({"data": "WyJ7fSJd", "topic": "smartclean/push", "client": "smartclean-push-1", "published": published})
    }

    /// AWS's own example, with another payload.
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
    fn the_rules_event_is_the_payload_with_where_and_when_it_came() {
        let read = selected(&event()).unwrap();
        assert_eq!(read.payload, r#"["{}"]"#);
        assert_eq!(read.source(), "mqtt:smartclean-push-1@smartclean/push");
        assert_eq!(read.published.unwrap(), PUBLISHED.parse().unwrap());
    }

    #[test]
    fn a_publisher_without_a_client_id_is_unknown() {
        for client in [json!("n/a"), json!("N/A"), json!(""), Value::Null] {
            let mut event = event();
            event["client"] = client;
            assert_eq!(selected(&event).unwrap().source(), "mqtt:unknown@smartclean/push");
        }
    }

    #[test]
    fn any_bytes_are_a_payload() {
        let mut event = event();
        for (data, payload) in [("", b"".as_slice()), ("AP8=", b"\x00\xff")] {
            event["data"] = data.into();
            assert_eq!(selected(&event).unwrap().payload, payload);
        }
    }

    #[test]
    fn what_is_not_the_rules_event_is_none() {
        assert_eq!(selected(&error_action()), None);
        for (member, value) in
            [("data", json!("not base64!")), ("data", json!(7)), ("topic", json!(null)), ("published", json!("now"))]
        {
            let mut event = event();
            event[member] = value;
            assert_eq!(selected(&event), None, "{event}");
        }
        for missing in ["data", "topic"] {
            let mut event = event();
            event.as_object_mut().unwrap().remove(missing);
            assert_eq!(selected(&event), None, "{event}");
        }
    }

    #[test]
    fn an_error_actions_message_is_the_same_publication() {
        let sent = PUBLISHED.parse().unwrap();
        let read = of_error_action(&error_action(), Some(sent)).unwrap();
        assert_eq!(read.payload, r#"["{}"]"#);
        assert_eq!(read.source(), "mqtt:iotconsole-1511213971966-0@testme/action");
        assert_eq!(read.published, Some(sent));
    }

    #[test]
    fn what_is_not_whole_is_no_error_actions_message() {
        assert_eq!(of_error_action(&event(), None), None);
        for missing in ["ruleName", "topic", "base64OriginalPayload", "failures"] {
            let mut message = error_action();
            message.as_object_mut().unwrap().remove(missing);
            assert_eq!(of_error_action(&message, None), None, "{message}");
        }
        let mut message = error_action();
        message["base64OriginalPayload"] = "W!".into();
        assert_eq!(of_error_action(&message, None), None);
    }
}
