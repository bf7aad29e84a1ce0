//! Ingest: one push, from its body to the response.
//!
//! Split, store, evaluate, publish, in that order. A push is stored before it is evaluated, because a stored push can be
//! evaluated again and a lost one cannot. State and messages commit together. Messages are sent after the commit, and the
//! [sweep](Ingest::sweep) sends those that were not.

pub mod answers;
pub mod board;
pub mod decode;
mod dispatcher;
mod evaluator;
#[cfg(test)]
mod fixtures;
pub mod links;
mod log;
mod pending;
pub mod ports;
mod projects;
mod public_url;
pub mod rate_limit;
mod replay;
mod restore;
mod second_look;
mod state_documents;
mod sweeper;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::json;
use tokio::sync::watch;

use self::answers::Answers;
use self::decode::{DecodeError, Encoding, decode};
pub use self::dispatcher::{ChannelReport, Delivery, OUTBOX_CLEANUP_TIMEOUT};
use self::dispatcher::{ChannelReports, Dispatcher};
use self::evaluator::{Evaluator, LoadedZones, OutboxMessage, ReceivedReadings};
use self::ports::{
    AlertPublisher, Journal, RawStore, RuleSource, StateStore, Stored, StoredPush, UnavailableError, within,
};
use self::projects::{KnownProjects, NamedZone, known_projects};
use self::public_url::KnownUrl;
pub use self::public_url::{PublicUrl, PublicUrlError};
pub use self::rate_limit::RATE_LIMIT_TIMEOUT;
pub use self::replay::{Replay, Replayed, RereadRejection, reread};
pub use self::restore::{ReplayedDocument, Restored, restore};
pub use self::second_look::PROGRESS_TIMEOUT;
use self::sweeper::LastRun;
pub use self::sweeper::{ARRIVAL_TIMEOUT, SweepStats};
use crate::domain::archive::{Metadata, Object, ObjectKey};
use crate::domain::batch::{Batch, BatchError, BatchId, Items, RejectedPart, Rejection};
use crate::domain::engine::{self, Evaluation, EvaluationStats};
use crate::domain::reading::Reading;
use crate::domain::response::Response;
use crate::domain::rules::RuleSet;
use crate::domain::rules::names::NameError;
use crate::domain::state::{Channel, ZoneKey, ZoneState};

/// Time limit for evaluating a push, state store included. A push that takes longer is stored and evaluated later.
pub const EVALUATION_TIMEOUT: Duration = Duration::from_secs(5);

const STATE_TIMEOUT: &str = "the state store did not answer in time";

/// A request, or a message with a push, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// Id in the response and in the logs.
    pub request_id: String,
    /// Address of the client; of an MQTT publication, client id and topic.
    pub source: String,
    /// Time of receipt.
    pub received: Timestamp,
    /// Client that AWS has authenticated: API Gateway's JWT authorizer for `POST /push/jwt`, AWS IoT for a publication. Never
    /// taken from a header.
    pub verified_client: Option<String>,
    /// The URL that the client called, for links in messages; `None` if it is not known.
    pub url: Option<PublicUrl>,
}

impl RequestInfo {
    /// Metadata of an object of this request. The object counts its own lines.
    fn metadata(&self) -> Metadata {
        let Self { request_id, source, received, .. } = self.clone();
        Metadata { received, request_id, source, lines: 0 }
    }
}

/// Result of a stored push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushOutcome {
    /// Id of the batch.
    pub batch: BatchId,
    /// Number of items in the batch.
    pub received: usize,
    /// Number of readings.
    pub accepted: usize,
    /// Number of rejections.
    pub rejected: usize,
    /// Event time of the newest reading.
    pub newest: Option<Timestamp>,
    /// How it was stored.
    pub stored: Stored,
    /// Whether all readings were evaluated. If not, they are evaluated later.
    pub evaluated: bool,
    /// Counts of the evaluation.
    pub stats: EvaluationStats,
    /// Counts of its messages.
    pub delivery: Delivery,
    /// Durations of its parts.
    pub timings: Timings,
}

/// The response body.
impl Serialize for PushOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { batch, received, accepted, rejected, stats, .. } = self;
        let response = json!({
            "batch": batch.to_string(), "received": received, "accepted": accepted, "rejected": rejected,
            "duplicates": stats.duplicates, "alerts": stats.alerts,
        });
        response.serialize(serializer)
    }
}

/// Durations of the parts of a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Storing.
    pub store: Duration,
    /// Evaluating, state store included.
    pub evaluate: Duration,
    /// Sending messages.
    pub publish: Duration,
}

/// Why a push was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The body is not a batch. It is stored under `rejected/`; a retry cannot help.
    #[error("the body is not a batch")]
    NotABatch(#[source] BatchError),
    /// The decoded body is too large. The encoded body is stored under `rejected/`; a retry cannot help.
    #[error("the decoded body is too large")]
    TooLarge,
    /// The object store failed. A retry can help.
    #[error("the push was not stored")]
    Store(#[source] UnavailableError),
}

/// Why a cleaning was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum CleaningError {
    /// No zone has the name, or several have. A retry cannot help.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No reading has come from the zone. A retry can help after one has.
    #[error("no reading has come from the zone")]
    UnknownZone,
    /// State cannot be read or written. A retry can help.
    #[error("the cleaning was not recorded")]
    State(#[from] UnavailableError),
}

impl From<DecodeError> for PushError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooLarge => Self::TooLarge,
            DecodeError::Corrupt(_) => Self::NotABatch(BatchError::Encoding(error.to_string())),
        }
    }
}

/// The ports that ingest uses.
pub struct Environment {
    /// Object store.
    pub store: Box<dyn RawStore>,
    /// Lists pending pushes; `None` if a queue does.
    pub journal: Option<Box<dyn Journal>>,
    /// State store.
    pub state: Box<dyn StateStore>,
    /// Keeps the rate limit of a replay, whose messages reach nobody. `None` if this is no replay: the state store keeps it.
    pub replay_rate_limit: Option<Box<dyn StateStore>>,
    /// The publisher that pushes use and wait for.
    pub publisher: Box<dyn AlertPublisher>,
    /// The other publishers. Each sends by itself, see [`Ingest::deliver`].
    pub background: Vec<Box<dyn AlertPublisher>>,
    /// Rules in force.
    pub rules: Box<dyn RuleSource>,
}

/// Receives pushes, evaluates them and sends the resulting messages.
pub struct Ingest {
    ports: Environment,
    arrival_recorded: LastRun,
    subscriptions_counted: LastRun,
    audiences_listed: LastRun,
    projects: KnownProjects,
    public_url: KnownUrl,
    reports: ChannelReports,
    /// Wakes the other publishers after new messages.
    new_messages: watch::Sender<()>,
    /// Failed attempts of this process to evaluate a pending push.
    failed: Mutex<HashMap<ObjectKey, u32>>,
}

impl Ingest {
    /// Builds ingest from its ports.
    #[must_use]
    pub fn new(ports: Environment) -> Self {
        Self {
            ports,
            arrival_recorded: LastRun::default(),
            subscriptions_counted: LastRun::default(),
            audiences_listed: LastRun::default(),
            projects: KnownProjects::default(),
            public_url: KnownUrl::default(),
            reports: ChannelReports::default(),
            new_messages: watch::Sender::default(),
            failed: Mutex::default(),
        }
    }

    /// Sets the URL of this receiver for links in messages. Without one, it is the URL of the last accepted push.
    #[must_use]
    pub fn with_public_url(mut self, url: Option<PublicUrl>) -> Self {
        self.public_url.configured = url;
        self
    }

    /// Receives one push. `body` is still in `encoding`. `now` is later than the receipt if the push waited in a queue: leases
    /// and the rate limit count from `now`.
    ///
    /// # Errors
    /// [`PushError`] states for each case whether a retry can help.
    pub async fn push(
        &self,
        body: Bytes,
        encoding: Encoding,
        request: &RequestInfo,
        now: Timestamp,
    ) -> Result<PushOutcome, PushError> {
        let decoded = match decode(body.clone(), encoding) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.store_rejected(RejectedPart::Gzip, &body, &error, request).await?;
                return Err(error.into());
            }
        };
        let id = BatchId::of(&decoded);
        let items = match Items::split(&decoded) {
            Ok(items) => items,
            Err(error) => {
                self.store_rejected(RejectedPart::Body, &decoded, &error, request).await?;
                return Err(PushError::NotABatch(error));
            }
        };
        let batch = items.read();
        let push = [ReceivedReadings { received: request.received, readings: &batch.readings }];
        // Stored before it is evaluated: a stored push can be evaluated again, a lost one cannot. State is prefetched while the
        // object is written. If it changes in between, the compare-and-swap fails and it is loaded again.
        let storing = async {
            let began = Instant::now();
            (self.store(id, &batch, request).await, began.elapsed())
        };
        let ((stored, store), prefetched) = tokio::join!(storing, self.prefetch(&push, now));
        let stored = stored?;
        if let Some(Rejection { part, reason, .. }) = batch.rejections.first() {
            let (count, index, request_id) = (batch.rejections.len(), part.index(), &request.request_id);
            tracing::warn!(batch = %id, %request_id, count, first_index = index, first_reason = reason, "items rejected");
        }
        // Known before the messages of this push are sent.
        let ((), evaluated) = tokio::join!(
            biased;
            self.public_url.record(&*self.ports.state, request.url.as_ref()),
            self.evaluate(&push, prefetched, now, EVALUATION_TIMEOUT),
        );
        match &evaluated.failure {
            Some(error) => tracing::error!(batch = %id, error = %error.chain(), "batch stored, evaluation postponed"),
            None if batch.readings.is_empty() => {}
            None => self.mark_evaluated(&ObjectKey::of_readings(id, &batch.readings)).await,
        }
        Ok(PushOutcome {
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

    /// Evaluates stored pushes, in the order of their receipt. Readings that were evaluated before, and copies of a push, change
    /// nothing, so this is safe at any time. They cost no more state than one push: each zone is loaded once, and written once
    /// if it changes.
    ///
    /// # Errors
    /// [`UnavailableError`] if state cannot be read or written within `limit`. A retry can help.
    pub async fn evaluate_stored(
        &self,
        key: &ObjectKey,
        mut pushes: Vec<StoredPush>,
        now: Timestamp,
        limit: Duration,
    ) -> Result<(), UnavailableError> {
        pushes.sort_unstable();
        // Every stored line was accepted as a reading.
        let readings =
            pushes.iter().map(|push| push.lines.lines().filter_map(|line| Reading::read(line).ok()).collect());
        let readings: Vec<Vec<_>> = readings.collect();
        let received = pushes.iter().map(|push| push.received.unwrap_or(now));
        let pushes = received.zip(&readings).map(|(received, readings)| ReceivedReadings { received, readings });
        let evaluated = self.evaluate(&pushes.collect::<Vec<_>>(), Ok(None), now, limit).await;
        evaluated.log(key);
        if let Some(failure) = evaluated.failure {
            return Err(failure);
        }
        self.mark_evaluated(key).await;
        Ok(())
    }

    /// Records the cleaning of a zone by its id, or by its name in the rules in force. An id without a declaration is known
    /// from its readings. Returns the number of zones, as [`Self::respond`] does.
    ///
    /// # Errors
    /// [`CleaningError`] states for each case whether a retry can help.
    pub async fn cleaned_by_name(
        &self,
        zone: &str,
        project: Option<&str>,
        at: Timestamp,
    ) -> Result<usize, CleaningError> {
        let rules = self.ports.rules.current(at).await?;
        let named = NamedZone::find(&rules.names, zone, project)?;
        let cleaning = Response { project: named.project.map(str::to_owned), ..Response::reported(named.id, at) };
        match self.respond(&[(at, &cleaning)], at).await? {
            0 => Err(named.unknown()),
            zones => Ok(zones),
        }
    }

    /// What pages may read and change.
    ///
    /// # Errors
    /// [`UnavailableError`] if the rules were never read and cannot be read now. A retry can help.
    pub async fn answers(&self, now: Timestamp) -> Result<Answers<'_>, UnavailableError> {
        let rules = self.ports.rules.current(now).await?;
        let (channels, public_url) = (self.channels(&rules), self.public_url.configured.clone());
        Ok(Answers { state: &*self.ports.state, channels, rules, public_url, now })
    }

    /// Records what people did in zones, each with its first receipt: open alerts are answered; after a cleaning, sums restart, and
    /// firing rules are resolved. Without a project, a response applies to the zones with its id in every project. Returns the
    /// number of zones.
    ///
    /// # Errors
    /// [`UnavailableError`] if state cannot be read or written. A retry can help.
    pub async fn respond(
        &self,
        responses: &[(Timestamp, &Response)],
        now: Timestamp,
    ) -> Result<usize, UnavailableError> {
        let rules = self.ports.rules.current(now).await?;
        let mut about: BTreeMap<&str, Vec<(Timestamp, &Response)>> = BTreeMap::new();
        for (received, response) in responses {
            about.entry(&response.zone).or_default().push((*received, response));
        }
        let mut by_zone: BTreeMap<String, Vec<(Timestamp, &Response)>> = BTreeMap::new();
        for (zone, responses) in about {
            for project in known_projects(&*self.ports.state, zone).await? {
                let mut responses = responses.clone();
                responses.retain(|(_, response)| response.is_about(zone, &project));
                if !responses.is_empty() {
                    by_zone.insert(ZoneKey::zone(project, zone).to_string(), responses);
                }
            }
            // A device without a zone has a state of its own, and answers to its alerts have its id in the place of the zone's.
            for (received, response) in responses.into_iter().filter(|(_, response)| response.alert.is_some()) {
                let project = response.project.as_deref().unwrap_or_default().into();
                let key = ZoneKey { is_zone: false, project, id: zone.into() };
                by_zone.entry(key.to_string()).or_default().push((received, response));
            }
        }
        let keys: Vec<String> = by_zone.keys().cloned().collect();
        let respond = |zone: &str, state: ZoneState| {
            let mut all = Evaluation { state, ..Evaluation::default() };
            for push in by_zone[zone].chunk_by(|(one, _), (other, _)| one == other) {
                let (received, responses): (Vec<_>, Vec<_>) = push.iter().copied().unzip();
                let evaluation = engine::respond(&rules, all.state, &responses, received[0], now);
                all.state = evaluation.state;
                all.messages.extend(evaluation.messages);
            }
            all
        };
        let dispatcher = self.dispatcher(&*self.ports.publisher, &rules, now);
        let evaluated = dispatcher.evaluator.change_all(&keys, &respond).await?;
        self.send_each(&dispatcher, evaluated.leased).await;
        evaluated.failure.map_or(Ok(keys.len()), Err)
    }

    /// The channels that these rules switch on.
    fn channels(&self, rules: &RuleSet) -> Vec<Channel> {
        let background = self.ports.background.iter().filter(|publisher| publisher.is_on(rules));
        iter::once(&self.ports.publisher).chain(background).map(|publisher| publisher.channel()).collect()
    }

    fn evaluator<'e>(&'e self, rules: &'e RuleSet, now: Timestamp) -> Evaluator<'e> {
        let (channels, channel) = (self.channels(rules), self.ports.publisher.channel());
        let store = &*self.ports.state;
        let rate_limit = self.ports.replay_rate_limit.as_deref().unwrap_or(store);
        Evaluator { store, rate_limit, rules, now, channels, channel }
    }

    fn dispatcher<'d>(
        &'d self,
        publisher: &'d dyn AlertPublisher,
        rules: &'d RuleSet,
        now: Timestamp,
    ) -> Dispatcher<'d> {
        let evaluator = Evaluator { channel: publisher.channel(), ..self.evaluator(rules, now) };
        // The messages of a replay reach nobody.
        let public_url = self.ports.replay_rate_limit.is_none().then_some(&self.public_url);
        Dispatcher { evaluator, publisher, reports: &self.reports, public_url }
    }

    /// Sends the messages of a push, and wakes the other publishers.
    async fn send_each(&self, dispatcher: &Dispatcher<'_>, leased: Vec<OutboxMessage>) -> Delivery {
        if !leased.is_empty() {
            self.new_messages.send_replace(());
        }
        dispatcher.send_each(leased).await
    }

    /// Applies what people did, by events among these readings, before the readings: a cleaning ends what was measured before it,
    /// whichever arrives first.
    async fn apply_responses(
        &self,
        pushes: &[ReceivedReadings<'_, '_>],
        now: Timestamp,
    ) -> Result<(), UnavailableError> {
        let mut responses: Vec<(Timestamp, &Response)> = Vec::new();
        for ReceivedReadings { received, readings } in pushes {
            responses.extend(readings.iter().filter_map(|reading| Some((*received, reading.response.as_ref()?))));
        }
        if responses.is_empty() {
            return Ok(());
        }
        // A zone can be new in these pushes.
        let zones: HashSet<&str> = responses.iter().map(|(_, response)| response.zone.as_str()).collect();
        for source in pushes.iter().flat_map(|push| push.readings).map(|reading| &reading.source) {
            if let Some(zone) = source.zone.as_deref().filter(|zone| zones.contains(zone)) {
                self.projects.record(&*self.ports.state, zone, source.project.as_deref().unwrap_or_default()).await?;
            }
        }
        self.respond(&responses, now).await.map(drop)
    }

    /// Loads the zones of these readings. `None` if a response among them changes the state first.
    async fn prefetch<'r, 't>(
        &self,
        pushes: &[ReceivedReadings<'r, 't>],
        now: Timestamp,
    ) -> Result<Option<LoadedZones<'r, 't>>, UnavailableError> {
        if pushes.iter().flat_map(|push| push.readings).any(|reading| reading.response.is_some()) {
            return Ok(None);
        }
        let rules = self.ports.rules.current(now).await?;
        within(EVALUATION_TIMEOUT, STATE_TIMEOUT, LoadedZones::load(&*self.ports.state, rules, pushes)).await.map(Some)
    }

    /// Evaluates readings, commits the state and sends the messages. A failed zone does not stop the others.
    async fn evaluate<'r, 't>(
        &self,
        pushes: &[ReceivedReadings<'r, 't>],
        prefetched: Result<Option<LoadedZones<'r, 't>>, UnavailableError>,
        now: Timestamp,
        limit: Duration,
    ) -> EvaluatedReadings {
        let began = Instant::now();
        let evaluated = async {
            self.apply_responses(pushes, now).await?;
            let loaded = match prefetched? {
                Some(loaded) => loaded,
                None => LoadedZones::load(&*self.ports.state, self.ports.rules.current(now).await?, pushes).await?,
            };
            let rules = Arc::clone(&loaded.rules);
            let evaluator = self.evaluator(&rules, now);
            let evaluated = evaluator.evaluate_readings(&self.projects, loaded).await;
            Ok((rules, evaluated))
        };
        let (rules, evaluated) = match within(limit, STATE_TIMEOUT, evaluated).await {
            Ok(evaluated) => evaluated,
            Err(failure) => return EvaluatedReadings { failure: Some(failure), ..EvaluatedReadings::default() },
        };
        let evaluation_ended = Instant::now();
        let dispatcher = self.dispatcher(&*self.ports.publisher, &rules, now);
        // Beside the messages, which do not wait for it.
        let last = pushes.iter().rfind(|push| !push.readings.is_empty());
        let (delivery, _) = tokio::join!(
            self.send_each(&dispatcher, evaluated.leased),
            future::OptionFuture::from(last.map(|push| self.record_arrival(push.received))),
        );
        let (evaluate, publish) = (evaluation_ended - began, evaluation_ended.elapsed());
        let timings = Timings { evaluate, publish, ..Timings::default() };
        EvaluatedReadings { stats: evaluated.stats, delivery, timings, failure: evaluated.failure }
    }

    async fn mark_evaluated(&self, key: &ObjectKey) {
        if let Some(journal) = &self.ports.journal
            && let Err(error) = journal.mark_evaluated(key).await
        {
            tracing::warn!(%key, error = %error.chain(), "push not marked as evaluated, it will be evaluated again");
        }
    }

    /// Stores readings and rejections as one object each. Returns how the readings were stored, or [`Stored::Queued`] if the
    /// rejections were queued.
    async fn store(&self, id: BatchId, batch: &Batch<'_>, request: &RequestInfo) -> Result<Stored, PushError> {
        let readings = async {
            if batch.readings.is_empty() {
                return Ok(Stored::New);
            }
            self.ports.store.put(Object::of_readings(id, &batch.readings, request.metadata())).await
        };
        let (readings, rejections) = tokio::join!(readings, self.store_rejections(id, &batch.rejections, request));
        let rejections = rejections.map_err(PushError::Store)?;
        let readings = readings.map_err(PushError::Store)?;
        Ok(if rejections == Stored::Queued { rejections } else { readings })
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
        self.ports.store.put(Object::of_rejections(id, rejections, request.metadata())).await
    }

    /// Stores a whole body that is not a batch: the client was authenticated, so nothing it sent is lost.
    async fn store_rejected(
        &self,
        part: RejectedPart,
        body: &[u8],
        error: &(dyn std::error::Error + Sync),
        request: &RequestInfo,
    ) -> Result<(), PushError> {
        let rejection = Rejection { part, reason: error.to_string(), raw: body.into() };
        self.store_rejections(BatchId::of(body), &[rejection], request).await.map(drop).map_err(PushError::Store)
    }
}

/// Result of evaluating readings.
#[derive(Debug, Default)]
struct EvaluatedReadings {
    stats: EvaluationStats,
    delivery: Delivery,
    timings: Timings,
    /// Error of the first zone that could not be evaluated.
    failure: Option<UnavailableError>,
}
