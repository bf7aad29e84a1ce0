//! Raw objects in S3.

use std::fmt::Write as _;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use jiff::Timestamp;

use super::{STORING, backoff, code, status, told, within};
use crate::domain::archive::{Metadata, Object, ObjectKey, unpack};
use crate::ingest::ports::{RawStore, Stored, StoredObjects, UnavailableError};

/// How often a write that met another one of the same key is made.
const ATTEMPTS: u32 = 4;
/// Longest value of a piece of metadata, in bytes; S3 takes 2 KB of all of them together.
const LONGEST_VALUE: usize = 256;

const NOT_STORED: &str = "the raw store did not take the object";
const NOT_READ: &str = "the raw store did not give the object back";

/// A client of S3. `path_style` says `host/bucket/key`, which stand-ins for S3 need: their hosts have no name for each
/// bucket.
#[must_use]
pub fn client(config: &aws_config::SdkConfig, path_style: bool) -> Client {
    Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(path_style).build())
}

/// Keeps raw objects in a bucket, each written once: `If-None-Match: *`.
#[derive(Clone, Debug)]
pub struct S3RawStore {
    client: Client,
    bucket: String,
}

impl S3RawStore {
    /// Keeps them in `bucket`.
    #[must_use]
    pub fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }

    async fn put_object(&self, object: Object) -> Result<Stored, UnavailableError> {
        let put = || {
            self.client
                .put_object()
                .bucket(&self.bucket)
                .key(object.key.as_str())
                // Not a content encoding: the object is the compressed file, as its name says and as Athena reads it.
                .content_type("application/zstd")
                .set_metadata(Some(headers(&object.metadata).into_iter().collect()))
        };
        put_new(put, object.bytes.into()).await.map_err(|fault| told(NOT_STORED, &fault))
    }
}

/// Puts an object if there is none of its key.
async fn put_new(
    put: impl Fn() -> PutObjectFluentBuilder,
    bytes: Bytes,
) -> Result<Stored, SdkError<PutObjectError, HttpResponse>> {
    let mut failures = 0;
    loop {
        let put = put().if_none_match("*").body(ByteStream::from(bytes.clone()));
        let Err(fault) = put.send().await else { return Ok(Stored::New) };
        failures += 1;
        match (status(&fault), code(&fault)) {
            // Also after a write of ours whose answer was lost. The content is the same either way.
            (412, _) => return Ok(Stored::Already),
            // Another write of this key is going on. It may fail yet, so this one must be made all the same.
            (409, "ConditionalRequestConflict") if failures < ATTEMPTS => {
                tokio::time::sleep(backoff(failures)).await;
            }
            _ => return Err(fault),
        }
    }
}

#[async_trait]
impl RawStore for S3RawStore {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        within(STORING, NOT_STORED, self.put_object(object)).await
    }
}

#[async_trait]
impl StoredObjects for S3RawStore {
    async fn read(&self, key: &ObjectKey) -> Result<Option<(Option<Timestamp>, String)>, UnavailableError> {
        within(STORING, NOT_READ, async {
            let got = match self.client.get_object().bucket(&self.bucket).key(key.as_str()).send().await {
                Ok(got) => got,
                Err(fault) if status(&fault) == 404 => return Ok(None),
                Err(fault) => return Err(told(NOT_READ, &fault)),
            };
            let received = got.metadata().and_then(|told| told.get("received")?.parse().ok());
            let bytes = got.body.collect().await.map_err(|fault| UnavailableError::new(NOT_READ, fault))?.into_bytes();
            let lines = unpack(&bytes).map_err(|fault| UnavailableError::new(NOT_READ, fault))?;
            Ok(Some((received, lines)))
        })
        .await
    }
}

fn headers(metadata: &Metadata) -> [(String, String); 4] {
    [
        ("received".into(), metadata.received.to_string()),
        ("request-id".into(), header_safe(&metadata.request_id)),
        ("source".into(), header_safe(&metadata.source)),
        ("lines".into(), metadata.lines.to_string()),
    ]
}

/// `text` as a header's value that every proxy and every signature leaves alone: visible ASCII, the rest and `%` itself
/// percent-encoded, cut where it gets too long.
fn header_safe(text: &str) -> String {
    let mut safe = String::new();
    for byte in text.bytes() {
        if safe.len() + 3 > LONGEST_VALUE {
            break;
        }
        if byte.is_ascii_graphic() && byte != b'%' {
            safe.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(safe, "%{byte:02X}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_made_fit_for_a_header() {
        assert_eq!(header_safe("JKJaXmPLvHcESHA="), "JKJaXmPLvHcESHA=");
        assert_eq!(header_safe("2001:db8::1"), "2001:db8::1");
        assert_eq!(header_safe("a b\r\nx-evil: 1%é"), "a%20b%0D%0Ax-evil:%201%25%C3%A9");
        assert_eq!(header_safe(""), "");
    }

    #[test]
    fn long_values_are_cut_between_characters_of_the_encoding() {
        for text in ["é".repeat(9_999), "a".repeat(9_999)] {
            let safe = header_safe(&text);
            assert!((LONGEST_VALUE - 3..=LONGEST_VALUE).contains(&safe.len()));
            assert!(!safe.ends_with('%') && !safe.ends_with("%C") && !safe.ends_with("%A"));
        }
    }
}
