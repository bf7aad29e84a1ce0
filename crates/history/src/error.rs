//! The error of an archive.

use std::fmt::Display;

/// Stored history cannot be read or written. What was stored before is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file, folder or object cannot be read. A retry can help, depending on `error`.
    #[error("{name} cannot be read: {error}")]
    NotRead {
        /// The file, folder or object.
        name: String,
        /// The error of the system or the service.
        error: String,
    },
    /// A file or object cannot be written or removed. A retry can help, depending on `error`.
    #[error("{name} cannot be written or removed: {error}")]
    NotWritten {
        /// The file or object.
        name: String,
        /// The error of the system or the service.
        error: String,
    },
    /// An object differs from what was written. A retry cannot help.
    #[error("{name} is damaged: {error}. Restore it from a backup, or, in a bucket, from its earlier version")]
    Damaged {
        /// The object.
        name: String,
        /// What is wrong with it.
        error: String,
    },
}

impl ArchiveError {
    /// `name` cannot be read.
    pub fn not_read(name: impl Display, error: impl Display) -> Self {
        Self::NotRead { name: name.to_string(), error: error.to_string() }
    }

    /// `name` cannot be written or removed.
    pub fn not_written(name: impl Display, error: impl Display) -> Self {
        Self::NotWritten { name: name.to_string(), error: error.to_string() }
    }

    /// The object `name` is damaged.
    pub(crate) fn damaged(name: impl Display, error: impl Display) -> Self {
        Self::Damaged { name: name.to_string(), error: error.to_string() }
    }
}
