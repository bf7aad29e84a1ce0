//! Rules as they are written: every member optional, every value with its position. Two files become one here.

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostics, Position, Positioned, nearest, replace};
use super::document::{Document, TableReader};
use super::settings::{DECLARATIONS, Declaration, Setting};
use super::values::{read_block, read_rate_limit, read_several, severities};
use super::{Block, Blocked, Join, Kind, Level, Mention, Mentioned, RuleSet};
use crate::breach::Comparison;
use crate::severity::Severity;

/// Rules files as they are written, one laid over the other.
#[derive(Debug, Default)]
pub(super) struct FileDraft {
    /// What is said of all rules; no rules yet.
    pub(super) set: RuleSet,
    /// What rules without a block of their own have.
    pub(super) block: Block,
    pub(super) rules: Vec<RuleDraft>,
}

/// A rule as it is written.
#[derive(Debug)]
pub(super) struct RuleDraft {
    pub(super) id: Positioned<String>,
    pub(super) kind: Option<Positioned<Kind>>,
    pub(super) title: Option<Positioned<String>>,
    pub(super) message: Option<Positioned<String>>,
    pub(super) scope: ScopeDraft,
    pub(super) settings: SettingsDraft,
    pub(super) overrides: Vec<OverrideDraft>,
}

/// The lists of a scope, the widest first: what they name, their keys, and what editors say about them.
pub(super) const SCOPES: [(Mentioned, &str, &str); 5] = [
    (Mentioned::Type, "types", "Device types (DevType)."),
    (Mentioned::Property, "properties", "Properties (PropId)."),
    (Mentioned::Project, "projects", "Projects (PID)."),
    (Mentioned::Zone, "zones", "Zones (InsID)."),
    (Mentioned::Device, "devices", "Devices (DEVID)."),
];

/// What a rule, or one override of it, applies to: the lists of [`SCOPES`].
#[derive(Debug, Default)]
pub(super) struct ScopeDraft([Option<Vec<Positioned<String>>>; SCOPES.len()]);

/// What may differ from location to location.
#[derive(Debug, Default)]
pub(super) struct SettingsDraft {
    pub(super) severity: Option<Positioned<Severity>>,
    /// A single test; its parts may come from several files.
    pub(super) test: TestDraft,
    /// Several tests, written out.
    pub(super) several: Option<SeveralDraft>,
    pub(super) baseline: Option<Vec<(Positioned<String>, f64)>>,
    /// All others, by key.
    pub(super) others: BTreeMap<&'static str, Positioned<Setting>>,
}

/// A metric and its limit.
#[derive(Debug, Default)]
pub(super) struct TestDraft {
    pub(super) metric: Option<Positioned<String>>,
    pub(super) unit: Option<Positioned<String>>,
    pub(super) limit: Option<LimitDraft>,
}

/// `at_least = 200`, or `at_least = { medium = 200, high = 500 }`.
#[derive(Debug)]
pub(super) struct LimitDraft {
    /// `at_least`.
    pub(super) key: &'static str,
    pub(super) comparison: Comparison,
    /// The mildest first.
    pub(super) levels: Vec<Level>,
    pub(super) position: Position,
}

/// `all = [...]` or `any = [...]`.
#[derive(Debug)]
pub(super) struct SeveralDraft {
    pub(super) join: Join,
    pub(super) tests: Vec<Positioned<TestDraft>>,
    pub(super) position: Position,
}

/// Settings for a part of a rule's scope.
#[derive(Debug)]
pub(super) struct OverrideDraft {
    pub(super) scope: ScopeDraft,
    pub(super) settings: SettingsDraft,
}

impl FileDraft {
    /// Lays a file's text over what is known, as far as it can be read; everything that cannot is a diagnostic. A rule of a known
    /// id changes only what the text names, others are added.
    pub(super) fn overlay(mut self, file: &str, text: &str, diagnostics: &mut Diagnostics) -> Self {
        let document = Document::new(file, text);
        let root = document.root(diagnostics);
        let mut table = TableReader::new(&document, &root, "a rules file");
        if let Some(version) = table.number("version", diagnostics).filter(|version| version.value != 1.0) {
            let message = format!("the rules have version {}, and this program reads version 1", version.value);
            diagnostics.suggest(&version.position, message, "update smartclean-push, or write `version = 1`");
        }
        replace(&mut self.set.max_age, table.duration("max_age", diagnostics));
        replace(&mut self.set.quiet_after, table.duration("quiet_after", diagnostics));
        replace(&mut self.block, read_block(&mut table, diagnostics));
        let blocked = table.value("blocked", "\"named\" or \"counted\"", diagnostics, |value| {
            Blocked::ALL.into_iter().find(|known| value.as_str() == Some(known.as_str()))
        });
        replace(&mut self.set.blocked, blocked);
        self.set.rate_limit = read_rate_limit(&mut table, diagnostics);
        replace(&mut self.set.sms_from, table.word("sms_from", "severity", severities(), diagnostics));
        let rules = table.tables("rule", "a rule", diagnostics, RuleDraft::read);
        table.finish(diagnostics);
        self.overlay_rules(rules.map(|rules| rules.value).unwrap_or_default(), diagnostics);
        self
    }

    fn overlay_rules(&mut self, newer: Vec<RuleDraft>, diagnostics: &mut Diagnostics) {
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        let mut own = Vec::new();
        for rule in newer {
            let Positioned { value: id, position } = &rule.id;
            if let Some(line) = taken.get(id) {
                let message = format!("the id `{id}` is taken by the rule in line {line}");
                diagnostics.suggest(position, message, "give this rule an id of its own, or join the two");
                continue;
            }
            taken.insert(id.clone(), position.line);
            let known = || self.rules.iter().map(|rule| rule.id.value.as_str());
            if let Some(index) = known().position(|known| known == id) {
                self.rules[index].overlay(rule, diagnostics);
            } else if let Some(meant) = nearest(id, known()).filter(|_| rule.title.is_none()) {
                // A rule of one's own has a title. Without one, a name that is nearly a known one is that one.
                let message = format!("no built-in rule has the id `{id}`");
                diagnostics.suggest(position, message, format!("{meant} A rule of your own needs a `title`"));
            } else {
                own.push(rule);
            }
        }
        self.rules.append(&mut own);
    }
}

impl RuleDraft {
    /// What is named where.
    pub(super) fn mentions(&self) -> impl Iterator<Item = Mention> {
        let mention = |what, named: &Positioned<String>| Mention {
            what,
            name: named.value.clone(),
            position: named.position.clone(),
        };
        let scopes = std::iter::once(&self.scope).chain(self.overrides.iter().map(|part| &part.scope));
        let lists = scopes.flat_map(ScopeDraft::lists);
        let names = lists.flat_map(move |(what, names)| names.iter().map(move |name| mention(what, name)));
        std::iter::once(mention(Mentioned::Rule, &self.id)).chain(names)
    }

    fn read(mut table: TableReader<'_, '_>, position: Position, diagnostics: &mut Diagnostics) -> Option<Self> {
        const EXAMPLE: &str = "for example id = \"soap-low\"";
        let id = table.text("id", diagnostics);
        match &id {
            None => diagnostics.suggest(&position, "a rule needs an `id`", EXAMPLE),
            Some(id) if id.value.is_empty() && !diagnostics.has(&id.position) => {
                diagnostics.suggest(&id.position, "the `id` is empty", EXAMPLE)
            }
            Some(_) => {}
        }
        let draft = Self {
            id: id.unwrap_or(Positioned { value: String::new(), position }),
            kind: table.word("kind", "kind", Kind::ALL.map(|kind| (kind.as_str(), kind)), diagnostics),
            // That it says something is asked of it with its length.
            title: table.text("title", diagnostics),
            message: table.string("message", diagnostics),
            scope: ScopeDraft::read(&mut table, diagnostics),
            settings: SettingsDraft::read(&mut table, diagnostics),
            overrides: table
                .tables("override", "an override", diagnostics, |mut table, position, diagnostics| {
                    if !SCOPES.iter().any(|(_, key, _)| table.has(key)) {
                        let message = "an override needs to say where it applies";
                        diagnostics.suggest(&position, message, "with types, properties, projects, zones or devices");
                    }
                    let scope = ScopeDraft::read(&mut table, diagnostics);
                    let settings = SettingsDraft::read(&mut table, diagnostics);
                    table.finish(diagnostics);
                    Some(OverrideDraft { scope, settings })
                })
                .map(|overrides| overrides.value)
                .unwrap_or_default(),
        };
        table.finish(diagnostics);
        (!draft.id.value.is_empty()).then_some(draft)
    }

    fn overlay(&mut self, newer: Self, diagnostics: &mut Diagnostics) {
        self.settings.check_change(&newer.settings, &self.id.value, diagnostics);
        // The newer position: diagnostics of the whole rule are the doing of who changed it last.
        self.id = newer.id;
        self.kind = newer.kind.or(self.kind.take());
        self.title = newer.title.or(self.title.take());
        self.message = newer.message.or(self.message.take());
        for (known, newer) in self.scope.0.iter_mut().zip(newer.scope.0) {
            *known = newer.or(known.take());
        }
        self.settings.overlay(newer.settings);
        self.overrides.extend(newer.overrides);
    }
}

impl ScopeDraft {
    fn read(table: &mut TableReader<'_, '_>, diagnostics: &mut Diagnostics) -> Self {
        Self(SCOPES.map(|(_, key, _)| table.strings(key, diagnostics)))
    }

    /// Each list with what its names name; a list that is left out has none.
    pub(super) fn lists(&self) -> impl Iterator<Item = (Mentioned, &[Positioned<String>])> {
        SCOPES.iter().zip(&self.0).map(|((what, ..), list)| (*what, list.as_deref().unwrap_or_default()))
    }
}

impl SettingsDraft {
    fn read(table: &mut TableReader<'_, '_>, diagnostics: &mut Diagnostics) -> Self {
        let all = read_several(Join::All, table, diagnostics);
        let any = read_several(Join::Any, table, diagnostics);
        if let (Some(_), Some(any)) = (&all, &any) {
            diagnostics.suggest(&any.position, "a rule has either `all` or `any`", "make two rules of it");
        }
        let other = |of: &Declaration| Some((of.key, of.read(table, diagnostics)?));
        let others = DECLARATIONS.iter().filter_map(other).collect();
        let mut draft = Self {
            severity: table.word("severity", "severity", severities(), diagnostics),
            test: TestDraft::read(table, diagnostics),
            several: all.or(any),
            baseline: table.numbers("baseline", diagnostics),
            others,
        };
        if let (Some(several), Some(metric)) = (&draft.several, &draft.test.metric) {
            let message = format!("a rule has either one `metric` or a list of tests (line {})", several.position.line);
            diagnostics.suggest(&metric.position, message, "put this one into the list");
        }
        draft.share_severity(diagnostics);
        draft
    }

    fn overlay(&mut self, newer: Self) {
        if newer.has_severities() {
            self.severity = None;
        }
        if newer.several.is_some() || newer.test.metric.is_some() || newer.test.limit.is_some() {
            // They belong to the limit that was.
            self.several = None;
            self.others.remove("clear");
        }
        if newer.several.is_some() {
            self.test = TestDraft::default();
        }
        if newer.test.metric.is_some() {
            // Another metric may have another unit.
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
