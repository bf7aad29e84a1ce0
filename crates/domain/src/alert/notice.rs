//! What the operator has to know about the program itself: a refused file of rules, nothing that arrives at all.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::rules::RefusedRules;

/// Something about the program itself. Goes by email alone: it can wait until morning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Notice {
    /// A rules file was refused.
    RulesRefused(RefusedRules),
    /// Nothing has come from anywhere.
    NothingArrives {
        /// Since then.
        since: Timestamp,
    },
    /// A stored object could not be evaluated, the first one of a day.
    SetAside {
        /// The object's name.
        key: String,
        /// Why the last try failed.
        reason: String,
        /// The day in UTC.
        day: Date,
    },
}

impl Notice {
    /// Its identity: the same cause makes the same notice.
    #[must_use]
    pub fn id(&self) -> Digest {
        match self {
            Self::RulesRefused(refused) => {
                Digest::of_fields(&[b"rules refused", refused.file.as_bytes(), refused.version.as_bytes()])
            }
            Self::NothingArrives { since } => {
                Digest::of_fields(&[b"nothing arrives", &since.as_nanosecond().to_be_bytes()])
            }
            Self::SetAside { day, .. } => Digest::of_fields(&[b"set aside", day.to_string().as_bytes()]),
        }
    }
}
