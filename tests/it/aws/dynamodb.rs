//! State documents in a DynamoDB that throttles, breaks off and loses answers. What it does when it works:
//! `state_stores.rs`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use smartclean_push::adapters::aws::dynamodb::{DynamoStore, client};
use smartclean_push::domain::rate_limit::{RateLimit, Requester, TokenDemand, TokenRequest};
use smartclean_push::ingest::ports::{Commit, RateLimiter as _, StateDocument, StateStore as _, UnavailableError};

use super::stand_in::{ReceivedRequest, Reply, StandIn};

async fn store(stand_in: &StandIn) -> DynamoStore {
    DynamoStore::new(client(&stand_in.config().await), "state".to_owned())
}

fn answer(body: &Value) -> Reply {
    Reply::new(200, body.to_string()).with("content-type", "application/x-amz-json-1.0")
}

fn refusal(code: &str) -> Reply {
    let body = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "told to" });
    Reply::new(400, body.to_string()).with("content-type", "application/x-amz-json-1.0")
}

fn body(request: &ReceivedRequest) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

/// The keys that a request asks for.
fn asked(request: &ReceivedRequest) -> Vec<String> {
    let keys = body(request)["RequestItems"]["state"]["Keys"].as_array().unwrap().clone();
    keys.iter().map(|key| key["pk"]["S"].as_str().unwrap().to_owned()).collect()
}

fn item(key: &str) -> Value {
    json!({ "pk": { "S": key }, "version": { "N": "7" }, "body": { "S": key }, "ttl": { "N": "1" } })
}

/// These keys answered, those left for another request.
fn partly(given: &[String], left: &[String]) -> Reply {
    let items: Vec<_> = given.iter().map(|key| item(key)).collect();
    let left: Vec<_> = left.iter().map(|key| json!({ "pk": { "S": key } })).collect();
    let unprocessed =
        if left.is_empty() { json!({}) } else { json!({ "state": { "Keys": left, "ConsistentRead": true } }) };
    answer(&json!({ "Responses": { "state": items }, "UnprocessedKeys": unprocessed }))
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("zone {number:03}")).collect()
}

async fn commit(stand_in: &StandIn, version: u64) -> Result<Commit, UnavailableError> {
    store(stand_in).await.commit("zone", version, "{}", None).await
}

#[tokio::test]
async fn many_keys_are_asked_for_a_hundred_at_a_time_and_each_once() {
    let stand_in = StandIn::answering(|request, _| partly(&asked(request), &[])).await;
    let twice: Vec<_> = names(250).into_iter().chain(names(250)).collect();
    let documents = store(&stand_in).await.load(&twice).await.unwrap();
    let expected: Vec<_> = twice.iter().map(|key| StateDocument { body: Some(key.clone()), version: 7 }).collect();
    assert_eq!(documents, expected);
    let requests = stand_in.seen();
    let mut sizes: Vec<_> = requests.iter().map(|request| asked(request).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 100, 100]);
    assert!(requests.iter().all(|request| body(request)["RequestItems"]["state"]["ConsistentRead"] == true));
    assert!(requests.iter().all(|request| request.header("x-amz-target") == Some("DynamoDB_20120810.BatchGetItem")));
}

#[tokio::test]
async fn what_was_left_unprocessed_is_asked_for_again() {
    let stand_in = StandIn::answering(|request, before| {
        let asked = asked(request);
        match before {
            0 => partly(&[], &asked),
            1 => partly(&asked[..3], &asked[3..]),
            _ => partly(&asked, &[]),
        }
    })
    .await;
    let documents = store(&stand_in).await.load(&names(10)).await.unwrap();
    assert!(documents.iter().all(|document| document.version == 7));
    let requests = stand_in.seen();
    assert_eq!(requests.iter().map(|request| asked(request).len()).collect::<Vec<_>>(), [10, 10, 7]);
    let repeated: BTreeSet<_> = requests.iter().skip(1).flat_map(asked).collect();
    assert_eq!(repeated.len(), 10);
}

#[tokio::test]
async fn load_that_is_never_processed_ends() {
    let stand_in = StandIn::answering(|request, _| partly(&[], &asked(request))).await;
    let started = Instant::now();
    assert!(store(&stand_in).await.load(&names(1)).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(stand_in.seen().len() < 10, "{} requests in 4 s are no backoff", stand_in.seen().len());
}

#[tokio::test]
async fn load_of_which_one_part_fails_fails() {
    let stand_in = StandIn::answering(|request, _| {
        let asked = asked(request);
        if asked.len() == 100 { partly(&asked, &[]) } else { refusal("AccessDeniedException") }
    })
    .await;
    assert!(store(&stand_in).await.load(&names(120)).await.is_err());
}

#[tokio::test]
async fn commit_is_conditional_on_the_version_that_was_read() {
    let stand_in = StandIn::replying([answer(&json!({}))]).await;
    assert_eq!(commit(&stand_in, 0).await.unwrap(), Commit::Done);
    assert_eq!(commit(&stand_in, 6).await.unwrap(), Commit::Done);
    let requests: Vec<_> = stand_in.seen().iter().map(body).collect();
    assert_eq!(requests[0]["ConditionExpression"], "attribute_not_exists(pk)");
    assert_eq!(requests[0]["Item"]["version"]["N"], "1");
    assert_eq!(requests[1]["ConditionExpression"], "#version = :read");
    assert_eq!(requests[1]["ExpressionAttributeValues"][":read"]["N"], "6");
    assert_eq!(requests[1]["Item"]["version"]["N"], "7");
}

#[tokio::test]
async fn throttled_commit_is_tried_again() {
    let stand_in = StandIn::replying([refusal("ProvisionedThroughputExceededException"), answer(&json!({}))]).await;
    assert_eq!(commit(&stand_in, 1).await.unwrap(), Commit::Done);
    assert_eq!(stand_in.seen().len(), 2);
}

#[tokio::test]
async fn commit_whose_answer_was_lost_finds_the_race_lost() {
    for lost in [Reply::Reset, Reply::Silence] {
        let stand_in = StandIn::replying([lost, refusal("ConditionalCheckFailedException")]).await;
        assert_eq!(commit(&stand_in, 1).await.unwrap(), Commit::Lost);
        assert_eq!(stand_in.seen().len(), 2);
    }
}

#[tokio::test]
async fn commit_that_is_refused_for_its_size_is_not_tried_again() {
    let stand_in = StandIn::replying([refusal("ValidationException")]).await;
    assert!(commit(&stand_in, 1).await.is_err());
    assert_eq!(stand_in.seen().len(), 1);
}

#[tokio::test]
async fn silent_service_is_given_up_in_time() {
    let stand_in = StandIn::replying([Reply::Silence]).await;
    let started = Instant::now();
    let store = store(&stand_in).await;
    let keys = names(1);
    let (commit, load, due) =
        (store.commit("zone", 0, "{}", None), store.load(&keys), store.due(Timestamp::UNIX_EPOCH, 1));
    let (commit, load, due) = tokio::join!(commit, load, due);
    assert!(commit.is_err() && load.is_err() && due.is_err());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_is_due_is_merged_from_all_shards_and_all_pages() {
    let entry = |due: &str, key: &str| json!({ "pk": { "S": key }, "due": { "N": due }, "shard": { "S": "0" } });
    let first = json!({ "Items": [entry("10", "a"), entry("40", "b")], "LastEvaluatedKey": entry("40", "b") });
    let second = json!({ "Items": [entry("70", "c")] });
    let other = json!({ "Items": [entry("30", "d"), entry("50", "e")] });
    let nothing = json!({ "Items": [] });
    let stand_in = StandIn::answering(move |request, _| {
        let request = body(request);
        match request["ExpressionAttributeValues"][":shard"]["S"].as_str().unwrap() {
            "0" if request["ExclusiveStartKey"].is_null() => answer(&first),
            "0" => answer(&second),
            "1" => answer(&other),
            _ => answer(&nothing),
        }
    })
    .await;
    let due = store(&stand_in).await.due(Timestamp::UNIX_EPOCH, 4).await.unwrap();
    assert_eq!(due, ["a", "d", "b", "e"]);
    let requests = stand_in.seen();
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|request| body(request)["IndexName"] == "due"));
}

#[tokio::test]
async fn sweep_that_cannot_see_one_shard_does_not_claim_that_nothing_is_due() {
    let stand_in = StandIn::answering(|request, _| {
        let shard = &body(request)["ExpressionAttributeValues"][":shard"]["S"];
        if shard == "3" { refusal("ResourceNotFoundException") } else { answer(&json!({ "Items": [] })) }
    })
    .await;
    assert!(store(&stand_in).await.due(Timestamp::UNIX_EPOCH, 4).await.is_err());
}

/// The answer to a write whose condition does not hold, and what is there.
fn unmet(item: &Value) -> Reply {
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "told to", "Item": item,
    });
    Reply::new(400, body.to_string()).with("content-type", "application/x-amz-json-1.0")
}

async fn take(stand_in: &StandIn, urgent: usize, other: usize) -> Result<usize, UnavailableError> {
    let (limit, demand) = (RateLimit::default(), TokenDemand { urgent, other });
    let request = TokenRequest { limit, demand, requester: Requester::Push, now: Timestamp::UNIX_EPOCH };
    store(stand_in).await.take_tokens("alerts", request).await
}

#[tokio::test]
async fn tokens_of_a_full_bucket_are_one_conditional_write() {
    let stand_in = StandIn::replying([answer(&json!({}))]).await;
    assert_eq!(take(&stand_in, 2, 0).await.unwrap(), 2);
    let [request] = &stand_in.seen().iter().map(body).collect::<Vec<_>>()[..] else { panic!("more than one") };
    assert_eq!(request["Key"]["pk"]["S"], "rate-limit/alerts");
    assert_eq!(request["UpdateExpression"], "SET #ttl = :ttl, tat = :tat");
    assert_eq!(request["ConditionExpression"], "(attribute_not_exists(tat) OR tat <= :now OR tat > :implausible)");
    assert_eq!(request["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
    assert_eq!(request["ExpressionAttributeValues"][":tat"]["N"], "12000000");
}

#[tokio::test]
async fn tokens_of_a_used_bucket_are_added_to_what_was_found() {
    let found = unmet(&json!({ "pk": { "S": "rate-limit/alerts" }, "tat": { "N": "30000000" } }));
    let stand_in = StandIn::replying([found, answer(&json!({}))]).await;
    assert_eq!(take(&stand_in, 1, 9).await.unwrap(), 2, "five are left, of which three are for what is urgent");
    let request = body(&stand_in.seen()[1]);
    assert_eq!(request["UpdateExpression"], "SET #ttl = :ttl, tat = tat + :cost, waiting = :waiting");
    assert_eq!(
        request["ConditionExpression"],
        "tat > :now AND tat <= :highest AND (attribute_not_exists(waiting) OR waiting <= :until)"
    );
    let value = |name: &str| request["ExpressionAttributeValues"][name]["N"].as_str().unwrap().to_owned();
    assert_eq!((value(":cost"), value(":highest")), ("12000000".to_owned(), "30000000".to_owned()));
}

#[tokio::test]
async fn an_empty_bucket_grants_nothing_and_is_told_once_that_messages_wait() {
    let item = |waiting: Value| {
        let mut item = json!({ "pk": { "S": "rate-limit/alerts" }, "tat": { "N": "60000000" } });
        if !waiting.is_null() {
            item["waiting"] = json!({ "N": waiting.to_string() });
        }
        unmet(&item)
    };
    let stand_in = StandIn::replying([item(Value::Null), answer(&json!({}))]).await;
    assert_eq!(take(&stand_in, 1, 0).await.unwrap(), 0);
    assert_eq!(body(&stand_in.seen()[1])["UpdateExpression"], "SET #ttl = :ttl, waiting = :waiting");
    let stand_in = StandIn::replying([item(json!(0)), answer(&json!({}))]).await;
    assert_eq!(take(&stand_in, 1, 0).await.unwrap(), 0);
    assert_eq!(stand_in.seen().len(), 1);
}

#[tokio::test]
async fn tokens_that_others_take_each_time_are_given_up_in_the_end() {
    let stand_in = StandIn::answering(|_, before| {
        // Never as it was found before.
        let tat = if before % 2 == 0 { "30000000" } else { "0" };
        unmet(&json!({ "pk": { "S": "rate-limit/alerts" }, "tat": { "N": tat } }))
    })
    .await;
    assert_eq!(take(&stand_in, 1, 0).await.unwrap(), 0);
    assert!(stand_in.seen().len() < 10, "{}", stand_in.seen().len());
}

#[tokio::test]
async fn a_limiter_that_refuses_grants_nothing() {
    let stand_in = StandIn::replying([refusal("AccessDeniedException")]).await;
    assert!(take(&stand_in, 1, 0).await.is_err());
    assert!(store(&stand_in).await.take_sms(5, 1, Timestamp::UNIX_EPOCH).await.is_err());
}

#[tokio::test]
async fn sms_that_do_not_all_fit_are_counted_as_far_as_they_do() {
    let found = unmet(&json!({ "pk": { "S": "sms/1970-01-01" }, "sent": { "N": "7" } }));
    let stand_in = StandIn::replying([found, answer(&json!({}))]).await;
    assert_eq!(store(&stand_in).await.take_sms(10, 5, Timestamp::UNIX_EPOCH).await.unwrap(), 3);
    let request = body(&stand_in.seen()[1]);
    assert_eq!(request["Key"]["pk"]["S"], "sms/1970-01-01");
    assert_eq!(request["UpdateExpression"], "ADD sent :wanted SET #ttl = :ttl");
    assert_eq!(request["ExpressionAttributeValues"][":most"]["N"], "7");
}
