//! Injection into names of objects and files, and into keys of state documents.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor as _;
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::state::ZoneKey;
use smartclean_push::ingest::ports::{IndexEntry, StateStore};

use super::terminal::ATTACKED;
use super::{feedback, payloads};
use crate::support::{TestApp, body, command, files, now, push_to};

/// The column of Parquet that holds the text as it was received.
const RAW: usize = 13;

/// Returns whether a file of the data folder has a regular name: digits of time and content, in one of the known folders.
fn is_own(file: &str) -> bool {
    const ONCE: [&str; 8] = [
        "rules.accepted.toml",
        "alerts.ndjson",
        "state.db",
        "state.db-wal",
        "state.db-shm",
        "credentials.json",
        "serve.lock",
        "write.lock",
    ];
    let file = file.strip_prefix("metadata/").or(file.strip_prefix("to-evaluate/")).unwrap_or(file);
    let file = file.strip_suffix(".json").unwrap_or(file);
    let is_hex = |name: &str| name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_time = |part: &str, name: &str| {
        let digits = part.strip_prefix(name);
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
    };
    let id = |name: &str| name.strip_suffix(".ndjson.zst").is_some_and(is_hex);
    match file.split('/').collect::<Vec<_>>().as_slice() {
        [name] => ONCE.contains(name) || ONCE.contains(&format!("{name}.json").as_str()),
        ["raw" | "rejected", day, hour, name] => is_time(day, "dt=") && is_time(hour, "hh=") && id(name),
        ["raw-undated", name] => id(name),
        _ => false,
    }
}

#[test]
fn file_names_depend_on_time_and_content_only() {
    assert!(is_own("raw/dt=2026-11-23/hh=05/0123456789abcdef0123456789abcdef.ndjson.zst") && !is_own("raw/../x"));
    let found = files(&ATTACKED.folder);
    let (data, beside): (Vec<_>, Vec<_>) = found.iter().partition(|file| file.starts_with("data/"));
    assert_eq!(beside, ["log"]);
    assert!(data.len() > payloads().len());
    for file in data {
        assert!(is_own(file.trim_start_matches("data/")), "{file}");
    }
}

/// Zones and projects whose names are equal when concatenated, and names that a database could truncate.
fn alike() -> Vec<(String, String)> {
    let parts = [
        "",
        "a",
        "b",
        "c",
        "a/b",
        "b/c",
        "1:a",
        "a\u{0}b",
        "a\u{0}c",
        "A",
        "á",
        "a\u{301}",
        "a ",
        "%",
        "_",
        "'",
        "zone/1:a/b",
    ];
    let pairs = parts.iter().flat_map(|project| parts.iter().map(|zone| ((*project).to_owned(), (*zone).to_owned())));
    pairs.chain([("p".repeat(3_000), "z".into()), ("p".repeat(3_000), "y".into())]).collect()
}

#[tokio::test]
async fn zones_of_similar_names_have_separate_state() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
    let mut keys = BTreeMap::new();
    for (project, zone) in alike() {
        let key = ZoneKey::zone(project.clone(), zone.clone()).to_string();
        let device = ZoneKey { is_zone: false, project: project.into(), id: zone.into() }.to_string();
        for key in [key, device] {
            let number = keys.len();
            assert_eq!(keys.insert(key.clone(), number), None, "{key:?}");
            store.commit(&key, 0, &number.to_string(), IndexEntry::default()).await.unwrap();
        }
    }
    let (names, numbers): (Vec<String>, Vec<usize>) = keys.into_iter().unzip();
    let found = store.load(&names).await.unwrap();
    for ((name, number), document) in names.iter().zip(numbers).zip(found) {
        assert_eq!((document.version, document.body), (1, Some(number.to_string())), "{name:?}");
    }
}

#[tokio::test]
async fn a_zone_named_like_a_state_document_is_still_a_zone() {
    let app = TestApp::new();
    for name in ["arrivals", "operations", "rate-limit", "projects-of/zone", "../operations"] {
        let text = feedback(now(), &[("InsID", name), ("PID", name), ("DEVID", name)]);
        push_to(app.ingest(), body(&[text]), now()).await.unwrap();
    }
    let keys: BTreeSet<String> = app.state.documents().into_keys().collect();
    let known = [
        "arrivals",
        "rate-limit",
        "projects-of/arrivals",
        "projects-of/operations",
        "projects-of/rate-limit",
        "projects-of/projects-of/zone",
        "projects-of/../operations",
    ];
    let (own, zones): (Vec<_>, Vec<_>) = keys.iter().partition(|key| known.contains(&key.as_str()));
    assert_eq!((own.len(), zones.len()), (7, 5), "{keys:?}");
    assert!(zones.iter().all(|key| key.starts_with("zone/")), "{keys:?}");
}

#[test]
fn objects_and_parquet_contain_the_exact_text() {
    let folder = ATTACKED.copied();
    let data = folder.path().join("data");
    let mut stored = BTreeSet::new();
    for file in files(&data).into_iter().filter(|file| file.starts_with("raw/")) {
        let text = String::from_utf8(zstd::decode_all(File::open(data.join(file)).unwrap()).unwrap()).unwrap();
        stored.extend(text.lines().map(str::to_owned));
    }
    for (attempt, payload) in payloads().into_iter().filter(|(_, payload)| !payload.trim().is_empty()) {
        let is_named = |line: &&String| Reading::read(line).unwrap().source.display.is_some_and(|name| name == payload);
        assert_eq!(stored.iter().filter(is_named).count(), 1, "{attempt}");
    }
    let arguments = ["compact", "--data", "data", "--before", "2100-01-01"];
    assert!(command(&arguments).current_dir(folder.path()).output().unwrap().status.success());
    let mut rows = BTreeSet::new();
    for file in files(&data).into_iter().filter(|file| file.ends_with(".parquet")) {
        let reader = SerializedFileReader::new(File::open(data.join(file)).unwrap()).unwrap();
        rows.extend(reader.get_row_iter(None).unwrap().map(|row| row.unwrap().get_string(RAW).unwrap().clone()));
    }
    assert_eq!(rows, stored);
}
