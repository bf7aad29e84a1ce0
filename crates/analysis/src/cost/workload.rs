//! A workload, and the amounts that a month of it takes.

use std::ops::RangeBounds;

use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum, value_parser};
use jiff::SignedDuration;
use serde::Serialize;

use super::assumptions::{
    ALARMS, ANSWER, ANSWERS, ATTENTION, BUFFER, BUFFERED_PUSH, BUFFERED_READING, COMPACTED_OBJECT_MS,
    COMPACTED_READING_MS, COMPACTION_MEMORY, DASHBOARDS, INDEX, LOG_KEPT, LOOK_MS, LOOKED_AT_TOGETHER, MEMORY,
    MESSAGES, MESSAGES_A_MINUTE, METRICS, OBJECT, OPEN_ALERT, OPEN_HOURS, PAGE_MEMORY, PAGE_MS, POLLS, PUSH_LOG,
    READING_MS, RECORD, ROW, SENT, STATE, SWEEP_MS, TEXTS_A_DAY, VIEWS, stored,
};
use crate::words::interval;

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
/// Partitions of the index of open alerts. A view of the board reads all of them.
const PARTITIONS: f64 = 8.0;

/// How pushes reach the bucket: the template's parameter `RawDelivery`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum RawDelivery {
    /// Each push is an object
    #[default]
    Direct,
    /// Data Firehose writes the pushes of five minutes as one object
    Buffered,
}

/// Devices, their readings, and who is notified: the arguments of `cost`.
#[derive(Args, Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// Number of devices
    #[arg(long, value_name = "N", value_parser = whole(1..=1_000_000_000))]
    pub devices: f64,
    /// Interval of each device's readings, such as 30s, 5m or 1h
    #[arg(long, value_name = "TIME", value_parser = interval)]
    #[serde(serialize_with = "seconds")]
    pub interval: SignedDuration,
    /// Mean number of readings in a push. SmartClean does not document it; the summary lines of the log have it (received)
    #[arg(long, value_name = "N", default_value_t = 25.0, value_parser = whole(1..=7_000))]
    pub batch: f64,
    /// Devices in a zone
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = whole(1..=500))]
    pub devices_per_zone: f64,
    /// Per cent of readings that change the state of their zone: all of people counters, few of others
    #[arg(long = "changing", value_name = "PERCENT", default_value_t = 7.0, value_parser = percent)]
    pub changing_percent: f64,
    /// Messages about a device in a month. The default is the number of a simulated building with the built-in rules
    /// (--explain). `replay raw` counts those of your rules
    #[arg(long, value_name = "N", default_value_t = MESSAGES.value, value_parser = messages)]
    pub messages_per_device_month: f64,
    /// Email addresses that get each message
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = whole(..=1_000))]
    pub emails: f64,
    /// Phones in Singapore that get each message as an SMS. The estimate includes the few messages below `sms_from`
    #[arg(long = "sms", value_name = "N", default_value_t = 0.0, value_parser = whole(..=1_000))]
    pub phones: f64,
    /// Months whose readings are kept. They are never deleted, so that each year adds 12
    #[arg(long, value_name = "N", default_value_t = 12.0, value_parser = whole(1..=1_200))]
    pub months_kept: f64,
    /// Milliseconds that the function takes for a push. Yours are in CloudWatch (push_ms)
    #[arg(long, value_name = "MS", default_value_t = 80.0, value_parser = whole(1..=29_000))]
    pub push_ms: f64,
    /// How pushes reach the bucket: RawDelivery of the stack
    #[arg(long, value_enum, default_value_t)]
    pub delivery: RawDelivery,
    /// GB that queries of the lake scan; `None` without a lake.
    #[arg(skip)]
    pub lake_scanned_gb: Option<f64>,
}

fn seconds<S: serde::Serializer>(interval: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(interval.as_secs_f64())
}

/// Parses a whole number within `range`.
fn whole(range: impl RangeBounds<i64>) -> impl TypedValueParser<Value = f64> {
    value_parser!(u32).range(range).map(f64::from)
}

fn percent(text: &str) -> Result<f64, &'static str> {
    within(text, 100.0).ok_or("a share is a number from 0 to 100")
}

fn messages(text: &str) -> Result<f64, &'static str> {
    within(text, 100_000.0).ok_or("messages are a number from 0 to 100000, such as 2 or 0.5")
}

fn within(text: &str, most: f64) -> Option<f64> {
    text.parse().ok().filter(|number| (0.0..=most).contains(number))
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
        let messages = (devices * workload.messages_per_device_month).min(MESSAGES_A_MINUTE.value * MINUTES);
        // Each message is opened, and its page loads again after each answer.
        let views = VIEWS.value * DAYS;
        let pages = views + messages * (1.0 + 2.0 * ANSWERS.value);
        let other_calls = looks + MINUTES + is_lake * DAYS + pages;
        // Seconds that the function works, and its warm processes at a time.
        let work_ms = pushes * workload.push_ms + objects * LOOK_MS.value + 2.0 * READING_MS.value * readings;
        let seconds = (work_ms + MINUTES * SWEEP_MS.value) / 1_000.0;
        let compaction = objects * COMPACTED_OBJECT_MS.value + readings * COMPACTED_READING_MS.value;
        let compaction_gb_seconds = is_lake * compaction / 1_000.0 * COMPACTION_MEMORY.value;
        let page_gb_seconds = pages * PAGE_MS.value / 1_000.0 * PAGE_MEMORY.value;
        let processes = (seconds / MONTH).ceil().max(1.0);
        let zones = (devices / devices_per_zone).ceil();
        let zone_kb = STATE.value * devices_per_zone;
        // KB of all open alerts at a time.
        let open_kb = messages * OPEN_HOURS.value / HOURS * OPEN_ALERT.value;
        let (read, write) = ((zone_kb / READ_UNIT).ceil(), zone_kb.max(1.0) + INDEX.value + open_kb / zones);
        // The invitation, the last push, and the index, where a search costs half as much.
        let view = 2.0 + PARTITIONS * 0.5 * (open_kb / PARTITIONS / READ_UNIT).ceil().max(1.0);
        // A page reads its link and its zone. An answer reads the zone once more, and a third time when it is archived.
        let answered = (1.0 + ANSWERS.value) * (1.0 + read) + ANSWERS.value * (1.0 + 3.0 * read);
        // As if no two readings of a push were from the same zone, up to the number of zones.
        let zones_of_pushes = pushes * batch.min(zones);
        let zones_of_objects = objects * (readings / objects).min(zones);
        let changes = (readings * workload.changing_percent / 100.0).min(zones_of_pushes);
        let kept = (bytes + objects * OBJECT.value + is_lake * readings * ROW.value) * workload.months_kept;
        let logged = pushes * PUSH_LOG.value / GB;
        let amounts = [
            ("API Gateway", "requests", pushes * (SENT.value * batch / METERED).ceil() + pages),
            ("Data transfer", "GB of answers", pushes * ANSWER.value / GB),
            ("Lambda", "calls", pushes + other_calls),
            ("Lambda", "GB-seconds", seconds * MEMORY.value + compaction_gb_seconds + page_gb_seconds),
            ("Data Firehose", "GB taken", records_gb),
            // A sweep archives the alerts of its minute, when they are raised and when they end, and the answers.
            (
                "S3",
                "objects written",
                objects
                    + (2.0 * messages).min(MINUTES)
                    + (ANSWERS.value * messages).min(MINUTES)
                    + is_lake * 3.0 * HOURS,
            ),
            ("S3", "objects read", (1.0 + is_lake) * objects + processes * MINUTES + pages.min(MINUTES)),
            ("S3", "GB kept", kept / GB),
            ("SQS", "requests", objects + 2.0 * looks + MINUTES * POLLS.value),
            // A message takes a token of the rate limit, is counted for the SMS of the day, and has a link. When it is sent,
            // and when its alert is archived, its zone is written once more. An answer writes the zone, and once more when it
            // is archived.
            (
                "DynamoDB",
                "write units",
                changes * write
                    + messages * (3.0 + ATTENTION.value + (3.0 + 2.0 * ANSWERS.value) * write)
                    + processes * FIVE_MINUTES,
            ),
            // A sweep reads one item, and four empty parts of the index at half a unit. A message reads the rate limit for its
            // token and for the SMS of the day.
            (
                "DynamoDB",
                "read units",
                (zones_of_pushes + zones_of_objects) * read
                    + MINUTES * 3.0
                    + messages * (2.0 + 3.0 * read + answered)
                    + views * view,
            ),
            ("DynamoDB", "GB kept and restorable", (zones * zone_kb + 2.0 * open_kb) / KB_OF_GB),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_messages_are_numbers_within_their_bounds() {
        assert_eq!((percent("0"), percent("100"), messages("0.5")), (Ok(0.0), Ok(100.0), Ok(0.5)));
        for wrong in ["-1", "100.1", "NaN", "inf", "many", ""] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
        assert!(messages("-0.1").is_err() && messages("NaN").is_err() && messages("100001").is_err());
    }
}
