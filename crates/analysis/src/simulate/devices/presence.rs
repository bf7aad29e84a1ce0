//! Cubicles and tables that are taken or free.

use std::fmt::Write as _;

use super::super::dice::Dice;
use super::super::rhythm::Use;
use super::battery::Battery;
use super::{Kind, Sight};

/// An occupancy sensor.
#[derive(Clone, Debug)]
pub(super) struct PresenceLife {
    kind: Kind,
    battery: Battery,
    /// Visitors of the zone that have chosen this place or another.
    seen: u64,
    is_taken: bool,
    until_ms: i64,
    told_ms: i64,
}

/// It tells how it is at least once in this many milliseconds.
const HEARTBEAT_MS: i64 = 60 * 60_000;
/// One visitor in so many takes this very cubicle.
const VISITORS_A_CUBICLE: f64 = 4.0;

impl PresenceLife {
    pub(super) fn new(kind: Kind, dice: &mut Dice) -> Self {
        Self { kind, battery: Battery::new(dice), seen: 0, is_taken: false, until_ms: 0, told_ms: 0 }
    }

    pub(super) fn look(&mut self, sight: Sight<'_>, dice: &mut Dice, v: &mut String) -> bool {
        let now_ms = sight.now.ms;
        let came = sight.zone.visitors - self.seen;
        self.seen = sight.zone.visitors;
        let was_taken = self.is_taken;
        if sight.zone.use_ == Use::MeetingRoom {
            self.is_taken = sight.zone.inside > 0;
        } else if self.is_taken {
            self.is_taken = now_ms < self.until_ms;
        } else if (0..came).any(|_| dice.chance(1.0 / VISITORS_A_CUBICLE)) {
            self.is_taken = true;
            self.until_ms = now_ms + dice.minutes(2.0, 11.0);
        }
        if self.is_taken == was_taken && now_ms - self.told_ms < HEARTBEAT_MS {
            return false;
        }
        self.told_ms = now_ms;
        self.write(now_ms, dice, v);
        true
    }

    fn write(&mut self, now_ms: i64, dice: &mut Dice, v: &mut String) {
        let taken = u8::from(self.is_taken);
        let _ = match self.kind {
            // The cubicle sensors say 0 where somebody is in, the table's says 1.
            Kind::CubicleMinew => {
                let (battery, signal) = (self.battery.percent(now_ms), dice.normal(-78.0, 3.0));
                let free = 1 - taken;
                write!(
                    v,
                    r#"{{"C":"1","Disass":"0","Src":"x750:hz3a30e","batt":{battery},"rssi":{signal:.0},"occ":{free}}}"#
                )
            }
            Kind::CubicleScm => write!(v, r#"{{"b":"0","occ":{}}}"#, 1 - taken),
            _ => write!(v, r#"{{"occ":{taken}}}"#),
        };
    }
}
