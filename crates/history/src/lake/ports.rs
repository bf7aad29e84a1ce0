//! What a lake needs of the place that it is kept in.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;

use crate::{Archive, Unreadable};
use domain::archive::ObjectKey;

/// A file of the lake, as its folder lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its whole name: `lake/manifests/dt=2026-11-23/000001.json`.
    pub name: String,
    /// When it was written, by the store's clock.
    pub written: Timestamp,
}

/// An archive with a lake beside it, both only read.
pub trait LakeFiles: Archive {
    /// The files directly in `folder`, in order. None where there is no such folder.
    ///
    /// # Errors
    /// [`Unreadable`] where they cannot be listed.
    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, Unreadable>;

    /// A file's bytes; `None` where there is no such file.
    ///
    /// # Errors
    /// [`Unreadable`] where it is there and cannot be read.
    fn get(&self, name: &str) -> Result<Option<Bytes>, Unreadable>;
}

/// What became of a file that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there now.
    New,
    /// One of that name was there, and stays. Also where an answer was lost: then it is the very same file.
    Already,
}

/// An archive and its lake, which compaction writes.
pub trait LakeStore: LakeFiles {
    /// Puts a file where there is none of that name. It is whole, or not there at all, and survives a power cut once this
    /// returns.
    ///
    /// # Errors
    /// [`NotWritten`]; it may be there all the same.
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put, NotWritten>;

    /// Removes files of the lake. One that is not there is no fault.
    ///
    /// # Errors
    /// [`NotWritten`] where one of them may still be there.
    fn remove(&self, names: &[String]) -> Result<(), NotWritten>;

    /// Removes objects of the archive, with what is told about them, but for those that somebody still has to look at. How
    /// many are gone.
    ///
    /// # Errors
    /// [`NotWritten`] where one of them may still be there.
    fn expire(&self, keys: &[ObjectKey]) -> Result<u64, NotWritten>;
}

/// Something was not written or removed: what, and why. Whether a retry helps depends on the reason.
#[derive(Debug, thiserror::Error)]
pub struct NotWritten {
    /// The file or object.
    pub what: String,
    /// What the system or the service said.
    pub why: String,
}

impl NotWritten {
    /// `what` cannot be written because of `why`.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { what: what.to_string(), why: why.to_string() }
    }
}

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be written or removed: {}", self.what, self.why)
    }
}

/// Why a day was not compacted, or not all that should expire did. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Something cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Something cannot be written.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// A file is not what it was written as. No retry helps.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// The file.
        what: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A file was written by a newer version of this program.
    #[error("{what} was written by a newer version (format {version}). Use that version")]
    Newer {
        /// The file.
        what: String,
        /// Its format.
        version: u64,
    },
}

impl Fault {
    pub(super) fn damaged(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Damaged { what: what.to_string(), why: why.to_string() }
    }
}
