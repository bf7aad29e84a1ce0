//! Compiles written rules into [`Rule`]s, and reports what is missing or cannot be meant.

use super::change::{are_ordered, rises};
use super::diagnostic::{Diagnostics, Position, Positioned, nearest_or_all};
use super::draft::{OverrideDraft, RuleDraft, SettingsDraft};
use super::settings::{SETTINGS, Setting, Settings};
use super::values::{LimitDraft, SeveralDraft, TestDraft, check_id};
use super::{Block, Condition, Join, Kind, Level, MentionKind, Rule, Scope, Test};
use crate::breach::Comparison;
use crate::device::short_name;
use crate::rules::template::{PLACEHOLDERS, unknown_placeholders};

/// Longest message template, in characters.
const LONGEST_MESSAGE: usize = 400;

/// Compiles a rule. `None` if it has no condition and needs one, which is reported.
pub(super) fn compile_rule(draft: &RuleDraft, block: Block, diagnostics: &mut Diagnostics) -> Option<Rule> {
    diagnostics.within_rule(&draft.id.position, |diagnostics| {
        check_id(&draft.id, diagnostics);
        if let Some(message) = &draft.message {
            check_message(message, diagnostics);
        }
        let kind = draft.kind.as_ref().map_or(Kind::Threshold, |kind| kind.value);
        let scope = draft.scope.scope(diagnostics);
        let mut compiler = RuleCompiler { types: scope.ids(MentionKind::Type), rule: draft, kind, diagnostics };
        let condition = compiler.condition(&draft.settings);
        compiler.check_complete(condition.as_ref());
        compiler.check_targets(&draft.settings);
        let overrides = compiler.overrides(condition.as_ref());
        let mut settings = Settings { block, ..Settings::default() };
        compiler.settings(&draft.settings, condition).iter().for_each(|setting| settings.set(setting));
        (settings.condition.is_some() || kind == Kind::Silence).then(|| Rule {
            id: draft.id.value.clone(),
            position: draft.id.position.clone(),
            kind,
            title: draft.title.as_ref().map(|title| title.value.clone()).unwrap_or_default(),
            template: draft.message.as_ref().map(|message| message.value.clone()),
            action: draft.action.as_ref().map(|action| action.value.clone()),
            settings,
            overrides,
            scope,
        })
    })
}

fn check_message(Positioned { value: message, position }: &Positioned<String>, diagnostics: &mut Diagnostics) {
    if message.chars().count() > LONGEST_MESSAGE {
        let suggestion = format!("use at most {LONGEST_MESSAGE} characters; an SMS has room for fewer");
        diagnostics.suggest(position, "the message is too long", suggestion);
    }
    for name in unknown_placeholders(message) {
        let (message, suggestion) = match name {
            "{" | "}" => (format!("a `{name}` without its partner"), format!("write `{name}{name}` for a brace")),
            _ => {
                let suggestion = nearest_or_all(name, PLACEHOLDERS.iter().copied(), "it can be:");
                (format!("unknown placeholder `{{{name}}}`"), suggestion)
            }
        };
        diagnostics.suggest(position, message, suggestion);
    }
}

/// Compiles the settings of one rule and of its overrides.
pub(super) struct RuleCompiler<'d> {
    /// The device types in the rule's scope; empty for all.
    pub(super) types: &'d [String],
    rule: &'d RuleDraft,
    pub(super) kind: Kind,
    pub(super) diagnostics: &'d mut Diagnostics,
}

impl RuleCompiler<'_> {
    fn settings(&mut self, draft: &SettingsDraft, condition: Option<Condition>) -> Vec<Setting> {
        for (metric, _) in draft.baseline.iter().flatten() {
            self.check_metric(metric, None);
        }
        self.check_kinds(draft);
        let baseline = draft.baseline.iter().map(|baseline| {
            Setting::Baseline(baseline.iter().map(|(metric, value)| (metric.value.clone(), *value)).collect())
        });
        let others = draft.others.values().map(|setting| setting.value.clone());
        // A clear level belongs to its limit: another limit does not keep it.
        let condition = condition.map(|condition| [Setting::Condition(Some(condition)), Setting::Clear(None)]);
        condition.into_iter().flatten().chain(baseline).chain(others).collect()
    }

    /// Reports each setting that has no effect in a rule of this kind.
    fn check_kinds(&mut self, draft: &SettingsDraft) {
        use Kind::{Accumulate, Count, Reasons, Threshold};
        for (key, position) in draft.written() {
            let kinds: &[Kind] = match SETTINGS.iter().find(|setting| setting.key == key) {
                Some(setting) => setting.kinds,
                None if key == "metric" => &[Threshold, Count, Reasons, Accumulate],
                None => continue,
            };
            if !kinds.contains(&self.kind) {
                let words: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
                let message = format!("`{key}` has no effect in a rule of kind `{}`", self.kind.as_str());
                self.diagnostics.suggest(position, message, format!("it belongs to {}", words.join(", ")));
            }
        }
    }

    /// Reports a target for the end that is shorter than the one for the begin. Targets that `draft` does not set are those of the
    /// rule.
    fn check_targets(&mut self, draft: &SettingsDraft) {
        let keys = ["respond_within", "clean_within"];
        let Some(own) = keys.iter().rev().find_map(|key| draft.others.get(key)) else { return };
        let target = |key| match draft.others.get(key).or_else(|| self.rule.settings.others.get(key))?.value {
            Setting::RespondWithin(target) | Setting::CleanWithin(target) => target,
            _ => None,
        };
        let [Some(respond), Some(clean)] = keys.map(target) else { return };
        if clean < respond {
            let message = format!("`clean_within`, {clean:#}, is shorter than `respond_within`, {respond:#}");
            self.diagnostics.suggest(
                &own.position,
                message,
                "nobody is done before they begin: set it to at least that",
            );
        }
    }

    /// The overrides, the widest first. Of two with the same scope the later one in the file is last.
    fn overrides(&mut self, condition: Option<&Condition>) -> Vec<(Scope, Vec<Setting>)> {
        let rule = self.rule;
        let mut parts: Vec<(Scope, &OverrideDraft)> =
            rule.overrides.iter().map(|part| (self.override_scope(part), part)).collect();
        parts.sort_by_key(|(scope, _)| scope.narrowness());
        for (index, (scope, part)) in parts.iter().enumerate() {
            let wider: Vec<_> = parts[..index].iter().filter(|(wider, _)| wider.overlaps(scope)).collect();
            let changed = wider.iter().rev().map(|(_, wider)| &wider.settings).find(|wider| wider.has_limits());
            changed.unwrap_or(&rule.settings).check_change(&part.settings, &rule.id.value, self.diagnostics);
            // An override without a scope is reported already.
            let same =
                wider.iter().filter(|(other, _)| other.narrowness() == scope.narrowness() && !scope.0.is_empty());
            for (_, other) in same {
                part.settings.check_not_set_by(&other.settings, self.diagnostics);
            }
        }
        let mut compiled: Vec<(Scope, Vec<Setting>)> = Vec::with_capacity(parts.len());
        for (scope, OverrideDraft { settings, .. }) in parts {
            let own = self.override_condition(settings, condition);
            let wider = compiled.iter().rev().filter(|(wider, _)| wider.overlaps(&scope)).flat_map(|(_, wider)| wider);
            let mut wider = wider.filter_map(|setting| match setting {
                Setting::Condition(condition) => condition.as_ref(),
                _ => None,
            });
            if self.kind == Kind::Threshold
                && let Some(condition) = own.as_ref().or_else(|| wider.next().or(condition))
            {
                self.check_clear(settings, condition);
            }
            self.check_targets(settings);
            compiled.push((scope, self.settings(settings, own)));
        }
        compiled
    }

    /// The scope of an override. Reports ids outside the scope of the rule.
    fn override_scope(&mut self, part: &OverrideDraft) -> Scope {
        let rule = self.rule;
        for (kind, written) in &part.scope.0 {
            let Some(known) = rule.scope.0.get(kind) else { continue };
            let is_inside = |name: &str| known.iter().any(|known| short_name(&known.value) == short_name(name));
            for Positioned { value: name, position } in written.iter().filter(|name| !is_inside(&name.value)) {
                // An unknown name is reported already.
                if self.diagnostics.has(position) {
                    continue;
                }
                let message = format!("the rule `{}` does not apply to the {} `{name}`", rule.id.value, kind.as_str());
                let known = known.iter().map(|name| name.value.as_str());
                self.diagnostics.suggest(position, message, nearest_or_all(name, known, "it applies to"));
            }
        }
        part.scope.scope(self.diagnostics)
    }

    /// The condition of an override. A limit alone is for the one metric of the rule.
    fn override_condition(&mut self, draft: &SettingsDraft, rule: Option<&Condition>) -> Option<Condition> {
        let (TestDraft { metric: None, limit: Some(limit), .. }, Some(Condition { tests, .. })) = (&draft.test, rule)
        else {
            return self.condition(draft);
        };
        match tests.as_slice() {
            [test] => {
                self.check_reachable(&test.metric, limit);
                let levels = compile_levels(limit, self.diagnostics);
                let test = Test { metric: test.metric.clone(), comparison: limit.comparison, levels };
                Some(Condition { join: Join::Any, tests: vec![test] })
            }
            [] => None,
            _ => {
                let message = "the rule has several tests, and the limit names none of them";
                self.diagnostics.suggest(&limit.position, message, "write the whole `all` or `any` list here");
                None
            }
        }
    }

    fn condition(&mut self, draft: &SettingsDraft) -> Option<Condition> {
        if let Some(SeveralDraft { join, tests, .. }) = &draft.several {
            let tests = tests.iter().filter_map(|test| self.test(&test.value, &test.position)).collect();
            return Some(Condition { join: *join, tests });
        }
        let TestDraft { metric, limit, .. } = &draft.test;
        let position = limit.as_ref().map(|limit| &limit.position).or(metric.as_ref().map(|of| &of.position))?;
        // A faulty test still makes a condition, so that the rule does not count as one without a condition.
        Some(Condition { join: Join::Any, tests: self.test(&draft.test, position).into_iter().collect() })
    }

    /// Reports what a rule of this kind needs and this rule does not have.
    fn check_complete(&mut self, condition: Option<&Condition>) {
        let Positioned { value: id, position } = &self.rule.id;
        if self.rule.title.is_none() {
            let suggestion = "add the heading of the alert, for example title = \"Bad smell\"";
            self.diagnostics.suggest(position, format!("the rule `{id}` needs a `title`"), suggestion);
        }
        let has = |key| self.rule.settings.others.contains_key(key);
        let needs = |need: &str| format!("the rule `{id}` needs {need}");
        let (message, suggestion) = match (self.kind, condition) {
            (Kind::Silence, _) if !has("after") => {
                (needs("an `after`"), "add the longest normal silence: after = \"24h\"")
            }
            (Kind::Silence, _) => return,
            (_, None) => {
                (format!("the rule `{id}` compares nothing"), "give it a metric and a limit: metric = \"p\", below = 5")
            }
            (Kind::Accumulate, Some(Condition { tests, .. })) => match tests.as_slice() {
                [] | [Test { comparison: Comparison::AtLeast | Comparison::Above, .. }] => return,
                _ => (needs("one metric with `at_least` or `above`"), "a sum can only rise to its limit"),
            },
            (Kind::Threshold, Some(condition)) => return self.check_clear(&self.rule.settings, condition),
            (Kind::Count, Some(_)) if !has("within") => {
                (needs("a `within`"), "add the window in which it counts: within = \"10m\"")
            }
            (Kind::Count | Kind::Reasons, Some(_)) => return,
        };
        self.diagnostics.suggest(position, message, suggestion);
    }

    /// Reports a clear level on the alert side of the mildest limit of `condition`.
    fn check_clear(&mut self, draft: &SettingsDraft, condition: &Condition) {
        let clear = draft.others.get("clear");
        let Some(Positioned { value: Setting::Clear(Some(clear)), position }) = clear else { return };
        let [test] = condition.tests.as_slice() else {
            self.diagnostics.suggest(position, "`clear` needs one metric", "several tests have no common level");
            return;
        };
        let Some(mildest) = test.levels.first() else { return };
        let is_alert = if rises(test.comparison) { *clear > mildest.limit } else { *clear < mildest.limit };
        if is_alert {
            let message =
                format!("the alert would be resolved at {clear} although {} breaches the limit", mildest.limit);
            self.diagnostics.suggest(position, message, "set `clear` on the good side of the limit");
        }
    }

    fn test(&mut self, draft: &TestDraft, position: &Position) -> Option<Test> {
        if draft.metric.is_none() {
            self.diagnostics.suggest(position, "a limit without a metric", "add a `metric`");
        }
        if draft.limit.is_none() {
            let suggestion = "add one of above, at_least, below, at_most, deviates";
            self.diagnostics.suggest(position, "a metric without a limit", suggestion);
        }
        let metric = draft.metric.as_ref()?;
        self.check_metric(metric, draft.unit.as_ref());
        let limit = draft.limit.as_ref()?;
        let levels = compile_levels(limit, self.diagnostics);
        self.check_reachable(&metric.value, limit);
        (!levels.is_empty()).then(|| Test { metric: metric.value.clone(), comparison: limit.comparison, levels })
    }
}

/// The levels in order of severity. Reports limits that are not in the same order.
fn compile_levels(limit: &LimitDraft, diagnostics: &mut Diagnostics) -> Vec<Level> {
    let LimitDraft { comparison, levels, position, .. } = limit;
    for pair in levels.windows(2).filter(|pair| !are_ordered(*comparison, pair)) {
        let [milder, worse] = [&pair[0], &pair[1]].map(|level| format!("{} at {}", level.name(), level.limit));
        let message = format!("{milder} would never be reached before {worse}");
        let suggestion = if rises(*comparison) { "limits rise with severity" } else { "limits fall as severity rises" };
        diagnostics.suggest(position, message, suggestion);
    }
    let is_angle = |level: &Level| level.limit > 0.0 && level.limit <= 180.0;
    if *comparison == Comparison::Deviates && !levels.iter().all(is_angle) {
        let message = "`deviates` is an angle from the baseline";
        diagnostics.suggest(position, message, "more than 0 and at most 180 degrees");
    }
    levels.clone()
}
