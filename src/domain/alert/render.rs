//! The words of a message, one text for each way it can arrive.

use super::Message;

/// A message ready to be sent: one text for each protocol, and the attributes that subscriptions filter on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The id of its first alert.
    pub id: String,
    /// Subject of an email: Unicode, under 100 characters, no control character.
    pub subject: String,
    /// The same in ASCII, for a service that refuses the other.
    pub ascii_subject: String,
    /// What the protocols without a text of their own get, and the terminal.
    pub default: String,
    /// The text of an email.
    pub email: String,
    /// The text of an SMS: one part.
    pub sms: String,
    /// The facts as JSON, for programs: queues, functions, webhooks.
    pub json: String,
    /// Message attributes, absent ones left out.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// A message attribute's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A single value; never empty.
    One(String),
    /// Several values, each once; never empty.
    Many(Vec<String>),
}

/// Makes the words of `message`.
#[must_use]
pub fn render(message: &Message) -> Rendered {
    let _ = message;
    todo!()
}
