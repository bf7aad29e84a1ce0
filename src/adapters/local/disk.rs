//! Makes writes durable, many at a time.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::group_commit::GroupCommit;

/// Number of waiting callers from which on the whole file system is synchronized by one call. With fewer, that call would only
/// add a wait for the writes of other programs.
const WHOLE_DISK_FROM: usize = 3;

/// Shared by the callers of a group: an `io::Error` is not `Clone`.
type SyncResult = Result<(), Arc<io::Error>>;

/// The disk that a folder is on.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    syncs: Arc<GroupCommit<Vec<PathBuf>, SyncResult>>,
    /// The folders whose names this process has synchronized: three or four an hour, at about 100 bytes each.
    durable: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Disk {
    /// Opens the disk of `folder`.
    ///
    /// # Errors
    /// If the folder cannot be opened.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let folder = File::open(folder)?;
        let syncs = Arc::new(GroupCommit::new(move |group| sync(&folder, group)));
        Ok(Self { syncs, durable: Arc::default() })
    }

    /// Returns once `paths` survive a power failure: files with their content, folders with the names in them.
    ///
    /// # Errors
    /// The disk's error. Writes that were not confirmed may be lost; storing the object again is safe.
    pub(super) async fn sync(&self, paths: Vec<PathBuf>) -> io::Result<()> {
        let synced = self.syncs.run(paths).await.map_err(io::Error::other)?;
        synced.map_err(|error| io::Error::new(error.kind(), error))
    }

    /// Creates a folder, with its missing parents, and returns once its whole path, which is absolute, survives a power failure.
    ///
    /// A folder that exists may not be durable yet: another push or a killed process may have created it. So each process
    /// synchronizes the name of each folder once. After that, a call costs a look-up in memory and one on the disk.
    ///
    /// # Errors
    /// If a folder cannot be created, or its name cannot be synchronized; the next call tries it again.
    pub(super) fn create_folder(&self, folder: &Path) -> io::Result<()> {
        let durable = || self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(parent) = folder.parent() else { return Ok(()) };
        if durable().contains(folder) && folder.is_dir() {
            return Ok(());
        }
        self.create_folder(parent)?;
        fs::create_dir_all(folder)?;
        match sync_one(parent) {
            // Above the data folder: a folder of another user, or of a file system that synchronizes no folders.
            Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => {}
            synced => synced?,
        }
        durable().insert(folder.to_owned());
        Ok(())
    }
}

fn sync(folder: &File, group: Vec<Vec<PathBuf>>) -> Vec<SyncResult> {
    if group.len() >= WHOLE_DISK_FROM
        && let Some(synced) = sync_file_system(folder)
    {
        return vec![synced.map_err(Arc::new); group.len()];
    }
    group.iter().map(|paths| paths.iter().try_for_each(|path| sync_one(path)).map_err(Arc::new)).collect()
}

/// Synchronizes a file's content, or the names in a folder.
pub(super) fn sync_one(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Synchronizes the file system of `folder`; `None` if the operating system has no such call that reports errors.
#[cfg(target_os = "linux")]
fn sync_file_system(folder: &File) -> Option<io::Result<()>> {
    Some(rustix::fs::syncfs(folder).map_err(io::Error::from))
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_folder: &File) -> Option<io::Result<()>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_groups_are_synchronized_and_a_missing_file_fails_its_own_caller() {
        let folder = tempfile::tempdir().unwrap();
        let (present, missing) = (folder.path().join("present"), folder.path().join("missing"));
        std::fs::write(&present, "x").unwrap();
        let handle = File::open(folder.path()).unwrap();
        let few = sync(&handle, vec![vec![present.clone(), folder.path().into()], vec![missing]]);
        assert!(few[0].is_ok());
        assert_eq!(few[1].as_ref().unwrap_err().kind(), io::ErrorKind::NotFound);
        let many = sync(&handle, vec![vec![present]; WHOLE_DISK_FROM]);
        assert!(many.len() == WHOLE_DISK_FROM && many.iter().all(Result::is_ok));
    }

    #[test]
    fn a_folder_that_was_removed_is_created_again() {
        let root = tempfile::tempdir().unwrap();
        let disk = Disk::open(root.path()).unwrap();
        let folder = root.path().join("raw/dt=2026-11-23");
        for _ in 0..2 {
            disk.create_folder(&folder).unwrap();
            assert!(folder.is_dir());
            fs::remove_dir_all(root.path().join("raw")).unwrap();
        }
        fs::write(root.path().join("raw"), b"in the way").unwrap();
        assert!(disk.create_folder(&folder).is_err());
    }
}
