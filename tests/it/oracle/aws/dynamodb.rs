//! DynamoDB: one table with its index `due`, and the part of the API that the function uses.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use smartclean_push::ingest::rate_limit::RATE_LIMIT;

use super::{AwsRequest, AwsResponse, json_refusal, json_response};

/// Most keys of a request.
const MAX_KEYS: usize = 100;
/// Most statements of a request.
const MAX_STATEMENTS: usize = 25;
/// Largest item, in bytes.
const MAX_ITEM: usize = 400 * 1024;

/// Items by their keys.
#[derive(Debug, Default)]
pub(crate) struct FakeDynamoDb {
    items: BTreeMap<String, Value>,
}

fn refusal(code: &str) -> AwsResponse {
    json_refusal(400, &format!("com.amazonaws.dynamodb.v20120810#{code}"))
}

fn text<'v>(item: &'v Value, name: &str) -> &'v str {
    item[name]["S"].as_str().unwrap_or_default()
}

fn number(value: &Value) -> i64 {
    value["N"].as_str().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// The key and the expected version of an UPDATE.
fn target(statement: &Value) -> (&str, &Value) {
    match statement["Parameters"].as_array().map(Vec::as_slice) {
        Some([.., key, version]) => (key["S"].as_str().unwrap(), version),
        _ => panic!("unsupported statement: {statement}"),
    }
}

impl FakeDynamoDb {
    /// The documents but for the rate limit, with their due times.
    pub(crate) fn documents(&self) -> BTreeMap<String, (Value, Option<i64>)> {
        let documents = self.items.iter().filter(|(key, _)| *key != RATE_LIMIT);
        let of = |(key, item): (&String, &Value)| {
            let packed = item["body"]["B"].as_str().map(|packed| {
                let bytes = STANDARD.decode(packed).unwrap();
                String::from_utf8(zstd::decode_all(&*bytes).unwrap()).unwrap()
            });
            let body = packed.unwrap_or_else(|| text(item, "body").to_owned());
            let due = item.get("due").map(number);
            (key.clone(), (serde_json::from_str(&body).unwrap(), due))
        };
        documents.map(of).collect()
    }

    /// Refills the tokens of the rate limit, as a minute without messages does.
    pub(crate) fn refill(&mut self) {
        self.items.remove(RATE_LIMIT);
    }

    pub(super) fn perform(&mut self, request: &AwsRequest) -> AwsResponse {
        match request.target() {
            "BatchGetItem" => self.batch_get(&request.json(), |_| true),
            "PutItem" => self.put(&request.json()),
            "BatchExecuteStatement" => self.update_each(&request.json(), |_| true),
            "Query" => self.query(&request.json()),
            _ => refusal("UnknownOperationException"),
        }
    }

    /// Reads every second key; the others are returned as unprocessed. Performs every second statement; the others are throttled.
    pub(super) fn perform_partially(&mut self, request: &AwsRequest) -> AwsResponse {
        match request.target() {
            "BatchGetItem" => self.batch_get(&request.json(), |index| index % 2 == 0),
            "BatchExecuteStatement" => self.update_each(&request.json(), |index| index % 2 == 0),
            _ => self.perform(request),
        }
    }

    /// Writes an item, or items, after another process has written the stored one, or the first.
    pub(super) fn write_after_another(&mut self, request: &AwsRequest) -> AwsResponse {
        let body = request.json();
        let first = &body["Statements"][0];
        let written = if first.is_null() { text(&body["Item"], "pk") } else { target(first).0 };
        if let Some(item) = self.items.get_mut(written) {
            item["version"] = json!({ "N": (number(&item["version"]) + 1).to_string() });
        }
        self.perform(request)
    }

    fn batch_get(&self, request: &Value, is_read: impl Fn(usize) -> bool) -> AwsResponse {
        let Some((table, wanted)) = request["RequestItems"].as_object().and_then(|tables| tables.iter().next()) else {
            return refusal("ValidationException");
        };
        let keys: Vec<&Value> = wanted["Keys"].as_array().into_iter().flatten().collect();
        let distinct: BTreeSet<&str> = keys.iter().map(|key| text(key, "pk")).collect();
        if keys.is_empty() || keys.len() > MAX_KEYS || distinct.len() < keys.len() {
            return refusal("ValidationException");
        }
        assert_eq!(wanted["ConsistentRead"], true, "a push must see the writes of the last one");
        let (mut found, mut left) = (Vec::new(), Vec::new());
        for (index, key) in keys.into_iter().enumerate() {
            if !is_read(index) {
                left.push(key.clone());
            } else if let Some(item) = self.items.get(text(key, "pk")) {
                found.push(item.clone());
            }
        }
        let mut unprocessed = Map::new();
        if !left.is_empty() {
            unprocessed.insert(table.clone(), json!({ "Keys": left, "ConsistentRead": true }));
        }
        json_response(200, &json!({ "Responses": { table: found }, "UnprocessedKeys": unprocessed }))
    }

    fn put(&mut self, request: &Value) -> AwsResponse {
        let item = &request["Item"];
        let key = text(item, "pk");
        if key.is_empty() || item.to_string().len() > MAX_ITEM {
            return refusal("ValidationException");
        }
        let known = self.items.get(key);
        let is_met = match request["ConditionExpression"].as_str() {
            Some("attribute_not_exists(pk)") => known.is_none(),
            Some("#version = :read") => {
                assert_eq!(request["ExpressionAttributeNames"]["#version"], "version");
                known.is_some_and(|known| known["version"] == request["ExpressionAttributeValues"][":read"])
            }
            other => panic!("unsupported condition: {other:?}"),
        };
        if !is_met {
            return refusal("ConditionalCheckFailedException");
        }
        self.items.insert(key.to_owned(), item.clone());
        json_response(200, &json!({}))
    }

    /// Performs the statements that `is_performed` selects by their index.
    fn update_each(&mut self, request: &Value, is_performed: impl Fn(usize) -> bool) -> AwsResponse {
        let statements = request["Statements"].as_array().unwrap();
        let keys: BTreeSet<&str> = statements.iter().map(|statement| target(statement).0).collect();
        if statements.is_empty() || statements.len() > MAX_STATEMENTS || keys.len() < statements.len() {
            return refusal("ValidationException");
        }
        let responses = statements.iter().enumerate().map(|(index, statement)| {
            let error = if is_performed(index) { self.update(statement).err() } else { Some("ThrottlingError") };
            error.map_or_else(|| json!({}), |code| json!({ "Error": { "Code": code, "Message": "injected" } }))
        });
        json_response(200, &json!({ "Responses": responses.collect::<Vec<_>>() }))
    }

    /// Updates an item. Returns the code of the error.
    fn update(&mut self, statement: &Value) -> Result<(), &'static str> {
        let (key, read) = target(statement);
        let stored = self.items.get_mut(key).filter(|item| item["version"] == *read).ok_or("ConditionalCheckFailed")?;
        let mut item = stored.as_object().unwrap().clone();
        let text = statement["Statement"].as_str().unwrap();
        let changes = text.strip_prefix("UPDATE \"state\"").and_then(|text| text.split_once(" WHERE "));
        let (changes, condition) = changes.unwrap_or_else(|| panic!("unsupported statement: {text}"));
        assert_eq!(condition, "\"pk\" = ? AND \"version\" = ?");
        let mut values = statement["Parameters"].as_array().unwrap().iter();
        let mut words = changes.split_whitespace();
        while let Some(verb) = words.next() {
            let name = words.next().unwrap().trim_matches('"');
            match verb {
                "SET" => {
                    assert_eq!(words.by_ref().take(2).collect::<Vec<_>>(), ["=", "?"], "{text}");
                    item.insert(name.to_owned(), values.next().unwrap().clone());
                }
                "REMOVE" => drop(item.remove(name)),
                _ => panic!("unsupported statement: {text}"),
            }
        }
        let item = Value::from(item);
        if item.to_string().len() > MAX_ITEM {
            return Err("ValidationError");
        }
        *stored = item;
        Ok(())
    }

    fn query(&self, request: &Value) -> AwsResponse {
        assert_eq!(request["IndexName"], "due", "{request}");
        assert_eq!(request["KeyConditionExpression"], "#shard = :shard AND #due <= :now", "{request}");
        let values = &request["ExpressionAttributeValues"];
        let (shard, now) = (text(values, ":shard"), number(&values[":now"]));
        let is_due = |item: &&Value| item.get("due").is_some_and(|due| number(due) <= now);
        let mut due: Vec<&Value> =
            self.items.values().filter(|item| text(item, "shard") == shard).filter(is_due).collect();
        due.sort_by_key(|item| number(&item["due"]));
        let most = request["Limit"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        // The index holds keys only.
        let keys = |item: &Value| json!({ "pk": item["pk"], "shard": item["shard"], "due": item["due"] });
        let items: Vec<Value> = due.into_iter().take(most).map(keys).collect();
        json_response(200, &json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items }))
    }
}
