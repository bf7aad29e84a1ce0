//! Floors that get wet, and trees that lean.

use std::fmt::Write as _;

use super::super::dice::Dice;
use super::Sight;
use super::battery::Battery;

/// A spill detector.
#[derive(Clone, Debug, Default)]
pub(super) struct SpillLife {
    /// Visitors of the zone that could have spilled something.
    seen: u64,
    cleanings: u32,
    /// Per cent of its view that is wet.
    wet: f64,
    dries_ms: i64,
    told_ms: i64,
}

/// One visitor in so many spills something.
const VISITORS_A_SPILL: f64 = 220.0;
/// It tells how it is at least once in this many milliseconds, and while it is wet as often as this.
const HEARTBEAT_MS: i64 = 30 * 60_000;
const WET_HEARTBEAT_MS: i64 = 5 * 60_000;

impl SpillLife {
    pub(super) fn look(&mut self, sight: Sight<'_>, dice: &mut Dice, v: &mut String) -> bool {
        let now_ms = sight.now.ms;
        let came = sight.zone.visitors - self.seen;
        self.seen = sight.zone.visitors;
        let was_wet = self.wet > 0.0;
        if was_wet {
            let is_wiped = self.cleanings != sight.zone.cleanings;
            self.wet = if is_wiped || now_ms >= self.dries_ms { 0.0 } else { self.wet * 0.97 };
        } else if (0..came).any(|_| dice.chance(1.0 / VISITORS_A_SPILL)) {
            self.wet = dice.between(1.0, 18.0);
            self.dries_ms = now_ms + dice.minutes(10.0, 90.0);
        }
        self.cleanings = sight.zone.cleanings;
        let is_wet = self.wet > 0.0;
        let heartbeat = if is_wet { WET_HEARTBEAT_MS } else { HEARTBEAT_MS };
        if is_wet == was_wet && now_ms - self.told_ms < heartbeat {
            return false;
        }
        self.told_ms = now_ms;
        let _ = write!(v, r#"{{"value":{},"AreaP":{:.1}}}"#, u8::from(is_wet), self.wet);
        true
    }
}

/// A sensor on a tree.
#[derive(Clone, Debug)]
pub(super) struct TreeLife {
    battery: Battery,
    /// The angles at which it stands when all is well, in degrees.
    stands: [f64; 3],
    /// How far it leans, in degrees.
    leans: f64,
    /// When it begins to lean; most trees never do while we look.
    falls_ms: i64,
}

/// A tree begins to lean once in so many days, on average.
const DAYS_A_LEAN: f64 = 120.0;

impl TreeLife {
    pub(super) fn new(dice: &mut Dice, from_ms: i64) -> Self {
        let stands = [dice.normal(-87.5, 1.5), dice.normal(-2.0, 1.0), dice.normal(1.4, 1.0)];
        let days = dice.between(0.0, 2.0 * DAYS_A_LEAN);
        Self {
            battery: Battery::new(dice),
            stands,
            leans: 0.0,
            falls_ms: from_ms + dice.minutes(days * 1440.0, days * 1440.0 + 1.0),
        }
    }

    pub(super) fn look(&mut self, sight: Sight<'_>, dice: &mut Dice, v: &mut String) -> bool {
        if sight.now.ms >= self.falls_ms && self.leans < 14.0 {
            self.leans += dice.between(0.5, 3.0);
        }
        // Wind, more by day.
        let wind = if (9..19).contains(&sight.now.wall.hour()) { 0.35 } else { 0.15 };
        let [x, y, z] = self.stands;
        let _ = write!(
            v,
            r#"{{"Tb":"none","Xt":{:.2},"Yt":{:.2},"Zt":{:.2},"v":{}}}"#,
            x + self.leans + dice.normal(0.0, wind),
            y - 0.4 * self.leans + dice.normal(0.0, wind),
            z + dice.normal(0.0, wind),
            self.battery.percent(sight.now.ms),
        );
        true
    }
}
