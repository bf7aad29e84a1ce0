//! S3: objects with conditional writes, and a notification of each new object below `raw`.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::json;

use super::{AwsRequest, AwsResponse, FakeSqs, response};

/// An object.
#[derive(Clone, Debug)]
pub(crate) struct S3Object {
    pub(crate) bytes: Bytes,
    metadata: Vec<(String, String)>,
    version: usize,
}

/// Objects by their keys.
#[derive(Debug, Default)]
pub(crate) struct FakeS3 {
    objects: BTreeMap<String, S3Object>,
    writes: usize,
}

pub(super) fn refusal(status: u16, code: &str) -> AwsResponse {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>response to</Message></Error>");
    response(status, "application/xml", text)
}

impl FakeS3 {
    pub(crate) fn objects(&self) -> &BTreeMap<String, S3Object> {
        &self.objects
    }

    pub(super) fn perform(&mut self, request: &AwsRequest, queue: &mut FakeSqs) -> AwsResponse {
        let key = percent_decode_str(&request.path).decode_utf8_lossy().into_owned();
        let Some((_, key)) = key.trim_start_matches('/').split_once('/') else { return refusal(404, "NoSuchBucket") };
        match request.method {
            Method::PUT => self.put(key, request, queue),
            Method::GET => self.get(key, request),
            _ => refusal(405, "MethodNotAllowed"),
        }
    }

    fn put(&mut self, key: &str, request: &AwsRequest, queue: &mut FakeSqs) -> AwsResponse {
        assert!(!request.header("content-encoding").contains("aws-chunked"), "chunked bodies are not supported here");
        if request.header("if-none-match") == "*" && self.objects.contains_key(key) {
            return refusal(412, "PreconditionFailed");
        }
        let of_metadata = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            Some((name.as_str().strip_prefix("x-amz-meta-")?.to_owned(), value.to_str().ok()?.to_owned()))
        };
        let metadata = request.headers.iter().filter_map(of_metadata).collect();
        self.create(key, request.body.clone(), metadata);
        if key.starts_with("raw") {
            queue.notify(&notification(key));
        }
        let mut response = response(200, "application/xml", "");
        response.headers_mut().insert("etag", self.objects[key].tag());
        response
    }

    /// Creates or replaces an object.
    pub(super) fn create(&mut self, key: &str, bytes: Bytes, metadata: Vec<(String, String)>) {
        self.writes += 1;
        self.objects.insert(key.to_owned(), S3Object { bytes, metadata, version: self.writes });
    }

    fn get(&self, key: &str, request: &AwsRequest) -> AwsResponse {
        let Some(object) = self.objects.get(key) else { return refusal(404, "NoSuchKey") };
        if request.header("if-none-match") == object.tag().to_str().unwrap() {
            return response(304, "application/xml", "");
        }
        let mut response = response(200, "application/octet-stream", "");
        *response.body_mut() = Full::new(object.bytes.clone());
        let headers = response.headers_mut();
        headers.insert("etag", object.tag());
        for (name, value) in &object.metadata {
            let name: http::HeaderName = format!("x-amz-meta-{name}").parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        response
    }
}

impl S3Object {
    fn tag(&self) -> http::HeaderValue {
        format!("\"{:032x}\"", self.version).parse().unwrap()
    }
}

/// The notification of a new object, with the key form-encoded.
pub(super) fn notification(key: &str) -> String {
    let key = utf8_percent_encode(key, NON_ALPHANUMERIC).to_string().replace("%2F", "/");
    let record = json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": "readings" }, "object": { "key": key, "size": 1 } },
    });
    json!({ "Records": [record] }).to_string()
}
