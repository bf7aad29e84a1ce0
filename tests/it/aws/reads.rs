//! Credentials from Secrets Manager and rules from S3.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client as S3;
use jiff::{SignedDuration, Timestamp};
use smartclean_push::adapters::aws::rules::{BucketRules, REFRESH_INTERVAL};
use smartclean_push::adapters::aws::secrets::SecretReader;
use smartclean_push::adapters::cached_credentials::{CachedCredentials, CredentialReader as _};
use smartclean_push::adapters::cached_rules::{CachedRules, ConditionalRead, RuleReader as _};
use smartclean_push::ingest::ports::{CredentialSource as _, RuleSource as _};

use super::mock_service::{MockReply, MockService, ReceivedRequest};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn after(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

fn secret(version: &str, password: &str) -> MockReply {
    let text = format!(r#"{{\"username\":\"smartclean\",\"password\":\"{password}\"}}"#);
    MockReply::new(200, format!(r#"{{"VersionId":"{version}","SecretString":"{text}","CreatedDate":1000}}"#))
}

/// No version has that stage.
fn absent() -> MockReply {
    refused(400, "ResourceNotFoundException")
}

fn refused(status: u16, code: &str) -> MockReply {
    MockReply::new(status, format!(r#"{{"__type":"{code}","message":"injected"}}"#))
        .with("content-type", "application/x-amz-json-1.1")
}

async fn secrets(service: &MockService) -> SecretReader {
    let client = aws_sdk_secretsmanager::Client::new(&service.config().await);
    SecretReader { client, credentials: "arn:aws:secret".into(), signing_key: None }
}

/// The error of a read with these replies, and the number of requests.
async fn read_error(replies: impl IntoIterator<Item = MockReply>) -> (String, usize) {
    let service = MockService::replying(replies).await;
    let error = secrets(&service).await.read().await.unwrap_err();
    // Everything that a log could contain.
    (format!("{} {error} {error:?}", error.source().unwrap()), service.requests().len())
}

#[tokio::test]
async fn a_client_with_the_rotated_secret_is_accepted() {
    let new = [secret("2", "new"), absent()];
    let replies = [secret("1", "old"), absent()].into_iter().chain(new.clone()).chain(new);
    let service = MockService::replying(replies).await;
    let credentials = CachedCredentials::new(secrets(&service).await);
    let old = credentials.current(NOW).await.unwrap();
    assert_eq!(old.clients()[0].password.expose(), "old");
    let new = credentials.newer_than(&old, after(10)).await.unwrap();
    assert_eq!(new.clients()[0].password.expose(), "new");
    assert!(credentials.newer_than(&new, after(20)).await.is_none());
    let requests = service.requests();
    assert_eq!(requests.len(), 6);
    assert_eq!(requests[0].header("x-amz-target"), Some("secretsmanager.GetSecretValue"));
    assert_eq!(requests[0].body, r#"{"SecretId":"arn:aws:secret"}"#);
    assert_eq!(requests[1].body, r#"{"SecretId":"arn:aws:secret","VersionStage":"AWSPREVIOUS"}"#);
}

#[tokio::test]
async fn replaced_credentials_are_valid_for_a_day() {
    let service = MockService::replying([secret("2", "new"), secret("1", "old")]).await;
    let document = secrets(&service).await.read().await.unwrap();
    assert_eq!(document.version, "2 after 1");
    let known = async |seconds| {
        let service = MockService::replying([secret("2", "new"), secret("1", "old")]).await;
        let known = CachedCredentials::new(secrets(&service).await).current(after(seconds)).await.unwrap();
        known.clients().iter().map(|client| client.password.expose().to_owned()).collect::<Vec<_>>()
    };
    // The current version was created at second 1000.
    assert_eq!(known(1_000 + 86_399).await, ["new", "old"]);
    assert_eq!(known(1_000 + 86_400).await, ["new"]);
}

#[tokio::test]
async fn a_previous_version_that_cannot_be_read_is_an_error() {
    let (error, _) = read_error([secret("2", "new"), refused(400, "AccessDeniedException")]).await;
    assert!(error.contains("AccessDeniedException"), "{error}");
}

#[tokio::test]
async fn a_signing_key_comes_from_its_own_secret() {
    let key = |version: &str| {
        let key = version.repeat(32);
        MockReply::new(200, format!(r#"{{"VersionId":"{version}","SecretString":"{key}","CreatedDate":1000}}"#))
    };
    let service = MockService::responding(move |request, _| {
        match (request.body.contains("arn:aws:key"), request.body.contains("AWSPREVIOUS")) {
            (false, false) => secret("1", "p"),
            (false, true) => absent(),
            (true, false) => key("8"),
            (true, true) => key("7"),
        }
    })
    .await;
    let reader = SecretReader { signing_key: Some("arn:aws:key".into()), ..secrets(&service).await };
    let known = CachedCredentials::new(reader).current(after(1_000)).await.unwrap();
    let keys: Vec<_> = known.signing_keys().iter().map(|key| key.expose().to_owned()).collect();
    assert_eq!(keys, ["8".repeat(32), "7".repeat(32)]);
}

#[tokio::test]
async fn a_throttled_read_is_retried_and_a_forbidden_one_is_not() {
    let service = MockService::replying([refused(400, "ThrottlingException"), secret("1", "p"), absent()]).await;
    assert_eq!(secrets(&service).await.read().await.unwrap().version, "1");
    assert_eq!(service.requests().len(), 3);
    let (error, requests) = read_error([refused(400, "AccessDeniedException")]).await;
    assert!(error.contains("AccessDeniedException"), "{error}");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn errors_contain_nothing_of_the_secret() {
    let cut_off = r#"{"VersionId":"1","SecretString":"hunter2"#;
    let binary = r#"{"VersionId":"1","SecretBinary":"aHVudGVyMg=="}"#;
    for body in [cut_off, binary] {
        let (error, _) = read_error([MockReply::new(200, body)]).await;
        assert!(!error.contains("hunter2") && !error.contains("aHVudGVyMg"), "{error}");
    }
}

#[tokio::test]
async fn a_read_without_a_response_times_out() {
    let started = Instant::now();
    let (error, _) = read_error([MockReply::Silence]).await;
    assert!(error.contains("no answer within 3 s"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(4));
}

/// A bucket with a rules file and the accepted copy.
#[derive(Clone, Default)]
struct RulesBucket {
    rules: Arc<Mutex<Option<String>>>,
    accepted: Arc<Mutex<Option<String>>>,
}

impl RulesBucket {
    fn set_rules(&self, text: &str) {
        *self.rules.lock().unwrap() = Some(text.to_owned());
    }

    fn reply(&self, request: &ReceivedRequest) -> MockReply {
        let is_accepted = request.path.starts_with("/readings/config/rules.accepted.toml");
        let mut object = if is_accepted { self.accepted.lock().unwrap() } else { self.rules.lock().unwrap() };
        if request.method == "PUT" {
            *object = Some(request.body.clone());
            return MockReply::new(200, "").with("etag", "\"1\"");
        }
        let Some(text) = object.clone() else {
            return MockReply::new(404, "<Error><Code>NoSuchKey</Code></Error>");
        };
        let etag = format!("\"{}\"", text.len());
        if request.header("if-none-match") == Some(&etag) {
            return MockReply::new(304, "").with("etag", &etag);
        }
        MockReply::new(200, text).with("etag", &etag)
    }

    async fn serve(&self) -> (MockService, BucketRules) {
        let bucket = self.clone();
        let service = MockService::responding(move |request, _| bucket.reply(request)).await;
        let rules = S3::new(&service.config().await);
        (service, BucketRules { client: rules, bucket: "readings".into(), saves_accepted: true })
    }
}

async fn hours(rules: &CachedRules<BucketRules>, second: i64) -> i64 {
    rules.current(after(second)).await.unwrap().max_age.as_hours()
}

#[tokio::test]
async fn rules_follow_the_bucket_by_conditional_reads() {
    let bucket = RulesBucket::default();
    let (service, reader) = bucket.serve().await;
    let rules = CachedRules::new(reader, REFRESH_INTERVAL);
    assert_eq!(hours(&rules, 0).await, 1);
    bucket.set_rules("max_age = \"2h\"");
    assert_eq!(hours(&rules, 59).await, 1);
    assert_eq!(hours(&rules, 60).await, 2);
    assert_eq!(hours(&rules, 120).await, 2);
    let requests: Vec<_> =
        service.requests().iter().map(|request| (request.method.clone(), request.path.clone())).collect();
    let rules_file = ("GET".to_owned(), "/readings/config/rules.toml?x-id=GetObject".to_owned());
    let accepted = |method: &str| {
        (
            method.to_owned(),
            format!(
                "/readings/config/rules.accepted.toml?x-id={}",
                if method == "GET" { "GetObject" } else { "PutObject" }
            ),
        )
    };
    assert_eq!(requests, [rules_file.clone(), rules_file.clone(), accepted("GET"), accepted("PUT"), rules_file]);
    assert_eq!(service.requests()[4].header("if-none-match"), Some("\"14\""));
}

#[tokio::test]
async fn a_cold_start_with_an_invalid_file_uses_the_accepted_copy() {
    let bucket = RulesBucket::default();
    bucket.set_rules("max_age = \"2h\"");
    let (_before, reader) = bucket.serve().await;
    assert_eq!(hours(&CachedRules::new(reader, REFRESH_INTERVAL), 0).await, 2);
    bucket.set_rules("max_age = 7");
    let (_after, reader) = bucket.serve().await;
    assert_eq!(hours(&CachedRules::new(reader, REFRESH_INTERVAL), 0).await, 2);
    assert_eq!(bucket.accepted.lock().unwrap().as_deref(), Some("max_age = \"2h\""));
}

#[tokio::test]
async fn only_a_missing_file_is_not_found() {
    let xml = |status, code: &str| MockReply::new(status, format!("<Error><Code>{code}</Code></Error>"));
    for (reply, is_absent) in [
        (xml(404, "NoSuchKey"), true),
        (xml(404, "NoSuchBucket"), false),
        (xml(403, "AccessDenied"), false),
        (MockReply::new(200, "x".repeat((1 << 20) + 1)).with("etag", "\"1\""), false),
    ] {
        let service = MockService::replying([reply]).await;
        let rules = S3::new(&service.config().await);
        let found = BucketRules { client: rules, bucket: "readings".into(), saves_accepted: true }.read(None).await;
        assert_eq!(matches!(found, Ok(ConditionalRead::NotFound)), is_absent, "{found:?}");
        assert_eq!(found.is_err(), !is_absent, "{found:?}");
    }
}
