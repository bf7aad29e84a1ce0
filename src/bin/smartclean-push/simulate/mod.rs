//! `simulate`: a believable building, pushed to an endpoint or written into a folder; and the proof that all was kept.

mod client;
mod folder;
mod ledger_file;
mod progress;
mod send;
mod verify;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{ArgGroup, Args};
use jiff::{SignedDuration, Timestamp, Unit};
use smartclean_push::simulate::{Faults, Plan, Pushes, SiteClock};

use crate::Failure;

/// Push what a believable building would: people, smells, empty soap, full bins, cleanings; then prove that all was kept
///
/// Devices of all sixteen types in washrooms, meeting rooms, lobbies and gardens follow the hour and the day of the week.
/// The same seed and --from make the same pushes to the letter. What was sent and answered is noted in a ledger, which
/// --verify compares with what is stored. The username and password come from PUSH_USERNAME and PUSH_PASSWORD.
///
/// Without --from the simulated time ends at the moment at which the run ends: at full speed it begins that many days ago,
/// at --speed 1 it begins now. Readings that are older than the rules' max_age (one hour) when they arrive are stored and
/// do not alert.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("where").required(true).args(["url", "out", "verify"])), after_help = "Examples:
  smartclean-push simulate --url http://127.0.0.1:8080/push
  smartclean-push simulate --url http://127.0.0.1:8080/push --speed 1        # live, for a day
  smartclean-push simulate --url http://127.0.0.1:8080/push --faults all --seed 7
  smartclean-push simulate --verify ./data
  smartclean-push simulate --out history --days 30 --devices 200             # a month to try rules on")]
pub(super) struct Simulate {
    /// Push to this URL, with its path as it is given to SmartClean
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Write into this new folder what a receiver would have stored, without any receiver
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Prove that everything in the ledger is stored in this data folder, each thing once
    #[arg(long, value_name = "DATA", conflicts_with_all = ["from", "speed", "faults", "push_every"])]
    verify: Option<String>,
    /// How many devices
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
    /// How many days; 0.25 is six hours
    #[arg(long, value_name = "D", default_value = "1")]
    days: Days,
    /// When it begins: 2026-10-01, 2026-10-01T08:00 on the site's clock, or a moment with its offset
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Simulated seconds in a real one, or `max`: as fast as the endpoint answers
    #[arg(long, value_name = "X", default_value = "max", conflicts_with = "out")]
    speed: Speed,
    /// Pushes that are under way at the same time; with 1 they arrive in their order
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64), conflicts_with = "out")]
    connections: u8,
    /// The seed: another one is another site, on other days
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// What goes wrong, with commas between: duplicates, late, reordered, bad, rebatch; or all
    #[arg(long, value_name = "FAULTS")]
    faults: Option<Faults>,
    /// How often each building pushes, such as 30s or 5m [default: 1m, with --out 15m]
    #[arg(long, value_name = "TIME")]
    push_every: Option<Every>,
    /// The time zone of the site
    #[arg(long, value_name = "REGION", default_value = "Asia/Singapore")]
    region: String,
    /// Where it is noted what was sent and answered; added to. With --out only where this is given [default:
    /// simulate-ledger.ndjson]
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
}

const LEDGER: &str = "simulate-ledger.ndjson";

/// A positive number of days.
#[derive(Clone, Copy, Debug)]
struct Days(f64);

impl FromStr for Days {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let days = text.parse().ok().filter(|days: &f64| *days > 0.0 && *days <= 3_660.0);
        days.map(Self).ok_or("days are a number above 0, at most 3660: 30, or 0.25 for six hours")
    }
}

/// Simulated seconds in a real one; `None` is as fast as can be.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Speed(Option<f64>);

impl FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self(None));
        }
        let speed = text.parse().ok().filter(|speed: &f64| *speed > 0.0 && speed.is_finite());
        speed
            .map(|speed| Self(Some(speed)))
            .ok_or("a speed is a number above 0, or max: 1 is live, 60 a minute a second")
    }
}

/// An interval, between pushes or between readings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Every(pub(super) SignedDuration);

impl FromStr for Every {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (least, most) = (SignedDuration::from_secs(1), SignedDuration::from_hours(24));
        let every = text.parse().ok().filter(|every| (least..=most).contains(every));
        every.map(Self).ok_or("a time such as 30s, 5m or 1h, from a second to a day")
    }
}

impl Simulate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let ledger = self.ledger.as_deref().unwrap_or(Path::new(LEDGER));
        if let Some(data) = &self.verify {
            return verify::run(ledger, data);
        }
        let now = Timestamp::now();
        let plan = self.plan(now)?;
        let every = |minutes| self.push_every.map_or(SignedDuration::from_mins(minutes), |every| every.0);
        let faults = self.faults.unwrap_or_default();
        match (&self.url, &self.out) {
            (Some(url), _) => send::run(
                url,
                &plan,
                Pushes::new(&plan, every(1), faults),
                send::Pace { speed: self.speed.0, connections: usize::from(self.connections) },
                ledger,
            ),
            (None, Some(out)) => folder::run(out, &plan, Pushes::new(&plan, every(15), faults), self.ledger.as_deref()),
            (None, None) => Err(Failure::usage("name --url, --out or --verify")),
        }
    }

    fn plan(&self, now: Timestamp) -> Result<Plan, Failure> {
        let clock = SiteClock::of(&self.region).ok_or_else(|| {
            Failure::usage(format!("there is no time zone \"{}\"; zones are named like Asia/Singapore", self.region))
        })?;
        let length = SignedDuration::from_secs_f64(self.days.0 * 86_400.0);
        let from = match &self.from {
            Some(text) => clock.moment(text).ok_or_else(|| {
                Failure::usage(format!(
                    "--from {text} is no time: write 2026-10-01, 2026-10-01T08:00 or 2026-10-01T00:00:00Z"
                ))
            })?,
            None => begin(now, length, self.speed),
        };
        let to = from.checked_add(length).map_err(|_| Failure::usage("that is too many days after --from"))?;
        let devices = usize::try_from(self.devices).unwrap_or(usize::MAX);
        Ok(Plan { devices, from, to, seed: self.seed, clock })
    }
}

/// When to begin so that the simulated time ends when the run does: at full speed now, at speed 1 after `length` has passed.
fn begin(now: Timestamp, length: SignedDuration, speed: Speed) -> Timestamp {
    let ahead = speed.0.map_or(0.0, |speed| 1.0 / speed).min(1.0);
    let back = SignedDuration::from_secs_f64(length.as_secs_f64() * (1.0 - ahead));
    now.checked_sub(back).and_then(|from| from.round(Unit::Millisecond)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_beginning_the_simulated_time_ends_with_the_run() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let day = SignedDuration::from_hours(24);
        let begins = |speed| begin(now, day, Speed(speed)).to_string();
        assert_eq!(begins(None), "2026-11-22T10:00:00Z");
        assert_eq!(begins(Some(1.0)), "2026-11-23T10:00:00Z");
        assert_eq!(begins(Some(2.0)), "2026-11-22T22:00:00Z");
        assert_eq!(begins(Some(0.5)), "2026-11-23T10:00:00Z", "slower than life: never from the future at first");
    }

    #[test]
    fn speeds_days_and_intervals_are_positive() {
        assert_eq!("max".parse(), Ok(Speed(None)));
        assert_eq!("60".parse(), Ok(Speed(Some(60.0))));
        for wrong in ["0", "-1", "fast", "NaN", "inf"] {
            assert!(wrong.parse::<Speed>().is_err() && wrong.parse::<Days>().is_err(), "{wrong}");
        }
        assert!("30s".parse::<Every>().is_ok() && "0s".parse::<Every>().is_err() && "2d".parse::<Every>().is_err());
    }
}
