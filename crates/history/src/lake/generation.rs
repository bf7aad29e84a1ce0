//! A generation in the making: texts become rows, rows files, and files are read back before anything names them.

use std::mem::take;

use bytes::Bytes;
use jiff::Timestamp;
use parquet::errors::ParquetError;

use super::compact::Limits;
use super::day::Day;
use super::manifest::{FileEntry, Manifest, Skipped, Source, Told, VERSION};
use super::ports::{Fault, LakeFiles, LakeStore, Put};
use super::row::{Row, batch};
use super::table::{Table, TableWriter};
use domain::archive::ObjectKey;
use domain::digest::Digest;

/// A generation that is being written.
pub(super) struct Generation<'s> {
    store: &'s dyn LakeStore,
    day: Day,
    limits: Limits,
    manifest: Manifest,
    /// The file that is being filled, and what is in it.
    open: Option<(TableWriter, Vec<Source>)>,
}

impl<'s> Generation<'s> {
    /// The one after `before`, with those of its files that `is_kept`.
    pub(super) fn after(
        before: Option<&Manifest>,
        is_kept: &[bool],
        store: &'s dyn LakeStore,
        day: Day,
        limits: Limits,
        now: Timestamp,
    ) -> Self {
        let mut manifest = Manifest {
            version: VERSION,
            generation: before.map_or(0, |before| before.generation) + 1,
            day: day.to_string(),
            committed: now,
            rows: 0,
            files: Vec::new(),
            sources: Vec::new(),
            skipped: Vec::new(),
        };
        for (index, file) in before.iter().flat_map(|before| before.files.iter().enumerate()) {
            if is_kept.get(index) == Some(&true) {
                let sources = before.iter().flat_map(|before| before.of_file(index));
                let file_now = manifest.files.len();
                manifest.sources.extend(sources.map(|source| Source { file: file_now, ..source.clone() }));
                manifest.files.push(file.clone());
            }
        }
        Self { store, day, limits, manifest, open: None }
    }

    /// Takes in an object's text. One that is not as ours are is skipped.
    pub(super) fn add(&mut self, key: &ObjectKey, told: Option<Told>, text: &str) -> Result<(), Fault> {
        let Some(batch) = batch(key.as_str()) else {
            self.skip(key, "its name is not 32 hex digits and .ndjson.zst");
            return Ok(());
        };
        let Some(lines) = text.strip_suffix('\n') else {
            self.skip(key, "its text is not lines, each ended by a line feed");
            return Ok(());
        };
        let received = told.as_ref().map(|told| told.received);
        let (writer, sources) = match &mut self.open {
            Some(open) => open,
            closed => closed.insert((TableWriter::new(self.limits.group).map_err(of_the_table)?, Vec::new())),
        };
        let row = writer.count();
        for (line, text) in (0..).zip(lines.split('\n')) {
            writer.push(Row::of(text, batch, line, received)).map_err(of_the_table)?;
        }
        sources.push(Source {
            key: key.to_string(),
            file: self.manifest.files.len(),
            row,
            lines: writer.count() - row,
            sha256: Digest::of(text.as_bytes()),
            metadata: told,
        });
        if writer.size() >= self.limits.file { self.close() } else { Ok(()) }
    }

    /// Names an object that stays as it is.
    pub(super) fn skip(&mut self, key: &ObjectKey, why: &str) {
        self.manifest.skipped.push(Skipped { key: key.to_string(), why: why.to_owned() });
    }

    /// Puts the file that is being filled, reads it back, and compares.
    fn close(&mut self) -> Result<(), Fault> {
        let Some((writer, sources)) = take(&mut self.open) else { return Ok(()) };
        let rows = writer.count();
        let bytes = Bytes::from(writer.finish().map_err(of_the_table)?);
        let sha256 = Digest::of(&bytes);
        // No other run gives this name: what is left of one that was killed is not taken for this one's.
        let unique = Digest::of_fields(&[sha256.as_bytes(), self.manifest.committed.to_string().as_bytes()]);
        let name = format!("g{:06}-{unique:.16}.parquet", self.manifest.generation);
        let file = FileEntry { name, rows, bytes: bytes.len() as u64, sha256 };
        self.store.put_new(&path(self.day, &file), bytes)?;
        compare(&open(self.store, self.day, &file)?, &path(self.day, &file), &sources)?;
        self.manifest.files.push(file);
        self.manifest.sources.extend(sources);
        Ok(())
    }

    /// Puts the manifest. `None` where another compaction was faster with this generation.
    pub(super) fn commit(mut self) -> Result<Option<Manifest>, Fault> {
        self.close()?;
        self.manifest.rows = self.manifest.files.iter().map(|file| file.rows).sum();
        let name = Manifest::name(self.day, self.manifest.generation);
        let bytes = Bytes::from(serde_json::to_vec(&self.manifest).map_err(|fault| Fault::damaged(&name, fault))?);
        match self.store.put_new(&name, bytes.clone())? {
            Put::New => Ok(Some(self.manifest)),
            // It may be this very one, put by an attempt whose answer was lost.
            Put::Already if self.store.get(&name)?.is_some_and(|there| there == bytes) => Ok(Some(self.manifest)),
            Put::Already => Ok(None),
        }
    }
}

/// The whole name of a day's file.
pub(super) fn path(day: Day, file: &FileEntry) -> String {
    format!("{}{}", day.readings(), file.name)
}

/// A file as it is in the store now, its bytes compared with what the manifest says of them.
pub(super) fn open(lake: &dyn LakeFiles, day: Day, file: &FileEntry) -> Result<Table, Fault> {
    let name = path(day, file);
    let bytes = lake.get(&name)?.ok_or_else(|| Fault::damaged(&name, "there is no such file any more"))?;
    if Digest::of(&bytes) != file.sha256 {
        let advice = "its bytes are not those that were written. Bring back an older version of it, or remove it and \
                      compact again where its objects are still there";
        return Err(Fault::damaged(name, advice));
    }
    Table::open(bytes).map_err(|fault| Fault::damaged(name, fault))
}

/// Reads the texts of `sources` again, which are sources of this file in the order of their rows, and gives each to `take`.
/// Groups of rows that hold none of them are not read.
pub(super) fn texts(
    table: &Table,
    name: &str,
    sources: &[&Source],
    mut take_text: impl FnMut(&Source, String) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut sources = sources.iter().peekable();
    let mut text = String::new();
    let mut start = 0;
    for group in 0..table.groups() {
        let end = start + table.count(group);
        if sources.peek().is_some_and(|source| source.row < end) {
            let lines = table.texts(group).map_err(|fault| Fault::damaged(name, fault))?;
            while let Some(source) = sources.peek().filter(|source| source.row < end) {
                let last = source.row + source.lines;
                for row in source.row.max(start)..last.min(end) {
                    let index = usize::try_from(row - start).unwrap_or(usize::MAX);
                    text.push_str(lines.get(index).map_or("", String::as_str));
                    text.push('\n');
                }
                if last > end {
                    break;
                }
                take_text(source, take(&mut text))?;
                sources.next();
            }
        }
        start = end;
    }
    match sources.next() {
        None => Ok(()),
        Some(source) => Err(Fault::damaged(name, format!("it has no rows of {}", source.key))),
    }
}

/// Whether a text is that of the object.
pub(super) fn is_of(source: &Source, text: &str) -> bool {
    Digest::of(text.as_bytes()) == source.sha256
}

/// Compares a file, row for row, with what its objects say: their texts by number of lines and SHA-256, every column with
/// what reading the text again gives.
fn compare(table: &Table, name: &str, sources: &[Source]) -> Result<(), Fault> {
    let differs = |what: &str| Fault::damaged(name, format!("{what} is not what was written. Compact again"));
    let mut expected = sources.iter().flat_map(|source| (0..source.lines).map(move |line| (source, line)));
    let mut text = String::new();
    for group in 0..table.groups() {
        for row in table.rows(group).map_err(|fault| Fault::damaged(name, fault))? {
            let (source, line) = expected.next().ok_or_else(|| differs("a row behind the last"))?;
            let batch = batch(&source.key).unwrap_or_default();
            let line_of_object = i32::try_from(line).unwrap_or(i32::MAX);
            if row != Row::of(&row.raw, batch, line_of_object, source.received()) {
                return Err(differs(&format!("line {line} of {}", source.key)));
            }
            text.push_str(&row.raw);
            text.push('\n');
            if line + 1 == source.lines && !is_of(source, &take(&mut text)) {
                return Err(differs(&source.key));
            }
        }
    }
    match expected.next() {
        None => Ok(()),
        Some((source, line)) => Err(differs(&format!("the end, which lacks line {line} of {},", source.key))),
    }
}

fn of_the_table(fault: ParquetError) -> Fault {
    Fault::damaged("the table in memory", fault)
}
