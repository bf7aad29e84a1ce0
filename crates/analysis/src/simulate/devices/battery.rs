//! Batteries run down over months and are replaced a while after they are weak.

use super::super::dice::Dice;

/// A battery, by the part of its charge that is left.
#[derive(Clone, Debug)]
pub(super) struct Battery {
    /// Days that a full one lasts.
    lasts_days: f64,
    charge: f64,
    at_ms: i64,
}

/// Somebody replaces a battery when about this part of its charge is left.
const REPLACED_AT: f64 = 0.08;

impl Battery {
    /// One of any age.
    pub(super) fn new(dice: &mut Dice) -> Self {
        Self { lasts_days: dice.between(300.0, 700.0), charge: dice.between(REPLACED_AT, 1.0), at_ms: 0 }
    }

    /// The part of its charge that is left at a moment, 0 to 1.
    pub(super) fn charge(&mut self, now_ms: i64) -> f64 {
        if self.at_ms > 0 {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a few days")]
            let days = (now_ms - self.at_ms) as f64 / 86_400_000.0;
            self.charge -= days / self.lasts_days;
        }
        self.at_ms = now_ms;
        if self.charge < REPLACED_AT {
            self.charge = 1.0;
        }
        self.charge
    }

    /// The same in whole per cent.
    pub(super) fn percent(&mut self, now_ms: i64) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
        let percent = (self.charge(now_ms) * 100.0).round() as u32;
        percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_battery_only_falls_until_it_is_replaced() {
        let mut battery = Battery::new(&mut Dice::new(1, 1));
        let charges: Vec<_> = (1..1000).map(|day| battery.charge(day * 86_400_000)).collect();
        let rises = charges.windows(2).filter(|pair| pair[1] > pair[0]).count();
        assert!((1..=4).contains(&rises), "{rises}");
        assert!(charges.iter().all(|charge| (REPLACED_AT..=1.0).contains(charge)));
    }
}
