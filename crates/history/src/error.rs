//! Why stored history cannot be read or written.

use std::fmt::Display;

/// Stored history cannot be read or written. What was stored before is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file, folder or object cannot be read. Whether a retry helps depends on the reason.
    #[error("{what} cannot be read: {why}")]
    NotRead {
        /// The file, folder or object.
        what: String,
        /// What the system or the service said.
        why: String,
    },
    /// A file or object cannot be written or removed. Whether a retry helps depends on the reason.
    #[error("{what} cannot be written or removed: {why}")]
    NotWritten {
        /// The file or object.
        what: String,
        /// What the system or the service said.
        why: String,
    },
    /// An object is not what was written. No retry helps.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// The object.
        what: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
}

impl ArchiveError {
    /// `what` cannot be read because of `why`.
    pub fn not_read(what: impl Display, why: impl Display) -> Self {
        Self::NotRead { what: what.to_string(), why: why.to_string() }
    }

    /// `what` cannot be written or removed because of `why`.
    pub fn not_written(what: impl Display, why: impl Display) -> Self {
        Self::NotWritten { what: what.to_string(), why: why.to_string() }
    }

    /// An object is not what was written.
    pub(crate) fn damaged(what: impl Display, why: impl Display) -> Self {
        let remedy = "Restore it from a backup, or, in a bucket, from its earlier version";
        Self::Damaged { what: what.to_string(), why: format!("{why}. {remedy}") }
    }
}
