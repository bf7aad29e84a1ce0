//! What has expired is found by whoever reads history; what is not proven does not expire.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use smartclean_push::adapters::local::FolderArchive;
use smartclean_push::history::Archive;
use smartclean_push::lake::WholeArchive;

use super::{DAY, compact, count, history, manifest, push, pushed, rows, soap};
use crate::support::{paths, run};

#[tokio::test]
async fn nothing_expires_unless_that_is_asked_for_and_never_too_early() {
    let folder = pushed().await;
    for arguments in [&[][..], &["--expire-raw", "1"]] {
        let ran = compact(folder.path(), arguments);
        assert_eq!((ran.exit, count(folder.path(), "raw")), (Some(0), 3), "{}", ran.err);
    }
    let expected = history(folder.path());
    let ran = compact(folder.path(), &["--expire-raw", "0"]);
    assert!(ran.out.ends_with("Expired   3 objects\n"), "{}", ran.out);
    assert_eq!((count(folder.path(), "raw"), count(folder.path(), "metadata")), (0, 0));
    assert_eq!(history(folder.path()), expected);
    assert_eq!(rows(folder.path()), expected);
}

#[test]
fn history_that_has_expired_says_what_it_said_before() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let ran = run(folder.path(), arguments);
        assert_eq!(ran.exit, Some(0), "{arguments:?}: {}{}", ran.out, ran.err);
        ran.out
    };
    let made =
        ["simulate", "--out", "data", "--devices", "20", "--days", "2", "--from", "2024-05-01", "--ledger", "ledger"];
    run(&made);
    fs::write(folder.path().join("rules.toml"), "[[rule]]\nid = \"soap-low\"\nbelow = 40\n").unwrap();
    let told = || {
        let _ = fs::remove_file(folder.path().join("state.db"));
        [
            run(&["backtest", "--from", "data", "--rules", "rules.toml", "--against", "built-in", "--format", "json"]),
            run(&["replay", "raw", "--from", "data", "--state", "state.db"]),
            run(&["simulate", "--verify", "data", "--ledger", "ledger"]),
        ]
    };
    let (before, lines) = (told(), history(folder.path()));
    let objects = count(folder.path(), "raw");
    let ran = run(&["compact", "--data", "data", "--expire-raw", "0"]);
    assert!(ran.contains(&format!("Expired   {objects} objects")), "{ran}");
    assert_eq!((count(folder.path(), "raw"), lines.len() > 1000), (0, true));
    assert_eq!(history(folder.path()), lines);
    assert_eq!(told(), before);
}

/// Changes one byte of the only Parquet file, in its `part` of eight.
fn damage(folder: &Path, part: usize) {
    let path = paths(&folder.join("data/lake/readings")).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() * part / 8;
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn no_object_expires_whose_parquet_is_damaged() {
    let folder = pushed().await;
    for part in 0..8 {
        compact(folder.path(), &[]);
        damage(folder.path(), part);
        let ran = compact(folder.path(), &["--expire-raw", "0"]);
        assert_eq!((ran.exit, count(folder.path(), "raw")), (Some(1), 3), "{}{}", ran.out, ran.err);
        assert!(ran.err.contains("is damaged: its bytes are not those that were written"), "{}", ran.err);
        // As the error says: where the objects are there, it is made anew.
        fs::remove_file(paths(&folder.path().join("data/lake/readings")).pop().unwrap()).unwrap();
    }
    let expected = history(folder.path());
    assert_eq!(compact(folder.path(), &["--expire-raw", "0"]).exit, Some(0));
    assert_eq!((rows(folder.path()), count(folder.path(), "raw")), (expected, 0));
}

#[tokio::test]
async fn a_late_push_does_not_cover_up_that_expired_text_is_damaged_or_gone() {
    let folder = pushed().await;
    compact(folder.path(), &["--expire-raw", "0"]);
    damage(folder.path(), 4);
    push(folder.path(), "23:00:00", &[soap(12, "08:00:00")]).await;
    for why in ["its bytes are not those that were written", "there is no such file any more"] {
        let ran = compact(folder.path(), &["--expire-raw", "0"]);
        assert_eq!((ran.exit, count(folder.path(), "raw")), (Some(1), 1));
        assert!(ran.err.contains(why), "{}", ran.err);
        assert_eq!(manifest(folder.path())["generation"], 1, "the last word is still what was verified");
        let file = manifest(folder.path())["files"][0]["name"].as_str().unwrap().to_owned();
        fs::remove_file(folder.path().join(format!("data/lake/readings/dt={DAY}/{file}"))).unwrap_or(());
    }
    let ran = run(folder.path(), &["replay", "raw", "--from", "data", "--state", "state.db"]);
    assert_eq!(ran.exit, Some(1), "{}", ran.out);
}

#[tokio::test]
async fn an_object_that_says_something_else_than_when_it_was_compacted_stays() {
    let folder = pushed().await;
    compact(folder.path(), &[]);
    let expected = rows(folder.path());
    let object = paths(&folder.path().join("data/raw")).remove(0);
    fs::write(&object, zstd::encode_all(&b"{\"other\":1}\n"[..], 0).unwrap()).unwrap();
    let ran = compact(folder.path(), &["--expire-raw", "0"]);
    assert_eq!((ran.exit, paths(&folder.path().join("data/raw"))), (Some(1), vec![object]));
    assert!(ran.err.contains("says something else than when it was compacted"), "{}", ran.err);
    // Also where the day is opened again: what was verified is what was received.
    push(folder.path(), "23:00:00", &[soap(12, "08:00:00")]).await;
    compact(folder.path(), &[]);
    assert!(expected.iter().all(|(place, text)| rows(folder.path())[place] == *text));
}

#[tokio::test]
async fn an_object_whose_text_in_parquet_is_not_the_one_that_was_verified_stays() {
    let folder = pushed().await;
    compact(folder.path(), &[]);
    let newest = paths(&folder.path().join(format!("data/lake/manifests/dt={DAY}"))).pop().unwrap();
    let mut told = manifest(folder.path());
    told["sources"][0]["sha256"] = "0".repeat(64).into();
    fs::write(newest, told.to_string()).unwrap();
    let ran = compact(folder.path(), &["--expire-raw", "0"]);
    assert_eq!((ran.exit, count(folder.path(), "raw")), (Some(1), 1), "{}", ran.out);
    let key = told["sources"][0]["key"].as_str().unwrap();
    let why = format!("is damaged: the text of {key} is not the one that was written");
    assert!(ran.err.contains(&why), "{}", ran.err);
}

#[tokio::test]
async fn what_another_compaction_may_still_be_writing_stays_and_what_none_will_commit_goes() {
    let folder = pushed().await;
    compact(folder.path(), &[]);
    let readings = folder.path().join(format!("data/lake/readings/dt={DAY}"));
    let left = |generation: u64, hours_ago: u64| {
        let path = readings.join(format!("g{generation:06}-{hours_ago:016x}.parquet"));
        let file = fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours_ago * 3600)).unwrap();
        path
    };
    let (named, ours) = (paths(&readings), [left(2, 1), left(2, 23), readings.join("notes.txt")]);
    fs::write(&ours[2], "of somebody else").unwrap();
    let nobodys = [left(1, 1), left(2, 25)];
    assert_eq!(compact(folder.path(), &[]).exit, Some(0));
    let stays: BTreeSet<_> = named.into_iter().chain(ours).collect();
    assert_eq!(paths(&readings).into_iter().collect::<BTreeSet<_>>(), stays, "gone should be {nobodys:?}");
}

#[tokio::test]
async fn an_object_that_is_not_evaluated_yet_stays_until_it_is() {
    let folder = pushed().await;
    let (metadata, waiting) = (folder.path().join("data/metadata"), folder.path().join("data/to-evaluate"));
    let _ = fs::remove_dir_all(&waiting);
    fs::rename(&metadata, &waiting).unwrap();
    assert!(compact(folder.path(), &["--expire-raw", "0"]).out.ends_with("Expired   0 objects\n"));
    assert_eq!(count(folder.path(), "raw"), 3);
    fs::rename(&waiting, &metadata).unwrap();
    assert!(compact(folder.path(), &["--expire-raw", "0"]).out.ends_with("Expired   3 objects\n"));
}

#[tokio::test]
async fn a_push_that_is_repeated_after_it_has_expired_was_received_when_it_came_first() {
    let folder = tempfile::tempdir().unwrap();
    let texts = [soap(50, "09:00:00")];
    let key = push(folder.path(), "09:01:00", &texts).await;
    compact(folder.path(), &["--expire-raw", "0"]);
    assert_eq!(push(folder.path(), "20:00:00", &texts).await, key);
    let ran = compact(folder.path(), &[]);
    assert!(ran.out.starts_with("Days      0 compacted"), "{}", ran.out);
    let data = FolderArchive::open(&folder.path().join("data")).unwrap();
    let archive = WholeArchive::over(Box::new(data)).unwrap();
    let received = archive.read(&[key]).unwrap()[0].received().unwrap();
    assert_eq!(received.to_string(), format!("{DAY}T09:01:00Z"));
    assert_eq!(rows(folder.path()).len(), 1);
    assert!(compact(folder.path(), &["--expire-raw", "0"]).out.ends_with("Expired   1 object\n"));
}
