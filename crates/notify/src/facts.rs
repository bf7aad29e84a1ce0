//! The alerts of a message, sanitized for display: all texts are made from them.

use std::collections::HashSet;
use std::hash::Hash;

use jiff::Timestamp;

use super::location::LocationNames;
use super::text::clock;
use super::texts::Texts;
use super::time::moment;
use domain::alert::life::Claim;
use domain::alert::{Alert, SuppressedAlert, Trigger};
use domain::breach::Breach;
use domain::display::{self, presentable};
use domain::location::Location;
use domain::severity::Severity;

/// The alerts of one reading or one device, with the values that their texts share.
pub(super) struct Facts<'t> {
    pub(super) texts: &'t Texts<'t>,
    /// The highest severity first, without characters that could break a line or control a terminal. Never empty.
    pub(super) alerts: Vec<Alert>,
    /// The highest severity of the alerts.
    pub(super) severity: Severity,
    /// The display name of the location.
    pub(super) location: String,
    pub(super) names: LocationNames,
    /// What people should do, without duplicates. A template has its own instructions.
    pub(super) actions: Vec<String>,
    /// The local time of day of the first alert.
    pub(super) clock: String,
    /// The titles of the alerts, without duplicates.
    pub(super) titles: Vec<String>,
    /// The titles in English, or in the language of the rules.
    pub(super) english_titles: Vec<String>,
    /// The parts of the sentence, in order. Never empty.
    pub(super) groups: Vec<AlertGroup>,
    pub(super) phase: AlertPhase,
    /// In the last reminder of a silent device: the time of its last reading.
    pub(super) no_reading_since: Option<Timestamp>,
    /// Of an escalation: what people did.
    pub(super) escalation: Option<EscalationFacts>,
    /// Alerts that were suppressed with these and are only counted.
    pub(super) more: usize,
    /// Of a suppressed alert in a list: the time at which it resolved, if it did.
    pub(super) over: Option<Timestamp>,
}

/// What people did about an alert before an escalation.
pub(super) struct EscalationFacts {
    /// The number of the step, from 1.
    pub(super) step: usize,
    /// Since when they could know of the alert.
    pub(super) raised: Timestamp,
    /// When somebody took it, and who; `None` if nobody did.
    pub(super) taken: Option<(Timestamp, String)>,
}

/// The phase of an alert that a message reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AlertPhase {
    Firing,
    /// Still firing at this time.
    Reminder(Timestamp),
    /// Nobody was done at this time.
    Escalated(Timestamp),
    /// Resolved since this time.
    Resolved(Timestamp),
}

/// The alerts that one part of the sentence describes: one alert with its rule's template, or all alerts of the same time that
/// have no template.
pub(super) struct AlertGroup {
    /// The index of the first alert of the group.
    pub(super) first: usize,
    pub(super) alerts: usize,
    /// The rule's template; `None` for the default wording.
    pub(super) template: Option<String>,
    /// Without duplicates.
    pub(super) titles: Vec<String>,
    /// Each measured value once: if two rules have a limit for it, the one of higher severity. The trigger is
    /// [`Trigger::Immediate`] if the alerts share theirs, and for all but the last breach of an alert.
    pub(super) breaches: Vec<(Breach, Trigger)>,
    /// The trigger that the alerts share; [`Trigger::Immediate`] if their triggers differ.
    pub(super) trigger: Trigger,
    /// Without duplicates.
    pub(super) reasons: Vec<String>,
}

impl<'t> Facts<'t> {
    /// The facts of `alerts`, which are all of one device.
    ///
    /// # Panics
    /// If `alerts` is empty.
    pub(super) fn new(alerts: &[Alert], texts: &'t Texts<'t>) -> Self {
        let english_titles = deduplicated(alerts.iter().map(|alert| texts.english_title(&alert.rule, &title(alert))));
        let alerts: Vec<Alert> = alerts.iter().map(|alert| sanitized(alert, texts)).collect();
        let first = &alerts[0];
        let names = LocationNames::new(&first.location, texts);
        let of_texts = alerts.iter().filter(|alert| alert.template.is_none());
        Self {
            texts,
            severity: alerts.iter().map(|alert| alert.severity).max().unwrap_or(first.severity),
            location: names.short.clone(),
            names,
            actions: deduplicated(of_texts.filter_map(|alert| alert.action.clone())),
            clock: clock(&first.location, first.at),
            titles: deduplicated(alerts.iter().map(|alert| alert.title.clone())),
            english_titles,
            groups: groups(&alerts),
            phase: AlertPhase::Firing,
            no_reading_since: None,
            escalation: None,
            more: 0,
            over: None,
            alerts,
        }
    }

    /// The facts of one alert in this phase.
    pub(super) fn in_phase(alert: &Alert, phase: AlertPhase, texts: &'t Texts<'t>) -> Self {
        let mut facts = Self { phase, ..Self::new(std::slice::from_ref(alert), texts) };
        facts.clock = facts.moment(alert.at);
        facts
    }

    /// The facts of this escalation.
    pub(super) fn with_escalation(self, step: usize, raised: Timestamp, taken: Option<&Claim>) -> Self {
        let name = |claim: &Claim| presentable(&display::unlinked(&claim.by)).unwrap_or_else(|| "?".to_owned());
        let taken = taken.map(|claim| (claim.hold.at, name(claim)));
        Self { escalation: Some(EscalationFacts { step: step + 1, raised, taken }), ..self }
    }

    /// The facts of one alert of a list. Always in the default wording: a template may omit the location or the values.
    pub(super) fn of_list(alert: &Alert, phase: AlertPhase, texts: &'t Texts<'t>) -> Self {
        Self::in_phase(&Alert { template: None, ..alert.clone() }, phase, texts)
    }

    pub(super) fn suppressed(suppressed: &SuppressedAlert, texts: &'t Texts<'t>) -> Self {
        Self { over: suppressed.resolved_at, ..Self::of_list(&suppressed.alert, AlertPhase::Firing, texts) }
    }

    /// The time that the message reports.
    pub(super) fn at(&self) -> Timestamp {
        match self.phase {
            AlertPhase::Firing => self.first().at,
            AlertPhase::Reminder(at) | AlertPhase::Escalated(at) | AlertPhase::Resolved(at) => at,
        }
    }

    /// The local time of day, with a date if `at` is on another day than the message.
    pub(super) fn clock_at(&self, at: Timestamp) -> String {
        if at == self.first().at { self.clock.clone() } else { self.moment(at) }
    }

    /// The local time of `at`, with a date if it is on another day than the message.
    pub(super) fn moment(&self, at: Timestamp) -> String {
        moment(self.texts, &self.first().location, at, self.at())
    }

    /// The alert whose location and time stand for the message.
    pub(super) fn first(&self) -> &Alert {
        &self.alerts[0]
    }
}

impl AlertGroup {
    fn new<'a>(first: usize, alerts: &[&'a Alert]) -> Self {
        let mut values = HashSet::new();
        let mut is_new =
            |breach: &&'a Breach| values.insert((breach.metric.as_str(), breach.unit, breach.value.to_bits()));
        let listed: Vec<(&Alert, Vec<&Breach>)> = alerts
            .iter()
            .map(|&alert| (alert, alert.breaches.iter().filter(&mut is_new).collect()))
            .filter(|(alert, breaches): &(_, Vec<_>)| !breaches.is_empty() || alert.breaches.is_empty())
            .collect();
        let trigger = listed.first().map(|(alert, _)| alert.trigger).unwrap_or_default();
        let is_shared = listed.iter().all(|(alert, _)| alert.trigger == trigger);
        let breaches = listed.iter().flat_map(|(alert, breaches)| {
            let last = breaches.len().saturating_sub(1);
            breaches.iter().enumerate().map(move |(index, &breach)| {
                let is_own = !is_shared && index == last;
                (breach.clone(), if is_own { alert.trigger } else { Trigger::Immediate })
            })
        });
        Self {
            first,
            alerts: alerts.len(),
            template: alerts.first().and_then(|alert| alert.template.clone()),
            titles: deduplicated(alerts.iter().map(|alert| alert.title.clone())),
            breaches: breaches.collect(),
            trigger: if is_shared { trigger } else { Trigger::Immediate },
            reasons: deduplicated(alerts.iter().flat_map(|alert| alert.reasons.iter().cloned())),
        }
    }
}

/// Keeps the first of equal items, in order.
pub(super) fn deduplicated<T: Clone + Eq + Hash>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut known = HashSet::new();
    items.into_iter().filter(|item| known.insert(item.clone())).collect()
}

fn groups(alerts: &[Alert]) -> Vec<AlertGroup> {
    let mut times = HashSet::new();
    let group = |(first, alert): (usize, &Alert)| {
        if alert.template.is_some() {
            return Some(AlertGroup::new(first, &[alert]));
        }
        let same_time = || alerts.iter().filter(|other| other.at == alert.at && other.template.is_none());
        times.insert(alert.at).then(|| AlertGroup::new(first, &same_time().collect::<Vec<_>>()))
    };
    alerts.iter().enumerate().filter_map(group).collect()
}

/// `alert` without characters that could break a line or command a terminal, its title in the language.
fn sanitized(alert: &Alert, texts: &Texts<'_>) -> Alert {
    let sanitize = |text: &str| presentable(text).unwrap_or_default();
    let breach = |breach: &Breach| Breach {
        metric: sanitize(&breach.metric),
        label: first_presentable([&breach.label, &breach.metric], "value"),
        ..breach.clone()
    };
    Alert {
        title: texts.title(&alert.rule, &title(alert)),
        action: alert.action.as_deref().and_then(presentable).map(|action| texts.action(&alert.rule, &action)),
        rule: sanitize(&alert.rule),
        breaches: alert.breaches.iter().map(breach).collect(),
        reasons: deduplicated(alert.reasons.iter().filter_map(|reason| presentable(&display::unlinked(reason)))),
        template: alert.template.as_deref().map(display::line).filter(|template| !template.trim().is_empty()),
        location: sanitized_location(&alert.location, texts),
        ..alert.clone()
    }
}

/// The title as the rules have it.
fn title(alert: &Alert) -> String {
    first_presentable([&alert.title, &alert.rule], "Alert")
}

/// Rules files are checked for blank names. A stored alert of an older release may still have one.
fn first_presentable(names: [&str; 2], default: &str) -> String {
    names.into_iter().find_map(presentable).unwrap_or_else(|| default.to_owned())
}

fn sanitized_location(location: &Location, texts: &Texts<'_>) -> Location {
    let sanitized = Location::new(&location.source(), location.local_zone(texts.names).clone());
    // A name of zero-width characters would show no location at all.
    let visible = |name: &String| !name.chars().all(is_zero_width);
    let display = sanitized.display.filter(visible);
    let zone_name = location.zone_name.as_deref().and_then(presentable).filter(visible);
    Location { display, zone_name, device_type: display::unlinked(&sanitized.device_type), ..sanitized }
}

fn is_zero_width(character: char) -> bool {
    matches!(character, ' ' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}')
}
