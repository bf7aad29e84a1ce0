//! History as a whole: objects, and the texts of those that were compacted, also once they have expired.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::day::{Day, MANIFESTS, days_below};
use super::file::LakeFile;
use super::manifest::{Manifest, newest};
use super::store::LakeStore;
use crate::{Archive, ArchiveError, StoredObject};
use domain::archive::{ObjectKey, pack_text};

/// An archive whose compacted objects are read from the lake: the same texts, with what was recorded about them. A reader
/// finds objects that have expired like all others.
pub struct WholeArchive {
    store: Box<dyn LakeStore>,
    /// Days that have manifests.
    days: HashSet<Day>,
    /// The day that was read last: history is read day by day.
    last: Mutex<Option<CompactedDay>>,
}

struct CompactedDay {
    day: Day,
    manifest: Manifest,
    /// Where each key is among the sources.
    sources: HashMap<ObjectKey, usize>,
    /// The file that was read last.
    file: Option<(usize, LakeFile)>,
}

impl WholeArchive {
    /// The archive of `store`, with what is in its lake.
    ///
    /// # Errors
    /// [`ArchiveError::NotRead`] if the lake cannot be listed.
    pub fn over(store: Box<dyn LakeStore>) -> Result<Self, ArchiveError> {
        let days = days_below(&*store, MANIFESTS)?.into_iter().collect();
        Ok(Self { store, days, last: Mutex::default() })
    }

    /// What `look` finds in the day of that folder or object; `None` if the day was not compacted.
    fn look<T>(
        &self,
        name: &str,
        look: impl FnOnce(&mut CompactedDay) -> Result<T, ArchiveError>,
    ) -> Result<Option<T>, ArchiveError> {
        let Some(day) = Day::of(name).filter(|day| self.days.contains(day)) else { return Ok(None) };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|last| last.day != day) {
            *last = newest(&*self.store, day)?.map(|manifest| CompactedDay::of(day, manifest));
        }
        last.as_mut().map(look).transpose()
    }

    /// Adds to `names` what `name` makes of the keys of the compacted day that `folder` is in; in order, each once.
    fn with_compacted<T: Ord>(
        &self,
        folder: &str,
        mut names: Vec<T>,
        name: impl Fn(&ObjectKey) -> Option<T>,
    ) -> Result<Vec<T>, ArchiveError> {
        let compacted = self.look(folder, |day| Ok(day.sources.keys().filter_map(name).collect::<Vec<_>>()))?;
        names.extend(compacted.into_iter().flatten());
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

impl CompactedDay {
    fn of(day: Day, manifest: Manifest) -> Self {
        let sources = manifest.sources.iter().enumerate().map(|(index, source)| (source.key.clone(), index)).collect();
        Self { day, manifest, sources, file: None }
    }

    /// An object from its Parquet file.
    fn read(&mut self, store: &dyn LakeStore, key: &ObjectKey) -> Result<StoredObject, ArchiveError> {
        let source = self.sources.get(key).map(|index| &self.manifest.sources[*index]);
        let source = source.ok_or_else(|| ArchiveError::not_read(key, "no manifest names it"))?;
        let file = match &mut self.file {
            Some((index, file)) if *index == source.file => file,
            other => {
                let opened = LakeFile::open(store, self.day, &self.manifest.files[source.file])?;
                &mut other.insert((source.file, opened)).1
            }
        };
        Ok(StoredObject { key: key.clone(), metadata: source.metadata(), bytes: pack_text(&file.text(source)?) })
    }

    /// Objects of this day, in the order of `keys`. One of which the file is damaged is read itself, if it is there.
    fn read_all(&mut self, store: &dyn LakeStore, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
        let (mut compacted, others): (Vec<ObjectKey>, Vec<ObjectKey>) =
            keys.iter().cloned().partition(|key| self.sources.contains_key(key));
        // In the order of their rows.
        compacted.sort_by_key(|key| self.sources[key]);
        let mut read: HashMap<ObjectKey, StoredObject> = HashMap::new();
        let mut take =
            |objects: Vec<StoredObject>| read.extend(objects.into_iter().map(|object| (object.key.clone(), object)));
        take(store.read(&others)?);
        let file = |day: &Self, key: &ObjectKey| day.manifest.sources[day.sources[key]].file;
        let of_files: Vec<_> = compacted.chunk_by(|one, other| file(self, one) == file(self, other)).collect();
        for of_file in of_files {
            let objects = of_file.iter().map(|key| self.read(store, key)).collect::<Result<Vec<_>, _>>();
            take(objects.or_else(|damaged| store.read(of_file).map_err(|_| damaged))?);
        }
        let object = |key| read.remove(key).ok_or_else(|| ArchiveError::not_read(key, "it is not there any more"));
        keys.iter().map(object).collect()
    }
}

impl Archive for WholeArchive {
    fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let mut folders = self.store.folders(folder)?;
        if folder == "raw/" {
            folders.extend(self.days.iter().map(|day| day.objects()));
        }
        self.with_compacted(folder, folders, |key| {
            let (name, _) = key.as_str().strip_prefix(folder)?.split_once('/')?;
            Some(format!("{folder}{name}/"))
        })
    }

    fn keys(&self, folder: &str) -> Result<Vec<ObjectKey>, ArchiveError> {
        self.with_compacted(folder, self.store.keys(folder)?, |key| {
            let is_in = key.as_str().strip_prefix(folder).is_some_and(|name| !name.contains('/'));
            is_in.then(|| key.clone())
        })
    }

    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
        let day = keys.first().map_or("", ObjectKey::as_str);
        let read = self.look(day, |day| day.read_all(&*self.store, keys))?;
        read.map_or_else(|| self.store.read(keys), Ok)
    }
}
