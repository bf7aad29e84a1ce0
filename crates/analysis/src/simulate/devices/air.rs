//! What is in the air: smells of washrooms, breath of meetings, heat and damp.

use std::fmt::Write as _;

use super::super::dice::Dice;
use super::super::rhythm::{Use, busyness};
use super::{Kind, Sight};

/// An air quality sensor of one of three types.
#[derive(Clone, Debug)]
pub(super) struct AirLife {
    kind: Kind,
    /// What this sensor shows in clean air beside others, 1 on average.
    bias: f64,
    /// What it has come to expect of smells: the average of the last days.
    usual: f64,
    /// Carbon dioxide in ppm.
    co2: f64,
    /// Fine dust outdoors in µg/m³, which wanders slowly.
    dust: f64,
    looked_ms: i64,
}

/// Carbon dioxide of fresh air, in ppm.
const FRESH: f64 = 430.0;
/// What each person in a meeting room comes to, in ppm.
const A_PERSON: f64 = 150.0;

impl AirLife {
    pub(super) fn new(kind: Kind, dice: &mut Dice) -> Self {
        let dust = dice.between(9.0, 18.0);
        Self { kind, bias: dice.between(0.85, 1.15), usual: 0.2, co2: FRESH, dust, looked_ms: 0 }
    }

    pub(super) fn look(&mut self, sight: Sight<'_>, dice: &mut Dice, v: &mut String) -> bool {
        let _ = match self.kind {
            Kind::Air => self.wired(sight, dice, v),
            Kind::AirLite => self.lite(sight, dice, v),
            _ => self.ten_in_one(sight, dice, v),
        };
        true
    }

    /// Ammonia, alcohol vapour and nitrogen dioxide in ppm, each with what was expected and how unusual it is.
    fn wired(&mut self, sight: Sight<'_>, dice: &mut Dice, v: &mut String) -> std::fmt::Result {
        let smell = sight.zone.smell;
        self.usual += 0.002 * (smell - self.usual);
        write!(v, r#"{{"rssi":"{:.0}""#, dice.normal(-68.0, 3.0))?;
        let gases = [("amm", 2.4, 0.22, 2.2), ("alc", 0.17, 0.012, 0.3), ("no2", 0.72, 0.02, 0.0)];
        for (name, clean, deviation, follows_smell) in gases {
            let expected = clean * self.bias * (1.0 + 0.05 * self.usual);
            let unusual = follows_smell * (smell - self.usual) + dice.normal(0.0, 0.4);
            let found = (expected + unusual * deviation).max(0.0);
            write!(v, r#","{name}_expected":{expected:.6},"{name}_zscore":{unusual:.6},"{name}":{found:.6}"#)?;
        }
        v.write_str("}")
    }

    /// Ammonia in ppb, the index, humidity and temperature in tenths.
    fn lite(&mut self, sight: Sight<'_>, dice: &mut Dice, v: &mut String) -> std::fmt::Result {
        let (smell, busy) = (sight.zone.smell, busyness(sight.now));
        let ammonia = (28.0 * self.bias + 185.0 * self.bias * smell + dice.normal(0.0, 4.0)).max(1.0);
        let index = (42.0 * self.bias + 120.0 * smell + 25.0 * busy + dice.normal(0.0, 4.0)).clamp(1.0, 500.0);
        let humidity = (660.0 + 60.0 * busy + dice.normal(0.0, 8.0)).clamp(300.0, 990.0);
        let temperature = 268.0 + 18.0 * busy + dice.normal(0.0, 3.0);
        write!(v, r#"{{"amm":{ammonia:.0},"aqi":{index:.0},"rh":{humidity:.0},"temp":{temperature:.0}}}"#)
    }

    fn ten_in_one(&mut self, sight: Sight<'_>, dice: &mut Dice, v: &mut String) -> std::fmt::Result {
        let inside = f64::from(sight.zone.inside);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a few hours")]
        let minutes = ((sight.now.ms - self.looked_ms) as f64 / 60_000.0).min(60.0);
        self.looked_ms = sight.now.ms;
        // A room's air follows the people in it with a time constant of half an hour.
        self.co2 += (FRESH + A_PERSON * inside - self.co2) * (1.0 - (-minutes / 30.0).exp());
        self.dust = (self.dust + dice.normal(0.0, 0.25) + 0.01 * (13.0 - self.dust)).clamp(3.0, 60.0);
        let is_lit = inside > 0.0 || busyness(sight.now) > 0.3;
        let light = if is_lit { 3 } else { u8::from(busyness(sight.now) > 0.1) };
        let warm = 0.25 * inside + if is_lit { 0.0 } else { 2.5 };
        write!(
            v,
            r#"{{"temperature":{:.1},"humidity":{:.1},"light_level":{light},"co2":{:.0},"pir_trigger":{},"tvoc":{:.2},"pressure":{:.0},"hcho":{:.2},"pm_25":{:.0},"pm_10":{:.0}}}"#,
            23.4 + warm + dice.normal(0.0, 0.1),
            62.0 + 0.6 * inside + dice.normal(0.0, 0.8),
            self.co2 * (1.0 + dice.normal(0.0, 0.008)),
            u8::from(inside > 0.0),
            (0.22 * self.bias + 0.03 * inside + dice.normal(0.0, 0.02)).max(0.01),
            1008.0 + 1.6 * (sight.now.hour() / 24.0 * std::f64::consts::TAU * 2.0).sin(),
            (0.03 * self.bias + dice.normal(0.0, 0.004)).max(0.0),
            self.dust,
            self.dust * 1.3 + dice.between(0.0, 2.0),
        )
    }
}

/// A sensor of temperature and humidity.
#[derive(Clone, Debug)]
pub(super) struct ClimateLife {
    /// Degrees that its place is warmer than others.
    warmer: f64,
}

impl ClimateLife {
    pub(super) fn new(dice: &mut Dice) -> Self {
        Self { warmer: dice.normal(0.0, 0.6) }
    }

    pub(super) fn look(&mut self, sight: Sight<'_>, dice: &mut Dice, v: &mut String) -> bool {
        // Cooled while people work; a lobby less so.
        let rest = 1.0 - busyness(sight.now);
        let open = if sight.zone.use_ == Use::Lobby { 1.5 } else { 0.0 };
        let celsius = 23.2 + 3.4 * rest + open + self.warmer + dice.normal(0.0, 0.12);
        let humidity = (58.0 + 12.0 * rest + 2.0 * open + dice.normal(0.0, 0.7)).clamp(20.0, 99.0);
        let _ = write!(v, r#"{{"t":{celsius:.1},"h":{humidity:.1}}}"#);
        true
    }
}
