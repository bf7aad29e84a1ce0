//! A bucket as an archive, where nobody waits for an answer: on an operator's machine, and in the function that compacts.

mod lake;

use std::io;

use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::runtime::Runtime;

use super::s3;
use crate::domain::archive::{EXTENSION, ObjectKey};
use history::{Archive, ArchiveError, StoredObject};

/// Objects that are read at a time: what is read is small, so that most of the time is waiting.
const AT_ONCE: usize = 64;

/// A bucket, or what is below a prefix in it.
#[derive(Debug)]
pub struct S3Archive {
    pub(super) runtime: Runtime,
    pub(super) client: Client,
    pub(super) bucket: String,
    /// Empty, or ends in `/`.
    pub(super) prefix: String,
}

impl S3Archive {
    /// Opens `place`: `s3://bucket`, or `s3://bucket/prefix` if `raw/` is not at the bucket's root. Region and credentials are
    /// found as AWS's own command line finds them: environment, profiles, single sign-on, processes, and the roles of
    /// machines. `path_style` as for [`s3::client`].
    ///
    /// # Errors
    /// [`ArchiveError::NotRead`] if `place` names no bucket, no region is configured, or the bucket cannot be listed; the
    /// error says what to do.
    pub fn open(place: &str, path_style: bool) -> Result<Self, ArchiveError> {
        let unreadable = |why: &str| ArchiveError::not_read(place, why);
        let (bucket, prefix) = parts(place).ok_or_else(|| unreadable("a bucket is named s3://bucket/prefix"))?;
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        let archive =
            Self::of(loader, bucket, prefix, path_style).map_err(|fault| ArchiveError::not_read(place, fault))?;
        // At once, so that a login that has run out is said before anything is counted.
        const PARTS: [&str; 3] = ["raw/", "raw-undated/", "rejected/"];
        if archive.folders("")?.iter().all(|folder| !PARTS.contains(&folder.as_str())) {
            return Err(unreadable("there is no `raw/` in it. Name the bucket that the stack's output names"));
        }
        Ok(archive)
    }

    /// Opens the function's own bucket, by the function's own credentials. `path_style` as for [`s3::client`].
    ///
    /// # Errors
    /// If no region is configured, or the system gives no threads or no certificates.
    pub fn of_function(bucket: String, path_style: bool) -> io::Result<Self> {
        Self::of(super::of_function(), bucket, String::new(), path_style)
    }

    fn of(loader: ConfigLoader, bucket: String, prefix: String, path_style: bool) -> io::Result<Self> {
        // What requests run on, beside whatever the caller runs on.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let config = runtime.block_on(super::patient(loader))?;
        Ok(Self { client: s3::client(&config, path_style), runtime, bucket, prefix })
    }

    /// Every page of what is directly in `folder`.
    fn pages(&self, folder: &str) -> Result<Vec<ListObjectsV2Output>, ArchiveError> {
        let prefix = format!("{}{folder}", self.prefix);
        let listing =
            self.client.list_objects_v2().bucket(&self.bucket).prefix(&prefix).delimiter("/").into_paginator().send();
        let pages = self.runtime.block_on(listing.collect::<Result<Vec<_>, _>>());
        pages.map_err(|fault| self.unreadable(&prefix, &fault))
    }

    /// The names of the objects directly in `folder`, in order.
    pub(super) fn names(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let pages = self.pages(folder)?;
        let found = pages.iter().flat_map(ListObjectsV2Output::contents);
        Ok(found.filter_map(|found| found.key()?.strip_prefix(&self.prefix).map(str::to_owned)).collect())
    }

    async fn read_one(&self, key: &ObjectKey) -> Result<StoredObject, ArchiveError> {
        let name = format!("{}{key}", self.prefix);
        let got = self.client.get_object().bucket(&self.bucket).key(&name).send().await;
        let got = got.map_err(|fault| self.unreadable(&name, &fault))?;
        let received = got.metadata().and_then(|headers| headers.get("received")?.parse().ok());
        let bytes = got.body.collect().await.map_err(|fault| ArchiveError::not_read(self.called(&name), fault))?;
        Ok(StoredObject { key: key.clone(), received, bytes: bytes.to_vec() })
    }

    pub(super) fn called(&self, name: &str) -> String {
        format!("s3://{}/{name}", self.bucket)
    }

    fn unreadable<E, R>(&self, name: &str, fault: &SdkError<E, R>) -> ArchiveError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        let advice = match fault.code() {
            Some("AccessDenied") => ". The profile needs s3:ListBucket and s3:GetObject there",
            Some("ExpiredToken" | "ExpiredTokenException" | "InvalidAccessKeyId") => ". Log in again: aws sso login",
            Some("NoSuchBucket" | "PermanentRedirect") => ". Are the bucket's name and AWS_REGION right?",
            Some(_) => "",
            None => ". Does `aws s3 ls` work here? AWS_PROFILE and AWS_REGION choose account and region",
        };
        ArchiveError::not_read(self.called(name), format!("{}{advice}", told(fault)))
    }
}

impl Archive for S3Archive {
    fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let pages = self.pages(folder)?;
        let prefixes = pages.iter().flat_map(ListObjectsV2Output::common_prefixes);
        let below = prefixes.filter_map(|found| found.prefix()?.strip_prefix(&self.prefix).map(str::to_owned));
        Ok(below.collect())
    }

    fn keys(&self, folder: &str) -> Result<Vec<ObjectKey>, ArchiveError> {
        let names = self.names(folder)?.into_iter().filter(|name| name.ends_with(EXTENSION));
        Ok(names.map(|name| ObjectKey::known(&name)).collect())
    }

    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
        let reads: Vec<_> = keys.iter().map(|key| self.read_one(key).boxed()).collect();
        self.runtime.block_on(stream::iter(reads).buffered(AT_ONCE).try_collect())
    }
}

/// What the service said, else everything that went wrong on the way to it.
pub(super) fn told<E, R>(fault: &SdkError<E, R>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    match (fault.code(), fault.message()) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        (Some(code), None) => code.to_owned(),
        (None, _) => DisplayErrorContext(fault).to_string(),
    }
}

/// Bucket and prefix of `s3://bucket/prefix`; the prefix is empty or ends in `/`.
fn parts(place: &str) -> Option<(String, String)> {
    let rest = place.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    (!bucket.is_empty()).then(|| (bucket.to_owned(), prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_maybe_a_prefix() {
        let told = |place| parts(place).map(|(bucket, prefix)| format!("{bucket} {prefix}"));
        assert_eq!(told("s3://readings").as_deref(), Some("readings "));
        assert_eq!(told("s3://readings/").as_deref(), Some("readings "));
        assert_eq!(told("s3://readings/2024/copy/").as_deref(), Some("readings 2024/copy/"));
        assert_eq!(told("s3:///raw"), None);
        assert_eq!(told("readings"), None);
    }
}
