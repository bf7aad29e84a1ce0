//! S3: objects that are written once where that is asked for, and a notice of each that is new below `raw`.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::json;

use super::{Answer, Asked, Queue, answer};

/// An object.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) bytes: Bytes,
    metadata: Vec<(String, String)>,
    version: usize,
}

/// Objects by their keys.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    objects: BTreeMap<String, Stored>,
    writes: usize,
}

pub(super) fn refusal(status: u16, code: &str) -> Answer {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>told to</Message></Error>");
    answer(status, "application/xml", text)
}

impl Bucket {
    pub(crate) fn objects(&self) -> &BTreeMap<String, Stored> {
        &self.objects
    }

    pub(super) fn perform(&mut self, asked: &Asked, queue: &mut Queue) -> Answer {
        let key = percent_decode_str(&asked.path).decode_utf8_lossy().into_owned();
        let Some((_, key)) = key.trim_start_matches('/').split_once('/') else { return refusal(404, "NoSuchBucket") };
        match asked.method {
            Method::PUT => self.put(key, asked, queue),
            Method::GET => self.get(key, asked),
            _ => refusal(405, "MethodNotAllowed"),
        }
    }

    fn put(&mut self, key: &str, asked: &Asked, queue: &mut Queue) -> Answer {
        assert!(!asked.header("content-encoding").contains("aws-chunked"), "a body in parts is not understood here");
        if asked.header("if-none-match") == "*" && self.objects.contains_key(key) {
            return refusal(412, "PreconditionFailed");
        }
        self.writes += 1;
        let of_metadata = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            Some((name.as_str().strip_prefix("x-amz-meta-")?.to_owned(), value.to_str().ok()?.to_owned()))
        };
        let metadata = asked.headers.iter().filter_map(of_metadata).collect();
        let stored = Stored { bytes: asked.body.clone(), metadata, version: self.writes };
        let mut told = answer(200, "application/xml", "");
        told.headers_mut().insert("etag", stored.tag());
        self.objects.insert(key.to_owned(), stored);
        if key.starts_with("raw") {
            queue.notice(&notice(key));
        }
        told
    }

    fn get(&self, key: &str, asked: &Asked) -> Answer {
        let Some(stored) = self.objects.get(key) else { return refusal(404, "NoSuchKey") };
        if asked.header("if-none-match") == stored.tag().to_str().unwrap() {
            return answer(304, "application/xml", "");
        }
        let mut told = answer(200, "application/octet-stream", "");
        *told.body_mut() = Full::new(stored.bytes.clone());
        let headers = told.headers_mut();
        headers.insert("etag", stored.tag());
        for (name, value) in &stored.metadata {
            let name: http::HeaderName = format!("x-amz-meta-{name}").parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        told
    }
}

impl Stored {
    fn tag(&self) -> http::HeaderValue {
        format!("\"{:032x}\"", self.version).parse().unwrap()
    }
}

/// What S3 says of a new object; the key is written as a form has it.
fn notice(key: &str) -> String {
    let key = utf8_percent_encode(key, NON_ALPHANUMERIC).to_string().replace("%2F", "/");
    let record = json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": "readings" }, "object": { "key": key, "size": 1 } },
    });
    json!({ "Records": [record] }).to_string()
}
