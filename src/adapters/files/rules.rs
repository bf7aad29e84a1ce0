//! The rules file of the local host.

use std::io;
use std::path::PathBuf;

use super::version;
use crate::adapters::cached_rules::{Found, RuleReader};
use crate::ingest::ports::Unavailable;

/// Reads rules from a file that was named on purpose: where it is missing, that is a fault, and not the pack's turn.
#[derive(Clone, Debug)]
pub struct RuleFile {
    path: PathBuf,
    name: String,
}

impl RuleFile {
    /// The file at `path`; it is not opened yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let name = path.display().to_string();
        Self { path, name }
    }
}

impl RuleReader for RuleFile {
    fn name(&self) -> &str {
        &self.name
    }

    async fn read(&self, seen: Option<&str>) -> Result<Found, Unavailable> {
        let read = async {
            // The version is taken before the text: of an edit in between, the text is read again, not missed.
            let version = version(&self.path).await?;
            if seen == Some(&version) {
                return Ok(Found::Unchanged);
            }
            Ok(Found::Rules { version, bytes: tokio::fs::read(&self.path).await? })
        };
        read.await.map_err(|fault: io::Error| {
            Unavailable::new("the rules file could not be read", format!("{}: {fault}", self.name))
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
        let file = RuleFile::new(path.clone());
        let Found::Rules { version, bytes } = file.read(None).await.unwrap() else { panic!("there is a file") };
        assert_eq!(bytes, b"# one");
        assert_eq!(file.read(Some(&version)).await.unwrap(), Found::Unchanged);
        std::fs::write(&path, "# other").unwrap();
        assert!(matches!(file.read(Some(&version)).await.unwrap(), Found::Rules { bytes, .. } if bytes == b"# other"));
    }

    #[tokio::test]
    async fn a_file_that_is_gone_is_a_fault_and_not_the_packs_turn() {
        let file = RuleFile::new("/nowhere/rules.toml".into());
        let fault = file.read(Some("1")).await.unwrap_err();
        assert!(std::error::Error::source(&fault).unwrap().to_string().starts_with("/nowhere/rules.toml: "));
    }
}
