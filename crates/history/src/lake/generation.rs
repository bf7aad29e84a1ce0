//! A generation in the making: texts become rows, rows files, and files are read back before anything names them.

use std::mem::take;

use bytes::Bytes;
use parquet::errors::ParquetError;

use super::compact::Compaction;
use super::day::Day;
use super::file::LakeFile;
use super::manifest::{FileEntry, Manifest, Receipt, Skipped, Source, VERSION};
use super::row::{Row, batch};
use super::store::Put;
use super::table::TableWriter;
use crate::ArchiveError;
use domain::archive::ObjectKey;
use domain::digest::Digest;

/// A generation that is being written.
pub(super) struct Generation<'s> {
    run: &'s Compaction<'s>,
    day: Day,
    manifest: Manifest,
    /// The file that is being filled, and what is in it.
    open: Option<(TableWriter, Vec<Source>)>,
}

impl<'s> Generation<'s> {
    /// The one after `before`, with those of its files that are kept.
    pub(super) fn after(
        before: &Manifest,
        is_kept: impl Fn(&FileEntry) -> bool,
        run: &'s Compaction<'s>,
        day: Day,
    ) -> Self {
        let mut manifest = Manifest {
            version: VERSION,
            generation: before.generation + 1,
            day: day.to_string(),
            committed: run.now,
            ..Manifest::default()
        };
        for (index, entry) in before.files.iter().enumerate().filter(|(_, entry)| is_kept(entry)) {
            let file = manifest.files.len();
            manifest.sources.extend(before.of_file(index).map(|source| Source { file, ..source.clone() }));
            manifest.files.push(entry.clone());
        }
        Self { run, day, manifest, open: None }
    }

    /// Adds an object's text. One that is not as ours are is skipped.
    pub(super) fn add(&mut self, key: &ObjectKey, receipt: Option<Receipt>, text: &str) -> Result<(), ArchiveError> {
        let Some(batch) = batch(key) else {
            self.skip(key, "its name is not 32 hex digits and .ndjson.zst");
            return Ok(());
        };
        let Some(lines) = text.strip_suffix('\n') else {
            self.skip(key, "its text is not lines, each ended by a line feed");
            return Ok(());
        };
        let received = receipt.as_ref().map(|receipt| receipt.received);
        let (writer, sources) = match &mut self.open {
            Some(open) => open,
            closed => closed.insert((TableWriter::new(self.run.limits.group).map_err(in_memory)?, Vec::new())),
        };
        let row = writer.count();
        for (line, text) in (0..).zip(lines.split('\n')) {
            writer.push(Row::of(text, batch, line, received)).map_err(in_memory)?;
        }
        sources.push(Source {
            key: key.clone(),
            file: self.manifest.files.len(),
            row,
            lines: writer.count() - row,
            sha256: Digest::of(text.as_bytes()),
            receipt,
        });
        if writer.size() >= self.run.limits.file { self.close() } else { Ok(()) }
    }

    /// Names an object that stays as it is.
    pub(super) fn skip(&mut self, key: &ObjectKey, why: &str) {
        self.manifest.skipped.push(Skipped { key: key.clone(), why: why.to_owned() });
    }

    /// Puts the file that is being filled, reads it back, and compares.
    fn close(&mut self) -> Result<(), ArchiveError> {
        let Some((writer, sources)) = take(&mut self.open) else { return Ok(()) };
        let rows = writer.count();
        let bytes = Bytes::from(writer.finish().map_err(in_memory)?);
        let sha256 = Digest::of(&bytes);
        // No other run gives this name: what is left of one that was killed is not taken for this one's.
        let unique = Digest::of_fields(&[sha256.as_bytes(), self.manifest.committed.to_string().as_bytes()]);
        let name = format!("g{:06}-{unique:.16}.parquet", self.manifest.generation);
        let entry = FileEntry { name, rows, bytes: bytes.len() as u64, sha256 };
        self.run.store.put_new(&entry.path(self.day), bytes)?;
        LakeFile::open(self.run.store, self.day, &entry)?.verify(&sources)?;
        self.manifest.files.push(entry);
        self.manifest.sources.extend(sources);
        Ok(())
    }

    /// Puts the manifest. `None` if another compaction was faster with this generation.
    pub(super) fn commit(mut self) -> Result<Option<Manifest>, ArchiveError> {
        self.close()?;
        self.manifest.rows = self.manifest.files.iter().map(|file| file.rows).sum();
        let name = Manifest::name(self.day, self.manifest.generation);
        let json = serde_json::to_vec(&self.manifest).map_err(|error| ArchiveError::damaged(&name, error))?;
        let bytes = Bytes::from(json);
        match self.run.store.put_new(&name, bytes.clone())? {
            Put::New => Ok(Some(self.manifest)),
            // It may be this very one, put by an attempt whose answer was lost.
            Put::Already if self.run.store.get(&name)?.is_some_and(|there| there == bytes) => Ok(Some(self.manifest)),
            Put::Already => Ok(None),
        }
    }
}

fn in_memory(error: ParquetError) -> ArchiveError {
    ArchiveError::damaged("the table in memory", error)
}
