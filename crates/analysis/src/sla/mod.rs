//! Response times: how long people took to deal with alerts, from archived alerts and responses.

mod csv;
mod page;
#[cfg(test)]
mod property_tests;
mod tables;
#[cfg(test)]
mod tests;
mod times;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Display;

use jiff::Timestamp;
use serde::Serialize;

pub use self::csv::csv;
pub use self::page::page;
pub use self::tables::{SlaGroup, SlaTable};
pub use self::times::{ClockState, ResponseClock, ResponseTimes, TimeSummary, TimedAlert};

use crate::words::plural;
use domain::alert::life::{AlertLife, EndReason};
use domain::digest::Digest;
use domain::display::presentable;
use domain::response::{ReceivedResponse, Response};
use domain::rules::names::Names;
use history::Period;

/// The id of the rule of test alerts, which are left out.
const TEST_ALERT: &str = "test-alert";

/// Most alerts in [`SlaReport::worst`].
const WORST: usize = 10;

/// The version of [`DEFINITIONS`], which is in the digest of a report.
const VERSION: u32 = 2;

/// What the numbers of a report mean.
pub const DEFINITIONS: [&str; 8] = [
    "An alert counts if it was raised in the period: when its reading was first received, its suppression ended, or missing data \
     was noticed. People are told then. Alerts whose rule was withdrawn, and test alerts, are left out.",
    "Reaction is the time from then until somebody took the alert, began in the zone, or it was done. Resolution is the time until \
     it was done.",
    "Done is the earliest of: people reported it, the task system recorded it, the sensor measured it. An answer counts whenever \
     it became known. If the sensor contradicts it, its times still count, and the contradiction is counted beside them.",
    "If the rule has active hours, only these count, in local time. No time is below zero.",
    "Median and 90 % are nearest ranks: the shortest time that half, or nine tenths, of the answered alerts did not exceed.",
    "Within target is the share of the alerts that have a target and a known result. An alert without an answer misses its target \
     once more than this time has passed, as of the time at the top.",
    "Open: not yet answered. Unanswered: ended without an answer, mostly after 24 hours.",
    "Reported only: no sensor can measure the end of an alert of this rule, so it is known only from people.",
];

/// The alerts that a report is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlaScope {
    /// The first time at which an alert was raised; `None` for the first alert.
    pub since: Option<Timestamp>,
    /// The first time after the period; `None` for an open end.
    pub until: Option<Timestamp>,
    /// The time at which alerts without an answer are judged.
    pub as_of: Timestamp,
    /// Sites (`PID`); empty for all.
    pub sites: Vec<String>,
    /// Zones (`InsID`); empty for all.
    pub zones: Vec<String>,
    /// Rules by id; empty for all.
    pub rules: Vec<String>,
}

/// Response times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlaReport {
    /// SHA-256 of the version of the definitions, the scope, and the alerts with their answers and results: the same digest,
    /// the same numbers.
    pub digest: Digest,
    /// What the numbers mean.
    pub definitions: &'static [&'static str],
    /// The alerts that it is about.
    #[serde(flatten)]
    pub scope: SlaScope,
    /// Alerts that are left out because their rule was withdrawn.
    pub withdrawn: usize,
    /// Objects of the archive that could not be read: the report is incomplete.
    pub damaged: usize,
    /// The rules under which the alerts were raised again; `None` for archived alerts.
    pub raised_under: Option<String>,
    /// The times of all alerts.
    pub all: ResponseTimes,
    /// The times by rule, zone, site, team, weekday, hour and week.
    pub tables: Vec<SlaTable>,
    /// The alerts that took the longest until they were done, as indices of [`Self::alerts`].
    pub worst: Vec<usize>,
    /// All alerts, in the order in which they were raised.
    pub alerts: Vec<TimedAlert>,
}

/// Computes response times. `alerts` has each alert once; the order of alerts and responses and the time of their receipt do not
/// matter, nor do repeated responses.
///
/// # Errors
/// Never in practice: archived alerts were JSON.
pub fn report(
    alerts: Vec<AlertLife>,
    responses: &[ReceivedResponse],
    scope: SlaScope,
    names: &Names,
) -> serde_json::Result<SlaReport> {
    let mut by_zone: HashMap<Option<String>, Vec<&Response>> = HashMap::new();
    for ReceivedResponse { response, .. } in responses {
        // As in the location of an alert.
        by_zone.entry(presentable(&response.zone)).or_default().push(response);
    }
    let mut lives: Vec<AlertLife> = alerts.into_iter().filter(|life| scope.contains(life, names)).collect();
    for life in &mut lives {
        // An answer to the alert of a device without a zone has its id in the place of the zone's.
        let zone = life.location.zone.clone().or_else(|| presentable(&life.device));
        for response in by_zone.get(&zone).into_iter().flatten() {
            let is_in_zone = life.location.zone.is_some() || response.alert.is_some();
            let project = response.project.as_deref().map(presentable);
            if is_in_zone && project.is_none_or(|project| project == life.location.project) {
                life.respond(response);
            }
        }
    }
    lives.sort_by_key(|life| (life.raised, life.alert));
    let counted = lives.len();
    lives.retain(|life| life.end.is_none_or(|end| end.reason != EndReason::Withdrawn));
    let withdrawn = counted - lives.len();
    let alerts: Vec<_> = lives.into_iter().map(|life| TimedAlert::new(life, scope.as_of, names)).collect();
    let digest = digest(&scope, &alerts, names)?;
    let mut worst: Vec<usize> = (0..alerts.len()).collect();
    worst.sort_by_key(|index| Reverse(alerts[*index].resolution.seconds));
    worst.truncate(WORST);
    let all = ResponseTimes::of(&alerts.iter().collect::<Vec<_>>());
    let tables = tables::tables(&alerts, names);
    let (damaged, raised_under) = (0, None);
    Ok(SlaReport {
        digest,
        definitions: &DEFINITIONS,
        scope,
        withdrawn,
        damaged,
        raised_under,
        all,
        tables,
        worst,
        alerts,
    })
}

impl SlaReport {
    /// The period in words: "2026-11-01 00:00 to 2026-12-01 00:00 UTC".
    #[must_use]
    pub fn period(&self) -> String {
        let SlaScope { since, until, as_of, .. } = &self.scope;
        let until = minute(until.unwrap_or(*as_of));
        since.map_or_else(|| format!("until {until} UTC"), |since| format!("{} to {until} UTC", minute(since)))
    }

    /// The time at which alerts without an answer are judged, the filters, and what is left out, in words.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let SlaScope { as_of, sites, zones, rules, .. } = &self.scope;
        let mut notes = vec![format!("Alerts without an answer are judged as of {} UTC", minute(*as_of))];
        for (what, ids) in [("sites", sites), ("zones", zones), ("rules", rules)] {
            if !ids.is_empty() {
                notes.push(format!("Only the {what} {}", ids.join(", ")));
            }
        }
        if let Some(rules) = &self.raised_under {
            notes.push(format!("Raised again under {rules}, not from the archive of alerts"));
        }
        if self.damaged > 0 {
            notes.push(format!("{} could not be read: this report is incomplete", plural(self.damaged, "object")));
        }
        if self.withdrawn > 0 {
            notes.push(format!("{} left out, because their rule was withdrawn", plural(self.withdrawn, "alert")));
        }
        notes
    }
}

fn minute(at: Timestamp) -> impl Display {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

impl SlaScope {
    fn contains(&self, life: &AlertLife, names: &Names) -> bool {
        let is_in = |wanted: &[String], id: Option<&str>| {
            wanted.is_empty() || id.is_some_and(|id| wanted.iter().any(|wanted| wanted == id))
        };
        Period { since: self.since, until: self.until }.contains(life.raised)
            && is_in(&self.sites, tables::site(life, names))
            && is_in(&self.zones, life.location.zone.as_deref())
            && is_in(&self.rules, Some(&life.rule))
            && life.rule != TEST_ALERT
    }
}

/// The digest of the definitions, the scope and each alert with its site, its answers and whether it met its targets, as JSON lines
/// in the order of their text. The time of the report is not in it.
fn digest(scope: &SlaScope, alerts: &[TimedAlert], names: &Names) -> serde_json::Result<Digest> {
    let sorted = |ids: &[String]| {
        let mut ids = ids.to_vec();
        ids.sort();
        ids.dedup();
        ids
    };
    let [sites, zones, rules] = [&scope.sites, &scope.zones, &scope.rules].map(|ids| sorted(ids));
    let line = |TimedAlert { life, reaction, resolution, .. }: &TimedAlert| {
        serde_json::to_string(&(life, tables::site(life, names), reaction.within, resolution.within))
    };
    let mut lines: Vec<String> = alerts.iter().map(line).collect::<Result<_, _>>()?;
    lines.push(serde_json::to_string(&(VERSION, scope.since, scope.until, sites, zones, rules))?);
    lines.sort();
    Ok(Digest::of(lines.join("\n").as_bytes()))
}
