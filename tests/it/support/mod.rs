//! Shared test support: readings and pushes, the program with all ports in memory, and the command as a process.

mod archive;
mod command;
mod world;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use serde_json::Value;
use smartclean_push::domain::archive::{Object, unpack};
use smartclean_push::ingest::ports::StoredPush;
pub(crate) use test_support::memory;

pub(crate) use self::archive::MemoryArchive;
pub(crate) use self::command::{
    CommandOutput, Server, StoredDocument, command, documents, eventually, files, paths, run, serve,
};
pub(crate) use self::world::request_info;
pub(crate) use self::world::{TestApp, TestResponse, World, one_client, push_to};
pub(crate) use crate::readings::*;

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The ids of all alerts in a message's facts; none for a notice.
pub(crate) fn alert_ids(facts: &Value) -> Vec<String> {
    if facts["kind"] == "notice" {
        return Vec::new();
    }
    let alone = [facts.clone()];
    let alerts = facts["alerts"].as_array().map_or(&alone[..], Vec::as_slice);
    alerts.iter().map(|alert| alert["id"].as_str().unwrap_or_else(|| panic!("{facts}")).to_owned()).collect()
}

/// The push of an object that is no buffered one.
pub(crate) fn stored_push(object: &Object) -> StoredPush {
    let lines = unpack(&object.bytes).unwrap();
    StoredPush { received: Some(object.metadata.received), key: object.key.clone(), lines }
}

/// The body of a push: an array of strings.
pub(crate) fn body(readings: &[String]) -> Vec<u8> {
    serde_json::to_vec(readings).unwrap()
}

pub(crate) const USERNAME: &str = "smartclean";
pub(crate) const PASSWORD: &str = "s3cret-Pa55";

/// A Basic `Authorization` header.
pub(crate) fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A push request with valid credentials.
pub(crate) fn push_request() -> http::request::Builder {
    Request::post("/push").header("authorization", basic(USERNAME, PASSWORD))
}

/// A command that runs one ignored test of this program as another process: `process(module_path!(), "racer")`.
pub(crate) fn process(module: &str, test: &str) -> Command {
    // Test names do not include the crate.
    let (_, module) = module.split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("{module}::{test}"), "--ignored", "--nocapture"]);
    command
}

/// The DynamoDB of an end-to-end test.
pub(crate) async fn dynamodb() -> smartclean_push::adapters::aws::dynamodb::DynamoStore {
    use smartclean_push::adapters::aws::https::Trust;
    use smartclean_push::adapters::aws::{self, dynamodb};

    // The other settings of the SDK are in the AWS variables.
    let variable = |name| std::env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let config =
        aws::config(Trust::Machine).await.unwrap().into_builder().endpoint_url(variable("STATE_TEST_ENDPOINT")).build();
    dynamodb::DynamoStore::new(dynamodb::client(&config), variable("STATE_TEST_TABLE"))
}

/// Decodes printable ASCII with the escapes `\\`, `\"` and `\xAB`; `None` for other text.
pub(crate) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.bytes();
    let mut bytes = Vec::new();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                escaped @ (b'\\' | b'"') => escaped,
                _ => return None,
            },
            b' '..=b'~' => byte,
            _ => return None,
        });
    }
    Some(bytes)
}
