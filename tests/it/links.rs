//! Links in messages: which messages have one, what the store keeps of it, and what happens without it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::decode::Encoding;
use smartclean_push::ingest::links::{LinkedAlerts, Token, find_link};
use smartclean_push::ingest::ports::{AttentionEntry, Commit, IndexEntry, StateDocument, StateStore, UnavailableError};
use smartclean_push::ingest::{Ingest, PublicUrl, RequestInfo};
use smartclean_push::notify::read_rules;
use smartclean_push::notify::rendered::Rendered;

use crate::support::memory::{MemoryPublisher, MemoryState};
use crate::support::{
    PASSWORD, Server, USERNAME, World, alert_ids, basic, body, command, now, push_to, reading_with, request_info, serve,
};

const HOST: &str = "https://push.example.com";

/// A receiver in memory.
struct Receiver {
    publisher: MemoryPublisher,
    state: MemoryState,
    ingest: Ingest,
}

impl Receiver {
    fn new(rules: &str, publisher: MemoryPublisher) -> Self {
        let state = MemoryState::default();
        let rules: RuleSet = read_rules("rules.toml", format!("block = \"none\"\n{rules}").as_bytes()).unwrap();
        let world = World::new().with_rules(rules).with_state(state.clone()).with_publisher(publisher.clone());
        Self { ingest: world.ingest(), publisher, state }
    }

    fn with_public_url(self) -> Self {
        Self { ingest: self.ingest.with_public_url(Some(HOST.parse().unwrap())), ..self }
    }

    /// Pushes a reading of low soap of each device by a client that called `url`.
    async fn push_to(&self, url: Option<&str>, devices: &[&str]) {
        let url: Option<PublicUrl> = url.map(|url| url.parse().unwrap());
        let request = RequestInfo { url, ..request_info(now()) };
        let outcome = self.ingest.push(soap(devices, 3).into(), Encoding::Identity, &request, now()).await.unwrap();
        assert!(outcome.evaluated, "{outcome:?}");
    }

    /// The alerts of the link of a message.
    async fn linked(&self, message: &Rendered) -> Option<LinkedAlerts> {
        find_link(&self.state, &token(message)?, now()).await.unwrap()
    }

    /// The keys of the links in the store.
    fn stored(&self) -> BTreeSet<String> {
        self.state.documents().into_keys().filter(|key| key.starts_with("link/")).collect()
    }
}

/// Readings of soap sensors, each in a zone of its own.
fn soap(devices: &[&str], percent: u32) -> Vec<u8> {
    soap_at(devices, percent, now())
}

fn soap_at(devices: &[&str], percent: u32, at: Timestamp) -> Vec<u8> {
    let envelope = |device: &str| json!({ "DEVID": device, "InsID": device, "unixT": at.as_second() });
    let reading = |device: &&str| reading_with("SS", &json!({ "p": percent }), &envelope(device));
    body(&devices.iter().map(reading).collect::<Vec<_>>())
}

fn facts(message: &Rendered) -> Value {
    serde_json::from_str(&message.json).unwrap()
}

/// The token of the link of a message.
fn token(message: &Rendered) -> Option<String> {
    let facts = facts(message);
    let link = facts.get("link")?.as_str().unwrap();
    Some(link.rsplit_once("/board/a/").unwrap().1.to_owned())
}

/// The ids of the alerts of a link.
fn ids(linked: &LinkedAlerts) -> Vec<String> {
    linked.alerts.iter().map(|linked| linked.alert.to_string()).collect()
}

#[tokio::test]
async fn a_link_opens_the_alerts_of_its_message() {
    let receiver = Receiver::new("", MemoryPublisher::default());
    receiver.push_to(Some(HOST), &["a", "b"]).await;
    let sent = receiver.publisher.sent();
    assert_eq!((sent.len(), receiver.stored().len()), (2, 2));
    for message in &sent {
        let token = token(message).unwrap();
        let url = format!("{HOST}/board/a/{token}");
        for text in [&message.email, &message.default, &message.html.page()] {
            assert!(text.contains(&url), "{text}");
        }
        assert!(!message.sms.contains("http"), "{}", message.sms);
        let linked = receiver.linked(message).await.unwrap();
        assert_eq!(ids(&linked), alert_ids(&facts(message)));
        let zone = facts(message)["location"]["zone"].as_str().unwrap().to_owned();
        assert!(receiver.state.documents().contains_key(&linked.alerts[0].zone), "{linked:?}");
        assert!(linked.alerts[0].zone.ends_with(&format!("/{zone}")), "{linked:?}");
        assert_eq!(linked.expires, now() + SignedDuration::from_hours(7 * 24));

        let key = Token::parse(&token).unwrap().key("link/");
        assert!(receiver.stored().contains(&key));
        let documents = format!("{:?}", receiver.state.documents());
        assert!(!documents.contains(&token), "the store has the digest alone");
    }
    assert_ne!(token(&sent[0]), token(&sent[1]));
}

#[tokio::test]
async fn a_forged_truncated_or_expired_token_finds_nothing() {
    let receiver = Receiver::new("", MemoryPublisher::default()).with_public_url();
    receiver.push_to(None, &["a"]).await;
    let token = token(&receiver.publisher.sent()[0]).unwrap();
    let week = SignedDuration::from_hours(7 * 24);
    let second = SignedDuration::from_secs(1);
    let find = async |token: &str, at| find_link(&receiver.state, token, at).await.unwrap();
    assert!(find(&token, now() + week - second).await.is_some());
    assert_eq!(find(&token, now() + week).await, None, "expired");
    let forged = Token::random().unwrap().expose();
    let key = receiver.stored().pop_first().unwrap();
    for wrong in [&forged, &token[..21], &format!("{token}="), "", "..", key.strip_prefix("link/").unwrap()] {
        assert_eq!(find(wrong, now()).await, None, "{wrong}");
    }
    receiver.state.set_broken(true);
    assert!(find_link(&receiver.state, &token, now()).await.is_err(), "unknown is not the same as unavailable");
}

#[tokio::test]
async fn without_a_known_url_a_message_has_no_link() {
    let receiver = Receiver::new("", MemoryPublisher::default());
    receiver.push_to(None, &["a"]).await;
    assert_eq!(receiver.linked(&receiver.publisher.sent()[0]).await, None);
    assert_eq!(receiver.stored(), BTreeSet::new());
    assert!(!receiver.publisher.sent()[0].email.contains("http"));
}

#[tokio::test]
async fn the_url_is_the_set_one_else_that_of_the_last_push_of_any_process() {
    let link = |message: &Rendered| facts(message)["link"].as_str().unwrap().to_owned();
    let first = Receiver::new("", MemoryPublisher::default());
    first.push_to(Some("http://10.0.0.7:8080"), &["a"]).await;
    first.push_to(Some("https://b.example"), &["b"]).await;
    first.push_to(Some("https://b.example"), &["c"]).await;
    let sent = first.publisher.sent();
    assert!(link(&sent[0]).starts_with("http://10.0.0.7:8080/board/a/"), "{}", link(&sent[0]));
    assert!(link(&sent[1]).starts_with("https://b.example/board/a/"), "{}", link(&sent[1]));
    assert_eq!(first.state.documents()["public-url"].version, 2, "it is written if it differs");

    // Another process, whose push came over MQTT.
    let second = World::new().with_state(first.state.clone()).start();
    push_to(second.ingest(), soap(&["d"], 3), now()).await.unwrap();
    assert!(link(&second.publisher.sent()[0]).starts_with("https://b.example/"));

    let set = Receiver::new("", MemoryPublisher::default()).with_public_url();
    set.push_to(Some("https://b.example"), &["a"]).await;
    assert!(link(&set.publisher.sent()[0]).starts_with(HOST));
    assert!(!set.state.documents().contains_key("public-url"));
}

#[tokio::test]
async fn a_push_that_is_not_accepted_does_not_set_the_url() {
    let receiver = Receiver::new("", MemoryPublisher::default());
    let request = RequestInfo { url: Some(HOST.parse().unwrap()), ..request_info(now()) };
    receiver.ingest.push("no batch".into(), Encoding::Identity, &request, now()).await.unwrap_err();
    assert!(!receiver.state.documents().contains_key("public-url"));
}

#[tokio::test]
async fn a_message_whose_link_cannot_be_stored_goes_out_without_one() {
    let (publisher, state) = (MemoryPublisher::default(), MemoryState::default());
    let broken = WithoutLinks(state.clone());
    let world = World::new().with_state(broken).with_publisher(publisher.clone());
    let ingest = world.ingest().with_public_url(Some(HOST.parse().unwrap()));
    push_to(&ingest, soap(&["a"], 3), now()).await.unwrap();
    let sent = publisher.sent();
    assert_eq!((sent.len(), token(&sent[0])), (1, None));
    assert!(!sent[0].email.contains("http"), "{}", sent[0].email);
    assert!(state.documents().values().all(|document| !document.body.contains("outbox")), "it is sent");
}

/// A state store that takes no links.
struct WithoutLinks(MemoryState);

#[async_trait]
impl StateStore for WithoutLinks {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        self.0.load(keys).await
    }

    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError> {
        if key.starts_with("link/") {
            // As a store that does not answer.
            std::future::pending::<()>().await;
        }
        self.0.commit(key, version, body, index).await
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        self.0.due(now, most).await
    }

    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        self.0.attention(most).await
    }
}

#[tokio::test]
async fn audiences_choose_where_their_messages_have_a_link() {
    let audience = |id: &str, zone: &str, rest: &str| {
        format!("[[audience]]\nid = \"{id}\"\nzones = \"{zone}\"\nrules = \"soap-low\"\n{rest}\n")
    };
    let rules = [
        audience("default", "a", ""),
        audience("none", "b", "links = []"),
        audience("sms", "c", "links = [\"sms\", \"email\"]"),
        audience("first", "d", "links = [\"email\", \"sms\"]"),
        audience("second", "d", ""),
    ];
    let publisher = MemoryPublisher::default();
    publisher.set_audiences(&["default", "none", "sms", "first", "second"]);
    let receiver = Receiver::new(&rules.concat(), publisher).with_public_url();
    receiver.ingest.sweep(now() - SignedDuration::from_secs(300)).await.unwrap();
    receiver.push_to(None, &["a", "b", "c", "d"]).await;
    let mut shown: Vec<_> = receiver
        .publisher
        .sent()
        .iter()
        .map(|message| {
            let zone = facts(message)["location"]["zone"].as_str().unwrap().to_owned();
            (zone, token(message).is_some(), message.sms.contains(HOST))
        })
        .collect();
    shown.sort();
    let shown: Vec<_> = shown.iter().map(|(zone, link, sms)| (zone.as_str(), *link, *sms)).collect();
    assert_eq!(shown, [("a", true, false), ("b", false, false), ("c", true, true), ("d", true, false)]);
    assert_eq!(receiver.stored().len(), 3);
}

#[tokio::test]
async fn a_message_in_two_languages_has_two_tokens() {
    let rules = "[[audience]]\nid = \"office\"\n[[audience]]\nid = \"cleaners\"\nlanguage = \"zh-Hans\"\n";
    let publisher = MemoryPublisher::default();
    publisher.set_audiences(&["office", "cleaners"]);
    let receiver = Receiver::new(rules, publisher).with_public_url();
    receiver.ingest.sweep(now() - SignedDuration::from_secs(300)).await.unwrap();
    receiver.push_to(None, &["a"]).await;
    let sent = receiver.publisher.sent();
    let [english, chinese] = &sent[..] else { panic!("{sent:?}") };
    assert!(english.email.contains("\nAnswer (I take it") && chinese.email.contains("\n回复（我来处理"));
    assert_ne!(token(english), token(chinese));
    assert_eq!(receiver.linked(english).await, receiver.linked(chinese).await);
}

#[tokio::test]
async fn resolved_messages_and_notices_have_no_link() {
    let receiver = Receiver::new("[[rule]]\nid = \"soap-low\"\nresolved = true\n", MemoryPublisher::default());
    let receiver = receiver.with_public_url();
    receiver.push_to(None, &["a"]).await;
    let later = now() + SignedDuration::from_secs(60);
    push_to(&receiver.ingest, soap_at(&["a"], 90, later), later).await.unwrap();
    // Nothing arrives for hours: a notice.
    for hours in [3, 4] {
        receiver.ingest.sweep(now() + SignedDuration::from_hours(hours)).await.unwrap();
    }
    let kinds: Vec<_> = receiver
        .publisher
        .sent()
        .iter()
        .map(|message| (facts(message)["kind"].as_str().unwrap().to_owned(), token(message).is_some()))
        .collect();
    assert_eq!(kinds[..2], [("firing".to_owned(), true), ("resolved".to_owned(), false)]);
    assert!(kinds[2..].iter().any(|(kind, _)| kind == "notice"), "{kinds:?}");
    assert!(kinds[2..].iter().all(|(_, has_link)| !has_link), "{kinds:?}");
}

#[tokio::test]
async fn a_retry_has_a_new_token_and_a_digest_one_for_its_first_alerts() {
    let receiver = Receiver::new("[rate_limit]\nburst = 1\nper_minute = 1\n", MemoryPublisher::of(Channel::Sns));
    let receiver = receiver.with_public_url();
    let devices: Vec<String> = (0..25).map(|number| format!("d{number}")).collect();
    receiver.publisher.set_broken(true);
    receiver.push_to(None, &devices.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!((receiver.publisher.sent().len(), receiver.stored().len()), (0, 1), "one was tried");
    receiver.publisher.set_broken(false);
    receiver.ingest.sweep(now() + SignedDuration::from_secs(90)).await.unwrap();
    let sent = receiver.publisher.sent();
    assert_eq!((sent.len(), receiver.stored().len()), (1, 2), "{:?}", sent);
    let linked = receiver.linked(&sent[0]).await.unwrap();
    assert_eq!((facts(&sent[0])["kind"].as_str(), linked.alerts.len()), (Some("digest"), 20));
    let zones: BTreeSet<_> = linked.alerts.iter().map(|linked| &linked.zone).collect();
    assert_eq!(zones.len(), 20, "each in the zone that it is of");
}

/// Sends low soap to a server, with headers. Returns the link in the last line of the alert log.
fn link_of(server: &Server, data: &std::path::Path, device: &str, headers: &[(&str, &str)]) -> String {
    let mut request = ureq::post(&server.url()).header("Authorization", basic(USERNAME, PASSWORD));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send(soap_at(&[device], 3, Timestamp::now())).unwrap();
    let log = std::fs::read_to_string(data.join("alerts.ndjson")).unwrap();
    let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    line["message"]["json"]["link"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_server_writes_links_with_the_host_that_its_client_called_or_the_set_one() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut serve(data.path()));
    let link = link_of(&server, data.path(), "a", &[]);
    assert!(link.starts_with(&format!("http://{}/board/a/", server.address)), "{link}");
    let proxied = [("Host", "push.example.com"), ("X-Forwarded-Proto", "https")];
    let proxied = link_of(&server, data.path(), "b", &proxied);
    assert!(proxied.starts_with("https://push.example.com/board/a/"), "{proxied}");
    server.end();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = SqliteStore::open(&data.path().join("state.db")).unwrap();
    let token = link.rsplit_once('/').unwrap().1;
    let found = runtime.block_on(find_link(&store, token, Timestamp::now())).unwrap();
    assert_eq!(found.unwrap().alerts.len(), 1);
    let documents = runtime.block_on(store.documents()).unwrap();
    assert!(!format!("{documents:?}").contains(token));
    let key = Token::parse(token).unwrap().key("link/");
    let connection = rusqlite::Connection::open(data.path().join("state.db")).unwrap();
    assert_eq!(connection.execute("DELETE FROM documents WHERE key = ?1", [key]).unwrap(), 1);
    let revoked = runtime.block_on(find_link(&store, token, Timestamp::now())).unwrap();
    assert_eq!(revoked, None, "whoever deletes the document revokes the link");

    let data = tempfile::tempdir().unwrap();
    let server = Server::start(serve(data.path()).args(["--public-url", HOST]));
    assert!(link_of(&server, data.path(), "a", &[]).starts_with(&format!("{HOST}/board/a/")));
    for wrong in ["push.example.com", "https://push.example.com/push"] {
        let output = command(&["serve", "--public-url", wrong]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("without a path"), "{wrong}");
    }
}
