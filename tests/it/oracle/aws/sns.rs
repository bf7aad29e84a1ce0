//! SNS: the messages of one topic.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{AwsRequest, AwsResponse, response};

/// Most messages of a request.
const MAX_ENTRIES: usize = 10;
/// Most bytes of them together.
const MAX_BYTES: usize = 256 * 1024;
/// The member of a message that says how many seconds its sender's clock was ahead.
pub(crate) const AHEAD_S: &str = "oracle_ahead_s";

/// The accepted messages, in order, with [`AHEAD_S`].
#[derive(Debug, Default)]
pub(crate) struct FakeSns {
    sent: Vec<Value>,
}

type SnsEntry = BTreeMap<String, String>;

pub(super) fn refusal(status: u16, code: &str) -> AwsResponse {
    let fault = if status < 500 { "Sender" } else { "Receiver" };
    let text = format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>{fault}</Type>\
         <Code>{code}</Code><Message>injected</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    );
    response(status, "text/xml", text)
}

fn result(operation: &str, inner: &str) -> AwsResponse {
    let text = format!(
        "<{operation}Response xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><{operation}Result>{inner}\
         </{operation}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{operation}Response>"
    );
    response(200, "text/xml", text)
}

/// A form's members by name.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body).replace('+', " ");
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// The entries of a batch in their order: `PublishBatchRequestEntries.member.3.Subject`.
fn entries(form: &BTreeMap<String, String>) -> Vec<SnsEntry> {
    let mut entries: BTreeMap<usize, SnsEntry> = BTreeMap::new();
    for (name, value) in form {
        let Some(rest) = name.strip_prefix("PublishBatchRequestEntries.member.") else { continue };
        let Some((number, member)) = rest.split_once('.') else { continue };
        entries.entry(number.parse().unwrap()).or_default().insert(member.to_owned(), value.clone());
    }
    entries.into_values().collect()
}

impl FakeSns {
    /// The messages as programs that subscribe get them, in order.
    pub(crate) fn sent(&self) -> &[Value] {
        &self.sent
    }

    pub(super) fn perform(&mut self, request: &AwsRequest) -> AwsResponse {
        self.handle(request, |_| true)
    }

    /// Accepts every second entry; the others fail.
    pub(super) fn perform_partially(&mut self, request: &AwsRequest) -> AwsResponse {
        self.handle(request, |index| index % 2 == 1)
    }

    fn handle(&mut self, request: &AwsRequest, is_accepted: impl Fn(usize) -> bool) -> AwsResponse {
        let form = form(&request.body);
        match form.get("Action").map(String::as_str) {
            Some("PublishBatch") => self.publish(&entries(&form), request.ahead.as_secs(), is_accepted),
            Some("GetTopicAttributes") => {
                let entry = |name: &str| format!("<entry><key>{name}</key><value>1</value></entry>");
                let both = entry("SubscriptionsConfirmed") + &entry("SubscriptionsPending");
                result("GetTopicAttributes", &format!("<Attributes>{both}</Attributes>"))
            }
            _ => refusal(400, "InvalidAction"),
        }
    }

    fn publish(&mut self, entries: &[SnsEntry], ahead_s: i64, is_accepted: impl Fn(usize) -> bool) -> AwsResponse {
        let size: usize = entries.iter().flat_map(|entry| entry.values()).map(String::len).sum();
        match entries.len() {
            0 => return refusal(400, "EmptyBatchRequest"),
            count if count > MAX_ENTRIES => return refusal(400, "TooManyEntriesInBatchRequest"),
            _ if size > MAX_BYTES => return refusal(400, "BatchRequestTooLong"),
            _ => {}
        }
        let (mut successful, mut failed) = (String::new(), String::new());
        for (index, entry) in entries.iter().enumerate() {
            let id = &entry["Id"];
            if is_accepted(index) {
                let mut message = facts(entry);
                message[AHEAD_S] = ahead_s.into();
                self.sent.push(message);
                successful += &format!("<member><Id>{id}</Id><MessageId>m</MessageId></member>");
            } else {
                failed += &format!(
                    "<member><Id>{id}</Id><Code>InternalError</Code><Message>injected</Message>\
                     <SenderFault>false</SenderFault></member>"
                );
            }
        }
        result(
            "PublishBatch",
            &format!("<Successful>{successful}</Successful><InvocationError>{failed}</InvocationError>"),
        )
    }
}

/// The message as a subscribed queue gets it, as JSON.
fn facts(entry: &SnsEntry) -> Value {
    let texts: Value = serde_json::from_str(&entry["Message"]).unwrap();
    let text = texts["sqs"].as_str().or(texts["default"].as_str()).unwrap();
    serde_json::from_str(text).unwrap_or_else(|error| panic!("a message for programs is not JSON: {error}: {text}"))
}
