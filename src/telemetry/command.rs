//! Logs of the command, and the metrics of `serve` for Prometheus.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::catalogue::{MEASURED, METRICS, MetricKind};
use super::{Verbosity, fields};

/// The prefix of each name.
const PREFIX: &str = "smartclean_push";
/// Upper bounds of histogram buckets, in milliseconds: from a write to a local disk to an hour, after which a reading is stale.
const BUCKETS_MS: [f64; 12] =
    [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 60_000.0, 600_000.0, 3_600_000.0];

/// Logs readable lines to standard error, in colour on a terminal, and collects metrics at any verbosity.
pub fn start(verbosity: Verbosity) -> MetricsRegistry {
    let metrics = MetricsRegistry::default();
    let collecting = metrics.clone().with_filter(Targets::new().with_target(MEASURED, LevelFilter::TRACE));
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_filter(verbosity.filter());
    // An error means that logging is set up already.
    let _ = tracing_subscriber::registry().with(lines).with(collecting).try_init();
    metrics
}

/// Collects metrics. Clones share them.
#[derive(Clone, Debug)]
pub struct MetricsRegistry {
    registry: Arc<Registry>,
    instruments: Arc<HashMap<&'static str, Instrument>>,
}

#[derive(Clone, Debug)]
enum Instrument {
    Counter(Counter<f64, AtomicU64>),
    Gauge(Gauge<f64, AtomicU64>),
    Histogram(Histogram),
}

impl Default for MetricsRegistry {
    /// All metrics at zero, so that each is present before its first event.
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let mut instruments = HashMap::new();
        for metric in &METRICS {
            let (name, help) = (metric.name, metric.help);
            let instrument = match metric.kind {
                MetricKind::Counter => Instrument::Counter(registered(&mut registry, name, help, Counter::default())),
                MetricKind::Gauge => Instrument::Gauge(registered(&mut registry, name, help, Gauge::default())),
                MetricKind::Histogram => {
                    Instrument::Histogram(registered(&mut registry, name, help, Histogram::new(BUCKETS_MS)))
                }
            };
            instruments.insert(name, instrument);
        }
        Self { registry: Arc::new(registry), instruments: Arc::new(instruments) }
    }
}

fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl MetricsRegistry {
    fn record(&self, name: &str, value: f64) {
        match self.instruments.get(name) {
            Some(Instrument::Counter(counter)) => drop(counter.inc_by(value.max(0.0))),
            Some(Instrument::Gauge(gauge)) => drop(gauge.set(value)),
            Some(Instrument::Histogram(histogram)) => histogram.observe(value),
            None => {}
        }
    }

    /// The metrics in the text format of OpenMetrics.
    #[must_use]
    pub fn to_open_metrics(&self) -> String {
        let mut text = String::new();
        // Cannot fail: it writes to a String.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl<S: Subscriber> Layer<S> for MetricsRegistry {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == MEASURED {
            for (name, value) in fields(event) {
                if let Some(value) = value.as_f64() {
                    self.record(&name, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// The metrics after `work`.
    fn exported(work: impl FnOnce()) -> String {
        let metrics = MetricsRegistry::default();
        let subscriber = tracing_subscriber::registry().with(metrics.clone());
        tracing::subscriber::with_default(subscriber, work);
        metrics.to_open_metrics()
    }

    #[test]
    fn each_metric_is_present_from_the_start() {
        let text = exported(|| {});
        for metric in &METRICS {
            assert!(text.contains(&format!("# HELP smartclean_push_{} ", metric.name)), "{}", metric.name);
        }
        assert!(text.contains("smartclean_push_pushes_total 0"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn counters_add_up_gauges_keep_the_last_value_and_histograms_count_each() {
        let text = exported(|| {
            tracing::info!(target: MEASURED, pushes = 1, readings_accepted = 3_usize, outbox_age_s = 70, store_ms = 2.5);
            tracing::debug!(target: MEASURED, readings_accepted = 2_u64, outbox_age_s = 0, store_ms = 250.0);
        });
        for line in [
            "smartclean_push_pushes_total 1.0",
            "smartclean_push_readings_accepted_total 5.0",
            "smartclean_push_outbox_age_s 0.0",
            "smartclean_push_store_ms_count 2",
            "smartclean_push_store_ms_bucket{le=\"3.0\"} 1",
            "smartclean_push_store_ms_bucket{le=\"300.0\"} 2",
        ] {
            assert!(text.lines().any(|exported| exported == line), "{line}\n{text}");
        }
    }

    #[test]
    fn events_of_other_targets_and_fields_of_other_names_are_no_measurements() {
        let text = exported(|| {
            tracing::info!(pushes = 1, "of another target");
            tracing::info!(target: MEASURED, pushes = "one", pushed = 1);
        });
        assert_eq!(text, exported(|| {}));
    }
}
