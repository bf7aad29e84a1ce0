//! What the rules say for a source, found once for all of its readings.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use foldhash::fast::RandomState;
use jiff::SignedDuration;

use crate::reading::Source;
use crate::rules::{Kind, Rule, RuleSet, Settings};

/// What the rules say for one source.
#[derive(Debug)]
pub(super) struct Policy<'r> {
    /// The rules that apply, in their order, each with what it says there.
    pub(super) rules: Vec<(&'r Rule, Cow<'r, Settings>)>,
    /// The shortest silence that any of them watches for.
    pub(super) shortest_silence: Option<SignedDuration>,
}

/// The policies of the sources that have come up so far.
#[derive(Debug)]
pub struct Policies<'r, 's> {
    rules: &'r RuleSet,
    known: HashMap<Names<'s>, Policy<'r>, RandomState>,
}

/// The names of a source that a scope can hold: sources of the same names are the same to every rule.
#[derive(Debug, PartialEq, Eq)]
struct Names<'s> {
    device_type: &'s str,
    device: Option<&'s str>,
    zone: Option<&'s str>,
    project: Option<&'s str>,
    property: Option<&'s str>,
}

/// Zone and project are left out: they are the same for all readings that are evaluated together.
impl Hash for Names<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.device_type, self.device, self.property).hash(state);
    }
}

impl<'s> Names<'s> {
    fn of(source: &'s Source<'s>) -> Self {
        Self {
            device_type: &source.device_type,
            device: source.device.as_deref(),
            zone: source.zone.as_deref(),
            project: source.project.as_deref(),
            property: source.property.as_deref(),
        }
    }
}

impl<'r, 's> Policies<'r, 's> {
    /// Of these rules; no source has come up.
    #[must_use]
    pub fn new(rules: &'r RuleSet) -> Self {
        Self { rules, known: HashMap::default() }
    }

    /// Whether any rule could do anything with a reading from `source`; where none could, its zone need not be looked up.
    pub fn are_interested_in(&mut self, source: &'s Source<'s>) -> bool {
        !self.of(source).rules.is_empty()
    }

    /// What the rules say for `source`.
    pub(super) fn of(&mut self, source: &'s Source<'s>) -> &Policy<'r> {
        let rules = self.rules;
        self.known.entry(Names::of(source)).or_insert_with(|| Policy::of(rules, source))
    }
}

impl<'r> Policy<'r> {
    fn of(rules: &'r RuleSet, source: &Source<'_>) -> Self {
        let rules: Vec<_> = rules.rules.iter().filter_map(|rule| Some((rule, rule.effective(source)?))).collect();
        let silences = rules.iter().filter(|(rule, _)| rule.kind == Kind::Silence);
        let shortest_silence = silences.filter_map(|(_, effective)| effective.after).min();
        Self { rules, shortest_silence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Reading;

    #[test]
    fn each_name_that_a_scope_can_hold_tells_sources_apart() {
        let text = |changed: &str, value: &str| {
            let names = ["DevType", "DEVID", "InsID", "PID", "PropId", "Display"];
            let members = names.map(|name| format!(r#""{name}":"{}""#, if name == changed { value } else { "a" }));
            format!("{{{}}}", members.join(","))
        };
        let sources = |changed: &str, are: bool| {
            let (one, other) = (text(changed, "a"), text(changed, "b"));
            let (one, other) = (Reading::read(&one).unwrap(), Reading::read(&other).unwrap());
            assert_eq!(Names::of(&one.source) == Names::of(&other.source), are, "{changed}");
        };
        ["DevType", "DEVID", "InsID", "PID", "PropId"].into_iter().for_each(|name| sources(name, false));
        sources("Display", true);
    }

    #[test]
    fn a_source_is_judged_by_its_own_rules_whichever_came_before_it() {
        let text = |kind: &str| format!(r#"{{"DevType":"SMARTCLEAN#{kind}","DEVID":"d","InsID":"z"}}"#);
        let (soap, unknown) = (text("SS"), text("KETTLE"));
        let (soap, unknown) = (Reading::read(&soap).unwrap(), Reading::read(&unknown).unwrap());
        let rules = RuleSet::pack();
        let mut policies = Policies::new(&rules);
        for _ in 0..2 {
            assert!(policies.are_interested_in(&soap.source));
            assert!(!policies.are_interested_in(&unknown.source));
        }
        assert_eq!(policies.known.len(), 2);
        let day = SignedDuration::from_hours(24);
        assert_eq!(policies.of(&soap.source).shortest_silence, Some(day));
        assert_eq!(policies.of(&unknown.source).shortest_silence, None);
    }
}
