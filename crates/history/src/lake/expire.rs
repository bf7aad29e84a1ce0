//! Objects go, one proof each: their text was just read from the Parquet file.

use std::collections::{HashMap, HashSet};

use super::compact::{AT_A_TIME, Compaction, Done};
use super::day::Day;
use super::generation::{is_of, open, path, texts};
use super::manifest::{Manifest, Source, key};
use super::ports::Fault;
use crate::StoredObject;
use domain::archive::{ObjectKey, unpack};

/// Removes the objects of `manifest` that are there still, each where the file has its text now, and it is the object's.
pub(super) fn expire(
    run: &Compaction<'_>,
    day: Day,
    manifest: &Manifest,
    is_there: &HashSet<&str>,
    done: &mut Done,
) -> Result<(), Fault> {
    for (index, file) in manifest.files.iter().enumerate() {
        let mut sources = manifest.of_file(index);
        sources.retain(|source| is_there.contains(source.key.as_str()));
        if sources.is_empty() {
            continue;
        }
        if !(run.go_on)() {
            done.is_cut_short = true;
            return Ok(());
        }
        let name = path(day, file);
        let mut proven = Vec::with_capacity(sources.len());
        texts(&open(run.store, day, file)?, &name, &sources, |source, text| {
            if is_of(source, &text) {
                proven.push(key(source));
            } else {
                done.kept_back.push(format!("{} is not in {name} as it was received", source.key));
            }
            Ok(())
        })?;
        let sources: HashMap<&str, &Source> = sources.iter().map(|source| (source.key.as_str(), *source)).collect();
        for some in proven.chunks(AT_A_TIME) {
            if !(run.go_on)() {
                done.is_cut_short = true;
                return Ok(());
            }
            let objects = run.store.read(some)?;
            let (same, other): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| is_same(&sources, object));
            done.kept_back.extend(other.iter().map(|object| {
                format!("{} says something else than when it was compacted; its text of then is in {name}", object.key)
            }));
            let same: Vec<ObjectKey> = same.into_iter().map(|object| object.key).collect();
            done.expired += run.store.expire(&same)?;
        }
    }
    Ok(())
}

/// Whether an object's text is the one that was compacted.
fn is_same(sources: &HashMap<&str, &Source>, object: &StoredObject) -> bool {
    let source = sources.get(object.key.as_str());
    source.is_some_and(|source| unpack(&object.bytes).is_ok_and(|text| is_of(source, &text)))
}
