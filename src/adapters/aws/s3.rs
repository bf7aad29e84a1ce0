//! Raw objects in S3.

use std::iter;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf as _, Bytes};
use percent_encoding::percent_encode_byte;

use super::{STORE_TIMEOUT, backoff, error_code, http_status, unavailable, within};
use crate::domain::archive::{Metadata, Object, ObjectKey, unpack};
use crate::domain::buffered::{BUFFERED_EXTENSION, BufferedPush, read_pushes};
use crate::ingest::ports::{RawStore, Stored, StoredObjects, StoredPush, StoredPushes, UnavailableError};

/// Attempts at a write that conflicts with another write of the same key.
const CONFLICT_ATTEMPTS: u32 = 4;
/// Longest metadata value, in bytes; S3 accepts 2 KB for all of them together.
const MAX_VALUE: usize = 256;

const NOT_STORED: &str = "the raw store did not take the object";
const NOT_READ: &str = "the raw store did not return the object";

/// Stores raw objects in a bucket, each written once: `If-None-Match: *`.
#[derive(Clone, Debug)]
pub struct S3RawStore {
    /// The client of S3.
    pub client: Client,
    /// The name of the bucket.
    pub bucket: String,
}

impl S3RawStore {
    async fn put_object(&self, object: Object) -> Result<Stored, UnavailableError> {
        let bytes = Bytes::from(object.bytes);
        let mut failures = 0;
        loop {
            let put = self.client.put_object().bucket(&self.bucket).key(object.key.as_str()).if_none_match("*");
            // Not a content encoding: the object is a compressed file, as its name says and as Athena reads it.
            let put = put.content_type("application/zstd").set_metadata(Some(object_metadata(&object.metadata).into()));
            let Err(error) = put.body(ByteStream::from(bytes.clone())).send().await else { return Ok(Stored::New) };
            failures += 1;
            match (http_status(&error), error_code(&error)) {
                // Also after a write of this process whose response was lost. The content is the same either way.
                (412, _) => return Ok(Stored::Already),
                // A concurrent write of this key, which may still fail: this one has to be made as well.
                (409, "ConditionalRequestConflict") if failures < CONFLICT_ATTEMPTS => {
                    tokio::time::sleep(backoff(failures)).await;
                }
                _ => return Err(unavailable(NOT_STORED, &error)),
            }
        }
    }

    async fn get_object(&self, key: &ObjectKey) -> Result<Option<StoredPushes>, UnavailableError> {
        let response = match self.client.get_object().bucket(&self.bucket).key(key.as_str()).send().await {
            Ok(response) => response,
            Err(error) if http_status(&error) == 404 => return Ok(None),
            Err(error) => return Err(unavailable(NOT_READ, &error)),
        };
        let received = response.metadata().and_then(|metadata| metadata.get("received")?.parse().ok());
        let bytes = response.body.collect().await.map_err(|error| UnavailableError::new(NOT_READ, error))?;
        let bytes = bytes.into_bytes();
        if key.as_str().ends_with(BUFFERED_EXTENSION) {
            return Ok(Some(buffered_pushes(key.clone(), bytes)));
        }
        let lines = unpack(&bytes).map_err(|error| UnavailableError::new(NOT_READ, error))?;
        Ok(Some(Box::new(iter::once(Ok(StoredPush { received, key: key.clone(), lines })))))
    }
}

/// Decodes the pushes of a buffered object one by one.
fn buffered_pushes(object: ObjectKey, bytes: Bytes) -> StoredPushes {
    let mut pushes = read_pushes(bytes.reader());
    Box::new(iter::from_fn(move || {
        let next = pushes.next();
        if next.is_none() && pushes.skipped() > 0 {
            tracing::warn!(key = %object, lines = pushes.skipped(), "lines of a buffered object are no records, skipped");
        }
        let push = |BufferedPush { key, metadata, lines }| StoredPush { received: Some(metadata.received), key, lines };
        next.map(|next| next.map(push).map_err(|error| UnavailableError::new(NOT_READ, error)))
    }))
}

#[async_trait]
impl RawStore for S3RawStore {
    async fn put(&self, object: Object) -> Result<Stored, UnavailableError> {
        within(STORE_TIMEOUT, NOT_STORED, self.put_object(object)).await
    }
}

#[async_trait]
impl StoredObjects for S3RawStore {
    async fn read(&self, key: &ObjectKey) -> Result<Option<StoredPushes>, UnavailableError> {
        within(STORE_TIMEOUT, NOT_READ, self.get_object(key)).await
    }
}

fn object_metadata(metadata: &Metadata) -> [(String, String); 4] {
    [
        ("received".into(), metadata.received.to_string()),
        ("request-id".into(), header_safe(&metadata.request_id)),
        ("source".into(), header_safe(&metadata.source)),
        ("lines".into(), metadata.lines.to_string()),
    ]
}

/// `text` as a header value that no proxy and no signature changes: visible ASCII, everything else and `%` percent-encoded, at
/// most [`MAX_VALUE`] bytes.
fn header_safe(text: &str) -> String {
    let mut safe = String::new();
    for byte in text.bytes() {
        if safe.len() + 3 > MAX_VALUE {
            break;
        }
        if byte.is_ascii_graphic() && byte != b'%' {
            safe.push(char::from(byte));
        } else {
            safe.push_str(percent_encode_byte(byte));
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_bytes_are_percent_encoded() {
        assert_eq!(header_safe("JKJaXmPLvHcESHA="), "JKJaXmPLvHcESHA=");
        assert_eq!(header_safe("2001:db8::1"), "2001:db8::1");
        assert_eq!(header_safe("a b\r\nx-evil: 1%é"), "a%20b%0D%0Ax-evil:%201%25%C3%A9");
        assert_eq!(header_safe(""), "");
    }

    #[test]
    fn long_values_are_cut_between_encoded_bytes() {
        for text in ["é".repeat(9_999), "a".repeat(9_999)] {
            let safe = header_safe(&text);
            assert!((MAX_VALUE - 3..=MAX_VALUE).contains(&safe.len()));
            assert!(!safe.ends_with('%') && !safe.ends_with("%C") && !safe.ends_with("%A"));
        }
    }
}
