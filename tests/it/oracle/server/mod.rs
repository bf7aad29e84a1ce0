//! `serve` on a folder: killed at any time, on a disk that is full, in a folder that nobody may write to.

mod disk;
mod place;

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use self::disk::{SmallDisk, set_files_may_grow, set_rights};
use self::place::Place;
use crate::oracle::first_seed;
use crate::oracle::ledger::{Producer, Push};
use crate::oracle::verdict::show;

/// How often the server is killed.
const KILLS: usize = 25;
/// Longest that it then lives on, in parts of the time that a push takes.
const LIVES_ON: f64 = 1.5;
/// What a small disk holds: SQLite's log alone takes four megabytes.
const DISK_KIB: usize = 16 * 1024;
/// How much later a sweep may send what nobody has noted as sent: after a lease, and a little more.
const LEASED_FOR: SignedDuration = SignedDuration::from_secs(62);
/// Somebody else than root, in most systems `nobody`.
const NOBODY: u32 = 65_534;

/// Kills the server while it is at a push, again and again. The pushes come from `next`, which is told their number.
fn kill_again_and_again(place: &mut Place, seed: u64, mut next: impl FnMut(usize) -> Push) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let began = Instant::now();
    assert_eq!(place.push(next(0)), Some(200));
    let longest = began.elapsed().mul_f64(LIVES_ON);
    for number in 1..=KILLS {
        let lives_on = longest.mul_f64(dice.random());
        let answered = place.push_and_kill(next(number), lives_on);
        place.restart();
        // The vendor promises no retry, and may make one all the same.
        if answered.is_none() && dice.random_bool(0.5) {
            let last = *place.unobliged().last().unwrap();
            place.repeat(last);
        }
    }
}

/// When history takes place that is pushed by its own clock: not so long ago that time would be too long on the way.
fn start() -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(3)
}

/// A minute after the other from `start` on.
fn minute(start: Timestamp, number: usize) -> Timestamp {
    start + SignedDuration::from_mins(i64::try_from(number).unwrap())
}

#[test]
#[expect(clippy::print_stdout, reason = "what is shown where the test fails, and with --nocapture")]
fn a_killed_server_keeps_what_it_acknowledged() {
    let seed = first_seed();
    println!("seed {seed}");
    let data = tempfile::tempdir().unwrap();
    let mut place = Place::start("server killed", data.path(), "wall");
    let mut producer = Producer::new("killed");
    kill_again_and_again(&mut place, seed, |_| producer.push());
    place.push(producer.push());
    place.sweep_at(Timestamp::now() + LEASED_FOR);
    assert_eq!(place.unsent(), 0, "the sweep sends what the killed have left");
    show(&[place.conclude(Timestamp::now())]);
}

#[test]
#[expect(clippy::print_stdout, reason = "what is shown where the test fails, and with --nocapture")]
fn a_killed_server_by_the_readings_clock_keeps_what_it_acknowledged() {
    let seed = first_seed() + 1;
    println!("seed {seed}");
    let data = tempfile::tempdir().unwrap();
    let start = start();
    let mut place = Place::start("server killed in history", data.path(), "readings");
    let mut producer = Producer::of_history("killed in history", start);
    kill_again_and_again(&mut place, seed, |number| producer.push_at(minute(start, number)));
    show(&[place.conclude(minute(start, KILLS))]);
}

/// Pushes while something is wrong with the disk, again and again, and repeats what was not taken.
fn suffer(
    place: &mut Place,
    about: &str,
    rounds: usize,
    mut set_wrong: impl FnMut(&mut Place, usize, bool),
) -> Timestamp {
    let start = start();
    let mut producer = Producer::of_history(about, start);
    let mut minutes = (0..).map(|number| minute(start, number));
    let mut push = |place: &mut Place, producer: &mut Producer| place.push(producer.push_at(minutes.next().unwrap()));
    for round in 0..rounds {
        assert_eq!(push(place, &mut producer), Some(200));
        set_wrong(place, round, true);
        for _ in 0..3 {
            let status = push(place, &mut producer);
            assert!(matches!(status, Some(200 | 503)), "{status:?}");
        }
        set_wrong(place, round, false);
        // What was not taken is sent again; but for one, which the vendor forgets.
        place.unobliged().into_iter().skip(1).for_each(|push| assert_eq!(place.repeat(push), Some(200)));
    }
    push(place, &mut producer);
    minutes.next().unwrap()
}

#[test]
fn a_server_whose_files_may_not_grow_acknowledges_nothing_that_it_does_not_keep() {
    let data = tempfile::tempdir().unwrap();
    let mut place = Place::start("files may not grow", data.path(), "readings");
    if let Err(why) = set_files_may_grow(place.process(), true) {
        return skipped("files that may not grow", &why);
    }
    let end = suffer(&mut place, "no growth", 3, |place, _, is_wrong| {
        set_files_may_grow(place.process(), !is_wrong).unwrap();
    });
    let verdict = place.conclude(end);
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
    let mut place = Place::start("disk full", &data, "readings");
    // Nothing at all; room for an object and not for what is remembered; room for nearly all of it.
    let left = [0, 12, 4, 40, 8, 20, 28, 60, 16, 24];
    let end = suffer(&mut place, "disk full", left.len(), |_, round, is_wrong| match is_wrong {
        true => disk.fill(left[round]),
        false => disk.make_room(),
    });
    let verdict = place.conclude(end);
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
    let start = start();
    let mut producer = Producer::of_history("read-only", start);
    let mut place = Place::start("disk read-only", &data, "readings");
    assert_eq!(place.push(producer.push_at(start)), Some(200));
    place.stop();
    disk.set_read_only(true);
    let said = place.try_restart().unwrap_err();
    assert!(said.contains("Read-only file system") && said.contains("data"), "{said}");
    disk.set_read_only(false);
    place.restart();
    show(&[place.conclude(start)]);
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
    let mut place = Place::start_as("folder read-only", &data, "readings", user);
    let end = suffer(&mut place, "read-only folder", 3, |place, _, is_wrong| {
        set_rights(&place.data, if is_wrong { 0o555 } else { 0o755 });
    });
    let verdict = place.conclude(end);
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
