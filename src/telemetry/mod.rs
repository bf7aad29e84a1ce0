//! Logs and metrics.
//!
//! A measurement is a number in a log event. The code that knows the number logs it once; the [catalogue](METRICS) decides how it
//! becomes a metric, in CloudWatch or for Prometheus.
//!
//! # Adding a metric
//! Add it to the [catalogue](METRICS), and log a field of its name in an event with the target [`MEASURED`]. A number that the
//! engine counts is a field of [`EvaluationStats`](crate::domain::engine::EvaluationStats) and of its sum; `ingest/log.rs` logs it
//! for pushes and for later evaluations (also in `counts` there). Update docs/metrics.md, which a test compares with the catalogue, and record the
//! golden: `make goldens RECORD=yes`.
//!
//! No line contains a body, a credential, or of a header more than the client's name. Therefore the levels of other crates are limited to `info`: below it, the
//! Lambda runtime logs whole events and the AWS SDK whole requests.

mod catalogue;
#[cfg(feature = "local")]
pub mod command;
#[cfg(feature = "function")]
pub mod function;

use serde_json::{Map, Value};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level};
use tracing_serde::fields::AsMap as _;
use tracing_subscriber::filter::Targets;

pub use self::catalogue::{MEASURED, METRICS, MetricDefinition, MetricKind, metric};

const OWN_CRATE: &str = env!("CARGO_CRATE_NAME");
const OWN_FUNCTION: &str = "push_function";

/// The log level, from the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verbosity(LevelFilter);

impl Verbosity {
    /// Reads `AWS_LAMBDA_LOG_LEVEL`, which Lambda's logging controls set, else `RUST_LOG`. The default is `info`, also for a text
    /// that is not a level (`error`, `warn`, `info`, `debug`, `trace`, `off`): a typing error must not disable the logs.
    #[must_use]
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let text = lookup("AWS_LAMBDA_LOG_LEVEL").or_else(|| lookup("RUST_LOG")).unwrap_or_default();
        // Other programs use `RUST_LOG=smartclean_push=debug`.
        let level = text.trim().rsplit('=').next().unwrap_or_default();
        let level = if level.eq_ignore_ascii_case("fatal") { "error" } else { level };
        Self(if level.is_empty() { LevelFilter::INFO } else { level.parse().unwrap_or(LevelFilter::INFO) })
    }

    fn filter(self) -> Targets {
        let others = self.0.min(LevelFilter::from_level(Level::INFO));
        Targets::new()
            .with_default(others)
            .with_target(OWN_CRATE, self.0)
            .with_target(OWN_FUNCTION, self.0)
            .with_target(MEASURED, self.0)
    }
}

/// The fields of a log event.
fn fields(event: &Event<'_>) -> Map<String, Value> {
    match serde_json::to_value(event.field_map()) {
        Ok(Value::Object(fields)) => fields,
        // Cannot happen: fields are an object.
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbosity(variables: &[(&str, &str)]) -> Verbosity {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Verbosity::from_lookup(lookup)
    }

    #[test]
    fn the_logging_control_of_lambda_overrides_rust_log() {
        assert_eq!(verbosity(&[("AWS_LAMBDA_LOG_LEVEL", "WARN"), ("RUST_LOG", "debug")]), Verbosity(LevelFilter::WARN));
        assert_eq!(verbosity(&[("RUST_LOG", "debug")]), Verbosity(LevelFilter::DEBUG));
        assert_eq!(verbosity(&[("RUST_LOG", "smartclean_push=debug")]), Verbosity(LevelFilter::DEBUG));
        assert_eq!(verbosity(&[("AWS_LAMBDA_LOG_LEVEL", "FATAL")]), Verbosity(LevelFilter::ERROR));
    }

    #[test]
    fn an_invalid_level_is_info() {
        for text in ["", "loud", "smartclean_push=", "7x"] {
            assert_eq!(verbosity(&[("RUST_LOG", text)]), Verbosity(LevelFilter::INFO), "{text}");
        }
        assert_eq!(verbosity(&[]), Verbosity(LevelFilter::INFO));
    }

    #[test]
    fn other_crates_never_log_below_info() {
        let filter = verbosity(&[("RUST_LOG", "trace")]).filter();
        assert!(filter.would_enable("smartclean_push::ingest", &Level::TRACE));
        assert!(filter.would_enable("lambda_runtime", &Level::INFO));
        for target in ["lambda_runtime::layers", "aws_smithy_runtime", "hyper", "smart"] {
            assert!(!filter.would_enable(target, &Level::DEBUG), "{target}");
        }
        assert!(!verbosity(&[("RUST_LOG", "error")]).filter().would_enable("hyper", &Level::INFO));
    }
}
