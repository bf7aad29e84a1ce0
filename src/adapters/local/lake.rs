//! The lake in a data folder: `lake/…` beside `raw/…`. A server may use the folder at the same time.

use std::fs;
use std::io;

use super::FolderArchive;
use super::folder::FolderStore;
use history::ArchiveError;
use history::lake::LakeStore;

impl LakeStore for FolderArchive {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        let path = self.root.join(name);
        // The store's lock keeps a server that starts meanwhile from removing the unfinished file.
        let put = FolderStore::open_shared(&self.root).and_then(|store| store.replace(&path, &bytes));
        put.map_err(|error| ArchiveError::not_written(path.display(), error))
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
