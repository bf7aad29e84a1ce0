//! What a lake needs of the place that it is kept in.

use bytes::Bytes;
use jiff::Timestamp;

use crate::{Archive, ArchiveError};
use domain::archive::ObjectKey;

/// A file of the lake, as its folder lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its whole name: `lake/manifests/dt=2026-11-23/000001.json`.
    pub name: String,
    /// When it was written, by the store's clock.
    pub written: Timestamp,
}

/// What became of a file that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there now.
    New,
    /// One of that name was there, and stays. Also if an answer was lost: then it is the very same file.
    Already,
}

/// An archive with a lake beside it.
pub trait LakeStore: Archive {
    /// The files directly in `folder`, in order. None if there is no such folder.
    ///
    /// # Errors
    /// [`ArchiveError::NotRead`] if they cannot be listed.
    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, ArchiveError>;

    /// A file's bytes; `None` if there is no such file.
    ///
    /// # Errors
    /// [`ArchiveError::NotRead`] if it is there and cannot be read.
    fn get(&self, name: &str) -> Result<Option<Bytes>, ArchiveError>;

    /// Puts a file if there is none of that name. It is whole, or not there at all, and survives a power cut once this
    /// returns.
    ///
    /// # Errors
    /// [`ArchiveError::NotWritten`]; it may be there all the same.
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put, ArchiveError>;

    /// Removes files of the lake. One that is not there is no fault.
    ///
    /// # Errors
    /// [`ArchiveError::NotWritten`] if one of them may still be there.
    fn remove(&self, names: &[String]) -> Result<(), ArchiveError>;

    /// Removes objects of the archive, with what is recorded about them, except those that are still to be evaluated or
    /// looked at. How many are gone.
    ///
    /// # Errors
    /// [`ArchiveError::NotWritten`] if one of them may still be there.
    fn expire(&self, keys: &[ObjectKey]) -> Result<u64, ArchiveError>;
}
