//! Zones and what is remembered of them: read together, judged one by one, written by compare-and-swap.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState as Quick;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use jiff::Timestamp;

use super::documents::{Projects, load, read, written};
use super::ports::{Commit, Document, StateStore, Unavailable};
use crate::domain::engine::{Evaluation, Policies, evaluate, next_due};
use crate::domain::reading::Reading;
use crate::domain::rules::RuleSet;
use crate::domain::state::{Entry, ZoneKey, ZoneState};

/// How often a zone is judged anew because somebody else wrote it meanwhile.
const RETRIES: u32 = 5;
/// The first pause before that, in milliseconds; each further one is twice as long, and each a random part of it.
const FIRST_PAUSE_MS: u64 = 10;
/// Zones that are written at a time.
const CONCURRENT: usize = 32;
/// Most zones that a process knows to be noted; then it begins anew.
const MOST_NOTED: usize = 20_000;

/// A message that was committed and is now to be sent, and the zone whose outbox it is in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outgoing {
    pub(super) zone: String,
    pub(super) entry: Entry,
}

/// What came of the readings of a push, over all their zones.
#[derive(Debug, Default)]
pub(super) struct Evaluated {
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) alerts: usize,
    pub(super) blocked: usize,
    pub(super) duplicates: usize,
    pub(super) late: usize,
    pub(super) stale: usize,
    pub(super) early: usize,
    pub(super) implausible: usize,
    /// Why a zone could not be judged; the others were.
    pub(super) failure: Option<Unavailable>,
}

impl Evaluated {
    /// Adds what came of one zone.
    pub(super) fn add(&mut self, zone: String, evaluation: &Evaluation) {
        self.alerts += evaluation.alerts;
        self.blocked += evaluation.blocked;
        self.duplicates += evaluation.duplicates;
        self.late += evaluation.late;
        self.stale += evaluation.stale;
        self.early += evaluation.early;
        self.implausible += evaluation.implausible;
        let entries = evaluation.state.outbox.entries().iter().filter(|entry| evaluation.made.contains(&entry.id));
        self.outgoing.extend(entries.map(|entry| Outgoing { zone: zone.clone(), entry: entry.clone() }));
    }
}

/// Readings by the zone that they are from, as far as any rule is about them, and what is remembered of these zones.
pub(super) struct Remembered<'r, 't> {
    pub(super) rules: Arc<RuleSet>,
    zones: BTreeMap<String, Vec<&'r Reading<'t>>>,
    documents: Vec<Document>,
    /// Readings with the text of an earlier one, left out of `zones`.
    copies: usize,
}

/// Reads what is remembered of the zones that readings are from. Zones that no rule is about are not even read.
pub(super) async fn remember<'r, 't, T: StateStore>(
    store: &T,
    rules: Arc<RuleSet>,
    readings: &'r [Reading<'t>],
) -> Result<Remembered<'r, 't>, Unavailable> {
    let mut zones: HashMap<ZoneKey<'_>, Vec<&Reading<'_>>, Quick> = HashMap::default();
    let mut texts = HashSet::with_capacity_and_hasher(readings.len(), Quick::default());
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
    Ok(Remembered { rules, zones, documents, copies })
}

/// Judges each zone's readings by themselves and commits what is remembered, alerts and all.
pub(super) async fn evaluate_zones<T: StateStore>(
    store: &T,
    noted: &Noted,
    Remembered { rules, zones, documents, copies }: Remembered<'_, '_>,
    received: Timestamp,
    now: Timestamp,
) -> Result<Evaluated, Unavailable> {
    let rules = &*rules;
    let work: Vec<BoxFuture<'_, Result<(String, Evaluation), Unavailable>>> = zones
        .into_iter()
        .zip(documents)
        .map(|((key, readings), document)| {
            let judged = async move {
                if let (0, Some(source)) = (document.version, readings.first().map(|reading| &reading.source)) {
                    // Before the zone itself, so that a zone that is known is always found.
                    if let Some(zone) = &source.zone {
                        noted.note(store, zone, source.project.as_deref().unwrap_or_default()).await?;
                    }
                }
                // Between two zones others have their turn, and a push that takes too long can be stopped.
                tokio::task::yield_now().await;
                let change = |state: &ZoneState| evaluate(rules, state, &readings, received, now);
                let evaluation = settle(store, rules, &key, document, None, &change).await?;
                Ok((key, evaluation))
            };
            judged.boxed()
        })
        .collect();
    let mut settled = stream::iter(work).buffer_unordered(CONCURRENT);
    let mut evaluated = Evaluated { duplicates: copies, ..Evaluated::default() };
    while let Some(outcome) = settled.next().await {
        match outcome {
            Ok((key, evaluation)) => evaluated.add(key, &evaluation),
            Err(error) => drop(evaluated.failure.get_or_insert(error)),
        }
    }
    Ok(evaluated)
}

/// Zones, each with its project, that this process has noted: one of which nothing is remembered has no document, and would
/// be looked up with every push.
#[derive(Debug, Default)]
pub(super) struct Noted(Mutex<HashSet<(String, String)>>);

impl Noted {
    /// Notes that `project` has a zone of this id, unless that was done before.
    async fn note<T: StateStore>(&self, store: &T, zone: &str, project: &str) -> Result<(), Unavailable> {
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
pub(super) async fn known_projects<T: StateStore>(store: &T, zone: &str) -> Result<Vec<String>, Unavailable> {
    Ok(load::<Projects>(store, &projects_key(zone)).await?.0.projects)
}

/// Notes the projects of those of `readings` that come from a zone of which `is_meant` is true.
pub(super) async fn note_projects<T: StateStore>(
    store: &T,
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
async fn note_project<T: StateStore>(store: &T, zone: &str, project: &str) -> Result<(), Unavailable> {
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

/// Changes what is remembered of one zone. Where somebody else wrote it meanwhile, what they wrote is read and `change`
/// is made to that; where `change` changes nothing, nothing is written. Nothing is due before `not_before`, where that is
/// given; what was due before it is written for that alone.
pub(super) async fn settle<T: StateStore>(
    store: &T,
    rules: &RuleSet,
    key: &str,
    mut document: Document,
    not_before: Option<Timestamp>,
    change: &(dyn Fn(&ZoneState) -> Evaluation + Sync),
) -> Result<Evaluation, Unavailable> {
    for attempt in 0..=RETRIES {
        let state: ZoneState = read(key, &document)?;
        let evaluation = change(&state);
        let due = next_due(rules, &evaluation.state);
        let is_too_soon = not_before.is_some_and(|not_before| due.is_some_and(|due| due < not_before));
        if evaluation.state == state && !is_too_soon {
            return Ok(evaluation);
        }
        let due = due.map(|due| not_before.map_or(due, |not_before| due.max(not_before)));
        match store.commit(key, document.version, &written(&evaluation.state)?, due).await? {
            Commit::Done => return Ok(evaluation),
            Commit::Lost => {
                pause(attempt).await;
                let reread = store.load(std::slice::from_ref(&key.to_owned())).await?;
                document = reread.into_iter().next().unwrap_or_default();
            }
        }
    }
    Err(Unavailable::new("a zone's state could not be written", "others wrote it each time"))
}

/// A pause of random length, so that those who met once do not meet again.
pub(super) async fn pause(attempt: u32) {
    let most = FIRST_PAUSE_MS << attempt;
    let chance = RandomState::new().hash_one(attempt) % most;
    tokio::time::sleep(Duration::from_millis(1 + chance)).await;
}
