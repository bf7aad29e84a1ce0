//! What runs down with use and is filled again by the cleaner: paper, towels, soap, and the space in bins.

use std::fmt::Write as _;

use super::super::dice::Dice;
use super::{Kind, Sight};

/// A dispenser or a bin.
#[derive(Clone, Debug)]
pub(super) struct SupplyLife {
    is_bin: bool,
    /// Per cent that a visitor takes, on average.
    a_visitor: f64,
    /// Per cent that is left.
    left: f64,
    /// Visitors that have taken theirs.
    served: u64,
    /// Cleanings that have found it as it was.
    cleanings: u32,
}

/// Depth of a dispenser and of a bin in millimetres, as the vendor's example has it: 46 % and 159 mm.
const DEPTH: f64 = 345.0;

impl SupplyLife {
    pub(super) fn new(kind: Kind, dice: &mut Dice) -> Self {
        let a_visitor = match kind {
            Kind::Soap => 0.35,
            Kind::PaperTowel => 0.6,
            Kind::ToiletRoll => 0.5,
            _ => 0.7,
        };
        Self {
            is_bin: kind == Kind::Bin,
            a_visitor: a_visitor * dice.between(0.8, 1.2),
            left: dice.between(40.0, 100.0),
            served: 0,
            cleanings: 0,
        }
    }

    pub(super) fn look(&mut self, sight: Sight<'_>, dice: &mut Dice, v: &mut String) -> bool {
        let came = sight.zone.visitors - self.served;
        self.served = sight.zone.visitors;
        let used: f64 = (0..came).map(|_| self.a_visitor * dice.between(0.3, 1.7)).sum();
        self.left = (self.left - used).max(0.0);
        for _ in self.cleanings..sight.zone.cleanings {
            self.cleaner_comes(sight.now.wall.hour(), dice);
        }
        self.cleanings = sight.zone.cleanings;
        let left = self.left.round();
        // A bin's sensor looks down into the free space, a dispenser's at what is left from above.
        let seen = if self.is_bin { left } else { 100.0 - left };
        let millimetres = if self.is_bin { seen * DEPTH / 100.0 } else { seen * DEPTH / 100.0 * 0.85 };
        let _ = write!(v, r#"{{"p":{left:.0},"d":{:.0}}}"#, millimetres.round());
        true
    }

    /// Bins are emptied where they are half full, and every evening; supplies are filled where they are low, most times.
    fn cleaner_comes(&mut self, hour: i8, dice: &mut Dice) {
        let is_done = if self.is_bin { self.left < 50.0 || hour >= 20 } else { self.left < 25.0 && dice.chance(0.8) };
        if is_done {
            self.left = 100.0;
        }
    }
}
