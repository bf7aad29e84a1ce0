//! What was stored, read again in the order in which it was first received; and `lake`, which makes days of it Parquet files.

mod hours;
mod inventory;
pub mod lake;
mod period;
mod pushes;

use std::fmt;

use jiff::Timestamp;

pub use self::hours::{Hour, hours};
pub use self::inventory::{Ids, Inventory};
pub use self::period::Period;
pub use self::pushes::{ArchivedPush, Round, read_pushes};
use domain::archive::{Metadata, ObjectKey};

/// Where stored objects are read from: a data folder, a bucket. Nothing in it is ever changed.
pub trait Archive: Send + Sync {
    /// The folders directly below `folder`, as whole prefixes that end in `/`, in order: below `raw/`, `raw/dt=2026-11-23/`
    /// and its like. None where there is no such folder.
    ///
    /// # Errors
    /// [`Unreadable`] where they cannot be listed.
    fn folders(&self, folder: &str) -> Result<Vec<String>, Unreadable>;

    /// The objects directly in `folder`, in order. None where there is no such folder.
    ///
    /// # Errors
    /// [`Unreadable`] where they cannot be listed.
    fn keys(&self, folder: &str) -> Result<Vec<ObjectKey>, Unreadable>;

    /// The objects of these keys, in their order. As many are read at a time as is good for the archive.
    ///
    /// # Errors
    /// [`Unreadable`] where one of them cannot be read, also because it is not there any more.
    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, Unreadable>;
}

/// A stored object as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its name.
    pub key: ObjectKey,
    /// When it was first received, where that is known.
    pub received: Option<Timestamp>,
    /// Everything that was told about it, where it was.
    pub metadata: Option<Metadata>,
    /// Its compressed bytes.
    pub bytes: Vec<u8>,
}

/// Something stored cannot be read: what, and why. Whether a retry helps depends on the reason.
#[derive(Debug, thiserror::Error)]
pub struct Unreadable {
    /// The file, folder or object.
    pub what: String,
    /// What the system or the service said.
    pub why: String,
}

impl Unreadable {
    /// `what` cannot be read because of `why`.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { what: what.to_string(), why: why.to_string() }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read: {}", self.what, self.why)
    }
}
