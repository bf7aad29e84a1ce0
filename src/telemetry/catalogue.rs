//! The catalogue of metrics. A number that is logged under one of these names is a measurement: the function writes it to
//! CloudWatch, `serve` exposes it to Prometheus, both under this name.

/// The target of log events with measurements. At any verbosity, the function logs them and `serve` collects their numbers.
pub const MEASURED: &str = "measured";

/// How the measurements of one metric are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// The sum.
    Counter,
    /// The last value.
    Gauge,
    /// The distribution.
    Histogram,
}

/// The definition of a metric.
#[derive(Debug)]
pub struct MetricDefinition {
    /// The name in logs, in CloudWatch, and after `smartclean_push_` in Prometheus. Seconds end in `_s`, milliseconds in `_ms`.
    pub name: &'static str,
    /// How its measurements are combined.
    pub kind: MetricKind,
    /// The description for people.
    pub help: &'static str,
}

/// The metric of this name.
#[must_use]
pub fn metric(name: &str) -> Option<&'static MetricDefinition> {
    METRICS.iter().find(|metric| metric.name == name)
}

const fn count(name: &'static str, help: &'static str) -> MetricDefinition {
    MetricDefinition { name, kind: MetricKind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> MetricDefinition {
    MetricDefinition { name, kind: MetricKind::Gauge, help }
}

const fn time(name: &'static str, help: &'static str) -> MetricDefinition {
    MetricDefinition { name, kind: MetricKind::Histogram, help }
}

/// All metrics.
pub const METRICS: [MetricDefinition; 35] = [
    count("pushes", "Pushes that were stored, or queued to be stored"),
    count(
        "pushes_refused",
        "Pushes that are no batch, or too large once decoded; stored for inspection, answered with 4xx",
    ),
    count("pushes_repeated", "Pushes whose body was stored before"),
    count("pushes_queued", "Pushes that were put into the queue because the bucket was unavailable"),
    count("pushes_unbuffered", "Pushes that the Firehose stream did not take; each was stored as an object of its own"),
    count(
        "pushes_unevaluated",
        "Stored pushes that are evaluated later, because rules or state could not be read or written in time",
    ),
    count("pushes_failed", "Pushes that could not be stored; answered with 503"),
    count("readings_accepted", "Well-formed readings"),
    count("readings_rejected", "Malformed items; stored apart"),
    count("readings_duplicate", "Readings that were counted before"),
    count("readings_late", "Readings too old to be deduplicated"),
    count("implausible_values", "Values outside the range of the sensor; stored, not compared with limits"),
    count("readings_over_device_limit", "Readings of devices beyond the 2,000 of a zone; stored, not evaluated"),
    count("alerts_fired", "Alerts that were raised"),
    count("alerts_blocked", "Alerts that a block suppressed"),
    count("alerts_sent", "Messages that were sent"),
    count("alerts_failed", "Failed attempts to send a message, which stays in the outbox"),
    count("digests_sent", "Digests that were sent, also counted in alerts_sent"),
    count("emails_sent", "Emails that an own server sent"),
    count("emails_failed", "Failed attempts of an own server to send an email, which it repeats"),
    count("webhooks_sent", "Messages that the webhook of an own server took"),
    count("webhooks_failed", "Failed calls of the webhook of an own server, which it repeats"),
    count("auth_failures", "Requests with missing or wrong credentials"),
    count("state_refused", "Reads of state documents that are damaged or of another release"),
    count("cold_starts", "Starts of the function"),
    gauge("rules_refused", "1 while the newest rules are rejected and older ones apply"),
    gauge("outbox_age_s", "Age of the oldest message that could not be sent"),
    gauge("queue_failed_age_s", "Age of the oldest queue message that failed, in AWS"),
    gauge("subscriptions_pending", "Unconfirmed subscriptions of the alert topic"),
    gauge("subscriptions_confirmed", "Confirmed subscriptions of the alert topic"),
    time("push_ms", "Duration of a push, in milliseconds"),
    time("store_ms", "Duration of storing a push, in milliseconds"),
    time("evaluate_ms", "Duration of evaluating a push, with writing its state, in milliseconds"),
    time("publish_ms", "Duration of sending the messages of a push, in milliseconds"),
    time("event_lag_ms", "Time from the newest reading of a push to its receipt, in milliseconds"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_valid_in_prometheus() {
        let names: HashSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for name in names {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(!name.ends_with("_total"), "{name}: Prometheus adds that to counters");
        }
    }

    #[test]
    fn a_duration_names_its_unit_because_cloudwatch_shows_none() {
        for MetricDefinition { name, help, .. } in &METRICS {
            assert_eq!(name.ends_with("_ms"), help.ends_with(", in milliseconds"), "{name}: {help}");
        }
    }
}
