//! Written rules become rules in force, or faults: what is missing, what cannot be meant.

use std::collections::HashMap;

use super::change::rises;
use super::draft::{FileDraft, LimitDraft, OverrideDraft, RuleDraft, ScopeDraft, SettingsDraft, TestDraft};
use super::fault::{At, Faults, Location, nearest};
use super::{
    Condition, DEFAULT_MAX_AGE, DEFAULT_QUIET_AFTER, DEFAULT_SMS_FROM, Join, Kind, Level, Rule, RuleSet, Scope,
    Settings, Test,
};
use crate::alert::Comparison;
use crate::alert::template::{PLACEHOLDERS, unknown_placeholders};
use crate::device::{DEVICE_TYPES, DeviceType, short_name};
use crate::severity::Severity;

/// Longest title, in characters: it has to leave room for the place in a subject of 100.
const LONGEST_TITLE: usize = 40;
/// Longest message of a rule's own, in characters.
const LONGEST_MESSAGE: usize = 400;
/// Longest id, in characters.
const LONGEST_ID: usize = 64;

pub(super) fn compile(draft: FileDraft, faults: &mut Faults) -> RuleSet {
    let max_age = draft.max_age.map_or(DEFAULT_MAX_AGE, |max_age| max_age.value);
    let block = draft.block.map(|block| block.value);
    let mentions = draft.rules.iter().flat_map(RuleDraft::mentions).collect();
    let mut rules: Vec<Rule> = draft.rules.into_iter().filter_map(|rule| compile_rule(rule, faults)).collect();
    for rule in &mut rules {
        rule.settings.block = rule.settings.block.or(block);
    }
    let quiet_after = draft.quiet_after.map_or(DEFAULT_QUIET_AFTER, |quiet_after| quiet_after.value);
    let blocked = draft.blocked.map(|blocked| blocked.value).unwrap_or_default();
    let sms_from = draft.sms_from.map_or(DEFAULT_SMS_FROM, |sms_from| sms_from.value);
    let rate_limit = draft.rate_limit;
    RuleSet { max_age, blocked, quiet_after, rate_limit, sms_from, rules, warnings: Vec::new(), mentions }
}

fn compile_rule(draft: RuleDraft, faults: &mut Faults) -> Option<Rule> {
    let place = draft.id.location.clone();
    faults.of_rule(&place, |faults| compile_all_of(draft, faults))
}

fn compile_all_of(draft: RuleDraft, faults: &mut Faults) -> Option<Rule> {
    check_id(&draft.id, faults);
    let kind = compile_kind(draft.kind.as_ref(), faults);
    let title = compile_title(&draft, faults);
    check_message(draft.message.as_ref(), faults);
    let types = compile_types(draft.scope.types.as_deref().unwrap_or_default(), faults);
    let compiler = RuleCompiler { types: &types, rule: &draft, kind };
    let condition = compiler.condition(&draft.settings, faults);
    compiler.say_what_is_missing(condition.as_ref(), faults);
    let settings = Settings { condition, ..compiler.settings(&draft.settings, faults) };
    let overrides = compiler.overrides(settings.condition.as_ref(), faults);
    let scope = Scope { types: types.clone(), ..compile_scope(&draft.scope) };
    (settings.condition.is_some() || kind == Kind::Silence).then(|| Rule {
        id: draft.id.value.clone(),
        kind,
        title,
        template: draft.message.as_ref().map(|message| message.value.clone()),
        scope,
        settings,
        overrides,
    })
}

fn check_id(id: &At<String>, faults: &mut Faults) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.' || c == '_';
    if !id.value.chars().all(fits) || id.value.len() > LONGEST_ID {
        let message = format!("the id `{}` is not a name that filters and files can carry", id.value.escape_debug());
        faults.suggest(&id.location, message, format!("use a-z, 0-9, `-`, `.`, `_`, at most {LONGEST_ID} of them"));
    }
}

fn compile_title(draft: &RuleDraft, faults: &mut Faults) -> String {
    let Some(title) = &draft.title else {
        let message = format!("the rule `{}` needs a `title`", draft.id.value);
        faults.suggest(&draft.id.location, message, "it heads the alert, for example title = \"Bad smell\"");
        return String::new();
    };
    let length = title.value.chars().count();
    if length > LONGEST_TITLE || title.value.trim().is_empty() || title.value.chars().any(char::is_control) {
        let message = "a title is one line of text, not empty".to_owned();
        faults.suggest(&title.location, message, format!("of at most {LONGEST_TITLE} characters, now {length}"));
    }
    title.value.trim().to_owned()
}

/// Whether the placeholders of a rule's own words are known. The place of the fault is the message's own.
fn check_message(message: Option<&At<String>>, faults: &mut Faults) {
    let Some(message) = message else { return };
    if message.value.chars().count() > LONGEST_MESSAGE {
        let suggestion = format!("use at most {LONGEST_MESSAGE} characters: an SMS has room for fewer still");
        faults.suggest(&message.location, "the message is too long", suggestion);
    }
    for (_, name) in unknown_placeholders(&message.value) {
        let (fault, suggestion) = match name.as_str() {
            "{" | "}" => {
                (format!("a `{name}` without its partner"), Some("a brace itself is written twice".to_owned()))
            }
            _ => (format!("unknown placeholder `{{{name}}}`"), nearest(&name, PLACEHOLDERS.iter().copied())),
        };
        let suggestion = suggestion.unwrap_or_else(|| format!("it can be: {}", PLACEHOLDERS.join(", ")));
        faults.suggest(&message.location, fault, suggestion);
    }
}

fn compile_kind(written: Option<&At<String>>, faults: &mut Faults) -> Kind {
    let Some(written) = written else { return Kind::Threshold };
    let known = Kind::ALL.into_iter().find(|kind| kind.as_str() == written.value);
    if known.is_none() {
        let names = Kind::ALL.map(Kind::as_str);
        let suggestion = nearest(&written.value, names).unwrap_or_else(|| format!("it is one of {}", names.join(", ")));
        faults.suggest(&written.location, format!("unknown kind `{}`", written.value), suggestion);
    }
    known.unwrap_or(Kind::Threshold)
}

fn value<T: Copy>(written: &Option<At<T>>) -> Option<T> {
    written.as_ref().map(|written| written.value)
}

/// Types by short name. A bare name that is not documented is taken for a slip of the pen; with a provider in front it is
/// taken at its word.
fn compile_types(written: &[At<String>], faults: &mut Faults) -> Vec<String> {
    for name in written {
        if DeviceType::named(short_name(&name.value)).is_none() && !name.value.contains('#') {
            let suggestion = nearest(&name.value, DEVICE_TYPES.iter().map(|device_type| device_type.name));
            let suggestion = suggestion.unwrap_or_else(|| {
                format!("write it with its provider if it exists all the same: \"SMARTCLEAN#{}\"", name.value)
            });
            faults.suggest(&name.location, format!("unknown device type `{}`", name.value), suggestion);
        }
    }
    written.iter().map(|name| short_name(&name.value).to_owned()).collect()
}

fn compile_scope(draft: &ScopeDraft) -> Scope {
    let names =
        |list: &Option<Vec<At<String>>>| list.iter().flatten().map(|name| name.value.clone()).collect::<Vec<_>>();
    Scope {
        types: Vec::new(),
        properties: names(&draft.properties),
        projects: names(&draft.projects),
        zones: names(&draft.zones),
        devices: names(&draft.devices),
    }
}

/// What is needed of the rule around a test to judge it.
pub(super) struct RuleCompiler<'d> {
    pub(super) types: &'d [String],
    rule: &'d RuleDraft,
    pub(super) kind: Kind,
}

impl RuleCompiler<'_> {
    fn settings(&self, draft: &SettingsDraft, faults: &mut Faults) -> Settings {
        let baseline = draft.baseline.as_ref().map(|baseline| {
            for (metric, _) in baseline {
                self.check_metric(metric, None, faults);
            }
            baseline.iter().map(|(metric, value)| (metric.value.clone(), *value)).collect::<HashMap<_, _>>()
        });
        self.check_belonging(draft, faults);
        Settings {
            enabled: value(&draft.enabled),
            severity: value(&draft.severity),
            condition: None,
            baseline,
            active: value(&draft.active),
            block: value(&draft.block),
            clear: value(&draft.clear),
            lasting: value(&draft.lasting),
            max_gap: value(&draft.max_gap),
            resolved: value(&draft.resolved),
            reminder: value(&draft.reminder),
            count: value(&draft.count),
            within: value(&draft.within),
            carry: value(&draft.carry),
            restart_at: value(&draft.restart_at),
            after: value(&draft.after),
        }
    }

    /// Each setting of another kind of rule is a fault: it would say nothing here.
    fn check_belonging(&self, draft: &SettingsDraft, faults: &mut Faults) {
        use Kind::{Accumulate, Count, Reasons, Silence, Threshold};
        for (name, location) in draft.written() {
            let kinds: &[Kind] = match name {
                "for" | "max_gap" | "clear" | "reminder" => &[Threshold],
                "resolved" => &[Threshold, Silence],
                "count" | "within" => &[Count, Reasons],
                "carry" | "restart_at" => &[Accumulate],
                "after" => &[Silence],
                "metric" => &[Threshold, Count, Reasons, Accumulate],
                _ => continue,
            };
            if kinds.contains(&self.kind) {
                continue;
            }
            let words: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
            let message = format!("`{name}` says nothing in a rule of kind `{}`", self.kind.as_str());
            faults.suggest(location, message, format!("it belongs to {}", words.join(", ")));
        }
    }

    /// The overrides, the widest first. Stable: of two equally narrow ones the later in the file wins.
    fn overrides(&self, whole: Option<&Condition>, faults: &mut Faults) -> Vec<(Scope, Settings)> {
        let with_scope = |part| (self.scope_of(part, faults), part);
        let mut parts: Vec<(Scope, &OverrideDraft)> = self.rule.overrides.iter().map(with_scope).collect();
        parts.sort_by_key(|(scope, _)| scope.narrowness());
        for (index, (scope, part)) in parts.iter().enumerate() {
            let around: Vec<_> = parts[..index].iter().filter(|(wider, _)| wider.overlaps(scope)).collect();
            let changed = around.iter().rev().map(|(_, wider)| &wider.settings).find(|wider| wider.has_limits());
            changed.unwrap_or(&self.rule.settings).check_change(&part.settings, &self.rule.id.value, faults);
            // What says nowhere where it applies has a fault already.
            let same = around.iter().filter(|(wider, _)| wider.narrowness() == scope.narrowness() && !scope.is_empty());
            for (_, other) in same {
                part.settings.check_not_set_by(&other.settings, faults);
            }
        }
        parts.into_iter().map(|(scope, part)| (scope, self.part(part, whole, faults))).collect()
    }

    /// Where an override applies: somewhere, and nowhere where the rule does not.
    fn scope_of(&self, part: &OverrideDraft, faults: &mut Faults) -> Scope {
        let types = compile_types(part.scope.types.as_deref().unwrap_or_default(), faults);
        let scope = Scope { types, ..compile_scope(&part.scope) };
        let lists = self.rule.scope.lists().into_iter().zip(part.scope.lists());
        for ((what, known), (_, written)) in lists.filter(|((_, known), _)| !known.is_empty()) {
            let is_inside = |name: &str| known.iter().any(|known| short_name(&known.value) == short_name(name));
            for name in written.iter().filter(|name| !is_inside(&name.value)) {
                let id = &self.rule.id.value;
                let message = format!("the rule `{id}` does not apply to the {} `{}`", what.as_str(), name.value);
                let known = known.iter().map(|name| name.value.as_str());
                let suggestion = nearest(&name.value, known.clone())
                    .unwrap_or_else(|| format!("it applies to {}", known.collect::<Vec<_>>().join(", ")));
                faults.suggest(&name.location, message, suggestion);
            }
        }
        scope
    }

    fn part(&self, part: &OverrideDraft, whole: Option<&Condition>, faults: &mut Faults) -> Settings {
        let written = &part.settings;
        let condition = match (&written.limit, &written.metric, whole) {
            // Only a limit: the rule's one metric is meant.
            (Some(limit), None, Some(Condition { tests, .. })) => match tests.as_slice() {
                [test] => Some(Condition {
                    join: Join::Any,
                    tests: vec![Test {
                        metric: test.metric.clone(),
                        comparison: limit.comparison,
                        levels: compile_levels(limit, faults),
                    }],
                }),
                [] => None,
                _ => {
                    let message = "the rule has several tests, so a limit alone does not say whose it is".to_owned();
                    faults.suggest(&limit.location, message, "write the whole `all` or `any` list here");
                    None
                }
            },
            _ => self.condition(written, faults),
        };
        if let (Some(limit), None, Some(metric)) = (&written.limit, &written.metric, &self.rule.settings.metric) {
            self.check_reachable(metric, limit, faults);
        }
        Settings { condition, ..self.settings(written, faults) }
    }

    fn condition(&self, draft: &SettingsDraft, faults: &mut Faults) -> Option<Condition> {
        if let Some(several) = &draft.several {
            let tests: Vec<Test> = several.tests.iter().filter_map(|test| self.test(test, faults)).collect();
            let join = if several.all { Join::All } else { Join::Any };
            return Some(Condition { join, tests });
        }
        let location =
            draft.limit.as_ref().map(|limit| &limit.location).or(draft.metric.as_ref().map(|m| &m.location))?;
        let test = TestDraft {
            metric: draft.metric.clone(),
            unit: draft.unit.clone(),
            limit: draft.limit.clone(),
            location: location.clone(),
        };
        // A test with a fault still is a condition: one fault is enough to say so.
        Some(Condition { join: Join::Any, tests: self.test(&test, faults).into_iter().collect() })
    }

    /// What every rule of the kind needs, and this one does not have.
    fn say_what_is_missing(&self, condition: Option<&Condition>, faults: &mut Faults) {
        let (id, draft) = (&self.rule.id, &self.rule.settings);
        let needs = |what: &str| format!("the rule `{}` needs {what}", id.value);
        match (self.kind, condition) {
            (Kind::Silence, _) => {
                if draft.after.is_none() {
                    faults.suggest(&id.location, needs("an `after`"), "how long silence is normal: after = \"24h\"");
                }
            }
            (_, None) => {
                let message = format!("the rule `{}` compares nothing", id.value);
                faults.suggest(&id.location, message, "give it a metric and a limit: metric = \"p\", below = 5");
            }
            (Kind::Accumulate, Some(condition)) => {
                let is_sum = matches!(condition.tests.as_slice(), [test] if
                    matches!(test.comparison, Comparison::AtLeast | Comparison::Above));
                if !is_sum && !condition.tests.is_empty() {
                    let message = needs("one metric with `at_least` or `above`");
                    faults.suggest(&id.location, message, "that is what a sum can reach");
                }
            }
            (Kind::Threshold, Some(condition)) => self.check_clear(condition, faults),
            (Kind::Count, Some(_)) if draft.within.is_none() => {
                faults.suggest(&id.location, needs("a `within`"), "the time in which it counts: within = \"10m\"");
            }
            (Kind::Count | Kind::Reasons, Some(_)) => {}
        }
    }

    /// The level to clear is on the good side of the mildest limit.
    fn check_clear(&self, condition: &Condition, faults: &mut Faults) {
        let Some(clear) = &self.rule.settings.clear else { return };
        let [test] = condition.tests.as_slice() else {
            faults.suggest(&clear.location, "`clear` needs one metric", "several tests have no one level");
            return;
        };
        let Some(mildest) = test.levels.first() else { return };
        let is_bad_side =
            if rises(test.comparison) { clear.value > mildest.limit } else { clear.value < mildest.limit };
        if is_bad_side {
            let message = format!("all would be well at {} while {} still is an alert", clear.value, mildest.limit);
            faults.suggest(&clear.location, message, "`clear` lies on the good side of the limit");
        }
    }

    fn test(&self, draft: &TestDraft, faults: &mut Faults) -> Option<Test> {
        if draft.metric.is_none() {
            faults.suggest(&draft.location, "a limit of what?", "name a `metric`");
        }
        if draft.limit.is_none() {
            let message = "a metric without a limit".to_owned();
            faults.suggest(&draft.location, message, "add one of above, at_least, below, at_most, deviates");
        }
        let metric = draft.metric.as_ref()?;
        self.check_metric(metric, draft.unit.as_ref(), faults);
        let limit = draft.limit.as_ref()?;
        let levels = compile_levels(limit, faults);
        self.check_reachable(metric, limit, faults);
        (!levels.is_empty()).then(|| Test { metric: metric.value.clone(), comparison: limit.comparison, levels })
    }
}

/// Levels in order of severity; their limits have to go the same way.
fn compile_levels(limit: &LimitDraft, faults: &mut Faults) -> Vec<Level> {
    let levels: Vec<Level> = limit.levels.iter().map(|&(severity, limit)| Level { limit, severity }).collect();
    let rising = rises(limit.comparison);
    for pair in levels.windows(2) {
        let ordered = if rising { pair[0].limit < pair[1].limit } else { pair[0].limit > pair[1].limit };
        if !ordered {
            let name = |level: &Level| level.severity.map_or("", Severity::as_str);
            let message = format!(
                "{} at {} would never be reached before {} at {}",
                name(&pair[0]),
                pair[0].limit,
                name(&pair[1]),
                pair[1].limit
            );
            let suggestion = if rising { "limits rise with severity" } else { "limits fall as severity rises" };
            faults.suggest(&limit.location, message, suggestion);
        }
    }
    check_deviation(limit, &limit.location, faults);
    levels
}

fn check_deviation(limit: &LimitDraft, location: &Location, faults: &mut Faults) {
    if limit.comparison == Comparison::Deviates && limit.levels.iter().any(|&(_, limit)| limit <= 0.0 || limit > 180.0)
    {
        faults.suggest(location, "`deviates` is an angle from the baseline", "more than 0 and at most 180 degrees");
    }
}
