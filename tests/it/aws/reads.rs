//! Credentials from Secrets Manager and rules from S3.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use smartclean_push::adapters::aws::rules::{BucketRules, REFRESH_INTERVAL};
use smartclean_push::adapters::aws::s3::client;
use smartclean_push::adapters::aws::secrets::SecretReader;
use smartclean_push::adapters::cached_credentials::{CachedCredentials, CredentialReader as _};
use smartclean_push::adapters::cached_rules::{CachedRules, ConditionalRead, RuleReader as _};
use smartclean_push::ingest::ports::{CredentialSource as _, RuleSource as _};

use super::stand_in::{ReceivedRequest, Reply, StandIn};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn after(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

fn secret(version: &str, password: &str) -> Reply {
    let text = format!(r#"{{\"username\":\"smartclean\",\"password\":\"{password}\"}}"#);
    Reply::new(200, format!(r#"{{"VersionId":"{version}","SecretString":"{text}","CreatedDate":1000}}"#))
}

/// There is no version of that stage.
fn absent() -> Reply {
    refused(400, "ResourceNotFoundException")
}

fn refused(status: u16, code: &str) -> Reply {
    Reply::new(status, format!(r#"{{"__type":"{code}","message":"told to"}}"#))
        .with("content-type", "application/x-amz-json-1.1")
}

async fn secrets(stand_in: &StandIn) -> SecretReader {
    SecretReader::new(aws_sdk_secretsmanager::Client::new(&stand_in.config().await), "arn:aws:secret".into())
}

/// The fault of a read that is answered so, and how many requests it took.
async fn fault(replies: impl IntoIterator<Item = Reply>) -> (String, usize) {
    let stand_in = StandIn::replying(replies).await;
    let fault = secrets(&stand_in).await.read().await.unwrap_err();
    // What any logger could print of it.
    (format!("{} {fault} {fault:?}", fault.source().unwrap()), stand_in.seen().len())
}

#[tokio::test]
async fn a_rotated_secret_lets_its_stranger_in() {
    let new = [secret("2", "new"), absent()];
    let replies = [secret("1", "old"), absent()].into_iter().chain(new.clone()).chain(new);
    let stand_in = StandIn::replying(replies).await;
    let credentials = CachedCredentials::new(secrets(&stand_in).await);
    let old = credentials.current(NOW).await.unwrap();
    assert_eq!(old.clients()[0].password.expose(), "old");
    let new = credentials.refreshed(after(10)).await.unwrap();
    assert_eq!(new.clients()[0].password.expose(), "new");
    assert!(credentials.refreshed(after(20)).await.is_none());
    let requests = stand_in.seen();
    assert_eq!(requests.len(), 6);
    assert_eq!(requests[0].header("x-amz-target"), Some("secretsmanager.GetSecretValue"));
    assert_eq!(requests[0].body, r#"{"SecretId":"arn:aws:secret"}"#);
    assert_eq!(requests[1].body, r#"{"SecretId":"arn:aws:secret","VersionStage":"AWSPREVIOUS"}"#);
}

#[tokio::test]
async fn what_a_rotation_replaced_is_in_force_for_a_day_after_it() {
    let stand_in = StandIn::replying([secret("2", "new"), secret("1", "old")]).await;
    let document = secrets(&stand_in).await.read().await.unwrap();
    assert_eq!(document.version, "2 after 1");
    let known = async |seconds| {
        let stand_in = StandIn::replying([secret("2", "new"), secret("1", "old")]).await;
        let known = CachedCredentials::new(secrets(&stand_in).await).current(after(seconds)).await.unwrap();
        known.clients().iter().map(|client| client.password.expose().to_owned()).collect::<Vec<_>>()
    };
    // The current version is of second 1000.
    assert_eq!(known(1_000 + 86_399).await, ["new", "old"]);
    assert_eq!(known(1_000 + 86_400).await, ["new"]);
}

#[tokio::test]
async fn a_previous_version_that_cannot_be_read_is_not_taken_for_a_revoked_one() {
    let (fault, _) = fault([secret("2", "new"), refused(400, "AccessDeniedException")]).await;
    assert!(fault.contains("AccessDeniedException"), "{fault}");
}

#[tokio::test]
async fn a_signing_key_comes_from_its_own_secret() {
    let key = |version: &str| {
        let key = version.repeat(32);
        Reply::new(200, format!(r#"{{"VersionId":"{version}","SecretString":"{key}","CreatedDate":1000}}"#))
    };
    let stand_in = StandIn::answering(move |request, _| {
        match (request.body.contains("arn:aws:key"), request.body.contains("AWSPREVIOUS")) {
            (false, false) => secret("1", "p"),
            (false, true) => absent(),
            (true, false) => key("8"),
            (true, true) => key("7"),
        }
    })
    .await;
    let reader = secrets(&stand_in).await.with_signing_key(Some("arn:aws:key".into()));
    let known = CachedCredentials::new(reader).current(after(1_000)).await.unwrap();
    let keys: Vec<_> = known.signing_keys().iter().map(|key| key.expose().to_owned()).collect();
    assert_eq!(keys, ["8".repeat(32), "7".repeat(32)]);
}

#[tokio::test]
async fn a_throttled_read_is_made_again_and_a_forbidden_one_is_not() {
    let stand_in = StandIn::replying([refused(400, "ThrottlingException"), secret("1", "p"), absent()]).await;
    assert_eq!(secrets(&stand_in).await.read().await.unwrap().version, "1");
    assert_eq!(stand_in.seen().len(), 3);
    let (fault, requests) = fault([refused(400, "AccessDeniedException")]).await;
    assert!(fault.contains("AccessDeniedException"), "{fault}");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn what_is_told_of_a_fault_holds_nothing_of_the_secret() {
    let cut_off = r#"{"VersionId":"1","SecretString":"hunter2"#;
    let binary = r#"{"VersionId":"1","SecretBinary":"aHVudGVyMg=="}"#;
    for body in [cut_off, binary] {
        let (fault, _) = fault([Reply::new(200, body)]).await;
        assert!(!fault.contains("hunter2") && !fault.contains("aHVudGVyMg"), "{fault}");
    }
}

#[tokio::test]
async fn a_read_that_is_not_answered_ends_in_time_for_the_push() {
    let started = Instant::now();
    let (fault, _) = fault([Reply::Silence]).await;
    assert!(fault.contains("no answer within 3 s"), "{fault}");
    assert!(started.elapsed() < Duration::from_secs(4));
}

/// A bucket of one rules file, which is text and version at once, and of the accepted copy.
#[derive(Clone, Default)]
struct Bucket {
    rules: Arc<Mutex<Option<String>>>,
    accepted: Arc<Mutex<Option<String>>>,
}

impl Bucket {
    fn holds(&self, text: &str) {
        *self.rules.lock().unwrap() = Some(text.to_owned());
    }

    fn answer(&self, request: &ReceivedRequest) -> Reply {
        let is_accepted = request.path.starts_with("/readings/config/rules.accepted.toml");
        let mut object = if is_accepted { self.accepted.lock().unwrap() } else { self.rules.lock().unwrap() };
        if request.method == "PUT" {
            *object = Some(request.body.clone());
            return Reply::new(200, "").with("etag", "\"1\"");
        }
        let Some(text) = object.clone() else {
            return Reply::new(404, "<Error><Code>NoSuchKey</Code></Error>");
        };
        let etag = format!("\"{}\"", text.len());
        if request.header("if-none-match") == Some(&etag) {
            return Reply::new(304, "").with("etag", &etag);
        }
        Reply::new(200, text).with("etag", &etag)
    }

    async fn serve(&self) -> (StandIn, BucketRules) {
        let bucket = self.clone();
        let stand_in = StandIn::answering(move |request, _| bucket.answer(request)).await;
        let rules = client(&stand_in.config().await, true);
        (stand_in, BucketRules::new(rules, "readings".into(), "config/rules.toml".into()))
    }
}

async fn hours(rules: &CachedRules<BucketRules>, second: i64) -> i64 {
    rules.current(after(second)).await.unwrap().max_age.as_hours()
}

#[tokio::test]
async fn rules_follow_the_bucket_and_an_unchanged_file_is_not_sent_again() {
    let bucket = Bucket::default();
    let (stand_in, reader) = bucket.serve().await;
    let rules = CachedRules::new(reader, REFRESH_INTERVAL);
    assert_eq!(hours(&rules, 0).await, 1);
    bucket.holds("max_age = \"2h\"");
    assert_eq!(hours(&rules, 59).await, 1);
    assert_eq!(hours(&rules, 60).await, 2);
    assert_eq!(hours(&rules, 120).await, 2);
    let asked: Vec<_> = stand_in.seen().iter().map(|seen| (seen.method.clone(), seen.path.clone())).collect();
    let rules_again = ("GET".to_owned(), "/readings/config/rules.toml?x-id=GetObject".to_owned());
    let accepted = |method: &str| {
        (
            method.to_owned(),
            format!(
                "/readings/config/rules.accepted.toml?x-id={}",
                if method == "GET" { "GetObject" } else { "PutObject" }
            ),
        )
    };
    assert_eq!(asked, [rules_again.clone(), rules_again.clone(), accepted("GET"), accepted("PUT"), rules_again]);
    assert_eq!(stand_in.seen()[4].header("if-none-match"), Some("\"14\""));
}

#[tokio::test]
async fn a_cold_start_with_a_broken_file_uses_the_accepted_copy() {
    let bucket = Bucket::default();
    bucket.holds("max_age = \"2h\"");
    let (_before, reader) = bucket.serve().await;
    assert_eq!(hours(&CachedRules::new(reader, REFRESH_INTERVAL), 0).await, 2);
    bucket.holds("max_age = 7");
    let (_after, reader) = bucket.serve().await;
    assert_eq!(hours(&CachedRules::new(reader, REFRESH_INTERVAL), 0).await, 2);
    assert_eq!(bucket.accepted.lock().unwrap().as_deref(), Some("max_age = \"2h\""));
}

#[tokio::test]
async fn only_a_missing_file_means_no_rules() {
    let xml = |status, code: &str| Reply::new(status, format!("<Error><Code>{code}</Code></Error>"));
    for (reply, is_absent) in [
        (xml(404, "NoSuchKey"), true),
        (xml(404, "NoSuchBucket"), false),
        (xml(403, "AccessDenied"), false),
        (Reply::new(200, "x".repeat((1 << 20) + 1)).with("etag", "\"1\""), false),
    ] {
        let stand_in = StandIn::replying([reply]).await;
        let rules = client(&stand_in.config().await, true);
        let found = BucketRules::new(rules, "readings".into(), "config/rules.toml".into()).read(None).await;
        assert_eq!(matches!(found, Ok(ConditionalRead::NotFound)), is_absent, "{found:?}");
        assert_eq!(found.is_err(), !is_absent, "{found:?}");
    }
}
