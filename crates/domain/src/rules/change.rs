//! Checks of a change: a file changes a built-in rule, an override changes its rule. A changed limit keeps its severity if
//! there is only one; otherwise the change has to state it.

use std::collections::BTreeSet;

use super::diagnostic::{Diagnostics, Position, Positioned};
use super::draft::SettingsDraft;
use super::values::{LimitDraft, TestDraft};
use super::{Join, Level, Setting};
use crate::breach::Comparison;
use crate::severity::Severity;

impl SettingsDraft {
    /// Whether it sets a limit.
    pub(super) fn has_limits(&self) -> bool {
        self.limits().next().is_some()
    }

    /// Whether it sets limits and each has a severity of its own.
    pub(super) fn has_severities(&self) -> bool {
        self.has_limits() && !self.severities().contains(&None)
    }

    /// Moves the severity that all limits share into `severity`, so that a later change of the limit keeps it. Reports a
    /// `severity` beside limits that have their own, because it has no effect.
    pub(super) fn share_severity(&mut self, diagnostics: &mut Diagnostics) {
        if !self.has_severities() {
            return;
        }
        if let Some(severity) = self.others.get("severity") {
            let message = "`severity` has no effect beside limits that have severities of their own";
            diagnostics.suggest(&severity.position, message, "leave it out");
            return;
        }
        let severities = self.severities();
        let (1, Some(Some(value)), Some(limit)) = (severities.len(), severities.first(), self.limits().next()) else {
            return;
        };
        let severity = Positioned { value: Setting::Severity(*value), position: limit.position.clone() };
        self.others.insert("severity", severity);
        let listed = self.several.iter_mut().flat_map(|several| &mut several.tests).map(|test| &mut test.value);
        let limits = listed.chain([&mut self.test]).filter_map(|test| test.limit.as_mut());
        limits.flat_map(|limit| &mut limit.levels).for_each(|level| level.severity = None);
    }

    /// Checks the changes that `newer` makes to these settings of the rule `id`.
    pub(super) fn check_change(&self, newer: &Self, id: &str, diagnostics: &mut Diagnostics) {
        self.check_severity(newer, id, diagnostics);
        self.check_direction(newer, id, diagnostics);
    }

    /// The key and the position of every setting.
    pub(super) fn written(&self) -> impl Iterator<Item = (&'static str, &Position)> {
        let test = self.test.metric.iter().map(|metric| ("metric", &metric.position));
        let limit = self.test.limit.iter().map(|limit| (limit.comparison.as_str(), &limit.position));
        let several = self.several.iter().map(|several| (several.join.as_str(), &several.position));
        let baseline = self.baseline.iter().flatten().take(1).map(|(metric, _)| ("baseline", &metric.position));
        let others = self.others.iter().map(|(key, setting)| (*key, &setting.position));
        test.chain(limit).chain(several).chain(baseline).chain(others)
    }

    /// Reports each setting that `other` sets for the same scope: only one of the two has an effect.
    pub(super) fn check_not_set_by(&self, other: &Self, diagnostics: &mut Diagnostics) {
        /// Limits replace each other, whichever their keys are.
        fn subject(key: &str) -> String {
            let is_limit = Join::named(key).is_some() || Comparison::named(key).is_some();
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

    /// The severities of all limits; `None` for limits without one of their own.
    fn severities(&self) -> BTreeSet<Option<Severity>> {
        self.limits().flat_map(|limit| &limit.levels).map(|level| level.severity).collect()
    }

    /// If the limits have several severities, a new limit without one is ambiguous, and a severity without a limit has no
    /// effect.
    fn check_severity(&self, newer: &Self, id: &str, diagnostics: &mut Diagnostics) {
        let severities = self.severities();
        if severities.len() < 2 {
            return;
        }
        let plain = newer
            .limits()
            .find_map(|limit| Some((limit, limit.levels.iter().find(|level| level.severity.is_none())?.limit)));
        match (newer.others.get("severity"), plain) {
            (None, Some((LimitDraft { comparison: key, position, .. }, value))) => {
                let message = format!("the limits of `{id}` have several severities, and `{key} = {value}` has none");
                let suggestion =
                    format!("give each limit its own, or add `severity`: {key} = {value}, severity = \"high\"");
                diagnostics.suggest(position, message, suggestion);
            }
            (Some(severity), None) if !severities.contains(&None) && !newer.has_limits() => {
                let message = format!("`severity` has no effect: the limits of `{id}` have severities of their own");
                diagnostics.suggest(&severity.position, message, "leave it out");
            }
            _ => {}
        }
    }

    /// Warns of a limit in the other direction: it makes the rule a different one.
    fn check_direction(&self, newer: &Self, id: &str, diagnostics: &mut Diagnostics) {
        let known = self.limits_by_metric(None);
        let only_metric = self.test.metric.as_ref().map(|metric| metric.value.as_str());
        for (metric, limit) in newer.limits_by_metric(only_metric) {
            let is_opposite = |other: &LimitDraft| rises(other.comparison) != rises(limit.comparison);
            if let Some((_, other)) = known.iter().find(|(of, other)| *of == metric && is_opposite(other)) {
                let message = format!(
                    "`{}` has the opposite direction of `{}` in the rule `{id}`",
                    limit.comparison, other.comparison
                );
                let suggestion = format!("write `{}`, or give your own rule another id", other.comparison);
                diagnostics.warn(&limit.position, message, suggestion);
            }
        }
    }

    /// Each limit with its metric. A limit without a metric has `default`.
    fn limits_by_metric<'d>(&'d self, default: Option<&'d str>) -> Vec<(&'d str, &'d LimitDraft)> {
        let limit = |test: &'d TestDraft| {
            let metric = test.metric.as_ref().map(|metric| metric.value.as_str()).or(default)?;
            Some((metric, test.limit.as_ref()?))
        };
        self.tests().filter_map(limit).collect()
    }
}

/// Whether values above the limit breach it.
pub(super) fn rises(comparison: Comparison) -> bool {
    !matches!(comparison, Comparison::Below | Comparison::AtMost)
}

/// Whether a worsening value breaches the first of two levels, the milder one, before the second.
pub(super) fn are_ordered(comparison: Comparison, pair: &[Level]) -> bool {
    if rises(comparison) { pair[0].limit < pair[1].limit } else { pair[0].limit > pair[1].limit }
}

impl Level {
    /// The key in a table of limits.
    pub(super) fn name(&self) -> &'static str {
        self.severity.map_or("", Severity::as_str)
    }
}
