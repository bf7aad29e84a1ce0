//! What was stored, read again in the order in which it was first received; and `lake`, which copies it into Parquet files.

mod error;
mod hours;
mod inventory;
pub mod lake;
mod period;
mod pushes;

use jiff::Timestamp;

pub use self::error::ArchiveError;
pub use self::hours::{Hour, hours};
pub use self::inventory::{Ids, Inventory};
pub use self::period::Period;
pub use self::pushes::{ArchivedPush, Round, read_pushes};
use domain::archive::{ObjectKey, unpack};

/// Where stored objects are read from: a data folder, a bucket.
pub trait Archive: Send + Sync {
    /// The folders directly below `folder`, as whole prefixes that end in `/`, in order: below `raw/`, `raw/dt=2026-11-23/`
    /// and its like. None if there is no such folder.
    ///
    /// # Errors
    /// [`ArchiveError::NotRead`] if they cannot be listed.
    fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError>;

    /// The objects directly in `folder`, in order. None if there is no such folder.
    ///
    /// # Errors
    /// [`ArchiveError::NotRead`] if they cannot be listed.
    fn keys(&self, folder: &str) -> Result<Vec<ObjectKey>, ArchiveError>;

    /// The objects of these keys, in their order. As many are read at a time as is good for the archive.
    ///
    /// # Errors
    /// [`ArchiveError`] if one of them cannot be read, also because it is not there any more.
    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError>;
}

/// A stored object as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its name.
    pub key: ObjectKey,
    /// When it was first received; `None` for a copy of the object alone, with nothing recorded about it.
    pub received: Option<Timestamp>,
    /// Its compressed bytes.
    pub bytes: Vec<u8>,
}

impl StoredObject {
    /// Its lines.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] if it is no Zstandard frame of text. No retry helps.
    pub fn text(&self) -> Result<String, ArchiveError> {
        unpack(&self.bytes).map_err(|error| ArchiveError::damaged(&self.key, error))
    }
}
