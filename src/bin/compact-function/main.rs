//! The Lambda function that compacts: once a day, beside the one that takes pushes and never in its way.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use smartclean_push::adapters::aws::archive::S3Archive;
use smartclean_push::config::{self, CompactConfig};
use smartclean_push::hosts::compaction::{CompactionEvent, compact};
use smartclean_push::telemetry;

fn main() -> Result<(), Error> {
    telemetry::function::start(config::verbosity(), config::function_name());
    let config = CompactConfig::from_env().inspect_err(|fault| tracing::error!(%fault, "the function cannot start"))?;
    // It waits for its requests itself, so it is made where nothing else is waited for.
    let lake = Arc::new(S3Archive::of_function(config.raw_bucket, config.s3_path_style)?);
    let reply = |event: LambdaEvent<CompactionEvent>| {
        let lake = Arc::clone(&lake);
        async move {
            let ends =
                Instant::now() + event.context.deadline().duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
            let work = move || compact(&*lake, event.payload, Timestamp::now(), ends);
            Ok::<_, Error>(tokio::task::spawn_blocking(work).await??)
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(lambda_runtime::run(service_fn(reply)))
}
