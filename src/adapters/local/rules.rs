//! The rules file of the local server.

use std::io;
use std::path::{Path, PathBuf};

use super::{file_version, replace_file};
use crate::adapters::cached_rules::{ConditionalRead, RuleReader};
use crate::ingest::ports::UnavailableError;

/// The copy of the rules that were accepted last, in the data folder.
const ACCEPTED: &str = "rules.accepted.toml";

/// Reads rules from a file that the operator named: if it is missing, that is an error, and not the built-in rules' turn.
#[derive(Clone, Debug)]
pub struct RuleFile {
    path: PathBuf,
    name: String,
    accepted: PathBuf,
}

impl RuleFile {
    /// Uses the file at `path`, with the accepted copy in the folder `data`. Both are opened at each use.
    #[must_use]
    pub fn new(path: PathBuf, data: &Path) -> Self {
        let name = path.display().to_string();
        Self { path, name, accepted: data.join(ACCEPTED) }
    }

    async fn read_file(&self, known: Option<&str>) -> io::Result<ConditionalRead> {
        // The version first: an edit in between causes another read, and is not missed.
        let version = file_version(&self.path).await?;
        if known == Some(&version) {
            return Ok(ConditionalRead::NotModified);
        }
        Ok(ConditionalRead::Modified { version, bytes: tokio::fs::read(&self.path).await? })
    }

    fn copy_error(&self, message: &'static str, error: &io::Error) -> UnavailableError {
        UnavailableError::new(message, format!("{}: {error}", self.accepted.display()))
    }
}

impl RuleReader for RuleFile {
    fn name(&self) -> &str {
        &self.name
    }

    async fn read(&self, known: Option<&str>) -> Result<ConditionalRead, UnavailableError> {
        self.read_file(known).await.map_err(|error| {
            UnavailableError::new("the rules file could not be read", format!("{}: {error}", self.name))
        })
    }

    async fn read_accepted(&self) -> Result<Option<Vec<u8>>, UnavailableError> {
        match tokio::fs::read(&self.accepted).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.copy_error("the rules accepted last could not be read", &error)),
        }
    }

    async fn save_accepted(&self, bytes: &[u8]) -> Result<(), UnavailableError> {
        let (path, bytes) = (self.accepted.clone(), bytes.to_vec());
        let saved = tokio::task::spawn_blocking(move || replace_file(&path, &bytes)).await;
        let saved = saved.map_err(io::Error::other).flatten();
        saved.map_err(|error| self.copy_error("the accepted rules could not be saved", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_only_after_an_edit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        std::fs::write(&path, "# one").unwrap();
        let file = RuleFile::new(path.clone(), folder.path());
        let ConditionalRead::Modified { version, bytes } = file.read(None).await.unwrap() else {
            panic!("there is a file")
        };
        assert_eq!(bytes, b"# one");
        assert_eq!(file.read(Some(&version)).await.unwrap(), ConditionalRead::NotModified);
        std::fs::write(&path, "# other").unwrap();
        assert!(
            matches!(file.read(Some(&version)).await.unwrap(), ConditionalRead::Modified { bytes, .. } if bytes == b"# other")
        );
    }

    #[tokio::test]
    async fn a_missing_file_is_an_error() {
        let file = RuleFile::new("/nowhere/rules.toml".into(), Path::new("/nowhere"));
        let error = file.read(Some("1")).await.unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().starts_with("/nowhere/rules.toml: "));
    }

    #[tokio::test]
    async fn the_accepted_copy_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = RuleFile::new("/nowhere/rules.toml".into(), folder.path());
        assert_eq!(file.read_accepted().await.unwrap(), None);
        for text in ["# one", "# another"] {
            file.save_accepted(text.as_bytes()).await.unwrap();
            assert_eq!(file.read_accepted().await.unwrap().unwrap(), text.as_bytes());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = RuleFile::new("/nowhere/rules.toml".into(), Path::new("/nowhere"));
        assert!(nowhere.save_accepted(b"").await.is_err());
    }
}
