//! Audiences through live ingest: the attribute `to`, digests, and audiences without a subscription.

use analysis::backtest::{Trial, backtest};
use history::Period;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::Channel;
use smartclean_push::notify::attributes::Attribute;
use smartclean_push::notify::rendered::Rendered;

use crate::support::memory::MemoryPublisher;
use crate::support::{MemoryArchive, TestApp, World, body, push_to, reading_with};

const TEAMS: &str = r#"
block = "none"
[[rule]]
id = "silent"
enabled = false
[[audience]]
id = "all-day"
rules = ["soap-low"]
[[audience]]
id = "day"
rules = ["soap-low", "bin-full"]
on_duty = "07:00-15:00"
"#;

fn rules(text: &str) -> RuleSet {
    RuleSet::parse("rules.toml", text).unwrap()
}

/// A time on a Monday, in UTC.
fn at(clock: &str) -> Timestamp {
    format!("2026-11-23T{clock}:00Z").parse().unwrap()
}

fn reading(device_type: &str, device: &str, clock: &str) -> String {
    let envelope = json!({ "DEVID": device, "InsID": device, "Region": "UTC", "unixT": at(clock).as_millisecond() });
    reading_with(device_type, &json!({ "p": 3 }), &envelope)
}

/// The subscribed audiences are those of the rules.
fn app(text: &str) -> TestApp {
    let app = TestApp::with_rules(rules(text));
    app.publisher.set_audiences(&["all-day", "day"]);
    app
}

async fn push(app: &TestApp, readings: &[String], clock: &str) {
    push_to(app.ingest(), body(readings), at(clock)).await.unwrap();
}

async fn sweep(app: &TestApp, at: Timestamp) {
    app.ingest().sweep(at).await.unwrap();
}

/// Kind of each message, rules and audiences, for example "firing soap-low [day]".
fn sent(publisher: &MemoryPublisher) -> Vec<String> {
    publisher.sent().iter().map(|message| format!("{} {}", attribute(message, "kind"), recipients(message))).collect()
}

fn recipients(message: &Rendered) -> String {
    format!("{} to {}", attribute(message, "rule"), attribute(message, "to"))
}

fn attribute(message: &Rendered, name: &str) -> String {
    let found = message.attributes.iter().find(|(known, _)| *known == name);
    found.map_or_else(
        || "-".to_owned(),
        |(_, value)| match value {
            Attribute::One(value) => value.clone(),
            Attribute::Many(values) => format!("{values:?}"),
        },
    )
}

#[tokio::test]
async fn a_message_has_its_audiences_as_an_attribute_and_one_for_everybody_has_none() {
    let app = app(TEAMS);
    sweep(&app, at("05:55")).await;
    push(&app, &[reading("SS", "a", "06:00")], "06:00").await;
    push(&app, &[reading("BIN", "b", "06:00"), reading("TR", "c", "06:00")], "06:00").await;
    sweep(&app, at("07:00")).await;
    push(&app, &[reading("BIN", "d", "08:00")], "08:00").await;
    let expected = [
        "firing soap-low to [\"all-day\"]",
        "firing toilet-paper-low to -",
        "firing soap-low to [\"day\"]",
        "firing bin-full to [\"day\"]",
        "firing bin-full to [\"day\"]",
    ];
    assert_eq!(sent(&app.publisher), expected);
    let record = app.publisher.sent()[0].record();
    assert_eq!(record["attributes"]["to"], json!(["all-day"]), "the line of alerts.ndjson");
    let ids: Vec<String> = app.publisher.sent().iter().map(|message| message.id.clone()).collect();
    assert_eq!(ids[0], ids[2], "both are about the same alert");
}

#[tokio::test]
async fn a_digest_has_one_list_of_recipients() {
    let app = app(&format!("{TEAMS}[rate_limit]\nburst = 1\nper_minute = 1\n"));
    sweep(&app, at("07:55")).await;
    let readings = |device_type: &str, names: [&str; 3]| names.map(|name| reading(device_type, name, "08:00"));
    let all = [readings("SS", ["a", "b", "c"]), readings("BIN", ["d", "e", "f"]), readings("TR", ["g", "h", "i"])];
    push(&app, &all.concat(), "08:00").await;
    for minute in 1..6 {
        sweep(&app, at("08:00") + SignedDuration::from_mins(minute)).await;
    }
    let mut lists: Vec<String> = app.publisher.sent().iter().map(recipients).collect();
    lists.sort();
    lists.dedup();
    let expected = ["bin-full to [\"day\"]", "soap-low to [\"all-day\", \"day\"]", "toilet-paper-low to -"];
    assert_eq!(lists, expected, "each rule has other recipients");
    assert!(app.publisher.sent().len() < 9, "some are digests");
    assert!(app.ingest().sweep(at("08:06")).await.unwrap().delivery.waiting == 0);
}

#[tokio::test]
async fn messages_for_an_audience_without_a_subscription_go_to_everybody_and_a_notice_names_it() {
    let app = app(TEAMS);
    let publisher = &app.publisher;
    push(&app, &[reading("SS", "a", "08:00")], "08:00").await;
    assert_eq!(sent(publisher), ["firing soap-low to -"], "before the first look at the topic");
    publisher.set_audiences(&["all-day", "another"]);
    sweep(&app, at("08:01")).await;
    // The next sweep sends the notice.
    sweep(&app, at("08:02")).await;
    let notice = publisher.sent().remove(1);
    assert_eq!(notice.subject, "[NOTICE] Nobody is subscribed as day");
    assert!(notice.email.contains("make subscribe AUDIENCE=day EMAIL="), "{}", notice.email);
    assert_eq!(attribute(&notice, "to"), "-");
    push(&app, &[reading("BIN", "b", "08:03")], "08:03").await;
    push(&app, &[reading("SS", "b", "16:00")], "16:00").await;
    let expected = ["firing bin-full to -", "firing soap-low to [\"all-day\"]"];
    assert_eq!(sent(publisher)[2..], expected, "only messages for the unsubscribed one go to everybody");
    publisher.set_audiences(&["all-day", "day"]);
    sweep(&app, at("16:05")).await;
    sweep(&app, at("16:06")).await;
    assert_eq!(publisher.sent().len(), 4, "one notice a day at most, and none if all are subscribed");
    push(&app, &[reading("BIN", "c", "14:00")], "14:00").await;
    assert_eq!(sent(publisher)[4..], ["firing bin-full to [\"day\"]"]);
}

#[tokio::test]
async fn while_the_topic_does_not_answer_the_last_answer_counts_and_is_asked_for_every_five_minutes() {
    let app = app(TEAMS);
    sweep(&app, at("07:55")).await;
    app.publisher.set_broken(true);
    sweep(&app, at("08:00")).await;
    app.publisher.set_broken(false);
    app.publisher.set_audiences(&[]);
    sweep(&app, at("08:04")).await;
    push(&app, &[reading("BIN", "b", "08:04")], "08:04").await;
    assert_eq!(sent(&app.publisher), ["firing bin-full to [\"day\"]"]);
    sweep(&app, at("08:05")).await;
    push(&app, &[reading("BIN", "c", "08:05")], "08:05").await;
    assert_eq!(sent(&app.publisher).last().unwrap(), "firing bin-full to -");
}

#[tokio::test]
async fn a_log_has_no_subscriptions_and_each_message_keeps_its_audiences() {
    let log = MemoryPublisher::of(Channel::Log);
    let app = World::new().with_rules(rules(TEAMS)).with_publisher(log.clone()).start();
    push(&app, &[reading("BIN", "b", "08:00")], "08:00").await;
    sweep(&app, at("08:01")).await;
    assert_eq!(sent(&log), ["firing bin-full to [\"day\"]"]);
}

#[tokio::test]
async fn a_backtest_counts_an_alert_once_that_two_audiences_get_at_different_times() {
    let app = app(TEAMS);
    push(&app, &[reading("SS", "a", "06:00"), reading("BIN", "b", "06:01")], "06:01").await;
    push(&app, &[reading("TH", "c", "09:00")], "09:00").await;
    let trial = Trial {
        rules: ("new".to_owned(), rules(TEAMS)),
        against: None,
        period: Period::default(),
        sites: Vec::new(),
        zones: Vec::new(),
        device_types: Vec::new(),
    };
    let found = backtest(&MemoryArchive(&app.store), &trial, |_| ()).unwrap();
    let alerts: Vec<&str> = found.rules.alerts.iter().map(|alert| &*alert.rule).collect();
    assert_eq!((alerts, found.rules.messages), (vec!["soap-low", "bin-full"], 3));
}
