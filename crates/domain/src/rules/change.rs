//! What a file changes of a rule, or an override of what it applies to: a changed limit keeps its severity, where that is
//! clear; where it is not, the file has to say it.

use std::collections::BTreeSet;

use super::Level;
use super::diagnostic::{Diagnostics, Position, Positioned};
use super::draft::{LimitDraft, SettingsDraft, TestDraft};
use super::values::COMPARISONS;
use crate::breach::Comparison;
use crate::severity::Severity;

impl SettingsDraft {
    /// Whether a limit is written.
    pub(super) fn has_limits(&self) -> bool {
        self.limits().next().is_some()
    }

    /// Whether limits are written and each has a severity of its own.
    pub(super) fn has_severities(&self) -> bool {
        self.has_limits() && !self.severities().contains(&None)
    }

    /// Moves the one severity that all limits share beside them, so that a later change of the limit keeps it. A severity
    /// beside limits that have their own is a diagnostic: it would have no effect.
    pub(super) fn share_severity(&mut self, diagnostics: &mut Diagnostics) {
        if !self.has_severities() {
            return;
        }
        if let Some(severity) = &self.severity {
            let message = "`severity` has no effect beside limits that have severities of their own";
            diagnostics.suggest(&severity.position, message, self.one_limit(severity.value));
            return;
        }
        let severities = self.severities();
        let (Some(Some(severity)), 1, Some(limit)) = (severities.first(), severities.len(), self.limits().next())
        else {
            return;
        };
        self.severity = Some(Positioned { value: *severity, position: limit.position.clone() });
        let listed = self.several.iter_mut().flat_map(|several| &mut several.tests).map(|test| &mut test.value);
        let limits = listed.chain([&mut self.test]).filter_map(|test| test.limit.as_mut());
        limits.flat_map(|limit| &mut limit.levels).for_each(|level| level.severity = None);
    }

    /// Checks what `newer` changes of these settings of the rule `id`.
    pub(super) fn check_change(&self, newer: &Self, id: &str, diagnostics: &mut Diagnostics) {
        self.check_severity(newer, id, diagnostics);
        self.check_direction(newer, id, diagnostics);
    }

    /// Every setting that is written: its key, and its position.
    pub(super) fn written(&self) -> impl Iterator<Item = (&'static str, &Position)> {
        let test = self.test.metric.iter().map(|metric| ("metric", &metric.position));
        let limit = self.test.limit.iter().map(|limit| (limit.key, &limit.position));
        let several = self.several.iter().map(|several| (several.join.as_str(), &several.position));
        let baseline = self.baseline.iter().flatten().take(1).map(|(metric, _)| ("baseline", &metric.position));
        let severity = self.severity.iter().map(|severity| ("severity", &severity.position));
        let others = self.others.iter().map(|(key, setting)| (*key, &setting.position));
        test.chain(limit).chain(several).chain(baseline).chain(severity).chain(others)
    }

    /// Each setting that `other` sets as well, for the same scope, is a diagnostic: only one of the two has an effect.
    pub(super) fn check_not_set_by(&self, other: &Self, diagnostics: &mut Diagnostics) {
        /// Limits take each other's position, whatever they are.
        fn subject(key: &str) -> String {
            let is_limit = matches!(key, "all" | "any") || COMPARISONS.iter().any(|(known, ..)| *known == key);
            if is_limit { "a limit".to_owned() } else { format!("`{key}`") }
        }
        for (key, position) in self.written() {
            if let Some((_, first)) = other.written().find(|(other, _)| subject(other) == subject(key)) {
                let message =
                    format!("another override of the same scope sets {} in line {}", subject(key), first.line);
                diagnostics.suggest(position, message, "join the two overrides, or leave one of the values out");
            }
        }
    }

    fn limits(&self) -> impl Iterator<Item = &LimitDraft> {
        self.tests().filter_map(|test| test.limit.as_ref()).filter(|limit| !limit.levels.is_empty())
    }

    fn tests(&self) -> impl Iterator<Item = &TestDraft> {
        self.several.iter().flat_map(|several| &several.tests).map(|test| &test.value).chain([&self.test])
    }

    /// The severities of all limits; `None` for a limit without one of its own.
    fn severities(&self) -> BTreeSet<Option<Severity>> {
        self.limits().flat_map(|limit| &limit.levels).map(|level| level.severity).collect()
    }

    /// One limit with `severity`, as it would be written.
    fn one_limit(&self, severity: Severity) -> String {
        let leave_out = "leave it out";
        match self.test.limit.as_ref().and_then(|limit| Some((limit.key, limit.levels.first()?.limit))) {
            Some((key, limit)) => {
                format!("{leave_out}, or write one limit: {key} = {limit}, severity = \"{severity}\"")
            }
            None => leave_out.to_owned(),
        }
    }

    /// Where there are several severities, a limit without one leaves open which is meant, and a severity without a limit
    /// has no effect.
    fn check_severity(&self, newer: &Self, id: &str, diagnostics: &mut Diagnostics) {
        let severities = self.severities();
        if severities.len() < 2 {
            return;
        }
        let plain = newer
            .limits()
            .find_map(|limit| Some((limit, limit.levels.iter().find(|level| level.severity.is_none())?.limit)));
        match (&newer.severity, plain) {
            (None, Some((limit, value))) => {
                let known = self.test.limit.as_ref().map(|known| changed(known, limit, value));
                let message =
                    format!("the limits of `{id}` have several severities, and `{} = {value}` has none", limit.key);
                let table =
                    known.map_or_else(|| "give each limit its own".to_owned(), |table| format!("write {table}"));
                let suggestion = format!("{table}, or add `severity`: {} = {value}, severity = \"high\"", limit.key);
                diagnostics.suggest(&limit.position, message, suggestion);
            }
            (Some(severity), None) if !severities.contains(&None) && !newer.has_limits() => {
                let message = format!("`severity` has no effect: the limits of `{id}` have severities of their own");
                diagnostics.suggest(&severity.position, message, self.one_limit(severity.value));
            }
            _ => {}
        }
    }

    /// A limit in the other direction turns a rule into another one.
    fn check_direction(&self, newer: &Self, id: &str, diagnostics: &mut Diagnostics) {
        let known = self.compared(None);
        let only_metric = self.test.metric.as_ref().map(|metric| metric.value.as_str());
        for (metric, limit) in newer.compared(only_metric) {
            let turned =
                known.iter().find(|(of, other)| *of == metric && rises(other.comparison) != rises(limit.comparison));
            if let Some((_, other)) = turned {
                let message = format!("`{}` is the other direction than `{}` of the rule `{id}`", limit.key, other.key);
                let suggestion = format!("write `{}`, or give a rule of your own another id", other.key);
                diagnostics.warn(&limit.position, message, suggestion);
            }
        }
    }

    /// Each limit with its metric, which is `default` where none is written.
    fn compared<'d>(&'d self, default: Option<&'d str>) -> Vec<(&'d str, &'d LimitDraft)> {
        let compared = |test: &'d TestDraft| {
            let metric = test.metric.as_ref().map(|metric| metric.value.as_str()).or(default)?;
            Some((metric, test.limit.as_ref()?))
        };
        self.tests().filter_map(compared).collect()
    }
}

/// Whether values above the limit break it.
pub(super) fn rises(comparison: Comparison) -> bool {
    !matches!(comparison, Comparison::Below | Comparison::AtMost)
}

/// The table of `known` with `value` in place of the first limit beside which it keeps their order, as `limit` compares.
fn changed(known: &LimitDraft, limit: &LimitDraft, value: f64) -> String {
    let with = |index: usize| {
        let mut levels = known.levels.clone();
        levels[index].limit = value;
        levels
    };
    let is_ordered = |levels: &[Level]| levels.windows(2).all(|pair| are_ordered(limit.comparison, pair));
    let levels = (0..known.levels.len()).map(with).find(|levels| is_ordered(levels)).unwrap_or_else(|| with(0));
    let written = levels.iter().map(|level| format!("{} = {}", level.name(), level.limit));
    format!("{} = {{ {} }}", limit.key, written.collect::<Vec<_>>().join(", "))
}

/// Whether the limits of two levels, the milder first, are in the order in which a worsening value breaks them.
pub(super) fn are_ordered(comparison: Comparison, pair: &[Level]) -> bool {
    if rises(comparison) { pair[0].limit < pair[1].limit } else { pair[0].limit > pair[1].limit }
}

impl Level {
    /// Its key in a table of limits.
    pub(super) fn name(&self) -> &'static str {
        self.severity.map_or("", Severity::as_str)
    }
}
