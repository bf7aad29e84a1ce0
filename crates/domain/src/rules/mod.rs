//! The rules in force: what is compared with what, where, and how bad it is.
//!
//! People write them as TOML ([`RuleSet::parse`]); a pack for every documented device type is compiled in
//! ([`RuleSet::pack`]). A file is accepted as a whole or refused as a whole, with every fault in it.

#[cfg(test)]
mod bounds_tests;
mod change;
#[cfg(test)]
mod change_tests;
mod compile;
mod document;
mod draft;
mod fault;
mod metrics;
pub mod schema;
mod values;

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp, civil};

use self::draft::FileDraft;
use self::fault::Faults;
pub use self::fault::{Fault, Location, Refused, nearest};
use super::alert::Comparison;
use super::rate_limit::RateLimit;
use super::reading::Source;
use super::severity::Severity;
use super::time::LocalZone;
use super::utf8;

/// The compiled-in rules, as text: what a user's file is laid over.
pub const PACK: &str = include_str!("../../../../rules/pack.toml");

/// A reading older than this when it is first received is stored and does not alert, unless the file says otherwise.
const DEFAULT_MAX_AGE: SignedDuration = SignedDuration::from_hours(1);

/// How long nothing may come from anywhere, unless the file says otherwise.
const DEFAULT_QUIET_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// The lowest severity that goes out by SMS, unless the file says otherwise: a low battery wakes nobody.
const DEFAULT_SMS_FROM: Severity = Severity::Medium;

/// Longest silence between two readings of a breach that still counts as lasting, unless the rule says otherwise or asks for
/// a breach that lasts longer than this.
const DEFAULT_MAX_GAP: SignedDuration = SignedDuration::from_mins(30);
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
    pub warnings: Vec<Fault>,
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
    pub location: Location,
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
    /// What it says everywhere; complete.
    pub settings: Settings,
    /// What it says elsewhere, the widest scope first.
    pub overrides: Vec<(Scope, Settings)>,
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
        let share = |one: &[String], other: &[String]| {
            one.is_empty() || other.is_empty() || one.iter().any(|name| other.contains(name))
        };
        share(&self.types, &other.types)
            && share(&self.properties, &other.properties)
            && share(&self.projects, &other.projects)
            && share(&self.zones, &other.zones)
            && share(&self.devices, &other.devices)
    }

    /// How narrow it is: a device is narrower than a zone, a zone than a project, that than a property, that than a type.
    fn narrowness(&self) -> u8 {
        let lists = [&self.types, &self.properties, &self.projects, &self.zones, &self.devices];
        lists.iter().enumerate().filter(|(_, list)| !list.is_empty()).map(|(index, _)| 1 << index).sum()
    }
}

/// What a rule says at a place. In an override, `None` is "as elsewhere".
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whether it says anything at all.
    pub enabled: Option<bool>,
    /// How bad a limit without a severity of its own is.
    pub severity: Option<Severity>,
    /// What is compared.
    pub condition: Option<Condition>,
    /// What [`Comparison::Deviates`] measures from, by metric.
    pub baseline: Option<HashMap<String, f64>>,
    /// Hours of the day outside of which its messages wait.
    pub active: Option<ActiveHours>,
    /// For how long others keep it from being sent.
    pub block: Option<Block>,
    /// The level at which a broken limit is well again, where that is not the limit itself.
    pub clear: Option<f64>,
    /// How long a breach must last.
    pub lasting: Option<SignedDuration>,
    /// Longest silence between two readings of a breach that still counts as lasting.
    pub max_gap: Option<SignedDuration>,
    /// Whether it is said when it is over.
    pub resolved: Option<bool>,
    /// How often it is said again while it lasts.
    pub reminder: Option<SignedDuration>,
    /// How many times.
    pub count: Option<usize>,
    /// Within which time.
    pub within: Option<SignedDuration>,
    /// Whether what is above the limit counts for the next sum.
    pub carry: Option<bool>,
    /// Local time of day at which a sum restarts by itself.
    pub restart_at: Option<civil::Time>,
    /// How long a device may be silent.
    pub after: Option<SignedDuration>,
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

/// What a rule says for one reading, after the narrowest override of each setting has won.
#[derive(Clone, Copy, Debug)]
pub struct Effective<'r> {
    /// What is compared; `None` for silence.
    pub condition: Option<&'r Condition>,
    /// How bad a limit without a severity of its own is.
    pub severity: Severity,
    /// What [`Comparison::Deviates`] measures from, by metric.
    pub baseline: Option<&'r HashMap<String, f64>>,
    /// Hours of the day outside of which its messages wait.
    pub active: Option<ActiveHours>,
    /// For how long others keep it from being sent.
    pub block: Block,
    /// The level at which a broken limit is well again, where that is not the limit itself.
    pub clear: Option<f64>,
    /// How long a breach must last; zero where one reading is enough.
    pub lasting: SignedDuration,
    /// Longest silence between two readings of a breach that still counts as lasting.
    pub max_gap: SignedDuration,
    /// Whether it is said when it is over.
    pub resolved: bool,
    /// How often it is said again while it lasts.
    pub reminder: Option<SignedDuration>,
    /// How many times; at least one.
    pub count: usize,
    /// Within which time; `None` where that does not matter.
    pub within: Option<SignedDuration>,
    /// Whether what is above the limit counts for the next sum.
    pub carry: bool,
    /// Local time of day at which a sum restarts by itself.
    pub restart_at: Option<civil::Time>,
    /// How long a device may be silent.
    pub after: Option<SignedDuration>,
}

impl Rule {
    /// What applies there; `None` where the rule does not, or is switched off.
    fn applying(&self, source: &Source<'_>) -> Option<Applying<'_>> {
        if !self.scope.contains(source) {
            return None;
        }
        // Allocates nothing where there is none, which is the rule.
        let overrides = self.overrides.iter().filter(|(scope, _)| scope.contains(source)).map(|(_, settings)| settings);
        let applying = Applying { everywhere: &self.settings, overrides: overrides.collect() };
        narrowest(&applying, |settings| settings.enabled).unwrap_or(true).then_some(applying)
    }

    /// How long a device at `source` may be silent; `None` if this rule does not apply there, or is not about silence.
    #[must_use]
    pub fn after(&self, source: &Source<'_>) -> Option<SignedDuration> {
        narrowest(&self.applying(source)?, |settings| settings.after)
    }

    /// What this rule says for a reading from `source`; `None` where it does not apply there.
    #[must_use]
    pub fn effective(&self, source: &Source<'_>) -> Option<Effective<'_>> {
        let applying = self.applying(source)?;
        let lasting = narrowest(&applying, |settings| settings.lasting).unwrap_or_default();
        Some(Effective {
            condition: narrowest(&applying, |settings| settings.condition.as_ref()),
            severity: narrowest(&applying, |settings| settings.severity).unwrap_or(Severity::Medium),
            baseline: narrowest(&applying, |settings| settings.baseline.as_ref()),
            active: narrowest(&applying, |settings| settings.active),
            block: narrowest(&applying, |settings| settings.block).unwrap_or_default(),
            clear: narrowest(&applying, |settings| settings.clear),
            lasting,
            max_gap: narrowest(&applying, |settings| settings.max_gap).unwrap_or(DEFAULT_MAX_GAP.max(lasting)),
            resolved: narrowest(&applying, |settings| settings.resolved).unwrap_or(false),
            reminder: narrowest(&applying, |settings| settings.reminder),
            count: narrowest(&applying, |settings| settings.count).unwrap_or(1),
            within: narrowest(&applying, |settings| settings.within),
            carry: narrowest(&applying, |settings| settings.carry).unwrap_or(false),
            restart_at: narrowest(&applying, |settings| settings.restart_at),
            after: narrowest(&applying, |settings| settings.after),
        })
    }
}

/// What a rule says at one place: everywhere, and then ever narrower.
struct Applying<'r> {
    everywhere: &'r Settings,
    overrides: Vec<&'r Settings>,
}

/// What the narrowest says that says anything.
fn narrowest<'r, T>(applying: &Applying<'r>, of: impl Fn(&'r Settings) -> Option<T>) -> Option<T> {
    applying.overrides.iter().rev().find_map(|settings| of(settings)).or_else(|| of(applying.everywhere))
}

impl RuleSet {
    /// The compiled-in rules alone.
    ///
    /// # Panics
    /// Where the pack itself has a fault, which a test excludes.
    #[must_use]
    #[expect(clippy::panic, reason = "the pack is part of the program, and a test reads it")]
    pub fn pack() -> Self {
        let mut faults = Faults::default();
        let draft = FileDraft::read("pack.toml", PACK, &mut faults);
        let rules = compile::compile(draft, &mut faults);
        let (rules, _) =
            faults.or(rules).unwrap_or_else(|faults| panic!("the built-in rules have faults: {faults:#?}"));
        rules
    }

    /// The rules of a user's file laid over the compiled-in ones: a rule of a known id changes what it names, others are
    /// added. `file` is what the faults call it.
    ///
    /// # Errors
    /// Every fault of the file, in its order. Nothing of a file with a fault is used. Only another file can help.
    ///
    /// ```
    /// use domain::rules::RuleSet;
    /// let rules = RuleSet::parse("rules.toml", "[[rule]]\nid = \"soap-low\"\nbelow = 10")?;
    /// assert_eq!(rules.rules.len(), RuleSet::pack().rules.len());
    ///
    /// let faults = RuleSet::parse("rules.toml", "[[rule]]\nid = \"soap-low\"\nbelwo = 10").unwrap_err();
    /// assert_eq!(faults[0].to_string(), "rules.toml:3:1: a rule has no `belwo`; did you mean `below`?");
    /// # Ok::<(), Vec<domain::rules::Fault>>(())
    /// ```
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let pack = FileDraft::read("pack.toml", PACK, &mut faults);
        let newer = FileDraft::read(file, text, &mut faults);
        let draft = pack.overlaid_by(newer, &mut faults);
        let rules = compile::compile(draft, &mut faults);
        let (rules, warnings) = faults.or(rules)?;
        Ok(Self { warnings, ..rules })
    }

    /// [Parses](Self::parse) a file as it was read.
    ///
    /// # Errors
    /// Every fault of the file; a file that is not UTF-8 has one, at the first byte that is not. Only another file can help.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, Vec<Fault>> {
        let text = utf8::text(bytes).map_err(|fault| vec![Fault::not_utf8(file, &fault)])?;
        Self::parse(file, text)
    }
}
