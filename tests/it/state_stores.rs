//! The contract of a state store, tested for the memory, SQLite and DynamoDB stores.

use std::process::Stdio;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use smartclean_push::domain::rate_limit::{RateLimit, Requester, TokenDemand, TokenRequest};
use smartclean_push::domain::severity::Severity;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::ports::{AttentionEntry, Commit, IndexEntry, StateDocument, StateStore};
use smartclean_push::ingest::rate_limit::{take_sms, take_tokens};

use crate::support::memory::{MemoryDocument, MemoryState};
use crate::support::now;
use crate::support::process;

/// Loads one document.
async fn load(store: &impl StateStore, key: &str) -> StateDocument {
    let mut documents = store.load(&[key.to_owned()]).await.unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn document(body: &str, version: u64) -> StateDocument {
    StateDocument { body: Some(body.to_owned()), version }
}

/// Adds 1 to the number in a document and retries until it succeeds. Returns the number of lost races.
async fn increment(store: &impl StateStore, key: &str) -> u32 {
    let mut lost = 0;
    loop {
        let StateDocument { body, version } = load(store, key).await;
        let count: u64 = body.map_or(0, |body| body.parse().unwrap());
        match store.commit(key, version, &(count + 1).to_string(), IndexEntry::default()).await.unwrap() {
            Commit::Done => return lost,
            Commit::Lost => lost += 1,
        }
    }
}

/// Checks the whole contract on a store that nothing else uses. The documents that it leaves are not due.
async fn check_contract<S: StateStore + Clone + 'static>(store: S) {
    documents_have_versions(&store).await;
    a_lost_race_writes_nothing(&store).await;
    any_text_is_stored(&store).await;
    similar_keys_are_distinct(&store).await;
    many_documents_are_loaded_in_the_requested_order(&store).await;
    due_documents_are_found_by_time(&store).await;
    nothing_is_due_early(&store).await;
    zones_that_need_attention_are_found_by_urgency(&store).await;
    documents_written_at_once_have_outcomes_of_their_own(&store).await;
    concurrent_increments_are_all_counted(store.clone()).await;
    tokens_are_granted_up_to_the_limit_and_in_order_of_urgency(&store).await;
    sms_are_counted_per_day(&store).await;
    concurrent_copies_never_exceed_the_limit(store).await;
}

async fn documents_have_versions(store: &impl StateStore) {
    assert_eq!(load(store, "kept").await, StateDocument { body: None, version: 0 });
    assert_eq!(store.load(&[]).await.unwrap(), []);
    for version in 0..3 {
        let body = format!("{{\"written\":{version}}}");
        assert_eq!(store.commit("kept", version, &body, IndexEntry::default()).await.unwrap(), Commit::Done);
        assert_eq!(load(store, "kept").await, document(&body, version + 1));
    }
}

async fn a_lost_race_writes_nothing(store: &impl StateStore) {
    let long_past = Some(Timestamp::UNIX_EPOCH);
    // A document that does not exist has no version that a caller can have read.
    assert_eq!(store.commit("raced", 1, "first", long_past.into()).await.unwrap(), Commit::Lost);
    assert_eq!(load(store, "raced").await, StateDocument::default());
    assert_eq!(store.commit("raced", 0, "first", IndexEntry::default()).await.unwrap(), Commit::Done);
    for stale in [0, 2, 3] {
        assert_eq!(store.commit("raced", stale, "second", long_past.into()).await.unwrap(), Commit::Lost, "{stale}");
        assert_eq!(load(store, "raced").await, document("first", 1));
    }
    assert_eq!(store.due(now(), 10).await.unwrap(), [""; 0]);
    assert_eq!(store.commit("raced", 1, "second", IndexEntry::default()).await.unwrap(), Commit::Done);
}

async fn any_text_is_stored(store: &impl StateStore) {
    // The text does not compress well and is not larger than the limit of DynamoDB.
    let large: String = (0..15_000_u64).map(|i| format!("{:020}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
    assert_eq!(large.len(), 300_000);
    let repetitive = "{\"id\":\"JKJaXmPLvHcESHA=\"}".repeat(100_000);
    for (number, body) in ["", "{}", "é\u{0}\u{10FFFF}\r\n'\"", &large, &repetitive].into_iter().enumerate() {
        let key = format!("text {number}");
        assert_eq!(store.commit(&key, 0, body, IndexEntry::default()).await.unwrap(), Commit::Done);
        assert!(load(store, &key).await == document(body, 1), "text {number}");
    }
}

async fn similar_keys_are_distinct(store: &impl StateStore) {
    let long = "ß".repeat(3_000);
    let keys =
        ["zone/1:a/b", "zone/1:a/B", "zone/1:a/b ", "zone/1:a/%_'\u{0}", &long, &format!("{long}x"), "é", "e\u{301}"];
    for key in keys {
        assert_eq!(store.commit(key, 0, key, IndexEntry::default()).await.unwrap(), Commit::Done, "{key}");
    }
    for key in keys {
        assert_eq!(load(store, key).await, document(key, 1));
    }
}

async fn many_documents_are_loaded_in_the_requested_order(store: &impl StateStore) {
    let keys: Vec<_> = (0..250).map(|number| format!("many {number}")).collect();
    for key in keys.iter().step_by(2) {
        assert_eq!(store.commit(key, 0, key, IndexEntry::default()).await.unwrap(), Commit::Done);
    }
    // The request repeats some keys.
    let requested: Vec<_> = keys.iter().rev().chain(&keys[..5]).cloned().collect();
    let expected: Vec<_> = requested
        .iter()
        .map(|key| if key.ends_with(['0', '2', '4', '6', '8']) { document(key, 1) } else { StateDocument::default() })
        .collect();
    assert_eq!(store.load(&requested).await.unwrap(), expected);
}

async fn due_documents_are_found_by_time(store: &impl StateStore) {
    let due = async |seconds, most| store.due(now() + SignedDuration::from_secs(seconds), most).await.unwrap();
    let set = async |key: &str, version, seconds: Option<i64>| {
        let due = seconds.map(|seconds| now() + SignedDuration::from_secs(seconds));
        assert_eq!(store.commit(key, version, "{}", due.into()).await.unwrap(), Commit::Done);
    };
    assert_eq!(due(1_000_000, 10).await, [""; 0]);
    // More documents than there are shards, and not in the order of their keys.
    for number in 0..12 {
        set(&format!("due {number:02}"), 0, Some(100 - number)).await;
    }
    set("due never", 0, None).await;
    assert_eq!(due(88, 100).await, [""; 0]);
    assert_eq!(due(89, 100).await, ["due 11"]);
    assert_eq!(due(95, 100).await, ["due 11", "due 10", "due 09", "due 08", "due 07", "due 06", "due 05"]);
    assert_eq!(due(1_000, 3).await, ["due 11", "due 10", "due 09"]);
    assert_eq!(due(1_000, 100).await.len(), 12);
    assert_eq!(due(1_000, 0).await, [""; 0]);
    // One is postponed, one is due earlier, one is not due any more.
    set("due 11", 1, Some(500)).await;
    set("due 00", 1, Some(1)).await;
    set("due 10", 1, None).await;
    assert_eq!(due(91, 100).await, ["due 00", "due 09"]);
    for number in 0..12 {
        let key = format!("due {number:02}");
        set(&key, load(store, &key).await.version, None).await;
    }
    assert_eq!(due(1_000_000, 10).await, [""; 0]);
}

async fn nothing_is_due_early(store: &impl StateStore) {
    let moment = now() + SignedDuration::from_nanos(1_500_000);
    let long = format!("early {}", "x".repeat(3_000));
    assert_eq!(store.commit(&long, 0, "{}", Some(moment).into()).await.unwrap(), Commit::Done);
    assert_eq!(store.due(moment - SignedDuration::from_nanos(1), 1).await.unwrap(), [""; 0]);
    let due = store.due(moment + SignedDuration::from_millis(1), 1).await.unwrap();
    // The returned name may differ from the key, but it refers to the same document.
    assert_eq!(store.load(&due).await.unwrap(), [document("{}", 1)]);
    assert_eq!(store.commit(&due[0], 1, "{}", IndexEntry::default()).await.unwrap(), Commit::Done);
    assert_eq!(load(store, &long).await.version, 2);
}

async fn zones_that_need_attention_are_found_by_urgency(store: &impl StateStore) {
    let entry =
        |rank: usize| AttentionEntry { sort_key: format!("0{rank:02}/2026"), summary: format!("{{\"{rank}\":1}}") };
    let set = async |zone: usize, version, attention: Option<usize>| {
        let index = IndexEntry { due: None, attention: attention.map(entry) };
        assert_eq!(store.commit(&format!("attention {zone}"), version, "{}", index).await.unwrap(), Commit::Done);
    };
    assert_eq!(store.attention(10).await.unwrap(), []);
    // More zones than there are shards, and not in the order of their keys.
    for zone in 0..20 {
        set(zone, 0, Some(50 - zone)).await;
    }
    assert_eq!(store.attention(3).await.unwrap(), [31, 32, 33].map(entry));
    assert_eq!(store.attention(100).await.unwrap(), (31..=50).map(entry).collect::<Vec<_>>());
    // One becomes worse, one less urgent, one calm.
    set(0, 1, Some(1)).await;
    set(19, 1, Some(90)).await;
    set(18, 1, None).await;
    assert_eq!(store.attention(3).await.unwrap(), [1, 33, 34].map(entry));
    assert_eq!(store.attention(100).await.unwrap().last(), Some(&entry(90)));
    for zone in 0..20 {
        set(zone, load(store, &format!("attention {zone}")).await.version, None).await;
    }
    assert_eq!(store.attention(10).await.unwrap(), []);
}

async fn documents_written_at_once_have_outcomes_of_their_own(store: &impl StateStore) {
    let keys: Vec<_> = (0..60).map(|number| format!("at once {number}")).collect();
    let write = async |version_of: &(dyn Fn(usize) -> u64 + Sync), body: &'static str, due: Option<Timestamp>| {
        join_all(
            keys.iter()
                .enumerate()
                .map(async |(number, key)| store.commit(key, version_of(number), body, due.into()).await.unwrap()),
        )
        .await
    };
    assert_eq!(write(&|_| 0, "first", None).await, [Commit::Done; 60]);
    let is_stale = |number: usize| number % 3 == 1;
    let outcomes = write(&|number| if is_stale(number) { 2 } else { 1 }, "second", Some(now())).await;
    for (number, (key, outcome)) in keys.iter().zip(outcomes).enumerate() {
        let (expected, stored) =
            if is_stale(number) { (Commit::Lost, document("first", 1)) } else { (Commit::Done, document("second", 2)) };
        assert_eq!((outcome, load(store, key).await), (expected, stored), "{key}");
    }
    assert_eq!(store.due(now(), 100).await.unwrap().len(), 40);
    assert_eq!(write(&|number| if is_stale(number) { 1 } else { 2 }, "third", None).await, [Commit::Done; 60]);
    assert_eq!(store.due(now(), 100).await.unwrap(), [""; 0]);
}

async fn concurrent_increments_are_all_counted<S: StateStore + Clone + 'static>(store: S) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        tasks.spawn(async move { increment(&store, "counted").await });
    }
    tasks.join_all().await;
    assert_eq!(load(&store, "counted").await, document("20", 20));
}

const LIMIT: RateLimit = RateLimit { burst: 10, per_minute: 10, sms_per_day: 100 };

/// Returns a time some days from now, at which the token bucket is full again.
fn in_days(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

/// Messages of one token each.
fn demand(urgent: usize, other: usize) -> Vec<TokenDemand> {
    let messages = |severity, count| vec![TokenDemand { severity, tokens: 1 }; count];
    [messages(Severity::High, urgent), messages(Severity::Medium, other)].concat()
}

async fn tokens_are_granted_up_to_the_limit_and_in_order_of_urgency(store: &impl StateStore) {
    let take = async |urgent, other, requester, seconds| {
        let (demand, at) = (demand(urgent, other), now() + SignedDuration::from_secs(seconds));
        take_tokens(store, Channel::Sns, &TokenRequest { limit: LIMIT, demand, requester, now: at }).await.unwrap()
    };
    assert_eq!(take(1, 20, Requester::Push, 0).await, 7);
    assert_eq!(take(0, 1, Requester::Push, 30).await, 0, "the other alerts wait");
    assert_eq!(take(2, 0, Requester::Push, 30).await, 2);
    assert_eq!(take(0, 20, Requester::Sweep { digests: 1 }, 60).await, 7);
    assert_eq!(take(0, 1, Requester::Push, 67).await, 1, "no alert waits any more");
    assert_eq!(take(50, 0, Requester::Sweep { digests: 1 }, 67).await, 3);
    assert_eq!(take(1, 0, Requester::Push, 67).await, 0);
    assert_eq!(take(1, 0, Requester::Push, 7).await, 0, "a clock that was set back");
    assert_eq!(take(50, 0, Requester::Push, 1_000_000).await, 10);
    assert_eq!(store.due(Timestamp::MAX, 10).await.unwrap(), [""; 0], "the rate limit is never due");
}

async fn concurrent_copies_never_exceed_the_limit<S: StateStore + Clone + 'static>(store: S) {
    let [urgent, other] = [(1, 0), (0, 1)].map(|(urgent, other)| demand(urgent, other));
    for (days, demand, most) in [(20, urgent, 10), (21, other, 7)] {
        let taken = tokens_taken_by_sixty(&store, LIMIT, &demand, in_days(days)).await;
        assert!((1..=most).contains(&taken), "{demand:?}: {taken}");
    }
    assert!((1..=25).contains(&sms_taken_by_twenty(&store, in_days(22)).await));
}

/// Checks that concurrent copies retry after a lost race, so that almost all tokens are taken. A store that answers one
/// request after the other, as the emulator of DynamoDB does, is too slow for this.
async fn copies_that_lose_a_race_retry<S: StateStore + Clone + 'static>(store: S) {
    let [urgent, other] = [(1, 0), (0, 1)].map(|(urgent, other)| demand(urgent, other));
    for (days, burst, demand, granted) in
        [(30, 10, &urgent, 10..=10), (31, 10, &other, 7..=7), (32, 60, &urgent, 50..=60)]
    {
        let taken = tokens_taken_by_sixty(&store, RateLimit { burst, ..LIMIT }, demand, in_days(days)).await;
        assert!(granted.contains(&taken), "{demand:?} of {burst}: {taken}");
    }
    assert_eq!(sms_taken_by_twenty(&store, in_days(33)).await, 25);
}

/// Returns the number of tokens that 60 concurrent copies get if each has the same demand. A copy that loses every race
/// gets none.
async fn tokens_taken_by_sixty<S: StateStore + Clone + 'static>(
    store: &S,
    limit: RateLimit,
    demand: &[TokenDemand],
    now: Timestamp,
) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let (store, demand) = (store.clone(), demand.to_vec());
        let request = TokenRequest { limit, demand, requester: Requester::Push, now };
        tasks.spawn(async move { take_tokens(&store, Channel::Sns, &request).await.unwrap_or_default() });
    }
    tasks.join_all().await.into_iter().sum()
}

/// Returns the number of SMS that 20 concurrent copies get from a quota of 25. Each requests two.
async fn sms_taken_by_twenty<S: StateStore + Clone + 'static>(store: &S, now: Timestamp) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        tasks.spawn(async move { take_sms(&store, 25, 2, now).await.unwrap_or_default() });
    }
    tasks.join_all().await.into_iter().sum()
}

async fn sms_are_counted_per_day(store: &impl StateStore) {
    assert_eq!(take_sms(store, 25, 2, now()).await.unwrap(), 2);
    assert_eq!(take_sms(store, 25, 24, now()).await.unwrap(), 23);
    assert_eq!(take_sms(store, 25, 1, now()).await.unwrap(), 0);
    assert_eq!(take_sms(store, 27, 3, now()).await.unwrap(), 2, "a higher quota");
    assert_eq!(take_sms(store, 25, 100, in_days(1)).await.unwrap(), 25);
    assert_eq!(take_sms(store, 0, 1, in_days(1)).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_keeps_the_contract() {
    let store = MemoryState::default();
    check_contract(store.clone()).await;
    copies_that_lose_a_race_retry(store).await;
}

#[tokio::test]
async fn the_memory_store_returns_its_documents_and_injects_failures() {
    let store = MemoryState::default();
    store.lose_next(2);
    for expected in [Commit::Lost, Commit::Lost, Commit::Done, Commit::Lost] {
        assert_eq!(store.commit("a", 0, "{}", Some(now()).into()).await.unwrap(), expected);
    }
    store.set_broken(true);
    assert!(store.load(&["a".to_owned()]).await.is_err());
    assert!(store.commit("a", 1, "changed", IndexEntry::default()).await.is_err());
    assert!(store.due(now(), 1).await.is_err());
    let shown = MemoryDocument { body: "{}".to_owned(), version: 1, due: Some(now()), attention: None };
    assert_eq!(store.documents().into_iter().collect::<Vec<_>>(), [("a".to_owned(), shown)]);
    store.set_broken(false);
    assert_eq!(load(&store, "a").await, document("{}", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite_store_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = smartclean_push::adapters::local::sqlite::SqliteStore::open(&path).unwrap();
    check_contract(store.clone()).await;
    copies_that_lose_a_race_retry(store.clone()).await;
    // The documents are still there after the database is opened again.
    drop(store);
    let store = smartclean_push::adapters::local::sqlite::SqliteStore::open(&path).unwrap();
    assert_eq!(load(&store, "counted").await, document("20", 20));
}

/// Number of times that each racing process adds 1.
const ROUNDS: u64 = 150;

#[tokio::test]
async fn sqlite_counts_every_increment_of_racing_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let racer = || {
        process(module_path!(), "sqlite_racer")
            .env("STATE_TEST_DATABASE", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    // The processes also race to create the database.
    let racers: Vec<_> = (0..3).map(|_| racer()).collect();
    let count = racers.len() as u64 * ROUNDS;
    let mut lost = 0;
    for racer in racers {
        let output = racer.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        let (_, number) = text.split_once("races lost: ").unwrap();
        lost += number.lines().next().unwrap().parse::<u32>().unwrap();
    }
    let store = smartclean_push::adapters::local::sqlite::SqliteStore::open(&path).unwrap();
    assert_eq!(load(&store, "raced").await, document(&count.to_string(), count));
    assert!(lost > 0, "no race was lost, so the test has shown nothing");
}

/// One of the racing processes.
#[expect(clippy::print_stdout, reason = "the parent process reads this")]
#[tokio::test]
#[ignore = "child process of sqlite_counts_every_increment_of_racing_processes"]
async fn sqlite_racer() {
    let path = std::env::var_os("STATE_TEST_DATABASE").expect("the database's path in STATE_TEST_DATABASE");
    let store = smartclean_push::adapters::local::sqlite::SqliteStore::open(path.as_ref()).unwrap();
    let mut lost = 0;
    for _ in 0..ROUNDS {
        lost += increment(&store, "raced").await;
    }
    println!("races lost: {lost}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a DynamoDB: tests/e2e/test_state_store.py starts one and runs this (make e2e)"]
async fn the_dynamodb_store_keeps_the_contract() {
    let store = crate::support::dynamodb().await;
    store.connect().await;
    check_contract(store).await;
}
