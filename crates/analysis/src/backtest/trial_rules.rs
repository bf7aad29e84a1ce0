//! The rules of a trial.

use domain::reading::Source;
use domain::rules::{Kind, RuleSet};

/// A set of rules of a trial.
#[derive(Debug)]
pub(super) struct TrialRules<'r> {
    pub(super) name: &'r str,
    pub(super) rules: &'r RuleSet,
    /// The rules that can be due while nothing arrives.
    pub(super) without_silences: RuleSet,
}

impl<'r> TrialRules<'r> {
    pub(super) fn new((name, rules): &'r (String, RuleSet)) -> Self {
        let mut without_silences = rules.clone();
        without_silences.rules.retain(|rule| rule.kind != Kind::Silence);
        Self { name, rules, without_silences }
    }

    /// Whether any rule applies to `source`.
    pub(super) fn apply_to(&self, source: &Source<'_>) -> bool {
        self.rules.rules.iter().any(|rule| rule.effective(source).is_some())
    }
}
