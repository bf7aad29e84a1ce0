//! Deliveries over several channels: each message is sent over each channel exactly once, whatever fails on another channel.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::Ingest;
use smartclean_push::ingest::ports::{AlertPublisher, UnavailableError};
use smartclean_push::notify::rendered::Rendered;

use crate::support::memory::{MemoryPublisher, MemoryState};
use crate::support::{World, body, now, push_to, reading_with};

/// A receiver with a channel that pushes use, and two other channels.
struct Receiver {
    log: MemoryPublisher,
    email: MemoryPublisher,
    webhook: MemoryPublisher,
    state: MemoryState,
    ingest: Ingest,
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

impl Receiver {
    fn new() -> Self {
        Self::with_rules("")
    }

    fn with_rules(rules: &str) -> Self {
        let [log, email, webhook] = [Channel::Log, Channel::Email, Channel::Webhook].map(MemoryPublisher::of);
        let state = MemoryState::default();
        let ingest = World::new()
            .with_rules(RuleSet::parse("rules.toml", rules).unwrap())
            .with_state(state.clone())
            .with_publisher(log.clone())
            .with_background(email.clone())
            .with_background(webhook.clone())
            .ingest();
        Self { log, email, webhook, state, ingest }
    }

    /// Pushes readings that raise an alert each, in zones of their own.
    async fn push(&self, devices: std::ops::Range<usize>) {
        let soap = |device| {
            let envelope = json!({ "DEVID": format!("d{device}"), "InsID": format!("z{device}") });
            reading_with("SS", &json!({ "p": 3 }), &envelope)
        };
        let count = devices.len();
        let outcome = push_to(&self.ingest, body(&devices.map(soap).collect::<Vec<_>>()), now()).await.unwrap();
        assert_eq!(outcome.stats.alerts, count);
    }

    /// Runs a sweep and the other channels, as a server does each minute.
    async fn sweep(&self, seconds: i64) {
        self.ingest.sweep(after(seconds)).await.unwrap();
        for channel in self.ingest.background_channels() {
            self.ingest.deliver(channel, after(seconds)).await.unwrap();
        }
    }

    /// The number of messages that each channel has sent.
    fn sent(&self) -> [usize; 3] {
        [&self.log, &self.email, &self.webhook].map(|publisher| publisher.sent().len())
    }

    fn is_empty(&self) -> bool {
        self.state.documents().values().all(|document| !document.body.contains("outbox"))
    }
}

/// How often each alert is in these messages.
fn times(messages: &[Rendered]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for message in messages {
        let facts = serde_json::from_str(&message.json).unwrap();
        crate::support::alert_ids(&facts).into_iter().for_each(|id| *times.entry(id).or_default() += 1);
    }
    times
}

#[tokio::test]
async fn a_push_sends_over_its_own_channel_and_wakes_the_others() {
    let receiver = Receiver::new();
    let mut new_messages = receiver.ingest.new_messages();
    assert!(!new_messages.has_changed().unwrap());
    receiver.push(0..1).await;
    assert_eq!(receiver.sent(), [1, 0, 0]);
    tokio::time::timeout(Duration::from_secs(5), new_messages.changed()).await.unwrap().unwrap();
    for (channel, sent) in [(Channel::Webhook, [1, 0, 1]), (Channel::Email, [1, 1, 1])] {
        assert_eq!(receiver.ingest.deliver(channel, now()).await.unwrap().delivery.messages, 1);
        assert_eq!(receiver.sent(), sent);
    }
    assert!(receiver.is_empty());
    // The same message is the same for all, and none is sent again.
    assert_eq!(receiver.log.sent(), receiver.email.sent());
    receiver.sweep(3600).await;
    assert_eq!(receiver.sent(), [1, 1, 1]);
}

#[tokio::test]
async fn a_channel_that_is_down_neither_loses_nor_delays_another() {
    for down in [Channel::Log, Channel::Email, Channel::Webhook] {
        let receiver = Receiver::new();
        let broken = match down {
            Channel::Email => &receiver.email,
            Channel::Webhook => &receiver.webhook,
            _ => &receiver.log,
        };
        broken.set_broken(true);
        receiver.push(0..3).await;
        for seconds in [0, 60, 180, 420, 900] {
            receiver.sweep(seconds).await;
            let sent = [&receiver.log, &receiver.email, &receiver.webhook].map(|publisher| {
                let expected = if std::ptr::eq(publisher, broken) { 0 } else { 3 };
                assert_eq!(publisher.sent().len(), expected, "{down} is down, {seconds} s");
                expected
            });
            assert_eq!(sent.into_iter().sum::<usize>(), 6);
        }
        broken.set_broken(false);
        receiver.sweep(900 + 1800).await;
        assert_eq!(receiver.sent(), [3, 3, 3], "{down} is up again");
        assert_eq!(times(&broken.sent()), times(&receiver.log.sent()));
        assert!(receiver.is_empty());
    }
}

#[tokio::test]
async fn a_channel_that_is_down_is_tried_less_and_less_often() {
    let receiver = Receiver::new();
    receiver.email.set_broken(true);
    receiver.push(0..1).await;
    let mut attempts = Vec::new();
    for minute in 0..100 {
        if receiver.ingest.deliver(Channel::Email, after(60 * minute)).await.unwrap().delivery.failed == 1 {
            attempts.push(minute);
        }
    }
    assert_eq!(attempts, [0, 1, 3, 7, 15, 31, 61, 91]);
}

#[tokio::test]
async fn each_channel_has_a_rate_limit_of_its_own_and_sends_each_alert_once_also_in_digests() {
    let receiver = Receiver::with_rules("[rate_limit]\nburst = 4\nper_minute = 4\n");
    receiver.email.set_broken(true);
    receiver.push(0..40).await;
    for seconds in [60, 120] {
        receiver.sweep(seconds).await;
    }
    receiver.email.set_broken(false);
    for seconds in [180, 240, 300, 360] {
        receiver.sweep(seconds).await;
    }
    for publisher in [&receiver.log, &receiver.email, &receiver.webhook] {
        let times = times(&publisher.sent());
        assert_eq!(times.len(), 40, "{publisher:?}");
        assert!(times.values().all(|times| *times == 1), "{times:?}");
        assert!(publisher.sent().len() < 10, "digests: {}", publisher.sent().len());
    }
    assert!(receiver.is_empty());
}

/// Sends messages, and then the state store fails, as if the process had ended.
struct EndingPublisher {
    publisher: MemoryPublisher,
    state: MemoryState,
}

#[async_trait]
impl AlertPublisher for EndingPublisher {
    fn channel(&self) -> Channel {
        self.publisher.channel()
    }

    async fn publish(&self, messages: &[Rendered]) -> Vec<Result<(), UnavailableError>> {
        let outcomes = self.publisher.publish(messages).await;
        self.state.set_broken(true);
        outcomes
    }
}

#[tokio::test]
async fn a_message_whose_removal_fails_is_sent_again_with_the_same_id_over_that_channel_alone() {
    let receiver = Receiver::new();
    let ending = EndingPublisher { publisher: receiver.email.clone(), state: receiver.state.clone() };
    let ingest = World::new()
        .with_state(receiver.state.clone())
        .with_publisher(receiver.log.clone())
        .with_background(ending)
        .with_background(receiver.webhook.clone())
        .ingest();
    receiver.push(0..2).await;
    ingest.deliver(Channel::Webhook, now()).await.unwrap();
    ingest.deliver(Channel::Email, now()).await.unwrap();
    assert_eq!(receiver.sent(), [2, 2, 2]);
    receiver.state.set_broken(false);
    receiver.sweep(59).await;
    assert_eq!(receiver.sent(), [2, 2, 2], "the lease has not expired");
    receiver.sweep(60).await;
    assert_eq!(receiver.sent(), [2, 4, 2]);
    let ids = times(&receiver.email.sent());
    assert_eq!((ids.len(), ids.values().copied().collect::<Vec<_>>()), (2, vec![2, 2]));
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn deliveries_of_a_channel_that_the_rules_no_longer_have_are_removed() {
    let receiver = Receiver::new();
    receiver.email.set_broken(true);
    receiver.push(0..2).await;
    receiver.sweep(0).await;
    receiver.email.set_broken(false);
    receiver.email.switch_off();
    assert!(!receiver.is_empty());
    receiver.push(2..3).await;
    receiver.sweep(60).await;
    assert_eq!(receiver.sent(), [3, 0, 3]);
    assert!(receiver.is_empty());
}
