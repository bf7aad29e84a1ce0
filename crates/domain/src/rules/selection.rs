//! The alerts that an audience or a mute is about: by rule, and by the lists of a scope.

use super::diagnostic::{Diagnostics, Position, Positioned, nearest_or_all};
use super::document::TableReader;
use super::names::Names;
use super::scope::{ScopeDraft, compile_scope};
use super::{MentionKind, Rule, Scope};
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
}

/// A selection as it is written.
#[derive(Debug)]
pub(super) struct SelectionDraft {
    rules: Vec<Positioned<String>>,
    pub(super) scope: ScopeDraft,
}

impl SelectionDraft {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Self {
        Self { rules: table.texts("rules").unwrap_or_default(), scope: ScopeDraft::read(table) }
    }

    /// Whether `table` has one of its lists, before they are read.
    pub(super) fn is_in(table: &TableReader<'_, '_>) -> bool {
        table.has("rules") || ScopeDraft::is_in(table)
    }

    /// Compiles it for alerts of at least this `severity`. Reports unknown rules, zones of other sites, and at `position` that no alert of `rules` can
    /// be in it, unless it can be empty: then `severity` is `None`. `noun` is what selects: "the audience `day-team`".
    pub(super) fn compile(
        &self,
        (noun, position): (&str, &Position),
        severity: Option<Severity>,
        rules: &[Rule],
        names: &Names,
        diagnostics: &mut Diagnostics,
    ) -> AlertSelection {
        for Positioned { value: id, position } in &self.rules {
            if !rules.iter().any(|rule| rule.id == *id) {
                let suggestion = nearest_or_all(id, rules.iter().map(|rule| rule.id.as_str()), "it can be:");
                diagnostics.suggest(position, format!("no rule has the id `{id}`"), suggestion);
                return AlertSelection::default();
            }
        }
        let selection = AlertSelection {
            rules: self.rules.iter().map(|id| id.value.clone()).collect(),
            scope: compile_scope(&self.scope, diagnostics),
        };
        for (kind, zones) in self.scope.lists().filter(|_| !selection.scope.sites.is_empty()) {
            for Positioned { value: id, position } in zones.iter().filter(|_| kind == MentionKind::Zone) {
                let site = names.zones.get(id).and_then(|zone| zone.site.as_ref());
                if let Some(site) = site.filter(|site| !selection.scope.sites.contains(*site)) {
                    let suggestion = format!("it is in `{site}`: add the site, or leave `sites` out");
                    diagnostics.suggest(position, format!("the zone `{id}` is not in these sites"), suggestion);
                }
            }
        }
        let can_raise = |rule: &Rule| selection.has_rule(&rule.id) && rule.scope.overlaps(&selection.scope);
        if severity.is_some()
            && !rules.iter().any(|rule| can_raise(rule) && rule.severities().last() >= severity.as_ref())
        {
            let suggestion = "compare its rules, types and severity with those of the rules, or remove it";
            diagnostics.suggest(position, format!("no rule raises an alert for {noun}"), suggestion);
        }
        selection
    }
}
