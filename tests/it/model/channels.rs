//! Random histories of a receiver with three channels that fail, and whose process ends after it sends. Each channel sends each
//! alert, once unless the process ended, and keeps a rate limit of its own, whatever the other channels do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::join_all;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::Ingest;
use smartclean_push::ingest::ports::{AlertPublisher, OutgoingMessage, PublishOutcome};

use crate::model::config;
use crate::model::worlds::START;
use crate::support::memory::MemoryState;
use crate::support::{World, alert_ids, push_to};

const CHANNELS: [Channel; 3] = [Channel::Log, Channel::Email, Channel::Webhook];
const PER_MINUTE: u32 = 6;
const BURST: u32 = 5;
/// Longer than the longest backoff, in seconds.
const LONGEST_BACKOFF: i64 = 30 * 60 + 1;

#[derive(Clone, Debug)]
struct Step {
    /// Seconds since the step before it.
    gap: i64,
    /// Whether each channel fails.
    failing: [bool; 3],
    /// Whether the process ends when this channel has sent.
    ends_after: Option<usize>,
    acts: Vec<Act>,
}

#[derive(Clone, Debug)]
enum Act {
    /// A push with an alert in each of these zones.
    Push(Vec<usize>),
    /// A sweep, and the other channels beside it.
    Sweep,
}

fn some_steps() -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![3 => vec(0..4usize, 1..6).prop_map(Act::Push), 2 => Just(Act::Sweep)];
    let gap = prop_oneof![2 => Just(0i64), 3 => 1..70i64, 1 => 70..2000i64];
    let ends_after = prop_oneof![5 => Just(None), 1 => (0..3usize).prop_map(Some)];
    let failing = prop_oneof![1 => Just([false; 3]), 2 => any::<[bool; 3]>()];
    let step = (gap, failing, ends_after, vec(act, 1..4));
    vec(step.prop_map(|(gap, failing, ends_after, acts)| Step { gap, failing, ends_after, acts }), 1..30)
}

/// The second of a message, and its alerts.
type Sent = (i64, Vec<String>);

/// A channel, and what it has sent.
#[derive(Clone)]
struct TestChannel {
    channel: Channel,
    now: Arc<AtomicI64>,
    state: MemoryState,
    is_failing: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

#[async_trait]
impl AlertPublisher for TestChannel {
    fn channel(&self) -> Channel {
        self.channel
    }

    async fn publish(&self, _rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        tokio::task::yield_now().await;
        if self.is_failing.load(Ordering::Relaxed) {
            let failed = |_| PublishOutcome::failed("the message was not sent", "failure injected by the test");
            return messages.iter().map(failed).collect();
        }
        let now = self.now.load(Ordering::Relaxed);
        let alerts = |message: &OutgoingMessage| alert_ids(&serde_json::from_str(&message.rendered.json).unwrap());
        self.sent.lock().unwrap().extend(messages.iter().map(|message| (now, alerts(message))));
        if self.ends.load(Ordering::Relaxed) {
            self.state.set_broken(true);
        }
        messages.iter().map(|_| PublishOutcome::default()).collect()
    }
}

struct Receiver {
    now: Arc<AtomicI64>,
    state: MemoryState,
    channels: [TestChannel; 3],
    ingest: Ingest,
    raised: usize,
}

impl Receiver {
    fn new() -> Self {
        let (now, state) = (Arc::new(AtomicI64::new(START)), MemoryState::default());
        let channels = CHANNELS.map(|channel| TestChannel {
            channel,
            now: Arc::clone(&now),
            state: state.clone(),
            is_failing: Arc::default(),
            ends: Arc::default(),
            sent: Arc::default(),
        });
        let rules = format!(
            "[rate_limit]\nburst = {BURST}\nper_minute = {PER_MINUTE}\n[[rule]]\nid = \"soap-low\"\nblock = \"none\"\n"
        );
        let [log, email, webhook] = channels.clone();
        let ingest = World::new()
            .with_rules(RuleSet::parse("rules.toml", &rules).unwrap())
            .with_state(state.clone())
            .with_publisher(log)
            .with_background(email)
            .with_background(webhook)
            .ingest();
        Self { now, state, channels, ingest, raised: 0 }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.now.load(Ordering::Relaxed)).unwrap()
    }

    /// Runs an act. The state store fails once the process has ended, so its errors do not matter.
    async fn act(&self, act: &Act, first: usize) {
        let now = self.now();
        match act {
            Act::Push(zones) => {
                let reading = |(number, zone): (usize, &usize)| {
                    let device = format!("d{}", first + number);
                    let reading = json!({
                        "DevType": "SS", "DEVID": device, "InsID": format!("z{zone}"),
                        "unixT": now.as_second(), "v": { "p": 3 },
                    });
                    reading.to_string()
                };
                let texts: Vec<String> = zones.iter().enumerate().map(reading).collect();
                let outcome = push_to(&self.ingest, serde_json::to_vec(&texts).unwrap(), now).await.unwrap();
                assert!(outcome.evaluated, "{outcome:?}");
            }
            Act::Sweep => {
                let deliveries = self.ingest.background_channels().map(|channel| self.ingest.deliver(channel, now));
                let _ = tokio::join!(self.ingest.sweep(now), join_all(deliveries));
            }
        }
    }

    async fn step(&mut self, step: &Step) {
        self.now.fetch_add(step.gap, Ordering::Relaxed);
        for (index, channel) in self.channels.iter().enumerate() {
            channel.is_failing.store(step.failing[index], Ordering::Relaxed);
        }
        for act in &step.acts {
            // A process that ends during a push has stored it and evaluates it later, which other tests cover.
            let is_sweep = matches!(act, Act::Sweep);
            for (index, channel) in self.channels.iter().enumerate() {
                channel.ends.store(is_sweep && step.ends_after == Some(index), Ordering::Relaxed);
            }
            self.act(act, self.raised).await;
            self.state.set_broken(false);
            self.raised += if let Act::Push(zones) = act { zones.len() } else { 0 };
        }
    }
}

async fn each_channel_sends_each_alert(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut receiver = Receiver::new();
    for step in steps {
        receiver.step(step).await;
    }
    for _ in 0..3 {
        let last =
            Step { gap: LONGEST_BACKOFF, failing: [false; 3], ends_after: None, acts: vec![Act::Sweep, Act::Sweep] };
        receiver.step(&last).await;
    }
    let state: String = receiver.state.documents().into_values().map(|document| document.body).collect();
    prop_assert!(!state.contains("outbox"), "{state}");
    for channel in &receiver.channels {
        let sent = channel.sent.lock().unwrap().clone();
        let mut times: BTreeMap<&String, usize> = BTreeMap::new();
        sent.iter().flat_map(|(_, alerts)| alerts).for_each(|alert| *times.entry(alert).or_default() += 1);
        prop_assert_eq!(times.len(), receiver.raised, "{} sends every alert", channel.channel);
        if steps.iter().all(|step| step.ends_after.is_none()) {
            prop_assert!(times.values().all(|times| *times == 1), "{} sends it once: {:?}", channel.channel, sent);
        }
        for (first, (from, _)) in sent.iter().enumerate() {
            for (last, (until, _)) in sent.iter().enumerate().skip(first) {
                let most = i64::from(BURST) + i64::from(PER_MINUTE) * (until - from) / 60;
                prop_assert!((last - first) as i64 <= most, "{} exceeds its rate limit: {:?}", channel.channel, sent);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn each_channel_sends_each_alert_whatever_another_does(steps in some_steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(each_channel_sends_each_alert(&steps))?;
    }
}
