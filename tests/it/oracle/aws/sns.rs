//! SNS: messages that were taken, one topic's.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Answer, Asked, answer};

/// Entries that a request may have.
const MOST_ENTRIES: usize = 10;
/// Bytes that they may have together.
const MOST_BYTES: usize = 256 * 1024;

/// What was taken, in order.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    sent: Vec<Value>,
}

type Entry = BTreeMap<String, String>;

pub(super) fn refusal(status: u16, code: &str) -> Answer {
    let fault = if status < 500 { "Sender" } else { "Receiver" };
    let text = format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>{fault}</Type>\
         <Code>{code}</Code><Message>told to</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    );
    answer(status, "text/xml", text)
}

fn result(operation: &str, inner: &str) -> Answer {
    let text = format!(
        "<{operation}Response xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><{operation}Result>{inner}\
         </{operation}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{operation}Response>"
    );
    answer(200, "text/xml", text)
}

/// A form's members by name.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body).replace('+', " ");
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// The entries of a batch in their order: `PublishBatchRequestEntries.member.3.Subject`.
fn entries(form: &BTreeMap<String, String>) -> Vec<Entry> {
    let mut entries: BTreeMap<usize, Entry> = BTreeMap::new();
    for (name, value) in form {
        let Some(rest) = name.strip_prefix("PublishBatchRequestEntries.member.") else { continue };
        let Some((number, member)) = rest.split_once('.') else { continue };
        entries.entry(number.parse().unwrap()).or_default().insert(member.to_owned(), value.clone());
    }
    entries.into_values().collect()
}

impl Topic {
    /// What programs that subscribe were told, in order.
    pub(crate) fn sent(&self) -> &[Value] {
        &self.sent
    }

    pub(super) fn perform(&mut self, asked: &Asked) -> Answer {
        self.take(asked, |_| true)
    }

    /// Takes every second entry; the others fail one by one.
    pub(super) fn perform_partly(&mut self, asked: &Asked) -> Answer {
        self.take(asked, |index| index % 2 == 1)
    }

    fn take(&mut self, asked: &Asked, is_taken: impl Fn(usize) -> bool) -> Answer {
        let form = form(&asked.body);
        match form.get("Action").map(String::as_str) {
            Some("PublishBatch") => self.publish(&entries(&form), is_taken),
            Some("GetTopicAttributes") => {
                let entry = |name: &str| format!("<entry><key>{name}</key><value>1</value></entry>");
                let both = entry("SubscriptionsConfirmed") + &entry("SubscriptionsPending");
                result("GetTopicAttributes", &format!("<Attributes>{both}</Attributes>"))
            }
            _ => refusal(400, "InvalidAction"),
        }
    }

    fn publish(&mut self, entries: &[Entry], is_taken: impl Fn(usize) -> bool) -> Answer {
        let size: usize = entries.iter().flat_map(|entry| entry.values()).map(String::len).sum();
        match entries.len() {
            0 => return refusal(400, "EmptyBatchRequest"),
            count if count > MOST_ENTRIES => return refusal(400, "TooManyEntriesInBatchRequest"),
            _ if size > MOST_BYTES => return refusal(400, "BatchRequestTooLong"),
            _ => {}
        }
        let (mut successful, mut failed) = (String::new(), String::new());
        for (index, entry) in entries.iter().enumerate() {
            let id = &entry["Id"];
            if is_taken(index) {
                self.sent.push(facts(entry));
                successful += &format!("<member><Id>{id}</Id><MessageId>m</MessageId></member>");
            } else {
                failed += &format!(
                    "<member><Id>{id}</Id><Code>InternalError</Code><Message>told to</Message>\
                     <SenderFault>false</SenderFault></member>"
                );
            }
        }
        result("PublishBatch", &format!("<Successful>{successful}</Successful><Failed>{failed}</Failed>"))
    }
}

/// What a queue that subscribes would get, read as JSON.
fn facts(entry: &Entry) -> Value {
    let texts: Value = serde_json::from_str(&entry["Message"]).unwrap();
    let text = texts["sqs"].as_str().or(texts["default"].as_str()).unwrap();
    serde_json::from_str(text).unwrap_or_else(|fault| panic!("a message for programs is not JSON: {fault}: {text}"))
}
