//! `serve` on a folder: killed at any time, on a disk that is full, in a folder that nobody may write to.

mod disk;
mod location;

use std::time::Instant;

use jiff::Timestamp;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use self::disk::{SmallDisk, set_files_may_grow, set_rights};
use self::location::Location;
use crate::oracle::ledger::Producer;
use crate::oracle::verdict::show;
use crate::oracle::{LEASED_FOR, first_seed};

/// How often the server is killed.
const KILLS: usize = 25;
/// Longest that it then lives on, in parts of the time that a push takes.
const LIVES_ON: f64 = 1.5;
/// What a small disk holds: SQLite's log alone takes four megabytes.
const DISK_KIB: usize = 16 * 1024;
/// Somebody else than root, in most systems `nobody`.
const NOBODY: u32 = 65_534;

#[test]
#[expect(clippy::print_stdout, reason = "what is shown where the test fails, and with --nocapture")]
fn a_killed_server_keeps_what_it_acknowledged() {
    let seed = first_seed();
    println!("seed {seed}");
    let data = tempfile::tempdir().unwrap();
    let mut location = Location::start("server killed", data.path());
    let mut producer = Producer::new("killed");
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let began = Instant::now();
    assert_eq!(location.push(producer.push()), Some(200));
    let longest = began.elapsed().mul_f64(LIVES_ON);
    for _ in 0..KILLS {
        let lives_on = longest.mul_f64(dice.random());
        let answered = location.push_and_kill(producer.push(), lives_on);
        location.restart();
        // The vendor promises no retry, and may make one all the same.
        if answered.is_none() && dice.random_bool(0.5) {
            let last = *location.unobliged().last().unwrap();
            location.repeat(last);
        }
    }
    location.push(producer.push());
    // On a busy disk a sweep may not note in time what it has sent: the next one sends that once more.
    for sweeps in 1..=3 {
        location.sweep_at(Timestamp::now() + LEASED_FOR * sweeps);
        if location.unsent() == 0 {
            break;
        }
    }
    assert_eq!(location.unsent(), 0, "the sweep sends what the killed have left");
    show(&[location.conclude()]);
}

/// Pushes while something is wrong with the disk, again and again, and repeats what was not taken.
fn suffer(location: &mut Location, about: &str, rounds: usize, mut set_wrong: impl FnMut(&mut Location, usize, bool)) {
    let mut producer = Producer::new(about);
    for round in 0..rounds {
        assert_eq!(location.push(producer.push()), Some(200));
        set_wrong(location, round, true);
        for _ in 0..3 {
            let status = location.push(producer.push());
            assert!(matches!(status, Some(200 | 503)), "{status:?}");
        }
        set_wrong(location, round, false);
        // What was not taken is sent again; but for one, which the vendor forgets.
        location.unobliged().into_iter().skip(1).for_each(|push| assert_eq!(location.repeat(push), Some(200)));
    }
    assert_eq!(location.push(producer.push()), Some(200));
}

#[test]
fn a_server_whose_files_may_not_grow_acknowledges_nothing_that_it_does_not_keep() {
    let data = tempfile::tempdir().unwrap();
    let mut location = Location::start("files may not grow", data.path());
    if let Err(why) = set_files_may_grow(location.process(), true) {
        return skipped("files that may not grow", &why);
    }
    suffer(&mut location, "no growth", 3, |location, _, is_wrong| {
        set_files_may_grow(location.process(), !is_wrong).unwrap();
    });
    let verdict = location.conclude();
    assert_ne!(verdict.answered(Some(503)), 0, "nothing was wrong");
    show(&[verdict]);
}

#[test]
fn a_server_on_a_full_disk_acknowledges_nothing_that_it_does_not_keep() {
    let disk = match SmallDisk::new(DISK_KIB) {
        Ok(disk) => disk,
        Err(why) => return skipped("a full disk", &why),
    };
    let data = disk.path().join("data");
    let mut location = Location::start("disk full", &data);
    // Nothing at all; room for an object and not for what is remembered; room for nearly all of it.
    let left = [0, 12, 4, 40, 8, 20, 28, 60, 16, 24];
    suffer(&mut location, "disk full", left.len(), |_, round, is_wrong| match is_wrong {
        true => disk.fill(left[round]),
        false => disk.make_room(),
    });
    let verdict = location.conclude();
    assert_ne!(verdict.answered(Some(503)), 0, "nothing was wrong");
    show(&[verdict]);
}

#[test]
fn a_server_does_not_start_where_it_may_not_write_and_says_so() {
    let disk = match SmallDisk::new(DISK_KIB) {
        Ok(disk) => disk,
        Err(why) => return skipped("a read-only disk", &why),
    };
    let data = disk.path().join("data");
    let mut producer = Producer::new("read-only");
    let mut location = Location::start("disk read-only", &data);
    assert_eq!(location.push(producer.push()), Some(200));
    location.stop();
    disk.set_read_only(true);
    let said = location.try_restart().unwrap_err();
    assert!(said.contains("Read-only file system") && said.contains("data"), "{said}");
    disk.set_read_only(false);
    location.restart();
    show(&[location.conclude()]);
}

#[test]
fn a_server_in_a_folder_that_becomes_read_only_acknowledges_nothing_that_it_does_not_keep() {
    let folder = tempfile::tempdir().unwrap();
    // Rights do not stop root.
    let user = is_root().then_some(NOBODY);
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    set_rights(folder.path(), 0o755);
    if let Some(user) = user {
        std::os::unix::fs::chown(&data, Some(user), Some(user)).unwrap();
        if let Err(why) = may_run_as(user) {
            return skipped("a folder that becomes read-only", &why);
        }
    }
    let mut location = Location::start_as("folder read-only", &data, user);
    suffer(&mut location, "read-only folder", 3, |location, _, is_wrong| {
        set_rights(&location.data, if is_wrong { 0o555 } else { 0o755 });
    });
    let verdict = location.conclude();
    assert_ne!(verdict.answered(Some(503)), 0, "nothing was wrong");
    show(&[verdict]);
}

fn is_root() -> bool {
    let output = std::process::Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

/// Whether that user may run the program; else why not.
fn may_run_as(user: u32) -> Result<(), String> {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_smartclean-push"));
    let output = command.arg("--version").uid(user).gid(user).output().map_err(|fault| fault.to_string())?;
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Says on the terminal itself, whatever the harness keeps to itself, that something was not tried.
fn skipped(what: &str, why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "NOT TRIED HERE: {what}: {why}");
}
