//! `simulate`: pushes a simulated building to an endpoint or writes it into a folder, and verifies what is stored.

mod run;
mod target;
mod verify;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use analysis::simulate::{Faults, Plan, Pushes};
use analysis::words::interval;
use clap::{ArgGroup, Args};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use self::run::run;
use self::target::Target;
use crate::period::moment;
use crate::{Failure, OrFailure as _};

/// Push the readings of a simulated building, and verify that all of them are stored
///
/// Devices of all sixteen types in washrooms, meeting rooms, lobbies and gardens follow the hour and the day of the week.
/// The same --seed and --from give the same pushes, byte for byte. A ledger records each push and its response; --verify
/// compares it with what is stored. The username and password come from PUSH_USERNAME and PUSH_PASSWORD.
///
/// Without --from, the simulated time ends when the run ends: at full speed it begins --days ago, at --speed 1 it begins now.
/// Readings that are older than max_age in the rules (one hour) when they arrive are stored and do not alert.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("where").required(true).args(["url", "out", "verify"])), after_help = "Examples:
  smartclean-push simulate --url http://127.0.0.1:8080/push
  smartclean-push simulate --url http://127.0.0.1:8080/push --speed 1        # live, for a day
  smartclean-push simulate --url http://127.0.0.1:8080/push --faults all --seed 7
  smartclean-push simulate --verify ./data
  smartclean-push simulate --out history --days 30 --devices 200             # a month to try rules on")]
pub(super) struct SimulateCommand {
    /// Push to this URL, with the path that SmartClean is given
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Write the objects that a receiver would store into this new folder, without a receiver
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Verify that every push in the ledger is stored once in this data folder
    #[arg(long, value_name = "DATA", conflicts_with_all = ["from", "speed", "faults", "push_every"])]
    verify: Option<String>,
    /// Number of devices
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
    /// Number of days; 0.25 is six hours
    #[arg(long, value_name = "D", default_value = "1", value_parser = days)]
    days: f64,
    /// Start: 2026-10-01, 2026-10-01T08:00 in the time zone of the site, or a time with an offset
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Simulated seconds per second: 1 is live, 60 a minute per second [default: as fast as the endpoint answers]
    #[arg(long, value_name = "X", value_parser = speed, conflicts_with = "out")]
    speed: Option<f64>,
    /// Concurrent pushes. With 1 they arrive in order
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64), conflicts_with = "out")]
    connections: u8,
    /// Seed. Another seed is another site
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Faults, separated by commas: duplicates, late, reordered, bad, rebatch; or all
    #[arg(long, value_name = "FAULTS")]
    faults: Option<Faults>,
    /// Interval of each building's pushes, such as 30s or 5m [default: 1m, with --out 15m]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    push_every: Option<SignedDuration>,
    /// Time zone of the site
    #[arg(long, value_name = "REGION", default_value = "Asia/Singapore", value_parser = region)]
    region: TimeZone,
    /// Ledger file. Lines are appended. With --out there is none by default [default: simulate-ledger.ndjson]
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
}

/// The ledger if `--ledger` names none.
const LEDGER: &str = "simulate-ledger.ndjson";

fn days(text: &str) -> Result<f64, &'static str> {
    positive(text, 3_660.0).ok_or("days are a number above 0, at most 3660: 30, or 0.25 for six hours")
}

fn speed(text: &str) -> Result<f64, &'static str> {
    positive(text, f64::MAX).ok_or("a speed is a number above 0: 1 is live, 60 a minute a second")
}

fn region(text: &str) -> Result<TimeZone, &'static str> {
    TimeZone::get(text).map_err(|_| "there is no such time zone; zones are named like Asia/Singapore")
}

fn positive(text: &str, most: f64) -> Option<f64> {
    text.parse().ok().filter(|number| *number > 0.0 && *number <= most)
}

impl SimulateCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let ledger = self.ledger.as_deref();
        let pushes = |minutes| {
            let plan = self.plan(Timestamp::now())?;
            let every = self.push_every.unwrap_or(SignedDuration::from_mins(minutes));
            let pushes = Pushes::new(&plan, every, self.faults.unwrap_or_default());
            Ok::<_, Failure>((plan, pushes))
        };
        if let Some(url) = &self.url {
            let (plan, pushes) = pushes(1)?;
            let (connections, ledger) = (self.connections.into(), ledger.unwrap_or(Path::new(LEDGER)));
            run(&Target::endpoint(url, connections)?, &plan, pushes, self.speed, connections, Some(ledger))
        } else if let Some(folder) = &self.out {
            let (plan, pushes) = pushes(15)?;
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            run(&Target::folder(folder)?, &plan, pushes, None, cores, ledger)
        } else {
            let data = self.verify.as_deref().unwrap_or_default();
            verify::run(ledger.unwrap_or(Path::new(LEDGER)), data)
        }
    }

    fn plan(&self, now: Timestamp) -> Result<Plan, Failure> {
        let length = SignedDuration::from_secs_f64(self.days * 86_400.0);
        let from = match &self.from {
            Some(text) => moment(text, &self.region).or_usage(format_args!("--from {text}"))?,
            None => start_that_ends_now(now, length, self.speed),
        };
        let to = from.checked_add(length).map_err(|_| Failure::usage("that is too many days after --from"))?;
        let devices = usize::try_from(self.devices).unwrap_or(usize::MAX);
        Ok(Plan { devices, from: from.to_zoned_datetime(self.region.clone()), to, seed: self.seed })
    }
}

/// The start for which the simulated time ends when the run does: at full speed now, at speed 1 after `length`.
fn start_that_ends_now(now: Timestamp, length: SignedDuration, speed: Option<f64>) -> Timestamp {
    let ahead = speed.map_or(0.0, |speed| 1.0 / speed).min(1.0);
    let back = SignedDuration::from_secs_f64(length.as_secs_f64() * (1.0 - ahead));
    now.checked_sub(back).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_from_the_simulated_time_ends_with_the_run() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let day = SignedDuration::from_hours(24);
        let begins = |speed| start_that_ends_now(now, day, speed).to_string();
        assert_eq!(begins(None), "2026-11-22T10:00:00Z");
        assert_eq!(begins(Some(1.0)), "2026-11-23T10:00:00Z");
        assert_eq!(begins(Some(2.0)), "2026-11-22T22:00:00Z");
        assert_eq!(
            begins(Some(0.5)),
            "2026-11-23T10:00:00Z",
            "at less than live speed the simulation does not begin in the future"
        );
    }

    #[test]
    fn speeds_and_days_are_positive() {
        assert_eq!((speed("60"), days("0.25")), (Ok(60.0), Ok(0.25)));
        for wrong in ["0", "-1", "max", "NaN", "inf", ""] {
            assert!(speed(wrong).is_err() && days(wrong).is_err(), "{wrong}");
        }
    }
}
