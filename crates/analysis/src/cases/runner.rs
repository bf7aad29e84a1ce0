//! Runs cases, and formats the results of their lines.

use std::collections::BTreeMap;

use super::file::Case;
use super::line::{Answer, CaseEvent, CaseLine, EventKind, format_time};
use domain::alert::Message;
use domain::engine::{Evaluation, evaluate, respond, sweep};
use domain::reading::Reading;
use domain::response::{Hold, Response, ResponseSource};
use domain::rules::RuleSet;
use domain::state::{OutboxEntry, ZoneKey, ZoneState};
use notify::render::Renderer;

/// The rules of a case, and the state of each zone.
struct CaseRunner {
    rules: RuleSet,
    zones: BTreeMap<String, ZoneState>,
}

impl Case {
    /// Runs the case under `rules`, from an empty state. Returns the lines that have other results than they expect, with these.
    #[must_use]
    pub fn run(&self, rules: RuleSet) -> Vec<(&CaseLine, String)> {
        let mut runner = CaseRunner { rules, zones: BTreeMap::new() };
        let results = self.lines.iter().map(|line| (line, runner.run(line)));
        results.filter(|(line, actual)| *actual != line.expected).collect()
    }
}

impl CaseRunner {
    fn run(&mut self, line: &CaseLine) -> String {
        let mut all = Vec::new();
        for event in &line.events {
            let time = if line.is_series { format!("{} ", format_time(event.at)) } else { String::new() };
            all.extend(self.run_event(event).into_iter().map(|result| format!("{time}{result}")));
        }
        all.join("; ")
    }

    fn run_event(&mut self, CaseEvent { at, kind }: &CaseEvent) -> Vec<String> {
        match kind {
            EventKind::Sweep { is_quiet } => self.each_zone(|rules, state| sweep(rules, state, *at, !is_quiet)),
            EventKind::Cleaned { at: finished } => {
                let cleaning = Response::reported("", *finished);
                self.each_zone(|rules, state| respond(rules, state, &[&cleaning], *at, *at))
            }
            EventKind::Answered { rule, change } => self.each_zone(|rules, state| {
                let open = state.lives.open().iter().rfind(|life| life.rule == *rule).cloned();
                let Some(life) = open else { return Evaluation { state, ..Evaluation::default() } };
                let mut answer = Response { alert: Some(life.alert), ..Response::new("", ResponseSource::Reported) };
                let ack_for = rules.settings_of(&life).map(|settings| settings.ack_for).unwrap_or_default();
                match *change {
                    Answer::Done => answer.done = Some(*at),
                    Answer::Taken => answer.taken = Some(Hold { at: *at, until: *at + ack_for }),
                    Answer::Snoozed(until) => answer.snoozed = Some(Hold { at: *at, until }),
                }
                respond(rules, state, &[&answer], *at, *at)
            }),
            EventKind::Push { text, received } => match Reading::read(text) {
                Ok(reading) => {
                    let state = self.zones.entry(ZoneKey::of(&reading.source).to_string()).or_default();
                    commit(state, evaluate(&self.rules, state.clone(), &[&reading], *received, *received))
                }
                Err(error) => vec![format!("rejected: {error}")],
            },
        }
    }

    fn each_zone(&mut self, change: impl Fn(&RuleSet, ZoneState) -> Evaluation) -> Vec<String> {
        let rules = &self.rules;
        self.zones.values_mut().flat_map(|state| commit(state, change(rules, state.clone()))).collect()
    }
}

/// Stores the new state. Returns the results.
fn commit(state: &mut ZoneState, evaluation: Evaluation) -> Vec<String> {
    let Evaluation { state: changed, messages, stats } = evaluation;
    let mut results: Vec<String> = messages.iter().map(format_entry).collect();
    for (count, name) in [
        (stats.blocked, "blocked"),
        (stats.suppressed - stats.blocked, "suppressed"),
        (stats.duplicates, "duplicate"),
        (stats.late, "late"),
        (stats.stale, "stale"),
        (stats.early, "early"),
        (stats.implausible, "implausible"),
    ] {
        results.extend((count > 0).then(|| name.to_owned()));
    }
    // Through JSON, as the state stores do.
    let stored = serde_json::to_string(&changed).and_then(|text| serde_json::from_str(&text));
    *state = stored.unwrap_or_else(|_| changed.clone());
    debug_assert_eq!(*state, changed, "the state is read back as it was written");
    // A case archives nothing.
    state.lives.take_facts();
    results
}

fn format_entry(entry: &OutboxEntry) -> String {
    let to = if entry.to.is_empty() { String::new() } else { format!(" to {}", entry.to.join(",")) };
    format_message(&entry.message) + &to
}

fn format_message(message: &Message) -> String {
    match message {
        Message::Notice(_) => format!("notice {}", Renderer::default().render(message).subject),
        Message::Firing { alerts, blocked } => {
            let alerts = alerts.iter().map(|alert| {
                let values: Vec<_> = alert.breaches.iter().map(|breach| breach.value.to_string()).collect();
                let values = [values, alert.reasons.clone()].concat().join(" ");
                format!("{} {} {values}", alert.severity, alert.rule).trim().to_owned()
            });
            let blocked = if *blocked > 0 { format!(" after {blocked} blocked") } else { String::new() };
            format!("firing {}{blocked}", alerts.collect::<Vec<_>>().join(" + "))
        }
        Message::Reminder { alert, unheard_since: None, .. } => format!("reminder {}", alert.rule),
        Message::Reminder { alert, .. } => format!("last reminder {}", alert.rule),
        Message::Escalated { alert, .. } => format!("escalated {}", alert.rule),
        Message::Resolved { alert, .. } => format!("resolved {}", alert.rule),
        Message::Suppressed { alerts, more, .. } => {
            let alerts = alerts.iter().map(|suppressed| match suppressed.resolved_at {
                Some(_) => format!("{} (over)", suppressed.alert.rule),
                None => suppressed.alert.rule.to_string(),
            });
            let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
            format!("released {}{more}", alerts.collect::<Vec<_>>().join(" + "))
        }
    }
}
