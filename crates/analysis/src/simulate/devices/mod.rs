//! What each type of device measures of its zone, and when it says so.

mod air;
mod battery;
mod people;
mod presence;
mod structure;
mod supply;

use self::air::{AirLife, ClimateLife};
use self::people::{CounterLife, FeedbackLife};
use self::presence::PresenceLife;
use self::structure::{SpillLife, TreeLife};
use self::supply::SupplyLife;
use super::clock::Moment;
use super::dice::Dice;
use super::wire::Format;
use super::zone::ZoneLife;

/// A type of device; the names are [the table's](domain::device::DEVICE_TYPES).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// UM
    Um,
    /// PPLCTR
    Counter,
    /// FD
    Feedback,
    /// TR
    ToiletRoll,
    /// PT
    PaperTowel,
    /// SS
    Soap,
    /// BIN
    Bin,
    /// WD
    Spill,
    /// ODRDTR
    Air,
    /// ODRDTR_BATT_V1
    AirLite,
    /// ODRDTR_10_IN_1
    AirTenInOne,
    /// OCCMINEW
    CubicleMinew,
    /// OCCSCM
    CubicleScm,
    /// OCCDESK
    Desk,
    /// TILT
    Tilt,
    /// TH
    Climate,
}

impl Kind {
    /// `DevType` on the wire. The vendor's own example of wired air quality names no provider.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Um => "SMARTCLEAN#UM",
            Self::Counter => "SMARTCLEAN#PPLCTR",
            Self::Feedback => "SMARTCLEAN#FD",
            Self::ToiletRoll => "SMARTCLEAN#TR",
            Self::PaperTowel => "SMARTCLEAN#PT",
            Self::Soap => "SMARTCLEAN#SS",
            Self::Bin => "SMARTCLEAN#BIN",
            Self::Spill => "SMARTCLEAN#WD",
            Self::Air => "ODRDTR",
            Self::AirLite => "SMARTCLEAN#ODRDTR_BATT_V1",
            Self::AirTenInOne => "SMARTCLEAN#ODRDTR_10_IN_1",
            Self::CubicleMinew => "SMARTCLEAN#OCCMINEW",
            Self::CubicleScm => "SMARTCLEAN#OCCSCM",
            Self::Desk => "SMARTCLEAN#OCCDESK",
            Self::Tilt => "SMARTCLEAN#TILT",
            Self::Climate => "SMARTCLEAN#TH",
        }
    }

    /// How its readings are written.
    pub(super) fn format(self) -> Format {
        match self {
            Self::Counter | Self::ToiletRoll | Self::PaperTowel | Self::Soap | Self::Bin | Self::Spill => Format::Plain,
            Self::Um | Self::Feedback | Self::AirLite => Format::Aggregated,
            Self::Air => Format::Wired,
            _ => Format::Newer,
        }
    }

    /// Minutes from one look to the next. Those that report by the clock report at every look, the others where there is
    /// something to tell.
    fn minutes(self) -> f64 {
        match self {
            Self::Air | Self::AirLite | Self::AirTenInOne | Self::Um | Self::Counter => 5.0,
            Self::Climate => 10.0,
            Self::ToiletRoll | Self::PaperTowel | Self::Soap | Self::Bin => 15.0,
            Self::Tilt => 60.0,
            Self::CubicleMinew | Self::CubicleScm | Self::Desk | Self::Feedback | Self::Spill => 2.0,
        }
    }
}

/// What a device sees: its zone, at a moment.
#[derive(Clone, Copy, Debug)]
struct Sight<'a> {
    zone: &'a ZoneLife,
    now: &'a Moment,
}

/// A device as it is at a moment.
#[derive(Clone, Debug)]
pub(super) struct DeviceLife {
    kind: Kind,
    dice: Dice,
    life: Life,
}

#[derive(Clone, Debug)]
enum Life {
    Counter(CounterLife),
    Feedback(FeedbackLife),
    Supply(SupplyLife),
    Spill(SpillLife),
    Air(AirLife),
    Climate(ClimateLife),
    Presence(PresenceLife),
    Tree(TreeLife),
}

/// Once in this many days a device falls silent, on average.
const DAYS_BETWEEN_SILENCES: f64 = 45.0;

impl DeviceLife {
    pub(super) fn new(kind: Kind, mut dice: Dice, from_ms: i64) -> Self {
        let life = match kind {
            Kind::Um | Kind::Counter => Life::Counter(CounterLife::new(kind == Kind::Counter, &mut dice)),
            Kind::Feedback => Life::Feedback(FeedbackLife::new(&mut dice)),
            Kind::ToiletRoll | Kind::PaperTowel | Kind::Soap | Kind::Bin => {
                Life::Supply(SupplyLife::new(kind, &mut dice))
            }
            Kind::Spill => Life::Spill(SpillLife::default()),
            Kind::Air | Kind::AirLite | Kind::AirTenInOne => Life::Air(AirLife::new(kind, &mut dice)),
            Kind::Climate => Life::Climate(ClimateLife::new(&mut dice)),
            Kind::CubicleMinew | Kind::CubicleScm | Kind::Desk => Life::Presence(PresenceLife::new(kind, &mut dice)),
            Kind::Tilt => Life::Tree(TreeLife::new(&mut dice, from_ms)),
        };
        Self { kind, dice, life }
    }

    /// Milliseconds until it looks for the first time: anywhere in its interval, so that devices do not speak in chorus.
    pub(super) fn first_look(&mut self) -> i64 {
        self.dice.minutes(0.0, self.kind.minutes())
    }

    /// Milliseconds until it looks again: its interval, seldom hours, when it lost its connection or its power.
    pub(super) fn next_look(&mut self) -> i64 {
        let minutes = self.kind.minutes();
        if !self.dice.chance(minutes / (DAYS_BETWEEN_SILENCES * 1440.0)) {
            return self.dice.minutes(minutes * 0.98, minutes * 1.02);
        }
        let is_long = self.dice.chance(0.1);
        if is_long { self.dice.minutes(25.0 * 60.0, 40.0 * 60.0) } else { self.dice.minutes(60.0, 8.0 * 60.0) }
    }

    /// Looks at its zone. Writes the JSON text of `v` where there is something to tell, and says whether there was.
    pub(super) fn look(&mut self, zone: &ZoneLife, now: &Moment, values: &mut String) -> bool {
        let sight = Sight { zone, now };
        let dice = &mut self.dice;
        match &mut self.life {
            Life::Counter(life) => life.look(sight, dice, values),
            Life::Feedback(life) => life.look(sight, dice, values),
            Life::Supply(life) => life.look(sight, dice, values),
            Life::Spill(life) => life.look(sight, dice, values),
            Life::Air(life) => life.look(sight, dice, values),
            Life::Climate(life) => life.look(sight, dice, values),
            Life::Presence(life) => life.look(sight, dice, values),
            Life::Tree(life) => life.look(sight, dice, values),
        }
    }
}
