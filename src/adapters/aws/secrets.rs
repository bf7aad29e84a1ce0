//! Credentials from Secrets Manager.

use aws_sdk_secretsmanager::Client;

use super::{READING, told, within};
use crate::adapters::cached_credentials::{CredentialReader, Document};
use crate::domain::auth::Secret;
use crate::ingest::ports::Unavailable;

const NOT_READ: &str = "the credentials' secret could not be read";

/// Reads the current version (`AWSCURRENT`) of a secret.
#[derive(Clone, Debug)]
pub struct SecretReader {
    client: Client,
    arn: String,
}

impl SecretReader {
    /// Reads the secret that `arn` names.
    #[must_use]
    pub fn new(client: Client, arn: String) -> Self {
        Self { client, arn }
    }

    async fn get(&self) -> Result<Document, Unavailable> {
        let answer = self.client.get_secret_value().secret_id(&self.arn).send().await;
        let answer = answer.map_err(|fault| told(NOT_READ, &fault))?;
        let text = answer.secret_string.ok_or_else(|| Unavailable::new(NOT_READ, "it is not text"))?;
        let version = answer.version_id.ok_or_else(|| Unavailable::new(NOT_READ, "its version has no id"))?;
        Ok(Document { version, text: Secret::new(text) })
    }
}

impl CredentialReader for SecretReader {
    async fn read(&self) -> Result<Document, Unavailable> {
        within(READING, NOT_READ, self.get()).await
    }
}
