//! What reaches the function without HTTP: the schedule's tick, and notices that an object was stored.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::archive::ObjectKey;
use crate::ingest::Ingest;
use crate::ingest::ports::{AlertPublisher, RawStore, RuleSource, StateStore, StoredObjects, Unavailable, chain};

/// An event that is no request.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The schedule's tick: do what is due.
    Sweep,
    /// Messages of the queue: objects that were stored, to be evaluated unless they have been.
    Stored(Vec<StoredNotice>),
}

/// One message of the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredNotice {
    /// The queue's id of the message.
    pub message: String,
    /// The objects it tells of; `None` where it is no notice of S3.
    pub objects: Option<Vec<ObjectKey>>,
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

impl Event {
    /// Reads an event; `None` where it is something else, a request for example.
    #[must_use]
    pub fn read(event: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Told<'e> {
            #[serde(borrow, default, rename = "smartclean-push")]
            ours: Option<Cow<'e, str>>,
            #[serde(borrow, default, rename = "Records")]
            records: Option<Vec<Record<'e>>>,
        }
        #[derive(Deserialize)]
        struct Record<'e> {
            #[serde(borrow, rename = "eventSource")]
            source: Cow<'e, str>,
            #[serde(borrow, rename = "messageId")]
            message: Cow<'e, str>,
            #[serde(borrow)]
            body: Cow<'e, str>,
        }
        let told: Told<'_> = serde_json::from_str(event).ok()?;
        if told.ours.as_deref() == Some("sweep") {
            return Some(Self::Sweep);
        }
        let records = told.records?.into_iter().filter(|record| record.source == "aws:sqs");
        let notices =
            records.map(|record| StoredNotice { message: record.message.into_owned(), objects: objects(&record.body) });
        Some(Self::Stored(notices.collect()))
    }
}

/// The keys that a notice of S3 tells of. The notice that S3 sends when notices are set up tells of none.
fn objects(notice: &str) -> Option<Vec<ObjectKey>> {
    #[derive(Deserialize)]
    struct Notice {
        #[serde(rename = "Records")]
        records: Option<Vec<Record>>,
        #[serde(rename = "Event")]
        event: Option<String>,
    }
    #[derive(Deserialize)]
    struct Record {
        s3: Entity,
    }
    #[derive(Deserialize)]
    struct Entity {
        object: Object,
    }
    #[derive(Deserialize)]
    struct Object {
        key: String,
    }
    let notice: Notice = serde_json::from_str(notice).ok()?;
    match (notice.records, notice.event.as_deref()) {
        (Some(records), _) => {
            let keys = records.iter().map(|record| ObjectKey::known(&form_decoded(&record.s3.object.key)));
            Some(keys.filter(ObjectKey::is_evaluated).collect())
        }
        (None, Some("s3:TestEvent")) => Some(Vec::new()),
        (None, _) => None,
    }
}

/// S3 writes keys as a form does: `%3D` for `=`, `+` for a space.
fn form_decoded(key: &str) -> String {
    let spaced = key.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// Evaluates the objects that `notices` tell of. What was evaluated before changes nothing.
pub async fn evaluate_stored<S, T, P, R, O>(
    ingest: &Ingest<S, T, P, R>,
    objects: &O,
    notices: Vec<StoredNotice>,
    now: Timestamp,
) -> Failures
where
    S: RawStore,
    T: StateStore,
    P: AlertPublisher,
    R: RuleSource,
    O: StoredObjects,
{
    let mut failures = Failures::default();
    for StoredNotice { message, objects: keys } in notices {
        let Some(keys) = keys else {
            // Coming again would not make it one; the queue's dead letters keep it for a look.
            tracing::error!(message, "a message of the queue is no notice of an object");
            failures.items.push(Failure { message });
            continue;
        };
        for key in &keys {
            if let Err(error) = evaluate_one(ingest, objects, key, now).await {
                tracing::warn!(%key, error = %chain(&error), "not evaluated, and to come again");
                failures.items.push(Failure { message: message.clone() });
                break;
            }
        }
    }
    failures
}

async fn evaluate_one<S, T, P, R, O>(
    ingest: &Ingest<S, T, P, R>,
    objects: &O,
    key: &ObjectKey,
    now: Timestamp,
) -> Result<(), Unavailable>
where
    S: RawStore,
    T: StateStore,
    P: AlertPublisher,
    R: RuleSource,
    O: StoredObjects,
{
    match objects.read(key).await? {
        Some((received, lines)) => ingest.evaluate_stored(key, &lines, received.unwrap_or(now), now).await,
        None => {
            tracing::warn!(%key, "an object that was stored is gone");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(body: &str) -> String {
        serde_json::json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": body, "attributes": {}}]})
            .to_string()
    }

    fn keys(body: &str) -> Option<Vec<String>> {
        match Event::read(&queued(body)).unwrap() {
            Event::Stored(mut notices) => {
                let keys = notices.remove(0).objects?;
                Some(keys.iter().map(ToString::to_string).collect())
            }
            Event::Sweep => panic!("no sweep"),
        }
    }

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
    fn a_notice_names_the_objects_as_they_are_called() {
        let notice = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"raw/dt%3D2026-11-23/hh%3D10/4f.ndjson.zst","size":1}}}]}"#;
        assert_eq!(keys(notice).unwrap(), ["raw/dt=2026-11-23/hh=10/4f.ndjson.zst"]);
    }

    #[test]
    fn what_is_not_to_be_evaluated_is_passed_over() {
        let notice =
            r#"{"Records":[{"s3":{"object":{"key":"rejected/x"}}},{"s3":{"object":{"key":"config/rules.toml"}}}]}"#;
        assert_eq!(keys(notice).unwrap(), Vec::<String>::new());
        assert_eq!(keys(r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_notice_is_none() {
        assert_eq!(keys("hello"), None);
        assert_eq!(keys(r#"{"Records":[{"sns":1}]}"#), None);
    }

    #[test]
    fn keys_are_decoded_as_a_form_is() {
        assert_eq!(form_decoded("a%3Db+c%2"), "a=b c%2");
        assert_eq!(form_decoded("%E5%8E%95%zz"), "厕%zz");
    }
}
