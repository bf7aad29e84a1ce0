//! The state of a zone, which all its devices measure: people come, it begins to smell, a cleaner cleans.

use jiff::ZonedDateTime;
use jiff::civil::Weekday;

use super::rng::{SeededRng, digest};

/// The shortest step of a zone's state, in milliseconds.
const STEP_MS: i64 = 60_000;
/// The smell that one visitor adds. At 1, somebody complains.
const SMELL_A_VISITOR: f64 = 0.035;
/// The part of the smell that is left after an hour without visitors.
const SMELL_LEFT_AFTER_AN_HOUR: f64 = 0.86;
/// The part of the smell that is left after a cleaning.
const SMELL_LEFT_BY_CLEANING: f64 = 0.12;
/// Hours after which a third of the breath of people is still in the air.
const BREATH_STAYS_HOURS: f64 = 0.5;
/// Meetings that begin in the busiest hour if the room is free.
const MEETINGS_AN_HOUR: f64 = 0.9;
/// Mean length of a cleaning in minutes.
const CLEANING_MINUTES: f64 = 12.0;

/// Visitors in each hour of a working day, as a part of the busiest hour, in an office building with shops.
const WORKING_DAY: [f64; 24] = [
    0.01, 0.01, 0.0, 0.0, 0.0, 0.01, 0.05, 0.2, 0.55, 0.75, 0.75, 0.85, 1.0, 0.95, 0.75, 0.7, 0.7, 0.75, 0.6, 0.4,
    0.25, 0.15, 0.06, 0.02,
];
/// The same for a day at the weekend, with the shops alone.
const WEEKEND: [f64; 24] = [
    0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.03, 0.06, 0.1, 0.18, 0.25, 0.3, 0.32, 0.3, 0.28, 0.26, 0.24, 0.2, 0.15, 0.1,
    0.06, 0.03, 0.01,
];

/// Whether it is Saturday or Sunday.
fn is_weekend(now: &ZonedDateTime) -> bool {
    matches!(now.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// The number of visitors as a part of the busiest hour, 0 to 1.
pub(super) fn busyness(now: &ZonedDateTime) -> f64 {
    let day = if is_weekend(now) { &WEEKEND } else { &WORKING_DAY };
    let of = |hour: i8| day[usize::try_from(hour).unwrap_or(0) % 24];
    let part = f64::from(now.minute()) / 60.0;
    of(now.hour()) * (1.0 - part) + of(now.hour() + 1) * part
}

/// The people who come to a zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum People {
    /// So many visitors in the busiest hour. A cleaner comes at fixed hours.
    Visitors(f64),
    /// Groups who stay for a while.
    Meetings,
    /// Nobody.
    None,
}

/// The state of a zone at a moment.
#[derive(Clone, Debug)]
pub(super) struct SimulatedZone {
    /// 32 hex digits.
    pub(super) id: String,
    pub(super) name: String,
    /// The number of its building, from 0.
    pub(super) building: usize,
    pub(super) people: People,
    /// All visitors so far.
    pub(super) visitors: u64,
    /// People in the zone.
    pub(super) inside: u32,
    /// The breath in the air, in people.
    pub(super) breath: f64,
    /// 0 is none; at 1, somebody complains.
    pub(super) smell: f64,
    pub(super) cleanings: u32,
    rng: SeededRng,
    /// Visitors of this zone relative to others of its kind.
    scale: f64,
    day_of_month: i8,
    /// Visitors today relative to other days.
    today: f64,
    /// Whether the cleaner is ill today.
    is_neglected: bool,
    meeting_until_ms: i64,
    at_ms: i64,
}

impl SimulatedZone {
    /// The zone `name` of the building `site`, which has the number `building`.
    pub(super) fn new(seed: u64, (building, site): (usize, &str), name: String, people: People, at_ms: i64) -> Self {
        let names = [site, &name];
        let mut rng = SeededRng::new(seed, &names);
        Self {
            id: format!("{:.32}", digest(seed, &names)),
            building,
            people,
            visitors: 0,
            inside: 0,
            breath: 0.0,
            smell: rng.between(0.0, 0.2),
            cleanings: 0,
            scale: rng.between(0.7, 1.15),
            day_of_month: 0,
            today: 1.0,
            is_neglected: false,
            meeting_until_ms: 0,
            at_ms,
            rng,
            name,
        }
    }

    /// Advances the state to `now`.
    pub(super) fn advance(&mut self, now: &ZonedDateTime) {
        let now_ms = now.timestamp().as_millisecond();
        if now_ms - self.at_ms < STEP_MS {
            return;
        }
        let hours = (now_ms - self.at_ms) as f64 / 3_600_000.0;
        self.at_ms = now_ms;
        if self.day_of_month != now.day() {
            self.day_of_month = now.day();
            self.today = self.rng.normal(1.0, 0.12).clamp(0.6, 1.5);
            self.is_neglected = self.rng.chance(0.05);
        }
        match self.people {
            People::Visitors(in_busiest_hour) => {
                let came = self.rng.poisson(in_busiest_hour * self.scale * self.today * busyness(now) * hours);
                self.visitors += u64::from(came);
                // Visitors stay for a step or two.
                self.inside = came.min(6);
                self.smell *= SMELL_LEFT_AFTER_AN_HOUR.powf(hours);
                self.smell += (0..came).map(|_| SMELL_A_VISITOR * self.rng.between(0.4, 1.6)).sum::<f64>();
            }
            People::Meetings if now_ms >= self.meeting_until_ms => {
                self.inside = 0;
                if self.rng.chance((MEETINGS_AN_HOUR * busyness(now) * self.today * hours).min(0.9)) {
                    self.inside = 2 + self.rng.poisson(2.3).min(10);
                    self.visitors += u64::from(self.inside);
                    self.meeting_until_ms = now_ms + self.rng.minutes(20.0, 90.0);
                }
            }
            People::Meetings | People::None => {}
        }
        self.breath += (f64::from(self.inside) - self.breath) * (1.0 - (-hours / BREATH_STAYS_HOURS).exp());
    }

    /// Cleans the zone, if the cleaner comes. Returns the Matrix event of a cleaning that ends `now`. `project` is the id of the
    /// building.
    pub(super) fn clean(&mut self, now: &ZonedDateTime, project: &str) -> Option<String> {
        let hour = now.hour();
        let is_due = if is_weekend(now) { [9, 10, 15, 16].contains(&hour) } else { (7..=21).contains(&hour) };
        let missed = if self.is_neglected { 0.75 } else { 0.08 };
        if !is_due || self.rng.chance(missed) {
            return None;
        }
        self.smell *= SMELL_LEFT_BY_CLEANING;
        self.cleanings += 1;
        let ended = now.timestamp().as_second();
        let began = ended - self.rng.minutes(0.6 * CLEANING_MINUTES, 1.4 * CLEANING_MINUTES) / 1000;
        let planned = began - began.rem_euclid(1800);
        let (id, name) = (&self.id, &self.name);
        Some(format!(
            r#"{{"RoutingKey":"matrix.{project}.task.closed.medium","Event":"TASK_CLOSED","UnixTimeInt":{ended},"Meta":{{"Zone":"{id}","ZoneName":"{name}","Name":"Scheduled cleaning","Status":"CLOSED","Start":{planned},"AStart":{began},"AEnd":{ended},"SourceDeviceIdentifier":""}}}}"#
        ))
    }

    /// Milliseconds until the cleaner's next round.
    pub(super) fn until_next_round(&mut self) -> i64 {
        self.rng.minutes(115.0, 125.0)
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
    fn visitors_change_gradually_from_hour_to_hour() {
        assert!((at("2026-11-23T07:59") - at("2026-11-23T08:00")).abs() < 0.01);
        assert!((at("2026-11-23T23:59") - at("2026-11-24T00:00")).abs() < 0.01);
    }
}
