//! The rules in force: what is compared with what, where, and how bad it is.
//!
//! People write them as TOML ([`RuleSet::parse`]); a pack for every documented device type is compiled in
//! ([`RuleSet::pack`]). A file is accepted as a whole or refused as a whole, with every diagnostic in it.
//!
//! # To add a setting
//! Declare it in `settings.rs`: its key, its form, the kinds of rules that it belongs to. Drafts, overrides, the schema and the
//! diagnostics follow from that. Then give it an effect in [`engine`](crate::engine), and in the naive model of `tests/it/model`;
//! what the backtest says of other limits follows the engine by hand (`gauge.rs`). Document it in docs/rules.md, which a test
//! compares with the declarations. A setting that has to remember something changes [`RuleState`](crate::state::RuleState), and perhaps
//! the version of the state (`state/format.rs`).
//!
//! # To add a kind
//! Declare it in [`Kind`]: the compiler then asks for its name, for whether what it raises [lasts](Kind::lasts), for what its
//! rules need (`compile.rs`), for its step at a reading (`engine/zone.rs`) and for what of it a new alert replaces
//! (`engine/suppression.rs`). It does not ask for these:
//! - `Kind::ALL`, and the kinds of each setting (`settings.rs`; `COMPARING` in `compile.rs` for `metric`);
//! - what it remembers, a variant of [`RuleState`](crate::state::RuleState), and what a cleaning does to that (`Zone::cleaned`);
//! - how its alerts came about ([`Trigger`](crate::alert::Trigger)), in words in the crate `notify`;
//! - the naive model of `tests/it/model`, cases in tests/rules, and docs/rules.md;
//! - the backtest (`gauge.rs`, `judge.rs`), and hints from history (`inventory.rs`).

#[cfg(test)]
mod bounds_tests;
mod change;
#[cfg(test)]
mod change_tests;
mod compile;
mod diagnostic;
mod document;
mod draft;
mod metrics;
pub mod schema;
mod settings;
pub mod template;
mod values;

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp, civil};

use self::diagnostic::Diagnostics;
pub use self::diagnostic::{Diagnostic, Position, RefusedRules, nearest};
use self::draft::FileDraft;
pub use self::settings::{Setting, Settings};
use super::breach::Comparison;
use super::rate_limit::RateLimit;
use super::reading::Source;
use super::severity::Severity;
use super::time::LocalZone;
use super::utf8;

/// The compiled-in rules, as text: what a user's file is laid over.
pub const PACK: &str = include_str!("../../../../rules/pack.toml");

/// Longest block that a rule may ask for: what was sent is remembered for so long.
pub(crate) const LONGEST_BLOCK: SignedDuration = SignedDuration::from_hours(24);

/// The rules in force.
#[derive(Clone, Debug)]
pub struct RuleSet {
    /// A reading older than this when it is first received does not alert.
    pub max_age: SignedDuration,
    /// What becomes of alerts that are blocked.
    pub blocked: Blocked,
    /// After so long without anything from anywhere it is not the devices that are silent.
    pub quiet_after: SignedDuration,
    /// How many messages may go out.
    pub rate_limit: RateLimit,
    /// Messages below this severity go out without SMS.
    pub sms_from: Severity,
    /// In the order of the files.
    pub rules: Vec<Rule>,
    /// What can be used and is probably not meant, in the order of the file.
    pub warnings: Vec<Diagnostic>,
    /// What is named where: every rule, and every name in a scope.
    pub mentions: Vec<Mention>,
}

/// A name in a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// What it names.
    pub what: Mentioned,
    /// The name.
    pub name: String,
    /// Where it stands.
    pub position: Position,
}

/// What a name in a rules file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mentioned {
    /// A rule, by its id.
    Rule,
    /// A device type.
    Type,
    /// A property (`PropId`).
    Property,
    /// A project (`PID`).
    Project,
    /// A zone (`InsID`).
    Zone,
    /// A device (`DEVID`).
    Device,
}

impl Mentioned {
    /// The word for it: `zone`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Type => "type",
            Self::Property => "property",
            Self::Project => "project",
            Self::Zone => "zone",
            Self::Device => "device",
        }
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its id, unique.
    pub id: String,
    /// What a person calls the matter: "Bad smell".
    pub title: String,
    /// Its own words for the message, with placeholders.
    pub template: Option<String>,
    /// How it judges.
    pub kind: Kind,
    /// Where it applies.
    pub scope: Scope,
    /// Its settings where nothing overrides them.
    pub settings: Settings,
    /// What is different in parts of its scope, the widest first.
    pub overrides: Vec<(Scope, Vec<Setting>)>,
}

/// How a rule judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A limit is crossed, or has been for a while. It is raised once, and again when it was well in between.
    Threshold,
    /// A limit was crossed so many times within a time.
    Count,
    /// The same reason was given so many times (feedback).
    Reasons,
    /// What is added up reaches a limit, and starts again.
    Accumulate,
    /// Nothing has come for a time.
    Silence,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Threshold, Self::Count, Self::Reasons, Self::Accumulate, Self::Silence];

    /// The word in rules: `threshold`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Count => "count",
            Self::Reasons => "reasons",
            Self::Accumulate => "accumulate",
            Self::Silence => "silence",
        }
    }

    /// Whether what it raises lasts until something ends it: a limit that stays broken, a silence. What is counted or added up
    /// happens at one moment.
    #[must_use]
    pub fn lasts(self) -> bool {
        match self {
            Self::Threshold | Self::Silence => true,
            Self::Count | Self::Reasons | Self::Accumulate => false,
        }
    }
}

/// For how long an alert keeps others of the same zone from being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// After any alert of the same device.
    pub device: SignedDuration,
    /// After any alert of the same zone.
    pub zone: SignedDuration,
    /// After an alert of the same rule in the zone; in place of `zone` where it is set.
    pub rule: Option<SignedDuration>,
}

/// What becomes of alerts that are blocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocked {
    /// One message names them when the block ends.
    #[default]
    Named,
    /// The zone's next message says how many there were, as the vendor does it.
    Counted,
}

impl Blocked {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Named, Self::Counted];

    /// The word in rules: `named`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Counted => "counted",
        }
    }
}

/// The vendor's own: 15 minutes a device and a zone.
impl Default for Block {
    fn default() -> Self {
        let quarter = SignedDuration::from_mins(15);
        Self { device: quarter, zone: quarter, rule: None }
    }
}

/// Hours of the day, on the clock of the reading's own place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveHours {
    /// The first moment of them.
    pub from: civil::Time,
    /// The first moment after them. At or before `from`, they go over midnight.
    pub to: civil::Time,
}

impl ActiveHours {
    /// Whether `at` is within them where `zone` is.
    #[must_use]
    pub fn contain(&self, at: Timestamp, zone: &LocalZone) -> bool {
        let time = zone.on_the_wall(at).time();
        if self.from < self.to { self.from <= time && time < self.to } else { self.from <= time || time < self.to }
    }

    /// The first moment within them from `at` on.
    #[must_use]
    pub fn next(&self, at: Timestamp, zone: &LocalZone) -> Timestamp {
        if self.contain(at, zone) {
            return at;
        }
        let local = zone.on_the_wall(at);
        let time_zone = local.time_zone();
        let days = [Some(local.date()), local.date().tomorrow().ok()].into_iter().flatten();
        // A clock change may skip the first moment, repeat it, or set the clock into the hours again.
        let begins = days.flat_map(|date| {
            let begin = time_zone.to_ambiguous_timestamp(date.to_datetime(self.from));
            [begin.earlier(), begin.later()].into_iter().filter_map(Result::ok)
        });
        let change = time_zone.following(at).next().map(|change| change.timestamp());
        let first = begins.chain(change).filter(|begin| *begin >= at && self.contain(*begin, zone)).min();
        first.unwrap_or(at)
    }
}

/// A part of the world. An empty list says nothing; a reading is inside when it is in every list that says something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Device types, by short name.
    pub types: Vec<String>,
    /// Properties (`PropId`).
    pub properties: Vec<String>,
    /// Projects (`PID`).
    pub projects: Vec<String>,
    /// Zones (`InsID`).
    pub zones: Vec<String>,
    /// Devices (`DEVID`).
    pub devices: Vec<String>,
}

impl Scope {
    /// Whether a reading from `source` is inside.
    #[must_use]
    pub fn contains(&self, source: &Source<'_>) -> bool {
        let listed = |list: &[String], name: Option<&str>| {
            list.is_empty() || name.is_some_and(|name| list.iter().any(|listed| listed == name))
        };
        listed(&self.types, Some(&source.device_type))
            && listed(&self.properties, source.property.as_deref())
            && listed(&self.projects, source.project.as_deref())
            && listed(&self.zones, source.zone.as_deref())
            && listed(&self.devices, source.device.as_deref())
    }

    /// Whether nothing is listed.
    fn is_empty(&self) -> bool {
        self.narrowness() == 0
    }

    /// Whether a reading can be inside both.
    fn overlaps(&self, other: &Self) -> bool {
        let mut pairs = self.lists().into_iter().zip(other.lists());
        pairs.all(|(one, other)| one.is_empty() || other.is_empty() || one.iter().any(|name| other.contains(name)))
    }

    /// How narrow it is: a device is narrower than a zone, a zone than a project, that than a property, that than a type.
    fn narrowness(&self) -> u8 {
        self.lists().iter().enumerate().filter(|(_, list)| !list.is_empty()).map(|(index, _)| 1 << index).sum()
    }

    /// The widest first.
    fn lists(&self) -> [&[String]; 5] {
        [&self.types, &self.properties, &self.projects, &self.zones, &self.devices]
    }
}

/// One test or several.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Whether all tests must be broken, or any one of them.
    pub join: Join,
    /// The tests; at least one.
    pub tests: Vec<Test>,
}

/// How several tests make one condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Every test must be broken by the same reading.
    All,
    /// One broken test is enough.
    Any,
}

impl Join {
    /// The key in rules: `all`.
    fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Any => "any",
        }
    }
}

/// One metric against its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The metric's key.
    pub metric: String,
    /// How they compare.
    pub comparison: Comparison,
    /// The limits, the mildest first; at least one.
    pub levels: Vec<Level>,
}

/// A limit and how bad crossing it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The limit, in the metric's unit.
    pub limit: f64,
    /// How bad; `None` for the rule's own severity.
    pub severity: Option<Severity>,
}

impl Rule {
    /// The settings for a reading from `source`, of which the narrowest scope decides each; `None` if the rule does not apply
    /// there, or is not in force.
    #[must_use]
    pub fn effective(&self, source: &Source<'_>) -> Option<Cow<'_, Settings>> {
        if !self.scope.contains(source) {
            return None;
        }
        let mut effective = Cow::Borrowed(&self.settings);
        for (_, settings) in self.overrides.iter().filter(|(scope, _)| scope.contains(source)) {
            settings.iter().for_each(|setting| effective.to_mut().set(setting));
        }
        effective.enabled.then_some(effective)
    }
}

/// No rules, and what holds unless a file says otherwise.
impl Default for RuleSet {
    fn default() -> Self {
        Self {
            max_age: SignedDuration::from_hours(1),
            blocked: Blocked::default(),
            quiet_after: SignedDuration::from_hours(1),
            rate_limit: RateLimit::default(),
            // A low battery wakes nobody.
            sms_from: Severity::Medium,
            rules: Vec::new(),
            warnings: Vec::new(),
            mentions: Vec::new(),
        }
    }
}

impl RuleSet {
    /// The compiled-in rules alone.
    ///
    /// # Panics
    /// Where the pack itself has a diagnostic, which a test excludes.
    #[must_use]
    #[expect(clippy::panic, reason = "the pack is part of the program, and a test reads it")]
    pub fn pack() -> Self {
        let mut diagnostics = Diagnostics::default();
        let rules = FileDraft::default().overlay("pack.toml", PACK, &mut diagnostics).compile(&mut diagnostics);
        let (rules, _) = diagnostics
            .or(rules)
            .unwrap_or_else(|diagnostics| panic!("the built-in rules have diagnostics: {diagnostics:#?}"));
        rules
    }

    /// The rules of a user's file laid over the compiled-in ones: a rule of a known id changes what it names, others are
    /// added. `file` is what the diagnostics call it.
    ///
    /// # Errors
    /// Every diagnostic of the file, in its order. Nothing of a file with a diagnostic is used. Only another file can help.
    ///
    /// ```
    /// use domain::rules::RuleSet;
    /// let rules = RuleSet::parse("rules.toml", "[[rule]]\nid = \"soap-low\"\nbelow = 10")?;
    /// assert_eq!(rules.rules.len(), RuleSet::pack().rules.len());
    ///
    /// let diagnostics = RuleSet::parse("rules.toml", "[[rule]]\nid = \"soap-low\"\nbelwo = 10").unwrap_err();
    /// assert_eq!(diagnostics[0].to_string(), "rules.toml:3:1: a rule has no `belwo`; did you mean `below`?");
    /// # Ok::<(), Vec<domain::rules::Diagnostic>>(())
    /// ```
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut diagnostics = Diagnostics::default();
        let draft =
            FileDraft::default().overlay("pack.toml", PACK, &mut diagnostics).overlay(file, text, &mut diagnostics);
        let rules = draft.compile(&mut diagnostics);
        let (rules, warnings) = diagnostics.or(rules)?;
        Ok(Self { warnings, ..rules })
    }

    /// [Parses](Self::parse) a file as it was read.
    ///
    /// # Errors
    /// Every diagnostic of the file; a file that is not UTF-8 has one, at the first byte that is not. Only another file can help.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let text = utf8::text(bytes).map_err(|diagnostic| vec![Diagnostic::not_utf8(file, &diagnostic)])?;
        Self::parse(file, text)
    }

    /// The rule of this id.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// The rules that watch for silence.
    pub fn silences(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.kind == Kind::Silence)
    }
}
