//! The queue: notices of the bucket and parcels of the function, each until it is done, delivered at least once.

use serde_json::{Value, json};

use super::{Answer, Asked, json_answer, json_refusal};

/// Most bytes of one message.
const LARGEST: usize = 1 << 20;
/// Messages that the function is given at a time; as in template.yaml.
const AT_ONCE: usize = 10;
/// How often a message is delivered before it is a dead letter. 100 in template.yaml, where each takes three minutes.
const MOST_DELIVERIES: usize = 20;

/// A message that waits.
#[derive(Clone, Debug)]
struct Waiting {
    id: String,
    body: String,
    sent_ms: i64,
    deliveries: usize,
}

/// What waits, and what was given up.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Vec<Waiting>,
    dead: Vec<String>,
    sent: usize,
}

impl Queue {
    /// Bodies of what waits.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &str> {
        self.waiting.iter().map(|waiting| waiting.body.as_str())
    }

    pub(crate) fn dead(&self) -> &[String] {
        &self.dead
    }

    /// A message of the bucket.
    pub(super) fn notice(&mut self, body: &str) {
        self.send(body);
    }

    fn send(&mut self, body: &str) {
        self.sent += 1;
        let sent_ms = jiff::Timestamp::now().as_millisecond();
        self.waiting.push(Waiting { id: format!("m-{}", self.sent), body: body.to_owned(), sent_ms, deliveries: 0 });
    }

    pub(super) fn perform(&mut self, asked: &Asked) -> Answer {
        let asked_for = asked.json();
        let Some(body) = asked_for["MessageBody"].as_str().filter(|_| asked.target() == "SendMessage") else {
            return json_refusal(400, "com.amazonaws.sqs#UnsupportedOperation");
        };
        if body.len() > LARGEST {
            return json_refusal(400, "com.amazonaws.sqs#InvalidParameterValue");
        }
        self.send(body);
        json_answer(200, &json!({ "MessageId": format!("m-{}", self.sent) }))
    }

    /// The next messages as Lambda hands them over; `None` where none waits. Whoever was delivered too often goes to the
    /// dead letters.
    pub(crate) fn deliver(&mut self) -> Option<Value> {
        let (waiting, dead): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|waiting| waiting.deliveries < MOST_DELIVERIES);
        self.waiting = waiting;
        self.dead.extend(dead.into_iter().map(|dead| dead.body));
        // Those that were delivered least first, or one that always fails would keep the others from their turn.
        self.waiting.sort_by_key(|waiting| waiting.deliveries);
        let turn = self.waiting.iter_mut().take(AT_ONCE).map(|waiting| {
            waiting.deliveries += 1;
            json!({
                "messageId": waiting.id, "receiptHandle": waiting.id, "body": waiting.body, "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:ap-southeast-1:123456789012:stored",
                "attributes": {
                    "ApproximateReceiveCount": waiting.deliveries.to_string(),
                    "SentTimestamp": waiting.sent_ms.to_string(),
                },
            })
        });
        let records: Vec<Value> = turn.collect();
        (!records.is_empty()).then(|| json!({ "Records": records }))
    }

    /// Takes out what was delivered with `event` and is done; `reply` names what is not.
    pub(crate) fn done(&mut self, event: &Value, reply: &Value) {
        let ids = |list: &Value, name: &str| -> Vec<String> {
            let items = list.as_array().into_iter().flatten();
            items.filter_map(|item| item[name].as_str().map(str::to_owned)).collect()
        };
        let failed = ids(&reply["batchItemFailures"], "itemIdentifier");
        let delivered = ids(&event["Records"], "messageId");
        self.waiting.retain(|waiting| !delivered.contains(&waiting.id) || failed.contains(&waiting.id));
    }
}
