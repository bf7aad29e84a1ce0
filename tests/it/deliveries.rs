//! Deliveries over several channels: each message is sent over each channel exactly once, whatever fails on another channel.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::Ingest;
use smartclean_push::ingest::ports::{AlertPublisher, OutgoingMessage, PublishOutcome, Refusal};
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

    async fn publish(&self, rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        let outcomes = self.publisher.publish(rules, messages).await;
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

/// An email channel with these outcomes, then successes.
#[derive(Clone, Default)]
struct ScriptedPublisher {
    outcomes: Arc<Mutex<VecDeque<PublishOutcome>>>,
    messages: Arc<Mutex<Vec<OutgoingMessage>>>,
}

#[async_trait]
impl AlertPublisher for ScriptedPublisher {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    async fn publish(&self, _rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        self.messages.lock().unwrap().extend_from_slice(messages);
        let mut outcomes = self.outcomes.lock().unwrap();
        messages.iter().map(|_| outcomes.pop_front().unwrap_or_default()).collect()
    }
}

impl ScriptedPublisher {
    /// A receiver whose email has these outcomes.
    fn receiver(&self, outcomes: Vec<PublishOutcome>) -> Receiver {
        self.outcomes.lock().unwrap().extend(outcomes);
        let receiver = Receiver::new();
        let world = World::new().with_state(receiver.state.clone()).with_publisher(receiver.log.clone());
        Receiver { ingest: world.with_background(self.clone()).ingest(), ..receiver }
    }

    /// The number of messages so far, and the recipients that the last one leaves out.
    fn last(&self) -> (usize, Vec<String>) {
        let messages = self.messages.lock().unwrap();
        (messages.len(), messages.last().unwrap().done.clone())
    }

    fn subjects(&self) -> Vec<String> {
        self.messages.lock().unwrap().iter().map(|message| message.rendered.subject.clone()).collect()
    }
}

fn failed() -> PublishOutcome {
    PublishOutcome::failed("the server did not take the message", "451 4.7.1 try again later")
}

#[tokio::test]
async fn a_recipient_that_has_the_message_does_not_get_it_again() {
    let email = ScriptedPublisher::default();
    let partial = |done: &str| PublishOutcome { done: vec![done.to_owned()], ..failed() };
    let receiver = email.receiver(vec![partial("a@example.com"), partial("b@example.com")]);
    receiver.push(0..1).await;
    let mut seen = Vec::new();
    for seconds in [0, 60, 180, 420] {
        receiver.sweep(seconds).await;
        seen.push(email.last());
    }
    let [a, b] = ["a@example.com", "b@example.com"].map(str::to_owned);
    assert_eq!(seen, [(1, vec![]), (2, vec![a.clone()]), (3, vec![a.clone(), b.clone()]), (3, vec![a, b])]);
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn a_digest_has_no_message_that_one_of_its_recipients_has() {
    let email = ScriptedPublisher::default();
    let receiver = email.receiver(vec![PublishOutcome { done: vec!["a@example.com".to_owned()], ..failed() }]);
    receiver.push(0..1).await;
    receiver.sweep(0).await;
    receiver.push(1..40).await;
    receiver.sweep(60).await;
    let messages = email.messages.lock().unwrap().clone();
    let of =
        |message: &OutgoingMessage| crate::support::alert_ids(&serde_json::from_str(&message.rendered.json).unwrap());
    let first = of(&messages[0]);
    let (again, others): (Vec<_>, Vec<_>) = messages[1..].iter().partition(|message| !message.done.is_empty());
    assert!(again.len() == 1 && of(again[0]) == first, "{again:?}");
    assert!(others.iter().any(|message| of(message).len() > 1), "a digest");
    assert!(others.iter().all(|message| !of(message).contains(&first[0])));
}

#[tokio::test]
async fn a_receiver_is_not_called_before_the_time_that_it_asks_for_which_is_at_most_six_hours() {
    for (asked, waited) in [(30, 60), (600, 600), (24 * 3600, 6 * 3600)] {
        let email = ScriptedPublisher::default();
        let retry_after = Some(SignedDuration::from_secs(asked));
        let receiver = email.receiver(vec![PublishOutcome { retry_after, ..failed() }]);
        receiver.push(0..1).await;
        for (seconds, messages) in [(0, 1), (waited - 1, 1), (waited, 2)] {
            receiver.sweep(seconds).await;
            let alerts = email.subjects().iter().filter(|subject| !subject.starts_with("[NOTICE]")).count();
            assert_eq!(alerts, messages, "asked for {asked} s, after {seconds} s");
        }
    }
}

#[tokio::test]
async fn a_refused_recipient_causes_one_notice_a_day_and_the_message_is_not_sent_again() {
    let email = ScriptedPublisher::default();
    let refusal = Refusal { recipient: "gone@example.com".to_owned(), reply: "550 5.1.1 no such user".to_owned() };
    let refused = || PublishOutcome { refusals: vec![refusal.clone()], ..PublishOutcome::default() };
    let receiver = email.receiver(vec![refused(), refused()]);
    receiver.push(0..2).await;
    for seconds in [0, 60, 120] {
        receiver.sweep(seconds).await;
    }
    let notice = "[NOTICE] A recipient refuses messages";
    assert_eq!(email.subjects().iter().filter(|subject| *subject == notice).count(), 1, "{:?}", email.subjects());
    assert_eq!((email.subjects().len(), receiver.log.sent().len()), (3, 3));
    let sent = receiver.log.sent();
    let text = &sent.iter().find(|message| message.subject == notice).unwrap().email;
    assert!(text.contains("gone@example.com") && text.contains("550 5.1.1 no such user"), "{text}");
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn after_a_day_of_failures_a_notice_a_day_goes_out_over_the_other_channels() {
    let receiver = Receiver::new();
    receiver.email.set_broken(true);
    receiver.push(0..1).await;
    let notices = |publisher: &MemoryPublisher| {
        publisher.sent().iter().filter(|message| message.subject == "[NOTICE] Messages by email fail").count()
    };
    for (hours, expected) in [(0, 0), (23, 0), (24, 1), (25, 1), (49, 2)] {
        for minutes in [0, 31] {
            receiver.sweep(3600 * hours + 60 * minutes).await;
        }
        assert_eq!((notices(&receiver.log), notices(&receiver.webhook)), (expected, expected), "{hours} h");
    }
    receiver.email.set_broken(false);
    receiver.sweep(51 * 3600).await;
    let alerts = receiver.email.sent().iter().filter(|message| !message.subject.starts_with("[NOTICE]")).count();
    assert_eq!((alerts, notices(&receiver.email)), (1, 0), "the alert, and no notice about itself");
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn a_topic_that_fails_for_a_day_has_no_other_channel_for_a_notice() {
    let (topic, state) = (MemoryPublisher::default(), MemoryState::default());
    let ingest = World::new().with_state(state.clone()).with_publisher(topic.clone()).ingest();
    topic.set_broken(true);
    push_to(&ingest, body(&[reading_with("SS", &json!({ "p": 3 }), &json!({}))]), now()).await.unwrap();
    ingest.sweep(after(25 * 3600)).await.unwrap();
    topic.set_broken(false);
    ingest.sweep(after(26 * 3600)).await.unwrap();
    assert!(topic.sent().iter().all(|message| !message.subject.contains("fail")), "{:?}", topic.sent());
}
