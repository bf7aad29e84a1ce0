//! The use case: a day's objects into Parquet, and gone where that was asked for.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::day::{Day, keys};
use super::expire;
use super::generation::{Generation, is_of, open, path, texts};
use super::manifest::{Manifest, Skipped, Source, key, newest};
use super::ports::{Fault, LakeStore};
use super::tidy::tidy;
use crate::StoredObject;
use domain::archive::{ObjectKey, unpack};

/// Objects that are read at a time: the largest that a push makes, that many times, fit into memory.
pub(super) const AT_A_TIME: usize = 32;

/// How large files are made.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of text that are written as a group of rows, which readers skip or read as a whole.
    pub group: usize,
    /// Bytes at which a file is closed and another begun.
    pub file: usize,
    /// Bytes from which on a file is taken over when its day is opened again, and not written anew.
    pub kept_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { group: 16 << 20, file: 128 << 20, kept_from: 64 << 20 }
    }
}

/// When objects expire whose texts are in Parquet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// That many days after the manifest that names them.
    AfterDays(u16),
}

/// A run over days of a store.
pub struct Compaction<'s> {
    /// Where objects and lake are.
    pub store: &'s dyn LakeStore,
    /// When the run began.
    pub now: Timestamp,
    /// When objects expire.
    pub expiry: Expiry,
    /// How large files are made.
    pub limits: Limits,
    /// Whether to go on. Where it says no, what is done so far is committed, and the next run does the rest.
    pub go_on: &'s (dyn Fn() -> bool + Sync),
}

/// What became of a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Objects that have become rows, and were not before.
    pub objects: u64,
    /// The generation that was committed: its number, rows, files and their bytes.
    pub committed: Option<Committed>,
    /// Objects that are gone.
    pub expired: u64,
    /// Objects that cannot be read, and stay as they are.
    pub skipped: Vec<Skipped>,
    /// What is wrong with objects that should have expired, and stay.
    pub kept_back: Vec<String>,
    /// Whether another compaction of this day was faster.
    pub is_lost: bool,
    /// Whether it was ended before its end.
    pub is_cut_short: bool,
}

/// A generation that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its number.
    pub generation: u64,
    /// Rows of the day.
    pub rows: u64,
    /// Files of the day.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
}

impl Compaction<'_> {
    /// Compacts a day where there is anything new, removes what earlier generations have left, and then lets expire what
    /// may. Doing it again, also after it was killed, does what is left.
    ///
    /// # Errors
    /// [`Fault`]. The day is as it was before, or as it should be with something left to remove. A retry helps unless
    /// something is [damaged](Fault::Damaged) or [newer](Fault::Newer).
    pub fn day(&self, day: Day) -> Result<Done, Fault> {
        let keys = keys(self.store, day)?;
        let before = newest(self.store, day)?;
        let mut done = Done::default();
        let there = if self.has_news(day, &keys, before.as_ref())? {
            self.compact(day, &keys, before, &mut done)?
        } else {
            before
        };
        tidy(self.store, day, self.now)?;
        if let Some(manifest) = there {
            let is_there: HashSet<&str> = keys.iter().map(ObjectKey::as_str).collect();
            done.skipped =
                manifest.skipped.iter().filter(|skipped| is_there.contains(skipped.key.as_str())).cloned().collect();
            if self.may_expire(&manifest) {
                expire::expire(self, day, &manifest, &is_there, &mut done)?;
            }
        }
        Ok(done)
    }

    /// Whether there are objects that the manifest does not name, or a file that it names is gone.
    fn has_news(&self, day: Day, keys: &[ObjectKey], before: Option<&Manifest>) -> Result<bool, Fault> {
        let Some(before) = before else { return Ok(!keys.is_empty()) };
        let known = before.sources.iter().map(|source| source.key.as_str());
        let known: HashSet<&str> = known.chain(before.skipped.iter().map(|skipped| skipped.key.as_str())).collect();
        let is_new = |key: &ObjectKey| !known.contains(key.as_str());
        Ok(keys.iter().any(is_new) || self.files_there(day, before)?.contains(&false))
    }

    fn may_expire(&self, manifest: &Manifest) -> bool {
        let Expiry::AfterDays(days) = self.expiry else { return false };
        self.now.duration_since(manifest.committed) >= SignedDuration::from_hours(24 * i64::from(days))
    }

    /// Makes the next generation. The manifest of the one that counts then; `None` where this was lost to another
    /// compaction.
    fn compact(
        &self,
        day: Day,
        keys: &[ObjectKey],
        before: Option<Manifest>,
        done: &mut Done,
    ) -> Result<Option<Manifest>, Fault> {
        let there = before.as_ref().map_or_else(|| Ok(Vec::new()), |before| self.files_there(day, before))?;
        let files = before.iter().flat_map(|before| &before.files);
        let kept: Vec<bool> =
            files.zip(&there).map(|(file, there)| *there && file.bytes >= self.limits.kept_from).collect();
        let mut next = Generation::after(before.as_ref(), &kept, self.store, day, self.limits, self.now);
        if let Some(before) = &before {
            self.write_anew(day, keys, before, &kept, &mut next)?;
        }
        let known = before.as_ref().map(Manifest::by_key).unwrap_or_default();
        let new: Vec<ObjectKey> = keys.iter().filter(|key| !known.contains_key(key.as_str())).cloned().collect();
        for some in new.chunks(AT_A_TIME) {
            if !(self.go_on)() {
                done.is_cut_short = true;
                break;
            }
            for StoredObject { key, metadata, bytes, .. } in self.store.read(some)? {
                match unpack(&bytes) {
                    Ok(text) => next.add(&key, metadata.map(Into::into), &text)?,
                    Err(fault) => next.skip(&key, &format!("it is no Zstandard frame of text: {fault}")),
                }
                done.objects += 1;
            }
        }
        if done.objects == 0 && (done.is_cut_short || !there.contains(&false)) {
            return Ok(before);
        }
        let tried = std::mem::take(&mut done.objects);
        let Some(manifest) = next.commit()? else {
            done.is_lost = true;
            return Ok(None);
        };
        done.objects = tried - manifest.skipped.len() as u64;
        done.committed = Some(Committed {
            generation: manifest.generation,
            rows: manifest.rows,
            files: manifest.files.len(),
            bytes: manifest.files.iter().map(|file| file.bytes).sum(),
        });
        Ok(Some(manifest))
    }

    /// Writes what is in files that are not kept: from the objects where they are there, else from those files.
    fn write_anew(
        &self,
        day: Day,
        keys: &[ObjectKey],
        before: &Manifest,
        kept: &[bool],
        next: &mut Generation<'_>,
    ) -> Result<(), Fault> {
        let is_there: HashSet<&str> = keys.iter().map(ObjectKey::as_str).collect();
        let known = before.by_key();
        for file in (0..before.files.len()).filter(|file| !kept[*file]) {
            let (objects, expired): (Vec<&Source>, Vec<&Source>) =
                before.of_file(file).into_iter().partition(|source| is_there.contains(source.key.as_str()));
            copy(self.store, day, before, file, &expired, next)?;
            let objects: Vec<ObjectKey> = objects.into_iter().map(key).collect();
            for object in objects.chunks(AT_A_TIME).map(|some| self.store.read(some)) {
                for StoredObject { key, bytes, .. } in object? {
                    let Some(source) = known.get(key.as_str()) else { continue };
                    match unpack(&bytes) {
                        Ok(text) if is_of(source, &text) => next.add(&key, source.metadata.clone(), &text)?,
                        // The object has been damaged since: what was verified then is what was received.
                        _ => copy(self.store, day, before, file, &[source], next)?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Which of a manifest's files are there.
    fn files_there(&self, day: Day, manifest: &Manifest) -> Result<Vec<bool>, Fault> {
        let there = self.store.files(&day.readings())?;
        let there: HashSet<&str> = there.iter().map(|file| file.name.as_str()).collect();
        Ok(manifest.files.iter().map(|file| there.contains(path(day, file).as_str())).collect())
    }
}

/// Takes the texts of `sources` over from a file of the generation before.
fn copy(
    store: &dyn LakeStore,
    day: Day,
    before: &Manifest,
    file: usize,
    sources: &[&Source],
    next: &mut Generation<'_>,
) -> Result<(), Fault> {
    if sources.is_empty() {
        return Ok(());
    }
    let name = path(day, &before.files[file]);
    let table = open(store, day, &before.files[file])?;
    texts(&table, &name, sources, |source, text| {
        if !is_of(source, &text) {
            return Err(Fault::damaged(&name, format!("the text of {} is not the one that was written", source.key)));
        }
        next.add(&key(source), source.metadata.clone(), &text)
    })
}
