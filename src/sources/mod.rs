//! Sources of pushes and tasks other than HTTP, which invoke the function: the schedule, AWS IoT, and the queue.

mod envelope;
mod notice;
mod publication;
mod queue;

use std::borrow::Cow;

pub use self::envelope::{Envelope, MemberError};
pub use self::publication::{Publication, PublicationOutcome};
pub use self::queue::{BatchItemFailures, QueueMessage, QueueTask};
#[cfg(test)]
pub(crate) use self::queue::{LAST_START, OBJECT_TIMEOUT};

/// An event of a source other than HTTP.
#[derive(Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// A run of the schedule: sweep.
    Sweep,
    /// A message on an MQTT topic, from the topic rule of AWS IoT.
    Iot(Publication),
    /// Messages of the queue.
    Queue(Vec<QueueMessage>),
}

impl SourceEvent {
    /// Parses an event; `None` if it is anything else, for example a request.
    #[must_use]
    pub fn parse(event: &Envelope<'_>) -> Option<Self> {
        if event.get::<Cow<'_, str>>("smartclean-push").as_deref() == Some("sweep") {
            return Some(Self::Sweep);
        }
        if let Some(publication) = Publication::from_rule(event) {
            return Some(Self::Iot(publication));
        }
        let records = event.get::<Vec<Envelope<'_>>>("Records")?;
        Some(Self::Queue(records.iter().filter_map(QueueMessage::from_record).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(event: &str) -> Option<SourceEvent> {
        SourceEvent::parse(&Envelope::parse(event)?)
    }

    #[test]
    fn an_event_of_the_schedule_is_a_sweep() {
        assert_eq!(parse(r#"{"smartclean-push":"sweep"}"#), Some(SourceEvent::Sweep));
        assert_eq!(parse(r#"{"smartclean-push":"sleep"}"#), None);
    }

    #[test]
    fn a_request_is_no_event_of_a_source() {
        assert_eq!(parse(r#"{"version":"2.0","rawPath":"/push","body":"{\"Records\":[]}"}"#), None);
        assert_eq!(parse("[]"), None);
    }

    #[test]
    fn a_publication_differs_from_requests_and_messages() {
        let published = r#"{"data":"W10=","topic":"smartclean/push","client":"c","published":1795428000000}"#;
        assert!(matches!(parse(published), Some(SourceEvent::Iot(_))));
        // The body of a request is unverified: it cannot turn the request into a publication.
        let request = r#"{"version":"2.0","rawPath":"/push","body":"{\"data\":\"W10=\",\"topic\":\"t\"}"}"#;
        assert_eq!(parse(request), None);
    }

    #[test]
    fn messages_keep_their_ids() {
        let event = serde_json::json!({"Records": [
            {"messageId": "m-1", "eventSource": "aws:sqs", "body": "hello", "attributes": {}},
            {"messageId": "m-2", "eventSource": "aws:sns", "body": "hello"},
        ]});
        let expected = QueueMessage { id: "m-1".into(), sent: None, task: QueueTask::Unknown };
        assert_eq!(parse(&event.to_string()), Some(SourceEvent::Queue(vec![expected])));
    }
}
