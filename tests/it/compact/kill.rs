//! Compaction dies before any file is put, removed or expires. Nothing is lost then, and the next run makes of what is left
//! what would have come of it without that, each line once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use smartclean_push::adapters::local::FolderArchive;
use smartclean_push::domain::archive::ObjectKey;
use smartclean_push::history::{Archive, ArchiveError, StoredObject};
use smartclean_push::lake::{Compaction, LakeStore, Limits, Put, StoredFile, days};

use super::{SMALL, compact, count, history, manifest, push, pushed, rows, soap};
use crate::support::{paths, process};

/// Fewest steps of a run: with fewer the test would not see what it is about.
const FEWEST_STEPS: usize = 16;

/// A lake at each change of which the process may die.
struct Dying {
    lake: FolderArchive,
    folder: PathBuf,
    steps: AtomicUsize,
    dies_at: usize,
    printing: Mutex<()>,
}

impl Dying {
    /// Comes to the next step, or dies: nothing is closed, nothing is dropped.
    #[expect(clippy::print_stdout, reason = "its parent shows this where the test fails")]
    fn step(&self, what: &str) {
        let _printing = self.printing.lock().unwrap();
        let step = self.steps.fetch_add(1, Ordering::SeqCst);
        println!("step {step}: {what}");
        if step == self.dies_at {
            std::process::abort();
        }
    }
}

impl Archive for Dying {
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

impl LakeStore for Dying {
    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, ArchiveError> {
        self.lake.files(folder)
    }

    fn get(&self, name: &str) -> Result<Option<Bytes>, ArchiveError> {
        self.lake.get(name)
    }

    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put, ArchiveError> {
        self.step(&format!("put {name}"));
        self.lake.put_new(name, bytes)
    }

    fn remove(&self, names: &[String]) -> Result<(), ArchiveError> {
        for name in names {
            self.step(&format!("remove {name}"));
            self.lake.remove(std::slice::from_ref(name))?;
        }
        Ok(())
    }

    fn expire(&self, keys: &[ObjectKey]) -> Result<u64, ArchiveError> {
        let mut expired = 0;
        for key in keys {
            self.step(&format!("expire {key}"));
            if self.steps.load(Ordering::SeqCst) == self.dies_at {
                // The object goes first: as if it had come no further.
                fs::remove_file(self.folder.join("data").join(key.as_str())).unwrap();
            }
            self.step("what is told about it");
            expired += self.lake.expire(std::slice::from_ref(key))?;
        }
        Ok(expired)
    }
}

/// A process that dies.
#[test]
#[ignore = "a part of the other tests here, which start it"]
fn mortal() {
    let variable = |name| std::env::var(name).unwrap();
    let folder = PathBuf::from(variable("KILL_TEST_FOLDER"));
    let dies_at = variable("KILL_TEST_STEP").parse().unwrap();
    let lake = FolderArchive::open(&folder.join("data")).unwrap();
    let lake = Dying { lake, folder, steps: AtomicUsize::new(0), dies_at, printing: Mutex::new(()) };
    run(&lake, SMALL);
    lake.step("the end");
}

/// Compacts all days, and lets expire what may.
fn run(store: &dyn LakeStore, limits: Limits) {
    let run = Compaction { store, now: Timestamp::now(), expire_after_days: Some(0), limits, go_on: &|| true };
    let done = run.days(days(store).unwrap(), |_| ());
    assert!(done.faults.is_empty() && done.left.is_empty(), "{done:?}");
}

/// Runs a process that dies at a step. What it printed, and whether it came to its end before that.
fn run_mortal(folder: &Path, dies_at: usize) -> (String, bool) {
    let output = process(module_path!(), "mortal")
        .env("KILL_TEST_STEP", dies_at.to_string())
        .env("KILL_TEST_FOLDER", folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let ended = output.status.success() && text.contains("1 passed");
    // A test that fails has an exit code, and this one.
    assert!(ended || output.status.code() != Some(101), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    (text, ended)
}

/// A folder whose day was compacted, of which an object has expired, and which late pushes have opened again.
async fn reopened() -> tempfile::TempDir {
    let folder = pushed().await;
    let kept = push(folder.path(), "11:01:00", &[soap(40, "11:00:00")]).await;
    let waiting = folder.path().join(format!("data/to-evaluate/{kept}.json"));
    fs::create_dir_all(waiting.parent().unwrap()).unwrap();
    fs::write(&waiting, b"{}").unwrap();
    run(&FolderArchive::open(&folder.path().join("data")).unwrap(), SMALL);
    fs::remove_file(waiting).unwrap();
    assert_eq!((count(folder.path(), "raw"), count(folder.path(), "lake/readings")), (1, 4));
    push(folder.path(), "12:01:00", &[soap(38, "08:00:00"), soap(36, "12:00:00")]).await;
    push(folder.path(), "13:01:00", &[soap(34, "13:00:00")]).await;
    folder
}

#[tokio::test]
async fn compaction_that_is_killed_anywhere_loses_and_doubles_nothing() {
    for step in 0.. {
        let folder = reopened().await;
        let expected = history(folder.path());
        assert_eq!(expected.len(), 11);
        let (text, ended) = run_mortal(folder.path(), step);
        assert_eq!(history(folder.path()), expected, "{text}");
        let again = compact(folder.path(), &["--expire-raw", "0"]);
        assert_eq!(again.exit, Some(0), "{text}\n{}{}", again.out, again.err);
        assert_eq!(rows(folder.path()), expected, "{text}");
        assert_eq!(history(folder.path()), expected, "{text}");
        assert_eq!(manifest(folder.path())["generation"], 2, "{text}");
        assert_eq!(count(folder.path(), "raw"), 0, "{text}");
        assert_eq!(count(folder.path(), "lake/manifests"), 1, "{text}");
        let left = paths(&folder.path().join("data/lake/readings"));
        let named = manifest(folder.path())["files"].as_array().unwrap().len();
        assert!(left.iter().all(|path| path.to_str().unwrap().contains("/g000002-")), "{text}\n{left:?}");
        // What nobody committed may be somebody's who is at work; it is of this generation, and the next run removes it.
        assert_eq!(left.len(), named, "{text}\n{left:?}");
        if ended {
            assert!(step >= FEWEST_STEPS, "{text}");
            break;
        }
    }
}
