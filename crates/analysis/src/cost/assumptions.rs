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

const fn given(what: &'static str, value: f64, unit: &'static str, source: &'static str) -> Assumption {
    Assumption { what, value, unit, source }
}

const MEASURED: &str = "measured: a simulated day of 200 devices of all types, 21,017 readings, into `serve`";
const SIMULATED: &str = "measured: `simulate --out history --devices 100 --days 7 --from 2026-10-01`, \
                         then `replay raw --from history --state state.db --alerts`";
const NOT_MEASURED: &str = "assumed; see Duration of the function in CloudWatch";

/// Bytes of a reading in a push's body.
pub const SENT: Assumption = given("a reading as it is pushed", 650.0, "bytes", MEASURED);
/// Bytes of an object beside its readings.
pub const OBJECT: Assumption =
    given("an object's name and its metadata", 200.0, "bytes", "S3 keys and metadata that the function writes");
/// Bytes of a stored reading, by the number of readings in the object: more readings compress better.
pub const STORED: [(f64, f64); 5] = [(1.0, 402.0), (5.0, 198.0), (25.0, 112.0), (100.0, 73.0), (500.0, 50.0)];
/// KB of the state document of a zone for each of its devices.
pub const STATE: Assumption = given("state of a device", 0.5, "KB", MEASURED);
/// Write units of the index with each write of a zone: its due time changes with one in four.
pub const INDEX: Assumption = given("write units of the index with a zone's write", 0.5, "", MEASURED);
/// Messages about a device in a month, by the built-in rules. AWS bills messages; alerts can share one.
pub const MESSAGES: Assumption = given("messages about a device a month", 6.3, "", SIMULATED);
/// Milliseconds of a stored object's second look, without its readings.
pub const LOOK_MS: Assumption = given("the second look at a stored push", 30.0, "ms", NOT_MEASURED);
/// Milliseconds for each reading, at the push and at the second look.
pub const READING_MS: Assumption = given("each reading of a push, at either", 0.1, "ms", NOT_MEASURED);
/// Milliseconds of a sweep.
pub const SWEEP_MS: Assumption = given("a look at what is due", 60.0, "ms", NOT_MEASURED);
/// GB of the function.
pub const MEMORY: Assumption = given("memory of the function", 0.5, "GB", "template.yaml");
/// Objects that the queue delivers at a time.
pub const LOOKED_AT_TOGETHER: Assumption =
    given("stored pushes that are looked at together", 10.0, "", "template.yaml");
/// Polls of an empty queue by Lambda in a minute: five pollers that wait 20 s each.
pub const POLLS: Assumption = given(
    "looks of Lambda into the empty queue",
    15.0,
    "a minute",
    "five at a time, https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html, of 20 s",
);
/// Most SMS in a day.
pub const TEXTS_A_DAY: Assumption = given("messages that go out by SMS", 100.0, "a day at most", "the rules' default");
/// Most messages in a minute. More alerts share digests.
pub const MESSAGES_A_MINUTE: Assumption = given("messages", 10.0, "a minute at most", "the rules' default");
/// Bytes of the log lines of a push.
pub const PUSH_LOG: Assumption = given(
    "log lines of a push",
    1_750.0,
    "bytes",
    "its line with metrics 1,020, Lambda's two 380, the gateway's 230, and CloudWatch's 26 bytes with each",
);
/// Bytes of the log lines of any other call of the function.
pub const CALL_LOG: Assumption =
    given("log lines of any other call", 750.0, "bytes", "its line and Lambda's two, the same way");
/// Size of stored log lines, in per cent.
pub const LOG_KEPT: Assumption = given("log lines, once compressed", 15.0, "%", "CloudWatch's price page");
/// Bytes of a response with its headers and encryption.
pub const ANSWER: Assumption = given("an answer", 600.0, "bytes", "an answer of `serve`, and TLS");
/// Metrics that have values in most hours. Others are not billed.
pub const METRICS: Assumption =
    given("metrics that have values", 12.0, "", "of 30; the others count what hardly ever happens");
/// Alarms.
pub const ALARMS: Assumption = given("alarms", 10.0, "", "template.yaml");
/// Dashboards.
pub const DASHBOARDS: Assumption = given("dashboards", 1.0, "", "template.yaml");

/// All assumptions of one number.
pub const ALL: [Assumption; 20] = [
    SENT,
    OBJECT,
    STATE,
    INDEX,
    MESSAGES,
    LOOK_MS,
    READING_MS,
    SWEEP_MS,
    MEMORY,
    LOOKED_AT_TOGETHER,
    POLLS,
    TEXTS_A_DAY,
    MESSAGES_A_MINUTE,
    PUSH_LOG,
    CALL_LOG,
    LOG_KEPT,
    ANSWER,
    METRICS,
    ALARMS,
    DASHBOARDS,
];

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
