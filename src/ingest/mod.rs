//! The use case: one push, from its decoded body to what is answered.
//!
//! Split, store, evaluate, publish, in that order. What arrived is stored before anything is decided about it, because a
//! stored push can be evaluated again and a lost one cannot.

pub mod decode;
pub mod ports;

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use self::decode::{DecodeError, Encoding, decode};
use self::ports::{AlertPublisher, RawStore, RuleSource, Stored, Unavailable};
use crate::domain::alert::{self, Alert, render};
use crate::domain::archive::{Metadata, Object, ObjectKey, pack_readings, pack_rejections};
use crate::domain::batch::{Batch, BatchId, Items, NotABatch, Rejection};
use crate::domain::engine::{Evaluation, evaluate};
use crate::domain::reading::Reading;
use crate::domain::rules::RuleSet;
use crate::domain::state::{ZoneKey, ZoneState};

/// What is known of a push beside its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The id of the request.
    pub request_id: String,
    /// The address it came from.
    pub source: String,
    /// When it was received.
    pub received: Timestamp,
}

/// What came of a push that is stored and accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The batch's identity.
    pub batch: BatchId,
    /// Items in the batch.
    pub received: usize,
    /// Well-formed ones.
    pub accepted: usize,
    /// The others, kept apart.
    pub rejected: usize,
    /// Accepted ones that were known already.
    pub duplicates: usize,
    /// Limits that were crossed.
    pub alerts: usize,
    /// Messages that were sent about them.
    pub messages: usize,
    /// Readings too old to alert.
    pub stale: usize,
    /// Readings from the future.
    pub early: usize,
    /// Whether the very same body was stored before.
    pub repeated: bool,
    /// Event time of the newest reading.
    pub newest: Option<Timestamp>,
}

/// Why a push is not stored and accounted for.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The body is no batch. It is kept; no retry can help.
    #[error("the body is not a batch")]
    NotABatch(#[source] NotABatch),
    /// The body is too large once decoded. It is kept as it was sent; no retry can help.
    #[error("the decoded body is too large")]
    TooLarge,
    /// The store did not take it. A retry can help.
    #[error("the push was not stored")]
    Store(#[source] Unavailable),
    /// It is stored, and not every message about it was sent. A retry can help, and makes no second object.
    #[error("the push was stored, but {failed} of {messages} alert messages were not sent")]
    Publish {
        /// How many messages there were.
        messages: usize,
        /// How many of them were not sent.
        failed: usize,
        /// Why the first of those was not.
        #[source]
        first: Unavailable,
    },
}

/// The use case with what it needs of the world.
#[derive(Debug)]
pub struct Ingest<S, P, R> {
    store: S,
    publisher: P,
    rules: R,
}

impl<S: RawStore, P: AlertPublisher, R: RuleSource> Ingest<S, P, R> {
    /// Puts the use case together.
    pub fn new(store: S, publisher: P, rules: R) -> Self {
        Self { store, publisher, rules }
    }

    /// Takes in one push. `body` is as it was sent, in `encoding`.
    ///
    /// # Errors
    /// [`PushError`] says for each case whether a retry can help.
    pub async fn push(&self, body: Bytes, encoding: Encoding, receipt: &Receipt) -> Result<Outcome, PushError> {
        let decoded = match decode(body.clone(), encoding) {
            Ok(decoded) => decoded,
            Err(fault) => return Err(self.refuse_encoded(&body, fault, receipt).await?),
        };
        let id = BatchId::of(&decoded);
        let items = match Items::split(&decoded) {
            Ok(items) => items,
            Err(fault) => {
                self.keep_body(id, &decoded, &fault.to_string(), receipt).await?;
                return Err(PushError::NotABatch(fault));
            }
        };
        let batch = items.read();
        // Stored before it is evaluated: a stored push can be evaluated again, a lost one cannot.
        let repeated = self.store(id, &batch, receipt).await?;
        let rules = self.rules.current(receipt.received).await;
        let evaluated = evaluate_zones(&rules, &batch.readings, receipt.received);
        let alerts = evaluated.alerts.len();
        let messages = self.publish(evaluated.alerts).await?;
        Ok(Outcome {
            batch: id,
            received: items.len(),
            accepted: batch.readings.len(),
            rejected: batch.rejections.len(),
            duplicates: evaluated.duplicates,
            alerts,
            messages,
            stale: evaluated.stale,
            early: evaluated.early,
            repeated,
            newest: batch.readings.iter().filter_map(|reading| reading.time).max(),
        })
    }

    /// Stores readings and rejections, each where there are any. Whether the readings were stored before.
    async fn store(&self, id: BatchId, batch: &Batch<'_>, receipt: &Receipt) -> Result<bool, PushError> {
        let readings = async {
            if batch.readings.is_empty() {
                return Ok(Stored::New);
            }
            let key = ObjectKey::of_readings(id, &batch.readings);
            self.store.put(object(key, pack_readings(&batch.readings), batch.readings.len(), receipt)).await
        };
        let (readings, rejections) = tokio::join!(readings, self.store_rejections(id, &batch.rejections, receipt));
        rejections.map_err(PushError::Store)?;
        Ok(readings.map_err(PushError::Store)? == Stored::Already)
    }

    async fn store_rejections(
        &self,
        id: BatchId,
        rejections: &[Rejection<'_>],
        receipt: &Receipt,
    ) -> Result<(), Unavailable> {
        if rejections.is_empty() {
            return Ok(());
        }
        let key = ObjectKey::of_rejections(id, receipt.received);
        self.store.put(object(key, pack_rejections(rejections), rejections.len(), receipt)).await.map(|_| ())
    }

    /// Keeps a body that does not decode, and says how to answer it.
    async fn refuse_encoded(&self, body: &[u8], fault: DecodeError, receipt: &Receipt) -> Result<PushError, PushError> {
        self.keep_body(BatchId::of(body), body, &fault.to_string(), receipt).await?;
        Ok(match fault {
            DecodeError::TooLarge => PushError::TooLarge,
            DecodeError::Corrupt(_) => PushError::NotABatch(NotABatch::Encoding(fault.to_string())),
        })
    }

    /// Keeps a whole body that is no batch: it arrived authenticated, so it is not ours to lose.
    async fn keep_body(&self, id: BatchId, body: &[u8], reason: &str, receipt: &Receipt) -> Result<(), PushError> {
        let rejection = Rejection { index: None, reason: reason.to_owned(), raw: body.into() };
        self.store_rejections(id, &[rejection], receipt).await.map_err(PushError::Store)
    }

    /// Sends the messages that these alerts make. How many there were.
    async fn publish(&self, alerts: Vec<Alert>) -> Result<usize, PushError> {
        let messages: Vec<_> = alert::into_messages(alerts).iter().map(render::render).collect();
        if messages.is_empty() {
            return Ok(0);
        }
        let outcomes = self.publisher.publish(&messages).await;
        let mut failures = outcomes.into_iter().filter_map(Result::err);
        match failures.next() {
            None => Ok(messages.len()),
            Some(first) => Err(PushError::Publish { messages: messages.len(), failed: 1 + failures.count(), first }),
        }
    }
}

fn object(key: ObjectKey, bytes: Vec<u8>, lines: usize, receipt: &Receipt) -> Object {
    let Receipt { request_id, source, received } = receipt.clone();
    Object { key, bytes, metadata: Metadata { received, request_id, source, lines } }
}

/// Evaluates each zone's readings by themselves, zones in the order of their names.
fn evaluate_zones(rules: &RuleSet, readings: &[Reading<'_>], received: Timestamp) -> Evaluation {
    let mut zones: BTreeMap<ZoneKey<'_>, Vec<&Reading<'_>>> = BTreeMap::new();
    for reading in readings {
        zones.entry(ZoneKey::of(&reading.source)).or_default().push(reading);
    }
    let mut whole = Evaluation::default();
    for readings in zones.values() {
        let zone = evaluate(rules, &ZoneState::default(), readings, received);
        whole.alerts.extend(zone.alerts);
        whole.duplicates += zone.duplicates;
        whole.stale += zone.stale;
        whole.early += zone.early;
    }
    whole
}
