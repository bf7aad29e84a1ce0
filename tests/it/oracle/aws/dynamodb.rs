//! DynamoDB: one table with its index of what is due, and as much of the API as the function may use.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Answer, Asked, json_answer, json_refusal};

/// Keys that a request may have.
const MOST_KEYS: usize = 100;
/// Largest item, in bytes.
const LARGEST: usize = 400 * 1024;

/// Items by their keys.
#[derive(Debug, Default)]
pub(crate) struct Table {
    items: BTreeMap<String, Value>,
}

fn refusal(code: &str) -> Answer {
    json_refusal(400, &format!("com.amazonaws.dynamodb.v20120810#{code}"))
}

fn text<'v>(item: &'v Value, name: &str) -> &'v str {
    item[name]["S"].as_str().unwrap_or_default()
}

fn number(value: &Value) -> i64 {
    value["N"].as_str().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

impl Table {
    /// What each document says, and when something about it is due.
    pub(crate) fn documents(&self) -> BTreeMap<String, (Value, Option<i64>)> {
        // The limiter's items have no body.
        let documents = self.items.iter().filter(|(_, item)| item.get("body").is_some());
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

    /// Gives back the tokens of the rate limit, as a quiet minute does.
    pub(crate) fn refill(&mut self) {
        self.items.remove("rate-limit/alerts");
    }

    pub(super) fn perform(&mut self, asked: &Asked) -> Answer {
        match asked.target() {
            "BatchGetItem" => self.batch_get(&asked.json(), |_| true),
            "PutItem" => self.put(&asked.json()),
            "UpdateItem" => self.update(&asked.json()),
            "Query" => self.query(&asked.json()),
            _ => refusal("UnknownOperationException"),
        }
    }

    /// Reads every second key; the others are left to be asked for again.
    pub(super) fn perform_partly(&mut self, asked: &Asked) -> Answer {
        match asked.target() {
            "BatchGetItem" => self.batch_get(&asked.json(), |index| index % 2 == 0),
            _ => self.perform(asked),
        }
    }

    /// The same after somebody else has written what was there once more.
    pub(super) fn put_after_another(&mut self, asked: &Asked) -> Answer {
        let asked = asked.json();
        if let Some(item) = self.items.get_mut(text(&asked["Item"], "pk")) {
            item["version"] = json!({ "N": (number(&item["version"]) + 1).to_string() });
        }
        self.put(&asked)
    }

    fn batch_get(&self, asked: &Value, is_read: impl Fn(usize) -> bool) -> Answer {
        let Some((table, wanted)) = asked["RequestItems"].as_object().and_then(|tables| tables.iter().next()) else {
            return refusal("ValidationException");
        };
        let keys: Vec<&Value> = wanted["Keys"].as_array().into_iter().flatten().collect();
        let distinct: BTreeSet<&str> = keys.iter().map(|key| text(key, "pk")).collect();
        if keys.is_empty() || keys.len() > MOST_KEYS || distinct.len() < keys.len() {
            return refusal("ValidationException");
        }
        // What cannot be read as it should be, is not read at all.
        assert_eq!(wanted["ConsistentRead"], true, "a push must see what the last one has written");
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
        json_answer(200, &json!({ "Responses": { table: found }, "UnprocessedKeys": unprocessed }))
    }

    fn put(&mut self, asked: &Value) -> Answer {
        let item = &asked["Item"];
        let key = text(item, "pk");
        if key.is_empty() || item.to_string().len() > LARGEST {
            return refusal("ValidationException");
        }
        let known = self.items.get(key);
        let is_met = match asked["ConditionExpression"].as_str() {
            Some("attribute_not_exists(pk)") => known.is_none(),
            Some("#version = :read") => {
                assert_eq!(asked["ExpressionAttributeNames"]["#version"], "version");
                known.is_some_and(|known| known["version"] == asked["ExpressionAttributeValues"][":read"])
            }
            other => panic!("a write without a condition that is known here: {other:?}"),
        };
        if !is_met {
            return refusal("ConditionalCheckFailedException");
        }
        self.items.insert(key.to_owned(), item.clone());
        json_answer(200, &json!({}))
    }

    /// A write of the limiter: numbers alone.
    fn update(&mut self, asked: &Value) -> Answer {
        let key = text(&asked["Key"], "pk");
        let known = self.items.get(key).cloned();
        let values = &asked["ExpressionAttributeValues"];
        let member = |name: &str| known.as_ref().and_then(|known| known.get(name)).map(number);
        if !asked["ConditionExpression"].as_str().is_none_or(|condition| is_met(condition, &member, values)) {
            assert_eq!(asked["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
            let refused = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
            return json_answer(400, &json!({ "__type": refused, "Item": known }));
        }
        let mut item = known.clone().unwrap_or_else(|| json!({ "pk": { "S": key } }));
        for (clause, changes) in clauses(asked["UpdateExpression"].as_str().unwrap_or_default()) {
            for change in changes.split(", ") {
                let words: Vec<&str> = change.split(' ').collect();
                let (name, written) = match (clause, &words[..]) {
                    ("SET", [name, "=", value]) => (*name, Some(number(&values[*value]))),
                    ("SET", [name, "=", known, "+", value]) => {
                        (*name, member(known).map(|known| known + number(&values[*value])))
                    }
                    ("ADD", [name, value]) => (*name, Some(member(name).unwrap_or(0) + number(&values[*value]))),
                    ("REMOVE", [name]) => (*name, None),
                    _ => panic!("a change that is not known here: {clause} {change}"),
                };
                let name = asked["ExpressionAttributeNames"][name].as_str().unwrap_or(name);
                match written {
                    Some(written) => item[name] = json!({ "N": written.to_string() }),
                    None => drop(item.as_object_mut().and_then(|item| item.remove(name))),
                }
            }
        }
        self.items.insert(key.to_owned(), item);
        json_answer(200, &json!({}))
    }

    fn query(&self, asked: &Value) -> Answer {
        assert_eq!(asked["IndexName"], "due", "{asked}");
        assert_eq!(asked["KeyConditionExpression"], "#shard = :shard AND #due <= :now", "{asked}");
        let values = &asked["ExpressionAttributeValues"];
        let (shard, now) = (text(values, ":shard"), number(&values[":now"]));
        let is_due = |item: &&Value| item.get("due").is_some_and(|due| number(due) <= now);
        let mut due: Vec<&Value> =
            self.items.values().filter(|item| text(item, "shard") == shard).filter(is_due).collect();
        due.sort_by_key(|item| number(&item["due"]));
        let most = asked["Limit"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        // The index holds keys only.
        let keys = |item: &Value| json!({ "pk": item["pk"], "shard": item["shard"], "due": item["due"] });
        let items: Vec<Value> = due.into_iter().take(most).map(keys).collect();
        json_answer(200, &json!({ "Count": items.len(), "ScannedCount": items.len(), "Items": items }))
    }
}

/// The clauses of an update expression, each with its changes.
fn clauses(expression: &str) -> Vec<(&'static str, &str)> {
    let mut starts: Vec<(usize, &'static str)> =
        ["SET ", "ADD ", "REMOVE "].into_iter().filter_map(|clause| Some((expression.find(clause)?, clause))).collect();
    starts.sort_unstable();
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([expression.len()]);
    let clause = |(&(start, clause), end): (&(usize, &'static str), usize)| {
        (clause.trim(), expression[start + clause.len()..end].trim())
    };
    starts.iter().zip(ends).map(clause).collect()
}

/// Whether a condition holds: terms joined by AND, some of them in brackets and joined by OR. A comparison with a member that
/// is not there does not hold.
fn is_met(condition: &str, member: &dyn Fn(&str) -> Option<i64>, values: &Value) -> bool {
    let term = |term: &str| match term.split(' ').collect::<Vec<_>>()[..] {
        [name, "<=", value] => member(name).is_some_and(|known| known <= number(&values[value])),
        [name, ">", value] => member(name).is_some_and(|known| known > number(&values[value])),
        [absent] => {
            let name = absent.strip_prefix("attribute_not_exists(").and_then(|name| name.strip_suffix(')'));
            member(name.unwrap_or_else(|| panic!("a term that is not known here: {absent}"))).is_none()
        }
        _ => panic!("a term that is not known here: {term}"),
    };
    condition.split(" AND ").all(|terms| {
        let inside = terms.strip_prefix('(').and_then(|terms| terms.strip_suffix(')')).unwrap_or(terms);
        inside.split(" OR ").any(term)
    })
}
