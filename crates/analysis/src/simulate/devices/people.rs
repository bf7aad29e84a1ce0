//! People who are counted, and people who say what they think.

use std::fmt::Write as _;

use super::super::dice::Dice;
use super::Sight;
use super::battery::Battery;

/// A people counter.
#[derive(Clone, Debug)]
pub(super) struct CounterLife {
    is_directional: bool,
    battery: Battery,
    /// Visitors of the zone that it has told of.
    told: u64,
    /// Those who have not gone out again.
    inside: u64,
    /// How often it has reported, as the lite counter's `u` says.
    reports: u32,
    looked_ms: i64,
}

/// A counter that was away for longer than this has not counted meanwhile, in milliseconds.
const AWAY_MS: i64 = 30 * 60_000;

impl CounterLife {
    pub(super) fn new(is_directional: bool, dice: &mut Dice) -> Self {
        let reports = 2_000 + dice.times(40.0) * 100;
        Self { is_directional, battery: Battery::new(dice), told: 0, inside: 0, reports, looked_ms: i64::MAX }
    }

    pub(super) fn look(&mut self, sight: Sight<'_>, dice: &mut Dice, v: &mut String) -> bool {
        let was_away = sight.now.ms.saturating_sub(self.looked_ms) > AWAY_MS;
        self.looked_ms = sight.now.ms;
        let came = if was_away { 0 } else { sight.zone.visitors - self.told };
        self.told = sight.zone.visitors;
        let before = self.inside;
        let left = (0..before).filter(|_| dice.chance(0.7)).count() as u64;
        self.inside = before - left + came;
        if came + if self.is_directional { left } else { 0 } == 0 {
            return false;
        }
        self.reports += 1;
        let _ = if self.is_directional {
            write!(v, r#"{{"count":{came}.0,"out_count":{left}.0}}"#)
        } else {
            // Lithium cells: 3.4 V full, 2.4 V weak.
            #[expect(clippy::cast_possible_truncation, reason = "a few thousand")]
            let millivolts = (2_280.0 + 1_120.0 * self.battery.charge(sight.now.ms)).round() as i64;
            write!(v, r#"{{"b":"{millivolts}","count":{came},"u":"{}"}}"#, self.reports)
        };
        true
    }
}

/// A feedback tablet.
#[derive(Clone, Debug)]
pub(super) struct FeedbackLife {
    /// Visitors of the zone that had their chance to say something.
    asked: u64,
    /// The tablet's own id of its question.
    question: String,
}

/// One visitor in so many touches the tablet.
const VISITORS_A_FEEDBACK: f64 = 16.0;
/// The labels of the ratings from 1, the best.
const LABELS: [&str; 5] = ["Excellent", "Good", "Average", "Poor", "Very Poor"];
/// What a visitor can be unhappy about, its id on the tablet from 1.
const REASONS: [&str; 5] = ["Foul Smell", "Wet Floor", "No Toilet Paper", "Litter Bin Full", "Dirty Toilet Bowl"];

impl FeedbackLife {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let question = format!("{:016x}{:016x}", dice.below(usize::MAX), dice.below(usize::MAX));
        Self { asked: 0, question }
    }

    pub(super) fn look(&mut self, sight: Sight<'_>, dice: &mut Dice, v: &mut String) -> bool {
        let asked = sight.zone.visitors - self.asked;
        self.asked = sight.zone.visitors;
        let answers = (0..asked).any(|_| dice.chance(1.0 / VISITORS_A_FEEDBACK));
        if !answers {
            return false;
        }
        let rating = rating(sight.zone.smell, dice);
        let is_bad = rating >= 4;
        let _ = write!(
            v,
            r#"{{"c":"{}","n":{},"nm":"{}","rating":{rating},"reasons":{{"#,
            self.question,
            u8::from(is_bad),
            LABELS[rating - 1],
        );
        if is_bad {
            // Mostly what it is about: the smell.
            let reason = if dice.chance(0.6) { 0 } else { dice.below(REASONS.len()) };
            let id = reason + 1;
            let _ = write!(v, r#""ID_{id}":{{"ID":"{id}","Name":"{}","selector":1}}"#, REASONS[reason]);
        }
        let _ = write!(v, r#"}},"s":{},"type":"DEFECT"}}"#, 6 - rating);
        true
    }
}

/// 1, the best, to 5, by how bad it smells.
fn rating(smell: f64, dice: &mut Dice) -> usize {
    let felt = dice.normal(1.4 + 2.5 * smell, 0.7).clamp(1.0, 5.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 5")]
    let rating = felt.round() as usize;
    rating
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_is_worse_when_it_smells() {
        let bad = |smell| {
            let mut dice = Dice::new(1, 1);
            (0..1000).filter(|_| rating(smell, &mut dice) >= 4).count()
        };
        assert!(bad(0.1) < 20, "{}", bad(0.1));
        assert!(bad(1.2) > 500, "{}", bad(1.2));
    }
}
