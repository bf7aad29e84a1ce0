//! The evaluator: loads the state of zones, computes their new state, and commits it by compare-and-swap.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::slice;
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use jiff::Timestamp;

use super::ports::{AttentionEntry, Commit, IndexEntry, StateDocument, StateStore, UnavailableError};
use super::projects::KnownProjects;
use super::state_documents::{RETRIES, backoff, read, to_json};
use crate::domain::alert::notice::Notice;
use crate::domain::engine::{self, DEVICES_PER_ZONE, Evaluation, EvaluationStats, Policies, evaluate, next_due};
use crate::domain::rate_limit::Requester;
use crate::domain::reading::Reading;
use crate::domain::rules::RuleSet;
use crate::domain::state::{Channel, EntryId, OutboxEntry, ZoneKey, ZoneState};

/// Number of zones processed concurrently: two requests of DynamoDB, which writes 25 in one.
pub(super) const CONCURRENT: usize = 50;

/// Key of the document with the notices about the program itself and their outbox.
const OPERATIONS: &str = "operations";

/// A message and the zone whose outbox holds it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OutboxMessage {
    pub(super) zone: String,
    pub(super) entry: OutboxEntry,
}

/// The result of changing zones.
#[derive(Debug, Default)]
pub(super) struct EvaluatedZones {
    /// Messages leased to the caller, which sends them.
    pub(super) leased: Vec<OutboxMessage>,
    pub(super) stats: EvaluationStats,
    /// The first error. Zones that did not fail were evaluated.
    pub(super) failure: Option<UnavailableError>,
}

/// A function from a zone's key and state to an evaluation. After a lost compare-and-swap it is called again, with the new state.
pub(super) type ZoneChange<'c> = &'c (dyn Fn(&str, ZoneState) -> Evaluation + Send + Sync);

/// An evaluated change that is not committed yet.
struct PendingChange<'c> {
    zone: String,
    version: u64,
    before: ZoneState,
    evaluation: Evaluation,
    evaluate: ZoneChange<'c>,
}

impl<'c> PendingChange<'c> {
    fn new(zone: String, document: &StateDocument, evaluate: ZoneChange<'c>) -> Result<Self, UnavailableError> {
        let before: ZoneState = read(&zone, document)?;
        let evaluation = evaluate(&zone, before.clone());
        Ok(Self { zone, version: document.version, before, evaluation, evaluate })
    }
}

/// Marks a change as part of a sweep, which found its zones in the index of due zones.
#[derive(Clone, Copy, Debug)]
pub(super) struct DueZones {
    /// Whether more zones may be due than one sweep loads. If so, a zone that stays due moves to the end of the due ones.
    pub(super) has_more: bool,
}

/// Which messages of a changed zone are leased to the caller.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lease<'l> {
    /// The most urgent of the new ones, at most this number.
    New(usize),
    /// Those of these ids, by zone, that are due.
    Waiting(&'l HashMap<&'l str, HashSet<EntryId>>),
}

/// A committed change.
pub(super) struct Committed {
    pub(super) zone: String,
    pub(super) state: ZoneState,
    pub(super) stats: EvaluationStats,
    /// Messages leased to the caller.
    pub(super) leased: Vec<OutboxEntry>,
}

/// Changes zones at one point in time under one set of rules.
pub(super) struct Evaluator<'e> {
    pub(super) store: &'e dyn StateStore,
    /// The store of the rate limit.
    pub(super) rate_limit: &'e dyn StateStore,
    pub(super) rules: &'e RuleSet,
    pub(super) now: Timestamp,
    /// The channels of new messages.
    pub(super) channels: Vec<Channel>,
    /// The channel for which messages are leased, and whose tokens are taken.
    pub(super) channel: Channel,
}

impl Evaluator<'_> {
    /// Evaluates the readings of each zone, commits state and messages together, and leases as many messages to the caller as
    /// the rate limit grants.
    ///
    /// Yields between zones, not within one. 2,000 devices that all alert, the limit of a zone, take 43 million instructions
    /// (`make bench-counts`), less than 20 ms. 200,000 readings of one zone, the limit of a push, take up to a hundred times
    /// as long.
    pub(super) async fn evaluate_readings(
        &self,
        projects: &KnownProjects,
        loaded: LoadedZones<'_, '_>,
    ) -> EvaluatedZones {
        let LoadedZones { zones, documents, repeated, .. } = loaded;
        let evaluate_zone = |zone: &str, state: ZoneState| {
            let readings = zones.get(zone).map(Vec::as_slice).unwrap_or_default();
            let mut all = Evaluation { state, ..Evaluation::default() };
            for push in readings.chunk_by(|(one, _), (other, _)| one == other) {
                let (received, readings): (Vec<_>, Vec<_>) = push.iter().copied().unzip();
                let Evaluation { state, messages, stats } =
                    evaluate(self.rules, all.state, &readings, received[0], self.now);
                all.state = state;
                all.messages.extend(messages);
                all.stats += stats;
            }
            all
        };
        let evaluate_zone: ZoneChange<'_> = &evaluate_zone;
        let changes = zones.iter().zip(documents).map(|((key, readings), document)| {
            let change = async move {
                if let (0, Some(source)) = (document.version, readings.first().map(|(_, reading)| &reading.source)) {
                    // Records the project before the zone is written, so that a cleaning finds every zone.
                    if let Some(zone) = &source.zone {
                        projects.record(self.store, zone, source.project.as_deref().unwrap_or_default()).await?;
                    }
                }
                // Lets other tasks run between zones, and lets the time limit stop a slow push.
                tokio::task::yield_now().await;
                PendingChange::new(key.clone(), &document, evaluate_zone)
            };
            change.boxed()
        });
        let (changes, failure) = run_concurrently(changes.collect()).await;
        let mut evaluated = self.commit_sharing_tokens(changes).await;
        evaluated.stats.duplicates += repeated;
        EvaluatedZones { failure: failure.or(evaluated.failure), ..evaluated }
    }

    /// Changes these zones, and commits and leases like [`Self::evaluate_readings`].
    ///
    /// # Errors
    /// [`UnavailableError`] if a document cannot be loaded or parsed: then no zone is changed. A zone that cannot be written does
    /// not stop the others.
    pub(super) async fn change_all(
        &self,
        keys: &[String],
        change: ZoneChange<'_>,
    ) -> Result<EvaluatedZones, UnavailableError> {
        let documents = self.store.load(keys).await?;
        let changes =
            keys.iter().zip(&documents).map(|(key, document)| PendingChange::new(key.clone(), document, change));
        Ok(self.commit_sharing_tokens(changes.collect::<Result<_, _>>()?).await)
    }

    /// Changes each of these zones, and leases messages of each to the caller. Takes no tokens of the rate limit. A zone that
    /// cannot be parsed or written does not stop the others.
    pub(super) async fn change_each(
        &self,
        keys: &[String],
        change: ZoneChange<'_>,
        lease: Lease<'_>,
        due_zones: Option<DueZones>,
    ) -> (Vec<Committed>, Option<UnavailableError>) {
        let documents = match self.store.load(keys).await {
            Ok(documents) => documents,
            Err(error) => return (Vec::new(), Some(error)),
        };
        let commits = keys.iter().zip(documents).map(|(key, document)| {
            async move { self.commit(PendingChange::new(key.clone(), &document, change)?, lease, due_zones).await }
                .boxed()
        });
        run_concurrently(commits.collect()).await
    }

    /// Enqueues a notice, once per cause, for all channels but the one that it is about. The sweep sends it.
    pub(super) async fn announce(&self, notice: &Notice) -> Result<(), UnavailableError> {
        let channels: Vec<_> = self.channels.iter().copied().filter(|channel| !notice.is_about(*channel)).collect();
        if channels.is_empty() {
            return Ok(());
        }
        let announce = |_: &str, state: ZoneState| engine::announce(state, notice, self.now);
        let evaluator = Evaluator { channels, ..*self };
        let (_, failure) = evaluator.change_each(&[OPERATIONS.to_owned()], &announce, Lease::New(0), None).await;
        failure.map_or(Ok(()), Err)
    }

    /// The recipients of a message that need no further attempt.
    pub(super) fn done<'m>(&self, entry: &'m OutboxEntry) -> &'m [String] {
        entry.deliveries.get(&self.channel).map_or(&[], |delivery| &delivery.done)
    }

    /// The recipients of a message to the audiences `to`, by language: addresses of an email, else audiences. The alert log and the
    /// webhook get one message. Leaves out languages whose recipients are all `done`.
    pub(super) fn recipients(&self, to: &[String], done: &[String]) -> BTreeMap<&str, Vec<String>> {
        let Evaluator { rules, channel, .. } = self;
        let all: Vec<(&str, &str)> = match channel {
            Channel::Email => rules.email_recipients(to).into_iter().map(|(address, of)| (of, address)).collect(),
            Channel::Sns => to.iter().map(|id| (rules.language(slice::from_ref(id)), id.as_str())).collect(),
            Channel::Log | Channel::Webhook => to.iter().map(|id| (rules.language(to), id.as_str())).collect(),
        };
        let mut by_language: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (language, recipient) in all {
            by_language.entry(language).or_default().push(recipient.to_owned());
        }
        if by_language.is_empty() {
            by_language.insert(rules.language(to), Vec::new());
        }
        by_language.retain(|_, to| to.is_empty() || to.iter().any(|to| !done.contains(to)));
        by_language
    }

    /// Commits changes, and leases the most urgent of their messages to the caller, as many as the rate limit grants. Takes
    /// tokens before the commit, so that no message is leased without a token. The tokens of a failed commit are lost.
    async fn commit_sharing_tokens(&self, changes: Vec<PendingChange<'_>>) -> EvaluatedZones {
        let tokens = self.share_tokens(&changes).await;
        let commits = changes
            .into_iter()
            .zip(tokens)
            .map(|(change, tokens)| self.commit(change, Lease::New(tokens), None).boxed());
        let (committed, failure) = run_concurrently(commits.collect()).await;
        let mut evaluated = EvaluatedZones { failure, ..EvaluatedZones::default() };
        for Committed { zone, stats, leased, .. } in committed {
            if stats.over_device_limit > 0 {
                tracing::warn!(
                    %zone,
                    readings = stats.over_device_limit,
                    limit = DEVICES_PER_ZONE,
                    "readings stored and not evaluated: the zone has too many devices; check the `InsID` that they carry"
                );
            }
            evaluated.stats += stats;
            evaluated.leased.extend(leased.into_iter().map(|entry| OutboxMessage { zone: zone.clone(), entry }));
        }
        evaluated
    }

    /// Number of messages of each change that may be sent now, the most urgent of all zones first.
    async fn share_tokens(&self, changes: &[PendingChange<'_>]) -> Vec<usize> {
        let candidates = changes
            .iter()
            .enumerate()
            .flat_map(|(index, change)| change.evaluation.messages.iter().map(move |entry| (index, entry)));
        let mut candidates: Vec<_> = candidates.collect();
        candidates.sort_by_key(|(index, entry)| (entry.message.urgency(), *index));
        let mut tokens = self.tokens(candidates.iter().map(|(_, entry)| *entry), Requester::Push).await;
        let mut shares = vec![0; changes.len()];
        for (index, entry) in candidates {
            match tokens.checked_sub(self.cost(entry)) {
                Some(left) => (tokens, shares[index]) = (left, shares[index] + 1),
                None => break,
            }
        }
        shares
    }

    /// Commits a change by compare-and-swap, and leases messages to the caller. The others are due immediately; the sweep sends
    /// them. Unchanged state is written only if the index of due zones needs it.
    async fn commit(
        &self,
        change: PendingChange<'_>,
        lease: Lease<'_>,
        due_zones: Option<DueZones>,
    ) -> Result<Committed, UnavailableError> {
        let PendingChange { zone, mut version, mut before, mut evaluation, evaluate } = change;
        for attempt in 0..=RETRIES {
            let Evaluation { mut state, messages, stats } = evaluation;
            let added = state.outbox.add(messages, &self.channels);
            let leased = match lease {
                Lease::New(most) => state.outbox.lease(self.channel, &added.into_iter().take(most).collect(), self.now),
                Lease::Waiting(ids) => state.outbox.lease(self.channel, &ids[zone.as_str()], self.now),
            };
            let due = next_due(self.rules, &state);
            // An unchanged zone that is no longer due has an outdated entry in the index. Without the write, each sweep finds it.
            let is_index_current =
                due_zones.is_none_or(|zones| !zones.has_more && due.is_some_and(|due| due <= self.now));
            if is_index_current && state == before {
                return Ok(Committed { zone, state, stats, leased });
            }
            let moves_to_end = due_zones.is_some_and(|zones| zones.has_more);
            let due = due.map(|due| if moves_to_end { due.max(self.now) } else { due });
            let index = IndexEntry { due, attention: AttentionEntry::of(&zone, &state)? };
            match self.store.commit(&zone, version, &to_json(&state)?, index).await? {
                Commit::Done => return Ok(Committed { zone, state, stats, leased }),
                Commit::Lost if attempt == RETRIES => break,
                Commit::Lost => {
                    backoff(attempt).await;
                    let document = self.store.load(slice::from_ref(&zone)).await?.pop().unwrap_or_default();
                    before = read(&zone, &document)?;
                    version = document.version;
                    evaluation = evaluate(&zone, before.clone());
                }
            }
        }
        Err(UnavailableError::new(
            "the state of a zone could not be written",
            "other writers were first in all attempts",
        ))
    }
}

/// Awaits all of this work, [`CONCURRENT`] at a time. Returns the results in the order of completion, and the first error.
async fn run_concurrently<T>(
    work: Vec<BoxFuture<'_, Result<T, UnavailableError>>>,
) -> (Vec<T>, Option<UnavailableError>) {
    let mut outcomes = stream::iter(work).buffer_unordered(CONCURRENT);
    let (mut done, mut failure) = (Vec::new(), None);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(value) => done.push(value),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    (done, failure)
}

/// The readings of a push.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceivedReadings<'r, 't> {
    /// When the push was first received.
    pub(super) received: Timestamp,
    pub(super) readings: &'r [Reading<'t>],
}

/// Readings to which a rule applies, by zone, and the state documents of these zones.
pub(super) struct LoadedZones<'r, 't> {
    pub(super) rules: Arc<RuleSet>,
    /// Each reading with its receipt, in the order of the pushes.
    zones: BTreeMap<String, Vec<(Timestamp, &'r Reading<'t>)>>,
    documents: Vec<StateDocument>,
    /// Number of readings that repeat the text of an earlier one of the same push. They are not in `zones`.
    repeated: usize,
}

impl<'r, 't> LoadedZones<'r, 't> {
    /// Groups readings by zone and loads the zones. Zones without a rule are not loaded.
    pub(super) async fn load(
        store: &dyn StateStore,
        rules: Arc<RuleSet>,
        pushes: &[ReceivedReadings<'r, 't>],
    ) -> Result<Self, UnavailableError> {
        let mut zones: HashMap<ZoneKey<'_>, Vec<(Timestamp, &Reading<'_>)>, RandomState> = HashMap::default();
        let mut repeated = 0;
        for ReceivedReadings { received, readings } in pushes {
            let mut texts = HashSet::with_capacity_and_hasher(readings.len(), RandomState::default());
            for reading in *readings {
                if texts.insert(reading.text) {
                    zones.entry(ZoneKey::of(&reading.source)).or_default().push((*received, reading));
                } else {
                    repeated += 1;
                }
            }
        }
        zones.retain(|_, readings| {
            let mut policies = Policies::new(&rules);
            readings.retain(|(_, reading)| policies.has_rules_for(&reading.source));
            !readings.is_empty()
        });
        let zones: BTreeMap<String, _> = zones.into_iter().map(|(key, readings)| (key.to_string(), readings)).collect();
        let keys: Vec<String> = zones.keys().cloned().collect();
        let documents = if keys.is_empty() { Vec::new() } else { store.load(&keys).await? };
        Ok(Self { rules, zones, documents, repeated })
    }
}
