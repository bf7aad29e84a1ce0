//! Sizes and times that a bill assumes, each with its source. Compare them with your own bill and metrics.

/// An assumed number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assumption {
    /// What it measures.
    pub what: &'static str,
    /// The number, in `unit`.
    pub value: f64,
    /// The unit.
    pub unit: &'static str,
    /// Its source.
    pub source: &'static str,
}

/// Declares assumptions, and the list of all of them.
macro_rules! assumptions {
    ($($(#[$doc:meta])* $name:ident: $what:literal, $value:literal, $unit:literal, $source:expr;)*) => {
        $($(#[$doc])* pub const $name: Assumption = Assumption { what: $what, value: $value, unit: $unit, source: $source };)*

        /// All assumptions of one number.
        pub const ALL: &[Assumption] = &[$($name),*];
    };
}

const MEASURED: &str = "measured: a simulated day of 200 devices of all types, 21,017 readings, into `serve`";
const SIMULATED: &str = "measured: `simulate --out history --devices 100 --days 7 --from 2026-10-01`, \
                         then `replay raw --from history --state state.db --alerts`";
const NOT_KNOWN: &str = "assumed; see docs/response-times.md for yours";
const NOT_MEASURED: &str = "assumed; see Duration of the function in CloudWatch";

assumptions! {
    /// Bytes of a reading in a push's body.
    SENT: "a reading as it is pushed", 650.0, "bytes", MEASURED;
    /// Bytes of an object beside its readings.
    OBJECT: "an object's name and its metadata", 200.0, "bytes", "S3 keys and metadata that the function writes";
    /// Bytes of a push in a buffered object, beside its readings.
    BUFFERED_PUSH: "a push in a buffered object", 50.0, "bytes", MEASURED;
    /// Bytes of a reading in a buffered object.
    BUFFERED_READING: "a reading in a buffered object", 64.0, "bytes", MEASURED;
    /// Bytes of the record of a push, beside its readings.
    RECORD: "a push as a record, without its readings", 250.0, "bytes", "its key, receipt, request id and source";
    /// Megabytes of records that Firehose writes as one object.
    BUFFER: "records in a buffered object", 5.0, "MB at most", "template.yaml";
    /// Bytes of a row of a Parquet file.
    ROW: "a reading in a Parquet file", 119.0, "bytes", MEASURED;
    /// GB of the compaction function.
    COMPACTION_MEMORY: "memory of the compaction", 2.0, "GB", "lake.yaml";
    /// Milliseconds that the compaction takes for each object.
    COMPACTED_OBJECT_MS: "compaction of an object", 0.5, "ms", NOT_MEASURED;
    /// Milliseconds that the compaction takes for each reading.
    COMPACTED_READING_MS: "compaction of a reading", 0.05, "ms", NOT_MEASURED;
    /// KB of the state document of a zone for each of its devices.
    STATE: "state of a device", 0.5, "KB", MEASURED;
    /// Write units of the index with each write of a zone: its due time changes with one in four.
    INDEX: "write units of the index with a zone's write", 0.5, "", MEASURED;
    /// Messages about a device in a month, by the built-in rules. AWS bills messages; alerts can share one.
    MESSAGES: "messages about a device a month", 6.1, "", SIMULATED;
    /// Hours for which an alert is open.
    OPEN_HOURS: "time for which an alert is open", 2.0, "hours", NOT_KNOWN;
    /// KB of an open alert, in the item of its zone and in the index of open alerts.
    OPEN_ALERT: "an open alert, in its zone and in the index of the board", 0.7, "KB",
        "an alert as JSON, and its keys";
    /// Answers to an alert.
    ANSWERS: "answers to an alert", 2.0, "", "assumed: taken, then done";
    /// Write units of the index of open alerts for each alert.
    ATTENTION: "write units of the index of the board with an alert", 5.0, "",
        "one each if it is raised, taken and over; two if it is done, because its place changes";
    /// Views of the board in a day.
    VIEWS: "views of the board", 20.0, "a day", "assumed: one phone. A screen that shows it all day has 2,880";
    /// Milliseconds of a page.
    PAGE_MS: "a page, and the board", 30.0, "ms", NOT_MEASURED;
    /// GB of the function that serves pages.
    PAGE_MEMORY: "memory of the function of the pages", 0.25, "GB", "template.yaml";
    /// Milliseconds of a stored object's second look, without its readings.
    LOOK_MS: "the second look at a stored push", 30.0, "ms", NOT_MEASURED;
    /// Milliseconds for each reading, at the push and at the second look.
    READING_MS: "each reading of a push, at either", 0.1, "ms", NOT_MEASURED;
    /// Milliseconds of a sweep.
    SWEEP_MS: "a look at what is due", 60.0, "ms", NOT_MEASURED;
    /// GB of the function.
    MEMORY: "memory of the function", 0.5, "GB", "template.yaml";
    /// Objects that the queue delivers at a time.
    LOOKED_AT_TOGETHER: "stored pushes that are looked at together", 10.0, "", "template.yaml";
    /// Polls of an empty queue by Lambda in a minute: five pollers that wait 20 s each.
    POLLS: "looks of Lambda into the empty queue", 15.0, "a minute",
        "five at a time, https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html, of 20 s";
    /// Most SMS in a day.
    TEXTS_A_DAY: "messages that go out by SMS", 100.0, "a day at most", "the rules' default";
    /// Most messages in a minute. More alerts share digests.
    MESSAGES_A_MINUTE: "messages", 10.0, "a minute at most", "the rules' default";
    /// Bytes of the log lines of a push.
    PUSH_LOG: "log lines of a push", 650.0, "bytes",
        "its line with metrics 400 at most (a test checks it), the gateway's 200, and CloudWatch's 26 bytes with each. \
         Other calls log only what they did";
    /// Size of stored log lines, in per cent.
    LOG_KEPT: "log lines, once compressed", 15.0, "%", "CloudWatch's price page";
    /// Bytes of a response with its headers and encryption.
    ANSWER: "an answer", 600.0, "bytes", "an answer of `serve`, and TLS";
    /// Metrics that have values in most hours. Others are not billed.
    METRICS: "metrics that have values", 12.0, "", "of 30; the others count what hardly ever happens";
    /// Alarms of the stack with direct delivery. CloudWatch bills the metrics of an alarm, and each of them has one.
    ALARMS: "alarms, of one metric each", 10.0, "", "template.yaml";
    /// Dashboards.
    DASHBOARDS: "dashboards", 1.0, "", "template.yaml";
}

/// Bytes of a stored reading, by the number of readings in the object: more readings compress better.
pub const STORED: [(f64, f64); 5] = [(1.0, 402.0), (5.0, 198.0), (25.0, 112.0), (100.0, 73.0), (500.0, 50.0)];

/// Bytes of a reading in an object of `batch` readings, as measured with so many or the next fewer.
#[must_use]
pub fn stored(batch: f64) -> f64 {
    STORED.iter().rev().find(|(readings, _)| *readings <= batch).map_or(STORED[0].1, |(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_largest_measured_batch_that_is_not_larger() {
        assert_eq!(
            [1.0, 4.0, 5.0, 24.0, 25.0, 500.0, 7_000.0].map(stored),
            [402.0, 402.0, 198.0, 198.0, 112.0, 50.0, 50.0]
        );
    }
}
