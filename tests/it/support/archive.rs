//! The store in memory as an archive: a type of its own, because both `Archive` and the store belong to other crates.

use history::{Archive, ArchiveError, StoredObject};
use smartclean_push::domain::archive::ObjectKey;

use super::memory::MemoryStore;

/// The store, read as an archive.
pub(crate) struct MemoryArchive<'s>(pub(crate) &'s MemoryStore);

impl Archive for MemoryArchive<'_> {
    fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let below = |key: &String| {
            let (name, _) = key.strip_prefix(folder)?.split_once('/')?;
            Some(format!("{folder}{name}/"))
        };
        let mut folders: Vec<String> = self.0.with_objects(|objects| objects.keys().filter_map(below).collect());
        folders.dedup();
        Ok(folders)
    }

    fn files(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let is_there = |key: &&String| key.strip_prefix(folder).is_some_and(|name| !name.contains('/'));
        Ok(self.0.with_objects(|objects| objects.keys().filter(is_there).cloned().collect()))
    }

    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
        self.0.with_objects(|objects| {
            let read = |key: &ObjectKey| {
                let object =
                    objects.get(key.as_str()).ok_or_else(|| ArchiveError::not_read(key, "there is no such object"))?;
                let received = Some(object.metadata.received);
                Ok(StoredObject { key: key.clone(), received, bytes: object.bytes.clone() })
            };
            keys.iter().map(read).collect()
        })
    }
}
