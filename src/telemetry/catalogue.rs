//! What is measured. A number that is logged under one of these names is a measurement: the function writes it down for
//! CloudWatch, `serve` adds it up for Prometheus, and both call it by this name.

/// The target of log events that hold measurements. They are heard at any verbosity.
pub const MEASURED: &str = "measured";

/// How measurements of one name belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They are added up.
    Counter,
    /// The last one counts.
    Gauge,
    /// Each counts by itself: how many were how large.
    Histogram,
}

/// What a measurement is counted in, as CloudWatch names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Times.
    Count,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    /// CloudWatch's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// Something that is measured.
#[derive(Debug)]
pub struct Metric {
    /// Its name, in logs, in CloudWatch, and behind `smartclean_push_` in Prometheus.
    pub name: &'static str,
    /// How its measurements belong together.
    pub kind: Kind,
    /// What they are counted in.
    pub unit: Unit,
    /// What it says, for people.
    pub help: &'static str,
}

/// The metric of that name.
#[must_use]
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

const fn count(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, help }
}

const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help }
}

const fn time(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, unit: Unit::Milliseconds, help }
}

/// All of them.
pub const METRICS: [Metric; 30] = [
    count("pushes", "Pushes that were stored and accounted for"),
    count("pushes_refused", "Pushes that are no batch, or too large; kept, and answered with 4xx"),
    count("pushes_repeated", "Pushes whose very same body was stored before"),
    count("pushes_queued", "Pushes that wait in the queue because the raw store did not take them"),
    count("pushes_unevaluated", "Pushes that were stored and are judged later, because the state could not be written"),
    count("pushes_failed", "Pushes that could not be stored anywhere; answered with 503"),
    count("readings_accepted", "Well-formed readings"),
    count("readings_rejected", "Items that are no readings; kept apart"),
    count("readings_duplicate", "Readings that were known already"),
    count("readings_late", "Readings that came too late to be told from known ones"),
    count("implausible_values", "Values that no such sensor can measure; stored, and not compared with limits"),
    count("readings_over_device_limit", "Readings of devices beyond the 2,000 of a zone; stored, and not evaluated"),
    count("alerts_fired", "Alerts that were raised"),
    count("alerts_blocked", "Alerts that a block suppressed"),
    count("alerts_sent", "Messages that were sent"),
    count("alerts_failed", "Attempts to send a message that failed; it stays in the outbox"),
    count("digests_sent", "Digests among the messages that were sent"),
    count("auth_failures", "Requests that were not let in: without credentials, or with wrong ones"),
    count("state_refused", "Reads of what is remembered that a newer release has written, or that is damaged"),
    count("cold_starts", "Copies of the function that were started"),
    gauge("rules_refused", Unit::Count, "1 while the newest rules are refused and older ones are in force"),
    gauge("outbox_age_s", Unit::Seconds, "Age of the oldest message that could not be sent"),
    gauge("queue_failed_age_s", Unit::Seconds, "Age of the oldest message of the queue that failed, in AWS"),
    gauge("subscriptions_pending", Unit::Count, "Subscriptions of the alert topic that nobody has confirmed yet"),
    gauge("subscriptions_confirmed", Unit::Count, "Confirmed subscriptions of the alert topic"),
    time("push_ms", "How long a push took as a whole"),
    time("store_ms", "How long storing a push took"),
    time("evaluate_ms", "How long judging a push took, reading and writing what is remembered included"),
    time("publish_ms", "How long sending the messages of a push took"),
    time("event_lag_ms", "Time between the newest reading of a push and its receipt"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_told_apart_and_fit_for_prometheus() {
        let names: HashSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for name in names {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(!name.ends_with("_total"), "{name}: Prometheus adds that to counters");
        }
    }

    #[test]
    fn a_name_that_ends_in_a_unit_is_counted_in_it() {
        for Metric { name, unit, .. } in METRICS {
            assert_eq!(name.ends_with("_ms"), unit == Unit::Milliseconds, "{name}");
            assert_eq!(name.ends_with("_s"), unit == Unit::Seconds, "{name}");
        }
    }
}
