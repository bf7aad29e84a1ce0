//! The rules and settings that apply to a source, computed once for all of its readings.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use jiff::SignedDuration;

use crate::reading::{MentionKind, Source};
use crate::rules::{Kind, Rule, RuleSet, Settings};

/// How long reminders go on for a device that sends nothing, if no silence rule watches it.
pub(super) const REMINDED_WITHOUT_READING: SignedDuration = SignedDuration::from_hours(24);

/// The rules that apply to one source.
#[derive(Debug)]
pub(super) struct Policy<'r> {
    /// The rules in their order, each with its settings for the source.
    pub(super) rules: Vec<(&'r Rule, Cow<'r, Settings>)>,
    /// The shortest silence that one of them allows.
    pub(super) shortest_silence: Option<SignedDuration>,
}

/// Caches the policy of each source.
#[derive(Debug)]
pub struct Policies<'r, 's> {
    rules: &'r RuleSet,
    /// By the ids of the source that a scope can list.
    by_source: HashMap<[Option<&'s str>; 5], Policy<'r>, RandomState>,
}

impl<'r, 's> Policies<'r, 's> {
    /// An empty cache for `rules`.
    #[must_use]
    pub fn new(rules: &'r RuleSet) -> Self {
        Self { rules, by_source: HashMap::default() }
    }

    /// Whether any rule applies to readings from `source`. If none does, the state of its zone is not needed.
    pub fn has_rules_for(&mut self, source: &'s Source<'s>) -> bool {
        !self.policy(source).rules.is_empty()
    }

    /// The policy of `source`.
    pub(super) fn policy(&mut self, source: &'s Source<'s>) -> &Policy<'r> {
        let rules = self.rules;
        self.by_source.entry(ids(source)).or_insert_with(|| Policy::new(rules, source))
    }
}

fn ids<'s>(source: &'s Source<'s>) -> [Option<&'s str>; 5] {
    MentionKind::ALL.map(|kind| source.id(kind))
}

impl<'r> Policy<'r> {
    fn new(rules: &'r RuleSet, source: &Source<'_>) -> Self {
        let rules: Vec<_> = rules.rules.iter().filter_map(|rule| Some((rule, rule.effective(source)?))).collect();
        let silences = rules.iter().filter(|(rule, _)| rule.kind == Kind::Silence);
        let shortest_silence = silences.filter_map(|(_, settings)| settings.after).min();
        Self { rules, shortest_silence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Reading;

    #[test]
    fn sources_differ_by_each_name_that_a_scope_can_hold() {
        let text = |changed: &str, value: &str| {
            let names = ["DevType", "DEVID", "InsID", "PID", "PropId", "Display"];
            let members = names.map(|name| format!(r#""{name}":"{}""#, if name == changed { value } else { "a" }));
            format!("{{{}}}", members.join(","))
        };
        let compare = |changed: &str, is_same: bool| {
            let (one, other) = (text(changed, "a"), text(changed, "b"));
            let (one, other) = (Reading::read(&one).unwrap(), Reading::read(&other).unwrap());
            assert_eq!(ids(&one.source) == ids(&other.source), is_same, "{changed}");
        };
        ["DevType", "DEVID", "InsID", "PID", "PropId"].into_iter().for_each(|name| compare(name, false));
        compare("Display", true);
    }

    #[test]
    fn each_source_has_its_own_policy() {
        let text = |kind: &str| format!(r#"{{"DevType":"SMARTCLEAN#{kind}","DEVID":"d","InsID":"z"}}"#);
        let (soap, unknown) = (text("SS"), text("KETTLE"));
        let (soap, unknown) = (Reading::read(&soap).unwrap(), Reading::read(&unknown).unwrap());
        let rules = RuleSet::pack();
        let mut policies = Policies::new(&rules);
        for _ in 0..2 {
            assert!(policies.has_rules_for(&soap.source));
            assert!(!policies.has_rules_for(&unknown.source));
        }
        assert_eq!(policies.by_source.len(), 2);
        let day = SignedDuration::from_hours(24);
        assert_eq!(policies.policy(&soap.source).shortest_silence, Some(day));
        assert_eq!(policies.policy(&unknown.source).shortest_silence, None);
    }
}
