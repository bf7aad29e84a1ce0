//! Rules: the conditions that readings are evaluated against, their scope and their settings.
//!
//! People write rules as TOML ([`RuleSet::parse`]). Rules for every documented device type are built in
//! ([`RuleSet::pack`]). A file with an error is refused as a whole, and every error is reported.
//!
//! # To add a setting
//! Declare it in `settings.rs` with its default, its key, its kinds of rule and its syntax.
//! Add it to `rules/rules.schema.json` and docs/rules.md, which tests compare with the reader. Then use it in
//! [`engine`](crate::engine) and in the naive model of `tests/it/model`. A setting with state changes
//! [`RuleState`](crate::state::RuleState), and perhaps the version of the state (`state/version.rs`).
//!
//! # To add a kind of rule
//! Add it to [`Kind`]. The compiler then finds its name, whether its alerts [last](Kind::lasts), what its rules need
//! (`compile.rs`), its evaluation of a reading (`engine/zone.rs`), and which suppressed alerts a new one replaces
//! (`engine/suppression.rs`). It does not find these:
//! - the kinds of each setting (`settings.rs`) and of `metric` (`compile.rs`), and `rules/rules.schema.json`;
//! - its state, a variant of [`RuleState`](crate::state::RuleState), and the effect of a cleaning on it (`ZoneEvaluator::clean`);
//! - its [`Trigger`](crate::alert::Trigger), with words in the crate `notify`;
//! - the naive model of `tests/it/model`, cases in tests/rules, and docs/rules.md;
//! - the check of limits (`metrics.rs`), hints from history (`crates/history/src/inventory.rs`), and the backtest
//!   (`evaluator.rs` and `device.rs` in `crates/analysis/src/backtest`);
//! - for a new variant of the state: `supersede` and `mark_announced` (`engine/suppression.rs`), and which devices are evicted
//!   (`engine/device_limit.rs`).

mod audience;
#[cfg(test)]
mod audience_tests;
#[cfg(test)]
mod bounds_tests;
mod change;
#[cfg(test)]
mod change_tests;
pub mod channels;
#[cfg(test)]
mod channels_tests;
mod compile;
mod diagnostic;
mod document;
mod draft;
pub mod hours;
mod metrics;
mod mute;
pub mod names;
#[cfg(test)]
mod names_tests;
mod reach;
mod routing;
#[cfg(test)]
mod schema_tests;
mod scope;
mod selection;
mod settings;
pub mod template;
mod values;

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::SignedDuration;

pub use self::audience::{Audience, Links};
use self::channels::{Email, Webhook};
use self::diagnostic::Diagnostics;
pub use self::diagnostic::{Diagnostic, Position, RefusedRules, nearest};
use self::draft::FileDraft;
pub use self::draft::{LONGEST_ACTION, LONGEST_TITLE};
pub use self::hours::{Days, WeeklyHours};
pub use self::mute::Mute;
use self::names::Names;
pub use self::routing::{Routing, Wait};
pub use self::scope::Scope;
pub use self::selection::AlertSelection;
pub use self::settings::{Setting, Settings};
pub use self::values::EscalationStep;
use super::alert::life::AlertLife;
use super::breach::Comparison;
use super::device::{DEVICE_TYPES, DeviceType};
use super::rate_limit::RateLimit;
pub use super::reading::MentionKind;
use super::reading::Source;
use super::severity::Severity;
use super::utf8;
use crate::words;

/// The built-in rules, as TOML.
pub const PACK: &str = include_str!("../../../../rules/pack.toml");

/// The longest block of a rule. The zone state keeps sent alerts for this long.
pub(crate) const LONGEST_BLOCK: SignedDuration = SignedDuration::from_hours(24);

/// The rules in force, and the settings of the whole file. The built-in rules have the defaults of the settings.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// The greatest age, at receipt, of a reading that can fire an alert.
    pub max_age: SignedDuration,
    /// How blocked alerts are reported.
    pub blocked: Blocked,
    /// The time without any reading from anywhere after which a notice is sent. Silence rules then do not fire until a reading
    /// arrives.
    pub quiet_after: SignedDuration,
    /// The rate limit of messages.
    pub rate_limit: RateLimit,
    /// Messages below this severity are not sent by SMS.
    pub sms_from: Severity,
    /// The rules in the order of the files.
    pub rules: Vec<Rule>,
    /// How an own server sends email.
    pub email: Option<Email>,
    /// How an own server calls a webhook.
    pub webhook: Option<Webhook>,
    /// The names of sites, zones and devices.
    pub names: Names,
    /// The texts of messages that replace built-in ones.
    pub texts: Vec<OwnTexts>,
    /// Who is told; empty for everybody.
    pub audiences: Vec<Audience>,
    /// The alerts that are not sent for a time.
    pub mutes: Vec<Mute>,
    /// The warnings of the file, in its order.
    pub warnings: Vec<Diagnostic>,
    /// Every declared id and id in a scope, with its position.
    pub mentions: Vec<Mention>,
}

/// The texts of messages in one language that replace built-in ones, in Fluent. The crate `notify` reads them.
#[derive(Clone, Debug)]
pub struct OwnTexts {
    /// The language: `zh-Hans`.
    pub language: String,
    /// The position of the language.
    pub language_position: Position,
    /// The texts.
    pub text: String,
    /// The position of the first line of `text`.
    position: Position,
    /// Whether a line of `text` is a line of the file.
    is_multiline: bool,
}

impl OwnTexts {
    /// The position in the file of this offset in `text`, in bytes. Of a text on one line, that of the text.
    #[must_use]
    pub fn position_at(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).filter(|_| self.is_multiline).unwrap_or_default();
        match before.rsplit_once('\n') {
            None => self.position.clone(),
            Some((lines, start)) => Position {
                line: self.position.line + lines.matches('\n').count() + 1,
                column: start.chars().count() + 1,
                ..self.position.clone()
            },
        }
    }
}

/// A declared id, or one in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The kind of thing that has the id.
    pub kind: MentionKind,
    /// The id, also where the file has a name.
    pub id: String,
    /// The position of the id or name.
    pub position: Position,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The unique id.
    pub id: String,
    /// The position of the id in the file that changed the rule last.
    pub position: Position,
    /// The heading of its alerts: "Bad smell".
    pub title: String,
    /// The message template, with placeholders; `None` for the usual text.
    pub template: Option<String>,
    /// What people should do, in one line.
    pub action: Option<String>,
    /// How the rule evaluates readings.
    pub kind: Kind,
    /// The readings that the rule evaluates.
    pub scope: Scope,
    /// The settings without overrides.
    pub settings: Settings,
    /// The overrides, the widest scope first.
    pub overrides: Vec<(Scope, Vec<Setting>)>,
}

words! {
    /// How a rule evaluates readings.
    pub enum Kind {
        /// Fires once when a limit is breached, for long enough, until it is resolved.
        Threshold = "threshold",
        /// Fires when a limit is breached a number of times within a window.
        Count = "count",
        /// Fires when feedback names the same reason a number of times.
        Reasons = "reasons",
        /// Fires when the sum of a metric reaches a limit. The sum then restarts.
        Accumulate = "accumulate",
        /// Fires when a device sends nothing for a time.
        Silence = "silence",
    }
}

impl Kind {
    /// Whether its alerts last until they are resolved. The alerts of the other kinds are of one moment.
    #[must_use]
    pub fn lasts(self) -> bool {
        match self {
            Self::Threshold | Self::Silence => true,
            Self::Count | Self::Reasons | Self::Accumulate => false,
        }
    }
}

/// How long a sent alert suppresses others of its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// After any alert of the same device.
    pub device: SignedDuration,
    /// After any alert of the same zone.
    pub zone: SignedDuration,
    /// After an alert of the same rule in the zone. Replaces `zone` if it is set.
    pub rule: Option<SignedDuration>,
}

words! {
    /// How blocked alerts are reported.
    #[derive(Default)]
    pub enum Blocked {
        /// One message lists them when the block ends.
        #[default]
        Named = "named",
        /// The zone's next message contains their number, as in the vendor's alerts.
        Counted = "counted",
    }
}

/// The vendor's default: 15 minutes for the device and for the zone.
impl Default for Block {
    fn default() -> Self {
        let quarter = SignedDuration::from_mins(15);
        Self { device: quarter, zone: quarter, rule: None }
    }
}

/// The tests of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Whether all tests must be breached, or any.
    pub join: Join,
    /// The tests, at least one.
    pub tests: Vec<Test>,
}

words! {
    /// How several tests are combined.
    pub enum Join {
        /// One reading must breach every test.
        All = "all",
        /// One breached test is enough.
        Any = "any",
    }
}

/// A metric and its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The metric's key.
    pub metric: String,
    /// How the value is compared with the limits.
    pub comparison: Comparison,
    /// The limits, at least one. The mildest is first.
    pub levels: Vec<Level>,
}

/// A limit and its severity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The limit, in the metric's unit.
    pub limit: f64,
    /// The severity of a breach; `None` for the rule's own.
    pub severity: Option<Severity>,
}

impl Rule {
    /// The settings for readings from `source`: overrides apply, the narrowest last. `None` if the rule does not apply there or
    /// is not enabled.
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

    /// The severities that its alerts can have.
    #[must_use]
    pub fn severities(&self) -> BTreeSet<Severity> {
        let overridden = self.overrides.iter().flat_map(|(_, settings)| settings).filter_map(|setting| match setting {
            Setting::Severity(severity) => Some(*severity),
            _ => None,
        });
        let levels: Vec<_> = self.tests().flat_map(|test| &test.levels).collect();
        let has_own = levels.is_empty() || levels.iter().any(|level| level.severity.is_none());
        let own = overridden.chain([self.settings.severity]).filter(|_| has_own);
        levels.iter().filter_map(|level| level.severity).chain(own).collect()
    }

    /// Whether people can answer its alerts by a cleaning. They cannot if the rule is about the device itself: it is a silence
    /// rule, or all of its metrics are of the device, such as its battery.
    #[must_use]
    pub fn is_answerable(&self) -> bool {
        let types = self.scope.ids(MentionKind::Type);
        let is_about_device = self.tests().all(|test| {
            let is_of_device = |of: &DeviceType| of.metric(&test.metric).is_some_and(|metric| metric.is_of_device);
            let is_named = |name: &String| DeviceType::named(name).is_some_and(is_of_device);
            if types.is_empty() { DEVICE_TYPES.iter().any(is_of_device) } else { types.iter().all(is_named) }
        });
        self.kind != Kind::Silence && !is_about_device
    }

    /// The steps of its escalations, with those of its overrides.
    pub fn steps(&self) -> impl Iterator<Item = &EscalationStep> {
        let overridden = self.overrides.iter().flat_map(|(_, settings)| settings).filter_map(|setting| match setting {
            Setting::Escalate(steps) => Some(steps),
            _ => None,
        });
        std::iter::once(&self.settings.escalate).chain(overridden).flatten()
    }

    /// Its tests, then those of its overrides.
    fn tests(&self) -> impl Iterator<Item = &Test> {
        let overridden = self.overrides.iter().flat_map(|(_, settings)| settings).filter_map(|setting| match setting {
            Setting::Condition(condition) => condition.as_ref(),
            _ => None,
        });
        self.settings.condition.iter().chain(overridden).flat_map(|condition| &condition.tests)
    }
}

impl RuleSet {
    /// The built-in rules.
    ///
    /// # Panics
    /// If the built-in rules have an error. A test excludes it.
    #[must_use]
    #[expect(clippy::panic, reason = "the pack is part of the program, and a test reads it")]
    pub fn pack() -> Self {
        let mut diagnostics = Diagnostics::default();
        let pack = FileDraft::default().overlay("pack.toml", PACK, &mut diagnostics);
        match diagnostics.into_result() {
            Ok(_) => pack.set,
            Err(errors) => panic!("the built-in rules have errors: {errors:#?}"),
        }
    }

    /// The rules of a user's file laid over the built-in ones: a rule with a known id changes only what it names, others
    /// are added. `file` is its name in the diagnostics.
    ///
    /// # Errors
    /// Every error of the file, in its order. A retry does not help.
    ///
    /// # Examples
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
        Self::read(file, text.as_bytes(), |_| Vec::new())
    }

    /// [Parses](Self::parse) the bytes of a file. `check` finds the errors in what this crate does not read.
    ///
    /// # Errors
    /// Every error of the file. A file that is not UTF-8 has one, at the first invalid byte. A retry does not help.
    pub fn read(
        file: &str,
        bytes: &[u8],
        check: impl FnOnce(&Self) -> Vec<Diagnostic>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let text = utf8::text(bytes).map_err(|error| vec![Diagnostic::not_utf8(file, error)])?;
        let mut diagnostics = Diagnostics::default();
        let pack = FileDraft::default().overlay("pack.toml", PACK, &mut diagnostics);
        let FileDraft { set, .. } = pack.overlay(file, text, &mut diagnostics);
        diagnostics.extend(check(&set));
        let (warnings, mentions) = diagnostics.into_result()?;
        Ok(Self { warnings, mentions, ..set })
    }

    /// The rule with this id.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// The settings of the rule of an alert at its location. `None` if the rule is no longer in force there.
    #[must_use]
    pub fn settings_of(&self, life: &AlertLife) -> Option<Cow<'_, Settings>> {
        self.rule(&life.rule).filter(|rule| rule.kind == life.kind)?.effective(&life.location.source())
    }

    /// The silence rules.
    pub fn silences(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.kind == Kind::Silence)
    }
}
