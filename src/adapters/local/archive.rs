//! A data folder as an archive with a lake, `lake/…` beside `raw/…`. A server may use the folder at the same time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::folder::{FolderStore, METADATA_FOLDERS};
use crate::domain::archive::{Metadata, ObjectKey};
use history::lake::LakeStore;
use history::{Archive, ArchiveError, StoredObject};

/// A data folder. Only its lake is written.
#[derive(Clone, Debug)]
pub struct FolderArchive {
    root: PathBuf,
}

impl FolderArchive {
    /// Opens the data folder `root`, which contains `raw/`.
    ///
    /// # Errors
    /// [`ArchiveError`] if there is no such folder, or it is not a data folder. Its text says what to do.
    pub fn open(root: &Path) -> Result<Self, ArchiveError> {
        let unreadable = |why: &str| Err(ArchiveError::not_read(root.display(), why));
        if !root.is_dir() {
            return unreadable("there is no such folder. Name the one that `serve --data` uses");
        }
        if !["raw", "raw-undated", "rejected"].iter().any(|name| root.join(name).is_dir()) {
            return unreadable("there is no folder `raw` in it. Name the one that `serve --data` uses");
        }
        Ok(Self { root: root.to_owned() })
    }

    /// The full names in `folder`, in order, without its subfolders' content.
    fn names(&self, folder: &str, is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<String>, ArchiveError> {
        let path = self.root.join(folder);
        let unreadable = |error| ArchiveError::not_read(path.display(), error);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            if let Some(name) = entry.file_name().to_str().filter(|_| is_wanted(&entry.path())) {
                names.push(format!("{folder}{name}"));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn read_one(&self, key: &ObjectKey) -> Result<StoredObject, ArchiveError> {
        let path = self.root.join(key.as_str());
        let bytes = fs::read(&path).map_err(|error| ArchiveError::not_read(path.display(), error))?;
        let received = METADATA_FOLDERS.iter().find_map(|folder| {
            let metadata = fs::read(self.root.join(folder).join(format!("{key}.json"))).ok()?;
            serde_json::from_slice(&metadata).ok().map(|metadata: Metadata| metadata.received)
        });
        Ok(StoredObject { key: key.clone(), received, bytes })
    }
}

impl Archive for FolderArchive {
    fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        Ok(self.names(folder, Path::is_dir)?.into_iter().map(|name| name + "/").collect())
    }

    fn files(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        self.names(folder, Path::is_file)
    }

    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
        keys.par_iter().map(|key| self.read_one(key)).collect()
    }
}

impl LakeStore for FolderArchive {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        // The store's lock keeps a server that starts meanwhile from removing the unfinished file.
        let put = FolderStore::open_shared(&self.root).and_then(|store| store.replace(name, &bytes));
        put.map_err(|error| ArchiveError::not_written(self.root.join(name).display(), error))
    }

    fn remove(&self, names: &[String]) -> Result<(), ArchiveError> {
        for path in names.iter().map(|name| self.root.join(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ArchiveError::not_written(path.display(), error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
