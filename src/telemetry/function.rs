//! Logs of the function: one JSON object per line. Lines with measurements are in the embedded metric format, from which CloudWatch
//! creates metrics without another request:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::catalogue::{MEASURED, metric};
use super::{Verbosity, fields};

/// Logs JSON lines to standard output. Lines with measurements are written at any verbosity. Of a panic only the source location is
/// logged, because the message may quote input. Does nothing if logging is set up already. Without a `namespace` there are no
/// metrics.
pub fn start(verbosity: Verbosity, namespace: Option<String>) {
    let lines = tracing_subscriber::fmt::layer().event_format(FunctionLines { namespace }).with_writer(std::io::stdout);
    let filter = verbosity.filter().with_target(MEASURED, verbosity.0.max(LevelFilter::INFO));
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let location = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(location, "panic");
        }));
    }
}

#[derive(Debug)]
struct FunctionLines {
    namespace: Option<String>,
}

impl<S, N> FormatEvent<S, N> for FunctionLines
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        let mut line = fields(event);
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        if event.metadata().target() == MEASURED {
            // CloudWatch bills a metric for each hour with values, and each byte of a line. Most numbers are rarely other than 0.
            line.retain(|_, value| value.as_f64() != Some(0.0));
        }
        let numbers = line.iter().filter(|(name, value)| value.is_number() && metric(name).is_some());
        let metrics: Vec<Value> = numbers.map(|(name, _)| json!({ "Name": name })).collect();
        match &self.namespace {
            Some(namespace) if event.metadata().target() == MEASURED && !metrics.is_empty() => {
                // One namespace for each stack and no dimension: a dimension would stand in each line with its value.
                let directive = json!({ "Namespace": namespace, "Dimensions": [[]], "Metrics": metrics });
                let aws = json!({ "Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive] });
                line.insert("_aws".to_owned(), aws);
            }
            _ => drop(line.insert("timestamp".to_owned(), now.to_string().into())),
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The line that `work` logs.
    fn line(namespace: Option<&str>, work: impl FnOnce()) -> Value {
        let output = Output::default();
        let writer = output.clone();
        let lines = tracing_subscriber::fmt::layer()
            .event_format(FunctionLines { namespace: namespace.map(ToOwned::to_owned) })
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
        let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    fn push() {
        tracing::info!(
            target: MEASURED, batch = "b\n1", received = 2, pushes = 1, readings_accepted = 2, alerts_failed = 0,
            store_ms = 1.5, "push"
        );
    }

    #[test]
    fn a_line_with_measurements_has_metrics() {
        let line = line(Some("smartclean-push"), push);
        assert_eq!((&line["message"], &line["batch"]), (&"push".into(), &"b\n1".into()));
        assert_eq!((&line["readings_accepted"], &line["alerts_failed"]), (&2.into(), &Value::Null), "no zeros");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&"smartclean-push".into(), &json!([[]])));
        let mut metrics = directive["Metrics"].as_array().unwrap().clone();
        metrics.sort_by_key(|metric| metric["Name"].to_string());
        let names = [json!({"Name": "pushes"}), json!({"Name": "readings_accepted"}), json!({"Name": "store_ms"})];
        assert_eq!(metrics, names, "neither other fields (received) nor zeros (alerts_failed)");
        let age = Timestamp::now().as_millisecond() - line["_aws"]["Timestamp"].as_i64().unwrap();
        assert!((0..60_000).contains(&age), "{age} ms");
    }

    #[test]
    fn text_under_the_name_of_a_metric_is_no_metric() {
        let line = line(Some("f"), || tracing::info!(target: MEASURED, pushes = 1, store_ms = "slow", "push"));
        assert_eq!((&line["pushes"], &line["store_ms"]), (&1.into(), &"slow".into()));
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"], json!([{ "Name": "pushes" }]));
    }

    #[test]
    fn other_lines_have_no_metrics() {
        let ordinary = || tracing::warn!(pushes = 1, error = %"it broke: \"so\"", "not measured");
        let only_zeros = || tracing::info!(target: MEASURED, alerts_sent = 0, "sweep");
        for (namespace, work) in
            [(Some("f"), &ordinary as &dyn Fn()), (Some("f"), &only_zeros), (None, &(push as fn()))]
        {
            let line = line(namespace, work);
            assert!(line["_aws"].is_null(), "{line}");
            assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        }
    }
}
