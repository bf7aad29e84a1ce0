//! Messages of the queue: objects that were stored and are to be evaluated, objects that are still to be stored.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::notice;
use crate::domain::archive::{Object, ObjectKey};
use crate::domain::parcel;
use crate::ingest::Ingest;
use crate::ingest::ports::{AlertPublisher, RawStore, RuleSource, StateStore, StoredObjects, Unavailable, chain};

/// A message as Lambda hands it over.
#[derive(Deserialize)]
pub(super) struct Record<'e> {
    #[serde(borrow, rename = "eventSource")]
    pub(super) source: Cow<'e, str>,
    #[serde(borrow, rename = "messageId")]
    id: Cow<'e, str>,
    #[serde(borrow)]
    body: Cow<'e, str>,
}

/// One message of the queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The queue's id of it.
    pub id: String,
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
        Self { id: record.id.into_owned(), task: Task::read(&record.body) }
    }
}

impl Task {
    fn read(body: &str) -> Self {
        match notice::keys(body) {
            Some(keys) => Self::Evaluate(keys),
            None => parcel::unwrap(body).map_or(Self::Unknown, |object| Self::Store(Box::new(object))),
        }
    }
}

/// Does what `messages` ask for. `bucket` is the store itself, with nothing behind it: what it does not take stays in the
/// queue. What was done before is done again and changes nothing.
pub async fn work_off<S, T, P, R, B>(
    ingest: &Ingest<S, T, P, R>,
    bucket: &B,
    messages: Vec<Message>,
    now: Timestamp,
) -> Failures
where
    S: RawStore,
    T: StateStore,
    P: AlertPublisher,
    R: RuleSource,
    B: RawStore + StoredObjects,
{
    let mut failures = Failures::default();
    for Message { id, task } in messages {
        let done = match task {
            Task::Evaluate(keys) => evaluate(ingest, bucket, &keys, now).await,
            Task::Store(object) => store(bucket, *object).await,
            // Coming again would not make it known; the queue's dead letters keep it for a look.
            Task::Unknown => Err(Unavailable::new("it is not understood", "neither a notice nor an object")),
        };
        if let Err(error) = done {
            tracing::warn!(message = id, error = %chain(&error), "a message of the queue is not done, and comes again");
            failures.items.push(Failure { message: id });
        }
    }
    failures
}

/// Stores an object. The bucket tells of it then, and so it is evaluated where that could not be done when it came.
async fn store<B: RawStore>(bucket: &B, object: Object) -> Result<(), Unavailable> {
    let key = object.key.clone();
    let stored = bucket.put(object).await?;
    tracing::info!(%key, ?stored, "stored at last");
    Ok(())
}

async fn evaluate<S, T, P, R, B>(
    ingest: &Ingest<S, T, P, R>,
    bucket: &B,
    keys: &[ObjectKey],
    now: Timestamp,
) -> Result<(), Unavailable>
where
    S: RawStore,
    T: StateStore,
    P: AlertPublisher,
    R: RuleSource,
    B: StoredObjects,
{
    for key in keys {
        match bucket.read(key).await? {
            Some((received, lines)) => {
                ingest.evaluate_stored(key, &lines, received.unwrap_or(now), now).await?;
            }
            None => tracing::warn!(%key, "an object that was stored is gone"),
        }
    }
    Ok(())
}
