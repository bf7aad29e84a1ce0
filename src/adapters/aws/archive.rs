//! A bucket as an archive with a lake, for an operator's machine and for the function that compacts.

use std::io;

use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::runtime::Runtime;

use crate::domain::archive::ObjectKey;
use crate::ingest::ports::chain;
use history::lake::LakeStore;
use history::{Archive, ArchiveError, StoredObject};

/// Objects read at the same time. They are small, so most of the time is latency.
const CONCURRENCY: usize = 64;

/// A bucket, or the part of it below a prefix.
#[derive(Debug)]
pub struct S3Archive {
    runtime: Runtime,
    client: Client,
    bucket: String,
    /// Empty, or ends in `/`.
    prefix: String,
}

impl S3Archive {
    /// Opens `location`: `s3://bucket`, or `s3://bucket/prefix` if `raw/` is not at the bucket's root. Finds region and
    /// credentials as the AWS CLI does: environment, profiles, single sign-on, processes, and instance roles.
    ///
    /// # Errors
    /// [`ArchiveError`] if `location` names no bucket, no region is configured, or the bucket cannot be listed or has no
    /// objects of this program. Its text says what to do.
    pub fn open(location: &str) -> Result<Self, ArchiveError> {
        let unreadable = |why: &str| ArchiveError::not_read(location, why);
        let (bucket, prefix) = parse_location(location).ok_or_else(|| unreadable("write it as s3://bucket/prefix"))?;
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        let archive = Self::from_loader(loader, bucket, prefix);
        let archive = archive.map_err(|error| ArchiveError::not_read(location, error))?;
        // Listed at once, so that an expired login is reported before any work is done.
        const FOLDERS: [&str; 3] = ["raw/", "raw-undated/", "rejected/"];
        if archive.folders("")?.iter().all(|folder| !FOLDERS.contains(&folder.as_str())) {
            return Err(unreadable("there is no `raw/` in it. Name the bucket that the stack's output names"));
        }
        Ok(archive)
    }

    /// Opens the function's own bucket with the function's own credentials.
    ///
    /// # Errors
    /// If no region is configured, or the system provides no threads or no certificates.
    pub fn of_function(bucket: String) -> io::Result<Self> {
        Self::from_loader(super::function_loader(), bucket, String::new())
    }

    fn from_loader(loader: ConfigLoader, bucket: String, prefix: String) -> io::Result<Self> {
        // A runtime of its own: the callers are blocking, and may run on another one.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let config = runtime.block_on(super::bulk_config(loader))?;
        Ok(Self { client: Client::new(&config), runtime, bucket, prefix })
    }

    /// All pages of the listing of `folder`, without its subfolders.
    fn list(&self, folder: &str) -> Result<Vec<ListObjectsV2Output>, ArchiveError> {
        let prefix = format!("{}{folder}", self.prefix);
        let listing =
            self.client.list_objects_v2().bucket(&self.bucket).prefix(&prefix).delimiter("/").into_paginator().send();
        let pages = self.runtime.block_on(listing.collect::<Result<Vec<_>, _>>());
        pages.map_err(|error| self.unreadable(&prefix, &error))
    }

    async fn read_one(&self, key: &ObjectKey) -> Result<StoredObject, ArchiveError> {
        let name = format!("{}{key}", self.prefix);
        let response = self.client.get_object().bucket(&self.bucket).key(&name).send().await;
        let response = response.map_err(|error| self.unreadable(&name, &error))?;
        let received = response.metadata().and_then(|metadata| metadata.get("received")?.parse().ok());
        let bytes = response.body.collect().await.map_err(|error| ArchiveError::not_read(self.url(&name), error))?;
        Ok(StoredObject { key: key.clone(), received, bytes: bytes.to_vec() })
    }

    fn url(&self, name: &str) -> String {
        format!("s3://{}/{name}", self.bucket)
    }

    fn unreadable<E>(&self, name: &str, error: &SdkError<E, HttpResponse>) -> ArchiveError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let advice = match error.code() {
            Some("AccessDenied") => ". The profile needs s3:ListBucket and s3:GetObject there",
            Some("ExpiredToken" | "ExpiredTokenException" | "InvalidAccessKeyId") => ". Log in again: aws sso login",
            Some("NoSuchBucket" | "PermanentRedirect") => ". Are the bucket's name and AWS_REGION right?",
            Some(_) => "",
            None => ". Does `aws s3 ls` work here? AWS_PROFILE and AWS_REGION choose account and region",
        };
        ArchiveError::not_read(self.url(name), format!("{}{advice}", service_message(error)))
    }
}

impl Archive for S3Archive {
    fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let pages = self.list(folder)?;
        let prefixes = pages.iter().flat_map(ListObjectsV2Output::common_prefixes);
        Ok(prefixes.filter_map(|below| below.prefix()?.strip_prefix(&self.prefix).map(str::to_owned)).collect())
    }

    fn files(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let pages = self.list(folder)?;
        let objects = pages.iter().flat_map(ListObjectsV2Output::contents);
        Ok(objects.filter_map(|object| object.key()?.strip_prefix(&self.prefix).map(str::to_owned)).collect())
    }

    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
        let reads: Vec<_> = keys.iter().map(|key| self.read_one(key).boxed()).collect();
        self.runtime.block_on(stream::iter(reads).buffered(CONCURRENCY).try_collect())
    }
}

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

/// The service's message and code, or the causes of a missing response.
fn service_message<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        (Some(code), None) => code.to_owned(),
        (None, _) => chain(error),
    }
}

/// Bucket and prefix of `s3://bucket/prefix`; the prefix is empty or ends in `/`.
fn parse_location(location: &str) -> Option<(String, String)> {
    let rest = location.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    (!bucket.is_empty()).then(|| (bucket.to_owned(), prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_bucket_with_an_optional_prefix() {
        let parsed = |location| parse_location(location).map(|(bucket, prefix)| format!("{bucket} {prefix}"));
        assert_eq!(parsed("s3://readings").as_deref(), Some("readings "));
        assert_eq!(parsed("s3://readings/").as_deref(), Some("readings "));
        assert_eq!(parsed("s3://readings/2024/copy/").as_deref(), Some("readings 2024/copy/"));
        assert_eq!(parsed("s3:///raw"), None);
        assert_eq!(parsed("readings"), None);
    }
}
