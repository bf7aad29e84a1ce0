//! Rules as they are written: every member is optional, and every value has its position. Lays one file over another.

use std::collections::BTreeMap;

use super::audience::AudienceDraft;
use super::channels::{read_email, read_webhook};
use super::diagnostic::{Diagnostics, Position, Positioned, nearest, overwrite};
use super::document::{RulesDocument, TableReader};
use super::mute::MuteDraft;
use super::names::NameDraft;
use super::scope::ScopeDraft;
use super::settings::{SETTINGS, Setting};
use super::values::{SeveralDraft, TestDraft, read_block, read_rate_limit, read_several, severities};
use super::{Block, Blocked, Join, Kind, Mention, MentionKind, RuleSet};
use crate::severity::Severity;

/// Longest title, in characters. A subject of 100 characters has room for the title and the location.
pub const LONGEST_TITLE: usize = 40;
/// Longest action, in characters. An SMS has room for it and the values.
pub const LONGEST_ACTION: usize = 80;

/// One or several rules files as they are written, each laid over the one before.
#[derive(Debug, Default)]
pub(super) struct FileDraft {
    /// The settings of the whole file; no rules.
    pub(super) set: RuleSet,
    /// The block of rules without one of their own.
    pub(super) block: Block,
    pub(super) rules: Vec<RuleDraft>,
    pub(super) names: Vec<NameDraft>,
    pub(super) audiences: Vec<AudienceDraft>,
    pub(super) mutes: Vec<MuteDraft>,
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
    pub(super) severity: Option<Positioned<Severity>>,
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
        let blocked = [("named", Blocked::Named), ("counted", Blocked::Counted)];
        overwrite(&mut self.set.blocked, table.word("blocked", "kind of blocked alerts", blocked));
        self.set.rate_limit = read_rate_limit(&mut table);
        overwrite(&mut self.set.sms_from, table.word("sms_from", "severity", severities()));
        self.set.email = read_email(&mut table);
        self.set.webhook = read_webhook(&mut table);
        self.names.extend(NameDraft::read_all(&mut table));
        self.set.texts = table.own_texts("texts");
        let rules = table.tables("rule", "a rule", RuleDraft::read);
        self.audiences =
            table.tables("audience", "an audience", AudienceDraft::read).map_or(Vec::new(), |read| read.value);
        self.mutes = table.tables("mute", "a mute", MuteDraft::read).map_or(Vec::new(), |read| read.value);
        table.finish();
        self.overlay_rules(rules.map(|rules| rules.value).unwrap_or_default(), diagnostics);
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

impl Mention {
    pub(super) fn new(kind: MentionKind, Positioned { value, position }: &Positioned<String>) -> Self {
        Self { kind, id: value.clone(), position: position.clone() }
    }
}

impl RuleDraft {
    /// The scopes of the rule and of its overrides.
    pub(super) fn scopes(&mut self) -> impl Iterator<Item = &mut ScopeDraft> {
        std::iter::once(&mut self.scope).chain(self.overrides.iter_mut().map(|part| &mut part.scope))
    }

    /// The id of the rule, and every id in its scopes.
    pub(super) fn mentions(&self) -> impl Iterator<Item = Mention> {
        let scopes = std::iter::once(&self.scope).chain(self.overrides.iter().map(|part| &part.scope));
        std::iter::once(Mention::new(MentionKind::Rule, &self.id)).chain(scopes.flat_map(ScopeDraft::mentions))
    }

    fn read(table: &mut TableReader<'_, '_>, position: &Position) -> Option<Self> {
        const EXAMPLE: &str = "for example id = \"soap-low\"";
        let id = table.text("id");
        match &id {
            None => table.diagnostics.suggest(position, "a rule needs an `id`", EXAMPLE),
            Some(id) if id.value.is_empty() && !table.diagnostics.has(&id.position) => {
                table.diagnostics.suggest(&id.position, "the `id` is empty", EXAMPLE)
            }
            Some(_) => {}
        }
        let draft = Self {
            id: id.unwrap_or_else(|| Positioned { value: String::new(), position: position.clone() }),
            kind: table.word("kind", "kind", Kind::ALL.map(|kind| (kind.as_str(), kind))),
            title: table.line("title", "a title", LONGEST_TITLE),
            message: table.nonblank("message"),
            action: table.line("action", "an action", LONGEST_ACTION),
            scope: ScopeDraft::read(table),
            settings: SettingsDraft::read(table),
            overrides: table
                .tables("override", "an override", OverrideDraft::read)
                .map(|overrides| overrides.value)
                .unwrap_or_default(),
        };
        (!draft.id.value.is_empty()).then_some(draft)
    }

    fn overlay(&mut self, newer: Self, diagnostics: &mut Diagnostics) {
        self.settings.check_change(&newer.settings, &self.id.value, diagnostics);
        // Diagnostics of the whole rule point at the file that changed it last.
        self.id = newer.id;
        self.kind = newer.kind.or(self.kind.take());
        self.title = newer.title.or(self.title.take());
        self.message = newer.message.or(self.message.take());
        self.action = newer.action.or(self.action.take());
        for (known, newer) in self.scope.0.iter_mut().zip(newer.scope.0) {
            *known = newer.or(known.take());
        }
        self.settings.overlay(newer.settings);
        self.overrides.extend(newer.overrides);
    }
}

impl OverrideDraft {
    fn read(table: &mut TableReader<'_, '_>, position: &Position) -> Option<Self> {
        if !ScopeDraft::is_in(table) {
            let suggestion = "add types, properties, sites, zones or devices";
            table.diagnostics.suggest(position, "an override needs a scope", suggestion);
        }
        Some(Self { scope: ScopeDraft::read(table), settings: SettingsDraft::read(table) })
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
            severity: table.word("severity", "severity", severities()),
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
            self.severity = None;
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
        self.severity = newer.severity.or(self.severity.take());
        self.test.metric = newer.test.metric.or(self.test.metric.take());
        self.test.unit = newer.test.unit.or(self.test.unit.take());
        self.test.limit = newer.test.limit.or(self.test.limit.take());
        self.several = newer.several.or(self.several.take());
        self.baseline = newer.baseline.or(self.baseline.take());
        self.others.extend(newer.others);
    }
}
