//! Commands that read history skip damaged objects, list them on stderr and exit with 1.

use std::path::{Path, PathBuf};

use crate::support::{CommandOutput, files, run};

/// Simulates six hours into the folder `data`.
fn simulate() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let ran =
        run(folder.path(), &["simulate", "--out", "data", "--devices", "20", "--days", "0.25", "--from", "2026-11-01"]);
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    std::fs::write(folder.path().join("rules.toml"), "").unwrap();
    let data = folder.path().join("data");
    (folder, data)
}

/// Runs each command that reads history. Each comes with a text that its output must contain.
fn run_readers(folder: &Path) -> [(&'static str, CommandOutput); 5] {
    let read = |arguments: &[&str]| run(folder, arguments);
    [
        ("rule", read(&["backtest", "--from", "data", "--rules", "rules.toml"])),
        ("rules.toml: no fault", read(&["check", "--from", "data", "rules.toml"])),
        ("readings: ", read(&["survey", "--from", "data"])),
        ("Response times", read(&["sla", "--from", "data", "--rules", "rules.toml"])),
        ("Objects ", read(&["replay", "raw", "--from", "data", "--state", "state.db"])),
    ]
}

#[test]
fn damaged_objects_are_skipped_and_listed() {
    let (folder, data) = simulate();
    for (printed, ran) in run_readers(folder.path()) {
        assert!(ran.out.contains(printed) && !ran.err.contains("damaged"), "{printed}: {} {}", ran.out, ran.err);
    }
    let objects = files(&data.join("raw"));
    let damaged = [&objects[0], &objects[1], &objects[2]];
    let path = |name: &str| data.join("raw").join(name);
    std::fs::write(path(damaged[0]), "").unwrap();
    let whole = std::fs::read(path(damaged[1])).unwrap();
    std::fs::write(path(damaged[1]), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(path(damaged[2]), "no Zstandard frame").unwrap();
    std::fs::remove_file(folder.path().join("state.db")).unwrap();
    for (printed, ran) in run_readers(folder.path()) {
        assert!(ran.out.contains(printed), "{printed}: {} {}", ran.out, ran.err);
        assert_eq!(ran.exit, Some(1), "{printed}: {}", ran.err);
        assert!(ran.err.contains("3 damaged objects were left out"), "{printed}: {}", ran.err);
        for name in damaged {
            assert!(ran.err.contains(&format!("{name} is damaged: ")), "{printed}: {name} {}", ran.err);
        }
        assert!(ran.err.contains("Restore it from a backup"), "{printed}: {}", ran.err);
    }
}

#[test]
fn a_damaged_object_of_rejections_is_skipped_and_listed() {
    let (folder, data) = simulate();
    let hour = data.join("rejected/dt=2026-11-01/hh=10");
    std::fs::create_dir_all(&hour).unwrap();
    std::fs::write(hour.join("00000000000000000000000000000000.ndjson.zst"), "no frame").unwrap();
    for arguments in [&["replay", "rejected", "--from", "data"], &["survey", "--from", "data"][..]] {
        let ran = run(folder.path(), arguments);
        assert_eq!(ran.exit, Some(1), "{arguments:?} {}", ran.err);
        assert!(ran.err.contains("a damaged object was left out") && !ran.out.is_empty(), "{arguments:?} {}", ran.err);
    }
}

#[test]
fn an_empty_period_is_refused_and_an_unknown_zone_is_a_warning() {
    let (folder, _data) = simulate();
    let commands: [&[&str]; 5] = [
        &["backtest", "--from", "data", "--rules", "built-in"],
        &["replay", "raw", "--from", "data", "--state", "state.db"],
        &["replay", "rejected", "--from", "data"],
        &["survey", "--from", "data"],
        &["sla", "--from", "data"],
    ];
    for command in commands {
        let between = |since, until| run(folder.path(), &[command, &["--since", since, "--until", until]].concat());
        for (since, until) in [("2026-11-02", "2026-11-01"), ("2026-11-01", "2026-11-01")] {
            let ran = between(since, until);
            assert_eq!(ran.exit, Some(2), "{command:?} {}", ran.err);
            assert!(ran.err.contains("is not before --until 2026-11-01"), "{command:?} {}", ran.err);
        }
        let ran = between("2026-11-01", "2026-11-02");
        assert!(ran.exit != Some(2), "{command:?} {}", ran.err);
    }
    let zone = |zone| run(folder.path(), &["backtest", "--from", "data", "--rules", "built-in", "--zone", zone]).err;
    assert!(
        zone("nowhere").contains("warning: the history has no reading of the zone `nowhere`"),
        "{}",
        zone("nowhere")
    );
}
