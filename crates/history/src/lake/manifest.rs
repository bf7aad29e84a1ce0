//! What a generation of a day consists of: JSON, of [`VERSION`].

use std::collections::HashSet;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::day::Day;
use super::store::LakeStore;
use crate::ArchiveError;
use domain::archive::{Metadata, ObjectKey};
use domain::digest::Digest;

/// The format that this program writes. It reads older ones, and refuses newer ones.
pub(super) const VERSION: u64 = 1;

/// A generation of a day. The default is what a day has that was never compacted: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format, 1.
    pub version: u64,
    /// Which generation of the day it is, from 1.
    pub generation: u64,
    /// The day.
    pub day: String,
    /// When it was committed, a little before it was put.
    pub committed: Timestamp,
    /// Rows in all files.
    pub rows: u64,
    /// The files, some of them taken over from earlier generations.
    pub files: Vec<FileEntry>,
    /// The objects whose lines are rows of the files.
    pub sources: Vec<Source>,
    /// Objects that are there and cannot be read. They stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// A Parquet file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in the day's folder.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

/// An object, and where its lines are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its key.
    pub key: ObjectKey,
    /// The file that has all of its lines, by its place in [`Manifest::files`], from 0.
    pub file: usize,
    /// The row of its first line, from 0; the others follow.
    pub row: u64,
    /// How many lines it has, one at least.
    pub lines: u64,
    /// SHA-256 of its text, unpacked: all lines, each with its line feed.
    pub sha256: Digest,
    /// What was recorded about it, if anything was.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// What was recorded about an object when it was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// When it was first received.
    pub received: Timestamp,
    /// The id of the request that brought it.
    pub request_id: String,
    /// The address it came from.
    pub source: String,
}

/// An object that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its key.
    pub key: ObjectKey,
    /// Why.
    pub why: String,
}

impl FileEntry {
    /// Its whole name.
    pub(super) fn path(&self, day: Day) -> String {
        format!("{}{}", day.readings(), self.name)
    }
}

impl Source {
    pub(super) fn received(&self) -> Option<Timestamp> {
        self.receipt.as_ref().map(|receipt| receipt.received)
    }

    /// Whether a text is that of the object.
    pub(super) fn is_of(&self, text: &str) -> bool {
        Digest::of(text.as_bytes()) == self.sha256
    }

    pub(super) fn metadata(&self) -> Option<Metadata> {
        let Receipt { received, request_id, source } = self.receipt.clone()?;
        let lines = usize::try_from(self.lines).unwrap_or(usize::MAX);
        Some(Metadata { received, request_id, source, lines })
    }
}

impl From<Metadata> for Receipt {
    fn from(Metadata { received, request_id, source, .. }: Metadata) -> Self {
        Self { received, request_id, source }
    }
}

impl Manifest {
    /// Where the manifest of a generation is.
    pub(super) fn name(day: Day, generation: u64) -> String {
        format!("{}{generation:06}.json", day.manifests())
    }

    /// The sources of a file.
    pub(super) fn of_file(&self, file: usize) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(move |source| source.file == file)
    }

    /// The keys of the sources.
    pub(super) fn keys(&self) -> HashSet<&ObjectKey> {
        self.sources.iter().map(|source| &source.key).collect()
    }

    fn read(name: &str, bytes: &Bytes) -> Result<Self, ArchiveError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let damaged = |error: serde_json::Error| {
            ArchiveError::damaged(name, format!("{error}. Bring back an older version of it"))
        };
        let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version > VERSION {
            return Err(ArchiveError::Newer { what: name.to_owned(), version });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        if let Some(source) = manifest.sources.iter().find(|source| source.file >= manifest.files.len()) {
            return Err(ArchiveError::damaged(name, format!("{} is in a file that it does not name", source.key)));
        }
        Ok(manifest)
    }
}

/// The generations of a day of which there are manifests, in order.
pub(super) fn generations(store: &dyn LakeStore, day: Day) -> Result<Vec<u64>, ArchiveError> {
    let folder = day.manifests();
    let files = store.files(&folder)?;
    let number = |name: &str| name.strip_prefix(&folder)?.strip_suffix(".json")?.parse().ok();
    let mut generations: Vec<u64> = files.iter().filter_map(|file| number(&file.name)).collect();
    generations.sort_unstable();
    Ok(generations)
}

/// The day's newest manifest; `None` if it was never compacted.
pub(super) fn newest(store: &dyn LakeStore, day: Day) -> Result<Option<Manifest>, ArchiveError> {
    loop {
        let Some(generation) = generations(store, day)?.pop() else { return Ok(None) };
        let name = Manifest::name(day, generation);
        // None if a newer one has taken its place since the folder was listed.
        if let Some(bytes) = store.get(&name)? {
            return Manifest::read(&name, &bytes).map(Some);
        }
    }
}
