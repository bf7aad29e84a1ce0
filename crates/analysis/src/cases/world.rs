//! Where a case takes place, and the words for what it makes.

use std::collections::BTreeMap;

use super::step::{Event, Step, What, told as time};
use domain::alert::Message;
use domain::engine::{Evaluation, clean, evaluate, sweep};
use domain::reading::Reading;
use domain::rules::RuleSet;
use domain::state::{ZoneKey, ZoneState};
use notify::render::render;

/// Where a case takes place; each zone has its own state.
pub(super) struct World {
    rules: RuleSet,
    zones: BTreeMap<String, ZoneState>,
}

impl World {
    /// Nothing is remembered yet.
    pub(super) fn new(rules: RuleSet) -> Self {
        Self { rules, zones: BTreeMap::new() }
    }

    /// What a line makes, in words.
    pub(super) fn take(&mut self, step: &Step) -> String {
        let mut all = Vec::new();
        for event in &step.events {
            let said = self.happen(event);
            let in_front = if step.is_series { format!("{} ", time(event.at)) } else { String::new() };
            all.extend(said.into_iter().map(|said| format!("{in_front}{said}")));
        }
        all.join("; ")
    }

    fn happen(&mut self, event: &Event) -> Vec<String> {
        let at = event.at;
        match &event.what {
            What::Sweep { is_quiet } => self.each_zone(|rules, state| sweep(rules, state.clone(), at, !is_quiet)),
            What::Cleaned { at: finished } => self.each_zone(|rules, state| clean(rules, state.clone(), *finished, at)),
            What::Push { text, received } => match Reading::read(text) {
                Ok(reading) => {
                    let state = self.zones.entry(ZoneKey::of(&reading.source).to_string()).or_default();
                    commit(state, evaluate(&self.rules, state.clone(), &[&reading], *received, *received))
                }
                Err(reason) => vec![format!("rejected: {reason}")],
            },
        }
    }

    fn each_zone(&mut self, change: impl Fn(&RuleSet, &ZoneState) -> Evaluation) -> Vec<String> {
        let rules = &self.rules;
        self.zones.values_mut().flat_map(|state| commit(state, change(rules, state))).collect()
    }
}

/// Takes over what is remembered, and tells what was made.
fn commit(state: &mut ZoneState, evaluation: Evaluation) -> Vec<String> {
    let Evaluation { state: changed, messages, stats } = evaluation;
    let mut said: Vec<String> = messages.iter().map(|entry| told(&entry.message)).collect();
    for (count, word) in [
        (stats.blocked, "blocked"),
        (stats.suppressed - stats.blocked, "suppressed"),
        (stats.duplicates, "duplicate"),
        (stats.late, "late"),
        (stats.stale, "stale"),
        (stats.early, "early"),
        (stats.implausible, "implausible"),
    ] {
        said.extend((count > 0).then(|| word.to_owned()));
    }
    // Through its stored form, as it goes outside.
    let stored = serde_json::to_string(&changed).and_then(|text| serde_json::from_str(&text));
    *state = stored.unwrap_or_else(|_| changed.clone());
    debug_assert_eq!(*state, changed, "what is stored is what was meant");
    said
}

fn told(message: &Message) -> String {
    match message {
        Message::Notice(_) => format!("notice {}", render(message).subject),
        Message::Firing { alerts, blocked } => {
            let alerts: Vec<_> = alerts
                .iter()
                .map(|alert| {
                    let values: Vec<_> = alert.breaches.iter().map(|breach| breach.value.to_string()).collect();
                    let why = [values, alert.reasons.clone()].concat().join(" ");
                    format!("{} {} {why}", alert.severity, alert.rule).trim().to_owned()
                })
                .collect();
            let blocked = if *blocked > 0 { format!(" after {blocked} blocked") } else { String::new() };
            format!("firing {}{blocked}", alerts.join(" + "))
        }
        Message::Reminder { alert, unheard_since: None, .. } => format!("reminder {}", alert.rule),
        Message::Reminder { alert, .. } => format!("last reminder {}", alert.rule),
        Message::Resolved { alert, .. } => format!("resolved {}", alert.rule),
        Message::Suppressed { alerts, more, .. } => {
            let alerts: Vec<_> = alerts
                .iter()
                .map(|one| format!("{}{}", one.alert.rule, if one.resolved_at.is_some() { " (over)" } else { "" }))
                .collect();
            let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
            format!("released {}{more}", alerts.join(" + "))
        }
    }
}
