//! A bucket with its lake: `lake/…` beside `raw/…`.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use bytes::Bytes;
use jiff::Timestamp;

use super::archive::{S3Archive, told};
use super::s3::put_new;
use super::status;
use crate::domain::archive::ObjectKey;
use crate::history::ArchiveError;
use crate::ingest::ports::Stored;
use crate::lake::{LakeStore, Put, StoredFile};

/// Most names that S3 takes at a time.
const REMOVED_AT_ONCE: usize = 1000;

impl S3Archive {
    fn remove_all(&self, names: &[&str]) -> Result<(), ArchiveError> {
        for some in names.chunks(REMOVED_AT_ONCE) {
            self.runtime.block_on(self.remove_some(some))?;
        }
        Ok(())
    }

    async fn remove_some(&self, names: &[&str]) -> Result<(), ArchiveError> {
        let S3Archive { client, bucket, prefix, .. } = self;
        let not_removed = |name: &str, why: String| ArchiveError::not_written(self.called(name), why);
        let first = names.first().copied().unwrap_or_default();
        let object = |name: &&str| ObjectIdentifier::builder().key(format!("{prefix}{name}")).build();
        let objects = names.iter().map(object).collect::<Result<Vec<_>, _>>();
        let delete = objects.and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build());
        let delete = delete.map_err(|fault| not_removed(first, fault.to_string()))?;
        let removed = client.delete_objects().bucket(bucket).delete(delete).send().await;
        let removed = removed.map_err(|fault| not_removed(first, told(&fault)))?;
        match removed.errors().first() {
            None => Ok(()),
            Some(fault) => {
                let why = format!("{} ({})", fault.message().unwrap_or_default(), fault.code().unwrap_or_default());
                Err(not_removed(fault.key().unwrap_or(first), why))
            }
        }
    }
}

impl LakeStore for S3Archive {
    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, ArchiveError> {
        let mut files = Vec::new();
        for found in self.pages(folder)?.iter().flat_map(|page| page.contents()) {
            let (Some(name), Some(written)) = (found.key(), found.last_modified()) else { continue };
            let Some(name) = name.strip_prefix(&self.prefix) else { continue };
            let written =
                Timestamp::from_second(written.secs()).map_err(|fault| ArchiveError::not_read(name, fault))?;
            files.push(StoredFile { name: name.to_owned(), written });
        }
        Ok(files)
    }

    fn get(&self, name: &str) -> Result<Option<Bytes>, ArchiveError> {
        let name = format!("{}{name}", self.prefix);
        self.runtime.block_on(async {
            let got = match self.client.get_object().bucket(&self.bucket).key(&name).send().await {
                Ok(got) => got,
                Err(fault) if status(&fault) == 404 => return Ok(None),
                Err(fault) => return Err(self.unreadable(&name, &fault)),
            };
            let bytes = got.body.collect().await.map_err(|fault| ArchiveError::not_read(self.called(&name), fault))?;
            Ok(Some(bytes.into_bytes()))
        })
    }

    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put, ArchiveError> {
        let name = format!("{}{name}", self.prefix);
        let content = if name.ends_with(".json") { "application/json" } else { "application/vnd.apache.parquet" };
        let put = || self.client.put_object().bucket(&self.bucket).key(&name).content_type(content);
        match self.runtime.block_on(put_new(put, bytes)) {
            Ok(Stored::Already) => Ok(Put::Already),
            Ok(Stored::New | Stored::Parked) => Ok(Put::New),
            Err(fault) => Err(ArchiveError::not_written(self.called(&name), told(&fault))),
        }
    }

    fn remove(&self, names: &[String]) -> Result<(), ArchiveError> {
        self.remove_all(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// In a versioned bucket they are there for those who ask for versions, as long as the bucket's rules say.
    fn expire(&self, keys: &[ObjectKey]) -> Result<u64, ArchiveError> {
        self.remove_all(&keys.iter().map(ObjectKey::as_str).collect::<Vec<_>>())?;
        Ok(keys.len() as u64)
    }
}
