//! Rules as they are written: every member optional, every value with its place. Two files become one here.

use jiff::{SignedDuration, civil};

use super::document::{Document, TableReader, number};
use super::fault::{At, Faults, Location, nearest};
use super::values::{read_active, read_block, read_limit, read_rate_limit, read_several, read_severity, time_of_day};
use super::{ActiveHours, Block, Blocked, Mention, Mentioned};
use crate::alert::Comparison;
use crate::rate_limit::RateLimit;
use crate::severity::Severity;

/// A rules file as it is written.
#[derive(Debug, Default)]
pub(super) struct FileDraft {
    pub(super) max_age: Option<At<SignedDuration>>,
    pub(super) quiet_after: Option<At<SignedDuration>>,
    pub(super) block: Option<At<Block>>,
    pub(super) blocked: Option<At<Blocked>>,
    pub(super) rate_limit: RateLimit,
    pub(super) sms_from: Option<At<Severity>>,
    pub(super) rules: Vec<RuleDraft>,
}

/// A rule as it is written.
#[derive(Debug)]
pub(super) struct RuleDraft {
    pub(super) id: At<String>,
    pub(super) kind: Option<At<String>>,
    pub(super) title: Option<At<String>>,
    pub(super) message: Option<At<String>>,
    pub(super) scope: ScopeDraft,
    pub(super) settings: SettingsDraft,
    pub(super) overrides: Vec<OverrideDraft>,
}

/// What a rule, or one override of it, applies to.
#[derive(Debug, Default)]
pub(super) struct ScopeDraft {
    pub(super) types: Option<Vec<At<String>>>,
    pub(super) properties: Option<Vec<At<String>>>,
    pub(super) projects: Option<Vec<At<String>>>,
    pub(super) zones: Option<Vec<At<String>>>,
    pub(super) devices: Option<Vec<At<String>>>,
}

/// What may differ from place to place.
#[derive(Debug, Default)]
pub(super) struct SettingsDraft {
    pub(super) enabled: Option<At<bool>>,
    pub(super) severity: Option<At<Severity>>,
    /// A single test's parts; each may come from another file.
    pub(super) metric: Option<At<String>>,
    pub(super) unit: Option<At<String>>,
    pub(super) limit: Option<LimitDraft>,
    /// Several tests, written out.
    pub(super) several: Option<SeveralDraft>,
    pub(super) baseline: Option<Vec<(At<String>, f64)>>,
    pub(super) active: Option<At<ActiveHours>>,
    pub(super) block: Option<At<Block>>,
    pub(super) clear: Option<At<f64>>,
    pub(super) lasting: Option<At<SignedDuration>>,
    pub(super) max_gap: Option<At<SignedDuration>>,
    pub(super) resolved: Option<At<bool>>,
    pub(super) reminder: Option<At<SignedDuration>>,
    pub(super) count: Option<At<usize>>,
    pub(super) within: Option<At<SignedDuration>>,
    pub(super) carry: Option<At<bool>>,
    pub(super) restart_at: Option<At<civil::Time>>,
    pub(super) after: Option<At<SignedDuration>>,
}

/// `at_least = 200`, or `at_least = { medium = 200, high = 500 }`.
#[derive(Clone, Debug)]
pub(super) struct LimitDraft {
    /// `at_least`.
    pub(super) key: &'static str,
    pub(super) comparison: Comparison,
    /// The mildest first.
    pub(super) levels: Vec<(Option<Severity>, f64)>,
    pub(super) location: Location,
}

/// `all = [...]` or `any = [...]`.
#[derive(Debug)]
pub(super) struct SeveralDraft {
    pub(super) all: bool,
    pub(super) tests: Vec<TestDraft>,
    pub(super) location: Location,
}

/// One of several tests.
#[derive(Clone, Debug)]
pub(super) struct TestDraft {
    pub(super) metric: Option<At<String>>,
    pub(super) unit: Option<At<String>>,
    pub(super) limit: Option<LimitDraft>,
    pub(super) location: Location,
}

/// Settings for a part of a rule's scope.
#[derive(Debug)]
pub(super) struct OverrideDraft {
    pub(super) scope: ScopeDraft,
    pub(super) settings: SettingsDraft,
}

impl FileDraft {
    /// Reads the file's text as far as it can be read; everything that cannot is a fault.
    pub(super) fn read(file: &str, text: &str, faults: &mut Faults) -> Self {
        let document = Document::new(file, text);
        let root = document.root(faults);
        let mut table = TableReader::new(&document, &root, "a rules file");
        if let Some(version) = table.number("version", faults).filter(|version| version.value != 1.0) {
            let message = format!("the rules have version {}, and this program reads version 1", version.value);
            faults.suggest(&version.location, message, "update smartclean-push, or write `version = 1`");
        }
        let max_age = table.duration("max_age", faults);
        let quiet_after = table.duration("quiet_after", faults);
        let block = read_block(&mut table, faults);
        let blocked = table.value("blocked", "\"named\" or \"counted\"", faults, |value| {
            Blocked::ALL.into_iter().find(|known| value.as_str() == Some(known.as_str()))
        });
        let rate_limit = read_rate_limit(&mut table, faults);
        let sms_from = read_severity(&mut table, "sms_from", faults);
        let rules = table.tables("rule", "a rule", faults, RuleDraft::read);
        let mut rules: Vec<RuleDraft> = rules.map(|rules| rules.value).unwrap_or_default();
        table.finish(faults);
        let mut seen: Vec<(String, usize)> = Vec::new();
        rules.retain(|rule| {
            let first = seen.iter().find(|(id, _)| *id == rule.id.value).map(|(_, line)| *line);
            if let Some(line) = first {
                let message = format!("the id `{}` is taken by the rule in line {line}", rule.id.value);
                faults.suggest(&rule.id.location, message, "give this rule an id of its own, or join the two");
            } else {
                seen.push((rule.id.value.clone(), rule.id.location.line));
            }
            first.is_none()
        });
        Self { max_age, quiet_after, block, blocked, rate_limit, sms_from, rules }
    }

    /// Lays `newer` over this file: a rule of the same id changes only what the newer one names, others are added.
    pub(super) fn overlaid_by(mut self, newer: Self, faults: &mut Faults) -> Self {
        self.max_age = newer.max_age.or(self.max_age);
        self.quiet_after = newer.quiet_after.or(self.quiet_after);
        self.block = newer.block.or(self.block);
        self.blocked = newer.blocked.or(self.blocked);
        self.rate_limit = newer.rate_limit;
        self.sms_from = newer.sms_from.or(self.sms_from);
        let mut own = Vec::new();
        for rule in newer.rules {
            match self.rules.iter_mut().find(|known| known.id.value == rule.id.value) {
                Some(known) => known.overlay(rule, faults),
                None => own.push(rule),
            }
        }
        let known = || self.rules.iter().map(|rule| rule.id.value.as_str());
        // A rule of one's own has a title. Without one, a name that is nearly a known one is that one.
        own.retain(|rule| {
            let meant = nearest(&rule.id.value, known()).filter(|_| rule.title.is_none());
            if let Some(meant) = &meant {
                let message = format!("no built-in rule has the id `{}`", rule.id.value);
                faults.suggest(&rule.id.location, message, format!("{meant} A rule of your own needs a `title`"));
            }
            meant.is_none()
        });
        self.rules.append(&mut own);
        self
    }
}

impl RuleDraft {
    /// What is named where.
    pub(super) fn mentions(&self) -> impl Iterator<Item = Mention> {
        let mention =
            |what, named: &At<String>| Mention { what, name: named.value.clone(), location: named.location.clone() };
        let scopes = std::iter::once(&self.scope).chain(self.overrides.iter().map(|part| &part.scope));
        let lists = scopes.flat_map(ScopeDraft::lists);
        let names = lists.flat_map(move |(what, names)| names.iter().map(move |name| mention(what, name)));
        std::iter::once(mention(Mentioned::Rule, &self.id)).chain(names)
    }

    fn read(mut table: TableReader<'_, '_>, location: Location, faults: &mut Faults) -> Option<Self> {
        const EXAMPLE: &str = "for example id = \"soap-low\"";
        let id = table.text("id", faults);
        match &id {
            None => faults.suggest(&location, "a rule needs an `id`", EXAMPLE),
            Some(id) if id.value.is_empty() && !faults.has(&id.location) => {
                faults.suggest(&id.location, "the `id` is empty", EXAMPLE)
            }
            Some(_) => {}
        }
        let draft = Self {
            id: id.unwrap_or(At { value: String::new(), location }),
            kind: table.string("kind", faults),
            // That it says something is asked of it with its length.
            title: table.text("title", faults),
            message: table.string("message", faults),
            scope: ScopeDraft::read(&mut table, faults),
            settings: SettingsDraft::read(&mut table, faults),
            overrides: table
                .tables("override", "an override", faults, |mut table, location, faults| {
                    if !["types", "properties", "projects", "zones", "devices"].iter().any(|key| table.has(key)) {
                        let message = "an override needs to say where it applies";
                        faults.suggest(&location, message, "with types, properties, projects, zones or devices");
                    }
                    let scope = ScopeDraft::read(&mut table, faults);
                    let settings = SettingsDraft::read(&mut table, faults);
                    table.finish(faults);
                    Some(OverrideDraft { scope, settings })
                })
                .map(|overrides| overrides.value)
                .unwrap_or_default(),
        };
        table.finish(faults);
        (!draft.id.value.is_empty()).then_some(draft)
    }

    fn overlay(&mut self, newer: Self, faults: &mut Faults) {
        self.settings.check_change(&newer.settings, &self.id.value, faults);
        // The newer place: faults of the whole rule are the doing of who changed it last.
        self.id = newer.id;
        self.kind = newer.kind.or(self.kind.take());
        self.title = newer.title.or(self.title.take());
        self.message = newer.message.or(self.message.take());
        self.scope.overlay(newer.scope);
        self.settings.overlay(newer.settings);
        self.overrides.extend(newer.overrides);
    }
}

impl ScopeDraft {
    fn read(table: &mut TableReader<'_, '_>, faults: &mut Faults) -> Self {
        Self {
            types: table.strings("types", faults),
            properties: table.strings("properties", faults),
            projects: table.strings("projects", faults),
            zones: table.strings("zones", faults),
            devices: table.strings("devices", faults),
        }
    }

    /// Each list with what its names name; a list that is left out has none.
    pub(super) fn lists(&self) -> [(Mentioned, &[At<String>]); 5] {
        [
            (Mentioned::Type, &self.types),
            (Mentioned::Property, &self.properties),
            (Mentioned::Project, &self.projects),
            (Mentioned::Zone, &self.zones),
            (Mentioned::Device, &self.devices),
        ]
        .map(|(what, list)| (what, list.as_deref().unwrap_or_default()))
    }

    fn overlay(&mut self, newer: Self) {
        self.types = newer.types.or(self.types.take());
        self.properties = newer.properties.or(self.properties.take());
        self.projects = newer.projects.or(self.projects.take());
        self.zones = newer.zones.or(self.zones.take());
        self.devices = newer.devices.or(self.devices.take());
    }
}

impl SettingsDraft {
    fn read(table: &mut TableReader<'_, '_>, faults: &mut Faults) -> Self {
        let all = read_several(table, "all", faults);
        let any = read_several(table, "any", faults);
        if let (Some(_), Some(any)) = (&all, &any) {
            faults.suggest(&any.location, "a rule has either `all` or `any`", "make two rules of it");
        }
        let mut draft = Self {
            enabled: table.boolean("enabled", faults),
            severity: read_severity(table, "severity", faults),
            metric: table.string("metric", faults),
            unit: table.string("unit", faults),
            limit: read_limit(table, faults),
            several: all.or(any),
            baseline: table.numbers("baseline", faults),
            active: read_active(table, faults),
            block: read_block(table, faults),
            clear: table.number("clear", faults),
            lasting: table.duration("for", faults),
            max_gap: table.duration("max_gap", faults),
            resolved: table.boolean("resolved", faults),
            reminder: table.duration("reminder", faults),
            count: table.value("count", "a whole number from 1 to 1,000", faults, |value| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number from 1 to 1,000"
                )]
                number(value)
                    .filter(|count| count.fract() == 0.0 && (1.0..=1000.0).contains(count))
                    .map(|count| count as usize)
            }),
            within: table.duration("within", faults),
            carry: table.boolean("carry", faults),
            restart_at: table
                .value("restart_at", "a time of day such as \"06:00\"", faults, |value| time_of_day(value.as_str()?)),
            after: table.duration("after", faults),
        };
        if let (Some(several), Some(metric)) = (&draft.several, &draft.metric) {
            let message = format!("a rule has either one `metric` or a list of tests (line {})", several.location.line);
            faults.suggest(&metric.location, message, "put this one into the list");
        }
        draft.share_severity(faults);
        draft
    }

    fn overlay(&mut self, newer: Self) {
        if newer.has_severities() {
            self.severity = None;
        }
        self.enabled = newer.enabled.or(self.enabled.take());
        self.severity = newer.severity.or(self.severity.take());
        self.baseline = newer.baseline.or(self.baseline.take());
        self.active = newer.active.or(self.active.take());
        self.block = newer.block.or(self.block.take());
        self.lasting = newer.lasting.or(self.lasting.take());
        self.max_gap = newer.max_gap.or(self.max_gap.take());
        self.resolved = newer.resolved.or(self.resolved.take());
        self.reminder = newer.reminder.or(self.reminder.take());
        self.count = newer.count.or(self.count.take());
        self.within = newer.within.or(self.within.take());
        self.carry = newer.carry.or(self.carry.take());
        self.restart_at = newer.restart_at.or(self.restart_at.take());
        self.after = newer.after.or(self.after.take());
        if newer.several.is_some() || newer.metric.is_some() || newer.limit.is_some() {
            // They belong to the limit that was.
            (self.several, self.clear) = (None, None);
        }
        if newer.several.is_some() {
            (self.metric, self.unit, self.limit) = (None, None, None);
        }
        self.several = newer.several.or(self.several.take());
        self.clear = newer.clear.or(self.clear.take());
        if newer.metric.is_some() {
            // Another metric may have another unit.
            self.unit = None;
        }
        self.metric = newer.metric.or(self.metric.take());
        self.unit = newer.unit.or(self.unit.take());
        self.limit = newer.limit.or(self.limit.take());
    }
}
