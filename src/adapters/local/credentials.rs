//! The credentials file: the same JSON as the secret.

use std::io;
use std::path::PathBuf;

use super::file_version;
use crate::adapters::cached_credentials::{CredentialReader, StoredCredentials};
use crate::auth::Secret;
use crate::domain::utf8;
use crate::ingest::ports::UnavailableError;

/// Reads credentials from a file.
#[derive(Clone, Debug)]
pub struct CredentialFile {
    /// The file, which is opened at each read.
    pub path: PathBuf,
}

impl CredentialFile {
    async fn read_file(&self) -> io::Result<StoredCredentials> {
        // The version first: an edit in between causes another read, and is not missed.
        let version = file_version(&self.path).await?;
        let bytes = tokio::fs::read(&self.path).await?;
        let text = utf8::text(&bytes).map_err(io::Error::other)?.to_owned();
        Ok(StoredCredentials::new(version, Secret::new(text)))
    }
}

impl CredentialReader for CredentialFile {
    async fn read(&self) -> Result<StoredCredentials, UnavailableError> {
        self.read_file().await.map_err(|error| {
            let error = format!("{}: {error}", self.path.display());
            UnavailableError::new("the credentials file could not be read", error)
        })
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
        let cached = CachedCredentials::new(CredentialFile { path: path.clone() });
        let known = cached.current(at(0)).await.unwrap();
        assert!(cached.newer_than(&known, at(10)).await.is_none());
        std::fs::write(&path, r#"{"username":"u","password":"new"}"#).unwrap();
        let new = cached.newer_than(&known, at(20)).await.unwrap();
        assert_eq!(new.clients()[0].password.expose(), "new");
    }

    #[tokio::test]
    async fn a_missing_file_is_an_error_with_its_path() {
        let error = CredentialFile { path: "/nowhere/credentials.json".into() }.read().await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.starts_with("/nowhere/credentials.json: "), "{cause}");
    }
}
