//! The rate limit across pushes, sweeps and concurrent copies: how many messages are sent, when, and each alert exactly
//! once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::domain::rate_limit::{RateLimit, Requester, TokenDemand, TokenRequest};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::severity::Severity;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::decode::Encoding;
use smartclean_push::ingest::ports::{AttentionEntry, Commit, IndexEntry, StateDocument, StateStore, UnavailableError};
use smartclean_push::ingest::rate_limit::{RATE_LIMIT, take_sms, take_tokens};
use smartclean_push::ingest::{RequestInfo, SweepStats};
use smartclean_push::notify::attributes::Attribute;
use smartclean_push::notify::rendered::Rendered;

use crate::support::memory::{MemoryPublisher, MemoryState};
use crate::support::{TestApp, World, body, now, push_to, reading_with, request_info};

/// Number of pushes in a storm.
const STORM: usize = 128;

/// Returns the ids of the alerts in a message, and whether the message is a digest.
fn alerts_in(message: &Rendered) -> (Vec<String>, bool) {
    let facts: Value = serde_json::from_str(&message.json).unwrap();
    let ids = facts["alerts"].as_array().unwrap().iter().map(|alert| alert["id"].as_str().unwrap().to_owned());
    (ids.collect(), facts["kind"] == "digest")
}

/// Counts the messages that contain each alert. Every digest has at least two alerts.
fn messages_per_alert(messages: &[Rendered]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for message in messages {
        let (ids, is_digest) = alerts_in(message);
        assert!(!is_digest || ids.len() > 1, "a digest with a single alert: {}", message.subject);
        ids.into_iter().for_each(|id| *times.entry(id).or_default() += 1);
    }
    times
}

/// Returns a reading that raises a `medium` alert in its own zone.
fn empty_soap(number: usize) -> String {
    reading_with("SS", &json!({ "p": 3 }), &json!({ "DEVID": format!("d{number}"), "InsID": format!("z{number}") }))
}

/// Returns a reading that raises a `high` alert in its own zone.
fn spill(number: usize) -> String {
    let envelope = json!({ "DEVID": format!("w{number}"), "InsID": format!("w{number}") });
    reading_with("WD", &json!({ "value": 1, "AreaP": 20 }), &envelope)
}

async fn push_each(app: &TestApp, readings: Vec<String>) {
    let answers = join_all(readings.into_iter().map(|reading| app.push(body(&[reading])))).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body["alerts"] == 1), "{answers:?}");
}

async fn sweep(app: &TestApp, second: i64) -> SweepStats {
    app.ingest().sweep(now() + SignedDuration::from_secs(second)).await.unwrap()
}

fn rules(text: &str) -> RuleSet {
    RuleSet::parse("rules.toml", text).unwrap()
}

#[tokio::test]
async fn a_storm_of_pushes_sends_a_burst_and_the_next_sweep_sends_the_rest() {
    let app = TestApp::new();
    push_each(&app, (0..STORM).map(empty_soap).collect()).await;
    let sent = app.publisher.sent();
    assert_eq!(sent.len(), 7, "a burst of ten, three of them reserved for urgent alerts");
    assert!(sent.iter().all(|message| !alerts_in(message).1), "a push sends no digest");
    let stats = sweep(&app, 60).await;
    assert_eq!((stats.delivery.messages, stats.delivery.digests, stats.delivery.waiting), (7, 1, 0));
    let times = messages_per_alert(&app.publisher.sent());
    assert_eq!(times.len(), STORM);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert_eq!(sweep(&app, 120).await, SweepStats::default());
}

#[tokio::test]
async fn a_storm_in_one_push_sends_a_burst_and_sweeps_send_the_rest() {
    let app = TestApp::new();
    let storm: Vec<String> = (0..2000).map(empty_soap).collect();
    assert_eq!(app.push(body(&storm)).await.body["alerts"], 2000);
    assert_eq!(app.publisher.sent().len(), 7);
    let mut minutes = 0;
    while messages_per_alert(&app.publisher.sent()).len() < 2000 {
        minutes += 1;
        let stats = sweep(&app, 60 * minutes).await;
        assert!((1..=10).contains(&stats.delivery.messages), "{stats:?}");
    }
    assert!(minutes <= 2, "{minutes}");
    assert!(messages_per_alert(&app.publisher.sent()).values().all(|times| *times == 1));
}

#[tokio::test]
async fn a_long_storm_stays_within_the_rate_limit_and_every_alert_is_sent_by_the_next_sweep() {
    let app = TestApp::new();
    let mut known = 0;
    for minute in 0..5_i64 {
        for tick in 0..10_i64 {
            let at = now() + SignedDuration::from_secs(60 * minute + 6 * tick);
            for _ in 0..8 {
                let text = reading_with(
                    "SS",
                    &json!({ "p": 3 }),
                    &json!({ "DEVID": known.to_string(), "InsID": known.to_string(), "unixT": at.as_millisecond() }),
                );
                let request = crate::support::push_request();
                let request = request.body(http_body_util::Full::new(body(&[text]).into())).unwrap();
                assert_eq!(app.send_at(request, at).await.body["alerts"], 1);
                known += 1;
            }
        }
        let stats = sweep(&app, 60 * minute + 59).await;
        assert_eq!(stats.delivery.waiting, 0, "minute {minute}: {stats:?}");
        assert_eq!(messages_per_alert(&app.publisher.sent()).len(), known, "minute {minute}");
    }
    assert!(messages_per_alert(&app.publisher.sent()).values().all(|times| *times == 1));
    let most = 10 + 5 * 10;
    assert!(app.publisher.sent().len() <= most, "{}", app.publisher.sent().len());
}

#[tokio::test]
async fn an_urgent_alert_is_sent_at_once_during_a_storm() {
    let app = TestApp::with_rules(rules("[[rule]]\nid = \"spill\"\nseverity = \"critical\""));
    push_each(&app, (0..STORM).map(empty_soap).collect()).await;
    push_each(&app, vec![spill(1)]).await;
    let last = app.publisher.sent().pop().unwrap();
    assert!(last.subject.starts_with("[CRITICAL] Wet floor"), "{}", last.subject);
}

#[tokio::test]
async fn the_most_urgent_alerts_of_a_push_are_sent_first() {
    let app = TestApp::new();
    let mut readings: Vec<String> = (0..20).map(empty_soap).collect();
    readings.extend((0..4).map(spill));
    app.push(body(&readings)).await;
    let subjects: Vec<String> = app.publisher.sent().into_iter().map(|message| message.subject).collect();
    let high = subjects.iter().take_while(|subject| subject.starts_with("[HIGH]")).count();
    assert_eq!((high, subjects.len()), (4, 7), "{subjects:?}");
}

#[tokio::test]
async fn a_storm_of_urgent_alerts_leaves_the_sweep_a_token_for_a_digest() {
    let app = TestApp::new();
    push_each(&app, (0..STORM).map(spill).collect()).await;
    assert_eq!(app.publisher.sent().len(), 10);
    assert_eq!(sweep(&app, 6).await.delivery.digests, 1);
    assert_eq!(messages_per_alert(&app.publisher.sent()).len(), STORM);
}

#[tokio::test]
async fn while_the_rate_limit_cannot_be_loaded_nothing_is_sent_and_later_everything_is() {
    let app = TestApp::new();
    app.state.set_rate_limit_broken(true);
    push_each(&app, vec![empty_soap(1), empty_soap(2), spill(1)]).await;
    let stats = sweep(&app, 60).await;
    assert_eq!((stats.delivery.messages, stats.delivery.waiting, stats.delivery.oldest_unsent_s), (0, 3, 60));
    assert_eq!(app.publisher.sent().len(), 0);
    app.state.set_rate_limit_broken(false);
    // There is a token for each alert, so none is in a digest.
    let stats = sweep(&app, 120).await;
    assert_eq!((stats.delivery.messages, stats.delivery.digests, stats.delivery.waiting), (3, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_race_for_tokens_is_retried_and_fails_without_tokens_after_the_last_attempt() {
    let (state, limit) = (MemoryState::default(), RateLimit::default());
    let demand = vec![TokenDemand { severity: Severity::High, tokens: 1 }];
    let request = TokenRequest { limit, demand, requester: Requester::Push, now: now() };
    state.lose_next(10);
    assert_eq!(take_tokens(&state, Channel::Sns, &request).await.unwrap(), 1);
    state.lose_next(usize::MAX);
    assert!(take_tokens(&state, Channel::Sns, &request).await.is_err());
    assert!(take_sms(&state, 100, 1, now()).await.is_err());
    state.lose_next(0);
    let rest = TokenRequest { demand: request.demand.repeat(100), ..request };
    assert_eq!(take_tokens(&state, Channel::Sns, &rest).await.unwrap(), 9, "the lost races took no token");
}

#[tokio::test]
async fn two_concurrent_sweeps_send_each_alert_once() {
    let app = TestApp::new();
    push_each(&app, (0..STORM).map(empty_soap).collect()).await;
    let at = now() + SignedDuration::from_secs(60);
    let (one, other) = tokio::join!(app.ingest().sweep(at), app.ingest().sweep(at));
    assert!(one.unwrap().delivery.failed + other.unwrap().delivery.failed == 0);
    sweep(&app, 180).await;
    let times = messages_per_alert(&app.publisher.sent());
    assert!(times.len() == STORM && times.values().all(|times| *times == 1), "{times:?}");
}

#[tokio::test]
async fn alerts_that_wait_for_the_rate_limit_do_not_keep_a_sweep_from_other_zones() {
    let app = TestApp::new();
    // In the zone "blocked", the first alert suppresses the second for 15 minutes.
    let zone = json!({ "InsID": "blocked", "Display": "blocked" });
    push_each(&app, vec![reading_with("PT", &json!({ "p": 3 }), &zone)]).await;
    app.push(body(&[reading_with("SS", &json!({ "p": 3 }), &zone)])).await;
    app.state.set_rate_limit_broken(true);
    // More zones than one sweep processes. All of them stay due.
    let storm: Vec<String> = (0..5_001).map(empty_soap).collect();
    assert_eq!(app.push(body(&storm)).await.body["alerts"], 5_001);
    let version = || app.state.documents()["zone/8:building/blocked"].version;
    let before = version();
    assert_eq!(sweep(&app, 16 * 60).await.zones, 5_000);
    assert_eq!(version(), before, "the sweep processes the zones that are due for longer");
    sweep(&app, 17 * 60).await;
    assert!(version() > before, "the next sweep processes the zone whose block has ended");
}

#[tokio::test]
async fn the_former_table_caps_is_refused_and_the_error_names_rate_limit() {
    let faults = RuleSet::parse("rules.toml", "[caps]\nburst = 1\n").unwrap_err();
    let text = faults.iter().map(ToString::to_string).collect::<String>();
    assert!(text.contains("rules.toml:1:2") && text.contains("no `caps`") && text.contains("`[rate_limit]`"), "{text}");
}

fn channels(message: &Rendered) -> Attribute {
    message.attributes.iter().find(|(name, _)| *name == "channel").unwrap().1.clone()
}

fn channel_list(channels: &[&str]) -> Attribute {
    Attribute::Many(channels.iter().map(|&channel| channel.to_owned()).collect())
}

#[tokio::test]
async fn messages_below_sms_from_are_sent_without_sms() {
    let low_battery = reading_with("UM", &json!({ "count": 1, "b": 2300 }), &json!({ "InsID": "a" }));
    for (text, low, medium) in [
        ("", &["email"][..], &["email", "sms"][..]),
        ("sms_from = \"low\"", &["email", "sms"], &["email", "sms"]),
        ("sms_from = \"high\"", &["email"], &["email"]),
    ] {
        let app = TestApp::with_rules(rules(text));
        push_each(&app, vec![low_battery.clone(), empty_soap(1)]).await;
        let sent: Vec<Attribute> = app.publisher.sent().iter().map(channels).collect();
        assert_eq!(sent, [channel_list(low), channel_list(medium)], "{text}");
        assert!(!app.publisher.sent()[0].email.contains("SMS"));
    }
}

#[tokio::test]
async fn messages_above_the_daily_quota_are_sent_without_sms_and_give_the_reason() {
    let app = TestApp::with_rules(rules("[rate_limit]\nsms_per_day = 2\nburst = 100"));
    push_each(&app, (0..4).map(empty_soap).collect()).await;
    let sent = app.publisher.sent();
    let expected = [
        channel_list(&["email", "sms"]),
        channel_list(&["email", "sms"]),
        channel_list(&["email"]),
        channel_list(&["email"]),
    ];
    assert_eq!(sent.iter().map(channels).collect::<Vec<_>>(), expected);
    assert!(sent[3].email.ends_with("Not sent by SMS: the daily SMS quota is used up.\n"));
}

#[tokio::test]
async fn messages_are_sent_without_sms_and_give_the_reason_if_the_quota_cannot_be_read() {
    let (state, publisher) = (Counted { cannot_count_sms: true, ..Counted::default() }, MemoryPublisher::default());
    let ingest = World::new().with_state(state).with_publisher(publisher.clone()).ingest();
    push_to(&ingest, body(&[empty_soap(1)]), now()).await.unwrap();
    let [sent] = publisher.sent().try_into().unwrap();
    assert_eq!(channels(&sent), channel_list(&["email"]));
    assert!(sent.email.ends_with("Not sent by SMS: the daily SMS quota could not be read.\n"));
}

/// Number of calls of a state store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Calls {
    loads: usize,
    commits: usize,
    /// Loads of the state document of the rate limit.
    limit_loads: usize,
    /// Commits of the state document of the rate limit.
    limit_commits: usize,
}

/// A state store that counts its calls.
#[derive(Clone, Default)]
struct Counted {
    state: MemoryState,
    calls: Arc<Mutex<Calls>>,
    /// Whether the second load of the rate limit, which is for the SMS quota, fails.
    cannot_count_sms: bool,
}

impl Counted {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap()
    }
}

#[async_trait]
impl StateStore for Counted {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        if keys == [RATE_LIMIT] {
            self.calls().limit_loads += 1;
            if self.cannot_count_sms && self.calls().limit_loads > 1 {
                return Err(UnavailableError::new("the state store did not answer", "failure injected by the test"));
            }
        } else {
            self.calls().loads += 1;
        }
        self.state.load(keys).await
    }

    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError> {
        match key {
            RATE_LIMIT => self.calls().limit_commits += 1,
            _ => self.calls().commits += 1,
        }
        self.state.commit(key, version, body, index).await
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        self.state.due(now, most).await
    }

    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        self.state.attention(most).await
    }
}

#[tokio::test]
async fn a_push_loads_the_rate_limit_only_if_it_has_messages() {
    let state = Counted::default();
    let ingest = World::new().with_state(state.clone()).ingest();
    let calls = async |text: String| {
        *state.calls() = Calls::default();
        let request = RequestInfo { url: Some("https://push.example.com".parse().unwrap()), ..request_info(now()) };
        ingest.push(body(&[text]).into(), Encoding::Identity, &request, now()).await.unwrap();
        *state.calls()
    };
    let soap = |percent: u32, second: i64| {
        let at = now() + SignedDuration::from_secs(second);
        reading_with("SS", &json!({ "p": percent }), &json!({ "unixT": at.as_millisecond() }))
    };
    // The first push also stores the project of the zone, the time of arrival, and the URL.
    calls(soap(50, -60)).await;
    assert_eq!(calls(soap(49, -50)).await, Calls { loads: 1, ..Calls::default() });
    // The zone is loaded and committed twice: with the alert, and after the message is sent. So is the rate limit: for
    // the token, and for the SMS. The link is committed once.
    assert_eq!(calls(soap(3, -40)).await, Calls { loads: 2, commits: 3, limit_loads: 2, limit_commits: 2 });
    let still_firing = calls(soap(2, -30)).await;
    assert_eq!((still_firing.limit_loads, still_firing.limit_commits), (0, 0));
}
