//! The state of a zone, which all its devices measure: people come and leave, it begins to smell, a cleaner cleans.

use std::f64::consts::PI;

use jiff::ZonedDateTime;
use jiff::civil::Weekday;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::rng::{poisson, seeded};

/// The shortest step of a zone's state, in milliseconds.
const STEP_MS: i64 = 60_000;
/// The smell that one visitor adds. At 1, somebody complains.
const SMELL_A_VISITOR: f64 = 0.035;
/// The part of the smell that is left after an hour without visitors.
const SMELL_LEFT_AFTER_AN_HOUR: f64 = 0.86;
/// The part of the smell that is left after a cleaning.
const SMELL_LEFT_BY_CLEANING: f64 = 0.12;

/// The number of visitors as a part of the busiest hour, 0 to 1: most after noon, few at night and at the weekend.
pub(super) fn busyness(now: &ZonedDateTime) -> f64 {
    let hour = f64::from(now.hour()) + f64::from(now.minute()) / 60.0;
    let part = (PI * (hour - 6.0) / 15.0).sin().max(0.01);
    if matches!(now.weekday(), Weekday::Saturday | Weekday::Sunday) { 0.3 * part } else { part }
}

/// The state of a zone at a moment.
#[derive(Clone, Debug)]
pub(super) struct SimulatedZone {
    /// All visitors so far.
    pub(super) visitors: u64,
    /// People in the zone.
    pub(super) people: u64,
    /// 0 is none; at 1, somebody complains.
    pub(super) smell: f64,
    /// All cleanings so far.
    pub(super) cleanings: u32,
    /// Visitors in the busiest hour.
    visitors_an_hour: f64,
    stay_hours: f64,
    at_ms: i64,
    rng: ChaCha8Rng,
}

impl SimulatedZone {
    /// The zone of these names, with about so many visitors in the busiest hour, who stay for so many minutes.
    pub(super) fn new(seed: u64, names: &[&str], visitors_an_hour: f64, stay_minutes: f64, at_ms: i64) -> Self {
        let mut rng = seeded(seed, names);
        Self {
            visitors: 0,
            people: 0,
            smell: 0.1,
            cleanings: 0,
            visitors_an_hour: visitors_an_hour * rng.random_range(0.7..1.15),
            stay_hours: stay_minutes / 60.0,
            at_ms,
            rng,
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
        let leaving = self.people as f64 * (1.0 - (-hours / self.stay_hours).exp());
        let left = poisson(&mut self.rng, leaving).min(self.people);
        let came = poisson(&mut self.rng, self.visitors_an_hour * busyness(now) * hours);
        self.people = self.people - left + came;
        self.visitors += came;
        self.smell = self.smell * SMELL_LEFT_AFTER_AN_HOUR.powf(hours) + SMELL_A_VISITOR * came as f64;
    }

    /// Cleans the zone by day, unless the cleaner has no time. Returns whether the zone was cleaned.
    pub(super) fn clean(&mut self, now: &ZonedDateTime) -> bool {
        let cleans = (7..=21).contains(&now.hour()) && self.rng.random_bool(0.9);
        if cleans {
            self.smell *= SMELL_LEFT_BY_CLEANING;
            self.cleanings += 1;
        }
        cleans
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
