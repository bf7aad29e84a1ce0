//! What happens in a zone, which all its devices see: people come, it begins to smell, somebody cleans.

use jiff::ZonedDateTime;
use jiff::civil::Weekday;

use super::dice::{Dice, digest};

/// A zone's state is moved on in steps of at least this many milliseconds.
const STEP_MS: i64 = 60_000;
/// What one visitor adds to the smell, where 1 is the smell at which somebody complains.
const SMELL_A_VISITOR: f64 = 0.035;
/// How much of the smell is left after an hour, with nobody there.
const SMELL_LEFT_AFTER_AN_HOUR: f64 = 0.86;
/// How much of the smell a cleaning leaves.
const SMELL_LEFT_BY_CLEANING: f64 = 0.12;
/// Hours after which a third of the breath of people who have left is still in the air.
const BREATH_STAYS_HOURS: f64 = 0.5;
/// Meetings that begin in the busiest hour, as long as the room is free.
const MEETINGS_AN_HOUR: f64 = 0.9;
/// How long a cleaning takes, in minutes.
const CLEANING_MINUTES: f64 = 12.0;

/// Parts of the day's busiest hour, for each hour of a working day in an office building with shops: people come at
/// eight, go to lunch at noon and home from six.
const WORKING_DAY: [f64; 24] = [
    0.01, 0.01, 0.0, 0.0, 0.0, 0.01, 0.05, 0.2, 0.55, 0.75, 0.75, 0.85, 1.0, 0.95, 0.75, 0.7, 0.7, 0.75, 0.6, 0.4,
    0.25, 0.15, 0.06, 0.02,
];
/// The same for a day at the weekend: the shops alone.
const WEEKEND: [f64; 24] = [
    0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.03, 0.06, 0.1, 0.18, 0.25, 0.3, 0.32, 0.3, 0.28, 0.26, 0.24, 0.2, 0.15, 0.1,
    0.06, 0.03, 0.01,
];

/// Whether it is Saturday or Sunday.
fn is_weekend(now: &ZonedDateTime) -> bool {
    matches!(now.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// How busy it is, as a part of the busiest hour, 0 to 1.
pub(super) fn busyness(now: &ZonedDateTime) -> f64 {
    let day = if is_weekend(now) { &WEEKEND } else { &WORKING_DAY };
    let of = |hour: i8| day[usize::try_from(hour).unwrap_or(0) % 24];
    let part = f64::from(now.minute()) / 60.0;
    of(now.hour()) * (1.0 - part) + of(now.hour() + 1) * part
}

/// Who comes to a zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum People {
    /// So many visitors in the busiest hour, one by one. A cleaner comes by at fixed hours.
    Visitors(f64),
    /// Groups, who stay for a while.
    Meetings,
    /// Nobody.
    None,
}

/// A zone as it is at a moment.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    /// Its id, 32 hex digits.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
    /// Which building it is in, from 0.
    pub(super) building: usize,
    pub(super) people: People,
    /// Everybody who ever came in.
    pub(super) visitors: u64,
    /// People who are there.
    pub(super) inside: u32,
    /// How many people's breath is in the air.
    pub(super) breath: f64,
    /// How bad it smells: 0 not at all, 1 so that somebody complains.
    pub(super) smell: f64,
    /// How often it was cleaned.
    pub(super) cleanings: u32,
    dice: Dice,
    /// How busy this zone is beside others of its kind.
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

impl Zone {
    /// The zone `name` of the building `site`, number `building`, as it is at a moment.
    pub(super) fn new(seed: u64, (building, site): (usize, &str), name: String, people: People, at_ms: i64) -> Self {
        let names = [site, &name];
        let mut dice = Dice::new(seed, &names);
        Self {
            id: format!("{:.32}", digest(seed, &names)),
            building,
            people,
            visitors: 0,
            inside: 0,
            breath: 0.0,
            smell: dice.between(0.0, 0.2),
            cleanings: 0,
            scale: dice.between(0.7, 1.15),
            day: 0,
            today: 1.0,
            is_neglected: false,
            meeting_until_ms: 0,
            at_ms,
            dice,
            name,
        }
    }

    /// Moves on to `now`.
    pub(super) fn advance(&mut self, now: &ZonedDateTime) {
        let now_ms = now.timestamp().as_millisecond();
        if now_ms - self.at_ms < STEP_MS {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a few days")]
        let hours = (now_ms - self.at_ms) as f64 / 3_600_000.0;
        self.at_ms = now_ms;
        if self.day != now.day() {
            self.day = now.day();
            self.today = self.dice.normal(1.0, 0.12).clamp(0.6, 1.5);
            self.is_neglected = self.dice.chance(0.05);
        }
        match self.people {
            People::Visitors(in_busiest_hour) => {
                let came = self.dice.times(in_busiest_hour * self.scale * self.today * busyness(now) * hours);
                self.visitors += u64::from(came);
                // Nobody stays longer than a step or two.
                self.inside = came.min(6);
                self.smell *= SMELL_LEFT_AFTER_AN_HOUR.powf(hours);
                self.smell += (0..came).map(|_| SMELL_A_VISITOR * self.dice.between(0.4, 1.6)).sum::<f64>();
            }
            People::Meetings if now_ms >= self.meeting_until_ms => {
                self.inside = 0;
                if self.dice.chance((MEETINGS_AN_HOUR * busyness(now) * self.today * hours).min(0.9)) {
                    self.inside = 2 + self.dice.times(2.3).min(10);
                    self.visitors += u64::from(self.inside);
                    self.meeting_until_ms = now_ms + self.dice.minutes(20.0, 90.0);
                }
            }
            People::Meetings | People::None => {}
        }
        self.breath += (f64::from(self.inside) - self.breath) * (1.0 - (-hours / BREATH_STAYS_HOURS).exp());
    }

    /// The cleaner comes by, or does not. Returns the Matrix event that reports the cleaning, which ends `now`; `project` is the
    /// id of the building.
    pub(super) fn clean(&mut self, now: &ZonedDateTime, project: &str) -> Option<String> {
        let hour = now.hour();
        let is_due = if is_weekend(now) { [9, 10, 15, 16].contains(&hour) } else { (7..=21).contains(&hour) };
        let missed = if self.is_neglected { 0.75 } else { 0.08 };
        if !is_due || self.dice.chance(missed) {
            return None;
        }
        self.smell *= SMELL_LEFT_BY_CLEANING;
        self.cleanings += 1;
        let ended = now.timestamp().as_second();
        let began = ended - self.dice.minutes(0.6 * CLEANING_MINUTES, 1.4 * CLEANING_MINUTES) / 1000;
        let planned = began - began.rem_euclid(1800);
        let (id, name) = (&self.id, &self.name);
        Some(format!(
            r#"{{"RoutingKey":"matrix.{project}.task.closed.medium","Event":"TASK_CLOSED","UnixTimeInt":{ended},"Meta":{{"Zone":"{id}","ZoneName":"{name}","Name":"Scheduled cleaning","Status":"CLOSED","Start":{planned},"AStart":{began},"AEnd":{ended},"SourceDeviceIdentifier":""}}}}"#
        ))
    }

    /// Milliseconds until the cleaner's next round.
    pub(super) fn until_next_round(&mut self) -> i64 {
        self.dice.minutes(115.0, 125.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> f64 {
        busyness(&format!("{text}[Asia/Singapore]").parse().unwrap())
    }

    #[test]
    fn noon_is_busier_than_night_and_a_weekday_than_a_weekend() {
        assert!(at("2026-11-23T12:00") > 10.0 * at("2026-11-23T03:00"));
        assert!(at("2026-11-23T12:00") > 2.0 * at("2026-11-22T12:00"));
        assert!(at("2026-11-22T12:00") > at("2026-11-22T03:00"));
    }

    #[test]
    fn one_hour_passes_into_the_next_without_a_step() {
        assert!((at("2026-11-23T07:59") - at("2026-11-23T08:00")).abs() < 0.01);
        assert!((at("2026-11-23T23:59") - at("2026-11-24T00:00")).abs() < 0.01);
    }
}
