//! History as a whole: objects, and the texts of those that have expired.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::day::{Day, MANIFESTS, days_below};
use super::generation::{is_of, open, path, texts};
use super::manifest::{FileEntry, Manifest, Source, key, newest};
use super::ports::{Fault, LakeFiles};
use super::table::Table;
use crate::{Archive, StoredObject, Unreadable};
use domain::archive::{Metadata, ObjectKey, pack_text};

/// An archive whose expired objects are read from the lake: the same text, and the same that was told about it. Who reads
/// it knows no difference.
pub struct WholeArchive<A> {
    archive: A,
    /// Days of which there are manifests.
    days: HashSet<Day>,
    /// The day that was asked for last: history is read day by day.
    last: Mutex<Option<Arc<Compacted>>>,
    /// The file that was read last, by its name.
    open: Mutex<Option<(String, Arc<Table>)>>,
}

/// A day that was compacted.
struct Compacted {
    day: Day,
    manifest: Manifest,
    /// Where each key is among the sources.
    sources: HashMap<ObjectKey, usize>,
    /// What is there of each folder that was listed.
    there: Mutex<HashMap<String, Arc<HashSet<ObjectKey>>>>,
}

impl<A: LakeFiles> WholeArchive<A> {
    /// `archive`, with what is in its lake.
    ///
    /// # Errors
    /// [`Unreadable`] where the lake cannot be listed.
    pub fn over(archive: A) -> Result<Self, Unreadable> {
        let days = days_below(&archive, MANIFESTS)?.into_iter().collect();
        Ok(Self { archive, days, last: Mutex::default(), open: Mutex::default() })
    }

    /// The day of that folder or object, where it was compacted.
    fn compacted(&self, name: &str) -> Result<Option<Arc<Compacted>>, Unreadable> {
        let day = Day::of(&ObjectKey::known(name)).filter(|day| self.days.contains(day));
        let Some(day) = day else { return Ok(None) };
        let mut last = lock(&self.last);
        if let Some(compacted) = last.as_ref().filter(|compacted| compacted.day == day) {
            return Ok(Some(Arc::clone(compacted)));
        }
        let Some(manifest) = newest(&self.archive, day).map_err(unreadable)? else { return Ok(None) };
        let sources = (0..).zip(&manifest.sources).map(|(index, source)| (key(source), index)).collect();
        let compacted = Arc::new(Compacted { day, manifest, sources, there: Mutex::default() });
        *last = Some(Arc::clone(&compacted));
        Ok(Some(compacted))
    }

    /// The objects that are there in a folder, as it was listed first.
    fn there(&self, compacted: &Compacted, folder: &str) -> Result<Arc<HashSet<ObjectKey>>, Unreadable> {
        if let Some(keys) = lock(&compacted.there).get(folder) {
            return Ok(Arc::clone(keys));
        }
        let keys: Arc<HashSet<ObjectKey>> = Arc::new(self.archive.keys(folder)?.into_iter().collect());
        lock(&compacted.there).insert(folder.to_owned(), Arc::clone(&keys));
        Ok(keys)
    }

    fn table(&self, day: Day, file: &FileEntry) -> Result<Arc<Table>, Unreadable> {
        let name = path(day, file);
        let mut last = lock(&self.open);
        if let Some((_, table)) = last.as_ref().filter(|(open, _)| *open == name) {
            return Ok(Arc::clone(table));
        }
        let table = Arc::new(open(&self.archive, day, file).map_err(unreadable)?);
        *last = Some((name, Arc::clone(&table)));
        Ok(table)
    }

    /// The objects that are there and were received before, with when that was: one that is pushed again after it has
    /// expired is not new.
    fn read_there(&self, compacted: &Compacted, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, Unreadable> {
        let mut objects = self.archive.read(keys)?;
        for object in &mut objects {
            if let Some(source) = compacted.source(&object.key).filter(|source| source.received() < object.received) {
                object.metadata = source.told().or(object.metadata.take());
                object.received = source.received().or(object.received);
            }
        }
        Ok(objects)
    }

    fn read_expired(&self, compacted: &Compacted, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, Unreadable> {
        let Compacted { day, manifest, .. } = compacted;
        let mut objects = Vec::with_capacity(keys.len());
        for (index, file) in manifest.files.iter().enumerate() {
            let sources = keys.iter().filter_map(|key| compacted.source(key));
            let mut sources: Vec<&Source> = sources.filter(|source| source.file == index).collect();
            if sources.is_empty() {
                continue;
            }
            sources.sort_by_key(|source| source.row);
            let name = path(*day, file);
            let table = self.table(*day, file)?;
            let taken = texts(&table, &name, &sources, |source, text| {
                if !is_of(source, &text) {
                    return Err(Fault::damaged(&name, format!("the text of {} is another", source.key)));
                }
                objects.push(StoredObject {
                    key: key(source),
                    received: source.received(),
                    metadata: source.told(),
                    bytes: pack_text(&text),
                });
                Ok(())
            });
            taken.map_err(unreadable)?;
        }
        Ok(objects)
    }
}

impl Compacted {
    fn source(&self, key: &ObjectKey) -> Option<&Source> {
        self.sources.get(key).map(|index| &self.manifest.sources[*index])
    }
}

impl Source {
    fn told(&self) -> Option<Metadata> {
        let told = self.metadata.clone()?;
        let lines = usize::try_from(self.lines).unwrap_or(usize::MAX);
        Some(Metadata { received: told.received, request_id: told.request_id, source: told.source, lines })
    }
}

impl<A: LakeFiles> Archive for WholeArchive<A> {
    fn folders(&self, folder: &str) -> Result<Vec<String>, Unreadable> {
        let mut folders = self.archive.folders(folder)?;
        if folder == "raw/" {
            folders.extend(self.days.iter().map(|day| day.objects()));
        } else if let Some(compacted) = self.compacted(folder)? {
            let below = |key: &ObjectKey| {
                let (name, _) = key.as_str().strip_prefix(folder)?.split_once('/')?;
                Some(format!("{folder}{name}/"))
            };
            folders.extend(compacted.sources.keys().filter_map(below));
        }
        folders.sort_unstable();
        folders.dedup();
        Ok(folders)
    }

    fn keys(&self, folder: &str) -> Result<Vec<ObjectKey>, Unreadable> {
        let Some(compacted) = self.compacted(folder)? else { return self.archive.keys(folder) };
        let mut keys: Vec<ObjectKey> = self.there(&compacted, folder)?.iter().cloned().collect();
        let is_in = |key: &&ObjectKey| key.as_str().strip_prefix(folder).is_some_and(|name| !name.contains('/'));
        keys.extend(compacted.sources.keys().filter(is_in).cloned());
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, Unreadable> {
        let Some(compacted) = keys.first().map_or(Ok(None), |key| self.compacted(key.as_str()))? else {
            return self.archive.read(keys);
        };
        let folders: HashSet<&str> = keys.iter().filter_map(|key| Some(key.as_str().rsplit_once('/')?.0)).collect();
        let mut there = HashSet::new();
        for folder in folders {
            there.extend(self.there(&compacted, &format!("{folder}/"))?.iter().cloned());
        }
        let expired = |key: &&ObjectKey| !there.contains(*key) && compacted.sources.contains_key(*key);
        let (expired, there): (Vec<&ObjectKey>, Vec<&ObjectKey>) = keys.iter().partition(expired);
        let cloned = |keys: Vec<&ObjectKey>| keys.into_iter().cloned().collect::<Vec<_>>();
        let mut objects: HashMap<ObjectKey, StoredObject> = HashMap::new();
        for object in self.read_there(&compacted, &cloned(there))? {
            objects.insert(object.key.clone(), object);
        }
        for object in self.read_expired(&compacted, &cloned(expired))? {
            objects.insert(object.key.clone(), object);
        }
        let object = |key| objects.remove(key).ok_or_else(|| Unreadable::new(key, "it is not there any more"));
        keys.iter().map(object).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unreadable(fault: Fault) -> Unreadable {
    match fault {
        Fault::Unreadable(unreadable) => unreadable,
        Fault::Damaged { what, why } => Unreadable { what, why },
        Fault::NotWritten(super::ports::NotWritten { what, why }) => Unreadable { what, why },
        Fault::Newer { ref what, .. } => Unreadable::new(what, &fault),
    }
}
