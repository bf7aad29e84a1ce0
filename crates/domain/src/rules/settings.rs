//! The settings of a rule: key, kinds of rule, and syntax of each.

use std::collections::HashMap;

use jiff::{SignedDuration, civil};

use super::Kind::{self, Accumulate, Count, Reasons, Silence, Threshold};
use super::diagnostic::Positioned;
use super::document::TableReader;
use super::values::{read_active, read_block, read_count, read_time_of_day};
use super::{ActiveHours, Block, Condition};
use crate::severity::Severity;

/// Default of [`Settings::max_gap`]. A rule with a longer `for` uses that instead.
const DEFAULT_MAX_GAP: SignedDuration = SignedDuration::from_mins(30);

/// One setting that an override changes.
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

/// All settings of a rule, with its overrides for one source applied.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether the rule is evaluated.
    pub enabled: bool,
    /// The severity of a limit that has none of its own.
    pub severity: Severity,
    /// The metrics and their limits; `None` for silence rules.
    pub condition: Option<Condition>,
    /// The baseline of [`Comparison::Deviates`](crate::breach::Comparison::Deviates) by metric, in degrees.
    pub baseline: HashMap<String, f64>,
    /// The hours of the day in which its messages are sent; `None` for all day.
    pub active: Option<ActiveHours>,
    /// How long alerts that were sent suppress an alert of this rule.
    pub block: Block,
    /// The clear level (hysteresis), in the metric's unit; `None` for the limit itself.
    pub clear: Option<f64>,
    /// The shortest breach that fires; zero if one reading is enough.
    pub lasting: SignedDuration,
    /// The longest time between two readings of one breach; `None` for the default.
    pub max_gap: Option<SignedDuration>,
    /// Whether a resolved notice is sent.
    pub resolved: bool,
    /// The time between two reminders while the rule fires; `None` for no reminders.
    pub reminder: Option<SignedDuration>,
    /// The number of occurrences that fires; at least 1.
    pub count: usize,
    /// The window in which occurrences are counted; `None` for no window.
    pub within: Option<SignedDuration>,
    /// Whether the part of a sum above the limit is carried into the next sum.
    pub carry: bool,
    /// The local time of day at which a sum restarts.
    pub restart_at: Option<civil::Time>,
    /// How long a silence rule waits for a reading.
    pub after: Option<SignedDuration>,
}

/// The defaults of a rule.
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
    /// Changes one setting.
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

    /// The longest time between two readings of one breach.
    #[must_use]
    pub fn longest_gap(&self) -> SignedDuration {
        self.max_gap.unwrap_or(DEFAULT_MAX_GAP.max(self.lasting))
    }
}

/// A setting that is one value under one key.
pub(super) struct SettingSpec {
    pub(super) key: &'static str,
    /// The kinds of rule in which it has an effect.
    pub(super) kinds: &'static [Kind],
    read: fn(&mut TableReader<'_, '_>, &'static str) -> Option<Positioned<Setting>>,
}

impl SettingSpec {
    /// The setting in `table`. `None` if it is absent or not readable.
    pub(super) fn read(&self, table: &mut TableReader<'_, '_>) -> Option<Positioned<Setting>> {
        (self.read)(table, self.key)
    }
}

macro_rules! setting {
    ($key:literal, $kinds:expr, $read:expr, $setting:expr) => {
        SettingSpec { key: $key, kinds: &$kinds, read: |table, key| Some($read(table, key)?.map($setting)) }
    };
}

/// Every setting but severity, baseline, metric and limits, which are checked together.
pub(super) const SETTINGS: [SettingSpec; 13] = [
    setting!("enabled", Kind::ALL, TableReader::boolean, Setting::Enabled),
    setting!("active", Kind::ALL, read_active, Setting::Active),
    setting!("block", Kind::ALL, read_block, Setting::Block),
    setting!("clear", [Threshold], TableReader::number, Setting::Clear),
    setting!("for", [Threshold], TableReader::duration, Setting::Lasting),
    setting!("max_gap", [Threshold], TableReader::duration, Setting::MaxGap),
    setting!("resolved", [Threshold, Silence], TableReader::boolean, Setting::Resolved),
    setting!("reminder", [Threshold], TableReader::duration, Setting::Reminder),
    setting!("count", [Count, Reasons], read_count, Setting::Count),
    setting!("within", [Count, Reasons], TableReader::duration, Setting::Within),
    setting!("carry", [Accumulate], TableReader::boolean, Setting::Carry),
    setting!("restart_at", [Accumulate], read_time_of_day, Setting::RestartAt),
    setting!("after", [Silence], TableReader::duration, Setting::After),
];
