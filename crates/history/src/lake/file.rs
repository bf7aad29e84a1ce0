//! A Parquet file of a day, compared with what its manifest says of it.

use super::day::Day;
use super::manifest::{FileEntry, Source};
use super::row::{Row, batch};
use super::store::LakeStore;
use super::table::Table;
use crate::ArchiveError;
use domain::digest::Digest;

/// A file whose bytes are those that were written.
pub(super) struct LakeFile {
    name: String,
    table: Table,
}

impl LakeFile {
    /// Opens a file of `day` as it is in the store now.
    pub(super) fn open(store: &dyn LakeStore, day: Day, entry: &FileEntry) -> Result<Self, ArchiveError> {
        let name = entry.path(day);
        let bytes = store.get(&name)?.ok_or_else(|| ArchiveError::damaged(&name, "there is no such file any more"))?;
        if Digest::of(&bytes) != entry.sha256 {
            let advice = "its bytes are not those that were written. Bring back an older version of it, or remove it and \
                          compact again if its objects are still there";
            return Err(ArchiveError::damaged(name, advice));
        }
        let table = Table::open(bytes).map_err(|error| ArchiveError::damaged(&name, error))?;
        Ok(Self { name, table })
    }

    /// The text of an object, as it was received. Quick for objects in the order of their rows.
    pub(super) fn text(&mut self, source: &Source) -> Result<String, ArchiveError> {
        let text = self.table.text(source.row..source.row + source.lines);
        let text = text.map_err(|error| self.damaged(error))?;
        if source.is_of(&text) {
            return Ok(text);
        }
        Err(self.damaged(format!("the text of {} is not the one that was written", source.key)))
    }

    /// Compares the file, row for row, with what its objects say: their texts by number of lines and SHA-256, every column
    /// with what reading the text again gives.
    pub(super) fn verify(&self, sources: &[Source]) -> Result<(), ArchiveError> {
        let differs = |what: &str| self.damaged(format!("{what} is not what was written. Compact again"));
        let mut expected = sources.iter().flat_map(|source| (0..source.lines).map(move |line| (source, line)));
        let mut text = String::new();
        for row in self.table.rows().map_err(|error| self.damaged(error))? {
            let row = row.map_err(|error| self.damaged(error))?;
            let (source, line) = expected.next().ok_or_else(|| differs("a row behind the last"))?;
            let batch = batch(&source.key).unwrap_or_default();
            let line_of_object = i32::try_from(line).unwrap_or(i32::MAX);
            if row != Row::of(&row.raw, batch, line_of_object, source.received()) {
                return Err(differs(&format!("line {line} of {}", source.key)));
            }
            text.push_str(&row.raw);
            text.push('\n');
            if line + 1 == source.lines && !source.is_of(&std::mem::take(&mut text)) {
                return Err(differs(source.key.as_str()));
            }
        }
        match expected.next() {
            None => Ok(()),
            Some((source, line)) => Err(differs(&format!("the end, which lacks line {line} of {},", source.key))),
        }
    }

    fn damaged(&self, why: impl std::fmt::Display) -> ArchiveError {
        ArchiveError::damaged(&self.name, why)
    }
}
