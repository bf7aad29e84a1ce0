//! State documents in a DynamoDB that throttles, resets connections and loses responses. For the working service, see
//! `state_stores.rs`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use smartclean_push::adapters::aws::dynamodb::{DynamoStore, client};
use smartclean_push::domain::rate_limit::{RateLimit, Requester, TokenDemand, TokenRequest};
use smartclean_push::ingest::ports::{Commit, RateLimiter as _, StateDocument, StateStore as _, UnavailableError};

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
    store(service).await.commit("zone", version, "{}", None).await
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
        (store.commit("zone", 0, "{}", None), store.load(&keys), store.due(Timestamp::UNIX_EPOCH, 1));
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

/// The response to a write whose condition does not hold, with the stored item.
fn condition_failed(item: &Value) -> MockReply {
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "injected", "Item": item,
    });
    MockReply::new(400, body.to_string()).with("content-type", "application/x-amz-json-1.0")
}

async fn take(service: &MockService, urgent: usize, other: usize) -> Result<usize, UnavailableError> {
    let (limit, demand) = (RateLimit::default(), TokenDemand { urgent, other });
    let request = TokenRequest { limit, demand, requester: Requester::Push, now: Timestamp::UNIX_EPOCH };
    store(service).await.take_tokens("alerts", request).await
}

#[tokio::test]
async fn tokens_of_a_full_bucket_take_one_conditional_write() {
    let service = MockService::replying([success(&json!({}))]).await;
    assert_eq!(take(&service, 2, 0).await.unwrap(), 2);
    let [request] = &service.requests().iter().map(body).collect::<Vec<_>>()[..] else { panic!("more than one") };
    assert_eq!(request["Key"]["pk"]["S"], "rate-limit/alerts");
    assert_eq!(request["UpdateExpression"], "SET #ttl = :ttl, tat = :tat");
    assert_eq!(request["ConditionExpression"], "(attribute_not_exists(tat) OR tat <= :now OR tat > :implausible)");
    assert_eq!(request["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
    assert_eq!(request["ExpressionAttributeValues"][":tat"]["N"], "12000000");
}

#[tokio::test]
async fn tokens_of_a_used_bucket_are_added_to_the_stored_value() {
    let found = condition_failed(&json!({ "pk": { "S": "rate-limit/alerts" }, "tat": { "N": "30000000" } }));
    let service = MockService::replying([found, success(&json!({}))]).await;
    assert_eq!(take(&service, 1, 9).await.unwrap(), 2, "five are left, three of them for urgent messages");
    let request = body(&service.requests()[1]);
    assert_eq!(request["UpdateExpression"], "SET #ttl = :ttl, tat = tat + :cost, waiting = :waiting");
    assert_eq!(
        request["ConditionExpression"],
        "tat > :now AND tat <= :highest AND (attribute_not_exists(waiting) OR waiting <= :until)"
    );
    let value = |name: &str| request["ExpressionAttributeValues"][name]["N"].as_str().unwrap().to_owned();
    assert_eq!((value(":cost"), value(":highest")), ("12000000".to_owned(), "30000000".to_owned()));
}

#[tokio::test]
async fn an_empty_bucket_grants_nothing_and_records_once_that_messages_wait() {
    let item = |waiting: Value| {
        let mut item = json!({ "pk": { "S": "rate-limit/alerts" }, "tat": { "N": "60000000" } });
        if !waiting.is_null() {
            item["waiting"] = json!({ "N": waiting.to_string() });
        }
        condition_failed(&item)
    };
    let service = MockService::replying([item(Value::Null), success(&json!({}))]).await;
    assert_eq!(take(&service, 1, 0).await.unwrap(), 0);
    assert_eq!(body(&service.requests()[1])["UpdateExpression"], "SET #ttl = :ttl, waiting = :waiting");
    let service = MockService::replying([item(json!(0)), success(&json!({}))]).await;
    assert_eq!(take(&service, 1, 0).await.unwrap(), 0);
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn conflicting_takes_end_after_a_number_of_attempts() {
    let service = MockService::responding(|_, before| {
        // Never the value of the last response.
        let tat = if before % 2 == 0 { "30000000" } else { "0" };
        condition_failed(&json!({ "pk": { "S": "rate-limit/alerts" }, "tat": { "N": tat } }))
    })
    .await;
    assert_eq!(take(&service, 1, 0).await.unwrap(), 0);
    assert!(service.requests().len() < 10, "{}", service.requests().len());
}

#[tokio::test]
async fn a_limiter_that_refuses_grants_nothing() {
    let service = MockService::replying([refusal("AccessDeniedException")]).await;
    assert!(take(&service, 1, 0).await.is_err());
    assert!(store(&service).await.take_sms(5, 1, Timestamp::UNIX_EPOCH).await.is_err());
}

#[tokio::test]
async fn sms_above_the_quota_are_counted_up_to_it() {
    let found = condition_failed(&json!({ "pk": { "S": "sms/1970-01-01" }, "sent": { "N": "7" } }));
    let service = MockService::replying([found, success(&json!({}))]).await;
    assert_eq!(store(&service).await.take_sms(10, 5, Timestamp::UNIX_EPOCH).await.unwrap(), 3);
    let request = body(&service.requests()[1]);
    assert_eq!(request["Key"]["pk"]["S"], "sms/1970-01-01");
    assert_eq!(request["UpdateExpression"], "ADD sent :wanted SET #ttl = :ttl");
    assert_eq!(request["ExpressionAttributeValues"][":most"]["N"], "7");
}
