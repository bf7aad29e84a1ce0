//! What a file changes of a rule, or an override of what it applies to: a changed limit keeps its severity, where that is
//! clear; where it is not, the file has to say it.

use std::collections::BTreeSet;

use super::draft::{LimitDraft, SettingsDraft};
use super::fault::{At, Faults, Location};
use crate::alert::Comparison;
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
    /// beside limits that have their own is a fault: it would have no effect.
    pub(super) fn share_severity(&mut self, faults: &mut Faults) {
        if !self.has_severities() {
            return;
        }
        if let Some(severity) = &self.severity {
            let message = "`severity` has no effect beside limits that have severities of their own";
            faults.suggest(&severity.location, message, self.one_limit(severity.value));
            return;
        }
        let severities = self.severities();
        let (Some(Some(severity)), 1, Some(limit)) = (severities.first(), severities.len(), self.limits().next())
        else {
            return;
        };
        self.severity = Some(At { value: *severity, location: limit.location.clone() });
        let listed = self.several.iter_mut().flat_map(|several| &mut several.tests);
        let limits = listed.filter_map(|test| test.limit.as_mut()).chain(&mut self.limit);
        limits.flat_map(|limit| &mut limit.levels).for_each(|(severity, _)| *severity = None);
    }

    /// Checks what `newer` changes of these settings of the rule `id`.
    pub(super) fn check_change(&self, newer: &Self, id: &str, faults: &mut Faults) {
        self.check_severity(newer, id, faults);
        self.check_direction(newer, id, faults);
    }

    /// Every setting that is written: its key, and its place.
    pub(super) fn written(&self) -> impl Iterator<Item = (&'static str, &Location)> {
        fn at<'d, T>(key: &'static str, written: &'d Option<At<T>>) -> Option<(&'static str, &'d Location)> {
            written.as_ref().map(|written| (key, &written.location))
        }
        let baseline = self.baseline.as_ref().and_then(|baseline| baseline.first());
        let several = self.several.as_ref();
        [
            at("enabled", &self.enabled),
            at("severity", &self.severity),
            at("metric", &self.metric),
            self.limit.as_ref().map(|limit| (limit.key, &limit.location)),
            several.map(|several| (if several.all { "all" } else { "any" }, &several.location)),
            baseline.map(|(metric, _)| ("baseline", &metric.location)),
            at("active", &self.active),
            at("block", &self.block),
            at("clear", &self.clear),
            at("for", &self.lasting),
            at("max_gap", &self.max_gap),
            at("resolved", &self.resolved),
            at("reminder", &self.reminder),
            at("count", &self.count),
            at("within", &self.within),
            at("carry", &self.carry),
            at("restart_at", &self.restart_at),
            at("after", &self.after),
        ]
        .into_iter()
        .flatten()
    }

    /// Each setting that `other` sets as well, for the same scope, is a fault: only one of the two has an effect.
    pub(super) fn check_not_set_by(&self, other: &Self, faults: &mut Faults) {
        /// Limits take each other's place, whatever they are.
        fn subject(key: &str) -> String {
            let is_limit = matches!(key, "all" | "any" | "above" | "at_least" | "below" | "at_most" | "deviates");
            if is_limit { "a limit".to_owned() } else { format!("`{key}`") }
        }
        for (key, location) in self.written() {
            if let Some((_, first)) = other.written().find(|(other, _)| subject(other) == subject(key)) {
                let message =
                    format!("another override of the same scope sets {} in line {}", subject(key), first.line);
                faults.suggest(location, message, "join the two overrides, or leave one of the values out");
            }
        }
    }

    fn limits(&self) -> impl Iterator<Item = &LimitDraft> {
        let listed = self.several.iter().flat_map(|several| &several.tests);
        listed.filter_map(|test| test.limit.as_ref()).chain(&self.limit).filter(|limit| !limit.levels.is_empty())
    }

    /// The severities of all limits; `None` for a limit without one of its own.
    fn severities(&self) -> BTreeSet<Option<Severity>> {
        self.limits().flat_map(|limit| &limit.levels).map(|(severity, _)| *severity).collect()
    }

    /// One limit with `severity`, as it would be written.
    fn one_limit(&self, severity: Severity) -> String {
        let leave_out = "leave it out";
        match self.limit.as_ref().and_then(|limit| Some((limit.key, limit.levels.first()?.1))) {
            Some((key, limit)) => {
                format!("{leave_out}, or write one limit: {key} = {limit}, severity = \"{severity}\"")
            }
            None => leave_out.to_owned(),
        }
    }

    /// Where there are several severities, a limit without one leaves open which is meant, and a severity without a limit
    /// has no effect.
    fn check_severity(&self, newer: &Self, id: &str, faults: &mut Faults) {
        let severities = self.severities();
        if severities.len() < 2 {
            return;
        }
        let plain =
            newer.limits().find_map(|limit| Some((limit, limit.levels.iter().find(|(own, _)| own.is_none())?.1)));
        match (&newer.severity, plain) {
            (None, Some((limit, value))) => {
                let known = self.limit.as_ref().map(|known| changed(known, limit, value));
                let message =
                    format!("the limits of `{id}` have several severities, and `{} = {value}` has none", limit.key);
                let table =
                    known.map_or_else(|| "give each limit its own".to_owned(), |table| format!("write {table}"));
                let suggestion = format!("{table}, or add `severity`: {} = {value}, severity = \"high\"", limit.key);
                faults.suggest(&limit.location, message, suggestion);
            }
            (Some(severity), None) if !severities.contains(&None) && !newer.has_limits() => {
                let message = format!("`severity` has no effect: the limits of `{id}` have severities of their own");
                faults.suggest(&severity.location, message, self.one_limit(severity.value));
            }
            _ => {}
        }
    }

    /// A limit in the other direction turns a rule into another one.
    fn check_direction(&self, newer: &Self, id: &str, faults: &mut Faults) {
        let known = self.compared(None);
        let only_metric = self.metric.as_ref().map(|metric| metric.value.as_str());
        for (metric, limit) in newer.compared(only_metric) {
            let turned =
                known.iter().find(|(of, other)| *of == metric && rises(other.comparison) != rises(limit.comparison));
            if let Some((_, other)) = turned {
                let message = format!("`{}` is the other direction than `{}` of the rule `{id}`", limit.key, other.key);
                let suggestion = format!("write `{}`, or give a rule of your own another id", other.key);
                faults.warn(&limit.location, message, suggestion);
            }
        }
    }

    /// Each limit with its metric, which is `default` where none is written.
    fn compared<'d>(&'d self, default: Option<&'d str>) -> Vec<(&'d str, &'d LimitDraft)> {
        let one = self.limit.as_ref().map(|limit| (self.metric.as_ref(), limit));
        let listed = self.several.iter().flat_map(|several| &several.tests);
        let listed = listed.filter_map(|test| Some((test.metric.as_ref(), test.limit.as_ref()?)));
        let named = |(metric, limit): (Option<&'d At<String>>, _)| {
            Some((metric.map(|metric| metric.value.as_str()).or(default)?, limit))
        };
        one.into_iter().chain(listed).filter_map(named).collect()
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
        levels[index].1 = value;
        levels
    };
    let is_ordered = |levels: &[(Option<Severity>, f64)]| {
        levels
            .windows(2)
            .all(|pair| if rises(limit.comparison) { pair[0].1 < pair[1].1 } else { pair[0].1 > pair[1].1 })
    };
    let levels = (0..known.levels.len()).map(with).find(|levels| is_ordered(levels)).unwrap_or_else(|| with(0));
    let written = levels.iter().map(|(severity, limit)| format!("{} = {limit}", severity.map_or("", Severity::as_str)));
    format!("{} = {{ {} }}", limit.key, written.collect::<Vec<_>>().join(", "))
}
