//! The use case: one push, from its decoded body to what is answered.
//!
//! Split, store, evaluate, publish, in that order. What arrived is stored before anything is decided about it, because a
//! stored push can be evaluated again and a lost one cannot. State and the messages it makes commit together; messages
//! leave afterwards, and what does not leave is found by the [sweep](Ingest::sweep).

#[cfg(feature = "command")]
mod again;
pub mod decode;
mod dispatch;
mod documents;
mod left_over;
mod limit;
mod log;
pub mod ports;
mod sweep;
mod zones;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::json;
use tokio::time::timeout;

#[cfg(feature = "command")]
pub use self::again::{Replay, Replayed, Reread, reread};
use self::decode::{DecodeError, Encoding, decode};
pub use self::dispatch::FORGOTTEN_WITHIN;
use self::dispatch::send_each;
use self::left_over::FailedTries;
pub use self::limit::ALLOWED_WITHIN;
use self::ports::{AlertPublisher, Journal, RawStore, RuleSource, StateStore, Stored, Unavailable};
use self::sweep::LastDone;
pub use self::sweep::SweepStats;
use self::zones::{
    Change, KnownProjects, LoadedZones, commit_all, evaluate_zones, known_projects, load_zones, note_projects,
};
use crate::domain::archive::{Metadata, Object, ObjectKey};
use crate::domain::batch::{Batch, BatchId, Items, NotABatch, RejectedPart, Rejection};
use crate::domain::engine;
use crate::domain::reading::Reading;
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
    /// Limits that were crossed while another alert's block lasted.
    pub blocked: usize,
    /// Messages that were sent.
    pub messages: usize,
    /// Messages that could not be sent yet; they stay in the outbox.
    pub unsent: usize,
    /// Digests among those that were sent.
    pub digests: usize,
    /// Accepted items that came too late to be told from known ones.
    pub late: usize,
    /// Whether evaluation has still to happen, because the state could not be committed.
    pub unevaluated: bool,
    /// Readings too old to alert.
    pub stale: usize,
    /// Readings from the future.
    pub early: usize,
    /// Values that no such sensor can measure.
    pub implausible: usize,
    /// Readings of devices beyond the limit of their zone, which are stored and not evaluated.
    pub over_device_limit: usize,
    /// Whether the very same body was stored before.
    pub repeated: bool,
    /// Whether the store did not take it, and it waits in another place as safe.
    pub parked: bool,
    /// Event time of the newest reading.
    pub newest: Option<Timestamp>,
    /// How long it took.
    pub took: Took,
}

/// What the pusher is told of it.
impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { batch, received, accepted, rejected, duplicates, alerts, .. } = self;
        let told = json!({
            "batch": batch.to_string(), "received": received, "accepted": accepted, "rejected": rejected,
            "duplicates": duplicates, "alerts": alerts,
        });
        told.serialize(serializer)
    }
}

/// How long the parts of a push took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// Storing it.
    pub store: Duration,
    /// Judging it, reading and writing what is remembered included.
    pub evaluate: Duration,
    /// Sending its messages.
    pub publish: Duration,
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

    /// Takes in one push. `body` is as it was sent, in `encoding`.
    ///
    /// # Errors
    /// [`PushError`] says for each case whether a retry can help.
    pub async fn push(&self, body: Bytes, encoding: Encoding, request: &RequestInfo) -> Result<Outcome, PushError> {
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
        let ((stored, store), prefetched) = tokio::join!(storing, self.prefetch(&batch.readings, request.received));
        let stored = stored?;
        let evaluated =
            self.evaluate(&batch.readings, prefetched, request.received, request.received, JUDGED_WITHIN).await;
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
            duplicates: evaluated.duplicates,
            late: evaluated.late,
            alerts: evaluated.alerts,
            blocked: evaluated.blocked,
            messages: evaluated.messages,
            unsent: evaluated.unsent,
            digests: evaluated.digests,
            stale: evaluated.stale,
            early: evaluated.early,
            implausible: evaluated.implausible,
            over_device_limit: evaluated.over_device_limit,
            unevaluated: evaluated.failure.is_some(),
            repeated: stored == Stored::Already,
            parked: stored == Stored::Parked,
            newest: newest(&batch.readings),
            took: Took { store, ..evaluated.took },
        })
    }

    /// Evaluates the lines of a stored object again, as they were first received at `received`. What was evaluated before
    /// changes nothing, so that this is safe at any time.
    ///
    /// # Errors
    /// [`Unavailable`] where the state cannot be read or written. A retry can help.
    pub async fn evaluate_stored(
        &self,
        key: &ObjectKey,
        lines: &str,
        received: Timestamp,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        self.evaluate_lines(key, lines, received, now, JUDGED_WITHIN).await
    }

    async fn evaluate_lines(
        &self,
        key: &ObjectKey,
        lines: &str,
        received: Timestamp,
        now: Timestamp,
        within: Duration,
    ) -> Result<(), Unavailable> {
        // Lines were accepted when they were stored.
        let readings: Vec<_> = lines.lines().filter_map(|line| Reading::read(line).ok()).collect();
        let evaluated = self.evaluate(&readings, None, received, now, within).await;
        evaluated.log(key);
        evaluated.whole()?;
        self.mark_evaluated(key).await;
        Ok(())
    }

    /// Notes that a zone was cleaned at `at`: its sums start again, and what was raised is over. Without a project, the
    /// zones of that id in every project are meant. How many zones are known by that name.
    ///
    /// # Errors
    /// [`Unavailable`] where the state cannot be read or written. A retry can help.
    pub async fn cleaned(
        &self,
        zone: &str,
        project: Option<&str>,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<usize, Unavailable> {
        let rules = self.rules.current(now).await;
        let projects = known_projects(&*self.state, zone).await?;
        let keys: Vec<String> = projects
            .into_iter()
            .filter(|known| project.is_none_or(|project| project == known))
            .map(|project| ZoneKey::Zone { project: project.into(), zone: zone.into() }.to_string())
            .collect();
        let cleaned = |state: ZoneState| engine::cleaned(&rules, state, at, now);
        let documents = self.state.load(&keys).await?;
        let changes = keys.iter().zip(&documents).map(|(key, document)| Change::new(key.clone(), document, cleaned));
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        let evaluated = commit_all(&*self.state, &rules, changes, now).await;
        send_each(&*self.state, &*self.publisher, &rules, evaluated.outgoing, now).await;
        evaluated.failure.map_or(Ok(keys.len()), Err)
    }

    /// Does what the cleanings among these readings say, before the readings: what was measured up to a cleaning is over,
    /// whichever of them arrives first. The last cleaning of a zone says what those before it say.
    async fn clean(&self, readings: &[Reading<'_>], now: Timestamp) -> Result<(), Unavailable> {
        let mut cleanings: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for cleaning in readings.iter().filter_map(|reading| reading.cleaning.as_ref()) {
            let at = cleanings.entry(&cleaning.zone).or_insert(cleaning.at);
            *at = cleaning.at.max(*at);
        }
        if cleanings.is_empty() {
            return Ok(());
        }
        // A zone may be new, and come with this very push.
        note_projects(&*self.state, |zone| cleanings.contains_key(zone), readings).await?;
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
    ) -> Option<Result<LoadedZones<'r, 't>, Unavailable>> {
        if readings.iter().any(|reading| reading.cleaning.is_some()) {
            return None;
        }
        let read = timeout(JUDGED_WITHIN, load_zones(&*self.state, self.rules.current(now).await, readings)).await;
        Some(read.unwrap_or_else(|late| Err(Unavailable::new(TOO_LONG, late))))
    }

    /// Evaluates readings, commits what is remembered, and sends the messages that makes: those of the zones that could be
    /// judged, where others could not.
    async fn evaluate<'t>(
        &self,
        readings: &[Reading<'t>],
        prefetched: Option<Result<LoadedZones<'_, 't>, Unavailable>>,
        received: Timestamp,
        now: Timestamp,
        within: Duration,
    ) -> Accounted {
        let accounted = self.try_evaluate(readings, prefetched, received, now, within).await;
        accounted.unwrap_or_else(|failure| Accounted { failure: Some(failure), ..Accounted::default() })
    }

    async fn try_evaluate<'t>(
        &self,
        readings: &[Reading<'t>],
        prefetched: Option<Result<LoadedZones<'_, 't>, Unavailable>>,
        received: Timestamp,
        now: Timestamp,
        within: Duration,
    ) -> Result<Accounted, Unavailable> {
        let began = Instant::now();
        let judged = async {
            self.clean(readings, now).await?;
            let loaded = match prefetched {
                Some(loaded) => loaded?,
                None => load_zones(&*self.state, self.rules.current(now).await, readings).await?,
            };
            let rules = Arc::clone(&loaded.rules);
            Ok((rules, evaluate_zones(&*self.state, &self.projects, loaded, received, now).await))
        };
        let judged = timeout(within, judged).await;
        let (rules, evaluated) = judged.unwrap_or_else(|late| Err(Unavailable::new(TOO_LONG, late)))?;
        if !readings.is_empty() {
            self.note_arrival(now).await;
        }
        let judged = Instant::now();
        let dispatched = send_each(&*self.state, &*self.publisher, &rules, evaluated.outgoing, now).await;
        if let Some(error) = &dispatched.first_failure {
            tracing::error!(unsent = dispatched.failed, error = %error.chain(), "messages stay in the outbox");
        }
        Ok(Accounted {
            alerts: evaluated.alerts,
            blocked: evaluated.blocked,
            duplicates: evaluated.duplicates,
            late: evaluated.late,
            stale: evaluated.stale,
            early: evaluated.early,
            implausible: evaluated.implausible,
            over_device_limit: evaluated.over_device_limit,
            messages: dispatched.messages,
            unsent: dispatched.failed,
            digests: dispatched.digests,
            failure: evaluated.failure,
            took: Took { evaluate: judged - began, publish: judged.elapsed(), ..Took::default() },
        })
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
    ) -> Result<Stored, Unavailable> {
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
            DecodeError::Corrupt(_) => PushError::NotABatch(NotABatch::Encoding(fault.to_string())),
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

/// What came of evaluating readings.
#[derive(Debug, Default)]
struct Accounted {
    /// Why some of them could not be evaluated.
    failure: Option<Unavailable>,
    alerts: usize,
    blocked: usize,
    duplicates: usize,
    late: usize,
    stale: usize,
    early: usize,
    implausible: usize,
    over_device_limit: usize,
    messages: usize,
    unsent: usize,
    digests: usize,
    took: Took,
}

impl Accounted {
    /// Itself, where all of the readings were evaluated.
    fn whole(self) -> Result<Self, Unavailable> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self),
        }
    }
}

/// Event time of the newest reading; `None` where none tells its time.
fn newest(readings: &[Reading<'_>]) -> Option<Timestamp> {
    readings.iter().filter_map(|reading| reading.time).max()
}
