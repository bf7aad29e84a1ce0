//! An archive of buffered objects has the same history as one with an object for each push.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use smartclean_push::domain::archive::{Metadata, Object, ObjectKey};
use smartclean_push::domain::batch::BatchId;
use smartclean_push::domain::buffered::BUFFERED_EXTENSION;
use smartclean_push::domain::reading::Reading;
use test_support::buffered::buffered;

use crate::support::{PASSWORD, Server, USERNAME, basic, body, files, gzip, paths, reading_with, run, serve};

/// Simulates seven hours into the data folder `single`, which also has a push without a time.
fn simulate(faults: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let length = [
        "simulate",
        "--out",
        "single",
        "--devices",
        "20",
        "--days",
        "0.3",
        "--from",
        "2026-11-01T06:00",
        "--push-every",
        "2m",
    ];
    let ran =
        run(folder.path(), &[&length[..], &["--seed", "3", "--faults", faults, "--ledger", "ledger.ndjson"]].concat());
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    // Pauses that the devices do not keep, and limits that they cross.
    let rules = "[[rule]]\nid = \"silent\"\nafter = \"6m\"\n[[rule]]\nid = \"soap-low\"\nbelow = 60\nfor = \"1m\"\nmax_gap = \"2m\"\n\
                 [[rule]]\nid = \"high-usage\"\nat_least = 2\n";
    fs::write(folder.path().join("rules.toml"), rules).unwrap();
    write_push(&folder.path().join("single"), &push("2026-10-31T23:00:00Z", "{}"));
    folder
}

/// The pushes of a data folder.
fn pushes(data: &Path) -> Vec<Object> {
    let push = |path: PathBuf| {
        let key = path.strip_prefix(data).unwrap().to_str().unwrap().to_owned();
        let metadata = fs::read(data.join(format!("metadata/{key}.json"))).unwrap();
        let metadata = serde_json::from_slice(&metadata).unwrap();
        Object { key: ObjectKey::known(&key), bytes: fs::read(path).unwrap(), metadata }
    };
    ["raw", "raw-undated"].iter().flat_map(|root| paths(&data.join(root))).map(push).collect()
}

fn push(received: &str, text: &str) -> Object {
    let metadata =
        Metadata { received: received.parse().unwrap(), request_id: "r".into(), source: "s".into(), lines: 0 };
    Object::of_readings(BatchId::of(text.as_bytes()), &[Reading::read(text).unwrap()], metadata)
}

fn write_push(data: &Path, push: &Object) {
    write(&data.join(push.key.as_str()), &push.bytes);
    write(&data.join(format!("metadata/{}.json", push.key)), &serde_json::to_vec(&push.metadata).unwrap());
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes the pushes into another data folder as `RawDelivery=buffered` does: some as objects of their own, most in buffered
/// objects of random lengths, some repeatedly, also in a later object. Returns the number of buffered objects.
fn buffer(pushes: &[Object], data: &Path, rng: &mut ChaCha8Rng) -> usize {
    let mut pushes: Vec<_> = pushes.iter().collect();
    pushes.sort_by_key(|push| push.metadata.received);
    let (mut number, mut next) = (0, 0);
    let mut again: Vec<&Object> = Vec::new();
    while next < pushes.len() || !again.is_empty() {
        let first = pushes.get(next).or(again.first()).unwrap().metadata.received;
        let until = first + SignedDuration::from_secs(rng.random_range(1..900));
        let mut records = std::mem::take(&mut again);
        while let Some(push) = pushes.get(next).filter(|push| push.metadata.received < until) {
            let chance = rng.random_range(0..20);
            if chance < 3 {
                write_push(data, push);
            }
            records.extend((chance != 0).then_some(*push));
            records.extend((chance == 3).then_some(*push));
            again.extend((chance == 4).then_some(*push));
            next += 1;
        }
        records.shuffle(rng);
        let name = format!("{}stream-{number:04}", first.strftime("raw/dt=%Y-%m-%d/hh=%H/"));
        write(&data.join(name + BUFFERED_EXTENSION), &buffered(records));
        number += 1;
    }
    number
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// What the commands that read history print about a data folder.
fn history(folder: &Path, data: &str) -> BTreeMap<&'static str, String> {
    let state = format!("state-of-{data}/state.db");
    let commands: [(&str, &[&str]); 6] = [
        ("survey", &["survey", "--from", data, "--format", "json"]),
        ("check", &["check", "--from", data, "rules.toml"]),
        ("zones", &["zones", "--from", data]),
        ("backtest", &["backtest", "--from", data, "--rules", "rules.toml", "--format", "json"]),
        ("replay", &["replay", "raw", "--from", data, "--rules", "rules.toml", "--alerts", "--state", &state]),
        (
            "period",
            &[
                "backtest",
                "--from",
                data,
                "--rules",
                "rules.toml",
                "--format",
                "json",
                "--since",
                "2026-10-31T23:10",
                "--until",
                "2026-11-01T02:59",
            ],
        ),
    ];
    let mut printed: BTreeMap<_, _> = commands
        .iter()
        .map(|(name, arguments)| {
            let ran = run(folder, arguments);
            assert!(ran.exit == Some(0) || *name == "survey", "{arguments:?}: {}", ran.err);
            (*name, ran.out.replace(&state, "STATE"))
        })
        .collect();
    let alerts = fs::read_to_string(folder.join(format!("state-of-{data}/alerts.ndjson"))).unwrap();
    assert!(alerts.lines().count() > 20);
    printed.insert("alerts", alerts);
    // A sweep changes zones concurrently, so the order of its alerts is open.
    for name in ["alerts", "replay"] {
        printed.entry(name).and_modify(|text| *text = sorted(text));
    }
    printed
}

/// The rows of the lake: batch, line, receipt and text. Panics if an hour has a row twice.
fn lake(data: &Path) -> BTreeSet<(String, i32, i64, String)> {
    let mut rows = BTreeSet::new();
    for path in paths(&data.join("lake")).into_iter().filter(|path| path.extension().is_some()) {
        let mut of_hour = BTreeSet::new();
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        for row in reader.get_row_iter(None).unwrap().map(Result::unwrap) {
            let text = |column| row.get_string(column).unwrap().clone();
            let row = (text(1), row.get_int(2).unwrap(), row.get_timestamp_millis(3).unwrap(), text(13));
            assert!(of_hour.insert(row.clone()), "twice in an hour: {row:?}");
        }
        rows.extend(of_hour);
    }
    rows
}

fn compact(folder: &Path, data: &str) {
    let ran = run(folder, &["compact", "--data", data]);
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
}

#[test]
fn buffered_objects_and_copies_give_the_same_history_as_an_object_for_each_push() {
    for (seed, faults) in [(1, "duplicates"), (2, "all")] {
        let folder = simulate(faults);
        let [single, mixed] = ["single", "mixed"].map(|data| folder.path().join(data));
        let pushes = pushes(&single);
        let objects = buffer(&pushes, &mixed, &mut ChaCha8Rng::seed_from_u64(seed));
        assert!(objects > 20 && objects < pushes.len() / 3, "{objects}");
        let expected = history(folder.path(), "single");
        if faults == "all" {
            fs::rename(single.join("rejected"), mixed.join("rejected")).unwrap();
        }
        for (name, printed) in history(folder.path(), "mixed") {
            // The usual pauses of devices ignore a buffered reading that came more than an hour late.
            if name != "check" || faults != "all" {
                assert!(printed == expected[name], "{name} {faults}\n{printed}\n{}", expected[name]);
            }
        }
        compact(folder.path(), "single");
        compact(folder.path(), "mixed");
        let rows = lake(&mixed);
        let is_undated = |batch: &str| single.join(format!("raw-undated/{batch}.ndjson.zst")).exists();
        let dated: BTreeSet<_> = rows.iter().filter(|(batch, ..)| !is_undated(batch)).cloned().collect();
        assert_eq!(dated, lake(&single));
        assert_eq!(rows.len(), dated.len() + 1, "a buffered push without a time is in the lake");
    }
}

#[test]
fn simulate_verifies_a_ledger_against_buffered_objects() {
    let folder = simulate("all");
    let pushes = pushes(&folder.path().join("single"));
    let mixed = folder.path().join("mixed");
    buffer(&pushes, &mixed, &mut ChaCha8Rng::seed_from_u64(1));
    fs::rename(folder.path().join("single/rejected"), mixed.join("rejected")).unwrap();
    let verify = || run(folder.path(), &["simulate", "--verify", "mixed", "--ledger", "ledger.ndjson"]);
    let ran = verify();
    let of_these = format!("\nObjects of these pushes      {}\nObjects of other pushes      1\n", pushes.len() - 1);
    assert!(ran.exit == Some(0) && ran.out.contains(&of_these), "{}{}", ran.out, ran.err);
    let buffered = paths(&mixed.join("raw")).into_iter().find(|path| path.extension().unwrap() == "gz").unwrap();
    let whole = fs::read(&buffered).unwrap();
    fs::write(&buffered, &whole[..whole.len() / 2]).unwrap();
    let (ran, name) = (verify(), buffered.strip_prefix(&mixed).unwrap().display().to_string());
    assert!(ran.exit == Some(1) && ran.out.contains(&format!("{name} is damaged: ")), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains(" is missing, "), "{}", ran.out);
}

#[test]
fn a_truncated_buffered_object_is_skipped_and_listed_and_others_are_read() {
    let folder = simulate("duplicates");
    let pushes = pushes(&folder.path().join("single"));
    let mixed = folder.path().join("mixed");
    buffer(&pushes, &mixed, &mut ChaCha8Rng::seed_from_u64(1));
    let objects = paths(&mixed.join("raw"));
    let truncated = objects.iter().find(|path| path.extension().unwrap() == "gz").unwrap();
    let whole = fs::read(truncated).unwrap();
    fs::write(truncated, &whole[..whole.len() - 1]).unwrap();
    let name = format!("{} is damaged: ", truncated.strip_prefix(&mixed).unwrap().display());
    let commands: [&[&str]; 4] = [
        &["backtest", "--from", "mixed", "--rules", "rules.toml"],
        &["survey", "--from", "mixed"],
        &["check", "--from", "mixed", "rules.toml"],
        &["replay", "raw", "--from", "mixed", "--state", "state.db"],
    ];
    for arguments in commands {
        let ran = run(folder.path(), arguments);
        assert!(ran.exit == Some(1) && !ran.out.is_empty(), "{arguments:?} {}", ran.err);
        assert_eq!(ran.err.matches(&name).count(), 1, "{arguments:?} {}", ran.err);
        assert!(ran.err.contains("a damaged object was left out"), "{arguments:?} {}", ran.err);
    }
    let ran = run(folder.path(), &["compact", "--data", "mixed"]);
    assert!(ran.exit == Some(1) && ran.out.matches(&name).count() == 1, "{}{}", ran.out, ran.err);
    assert!(!lake(&mixed).is_empty());
}

#[test]
fn foreign_lines_of_a_buffered_object_are_skipped_with_a_warning() {
    let folder = simulate("duplicates");
    let pushes = pushes(&folder.path().join("single"));
    let mixed = folder.path().join("mixed");
    buffer(&pushes, &mixed, &mut ChaCha8Rng::seed_from_u64(1));
    let backtest = || run(folder.path(), &["backtest", "--from", "mixed", "--rules", "rules.toml", "--format", "json"]);
    let before = backtest();
    assert!(before.exit == Some(0) && !before.err.contains("skipped"), "{}", before.err);
    let objects = paths(&mixed.join("raw"));
    let object = objects.iter().find(|path| path.extension().unwrap() == "gz").unwrap();
    let whole = fs::read(object).unwrap();
    fs::write(object, [whole, gzip(b"{\"TICKER_SYMBOL\":\"QXZ\"}")].concat()).unwrap();
    let after = backtest();
    assert!(after.exit == Some(0) && after.out == before.out, "{}", after.err);
    let name = object.strip_prefix(&mixed).unwrap().display().to_string();
    assert!(after.err.contains("no records, skipped") && after.err.contains(&name), "{}", after.err);
}

#[test]
fn a_late_buffered_object_adds_its_rows_to_the_lake() {
    let folder = simulate("duplicates");
    let pushes = pushes(&folder.path().join("single"));
    let mixed = folder.path().join("mixed");
    let hour = "raw/dt=2026-11-01/hh=01/";
    let of_hour = pushes.iter().filter(|push| push.key.as_str().starts_with(hour));
    let (early, late): (Vec<_>, Vec<_>) = of_hour.partition(|push| push.metadata.received.as_second() / 60 % 3 > 0);
    write(&mixed.join(hour).join("stream-1.ndjson.gz"), &buffered(early.iter().copied()));
    compact(folder.path(), "mixed");
    let before = (files(&mixed.join("lake")), lake(&mixed));
    write(&mixed.join(hour).join("stream-2.ndjson.gz"), &buffered(early[..9].iter().chain(&late).copied()));
    compact(folder.path(), "mixed");
    let after = (files(&mixed.join("lake")), lake(&mixed));
    assert!(before.0.len() == 2 && after.0.len() == 2 && before.0 != after.0, "{before:?} {after:?}");
    compact(folder.path(), "single");
    let expected = lake(&folder.path().join("single"));
    let keys: BTreeSet<_> = early.iter().chain(&late).map(|push| push.key.as_str()).collect();
    let of_hour = |(batch, ..): &&(String, i32, i64, String)| keys.contains(&*format!("{hour}{batch}.ndjson.zst"));
    assert!(after.1.iter().eq(expected.iter().filter(of_hour)) && before.1.len() < after.1.len());
}

#[test]
fn serve_starts_on_buffered_objects_and_does_not_evaluate_them() {
    let folder = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let soap = |zone: &str| {
        let more = json!({ "InsID": zone, "DEVID": zone, "unixT": now.as_millisecond() });
        reading_with("SS", &json!({ "p": 2 }), &more)
    };
    let text = soap("lobby");
    let push = push(&now.to_string(), &text);
    let data = folder.path().join("data");
    let hour = data.join(now.strftime("raw/dt=%Y-%m-%d/hh=%H").to_string());
    write(&hour.join("stream-1.ndjson.gz"), &buffered([&push]));
    let damaged = hour.join("stream-2.ndjson.gz");
    write(&damaged, b"no gzip");
    let server = Server::start(&mut serve(&data));
    let request = ureq::post(server.url()).header("Authorization", basic(USERNAME, PASSWORD));
    assert_eq!(request.send(&*body(&[soap("kitchen")])).unwrap().status(), 200);
    assert_eq!(server.end().0, Some(0));
    let alerts = || fs::read_to_string(data.join("alerts.ndjson")).unwrap();
    assert!(alerts().contains("kitchen") && !alerts().contains("lobby"), "{}", alerts());
    fs::remove_file(damaged).unwrap();
    let ran = run(folder.path(), &["replay", "raw", "--from", "data", "--state", "new/state.db", "--alerts"]);
    assert!(ran.exit == Some(0) && ran.out.contains("\nObjects   2\n"), "{}{}", ran.out, ran.err);
    assert!(fs::read_to_string(folder.path().join("new/alerts.ndjson")).unwrap().contains("lobby"));
}
