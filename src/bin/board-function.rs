//! The Lambda function of the pages for people: reads and changes state documents, reads the rules, and does nothing else.

use std::sync::Arc;

use jiff::Timestamp;
use lambda_runtime::Error;
use smartclean_push::adapters::aws::https::Trust;
use smartclean_push::adapters::aws::{self, dynamodb::DynamoStore, rules::BucketRules};
use smartclean_push::adapters::cached_rules::CachedRules;
use smartclean_push::config::{self, BoardConfig};
use smartclean_push::hosts::lambda;
use smartclean_push::http::Board;
use smartclean_push::ingest::ports::RuleSource as _;
use smartclean_push::telemetry;

/// One thread is enough: Lambda gives one request at a time, and less than one processor.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::function::start(config::verbosity(), None);
    let config = BoardConfig::from_env().inspect_err(|error| tracing::error!(%error, "the function cannot start"))?;
    // No file is read unless the environment names one.
    let trust = if config::names_certificates() { Trust::Machine } else { Trust::Mozilla };
    let sdk = aws::config(trust).await?;
    let client = aws_sdk_s3::Client::new(&sdk);
    let rules = BucketRules { client, bucket: config.raw_bucket, saves_accepted: false };
    let rules = CachedRules::new(rules, aws::rules::REFRESH_INTERVAL);
    let state = DynamoStore::new(aws::dynamodb::client(&sdk), config.state_table);
    // Rules and connections are loaded before the first request, while Lambda gives a whole processor. A failure is logged, and
    // retried when they are needed.
    let (_, ()) = tokio::join!(rules.current(Timestamp::now()), state.connect());
    tracing::info!(version = smartclean_push::VERSION, "started");
    let board = Arc::new(Board::new(Box::new(state), Box::new(rules)).with_public_url(config.public_url));
    lambda::run(|event, invocation| {
        let board = Arc::clone(&board);
        async move { board.handle_event(&event, &invocation, Timestamp::now()).await }
    })
    .await
}
