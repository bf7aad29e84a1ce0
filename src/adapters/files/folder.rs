//! Raw objects as files: written aside, synchronised, then given their name at once, never over another.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tempfile::NamedTempFile;

use crate::domain::archive::{Metadata, Object, ObjectKey, unpack};
use crate::ingest::ports::{RawStore, Stored, Unavailable, Unevaluated};

/// Where files are written before they have a name; emptied at start.
const UNFINISHED: &str = "tmp";

/// What is told about objects, by their keys.
pub(super) const METADATA: &str = "metadata";
/// The same, of objects that are stored and not evaluated yet; it moves to [`METADATA`] when they are.
pub(super) const TO_EVALUATE: &str = "to-evaluate";

/// A folder of raw objects.
#[derive(Clone, Debug)]
pub struct FolderStore {
    root: Arc<Path>,
}

impl FolderStore {
    /// Opens the store in `root`, making the folder if it is not there, and removes what an earlier process left
    /// unfinished. How many files that were is the second value.
    ///
    /// # Errors
    /// Where the folder cannot be made, read or written.
    pub fn open(root: &Path) -> io::Result<(Self, usize)> {
        let store = Self::open_shared(root)?;
        let mut removed = 0;
        for entry in fs::read_dir(root.join(UNFINISHED))? {
            fs::remove_file(entry?.path())?;
            removed += 1;
        }
        Ok((store, removed))
    }

    /// Opens the store in `root`, where another process may be at work: what that has not finished stays.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn open_shared(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(UNFINISHED))?;
        Ok(Self { root: root.into() })
    }

    fn write(&self, object: &Object) -> io::Result<Stored> {
        let path = self.root.join(object.key.as_str());
        if path.try_exists()? {
            return Ok(Stored::Already);
        }
        // First, so that no object is ever without it, nor without the note that it is to be evaluated. Of a push that is
        // repeated, the first one's stays.
        let folder = if object.key.is_evaluated() { TO_EVALUATE } else { METADATA };
        self.write_new(&self.metadata(folder, &object.key), &serde_json::to_vec(&object.metadata)?)?;
        self.write_new(&path, &object.bytes)
    }

    fn metadata(&self, folder: &str, key: &ObjectKey) -> PathBuf {
        self.root.join(folder).join(format!("{key}.json"))
    }

    fn note_evaluated(&self, key: &ObjectKey) -> io::Result<()> {
        let (from, to) = (self.metadata(TO_EVALUATE, key), self.metadata(METADATA, key));
        create_dir_durably(to.parent().unwrap_or(&self.root))?;
        match fs::rename(from, to) {
            // A repeated push: it was noted the first time.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    /// Objects that were stored and not evaluated, of those that were received before `received`.
    fn read_unevaluated(&self, received: Timestamp) -> io::Result<Vec<Unevaluated>> {
        let root = self.root.join(TO_EVALUATE);
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Some(noted) = self.read_noted(&root, &path, received)? {
                    found.push(noted);
                }
            }
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// `None` where it is too new, and where the process ended before it stored the object: nothing was answered then, and
    /// the note is removed.
    fn read_noted(&self, root: &Path, path: &Path, before: Timestamp) -> io::Result<Option<Unevaluated>> {
        let name = path.strip_prefix(root).ok().and_then(Path::to_str).and_then(|name| name.strip_suffix(".json"));
        let Some(key) = name.map(ObjectKey::known) else { return Ok(None) };
        let noted = match fs::read(path) {
            // Evaluated meanwhile.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            noted => noted?,
        };
        let Metadata { received, .. } = serde_json::from_slice(&noted)?;
        if received >= before {
            return Ok(None);
        }
        let bytes = match fs::read(self.root.join(key.as_str())) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return fs::remove_file(path).map(|()| None),
            bytes => bytes?,
        };
        let lines = unpack(&bytes)?;
        Ok(Some(Unevaluated { key, received, lines }))
    }

    /// Writes a file that survives a power cut once this returns, unless there is one of that name.
    pub(super) fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<Stored> {
        let parent = path.parent().unwrap_or(&self.root);
        create_dir_durably(parent)?;
        let mut file = NamedTempFile::new_in(self.root.join(UNFINISHED))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Ok(_) => sync_dir(parent).map(|()| Stored::New),
            Err(fault) if fault.error.kind() == io::ErrorKind::AlreadyExists => Ok(Stored::Already),
            Err(fault) => Err(fault.error),
        }
    }
}

impl RawStore for FolderStore {
    async fn put(&self, object: Object) -> Result<Stored, Unavailable> {
        const WHAT: &str = "the data folder did not take the object";
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.write(&object))
            .await
            .map_err(|fault| Unavailable::new(WHAT, fault))?
            .map_err(|fault| Unavailable::new(WHAT, fault))
    }

    async fn evaluated(&self, key: &ObjectKey) -> Result<(), Unavailable> {
        const WHAT: &str = "the data folder did not note that the object was evaluated";
        let (store, key) = (self.clone(), key.clone());
        tokio::task::spawn_blocking(move || store.note_evaluated(&key))
            .await
            .map_err(|fault| Unavailable::new(WHAT, fault))?
            .map_err(|fault| Unavailable::new(WHAT, fault))
    }

    async fn unevaluated(&self, received: Timestamp) -> Result<Vec<Unevaluated>, Unavailable> {
        const WHAT: &str = "the data folder did not say what is to be evaluated";
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.read_unevaluated(received))
            .await
            .map_err(|fault| Unavailable::new(WHAT, fault))?
            .map_err(|fault| Unavailable::new(WHAT, fault))
    }
}

/// Makes a folder and those above it, each of which then survives a power cut.
fn create_dir_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
    create_dir_durably(&parent)?;
    match fs::create_dir(path) {
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(fault) => Err(fault),
        Ok(()) => sync_dir(&parent),
    }
}

/// A file's name is part of its folder, which has to reach the disk as well.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::batch::BatchId;

    fn object(body: &[u8]) -> Object {
        Object {
            key: ObjectKey::of_readings(BatchId::of(body), &[]),
            bytes: body.to_vec(),
            metadata: Metadata {
                received: "2026-11-23T10:00:00Z".parse().unwrap(),
                request_id: "r".into(),
                source: "127.0.0.1".into(),
                lines: 1,
            },
        }
    }

    #[tokio::test]
    async fn an_object_is_written_once_and_the_first_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        let mut again = object(b"x");
        again.bytes = b"y".to_vec();
        again.metadata.request_id = "later".into();
        assert_eq!(store.put(object(b"x")).await.unwrap(), Stored::New);
        assert_eq!(store.put(again).await.unwrap(), Stored::Already);
        let key = object(b"x").key;
        assert_eq!(fs::read(folder.path().join(key.as_str())).unwrap(), b"x");
        store.evaluated(&key).await.unwrap();
        store.evaluated(&key).await.unwrap();
        let metadata = fs::read(folder.path().join(format!("metadata/{key}.json"))).unwrap();
        assert_eq!(serde_json::from_slice::<Metadata>(&metadata).unwrap().request_id, "r");
    }

    #[tokio::test]
    async fn what_was_stored_is_to_be_evaluated_until_it_is_noted_that_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        let mut readings = object(b"x");
        readings.bytes = zstd::encode_all(&b"{}\n"[..], 0).unwrap();
        store.put(readings.clone()).await.unwrap();
        let received = readings.metadata.received;
        let expected = vec![Unevaluated { key: readings.key.clone(), received, lines: "{}\n".to_owned() }];
        assert_eq!(store.unevaluated(Timestamp::MAX).await.unwrap(), expected);
        assert_eq!(store.unevaluated(received).await.unwrap(), [], "it may still be on its way");
        store.evaluated(&readings.key).await.unwrap();
        assert_eq!(store.unevaluated(Timestamp::MAX).await.unwrap(), []);
        assert_eq!(store.put(readings).await.unwrap(), Stored::Already);
        assert_eq!(store.unevaluated(Timestamp::MAX).await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_was_noted_and_never_stored_is_nothing_to_evaluate() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        store.put(object(b"x")).await.unwrap();
        fs::remove_file(folder.path().join(object(b"x").key.as_str())).unwrap();
        assert_eq!(store.unevaluated(Timestamp::MAX).await.unwrap(), []);
    }

    #[tokio::test]
    async fn two_writers_of_one_object_make_one() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        let writers: Vec<_> = (0..16)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.put(object(b"x")).await.unwrap() })
            })
            .collect();
        let mut new = 0;
        for writer in writers {
            new += usize::from(writer.await.unwrap() == Stored::New);
        }
        assert_eq!(new, 1);
        assert_eq!(fs::read_dir(folder.path().join(UNFINISHED)).unwrap().count(), 0);
    }

    #[test]
    fn what_was_left_unfinished_is_removed_at_start() {
        let folder = tempfile::tempdir().unwrap();
        FolderStore::open(folder.path()).unwrap();
        fs::write(folder.path().join(UNFINISHED).join("half"), b"{").unwrap();
        assert_eq!(FolderStore::open(folder.path()).unwrap().1, 1);
        assert_eq!(FolderStore::open(folder.path()).unwrap().1, 0);
    }

    #[tokio::test]
    async fn a_store_that_cannot_write_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        // A file where the folder of the object should be; permissions would not stop root.
        fs::write(folder.path().join("raw-undated"), b"in the way").unwrap();
        assert!(store.put(object(b"x")).await.is_err());
    }
}
