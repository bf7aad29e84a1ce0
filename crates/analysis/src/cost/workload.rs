//! A workload, and the amounts that a month of it takes.

use jiff::SignedDuration;
use serde::Serialize;

use super::assumptions::{
    ALARMS, ANSWER, BUFFER, BUFFERED_PUSH, BUFFERED_READING, COMPACTED_OBJECT_MS, COMPACTED_READING_MS,
    COMPACTION_MEMORY, DASHBOARDS, INDEX, LOG_KEPT, LOOK_MS, LOOKED_AT_TOGETHER, MEMORY, MESSAGES_A_MINUTE, METRICS,
    OBJECT, POLLS, PUSH_LOG, READING_MS, RECORD, ROW, SENT, STATE, SWEEP_MS, TEXTS_A_DAY, stored,
};

/// Seconds of a month, as AWS bills it: 730 hours.
pub const MONTH: f64 = 730.0 * 3_600.0;
/// Minutes of a month. Each has a sweep.
const MINUTES: f64 = MONTH / 60.0;
/// Periods of five minutes in a month. In each, a process reads the credentials, and records that something arrives.
const FIVE_MINUTES: f64 = MONTH / 300.0;
/// Hours of a month. The lake has a file, a marker and a list of objects for each.
const HOURS: f64 = MONTH / 3_600.0;
/// Days of a month.
const DAYS: f64 = MONTH / 86_400.0;
/// Bytes of a GB, as AWS bills it.
const GB: f64 = 1_073_741_824.0;
/// KB of a GB.
const KB_OF_GB: f64 = 1_048_576.0;
/// Bytes that the gateway counts as a request.
const METERED: f64 = 512.0 * 1_024.0;
/// Bytes that Firehose counts as a record.
const RECORD_STEP: f64 = 5.0 * 1_024.0;
/// Bytes of the largest record. A larger push is an object of its own.
const LARGEST_RECORD: f64 = 1_000.0 * 1_024.0;
/// KB of a read unit of DynamoDB.
const READ_UNIT: f64 = 4.0;

/// How pushes reach the bucket: the template's parameter `RawDelivery`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RawDelivery {
    /// Each push is an object.
    #[default]
    Direct,
    /// Data Firehose writes the pushes of some minutes as one object.
    Buffered,
}

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
    /// How pushes reach the bucket.
    pub delivery: RawDelivery,
    /// GB that queries of the lake scan; `None` without a lake.
    pub lake_scanned_gb: Option<f64>,
}

fn seconds<S: serde::Serializer>(interval: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(interval.as_secs_f64())
}

/// A month of a workload.
pub(super) struct Month {
    pub(super) readings: f64,
    pub(super) pushes: f64,
    /// The service, the name in the price table, and the amount of each item that AWS bills.
    pub(super) amounts: [(&'static str, &'static str, f64); 23],
}

impl Month {
    pub(super) fn of(workload: &Workload) -> Self {
        let Workload { devices, batch, devices_per_zone, .. } = *workload;
        let readings = devices * MONTH / workload.interval.as_secs_f64();
        let pushes = readings / batch;
        let Stored { objects, bytes, records_gb } = Stored::of(workload.delivery, batch, pushes);
        // Calls for the second look at stored objects. The queue waits up to a minute for ten objects.
        let looks = (objects / LOOKED_AT_TOGETHER.value).max(objects.min(MINUTES));
        // The compaction runs each day.
        let is_lake = if workload.lake_scanned_gb.is_some() { 1.0 } else { 0.0 };
        let other_calls = looks + MINUTES + is_lake * DAYS;
        // Seconds that the function works, and its warm processes at a time.
        let work_ms = pushes * workload.push_ms + objects * LOOK_MS.value + 2.0 * READING_MS.value * readings;
        let seconds = (work_ms + MINUTES * SWEEP_MS.value) / 1_000.0;
        let compaction = objects * COMPACTED_OBJECT_MS.value + readings * COMPACTED_READING_MS.value;
        let compaction_gb_seconds = is_lake * compaction / 1_000.0 * COMPACTION_MEMORY.value;
        let processes = (seconds / MONTH).ceil().max(1.0);
        let zones = (devices / devices_per_zone).ceil();
        let zone_kb = STATE.value * devices_per_zone;
        let (read, write) = ((zone_kb / READ_UNIT).ceil(), zone_kb.max(1.0) + INDEX.value);
        // As if no two readings of a push were from the same zone, up to the number of zones.
        let zones_of_pushes = pushes * batch.min(zones);
        let zones_of_objects = objects * (readings / objects).min(zones);
        let changes = (readings * workload.changing_percent / 100.0).min(zones_of_pushes);
        let messages = (devices * workload.messages_per_device_month).min(MESSAGES_A_MINUTE.value * MINUTES);
        let kept = (bytes + objects * OBJECT.value + is_lake * readings * ROW.value) * workload.months_kept;
        let logged = pushes * PUSH_LOG.value / GB;
        let amounts = [
            ("API Gateway", "requests", pushes * (SENT.value * batch / METERED).ceil()),
            ("Data transfer", "GB of answers", pushes * ANSWER.value / GB),
            ("Lambda", "calls", pushes + other_calls),
            ("Lambda", "GB-seconds", seconds * MEMORY.value + compaction_gb_seconds),
            ("Data Firehose", "GB taken", records_gb),
            // A sweep archives the alerts of its minute, when they are raised and when they end.
            ("S3", "objects written", objects + (2.0 * messages).min(MINUTES) + is_lake * 3.0 * HOURS),
            ("S3", "objects read", (1.0 + is_lake) * objects + processes * MINUTES),
            ("S3", "GB kept", kept / GB),
            ("SQS", "requests", objects + 2.0 * looks + MINUTES * POLLS.value),
            // A message takes a token of the rate limit, and is counted for the SMS of the day. When it is sent, and when its alert
            // is archived, its zone is written once more.
            ("DynamoDB", "write units", changes * write + messages * (2.0 + 3.0 * write) + processes * FIVE_MINUTES),
            // A sweep reads one item, and four empty parts of the index at half a unit. A message reads the rate limit for its
            // token and for the SMS of the day.
            (
                "DynamoDB",
                "read units",
                (zones_of_pushes + zones_of_objects) * read + MINUTES * 3.0 + messages * (2.0 + 3.0 * read),
            ),
            ("DynamoDB", "GB kept and restorable", zones * zone_kb / KB_OF_GB),
            ("SNS", "messages", messages),
            ("SNS", "emails", messages * workload.emails),
            ("SNS", "SMS to Singapore", messages.min(TEXTS_A_DAY.value * DAYS) * workload.phones),
            ("CloudWatch", "GB of log lines", logged),
            ("CloudWatch", "GB of log lines kept", logged * LOG_KEPT.value / 100.0),
            ("CloudWatch", "metrics", METRICS.value),
            ("CloudWatch", "metrics of alarms", ALARMS.value + f64::from(u8::from(records_gb > 0.0)) + is_lake),
            ("CloudWatch", "dashboards", DASHBOARDS.value),
            ("Secrets Manager", "secrets", 1.0),
            ("Secrets Manager", "reads", processes * 2.0 * FIVE_MINUTES),
            ("Athena", "GB scanned", workload.lake_scanned_gb.unwrap_or_default()),
        ];
        Self { readings, pushes, amounts }
    }
}

/// What a month adds to the bucket.
struct Stored {
    objects: f64,
    /// Bytes of the objects.
    bytes: f64,
    /// GB of records that Firehose bills.
    records_gb: f64,
}

impl Stored {
    fn of(delivery: RawDelivery, batch: f64, pushes: f64) -> Self {
        let readings = batch * pushes;
        let record = RECORD.value + batch * SENT.value;
        if delivery == RawDelivery::Direct || record > LARGEST_RECORD {
            return Self { objects: pushes, bytes: readings * stored(batch), records_gb: 0.0 };
        }
        let buffers = pushes * record / (BUFFER.value * 1_048_576.0);
        Self {
            objects: buffers.max(pushes.min(FIVE_MINUTES)),
            bytes: pushes * BUFFERED_PUSH.value + readings * BUFFERED_READING.value,
            records_gb: pushes * (record / RECORD_STEP).ceil() * RECORD_STEP / GB,
        }
    }
}
