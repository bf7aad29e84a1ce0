//! The function with a clock that is ahead or behind.
//!
//! The deployed program reads the machine's clock, which a test cannot change. This process connects the same handler to the same
//! adapters with another clock, and is invoked and killed like the deployed one.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use smartclean_push::adapters::aws::firehose::BufferedStore;
use smartclean_push::adapters::aws::https::Trust;
use smartclean_push::adapters::aws::rules::{BucketRules, REFRESH_INTERVAL};
use smartclean_push::adapters::aws::s3::S3RawStore;
use smartclean_push::adapters::aws::secrets::SecretReader;
use smartclean_push::adapters::aws::sns::SnsPublisher;
use smartclean_push::adapters::aws::sqs::SqsFallbackQueue;
use smartclean_push::adapters::aws::{self, dynamodb};
use smartclean_push::adapters::cached_credentials::CachedCredentials;
use smartclean_push::adapters::cached_rules::CachedRules;
use smartclean_push::adapters::fallback_queue::StoreWithFallback;
use smartclean_push::config::{self, FunctionConfig};
use smartclean_push::hosts::lambda;
use smartclean_push::http::{App, Authenticator};
use smartclean_push::ingest::ports::{CredentialSource as _, RawStore, RuleSource as _};
use smartclean_push::ingest::{Environment, Ingest};
use smartclean_push::telemetry;
use tokio::process::Command;

use crate::support::process;

/// Seconds by which the clock is ahead.
pub(crate) const AHEAD: &str = "ORACLE_CLOCK_AHEAD_S";

/// Starts this test program as that process.
pub(crate) fn command() -> Command {
    process(module_path!(), "function_with_another_clock").into()
}

/// A process of the function.
#[tokio::test]
#[ignore = "other tests start it"]
async fn function_with_another_clock() {
    let ahead: i64 = std::env::var(AHEAD).unwrap().parse().unwrap();
    let now = move || Timestamp::now() + SignedDuration::from_secs(ahead);
    telemetry::function::start(config::verbosity(), FunctionConfig::metrics_namespace());
    let config = FunctionConfig::from_env().unwrap();
    let sdk = aws::config(Trust::Mozilla).await.unwrap();
    let s3 = aws_sdk_s3::Client::new(&sdk);
    let rules = CachedRules::new(
        BucketRules { client: s3.clone(), bucket: config.raw_bucket.clone(), saves_accepted: true },
        REFRESH_INTERVAL,
    );
    let client = aws_sdk_secretsmanager::Client::new(&sdk);
    let secret = SecretReader { client, credentials: config.credentials_secret_arn, signing_key: None };
    let credentials = CachedCredentials::new(secret);
    let publisher = SnsPublisher { client: aws_sdk_sns::Client::new(&sdk), topic_arn: config.alert_topic_arn };
    let state = dynamodb::DynamoStore::new(dynamodb::client(&sdk), config.state_table);
    let _ = tokio::join!(rules.current(now()), credentials.current(now()), publisher.connect(), state.connect());
    let bucket = S3RawStore { client: s3, bucket: config.raw_bucket };
    let queue = SqsFallbackQueue { client: aws_sdk_sqs::Client::new(&sdk), url: config.retry_queue_url };
    let objects = StoreWithFallback { store: bucket.clone(), queue };
    let store: Box<dyn RawStore> = match config.firehose_stream {
        Some(stream) => Box::new(BufferedStore::new(&sdk, stream, objects)),
        None => Box::new(objects),
    };
    let ingest = Ingest::new(Environment {
        store,
        journal: None,
        state: Box::new(state),
        replay_rate_limit: None,
        publisher: Box::new(publisher),
        background: Vec::new(),
        rules: Box::new(rules),
    });
    let app = Arc::new(App::new(ingest, Authenticator::new(Box::new(credentials))));
    lambda::run(|event, invocation| {
        let (app, bucket) = (Arc::clone(&app), bucket.clone());
        async move { app.handle_event(&bucket, &event, &invocation, now()).await }
    })
    .await
    .unwrap();
}
