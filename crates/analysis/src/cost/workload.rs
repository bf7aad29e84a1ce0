//! A workload, and the amounts that a month of it takes.

use jiff::SignedDuration;
use serde::Serialize;

use super::assumptions::{
    ALARMS, ANSWER, DASHBOARDS, INDEX, LOG_KEPT, LOOK_MS, LOOKED_AT_TOGETHER, MEMORY, MESSAGES_A_MINUTE, METRICS,
    OBJECT, POLLS, PUSH_LOG, READING_MS, SENT, STATE, SWEEP_MS, TEXTS_A_DAY, stored,
};

/// Seconds of a month, as AWS bills it: 730 hours.
pub const MONTH: f64 = 730.0 * 3_600.0;
/// Minutes of a month. Each has a sweep.
const MINUTES: f64 = MONTH / 60.0;
/// Periods of five minutes in a month. In each, a process reads the credentials, and records that something arrives.
const FIVE_MINUTES: f64 = MONTH / 300.0;
/// Days of a month.
const DAYS: f64 = MONTH / 86_400.0;
/// Bytes of a GB, as AWS bills it.
const GB: f64 = 1_073_741_824.0;
/// KB of a GB.
const KB_OF_GB: f64 = 1_048_576.0;
/// Bytes that the gateway counts as a request.
const METERED: f64 = 512.0 * 1_024.0;
/// KB of a read unit of DynamoDB.
const READ_UNIT: f64 = 4.0;

/// Devices, their readings, and who is notified.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// Number of devices.
    pub devices: f64,
    /// Time between two readings of a device.
    #[serde(serialize_with = "seconds")]
    pub interval: SignedDuration,
    /// Readings in a push, on average.
    pub batch: f64,
    /// Devices of a zone.
    pub devices_per_zone: f64,
    /// Per cent of readings that change the state document of their zone.
    pub changing_percent: f64,
    /// Messages about a device in a month.
    pub messages_per_device_month: f64,
    /// Email addresses that get each message.
    pub emails: f64,
    /// Telephones that get each message as an SMS.
    pub phones: f64,
    /// Months of readings in storage.
    pub months_kept: f64,
    /// Milliseconds that the function takes for a push.
    pub push_ms: f64,
}

fn seconds<S: serde::Serializer>(interval: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(interval.as_secs_f64())
}

/// A month of a workload.
pub(super) struct Month {
    pub(super) readings: f64,
    pub(super) pushes: f64,
    /// The service, the name in the price table, and the amount of each item that AWS bills.
    pub(super) amounts: [(&'static str, &'static str, f64); 21],
}

impl Month {
    pub(super) fn of(workload: &Workload) -> Self {
        let Workload { devices, batch, devices_per_zone, .. } = *workload;
        let readings = devices * MONTH / workload.interval.as_secs_f64();
        let pushes = readings / batch;
        // Calls for the second look at stored pushes. The queue waits up to a minute for ten pushes.
        let looks = (pushes / LOOKED_AT_TOGETHER.value).max(pushes.min(MINUTES));
        let other_calls = looks + MINUTES;
        // Seconds that the function works, and its warm processes at a time.
        let push_ms = workload.push_ms + LOOK_MS.value + 2.0 * READING_MS.value * batch;
        let seconds = (pushes * push_ms + MINUTES * SWEEP_MS.value) / 1_000.0;
        let processes = (seconds / MONTH).ceil().max(1.0);
        let zones = (devices / devices_per_zone).ceil();
        let zone_kb = STATE.value * devices_per_zone;
        let (read, write) = ((zone_kb / READ_UNIT).ceil(), zone_kb.max(1.0) + INDEX.value);
        // As if no two readings of a push were from the same zone, up to the number of zones.
        let zones_of_pushes = pushes * batch.min(zones);
        let changes = (readings * workload.changing_percent / 100.0).min(zones_of_pushes);
        let messages = (devices * workload.messages_per_device_month).min(MESSAGES_A_MINUTE.value * MINUTES);
        let kept = (readings * stored(batch) + pushes * OBJECT.value) * workload.months_kept;
        let logged = pushes * PUSH_LOG.value / GB;
        let amounts = [
            ("API Gateway", "requests", pushes * (SENT.value * batch / METERED).ceil()),
            ("Data transfer", "GB of answers", pushes * ANSWER.value / GB),
            ("Lambda", "calls", pushes + other_calls),
            ("Lambda", "GB-seconds", seconds * MEMORY.value),
            ("S3", "objects written", pushes),
            ("S3", "objects read", pushes + processes * MINUTES),
            ("S3", "GB kept", kept / GB),
            ("SQS", "requests", pushes + 2.0 * looks + MINUTES * POLLS.value),
            // A message takes a token of the rate limit, and is counted for the SMS of the day. When it is sent, its zone is
            // written once more.
            ("DynamoDB", "write units", changes * write + messages * (2.0 + write) + processes * FIVE_MINUTES),
            // A sweep reads one item, and four empty parts of the index at half a unit. A message reads the rate limit for its
            // token and for the SMS of the day.
            ("DynamoDB", "read units", 2.0 * zones_of_pushes * read + MINUTES * 3.0 + messages * (2.0 + read)),
            ("DynamoDB", "GB kept and restorable", zones * zone_kb / KB_OF_GB),
            ("SNS", "messages", messages),
            ("SNS", "emails", messages * workload.emails),
            ("SNS", "SMS to Singapore", messages.min(TEXTS_A_DAY.value * DAYS) * workload.phones),
            ("CloudWatch", "GB of log lines", logged),
            ("CloudWatch", "GB of log lines kept", logged * LOG_KEPT.value / 100.0),
            ("CloudWatch", "metrics", METRICS.value),
            ("CloudWatch", "alarms", ALARMS.value),
            ("CloudWatch", "dashboards", DASHBOARDS.value),
            ("Secrets Manager", "secrets", 1.0),
            ("Secrets Manager", "reads", processes * 2.0 * FIVE_MINUTES),
        ];
        Self { readings, pushes, amounts }
    }
}
