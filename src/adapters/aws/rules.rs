//! Rules from the raw bucket.

use aws_sdk_s3::Client;
use jiff::SignedDuration;

use super::{RULES_TIMEOUT, error_code, http_status, unavailable, within};
use crate::adapters::cached_rules::{ConditionalRead, RuleReader};
use crate::ingest::ports::UnavailableError;

/// The rules file in the bucket.
const KEY: &str = "config/rules.toml";
/// The copy of the rules that were accepted last.
const ACCEPTED_KEY: &str = "config/rules.accepted.toml";
/// Largest rules file, in bytes: a thousand times what people write.
const MAX_FILE: usize = 1 << 20;

/// Interval at which the rules file is read again.
pub const REFRESH_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

const NOT_READ: &str = "the rules could not be read";
const NOT_SAVED: &str = "the accepted rules could not be saved";

/// Reads the rules file from a bucket, and saves the accepted copy beside it.
#[derive(Clone, Debug)]
pub struct BucketRules {
    /// The client of S3.
    pub client: Client,
    /// The name of the bucket.
    pub bucket: String,
    /// Whether this process saves the accepted copy. If not, it needs no permission to write.
    pub saves_accepted: bool,
}

impl BucketRules {
    async fn get(&self, key: &str, known: Option<&str>) -> Result<ConditionalRead, UnavailableError> {
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        let response = match get.set_if_none_match(known.map(ToOwned::to_owned)).send().await {
            Ok(response) => response,
            Err(error) if http_status(&error) == 304 => return Ok(ConditionalRead::NotModified),
            Err(error) if error_code(&error) == "NoSuchKey" => return Ok(ConditionalRead::NotFound),
            Err(error) => return Err(unavailable(NOT_READ, &error)),
        };
        let invalid = |why: &str| UnavailableError::new(NOT_READ, format!("{key} {why}"));
        let length = response.content_length.and_then(|length| usize::try_from(length).ok());
        if length.is_none_or(|length| length > MAX_FILE) {
            return Err(invalid("is larger than 1 MiB"));
        }
        let version = response.e_tag.ok_or_else(|| invalid("came without an ETag"))?;
        let bytes = response.body.collect().await.map_err(|error| UnavailableError::new(NOT_READ, error))?.to_vec();
        Ok(ConditionalRead::Modified { version, bytes })
    }

    async fn put_accepted(&self, bytes: &[u8]) -> Result<(), UnavailableError> {
        let put = self.client.put_object().bucket(&self.bucket).key(ACCEPTED_KEY).content_type("application/toml");
        let put = put.body(bytes.to_vec().into()).send().await;
        put.map(drop).map_err(|error| unavailable(NOT_SAVED, &error))
    }
}

impl RuleReader for BucketRules {
    fn name(&self) -> &str {
        KEY
    }

    async fn read(&self, known: Option<&str>) -> Result<ConditionalRead, UnavailableError> {
        within(RULES_TIMEOUT, NOT_READ, self.get(KEY, known)).await
    }

    async fn read_accepted(&self) -> Result<Option<Vec<u8>>, UnavailableError> {
        match within(RULES_TIMEOUT, NOT_READ, self.get(ACCEPTED_KEY, None)).await? {
            ConditionalRead::Modified { bytes, .. } => Ok(Some(bytes)),
            ConditionalRead::NotFound | ConditionalRead::NotModified => Ok(None),
        }
    }

    async fn save_accepted(&self, bytes: &[u8]) -> Result<(), UnavailableError> {
        if self.saves_accepted { within(RULES_TIMEOUT, NOT_SAVED, self.put_accepted(bytes)).await } else { Ok(()) }
    }
}
