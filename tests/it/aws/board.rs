//! The requests of the board and of pages to DynamoDB, and those of pushes beside them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::Request;
use http_body_util::Full;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::adapters::aws::dynamodb::{DynamoStore, client};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::http::Board;
use smartclean_push::ingest::Ingest;
use smartclean_push::ingest::links::{Invitation, LinkedAlert, LinkedAlerts, Role, create_invitation, create_link};

use super::mock_service::{MockReply, MockService, ReceivedRequest};
use crate::support::{World, body, push_to, reading_with, request_info};

/// The table `state` with the index `attention`, in memory. It does not check conditions.
#[derive(Clone, Default)]
struct MockTable(Arc<Mutex<BTreeMap<String, Value>>>);

impl MockTable {
    fn reply(&self, request: &ReceivedRequest) -> MockReply {
        let sent: Value = serde_json::from_str(&request.body).unwrap();
        let mut items = self.0.lock().unwrap();
        let reply = match operation(request) {
            "BatchGetItem" => {
                let keys = sent["RequestItems"]["state"]["Keys"].as_array().unwrap();
                let found: Vec<_> = keys.iter().filter_map(|key| items.get(key["pk"]["S"].as_str().unwrap())).collect();
                json!({ "Responses": { "state": found }, "UnprocessedKeys": {} })
            }
            "PutItem" => {
                items.insert(sent["Item"]["pk"]["S"].as_str().unwrap().to_owned(), sent["Item"].clone());
                json!({})
            }
            "Query" => {
                assert_eq!(sent["IndexName"], "attention");
                let most = usize::try_from(sent["Limit"].as_u64().unwrap()).unwrap();
                let mut found: Vec<_> = items.values().map(projected).collect();
                found.retain(|item| item["attention_shard"] == sent["ExpressionAttributeValues"][":shard"]);
                found.sort_by_key(|item| item["attention"]["S"].as_str().unwrap().to_owned());
                found.truncate(most);
                json!({ "LastEvaluatedKey": found.get(most - 1), "Items": found })
            }
            other => panic!("{other}"),
        };
        MockReply::new(200, reply.to_string()).with("content-type", "application/x-amz-json-1.0")
    }

    fn item(&self, key: &str) -> Value {
        self.0.lock().unwrap()[key].clone()
    }

    /// Copies the zone to this many others.
    fn copy_zone(&self, count: usize) {
        let zone = self.item(ZONE);
        let copy = |number: usize| {
            let mut item = zone.clone();
            item["pk"]["S"] = format!("zone/copy {number}").into();
            item["attention_shard"]["S"] = (number % 8).to_string().into();
            (item["pk"]["S"].as_str().unwrap().to_owned(), item)
        };
        self.0.lock().unwrap().extend((0..count).map(copy));
    }
}

/// The attributes of an item that the index `attention` holds. A write that leaves them as they are does not write the index.
fn projected(item: &Value) -> Value {
    let names = ["pk", "attention_shard", "attention", "summary"];
    names.iter().map(|name| ((*name).to_owned(), item[name].clone())).collect::<serde_json::Map<_, _>>().into()
}

fn operation(request: &ReceivedRequest) -> &str {
    request.header("x-amz-target").unwrap().strip_prefix("DynamoDB_20120810.").unwrap()
}

const ZONE: &str = "zone/8:building/zone";

/// The pages and pushes of one table.
struct Stack {
    service: MockService,
    table: MockTable,
    state: DynamoStore,
    board: Board,
    ingest: Ingest,
    now: Timestamp,
}

impl Stack {
    /// With a zone whose people counter is known.
    async fn new() -> Self {
        let table = MockTable::default();
        let replies = table.clone();
        let service = MockService::responding(move |request, _| replies.reply(request)).await;
        let state = DynamoStore::new(client(&service.config().await), "state".to_owned());
        let board = Board::new(Box::new(state.clone()), Box::new(Arc::new(RuleSet::pack())));
        let ingest = World::new().with_state(state.clone()).ingest();
        let now = "2026-09-01T08:00:00Z".parse().unwrap();
        let stack = Self { service, table, state, board, ingest, now };
        stack.push("UM", &json!({ "count": 1 }), 0).await;
        stack
    }

    /// With an open alert.
    async fn with_alert() -> Self {
        let stack = Self::new().await;
        stack.push("SS", &json!({ "p": 4 }), 1).await;
        stack
    }

    /// Pushes a reading of this minute.
    async fn push(&self, device_type: &str, values: &Value, minute: i64) {
        let at = self.now + SignedDuration::from_mins(minute);
        let members = json!({ "DEVID": device_type, "unixT": at.as_millisecond() });
        push_to(&self.ingest, body(&[reading_with(device_type, values, &members)]), at).await.unwrap();
    }

    /// The token of an invitation.
    async fn invite(&self) -> String {
        let expires = self.now + SignedDuration::from_hours(1);
        let invitation = Invitation { team: "Team A".to_owned(), role: Role::Respond, created: self.now, expires };
        create_invitation(&self.state, &invitation).await.unwrap().expose()
    }

    /// The path of a link about the open alert, and its form.
    async fn link(&self) -> (String, String) {
        let summary: Value = serde_json::from_str(self.table.item(ZONE)["summary"]["S"].as_str().unwrap()).unwrap();
        let alert = serde_json::from_value(summary["alerts"][0]["alert"].clone()).unwrap();
        let link = LinkedAlerts {
            expires: self.now + SignedDuration::from_hours(1),
            alerts: vec![LinkedAlert { zone: ZONE.to_owned(), alert }],
        };
        let token = create_link(&self.state, &link).await.unwrap().expose();
        (format!("/board/a/{token}"), format!("alert={alert}&by=JD&action="))
    }

    /// The status of a page, by GET if there is no form, of a phone with this token if there is one.
    async fn open(&self, path: &str, phone: Option<&str>, form: Option<String>) -> u16 {
        let mut request = Request::builder().method(if form.is_some() { "POST" } else { "GET" }).uri(path);
        if form.is_some() {
            request = request.header("host", "board.example").header("origin", "https://board.example");
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        if let Some(token) = phone {
            request = request.header("cookie", format!("__Host-smartclean={token}"));
        }
        let request = request.body(Full::new(form.unwrap_or_default().into())).unwrap();
        let at = self.now + SignedDuration::from_mins(2);
        self.board.handle(request, request_info(at)).await.status().as_u16()
    }

    /// The number of requests of this work, by operation.
    async fn requests_of<T>(&self, work: impl Future<Output = T>) -> (T, BTreeMap<String, usize>) {
        let before = self.service.requests().len();
        let done = work.await;
        let mut counts = BTreeMap::new();
        for request in &self.service.requests()[before..] {
            *counts.entry(operation(request).to_owned()).or_default() += 1;
        }
        (done, counts)
    }
}

fn counts<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.into_iter().map(|(operation, count)| (operation.to_owned(), count)).collect()
}

#[tokio::test]
async fn a_view_of_the_board_makes_ten_requests_however_many_zones_there_are() {
    let stack = Stack::with_alert().await;
    let phone = stack.invite().await;
    for zones in [0, 30, 3_000] {
        stack.table.copy_zone(zones);
        let (status, requests) = stack.requests_of(stack.open("/board", Some(&phone), None)).await;
        assert_eq!(status, 200);
        // The invitation, the last push, and each part of the index.
        assert_eq!(requests, counts([("BatchGetItem", 2), ("Query", 8)]), "{zones} zones");
    }
    // A phone that is not invited causes one read at most.
    let (status, requests) = stack.requests_of(stack.open("/board", Some("AAAAAAAAAAAAAAAAAAAAAA"), None)).await;
    assert_eq!((status, requests), (403, counts([("BatchGetItem", 1)])));
    assert_eq!(stack.requests_of(stack.open("/board", None, None)).await, (403, counts([])));
}

#[tokio::test]
async fn a_page_reads_what_opens_it_and_its_zones_and_an_answer_is_one_write() {
    let stack = Stack::with_alert().await;
    let (link, form) = stack.link().await;
    let phone = stack.invite().await;
    let door = "/board/z/zone?project=building";
    let form = |action: &str| Some(format!("{form}{action}"));
    for (path, phone, form, expected, reads, writes) in [
        // The link and its zone.
        (&*link, None, None, 200, 2, 0),
        // An answer reads the zone once more, for its compare-and-swap.
        (&link, None, form("take"), 303, 3, 1),
        // The same again, and one of somebody else.
        (&link, None, form("take"), 303, 3, 0),
        (&link, Some(&*phone), form("take"), 409, 4, 0),
        // The invitation, the projects of the zone, and the zone.
        (door, Some(&phone), None, 200, 3, 0),
        (door, Some(&phone), form("done"), 303, 4, 1),
        (door, Some(&phone), Some("action=clean".to_owned()), 303, 4, 1),
        ("/board/a/AAAAAAAAAAAAAAAAAAAAAA", None, None, 404, 1, 0),
        ("/board/a/short", None, None, 404, 0, 0),
    ] {
        let work = stack.open(path, phone, form.clone());
        let (status, mut requests) = stack.requests_of(work).await;
        let mut count = |operation| requests.remove(operation).unwrap_or_default();
        let made = (status, count("BatchGetItem"), count("PutItem"));
        assert_eq!((made, requests), ((expected, reads, writes), counts([])), "{path} {form:?}");
    }
}

#[tokio::test]
async fn a_push_writes_the_index_only_if_an_open_alert_changes() {
    let (one_read, one_read_and_write) = (counts([("BatchGetItem", 1)]), counts([("BatchGetItem", 1), ("PutItem", 1)]));
    let stack = Stack::new().await;
    let push = async |device_type: &str, values: Value, minute| {
        let before = stack.table.item(ZONE);
        let (_, requests) = stack.requests_of(stack.push(device_type, &values, minute)).await;
        (requests, projected(&before) == projected(&stack.table.item(ZONE)))
    };
    assert_eq!(push("UM", json!({ "count": 5 }), 1).await, (one_read_and_write.clone(), true));
    let calm = stack.table.item(ZONE);
    assert!(["attention", "attention_shard", "summary"].iter().all(|name| calm[name].is_null()), "{calm}");
    let (_, is_unchanged) = push("SS", json!({ "p": 4 }), 2).await;
    assert!(!is_unchanged && stack.table.item(ZONE)["summary"]["S"].as_str().unwrap().contains("soap-low"));
    // What changes nothing about the open alert: another device, and the same breach.
    assert_eq!(push("UM", json!({ "count": 9 }), 3).await, (one_read_and_write, true));
    assert_eq!(push("SS", json!({ "p": 3 }), 4).await, (one_read, true));
    let (_, is_unchanged) = push("SS", json!({ "p": 80 }), 5).await;
    assert!(!is_unchanged && stack.table.item(ZONE)["attention"].is_null());
}
