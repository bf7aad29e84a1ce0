//! What reaches the function without HTTP: the schedule's tick, what was published on an MQTT topic, and messages of the
//! queue.

mod envelope;
mod notice;
mod publication;
mod queue;

use std::borrow::Cow;

pub use self::envelope::{Envelope, MemberError};
pub use self::publication::{Publication, Taken};
pub use self::queue::{Failures, Message, Task};

/// An event that is no request.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The schedule's tick: do what is due.
    Sweep,
    /// A message of an MQTT topic, from AWS IoT's topic rule.
    Iot(Publication),
    /// Messages of the queue.
    Queue(Vec<Message>),
}

impl Event {
    /// Reads an event; `None` if it is something else, a request for example.
    #[must_use]
    pub fn read(event: &Envelope<'_>) -> Option<Self> {
        if event.get::<Cow<'_, str>>("smartclean-push").as_deref() == Some("sweep") {
            return Some(Self::Sweep);
        }
        if let Some(publication) = Publication::selected(event) {
            return Some(Self::Iot(publication));
        }
        let records = event.get::<Vec<queue::Record<'_>>>("Records")?.into_iter();
        Some(Self::Queue(records.filter(|record| record.source == "aws:sqs").map(Message::from).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: &str) -> Option<Event> {
        Event::read(&Envelope::read(event)?)
    }

    #[test]
    fn the_schedules_tick_is_a_sweep() {
        assert_eq!(read(r#"{"smartclean-push":"sweep"}"#), Some(Event::Sweep));
        assert_eq!(read(r#"{"smartclean-push":"sleep"}"#), None);
    }

    #[test]
    fn requests_are_something_else() {
        assert_eq!(read(r#"{"version":"2.0","rawPath":"/push","body":"{\"Records\":[]}"}"#), None);
        assert_eq!(read("[]"), None);
    }

    #[test]
    fn what_was_published_is_told_from_requests_and_messages() {
        let published = r#"{"data":"W10=","topic":"smartclean/push","client":"c","published":1795428000000}"#;
        assert!(matches!(read(published), Some(Event::Iot(_))));
        // Whatever else it holds, a request is a request: what it says is its sender's to say.
        let request = r#"{"version":"2.0","rawPath":"/push","body":"{\"data\":\"W10=\",\"topic\":\"t\"}"}"#;
        assert_eq!(read(request), None);
    }

    #[test]
    fn messages_keep_their_ids() {
        let event = serde_json::json!({"Records": [
            {"messageId": "m-1", "eventSource": "aws:sqs", "body": "hello", "attributes": {}},
            {"messageId": "m-2", "eventSource": "aws:sns", "body": "hello"},
        ]});
        let expected = Message { id: "m-1".into(), sent: None, task: Task::Unknown };
        assert_eq!(read(&event.to_string()), Some(Event::Queue(vec![expected])));
    }
}
