//! Compares what the sensors of a building send with what the vendor documents.
//!
//! [`Survey::push`] counts stored pushes in the order of their receipt. [`Survey::observations`] returns what was seen.

mod observations;
mod samples;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher as _;

use domain::archive::unpack_rejections;
use domain::engine::{TOLERATED_LEAD, counts_at};
use domain::reading::Reading;
use domain::response::ReceivedResponse;
use domain::state::ZoneKey;
use foldhash::fast::FixedState;
use history::ArchivedPush;
use jiff::Timestamp;
use serde_json::Value;

pub use self::observations::Observation;
use self::samples::{Samples, Share};

/// The documented members of a reading, separated by blanks.
const DOCUMENTED: &str = "AGG DASSOC DEVID DevSubType DevType Display ID InsID PID PropId Region Type dom dow expire_at hour \
                          minute month stats t time unix unixT utc v";
/// The documented members of a Matrix event.
const DOCUMENTED_EVENT: &str = "Event Meta RoutingKey SourceDeviceIdentifier UnixTimeInt";
/// The documented members of `v` that are no metrics, by device type.
const DOCUMENTED_VALUES: [(&str, &str); 5] =
    [("FD", "c nm reasons type"), ("OCCMINEW", "C Disass Src"), ("OCCSCM", "b"), ("TILT", "Tb"), ("UM", "u")];

fn contains(names: &str, name: &str) -> bool {
    names.split_whitespace().any(|known| known == name)
}

/// The counts of a survey.
#[derive(Debug, Default)]
pub struct Survey {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    readings: u64,
    readings_per_push: Samples,
    types: BTreeMap<String, TypeSurvey>,
    zones: HashSet<ZoneKey<'static>>,
    /// Undocumented members of readings.
    undocumented: BTreeMap<String, u64>,
    without_device: u64,
    without_zone: u64,
    without_project: u64,
    without_region: u64,
    without_time: u64,
    time_in_seconds: u64,
    /// Seconds from the time of a reading to its receipt.
    delays: Samples,
    ahead: u64,
    repeats: u64,
    out_of_order: u64,
    /// Fingerprints of readings.
    known: HashSet<u64>,
    /// Matrix events by name.
    events: BTreeMap<String, u64>,
    cleanings: u64,
    /// Matrix events with the begin of a task.
    begun: u64,
    /// Responses that people reported.
    reported: usize,
    /// Rejected items by reason.
    rejected: BTreeMap<String, u64>,
    /// Refused requests by reason; `None` without a log.
    auth_failures: Option<BTreeMap<String, u64>>,
}

/// The counts of a device type.
#[derive(Debug, Default)]
struct TypeSurvey {
    readings: u64,
    /// The time of the newest reading of each device.
    devices: HashMap<String, Timestamp>,
    /// Seconds between two readings of a device.
    pauses: Samples,
    /// Undocumented members of `v`.
    undocumented: BTreeMap<String, u64>,
    /// Documented metrics that are no number.
    not_numbers: BTreeMap<&'static str, u64>,
    implausible: u64,
}

impl Survey {
    /// Counts a push. Requires pushes in the order of their receipt.
    pub fn push(&mut self, push: &ArchivedPush) {
        self.first.get_or_insert(push.received);
        self.last = Some(push.received);
        self.readings_per_push.push(push.lines.lines().count());
        for reading in push.lines.lines().filter_map(|line| Reading::read(line).ok()) {
            self.reading(&reading, push.received);
        }
    }

    /// Counts responses that people reported.
    pub fn reported(&mut self, responses: &[ReceivedResponse]) {
        self.reported += responses.len();
    }

    /// Counts the lines of an object of rejections.
    pub fn rejections(&mut self, lines: &str) {
        for rejection in unpack_rejections(lines) {
            // Without the position in the text, so that the same mistake is one reason.
            let reason = rejection.reason.split(" at line ").next().unwrap_or_default();
            *self.rejected.entry(reason.to_owned()).or_default() += 1;
        }
    }

    /// Includes refused logins in the observations, even if the log has none.
    pub fn expect_log(&mut self) {
        self.auth_failures.get_or_insert_default();
    }

    /// Counts a line of the receiver's log, as text from `serve` or as JSON from the function. Ignores lines that are not about
    /// logins.
    pub fn log_line(&mut self, line: &str) {
        let failure = match serde_json::from_str::<Value>(line) {
            Ok(line) => {
                let field = |name: &str| line.get(name).or_else(|| line.get("fields")?.get(name)).cloned();
                field("auth_failures").and_then(|times| Some((times.as_u64()?, field("reason")?.as_str()?.to_owned())))
            }
            Err(_) => {
                // The last ones: a client chooses the text before them.
                let after = |name: &str| line.rsplit_once(name).map(|(_, after)| after);
                let times = after(" auth_failures=").and_then(|times| times.split_whitespace().next()?.parse().ok());
                let reason = after(" reason=\"").and_then(|reason| reason.split('"').next());
                times.zip(reason.map(str::to_owned))
            }
        };
        if let Some((times, reason)) = failure {
            let failures = self.auth_failures.get_or_insert_default().entry(reason).or_default();
            *failures = failures.saturating_add(times);
        }
    }

    fn reading(&mut self, reading: &Reading<'_>, received: Timestamp) {
        self.readings += 1;
        if !self.known.insert(FixedState::default().hash_one(reading.text)) {
            self.repeats += 1;
            return;
        }
        let members: BTreeMap<String, Value> = serde_json::from_str(reading.text).unwrap_or_default();
        let is_event = members.contains_key("RoutingKey");
        let documented = if is_event { DOCUMENTED_EVENT } else { DOCUMENTED };
        for name in members.keys().filter(|name| !contains(documented, name)) {
            *self.undocumented.entry(name.clone()).or_default() += 1;
        }
        if let Some(time) = reading.time {
            let delay = received.duration_since(time).as_secs();
            self.ahead += u64::from(-delay > TOLERATED_LEAD.as_secs());
            self.delays.push(delay.max(0).unsigned_abs());
            self.time_in_seconds += u64::from(members.get("unixT").and_then(Value::as_f64).is_some_and(|at| at < 1e11));
        } else {
            self.without_time += 1;
        }
        if is_event {
            let event = members.get("Event").and_then(Value::as_str).unwrap_or("without a name");
            *self.events.entry(event.to_owned()).or_default() += 1;
            if let Some(response) = &reading.response {
                self.cleanings += u64::from(response.done.is_some());
                self.begun += u64::from(response.started.is_some());
            }
            return;
        }
        let source = &reading.source;
        self.without_device += u64::from(source.device.is_none());
        self.without_zone += u64::from(source.zone.is_none());
        self.without_project += u64::from(source.project.is_none());
        self.without_region += u64::from(!reading.local_zone().is_known());
        self.zones.insert(ZoneKey::of(source).into_owned());
        let of_type = self.types.entry(source.device_type.to_string()).or_default();
        self.out_of_order += u64::from(of_type.reading(reading, members.get("v"), counts_at(reading.time, received)));
    }

    fn share(&self, count: u64) -> Share {
        Share { count, all: self.readings }
    }
}

impl TypeSurvey {
    /// Counts a reading. Returns whether it is older than an earlier one of its device.
    fn reading(&mut self, reading: &Reading<'_>, values: Option<&Value>, at: Timestamp) -> bool {
        self.readings += 1;
        self.implausible += u64::from(reading.implausible() > 0);
        self.members(reading, values);
        let Some(device) = reading.source.device.as_deref() else { return false };
        let newest = self.devices.entry(device.to_owned()).or_insert(at);
        let pause = at.duration_since(*newest).as_secs();
        if pause > 0 {
            self.pauses.push(pause.unsigned_abs());
            *newest = at;
        }
        pause < 0
    }

    fn members(&mut self, reading: &Reading<'_>, values: Option<&Value>) {
        let (Some(device_type), Some(Value::Object(values))) = (reading.device_type(), values) else { return };
        let others =
            DOCUMENTED_VALUES.iter().find(|(name, _)| *name == device_type.name).map_or("", |(_, names)| names);
        for name in values.keys() {
            match device_type.metrics.iter().find(|metric| metric.sent_as().contains(&name.as_str())) {
                Some(metric) if reading.sent(metric).is_none() => *self.not_numbers.entry(metric.key).or_default() += 1,
                None if !contains(others, name) => *self.undocumented.entry(name.clone()).or_default() += 1,
                _ => {}
            }
        }
    }
}
