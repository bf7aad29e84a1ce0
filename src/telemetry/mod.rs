//! Where log lines go, how much of them, and what of them is measured.
//!
//! A measurement is a number in a log event: whoever knows it logs it, once, and what becomes of it (a metric in
//! CloudWatch, a sum for Prometheus) is decided here, by the [catalogue](METRICS).
//!
//! # To add a metric
//! Give it a line in the [catalogue](METRICS), and log a field of that name in an event whose target is [`MEASURED`]. What the
//! engine counts is a field of [`EvaluationStats`](crate::domain::engine::EvaluationStats) and of its sum; `ingest/log.rs` logs it
//! twice, for pushes and for what is evaluated later. Renew docs/metrics.md, which a test compares with the catalogue, and the
//! golden: `make goldens RECORD=yes`.
//!
//! No line ever holds a body, a header or a credential. What other crates say below `info` would (the Lambda runtime
//! prints whole events at `trace`, the AWS SDK whole requests), so their levels are capped there, whatever is asked for.

mod catalogue;
#[cfg(feature = "command")]
pub mod command;
#[cfg(feature = "function")]
pub mod function;

use std::fmt::Debug;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

pub use self::catalogue::{Kind, MEASURED, METRICS, Metric, Unit, metric};

const OWN_CRATE: &str = env!("CARGO_CRATE_NAME");
const OWN_FUNCTION: &str = "push_function";

/// What the logs are asked to show, as the environment says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verbosity(LevelFilter);

impl Verbosity {
    /// Reads an environment that `lookup` knows: `AWS_LAMBDA_LOG_LEVEL`, which Lambda's own logging controls set, else
    /// `RUST_LOG`, else `info`. A text that is not a level (`error`, `warn`, `info`, `debug`, `trace`,
    /// `off`) counts as `info`: a typing error must not cost the logs.
    #[must_use]
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let asked = lookup("AWS_LAMBDA_LOG_LEVEL").or_else(|| lookup("RUST_LOG")).unwrap_or_default();
        // `RUST_LOG=smartclean_push=debug` is how other programs are asked.
        let level = asked.trim().rsplit('=').next().unwrap_or_default();
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

/// Tells what was measured.
pub trait Exposition: Debug + Send + Sync {
    /// All of it as OpenMetrics' text.
    fn text(&self) -> String;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(variables: &[(&str, &str)]) -> Verbosity {
        let found = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Verbosity::from_lookup(found)
    }

    #[test]
    fn lambdas_own_control_goes_before_the_customary_variable() {
        assert_eq!(asked(&[("AWS_LAMBDA_LOG_LEVEL", "WARN"), ("RUST_LOG", "debug")]), Verbosity(LevelFilter::WARN));
        assert_eq!(asked(&[("RUST_LOG", "debug")]), Verbosity(LevelFilter::DEBUG));
        assert_eq!(asked(&[("RUST_LOG", "smartclean_push=debug")]), Verbosity(LevelFilter::DEBUG));
        assert_eq!(asked(&[("AWS_LAMBDA_LOG_LEVEL", "FATAL")]), Verbosity(LevelFilter::ERROR));
    }

    #[test]
    fn what_is_no_level_is_info() {
        for text in ["", "loud", "smartclean_push=", "7x"] {
            assert_eq!(asked(&[("RUST_LOG", text)]), Verbosity(LevelFilter::INFO), "{text}");
        }
        assert_eq!(asked(&[]), Verbosity(LevelFilter::INFO));
    }

    #[test]
    fn what_other_crates_say_below_info_is_never_shown() {
        let filter = asked(&[("RUST_LOG", "trace")]).filter();
        assert!(filter.would_enable("smartclean_push::ingest", &Level::TRACE));
        assert!(filter.would_enable("lambda_runtime", &Level::INFO));
        for target in ["lambda_runtime::layers", "aws_smithy_runtime", "hyper", "smart"] {
            assert!(!filter.would_enable(target, &Level::DEBUG), "{target}");
        }
        assert!(!asked(&[("RUST_LOG", "error")]).filter().would_enable("hyper", &Level::INFO));
    }
}
