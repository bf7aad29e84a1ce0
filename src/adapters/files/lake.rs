//! A data folder with its lake: `lake/…` beside `raw/…`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;

use super::FolderArchive;
use super::disk::sync_one;
use super::folder::{FolderStore, METADATA, SET_ASIDE, TO_EVALUATE};
use crate::domain::archive::ObjectKey;
use crate::history::{Archive, StoredObject, Unreadable};
use crate::ingest::ports::Stored;
use crate::lake::{LakeFiles, LakeStore, NotWritten, Put, StoredFile};

impl LakeFiles for FolderArchive {
    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, Unreadable> {
        let mut files = Vec::new();
        for name in self.names(folder, Path::is_file)? {
            let name = format!("{folder}{name}");
            let written = match fs::metadata(self.root().join(&name)).and_then(|metadata| metadata.modified()) {
                // Removed since the folder was listed.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
                written => written.map_err(|fault| Unreadable::new(&name, fault))?,
            };
            let written = Timestamp::try_from(written).map_err(|fault| Unreadable::new(&name, fault))?;
            files.push(StoredFile { name, written });
        }
        Ok(files)
    }

    fn get(&self, name: &str) -> Result<Option<Bytes>, Unreadable> {
        let path = self.root().join(name);
        match fs::read(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(|bytes| Some(bytes.into())).map_err(|fault| Unreadable::new(path.display(), fault)),
        }
    }
}

/// A data folder whose lake is written, while a server may be at work on it.
#[derive(Clone, Debug)]
pub struct FolderLake {
    archive: FolderArchive,
    store: FolderStore,
}

impl FolderLake {
    /// Opens the data folder `root`, as [`FolderArchive::open`] does.
    ///
    /// # Errors
    /// As there, and where nothing can be written there.
    pub fn open(root: &Path) -> Result<Self, Unreadable> {
        let archive = FolderArchive::open(root)?;
        let store = FolderStore::open_shared(root).map_err(|fault| Unreadable::new(root.display(), fault))?;
        Ok(Self { archive, store })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.archive.root().join(name)
    }

    /// Removes a file, and makes that survive a power cut. Whether there was one.
    fn remove_one(&self, name: &str) -> Result<bool, NotWritten> {
        let path = self.path(name);
        let removed = match fs::remove_file(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(false),
            removed => removed.and_then(|()| sync_one(path.parent().unwrap_or(&path))),
        };
        removed.map(|()| true).map_err(|fault| NotWritten::new(path.display(), fault))
    }
}

impl Archive for FolderLake {
    fn folders(&self, folder: &str) -> Result<Vec<String>, Unreadable> {
        self.archive.folders(folder)
    }

    fn keys(&self, folder: &str) -> Result<Vec<ObjectKey>, Unreadable> {
        self.archive.keys(folder)
    }

    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, Unreadable> {
        self.archive.read(keys)
    }
}

impl LakeFiles for FolderLake {
    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, Unreadable> {
        self.archive.files(folder)
    }

    fn get(&self, name: &str) -> Result<Option<Bytes>, Unreadable> {
        self.archive.get(name)
    }
}

impl LakeStore for FolderLake {
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put, NotWritten> {
        let path = self.path(name);
        match self.store.write_new(&path, &bytes) {
            Ok(Stored::Already) => Ok(Put::Already),
            Ok(Stored::New | Stored::Parked) => Ok(Put::New),
            Err(fault) => Err(NotWritten::new(path.display(), fault)),
        }
    }

    fn remove(&self, names: &[String]) -> Result<(), NotWritten> {
        names.iter().try_for_each(|name| self.remove_one(name).map(drop))
    }

    /// What is told about an object goes after it, so that it is never without.
    fn expire(&self, keys: &[ObjectKey]) -> Result<u64, NotWritten> {
        let mut expired = 0;
        for key in keys {
            // The next server evaluates it, or somebody looks at it.
            if [TO_EVALUATE, SET_ASIDE].iter().any(|folder| self.path(&format!("{folder}/{key}.json")).exists()) {
                continue;
            }
            expired += u64::from(self.remove_one(key.as_str())?);
            self.remove_one(&format!("{METADATA}/{key}.json"))?;
        }
        Ok(expired)
    }
}
