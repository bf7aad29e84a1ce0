//! What a backtest found: facts only, for the terminal, for JSON and for the report.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use domain::alert::AlertId;
use domain::breach::{Breach, Comparison};
use domain::device::Unit;
use domain::location::Location;
use domain::reading::ReadingId;
use domain::severity::Severity;

/// Two alerts of the same rule and device are about the same event where what they tell of lay no further apart than this.
pub const SAME_EVENT: SignedDuration = SignedDuration::from_hours(1);

/// What a backtest found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// From the first to the last reading that was judged, [outliers](Outliers) aside; `None` if there was none.
    pub span: Option<Span>,
    /// What was read.
    pub readings: ReadingCounts,
    /// Readings whose time cannot be right.
    pub outliers: Outliers,
    /// Warnings of ids that the trial names and no reading has.
    pub unknown_ids: Vec<String>,
    /// Objects that are left out, because they are damaged: which, why, and what to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// What the rules on trial say.
    pub rules: Verdict,
    /// What the rules that they are compared with say.
    pub against: Option<Verdict>,
    /// What is different between the two.
    pub difference: Option<Difference>,
    /// How the values of each metric that is compared with a limit are distributed, by device type.
    pub distributions: Vec<Distribution>,
    /// How many alerts a week each limit would make, for each rule on trial that has one.
    pub curves: Vec<Curve>,
    /// Every device, in order of first appearance. [`AlertFact::device`] counts in here.
    pub devices: Vec<DeviceFindings>,
}

/// A stretch of time, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Event time of the first reading.
    pub first: Timestamp,
    /// Event time of the last one.
    pub last: Timestamp,
}

impl Span {
    /// The shortest stretch with both in it.
    #[must_use]
    pub(super) fn and(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self { first: self.first.min(other.first), last: self.last.max(other.last) })
    }

    /// Its length in weeks; at least one day, so that a rate per week stays a rate.
    #[must_use]
    pub fn weeks(&self) -> f64 {
        let day = SignedDuration::from_hours(24);
        self.last.duration_since(self.first).max(day).as_secs_f64() / (7 * day).as_secs_f64()
    }
}

/// Readings whose own time cannot be right. They are judged as they were when they came, and do not stretch the period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outliers {
    /// Older than `max_age` when the first push of the history was received.
    pub before: Option<OddTimes>,
    /// Later than when they were received, by more than a clock may be ahead (5 min). They count as of their receipt.
    pub ahead: Option<OddTimes>,
}

/// Readings of odd times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OddTimes {
    /// How many.
    pub count: u64,
    /// The oldest time.
    pub oldest: Timestamp,
    /// The newest time.
    pub newest: Timestamp,
    /// The reading of the oldest time: SHA-256 of its text.
    pub reading: ReadingId,
    /// Its device: which of [`Findings::devices`].
    pub device: usize,
}

impl OddTimes {
    /// These and others.
    #[must_use]
    pub(super) fn and(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        let first = if (other.oldest, other.reading) < (self.oldest, self.reading) { other } else { self };
        Self { count: self.count + other.count, newest: self.newest.max(other.newest), ..first }
    }
}

/// How many readings there were, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReadingCounts {
    /// Judged, each once.
    pub judged: u64,
    /// Copies of one that was judged: of one of the last 128 readings of its device.
    pub duplicates: u64,
    /// Older than `max_age` when first received: stored, and silent, as they were when they came.
    pub stale: u64,
    /// In pushes that lie so far from their location in the archive that pushes received later were judged before them.
    pub late: u64,
    /// Pushes that are not judged: no reading has a usable time, and it is not recorded when they were received.
    pub undated: u64,
    /// Finished cleanings.
    pub cleanings: u64,
    /// Values that no such sensor can measure, of readings that could alert: sensor errors.
    pub implausible: u64,
    /// Lines that are no reading; somebody else wrote them.
    pub unreadable: u64,
}

/// What a set of rules says of the history.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// What the rules are called: a file's name, or "built-in".
    pub name: String,
    /// Every alert, in order of time: those that were raised and those that a block held back.
    pub alerts: Vec<AlertFact>,
    /// Alerts that were blocked and only counted, where the rules say so.
    pub counted: u64,
    /// Messages that people would have got, digests aside: a message names all that one reading raised.
    pub messages: u64,
    /// Alerts that an earlier message of a cleaning [would have avoided](AlertFact::avoidable).
    pub avoidable: u64,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertFact {
    /// Its identity: the same as when it was raised live.
    pub id: AlertId,
    /// The rule's id.
    pub rule: Arc<str>,
    /// How bad.
    pub severity: Severity,
    /// Which of [`Findings::devices`].
    pub device: usize,
    /// Event time of the reading that raised it.
    pub at: Timestamp,
    /// When what it tells of was over: at a threshold when all was well again, at a silence when something came; the end of
    /// the history where it lasted until then. What happens at a moment, as a sum that is full, is over at once: `at`.
    pub over: Timestamp,
    /// The first limit that was crossed; `None` if it is about silence.
    pub breach: Option<Breach>,
    /// Whether the block of another alert held it back, so that it was named later.
    pub blocked: bool,
    /// Whether an earlier message of a cleaning would have avoided it, or put it off: a sum or a count was sent, and then a
    /// push brought a cleaning of the zone that had ended while it was counted, which is after the alert before it of the
    /// same rule and device, and not after this one.
    pub avoidable: bool,
}

impl AlertFact {
    /// What was crossed, in words: "ammonia 270 ppb (limit 200)"; "no data" if it is about silence.
    #[must_use]
    pub fn crossing(&self) -> String {
        self.breach.as_ref().map_or_else(|| "no data".to_owned(), notify::in_words)
    }
}

/// What rules on trial do differently from the ones that they are compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Alerts that both raise, by the same reading.
    pub same: usize,
    /// Alerts of the rules on trial alone, of an event that the others tell of as well, earlier or later ([`SAME_EVENT`]).
    pub moved: usize,
    /// Alerts that are new: indices into the alerts of the rules on trial. The others say nothing of the event.
    pub gained: Vec<usize>,
    /// Alerts that would be missed: indices into the alerts of the others. The rules on trial say nothing of the event.
    pub missed: Vec<usize>,
}

/// How the values of one metric of one device type are distributed.
#[derive(Clone, Debug, Serialize)]
pub struct Distribution {
    /// The device type's short name.
    pub device_type: Arc<str>,
    /// The metric's key.
    pub metric: Arc<str>,
    /// What a person calls the metric.
    pub label: String,
    /// What values and limits are counted in.
    #[serde(serialize_with = "symbol")]
    pub unit: Unit,
    /// How many values.
    pub count: u64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
    /// The width of each bin.
    pub width: f64,
    /// Lower bound of each bin that has any value in it, and how many; in order.
    pub bins: Vec<(f64, u64)>,
    /// The limits of the rules on trial, the mildest first.
    pub limits: Vec<Limit>,
}

impl Distribution {
    /// The value below which `part` (0 to 1) of all values lie, to within a bin's width; `None` where there is no value.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a count of readings is far below 2^52")]
        let wanted = part.clamp(0.0, 1.0) * self.count as f64;
        let mut sum = 0.0;
        self.bins.iter().find_map(|(lower, count)| {
            #[expect(clippy::cast_precision_loss, reason = "a count of readings is far below 2^52")]
            let count = *count as f64;
            sum += count;
            (sum >= wanted).then(|| {
                let within = if count > 0.0 { 1.0 - (sum - wanted) / count } else { 0.0 };
                (lower + within * self.width).clamp(self.least, self.greatest)
            })
        })
    }
}

/// A limit that is in force everywhere; overrides are not among them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// The rule's id.
    pub rule: Arc<str>,
    /// How bad crossing it is.
    pub severity: Severity,
    /// Which side is bad.
    pub comparison: Comparison,
    /// The limit, in the metric's unit.
    pub limit: f64,
}

/// How many alerts a week each limit would make: for the devices of one type, by one rule's test.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// The rule's id.
    pub rule: Arc<str>,
    /// What a person calls the matter.
    pub title: String,
    /// The device type's short name.
    pub device_type: Arc<str>,
    /// The metric's key.
    pub metric: Arc<str>,
    /// What a person calls the metric.
    pub label: String,
    /// What limits are counted in.
    #[serde(serialize_with = "symbol")]
    pub unit: Unit,
    /// Which side of the limit is bad.
    pub comparison: Comparison,
    /// The mildest limit in force.
    pub limit: f64,
    /// How many devices there are.
    pub devices: usize,
    /// Limits around it, in rising order, the ones in force among them.
    pub points: Vec<CurvePoint>,
    /// The limit nearest to the one in force that makes no more alerts than are wanted, and at most half as many; `None` where the one in force
    /// does so, or no limit on the curve does.
    pub suggestion: Option<CurvePoint>,
    /// Devices that differ from the others so much that a limit of their own serves them better, the worst first.
    pub differing: Vec<DeviceCurve>,
}

/// A limit, and what it makes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// The limit.
    pub limit: f64,
    /// Alerts over the whole span: each time it is crossed, as far as the rule's block lets that be sent.
    pub alerts: u64,
    /// The same, per week.
    pub a_week: f64,
}

/// A device whose values differ from those of its like.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceCurve {
    /// Which of [`Findings::devices`].
    pub device: usize,
    /// Its own limits and alerts, at the limits of the whole curve.
    pub points: Vec<CurvePoint>,
    /// A limit for it; `None` where none on the curve makes few enough alerts.
    pub suggestion: Option<CurvePoint>,
}

/// A device.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceFindings {
    /// Where it is; names as in alerts.
    pub location: Location,
    /// How many readings of it were judged.
    pub readings: u64,
    /// What it measured, one series for each metric that a rule on trial compares with a limit.
    pub series: Vec<Series>,
}

/// What a device measured of one metric over time, coarsely.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// The metric's key.
    pub metric: Arc<str>,
    /// What a person calls the metric.
    pub label: String,
    /// What values are counted in.
    #[serde(serialize_with = "symbol")]
    pub unit: Unit,
    /// When the first bucket begins.
    pub from: Timestamp,
    /// How long a bucket is.
    pub bucket: SignedDuration,
    /// The least and the greatest value in each bucket; `None` where there was none.
    pub buckets: Vec<Option<(f32, f32)>>,
}

fn symbol<S: Serializer>(unit: &Unit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(unit.symbol())
}
