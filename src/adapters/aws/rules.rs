//! Rules from the raw bucket.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use jiff::SignedDuration;

use super::{READING, code, status, told, within};
use crate::adapters::cached_rules::{Found, RuleReader};
use crate::ingest::ports::UnavailableError;

/// Where the text that was accepted last is kept.
const ACCEPTED_KEY: &str = "config/rules.accepted.toml";
/// Largest rules file, in bytes: a thousand times what a person writes.
const LARGEST: usize = 1 << 20;

/// How often a changed rules file is looked for.
pub const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(1);

const NOT_READ: &str = "the rules could not be read";
const NOT_KEPT: &str = "the accepted rules could not be kept";

/// Reads the rules file from a bucket, and keeps the accepted text beside it.
#[derive(Clone, Debug)]
pub struct BucketRules {
    client: Client,
    bucket: String,
    key: String,
}

impl BucketRules {
    /// The rules at `key` in `bucket`.
    #[must_use]
    pub fn new(client: Client, bucket: String, key: String) -> Self {
        Self { client, bucket, key }
    }

    async fn get(&self, key: &str, seen: Option<&str>) -> Result<Found, UnavailableError> {
        let get = self.client.get_object().bucket(&self.bucket).key(key).set_if_none_match(seen.map(ToOwned::to_owned));
        let answer = match get.send().await {
            Ok(answer) => answer,
            Err(fault) if status(&fault) == 304 => return Ok(Found::Unchanged),
            Err(fault) if code(&fault) == "NoSuchKey" => return Ok(Found::Nothing),
            Err(fault) => return Err(told(NOT_READ, &fault)),
        };
        let unfit = |why: &str| UnavailableError::new(NOT_READ, format!("{key} {why}"));
        let length = answer.content_length.and_then(|length| usize::try_from(length).ok());
        if length.is_none_or(|length| length > LARGEST) {
            return Err(unfit("is larger than 1 MiB"));
        }
        let version = answer.e_tag.ok_or_else(|| unfit("came without its version"))?;
        let bytes = answer.body.collect().await.map_err(|fault| UnavailableError::new(NOT_READ, fault))?.to_vec();
        Ok(Found::Rules { version, bytes })
    }

    async fn put_accepted(&self, bytes: &[u8]) -> Result<(), UnavailableError> {
        let put = self.client.put_object().bucket(&self.bucket).key(ACCEPTED_KEY).content_type("application/toml");
        let put = put.body(ByteStream::from(bytes.to_vec()));
        put.send().await.map(|_| ()).map_err(|fault| told(NOT_KEPT, &fault))
    }
}

impl RuleReader for BucketRules {
    fn name(&self) -> &str {
        &self.key
    }

    async fn read(&self, seen: Option<&str>) -> Result<Found, UnavailableError> {
        within(READING, NOT_READ, self.get(&self.key, seen)).await
    }

    async fn accepted(&self) -> Result<Option<Vec<u8>>, UnavailableError> {
        match within(READING, NOT_READ, self.get(ACCEPTED_KEY, None)).await? {
            Found::Rules { bytes, .. } => Ok(Some(bytes)),
            Found::Nothing | Found::Unchanged => Ok(None),
        }
    }

    async fn keep_accepted(&self, bytes: &[u8]) -> Result<(), UnavailableError> {
        within(READING, NOT_KEPT, self.put_accepted(bytes)).await
    }
}
