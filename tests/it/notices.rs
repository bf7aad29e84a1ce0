//! Notices to the operator about the receiver itself: one email for each cause.

use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use serde_json::json;
use smartclean_push::adapters::cached_rules::{CachedRules, ConditionalRead, RuleReader};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::ingest::Ingest;
use smartclean_push::ingest::ports::UnavailableError;
use smartclean_push::notify::attributes::Attribute;
use smartclean_push::notify::rendered::Rendered;

use crate::support::memory::MemoryPublisher;
use crate::support::{TestApp, World, body, now, push_to, reading};

fn climate() -> Vec<u8> {
    body(&[reading("TH", &json!({"t": 20}))])
}

fn visitors() -> Vec<u8> {
    body(&[reading("UM", &json!({"count": 1}))])
}

/// Sweeps `minutes` after the push. Returns the subjects of the messages that the sweep sends.
async fn subjects_of_sweep(app: &TestApp, minutes: i64) -> Vec<String> {
    let before = app.publisher.sent().len();
    app.ingest().sweep(now() + SignedDuration::from_mins(minutes)).await.unwrap();
    app.publisher.sent()[before..].iter().map(|message| message.subject.clone()).collect()
}

#[tokio::test]
async fn one_notice_is_sent_after_an_hour_without_pushes() {
    let app = TestApp::new();
    app.push(climate()).await;
    assert_eq!(subjects_of_sweep(&app, 60).await, [""; 0]);
    assert_eq!(subjects_of_sweep(&app, 61).await, ["[NOTICE] Nothing arrives"]);
    assert_eq!(subjects_of_sweep(&app, 62).await, [""; 0]);
    assert_eq!(subjects_of_sweep(&app, 3 * 24 * 60).await, [""; 0], "no no-data alert is sent while nothing arrives");
    let message = app.publisher.sent().remove(0);
    assert!(message.email.contains("since 2026-11-23 10:00 UTC"), "{}", message.email);
    assert!(message.attributes.contains(&("channel", Attribute::Many(vec!["email".into()]))));
}

#[tokio::test]
async fn devices_that_report_only_on_events_cause_no_notice() {
    let app = TestApp::new();
    app.push(visitors()).await;
    assert_eq!(subjects_of_sweep(&app, 61).await, [""; 0]);
    assert_eq!(subjects_of_sweep(&app, 24 * 60).await, [""; 0]);
}

#[tokio::test]
async fn no_notice_is_sent_before_the_first_push() {
    assert_eq!(subjects_of_sweep(&TestApp::new(), 24 * 60).await, [""; 0]);
}

#[tokio::test]
async fn quiet_after_in_the_rules_sets_when_the_notice_is_sent() {
    let app = TestApp::with_rules(RuleSet::parse("rules.toml", "quiet_after = \"4h\"").unwrap());
    app.push(climate()).await;
    assert_eq!(subjects_of_sweep(&app, 240).await, [""; 0]);
    assert_eq!(subjects_of_sweep(&app, 241).await, ["[NOTICE] Nothing arrives"]);
}

#[tokio::test]
async fn a_notice_that_cannot_be_sent_is_retried_by_a_later_sweep() {
    let app = TestApp::new();
    app.push(climate()).await;
    app.publisher.set_broken(true);
    assert_eq!(subjects_of_sweep(&app, 61).await, [""; 0]);
    app.publisher.set_broken(false);
    assert_eq!(subjects_of_sweep(&app, 63).await, ["[NOTICE] Nothing arrives"]);
    assert_eq!(subjects_of_sweep(&app, 65).await, [""; 0]);
}

#[tokio::test]
async fn a_notice_is_not_part_of_a_digest() {
    let app = TestApp::with_rules(RuleSet::parse("rules.toml", "[rate_limit]\nburst = 2\nper_minute = 1").unwrap());
    let smell = reading("ODRDTR_BATT_V1", &json!({"amm": 270}));
    app.publisher.set_broken(true);
    app.push(body(&[smell, reading("SS", &json!({"p": 1})), reading("TH", &json!({"t": 20}))])).await;
    subjects_of_sweep(&app, 61).await;
    app.publisher.set_broken(false);
    let subjects = subjects_of_sweep(&app, 63).await;
    assert_eq!(subjects.len(), 2, "the notice, and a digest of the alerts: {subjects:?}");
    assert!(subjects.contains(&"[NOTICE] Nothing arrives".to_owned()), "{subjects:?}");
}

/// A rules file that changes while the receiver runs.
#[derive(Clone, Debug, Default)]
struct EditedFile(Arc<Mutex<String>>);

impl RuleReader for EditedFile {
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

struct Receiver {
    file: EditedFile,
    publisher: MemoryPublisher,
    ingest: Ingest,
}

impl Receiver {
    fn new() -> Self {
        let (file, publisher) = (EditedFile::default(), MemoryPublisher::default());
        let rules = CachedRules::new(file.clone(), SignedDuration::from_secs(1));
        let ingest = World::new().with_publisher(publisher.clone()).with_rule_source(rules).ingest();
        Self { file, publisher, ingest }
    }

    /// Writes the text to the file and sweeps at `minute`. Returns the messages that the sweep sends.
    async fn sweep_with_rules(&self, text: &str, minute: i64) -> Vec<Rendered> {
        text.clone_into(&mut self.file.0.lock().unwrap());
        let before = self.publisher.sent().len();
        let stats = self.ingest.sweep(now() + SignedDuration::from_mins(minute)).await.unwrap();
        // Every sweep reports refused rules, because a metric is based on it.
        assert_eq!(stats.rules_refused, RuleSet::parse("rules.toml", text).is_err());
        self.publisher.sent().split_off(before)
    }
}

#[tokio::test]
async fn refused_rules_cause_one_notice_per_version_with_every_fault() {
    let receiver = Receiver::new();
    assert_eq!(receiver.sweep_with_rules("", 0).await, []);
    let [refused] = receiver.sweep_with_rules("max_age = 7\nmax_ages = 7\n", 1).await.try_into().unwrap();
    assert_eq!(refused.subject, "[NOTICE] Rules refused: 2 faults");
    for fault in
        ["config/rules.toml:1:11: `max_age` is a time", "config/rules.toml:2:1: a rules file has no `max_ages`"]
    {
        assert!(refused.email.contains(fault), "{}", refused.email);
    }
    assert_eq!(receiver.sweep_with_rules("max_age = 7\nmax_ages = 7\n", 2).await, [], "the same version");
    let [again] = receiver.sweep_with_rules("max_age = 8\n", 3).await.try_into().unwrap();
    assert_eq!(again.subject, "[NOTICE] Rules refused: 1 fault");
    assert_ne!(again.id, refused.id);
    assert_eq!(receiver.sweep_with_rules("max_age = \"8h\"\n", 4).await, [], "the rules are valid again");
}

#[tokio::test]
async fn a_push_sends_no_notice_about_refused_rules_and_the_next_sweep_does() {
    let receiver = Receiver::new();
    receiver.sweep_with_rules("", 0).await;
    "max_age = 7".clone_into(&mut receiver.file.0.lock().unwrap());
    push_to(&receiver.ingest, visitors(), now() + SignedDuration::from_mins(1)).await.unwrap();
    assert_eq!(receiver.publisher.sent(), []);
    assert_eq!(receiver.sweep_with_rules("max_age = 7", 2).await.len(), 1);
}

#[tokio::test]
async fn the_notice_about_a_file_with_many_faults_has_a_bounded_length() {
    let receiver = Receiver::new();
    let text: String = (0..500).map(|index| format!("no_such_thing_{index} = 1\n")).collect();
    let [refused] = receiver.sweep_with_rules(&text, 0).await.try_into().unwrap();
    assert_eq!(refused.subject, "[NOTICE] Rules refused: 500 faults");
    assert!(refused.email.contains("and 480 more"), "{}", refused.email);
    assert!(refused.sns_message().len() < 64 * 1024);
}
