//! A new data folder for generated history: fast to write rather than durable.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::METADATA;
use super::replace_file;
use crate::domain::archive::Object;

/// The subfolders of a data folder that have to be empty.
const SUBFOLDERS: [&str; 4] = ["raw", "raw-undated", "rejected", METADATA];

/// A new data folder. Its objects count as evaluated: a server that is started on it later does not evaluate them.
#[derive(Clone, Debug)]
pub struct NewDataFolder {
    root: PathBuf,
}

impl NewDataFolder {
    /// Creates the folder `root` unless it exists.
    ///
    /// # Errors
    /// If it cannot be created; of kind [`io::ErrorKind::AlreadyExists`] if it has objects already.
    pub fn create(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        for subfolder in SUBFOLDERS {
            let is_empty = match fs::read_dir(root.join(subfolder)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                entries => entries?.next().is_none(),
            };
            if !is_empty {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{subfolder}/ is not empty")));
            }
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Stores an object and its metadata. An object with the same key is left unchanged.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn put(&self, object: &Object) -> io::Result<()> {
        let path = self.root.join(object.key.as_str());
        if path.try_exists()? {
            return Ok(());
        }
        let metadata = self.root.join(METADATA).join(format!("{}.json", object.key));
        for (path, bytes) in [(metadata, &serde_json::to_vec(&object.metadata)?), (path, &object.bytes)] {
            fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
            replace_file(&path, bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_objects_is_refused_and_an_empty_one_accepted() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("raw")).unwrap();
        assert!(NewDataFolder::create(folder.path()).is_ok());
        fs::write(folder.path().join("raw/x"), b"").unwrap();
        let refused = NewDataFolder::create(folder.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    }
}
