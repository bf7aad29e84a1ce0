//! The lake in a bucket: `lake/…` beside `raw/…`.

use super::{S3Archive, service_message};
use history::ArchiveError;
use history::lake::LakeStore;

impl LakeStore for S3Archive {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        let key = format!("{}{name}", self.prefix);
        let put = self.client.put_object().bucket(&self.bucket).key(&key);
        let put = put.content_type("application/vnd.apache.parquet").body(bytes.into()).send();
        let put = self.runtime.block_on(put);
        put.map(drop).map_err(|error| ArchiveError::not_written(self.url(&key), service_message(&error)))
    }

    /// In a versioned bucket, the removed versions stay for as long as the bucket's lifecycle rules keep them.
    fn remove(&self, names: &[String]) -> Result<(), ArchiveError> {
        for name in names {
            let key = format!("{}{name}", self.prefix);
            let removed = self.runtime.block_on(self.client.delete_object().bucket(&self.bucket).key(&key).send());
            removed.map_err(|error| ArchiveError::not_written(self.url(&key), service_message(&error)))?;
        }
        Ok(())
    }
}
