//! The alerts that an audience or a mute is about: by rule, and by the lists of a scope.

use super::diagnostic::{Diagnostics, Position, Positioned, nearest_or_all};
use super::document::TableReader;
use super::scope::ScopeDraft;
use super::{MentionKind, RuleSet, Scope};
use crate::location::Location;
use crate::severity::Severity;

/// Alerts by rule and location: those in every list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertSelection {
    /// The ids of their rules.
    pub rules: Vec<String>,
    /// The devices that raise them.
    pub scope: Scope,
}

impl AlertSelection {
    /// Whether it contains the alerts of `rule` at `location`.
    #[must_use]
    pub fn contains(&self, rule: &str, location: &Location) -> bool {
        self.has_rule(rule) && self.scope.contains(&location.source())
    }

    fn has_rule(&self, rule: &str) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|known| known == rule)
    }

    /// Whether `table` has one of its lists, before they are read.
    pub(super) fn is_in(table: &TableReader<'_, '_>) -> bool {
        table.has("rules") || ScopeDraft::is_in(table)
    }

    /// Reads it. Reports unknown rules, and zones of other sites.
    pub(super) fn read(table: &mut TableReader<'_, '_>, set: &RuleSet) -> Self {
        let (rules, lists) = (table.texts("rules").unwrap_or_default(), ScopeDraft::read(table, &set.names));
        for Positioned { value: id, position } in &rules {
            if set.rule(id).is_none() {
                let known = set.rules.iter().map(|rule| rule.id.as_str());
                let suggestion = nearest_or_all(id, known, "it can be:");
                table.diagnostics.suggest(position, format!("no rule has the id `{id}`"), suggestion);
                return Self::default();
            }
        }
        let scope = lists.scope(table.diagnostics);
        let sites = scope.ids(MentionKind::Site);
        for Positioned { value: id, position } in lists.0.get(&MentionKind::Zone).into_iter().flatten() {
            let other = set.names.site_of(id).filter(|site| !sites.iter().any(|known| known == site));
            if let Some(site) = other.filter(|_| !sites.is_empty()) {
                let suggestion = format!("it is in `{site}`: add the site, or leave `sites` out");
                table.diagnostics.suggest(position, format!("the zone `{id}` is not in these sites"), suggestion);
            }
        }
        Self { rules: rules.into_iter().map(|id| id.value).collect(), scope }
    }

    /// Reports at `position` that it contains no alert of at least this severity. `noun` is what selects.
    pub(super) fn check_raised(
        &self,
        severity: Severity,
        (noun, position): (&str, &Position),
        set: &RuleSet,
        diagnostics: &mut Diagnostics,
    ) {
        let mut rules = set.rules.iter().filter(|rule| self.has_rule(&rule.id) && rule.scope.overlaps(&self.scope));
        if !rules.any(|rule| rule.severities().last() >= Some(&severity)) {
            let suggestion = "compare its rules, types and severity with those of the rules, or remove it";
            diagnostics.suggest(position, format!("no rule raises an alert for {noun}"), suggestion);
        }
    }
}
