//! Answers: what people see and do on pages. Sends nothing: the next sweep sends what an answer makes due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::evaluator::{Evaluator, Lease, ZoneChange};
use super::links::{self, Invitation, LinkedAlert, LinkedAlerts};
use super::ports::{StateStore, UnavailableError};
use super::projects::{NamedZone, known_projects};
use super::state_documents::read;
use super::{CleaningError, PublicUrl};
use crate::domain::alert::AlertId;
use crate::domain::alert::life::{AlertLife, Claim};
use crate::domain::engine::{self, Evaluation};
use crate::domain::location::Location;
use crate::domain::response::{Hold, Response, ResponseSource};
use crate::domain::rules::{RuleSet, Settings};
use crate::domain::state::{Channel, ZoneKey, ZoneState};

/// Most alerts of a page.
pub const MOST_ALERTS: usize = 20;
/// Most answers of a zone that wait to be archived. More could displace others.
const MOST_WAITING: usize = 400;
/// Most projects of a page about a zone, which names no project.
const MOST_PROJECTS: usize = 20;
/// Within this time, the same snooze of the same people is a repeat, and so is any cleaning of a zone.
const REPEAT: SignedDuration = SignedDuration::from_mins(1);

/// What pages read and change, at one point in time.
pub struct Answers<'p> {
    /// The state store.
    pub state: &'p dyn StateStore,
    /// The rules in force.
    pub rules: Arc<RuleSet>,
    /// The URL of this receiver that the operator has set.
    pub public_url: Option<PublicUrl>,
    /// The channels of the messages that an answer makes due.
    pub channels: Vec<Channel>,
    /// The time.
    pub now: Timestamp,
}

/// An answer to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerAction {
    /// They take the alert: it is acknowledged for `ack_for`.
    Take,
    /// They report the work as done.
    Done,
    /// They snooze the alert for this time.
    Snooze(SignedDuration),
}

/// What an answer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerOutcome {
    /// It is recorded.
    Recorded,
    /// It was known before, and nothing changed.
    Unchanged,
    /// Others have the alert, and nothing changed.
    HeldBy(Claim),
    /// The alert is over, and nothing changed.
    Over,
    /// The zone had too many answers since the last sweep, and nothing changed.
    TooMany,
}

/// An open alert that a page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAlert {
    /// The key of its zone state.
    pub zone: String,
    /// The alert, and what people did about it.
    pub life: AlertLife,
}

/// A zone as a page shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneAlerts {
    /// The id.
    pub id: String,
    /// The projects that have a zone with this id, by the keys of their states.
    pub projects: BTreeMap<String, String>,
    /// The name, else the id.
    pub name: String,
    /// When it was last cleaned.
    pub cleaned: Option<Timestamp>,
    /// The location of an open alert, else of the site, for local times.
    pub location: Location,
    /// The open alerts, in the order in which they were raised.
    pub open: Vec<OpenAlert>,
    /// The number of alerts that wait because they are muted or blocked, or nobody is on duty.
    pub waiting: usize,
}

impl Answers<'_> {
    /// The alerts of a link; `None` for a token that is malformed, unknown, expired or revoked.
    ///
    /// # Errors
    /// [`UnavailableError`] if the state cannot be read. A retry can help.
    pub async fn link(&self, token: &str) -> Result<Option<LinkedAlerts>, UnavailableError> {
        links::find_link(self.state, token, self.now).await
    }

    /// The invitation of a phone; `None` for a token that is malformed, unknown, expired or revoked.
    ///
    /// # Errors
    /// [`UnavailableError`] if the state cannot be read. A retry can help.
    pub async fn invitation(&self, token: &str) -> Result<Option<Invitation>, UnavailableError> {
        links::find_invitation(self.state, token, self.now).await
    }

    /// Those of the first [`MOST_ALERTS`] linked alerts that are open, each once.
    ///
    /// # Errors
    /// [`UnavailableError`] if the state cannot be read. A retry can help.
    pub async fn open_alerts(&self, linked: &[LinkedAlert]) -> Result<Vec<OpenAlert>, UnavailableError> {
        let linked = &linked[..linked.len().min(MOST_ALERTS)];
        let zones = self.zones(linked.iter().map(|linked| linked.zone.clone())).await?;
        let mut open: Vec<OpenAlert> = Vec::new();
        for LinkedAlert { zone, alert } in linked {
            let is_new = !open.iter().any(|open| open.life.contains(*alert));
            open.extend(zones[zone].lives.find(*alert).filter(|_| is_new).map(|life| OpenAlert::new(zone, life)));
        }
        Ok(open)
    }

    /// A zone by its id, or by its name in the rules in force.
    ///
    /// # Errors
    /// [`CleaningError`] states for each case whether a retry can help.
    pub async fn zone(&self, zone: &str, project: Option<&str>) -> Result<ZoneAlerts, CleaningError> {
        let named = NamedZone::find(&self.rules.names, zone, project)?;
        let mut projects = known_projects(self.state, named.id).await?;
        projects.retain(|known| named.project.is_none_or(|project| project == known));
        projects.truncate(MOST_PROJECTS);
        if projects.is_empty() {
            return Err(named.unknown());
        }
        let key = |project: String| (ZoneKey::zone(&*project, named.id).to_string(), project);
        let projects: BTreeMap<String, String> = projects.into_iter().map(key).collect();
        let states = self.zones(projects.keys().cloned()).await?;
        let open =
            states.iter().flat_map(|(key, state)| state.lives.open().iter().map(|life| OpenAlert::new(key, life)));
        let declared = self.rules.names.zones.get(named.id).and_then(|zone| zone.name.clone());
        let learned = || states.values().find_map(|state| state.zone_name.clone());
        let open = Vec::from_iter(open);
        let (zone, project) = (Some(named.id.to_owned()), projects.values().next().cloned());
        let site = || Location { zone, project, ..Location::default() };
        Ok(ZoneAlerts {
            name: declared.or_else(learned).unwrap_or_else(|| named.id.to_owned()),
            waiting: states.values().map(|state| state.suppressed.waiting()).sum(),
            cleaned: states.values().filter_map(|state| state.cleaned).max(),
            location: open.first().map_or_else(site, |open| open.life.location.clone()),
            open,
            id: named.id.to_owned(),
            projects,
        })
    }

    /// Answers one alert in the name of a team or of initials. The check and the change are one compare-and-swap: of two people who
    /// take it at once, one has it.
    ///
    /// # Errors
    /// [`UnavailableError`] if the state cannot be read or written. A retry can help.
    pub async fn answer(
        &self,
        zone: &str,
        alert: AlertId,
        action: AnswerAction,
        by: &str,
    ) -> Result<AnswerOutcome, UnavailableError> {
        let outcome = Mutex::new(AnswerOutcome::Over);
        let change = |zone: &str, state: ZoneState| {
            let life = state.lives.find(alert);
            let refused = life.map_or(Some(AnswerOutcome::Over), |life| self.refusal(&state, life, action, by));
            let response = life.filter(|_| refused.is_none()).map(|life| self.response(zone, life, action, by));
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = refused.unwrap_or(AnswerOutcome::Recorded);
            match response {
                None => Evaluation { state, ..Evaluation::default() },
                Some(response) => engine::respond(&self.rules, state, &[&response], self.now, self.now),
            }
        };
        self.change(&[zone.to_owned()], &change).await?;
        Ok(outcome.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records that a team has cleaned a zone. Returns whether that is new.
    ///
    /// # Errors
    /// [`UnavailableError`] if the state cannot be read or written. A retry can help.
    pub async fn clean_zone(&self, zone: &ZoneAlerts, team: &str) -> Result<bool, UnavailableError> {
        let is_new = Mutex::new(false);
        let change = |key: &str, state: ZoneState| {
            // The clock of the source of the last cleaning can be ahead.
            let is_repeat = state.cleaned.is_some_and(|at| self.now.duration_since(at).abs() < REPEAT);
            *is_new.lock().unwrap_or_else(PoisonError::into_inner) = !is_repeat;
            if is_repeat {
                return Evaluation { state, ..Evaluation::default() };
            }
            let (project, by) = (zone.projects.get(key).cloned(), Some(team.to_owned()));
            let response = Response { project, by, ..Response::reported(&*zone.id, self.now) };
            engine::respond(&self.rules, state, &[&response], self.now, self.now)
        };
        self.change(&Vec::from_iter(zone.projects.keys().cloned()), &change).await?;
        Ok(is_new.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why an answer changes nothing; `None` if it is recorded.
    fn refusal(&self, state: &ZoneState, life: &AlertLife, action: AnswerAction, by: &str) -> Option<AnswerOutcome> {
        let is_repeat =
            |claim: &Claim, until: Timestamp| claim.by == by && until.duration_since(claim.hold.until).abs() < REPEAT;
        let known = match (action, life.holder(self.now), &life.snoozed) {
            _ if life.is_done() => Some(AnswerOutcome::Unchanged),
            (AnswerAction::Take, Some(claim), _) if claim.by == by => Some(AnswerOutcome::Unchanged),
            (AnswerAction::Take, Some(claim), _) => Some(AnswerOutcome::HeldBy(claim.clone())),
            (AnswerAction::Snooze(length), _, Some(claim)) => {
                is_repeat(claim, self.hold(life, length).until).then_some(AnswerOutcome::Unchanged)
            }
            _ => None,
        };
        let is_full = state.lives.facts().responses.len() >= MOST_WAITING;
        known.or_else(|| is_full.then_some(AnswerOutcome::TooMany))
    }

    /// The response that records an answer.
    fn response(&self, zone: &str, life: &AlertLife, action: AnswerAction, by: &str) -> Response {
        // Of an alert of a device without a zone, the id is that of the device.
        let key = ZoneKey::parse(zone);
        let (project, id) = key.map(|key| (key.project.into_owned(), key.id.into_owned())).unwrap_or_default();
        let response = Response {
            project: Some(project).filter(|project| !project.is_empty()),
            alert: Some(life.alert),
            by: Some(by.to_owned()),
            ..Response::new(id, ResponseSource::Reported)
        };
        match action {
            AnswerAction::Take => Response { taken: Some(self.hold(life, self.ack_for(life))), ..response },
            AnswerAction::Done => Response { done: Some(self.at(life)), ..response },
            AnswerAction::Snooze(length) => Response { snoozed: Some(self.hold(life, length)), ..response },
        }
    }

    /// The time of an answer. The clock of a device can be ahead.
    fn at(&self, life: &AlertLife) -> Timestamp {
        self.now.max(life.at)
    }

    fn hold(&self, life: &AlertLife, length: SignedDuration) -> Hold {
        let at = self.at(life);
        Hold { at, until: at.checked_add(length).unwrap_or(Timestamp::MAX) }
    }

    /// For how long an alert is taken.
    fn ack_for(&self, life: &AlertLife) -> SignedDuration {
        self.rules.settings_of(life).map_or_else(|| Settings::default().ack_for, |settings| settings.ack_for)
    }

    async fn zones(&self, keys: impl Iterator<Item = String>) -> Result<BTreeMap<String, ZoneState>, UnavailableError> {
        let keys = Vec::from_iter(BTreeSet::from_iter(keys));
        let documents = if keys.is_empty() { Vec::new() } else { self.state.load(&keys).await? };
        keys.into_iter().zip(documents).map(|(key, document)| Ok((key.clone(), read(&key, &document)?))).collect()
    }

    async fn change(&self, keys: &[String], change: ZoneChange<'_>) -> Result<(), UnavailableError> {
        let (rules, channels) = (&*self.rules, self.channels.clone());
        let (store, now, channel) = (self.state, self.now, Channel::Log);
        let evaluator = Evaluator { store, rate_limit: store, rules, now, channels, channel };
        // Nothing is leased: the page does not wait for a channel.
        let (_, failure) = evaluator.change_each(keys, change, Lease::New(0), None).await;
        failure.map_or(Ok(()), Err)
    }
}

impl OpenAlert {
    fn new(zone: &str, life: &AlertLife) -> Self {
        Self { zone: zone.to_owned(), life: life.clone() }
    }
}
