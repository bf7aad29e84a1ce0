//! One message per language: the same alert in the languages of the audiences that it goes to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::Ingest;
use smartclean_push::ingest::ports::{AlertPublisher, OutgoingMessage, PublishOutcome, UnavailableError};
use smartclean_push::notify::read_rules;

use crate::support::memory::{MemoryPublisher, MemoryState};
use crate::support::{World, body, now, push_to, reading_with};

/// Soap is of both audiences, a spill of the Chinese one alone, a full bin of everybody.
const TEAMS: &str = r#"
block = "none"
[[rule]]
id = "silent"
enabled = false
[[audience]]
id = "office"
rules = ["soap-low"]
emails = ["office@example.com", "both@example.com"]
[[audience]]
id = "cleaners"
rules = ["soap-low", "spill"]
language = "zh-Hans"
emails = ["cleaners@example.com", "both@example.com"]
"#;

fn rules(text: &str) -> RuleSet {
    read_rules("rules.toml", text.as_bytes()).unwrap()
}

/// Records the messages of one channel. Those in Chinese can fail.
#[derive(Clone)]
struct Recorder {
    publisher: MemoryPublisher,
    messages: Arc<Mutex<Vec<OutgoingMessage>>>,
    fails_in_chinese: Arc<AtomicBool>,
}

#[async_trait]
impl AlertPublisher for Recorder {
    fn channel(&self) -> Channel {
        self.publisher.channel()
    }

    async fn publish(&self, _rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        let publish = |message: &OutgoingMessage| {
            if !message.rendered.subject.is_ascii() && self.fails_in_chinese.load(Ordering::Relaxed) {
                return PublishOutcome::failed("the message was not sent", "failure injected by the test");
            }
            self.messages.lock().unwrap().push(message.clone());
            PublishOutcome::default()
        };
        messages.iter().map(publish).collect()
    }

    async fn subscribed_audiences(&self) -> Result<Option<BTreeSet<String>>, UnavailableError> {
        self.publisher.subscribed_audiences().await
    }
}

/// A receiver with one channel. Both audiences are subscribed.
struct Receiver {
    recorder: Recorder,
    state: MemoryState,
    ingest: Ingest,
}

impl Receiver {
    async fn new(channel: Channel, text: &str) -> Self {
        let publisher = MemoryPublisher::of(channel);
        publisher.set_audiences(&["office", "cleaners"]);
        let recorder = Recorder { publisher, messages: Arc::default(), fails_in_chinese: Arc::default() };
        let state = MemoryState::default();
        let world = World::new().with_rules(rules(text)).with_state(state.clone());
        let receiver = Self { ingest: world.with_publisher(recorder.clone()).ingest(), recorder, state };
        receiver.sweep(-300).await;
        receiver
    }

    /// Pushes a reading of each of these device types that raises an alert, each of another device.
    async fn push(&self, device_types: &[&str]) {
        let reading = |(number, device_type): (usize, &&str)| {
            let values = if *device_type == "WD" { json!({ "value": 1, "AreaP": 20 }) } else { json!({ "p": 3 }) };
            let device = format!("d{number}");
            reading_with(device_type, &values, &json!({ "DEVID": device, "InsID": device }))
        };
        let readings: Vec<_> = device_types.iter().enumerate().map(reading).collect();
        push_to(&self.ingest, body(&readings), now()).await.unwrap();
    }

    async fn sweep(&self, seconds: i64) -> Timestamp {
        let at = now() + SignedDuration::from_secs(seconds);
        self.ingest.sweep(at).await.unwrap();
        at
    }

    fn messages(&self) -> Vec<OutgoingMessage> {
        self.recorder.messages.lock().unwrap().clone()
    }

    /// The subject and the recipients of each message.
    fn sent(&self) -> Vec<(String, String)> {
        self.messages().iter().map(|message| (message.rendered.subject.clone(), message.to.join(" "))).collect()
    }

    fn is_empty(&self) -> bool {
        self.state.documents().values().all(|document| !document.body.contains("outbox"))
    }
}

fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected.map(|(subject, to)| (subject.to_owned(), to.to_owned())).to_vec()
}

#[tokio::test]
async fn an_alert_is_one_message_in_each_language_of_its_audiences() {
    let receiver = Receiver::new(Channel::Sns, TEAMS).await;
    receiver.push(&["SS"]).await;
    assert_eq!(
        receiver.sent(),
        pairs([("[MEDIUM] Soap low: Washroom 3", "office"), ("[中] 洗手液不足：Washroom 3", "cleaners")])
    );
    let messages = receiver.messages();
    let to = |message: &OutgoingMessage| message.rendered.record()["attributes"]["to"].clone();
    assert_eq!((to(&messages[0]), to(&messages[1])), (json!(["office"]), json!(["cleaners"])));
    assert!(messages[0].rendered.sms.contains("soap left 3 %"), "{messages:?}");
    assert!(messages[1].rendered.sms.contains("洗手液余量 3 %"), "{messages:?}");
    assert_eq!(messages[0].rendered.id, messages[1].rendered.id, "both are about the same alert");
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn recipients_of_one_language_get_one_message_and_everybody_gets_one_in_english() {
    let receiver = Receiver::new(Channel::Sns, TEAMS).await;
    receiver.push(&["WD", "BIN"]).await;
    let expected = [("[高] 地面有水：Washroom 3", "cleaners"), ("[MEDIUM] Bin nearly full: Washroom 3", "")];
    assert_eq!(receiver.sent(), pairs(expected));

    let shared = Receiver::new(Channel::Sns, &TEAMS.replace("language = \"zh-Hans\"\n", "")).await;
    shared.push(&["SS"]).await;
    assert_eq!(shared.sent(), pairs([("[MEDIUM] Soap low: Washroom 3", "cleaners office")]));
}

#[tokio::test]
async fn everybody_gets_the_language_that_all_audiences_share() {
    let text = TEAMS.replace("id = \"office\"\n", "id = \"office\"\nlanguage = \"zh-Hans\"\n");
    let receiver = Receiver::new(Channel::Sns, &text).await;
    receiver.push(&["BIN"]).await;
    assert_eq!(receiver.sent(), pairs([("[中] 垃圾桶将满：Washroom 3", "")]));
}

#[tokio::test]
async fn an_audience_without_a_subscription_sends_one_message_to_everybody() {
    let receiver = Receiver::new(Channel::Sns, TEAMS).await;
    receiver.recorder.publisher.set_audiences(&["office"]);
    receiver.sweep(0).await;
    receiver.push(&["SS"]).await;
    assert_eq!(receiver.sent().last().unwrap(), &pairs([("[MEDIUM] Soap low: Washroom 3", "")])[0]);
}

#[tokio::test]
async fn an_address_gets_the_language_of_its_audience_and_one_email() {
    let receiver = Receiver::new(Channel::Email, TEAMS).await;
    receiver.push(&["SS", "WD"]).await;
    let expected = [
        ("[高] 地面有水：Washroom 3", "both@example.com cleaners@example.com"),
        ("[MEDIUM] Soap low: Washroom 3", "both@example.com office@example.com"),
        ("[中] 洗手液不足：Washroom 3", "cleaners@example.com"),
    ];
    assert_eq!(receiver.sent(), pairs(expected));
    assert!(receiver.messages()[2].rendered.html.page().contains("<html lang=\"zh-Hans\">"));
}

#[tokio::test]
async fn the_log_and_the_webhook_get_one_message() {
    for channel in [Channel::Log, Channel::Webhook] {
        let receiver = Receiver::new(channel, TEAMS).await;
        receiver.push(&["SS", "WD"]).await;
        let expected =
            [("[高] 地面有水：Washroom 3", "cleaners"), ("[MEDIUM] Soap low: Washroom 3", "cleaners office")];
        assert_eq!(receiver.sent(), pairs(expected), "{channel}");
    }
}

#[tokio::test]
async fn a_language_that_failed_is_sent_again_and_the_other_is_not() {
    for channel in [Channel::Sns, Channel::Email] {
        let receiver = Receiver::new(channel, TEAMS).await;
        receiver.recorder.fails_in_chinese.store(true, Ordering::Relaxed);
        receiver.push(&["SS"]).await;
        let english = receiver.sent();
        assert_eq!(english.len(), 1, "{channel}: {english:?}");
        receiver.sweep(60).await;
        assert_eq!(receiver.sent(), english, "{channel}: still failing");
        receiver.recorder.fails_in_chinese.store(false, Ordering::Relaxed);
        receiver.sweep(180).await;
        let messages = receiver.messages();
        assert_eq!(messages.len(), 2, "{channel}: {messages:?}");
        assert!(messages[1].rendered.subject.starts_with("[中]"), "{channel}");
        assert_eq!(messages[0].rendered.id, messages[1].rendered.id, "{channel}");
        receiver.sweep(600).await;
        assert!(receiver.messages().len() == 2 && receiver.is_empty(), "{channel}");
    }
}

#[tokio::test]
async fn a_message_takes_one_token_for_each_language_in_which_it_goes_out() {
    let limit = "[rate_limit]\nburst = 9\nper_minute = 9\n";
    for (channel, device_type, sent) in [
        // In Chinese alone.
        (Channel::Sns, "WD", 9),
        // In both languages. The last three of nine are left to severe alerts, and a message is sent whole.
        (Channel::Sns, "SS", 6),
        (Channel::Email, "SS", 6),
        (Channel::Webhook, "SS", 6),
        // To everybody, in English.
        (Channel::Sns, "BIN", 6),
    ] {
        let receiver = Receiver::new(channel, &format!("{TEAMS}{limit}")).await;
        receiver.push(&[device_type; 12]).await;
        assert_eq!(receiver.messages().len(), sent, "{channel}, {device_type}: {:?}", receiver.sent());
    }
}

#[tokio::test]
async fn a_message_in_more_languages_than_a_burst_is_sent() {
    let receiver = Receiver::new(Channel::Sns, &format!("{TEAMS}[rate_limit]\nburst = 1\nper_minute = 1\n")).await;
    receiver.push(&["SS"]).await;
    assert_eq!(receiver.messages().len(), 2);
}

#[tokio::test]
async fn a_digest_is_one_message_per_language_and_a_burst_counts_each() {
    let receiver = Receiver::new(Channel::Sns, &format!("{TEAMS}[rate_limit]\nburst = 8\nper_minute = 8\n")).await;
    receiver.push(&["SS"; 30]).await;
    assert!(receiver.messages().len() <= 8, "an address can be subscribed to both languages: {:?}", receiver.sent());
    receiver.sweep(60).await;
    receiver.sweep(120).await;
    let mut alerts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in receiver.messages() {
        let facts = serde_json::from_str(&message.rendered.json).unwrap();
        alerts.entry(message.to.join(" ")).or_default().extend(crate::support::alert_ids(&facts));
    }
    let [office, cleaners] = ["office", "cleaners"].map(|id| {
        let mut ids = alerts[id].clone();
        ids.sort();
        ids
    });
    assert_eq!((office.len(), &office), (30, &cleaners));
    assert!(receiver.sent().iter().any(|(subject, _)| subject.contains("条警报（")), "{:?}", receiver.sent());
    assert!(receiver.is_empty());
}
