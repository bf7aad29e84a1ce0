//! What is paid for: devices, what they send and who is notified; and what a month of that takes, by how the function works.

use jiff::SignedDuration;
use serde::Serialize;

use super::assumptions::{
    ANSWER, CALL_LOG, INDEX, LOOK_MS, LOOKED_AT_TOGETHER, MESSAGES_A_MINUTE, OBJECT, POLLS, PUSH_LOG, READING_MS,
    REMEMBERED, SENT, SWEEP_MS, TEXTS_A_DAY, stored,
};

/// Seconds of a month, as AWS bills it: 730 hours.
pub const MONTH: f64 = 730.0 * 3_600.0;
/// Minutes of a month. There is a sweep in each.
pub(super) const MINUTES: f64 = MONTH / 60.0;
/// Five minutes: how often a process reads the credentials, and records that something arrives.
pub(super) const FIVE_MINUTES: f64 = MONTH / 300.0;
/// Days of a month.
const DAYS: f64 = MONTH / 86_400.0;
/// Bytes of a GB, as AWS bills it.
const GB: f64 = 1_073_741_824.0;
/// KB of a GB.
const KB_OF_GB: f64 = 1_048_576.0;
/// The gateway counts a request for each started 512 KB.
const METERED: f64 = 512.0 * 1_024.0;
/// DynamoDB reads 4 KB for a unit.
const READ_UNIT: f64 = 4.0;

/// Devices and what they do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// How many devices send.
    pub devices: f64,
    /// How often each sends a reading.
    #[serde(serialize_with = "seconds")]
    pub interval: SignedDuration,
    /// Readings in a push, on average.
    pub batch: f64,
    /// Devices of a zone.
    pub devices_per_zone: f64,
    /// Of a hundred readings those that change the state document of their zone.
    pub changing_percent: f64,
    /// Messages about a device in a month.
    pub messages_per_device_month: f64,
    /// Addresses that get each message as an email.
    pub emails: f64,
    /// Telephones that get it as an SMS.
    pub phones: f64,
    /// Months whose readings are kept.
    pub months_kept: f64,
    /// Milliseconds of a push.
    pub push_ms: f64,
}

fn seconds<S: serde::Serializer>(interval: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(interval.as_secs_f64())
}

/// What a month of a workload takes.
pub(super) struct Month {
    pub(super) workload: Workload,
    pub(super) readings: f64,
    pub(super) pushes: f64,
    /// Calls of the function for the second look at what is stored.
    looks: f64,
    /// Zones.
    zones: f64,
    /// Seconds that the function works.
    pub(super) seconds: f64,
    /// Processes that are warm at a time.
    pub(super) processes: f64,
    /// Messages that are sent.
    pub(super) messages: f64,
}

impl Month {
    pub(super) fn of(workload: Workload) -> Self {
        let readings = workload.devices * MONTH / workload.interval.as_secs_f64();
        let pushes = readings / workload.batch;
        let push_ms = workload.push_ms + LOOK_MS.value + 2.0 * READING_MS.value * workload.batch;
        let seconds = (pushes * push_ms + MINUTES * SWEEP_MS.value) / 1_000.0;
        Self {
            workload,
            readings,
            pushes,
            // The queue waits up to a minute for ten. If fewer come in a minute, they are looked at each minute.
            looks: (pushes / LOOKED_AT_TOGETHER.value).max(pushes.min(MINUTES)),
            zones: (workload.devices / workload.devices_per_zone).ceil(),
            seconds,
            processes: (seconds / MONTH).ceil().max(1.0),
            messages: (workload.devices * workload.messages_per_device_month).min(MESSAGES_A_MINUTE.value * MINUTES),
        }
    }

    /// Calls of the function for anything but a push.
    pub(super) fn other_calls(&self) -> f64 {
        self.looks + MINUTES
    }

    pub(super) fn gateway_requests(&self) -> f64 {
        self.pushes * (SENT.value * self.workload.batch / METERED).ceil()
    }

    pub(super) fn gigabytes_answered(&self) -> f64 {
        self.pushes * ANSWER.value / GB
    }

    pub(super) fn gigabytes_stored(&self) -> f64 {
        let month = self.readings * stored(self.workload.batch) + self.pushes * OBJECT.value;
        month * self.workload.months_kept / GB
    }

    pub(super) fn queue_requests(&self) -> f64 {
        self.pushes + 2.0 * self.looks + MINUTES * POLLS.value
    }

    pub(super) fn write_units(&self) -> f64 {
        let write = self.zone_kilobytes().max(1.0) + INDEX.value;
        let changes = (self.readings * self.workload.changing_percent / 100.0).min(self.zones_of_pushes());
        // Each message takes a token of the rate limit and is counted for the SMS of the day, whether anybody gets SMS or not.
        // When it is sent, its zone is read and written once more.
        changes * write + self.messages * (2.0 + write) + self.processes * FIVE_MINUTES
    }

    pub(super) fn read_units(&self) -> f64 {
        let read = (self.zone_kilobytes() / READ_UNIT).ceil();
        // A sweep reads one item, and four empty parts of the index at half a unit.
        2.0 * self.zones_of_pushes() * read + MINUTES * 3.0 + self.messages * read
    }

    pub(super) fn gigabytes_of_state(&self) -> f64 {
        self.zones * self.zone_kilobytes() / KB_OF_GB
    }

    pub(super) fn texts(&self) -> f64 {
        self.messages.min(TEXTS_A_DAY.value * DAYS) * self.workload.phones
    }

    pub(super) fn gigabytes_logged(&self) -> f64 {
        (self.pushes * PUSH_LOG.value + self.other_calls() * CALL_LOG.value) / GB
    }

    /// Size of a zone's item.
    fn zone_kilobytes(&self) -> f64 {
        REMEMBERED.value * self.workload.devices_per_zone
    }

    /// Zones of all pushes, as if no two readings of a push were from the same zone, as long as there are zones.
    fn zones_of_pushes(&self) -> f64 {
        self.pushes * self.workload.batch.min(self.zones)
    }
}
