//! Alerts and messages: facts only. The crate `notify` renders their texts.

pub mod life;
pub mod notice;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::life::Claim;
use self::notice::Notice;
use super::digest::Digest;
use super::reading::{Reading, ReadingId};
use super::severity::Severity;
use crate::breach::Breach;
use crate::location::Location;
use crate::words;

/// The id of an alert, derived from its cause: the same rule, device and reading always give the same id. Prints as 32 hex
/// digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(Digest);

impl AlertId {
    /// The id of the alert that `reading` fires.
    #[must_use]
    pub fn of(rule: &str, reading: &Reading<'_>) -> Self {
        let device = reading.source.device.as_deref().unwrap_or_default();
        Self(Digest::of_fields(&[rule.as_bytes(), device.as_bytes(), reading.id().as_bytes()]))
    }

    /// The id of the alert that `device` has sent nothing since `since`.
    #[must_use]
    pub fn of_silence(rule: &str, device: &str, since: Timestamp) -> Self {
        let since = since.as_nanosecond().to_be_bytes();
        Self(Digest::of_fields(&[rule.as_bytes(), device.as_bytes(), b"silent since", &since]))
    }

    /// The digest of the cause.
    #[must_use]
    pub fn digest(self) -> Digest {
        self.0
    }
}

impl std::fmt::Display for AlertId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.32}", self.0)
    }
}

/// The facts of one rule that fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The id.
    pub id: AlertId,
    /// The id of the rule.
    pub rule: String,
    /// The title of the rule: "Bad smell".
    pub title: String,
    /// The message template of the rule; `None` for the usual text.
    pub template: Option<String>,
    /// What people should do, from the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The worst severity of its breaches; of the rule for a silence rule.
    pub severity: Severity,
    /// The breached limits; empty for a silence rule.
    pub breaches: Vec<Breach>,
    /// How breaches became the alert.
    #[serde(default)]
    pub trigger: Trigger,
    /// The reasons of feedback, each once.
    pub reasons: Vec<String>,
    /// The event time of the reading, or its receipt if it has none or is from the future. For a silence rule the time of the
    /// sweep, and in its resolved notice that of the last reading.
    pub at: Timestamp,
    /// The reading that fired the rule; for a silence rule the digest of the alert's own id.
    pub reading: ReadingId,
    /// The location of the device.
    pub location: Location,
}

/// How breaches became an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Trigger {
    /// One reading.
    #[default]
    Immediate,
    /// A breach that has lasted.
    Sustained {
        /// The time of its first reading.
        since: Timestamp,
    },
    /// A sum.
    Accumulated {
        /// The time of the first reading in the sum.
        since: Timestamp,
    },
    /// A number of occurrences.
    Repeated {
        /// The number.
        count: usize,
        /// The window; `None` without one.
        within: Option<SignedDuration>,
        /// The time of the first of them.
        since: Timestamp,
    },
    /// The device sends nothing.
    NoData {
        /// The time of its last reading.
        since: Timestamp,
    },
}

impl Trigger {
    /// Whether it is one reading.
    #[must_use]
    pub fn is_immediate(&self) -> bool {
        *self == Self::Immediate
    }

    /// When it began; `None` for one reading.
    #[must_use]
    pub fn since(self) -> Option<Timestamp> {
        match self {
            Self::Immediate => None,
            Self::Sustained { since }
            | Self::Accumulated { since }
            | Self::Repeated { since, .. }
            | Self::NoData { since } => Some(since),
        }
    }
}

words! {
    /// Why an alert is suppressed.
    pub enum SuppressionReason {
        /// An alert of the same device or zone was sent within the block.
        Block = "block",
        /// The alert is outside the active hours of its rule.
        Hours = "hours",
        /// Nobody of its audience is on duty.
        Duty = "duty",
        /// It is muted.
        Mute = "mute",
        /// People snooze an alert of the same rule and device.
        Snooze = "snooze",
    }
}

impl SuppressionReason {
    /// Whether the list of released alerts contains resolved ones. For other reasons they are dropped.
    #[must_use]
    pub fn lists_resolved(self) -> bool {
        self == Self::Block
    }
}

/// An alert that was suppressed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuppressedAlert {
    /// The alert.
    pub alert: Alert,
    /// When it was resolved; `None` while it lasts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resolved_at: Option<Timestamp>,
}

/// The facts of one message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Message {
    /// The alerts of one reading with the same recipients, or suppressed ones of one device.
    Firing {
        /// The alerts, at least one. The worst is first.
        alerts: Vec<Alert>,
        /// The number of suppressed alerts of the zone since its last firing message that no list contains.
        #[serde(default, skip_serializing_if = "is_zero")]
        blocked: usize,
    },
    /// An alert is still firing.
    Reminder {
        /// The alert.
        alert: Box<Alert>,
        /// The time of the reminder.
        at: Timestamp,
        /// Since when the device has sent nothing; then this is the last reminder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unheard_since: Option<Timestamp>,
    },
    /// Nobody has answered an alert, or whoever took it is not done: a further audience is told.
    Escalated {
        /// The alert.
        alert: Box<Alert>,
        /// The time of the escalation.
        at: Timestamp,
        /// The number of the step, from 0.
        step: usize,
        /// When the alert was raised.
        raised: Timestamp,
        /// Who took it last; `None` if nobody did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken: Option<Claim>,
    },
    /// An alert is resolved.
    Resolved {
        /// The alert.
        alert: Box<Alert>,
        /// When it was resolved.
        at: Timestamp,
    },
    /// Alerts whose suppression has ended.
    Suppressed {
        /// Why they were suppressed.
        reason: SuppressionReason,
        /// The alerts in the order of their suppression, at least one.
        alerts: Vec<SuppressedAlert>,
        /// The number of further alerts.
        more: usize,
    },
    /// A notice about the program itself.
    Notice(Notice),
}

pub(crate) fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Message {
    /// Its alerts that people can answer: those that are not over.
    #[must_use]
    pub fn open_alerts(&self) -> Vec<&Alert> {
        match self {
            Self::Resolved { .. } => Vec::new(),
            Self::Suppressed { alerts, .. } => {
                alerts.iter().filter(|one| one.resolved_at.is_none()).map(|one| &one.alert).collect()
            }
            _ => self.alerts(),
        }
    }

    fn alerts(&self) -> Vec<&Alert> {
        match self {
            Self::Notice(_) => Vec::new(),
            Self::Firing { alerts, .. } => alerts.iter().collect(),
            Self::Reminder { alert, .. } | Self::Escalated { alert, .. } | Self::Resolved { alert, .. } => vec![alert],
            Self::Suppressed { alerts, .. } => alerts.iter().map(|one| &one.alert).collect(),
        }
    }

    /// The worst severity of its alerts. Notices are `critical`: they are few, and affect all later alerts.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Notice(_) => Severity::Critical,
            _ => self.alerts().iter().map(|alert| alert.severity).max().unwrap_or(Severity::Low),
        }
    }

    /// A sort key: the worst severity first, then the oldest.
    #[must_use]
    pub fn urgency(&self) -> impl Ord + use<> {
        let at = match self {
            Self::Reminder { at, .. } | Self::Escalated { at, .. } | Self::Resolved { at, .. } => Some(*at),
            _ => self.alerts().first().map(|alert| alert.at),
        };
        (std::cmp::Reverse(self.severity()), at)
    }

    /// The id of the message. The same cause has the same id.
    #[must_use]
    pub fn id(&self) -> Digest {
        let (kind, which) = match self {
            Self::Notice(notice) => return notice.id(),
            Self::Firing { .. } => ("firing", None),
            Self::Reminder { at, .. } => ("reminder", Some(at.as_nanosecond().to_be_bytes())),
            Self::Escalated { step, .. } => ("escalated", Some((*step as i128).to_be_bytes())),
            Self::Resolved { .. } => ("resolved", None),
            Self::Suppressed { .. } => ("suppressed", None),
        };
        let alerts = self.alerts();
        let mut fields = vec![kind.as_bytes()];
        fields.extend(alerts.iter().map(|alert| alert.id.0.as_bytes().as_slice()));
        fields.extend(which.iter().map(|which| which.as_slice()));
        Digest::of_fields(&fields)
    }
}
