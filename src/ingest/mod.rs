//! The use case: one push, from its decoded body to what is answered.
//!
//! Split, store, evaluate, publish, in that order. What arrived is stored before anything is decided about it, because a
//! stored push can be evaluated again and a lost one cannot. State and the messages it makes commit together; messages
//! leave afterwards, and what does not leave is found by the [sweep](Ingest::sweep).

pub mod decode;
mod dispatcher;
mod documents;
mod evaluator;
mod left_over;
mod limit;
mod log;
pub mod ports;
mod projects;
mod replay;
mod restore;
mod sweeper;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::json;

use self::decode::{DecodeError, Encoding, decode};
use self::dispatcher::Dispatcher;
pub use self::dispatcher::{Delivery, FORGOTTEN_WITHIN};
use self::evaluator::{Evaluator, LoadedZones};
use self::left_over::FailedTries;
pub use self::limit::ALLOWED_WITHIN;
use self::ports::{AlertPublisher, Journal, RawStore, RuleSource, StateStore, Stored, UnavailableError, within};
use self::projects::{KnownProjects, known_projects};
pub use self::replay::{Replay, Replayed, Reread, reread};
pub use self::restore::{ReplayedDocument, Restored, restore};
use self::sweeper::LastDone;
pub use self::sweeper::SweepStats;
use crate::domain::archive::{Metadata, Object, ObjectKey};
use crate::domain::batch::{Batch, BatchError, BatchId, Items, RejectedPart, Rejection};
use crate::domain::engine::{self, EvaluationStats};
use crate::domain::reading::Reading;
use crate::domain::rules::RuleSet;
use crate::domain::state::{ZoneKey, ZoneState};

/// Longest that judging a push takes, reading and writing what is remembered included. What takes longer is stored, and
/// judged later.
pub const JUDGED_WITHIN: Duration = Duration::from_secs(5);

const TOO_LONG: &str = "the state store took too long";

/// What is known of a request, or of a message that brings a push, beside its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// An id that the caller sees and the logs name.
    pub request_id: String,
    /// The address it came from.
    pub source: String,
    /// When it was received.
    pub received: Timestamp,
    /// The client that AWS has authenticated before the request came here: API Gateway's JWT authorizer for `POST /push/jwt`,
    /// AWS IoT for a publication. No header says it.
    pub verified_client: Option<String>,
}

impl RequestInfo {
    /// The metadata of an object that the request brought, but for the number of lines.
    fn metadata(&self) -> Metadata {
        let Self { request_id, source, received, .. } = self.clone();
        Metadata { received, request_id, source, lines: 0 }
    }
}

/// The result of a push that is stored.
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
    /// Event time of the newest reading.
    pub newest: Option<Timestamp>,
    /// Where it is stored.
    pub stored: Stored,
    /// Whether all readings were evaluated. If the state could not be committed, they are evaluated later.
    pub evaluated: bool,
    /// Counts of the evaluation.
    pub stats: EvaluationStats,
    /// What became of its messages.
    pub delivery: Delivery,
    /// How long its parts took.
    pub timings: Timings,
}

/// What the pusher is told of it.
impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { batch, received, accepted, rejected, stats, .. } = self;
        let told = json!({
            "batch": batch.to_string(), "received": received, "accepted": accepted, "rejected": rejected,
            "duplicates": stats.duplicates, "alerts": stats.alerts,
        });
        told.serialize(serializer)
    }
}

/// How long the parts of a push took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Storing it.
    pub store: Duration,
    /// Evaluating it, reading and writing state included.
    pub evaluate: Duration,
    /// Sending its messages.
    pub publish: Duration,
}

/// Why a push is not stored and accounted for.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The body is no batch. It is kept; no retry can help.
    #[error("the body is not a batch")]
    NotABatch(#[source] BatchError),
    /// The body is too large once decoded. It is kept as it was sent; no retry can help.
    #[error("the decoded body is too large")]
    TooLarge,
    /// The store did not take it. A retry can help.
    #[error("the push was not stored")]
    Store(#[source] UnavailableError),
}

/// What ingest needs of the world.
pub struct Environment {
    /// Keeps what is pushed.
    pub store: Box<dyn RawStore>,
    /// Lists what is stored and still to be evaluated, if nobody else does.
    pub journal: Option<Box<dyn Journal>>,
    /// Keeps rule state, and limits messages.
    pub state: Box<dyn StateStore>,
    /// Sends messages.
    pub publisher: Box<dyn AlertPublisher>,
    /// Knows the rules.
    pub rules: Box<dyn RuleSource>,
}

/// The use case: receives pushes, evaluates them, and sends the messages that this makes.
pub struct Ingest {
    store: Box<dyn RawStore>,
    journal: Option<Box<dyn Journal>>,
    state: Box<dyn StateStore>,
    publisher: Box<dyn AlertPublisher>,
    rules: Box<dyn RuleSource>,
    noted: LastDone,
    counted: LastDone,
    projects: KnownProjects,
    failed: FailedTries,
}

impl Ingest {
    /// Puts the use case together.
    #[must_use]
    pub fn new(Environment { store, journal, state, publisher, rules }: Environment) -> Self {
        Self {
            store,
            journal,
            state,
            publisher,
            rules,
            noted: LastDone::default(),
            counted: LastDone::default(),
            projects: KnownProjects::default(),
            failed: FailedTries::default(),
        }
    }

    /// Takes in one push. `body` is as it was sent, in `encoding`. `now` is later than the receipt if the push waited
    /// somewhere: messages are leased and limited as of now.
    ///
    /// # Errors
    /// [`PushError`] says for each case whether a retry can help.
    pub async fn push(
        &self,
        body: Bytes,
        encoding: Encoding,
        request: &RequestInfo,
        now: Timestamp,
    ) -> Result<Outcome, PushError> {
        let decoded = match decode(body.clone(), encoding) {
            Ok(decoded) => decoded,
            Err(fault) => return Err(self.refuse_encoded(&body, fault, request).await?),
        };
        let id = BatchId::of(&decoded);
        let items = match Items::split(&decoded) {
            Ok(items) => items,
            Err(fault) => {
                self.keep_body(id, RejectedPart::Body, &decoded, &fault.to_string(), request).await?;
                return Err(PushError::NotABatch(fault));
            }
        };
        let batch = items.read();
        // Stored before it is evaluated: a stored push can be evaluated again, a lost one cannot. State is prefetched while the
        // object is written. If it changes in between, the compare-and-swap fails and it is loaded again.
        let storing = async {
            let began = Instant::now();
            (self.store(id, &batch, request).await, began.elapsed())
        };
        let ((stored, store), prefetched) = tokio::join!(storing, self.prefetch(&batch.readings, now));
        let stored = stored?;
        let evaluated = self.evaluate(&batch.readings, prefetched, request.received, now, JUDGED_WITHIN).await;
        match &evaluated.failure {
            // Stored, so the push is accounted for: what is stored and not evaluated is evaluated later.
            Some(error) => tracing::error!(batch = %id, error = %error.chain(), "stored, and to be evaluated later"),
            None if batch.readings.is_empty() => {}
            None => self.mark_evaluated(&ObjectKey::of_readings(id, &batch.readings)).await,
        }
        Ok(Outcome {
            batch: id,
            received: items.len(),
            accepted: batch.readings.len(),
            rejected: batch.rejections.len(),
            newest: batch.readings.iter().filter_map(|reading| reading.time).max(),
            stored,
            evaluated: evaluated.failure.is_none(),
            stats: evaluated.stats,
            delivery: evaluated.delivery,
            timings: Timings { store, ..evaluated.timings },
        })
    }

    /// Evaluates the lines of a stored object again, as they were first received at `received`. What was evaluated before
    /// changes nothing, so that this is safe at any time.
    ///
    /// # Errors
    /// [`UnavailableError`] where the state cannot be read or written, or if that takes longer than `limit`. A retry can help.
    pub async fn evaluate_stored(
        &self,
        key: &ObjectKey,
        lines: &str,
        received: Timestamp,
        now: Timestamp,
        limit: Duration,
    ) -> Result<(), UnavailableError> {
        // Lines were accepted when they were stored.
        let readings: Vec<_> = lines.lines().filter_map(|line| Reading::read(line).ok()).collect();
        let evaluated = self.evaluate(&readings, Ok(None), received, now, limit).await;
        evaluated.log(key);
        if let Some(failure) = evaluated.failure {
            return Err(failure);
        }
        self.mark_evaluated(key).await;
        Ok(())
    }

    /// Notes that a zone was cleaned at `at`: its sums start again, and what was raised is over. Without a project, the
    /// zones of that id in every project are meant. How many zones are known by that name.
    ///
    /// # Errors
    /// [`UnavailableError`] where the state cannot be read or written. A retry can help.
    pub async fn cleaned(
        &self,
        zone: &str,
        project: Option<&str>,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<usize, UnavailableError> {
        let rules = self.rules.current(now).await?;
        let projects = known_projects(&*self.state, zone).await?;
        let keys: Vec<String> = projects
            .into_iter()
            .filter(|known| project.is_none_or(|project| project == known))
            .map(|project| ZoneKey::Zone { project: project.into(), zone: zone.into() }.to_string())
            .collect();
        let cleaned = |_: &str, state: ZoneState| engine::cleaned(&rules, state, at, now);
        let dispatcher = self.dispatcher(&rules, now);
        let evaluated = dispatcher.evaluator.change_all(&keys, &cleaned).await?;
        dispatcher.send_each(evaluated.outgoing).await;
        evaluated.failure.map_or(Ok(keys.len()), Err)
    }

    fn evaluator<'e>(&'e self, rules: &'e RuleSet, now: Timestamp) -> Evaluator<'e> {
        Evaluator { store: &*self.state, rules, now }
    }

    fn dispatcher<'d>(&'d self, rules: &'d RuleSet, now: Timestamp) -> Dispatcher<'d> {
        Dispatcher { evaluator: self.evaluator(rules, now), publisher: &*self.publisher }
    }

    /// Does what the cleanings among these readings say, before the readings: what was measured up to a cleaning is over,
    /// whichever of them arrives first. The last cleaning of a zone says what those before it say.
    async fn clean(&self, readings: &[Reading<'_>], now: Timestamp) -> Result<(), UnavailableError> {
        let mut cleanings: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for cleaning in readings.iter().filter_map(|reading| reading.cleaning.as_ref()) {
            let at = cleanings.entry(&cleaning.zone).or_insert(cleaning.at);
            *at = cleaning.at.max(*at);
        }
        if cleanings.is_empty() {
            return Ok(());
        }
        // A zone may be new, and come with this very push.
        for source in readings.iter().map(|reading| &reading.source) {
            if let Some(zone) = source.zone.as_deref().filter(|zone| cleanings.contains_key(zone)) {
                self.projects.note(&*self.state, zone, source.project.as_deref().unwrap_or_default()).await?;
            }
        }
        for (zone, at) in cleanings {
            self.cleaned(zone, None, at, now).await?;
        }
        Ok(())
    }

    /// The state of the zones of these readings. `None` if a cleaning among them changes it before they are evaluated.
    async fn prefetch<'r, 't>(
        &self,
        readings: &'r [Reading<'t>],
        now: Timestamp,
    ) -> Result<Option<LoadedZones<'r, 't>>, UnavailableError> {
        if readings.iter().any(|reading| reading.cleaning.is_some()) {
            return Ok(None);
        }
        let rules = self.rules.current(now).await?;
        within(JUDGED_WITHIN, TOO_LONG, LoadedZones::load(&*self.state, rules, readings)).await.map(Some)
    }

    /// Evaluates readings, commits the state, and sends the messages that this makes: also those of the zones that could be
    /// evaluated if others could not.
    async fn evaluate<'t>(
        &self,
        readings: &[Reading<'t>],
        prefetched: Result<Option<LoadedZones<'_, 't>>, UnavailableError>,
        received: Timestamp,
        now: Timestamp,
        limit: Duration,
    ) -> EvaluatedReadings {
        let began = Instant::now();
        let evaluated = async {
            self.clean(readings, now).await?;
            let loaded = match prefetched? {
                Some(loaded) => loaded,
                None => LoadedZones::load(&*self.state, self.rules.current(now).await?, readings).await?,
            };
            let rules = Arc::clone(&loaded.rules);
            let evaluator = self.evaluator(&rules, now);
            let evaluated = evaluator.evaluate_readings(&self.projects, loaded, received).await;
            Ok((rules, evaluated))
        };
        let (rules, evaluated) = match within(limit, TOO_LONG, evaluated).await {
            Ok(evaluated) => evaluated,
            Err(failure) => return EvaluatedReadings { failure: Some(failure), ..EvaluatedReadings::default() },
        };
        if !readings.is_empty() {
            self.note_arrival(now).await;
        }
        let evaluation_ended = Instant::now();
        let delivery = self.dispatcher(&rules, now).send_each(evaluated.outgoing).await;
        let (evaluate, publish) = (evaluation_ended - began, evaluation_ended.elapsed());
        let timings = Timings { evaluate, publish, ..Timings::default() };
        EvaluatedReadings { stats: evaluated.stats, delivery, timings, failure: evaluated.failure }
    }

    async fn mark_evaluated(&self, key: &ObjectKey) {
        if let Some(journal) = &self.journal
            && let Err(error) = journal.mark_evaluated(key).await
        {
            tracing::warn!(%key, error = %error.chain(), "push not marked as evaluated, it is evaluated again");
        }
    }

    /// Stores readings and rejections, each where there are any. What came of the readings, but for parked rejections.
    async fn store(&self, id: BatchId, batch: &Batch<'_>, request: &RequestInfo) -> Result<Stored, PushError> {
        let readings = async {
            if batch.readings.is_empty() {
                return Ok(Stored::New);
            }
            self.store.put(Object::of_readings(id, &batch.readings, request.metadata())).await
        };
        let (readings, rejections) = tokio::join!(readings, self.store_rejections(id, &batch.rejections, request));
        let rejections = rejections.map_err(PushError::Store)?;
        let readings = readings.map_err(PushError::Store)?;
        Ok(if rejections == Stored::Parked { rejections } else { readings })
    }

    async fn store_rejections(
        &self,
        id: BatchId,
        rejections: &[Rejection<'_>],
        request: &RequestInfo,
    ) -> Result<Stored, UnavailableError> {
        if rejections.is_empty() {
            return Ok(Stored::New);
        }
        self.store.put(Object::of_rejections(id, rejections, request.metadata())).await
    }

    /// Keeps a body that does not decode, which only one in gzip can fail to, and says how to answer it.
    async fn refuse_encoded(
        &self,
        body: &[u8],
        fault: DecodeError,
        request: &RequestInfo,
    ) -> Result<PushError, PushError> {
        self.keep_body(BatchId::of(body), RejectedPart::Gzip, body, &fault.to_string(), request).await?;
        Ok(match fault {
            DecodeError::TooLarge => PushError::TooLarge,
            DecodeError::Corrupt(_) => PushError::NotABatch(BatchError::Encoding(fault.to_string())),
        })
    }

    /// Keeps a whole body that is no batch: it arrived authenticated, so it is not ours to lose.
    async fn keep_body(
        &self,
        id: BatchId,
        part: RejectedPart,
        body: &[u8],
        reason: &str,
        request: &RequestInfo,
    ) -> Result<(), PushError> {
        let rejection = Rejection { part, reason: reason.to_owned(), raw: body.into() };
        self.store_rejections(id, &[rejection], request).await.map(|_| ()).map_err(PushError::Store)
    }
}

/// The result of evaluating readings.
#[derive(Debug, Default)]
struct EvaluatedReadings {
    stats: EvaluationStats,
    delivery: Delivery,
    timings: Timings,
    /// Why some of them could not be evaluated.
    failure: Option<UnavailableError>,
}
