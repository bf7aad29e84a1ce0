//! `serve` on a folder: killed at any time, on a full disk, in a read-only folder.

mod disk;
mod tested_server;

use std::time::Instant;

use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use self::disk::{SmallDisk, set_files_may_grow, set_permissions};
use self::tested_server::TestedServer;
use crate::oracle::ledger::Producer;
use crate::oracle::verdict::assert_no_objections;
use crate::oracle::{AFTER_A_LEASE, first_seed};

/// Number of kills.
const KILLS: usize = 25;
/// Longest time until a kill, in multiples of the duration of a push.
const KILL_WITHIN: f64 = 1.5;
/// Size of a small disk: SQLite's log alone takes four megabytes.
const DISK_KIB: usize = 16 * 1024;
/// A user other than root, `nobody` on most systems.
const NOBODY: u32 = 65_534;

#[test]
#[expect(clippy::print_stdout, reason = "shown if the test fails, and with --nocapture")]
fn a_killed_server_has_stored_all_acknowledged_pushes() {
    let seed = first_seed();
    println!("seed {seed}");
    let data = tempfile::tempdir().unwrap();
    let mut server = TestedServer::start("server killed", data.path());
    let mut producer = Producer::new("killed");
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let began = Instant::now();
    assert_eq!(server.push(producer.push()), Some(200));
    let longest = began.elapsed().mul_f64(KILL_WITHIN);
    for _ in 0..KILLS {
        let kill_after = longest.mul_f64(dice.random());
        let answered = server.push_and_kill(producer.push(), kill_after);
        server.restart();
        // The vendor promises no retry, but may send one.
        if answered.is_none() && dice.random_bool(0.5) {
            let last = *server.unacknowledged().last().unwrap();
            server.repeat(last);
        }
    }
    server.push(producer.push());
    // On a busy disk, a sweep may not record messages as sent in time: the next one sends them again.
    for sweeps in 1..=3 {
        server.sweep_at(Timestamp::now() + AFTER_A_LEASE * sweeps);
        if server.unsent() == 0 {
            break;
        }
    }
    assert_eq!(server.unsent(), 0, "the sweep sends the messages of the killed servers");
    assert_no_objections(&[server.conclude()]);
}

/// Pushes during several disk faults, and repeats pushes that were not acknowledged.
fn push_during_outages(
    server: &mut TestedServer,
    about: &str,
    rounds: usize,
    mut set_fault: impl FnMut(&mut TestedServer, usize, bool),
) {
    let mut producer = Producer::new(about);
    for round in 0..rounds {
        assert_eq!(server.push(producer.push()), Some(200));
        set_fault(server, round, true);
        for _ in 0..3 {
            let status = server.push(producer.push());
            assert!(matches!(status, Some(200 | 503)), "{status:?}");
        }
        set_fault(server, round, false);
        // All pushes that were not acknowledged are repeated, except one.
        server.unacknowledged().into_iter().skip(1).for_each(|push| assert_eq!(server.repeat(push), Some(200)));
    }
    assert_eq!(server.push(producer.push()), Some(200));
}

#[test]
fn a_server_that_cannot_write_files_acknowledges_only_stored_pushes() {
    let data = tempfile::tempdir().unwrap();
    let mut server = TestedServer::start("files may not grow", data.path());
    if let Err(why) = set_files_may_grow(server.process(), true) {
        return skipped("files that may not grow", &why);
    }
    push_during_outages(&mut server, "no growth", 3, |server, _, is_failing| {
        set_files_may_grow(server.process(), !is_failing).unwrap();
    });
    let verdict = server.conclude();
    assert_ne!(verdict.responses(Some(503)), 0, "no push met the fault");
    assert_no_objections(&[verdict]);
}

#[test]
fn a_server_on_a_full_disk_acknowledges_only_stored_pushes() {
    let disk = match SmallDisk::new(DISK_KIB) {
        Ok(disk) => disk,
        Err(why) => return skipped("a full disk", &why),
    };
    let data = disk.path().join("data");
    let mut server = TestedServer::start("disk full", &data);
    // KiB that stay free: none, enough for an object but not for the state, enough for nearly all.
    let left = [0, 12, 4, 40, 8, 20, 28, 60, 16, 24];
    push_during_outages(&mut server, "disk full", left.len(), |_, round, is_failing| match is_failing {
        true => disk.fill(left[round]),
        false => disk.free_space(),
    });
    let verdict = server.conclude();
    assert_ne!(verdict.responses(Some(503)), 0, "no push met the fault");
    assert_no_objections(&[verdict]);
}

#[test]
fn a_server_on_a_read_only_disk_does_not_start() {
    let disk = match SmallDisk::new(DISK_KIB) {
        Ok(disk) => disk,
        Err(why) => return skipped("a read-only disk", &why),
    };
    let data = disk.path().join("data");
    let mut producer = Producer::new("read-only");
    let mut server = TestedServer::start("disk read-only", &data);
    assert_eq!(server.push(producer.push()), Some(200));
    server.stop();
    disk.set_read_only(true);
    let output = server.try_restart().unwrap_err();
    assert!(output.contains("Read-only file system") && output.contains("data"), "{output}");
    disk.set_read_only(false);
    server.restart();
    assert_no_objections(&[server.conclude()]);
}

#[test]
fn a_server_in_a_folder_that_becomes_read_only_acknowledges_only_stored_pushes() {
    let folder = tempfile::tempdir().unwrap();
    // Permissions do not stop root.
    let user = is_root().then_some(NOBODY);
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    set_permissions(folder.path(), 0o755);
    if let Some(user) = user {
        std::os::unix::fs::chown(&data, Some(user), Some(user)).unwrap();
        if let Err(why) = may_run_as(user) {
            return skipped("a folder that becomes read-only", &why);
        }
    }
    let mut server = TestedServer::start_as("folder read-only", &data, user);
    push_during_outages(&mut server, "read-only folder", 3, |server, _, is_failing| {
        set_permissions(&server.data, if is_failing { 0o555 } else { 0o755 });
    });
    let verdict = server.conclude();
    assert_ne!(verdict.responses(Some(503)), 0, "no push met the fault");
    assert_no_objections(&[verdict]);
}

fn is_root() -> bool {
    let output = std::process::Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

/// Whether that user can run the program. The error says why not.
fn may_run_as(user: u32) -> Result<(), String> {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_smartclean-push"));
    let output = command.arg("--version").uid(user).gid(user).output().map_err(|error| error.to_string())?;
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Reports a skipped test on the terminal, even if the test harness captures its output.
fn skipped(what: &str, why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}
