//! Every metric as `serve` emits it. The names in CloudWatch are in docs/metrics.md, which is compared with them too.

use smartclean_push::telemetry::command::MetricsRegistry;

use super::compare;

#[test]
fn every_metric_has_the_same_name_and_type() {
    compare([("golden/metrics.txt".to_owned(), MetricsRegistry::default().to_open_metrics())]);
}
