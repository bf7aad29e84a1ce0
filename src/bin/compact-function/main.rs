//! The Lambda function that compacts the archive once a day. It runs apart from the function that receives pushes.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use smartclean_push::adapters::aws::archive::S3Archive;
use smartclean_push::config;
use smartclean_push::hosts::compaction::{CompactionEvent, compact, time_left};
use smartclean_push::telemetry;

fn main() -> Result<(), Error> {
    telemetry::function::start(config::verbosity(), None);
    tracing::info!(version = smartclean_push::VERSION, "started");
    let bucket = config::raw_bucket().inspect_err(|error| tracing::error!(%error, "the function cannot start"))?;
    // The archive blocks on requests of its own, so it is opened outside of the runtime.
    let lake = Arc::new(S3Archive::of_function(bucket)?);
    let reply = |event: LambdaEvent<CompactionEvent>| {
        let lake = Arc::clone(&lake);
        async move {
            let ends =
                Instant::now() + event.context.deadline().duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
            let work = move || compact(&*lake, event.payload, Timestamp::now(), &time_left(ends));
            Ok::<_, Error>(tokio::task::spawn_blocking(work).await??)
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(lambda_runtime::run(service_fn(reply)))
}
