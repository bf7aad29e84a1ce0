//! Implementations of the ports on AWS.
//!
//! A push has to be answered before the function's timeout (29 s, see `template.yaml`). Every call therefore has a timeout: the
//! [SDK's](with_timeouts), and for the calls that a push makes in sequence the ones below, whose sum is smaller.

#[cfg(feature = "lake")]
pub mod archive;
mod connections;
pub mod dynamodb;
#[cfg(feature = "function")]
pub mod firehose;
pub mod heartbeat;
pub mod https;
mod items;
pub mod rules;
pub mod s3;
pub mod secrets;
pub mod sns;
pub mod sqs;

use std::fmt;
use std::io;
use std::time::Duration;

use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::adapters::aws::https::Trust;
use crate::ingest::ports::{UnavailableError, chain, within};

/// For one connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For storing an object, all retries included.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// For publishing the messages of a push, however many there are.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(4);
/// For one read or write of the rules: the last ones are still in force.
const RULES_TIMEOUT: Duration = Duration::from_millis(1500);
/// For reading the credentials. A new copy of the function has none, and a push that it refuses for that may be lost.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(3);
/// For a request that only opens a connection, or whose result is not essential.
const OPTIONAL_TIMEOUT: Duration = Duration::from_millis(1500);

/// The SDK's configuration of the function: region and credentials from the environment, where Lambda sets them. The SDK's
/// default chain would also look in files and on the network. `trust` selects the root certificates. `AWS_ENDPOINT_URL` and
/// similar variables of the SDK apply.
///
/// # Errors
/// If the machine's certificates are to be used, and it has none.
pub async fn config(trust: Trust) -> io::Result<SdkConfig> {
    Ok(with_timeouts(function_loader(), trust)?.load().await)
}

fn function_loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(EnvironmentVariableRegionProvider::new())
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
}

/// Limits each request to 1 s for connecting, 3 s for an attempt, 5 s and three attempts in all; [`dynamodb`] has shorter limits.
/// The SDK's standard retry mode applies: throttling, 500, 502, 503, 504, and connections that break or stall.
///
/// # Errors
/// If the machine's certificates are to be used, and it has none.
pub fn with_timeouts(loader: ConfigLoader, trust: Trust) -> io::Result<ConfigLoader> {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(STORE_TIMEOUT)
        .build();
    // The SDK's first backoff of up to one second would be a third of an attempt.
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(1));
    // The timeouts above do not cover a response's body.
    let stalls = StalledStreamProtectionConfig::enabled().grace_period(Duration::from_secs(2)).build();
    let http = connections::http_client(trust, CONNECT_TIMEOUT)?;
    Ok(loader.http_client(http).timeout_config(timeouts).retry_config(retries).stalled_stream_protection(stalls))
}

/// The SDK's configuration if no push waits for a response: on an operator's machine, and in the function that compacts. The
/// timeouts fit a Parquet file over a slow connection.
///
/// # Errors
/// If no region is configured, or the machine has no certificates.
async fn bulk_config(loader: ConfigLoader) -> io::Result<SdkConfig> {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(180)).build();
    let retries = RetryConfig::standard().with_max_attempts(5);
    let http = connections::http_client(Trust::Machine, Duration::from_secs(10))?;
    let config = loader.http_client(http).timeout_config(timeouts).retry_config(retries).load().await;
    if config.region().is_none() {
        return Err(io::Error::other("no AWS region is configured. Set AWS_REGION, or region in ~/.aws/config"));
    }
    Ok(config)
}

/// The error as text for the log. The SDK's own `Debug` prints whole responses, and one of them is the secret.
fn unavailable<E>(message: &'static str, error: &SdkError<E, HttpResponse>) -> UnavailableError
where
    E: std::error::Error + fmt::Debug + 'static,
{
    UnavailableError::new(message, chain(error))
}

/// The service's error code, such as `PreconditionFailed`; empty without a response.
fn error_code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> &str {
    error.code().unwrap_or_default()
}

/// The HTTP status of the service's response; 0 without a response.
fn http_status<E>(error: &SdkError<E, HttpResponse>) -> u16 {
    error.raw_response().map_or(0, |response| response.status().as_u16())
}

/// The pause after `failures` failed attempts: 50 to 100 ms, doubled each time. Random, so that callers that collided do not
/// collide again.
fn backoff(failures: u32) -> Duration {
    Duration::from_millis(fastrand::u64(50..100) << failures.saturating_sub(1).min(5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::cached_credentials::FIRST_READ_RETRY;
    use crate::ingest::links::LINK_TIMEOUT;
    use crate::ingest::{
        ARRIVAL_TIMEOUT, EVALUATION_TIMEOUT, OUTBOX_CLEANUP_TIMEOUT, PROGRESS_TIMEOUT, RATE_LIMIT_TIMEOUT,
    };
    use crate::sources::{LAST_START, OBJECT_TIMEOUT};

    #[test]
    fn the_calls_of_a_push_end_before_the_functions_timeout() {
        // In sequence: rules and their accepted copy read, the copy saved; credentials read; readings and rejections stored
        // side by side, in the stream, else in the bucket, else in the queue; evaluated; SMS counted and beside that
        // links stored, messages sent, outbox updated, and beside that the arrival recorded. The rest is for one password hash
        // of half a second: a function handles one request at a time.
        let sending = RATE_LIMIT_TIMEOUT.max(LINK_TIMEOUT) + PUBLISH_TIMEOUT + OUTBOX_CLEANUP_TIMEOUT;
        let longest = RULES_TIMEOUT * 3
            + FIRST_READ_RETRY
            + CREDENTIALS_TIMEOUT
            + firehose::BUFFER_TIMEOUT
            + STORE_TIMEOUT
            + sqs::QUEUE_TIMEOUT
            + EVALUATION_TIMEOUT
            + sending.max(ARRIVAL_TIMEOUT);
        assert!(longest <= Duration::from_millis(28_500), "{longest:?}");
    }

    #[test]
    fn the_messages_of_an_event_end_before_the_functions_timeout() {
        // The last message: an object read, evaluated with the rules, its messages sent, and the arrival or its progress recorded.
        let sending = RATE_LIMIT_TIMEOUT.max(LINK_TIMEOUT) + PUBLISH_TIMEOUT + OUTBOX_CLEANUP_TIMEOUT;
        let longest = LAST_START + STORE_TIMEOUT + OBJECT_TIMEOUT + sending.max(ARRIVAL_TIMEOUT) + PROGRESS_TIMEOUT;
        assert!(longest <= Duration::from_millis(28_500), "{longest:?}");
    }

    #[test]
    fn backoff_doubles_up_to_a_bound() {
        for (failures, from, to) in [(1, 50, 100), (2, 100, 200), (3, 200, 400), (60, 1_600, 3_200)] {
            for _ in 0..50 {
                let wait = backoff(failures).as_millis();
                assert!((from..to).contains(&wait), "{failures}: {wait} ms");
            }
        }
    }
}
