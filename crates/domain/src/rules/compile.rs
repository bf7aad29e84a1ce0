//! Written rules become rules in force, or diagnostics: what is missing, what cannot be meant.

use super::change::{are_ordered, rises};
use super::diagnostic::{Diagnostics, Position, Positioned, nearest, nearest_or_all};
use super::draft::{
    FileDraft, LimitDraft, OverrideDraft, RuleDraft, ScopeDraft, SettingsDraft, SeveralDraft, TestDraft,
};
use super::settings::{DECLARATIONS, Setting, Settings};
use super::{Block, Condition, Join, Kind, Level, Mentioned, Rule, RuleSet, Scope, Test};
use crate::breach::Comparison;
use crate::device::{DEVICE_TYPES, DeviceType, short_name};
use crate::rules::template::{PLACEHOLDERS, unknown_placeholders};

/// Longest title, in characters: it has to leave room for the location in a subject of 100.
const LONGEST_TITLE: usize = 40;
/// Longest message of a rule's own, in characters.
const LONGEST_MESSAGE: usize = 400;
/// Longest id, in characters.
const LONGEST_ID: usize = 64;

impl FileDraft {
    pub(super) fn compile(self, diagnostics: &mut Diagnostics) -> RuleSet {
        let mentions = self.rules.iter().flat_map(RuleDraft::mentions).collect();
        let compile = |rule: &RuleDraft| {
            let position = &rule.id.position;
            diagnostics.of_rule(position, |diagnostics| compile_rule(rule, self.block, diagnostics))
        };
        RuleSet { rules: self.rules.iter().filter_map(compile).collect(), mentions, ..self.set }
    }
}

fn compile_rule(draft: &RuleDraft, block: Block, diagnostics: &mut Diagnostics) -> Option<Rule> {
    check_id(&draft.id, diagnostics);
    let kind = draft.kind.as_ref().map_or(Kind::Threshold, |kind| kind.value);
    let title = compile_title(draft, diagnostics);
    check_message(draft.message.as_ref(), diagnostics);
    let scope = compile_scope(&draft.scope, diagnostics);
    let compiler = RuleCompiler { types: &scope.types, rule: draft, kind };
    let condition = compiler.condition(&draft.settings, diagnostics);
    compiler.say_what_is_missing(condition.as_ref(), diagnostics);
    let overrides = compiler.overrides(condition.as_ref(), diagnostics);
    let mut settings = Settings { block, ..Settings::default() };
    compiler.settings(&draft.settings, condition, diagnostics).iter().for_each(|setting| settings.set(setting));
    (settings.condition.is_some() || kind == Kind::Silence).then(|| Rule {
        id: draft.id.value.clone(),
        kind,
        title,
        template: draft.message.as_ref().map(|message| message.value.clone()),
        settings,
        overrides,
        scope,
    })
}

fn check_id(id: &Positioned<String>, diagnostics: &mut Diagnostics) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.' || c == '_';
    if !id.value.chars().all(fits) || id.value.len() > LONGEST_ID {
        let message = format!("the id `{}` is not a name that filters and files can carry", id.value.escape_debug());
        diagnostics.suggest(
            &id.position,
            message,
            format!("use a-z, 0-9, `-`, `.`, `_`, at most {LONGEST_ID} of them"),
        );
    }
}

fn compile_title(draft: &RuleDraft, diagnostics: &mut Diagnostics) -> String {
    let Some(title) = &draft.title else {
        let message = format!("the rule `{}` needs a `title`", draft.id.value);
        diagnostics.suggest(&draft.id.position, message, "it heads the alert, for example title = \"Bad smell\"");
        return String::new();
    };
    let length = title.value.chars().count();
    if length > LONGEST_TITLE || title.value.trim().is_empty() || title.value.chars().any(char::is_control) {
        let message = "a title is one line of text, not empty".to_owned();
        diagnostics.suggest(&title.position, message, format!("of at most {LONGEST_TITLE} characters, now {length}"));
    }
    title.value.trim().to_owned()
}

/// Whether the placeholders of a rule's own words are known. The position of the diagnostic is the message's own.
fn check_message(message: Option<&Positioned<String>>, diagnostics: &mut Diagnostics) {
    let Some(message) = message else { return };
    if message.value.chars().count() > LONGEST_MESSAGE {
        let suggestion = format!("use at most {LONGEST_MESSAGE} characters: an SMS has room for fewer still");
        diagnostics.suggest(&message.position, "the message is too long", suggestion);
    }
    for name in unknown_placeholders(&message.value) {
        let (diagnostic, suggestion) = match name {
            "{" | "}" => (format!("a `{name}` without its partner"), "a brace itself is written twice".to_owned()),
            _ => {
                let suggestion = nearest_or_all(name, PLACEHOLDERS.iter().copied(), "it can be:");
                (format!("unknown placeholder `{{{name}}}`"), suggestion)
            }
        };
        diagnostics.suggest(&message.position, diagnostic, suggestion);
    }
}

/// Types by short name. A bare name that is not documented is taken for a slip of the pen; with a provider in front it is
/// taken at its word.
fn compile_types(written: &[Positioned<String>], diagnostics: &mut Diagnostics) -> Vec<String> {
    for name in written {
        if DeviceType::named(short_name(&name.value)).is_none() && !name.value.contains('#') {
            let suggestion = nearest(&name.value, DEVICE_TYPES.iter().map(|device_type| device_type.name));
            let suggestion = suggestion.unwrap_or_else(|| {
                format!("write it with its provider if it exists all the same: \"SMARTCLEAN#{}\"", name.value)
            });
            diagnostics.suggest(&name.position, format!("unknown device type `{}`", name.value), suggestion);
        }
    }
    written.iter().map(|name| short_name(&name.value).to_owned()).collect()
}

fn compile_scope(draft: &ScopeDraft, diagnostics: &mut Diagnostics) -> Scope {
    let mut scope = Scope::default();
    for (what, names) in draft.lists() {
        let named = || names.iter().map(|name| name.value.clone()).collect();
        match what {
            Mentioned::Rule => {}
            Mentioned::Type => scope.types = compile_types(names, diagnostics),
            Mentioned::Property => scope.properties = named(),
            Mentioned::Project => scope.projects = named(),
            Mentioned::Zone => scope.zones = named(),
            Mentioned::Device => scope.devices = named(),
        }
    }
    scope
}

/// What is needed of the rule around a test to judge it.
pub(super) struct RuleCompiler<'d> {
    pub(super) types: &'d [String],
    rule: &'d RuleDraft,
    pub(super) kind: Kind,
}

impl RuleCompiler<'_> {
    /// What is written, and what it compares.
    fn settings(
        &self,
        draft: &SettingsDraft,
        condition: Option<Condition>,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Setting> {
        for (metric, _) in draft.baseline.iter().flatten() {
            self.check_metric(metric, None, diagnostics);
        }
        self.check_belonging(draft, diagnostics);
        let by_metric = |all: &Vec<(Positioned<String>, f64)>| {
            Setting::Baseline(all.iter().map(|(metric, value)| (metric.value.clone(), *value)).collect())
        };
        let severity = draft.severity.iter().map(|severity| Setting::Severity(severity.value));
        let others = draft.others.values().map(|setting| setting.value.clone());
        let condition = condition.map(Setting::Condition).into_iter();
        condition.chain(severity).chain(draft.baseline.iter().map(by_metric)).chain(others).collect()
    }

    /// Each setting of another kind of rule is a diagnostic: it would say nothing here.
    fn check_belonging(&self, draft: &SettingsDraft, diagnostics: &mut Diagnostics) {
        use Kind::{Accumulate, Count, Reasons, Threshold};
        const COMPARING: &[Kind] = &[Threshold, Count, Reasons, Accumulate];
        for (name, position) in draft.written() {
            let declared = DECLARATIONS.iter().find(|declared| declared.key == name).map(|declared| declared.kinds);
            let Some(kinds) = declared.or((name == "metric").then_some(COMPARING)) else { continue };
            if kinds.contains(&self.kind) {
                continue;
            }
            let words: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
            let message = format!("`{name}` says nothing in a rule of kind `{}`", self.kind.as_str());
            diagnostics.suggest(position, message, format!("it belongs to {}", words.join(", ")));
        }
    }

    /// The overrides, the widest first. Stable: of two equally narrow ones the later in the file wins.
    fn overrides(&self, whole: Option<&Condition>, diagnostics: &mut Diagnostics) -> Vec<(Scope, Vec<Setting>)> {
        let with_scope = |part| (self.scope_of(part, diagnostics), part);
        let mut parts: Vec<(Scope, &OverrideDraft)> = self.rule.overrides.iter().map(with_scope).collect();
        parts.sort_by_key(|(scope, _)| scope.narrowness());
        for (index, (scope, part)) in parts.iter().enumerate() {
            let around: Vec<_> = parts[..index].iter().filter(|(wider, _)| wider.overlaps(scope)).collect();
            let changed = around.iter().rev().map(|(_, wider)| &wider.settings).find(|wider| wider.has_limits());
            changed.unwrap_or(&self.rule.settings).check_change(&part.settings, &self.rule.id.value, diagnostics);
            // What says nowhere where it applies has a diagnostic already.
            let same = around.iter().filter(|(wider, _)| wider.narrowness() == scope.narrowness() && !scope.is_empty());
            for (_, other) in same {
                part.settings.check_not_set_by(&other.settings, diagnostics);
            }
        }
        parts.into_iter().map(|(scope, part)| (scope, self.part(part, whole, diagnostics))).collect()
    }

    /// Where an override applies: somewhere, and nowhere where the rule does not.
    fn scope_of(&self, part: &OverrideDraft, diagnostics: &mut Diagnostics) -> Scope {
        let scope = compile_scope(&part.scope, diagnostics);
        let lists = self.rule.scope.lists().zip(part.scope.lists());
        for ((what, known), (_, written)) in lists.filter(|((_, known), _)| !known.is_empty()) {
            let is_inside = |name: &str| known.iter().any(|known| short_name(&known.value) == short_name(name));
            for name in written.iter().filter(|name| !is_inside(&name.value)) {
                let id = &self.rule.id.value;
                let message = format!("the rule `{id}` does not apply to the {} `{}`", what.as_str(), name.value);
                let known = known.iter().map(|name| name.value.as_str());
                let suggestion = nearest_or_all(&name.value, known, "it applies to");
                diagnostics.suggest(&name.position, message, suggestion);
            }
        }
        scope
    }

    fn part(&self, part: &OverrideDraft, whole: Option<&Condition>, diagnostics: &mut Diagnostics) -> Vec<Setting> {
        let TestDraft { metric, limit, .. } = &part.settings.test;
        let condition = match (limit, metric, whole) {
            // Only a limit: the rule's one metric is meant.
            (Some(limit), None, Some(Condition { tests, .. })) => match tests.as_slice() {
                [test] => {
                    self.check_reachable(&test.metric, limit, diagnostics);
                    let (metric, levels) = (test.metric.clone(), compile_levels(limit, diagnostics));
                    let tests = vec![Test { metric, comparison: limit.comparison, levels }];
                    Some(Condition { join: Join::Any, tests })
                }
                [] => None,
                _ => {
                    let message = "the rule has several tests, so a limit alone does not say whose it is";
                    diagnostics.suggest(&limit.position, message, "write the whole `all` or `any` list here");
                    None
                }
            },
            _ => self.condition(&part.settings, diagnostics),
        };
        self.settings(&part.settings, condition, diagnostics)
    }

    fn condition(&self, draft: &SettingsDraft, diagnostics: &mut Diagnostics) -> Option<Condition> {
        if let Some(SeveralDraft { join, tests, .. }) = &draft.several {
            let tests = tests.iter().filter_map(|test| self.test(&test.value, &test.position, diagnostics)).collect();
            return Some(Condition { join: *join, tests });
        }
        let TestDraft { metric, limit, .. } = &draft.test;
        let position = limit.as_ref().map(|limit| &limit.position).or(metric.as_ref().map(|of| &of.position))?;
        // A test with a diagnostic still is a condition: one diagnostic is enough to say so.
        let tests = self.test(&draft.test, position, diagnostics).into_iter().collect();
        Some(Condition { join: Join::Any, tests })
    }

    /// What every rule of the kind needs, and this one does not have.
    fn say_what_is_missing(&self, condition: Option<&Condition>, diagnostics: &mut Diagnostics) {
        let (id, draft) = (&self.rule.id, &self.rule.settings);
        let needs = |what: &str| format!("the rule `{}` needs {what}", id.value);
        match (self.kind, condition) {
            (Kind::Silence, _) => {
                if !draft.others.contains_key("after") {
                    diagnostics.suggest(
                        &id.position,
                        needs("an `after`"),
                        "how long silence is normal: after = \"24h\"",
                    );
                }
            }
            (_, None) => {
                let message = format!("the rule `{}` compares nothing", id.value);
                diagnostics.suggest(&id.position, message, "give it a metric and a limit: metric = \"p\", below = 5");
            }
            (Kind::Accumulate, Some(condition)) => {
                let is_sum = matches!(condition.tests.as_slice(), [test] if
                    matches!(test.comparison, Comparison::AtLeast | Comparison::Above));
                if !is_sum && !condition.tests.is_empty() {
                    let message = needs("one metric with `at_least` or `above`");
                    diagnostics.suggest(&id.position, message, "that is what a sum can reach");
                }
            }
            (Kind::Threshold, Some(condition)) => self.check_clear(condition, diagnostics),
            (Kind::Count, Some(_)) if !draft.others.contains_key("within") => {
                diagnostics.suggest(&id.position, needs("a `within`"), "the time in which it counts: within = \"10m\"");
            }
            (Kind::Count | Kind::Reasons, Some(_)) => {}
        }
    }

    /// The level to clear is on the good side of the mildest limit.
    fn check_clear(&self, condition: &Condition, diagnostics: &mut Diagnostics) {
        let clear = self.rule.settings.others.get("clear");
        let Some(Positioned { value: Setting::Clear(clear), position }) = clear else { return };
        let [test] = condition.tests.as_slice() else {
            diagnostics.suggest(position, "`clear` needs one metric", "several tests have no one level");
            return;
        };
        let Some(mildest) = test.levels.first() else { return };
        let is_bad_side = if rises(test.comparison) { *clear > mildest.limit } else { *clear < mildest.limit };
        if is_bad_side {
            let message = format!("all would be well at {clear} while {} still is an alert", mildest.limit);
            diagnostics.suggest(position, message, "`clear` lies on the good side of the limit");
        }
    }

    fn test(&self, draft: &TestDraft, position: &Position, diagnostics: &mut Diagnostics) -> Option<Test> {
        if draft.metric.is_none() {
            diagnostics.suggest(position, "a limit of what?", "name a `metric`");
        }
        if draft.limit.is_none() {
            let message = "a metric without a limit";
            diagnostics.suggest(position, message, "add one of above, at_least, below, at_most, deviates");
        }
        let metric = draft.metric.as_ref()?;
        self.check_metric(metric, draft.unit.as_ref(), diagnostics);
        let limit = draft.limit.as_ref()?;
        let levels = compile_levels(limit, diagnostics);
        self.check_reachable(&metric.value, limit, diagnostics);
        (!levels.is_empty()).then(|| Test { metric: metric.value.clone(), comparison: limit.comparison, levels })
    }
}

/// Levels in order of severity; their limits have to go the same way.
fn compile_levels(limit: &LimitDraft, diagnostics: &mut Diagnostics) -> Vec<Level> {
    for pair in limit.levels.windows(2).filter(|pair| !are_ordered(limit.comparison, pair)) {
        let said = |level: &Level| format!("{} at {}", level.name(), level.limit);
        let message = format!("{} would never be reached before {}", said(&pair[0]), said(&pair[1]));
        let rising = rises(limit.comparison);
        let suggestion = if rising { "limits rise with severity" } else { "limits fall as severity rises" };
        diagnostics.suggest(&limit.position, message, suggestion);
    }
    let is_angle = |level: &Level| level.limit > 0.0 && level.limit <= 180.0;
    if limit.comparison == Comparison::Deviates && !limit.levels.iter().all(is_angle) {
        let message = "`deviates` is an angle from the baseline";
        diagnostics.suggest(&limit.position, message, "more than 0 and at most 180 degrees");
    }
    limit.levels.clone()
}
