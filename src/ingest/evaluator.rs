//! The evaluator: loads the state of zones, evaluates changes of it, and commits it by compare-and-swap.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use super::documents::{read, written};
use super::limit::take_tokens;
use super::ports::{Commit, Document, StateStore, UnavailableError};
use super::projects::KnownProjects;
use crate::domain::engine::{DEVICES_PER_ZONE, Evaluation, EvaluationStats, Policies, evaluate, next_due};
use crate::domain::rate_limit::Sender;
use crate::domain::reading::Reading;
use crate::domain::rules::RuleSet;
use crate::domain::state::{OutboxEntry, ZoneKey, ZoneState};

/// Longest lease of a message, and so the soonest that another one sends it: longer than its sender can run (a function
/// 29 s).
pub(super) const SENT_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// How often a document is changed again because somebody else wrote it meanwhile.
pub(super) const RETRIES: u32 = 5;
/// The first pause before that, in milliseconds; each further one is twice as long, and each a random part of it.
const FIRST_PAUSE_MS: u64 = 10;
/// Documents that are written at a time.
pub(super) const CONCURRENT: usize = 32;

/// A message of an outbox, and the zone whose outbox it is in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outgoing {
    pub(super) zone: String,
    pub(super) entry: OutboxEntry,
}

/// The result of changing zones.
#[derive(Debug, Default)]
pub(super) struct Evaluated {
    /// Messages that are leased to the caller, who sends them.
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) stats: EvaluationStats,
    /// Why a zone could not be evaluated; the others were.
    pub(super) failure: Option<UnavailableError>,
}

/// A change of the state of the zone that is named. It is made again if somebody else writes the zone meanwhile.
pub(super) type Evaluate<'c> = &'c (dyn Fn(&str, ZoneState) -> Evaluation + Send + Sync);

/// A change of a zone's state that is evaluated and not committed yet.
struct Change<'c> {
    zone: String,
    version: u64,
    before: ZoneState,
    evaluation: Evaluation,
    evaluate: Evaluate<'c>,
}

impl<'c> Change<'c> {
    fn new(zone: String, document: &Document, evaluate: Evaluate<'c>) -> Result<Self, UnavailableError> {
        let before: ZoneState = read(&zone, document)?;
        let evaluation = evaluate(&zone, before.clone());
        Ok(Self { zone, version: document.version, before, evaluation, evaluate })
    }
}

/// That the store's index had zones as due.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundDue {
    /// Whether more zones were due than were looked at. A zone that stays due is put behind them then.
    pub(super) is_one_of_many: bool,
}

/// A committed change.
pub(super) struct Committed {
    pub(super) zone: String,
    pub(super) state: ZoneState,
    pub(super) stats: EvaluationStats,
    /// Messages that are leased to the caller.
    pub(super) leased: Vec<OutboxEntry>,
}

/// Changes zones at one time, by the rules in force then.
#[derive(Clone, Copy)]
pub(super) struct Evaluator<'e> {
    pub(super) store: &'e dyn StateStore,
    pub(super) rules: &'e RuleSet,
    pub(super) now: Timestamp,
}

impl Evaluator<'_> {
    /// Evaluates the readings of each zone, and commits its state with the messages that it makes.
    ///
    /// One zone is evaluated without a yield. 2,000 devices that all raise an alert, as many as a zone keeps, take 56 million
    /// instructions, some 20 ms (`make bench-counts`). It grows with the readings: 200,000 of one zone, the most in a push,
    /// take up to a hundred times as long.
    pub(super) async fn evaluate_readings(
        &self,
        projects: &KnownProjects,
        loaded: LoadedZones<'_, '_>,
        received: Timestamp,
    ) -> Evaluated {
        let LoadedZones { zones, documents, copies, .. } = loaded;
        let of_zone = |zone: &str, state: ZoneState| {
            let readings = zones.get(zone).map(Vec::as_slice).unwrap_or_default();
            evaluate(self.rules, state, readings, received, self.now)
        };
        let of_zone: Evaluate<'_> = &of_zone;
        let changes = zones.iter().zip(documents).map(|((key, readings), document)| {
            let change = async move {
                if let (0, Some(source)) = (document.version, readings.first().map(|reading| &reading.source)) {
                    // Before the zone itself, so that a zone that is known is always found.
                    if let Some(zone) = &source.zone {
                        projects.note(self.store, zone, source.project.as_deref().unwrap_or_default()).await?;
                    }
                }
                // Between two zones others have their turn, and a push that takes too long can be stopped.
                tokio::task::yield_now().await;
                Change::new(key.clone(), &document, of_zone)
            };
            change.boxed()
        });
        let (changes, failure) = all(changes.collect()).await;
        let mut evaluated = self.commit_sharing_tokens(changes).await;
        evaluated.stats.duplicates += copies;
        Evaluated { failure: failure.or(evaluated.failure), ..evaluated }
    }

    /// Changes these zones, and commits them with the messages that the change makes.
    pub(super) async fn change_all(
        &self,
        keys: &[String],
        change: Evaluate<'_>,
    ) -> Result<Evaluated, UnavailableError> {
        let documents = self.store.load(keys).await?;
        let changes = keys.iter().zip(&documents).map(|(key, document)| Change::new(key.clone(), document, change));
        Ok(self.commit_sharing_tokens(changes.collect::<Result<_, _>>()?).await)
    }

    /// Changes each of these zones, and leases `tokens` of the messages that are put into its outbox to the caller. The
    /// others are changed if one of them fails.
    pub(super) async fn change_each(
        &self,
        keys: &[String],
        change: Evaluate<'_>,
        tokens: usize,
        found: Option<FoundDue>,
    ) -> (Vec<Committed>, Option<UnavailableError>) {
        let documents = match self.store.load(keys).await {
            Ok(documents) => documents,
            Err(error) => return (Vec::new(), Some(error)),
        };
        let commits = keys.iter().zip(documents).map(|(key, document)| {
            async move { self.commit(Change::new(key.clone(), &document, change)?, tokens, found).await }.boxed()
        });
        all(commits.collect()).await
    }

    /// Commits changes, and leases to the caller as many of the messages that they make as the rate limit allows, the most
    /// urgent ones. Tokens are taken before: a message that has none is never committed as one that somebody is sending.
    async fn commit_sharing_tokens(&self, changes: Vec<Change<'_>>) -> Evaluated {
        let tokens = self.share_tokens(&changes).await;
        let commits = changes.into_iter().zip(tokens).map(|(change, tokens)| self.commit(change, tokens, None).boxed());
        let (committed, failure) = all(commits.collect()).await;
        let mut evaluated = Evaluated { failure, ..Evaluated::default() };
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
            evaluated.outgoing.extend(leased.into_iter().map(|entry| Outgoing { zone: zone.clone(), entry }));
        }
        evaluated
    }

    /// How many messages of each change may be sent now.
    async fn share_tokens(&self, changes: &[Change<'_>]) -> Vec<usize> {
        let made = changes.iter().enumerate().flat_map(|(index, change)| {
            let messages = change.evaluation.messages.iter().map(|entry| &entry.message);
            messages.map(move |message| (message.urgency(), index, message.severity()))
        });
        let mut made: Vec<_> = made.collect();
        made.sort_unstable();
        let granted = take_tokens(self, made.iter().map(|(_, _, severity)| *severity), Sender::Push).await;
        let mut shares = vec![0; changes.len()];
        made.into_iter().take(granted).for_each(|(_, index, _)| shares[index] += 1);
        shares
    }

    /// Commits a change by compare-and-swap, and leases the `tokens` most urgent of the messages that it makes to the caller.
    /// The others are due at once: the sweep sends them. A change that changes nothing is not written.
    async fn commit(
        &self,
        change: Change<'_>,
        tokens: usize,
        found: Option<FoundDue>,
    ) -> Result<Committed, UnavailableError> {
        let Change { zone, mut version, mut before, mut evaluation, evaluate } = change;
        let leased_until = self.now.checked_add(SENT_WITHIN).unwrap_or(self.now);
        for attempt in 0..=RETRIES {
            let Evaluation { mut state, messages, stats } = evaluation;
            let leased = state.outbox.put(messages, tokens, leased_until);
            let due = next_due(self.rules, &state);
            let is_indexed = found.is_none_or(|found| !found.is_one_of_many && due.is_some_and(|due| due <= self.now));
            if is_indexed && state == before {
                return Ok(Committed { zone, state, stats, leased });
            }
            let is_put_behind = found.is_some_and(|found| found.is_one_of_many);
            let due = due.map(|due| if is_put_behind { due.max(self.now) } else { due });
            match self.store.commit(&zone, version, &written(&state)?, due).await? {
                Commit::Done => return Ok(Committed { zone, state, stats, leased }),
                Commit::Lost => {
                    pause(attempt).await;
                    let document = self.store.load(std::slice::from_ref(&zone)).await?.pop().unwrap_or_default();
                    before = read(&zone, &document)?;
                    version = document.version;
                    evaluation = evaluate(&zone, before.clone());
                }
            }
        }
        Err(UnavailableError::new("a zone's state could not be written", "others wrote it each time"))
    }
}

/// Does all of this work, a bounded number at a time. What came of it, and the first failure.
async fn all<T>(work: Vec<BoxFuture<'_, Result<T, UnavailableError>>>) -> (Vec<T>, Option<UnavailableError>) {
    let mut outcomes = stream::iter(work).buffer_unordered(CONCURRENT);
    let (mut done, mut failure) = (Vec::new(), None);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(value) => done.push(value),
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }
    (done, failure)
}

/// Readings by the zone that they are from, as far as any rule is about them, and the documents of these zones.
pub(super) struct LoadedZones<'r, 't> {
    pub(super) rules: Arc<RuleSet>,
    zones: BTreeMap<String, Vec<&'r Reading<'t>>>,
    documents: Vec<Document>,
    /// Readings with the text of an earlier one, left out of `zones`.
    copies: usize,
}

impl<'r, 't> LoadedZones<'r, 't> {
    /// Loads the zones that readings are from. Zones that no rule is about are not even read.
    pub(super) async fn load(
        store: &dyn StateStore,
        rules: Arc<RuleSet>,
        readings: &'r [Reading<'t>],
    ) -> Result<Self, UnavailableError> {
        let mut zones: HashMap<ZoneKey<'_>, Vec<&Reading<'_>>, RandomState> = HashMap::default();
        let mut texts = HashSet::with_capacity_and_hasher(readings.len(), RandomState::default());
        let mut copies = 0;
        for reading in readings {
            if texts.insert(reading.text) {
                zones.entry(ZoneKey::of(&reading.source)).or_default().push(reading);
            } else {
                copies += 1;
            }
        }
        zones.retain(|_, readings| {
            let mut policies = Policies::new(&rules);
            readings.retain(|reading| policies.are_interested_in(&reading.source));
            !readings.is_empty()
        });
        let zones: BTreeMap<String, _> = zones.into_iter().map(|(key, readings)| (key.to_string(), readings)).collect();
        let keys: Vec<String> = zones.keys().cloned().collect();
        let documents = if keys.is_empty() { Vec::new() } else { store.load(&keys).await? };
        Ok(Self { rules, zones, documents, copies })
    }
}

/// A pause of random length, so that those who met once do not meet again.
pub(super) async fn pause(attempt: u32) {
    let milliseconds = fastrand::u64(1..=FIRST_PAUSE_MS << attempt);
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
