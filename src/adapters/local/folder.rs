//! Raw objects as files: written aside, synchronised, then given their name at once, never over another. What many pushes wait
//! for is synchronised together.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tempfile::NamedTempFile;

use super::disk::{Disk, sync_one};
use super::lock::FolderLock;
use crate::domain::archive::{Metadata, Object, ObjectKey, unpack};
use crate::ingest::ports::{Journal, PendingPush, RawStore, Stored, UnavailableError};

/// Where files are written before they have a name.
const UNFINISHED: &str = "tmp";
/// How the names of unfinished files begin and end. The folder may be somebody else's as well: only these are removed.
const UNFINISHED_NAME: (&str, &str) = (".smartclean-push-", ".unfinished");

/// What is told about objects, by their keys.
pub(super) const METADATA: &str = "metadata";
/// The same, of objects that are stored and not evaluated yet; it moves to [`METADATA`] when they are.
pub(super) const TO_EVALUATE: &str = "to-evaluate";
/// The same, of objects that could not be evaluated and are not tried again.
pub(super) const SET_ASIDE: &str = "set-aside";

/// A folder of raw objects.
#[derive(Clone, Debug)]
pub struct FolderStore {
    root: Arc<Path>,
    disk: Disk,
    _lock: Arc<FolderLock>,
}

/// A file that is whole and has no name yet.
#[derive(Debug)]
struct Unnamed {
    file: NamedTempFile,
    name: PathBuf,
}

impl FolderStore {
    /// Opens the store in `root` for its only server, making the folder if it is not there, and removes what an earlier
    /// process left unfinished. How many files that were is the second value.
    ///
    /// # Errors
    /// Of kind [`io::ErrorKind::ResourceBusy`] if another server uses the folder. Else if the folder cannot be made, read or
    /// written.
    pub fn open(root: &Path) -> io::Result<(Self, usize)> {
        let unfinished = root.join(UNFINISHED);
        fs::create_dir_all(&unfinished)?;
        let mut removed = 0;
        let lock = FolderLock::of_server(root, || {
            removed = remove_unfinished(&unfinished)?;
            Ok(())
        })?;
        Ok((Self::locked(root, lock)?, removed))
    }

    /// Opens the store in `root`, where a server and others may be at work: what they have not finished stays.
    ///
    /// # Errors
    /// If the folder cannot be made or locked.
    pub fn open_shared(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(UNFINISHED))?;
        Self::locked(root, FolderLock::of_writer(root)?)
    }

    fn locked(root: &Path, lock: FolderLock) -> io::Result<Self> {
        Ok(Self { root: root.into(), disk: Disk::of(root)?, _lock: Arc::new(lock) })
    }

    async fn write(&self, object: Object) -> io::Result<Stored> {
        let store = self.clone();
        let names = [self.metadata_of(&object.key), self.root.join(object.key.as_str())];
        let mut folders: Vec<PathBuf> = names.iter().filter_map(|name| Some(name.parent()?.to_owned())).collect();
        let unnamed = blocking(move || store.write_aside(&object, names)).await?;
        let stored = if unnamed.is_empty() {
            // By somebody whose names may not have reached the disk yet.
            Stored::Already
        } else {
            self.disk.sync(unnamed.iter().map(|unnamed| unnamed.file.path().to_owned()).collect()).await?;
            blocking(move || name_all(unnamed)).await?
        };
        folders.dedup();
        self.disk.sync(folders).await?;
        Ok(stored)
    }

    /// Writes what is told about an object, and the object, under no names yet; nothing where it is there.
    fn write_aside(&self, object: &Object, names: [PathBuf; 2]) -> io::Result<Vec<Unnamed>> {
        let [metadata, path] = names;
        if path.try_exists()? {
            return Ok(Vec::new());
        }
        // First, so that no object is ever without it, nor without the note that it is to be evaluated. Of a push that is
        // repeated, the first one's stays.
        let metadata = self.write_unnamed(metadata, &serde_json::to_vec(&object.metadata)?)?;
        Ok(vec![metadata, self.write_unnamed(path, &object.bytes)?])
    }

    fn write_unnamed(&self, name: PathBuf, bytes: &[u8]) -> io::Result<Unnamed> {
        create_dir_durably(name.parent().unwrap_or(&self.root))?;
        let (prefix, suffix) = UNFINISHED_NAME;
        let mut file =
            tempfile::Builder::new().prefix(prefix).suffix(suffix).tempfile_in(self.root.join(UNFINISHED))?;
        file.write_all(bytes)?;
        Ok(Unnamed { file, name })
    }

    /// Runs `work` where it may block. `what` says what did not happen if it fails.
    async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, UnavailableError> {
        let store = self.clone();
        blocking(move || work(&store)).await.map_err(|fault| UnavailableError::new(what, fault))
    }

    /// Where it is noted first what is told about an object.
    fn metadata_of(&self, key: &ObjectKey) -> PathBuf {
        self.metadata(if key.is_evaluated() { TO_EVALUATE } else { METADATA }, key)
    }

    fn metadata(&self, folder: &str, key: &ObjectKey) -> PathBuf {
        self.root.join(folder).join(format!("{key}.json"))
    }

    fn note_as_evaluated(&self, key: &ObjectKey) -> io::Result<()> {
        // A repeated push was noted the first time, or was set aside.
        let is_noted = self.move_metadata(key, TO_EVALUATE, METADATA)?;
        if is_noted { Ok(()) } else { self.move_metadata(key, SET_ASIDE, METADATA).map(drop) }
    }

    /// Moves what is told about an object from one folder to another; false if it is not there.
    fn move_metadata(&self, key: &ObjectKey, from: &str, to: &str) -> io::Result<bool> {
        let (from, to) = (self.metadata(from, key), self.metadata(to, key));
        if !from.try_exists()? {
            return Ok(false);
        }
        create_dir_durably(to.parent().unwrap_or(&self.root))?;
        match fs::rename(from, to) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(false),
            renamed => renamed.map(|()| true),
        }
    }

    /// Objects that were stored and not evaluated, of those that were received before `received`.
    fn read_pending(&self, received: Timestamp) -> io::Result<Vec<PendingPush>> {
        let root = self.root.join(TO_EVALUATE);
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let path = entry.path();
                // Not through symbolic links: what they lead to is nothing of ours.
                if entry.file_type()?.is_dir() {
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
    fn read_noted(&self, root: &Path, path: &Path, before: Timestamp) -> io::Result<Option<PendingPush>> {
        let name = path.strip_prefix(root).ok().and_then(Path::to_str).and_then(|name| name.strip_suffix(".json"));
        // Other files are none of ours.
        let Some(key) = name.map(ObjectKey::known).filter(ObjectKey::is_evaluated) else { return Ok(None) };
        let noted = match fs::read(path) {
            // Evaluated meanwhile.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            noted => noted?,
        };
        let received = match serde_json::from_slice::<Metadata>(&noted) {
            Ok(metadata) => metadata.received,
            // A damaged note keeps no other waiting. It was written when the object was received.
            Err(_) => Timestamp::try_from(fs::metadata(path)?.modified()?).map_err(io::Error::other)?,
        };
        if received >= before {
            return Ok(None);
        }
        if !self.root.join(key.as_str()).try_exists()? {
            return fs::remove_file(path).map(|()| None);
        }
        Ok(Some(PendingPush { key, received }))
    }

    fn read_lines(&self, key: &ObjectKey) -> io::Result<String> {
        unpack(&fs::read(self.root.join(key.as_str()))?)
    }

    /// Writes a file, in place of one of that name, that survives a power cut once this returns.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let Unnamed { file, name } = self.write_unnamed(path.to_owned(), bytes)?;
        file.as_file().sync_all()?;
        file.persist(name).map_err(|fault| fault.error)?;
        sync_one(path.parent().unwrap_or(&self.root))
    }
}

impl Unnamed {
    /// Gives it its name, unless there is a file of that name.
    fn give_name(self) -> io::Result<Stored> {
        match self.file.persist_noclobber(self.name) {
            Ok(_) => Ok(Stored::New),
            Err(fault) if fault.error.kind() == io::ErrorKind::AlreadyExists => Ok(Stored::Already),
            Err(fault) => Err(fault.error),
        }
    }
}

/// Removes unfinished files of ours, and how many that were. A symbolic link is nothing of ours, nor is what it leads to.
fn remove_unfinished(folder: &Path) -> io::Result<usize> {
    if !fs::symlink_metadata(folder)?.is_dir() {
        return Ok(0);
    }
    let (prefix, suffix) = UNFINISHED_NAME;
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_named =
            entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix));
        if is_named && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Gives all of them their names, in order. What came of the last one.
fn name_all(unnamed: Vec<Unnamed>) -> io::Result<Stored> {
    unnamed.into_iter().try_fold(Stored::Already, |_, unnamed| unnamed.give_name())
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[async_trait]
impl RawStore for FolderStore {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        self.write(object)
            .await
            .map_err(|fault| UnavailableError::new("the data folder did not take the object", fault))
    }
}

#[async_trait]
impl Journal for FolderStore {
    async fn pending(&self, received: Timestamp) -> Result<Vec<PendingPush>, UnavailableError> {
        let work = move |store: &Self| store.read_pending(received);
        self.run("the data folder did not say what is to be evaluated", work).await
    }

    async fn lines(&self, key: &ObjectKey) -> Result<String, UnavailableError> {
        let key = key.clone();
        self.run("the data folder did not give the object", move |store| store.read_lines(&key)).await
    }

    async fn mark_evaluated(&self, key: &ObjectKey) -> Result<(), UnavailableError> {
        let key = key.clone();
        let work = move |store: &Self| store.note_as_evaluated(&key);
        self.run("the data folder did not note that the object was evaluated", work).await
    }

    async fn set_aside(&self, key: &ObjectKey) -> Result<(), UnavailableError> {
        let key = key.clone();
        let work = move |store: &Self| store.move_metadata(&key, TO_EVALUATE, SET_ASIDE).map(drop);
        self.run("the data folder did not set the object aside", work).await
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
        Ok(()) => sync_one(&parent),
    }
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
        store.mark_evaluated(&key).await.unwrap();
        store.mark_evaluated(&key).await.unwrap();
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
        let expected = vec![PendingPush { key: readings.key.clone(), received }];
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), expected);
        assert_eq!(store.lines(&readings.key).await.unwrap(), "{}\n");
        assert_eq!(store.pending(received).await.unwrap(), [], "it may still be on its way");
        store.mark_evaluated(&readings.key).await.unwrap();
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), []);
        assert_eq!(store.put(readings).await.unwrap(), Stored::Already);
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_is_set_aside_is_named_no_more_and_stays_until_it_is_evaluated_after_all() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        let key = object(b"x").key;
        store.put(object(b"x")).await.unwrap();
        store.set_aside(&key).await.unwrap();
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), []);
        let told = |part: &str| folder.path().join(format!("{part}/{key}.json")).exists();
        assert!(told(SET_ASIDE) && folder.path().join(key.as_str()).exists());
        store.mark_evaluated(&key).await.unwrap();
        assert!(told(METADATA) && !told(SET_ASIDE));
    }

    #[tokio::test]
    async fn a_damaged_note_and_a_file_of_somebody_else_keep_nothing_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        let key = object(b"x").key;
        store.put(object(b"x")).await.unwrap();
        fs::write(store.metadata_of(&key), b"").unwrap();
        fs::write(folder.path().join(TO_EVALUATE).join("notes.json"), b"mine").unwrap();
        let pending = store.pending(Timestamp::MAX).await.unwrap();
        assert_eq!(pending.into_iter().map(|object| object.key).collect::<Vec<_>>(), [key]);
        assert!(folder.path().join(TO_EVALUATE).join("notes.json").exists());
    }

    #[tokio::test]
    async fn what_was_noted_and_never_stored_is_nothing_to_evaluate() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        store.put(object(b"x")).await.unwrap();
        fs::remove_file(folder.path().join(object(b"x").key.as_str())).unwrap();
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), []);
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

    /// A name of ours for an unfinished file.
    const LEFT: &str = ".smartclean-push-a1B2c3.unfinished";

    #[test]
    fn only_unfinished_files_of_ours_are_removed_at_start() {
        let folder = tempfile::tempdir().unwrap();
        let unfinished = folder.path().join(UNFINISHED);
        fs::create_dir(&unfinished).unwrap();
        for name in [LEFT, "thesis.tex", ".smartclean-push-notes", "half.unfinished"] {
            fs::write(unfinished.join(name), b"{").unwrap();
        }
        // A folder and a link of such a name are none of ours either.
        fs::create_dir(unfinished.join(".smartclean-push-folder.unfinished")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("thesis.tex", unfinished.join(".smartclean-push-link.unfinished")).unwrap();
        let before = fs::read_dir(&unfinished).unwrap().count();
        assert_eq!(FolderStore::open(folder.path()).unwrap().1, 1);
        assert_eq!(FolderStore::open(folder.path()).unwrap().1, 0);
        assert_eq!(fs::read_dir(&unfinished).unwrap().count(), before - 1);
        assert!(!unfinished.join(LEFT).exists());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_removed_through_a_symbolic_link() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join(LEFT), b"{").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join(UNFINISHED)).unwrap();
        assert_eq!(FolderStore::open(folder.path()).unwrap().1, 0);
        assert!(elsewhere.path().join(LEFT).exists());
    }

    #[test]
    fn a_folder_has_one_server_and_any_number_of_writers_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let server = FolderStore::open(folder.path()).unwrap();
        let refused = FolderStore::open(folder.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        let writers = [(); 2].map(|()| FolderStore::open_shared(folder.path()).unwrap());
        drop(server);
        // What the writers have not finished stays.
        fs::write(folder.path().join(UNFINISHED).join(LEFT), b"{").unwrap();
        assert_eq!(FolderStore::open(folder.path()).unwrap().1, 0);
        drop(writers);
        assert_eq!(FolderStore::open(folder.path()).unwrap().1, 1);
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
