//! The facts of a message, made fit to be shown: what the texts are made from.

use std::collections::HashSet;
use std::hash::Hash;

use jiff::Timestamp;

use super::text::clock;
use domain::alert::{Alert, Trigger};
use domain::breach::Breach;
use domain::display;
use domain::display::presentable;
use domain::location::Location;
use domain::severity::Severity;

/// The alerts of one reading, or of one device, with what all of their texts need.
pub(super) struct Facts {
    /// The alerts, the worst first, without anything that could break a line or command a terminal. Never empty.
    pub(super) alerts: Vec<Alert>,
    /// The worst of their severities.
    pub(super) severity: Severity,
    /// What to call the location.
    pub(super) location: String,
    /// The time of day there.
    pub(super) clock: String,
    /// What the matters are called, each once.
    pub(super) titles: Vec<String>,
    /// What the sentence tells, in its order. Never empty.
    pub(super) parts: Vec<Part>,
    /// What has become of it.
    pub(super) stage: Stage,
    /// Since when nothing has come from the device, if this is the last reminder.
    pub(super) unheard_since: Option<Timestamp>,
    /// Alerts of the zone that were blocked since its last message, and are named nowhere.
    pub(super) blocked: usize,
}

/// What has become of what was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is raised now.
    Raised,
    /// It still lasts then.
    Still(Timestamp),
    /// It has been over since then.
    Over(Timestamp),
}

/// What one part of the sentence speaks of.
pub(super) enum Part {
    /// The alerts of one moment that are told in the usual words, together.
    Usual(Told),
    /// One that is told in its rule's own words.
    Own {
        /// Which of the alerts it is.
        alert: usize,
        /// The words, with placeholders.
        template: String,
        /// What it tells.
        told: Told,
    },
}

/// What there is to tell of some alerts.
#[derive(Default)]
pub(super) struct Told {
    /// Event time of the alerts.
    pub(super) at: Timestamp,
    /// How many alerts they are.
    pub(super) alerts: usize,
    /// Their titles, each once.
    pub(super) titles: Vec<String>,
    /// The crossed limits, each measured value once: where two rules have a limit for it, the worse one tells.
    pub(super) breaches: Vec<Breach>,
    /// How all of it came about; [`Trigger::Immediate`] also where that differs.
    pub(super) trigger: Trigger,
    /// Where that differs, how each of `breaches` came about: told behind the last of an alert, for the others
    /// [`Trigger::Immediate`].
    pub(super) triggers: Vec<Trigger>,
    /// The reasons, each once.
    pub(super) reasons: Vec<String>,
}

impl Facts {
    /// The facts of `alerts`, all of one device.
    ///
    /// # Panics
    /// Where there are none.
    pub(super) fn of(alerts: &[Alert]) -> Self {
        let alerts: Vec<Alert> = alerts.iter().map(cleaned).collect();
        let worst = &alerts[0];
        Self {
            severity: alerts.iter().map(|alert| alert.severity).max().unwrap_or(worst.severity),
            location: worst.location.name(),
            clock: clock(&worst.location, worst.at),
            titles: each_once(alerts.iter().map(|alert| alert.title.clone())),
            parts: parts(&alerts),
            stage: Stage::Raised,
            unheard_since: None,
            blocked: 0,
            alerts,
        }
    }

    /// The facts of what has become of `alert`.
    pub(super) fn later(alert: &Alert, stage: Stage) -> Self {
        let mut facts = Self { stage, ..Self::of(std::slice::from_ref(alert)) };
        facts.clock = facts.moment(alert.at);
        facts
    }

    /// How many alerts of the zone were blocked before this one, in words.
    pub(super) fn blocked(&self) -> Option<String> {
        match self.blocked {
            0 => None,
            1 => Some("1 more alert of this zone was blocked before it".to_owned()),
            many => Some(format!("{many} more alerts of this zone were blocked before it")),
        }
    }

    /// The moment that the message speaks of.
    pub(super) fn at(&self) -> Timestamp {
        match self.stage {
            Stage::Raised => self.first().at,
            Stage::Still(at) | Stage::Over(at) => at,
        }
    }

    /// The time of day of an alert; with as much of the date as it takes if it is not that of the first alert.
    pub(super) fn clock_at(&self, at: Timestamp) -> String {
        if at == self.first().at { self.clock.clone() } else { self.moment(at) }
    }

    /// The alert whose location and time stand for all of them.
    pub(super) fn first(&self) -> &Alert {
        &self.alerts[0]
    }
}

impl Told {
    fn of(alerts: &[&Alert]) -> Self {
        let mut seen = HashSet::new();
        let mut is_new = |breach: &&Breach| seen.insert((breach.metric.clone(), breach.unit, breach.value.to_bits()));
        let telling: Vec<(&Alert, Vec<&Breach>)> = alerts
            .iter()
            .map(|alert| (*alert, alert.breaches.iter().filter(&mut is_new).collect()))
            .filter(|(alert, breaches): &(_, Vec<_>)| !breaches.is_empty() || alert.breaches.is_empty())
            .collect();
        let trigger = telling.first().map(|(alert, _)| alert.trigger).unwrap_or_default();
        let is_shared = telling.iter().all(|(alert, _)| alert.trigger == trigger);
        let triggers = telling.iter().flat_map(|(alert, breaches)| {
            let last = breaches.len().saturating_sub(1);
            (0..breaches.len()).map(move |index| if index == last { alert.trigger } else { Trigger::Immediate })
        });
        Self {
            at: alerts.first().map(|alert| alert.at).unwrap_or_default(),
            alerts: alerts.len(),
            titles: each_once(alerts.iter().map(|alert| alert.title.clone())),
            trigger: if is_shared { trigger } else { Trigger::Immediate },
            triggers: if is_shared { Vec::new() } else { triggers.collect() },
            breaches: telling.iter().flat_map(|(_, breaches)| breaches).map(|&breach| breach.clone()).collect(),
            reasons: each_once(alerts.iter().flat_map(|alert| alert.reasons.iter().cloned())),
        }
    }
}

/// `items` in their order, each once.
pub(super) fn each_once<T: Clone + Eq + Hash>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    items.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

/// The usual words stand where the first alert of their moment without words of its own does.
fn parts(alerts: &[Alert]) -> Vec<Part> {
    let own = |alert: &Alert| alert.template.as_deref().is_some_and(|template| !template.trim().is_empty());
    let mut moments = HashSet::new();
    let part_of = |(index, alert): (usize, &Alert)| match &alert.template {
        Some(template) if own(alert) => {
            Some(Part::Own { alert: index, template: template.clone(), told: Told::of(&[alert]) })
        }
        _ => moments.insert(alert.at).then(|| {
            let usual = alerts.iter().filter(|other| other.at == alert.at && !own(other));
            Part::Usual(Told::of(&usual.collect::<Vec<_>>()))
        }),
    };
    alerts.iter().enumerate().filter_map(part_of).collect()
}

fn cleaned(alert: &Alert) -> Alert {
    let clean = |text: &str| presentable(text).unwrap_or_default();
    // A file of rules is checked for these, but a subject or a sentence must never have a hole.
    let first = |names: [&str; 2], otherwise: &str| {
        names.into_iter().find_map(presentable).unwrap_or_else(|| otherwise.to_owned())
    };
    Alert {
        title: first([&alert.title, &alert.rule], "Alert"),
        rule: clean(&alert.rule),
        breaches: alert
            .breaches
            .iter()
            .map(|breach| Breach {
                metric: clean(&breach.metric),
                label: first([&breach.label, &breach.metric], "value"),
                ..breach.clone()
            })
            .collect(),
        reasons: each_once(alert.reasons.iter().filter_map(|reason| presentable(&display::unlinked(reason)))),
        template: alert.template.as_deref().map(display::line),
        location: cleaned_location(&alert.location),
        ..alert.clone()
    }
}

fn cleaned_location(location: &Location) -> Location {
    let clean = Location::new(&location.source(), location.local_zone.clone());
    // A name of nothing but marks without width would leave the reader without a location.
    let display = clean.display.filter(|name| !name.chars().all(is_without_width));
    Location { display, device_type: display::unlinked(&clean.device_type), ..clean }
}

fn is_without_width(character: char) -> bool {
    matches!(character, ' ' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}')
}
