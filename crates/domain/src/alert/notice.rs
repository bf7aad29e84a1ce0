//! Notices to the operator about the program itself.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::rules::RefusedRules;
use crate::state::Channel;

/// A notice about the program itself. Sent by email only: it can wait until morning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Notice {
    /// A rules file was refused.
    RulesRefused(RefusedRules),
    /// No reading arrives from anywhere.
    NothingArrives {
        /// The time of the last reading.
        since: Timestamp,
    },
    /// A stored object could not be evaluated: the first one of a day.
    SetAside {
        /// The key of the object.
        key: String,
        /// Why the last attempt failed.
        reason: String,
        /// The day in UTC.
        day: Date,
    },
    /// Audiences of the rules have no confirmed subscription: once a day.
    NotSubscribed {
        /// The ids of the audiences.
        audiences: Vec<String>,
        /// The day in UTC.
        day: Date,
    },
    /// A channel has not sent a message for a day: the first one of a day.
    ChannelFails {
        /// The channel.
        channel: Channel,
        /// When the oldest such message was created.
        since: Timestamp,
        /// Why the last attempt failed.
        reason: String,
        /// The day in UTC.
        day: Date,
    },
    /// A recipient refused a message for good: its first one of a day.
    RecipientRefuses {
        /// The email address, or the URL of the webhook.
        recipient: String,
        /// The answer.
        reply: String,
        /// The day in UTC.
        day: Date,
    },
}

impl Notice {
    /// Whether it is about this channel, which therefore cannot send it.
    #[must_use]
    pub fn is_about(&self, channel: Channel) -> bool {
        matches!(self, Self::ChannelFails { channel: failing, .. } if *failing == channel)
    }

    /// The id of the notice. The same cause has the same id.
    #[must_use]
    pub fn id(&self) -> Digest {
        Digest::of_fields(&match self {
            Self::NothingArrives { since } => {
                return Digest::of_fields(&[b"nothing arrives".as_slice(), &since.as_nanosecond().to_be_bytes()]);
            }
            Self::RulesRefused(RefusedRules { file, version, .. }) => {
                vec!["rules refused".to_owned(), file.clone(), version.clone()]
            }
            Self::NotSubscribed { audiences, day } => {
                [vec!["not subscribed".to_owned(), day.to_string()], audiences.clone()].concat()
            }
            Self::SetAside { day, .. } => vec!["set aside".to_owned(), day.to_string()],
            Self::ChannelFails { channel, day, .. } => {
                vec!["channel fails".to_owned(), channel.to_string(), day.to_string()]
            }
            Self::RecipientRefuses { recipient, day, .. } => {
                vec!["recipient refuses".to_owned(), recipient.clone(), day.to_string()]
            }
        })
    }
}
