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
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::ingest::decode::Encoding;
use crate::ingest::{Ingest, PushError, RequestInfo};

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

/// What our rule's `SELECT` makes of a message; see the template.
#[derive(Deserialize)]
struct Selected<'e> {
    #[serde(borrow)]
    data: Cow<'e, str>,
    #[serde(borrow)]
    topic: Cow<'e, str>,
    #[serde(borrow, default)]
    client: Option<Cow<'e, str>>,
    /// `timestamp()`: milliseconds.
    #[serde(default)]
    published: Option<i64>,
}

/// What a rule's error action gets of a message that an action did not take.
/// <https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html>
#[derive(Deserialize)]
struct Failed<'e> {
    #[serde(borrow)]
    topic: Cow<'e, str>,
    #[serde(borrow, default, rename = "clientId")]
    client: Option<Cow<'e, str>>,
    #[serde(borrow, rename = "base64OriginalPayload")]
    payload: Cow<'e, str>,
    #[serde(rename = "ruleName")]
    _rule: IgnoredAny,
    #[serde(rename = "failures")]
    _failures: IgnoredAny,
}

/// What became of a publication. AWS IoT does not listen; this is for whoever invokes the function by hand.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Taken {
    /// It is stored and accounted for.
    Push {
        /// The batch's identity.
        batch: String,
        /// Items in the batch.
        received: usize,
        /// Well-formed ones.
        accepted: usize,
        /// The others, kept apart.
        rejected: usize,
        /// Accepted ones that were known already.
        duplicates: usize,
        /// Limits that were crossed.
        alerts: usize,
    },
    /// It is no batch. It is kept, and nothing more can be done about it.
    Refused {
        /// Why.
        refused: String,
    },
}

impl Publication {
    /// Reads the event that the topic rule makes; `None` where it is something else.
    pub(super) fn read(event: &str) -> Option<Self> {
        let selected: Selected<'_> = serde_json::from_str(event).ok()?;
        let published = selected.published.and_then(|published| Timestamp::from_millisecond(published).ok());
        Self::of(&selected.data, &selected.topic, selected.client, published)
    }

    /// Reads what the rule's error action sent into the queue at `sent`; `None` where it is something else.
    pub(super) fn of_error_action(message: &str, sent: Option<Timestamp>) -> Option<Self> {
        let failed: Failed<'_> = serde_json::from_str(message).ok()?;
        Self::of(&failed.payload, &failed.topic, failed.client, sent)
    }

    fn of(payload: &str, topic: &str, client: Option<Cow<'_, str>>, published: Option<Timestamp>) -> Option<Self> {
        let payload = STANDARD.decode(payload).ok()?.into();
        // "n/a" is what clientid() says, "N/A" what the error action does.
        let client = client.filter(|client| !client.is_empty() && !client.eq_ignore_ascii_case("n/a"));
        Some(Self { topic: topic.to_owned(), client: client.map(Cow::into_owned), published, payload })
    }

    /// Whom it came from, for the receipt: client id and topic.
    fn source(&self) -> String {
        format!("mqtt:{}@{}", self.client.as_deref().unwrap_or("unknown"), self.topic)
    }
}

/// Takes in one publication. `request_id` is the invocation's, or the queue's id of the message. What came late, because
/// it was tried again, counts as received when AWS IoT got it.
///
/// # Errors
/// [`PushError::Store`] only: it could neither be stored nor parked. A retry can help, so the invocation has to fail:
/// Lambda invokes twice more then, and after that gives the event to the queue.
pub async fn take_in(
    ingest: &Ingest,
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
    match ingest.push(publication.payload, Encoding::Identity, &info).await {
        Ok(outcome) => {
            outcome.log(&info, client, started);
            Ok(Taken::Push {
                batch: outcome.batch.to_string(),
                received: outcome.received,
                accepted: outcome.accepted,
                rejected: outcome.rejected,
                duplicates: outcome.duplicates,
                alerts: outcome.alerts,
            })
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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
        let read = Publication::read(&event().to_string()).unwrap();
        assert_eq!(read.payload, r#"["{}"]"#);
        assert_eq!(read.source(), "mqtt:smartclean-push-1@smartclean/push");
        assert_eq!(read.published.unwrap(), PUBLISHED.parse().unwrap());
    }

    #[test]
    fn a_publisher_without_a_client_id_is_unknown() {
        for client in [json!("n/a"), json!("N/A"), json!(""), Value::Null] {
            let mut event = event();
            event["client"] = client;
            assert_eq!(Publication::read(&event.to_string()).unwrap().source(), "mqtt:unknown@smartclean/push");
        }
    }

    #[test]
    fn any_bytes_are_a_payload() {
        let mut event = event();
        for (data, payload) in [("", b"".as_slice()), ("AP8=", b"\x00\xff")] {
            event["data"] = data.into();
            assert_eq!(Publication::read(&event.to_string()).unwrap().payload, payload);
        }
    }

    #[test]
    fn what_is_not_the_rules_event_is_none() {
        assert_eq!(Publication::read(&error_action().to_string()), None);
        for (member, value) in
            [("data", json!("not base64!")), ("data", json!(7)), ("topic", json!(null)), ("published", json!("now"))]
        {
            let mut event = event();
            event[member] = value;
            assert_eq!(Publication::read(&event.to_string()), None, "{event}");
        }
        for missing in ["data", "topic"] {
            let mut event = event();
            event.as_object_mut().unwrap().remove(missing);
            assert_eq!(Publication::read(&event.to_string()), None, "{event}");
        }
    }

    #[test]
    fn an_error_actions_message_is_the_same_publication() {
        let sent = PUBLISHED.parse().unwrap();
        let read = Publication::of_error_action(&error_action().to_string(), Some(sent)).unwrap();
        assert_eq!(read.payload, r#"["{}"]"#);
        assert_eq!(read.source(), "mqtt:iotconsole-1511213971966-0@testme/action");
        assert_eq!(read.published, Some(sent));
    }

    #[test]
    fn what_is_not_whole_is_no_error_actions_message() {
        assert_eq!(Publication::of_error_action(&event().to_string(), None), None);
        for missing in ["ruleName", "topic", "base64OriginalPayload", "failures"] {
            let mut message = error_action();
            message.as_object_mut().unwrap().remove(missing);
            assert_eq!(Publication::of_error_action(&message.to_string(), None), None, "{message}");
        }
        let mut message = error_action();
        message["base64OriginalPayload"] = "W!".into();
        assert_eq!(Publication::of_error_action(&message.to_string(), None), None);
    }
}
