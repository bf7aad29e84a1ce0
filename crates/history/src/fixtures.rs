//! An archive in memory.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::{Archive, ArchiveError, StoredObject};
use domain::archive::{EXTENSION, Metadata, Object, ObjectKey};
use domain::buffered::{BUFFERED_EXTENSION, to_record};

/// The push of one reading that was received at a time of the day. `name` is its key without the extension.
pub(crate) fn push(name: &str, received: &str) -> Object {
    push_of(&format!("{{\"DEVID\":\"{name}\"}}"), name, received)
}

/// The same with the text of the reading.
pub(crate) fn push_of(text: &str, name: &str, received: &str) -> Object {
    let received = format!("2026-11-23T{received}:00Z").parse().unwrap();
    let text = format!("{text}\n");
    Object {
        key: ObjectKey::known(&format!("{name}{EXTENSION}")),
        bytes: zstd::bulk::compress(text.as_bytes(), 3).unwrap(),
        metadata: Metadata { received, request_id: "r".into(), source: "s".into(), lines: 1 },
    }
}

/// The bytes of a buffered object.
pub(crate) fn buffered(pushes: &[&Object]) -> Vec<u8> {
    gzip(&pushes.iter().flat_map(|push| to_record(push).unwrap()).collect::<Vec<_>>())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Files, by name: when they were received, and their bytes.
#[derive(Default)]
pub(crate) struct Files(BTreeMap<String, (Option<Timestamp>, Vec<u8>)>);

impl Files {
    pub(crate) fn with(mut self, Object { key, bytes, metadata }: &Object) -> Self {
        self.0.insert(key.to_string(), (Some(metadata.received), bytes.clone()));
        self
    }

    pub(crate) fn with_buffered(self, name: &str, pushes: &[&Object]) -> Self {
        self.with_file(&format!("{name}{BUFFERED_EXTENSION}"), &buffered(pushes))
    }

    pub(crate) fn with_file(mut self, name: &str, bytes: &[u8]) -> Self {
        self.0.insert(name.to_owned(), (None, bytes.to_owned()));
        self
    }
}

impl Archive for Files {
    fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let below = self.0.keys().filter_map(|name| name.strip_prefix(folder)?.split_once('/'));
        let mut below: Vec<_> = below.map(|(name, _)| format!("{folder}{name}/")).collect();
        below.dedup();
        Ok(below)
    }

    fn files(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let is_in = |name: &&String| name.strip_prefix(folder).is_some_and(|rest| !rest.contains('/'));
        Ok(self.0.keys().filter(is_in).cloned().collect())
    }

    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
        let read = |key: &ObjectKey| {
            let (received, bytes) = self.0[key.as_str()].clone();
            StoredObject { key: key.clone(), received, bytes }
        };
        Ok(keys.iter().map(read).collect())
    }
}
