//! State documents in a DynamoDB that throttles, resets connections and loses responses. For the working service, see
//! `state_stores.rs`.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt as _, join_all};
use jiff::Timestamp;
use serde_json::{Value, json};
use smartclean_push::adapters::aws::dynamodb::{DynamoStore, client};
use smartclean_push::ingest::ports::{Commit, IndexEntry, StateDocument, StateStore as _, UnavailableError};

use super::mock_service::{MockReply, MockService, ReceivedRequest};

async fn store(service: &MockService) -> DynamoStore {
    DynamoStore::new(client(&service.config().await), "state".to_owned())
}

fn success(body: &Value) -> MockReply {
    MockReply::new(200, body.to_string()).with("content-type", "application/x-amz-json-1.0")
}

fn refusal(code: &str) -> MockReply {
    let body = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "injected" });
    MockReply::new(400, body.to_string()).with("content-type", "application/x-amz-json-1.0")
}

fn body(request: &ReceivedRequest) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

/// The keys of a request.
fn requested_keys(request: &ReceivedRequest) -> Vec<String> {
    let keys = body(request)["RequestItems"]["state"]["Keys"].as_array().unwrap().clone();
    keys.iter().map(|key| key["pk"]["S"].as_str().unwrap().to_owned()).collect()
}

fn item(key: &str) -> Value {
    json!({ "pk": { "S": key }, "version": { "N": "7" }, "body": { "S": key }, "ttl": { "N": "1" } })
}

/// A response with the items of `given`, and `left` as unprocessed keys.
fn partly(given: &[String], left: &[String]) -> MockReply {
    let items: Vec<_> = given.iter().map(|key| item(key)).collect();
    let left: Vec<_> = left.iter().map(|key| json!({ "pk": { "S": key } })).collect();
    let unprocessed =
        if left.is_empty() { json!({}) } else { json!({ "state": { "Keys": left, "ConsistentRead": true } }) };
    success(&json!({ "Responses": { "state": items }, "UnprocessedKeys": unprocessed }))
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("zone {number:03}")).collect()
}

async fn commit(service: &MockService, version: u64) -> Result<Commit, UnavailableError> {
    store(service).await.commit("zone", version, "{}", IndexEntry::default()).await
}

#[tokio::test]
async fn many_keys_are_read_a_hundred_at_a_time_and_each_once() {
    let service = MockService::responding(|request, _| partly(&requested_keys(request), &[])).await;
    let twice: Vec<_> = names(250).into_iter().chain(names(250)).collect();
    let documents = store(&service).await.load(&twice).await.unwrap();
    let expected: Vec<_> = twice.iter().map(|key| StateDocument { body: Some(key.clone()), version: 7 }).collect();
    assert_eq!(documents, expected);
    let requests = service.requests();
    let mut sizes: Vec<_> = requests.iter().map(|request| requested_keys(request).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 100, 100]);
    assert!(requests.iter().all(|request| body(request)["RequestItems"]["state"]["ConsistentRead"] == true));
    assert!(requests.iter().all(|request| request.header("x-amz-target") == Some("DynamoDB_20120810.BatchGetItem")));
}

#[tokio::test]
async fn unprocessed_keys_are_requested_again() {
    let service = MockService::responding(|request, before| {
        let keys = requested_keys(request);
        match before {
            0 => partly(&[], &keys),
            1 => partly(&keys[..3], &keys[3..]),
            _ => partly(&keys, &[]),
        }
    })
    .await;
    let documents = store(&service).await.load(&names(10)).await.unwrap();
    assert!(documents.iter().all(|document| document.version == 7));
    let requests = service.requests();
    assert_eq!(requests.iter().map(|request| requested_keys(request).len()).collect::<Vec<_>>(), [10, 10, 7]);
    let repeated: BTreeSet<_> = requests.iter().skip(1).flat_map(requested_keys).collect();
    assert_eq!(repeated.len(), 10);
}

#[tokio::test]
async fn a_load_without_progress_ends() {
    let service = MockService::responding(|request, _| partly(&[], &requested_keys(request))).await;
    let started = Instant::now();
    assert!(store(&service).await.load(&names(1)).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(service.requests().len() < 10, "{} requests in 4 s are no backoff", service.requests().len());
}

#[tokio::test]
async fn a_load_fails_if_one_of_its_requests_fails() {
    let service = MockService::responding(|request, _| {
        let keys = requested_keys(request);
        if keys.len() == 100 { partly(&keys, &[]) } else { refusal("AccessDeniedException") }
    })
    .await;
    assert!(store(&service).await.load(&names(120)).await.is_err());
}

#[tokio::test]
async fn a_commit_is_conditional_on_the_version_that_was_read() {
    let service = MockService::replying([success(&json!({}))]).await;
    assert_eq!(commit(&service, 0).await.unwrap(), Commit::Done);
    assert_eq!(commit(&service, 6).await.unwrap(), Commit::Done);
    let requests: Vec<_> = service.requests().iter().map(body).collect();
    assert_eq!(requests[0]["ConditionExpression"], "attribute_not_exists(pk)");
    assert_eq!(requests[0]["Item"]["version"]["N"], "1");
    assert_eq!(requests[1]["ConditionExpression"], "#version = :read");
    assert_eq!(requests[1]["ExpressionAttributeValues"][":read"]["N"], "6");
    assert_eq!(requests[1]["Item"]["version"]["N"], "7");
}

/// Commits these at the same time: key, version and body of each.
async fn commit_each(service: &MockService, writes: &[(&str, u64, &str)]) -> Vec<Result<Commit, UnavailableError>> {
    let store = store(service).await;
    join_all(writes.iter().map(|(key, version, body)| store.commit(key, *version, body, IndexEntry::default()))).await
}

/// The number of statements of each request; 0 for one with an item.
fn statements(service: &MockService) -> Vec<usize> {
    let requests = service.requests();
    requests.iter().map(|request| body(request)["Statements"].as_array().map_or(0, Vec::len)).collect()
}

#[tokio::test]
async fn commits_of_the_same_time_share_a_request_and_each_has_its_outcome() {
    let outcomes = json!({ "Responses": [
        { "TableName": "state" },
        { "Error": { "Code": "ConditionalCheckFailed", "Message": "injected" } },
        // Throttled. One by one, the SDK retries it.
        { "Error": { "Code": "ThrottlingError", "Message": "injected" } },
        { "Error": { "Code": "InternalServerError", "Message": "injected" } },
    ] });
    let service = MockService::responding(move |request, before| match request.header("x-amz-target").unwrap() {
        "DynamoDB_20120810.BatchExecuteStatement" => success(&outcomes),
        _ if before == 1 => refusal("ThrottlingException"),
        _ if body(request)["Item"]["pk"]["S"] == "d" => refusal("ConditionalCheckFailedException"),
        _ => success(&json!({})),
    })
    .await;
    let committed = commit_each(&service, &[("a", 7, "1"), ("b", 1, "2"), ("c", 1, "3"), ("d", 1, "4")]).await;
    let committed: Vec<_> = committed.into_iter().map(Result::unwrap).collect();
    assert_eq!(committed, [Commit::Done, Commit::Lost, Commit::Done, Commit::Lost]);
    assert_eq!(statements(&service), [4, 0, 0, 0]);
    let first = body(&service.requests()[0])["Statements"][0].clone();
    assert_eq!(
        first["Statement"],
        "UPDATE \"state\" SET \"version\" = ? SET \"body\" = ? SET \"ttl\" = ? REMOVE \"due\" REMOVE \"shard\" \
         REMOVE \"attention\" REMOVE \"attention_shard\" REMOVE \"summary\" \
         WHERE \"pk\" = ? AND \"version\" = ?"
    );
    let values = first["Parameters"].as_array().unwrap();
    assert_eq!(values[..2], [json!({ "N": "8" }), json!({ "S": "1" })]);
    assert_eq!(values[3..], [json!({ "S": "a" }), json!({ "N": "7" })]);
}

#[tokio::test]
async fn a_shared_request_has_at_most_25_commits_which_are_made_one_by_one_if_it_fails() {
    let names = names(30);
    let writes: Vec<_> = names.iter().map(|name| (name.as_str(), 1, "{}")).collect();
    for is_put_allowed in [true, false] {
        let service = MockService::responding(move |request, _| {
            let is_put = request.header("x-amz-target") == Some("DynamoDB_20120810.PutItem");
            if is_put && is_put_allowed { success(&json!({})) } else { refusal("AccessDeniedException") }
        })
        .await;
        let committed = commit_each(&service, &writes).await;
        assert!(committed.iter().all(|commit| commit.is_ok() == is_put_allowed), "{committed:?}");
        let mut sizes = statements(&service);
        sizes.sort_unstable_by_key(|size| Reverse(*size));
        assert_eq!(sizes, [&[25, 5][..], &[0; 30]].concat());
    }
}

#[tokio::test]
async fn commits_that_were_cancelled_are_neither_made_nor_in_the_way() {
    let service = MockService::responding(|_, _| success(&json!({}))).await;
    let (store, names) = (store(&service).await, names(30));
    let mut cancelled: Vec<_> = names.iter().map(|name| store.commit(name, 1, "{}", IndexEntry::default())).collect();
    cancelled.iter_mut().for_each(|commit| assert!(commit.now_or_never().is_none()));
    drop(cancelled);
    let started = Instant::now();
    assert_eq!(store.commit("zone", 6, "{}", IndexEntry::default()).await.unwrap(), Commit::Done);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let requests: Vec<_> = service.requests().iter().map(body).collect();
    assert!(requests.len() == 1 && requests[0]["Item"]["pk"]["S"] == "zone", "{requests:?}");
}

#[tokio::test]
async fn new_large_and_repeated_documents_are_committed_one_by_one() {
    let large = "x".repeat(65 * 1024);
    for writes in [[("a", 0, "{}"), ("b", 1, "{}")], [("a", 1, large.as_str()), ("b", 1, "{}")], [("a", 1, "{}"); 2]] {
        let service = MockService::responding(|_, _| success(&json!({}))).await;
        assert!(commit_each(&service, &writes).await.iter().all(Result::is_ok));
        assert_eq!(statements(&service), [0, 0]);
    }
}

#[tokio::test]
async fn a_throttled_commit_is_retried() {
    let service = MockService::replying([refusal("ProvisionedThroughputExceededException"), success(&json!({}))]).await;
    assert_eq!(commit(&service, 1).await.unwrap(), Commit::Done);
    assert_eq!(service.requests().len(), 2);
}

#[tokio::test]
async fn a_retried_commit_is_lost_after_a_lost_response() {
    for lost in [MockReply::Reset, MockReply::Silence] {
        let service = MockService::replying([lost, refusal("ConditionalCheckFailedException")]).await;
        assert_eq!(commit(&service, 1).await.unwrap(), Commit::Lost);
        assert_eq!(service.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_commit_that_is_too_large_is_not_retried() {
    let service = MockService::replying([refusal("ValidationException")]).await;
    assert!(commit(&service, 1).await.is_err());
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn requests_to_a_silent_service_time_out() {
    let service = MockService::replying([MockReply::Silence]).await;
    let started = Instant::now();
    let store = store(&service).await;
    let keys = names(1);
    let (commit, load, due) =
        (store.commit("zone", 0, "{}", IndexEntry::default()), store.load(&keys), store.due(Timestamp::UNIX_EPOCH, 1));
    let (commit, load, due) = tokio::join!(commit, load, due);
    assert!(commit.is_err() && load.is_err() && due.is_err());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn due_documents_are_merged_from_all_shards_and_pages() {
    let entry = |due: &str, key: &str| json!({ "pk": { "S": key }, "due": { "N": due }, "shard": { "S": "0" } });
    let first = json!({ "Items": [entry("10", "a"), entry("40", "b")], "LastEvaluatedKey": entry("40", "b") });
    let second = json!({ "Items": [entry("70", "c")] });
    let other = json!({ "Items": [entry("30", "d"), entry("50", "e")] });
    let nothing = json!({ "Items": [] });
    let service = MockService::responding(move |request, _| {
        let request = body(request);
        match request["ExpressionAttributeValues"][":shard"]["S"].as_str().unwrap() {
            "0" if request["ExclusiveStartKey"].is_null() => success(&first),
            "0" => success(&second),
            "1" => success(&other),
            _ => success(&nothing),
        }
    })
    .await;
    let due = store(&service).await.due(Timestamp::UNIX_EPOCH, 4).await.unwrap();
    assert_eq!(due, ["a", "d", "b", "e"]);
    let requests = service.requests();
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|request| body(request)["IndexName"] == "due"));
}

#[tokio::test]
async fn a_search_fails_if_one_shard_fails() {
    let service = MockService::responding(|request, _| {
        let shard = &body(request)["ExpressionAttributeValues"][":shard"]["S"];
        if shard == "3" { refusal("ResourceNotFoundException") } else { success(&json!({ "Items": [] })) }
    })
    .await;
    assert!(store(&service).await.due(Timestamp::UNIX_EPOCH, 4).await.is_err());
}
