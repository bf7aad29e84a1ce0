//! A bucket with its lake: `lake/…` beside `raw/…`.

use super::{S3Archive, told};
use history::ArchiveError;
use history::lake::LakeStore;

impl LakeStore for S3Archive {
    fn files(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        self.names(folder)
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        let key = format!("{}{name}", self.prefix);
        let put = self.client.put_object().bucket(&self.bucket).key(&key);
        let put = put.content_type("application/vnd.apache.parquet").body(bytes.into()).send();
        let put = self.runtime.block_on(put);
        put.map(drop).map_err(|error| ArchiveError::not_written(self.called(&key), told(&error)))
    }

    /// In a versioned bucket they are there for those who ask for versions, as long as the bucket's rules say.
    fn remove(&self, names: &[String]) -> Result<(), ArchiveError> {
        for name in names {
            let key = format!("{}{name}", self.prefix);
            let removed = self.runtime.block_on(self.client.delete_object().bucket(&self.bucket).key(&key).send());
            removed.map_err(|error| ArchiveError::not_written(self.called(&key), told(&error)))?;
        }
        Ok(())
    }
}
