//! Rules as they are written: every member is optional, and every value has its position. Lays one file over another.

use std::collections::BTreeMap;

use super::audience::Audience;
use super::channels::{read_email, read_webhook};
use super::compile::compile_rule;
use super::diagnostic::{Diagnostics, Position, Positioned, nearest, overwrite};
use super::document::{RulesDocument, TableReader};
use super::mute::Mute;
use super::names::Names;
use super::scope::ScopeDraft;
use super::settings::{SETTINGS, Setting};
use super::values::{SeveralDraft, TestDraft, read_block, read_rate_limit, read_several, read_severity};
use super::{Block, Blocked, Join, Kind, RuleSet};

/// Longest title, in characters. A subject of 100 characters has room for the title and the location.
pub const LONGEST_TITLE: usize = 40;
/// Longest action, in characters. An SMS has room for it and the values.
pub const LONGEST_ACTION: usize = 80;

/// One or several rules files, each laid over the one before.
#[derive(Debug, Default)]
pub(super) struct FileDraft {
    /// The rules in force and the settings of the whole file.
    pub(super) set: RuleSet,
    /// The block of rules without one of their own.
    block: Block,
    /// The rules as they are written.
    rules: Vec<RuleDraft>,
}

/// A rule as it is written.
#[derive(Debug)]
pub(super) struct RuleDraft {
    pub(super) id: Positioned<String>,
    pub(super) kind: Option<Positioned<Kind>>,
    pub(super) title: Option<Positioned<String>>,
    pub(super) message: Option<Positioned<String>>,
    pub(super) action: Option<Positioned<String>>,
    pub(super) scope: ScopeDraft,
    pub(super) settings: SettingsDraft,
    pub(super) overrides: Vec<OverrideDraft>,
}

/// The settings that an override can change.
#[derive(Debug, Default)]
pub(super) struct SettingsDraft {
    /// The single test of a rule. Its parts may come from several files.
    pub(super) test: TestDraft,
    /// A list of tests.
    pub(super) several: Option<SeveralDraft>,
    pub(super) baseline: Option<Vec<(Positioned<String>, f64)>>,
    /// The other settings by key.
    pub(super) others: BTreeMap<&'static str, Positioned<Setting>>,
}

/// The settings of a part of a rule's scope.
#[derive(Debug)]
pub(super) struct OverrideDraft {
    pub(super) scope: ScopeDraft,
    pub(super) settings: SettingsDraft,
}

impl FileDraft {
    /// Lays a file over the files before it. A rule with a known id changes only what the text names; other rules are added.
    pub(super) fn overlay(mut self, file: &str, text: &str, diagnostics: &mut Diagnostics) -> Self {
        let document = RulesDocument::new(file, text);
        let root = document.root(diagnostics);
        let mut table = TableReader::new(&document, &root, "a rules file", diagnostics);
        if let Some(version) = table.number("version").filter(|version| version.value != 1.0) {
            let message = format!("the rules have version {}, and this program reads version 1", version.value);
            let suggestion = "update smartclean-push, or write `version = 1`";
            table.diagnostics.suggest(&version.position, message, suggestion);
        }
        overwrite(&mut self.set.max_age, table.duration("max_age"));
        overwrite(&mut self.set.quiet_after, table.duration("quiet_after"));
        overwrite(&mut self.block, read_block(&mut table, "block"));
        let blocked = table.word("blocked", "kind of blocked alerts", Blocked::ALL, Blocked::as_str);
        overwrite(&mut self.set.blocked, blocked);
        self.set.rate_limit = read_rate_limit(&mut table);
        overwrite(&mut self.set.sms_from, read_severity(&mut table, "sms_from"));
        self.set.email = read_email(&mut table);
        self.set.webhook = read_webhook(&mut table);
        self.set.texts = table.own_texts("texts");
        let names = Names::read(&mut table);
        let rules = table.list("rule", "a rule", |table, position| RuleDraft::read(table, position, &names));
        self.overlay_rules(rules, table.diagnostics);
        self.set.names = names;
        self.set.rules =
            self.rules.iter().filter_map(|rule| compile_rule(rule, self.block, table.diagnostics)).collect();
        // They select rules and names.
        let set = &self.set;
        let audiences = table.list("audience", "an audience", |table, position| Audience::read(table, position, set));
        let (audiences, else_positions): (_, Vec<_>) = audiences.into_iter().unzip();
        let mutes = table.list("mute", "a mute", |table, position| Mute::read(table, position, set));
        (self.set.audiences, self.set.mutes) = (audiences, mutes);
        self.set.check_audiences(&else_positions, table.diagnostics);
        table.finish();
        self
    }

    fn overlay_rules(&mut self, newer: Vec<RuleDraft>, diagnostics: &mut Diagnostics) {
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        let mut added = Vec::new();
        for rule in newer {
            let Positioned { value: id, position } = &rule.id;
            if let Some(line) = lines.get(id) {
                let message = format!("the id `{id}` is taken by the rule in line {line}");
                diagnostics.suggest(position, message, "give this rule another id, or join the two rules");
                continue;
            }
            lines.insert(id.clone(), position.line);
            let known = || self.rules.iter().map(|rule| rule.id.value.as_str());
            if let Some(index) = known().position(|known| known == id) {
                self.rules[index].overlay(rule, diagnostics);
            } else if let Some(nearest) = nearest(id, known()).filter(|_| rule.title.is_none()) {
                // A new rule needs a title. Without one, the id is a misspelled known id.
                let message = format!("no built-in rule has the id `{id}`");
                diagnostics.suggest(position, message, format!("{nearest} A rule of your own needs a `title`"));
            } else {
                added.push(rule);
            }
        }
        self.rules.append(&mut added);
    }
}

impl RuleDraft {
    fn read(table: &mut TableReader<'_, '_>, position: &Position, names: &Names) -> Option<Self> {
        table.require("id", position, "for example id = \"soap-low\"");
        Some(Self {
            kind: table.word("kind", "kind", Kind::ALL, Kind::as_str),
            title: table.line("title", "a title", LONGEST_TITLE),
            message: table.nonblank("message"),
            action: table.line("action", "an action", LONGEST_ACTION),
            scope: ScopeDraft::read(table, names),
            settings: SettingsDraft::read(table),
            overrides: table
                .list("override", "an override", |table, position| OverrideDraft::read(table, position, names)),
            id: table.nonblank("id")?,
        })
    }

    fn overlay(&mut self, newer: Self, diagnostics: &mut Diagnostics) {
        self.settings.check_change(&newer.settings, &self.id.value, diagnostics);
        // Diagnostics of the whole rule point at the file that changed it last.
        self.id = newer.id;
        self.kind = newer.kind.or(self.kind.take());
        self.title = newer.title.or(self.title.take());
        self.message = newer.message.or(self.message.take());
        self.action = newer.action.or(self.action.take());
        self.scope.0.extend(newer.scope.0);
        self.settings.overlay(newer.settings);
        self.overrides.extend(newer.overrides);
    }
}

impl OverrideDraft {
    fn read(table: &mut TableReader<'_, '_>, position: &Position, names: &Names) -> Option<Self> {
        if !ScopeDraft::is_in(table) {
            let suggestion = "add types, properties, sites, zones or devices";
            table.diagnostics.suggest(position, "an override needs a scope", suggestion);
        }
        Some(Self { scope: ScopeDraft::read(table, names), settings: SettingsDraft::read(table) })
    }
}

impl SettingsDraft {
    fn read(table: &mut TableReader<'_, '_>) -> Self {
        let (all, any) = (read_several(Join::All, table), read_several(Join::Any, table));
        if let (Some(_), Some(any)) = (&all, &any) {
            table.diagnostics.suggest(&any.position, "a rule has either `all` or `any`", "make two rules of it");
        }
        let others = SETTINGS.iter().filter_map(|setting| Some((setting.key, setting.read(table)?))).collect();
        let baseline = table.any("baseline");
        let mut draft = Self {
            baseline: baseline.map(|value| table.numbers("baseline", "a table of numbers", "{ Xt = -87.5 }", &value)),
            test: TestDraft::read(table),
            several: all.or(any),
            others,
        };
        if let (Some(several), Some(metric)) = (&draft.several, &draft.test.metric) {
            let message = format!("a rule has either one `metric` or a list of tests (line {})", several.position.line);
            table.diagnostics.suggest(&metric.position, message, "put this one into the list");
        }
        draft.share_severity(table.diagnostics);
        draft
    }

    fn overlay(&mut self, newer: Self) {
        if newer.has_severities() {
            self.others.remove("severity");
        }
        if newer.several.is_some() || newer.test.metric.is_some() || newer.test.limit.is_some() {
            // They belong to the replaced limit.
            self.several = None;
            self.others.remove("clear");
        }
        if newer.several.is_some() {
            self.test = TestDraft::default();
        }
        if newer.test.metric.is_some() {
            // Another metric can have another unit.
            self.test.unit = None;
        }
        self.test.metric = newer.test.metric.or(self.test.metric.take());
        self.test.unit = newer.test.unit.or(self.test.unit.take());
        self.test.limit = newer.test.limit.or(self.test.limit.take());
        self.several = newer.several.or(self.several.take());
        self.baseline = newer.baseline.or(self.baseline.take());
        self.others.extend(newer.others);
    }
}
