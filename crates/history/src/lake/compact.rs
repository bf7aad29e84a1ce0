//! Compaction: copies the objects of an hour into Parquet files.

use std::collections::HashSet;
use std::mem::replace;

use serde::Serialize;

use super::row::Row;
use super::store::LakeStore;
use super::table::TableWriter;
use crate::{ArchiveError, Hour, groups, read_objects};
use domain::archive::{EXTENSION, ObjectKey};
use domain::digest::Digest;

/// Objects in memory at a time: so many of the largest size fit.
const OBJECTS_AT_ONCE: usize = 32;
/// Hex digits of a digest in a file's name.
const DIGITS: usize = 16;
/// The extension of Parquet files.
const PARQUET: &str = ".parquet";

/// Sizes of files, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Text of a row group, which readers skip or read as a whole.
    pub group: usize,
    /// Size of a Parquet file at which it is closed and the next one is begun.
    pub file: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { group: 16 << 20, file: 128 << 20 }
    }
}

/// A compaction of hours.
pub struct Compaction<'s> {
    /// The store that holds the archive and the lake.
    pub store: &'s dyn LakeStore,
    /// Sizes of files.
    pub limits: Limits,
    /// Returns false if the run has to stop. An hour that is cut short has no marker, and the next run writes it again.
    pub go_on: &'s (dyn Fn() -> bool + Sync),
}

/// The result of a compaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Hours that were completed, with their marker.
    pub hours: u64,
    /// Pushes whose lines became rows.
    pub objects: u64,
    /// Rows that were written.
    pub rows: u64,
    /// Files that were written.
    pub files: u64,
    /// Size of these files in bytes.
    pub bytes: u64,
    /// Damaged objects, which are left out, and hours that failed, each with its error.
    pub faults: Vec<String>,
    /// Whether `go_on` stopped the run.
    pub is_cut_short: bool,
}

impl Compaction<'_> {
    /// Compacts hours, one after the other. `begin` is called before each.
    pub fn run<'h>(&self, hours: impl IntoIterator<Item = &'h Hour>, mut begin: impl FnMut(&Hour)) -> Compacted {
        let mut done = Compacted::default();
        for hour in hours {
            if !(self.go_on)() {
                done.is_cut_short = true;
                break;
            }
            begin(hour);
            if let Err(error) = self.compact(hour, &mut done) {
                done.faults.push(format!("{} could not be compacted: {error}. The next run tries again", hour.folder));
            }
        }
        done
    }

    fn compact(&self, hour: &Hour, done: &mut Compacted) -> Result<(), ArchiveError> {
        let folder = hour.start.strftime("lake/readings/dt=%Y-%m-%d/").to_string();
        // Listed before the keys. Objects are never removed, so our keys include every object in the listed files. These files
        // can be removed when ours are complete. Files of a newer run are not listed, so they are never removed here.
        let existing = self.store.files(&folder)?;
        let keys = self.store.keys(&hour.folder)?;
        let names = LakeFileNames::new(folder, hour, &keys);
        let is_complete = existing.contains(&names.marker());
        let outdated: Vec<_> = existing.into_iter().filter(|name| names.is_outdated(name)).collect();
        if !is_complete {
            let faults = done.faults.len();
            self.write(&keys, &names, done)?;
            // If an object was intact when the outdated files were written, they hold the only copy of its lines.
            let must_keep_outdated = done.faults.len() > faults && !outdated.is_empty();
            if done.is_cut_short || must_keep_outdated {
                return Ok(());
            }
            self.store.put(&names.marker(), Vec::new())?;
            done.hours += 1;
        }
        // Markers first: a run that is killed in between leaves no marker without its files.
        let (parts, markers): (Vec<_>, Vec<_>) = outdated.into_iter().partition(|name| name.ends_with(PARQUET));
        self.store.remove(&markers)?;
        self.store.remove(&parts)
    }

    /// Writes the files of an hour. If it stops early, the files written so far stay.
    fn write(&self, keys: &[ObjectKey], names: &LakeFileNames, done: &mut Compacted) -> Result<(), ArchiveError> {
        let mut part = 0;
        let mut file = TableWriter::new(self.limits.group)?;
        let mut written = HashSet::new();
        for chunk in groups(keys, OBJECTS_AT_ONCE) {
            if !(self.go_on)() {
                done.is_cut_short = true;
                return Ok(());
            }
            for object in read_objects(self.store, chunk)? {
                match object.text() {
                    Ok(_) if written.contains(&object.key) => {}
                    Ok(text) => {
                        done.objects += 1;
                        for (line, text) in (0..).zip(text.lines()) {
                            file.push(Row::new(text, batch(&object.key), line, object.received))?;
                        }
                        written.insert(object.key);
                    }
                    Err(damaged) => done.faults.push(damaged.to_string()),
                }
                if file.size() >= self.limits.file {
                    let full = replace(&mut file, TableWriter::new(self.limits.group)?);
                    self.put(&names.part(part), full, done)?;
                    part += 1;
                }
            }
        }
        if file.count() > 0 { self.put(&names.part(part), file, done) } else { Ok(()) }
    }

    fn put(&self, name: &str, file: TableWriter, done: &mut Compacted) -> Result<(), ArchiveError> {
        let rows = file.count();
        let bytes = file.finish()?;
        done.files += 1;
        done.rows += rows;
        done.bytes += bytes.len() as u64;
        self.store.put(name, bytes)
    }
}

/// The id of the batch that an object holds: its name without the folder and the extension.
fn batch(key: &ObjectKey) -> &str {
    let name = key.as_str().rsplit_once('/').map_or(key.as_str(), |(_, name)| name);
    name.strip_suffix(EXTENSION).unwrap_or(name)
}

/// The names of an hour's files for one set of object keys.
struct LakeFileNames {
    /// The folder of the day, `lake/readings/dt=2026-11-23/`.
    folder: String,
    /// The hour, `05`.
    hour: String,
    /// First 16 hex digits of the SHA-256 of the keys.
    digest: String,
}

impl LakeFileNames {
    fn new(folder: String, hour: &Hour, keys: &[ObjectKey]) -> Self {
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_str().as_bytes()).collect();
        let digest = format!("{:.*}", DIGITS, Digest::of_fields(&keys));
        Self { folder, hour: hour.start.strftime("%H").to_string(), digest }
    }

    fn part(&self, number: usize) -> String {
        let Self { folder, hour, digest } = self;
        format!("{folder}{hour}-{digest}-{number:02}{PARQUET}")
    }

    fn marker(&self) -> String {
        let Self { folder, hour, digest } = self;
        format!("{folder}_{hour}-{digest}")
    }

    /// Whether a file is a part or a marker of this hour with another digest. Files with unknown names are not ours.
    fn is_outdated(&self, name: &str) -> bool {
        let Some(name) = name.strip_prefix(&self.folder) else { return false };
        let stem = match (name.strip_prefix('_'), name.strip_suffix(PARQUET)) {
            (Some(marker), None) => marker,
            (None, Some(part)) => part.rsplit_once('-').map_or(part, |(stem, _)| stem),
            _ => return false,
        };
        stem.split_once('-').is_some_and(|(hour, digest)| {
            let is_digest = digest.len() == DIGITS && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_digest && hour == self.hour && digest != self.digest
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Period;

    #[test]
    fn parts_and_markers_of_the_hour_are_outdated_and_no_other_file_is() {
        let hour = Hour {
            start: "2026-11-23T05:00:00Z".parse().unwrap(),
            folder: "raw/dt=2026-11-23/hh=05/".into(),
            period: Period::default(),
        };
        let names = LakeFileNames::new("lake/readings/dt=2026-11-23/".into(), &hour, &[ObjectKey::known("raw/x")]);
        let is_outdated = |name: &str| names.is_outdated(&format!("lake/readings/dt=2026-11-23/{name}"));
        for outdated in ["_05-0123456789abcdef", "05-0123456789abcdef-00.parquet", "05-0123456789abcdef-123.parquet"] {
            assert!(is_outdated(outdated), "{outdated}");
        }
        for other in [
            "_06-0123456789abcdef",
            "06-0123456789abcdef-00.parquet",
            "05-0123456789abcdef-00.csv",
            "05-0123456789abcdef.parquet",
            "_05-0123456789abcdef-00.parquet",
            "05-notes.parquet",
            "_05-notes",
            "notes",
        ] {
            assert!(!is_outdated(other), "{other}");
        }
        assert!(!names.is_outdated(&names.marker()) && !names.is_outdated(&names.part(0)));
        assert!(!names.is_outdated("lake/readings/dt=2026-11-24/_05-0123456789abcdef"));
    }
}
