//! The command's logs, and what `serve` has measured since it was started, for Prometheus to fetch.

use std::collections::HashMap;
use std::fmt;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::catalogue::{Kind, MEASURED, METRICS};
use super::{Exposition, Verbosity};

/// What each name begins with.
const PREFIX: &str = "smartclean_push";
/// Upper ends of the histograms' buckets, in milliseconds: from what a laptop's disk takes to an hour, at which a reading
/// counts as stale.
const BUCKETS_MS: [f64; 12] =
    [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 60_000.0, 600_000.0, 3_600_000.0];

/// Logs of the command: readable lines on standard error, coloured where that is a terminal. Does nothing where logs
/// are set up already.
pub fn start(verbosity: Verbosity) {
    // Only fails where logs are set up already.
    let _ = tracing_subscriber::registry().with(readable_lines(verbosity)).try_init();
}

/// The same, and what is measured is added up, whatever the verbosity.
#[must_use]
pub fn start_server(verbosity: Verbosity) -> Measurements {
    let measurements = Measurements::default();
    let adding = measurements.clone().with_filter(Targets::new().with_target(MEASURED, LevelFilter::TRACE));
    let _ = tracing_subscriber::registry().with(readable_lines(verbosity)).with(adding).try_init();
    measurements
}

fn readable_lines<S>(verbosity: Verbosity) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'l> LookupSpan<'l>,
{
    tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_filter(verbosity.filter())
}

/// Adds up what is measured. Clones share the sums.
#[derive(Clone, Debug)]
pub struct Measurements {
    registry: Arc<Registry>,
    instruments: Arc<HashMap<&'static str, Instrument>>,
}

#[derive(Clone, Debug)]
enum Instrument {
    Counter(Counter<f64, AtomicU64>),
    Gauge(Gauge<f64, AtomicU64>),
    Histogram(Histogram),
}

impl Default for Measurements {
    /// With every metric at zero, so that none appears only once something has gone wrong.
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let mut instruments = HashMap::new();
        for metric in &METRICS {
            let help = metric.help;
            let instrument = match metric.kind {
                Kind::Counter => {
                    let counter = Counter::default();
                    registry.register(metric.name, help, counter.clone());
                    Instrument::Counter(counter)
                }
                Kind::Gauge => {
                    let gauge = Gauge::default();
                    registry.register(metric.name, help, gauge.clone());
                    Instrument::Gauge(gauge)
                }
                Kind::Histogram => {
                    let histogram = Histogram::new(BUCKETS_MS);
                    registry.register(metric.name, help, histogram.clone());
                    Instrument::Histogram(histogram)
                }
            };
            instruments.insert(metric.name, instrument);
        }
        Self { registry: Arc::new(registry), instruments: Arc::new(instruments) }
    }
}

impl Measurements {
    fn measure(&self, field: &Field, value: f64) {
        match self.instruments.get(field.name()) {
            Some(Instrument::Counter(counter)) => drop(counter.inc_by(value.max(0.0))),
            Some(Instrument::Gauge(gauge)) => drop(gauge.set(value)),
            Some(Instrument::Histogram(histogram)) => histogram.observe(value),
            None => {}
        }
    }
}

impl Exposition for Measurements {
    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl<S: Subscriber> Layer<S> for Measurements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == MEASURED {
            event.record(&mut Measuring(self));
        }
    }
}

struct Measuring<'m>(&'m Measurements);

#[expect(clippy::cast_precision_loss, reason = "counts and milliseconds are far below 2^52")]
impl Visit for Measuring<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.measure(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.measure(field, value as f64);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.measure(field, value as f64);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// What is told after `work`.
    fn told(work: impl FnOnce()) -> String {
        let measurements = Measurements::default();
        let subscriber = tracing_subscriber::registry().with(measurements.clone());
        tracing::subscriber::with_default(subscriber, work);
        measurements.text()
    }

    #[test]
    fn everything_is_there_from_the_start() {
        let text = told(|| {});
        for metric in &METRICS {
            assert!(text.contains(&format!("# HELP smartclean_push_{} ", metric.name)), "{}", metric.name);
        }
        assert!(text.contains("smartclean_push_pushes_total 0"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn counters_add_up_gauges_are_the_last_and_histograms_count_each() {
        let text = told(|| {
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
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn what_is_logged_elsewhere_or_under_another_name_is_no_measurement() {
        let text = told(|| {
            tracing::info!(pushes = 1, "of somebody who happens to say so");
            tracing::info!(target: MEASURED, pushes = "one", pushed = 1);
        });
        assert_eq!(text, told(|| {}));
    }
}
