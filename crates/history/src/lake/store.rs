//! Where a lake is kept.

use crate::{Archive, ArchiveError};

/// An archive with a lake beside it.
pub trait LakeStore: Archive {
    /// The whole names of the files directly in `folder`. None if there is no such folder.
    ///
    /// # Errors
    /// [`ArchiveError::NotRead`] if they cannot be listed.
    fn files(&self, folder: &str) -> Result<Vec<String>, ArchiveError>;

    /// Puts a file, in place of one of that name. It is whole, or not there at all, and survives a power cut once this
    /// returns.
    ///
    /// # Errors
    /// [`ArchiveError::NotWritten`]; it may be there all the same.
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ArchiveError>;

    /// Removes files of the lake, in this order. A file that is not there is no error.
    ///
    /// # Errors
    /// [`ArchiveError::NotWritten`] if one of them may still be there.
    fn remove(&self, names: &[String]) -> Result<(), ArchiveError>;
}
