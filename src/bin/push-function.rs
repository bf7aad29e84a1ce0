//! The Lambda function: builds the handler from AWS services, and answers API Gateway.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use lambda_runtime::Error;
use smartclean_push::adapters::aws::heartbeat::Heartbeat;
use smartclean_push::adapters::aws::https::Trust;
use smartclean_push::adapters::aws::{
    self, dynamodb::DynamoStore, firehose::BufferedStore, rules::BucketRules, s3::S3RawStore, secrets::SecretReader,
    sns::SnsPublisher, sqs::SqsFallbackQueue,
};
use smartclean_push::adapters::cached_credentials::CachedCredentials;
use smartclean_push::adapters::cached_rules::CachedRules;
use smartclean_push::adapters::fallback_queue::StoreWithFallback;
use smartclean_push::config::{self, FunctionConfig};
use smartclean_push::hosts::lambda::{self, EventResponse};
use smartclean_push::http::{App, Authenticator};
use smartclean_push::ingest::ports::{CredentialSource as _, RawStore, RuleSource as _};
use smartclean_push::ingest::{Environment, Ingest};
use smartclean_push::telemetry::{self, MEASURED};

/// One thread is enough: Lambda gives one request at a time, and less than one processor.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let started = Instant::now();
    telemetry::function::start(config::verbosity(), FunctionConfig::metrics_namespace());
    let config =
        FunctionConfig::from_env().inspect_err(|error| tracing::error!(%error, "the function cannot start"))?;
    // No file is read unless the environment names one.
    let trust = if config::names_certificates() { Trust::Machine } else { Trust::Mozilla };
    let sdk = aws::config(trust).await?;
    let s3 = aws_sdk_s3::Client::new(&sdk);
    let rules = BucketRules { client: s3.clone(), bucket: config.raw_bucket.clone(), saves_accepted: true };
    let rules = CachedRules::new(rules, aws::rules::REFRESH_INTERVAL);
    let credentials = CachedCredentials::new(SecretReader {
        client: aws_sdk_secretsmanager::Client::new(&sdk),
        credentials: config.credentials_secret_arn,
        signing_key: config.signing_key_secret_arn,
    });
    let publisher = SnsPublisher { client: aws_sdk_sns::Client::new(&sdk), topic_arn: config.alert_topic_arn };
    let bucket = S3RawStore { client: s3, bucket: config.raw_bucket };
    let queue = SqsFallbackQueue { client: aws_sdk_sqs::Client::new(&sdk), url: config.retry_queue_url };
    let objects = StoreWithFallback { store: bucket.clone(), queue };

    // Rules, credentials and connections are loaded before the first request, while Lambda gives a whole processor. A failure
    // is logged, and retried when they are needed.
    let now = Timestamp::now();
    let state = DynamoStore::new(aws::dynamodb::client(&sdk), config.state_table);
    let store = async {
        let Some(stream) = config.firehose_stream else { return Box::new(objects) as Box<dyn RawStore> };
        let buffered = BufferedStore::new(&sdk, stream, objects);
        buffered.connect().await;
        Box::new(buffered)
    };
    let (store, ..) =
        tokio::join!(store, rules.current(now), credentials.current(now), publisher.connect(), state.connect());

    if let Ok(known) = credentials.current(now).await
        && let Some(lack) = known.missing_for(config.auth_methods)
    {
        tracing::error!("{lack}; the auth method refuses every request until the secret has it");
    }
    let authenticator = Authenticator::new(Box::new(credentials)).with_auth_methods(config.auth_methods);

    let start_ms = started.elapsed().as_secs_f64() * 1000.0;
    tracing::info!(target: MEASURED, cold_starts = 1, start_ms, version = smartclean_push::VERSION, "started");

    let ingest = Ingest::new(Environment {
        store,
        journal: None,
        state: Box::new(state),
        replay_rate_limit: None,
        publisher: Box::new(publisher),
        background: Vec::new(),
        rules: Box::new(rules),
    })
    .with_public_url(config.public_url);
    let app = Arc::new(App::new(ingest, authenticator));
    let heartbeat = Arc::new(config.heartbeat_url.map(|url| Heartbeat { trust, url }));
    lambda::run(|event, invocation| {
        let (app, bucket, heartbeat) = (Arc::clone(&app), bucket.clone(), Arc::clone(&heartbeat));
        async move {
            let reply = app.handle_event(&bucket, &event, &invocation, Timestamp::now()).await?;
            // No heartbeat if a message has waited for ten minutes: SNS may fail, and the monitor reports without it.
            if let (EventResponse::Schedule(swept), Some(heartbeat)) = (&reply, &*heartbeat)
                && swept.delivers()
            {
                heartbeat.send().await;
            }
            Ok(reply)
        }
    })
    .await
}
