//! A data folder with its lake: `lake/…` beside `raw/…`. A server may be at work on it.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;

use super::FolderArchive;
use super::disk::sync_one;
use super::folder::{FolderStore, METADATA, SET_ASIDE, TO_EVALUATE};
use crate::domain::archive::ObjectKey;
use crate::history::ArchiveError;
use crate::ingest::ports::Stored;
use crate::lake::{LakeStore, Put, StoredFile};

impl FolderArchive {
    /// Removes a file, and makes that survive a power cut. Whether there was one.
    fn remove_one(&self, name: &str) -> Result<bool, ArchiveError> {
        let path = self.root().join(name);
        let removed = match fs::remove_file(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(false),
            removed => removed.and_then(|()| sync_one(path.parent().unwrap_or(&path))),
        };
        removed.map(|()| true).map_err(|fault| ArchiveError::not_written(path.display(), fault))
    }
}

impl LakeStore for FolderArchive {
    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, ArchiveError> {
        let mut files = Vec::new();
        for name in self.names(folder, Path::is_file)? {
            let name = format!("{folder}{name}");
            let written = match fs::metadata(self.root().join(&name)).and_then(|metadata| metadata.modified()) {
                // Removed since the folder was listed.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
                written => written.map_err(|fault| ArchiveError::not_read(&name, fault))?,
            };
            let written = Timestamp::try_from(written).map_err(|fault| ArchiveError::not_read(&name, fault))?;
            files.push(StoredFile { name, written });
        }
        Ok(files)
    }

    fn get(&self, name: &str) -> Result<Option<Bytes>, ArchiveError> {
        let path = self.root().join(name);
        match fs::read(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(|bytes| Some(bytes.into())).map_err(|fault| ArchiveError::not_read(path.display(), fault)),
        }
    }

    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put, ArchiveError> {
        let path = self.root().join(name);
        // Its lock keeps a server that starts from removing the file before it has its name.
        let put = FolderStore::open_shared(self.root()).and_then(|store| store.write_new(&path, &bytes));
        match put {
            Ok(Stored::Already) => Ok(Put::Already),
            Ok(Stored::New | Stored::Parked) => Ok(Put::New),
            Err(fault) => Err(ArchiveError::not_written(path.display(), fault)),
        }
    }

    fn remove(&self, names: &[String]) -> Result<(), ArchiveError> {
        names.iter().try_for_each(|name| self.remove_one(name).map(drop))
    }

    /// What is recorded about an object goes after it, so that it is never without.
    fn expire(&self, keys: &[ObjectKey]) -> Result<u64, ArchiveError> {
        let mut expired = 0;
        for key in keys {
            // The next server evaluates it, or somebody looks at it.
            if [TO_EVALUATE, SET_ASIDE].iter().any(|folder| self.root().join(format!("{folder}/{key}.json")).exists()) {
                continue;
            }
            expired += u64::from(self.remove_one(key.as_str())?);
            self.remove_one(&format!("{METADATA}/{key}.json"))?;
        }
        Ok(expired)
    }
}
