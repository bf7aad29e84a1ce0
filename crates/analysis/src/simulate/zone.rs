//! What happens in a zone, which all its devices see: people come, it begins to smell, somebody cleans.

use super::clock::Moment;
use super::dice::Dice;
use super::rhythm::{Use, busyness};

/// A zone's state is moved on in steps of at least this many milliseconds.
const STEP_MS: i64 = 60_000;
/// What one visitor adds to the smell, where 1 is the smell at which somebody complains.
const SMELL_A_VISITOR: f64 = 0.035;
/// How much of the smell is left after an hour, with nobody there.
const SMELL_LEFT_AFTER_AN_HOUR: f64 = 0.86;
/// How much of the smell a cleaning leaves.
const SMELL_LEFT_BY_CLEANING: f64 = 0.12;
/// Cleaning rounds begin in these hours of a working day, every second one.
const FIRST_ROUND: i8 = 7;
const LAST_ROUND: i8 = 21;
/// How long a cleaning takes, in minutes.
const CLEANING_MINUTES: f64 = 12.0;

/// A zone as it is at a moment.
#[derive(Clone, Debug)]
pub(super) struct ZoneLife {
    /// What it is used for.
    pub(super) use_: Use,
    /// Everybody who ever came in.
    pub(super) visitors: u64,
    /// People who are there.
    pub(super) inside: u32,
    /// How bad it smells: 0 not at all, 1 so that somebody complains.
    pub(super) smell: f64,
    /// How often it was cleaned.
    pub(super) cleanings: u32,
    dice: Dice,
    /// How busy this zone is beside others of its use.
    scale: f64,
    /// The day of the month, to know a new day by.
    day: i8,
    /// How busy today is beside other days.
    today: f64,
    /// Whether the cleaner is ill today.
    is_neglected: bool,
    meeting_until_ms: i64,
    at_ms: i64,
}

impl ZoneLife {
    pub(super) fn new(use_: Use, mut dice: Dice, from_ms: i64) -> Self {
        let scale = dice.between(0.7, 1.15);
        let smell = dice.between(0.0, 0.2);
        Self {
            use_,
            visitors: 0,
            inside: 0,
            smell,
            cleanings: 0,
            dice,
            scale,
            day: 0,
            today: 1.0,
            is_neglected: false,
            meeting_until_ms: 0,
            at_ms: from_ms,
        }
    }

    /// People per hour that come in now, on average.
    pub(super) fn visitors_an_hour(&self, now: &Moment) -> f64 {
        self.use_.visitors_an_hour() * self.scale * self.today * busyness(now)
    }

    /// Moves on to `now`.
    pub(super) fn advance(&mut self, now: &Moment) {
        if now.ms - self.at_ms < STEP_MS {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a few days")]
        let hours = (now.ms - self.at_ms) as f64 / 3_600_000.0;
        self.at_ms = now.ms;
        if self.day != now.wall.day() {
            self.day = now.wall.day();
            self.today = self.dice.normal(1.0, 0.12).clamp(0.6, 1.5);
            self.is_neglected = self.dice.chance(0.05);
        }
        if self.use_ == Use::MeetingRoom {
            self.meet(now, hours);
            return;
        }
        let came = self.dice.times(self.visitors_an_hour(now) * hours);
        self.visitors += u64::from(came);
        // Nobody stays longer than a step or two.
        self.inside = came.min(6);
        self.smell *= SMELL_LEFT_AFTER_AN_HOUR.powf(hours);
        let added = (0..came).map(|_| SMELL_A_VISITOR * self.dice.between(0.4, 1.6)).sum::<f64>();
        self.smell += added;
    }

    fn meet(&mut self, now: &Moment, hours: f64) {
        if now.ms < self.meeting_until_ms {
            return;
        }
        self.inside = 0;
        if self.dice.chance((0.9 * busyness(now) * self.today * hours).min(0.9)) {
            self.inside = 2 + self.dice.times(2.3).min(10);
            self.visitors += u64::from(self.inside);
            self.meeting_until_ms = now.ms + self.dice.minutes(20.0, 90.0);
        }
    }

    /// The cleaner comes by, or does not. When the cleaning began, in seconds since 1970; `now` is its end.
    pub(super) fn round(&mut self, now: &Moment) -> Option<i64> {
        let hour = now.wall.hour();
        let is_due = if now.is_weekend() { [9, 10, 15, 16].contains(&hour) } else { is_round(hour) };
        let missed = if self.is_neglected { 0.75 } else { 0.08 };
        if !is_due || self.dice.chance(missed) {
            return None;
        }
        self.smell *= SMELL_LEFT_BY_CLEANING;
        self.cleanings += 1;
        Some((now.ms - self.dice.minutes(0.6 * CLEANING_MINUTES, 1.4 * CLEANING_MINUTES)) / 1000)
    }

    /// Milliseconds until the next round is looked at.
    pub(super) fn until_next_round(&mut self) -> i64 {
        self.dice.minutes(115.0, 125.0)
    }
}

fn is_round(hour: i8) -> bool {
    (FIRST_ROUND..=LAST_ROUND).contains(&hour)
}
