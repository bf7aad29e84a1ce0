//! The use case: a day's objects into Parquet, and gone if that was asked for.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::day::{Day, keys};
use super::file::LakeFile;
use super::generation::Generation;
use super::manifest::{FileEntry, Manifest, Source, generations, newest};
use super::store::{LakeStore, StoredFile};
use crate::ArchiveError;
use domain::archive::{ObjectKey, unpack};

/// Objects that are read at a time: the largest that a push makes, that many times, fit into memory.
const AT_A_TIME: usize = 32;
/// Longer than any compaction of a day takes: a file of a generation that nobody has committed may still be by then.
const UNFINISHED: SignedDuration = SignedDuration::from_hours(24);

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

/// A run over days of a store.
pub struct Compaction<'s> {
    /// Where objects and lake are.
    pub store: &'s dyn LakeStore,
    /// When the run began.
    pub now: Timestamp,
    /// How many days after the manifest that names them objects expire; `None` for never.
    pub expire_after_days: Option<u16>,
    /// How large files are made.
    pub limits: Limits,
    /// Whether to go on. If it says no, what is done so far is committed, and the next run does the rest.
    pub go_on: &'s (dyn Fn() -> bool + Sync),
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Days of which a new generation was committed.
    pub days_compacted: u64,
    /// Objects that became rows, and were not before.
    pub objects: u64,
    /// Rows of those days.
    pub rows: u64,
    /// Files of those days.
    pub files: usize,
    /// Size of those files.
    pub bytes: u64,
    /// Objects that expired.
    pub expired: u64,
    /// What is left for now, and why: objects that cannot be read, days that another compaction made.
    pub left: Vec<String>,
    /// What failed, and why: days that stay as they were, objects that should have expired. The next run tries again.
    pub faults: Vec<String>,
    /// Whether the run was ended before it was done.
    pub is_cut_short: bool,
}

impl Compaction<'_> {
    /// Compacts days, one after the other. `begin` is called before each.
    pub fn days(&self, days: impl IntoIterator<Item = Day>, mut begin: impl FnMut(Day)) -> Compacted {
        let mut done = Compacted::default();
        for day in days {
            if !(self.go_on)() {
                done.is_cut_short = true;
                break;
            }
            begin(day);
            if let Err(error) = self.day(day, &mut done) {
                done.faults.push(format!("{day} stays as it was: {error}"));
            }
        }
        done
    }

    /// Compacts a day if there is anything new, removes what earlier generations have left, and then lets expire what
    /// may. Doing it again, also after it was killed, does what is left.
    ///
    /// # Errors
    /// [`ArchiveError`]. The day is as it was before, or as it should be with something left to remove. A retry helps
    /// unless something is [damaged](ArchiveError::Damaged) or [newer](ArchiveError::Newer).
    pub fn day(&self, day: Day, done: &mut Compacted) -> Result<(), ArchiveError> {
        let keys = keys(self.store, day)?;
        let there: HashSet<&ObjectKey> = keys.iter().collect();
        let manifest = self.compact(day, &keys, &there, done)?;
        self.tidy(day)?;
        let Some(manifest) = manifest else {
            done.left.push(format!("{day} was compacted by another run at the same time. Run it again"));
            return Ok(());
        };
        let skipped = manifest.skipped.iter().filter(|skipped| there.contains(&skipped.key));
        done.left.extend(skipped.map(|skipped| format!("{} stays as it is: {}", skipped.key, skipped.why)));
        let age = self.now.duration_since(manifest.committed);
        match self.expire_after_days {
            Some(days) if age >= SignedDuration::from_hours(24 * i64::from(days)) => {
                self.expire(day, &manifest, &there, done)
            }
            _ => Ok(()),
        }
    }

    /// Makes the next generation if there are objects that the newest manifest does not name, or a file that it names is
    /// gone. The manifest that counts then; `None` if another compaction was faster.
    fn compact(
        &self,
        day: Day,
        keys: &[ObjectKey],
        there: &HashSet<&ObjectKey>,
        done: &mut Compacted,
    ) -> Result<Option<Manifest>, ArchiveError> {
        let before = newest(self.store, day)?.unwrap_or_default();
        let files: HashSet<String> = self.store.files(&day.readings())?.into_iter().map(|file| file.name).collect();
        let is_there = |entry: &FileEntry| files.contains(&entry.path(day));
        let is_kept = |entry: &FileEntry| is_there(entry) && entry.bytes >= self.limits.kept_from;
        let mut known = before.keys();
        // Those that were skipped are tried again with the others.
        let new: Vec<ObjectKey> = keys.iter().filter(|key| !known.contains(key)).cloned().collect();
        known.extend(before.skipped.iter().map(|skipped| &skipped.key));
        if new.iter().all(|key| known.contains(key)) && before.files.iter().all(is_there) {
            return Ok(Some(before));
        }
        let mut next = Generation::after(&before, is_kept, self, day);
        for (index, entry) in before.files.iter().enumerate().filter(|(_, entry)| !is_kept(entry)) {
            self.write_anew(day, entry, before.of_file(index), there, &mut next)?;
        }
        let mut objects = 0;
        for some in new.chunks(AT_A_TIME) {
            if !(self.go_on)() {
                done.is_cut_short = true;
                break;
            }
            for object in self.store.read(some)? {
                match unpack(&object.bytes) {
                    Ok(text) => next.add(&object.key, object.metadata.map(Into::into), &text)?,
                    Err(error) => next.skip(&object.key, &format!("it is no Zstandard frame of text: {error}")),
                }
                objects += 1;
            }
        }
        if objects == 0 && done.is_cut_short {
            return Ok(Some(before));
        }
        let Some(manifest) = next.commit()? else { return Ok(None) };
        done.days_compacted += 1;
        done.objects += objects - manifest.skipped.len() as u64;
        done.rows += manifest.rows;
        done.files += manifest.files.len();
        done.bytes += manifest.files.iter().map(|file| file.bytes).sum::<u64>();
        Ok(Some(manifest))
    }

    /// Writes what is in a file that is not kept: from the objects that are there, else from that file.
    fn write_anew<'m>(
        &self,
        day: Day,
        entry: &FileEntry,
        sources: impl Iterator<Item = &'m Source>,
        there: &HashSet<&ObjectKey>,
        next: &mut Generation<'_>,
    ) -> Result<(), ArchiveError> {
        let (objects, expired): (Vec<&Source>, Vec<&Source>) = sources.partition(|source| there.contains(&source.key));
        // Opened only if something of it is needed: it may be gone.
        let mut file = None;
        let mut copy = |source: &Source, next: &mut Generation<'_>| {
            let file = match &mut file {
                Some(file) => file,
                closed => closed.insert(LakeFile::open(self.store, day, entry)?),
            };
            next.add(&source.key, source.receipt.clone(), &file.text(source)?)
        };
        for source in expired {
            copy(source, next)?;
        }
        for some in objects.chunks(AT_A_TIME) {
            for (source, object) in some.iter().zip(self.store.read(&keys_of(some))?) {
                match unpack(&object.bytes) {
                    Ok(text) if source.is_of(&text) => next.add(&source.key, source.receipt.clone(), &text)?,
                    // The object has been damaged since: what was verified then is what was received.
                    _ => copy(source, next)?,
                }
            }
        }
        Ok(())
    }

    /// Removes the objects of `manifest` that are there still: each if the file has its text now, and it is the object's.
    fn expire(
        &self,
        day: Day,
        manifest: &Manifest,
        there: &HashSet<&ObjectKey>,
        done: &mut Compacted,
    ) -> Result<(), ArchiveError> {
        for (index, entry) in manifest.files.iter().enumerate() {
            let sources: Vec<&Source> = manifest.of_file(index).filter(|source| there.contains(&source.key)).collect();
            if sources.is_empty() {
                continue;
            }
            let mut file = LakeFile::open(self.store, day, entry)?;
            for some in sources.chunks(AT_A_TIME) {
                if !(self.go_on)() {
                    done.is_cut_short = true;
                    return Ok(());
                }
                let mut verified = Vec::with_capacity(some.len());
                for (source, object) in some.iter().zip(self.store.read(&keys_of(some))?) {
                    let is_same = unpack(&object.bytes).is_ok_and(|text| source.is_of(&text));
                    match file.text(source) {
                        Ok(_) if is_same => verified.push(object.key),
                        Ok(_) => done.faults.push(format!(
                            "{} does not expire: it says something else than when it was compacted; its text of then is in {}",
                            object.key,
                            entry.path(day)
                        )),
                        Err(error) => done.faults.push(format!("{} does not expire: {error}", object.key)),
                    }
                }
                done.expired += self.store.expire(&verified)?;
            }
        }
        Ok(())
    }

    /// Removes what the newest manifest does not name: files of its generation and of earlier ones at once, since nobody
    /// can commit them any more; files of later ones when nobody can be at work on them; and manifests of earlier ones.
    /// Files with other names than ours are somebody else's.
    fn tidy(&self, day: Day) -> Result<(), ArchiveError> {
        let folder = day.readings();
        // Listed before the manifest is read: what is committed in between is named by it.
        let files = self.store.files(&folder)?;
        let manifest = newest(self.store, day)?.unwrap_or_default();
        let named: HashSet<String> = manifest.files.iter().map(|entry| entry.path(day)).collect();
        let is_left = |file: &StoredFile| {
            let generation = file.name.strip_prefix(&folder).and_then(generation_of);
            let is_over = self.now.duration_since(file.written) > UNFINISHED;
            !named.contains(&file.name)
                && generation.is_some_and(|generation| generation <= manifest.generation || is_over)
        };
        let mut left: Vec<String> = files.into_iter().filter(is_left).map(|file| file.name).collect();
        let earlier = generations(self.store, day)?.into_iter().filter(|earlier| *earlier < manifest.generation);
        // After the files: if this ends in between, the manifests that are left say that there is something to do.
        left.extend(earlier.map(|generation| Manifest::name(day, generation)));
        if left.is_empty() { Ok(()) } else { self.store.remove(&left) }
    }
}

fn keys_of(sources: &[&Source]) -> Vec<ObjectKey> {
    sources.iter().map(|source| source.key.clone()).collect()
}

/// The generation that a file's name tells: `g000001-0123456789abcdef.parquet`.
fn generation_of(name: &str) -> Option<u64> {
    let (generation, unique) = name.strip_prefix('g')?.strip_suffix(".parquet")?.split_once('-')?;
    let is_ours = unique.len() == 16 && unique.bytes().all(|byte| byte.is_ascii_hexdigit());
    generation.parse().ok().filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_read_from_names_of_ours_alone() {
        assert_eq!(generation_of("g000012-0123456789abcdef.parquet"), Some(12));
        for other in ["g000012.parquet", "mine-0123456789abcdef.parquet", "g1-0123456789abcdef.csv", "g1-notes.parquet"]
        {
            assert_eq!(generation_of(other), None, "{other}");
        }
    }
}
