//! The ports' AWS sides.
//!
//! A push must be answered before the function's own time is up (29 s, see `template.yaml`), so everything here has an
//! end: the [limits of a client](with_limits), and for what a push does in a row the limits below, which add up to less.

#[cfg(feature = "lake")]
pub mod archive;
mod connections;
pub mod dynamodb;
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

/// Longest that reaching a server takes.
const CONNECTING: Duration = Duration::from_secs(1);
/// Longest that storing an object takes, with all its retries.
const STORING: Duration = Duration::from_secs(5);
/// Longest that publishing the messages of a push takes, however many there are.
const PUBLISHING: Duration = Duration::from_secs(4);
/// Longest that one read of the rules takes; there are last ones to go on with.
const READING: Duration = Duration::from_millis(1500);
/// Longest that reading the credentials takes. A new copy of the function has none to go on with, and a push that is not let
/// in for that may be lost.
const PROVING: Duration = Duration::from_secs(3);

/// The function's configuration of the SDK: region and credentials from the environment, where Lambda puts them. The
/// SDK's longer chain would also look in files and on the network.
/// `AWS_ENDPOINT_URL` and its like are the SDK's own and work here. `trust` says whose certificates are believed.
///
/// # Errors
/// Where this machine is asked for its certificates, and has none.
pub async fn config(trust: Trust) -> io::Result<SdkConfig> {
    Ok(with_limits(of_function(), trust)?.load().await)
}

/// Region and credentials from the environment.
fn of_function() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(EnvironmentVariableRegionProvider::new())
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
}

/// Bounds each request: 1 s to connect, 3 s an attempt, 5 s and three attempts in all. What is retried is the SDK's
/// standard: throttling, 500, 502, 503, 504, and connections that break or stall.
///
/// # Errors
/// Where this machine is asked for its certificates, and has none.
pub fn with_limits(loader: ConfigLoader, trust: Trust) -> io::Result<ConfigLoader> {
    let timeouts =
        TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(3)).operation_timeout(STORING).build();
    // The SDK's first wait is up to a second, which is a third of an attempt here.
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(1));
    // Bodies that are read after the answer's head are outside those timeouts.
    let stalls = StalledStreamProtectionConfig::enabled().grace_period(Duration::from_secs(2)).build();
    let http = connections::http_client(trust, CONNECTING)?;
    Ok(loader.http_client(http).timeout_config(timeouts).retry_config(retries).stalled_stream_protection(stalls))
}

/// Longest that connecting takes where nobody waits for an answer.
const PATIENTLY_CONNECTING: Duration = Duration::from_secs(10);
/// Longest that one attempt takes there: a Parquet file, over a slow line too.
const PATIENT_ATTEMPT: Duration = Duration::from_secs(180);

/// The SDK's configuration where nobody waits for an answer: on an operator's machine, and in the function that compacts.
///
/// # Errors
/// If no region is configured, or the system gives no certificates.
async fn patient(loader: ConfigLoader) -> io::Result<SdkConfig> {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(PATIENT_ATTEMPT).build();
    let retries = RetryConfig::standard().with_max_attempts(5);
    let http = connections::http_client(Trust::Machine, PATIENTLY_CONNECTING)?;
    let config = loader.http_client(http).timeout_config(timeouts).retry_config(retries).load().await;
    if config.region().is_none() {
        return Err(io::Error::other("no AWS region is configured. Set AWS_REGION, or region in ~/.aws/config"));
    }
    Ok(config)
}

/// What went wrong, as text for the log: the SDK's own `Debug` prints whole answers, and one of them is the secret.
fn told<E>(what: &'static str, fault: &SdkError<E, HttpResponse>) -> UnavailableError
where
    E: std::error::Error + fmt::Debug + 'static,
{
    UnavailableError::new(what, chain(fault))
}

/// The service's error code: `PreconditionFailed`; empty where the service did not answer.
fn code<E: ProvideErrorMetadata>(fault: &SdkError<E, HttpResponse>) -> &str {
    fault.code().unwrap_or_default()
}

/// The HTTP status of the service's answer; 0 where it did not answer.
fn status<E>(fault: &SdkError<E, HttpResponse>) -> u16 {
    fault.raw_response().map_or(0, |answer| answer.status().as_u16())
}

/// How long to wait before the attempt after `failures` failed ones: 50 to 100 ms, doubled each time. Random, so that
/// those who collided do not meet again.
fn backoff(failures: u32) -> Duration {
    Duration::from_millis(fastrand::u64(50..100) << failures.saturating_sub(1).min(5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::cached_credentials::FIRST_READ_AGAIN;
    use crate::ingest::{EVALUATION_TIMEOUT, OUTBOX_CLEANUP_TIMEOUT, RATE_LIMIT_TIMEOUT};

    #[test]
    fn what_a_push_does_in_a_row_ends_before_the_function_does() {
        // Rules and the accepted copy read, and that copy written; credentials; readings and rejections stored side by
        // side, or parked after all; judged; sent; what was sent noted. What is left is for a password's hash, half a
        // second, which nobody else's can hold up: a function answers one request at a time.
        let sending = RATE_LIMIT_TIMEOUT + PUBLISHING + OUTBOX_CLEANUP_TIMEOUT;
        let longest = READING * 3 + FIRST_READ_AGAIN + PROVING + STORING + sqs::PARKING + EVALUATION_TIMEOUT + sending;
        assert!(longest <= Duration::from_millis(28_500), "{longest:?}");
    }

    #[test]
    fn waits_double_and_stay_bounded() {
        for (failures, from, to) in [(1, 50, 100), (2, 100, 200), (3, 200, 400), (60, 1_600, 3_200)] {
            for _ in 0..50 {
                let wait = backoff(failures).as_millis();
                assert!((from..to).contains(&wait), "{failures}: {wait} ms");
            }
        }
    }
}
