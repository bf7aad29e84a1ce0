//! Stored pushes, read again in the order of their receipt; and [`lake`], which copies them into Parquet files.

mod error;
mod hours;
mod inventory;
pub mod lake;
mod period;
mod pushes;

use jiff::Timestamp;

pub use self::error::ArchiveError;
pub use self::hours::{Hour, hours};
pub use self::inventory::{Inventory, KnownIds};
pub use self::period::Period;
pub use self::pushes::{ArchivedPush, Round, read_pushes};
use domain::archive::{EXTENSION, ObjectKey, unpack};

/// Most objects that are read at a time.
const OBJECTS_AT_ONCE: usize = 512;

/// A data folder or a bucket with stored objects.
pub trait Archive: Send + Sync {
    /// The folders directly below `folder`, in order, as prefixes that end in `/`: below `raw/`, `raw/dt=2026-11-23/` and so
    /// on. Empty if there is no such folder.
    ///
    /// # Errors
    /// [`ArchiveError`] if they cannot be listed.
    fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError>;

    /// The full names of the files directly in `folder`, in order. Empty if there is no such folder.
    ///
    /// # Errors
    /// [`ArchiveError`] if they cannot be listed.
    fn files(&self, folder: &str) -> Result<Vec<String>, ArchiveError>;

    /// The keys of the objects directly in `folder`, in order. Empty if there is no such folder.
    ///
    /// # Errors
    /// [`ArchiveError`] if they cannot be listed.
    fn keys(&self, folder: &str) -> Result<Vec<ObjectKey>, ArchiveError> {
        let objects = self.files(folder)?.into_iter().filter(|name| name.ends_with(EXTENSION));
        Ok(objects.map(|name| ObjectKey::known(&name)).collect())
    }

    /// The objects with these keys, in the same order. The archive chooses how many it reads in parallel.
    ///
    /// # Errors
    /// [`ArchiveError`] if one of them cannot be read or does not exist.
    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError>;
}

/// Calls `visit` with each object directly in `folder`, in order.
///
/// # Errors
/// [`ArchiveError`] if the folder cannot be listed, or an object cannot be read.
pub fn read_folder(
    archive: &dyn Archive,
    folder: &str,
    mut visit: impl FnMut(StoredObject),
) -> Result<(), ArchiveError> {
    for keys in archive.keys(folder)?.chunks(OBJECTS_AT_ONCE) {
        archive.read(keys)?.into_iter().for_each(&mut visit);
    }
    Ok(())
}

/// A stored object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredObject {
    /// Its key.
    pub key: ObjectKey,
    /// When it was first received; `None` for a copy without its metadata.
    pub received: Option<Timestamp>,
    /// Its compressed bytes.
    pub bytes: Vec<u8>,
}

impl StoredObject {
    /// Decompresses its lines.
    ///
    /// # Errors
    /// [`ArchiveError`] if it is no Zstandard frame of text. A retry cannot help.
    pub fn text(&self) -> Result<String, ArchiveError> {
        unpack(&self.bytes).map_err(|error| ArchiveError::damaged(&self.key, error))
    }
}
