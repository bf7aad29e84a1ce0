//! What the operator is told about the program itself: once for each cause, by email.

use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use serde_json::json;
use smartclean_push::adapters::cached_rules::{CachedRules, ConditionalRead, RuleReader};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::ingest::Ingest;
use smartclean_push::ingest::ports::UnavailableError;
use smartclean_push::notify::attributes::Attribute;
use smartclean_push::notify::render::Rendered;

use crate::support::memory::MemoryPublisher;
use crate::support::{TestApp, World, body, now, push_to, reading};

fn climate() -> Vec<u8> {
    body(&[reading("TH", &json!({"t": 20}))])
}

fn visitors() -> Vec<u8> {
    body(&[reading("UM", &json!({"count": 1}))])
}

/// The subjects of what a sweep sends so many minutes later.
async fn swept(app: &TestApp, minutes: i64) -> Vec<String> {
    let before = app.publisher.sent().len();
    app.ingest().sweep(now() + SignedDuration::from_mins(minutes)).await.unwrap();
    app.publisher.sent()[before..].iter().map(|message| message.subject.clone()).collect()
}

#[tokio::test]
async fn that_nothing_arrives_is_said_once_after_an_hour_and_not_before() {
    let app = TestApp::new();
    app.push(climate()).await;
    assert_eq!(swept(&app, 60).await, [""; 0]);
    assert_eq!(swept(&app, 61).await, ["[NOTICE] Nothing arrives"]);
    assert_eq!(swept(&app, 62).await, [""; 0]);
    assert_eq!(swept(&app, 3 * 24 * 60).await, [""; 0], "and no device is called silent meanwhile");
    let message = app.publisher.sent().remove(0);
    assert!(message.email.contains("since 2026-11-23 10:00 UTC"), "{}", message.email);
    assert!(message.attributes.contains(&("channel", Attribute::Many(vec!["email".into()]))));
}

#[tokio::test]
async fn devices_that_report_on_events_only_may_have_none() {
    let app = TestApp::new();
    app.push(visitors()).await;
    assert_eq!(swept(&app, 61).await, [""; 0]);
    assert_eq!(swept(&app, 24 * 60).await, [""; 0]);
}

#[tokio::test]
async fn where_nothing_ever_arrived_nothing_is_missed() {
    assert_eq!(swept(&TestApp::new(), 24 * 60).await, [""; 0]);
}

#[tokio::test]
async fn how_long_is_too_long_is_said_in_the_rules() {
    let app = TestApp::with_rules(RuleSet::parse("rules.toml", "quiet_after = \"4h\"").unwrap());
    app.push(climate()).await;
    assert_eq!(swept(&app, 240).await, [""; 0]);
    assert_eq!(swept(&app, 241).await, ["[NOTICE] Nothing arrives"]);
}

#[tokio::test]
async fn a_notice_that_could_not_be_sent_is_sent_by_a_later_sweep_and_has_the_same_id() {
    let app = TestApp::new();
    app.push(climate()).await;
    app.publisher.set_broken(true);
    assert_eq!(swept(&app, 61).await, [""; 0]);
    app.publisher.set_broken(false);
    assert_eq!(swept(&app, 63).await, ["[NOTICE] Nothing arrives"]);
    assert_eq!(swept(&app, 65).await, [""; 0]);
}

#[tokio::test]
async fn a_notice_is_not_lost_in_a_digest() {
    let app = TestApp::with_rules(RuleSet::parse("rules.toml", "[rate_limit]\nburst = 2\nper_minute = 1").unwrap());
    let smell = reading("ODRDTR_BATT_V1", &json!({"amm": 270}));
    app.publisher.set_broken(true);
    app.push(body(&[smell, reading("SS", &json!({"p": 1})), reading("TH", &json!({"t": 20}))])).await;
    swept(&app, 61).await;
    app.publisher.set_broken(false);
    let subjects = swept(&app, 63).await;
    assert_eq!(subjects.len(), 2, "it, and the digest of the others: {subjects:?}");
    assert!(subjects.contains(&"[NOTICE] Nothing arrives".to_owned()), "{subjects:?}");
}

/// A rules file that is edited while the program runs.
#[derive(Clone, Debug, Default)]
struct Edited(Arc<Mutex<String>>);

impl RuleReader for Edited {
    fn name(&self) -> &str {
        "config/rules.toml"
    }

    async fn read(&self, seen: Option<&str>) -> Result<ConditionalRead, UnavailableError> {
        let text = self.0.lock().unwrap().clone();
        Ok(if seen == Some(&text) {
            ConditionalRead::NotModified
        } else {
            ConditionalRead::Modified { version: text.clone(), bytes: text.into() }
        })
    }

    async fn read_accepted(&self) -> Result<Option<Vec<u8>>, UnavailableError> {
        Ok(None)
    }

    async fn save_accepted(&self, _: &[u8]) -> Result<(), UnavailableError> {
        Ok(())
    }
}

struct Edit {
    file: Edited,
    publisher: MemoryPublisher,
    ingest: Ingest,
}

impl Edit {
    fn new() -> Self {
        let (file, publisher) = (Edited::default(), MemoryPublisher::default());
        let rules = CachedRules::new(file.clone(), SignedDuration::from_secs(1));
        let ingest = World::new().with_publisher(publisher.clone()).with_rule_source(rules).ingest();
        Self { file, publisher, ingest }
    }

    /// What is sent once the file has this text, so many minutes later.
    async fn to(&self, text: &str, minute: i64) -> Vec<Rendered> {
        text.clone_into(&mut self.file.0.lock().unwrap());
        let before = self.publisher.sent().len();
        let swept = self.ingest.sweep(now() + SignedDuration::from_mins(minute)).await.unwrap();
        // Every minute as long as it lasts, for whoever watches.
        assert_eq!(swept.rules_refused, RuleSet::parse("rules.toml", text).is_err());
        self.publisher.sent().split_off(before)
    }
}

#[tokio::test]
async fn refused_rules_are_told_once_a_version_with_every_fault() {
    let edit = Edit::new();
    assert_eq!(edit.to("", 0).await, []);
    let [refused] = edit.to("max_age = 7\nmax_ages = 7\n", 1).await.try_into().unwrap();
    assert_eq!(refused.subject, "[NOTICE] Rules refused: 2 faults");
    for told in ["config/rules.toml:1:11: `max_age` is a time", "config/rules.toml:2:1: a rules file has no `max_ages`"]
    {
        assert!(refused.email.contains(told), "{}", refused.email);
    }
    assert_eq!(edit.to("max_age = 7\nmax_ages = 7\n", 2).await, [], "the same version");
    let [again] = edit.to("max_age = 8\n", 3).await.try_into().unwrap();
    assert_eq!(again.subject, "[NOTICE] Rules refused: 1 fault");
    assert_ne!(again.id, refused.id);
    assert_eq!(edit.to("max_age = \"8h\"\n", 4).await, [], "mended");
}

#[tokio::test]
async fn a_push_alone_tells_nobody_and_changes_nothing_about_it() {
    let edit = Edit::new();
    edit.to("", 0).await;
    "max_age = 7".clone_into(&mut edit.file.0.lock().unwrap());
    push_to(&edit.ingest, visitors(), now() + SignedDuration::from_mins(1)).await.unwrap();
    assert_eq!(edit.publisher.sent(), []);
    assert_eq!(edit.to("max_age = 7", 2).await.len(), 1);
}

#[tokio::test]
async fn a_file_of_nothing_but_faults_is_told_in_one_message_of_bounded_length() {
    let edit = Edit::new();
    let text: String = (0..500).map(|index| format!("no_such_thing_{index} = 1\n")).collect();
    let [refused] = edit.to(&text, 0).await.try_into().unwrap();
    assert_eq!(refused.subject, "[NOTICE] Rules refused: 500 faults");
    assert!(refused.email.contains("and 480 more"), "{}", refused.email);
    assert!(refused.sns_message().len() < 64 * 1024);
}
