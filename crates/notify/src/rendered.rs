//! A message ready to send, and the sizes of its texts.

use serde_json::{Map, Value, json};

use super::attributes::{Attribute, EMAIL, SMS, channel};
use super::email::HtmlEmail;

/// Largest [`Rendered::sns_message`], in bytes. SNS accepts 256 KB (262,144 bytes) of messages and attributes in a batch.
pub const LARGEST_SNS_MESSAGE: usize = 160 * 1024;
/// Largest JSON text as a string in the SNS message, in bytes. The SNS message contains it five times.
pub(super) const LARGEST_JSON: usize = 24 * 1024;
/// Largest email as a string in the SNS message, in bytes.
pub(super) const LARGEST_EMAIL: usize = 24 * 1024;
/// Largest email that lists several alerts, as a string in the SNS message, in bytes.
pub(super) const LARGEST_LIST_EMAIL: usize = 80 * 1024;
/// Largest JSON text that lists several alerts, as a string in the SNS message, in bytes. The SNS message contains it once.
pub(super) const LARGEST_LIST_JSON: usize = 104 * 1024;
/// The list lengths that a text is tried with: all, then fewer. With one item each, even the longest names stay far below the
/// limits.
const LIST_LENGTHS: [usize; 8] = [usize::MAX, 128, 64, 32, 16, 8, 4, 1];

/// A message ready to send: a text for each protocol, and the attributes for filter policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The id: of the first alert if the message is firing, else of the message. The same cause always has the same id.
    pub id: String,
    /// Subject of an email: Unicode, under 100 characters, no control character.
    pub subject: String,
    /// The subject in ASCII, for a service that refuses Unicode.
    pub ascii_subject: String,
    /// The text for the terminal and for protocols without their own text.
    pub default: String,
    /// The text of an email.
    pub email: String,
    /// The same email as an HTML page.
    pub html: HtmlEmail,
    /// The text of an SMS, of one part without its link.
    pub sms: String,
    /// The JSON text for programs: queues, functions, webhooks.
    pub json: String,
    /// The message attributes that have a value.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// The ids of its alerts, if they are not its own id. Messages about the same alert are one thread, also if none has its id.
    pub threads: Vec<String>,
}

impl Rendered {
    /// The SNS message of structure `json`: an object with a text for each protocol, at most [`LARGEST_SNS_MESSAGE`] bytes. If
    /// five copies of the JSON text would exceed that, it is included once, as the default.
    #[must_use]
    pub fn sns_message(&self) -> String {
        let full = json!({
            "default": self.default,
            "email": self.email,
            "email-json": self.json,
            "sms": self.sms,
            "sqs": self.json,
            "lambda": self.json,
            "http": self.json,
            "https": self.json,
        })
        .to_string();
        if full.len() <= LARGEST_SNS_MESSAGE {
            return full;
        }
        json!({ "default": self.json, "email": self.email, "sms": self.sms }).to_string()
    }

    /// Adds the ids of its audiences as the attribute `to`; none are everybody.
    #[must_use]
    pub fn with_to(mut self, ids: &[String]) -> Self {
        self.attributes.extend((!ids.is_empty()).then(|| ("to", Attribute::Many(ids.to_vec()))));
        self
    }

    /// Whether the message is sent by SMS: its attribute `channel` contains `sms`.
    #[must_use]
    pub fn goes_by_sms(&self) -> bool {
        self.attributes.iter().any(has_sms)
    }

    /// Removes `sms` from the attribute `channel`.
    #[must_use]
    pub fn by_email_only(mut self) -> Self {
        if let Some(attribute) = self.attributes.iter_mut().find(|attribute| has_sms(attribute)) {
            *attribute = channel(&[EMAIL]);
        }
        self
    }

    /// The message as one line of `alerts.ndjson`, with the JSON text as an object.
    #[must_use]
    pub fn record(&self) -> Value {
        let attributes = self.attributes.iter().map(|(name, attribute)| ((*name).to_owned(), json!(attribute)));
        let facts = serde_json::from_str(&self.json).unwrap_or_else(|_| Value::from(self.json.as_str()));
        json!({
            "id": self.id,
            "subject": self.subject,
            "ascii_subject": self.ascii_subject,
            "message": { "default": self.default, "email": self.email, "sms": self.sms, "json": facts },
            "attributes": Map::from_iter(attributes),
        })
    }
}

fn has_sms(attribute: &(&str, Attribute)) -> bool {
    matches!(attribute, ("channel", Attribute::Many(channels)) if channels.iter().any(|channel| channel == SMS))
}

/// The text with the longest lists whose JSON string has at most `largest` bytes.
pub(super) fn within<T: AsRef<str>>(largest: usize, text: impl Fn(usize) -> T) -> T {
    let fitting = LIST_LENGTHS.into_iter().map(&text).find(|text| json_size(text.as_ref()) <= largest);
    fitting.unwrap_or_else(|| text(1))
}

/// The size of `text` as a JSON string, in bytes.
pub(super) fn json_size(text: &str) -> usize {
    Value::from(text).to_string().len()
}
