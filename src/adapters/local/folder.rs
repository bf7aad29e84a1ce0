//! Raw objects as files: written under a temporary name, synchronized, then renamed, never over another one. Concurrent pushes
//! share the synchronization.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tempfile::{NamedTempFile, TempPath};

use super::disk::{Disk, sync_one};
use super::lock::FolderLock;
use crate::domain::archive::{Metadata, Object, ObjectKey, unpack};
use crate::ingest::ports::{Journal, PendingPush, RawStore, Stored, UnavailableError};

/// The folder of unfinished files.
const UNFINISHED: &str = "tmp";
/// Prefix and suffix of unfinished files. Other programs may use the folder too: only these files are removed.
const UNFINISHED_NAME: (&str, &str) = (".smartclean-push-", ".unfinished");

/// Metadata of the objects, by their keys.
pub(super) const METADATA: &str = "metadata";
/// Metadata of objects that are stored and not evaluated yet. It moves to [`METADATA`] when they are.
const TO_EVALUATE: &str = "to-evaluate";
/// Metadata of objects that could not be evaluated and are not retried.
const SET_ASIDE: &str = "set-aside";
/// The folders of metadata, in the order in which it moves: a search in this order finds metadata that moves meanwhile.
pub(super) const METADATA_FOLDERS: [&str; 3] = [TO_EVALUATE, SET_ASIDE, METADATA];

/// A folder of raw objects.
#[derive(Clone, Debug)]
pub struct FolderStore {
    root: Arc<Path>,
    disk: Disk,
    _lock: Arc<FolderLock>,
}

/// A complete file under a temporary name.
#[derive(Debug)]
struct UnfinishedFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl FolderStore {
    /// Opens the store in `root` for its only server, and creates the folder if there is none. Unless another process writes there,
    /// removes what an earlier one left: metadata of objects that were never stored, whose pushes got no response, and unfinished
    /// files, whose number is the second value.
    ///
    /// # Errors
    /// Of kind [`io::ErrorKind::ResourceBusy`] if another server uses the folder. Otherwise if the folder cannot be created, read
    /// or written.
    pub fn open(root: &Path) -> io::Result<(Self, usize)> {
        let unfinished = root.join(UNFINISHED);
        fs::create_dir_all(&unfinished)?;
        let mut removed = 0;
        let lock = FolderLock::for_server(root, || {
            removed = remove_unfinished(&unfinished)?;
            // While another process writes, the object may be renamed in a moment.
            for (key, metadata) in metadata_to_evaluate(root)? {
                if !root.join(key.as_str()).try_exists()? {
                    fs::remove_file(metadata)?;
                }
            }
            Ok(())
        })?;
        Ok((Self::locked(root, lock)?, removed))
    }

    /// Opens the store in `root` beside a server and other writers. Their unfinished files are left unchanged.
    ///
    /// # Errors
    /// If the folder cannot be created or locked.
    pub fn open_shared(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(UNFINISHED))?;
        Self::locked(root, FolderLock::for_writer(root)?)
    }

    fn locked(root: &Path, lock: FolderLock) -> io::Result<Self> {
        // Absolute, for `Disk::create_folder`.
        Ok(Self { root: fs::canonicalize(root)?.into(), disk: Disk::open(root)?, _lock: Arc::new(lock) })
    }

    /// Stores an object that counts as evaluated: a server that uses the folder neither evaluates it nor sends its alerts.
    ///
    /// # Errors
    /// As [`RawStore::put`].
    pub async fn put_evaluated(&self, object: Object) -> Result<Stored, UnavailableError> {
        self.write(object, METADATA).await.map_err(not_stored)
    }

    /// Stores an object, with its metadata in `folder`.
    async fn write(&self, object: Object, folder: &str) -> io::Result<Stored> {
        let store = self.clone();
        let path = self.root.join(object.key.as_str());
        let paths = [self.metadata_path(folder, &object.key), path.clone()];
        let mut to_sync: Vec<PathBuf> = paths.iter().filter_map(|path| Some(path.parent()?.to_owned())).collect();
        let unfinished = blocking(move || store.write_unfinished(&object, paths)).await?;
        let stored = if unfinished.is_empty() {
            Stored::Already
        } else {
            self.disk.sync(unfinished.iter().map(|unfinished| unfinished.file.path().to_owned()).collect()).await?;
            blocking(move || rename_new(unfinished)).await?
        };
        if stored == Stored::Already {
            // Its writer may not have synchronized it: another push not yet, a simulation or a restore never.
            to_sync.push(path);
        }
        self.disk.sync(to_sync).await?;
        Ok(stored)
    }

    /// Writes an object and its metadata under temporary names; nothing if both exist. An object that exists without metadata, such
    /// as a restored one, gets that of this push: the first receipt that is known, and the one that the evaluation uses.
    fn write_unfinished(&self, object: &Object, paths: [PathBuf; 2]) -> io::Result<Vec<UnfinishedFile>> {
        paths.iter().try_for_each(|path| self.disk.create_folder(path.parent().unwrap_or(&self.root)))?;
        let [metadata_path, path] = paths;
        let has_metadata = |folder: &&str| self.metadata_path(folder, &object.key).exists();
        if path.try_exists()? && METADATA_FOLDERS.iter().any(has_metadata) {
            return Ok(Vec::new());
        }
        // The metadata is renamed first, so that no object lacks it or is missed when pending objects are listed. It stays as
        // the first push wrote it.
        let metadata = self.write_temporary(metadata_path, &serde_json::to_vec(&object.metadata)?)?;
        Ok(vec![metadata, self.write_temporary(path, &object.bytes)?])
    }

    fn write_temporary(&self, path: PathBuf, bytes: &[u8]) -> io::Result<UnfinishedFile> {
        let (prefix, suffix) = UNFINISHED_NAME;
        let mut file =
            tempfile::Builder::new().prefix(prefix).suffix(suffix).tempfile_in(self.root.join(UNFINISHED))?;
        file.write_all(bytes)?;
        Ok(UnfinishedFile { file, path })
    }

    /// Runs `work` on a thread where it may block. `message` is for its error.
    async fn run<T: Send + 'static>(
        &self,
        message: &'static str,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, UnavailableError> {
        let store = self.clone();
        blocking(move || work(&store)).await.map_err(|error| UnavailableError::new(message, error))
    }

    fn metadata_path(&self, folder: &str, key: &ObjectKey) -> PathBuf {
        self.root.join(folder).join(format!("{key}.json"))
    }

    /// Moves an object's metadata from one folder to another, if it is in the first. Metadata that is in the other already is of
    /// an earlier push and stays: of two concurrent pushes, the second may have written its own after that moved.
    fn move_metadata(&self, key: &ObjectKey, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.metadata_path(from, key), self.metadata_path(to, key));
        self.disk.create_folder(to.parent().unwrap_or(&self.root))?;
        let mut metadata = TempPath::try_from_path(&from)?;
        // It stays if it cannot be moved.
        metadata.disable_cleanup(true);
        metadata.persist_noclobber(to).or_else(|error| match error.error.kind() {
            // Not there, or moved by another push in between.
            io::ErrorKind::NotFound => Ok(()),
            io::ErrorKind::AlreadyExists => fs::remove_file(from),
            _ => Err(error.error),
        })
    }

    /// The objects that are not evaluated yet and were received before `received`.
    fn read_pending(&self, received: Timestamp) -> io::Result<Vec<PendingPush>> {
        let mut pending = Vec::new();
        for (key, metadata) in metadata_to_evaluate(&self.root)? {
            pending.extend(self.read_metadata(key, &metadata, received)?);
        }
        pending.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(pending)
    }

    /// `None` if the object is too new, or does not exist: it may be renamed in a moment, after its metadata.
    fn read_metadata(&self, key: ObjectKey, path: &Path, before: Timestamp) -> io::Result<Option<PendingPush>> {
        let metadata = match fs::read(path) {
            // Evaluated in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?,
        };
        let received = match serde_json::from_slice::<Metadata>(&metadata) {
            Ok(metadata) => metadata.received,
            // Damaged metadata must not delay other objects. It was written when the object was received.
            Err(_) => Timestamp::try_from(fs::metadata(path)?.modified()?).map_err(io::Error::other)?,
        };
        let is_pending = received < before && self.root.join(key.as_str()).try_exists()?;
        Ok(is_pending.then_some(PendingPush { key, received }))
    }

    /// Writes the file `name` of the data folder durably, in place of an existing one.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root);
        self.disk.create_folder(folder)?;
        let UnfinishedFile { file, path } = self.write_temporary(path.clone(), bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync_one(folder)
    }
}

/// Renames the files, in order, and leaves existing files of these names unchanged. Returns the result of the last one.
fn rename_new(unfinished: Vec<UnfinishedFile>) -> io::Result<Stored> {
    let mut stored = Stored::Already;
    for UnfinishedFile { file, path } in unfinished {
        stored = match file.persist_noclobber(path) {
            Ok(_) => Stored::New,
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Stored::Already,
            Err(error) => return Err(error.error),
        };
    }
    Ok(stored)
}

/// The metadata of the objects to evaluate: their keys and its paths.
fn metadata_to_evaluate(root: &Path) -> io::Result<Vec<(ObjectKey, PathBuf)>> {
    let root = root.join(TO_EVALUATE);
    let mut metadata = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let name = path.strip_prefix(&root).ok().and_then(Path::to_str).and_then(|name| name.strip_suffix(".json"));
            // Symbolic links are not followed: their targets belong to other programs.
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if let Some(key) = name.map(ObjectKey::known).filter(ObjectKey::is_evaluated) {
                // Other files belong to other programs.
                metadata.push((key, path));
            }
        }
    }
    Ok(metadata)
}

/// Removes our unfinished files and returns their number. Symbolic links are neither removed nor followed.
fn remove_unfinished(folder: &Path) -> io::Result<usize> {
    if !fs::symlink_metadata(folder)?.is_dir() {
        return Ok(0);
    }
    let (prefix, suffix) = UNFINISHED_NAME;
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix));
        if is_ours && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Runs `work` on a thread where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn not_stored(error: io::Error) -> UnavailableError {
    UnavailableError::new("the data folder did not take the object", error)
}

#[async_trait]
impl RawStore for FolderStore {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        let folder = if object.key.is_evaluated() { TO_EVALUATE } else { METADATA };
        self.write(object, folder).await.map_err(not_stored)
    }
}

#[async_trait]
impl Journal for FolderStore {
    async fn pending(&self, received: Timestamp) -> Result<Vec<PendingPush>, UnavailableError> {
        let read = move |store: &Self| store.read_pending(received);
        self.run("the data folder did not list the objects to evaluate", read).await
    }

    async fn lines(&self, key: &ObjectKey) -> Result<String, UnavailableError> {
        let path = self.root.join(key.as_str());
        self.run("the data folder did not return the object", move |_| unpack(&fs::read(path)?)).await
    }

    async fn mark_evaluated(&self, key: &ObjectKey) -> Result<(), UnavailableError> {
        let key = key.clone();
        let record = move |store: &Self| {
            [SET_ASIDE, TO_EVALUATE].iter().try_for_each(|from| store.move_metadata(&key, from, METADATA))
        };
        self.run("the data folder did not record the object as evaluated", record).await
    }

    async fn set_aside(&self, key: &ObjectKey) -> Result<(), UnavailableError> {
        let key = key.clone();
        let set_aside = move |store: &Self| store.move_metadata(&key, TO_EVALUATE, SET_ASIDE);
        self.run("the data folder did not set the object aside", set_aside).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::local::NewDataFolder;
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
        let mut repeated = object(b"x");
        repeated.bytes = b"y".to_vec();
        repeated.metadata.request_id = "later".into();
        assert_eq!(store.put(object(b"x")).await.unwrap(), Stored::New);
        assert_eq!(store.put(repeated).await.unwrap(), Stored::Already);
        let key = object(b"x").key;
        assert_eq!(fs::read(folder.path().join(key.as_str())).unwrap(), b"x");
        store.mark_evaluated(&key).await.unwrap();
        store.mark_evaluated(&key).await.unwrap();
        let metadata = fs::read(folder.path().join(format!("metadata/{key}.json"))).unwrap();
        assert_eq!(serde_json::from_slice::<Metadata>(&metadata).unwrap().request_id, "r");
    }

    #[tokio::test]
    async fn the_metadata_of_the_first_of_two_pushes_at_once_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        let key = object(b"x").key;
        let path = |part: &str| folder.path().join(format!("{part}/{key}.json"));
        store.put(object(b"x")).await.unwrap();
        store.mark_evaluated(&key).await.unwrap();
        let first = fs::read(path(METADATA)).unwrap();
        for part in [TO_EVALUATE, SET_ASIDE] {
            // The second push looked for the object before the first one stored it.
            fs::create_dir_all(path(part).parent().unwrap()).unwrap();
            fs::write(path(part), b"{}").unwrap();
            store.mark_evaluated(&key).await.unwrap();
            assert_eq!((fs::read(path(METADATA)).unwrap(), path(part).exists()), (first.clone(), false), "{part}");
        }
    }

    #[tokio::test]
    async fn a_push_of_simulated_history_is_stored_already_and_not_pending() {
        let folder = tempfile::tempdir().unwrap();
        NewDataFolder::create(folder.path()).unwrap().put(&object(b"x")).unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        assert_eq!(store.put(object(b"x")).await.unwrap(), Stored::Already);
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), []);
    }

    #[tokio::test]
    async fn an_object_without_metadata_is_pending_from_its_next_push_on() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        store.put(object(b"x")).await.unwrap();
        fs::remove_dir_all(folder.path().join(TO_EVALUATE)).unwrap();
        let mut repeated = object(b"x");
        repeated.metadata.received = "2026-11-23T11:00:00Z".parse().unwrap();
        assert_eq!(store.put(repeated.clone()).await.unwrap(), Stored::Already);
        let expected = PendingPush { key: repeated.key.clone(), received: repeated.metadata.received };
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), [expected]);
        store.mark_evaluated(&repeated.key).await.unwrap();
        assert_eq!(store.put(repeated).await.unwrap(), Stored::Already);
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), []);
    }

    /// A push opens a folder, or an object that exists, only to synchronize it.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_object_and_the_folders_that_another_process_created_are_synchronized_once() {
        use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};

        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("new/data");
        let object_path = root.join(object(b"x").key.as_str());
        let paths =
            [above.path().to_owned(), above.path().join("new"), root.clone(), root.join(TO_EVALUATE), object_path];
        fs::create_dir_all(paths[3].join("raw-undated")).unwrap();
        fs::create_dir(root.join("raw-undated")).unwrap();
        fs::write(&paths[4], b"x").unwrap();
        for _process in 0..2 {
            let (store, _) = FolderStore::open(&root).unwrap();
            let watch = inotify::init(CreateFlags::NONBLOCK).unwrap();
            let watched = paths.each_ref().map(|path| inotify::add_watch(&watch, path, WatchFlags::OPEN).unwrap());
            let opened = || {
                let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
                let (mut events, mut opened) = (Reader::new(&watch, &mut buffer), Vec::new());
                while let Ok(event) = events.next() {
                    // An event with a name is about a file in the folder.
                    opened.extend(event.file_name().is_none().then_some(event.wd()));
                }
                opened.sort_unstable();
                opened
            };
            assert_eq!(store.put(object(b"x")).await.unwrap(), Stored::Already);
            let mut once = opened();
            once.dedup();
            assert_eq!(once, watched);
            store.put(object(b"y")).await.unwrap();
            assert_eq!(opened(), [0; 0]);
        }
    }

    #[tokio::test]
    async fn a_stored_object_is_pending_until_it_is_marked_as_evaluated() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        let mut readings = object(b"x");
        readings.bytes = zstd::encode_all(&b"{}\n"[..], 0).unwrap();
        store.put(readings.clone()).await.unwrap();
        let received = readings.metadata.received;
        let expected = vec![PendingPush { key: readings.key.clone(), received }];
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), expected);
        assert_eq!(store.lines(&readings.key).await.unwrap(), "{}\n");
        assert_eq!(store.pending(received).await.unwrap(), [], "its push may still be running");
        store.mark_evaluated(&readings.key).await.unwrap();
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), []);
        assert_eq!(store.put(readings).await.unwrap(), Stored::Already);
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), []);
    }

    #[tokio::test]
    async fn an_object_that_is_set_aside_is_not_pending_and_stays_stored() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        let key = object(b"x").key;
        store.put(object(b"x")).await.unwrap();
        store.set_aside(&key).await.unwrap();
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), []);
        let has_metadata = |part: &str| folder.path().join(format!("{part}/{key}.json")).exists();
        assert!(has_metadata(SET_ASIDE) && folder.path().join(key.as_str()).exists());
        assert_eq!(store.put(object(b"x")).await.unwrap(), Stored::Already);
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), []);
        store.mark_evaluated(&key).await.unwrap();
        assert!(has_metadata(METADATA) && !has_metadata(SET_ASIDE));
    }

    #[tokio::test]
    async fn damaged_metadata_and_files_of_other_programs_delay_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        let key = object(b"x").key;
        store.put(object(b"x")).await.unwrap();
        fs::write(store.metadata_path(TO_EVALUATE, &key), b"").unwrap();
        fs::write(folder.path().join(TO_EVALUATE).join("notes.json"), b"mine").unwrap();
        let pending = store.pending(Timestamp::MAX).await.unwrap();
        assert_eq!(pending.into_iter().map(|object| object.key).collect::<Vec<_>>(), [key]);
        assert!(folder.path().join(TO_EVALUATE).join("notes.json").exists());
    }

    #[tokio::test]
    async fn an_object_that_is_being_stored_is_pending_once_it_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        let key = object(b"x").key;
        store.put(object(b"x")).await.unwrap();
        // As between the two renames of a push.
        let (path, unfinished) = (folder.path().join(key.as_str()), folder.path().join(UNFINISHED).join(LEFT));
        fs::rename(&path, &unfinished).unwrap();
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap(), []);
        fs::rename(unfinished, path).unwrap();
        assert_eq!(store.pending(Timestamp::MAX).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn metadata_of_an_object_that_was_never_stored_is_removed_at_start_unless_another_process_writes() {
        let folder = tempfile::tempdir().unwrap();
        let writer = FolderStore::open_shared(folder.path()).unwrap();
        let metadata = [b"x", b"y"].map(|body| writer.metadata_path(TO_EVALUATE, &object(body).key));
        let is_left = || metadata.each_ref().map(|metadata| metadata.exists());
        writer.put(object(b"x")).await.unwrap();
        writer.put(object(b"y")).await.unwrap();
        fs::remove_file(folder.path().join(object(b"x").key.as_str())).unwrap();
        drop(FolderStore::open(folder.path()).unwrap());
        assert_eq!(is_left(), [true, true]);
        drop(writer);
        drop(FolderStore::open(folder.path()).unwrap());
        assert_eq!(is_left(), [false, true]);
    }

    #[tokio::test]
    async fn concurrent_writers_of_one_object_create_it_once() {
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

    /// A name of an unfinished file.
    const LEFT: &str = ".smartclean-push-a1B2c3.unfinished";

    #[test]
    fn only_unfinished_files_of_ours_are_removed_at_start() {
        let folder = tempfile::tempdir().unwrap();
        let unfinished = folder.path().join(UNFINISHED);
        fs::create_dir(&unfinished).unwrap();
        for name in [LEFT, "thesis.tex", ".smartclean-push-notes", "half.unfinished"] {
            fs::write(unfinished.join(name), b"{").unwrap();
        }
        // Folders and links of such a name stay as well.
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
        // The writers' unfinished files stay.
        fs::write(folder.path().join(UNFINISHED).join(LEFT), b"{").unwrap();
        assert_eq!(FolderStore::open(folder.path()).unwrap().1, 0);
        drop(writers);
        assert_eq!(FolderStore::open(folder.path()).unwrap().1, 1);
    }

    #[tokio::test]
    async fn a_write_that_fails_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = FolderStore::open(folder.path()).unwrap();
        // A file in place of the object's folder. Permissions would not stop root.
        fs::write(folder.path().join("raw-undated"), b"in the way").unwrap();
        assert!(store.put(object(b"x")).await.is_err());
    }
}
