//! What is known when a limit is crossed: facts only. Words are made from them when a message is sent ([`render`]).

mod attributes;
#[cfg(test)]
mod course_tests;
pub mod digest;
#[cfg(test)]
mod digest_tests;
#[cfg(test)]
mod edges_tests;
mod email;
mod facts;
#[cfg(test)]
mod fixtures;
pub mod gsm7;
mod later;
#[cfg(test)]
mod limits_tests;
mod list;
pub mod notice;
mod payload;
pub mod render;
mod sentence;
mod sms;
mod subject;
mod suppressed;
pub mod template;
mod text;
#[cfg(test)]
mod text_tests;
mod when;

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::notice::Notice;
pub use self::text::amount;
use self::text::{first_graphemes, first_that_fit};
use super::device::Unit;
use super::digest::Digest;
use super::reading::{Reading, ReadingId, Source};
use super::severity::Severity;
use super::shown;
use super::time::LocalZone;

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
    pub course: Course,
    /// Reasons that were named with it (feedback), each once.
    pub reasons: Vec<String>,
    /// Event time of the reading; its receipt where it names none.
    pub at: Timestamp,
    /// The reading that fired it.
    pub reading: ReadingId,
    /// Where it is.
    pub place: Place,
}

/// How an alert came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Course {
    /// By one reading.
    #[default]
    AtOnce,
    /// The limit has been broken since then, by every reading.
    Lasting {
        /// The first of them.
        since: Timestamp,
    },
    /// Added up since then.
    Sum {
        /// The first reading in the sum.
        since: Timestamp,
    },
    /// So many times.
    Times {
        /// How many.
        count: usize,
        /// Within this time; `None` where it does not matter.
        within: Option<SignedDuration>,
    },
    /// Nothing has come from the device since then.
    Silence {
        /// The last reading that is known.
        since: Timestamp,
    },
}

impl Course {
    /// When it began; `None` where it has no beginning of its own.
    #[must_use]
    pub fn since(self) -> Option<Timestamp> {
        match self {
            Self::AtOnce | Self::Times { .. } => None,
            Self::Lasting { since } | Self::Sum { since } | Self::Silence { since } => Some(since),
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

/// Where a reading comes from, for people and for filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The device's human name.
    pub display: Option<String>,
    /// The device's id.
    pub device: Option<String>,
    /// The device's type, short: `UM`.
    pub device_type: String,
    /// The zone's id.
    pub zone: Option<String>,
    /// The project's (building's) id.
    pub project: Option<String>,
    /// The property's id.
    pub property: Option<String>,
    /// Local time there.
    pub local_zone: LocalZone,
}

impl Place {
    /// The place that a reading names.
    #[must_use]
    pub fn of(reading: &Reading<'_>) -> Self {
        Self::new(&reading.source, reading.local_zone())
    }

    /// The place of these names, made fit to be shown.
    fn new(source: &Source<'_>, local_zone: LocalZone) -> Self {
        let own = |name: &Option<Cow<'_, str>>| name.as_deref().and_then(presentable);
        Self {
            display: own(&source.display),
            device: own(&source.device),
            device_type: presentable(&source.device_type).unwrap_or_default(),
            zone: own(&source.zone),
            project: own(&source.project),
            property: own(&source.property),
            local_zone,
        }
    }

    /// The names again, for asking which rules apply here.
    #[must_use]
    pub fn source(&self) -> Source<'_> {
        fn borrowed(name: &Option<String>) -> Option<Cow<'_, str>> {
            name.as_deref().map(Cow::Borrowed)
        }
        Source {
            device_type: Cow::Borrowed(&self.device_type),
            device: borrowed(&self.device),
            display: borrowed(&self.display),
            zone: borrowed(&self.zone),
            project: borrowed(&self.project),
            property: borrowed(&self.property),
            region: borrowed(&self.local_zone.region),
        }
    }
}

/// Longest name that is carried into messages, in characters. The vendor's ids have 32 and its names fewer; whatever is
/// longer must not fill a message, or the state that remembers it.
const LONGEST_NAME: usize = 120;

/// A name from a reading, made fit to be shown anywhere: no control characters, no line breaks, no invisible marks that
/// turn the reading direction of what follows, single spaces, at most `LONGEST_NAME` (120) characters and no part of what
/// a person sees as one. `None` where nothing is left of it.
#[must_use]
pub fn presentable(name: &str) -> Option<String> {
    let looked_at = first_graphemes(name, 4 * LONGEST_NAME);
    let spaced = shown::line(looked_at).split_whitespace().collect::<Vec<_>>().join(" ");
    let fitting = first_that_fit(&spaced, LONGEST_NAME, |text| text.chars().count());
    // Where the very first grapheme is longer than any name may be, the name ends inside of that.
    let is_one_too_long = fitting.is_empty() && !spaced.is_empty();
    let fitting =
        if is_one_too_long { spaced.chars().take(LONGEST_NAME).collect() } else { fitting.trim_end().to_owned() };
    (!fitting.is_empty()).then_some(fitting)
}

/// One limit crossed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// The metric's key in rules: `amm`.
    pub metric: String,
    /// What a person calls the metric: "ammonia".
    pub label: String,
    /// The value that crossed the limit, in `unit`.
    pub value: f64,
    /// What value and limit are counted in.
    pub unit: Unit,
    /// Which side of the limit is bad.
    pub comparison: Comparison,
    /// The limit, in `unit`.
    pub limit: f64,
}

/// When a value breaks a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Value > limit.
    Above,
    /// Value ≥ limit.
    AtLeast,
    /// Value < limit.
    Below,
    /// Value ≤ limit.
    AtMost,
    /// |value − baseline| ≥ limit, the shorter way round the circle. The breach's value is that difference.
    Deviates,
}

impl Comparison {
    /// Whether `value` breaks `limit`. For [`Comparison::Deviates`] the value is the difference from the baseline.
    #[must_use]
    pub fn is_broken(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast | Self::Deviates => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_could_command_a_terminal_or_turn_the_text() {
        assert_eq!(presentable(" Toilet\r\n\t3 ").unwrap(), "Toilet 3");
        assert_eq!(presentable("\u{1b}[31mred\u{202e}der").unwrap(), "[31mred der");
        assert_eq!(presentable("厕所 \u{1f6bb} é").unwrap(), "厕所 \u{1f6bb} é");
        for nothing in ["", "  ", "\u{0}\n", "\u{202e}"] {
            assert_eq!(presentable(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_what_a_person_sees_as_characters() {
        for joined in ["👩\u{200d}👩\u{200d}👧", "🇸🇬", "e\u{301}\u{302}", "👍🏽"] {
            let whole = format!("{}{joined}", "x".repeat(LONGEST_NAME - joined.chars().count()));
            assert_eq!(presentable(&whole).as_deref(), Some(&*whole));
            assert_eq!(
                presentable(&format!("x{whole}")).unwrap(),
                "x".repeat(1 + LONGEST_NAME - joined.chars().count())
            );
        }
        // And what is not looked at any more because of all the space before it is not missed in part.
        let late = format!("a{}{}", " ".repeat(477), "👩\u{200d}👩\u{200d}👧".repeat(9));
        assert_eq!(presentable(&late).unwrap(), "a 👩\u{200d}👩\u{200d}👧👩\u{200d}👩\u{200d}👧");
        let endless = format!("a{}", "\u{301}".repeat(10_000));
        assert_eq!(presentable(&endless).unwrap().chars().count(), LONGEST_NAME);
    }

    #[test]
    fn a_name_of_megabytes_is_cut_at_a_character() {
        let long = presentable(&"é".repeat(5_000_000)).unwrap();
        assert_eq!(long.chars().count(), LONGEST_NAME);
    }
}
