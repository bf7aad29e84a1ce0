//! The rules file of the local host.

use std::io;
use std::path::{Path, PathBuf};

use super::version;
use crate::adapters::cached_rules::{Found, RuleReader};
use crate::ingest::ports::UnavailableError;

/// The copy of the rules that were accepted last, in the data folder.
const ACCEPTED: &str = "rules.accepted.toml";

/// Reads rules from a file that was named on purpose: where it is missing, that is a fault, and not the pack's turn.
#[derive(Clone, Debug)]
pub struct RuleFile {
    path: PathBuf,
    name: String,
    accepted: PathBuf,
}

impl RuleFile {
    /// The file at `path`, with a copy of the last accepted one in the folder `data`; neither is opened yet.
    #[must_use]
    pub fn new(path: PathBuf, data: &Path) -> Self {
        let name = path.display().to_string();
        Self { path, name, accepted: data.join(ACCEPTED) }
    }
}

impl RuleReader for RuleFile {
    fn name(&self) -> &str {
        &self.name
    }

    async fn read(&self, seen: Option<&str>) -> Result<Found, UnavailableError> {
        let read = async {
            // The version is taken before the text: of an edit in between, the text is read again, not missed.
            let version = version(&self.path).await?;
            if seen == Some(&version) {
                return Ok(Found::Unchanged);
            }
            Ok(Found::Rules { version, bytes: tokio::fs::read(&self.path).await? })
        };
        read.await.map_err(|fault: io::Error| {
            UnavailableError::new("the rules file could not be read", format!("{}: {fault}", self.name))
        })
    }

    async fn accepted(&self) -> Result<Option<Vec<u8>>, UnavailableError> {
        match tokio::fs::read(&self.accepted).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => {
                let file = self.accepted.display();
                Err(UnavailableError::new("the rules accepted last could not be read", format!("{file}: {fault}")))
            }
        }
    }

    async fn keep_accepted(&self, bytes: &[u8]) -> Result<(), UnavailableError> {
        // Renamed when it is whole: a crash in between leaves the copy before it.
        let unfinished = self.accepted.with_extension("unfinished");
        let kept = async {
            tokio::fs::write(&unfinished, bytes).await?;
            tokio::fs::rename(&unfinished, &self.accepted).await
        };
        kept.await.map_err(|fault: io::Error| {
            let file = self.accepted.display();
            UnavailableError::new("the accepted rules could not be kept", format!("{file}: {fault}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_when_it_was_edited_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        std::fs::write(&path, "# one").unwrap();
        let file = RuleFile::new(path.clone(), folder.path());
        let Found::Rules { version, bytes } = file.read(None).await.unwrap() else { panic!("there is a file") };
        assert_eq!(bytes, b"# one");
        assert_eq!(file.read(Some(&version)).await.unwrap(), Found::Unchanged);
        std::fs::write(&path, "# other").unwrap();
        assert!(matches!(file.read(Some(&version)).await.unwrap(), Found::Rules { bytes, .. } if bytes == b"# other"));
    }

    #[tokio::test]
    async fn a_file_that_is_gone_is_a_fault_and_not_the_packs_turn() {
        let file = RuleFile::new("/nowhere/rules.toml".into(), Path::new("/nowhere"));
        let fault = file.read(Some("1")).await.unwrap_err();
        assert!(std::error::Error::source(&fault).unwrap().to_string().starts_with("/nowhere/rules.toml: "));
    }

    #[tokio::test]
    async fn the_accepted_rules_are_kept_beside_the_data_and_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = RuleFile::new("/nowhere/rules.toml".into(), folder.path());
        assert_eq!(file.accepted().await.unwrap(), None);
        for text in ["# one", "# another"] {
            file.keep_accepted(text.as_bytes()).await.unwrap();
            assert_eq!(file.accepted().await.unwrap().unwrap(), text.as_bytes());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = RuleFile::new("/nowhere/rules.toml".into(), Path::new("/nowhere"));
        assert!(nowhere.keep_accepted(b"").await.is_err());
    }
}
