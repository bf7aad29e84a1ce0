//! The credentials file: the same JSON as the secret.

use std::io;
use std::path::PathBuf;

use super::version;
use crate::adapters::cached_credentials::{CredentialReader, Document};
use crate::auth::Secret;
use crate::domain::utf8;
use crate::ingest::ports::UnavailableError;

/// Reads credentials from a file.
#[derive(Clone, Debug)]
pub struct CredentialFile {
    path: PathBuf,
}

impl CredentialFile {
    /// The file at `path`; it is not opened yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl CredentialReader for CredentialFile {
    async fn read(&self) -> Result<Document, UnavailableError> {
        let read = async {
            // The version is taken before the text: of an edit in between, the text is read again, not missed.
            let version = version(&self.path).await?;
            let bytes = tokio::fs::read(&self.path).await?;
            let text = utf8::text(&bytes).map_err(io::Error::other)?.to_owned();
            io::Result::Ok((version, text))
        };
        let (version, text) = read.await.map_err(|fault| {
            UnavailableError::new(
                "the credentials' file could not be read",
                format!("{}: {fault}", self.path.display()),
            )
        })?;
        Ok(Document::new(version, Secret::new(text)))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::adapters::cached_credentials::CachedCredentials;
    use crate::ingest::ports::CredentialSource as _;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[tokio::test]
    async fn a_file_that_is_edited_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.json");
        std::fs::write(&path, r#"{"username":"u","password":"old"}"#).unwrap();
        let cached = CachedCredentials::new(CredentialFile::new(path.clone()));
        cached.current(at(0)).await.unwrap();
        assert!(cached.refreshed(at(10)).await.is_none());
        std::fs::write(&path, r#"{"username":"u","password":"new"}"#).unwrap();
        let new = cached.refreshed(at(20)).await.unwrap();
        assert_eq!(new.clients()[0].password.expose(), "new");
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_named() {
        let fault = CredentialFile::new("/nowhere/credentials.json".into()).read().await.unwrap_err();
        let cause = std::error::Error::source(&fault).unwrap().to_string();
        assert!(cause.starts_with("/nowhere/credentials.json: "), "{cause}");
    }
}
