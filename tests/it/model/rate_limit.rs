//! Several copies of the program share a rate limit, over random concurrent pushes and sweeps, with lost races and a rate limit
//! that cannot be read or written for a while. The limit is kept, no alert is sent twice, and every alert is sent soon.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use smartclean_push::domain::alert::AlertId;
use smartclean_push::domain::rate_limit::RateLimit;
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::severity::Severity;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::Ingest;
use smartclean_push::ingest::ports::{
    AlertPublisher, AttentionEntry, Commit, IndexEntry, OutgoingMessage, PublishOutcome, StateDocument, StateStore,
    UnavailableError,
};
use smartclean_push::ingest::rate_limit::RATE_LIMIT;
use tokio::task::yield_now;

use crate::model::config;
use crate::model::worlds::START;
use crate::support::memory::{MemoryState, MemoryStore};
use crate::support::{self, push_to};

const COPIES: usize = 4;
const ZONES: usize = 6;
/// Longer than the lease of a message.
const LEASED_FOR: i64 = 61;
const SEVERITIES: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
const AMMONIA: &str = r#"
[[rule]]
id = "ammonia-lite"
at_least = { low = 100, medium = 200, high = 300, critical = 400 }
block = "none"
"#;

/// The Chinese team gets the alerts of half of the zones.
const TEAMS: &str = r#"
[[audience]]
id = "office"
[[audience]]
id = "cleaners"
language = "zh-Hans"
zones = ["z0", "z1", "z2"]
"#;

#[derive(Clone, Debug)]
struct World {
    burst: u32,
    per_minute: u32,
    /// Whether half of the zones have messages in two languages.
    is_bilingual: bool,
    steps: Vec<Step>,
}

/// Concurrent acts of several copies.
#[derive(Clone, Debug)]
struct Step {
    /// Seconds since the step before it.
    gap: i64,
    limiter: Limiter,
    /// The number of writes that lose their compare-and-swap.
    lost: usize,
    /// The duration of each access to the store, in turns of the other copies.
    turns: Vec<u8>,
    acts: Vec<Act>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limiter {
    Answers,
    Fails,
    Hangs,
}

/// An act of one copy: a sweep, or a push with a reading of this severity in each of these zones.
#[derive(Clone, Debug)]
enum Act {
    Push(Vec<(usize, usize)>),
    Sweep,
}

fn some_world() -> impl Strategy<Value = World> {
    let reading = (0..ZONES, 0..SEVERITIES.len());
    let act = prop_oneof![
        6 => vec(reading.clone(), 1..=1).prop_map(Act::Push),
        1 => vec(reading, 2..8).prop_map(Act::Push),
        2 => Just(Act::Sweep),
    ];
    let acts = prop_oneof![2 => vec(act.clone(), 1..=1), 1 => vec(act, 2..=COPIES)];
    let limiter = prop_oneof![
        10 => Just(Limiter::Answers), 1 => Just(Limiter::Fails), 1 => Just(Limiter::Hangs)
    ];
    let lost = prop_oneof![6 => Just(0usize), 1 => 1..3usize];
    let gaps = prop_oneof![3 => Just(0i64), 3 => 1..10i64, 1 => 10..70i64];
    let step = (gaps, limiter, lost, vec(0..4u8, 1..8), acts).prop_map(|(gap, limiter, lost, turns, acts)| Step {
        gap,
        limiter,
        lost,
        turns,
        acts,
    });
    let limit = (prop_oneof![Just(1u32), Just(4), 5..12u32], prop_oneof![Just(1u32), 6..30u32]);
    (limit, any::<bool>(), vec(step, 1..40), any::<bool>()).prop_map(
        |((burst, per_minute), is_bilingual, mut steps, is_calm)| {
            if is_calm {
                for step in &mut steps {
                    (step.limiter, step.lost) = (Limiter::Answers, 0);
                    step.acts.truncate(1);
                }
            }
            // A burst of one would not hold two languages.
            World { burst: if is_bilingual { burst.max(2) } else { burst }, per_minute, is_bilingual, steps }
        },
    )
}

/// The shared state store, and the topic.
#[derive(Default)]
struct Shared {
    state: MemoryState,
    /// Seconds since the history began.
    now: AtomicI64,
    is_failing: AtomicBool,
    is_hanging: AtomicBool,
    lost: AtomicUsize,
    turns: Mutex<Vec<u8>>,
    accesses: AtomicUsize,
    sent: Mutex<Vec<Sent>>,
}

/// A published message.
#[derive(Clone, Debug)]
struct Sent {
    at: i64,
    alerts: Vec<String>,
    to: Vec<String>,
    is_digest: bool,
}

impl Shared {
    async fn take_turns(&self) {
        let access = self.accesses.fetch_add(1, Ordering::Relaxed);
        let turns = {
            let turns = self.turns.lock().unwrap();
            turns.get(access % turns.len().max(1)).copied().unwrap_or_default()
        };
        for _ in 0..turns {
            yield_now().await;
        }
    }

    async fn access(&self, key: &str) -> Result<(), UnavailableError> {
        self.take_turns().await;
        if key != RATE_LIMIT {
            return Ok(());
        }
        if self.is_hanging.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        match self.is_failing.load(Ordering::Relaxed) {
            true => Err(UnavailableError::new("the limiter did not answer", "failure injected by the test")),
            false => Ok(()),
        }
    }

    fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

#[derive(Clone)]
struct Copy(Arc<Shared>);

#[async_trait]
impl StateStore for Copy {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        self.0.access(keys.first().map_or("", String::as_str)).await?;
        self.0.state.load(keys).await
    }

    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError> {
        self.0.access(key).await?;
        let is_lost = self.0.lost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lost| lost.checked_sub(1));
        match is_lost {
            Ok(_) => Ok(Commit::Lost),
            Err(_) => self.0.state.commit(key, version, body, index).await,
        }
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        self.0.take_turns().await;
        self.0.state.due(now, most).await
    }

    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        self.0.state.attention(most).await
    }
}

#[async_trait]
impl AlertPublisher for Copy {
    fn channel(&self) -> Channel {
        Channel::Sns
    }

    async fn publish(&self, _rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        self.0.take_turns().await;
        let at = self.0.now.load(Ordering::Relaxed);
        let sent = messages.iter().map(|message| {
            let facts: Value = serde_json::from_str(&message.rendered.json).unwrap();
            let alerts = facts["alerts"].as_array().cloned().unwrap_or_else(|| vec![facts.clone()]);
            let alerts = alerts.iter().map(|alert| alert["id"].as_str().unwrap().to_owned()).collect();
            Sent { at, alerts, to: message.to.clone(), is_digest: facts["kind"] == "digest" }
        });
        self.0.sent.lock().unwrap().extend(sent);
        messages.iter().map(|_| PublishOutcome::default()).collect()
    }

    async fn subscribed_audiences(&self) -> Result<Option<BTreeSet<String>>, UnavailableError> {
        Ok(Some(["office", "cleaners"].map(str::to_owned).into()))
    }
}

/// All copies, and the alerts of their pushes.
struct Copies {
    shared: Arc<Shared>,
    copies: Vec<Ingest>,
    limit: RateLimit,
    /// Every alert that fired: its id and whether it is urgent.
    raised: Vec<(String, bool)>,
    /// Whether no token can have been lost so far, so that their number is known.
    is_exact: bool,
    is_bilingual: bool,
    /// The number of alerts that also go to the Chinese team.
    for_cleaners: usize,
}

impl Copies {
    fn new(world: &World) -> Self {
        static RULES: LazyLock<[RuleSet; 2]> = LazyLock::new(|| {
            [AMMONIA.to_owned(), format!("{AMMONIA}{TEAMS}")].map(|text| RuleSet::parse("rules.toml", &text).unwrap())
        });
        let mut rules = RULES[usize::from(world.is_bilingual)].clone();
        rules.rate_limit = RateLimit { burst: world.burst, per_minute: world.per_minute, ..RateLimit::default() };
        let (limit, rules) = (rules.rate_limit, Arc::new(rules));
        let (shared, store) = (Arc::new(Shared::default()), MemoryStore::default());
        let copy = |_| {
            let (state, publisher) = (Copy(Arc::clone(&shared)), Copy(Arc::clone(&shared)));
            let world = support::World::new().with_store(store.clone()).with_rule_source(rules.clone());
            world.with_state(state).with_publisher(publisher).ingest()
        };
        let copies = (0..COPIES).map(copy).collect();
        Self {
            shared,
            copies,
            limit,
            raised: Vec::new(),
            is_exact: !world.is_bilingual,
            is_bilingual: world.is_bilingual,
            for_cleaners: 0,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(START + self.shared.now.load(Ordering::Relaxed)).unwrap()
    }

    /// The tokens that are left, at most.
    fn left(&self) -> f64 {
        let (burst, per_second) = (f64::from(self.limit.burst), f64::from(self.limit.per_minute) / 60.0);
        let (left, at) = self.shared.sent().iter().fold((burst, 0), |(left, before), sent| {
            ((left + per_second * seconds(sent.at - before)).min(burst) - 1.0, sent.at)
        });
        (left + per_second * seconds(self.shared.now.load(Ordering::Relaxed) - at)).min(burst)
    }

    /// The alerts that no message contains.
    fn unsent(&self) -> Vec<&(String, bool)> {
        let sent: BTreeSet<String> = self.shared.sent().into_iter().flat_map(|sent| sent.alerts).collect();
        self.raised.iter().filter(|(id, _)| !sent.contains(id)).collect()
    }

    /// The body of a push. Records its alerts.
    fn body(&mut self, readings: &[(usize, usize)]) -> Vec<u8> {
        let at = self.now().as_millisecond();
        let texts: Vec<String> = readings
            .iter()
            .map(|(zone, severity)| {
                let (number, amm) = (self.raised.len(), 100 * (severity + 1));
                self.for_cleaners += usize::from(self.is_bilingual && *zone < 3);
                let text = format!(
                    r#"{{"DevType":"ODRDTR_BATT_V1","DEVID":"d{number}","InsID":"z{zone}","unixT":{at},"v":{{"amm":{amm}}}}}"#
                );
                let id = AlertId::of("ammonia-lite", &Reading::read(&text).unwrap()).to_string();
                self.raised.push((id, SEVERITIES[*severity] >= Severity::High));
                text
            })
            .collect();
        serde_json::to_vec(&texts).unwrap()
    }

    /// Runs all acts at the same time.
    async fn act(&mut self, acts: &[Act]) {
        let now = self.now();
        let bodies: Vec<Option<Vec<u8>>> = acts
            .iter()
            .map(|act| match act {
                Act::Push(readings) => Some(self.body(readings)),
                Act::Sweep => None,
            })
            .collect();
        let acting = self.copies.iter().zip(bodies).map(|(copy, body)| async move {
            let Some(body) = body else {
                copy.sweep(now).await.unwrap();
                return;
            };
            let outcome = push_to(copy, body, now).await.unwrap();
            assert!(outcome.evaluated, "{outcome:?}");
        });
        join_all(acting).await;
    }

    async fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        self.shared.now.fetch_add(step.gap, Ordering::Relaxed);
        self.shared.is_failing.store(step.limiter == Limiter::Fails, Ordering::Relaxed);
        self.shared.is_hanging.store(step.limiter == Limiter::Hangs, Ordering::Relaxed);
        self.shared.lost.store(step.lost, Ordering::Relaxed);
        self.shared.turns.lock().unwrap().clone_from(&step.turns);
        // Copies that race in a zone take tokens for messages of the other. A sweep can have a token that is too few for a message.
        self.is_exact &= step.limiter == Limiter::Answers && step.lost == 0 && step.acts.len() == 1;
        let (left, sent_before, raised_before) = (self.left(), self.shared.sent().len(), self.raised.len());
        self.act(&step.acts).await;
        let sent = &self.shared.sent()[sent_before..];
        prop_assert!(sent.is_empty() || step.limiter == Limiter::Answers, "sent without a limiter: {sent:?}");
        let unsent = self.unsent();
        match step.acts.as_slice() {
            [Act::Sweep] if self.is_exact && left > 1.0 + SMALL => {
                prop_assert!(unsent.is_empty(), "{left} tokens, and {unsent:?} wait");
            }
            [Act::Push(_)] => {
                let new = &self.raised[raised_before..];
                let urgent: Vec<&(String, bool)> = new.iter().filter(|(_, is_urgent)| *is_urgent).collect();
                // The last two tokens are left to the sweep.
                if self.is_exact && left > float(urgent.len()) + 2.0 + SMALL {
                    prop_assert!(
                        !urgent.iter().any(|urgent| unsent.contains(urgent)),
                        "{left} tokens, and {unsent:?} wait"
                    );
                }
                let milder = new.iter().filter(|alert| !alert.1 && !unsent.contains(alert)).count();
                let reserve = self.limit.burst.min(4).saturating_sub(1);
                let most = (left - f64::from(reserve) - float(sent.len() - milder)).max(0.0);
                prop_assert!(
                    self.is_bilingual || float(milder) <= most + SMALL,
                    "{milder} of {left} tokens are not urgent: {sent:?}"
                );
            }
            _ => {}
        }
        Ok(())
    }
}

/// More than the rounding of a token. The limiter counts in whole microseconds, and rounds up.
const SMALL: f64 = 1e-4;

fn seconds(number: i64) -> f64 {
    number as f64
}

fn float(number: usize) -> f64 {
    number as f64
}

async fn the_limit_holds(world: &World) -> Result<(), TestCaseError> {
    let mut copies = Copies::new(world);
    // Lists the audiences with a subscription.
    copies.act(&[Act::Sweep]).await;
    for step in &world.steps {
        copies.step(step).await?;
    }
    // A last sweep after every lease, with a token; another one for the digest of other recipients, with two.
    let seconds_a_token = 60 / i64::from(world.per_minute) + 1;
    let gap = LEASED_FOR.max(seconds_a_token * if world.is_bilingual { 2 } else { 1 });
    let last = Step { gap, limiter: Limiter::Answers, lost: 0, turns: vec![0], acts: vec![Act::Sweep] };
    for _ in 0..=usize::from(world.is_bilingual) {
        copies.step(&last).await?;
    }
    prop_assert_eq!(copies.unsent(), Vec::<&(String, bool)>::new());

    let sent = copies.shared.sent();
    let mut to = vec![("office", copies.raised.len())];
    to.extend(world.is_bilingual.then_some(("cleaners", copies.for_cleaners)));
    for (audience, raised) in to {
        let of_audience = sent.iter().filter(|sent| sent.to.is_empty() || sent.to.iter().any(|to| to == audience));
        let mut named: Vec<&String> = of_audience.flat_map(|sent| &sent.alerts).collect();
        named.sort();
        let count = named.len();
        named.dedup();
        prop_assert_eq!((named.len(), count), (raised, raised), "each alert is named once to {}", audience);
    }
    prop_assert!(!sent.iter().any(|sent| sent.is_digest && sent.alerts.len() < 2), "a digest of one: {:?}", sent);
    for (first, from) in sent.iter().enumerate() {
        for (last, until) in sent.iter().enumerate().skip(first) {
            let most = f64::from(world.burst) + f64::from(world.per_minute) * seconds(until.at - from.at) / 60.0;
            let count = last - first + 1;
            prop_assert!(float(count) <= most + SMALL, "{count} from {from:?} to {until:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn copies_that_share_a_limit_keep_it_and_send_every_alert_once(world in some_world()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(the_limit_holds(&world))?;
    }
}
