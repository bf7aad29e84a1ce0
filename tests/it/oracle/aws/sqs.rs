//! The queue: notifications of the bucket and objects of the function, delivered at least once until they are deleted.

use serde_json::{Value, json};

use super::{AwsRequest, AwsResponse, json_refusal, json_response};

/// Largest message, in bytes.
const MAX_MESSAGE: usize = 1 << 20;
/// Messages per event, as in template.yaml.
const BATCH_SIZE: usize = 10;
/// Deliveries before a message becomes a dead letter. 100 in template.yaml, where each takes three minutes.
const MAX_DELIVERIES: usize = 20;

/// A message in the queue.
#[derive(Clone, Debug)]
struct SqsMessage {
    id: String,
    body: String,
    sent_ms: i64,
    deliveries: usize,
}

/// Waiting messages, and dead letters.
#[derive(Debug, Default)]
pub(crate) struct FakeSqs {
    waiting: Vec<SqsMessage>,
    dead: Vec<String>,
    sent: usize,
}

impl FakeSqs {
    /// Bodies of the waiting messages.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &str> {
        self.waiting.iter().map(|waiting| waiting.body.as_str())
    }

    pub(crate) fn dead(&self) -> &[String] {
        &self.dead
    }

    /// A notification of the bucket.
    pub(super) fn notify(&mut self, body: &str) {
        self.send(body);
    }

    fn send(&mut self, body: &str) {
        self.sent += 1;
        let sent_ms = jiff::Timestamp::now().as_millisecond();
        self.waiting.push(SqsMessage { id: format!("m-{}", self.sent), body: body.to_owned(), sent_ms, deliveries: 0 });
    }

    pub(super) fn perform(&mut self, request: &AwsRequest) -> AwsResponse {
        let parameters = request.json();
        let Some(body) = parameters["MessageBody"].as_str().filter(|_| request.target() == "SendMessage") else {
            return json_refusal(400, "com.amazonaws.sqs#UnsupportedOperation");
        };
        if body.len() > MAX_MESSAGE {
            return json_refusal(400, "com.amazonaws.sqs#InvalidParameterValue");
        }
        self.send(body);
        json_response(200, &json!({ "MessageId": format!("m-{}", self.sent) }))
    }

    /// The next event for Lambda; `None` if no message waits. Messages that were delivered too often become dead letters.
    pub(crate) fn deliver(&mut self) -> Option<Value> {
        let (waiting, dead): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|waiting| waiting.deliveries < MAX_DELIVERIES);
        self.waiting = waiting;
        self.dead.extend(dead.into_iter().map(|dead| dead.body));
        // The least delivered first, so that a message that always fails does not delay the others.
        self.waiting.sort_by_key(|waiting| waiting.deliveries);
        let records = self.waiting.iter_mut().take(BATCH_SIZE).map(|waiting| {
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
        let records: Vec<Value> = records.collect();
        (!records.is_empty()).then(|| json!({ "Records": records }))
    }

    /// Deletes the messages of `event`, except those that `reply` reports as failed.
    pub(crate) fn delete(&mut self, event: &Value, reply: &Value) {
        let ids = |list: &Value, name: &str| -> Vec<String> {
            let items = list.as_array().into_iter().flatten();
            items.filter_map(|item| item[name].as_str().map(str::to_owned)).collect()
        };
        let failed = ids(&reply["batchItemFailures"], "itemIdentifier");
        let delivered = ids(&event["Records"], "messageId");
        self.waiting.retain(|waiting| !delivered.contains(&waiting.id) || failed.contains(&waiting.id));
    }
}
