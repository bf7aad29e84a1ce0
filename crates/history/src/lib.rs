//! Stored pushes, read again in the order of their receipt; and [`lake`], which copies them into Parquet files.

mod error;
mod facts;
#[cfg(test)]
mod fixtures;
mod hours;
mod inventory;
pub mod lake;
mod period;
mod pushes;

use jiff::Timestamp;
use rayon::prelude::*;

pub use self::error::ArchiveError;
pub use self::facts::{ArchivedFacts, record_life};
pub use self::hours::{Hour, hours};
pub use self::inventory::{Inventory, KnownIds};
pub use self::period::Period;
pub use self::pushes::{ArchivedPush, Round, read_pushes};

use self::hours::is_of;
use domain::archive::{EXTENSION, Object, ObjectKey, unpack};
use domain::buffered::{BUFFERED_EXTENSION, unpack_pushes};

/// Most objects that are read at a time.
const OBJECTS_AT_ONCE: usize = 512;
/// Most buffered objects that are read at a time: each has thousands of pushes in 5 MB of text, and more after a failure.
const BUFFERED_AT_ONCE: usize = 8;

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
        let is_object = |name: &String| name.ends_with(EXTENSION) || name.ends_with(BUFFERED_EXTENSION);
        let objects = self.files(folder)?.into_iter().filter(is_object);
        Ok(objects.map(|name| ObjectKey::known(&name)).collect())
    }

    /// The objects with these keys, in the same order. The archive chooses how many it reads in parallel.
    ///
    /// # Errors
    /// [`ArchiveError`] if one of them cannot be read or does not exist.
    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError>;
}

/// Calls `visit` with each object directly in `folder`, in order, and with each push of a buffered object. A push can come twice.
///
/// # Errors
/// [`ArchiveError`] if the folder cannot be listed, or an object cannot be read.
pub fn read_folder(
    archive: &dyn Archive,
    folder: &str,
    mut visit: impl FnMut(StoredObject),
) -> Result<(), ArchiveError> {
    read_groups(archive, folder, &Period::default(), |objects| objects.into_iter().for_each(&mut visit))
}

/// As [`read_folder`], with the folder of an hour: its objects and pushes of the period.
///
/// # Errors
/// As [`read_folder`].
pub fn read_hour(archive: &dyn Archive, hour: &Hour, mut visit: impl FnMut(StoredObject)) -> Result<(), ArchiveError> {
    read_groups(archive, &hour.folder, &hour.period, |objects| objects.into_iter().for_each(&mut visit))
}

/// Calls `visit` with the objects and pushes of the period in `folder`, some at a time.
fn read_groups(
    archive: &dyn Archive,
    folder: &str,
    period: &Period,
    mut visit: impl FnMut(Vec<StoredObject>),
) -> Result<(), ArchiveError> {
    // A damaged buffered object is read too: it can have pushes of any hour.
    let is_wanted = |key: &ObjectKey| is_buffered(key) || is_of(period, key);
    let mut keys = archive.keys(folder)?;
    keys.retain(is_wanted);
    for keys in groups(&keys, OBJECTS_AT_ONCE) {
        let mut objects = read_objects(archive, keys)?;
        objects.retain(|object| is_wanted(&object.key));
        visit(objects);
    }
    Ok(())
}

/// Divides keys into groups that fit into memory: of `at_once` objects, or of fewer buffered ones.
fn groups(keys: &[ObjectKey], at_once: usize) -> impl Iterator<Item = &[ObjectKey]> {
    let of_a_kind = keys.chunk_by(|a, b| is_buffered(a) == is_buffered(b));
    of_a_kind.flat_map(move |keys| keys.chunks(if is_buffered(&keys[0]) { BUFFERED_AT_ONCE } else { at_once }))
}

/// Reads objects, and replaces each buffered one by its pushes. This is the only place that does.
fn read_objects(archive: &dyn Archive, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
    Ok(archive.read(keys)?.into_par_iter().flat_map_iter(StoredObject::into_pushes).collect())
}

fn is_buffered(key: &ObjectKey) -> bool {
    key.as_str().ends_with(BUFFERED_EXTENSION)
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
    /// [`ArchiveError`] if it is no Zstandard frame of text, or a damaged buffered object. A retry cannot help.
    pub fn text(&self) -> Result<String, ArchiveError> {
        let text = if is_buffered(&self.key) {
            unpack_pushes(&self.bytes).and_then(|(pushes, _)| pushes.iter().map(|push| unpack(&push.bytes)).collect())
        } else {
            unpack(&self.bytes)
        };
        text.map_err(|error| ArchiveError::damaged(&self.key, error))
    }

    /// The pushes of a buffered object. Another object, and a damaged one, whose text is an error, stays as it is.
    fn into_pushes(self) -> Vec<Self> {
        match is_buffered(&self.key).then(|| unpack_pushes(&self.bytes)) {
            Some(Ok((pushes, skipped))) => {
                if skipped > 0 {
                    tracing::warn!(key = %self.key, lines = skipped, "lines of a buffered object are no records, skipped");
                }
                pushes.into_iter().map(Self::from).collect()
            }
            _ => vec![self],
        }
    }
}

impl From<Object> for StoredObject {
    fn from(Object { key, bytes, metadata }: Object) -> Self {
        Self { key, received: Some(metadata.received), bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::{Files, push};
    use super::*;

    #[test]
    fn a_buffered_object_is_read_as_its_pushes() {
        let (a, b) = (push("raw/dt=2026-11-23/hh=09/a", "10:01"), push("raw-undated/b", "10:02"));
        let folder = "raw/dt=2026-11-23/hh=10/";
        let c = push(&format!("{folder}c"), "10:03");
        let files = Files::default().with(&c).with_buffered(&format!("{folder}s"), &[&a, &b, &a]);
        let mut read = Vec::new();
        read_folder(&files, folder, |object| read.push(object)).unwrap();
        assert_eq!(read, [c, a.clone(), b, a].map(StoredObject::from));
    }

    #[test]
    fn an_hour_has_the_pushes_of_its_period() {
        let folder = "raw/dt=2026-11-23/hh=10/";
        let [early, own] = ["raw/dt=2026-11-23/hh=09/a", "raw/dt=2026-11-23/hh=10/b"].map(|key| push(key, "10:01"));
        let files = Files::default().with(&own).with_buffered(&format!("{folder}s"), &[&early, &own]);
        let damaged = files.with_file(&format!("{folder}t{BUFFERED_EXTENSION}"), b"no gzip");
        let read = |since: &str, until: &str| {
            let period = Period { since: since.parse().ok(), until: until.parse().ok() };
            let hour = Hour { start: "2026-11-23T10:00:00Z".parse().unwrap(), folder: folder.into(), period };
            let mut keys = Vec::new();
            read_hour(&damaged, &hour, |object| keys.push(object.key.to_string())).unwrap();
            keys.iter().map(|key| key.rsplit_once('/').unwrap().1.split('.').next().unwrap()).collect::<String>()
        };
        assert_eq!(read("", ""), "babt");
        assert_eq!(read("2026-11-23T10:00:00Z", ""), "bbt");
        assert_eq!(read("", "2026-11-23T10:00:00Z"), "at", "a damaged object can have pushes of any period");
    }

    #[test]
    fn lines_of_a_buffered_object_that_are_no_record_are_left_out() {
        let (a, b) = (push("raw/a", "10:01"), push("raw/b", "10:02"));
        let foreign = fixtures::gzip(b"{\"TICKER_SYMBOL\":\"QXZ\"}\n");
        let bytes = [fixtures::buffered(&[&a]), foreign.clone(), fixtures::buffered(&[&b])].concat();
        for (bytes, expected) in [(bytes, vec![a, b]), (foreign, vec![])] {
            let files = Files::default().with_file("raw/s.ndjson.gz", &bytes);
            let mut read = Vec::new();
            read_folder(&files, "raw/", |object| read.extend(object.text().map(|_| object))).unwrap();
            assert_eq!(read, expected.into_iter().map(StoredObject::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_damaged_buffered_object_is_one_error_with_its_key() {
        let mut bytes = fixtures::buffered(&[&push("raw/dt=2026-11-23/hh=09/a", "10:01")]);
        bytes.truncate(bytes.len() - 9);
        for bytes in [&*bytes, b"", b"no gzip"] {
            let files = Files::default().with_file("raw/s.ndjson.gz", bytes);
            let mut errors = Vec::new();
            read_folder(&files, "raw/", |object| errors.push(object.text().unwrap_err().to_string())).unwrap();
            assert!(errors.len() == 1 && errors[0].starts_with("raw/s.ndjson.gz is damaged: "), "{errors:?}");
        }
    }

    #[test]
    fn few_buffered_objects_are_read_at_a_time() {
        let keys: Vec<_> = (0..90)
            .map(|index| ObjectKey::known(&format!("raw/{index:02}{}", [EXTENSION, BUFFERED_EXTENSION][index / 70])))
            .collect();
        let sizes: Vec<_> = groups(&keys, 32).map(<[_]>::len).collect();
        assert_eq!(sizes, [32, 32, 6, 8, 8, 4]);
        assert!(groups(&keys, 32).flatten().eq(&keys));
    }
}
