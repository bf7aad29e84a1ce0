//! Credentials from Secrets Manager.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use jiff::Timestamp;

use super::{PROVING, code, told, within};
use crate::adapters::cached_credentials::{CredentialReader, Document, Kept};
use crate::auth::Secret;
use crate::ingest::ports::UnavailableError;

const NOT_READ: &str = "the credentials' secret could not be read";

/// Reads secrets: the current version of each (`AWSCURRENT`), and the one that it replaced (`AWSPREVIOUS`) where there is
/// one. The current version was made by the rotation, so its age is how long ago the other one was replaced.
#[derive(Clone, Debug)]
pub struct SecretReader {
    client: Client,
    credentials: String,
    signing_key: Option<String>,
}

impl SecretReader {
    /// Reads the credentials' JSON from the secret that `arn` names.
    #[must_use]
    pub fn new(client: Client, arn: String) -> Self {
        Self { client, credentials: arn, signing_key: None }
    }

    /// Reads the signing key as well, from the secret that `arn` names.
    #[must_use]
    pub fn with_signing_key(mut self, arn: Option<String>) -> Self {
        self.signing_key = arn;
        self
    }

    /// The versions of one secret, the current one first, and what names them.
    async fn versions(&self, arn: &str) -> Result<(Vec<Kept>, String), UnavailableError> {
        // One after the other: of a rotation in between, what was current is found again, and not missed.
        let current =
            self.get(arn, None).await?.ok_or_else(|| UnavailableError::new(NOT_READ, "it has no current version"))?;
        let previous = self.get(arn, Some("AWSPREVIOUS")).await?;
        let rotated = current.created_date.and_then(|date| Timestamp::new(date.secs(), 0).ok());
        let (text, mut names) = text_of(current)?;
        let mut versions = vec![Kept { text, replaced: None }];
        // Without a date it would never end.
        if let Some((previous, rotated)) = previous.zip(rotated) {
            let (text, name) = text_of(previous)?;
            names = format!("{names} after {name}");
            versions.push(Kept { text, replaced: Some(rotated) });
        }
        Ok((versions, names))
    }

    /// One version; `None` where there is none of that stage.
    async fn get(&self, arn: &str, stage: Option<&str>) -> Result<Option<GetSecretValueOutput>, UnavailableError> {
        let ask = self.client.get_secret_value().secret_id(arn).set_version_stage(stage.map(ToOwned::to_owned));
        match ask.send().await {
            Ok(answer) => Ok(Some(answer)),
            // What was never rotated, or is revoked, has no previous version.
            Err(fault) if stage.is_some() && code(&fault) == "ResourceNotFoundException" => Ok(None),
            Err(fault) => Err(told(NOT_READ, &fault)),
        }
    }

    async fn document(&self) -> Result<Document, UnavailableError> {
        let signing_keys = async {
            match &self.signing_key {
                Some(arn) => self.versions(arn).await,
                None => Ok((Vec::new(), String::new())),
            }
        };
        let (credentials, signing_keys) = tokio::join!(self.versions(&self.credentials), signing_keys);
        let ((credentials, version), (signing_keys, key_version)) = (credentials?, signing_keys?);
        let version = if key_version.is_empty() { version } else { format!("{version}; {key_version}") };
        Ok(Document { version, credentials, signing_keys })
    }
}

fn text_of(answer: GetSecretValueOutput) -> Result<(Secret, String), UnavailableError> {
    let text = answer.secret_string.ok_or_else(|| UnavailableError::new(NOT_READ, "it is not text"))?;
    let version = answer.version_id.ok_or_else(|| UnavailableError::new(NOT_READ, "its version has no id"))?;
    Ok((Secret::new(text), version))
}

impl CredentialReader for SecretReader {
    async fn read(&self) -> Result<Document, UnavailableError> {
        within(PROVING, NOT_READ, self.document()).await
    }
}
