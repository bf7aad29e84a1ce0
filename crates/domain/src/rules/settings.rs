//! The settings of a rule, each declared once: its key, the kinds of rule that have it, and how it is written.

use std::collections::HashMap;

use jiff::{SignedDuration, civil};
use serde_json::{Value, json};

use super::Kind::{self, Accumulate, Count, Reasons, Silence, Threshold};
use super::diagnostic::{Diagnostics, Positioned};
use super::document::TableReader;
use super::values::{read_active, read_block, read_time_of_day};
use super::{ActiveHours, Block, Condition};
use crate::severity::Severity;

/// Longest silence between two readings of a breach that still counts as lasting, unless the rule says otherwise or asks for
/// a breach that lasts longer than this.
const DEFAULT_MAX_GAP: SignedDuration = SignedDuration::from_mins(30);

/// One setting of a rule, for all of its scope or for a part of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// See [`Settings::enabled`].
    Enabled(bool),
    /// See [`Settings::severity`].
    Severity(Severity),
    /// See [`Settings::condition`].
    Condition(Condition),
    /// See [`Settings::baseline`].
    Baseline(HashMap<String, f64>),
    /// See [`Settings::active`].
    Active(ActiveHours),
    /// See [`Settings::block`].
    Block(Block),
    /// See [`Settings::clear`].
    Clear(f64),
    /// See [`Settings::lasting`].
    Lasting(SignedDuration),
    /// See [`Settings::max_gap`].
    MaxGap(SignedDuration),
    /// See [`Settings::resolved`].
    Resolved(bool),
    /// See [`Settings::reminder`].
    Reminder(SignedDuration),
    /// See [`Settings::count`].
    Count(usize),
    /// See [`Settings::within`].
    Within(SignedDuration),
    /// See [`Settings::carry`].
    Carry(bool),
    /// See [`Settings::restart_at`].
    RestartAt(civil::Time),
    /// See [`Settings::after`].
    After(SignedDuration),
}

/// The settings of a rule, or of the part of its scope that a reading comes from. Complete.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether the rule is in force.
    pub enabled: bool,
    /// Severity of a limit without one of its own.
    pub severity: Severity,
    /// What is compared; `None` for silence.
    pub condition: Option<Condition>,
    /// What [`Comparison::Deviates`](crate::breach::Comparison::Deviates) measures from, by metric.
    pub baseline: HashMap<String, f64>,
    /// Hours of the day outside of which its messages wait; `None` for all day.
    pub active: Option<ActiveHours>,
    /// For how long other alerts keep it from being sent.
    pub block: Block,
    /// The level at which a broken limit is well again, if that is not the limit itself.
    pub clear: Option<f64>,
    /// How long a breach must last; zero if one reading is enough.
    pub lasting: SignedDuration,
    /// Longest silence between two readings of a breach that still counts as lasting; `None` for the default.
    pub max_gap: Option<SignedDuration>,
    /// Whether a notice says that it is over.
    pub resolved: bool,
    /// How often people are reminded while it lasts.
    pub reminder: Option<SignedDuration>,
    /// How many times; at least one.
    pub count: usize,
    /// Within which time; `None` if that does not matter.
    pub within: Option<SignedDuration>,
    /// Whether what is above the limit counts for the next sum.
    pub carry: bool,
    /// Local time of day at which a sum restarts by itself.
    pub restart_at: Option<civil::Time>,
    /// How long a device may be silent.
    pub after: Option<SignedDuration>,
}

/// What holds unless a rule says otherwise.
impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            severity: Severity::Medium,
            condition: None,
            baseline: HashMap::new(),
            active: None,
            block: Block::default(),
            clear: None,
            lasting: SignedDuration::ZERO,
            max_gap: None,
            resolved: false,
            reminder: None,
            count: 1,
            within: None,
            carry: false,
            restart_at: None,
            after: None,
        }
    }
}

impl Settings {
    /// Changes one of them.
    pub fn set(&mut self, setting: &Setting) {
        match setting {
            Setting::Enabled(enabled) => self.enabled = *enabled,
            Setting::Severity(severity) => self.severity = *severity,
            Setting::Condition(condition) => self.condition = Some(condition.clone()),
            Setting::Baseline(baseline) => self.baseline.clone_from(baseline),
            Setting::Active(hours) => self.active = Some(*hours),
            Setting::Block(block) => self.block = *block,
            Setting::Clear(level) => self.clear = Some(*level),
            Setting::Lasting(time) => self.lasting = *time,
            Setting::MaxGap(time) => self.max_gap = Some(*time),
            Setting::Resolved(resolved) => self.resolved = *resolved,
            Setting::Reminder(time) => self.reminder = Some(*time),
            Setting::Count(count) => self.count = *count,
            Setting::Within(time) => self.within = Some(*time),
            Setting::Carry(carry) => self.carry = *carry,
            Setting::RestartAt(time) => self.restart_at = Some(*time),
            Setting::After(time) => self.after = Some(*time),
        }
    }

    /// Longest silence between two readings of a breach that still counts as lasting.
    #[must_use]
    pub fn longest_gap(&self) -> SignedDuration {
        self.max_gap.unwrap_or(DEFAULT_MAX_GAP.max(self.lasting))
    }
}

/// A setting that is one value under one key.
pub(super) struct Declaration {
    pub(super) key: &'static str,
    /// The kinds of rule in which it has an effect.
    pub(super) kinds: &'static [Kind],
    form: Form,
    /// What editors say about it.
    about: &'static str,
}

/// How a setting is written.
enum Form {
    Flag(fn(bool) -> Setting),
    Number(fn(f64) -> Setting),
    Span(fn(SignedDuration) -> Setting),
    Times,
    Hours,
    Block,
    TimeOfDay,
}

/// All of them but severity, baseline and what is compared: those are checked together.
pub(super) const DECLARATIONS: [Declaration; 13] = [
    flag("enabled", Setting::Enabled, &Kind::ALL, "Whether it is in force: true."),
    other("active", Form::Hours, &Kind::ALL, "Hours of the position's day."),
    other("block", Form::Block, &Kind::ALL, "For this rule."),
    other(
        "clear",
        Form::Number(Setting::Clear),
        &[Threshold],
        "From where on it is over, where that is not the limit.",
    ),
    span("for", Setting::Lasting, &[Threshold], "It must have lasted so long."),
    span("max_gap", Setting::MaxGap, &[Threshold], "Longest pause in what lasts: the longer of 30m and `for`."),
    flag("resolved", Setting::Resolved, &[Threshold, Silence], "Whether it is said that it is over: false."),
    span("reminder", Setting::Reminder, &[Threshold], "It is said again each time while it lasts: never."),
    other("count", Form::Times, &[Count, Reasons], "So many times."),
    span("within", Setting::Within, &[Count, Reasons], "Within this time."),
    flag("carry", Setting::Carry, &[Accumulate], "Whether what is above the limit counts for the next sum: false."),
    other("restart_at", Form::TimeOfDay, &[Accumulate], "Time of the position's day at which the sum starts again."),
    span("after", Setting::After, &[Silence], "Nothing has come for so long."),
];

type Kinds = &'static [Kind];

const fn flag(key: &'static str, of: fn(bool) -> Setting, kinds: Kinds, about: &'static str) -> Declaration {
    other(key, Form::Flag(of), kinds, about)
}

const fn span(key: &'static str, of: fn(SignedDuration) -> Setting, kinds: Kinds, about: &'static str) -> Declaration {
    other(key, Form::Span(of), kinds, about)
}

const fn other(key: &'static str, form: Form, kinds: Kinds, about: &'static str) -> Declaration {
    Declaration { key, kinds, form, about }
}

impl Declaration {
    /// Reads the setting from `table`; `None` if it is not there, or not written as it has to be.
    pub(super) fn read(
        &self,
        table: &mut TableReader<'_, '_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Positioned<Setting>> {
        Some(match self.form {
            Form::Flag(of) => table.boolean(self.key, diagnostics)?.map(of),
            Form::Number(of) => table.number(self.key, diagnostics)?.map(of),
            Form::Span(of) => table.duration(self.key, diagnostics)?.map(of),
            Form::Times => {
                let wanted = "a whole number from 1 to 1,000";
                table.whole(self.key, wanted, 1..=1_000, diagnostics)?.map(|times| Setting::Count(times as usize))
            }
            Form::Hours => read_active(self.key, table, diagnostics)?.map(Setting::Active),
            Form::Block => read_block(table, diagnostics)?.map(Setting::Block),
            Form::TimeOfDay => read_time_of_day(self.key, table, diagnostics)?.map(Setting::RestartAt),
        })
    }

    /// How it is written, as a JSON Schema.
    pub(super) fn schema(&self) -> Value {
        let mut schema = match self.form {
            Form::Flag(_) => json!({ "type": "boolean" }),
            Form::Number(_) => json!({ "type": "number" }),
            Form::Span(_) => json!({ "$ref": "#/$defs/duration" }),
            Form::Times => json!({ "type": "integer", "minimum": 1, "maximum": 1_000 }),
            Form::Hours => json!({ "type": "string", "examples": ["07:00-22:00"] }),
            Form::Block => json!({ "$ref": "#/$defs/block" }),
            Form::TimeOfDay => json!({ "$ref": "#/$defs/clock" }),
        };
        schema["description"] = self.about.into();
        schema
    }
}
