//! Zones and their state: loaded together, evaluated one by one, committed by compare-and-swap.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use super::documents::{Projects, load, read, written};
use super::limit::take_tokens;
use super::ports::{Commit, Document, StateStore, Unavailable};
use crate::domain::engine::{DEVICES_PER_ZONE, Evaluation, Policies, evaluate, next_due};
use crate::domain::rate_limit::Sender;
use crate::domain::reading::Reading;
use crate::domain::rules::RuleSet;
use crate::domain::state::{Entry, EntryId, ZoneKey, ZoneState};

/// Longest lease of a message, and so the soonest that another one sends it: longer than its sender can run (a function
/// 29 s).
pub(super) const SENT_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// How often a zone is evaluated again because somebody else wrote it meanwhile.
const RETRIES: u32 = 5;
/// The first pause before that, in milliseconds; each further one is twice as long, and each a random part of it.
const FIRST_PAUSE_MS: u64 = 10;
/// Zones that are written at a time.
pub(super) const CONCURRENT: usize = 32;
/// Most zones that a process knows to be noted; then it begins anew.
const MOST_NOTED: usize = 20_000;

/// A message of an outbox, and the zone whose outbox it is in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outgoing {
    pub(super) zone: String,
    pub(super) entry: Entry,
}

/// The result of changing zones.
#[derive(Debug, Default)]
pub(super) struct Evaluated {
    /// Messages that are leased to the caller, who sends them.
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) alerts: usize,
    pub(super) blocked: usize,
    pub(super) duplicates: usize,
    pub(super) late: usize,
    pub(super) stale: usize,
    pub(super) early: usize,
    pub(super) implausible: usize,
    pub(super) over_device_limit: usize,
    /// Why a zone could not be evaluated; the others were.
    pub(super) failure: Option<Unavailable>,
}

impl Evaluated {
    fn add(&mut self, committed: Committed) {
        let Committed { zone, evaluation, leased } = committed;
        self.alerts += evaluation.alerts;
        self.blocked += evaluation.blocked;
        self.duplicates += evaluation.duplicates;
        self.late += evaluation.late;
        self.stale += evaluation.stale;
        self.early += evaluation.early;
        self.implausible += evaluation.implausible;
        self.over_device_limit += evaluation.over_device_limit;
        if evaluation.over_device_limit > 0 {
            tracing::warn!(
                %zone,
                readings = evaluation.over_device_limit,
                limit = DEVICES_PER_ZONE,
                "readings stored and not evaluated: the zone has too many devices; check the `InsID` that they carry"
            );
        }
        self.outgoing.extend(leased.into_iter().map(|entry| Outgoing { zone: zone.clone(), entry }));
    }
}

/// A change of a zone's state. It is made again if somebody else writes the zone meanwhile.
type Evaluate<'c> = Box<dyn Fn(ZoneState) -> Evaluation + Send + Sync + 'c>;

/// A change of a zone's state that is evaluated and not committed yet.
pub(super) struct Change<'c> {
    zone: String,
    version: u64,
    before: ZoneState,
    evaluation: Evaluation,
    evaluate: Evaluate<'c>,
    found: Option<FoundDue>,
}

/// That the store's index had the zone as due.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundDue {
    pub(super) now: Timestamp,
    /// Whether more zones were due than were looked at. A zone that stays due is put behind them then.
    pub(super) is_one_of_many: bool,
}

/// A committed change.
pub(super) struct Committed {
    pub(super) zone: String,
    pub(super) evaluation: Evaluation,
    /// Messages that are leased to the caller.
    pub(super) leased: Vec<Entry>,
}

impl<'c> Change<'c> {
    /// Evaluates a change of the state that `document` holds.
    pub(super) fn new(
        zone: String,
        document: &Document,
        evaluate: impl Fn(ZoneState) -> Evaluation + Send + Sync + 'c,
    ) -> Result<Self, Unavailable> {
        let before: ZoneState = read(&zone, document)?;
        let evaluation = evaluate(before.clone());
        let evaluate = Box::new(evaluate);
        Ok(Self { zone, version: document.version, before, evaluation, evaluate, found: None })
    }

    /// The same of a zone that was found as due.
    pub(super) fn of_due(self, found: FoundDue) -> Self {
        Self { found: Some(found), ..self }
    }

    /// The messages that it makes and that nobody is sending.
    fn made(&self, now: Timestamp) -> impl Iterator<Item = &Entry> {
        let made: HashSet<EntryId> = self.evaluation.made.iter().copied().collect();
        self.evaluation.state.outbox.waiting(now).filter(move |entry| made.contains(&entry.id))
    }

    /// Commits it by compare-and-swap, and leases the `tokens` most urgent of the messages that it makes to the caller. The
    /// others are due at once: the sweep sends them. A change that changes nothing is not written.
    pub(super) async fn commit(
        mut self,
        store: &dyn StateStore,
        rules: &RuleSet,
        tokens: usize,
        now: Timestamp,
    ) -> Result<Committed, Unavailable> {
        let leased_until = now.checked_add(SENT_WITHIN).unwrap_or(now);
        for attempt in 0..=RETRIES {
            let made = self.evaluation.made.iter().copied().collect();
            let leased = self.evaluation.state.outbox.lease(&made, tokens, now, leased_until);
            let due = next_due(rules, &self.evaluation.state);
            let is_indexed =
                self.found.is_none_or(|found| !found.is_one_of_many && due.is_some_and(|due| due <= found.now));
            if is_indexed && self.evaluation.state == self.before {
                return Ok(Committed { zone: self.zone, evaluation: self.evaluation, leased });
            }
            let behind = self.found.filter(|found| found.is_one_of_many).map(|found| found.now);
            let due = due.map(|due| behind.map_or(due, |behind| due.max(behind)));
            let body = written(&self.evaluation.state)?;
            match store.commit(&self.zone, self.version, &body, due).await? {
                Commit::Done => return Ok(Committed { zone: self.zone, evaluation: self.evaluation, leased }),
                Commit::Lost => {
                    pause(attempt).await;
                    let document = store.load(std::slice::from_ref(&self.zone)).await?.into_iter().next();
                    let document = document.unwrap_or_default();
                    self.before = read(&self.zone, &document)?;
                    self.version = document.version;
                    self.evaluation = (self.evaluate)(self.before.clone());
                }
            }
        }
        Err(Unavailable::new("a zone's state could not be written", "others wrote it each time"))
    }
}

/// Commits changes, and leases to the caller as many of the messages that they make as the rate limit allows, the most
/// urgent ones. Tokens are taken before: a message that has none is never committed as one that somebody is sending.
pub(super) async fn commit_all(
    store: &dyn StateStore,
    rules: &RuleSet,
    changes: Vec<Change<'_>>,
    now: Timestamp,
) -> Evaluated {
    let tokens = share_tokens(store, rules, &changes, now).await;
    let commits: Vec<_> = changes
        .into_iter()
        .zip(tokens)
        .map(|(change, tokens)| change.commit(store, rules, tokens, now).boxed())
        .collect();
    let mut commits = stream::iter(commits).buffer_unordered(CONCURRENT);
    let mut evaluated = Evaluated::default();
    while let Some(outcome) = commits.next().await {
        match outcome {
            Ok(committed) => evaluated.add(committed),
            Err(error) => drop(evaluated.failure.get_or_insert(error)),
        }
    }
    evaluated
}

/// How many messages of each change may be sent now.
async fn share_tokens(store: &dyn StateStore, rules: &RuleSet, changes: &[Change<'_>], now: Timestamp) -> Vec<usize> {
    let made = changes.iter().enumerate().flat_map(|(index, change)| {
        change.made(now).map(move |entry| (entry.message.urgency(), index, entry.message.severity()))
    });
    let mut made: Vec<_> = made.collect();
    made.sort_unstable();
    let granted = take_tokens(store, rules, made.iter().map(|(_, _, severity)| *severity), Sender::Push, now).await;
    let mut shares = vec![0; changes.len()];
    made.into_iter().take(granted).for_each(|(_, index, _)| shares[index] += 1);
    shares
}

/// Readings by the zone that they are from, as far as any rule is about them, and the documents of these zones.
pub(super) struct LoadedZones<'r, 't> {
    pub(super) rules: Arc<RuleSet>,
    zones: BTreeMap<String, Vec<&'r Reading<'t>>>,
    documents: Vec<Document>,
    /// Readings with the text of an earlier one, left out of `zones`.
    copies: usize,
}

/// Loads the zones that readings are from. Zones that no rule is about are not even read.
pub(super) async fn load_zones<'r, 't>(
    store: &dyn StateStore,
    rules: Arc<RuleSet>,
    readings: &'r [Reading<'t>],
) -> Result<LoadedZones<'r, 't>, Unavailable> {
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
    Ok(LoadedZones { rules, zones, documents, copies })
}

/// Evaluates the readings of each zone, and commits its state with the messages that it makes.
///
/// One zone is evaluated without a yield. 2,000 devices that all raise an alert, as many as a zone keeps, take 56 million
/// instructions, some 20 ms (`make bench-counts`). It grows with the readings: 200,000 of one zone, the most in a push, take up
/// to a hundred times as long.
pub(super) async fn evaluate_zones(
    store: &dyn StateStore,
    noted: &KnownProjects,
    LoadedZones { rules, zones, documents, copies }: LoadedZones<'_, '_>,
    received: Timestamp,
    now: Timestamp,
) -> Evaluated {
    let rules = &*rules;
    let changes: Vec<BoxFuture<'_, Result<Change<'_>, Unavailable>>> = zones
        .into_iter()
        .zip(documents)
        .map(|((key, readings), document)| {
            let evaluated = async move {
                if let (0, Some(source)) = (document.version, readings.first().map(|reading| &reading.source)) {
                    // Before the zone itself, so that a zone that is known is always found.
                    if let Some(zone) = &source.zone {
                        noted.note(store, zone, source.project.as_deref().unwrap_or_default()).await?;
                    }
                }
                // Between two zones others have their turn, and a push that takes too long can be stopped.
                tokio::task::yield_now().await;
                Change::new(key, &document, move |state| evaluate(rules, state, &readings, received, now))
            };
            evaluated.boxed()
        })
        .collect();
    let mut changes = stream::iter(changes).buffer_unordered(CONCURRENT);
    let (mut evaluated, mut failure) = (Vec::new(), None);
    while let Some(outcome) = changes.next().await {
        match outcome {
            Ok(change) => evaluated.push(change),
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }
    let evaluated = commit_all(store, rules, evaluated, now).await;
    let duplicates = evaluated.duplicates + copies;
    Evaluated { failure: failure.or(evaluated.failure), duplicates, ..evaluated }
}

/// Zones, each with its project, that this process has noted: one of which nothing is remembered has no document, and would
/// be looked up with every push.
#[derive(Debug, Default)]
pub(super) struct KnownProjects(Mutex<HashSet<(String, String)>>);

impl KnownProjects {
    /// Notes that `project` has a zone of this id, unless that was done before.
    async fn note(&self, store: &dyn StateStore, zone: &str, project: &str) -> Result<(), Unavailable> {
        let known = (zone.to_owned(), project.to_owned());
        if self.zones(|zones| zones.contains(&known)) {
            return Ok(());
        }
        note_project(store, zone, project).await?;
        self.zones(|zones| {
            if zones.len() >= MOST_NOTED {
                zones.clear();
            }
            zones.insert(known);
        });
        Ok(())
    }

    fn zones<R>(&self, of: impl FnOnce(&mut HashSet<(String, String)>) -> R) -> R {
        of(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The document that lists the projects which have a zone of this id.
fn projects_key(zone: &str) -> String {
    format!("projects-of/{zone}")
}

/// The projects that have a zone of this id, as far as readings have told.
pub(super) async fn known_projects(store: &dyn StateStore, zone: &str) -> Result<Vec<String>, Unavailable> {
    Ok(load::<Projects>(store, &projects_key(zone)).await?.0.projects)
}

/// Notes the projects of those of `readings` that come from a zone of which `is_meant` is true.
pub(super) async fn note_projects(
    store: &dyn StateStore,
    is_meant: impl Fn(&str) -> bool,
    readings: &[Reading<'_>],
) -> Result<(), Unavailable> {
    let mut projects: BTreeSet<(&str, &str)> = BTreeSet::new();
    for source in readings.iter().map(|reading| &reading.source) {
        if let Some(zone) = source.zone.as_deref().filter(|zone| is_meant(zone)) {
            projects.insert((zone, source.project.as_deref().unwrap_or_default()));
        }
    }
    for (zone, project) in projects {
        note_project(store, zone, project).await?;
    }
    Ok(())
}

/// Notes that `project` has a zone of this id, so that a cleaning which names no project finds it.
async fn note_project(store: &dyn StateStore, zone: &str, project: &str) -> Result<(), Unavailable> {
    let key = projects_key(zone);
    for attempt in 0..=RETRIES {
        let (mut known, document) = load::<Projects>(store, &key).await?;
        if known.projects.iter().any(|known| known == project) {
            return Ok(());
        }
        known.projects.push(project.to_owned());
        match store.commit(&key, document.version, &written(&known)?, None).await? {
            Commit::Done => return Ok(()),
            Commit::Lost => pause(attempt).await,
        }
    }
    Err(Unavailable::new("a zone's project could not be noted", "others wrote it each time"))
}

/// A pause of random length, so that those who met once do not meet again.
pub(super) async fn pause(attempt: u32) {
    let milliseconds = fastrand::u64(1..=FIRST_PAUSE_MS << attempt);
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
