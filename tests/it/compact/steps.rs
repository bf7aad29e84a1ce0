//! Compactions that are killed, overtaken by another run or cut short at any step. At every step each reading is in a
//! file that queries read, and the next run completes the work.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use history::lake::{Compacted, Compaction, LakeStore, Limits};
use history::{Archive, ArchiveError, Period, StoredObject, hours};
use smartclean_push::adapters::local::FolderArchive;
use smartclean_push::domain::archive::ObjectKey;
use tokio::runtime::Runtime;

use super::{Lines, files_of_hour, folder_with_pushes, history, lake, push, query, soap};

/// Limits so small that each object gets its own file.
const SMALL: Limits = Limits { group: 300, file: 1 };
/// Minimum number of steps of a run. With fewer steps the tests would not cover every kind of step.
const FEWEST_STEPS: usize = 12;

/// A lake that calls `before` ahead of each step.
struct Watched<F> {
    lake: FolderArchive,
    /// Number of steps so far.
    steps: AtomicUsize,
    /// Number of objects read.
    objects: AtomicUsize,
    /// Called before each step with the number of the step.
    before: F,
}

impl<F: Fn(usize)> Watched<F> {
    fn new(folder: &Path, before: F) -> Self {
        Self { lake: open(folder), steps: AtomicUsize::new(0), objects: AtomicUsize::new(0), before }
    }

    fn step(&self) {
        (self.before)(self.steps.fetch_add(1, Ordering::SeqCst));
    }
}

impl<F: Fn(usize) + Send + Sync> Archive for Watched<F> {
    fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        self.lake.folders(folder)
    }

    fn files(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        self.step();
        self.lake.files(folder)
    }

    fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
        self.step();
        self.objects.fetch_add(keys.len(), Ordering::SeqCst);
        self.lake.read(keys)
    }
}

impl<F: Fn(usize) + Send + Sync> LakeStore for Watched<F> {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        self.step();
        self.lake.put(name, bytes)
    }

    fn remove(&self, names: &[String]) -> Result<(), ArchiveError> {
        names.iter().try_for_each(|name| {
            self.step();
            self.lake.remove(std::slice::from_ref(name))
        })
    }
}

fn open(folder: &Path) -> FolderArchive {
    FolderArchive::open(&folder.join("data")).unwrap()
}

fn run(store: &dyn LakeStore, go_on: &(dyn Fn() -> bool + Sync)) -> Compacted {
    let hours = hours(store, "raw/", &Period::default()).unwrap();
    let done = Compaction { store, limits: SMALL, go_on }.run(&hours, |_| ());
    assert!(done.faults.is_empty(), "{done:?}");
    done
}

/// Creates a folder whose hours are compacted before a late push. Returns it with the compacted lines.
async fn with_late_push() -> (tempfile::TempDir, Lines) {
    let folder = folder_with_pushes().await;
    run(&open(folder.path()), &|| true);
    let compacted = history(folder.path());
    push(folder.path(), "12:01:00", &[soap(38, "09:20:00"), soap(36, "09:40:00")]).await;
    (folder, compacted)
}

#[track_caller]
fn assert_has(folder: &Path, expected: &Lines, when: &str) {
    let (rows, _) = query(folder);
    let missing: Vec<_> = expected.iter().filter(|(location, text)| rows.get(location) != Some(text)).collect();
    assert!(missing.is_empty(), "{when}: {missing:?} of {:?}", lake(folder));
}

#[track_caller]
fn assert_markers_have_files(folder: &Path, when: &str) {
    let names = lake(folder);
    for marker in names.iter().filter_map(|name| name.strip_prefix('_')) {
        assert!(names.contains(&format!("{marker}-00.parquet")), "{when}: {marker} of {names:?}");
    }
}

#[track_caller]
fn assert_complete(folder: &Path, when: &str) {
    run(&open(folder), &|| true);
    assert_eq!(query(folder), (history(folder), 0), "{when}: {:?}", lake(folder));
    let parts = files_of_hour(folder, "09").into_iter().filter(|name| name.ends_with(".parquet")).count();
    assert_eq!(files_of_hour(folder, "09").len(), parts + 1, "{when}: one marker in {:?}", lake(folder));
}

#[test]
fn a_run_killed_at_any_step_loses_no_reading_and_the_next_run_completes_it() {
    let runtime = Runtime::new().unwrap();
    for step in 0.. {
        let (folder, compacted) = runtime.block_on(with_late_push());
        let killed = Watched::new(folder.path(), |at| {
            if at == step {
                resume_unwind(Box::new("killed"));
            }
        });
        let ended = catch_unwind(AssertUnwindSafe(|| run(&killed, &|| true))).is_ok();
        assert_has(folder.path(), &compacted, &format!("killed at step {step}"));
        assert_markers_have_files(folder.path(), &format!("killed at step {step}"));
        assert_complete(folder.path(), &format!("killed at step {step}"));
        if ended {
            assert!(step >= FEWEST_STEPS, "{step}");
            break;
        }
    }
}

#[test]
fn a_run_overtaken_at_any_step_removes_no_file_of_the_newer_run() {
    let runtime = Runtime::new().unwrap();
    for step in 0.. {
        let (folder, _) = runtime.block_on(with_late_push());
        let overtaken = Watched::new(folder.path(), |at| {
            if at == step {
                runtime.block_on(push(folder.path(), "12:30:00", &[soap(34, "09:50:00")]));
                run(&open(folder.path()), &|| true);
            }
        });
        run(&overtaken, &|| true);
        if overtaken.steps.into_inner() <= step {
            assert!(step >= FEWEST_STEPS, "{step}");
            break;
        }
        assert_has(folder.path(), &history(folder.path()), &format!("overtaken at step {step}"));
        assert_complete(folder.path(), &format!("overtaken at step {step}"));
    }
}

#[tokio::test]
async fn a_second_run_reads_no_object_and_a_late_push_causes_only_its_hour_to_be_read() {
    let folder = folder_with_pushes().await;
    let objects = || {
        let watched = Watched::new(folder.path(), |_| ());
        run(&watched, &|| true);
        watched.objects.into_inner()
    };
    assert_eq!((objects(), objects()), (3, 0));
    push(folder.path(), "23:00:00", &[soap(12, "10:10:00")]).await;
    assert_eq!((objects(), objects()), (2, 0));
}

#[tokio::test]
async fn a_large_hour_is_split_into_several_files() {
    let folder = folder_with_pushes().await;
    run(&open(folder.path()), &|| true);
    let parts =
        files_of_hour(folder.path(), "09").into_iter().filter_map(|name| Some(name.split_once('-')?.1.to_owned()));
    let numbers: Vec<_> = parts.filter_map(|name| Some(name.rsplit_once('-')?.1.to_owned())).collect();
    assert_eq!(numbers, ["00.parquet", "01.parquet"]);
    assert_eq!(query(folder.path()), (history(folder.path()), 0));
}

#[tokio::test]
async fn an_hour_that_is_cut_short_has_no_marker_and_is_completed_by_the_next_run() {
    let folder = folder_with_pushes().await;
    for number in 0..40 {
        push(folder.path(), "11:00:00", &[soap(number, "11:00:00")]).await;
    }
    let store = open(folder.path());
    assert_eq!(run(&store, &|| false), Compacted { is_cut_short: true, ..Compacted::default() });
    assert!(lake(folder.path()).is_empty());
    // The callback runs before the hours 09 and 10 and their objects, and before the hour 11 and its first 32 objects.
    let calls = AtomicUsize::new(0);
    let done = run(&store, &|| calls.fetch_add(1, Ordering::SeqCst) < 6);
    assert_eq!((done.is_cut_short, done.hours, done.objects), (true, 2, 35));
    let markers = || lake(folder.path()).iter().filter(|name| name.starts_with('_')).count();
    assert_eq!((markers(), files_of_hour(folder.path(), "11").len()), (2, 32));
    let done = run(&store, &|| true);
    assert_eq!((done.is_cut_short, done.hours, done.objects), (false, 1, 40));
    assert_eq!((markers(), query(folder.path())), (3, (history(folder.path()), 0)));
}
