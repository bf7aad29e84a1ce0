//! A data folder that is made from nothing: history for trying things, quickly rather than durably.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::folder::METADATA;
use crate::domain::archive::Object;

/// What a data folder consists of.
const PARTS: [&str; 4] = ["raw", "raw-undated", "rejected", METADATA];

/// A new data folder. Its objects are as good as evaluated: a server that is started on it later leaves them alone.
#[derive(Clone, Debug)]
pub struct MadeFolder {
    root: PathBuf,
}

impl MadeFolder {
    /// Makes the folder `root` where it is not there.
    ///
    /// # Errors
    /// Where it cannot be made, or already holds objects; of kind [`io::ErrorKind::AlreadyExists`] then.
    pub fn create(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        for part in PARTS {
            let is_empty = match fs::read_dir(root.join(part)) {
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => true,
                entries => entries?.next().is_none(),
            };
            if !is_empty {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("there is something in {part}/")));
            }
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Keeps an object and what is told about it. One of the same name stays as it is.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn put(&self, object: &Object) -> io::Result<()> {
        let path = self.root.join(object.key.as_str());
        if path.try_exists()? {
            return Ok(());
        }
        let told = self.root.join(METADATA).join(format!("{}.json", object.key));
        write(&told, &serde_json::to_vec(&object.metadata)?)?;
        write(&path, &object.bytes)
    }
}

/// Written aside and then named, so that a file is whole or not there. Not synchronised: it can be made again.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let mut file = NamedTempFile::with_prefix_in(".made-", parent)?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|fault| fault.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_objects_is_refused_and_an_empty_one_taken() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("raw")).unwrap();
        assert!(MadeFolder::create(folder.path()).is_ok());
        fs::write(folder.path().join("raw/x"), b"").unwrap();
        let refused = MadeFolder::create(folder.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    }
}
