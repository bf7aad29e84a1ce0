//! Golden of the metrics of `serve`. Another test compares the names in CloudWatch with docs/metrics.md.

use smartclean_push::telemetry::command::MetricsRegistry;

use super::compare;

#[test]
fn every_metric_has_the_recorded_name_and_type() {
    compare([("golden/metrics.txt".to_owned(), MetricsRegistry::default().to_open_metrics())]);
}
