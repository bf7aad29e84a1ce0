//! The store of a lake.

use crate::{Archive, ArchiveError};

/// An archive with a lake beside it.
pub trait LakeStore: Archive {
    /// Writes a file, or replaces the one of that name. The file is complete or missing at any moment. It survives a power cut
    /// after this returns.
    ///
    /// # Errors
    /// [`ArchiveError`]. The file can be there nevertheless; writing it again is safe.
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ArchiveError>;

    /// Removes files of the lake, in this order. A missing file is no error.
    ///
    /// # Errors
    /// [`ArchiveError`] if one of them can still be there. A retry can help.
    fn remove(&self, names: &[String]) -> Result<(), ArchiveError>;
}
