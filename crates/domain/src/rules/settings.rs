//! The settings of a rule: key, kinds of rule, and syntax of each.

use std::collections::HashMap;

use jiff::{SignedDuration, civil};

use super::Kind::{self, Accumulate, Count, Reasons, Silence, Threshold};
use super::diagnostic::Positioned;
use super::document::TableReader;
use super::hours::{WeeklyHours, read_hours};
use super::values::{EscalationStep, read_block, read_count, read_escalate, read_severity, read_time_of_day};
use super::{Block, Condition};
use crate::severity::Severity;

/// Default of [`Settings::max_gap`]. A rule with a longer `for` uses that instead.
const DEFAULT_MAX_GAP: SignedDuration = SignedDuration::from_mins(30);

/// Declares each setting once: its field with its default, its variant, and for a value under one key also the key, the kinds
/// of rule in which it has an effect, and its syntax.
macro_rules! settings {
    ($(
        $(#[$doc:meta])*
        $field:ident: $type:ty = $default:expr, $variant:ident $(from $key:literal in $kinds:expr, $read:expr)?;
    )*) => {
        /// All settings of a rule, with its overrides for one source applied.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $($(#[$doc])* pub $field: $type,)*
        }

        /// The defaults of a rule.
        impl Default for Settings {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl Settings {
            /// Changes one setting.
            pub fn set(&mut self, setting: &Setting) {
                match setting {
                    $(Setting::$variant(value) => self.$field.clone_from(value),)*
                }
            }
        }

        /// One setting that an override changes.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Setting {
            $($(#[$doc])* $variant($type),)*
        }

        /// Every setting but baseline, metric and limits, which are checked together.
        pub(super) const SETTINGS: &[SettingSpec] = &[$($(SettingSpec {
            key: $key,
            kinds: &$kinds,
            read: |table, key| Some($read(table, key)?.map(|value| Setting::$variant(value.into()))),
        },)?)*];
    };
}

settings! {
    /// Whether the rule is evaluated.
    enabled: bool = true, Enabled from "enabled" in Kind::ALL, TableReader::boolean;
    /// The severity of a limit that has none of its own.
    severity: Severity = Severity::Medium, Severity from "severity" in Kind::ALL, read_severity;
    /// The metrics and their limits; `None` for silence rules.
    condition: Option<Condition> = None, Condition;
    /// The baseline of [`Comparison::Deviates`](crate::breach::Comparison::Deviates) by metric, in degrees.
    baseline: HashMap<String, f64> = HashMap::new(), Baseline;
    /// The hours in which its messages are sent; `None` for always.
    active: Option<WeeklyHours> = None, Active from "active" in Kind::ALL, read_hours;
    /// How long alerts that were sent suppress an alert of this rule.
    block: Block = Block::default(), Block from "block" in Kind::ALL, read_block;
    /// The clear level (hysteresis), in the metric's unit; `None` for the limit itself.
    clear: Option<f64> = None, Clear from "clear" in [Threshold], TableReader::number;
    /// The shortest breach that fires; zero if one reading is enough.
    lasting: SignedDuration = SignedDuration::ZERO, Lasting from "for" in [Threshold], TableReader::duration;
    /// The longest time between two readings of one breach; `None` for the default.
    max_gap: Option<SignedDuration> = None, MaxGap from "max_gap" in [Threshold], TableReader::duration;
    /// Whether a resolved notice is sent.
    resolved: bool = false, Resolved from "resolved" in [Threshold, Silence], TableReader::boolean;
    /// The time between two reminders while the rule fires; `None` for no reminders.
    reminder: Option<SignedDuration> = None, Reminder from "reminder" in [Threshold], TableReader::duration;
    /// The number of occurrences that fires; at least 1.
    count: usize = 1, Count from "count" in [Count, Reasons], read_count;
    /// The window in which occurrences are counted; `None` for no window.
    within: Option<SignedDuration> = None, Within from "within" in [Count, Reasons], TableReader::duration;
    /// Whether the part of a sum above the limit is carried into the next sum.
    carry: bool = false, Carry from "carry" in [Accumulate], TableReader::boolean;
    /// The local time of day at which a sum restarts.
    restart_at: Option<civil::Time> = None, RestartAt from "restart_at" in [Accumulate], read_time_of_day;
    /// The longest time until people begin to deal with an alert; `None` for no target.
    respond_within: Option<SignedDuration> = None, RespondWithin from "respond_within" in Kind::ALL, TableReader::duration;
    /// The longest time until an alert is dealt with; `None` for no target.
    clean_within: Option<SignedDuration> = None, CleanWithin from "clean_within" in Kind::ALL, TableReader::duration;
    /// How long others need not deal with an alert that somebody took.
    ack_for: SignedDuration = SignedDuration::from_mins(30), AckFor from "ack_for" in Kind::ALL, TableReader::duration;
    /// Who is told if nobody answers an alert, in this order; at most five steps.
    escalate: Vec<EscalationStep> = Vec::new(), Escalate from "escalate" in Kind::ALL, read_escalate;
    /// How long a silence rule waits for a reading.
    after: Option<SignedDuration> = None, After from "after" in [Silence], TableReader::duration;
}

impl Settings {
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
