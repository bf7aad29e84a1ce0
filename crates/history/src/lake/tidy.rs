//! What earlier generations, and runs that were killed, have left.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::day::Day;
use super::generation::path;
use super::manifest::{Manifest, generations, newest};
use super::ports::{Fault, LakeStore};

/// Longer than any compaction of a day takes: a file of a generation that nobody has committed may still be by then.
const UNFINISHED: SignedDuration = SignedDuration::from_hours(24);

/// Removes what the newest manifest does not name: files of its generation and of earlier ones at once, since nobody can
/// commit them any more; files of later ones when nobody can be at work on them; and manifests of earlier ones. Files
/// with other names than ours are somebody else's.
pub(super) fn tidy(store: &dyn LakeStore, day: Day, now: Timestamp) -> Result<(), Fault> {
    let folder = day.readings();
    // Listed before the manifest is read: what is committed in between is named by it.
    let files = store.files(&folder)?;
    let manifest = newest(store, day)?;
    let committed = manifest.as_ref().map_or(0, |manifest| manifest.generation);
    let named = manifest.iter().flat_map(|manifest| &manifest.files).map(|file| path(day, file));
    let named: HashSet<String> = named.collect();
    let is_left = |file: &super::ports::StoredFile| {
        let generation = file.name.strip_prefix(&folder).and_then(generation);
        let is_over = now.duration_since(file.written) > UNFINISHED;
        !named.contains(&file.name) && generation.is_some_and(|generation| generation <= committed || is_over)
    };
    let mut left: Vec<String> = files.into_iter().filter(is_left).map(|file| file.name).collect();
    let earlier = generations(store, day)?.into_iter().filter(|generation| *generation < committed);
    // After the files: where this ends in between, the manifests that are left say that there is something to do.
    left.extend(earlier.map(|generation| Manifest::name(day, generation)));
    if left.is_empty() { Ok(()) } else { store.remove(&left).map_err(Into::into) }
}

/// The generation that a file's name tells: `g000001-0123456789abcdef.parquet`.
fn generation(name: &str) -> Option<u64> {
    let (generation, unique) = name.strip_prefix('g')?.strip_suffix(".parquet")?.split_once('-')?;
    let is_ours = unique.len() == 16 && unique.bytes().all(|byte| byte.is_ascii_hexdigit());
    generation.parse().ok().filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_read_from_names_of_ours_alone() {
        assert_eq!(generation("g000012-0123456789abcdef.parquet"), Some(12));
        for other in ["g000012.parquet", "mine-0123456789abcdef.parquet", "g1-0123456789abcdef.csv", "g1-notes.parquet"]
        {
            assert_eq!(generation(other), None, "{other}");
        }
    }
}
