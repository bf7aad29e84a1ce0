//! `compact`, as a shell runs it, on data folders that pushes have filled; and what reads history after it.

mod expiry;
mod kill;
mod races;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use serde_json::{Value, json};
use smartclean_push::adapters::local::{FolderArchive, FolderStore};
use smartclean_push::domain::archive::{Metadata, Object, ObjectKey, unpack};
use smartclean_push::domain::batch::BatchId;
use smartclean_push::domain::reading::Reading;
use smartclean_push::history::{Archive, Period, hours};
use smartclean_push::ingest::ports::{Journal as _, RawStore as _};
use smartclean_push::lake::{Limits, WholeArchive};

use crate::support::{Ran, paths, reading_with, run};

/// The day that most of this is about.
const DAY: &str = "2024-05-01";

/// So small that a few readings make several files of several groups of rows.
const SMALL: Limits = Limits { group: 300, file: 1, kept_from: u64::MAX };

fn compact(folder: &Path, more: &[&str]) -> Ran {
    run(folder, &[&["compact", "--data", "data"], more].concat())
}

/// Soap left in a zone at a time of the day.
fn soap(percent: i32, time: &str) -> String {
    let at: jiff::Timestamp = format!("{DAY}T{time}Z").parse().unwrap();
    reading_with("SS", &json!({ "p": percent }), &json!({ "unixT": at.as_millisecond() }))
}

/// A push as it is stored, received at a time of the day, and evaluated.
async fn push(folder: &Path, received: &str, texts: &[String]) -> ObjectKey {
    let (store, _) = FolderStore::open(&folder.join("data")).unwrap();
    let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
    let metadata = Metadata {
        received: format!("{DAY}T{received}Z").parse().unwrap(),
        request_id: format!("request-{received}"),
        source: "203.0.113.7".into(),
        lines: 0,
    };
    let object = Object::of_readings(BatchId::of(texts.join(",").as_bytes()), &readings, metadata);
    let key = object.key.clone();
    store.put(object).await.unwrap();
    store.mark_evaluated(&key).await.unwrap();
    key
}

/// A folder in which three pushes were stored, one of them with a reading of another.
async fn pushed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let twice = soap(44, "09:30:00");
    push(folder.path(), "09:01:00", &[soap(50, "09:00:00"), "{}".into(), soap(48, "09:00:30")]).await;
    push(folder.path(), "09:31:00", &[twice.clone(), soap(43, "09:30:30")]).await;
    push(folder.path(), "10:01:00", &[soap(42, "10:00:00"), twice]).await;
    folder
}

/// Every line of every object of history, by key and place, as whoever reads history finds it.
fn history(folder: &Path) -> BTreeMap<(String, usize), String> {
    let archive = WholeArchive::over(Box::new(FolderArchive::open(&folder.join("data")).unwrap())).unwrap();
    let mut lines = BTreeMap::new();
    for hour in hours(&archive, "raw/", &Period::default()).unwrap() {
        for object in archive.read(&archive.keys(&hour.folder).unwrap()).unwrap() {
            assert!(object.metadata.is_some(), "{}", object.key);
            for (line, text) in unpack(&object.bytes).unwrap().lines().enumerate() {
                lines.insert((object.key.to_string(), line), text.to_owned());
            }
        }
    }
    lines
}

/// The newest manifest of the day.
fn manifest(folder: &Path) -> Value {
    let newest = paths(&folder.join(format!("data/lake/manifests/dt={DAY}"))).pop().unwrap();
    serde_json::from_slice(&fs::read(newest).unwrap()).unwrap()
}

/// Every row of the files that the newest manifest names, by key and place, read by another way than the product's.
fn rows(folder: &Path) -> BTreeMap<(String, usize), String> {
    let manifest = manifest(folder);
    let sources = manifest["sources"].as_array().unwrap();
    let key_of = |batch: &str| {
        let is_of = |source: &&Value| source["key"].as_str().unwrap().contains(batch);
        sources.iter().find(is_of).unwrap()["key"].as_str().unwrap().to_owned()
    };
    let mut rows = BTreeMap::new();
    for file in manifest["files"].as_array().unwrap() {
        let path = folder.join(format!("data/lake/readings/dt={DAY}/{}", file["name"].as_str().unwrap()));
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        for row in reader.get_row_iter(None).unwrap().map(Result::unwrap) {
            let key = key_of(row.get_string(1).unwrap());
            let line = usize::try_from(row.get_int(2).unwrap()).unwrap();
            let there = rows.insert((key, line), row.get_string(13).unwrap().clone());
            assert_eq!(there, None, "a row is there twice");
        }
    }
    assert_eq!(manifest["rows"], rows.len());
    rows
}

fn count(folder: &Path, part: &str) -> usize {
    paths(&folder.join("data").join(part)).len()
}

#[tokio::test]
async fn every_line_becomes_a_row_and_objects_stay() {
    let folder = pushed().await;
    let before = history(folder.path());
    let ran = compact(folder.path(), &[]);
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("Days      1 compacted\nObjects   3 new\nRows      7 in 1 file, "), "{}", ran.out);
    assert_eq!(rows(folder.path()), before);
    assert_eq!((before.len(), count(folder.path(), "raw"), count(folder.path(), "metadata")), (7, 3, 3));
    assert_eq!(history(folder.path()), before);
}

#[tokio::test]
async fn a_day_is_compacted_once_and_again_after_a_late_push() {
    let folder = pushed().await;
    compact(folder.path(), &[]);
    let again = compact(folder.path(), &[]);
    assert!(again.out.starts_with("Days      0 compacted\nObjects   0 new\n"), "{}", again.out);
    assert_eq!(manifest(folder.path())["generation"], 1);
    push(folder.path(), "23:00:00", &[soap(12, "08:00:00")]).await;
    let late = compact(folder.path(), &[]);
    assert!(late.out.starts_with("Days      1 compacted\nObjects   1 new\nRows      8 in 1 file, "), "{}", late.out);
    assert_eq!(manifest(folder.path())["generation"], 2);
    assert_eq!(rows(folder.path()), history(folder.path()));
    assert_eq!(count(folder.path(), "lake"), 2, "nothing is left of the first generation");
}

#[tokio::test]
async fn a_day_that_is_not_over_is_left_alone() {
    let folder = pushed().await;
    let ran = compact(folder.path(), &["--before", DAY]);
    assert!(ran.out.starts_with("Days      0 compacted"), "{}", ran.out);
    assert_eq!(count(folder.path(), "lake"), 0);
    assert!(compact(folder.path(), &["--before", "2024-05-02"]).out.starts_with("Days      1 compacted"));
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_stops_nothing_else() {
    let folder = pushed().await;
    let hour = folder.path().join(format!("data/raw/dt={DAY}/hh=09"));
    let id = "0".repeat(32);
    fs::write(hour.join(format!("{id}.ndjson.zst")), b"no frame").unwrap();
    fs::write(hour.join("notes.ndjson.zst"), zstd::encode_all(&b"{}\n"[..], 0).unwrap()).unwrap();
    fs::write(hour.join(format!("{}1.ndjson.zst", &id[1..])), zstd::encode_all(&b"{}"[..], 0).unwrap()).unwrap();
    fs::write(hour.join("README"), b"somebody else's").unwrap();
    let expected = history_of_ours(folder.path());
    for (generation, run) in [(1, ["--expire-raw", "0"]), (1, ["--expire-raw", "0"])] {
        let ran = compact(folder.path(), &run);
        assert_eq!(ran.exit, Some(1), "{}", ran.out);
        assert!(ran.err.contains("3 faults"), "{}", ran.err);
        assert!(ran.out.contains(&format!("{id}.ndjson.zst stays as it is: it is no Zstandard frame")), "{}", ran.out);
        assert!(ran.out.contains("notes.ndjson.zst stays as it is: its name is not 32 hex digits"), "{}", ran.out);
        assert!(ran.out.contains("1.ndjson.zst stays as it is: its text is not lines"), "{}", ran.out);
        assert_eq!(manifest(folder.path())["generation"], generation, "they do not open the day again");
        assert_eq!(rows(folder.path()), expected);
        assert_eq!(count(folder.path(), "raw"), 4, "{:?}", paths(&hour));
    }
}

/// The lines of what `pushed` has stored.
fn history_of_ours(folder: &Path) -> BTreeMap<(String, usize), String> {
    let metadata = folder.join("data/metadata");
    let mut lines = BTreeMap::new();
    for path in paths(&metadata) {
        let key = path.strip_prefix(&metadata).unwrap().to_str().unwrap().strip_suffix(".json").unwrap().to_owned();
        let text = unpack(&fs::read(folder.join("data").join(&key)).unwrap()).unwrap();
        lines.extend(text.lines().enumerate().map(|(line, text)| ((key.clone(), line), text.to_owned())));
    }
    lines
}

#[test]
fn what_cannot_be_meant_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let ran = compact(folder.path(), &[]);
    assert_eq!(ran.exit, Some(2));
    assert!(ran.err.contains("data cannot be read: there is no such folder"), "{}", ran.err);
    assert_eq!(compact(folder.path(), &["--before", "yesterday"]).exit, Some(2));
    assert_eq!(compact(folder.path(), &["--expire-raw", "-1"]).exit, Some(2));
    let help = run(folder.path(), &["compact", "--help"]);
    assert!(help.exit == Some(0) && help.out.contains("Examples:"), "{}", help.out);
}
