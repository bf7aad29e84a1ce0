//! The findings of a backtest, for the terminal, for JSON and for the report.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use serde::Serialize;

use crate::words::count;
use domain::alert::AlertId;
use domain::alert::life::AlertLife;
use domain::breach::{Breach, Comparison};
use domain::device::Unit;
use domain::location::Location;
use domain::reading::ReadingId;
use domain::response::ReceivedResponse;
use domain::severity::Severity;

/// Two alerts of a rule and device are about the same event if they are no further apart than this.
pub const SAME_EVENT: SignedDuration = SignedDuration::from_hours(1);

/// The findings of a backtest.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// From the first to the last reading, without [outliers](Outliers); `None` without readings.
    pub span: Option<Span>,
    /// The counts of readings.
    pub readings: ReadingCounts,
    /// Readings with times that cannot be right.
    pub outliers: Outliers,
    /// Warnings about ids in the trial that no reading has.
    pub unknown_ids: Vec<String>,
    /// Damaged objects, which are left out: the key, the reason, and what to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// The results of the rules on trial.
    pub rules: RuleResults,
    /// The results of the rules that they are compared with.
    pub against: Option<RuleResults>,
    /// The difference between the two.
    pub difference: Option<Difference>,
    /// The distribution of each metric that has a limit, by device type.
    pub distributions: Vec<Distribution>,
    /// What people did in the zones, in order of receipt.
    #[serde(skip)]
    pub responses: Vec<ReceivedResponse>,
    /// All devices, by zone. [`AlertFact::device`] is an index of it.
    pub devices: Vec<DeviceFindings>,
}

impl Findings {
    /// The results of the rules on trial, and of those that they are compared with.
    pub fn results(&self) -> impl Iterator<Item = &RuleResults> {
        std::iter::once(&self.rules).chain(&self.against)
    }

    /// The alerts of each of the [results](Self::results) by a key, in order of time. The key with the most alerts is first.
    pub fn alerts_by<K: Ord>(&self, key: impl Fn(&AlertFact) -> K) -> Vec<[Vec<&AlertFact>; 2]> {
        let mut groups: BTreeMap<K, [Vec<&AlertFact>; 2]> = BTreeMap::new();
        for (index, results) in self.results().enumerate() {
            for alert in &results.alerts {
                groups.entry(key(alert)).or_default()[index].push(alert);
            }
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|alerts| Reverse(alerts.iter().map(Vec::len).max()));
        groups
    }

    /// Notes on unusual readings: "37 readings that came too late to alert, as they did then".
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let readings = self.readings;
        let counts = [
            (readings.duplicates, "copies of a reading, each counted once"),
            (readings.stale, "readings that came too late to alert, as they did then"),
            (readings.late, "readings stored too far from their position in the archive to be evaluated in order"),
            (readings.undated, "pushes of unknown time, which cannot be evaluated"),
            (readings.unreadable, "lines that are no reading"),
            (readings.cleanings, "finished cleanings"),
            (readings.implausible, "values that no such sensor can measure, which were not compared with limits"),
        ];
        let counts = counts.into_iter().filter(|(number, _)| *number > 0);
        let outliers = [
            (self.outliers.before, "readings from before the first push, which are judged and shown nowhere"),
            (self.outliers.ahead, "readings from the future, which count as of their receipt"),
        ];
        let outliers = outliers.into_iter().filter_map(|(odd, what)| {
            let OddTimes { count: number, oldest, newest, reading, device } = odd?;
            let [oldest, newest] = [oldest, newest].map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
            let times = if oldest == newest { oldest } else { format!("{oldest} to {newest}") };
            let location = &self.devices[device].location;
            let (name, id) = (location.name(), location.device.as_deref().unwrap_or("without an id"));
            Some(format!("{} {what}: {times}; {name} ({id}) sent {reading:.32}", count(number)))
        });
        counts.map(|(number, what)| format!("{} {what}", count(number))).chain(outliers).collect()
    }

    /// The location of the device of an alert.
    #[must_use]
    pub fn location(&self, alert: &AlertFact) -> &Location {
        &self.devices[alert.device].location
    }

    /// The time of an alert, in the time zone of its device.
    #[must_use]
    pub fn local_time(&self, alert: &AlertFact) -> ZonedDateTime {
        self.location(alert).local_zone.local_time(alert.at)
    }
}

/// A period with both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Event time of the first reading.
    pub first: Timestamp,
    /// Event time of the last one.
    pub last: Timestamp,
}

impl Span {
    /// The shortest span that contains both.
    pub(super) fn merge(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    /// Its length in weeks, at least one day.
    #[must_use]
    pub fn weeks(&self) -> f64 {
        let day = SignedDuration::from_hours(24);
        self.last.duration_since(self.first).max(day).as_secs_f64() / (7 * day).as_secs_f64()
    }
}

/// Readings with times that cannot be right. They are evaluated as they were live, and do not extend the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outliers {
    /// Older than `max_age` when the first push of the history was received.
    pub before: Option<OddTimes>,
    /// Later than their receipt by more than 5 minutes. They count as of their receipt.
    pub ahead: Option<OddTimes>,
}

/// Readings with odd times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OddTimes {
    /// The number of readings.
    pub count: u64,
    /// The oldest time.
    pub oldest: Timestamp,
    /// The newest time.
    pub newest: Timestamp,
    /// The reading with the oldest time: SHA-256 of its text.
    pub reading: ReadingId,
    /// Its device, an index of [`Findings::devices`].
    pub device: usize,
}

impl OddTimes {
    /// Merges two.
    pub(super) fn merge(self, other: Self) -> Self {
        let first = if (other.oldest, other.reading) < (self.oldest, self.reading) { other } else { self };
        Self { count: self.count + other.count, newest: self.newest.max(other.newest), ..first }
    }
}

/// The numbers of readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReadingCounts {
    /// Evaluated, each once.
    pub judged: u64,
    /// Copies of one of the last 128 readings of their device.
    pub duplicates: u64,
    /// Older than `max_age` when first received. They do not alert, as live.
    pub stale: u64,
    /// In pushes that lie so far from their place in the archive that later pushes were evaluated before them.
    pub late: u64,
    /// Pushes that are left out: no reading has a usable time, and the receipt is not recorded.
    pub undated: u64,
    /// Finished cleanings.
    pub cleanings: u64,
    /// Values that no such sensor can measure, in readings that can alert.
    pub implausible: u64,
    /// Lines that are no reading.
    pub unreadable: u64,
}

/// The results of a set of rules.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RuleResults {
    /// The name of the rules: a file's name, or "built-in".
    pub name: String,
    /// All alerts in order of time: sent and blocked ones.
    pub alerts: Vec<AlertFact>,
    /// Blocked alerts that are only counted, because the rules say so.
    pub counted: u64,
    /// Messages, without digests. A message has all alerts of a reading.
    pub messages: u64,
    /// The lives of alerts that people were told about, in order of their ids. At the end of the history, open ones stay open.
    #[serde(skip)]
    pub lives: Vec<AlertLife>,
    /// How often each step of the escalations would have told whom, in the order of the times. A step that nobody was told by
    /// has 0.
    pub escalations: Vec<EscalationCount>,
    /// Alerts that an earlier report of a cleaning [would have avoided](AlertFact::avoidable).
    pub avoidable: u64,
}

/// How often an escalation would have told an audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EscalationCount {
    /// The time of the step, after an alert was raised.
    pub after: SignedDuration,
    /// The id of the audience.
    pub to: String,
    /// The number of alerts.
    pub alerts: usize,
}

impl RuleResults {
    /// The escalations in words: "escalation after 15 min would have told supervisor 7 times".
    pub fn escalations_in_words(&self) -> impl Iterator<Item = String> {
        self.escalations.iter().map(|EscalationCount { after, to, alerts }| {
            let times = if *alerts == 1 { "once".to_owned() } else { format!("{} times", count(*alerts)) };
            format!("escalation after {} would have told {to} {times}", notify::duration(*after))
        })
    }
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertFact {
    /// Its id, the same as live.
    pub id: AlertId,
    /// The rule's id.
    pub rule: Arc<str>,
    /// The rule's title.
    pub title: Arc<str>,
    /// Its severity.
    pub severity: Severity,
    /// Its device, an index of [`Findings::devices`].
    pub device: usize,
    /// Event time of the reading that raised it.
    pub at: Timestamp,
    /// When it ended: a threshold alert when it resolved, a no-data alert when something arrived, at the latest at the end of the
    /// history. Equal to `at` for alerts that do not last, such as those of accumulators.
    pub ended: Timestamp,
    /// The first limit that was crossed; `None` for a no-data alert.
    pub breach: Option<Breach>,
    /// Whether a block suppressed it first.
    pub blocked: bool,
    /// Whether an earlier report of a cleaning would have avoided or delayed it: after an accumulator or a counter was sent, a push
    /// reported a cleaning that had ended while it was counting. A counter of several occurrences is taken to count since its
    /// previous alert.
    pub avoidable: bool,
}

impl AlertFact {
    /// The crossed limit: "ammonia 270 ppb (limit 200)", or "no data".
    #[must_use]
    pub fn crossing(&self) -> String {
        self.breach.as_ref().map_or_else(|| "no data".to_owned(), notify::in_words)
    }
}

/// The difference between the rules on trial and those that they are compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Alerts of both, by the same reading.
    pub same: usize,
    /// Alerts of the rules on trial, about an event that the others report earlier or later ([`SAME_EVENT`]).
    pub moved: usize,
    /// New alerts: indices of the alerts of the rules on trial.
    pub gained: Vec<usize>,
    /// Missed alerts: indices of the alerts of the other rules.
    pub missed: Vec<usize>,
}

/// The distribution of a metric of a device type.
#[derive(Clone, Debug, Serialize)]
pub struct Distribution {
    /// The device type's short name.
    pub device_type: String,
    /// The metric's key.
    pub metric: String,
    /// The name of the metric for people.
    pub label: String,
    /// The unit of values and limits.
    pub unit: Unit,
    /// The number of values.
    pub count: u64,
    /// The least value.
    pub least: f64,
    /// The greatest value.
    pub greatest: f64,
    /// The width of each bin.
    pub width: f64,
    /// The lower bound and the count of each bin with values, in order.
    pub bins: Vec<(f64, u64)>,
    /// The limits of the rules on trial for any device, the mildest first.
    pub limits: Vec<RuleLimit>,
}

impl Distribution {
    /// The value below which `part` (0 to 1) of all values are, to within the width of a bin; `None` without values.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let wanted = part.clamp(0.0, 1.0) * self.count as f64;
        let mut sum = 0.0;
        self.bins.iter().find_map(|(lower, count)| {
            let count = *count as f64;
            sum += count;
            (sum >= wanted).then(|| {
                let within = if count > 0.0 { 1.0 - (sum - wanted) / count } else { 0.0 };
                (lower + within * self.width).clamp(self.least, self.greatest)
            })
        })
    }
}

/// A limit of a rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleLimit {
    /// The rule's id.
    pub rule: Arc<str>,
    /// The severity of crossing it.
    pub severity: Severity,
    /// The side of the limit that is bad.
    pub comparison: Comparison,
    /// The limit, in the metric's unit.
    pub limit: f64,
}

/// A device.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceFindings {
    /// Its location, with the names of the rules on trial.
    pub location: Location,
    /// The name of its site, else the id.
    pub site: Option<String>,
    /// The number of its readings.
    pub readings: u64,
    /// A series for each metric that has a limit in the rules on trial.
    pub series: Vec<Series>,
}

/// The values of a metric of a device over time.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// The metric's key.
    pub metric: String,
    /// The name of the metric for people.
    pub label: String,
    /// The unit of values.
    pub unit: Unit,
    /// The length of each period. Periods begin at multiples of it since 1970.
    pub width: SignedDuration,
    /// The start of each period with values, the least, and the greatest of them.
    pub values: Vec<(Timestamp, f64, f64)>,
    /// The limits of the rules on trial for single values of this device.
    pub limits: Vec<RuleLimit>,
}
