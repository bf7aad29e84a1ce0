//! Credentials from Secrets Manager.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use jiff::Timestamp;

use super::{CREDENTIALS_TIMEOUT, error_code, unavailable, within};
use crate::adapters::cached_credentials::{CredentialReader, SecretVersions, StoredCredentials};
use crate::auth::Secret;
use crate::ingest::ports::UnavailableError;

const NOT_READ: &str = "the credentials' secret could not be read";

/// Reads secrets: the current version of each (`AWSCURRENT`), and the previous one (`AWSPREVIOUS`) if there is one. The current
/// version was created by the rotation, so its creation date is when it replaced the previous one.
#[derive(Clone, Debug)]
pub struct SecretReader {
    /// The client of Secrets Manager.
    pub client: Client,
    /// The ARN of the secret that contains the credentials' JSON.
    pub credentials: String,
    /// The ARN of the secret that contains the signing key, if it is a secret of its own.
    pub signing_key: Option<String>,
}

impl SecretReader {
    /// The versions of one secret, and their ids.
    async fn versions(&self, arn: &str) -> Result<(SecretVersions, String), UnavailableError> {
        // The current version first: after a rotation in between, it is read again as the previous one, and none is missed.
        let current = self.get(arn, None).await?;
        let current = current.ok_or_else(|| UnavailableError::new(NOT_READ, "it has no current version"))?;
        let previous = self.get(arn, Some("AWSPREVIOUS")).await?;
        let rotated = current.created_date.and_then(|date| Timestamp::new(date.secs(), 0).ok());
        let (current, id) = text_and_id(current)?;
        // Without a date, the previous version would never expire.
        let Some((previous, rotated)) = previous.zip(rotated) else {
            return Ok((SecretVersions { current, previous: None }, id));
        };
        let (previous, previous_id) = text_and_id(previous)?;
        Ok((SecretVersions { current, previous: Some((previous, rotated)) }, format!("{id} after {previous_id}")))
    }

    /// One version; `None` if no version has that stage.
    async fn get(&self, arn: &str, stage: Option<&str>) -> Result<Option<GetSecretValueOutput>, UnavailableError> {
        let get = self.client.get_secret_value().secret_id(arn).set_version_stage(stage.map(ToOwned::to_owned));
        match get.send().await {
            Ok(response) => Ok(Some(response)),
            // A secret that was never rotated, or whose previous version was revoked, has no such version.
            Err(error) if stage.is_some() && error_code(&error) == "ResourceNotFoundException" => Ok(None),
            Err(error) => Err(unavailable(NOT_READ, &error)),
        }
    }

    async fn read_all(&self) -> Result<StoredCredentials, UnavailableError> {
        let Some(signing_key) = &self.signing_key else {
            let (credentials, version) = self.versions(&self.credentials).await?;
            return Ok(StoredCredentials { version, credentials, signing_key: None });
        };
        let ((credentials, version), (signing_key, key_version)) =
            tokio::try_join!(self.versions(&self.credentials), self.versions(signing_key))?;
        let version = format!("{version}; {key_version}");
        Ok(StoredCredentials { version, credentials, signing_key: Some(signing_key) })
    }
}

fn text_and_id(response: GetSecretValueOutput) -> Result<(Secret, String), UnavailableError> {
    let text = response.secret_string.ok_or_else(|| UnavailableError::new(NOT_READ, "it is not text"))?;
    let id = response.version_id.ok_or_else(|| UnavailableError::new(NOT_READ, "its version has no id"))?;
    Ok((Secret::new(text), id))
}

impl CredentialReader for SecretReader {
    async fn read(&self) -> Result<StoredCredentials, UnavailableError> {
        within(CREDENTIALS_TIMEOUT, NOT_READ, self.read_all()).await
    }
}
