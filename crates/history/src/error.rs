//! The error of an archive.

use std::fmt::Display;

/// Stored history cannot be read or written. What was stored before is unchanged.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ArchiveError(String);

impl ArchiveError {
    /// The file, folder or object `name` cannot be read. A retry can help, depending on `error`.
    pub fn not_read(name: impl Display, error: impl Display) -> Self {
        Self(format!("{name} cannot be read: {error}"))
    }

    /// The file or object `name` cannot be written or removed. A retry can help, depending on `error`.
    pub fn not_written(name: impl Display, error: impl Display) -> Self {
        Self(format!("{name} cannot be written or removed: {error}"))
    }

    /// The object `name` differs from what was written. A retry cannot help.
    pub(crate) fn damaged(name: impl Display, error: impl Display) -> Self {
        Self(format!("{name} is damaged: {error}. Restore it from a backup, or, in a bucket, from its earlier version"))
    }
}
