//! Alerts that reach nobody, or not the audience that was meant.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::audience::Audience;
use super::{Diagnostic, MentionKind, Rule, RuleSet};
use crate::location::Location;
use crate::time::LocalZone;

/// Monday, 2026-11-23T00:00:00Z.
const WEEK: Timestamp = Timestamp::constant(1_795_392_000, 0);
/// The time between two moments of the week that are checked.
const STEP: SignedDuration = SignedDuration::from_mins(15);
/// The number of such moments.
const STEPS: i32 = 7 * 24 * 4;

impl RuleSet {
    /// Warns of alerts that no audience matches, and of times of the week at which nobody is on duty for an alert.
    #[must_use]
    pub fn unreached(&self) -> Vec<Diagnostic> {
        let Some(first) = self.audiences.first() else { return Vec::new() };
        let mut rules: BTreeMap<Vec<&str>, BTreeSet<&str>> = BTreeMap::new();
        for rule in &self.rules {
            for location in self.examples(rule).filter(|location| rule.effective(&location.source()).is_some()) {
                for severity in rule.severities() {
                    let matching = self.audiences.iter().filter(|one| one.matches(&rule.id, severity, &location));
                    rules.entry(matching.map(|one| one.id.as_str()).collect()).or_default().insert(&rule.id);
                }
            }
        }
        let all: BTreeSet<&str> = rules.values().flatten().copied().collect();
        let warning = |(ids, rules): (&Vec<&str>, &BTreeSet<&str>)| {
            let listed = || rules.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
            let rules = if rules.len() > 1 && *rules == all { "every rule".to_owned() } else { listed() };
            let Some(audience) = ids.first().and_then(|id| self.audience(id)) else {
                let message = format!("no audience matches some or all alerts of {rules}: they go to everybody");
                return Some(Diagnostic::new(&first.position, message, None));
            };
            let audiences: Vec<&Audience> = ids.iter().filter_map(|id| self.audience(id)).collect();
            let times = self.times_off_duty(&audiences);
            let message = format!("nobody is on duty at {} for alerts of {rules}: they wait", times.join(", "));
            let suggestion = "add an `else` that is always on duty, if they cannot wait".to_owned();
            (!times.is_empty()).then(|| Diagnostic::new(&audience.position, message, Some(suggestion)))
        };
        rules.iter().filter_map(warning).collect()
    }

    /// Locations at which a rule may raise alerts: in the lists of each audience and of the rule, and each declared site and zone.
    fn examples<'r>(&'r self, rule: &'r Rule) -> impl Iterator<Item = Location> + 'r {
        let scopes = self.audiences.iter().map(|audience| &audience.alerts.scope);
        let scopes =
            scopes.chain(Some(&rule.scope).filter(|scope| scope.0.keys().any(|kind| *kind != MentionKind::Type)));
        let of_scopes = scopes.map(|scope| {
            let [_, property, project, zone, device] = MentionKind::ALL.map(|kind| scope.ids(kind).first().cloned());
            Location { zone, project, device, property, ..Location::default() }
        });
        let sites = self.names.sites.keys().map(|id| Location { project: Some(id.clone()), ..Location::default() });
        let zones = self.names.zones.iter().map(|(id, zone)| Location {
            zone: Some(id.clone()),
            project: zone.site.clone(),
            ..Location::default()
        });
        let types = rule.scope.ids(MentionKind::Type);
        let types = if types.is_empty() { vec![String::new()] } else { types.to_vec() };
        of_scopes.chain(sites).chain(zones).flat_map(move |location| {
            types.clone().into_iter().map(move |device_type| Location { device_type, ..location.clone() })
        })
    }

    /// The times of the week at which none of these audiences is on duty, nor one in its place: "Sat 15:00 to Mon 07:00".
    fn times_off_duty(&self, audiences: &[&Audience]) -> Vec<String> {
        let zone = LocalZone::default();
        let on_duty = |at: Timestamp| {
            audiences.iter().any(|audience| self.chain(audience).any(|other| other.is_on_duty(&zone, at)))
        };
        let changes: Vec<Timestamp> =
            (0..STEPS).map(|step| WEEK + STEP * step).filter(|at| on_duty(*at) != on_duty(*at - STEP)).collect();
        let shown = |at: &Timestamp| at.strftime("%a %H:%M").to_string();
        if changes.is_empty() {
            return if on_duty(WEEK) { Vec::new() } else { vec!["any time".to_owned()] };
        }
        let ends = changes.iter().cycle().skip(1);
        let ranges = changes.iter().zip(ends).filter(|(begin, _)| !on_duty(**begin));
        ranges.map(|(begin, end)| format!("{} to {}", shown(begin), shown(end))).collect()
    }
}
