//! Compactions at the same time, and days that grow.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use smartclean_push::adapters::local::FolderArchive;
use smartclean_push::domain::archive::ObjectKey;
use smartclean_push::history::{Archive, ArchiveError, StoredObject};
use smartclean_push::lake::{Compacted, Compaction, Day, LakeStore, Limits, Put, StoredFile, days};

use super::{DAY, SMALL, count, history, manifest, push, pushed, rows, soap};
use crate::support::paths;

/// A lake in which somebody else compacts everything just before this one commits.
struct Overtaken {
    lake: FolderArchive,
    is_overtaken: AtomicBool,
}

impl Archive for Overtaken {
    fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        self.lake.folders(folder)
    }

    fn keys(&self, folder: &str) -> Result<Vec<ObjectKey>, ArchiveError> {
        self.lake.keys(folder)
    }

    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
        self.lake.read(keys)
    }
}

impl LakeStore for Overtaken {
    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, ArchiveError> {
        self.lake.files(folder)
    }

    fn get(&self, name: &str) -> Result<Option<Bytes>, ArchiveError> {
        self.lake.get(name)
    }

    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put, ArchiveError> {
        if name.starts_with("lake/manifests/") && !self.is_overtaken.swap(true, Ordering::SeqCst) {
            run(&self.lake, SMALL, &|| true);
        }
        self.lake.put_new(name, bytes)
    }

    fn remove(&self, names: &[String]) -> Result<(), ArchiveError> {
        self.lake.remove(names)
    }

    fn expire(&self, keys: &[ObjectKey]) -> Result<u64, ArchiveError> {
        self.lake.expire(keys)
    }
}

fn run(store: &dyn LakeStore, limits: Limits, go_on: &(dyn Fn() -> bool + Sync)) -> Compacted {
    let run = Compaction { store, now: Timestamp::now(), expire_after_days: None, limits, go_on };
    let day: Day = days(store).unwrap().pop().unwrap();
    let mut done = Compacted::default();
    run.day(day, &mut done).unwrap();
    done
}

#[tokio::test]
async fn of_two_compactions_at_the_same_time_one_counts_and_the_other_leaves_nothing() {
    let folder = pushed().await;
    let lake = FolderArchive::open(&folder.path().join("data")).unwrap();
    for generation in [1, 2] {
        let overtaken = Overtaken { lake: lake.clone(), is_overtaken: AtomicBool::new(false) };
        let done = run(&overtaken, SMALL, &|| true);
        assert_eq!(
            (done.days_compacted, &*done.left),
            (0, &[format!("{DAY} was compacted by another run at the same time. Run it again")][..])
        );
        assert_eq!(manifest(folder.path())["generation"], generation);
        assert_eq!(rows(folder.path()), history(folder.path()));
        let named = manifest(folder.path())["files"].as_array().unwrap().len();
        assert_eq!((count(folder.path(), "lake/readings"), count(folder.path(), "lake/manifests")), (named, 1));
        push(folder.path(), "23:00:00", &[soap(12, "08:00:00")]).await;
    }
}

#[tokio::test]
async fn what_was_done_until_the_end_was_asked_for_is_committed_and_the_next_run_does_the_rest() {
    let folder = pushed().await;
    for number in 0..40 {
        push(folder.path(), "11:00:00", &[soap(number, "11:00:00")]).await;
    }
    let lake = FolderArchive::open(&folder.path().join("data")).unwrap();
    assert_eq!(run(&lake, SMALL, &|| false), Compacted { is_cut_short: true, ..Compacted::default() });
    assert_eq!(count(folder.path(), "lake"), 0);
    let asked = AtomicBool::new(false);
    let done = run(&lake, SMALL, &|| !asked.swap(true, Ordering::SeqCst));
    assert_eq!((done.is_cut_short, done.objects), (true, 32));
    assert_eq!(manifest(folder.path())["sources"].as_array().unwrap().len(), 32);
    let done = run(&lake, SMALL, &|| true);
    assert_eq!((done.is_cut_short, done.objects), (false, 11));
    assert_eq!(rows(folder.path()), history(folder.path()));
}

#[tokio::test]
async fn large_files_are_taken_over_and_small_ones_written_anew() {
    let folder = pushed().await;
    let lake = FolderArchive::open(&folder.path().join("data")).unwrap();
    let limits = Limits { kept_from: 0, ..SMALL };
    run(&lake, limits, &|| true);
    let first = paths(&folder.path().join("data/lake/readings"));
    push(folder.path(), "23:00:00", &[soap(12, "08:00:00")]).await;
    run(&lake, limits, &|| true);
    let second = paths(&folder.path().join("data/lake/readings"));
    assert!(first.iter().all(|file| second.contains(file)) && second.len() == first.len() + 1, "{first:?} {second:?}");
    assert_eq!(rows(folder.path()), history(folder.path()));
    push(folder.path(), "23:30:00", &[soap(11, "07:00:00")]).await;
    run(&lake, Limits::default(), &|| true);
    assert_eq!(count(folder.path(), "lake/readings"), 1);
    assert_eq!(rows(folder.path()), history(folder.path()));
}
