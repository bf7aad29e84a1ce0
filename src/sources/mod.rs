//! What reaches the function without HTTP: the schedule's tick, what was published on an MQTT topic, and messages of the
//! queue.

mod notice;
mod publication;
mod queue;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

pub use self::publication::{Publication, Taken, take_in};
pub use self::queue::{Failures, Message, Task, process_messages};

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
    /// Reads an event; `None` where it is something else, a request for example.
    #[must_use]
    pub fn read(event: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Told<'e> {
            #[serde(borrow, default, rename = "smartclean-push")]
            ours: Option<Cow<'e, str>>,
            #[serde(borrow, default, rename = "Records")]
            records: Option<Vec<queue::Record<'e>>>,
            #[serde(default)]
            data: Option<IgnoredAny>,
        }
        let told: Told<'_> = serde_json::from_str(event).ok()?;
        if told.ours.as_deref() == Some("sweep") {
            return Some(Self::Sweep);
        }
        if told.data.is_some() {
            return Publication::read(event).map(Self::Iot);
        }
        let records = told.records?.into_iter().filter(|record| record.source == "aws:sqs");
        Some(Self::Queue(records.map(Message::from).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedules_tick_is_a_sweep() {
        assert_eq!(Event::read(r#"{"smartclean-push":"sweep"}"#), Some(Event::Sweep));
        assert_eq!(Event::read(r#"{"smartclean-push":"sleep"}"#), None);
    }

    #[test]
    fn requests_are_something_else() {
        assert_eq!(Event::read(r#"{"version":"2.0","rawPath":"/push","body":"{\"Records\":[]}"}"#), None);
        assert_eq!(Event::read("[]"), None);
    }

    #[test]
    fn what_was_published_is_told_from_requests_and_messages() {
        let published = r#"{"data":"W10=","topic":"smartclean/push","client":"c","published":1795428000000}"#;
        assert!(matches!(Event::read(published), Some(Event::Iot(_))));
        // Whatever else it holds, a request is a request: what it says is its sender's to say.
        let request = r#"{"version":"2.0","rawPath":"/push","body":"{\"data\":\"W10=\",\"topic\":\"t\"}"}"#;
        assert_eq!(Event::read(request), None);
    }

    #[test]
    fn messages_keep_their_ids() {
        let event = serde_json::json!({"Records": [
            {"messageId": "m-1", "eventSource": "aws:sqs", "body": "hello", "attributes": {}},
            {"messageId": "m-2", "eventSource": "aws:sns", "body": "hello"},
        ]});
        let expected = Message { id: "m-1".into(), sent: None, task: Task::Unknown };
        assert_eq!(Event::read(&event.to_string()), Some(Event::Queue(vec![expected])));
    }
}
