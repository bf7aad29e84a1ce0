//! `compact`, run as a shell runs it, on data folders filled by pushes.

mod function;
mod steps;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use history::{Archive, Period, hours};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use serde_json::json;
use smartclean_push::adapters::local::{FolderArchive, FolderStore};
use smartclean_push::domain::archive::{Metadata, Object};
use smartclean_push::domain::batch::BatchId;
use smartclean_push::domain::reading::Reading;
use smartclean_push::ingest::ports::{Journal as _, RawStore as _};

use crate::support::{
    CommandOutput, PASSWORD, Server, USERNAME, basic, body, eventually, files, paths, reading_with, run, serve,
};

/// The day of the readings.
const DAY: &str = "2024-05-01";

/// Lines of objects, by batch id and line number.
type Lines = BTreeMap<(String, usize), String>;

fn compact(folder: &Path, more: &[&str]) -> CommandOutput {
    run(folder, &[&["compact", "--data", "data"], more].concat())
}

/// Returns a soap reading at a time of the day.
fn soap(percent: i32, time: &str) -> String {
    let at: jiff::Timestamp = format!("{DAY}T{time}Z").parse().unwrap();
    reading_with("SS", &json!({ "p": percent }), &json!({ "unixT": at.as_millisecond() }))
}

/// Stores a push that was received at a time of the day, and marks it as evaluated.
async fn push(folder: &Path, received: &str, texts: &[String]) {
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
}

/// Creates a folder with three pushes: two in the hour 09, and one in the hour 10 that repeats a reading of hour 09.
async fn folder_with_pushes() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let twice = soap(44, "09:30:00");
    push(folder.path(), "09:01:00", &[soap(50, "09:00:00"), "{}".into(), soap(48, "09:00:30")]).await;
    push(folder.path(), "09:31:00", &[twice.clone(), soap(43, "09:30:30")]).await;
    push(folder.path(), "10:01:00", &[soap(42, "10:00:00"), twice]).await;
    folder
}

/// Returns every line of every object that can be unpacked.
fn history(folder: &Path) -> Lines {
    let archive = FolderArchive::open(&folder.join("data")).unwrap();
    let mut lines = BTreeMap::new();
    for hour in hours(&archive, "raw/", &Period::default()).unwrap() {
        for object in archive.read(&archive.keys(&hour.folder).unwrap()).unwrap() {
            let name = object.key.as_str().rsplit('/').next().unwrap();
            let batch = name.strip_suffix(".ndjson.zst").unwrap();
            for (line, text) in object.text().unwrap_or_default().lines().enumerate() {
                lines.insert((batch.to_owned(), line), text.to_owned());
            }
        }
    }
    lines
}

/// Returns every row that a query finds, and the number of duplicate rows.
fn query(folder: &Path) -> (Lines, usize) {
    let (mut rows, mut repeated) = (BTreeMap::new(), 0);
    let parquet = |name: &String| name.ends_with(".parquet") && !name.starts_with('_');
    for name in lake(folder).into_iter().filter(parquet) {
        let file = File::open(folder.join("data/lake/readings").join(format!("dt={DAY}/{name}"))).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        for row in reader.get_row_iter(None).unwrap().map(Result::unwrap) {
            let location = (row.get_string(1).unwrap().clone(), usize::try_from(row.get_int(2).unwrap()).unwrap());
            repeated += usize::from(rows.insert(location, row.get_string(13).unwrap().clone()).is_some());
        }
    }
    (rows, repeated)
}

/// Returns the names of the files of the day.
fn lake(folder: &Path) -> Vec<String> {
    files(&folder.join(format!("data/lake/readings/dt={DAY}")))
}

/// Returns the names of the files of an hour.
fn files_of_hour(folder: &Path, hour: &str) -> Vec<String> {
    let is_of_hour = |name: &String| name.trim_start_matches('_').starts_with(&format!("{hour}-"));
    lake(folder).into_iter().filter(is_of_hour).collect()
}

fn count(folder: &Path, part: &str) -> usize {
    paths(&folder.join("data").join(part)).len()
}

#[tokio::test]
async fn every_line_becomes_a_row_and_objects_stay() {
    let folder = folder_with_pushes().await;
    let before = history(folder.path());
    let ran = compact(folder.path(), &[]);
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("Hours     2 compacted\nObjects   3\nRows      7 in 2 files, "), "{}", ran.out);
    assert_eq!(query(folder.path()), (before.clone(), 0));
    assert_eq!((before.len(), count(folder.path(), "raw"), count(folder.path(), "metadata")), (7, 3, 3));
    assert_eq!(history(folder.path()), before);
}

#[tokio::test]
async fn an_hour_has_parts_and_a_marker_named_after_the_digest_of_its_keys() {
    let folder = folder_with_pushes().await;
    compact(folder.path(), &[]);
    let digest = |name: &str| name.split_once('-').unwrap().1.trim_end_matches("-00.parquet").to_owned();
    for hour in ["09", "10"] {
        let [part, marker] = &files_of_hour(folder.path(), hour)[..] else { panic!("{:?}", lake(folder.path())) };
        assert_eq!((part.as_str(), digest(part).len()), (&*format!("{hour}-{}-00.parquet", digest(part)), 16));
        assert_eq!(*marker, format!("_{hour}-{}", digest(part)));
        let path = folder.path().join(format!("data/lake/readings/dt={DAY}/{marker}"));
        assert_eq!(fs::metadata(path).unwrap().len(), 0);
    }
    assert_ne!(digest(&lake(folder.path())[0]), digest(&lake(folder.path())[1]));
}

#[tokio::test]
async fn an_hour_is_written_once_and_rewritten_after_a_late_push() {
    let folder = folder_with_pushes().await;
    compact(folder.path(), &[]);
    let (nine, ten) = (files_of_hour(folder.path(), "09"), files_of_hour(folder.path(), "10"));
    let again = compact(folder.path(), &[]);
    assert!(again.out.starts_with("Hours     0 compacted\nObjects   0\nRows      0 in 0 files, "), "{}", again.out);
    assert_eq!(lake(folder.path()).len(), 4);
    push(folder.path(), "23:00:00", &[soap(12, "09:10:00")]).await;
    let late = compact(folder.path(), &[]);
    assert!(late.out.starts_with("Hours     1 compacted\nObjects   3\nRows      6 in 1 file, "), "{}", late.out);
    assert_eq!(files_of_hour(folder.path(), "10"), ten);
    assert!(
        files_of_hour(folder.path(), "09").len() == 2 && nine.iter().all(|name| !lake(folder.path()).contains(name))
    );
    assert_eq!(query(folder.path()), (history(folder.path()), 0));
}

#[tokio::test]
async fn a_removed_lake_is_written_again_with_the_same_bytes() {
    let folder = folder_with_pushes().await;
    compact(folder.path(), &[]);
    let lake = folder.path().join("data/lake");
    let bytes = || paths(&lake).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>();
    let before = bytes();
    fs::remove_dir_all(&lake).unwrap();
    compact(folder.path(), &[]);
    assert!(before.len() == 4 && bytes() == before);
}

#[tokio::test]
async fn an_unfinished_day_is_not_compacted() {
    let folder = folder_with_pushes().await;
    let ran = compact(folder.path(), &["--before", DAY]);
    assert!(ran.out.starts_with("Hours     0 compacted"), "{}", ran.out);
    assert_eq!(count(folder.path(), "lake"), 0);
    assert!(compact(folder.path(), &["--before", "2024-05-02"]).out.starts_with("Hours     2 compacted"));
}

#[tokio::test]
async fn a_damaged_object_is_skipped_and_listed_and_the_others_are_compacted() {
    let folder = folder_with_pushes().await;
    let hour = folder.path().join(format!("data/raw/dt={DAY}/hh=09"));
    let damaged = format!("{}.ndjson.zst", "0".repeat(32));
    fs::write(hour.join(&damaged), b"no frame").unwrap();
    fs::write(hour.join("README"), b"another program").unwrap();
    let ran = compact(folder.path(), &[]);
    assert_eq!(ran.exit, Some(1), "{}", ran.out);
    assert!(ran.out.starts_with("Hours     2 compacted\nObjects   3\nRows      7 in 2 files, "), "{}", ran.out);
    let named = format!("hh=09/{damaged} is damaged: ");
    assert!(ran.out.contains(&named) && ran.err.contains("Restore it from a backup"), "{}{}", ran.out, ran.err);
    assert_eq!(query(folder.path()), (history(folder.path()), 0));
    let again = compact(folder.path(), &[]);
    assert_eq!(again.exit, Some(0), "the hour is already compacted: {}{}", again.out, again.err);
    push(folder.path(), "23:00:00", &[soap(12, "10:10:00")]).await;
    assert_eq!(compact(folder.path(), &[]).exit, Some(0), "a run for another hour does not list the damaged object");
    push(folder.path(), "23:00:00", &[soap(12, "09:10:00")]).await;
    assert!(compact(folder.path(), &[]).out.contains(&named), "a run that rewrites its hour lists it again");
}

#[tokio::test]
async fn readings_stay_in_the_lake_if_their_object_is_damaged_after_compaction() {
    let folder = folder_with_pushes().await;
    compact(folder.path(), &[]);
    let (compacted, _) = query(folder.path());
    let object = paths(&folder.path().join(format!("data/raw/dt={DAY}/hh=09"))).remove(0);
    let whole = fs::read(&object).unwrap();
    fs::write(&object, b"no frame").unwrap();
    push(folder.path(), "23:00:00", &[soap(12, "09:10:00")]).await;
    for _ in 0..2 {
        let ran = compact(folder.path(), &[]);
        assert!(ran.exit == Some(1) && ran.out.contains(" is damaged: "), "{}", ran.out);
        let (rows, _) = query(folder.path());
        assert!(compacted.iter().all(|(location, text)| rows.get(location) == Some(text)), "{:?}", lake(folder.path()));
        assert_eq!(rows.len(), compacted.len() + 1, "the late reading is a row as well");
    }
    fs::write(&object, whole).unwrap();
    assert_eq!(compact(folder.path(), &[]).exit, Some(0));
    assert_eq!(query(folder.path()), (history(folder.path()), 0));
}

#[tokio::test]
async fn files_with_other_names_are_not_removed() {
    let folder = folder_with_pushes().await;
    compact(folder.path(), &[]);
    let day = folder.path().join(format!("data/lake/readings/dt={DAY}"));
    let others = ["_09-notes", "notes.txt"];
    others.iter().for_each(|name| fs::write(day.join(name), b"another program").unwrap());
    push(folder.path(), "23:00:00", &[soap(12, "09:10:00")]).await;
    assert_eq!(compact(folder.path(), &[]).exit, Some(0));
    assert!(others.iter().all(|name| day.join(name).exists()));
    assert_eq!(lake(folder.path()).len(), 6);
}

#[test]
fn invalid_arguments_are_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let ran = compact(folder.path(), &[]);
    assert_eq!(ran.exit, Some(2));
    assert!(ran.err.contains("data cannot be read: there is no such folder"), "{}", ran.err);
    assert_eq!(compact(folder.path(), &["--before", "yesterday"]).exit, Some(2));
    let help = run(folder.path(), &["compact", "--help"]);
    assert!(help.exit == Some(0) && help.out.contains("Examples:"), "{}", help.out);
}

#[test]
fn serve_compacts_once_a_day_unless_it_is_off() {
    let (daily, off) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let now = jiff::Timestamp::now();
    let at = (now + jiff::SignedDuration::from_secs(8)).strftime("%H:%M:%S").to_string();
    let start = |data: &Path, time| Server::start(serve(data).args(["--compact", time]));
    let servers = [start(daily.path(), &at), start(off.path(), "off")];
    let taken = (now - jiff::SignedDuration::from_hours(3 * 24)).as_millisecond();
    let reading = reading_with("SS", &json!({ "p": 50 }), &json!({ "unixT": taken }));
    for server in &servers {
        let push = ureq::post(server.url()).header("Authorization", basic(USERNAME, PASSWORD));
        assert_eq!(push.send(&*body(std::slice::from_ref(&reading))).unwrap().status(), 200);
    }
    let lake = |data: &Path| files(&data.join("lake"));
    assert_eq!(lake(daily.path()), [""; 0], "not at the start");
    // The last file of an hour is its marker.
    eventually("the hour is compacted", || lake(daily.path()).iter().any(|name| name.contains("/_")));
    assert_eq!(lake(off.path()), [""; 0]);
    assert_eq!(run(daily.path(), &["compact", "--data", "."]).out.lines().next(), Some("Hours     0 compacted"));
    assert_eq!(servers.map(Server::end).map(|(exit, _)| exit), [Some(0); 2]);
}
