//! What is known when a limit is crossed: facts only. The crate `notify` makes words of them when a message is sent.

pub mod notice;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::notice::Notice;
use super::digest::Digest;
use super::reading::{Reading, ReadingId};
use super::severity::Severity;
use crate::breach::Breach;
use crate::location::Location;

/// An alert's identity, derived from its cause: the same rule broken by the same reading has the same id for ever, also
/// when the message is sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(Digest);

impl AlertId {
    /// The identity of the alert that `rule` raises at `reading`.
    #[must_use]
    pub fn of(rule: &str, reading: &Reading<'_>) -> Self {
        let device = reading.source.device.as_deref().unwrap_or_default();
        Self(Digest::of_fields(&[rule.as_bytes(), device.as_bytes(), reading.id().as_bytes()]))
    }

    /// The identity of the alert that `rule` raises because nothing came from `device` since `since`.
    #[must_use]
    pub fn of_silence(rule: &str, device: &str, since: Timestamp) -> Self {
        let since = since.as_nanosecond().to_be_bytes();
        Self(Digest::of_fields(&[rule.as_bytes(), device.as_bytes(), b"silent since", &since]))
    }

    /// The digest that it is.
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

/// One rule broken by one reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Identity.
    pub id: AlertId,
    /// The rule's id.
    pub rule: String,
    /// The rule's title, what a person calls the matter: "Bad smell".
    pub title: String,
    /// The rule's own words for the message, with placeholders; `None` for the usual ones.
    pub template: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// The limits that were crossed; none where it is about silence.
    pub breaches: Vec<Breach>,
    /// How it came about, where it is more than one reading.
    #[serde(default)]
    pub trigger: Trigger,
    /// Reasons that were named with it (feedback), each once.
    pub reasons: Vec<String>,
    /// Event time of the reading; its receipt where it names none.
    pub at: Timestamp,
    /// The reading that fired it.
    pub reading: ReadingId,
    /// Where it is.
    pub location: Location,
}

/// How an alert came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Trigger {
    /// By one reading.
    #[default]
    Immediate,
    /// The limit has been broken since then, by every reading.
    Sustained {
        /// The first of them.
        since: Timestamp,
    },
    /// Added up since then.
    Accumulated {
        /// The first reading in the sum.
        since: Timestamp,
    },
    /// So many times.
    Repeated {
        /// How many.
        count: usize,
        /// Within this time; `None` where it does not matter.
        within: Option<SignedDuration>,
    },
    /// Nothing has come from the device since then.
    NoData {
        /// The last reading that is known.
        since: Timestamp,
    },
}

impl Trigger {
    /// When it began; `None` where it has no beginning of its own.
    #[must_use]
    pub fn since(self) -> Option<Timestamp> {
        match self {
            Self::Immediate | Self::Repeated { .. } => None,
            Self::Sustained { since } | Self::Accumulated { since } | Self::NoData { since } => Some(since),
        }
    }
}

/// Why an alert is not sent before a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionReason {
    /// An alert of the same device or zone was sent shortly before.
    Block,
    /// It is outside the active hours of its rule.
    Hours,
}

impl SuppressionReason {
    /// Whether alerts that are over meanwhile are still listed, marked as over. For any other reason they are dropped.
    #[must_use]
    pub fn lists_what_is_over(self) -> bool {
        self == Self::Block
    }
}

/// An alert that was suppressed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuppressedAlert {
    /// The alert.
    pub alert: Alert,
    /// When it was over, if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub over: Option<Timestamp>,
}

/// What one message says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Message {
    /// One reading broke these rules, or readings of one device did outside active hours. The worst first, never empty.
    Firing {
        /// The alerts, the worst first.
        alerts: Vec<Alert>,
        /// How many of the zone were blocked since its last message, where those are only counted.
        #[serde(default, skip_serializing_if = "is_zero")]
        blocked: usize,
    },
    /// What was raised lasts.
    Reminder {
        /// What was raised.
        alert: Box<Alert>,
        /// When it is said again.
        at: Timestamp,
        /// Since when nothing has come from the device: then this is the last reminder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unheard_since: Option<Timestamp>,
    },
    /// What was raised is over.
    Resolved {
        /// What was raised.
        alert: Box<Alert>,
        /// Since when it is over.
        at: Timestamp,
    },
    /// Alerts that are no longer suppressed. Never empty.
    Suppressed {
        /// Why they were suppressed.
        reason: SuppressionReason,
        /// In the order they were suppressed.
        alerts: Vec<SuppressedAlert>,
        /// How many more there were.
        more: usize,
    },
    /// Something about the program itself.
    Notice(Notice),
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Message {
    /// The alerts that it names; none of a notice.
    fn alerts(&self) -> Vec<&Alert> {
        match self {
            Self::Notice(_) => Vec::new(),
            Self::Firing { alerts, .. } => alerts.iter().collect(),
            Self::Reminder { alert, .. } | Self::Resolved { alert, .. } => vec![alert],
            Self::Suppressed { alerts, .. } => alerts.iter().map(|one| &one.alert).collect(),
        }
    }

    /// The worst severity of its alerts. Notices are `critical`: they are few, and about all that follows.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Notice(_) => Severity::Critical,
            _ => self.alerts().iter().map(|alert| alert.severity).max().unwrap_or(Severity::Low),
        }
    }

    /// For sorting: the worst first, then the oldest.
    #[must_use]
    pub fn urgency(&self) -> impl Ord + use<> {
        let at = match self {
            Self::Reminder { at, .. } | Self::Resolved { at, .. } => Some(*at),
            _ => self.alerts().first().map(|alert| alert.at),
        };
        (std::cmp::Reverse(self.severity()), at)
    }

    /// The message's identity: the same cause makes the same message.
    #[must_use]
    pub fn id(&self) -> Digest {
        let (kind, at) = match self {
            Self::Notice(notice) => return notice.id(),
            Self::Firing { .. } => ("firing", None),
            Self::Reminder { at, .. } => ("reminder", Some(at.as_nanosecond().to_be_bytes())),
            Self::Resolved { .. } => ("resolved", None),
            Self::Suppressed { .. } => ("suppressed", None),
        };
        let alerts = self.alerts();
        let mut fields = vec![kind.as_bytes()];
        fields.extend(alerts.iter().map(|alert| alert.id.0.as_bytes().as_slice()));
        fields.extend(at.iter().map(|at| at.as_slice()));
        Digest::of_fields(&fields)
    }
}
