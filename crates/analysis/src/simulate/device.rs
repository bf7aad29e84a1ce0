//! A device of a zone, or its cleaner: when it reports, and what.

use std::mem::replace;

use jiff::ZonedDateTime;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::building::{BUILDING, DeviceModel, Driver, Format};
use super::rng::{id, minutes, seeded};
use super::zone::{SimulatedZone, busyness};

/// The vendor's readings expire after 180 days, in seconds.
const EXPIRES_AFTER: i64 = 180 * 86_400;
/// Length of a cleaning in seconds.
const CLEANING: i64 = 12 * 60;
/// Mean days between two silences of a device.
const DAYS_BETWEEN_SILENCES: f64 = 25.0;
/// Days that a battery lasts.
const BATTERY_DAYS: f64 = 500.0;
/// The part of its charge at which a battery is replaced.
const REPLACED_AT: f64 = 0.08;

/// The state of a device at a moment.
#[derive(Clone, Debug)]
pub(super) struct SimulatedDevice {
    model: &'static DeviceModel,
    /// The number of its building, from 0.
    pub(super) building: usize,
    /// The index of its zone.
    pub(super) zone: usize,
    /// Its reading, without times and values.
    reading: String,
    rng: ChaCha8Rng,
    /// Its deviation from others of its type: 0 on average, mostly within 1.
    bias: f64,
    /// When it has a connection and power again.
    silent_until_ms: i64,
    /// All visitors, all who left, and all cleanings of its zone at the last measurement.
    visitors: u64,
    left: u64,
    cleanings: u32,
    /// Used per cent of a dispenser or a bin, wet per cent of a floor.
    level: f64,
}

/// The names of a device: its building, its zone, its own.
pub(super) type DeviceNames<'n> = [&'n str; 3];

impl SimulatedDevice {
    /// A device of the zone with the index `zone`. `region` is the time zone. Names come from this module and need no escaping.
    pub(super) fn new(
        seed: u64,
        model: &'static DeviceModel,
        names: DeviceNames<'_>,
        (building, zone): (usize, usize),
        region: &str,
    ) -> Self {
        let device = id(seed, &names);
        let [_, zone_name, name] = names;
        let fixed = [
            ("<type>", &*model.type_name),
            ("<physical>", &format!("24E1{}", device[..12].to_uppercase())),
            ("<device>", &device),
            ("<name>", &format!("{zone_name} {name}")),
            ("<zone>", &id(seed, &names[..2])),
            ("<zone_name>", zone_name),
            ("<project>", &id(seed, &names[..1])),
            ("<property>", &id(seed, &[])),
            ("<region>", region),
        ];
        let envelope = &BUILDING.envelopes[&model.envelope];
        let mut rng = seeded(seed, &names);
        Self {
            model,
            building,
            zone,
            reading: fixed.iter().fold(envelope.clone(), |text, (slot, value)| text.replace(slot, value)),
            bias: rng.sample::<f64, _>(StandardNormal).clamp(-2.0, 2.0),
            silent_until_ms: 0,
            visitors: 0,
            left: 0,
            cleanings: 0,
            level: rng.random_range(0.0..=model.wear.reset_above),
            rng,
        }
    }

    /// Whether it sends readings: all but a cleaner do.
    pub(super) fn is_sensor(&self) -> bool {
        !self.model.type_name.is_empty()
    }

    /// Milliseconds until the first measurement: anywhere in its interval, so that devices do not report all at once.
    pub(super) fn first_report(&mut self) -> i64 {
        minutes(&mut self.rng, 0.0, self.model.minutes)
    }

    /// Milliseconds until the next measurement.
    pub(super) fn next_report(&mut self) -> i64 {
        minutes(&mut self.rng, 0.98 * self.model.minutes, 1.02 * self.model.minutes)
    }

    /// Measures or cleans its zone. Returns the JSON text of a reading or an event, if there is something to report.
    pub(super) fn report(&mut self, zone: &mut SimulatedZone, now: &ZonedDateTime) -> Option<String> {
        let model = self.model;
        if !self.is_sensor() && !zone.clean(now) {
            return None;
        }
        let came = zone.visitors - replace(&mut self.visitors, zone.visitors);
        let all_left = zone.visitors - zone.people;
        let left = all_left - replace(&mut self.left, all_left);
        let was_cleaned = replace(&mut self.cleanings, zone.cleanings) != zone.cleanings;
        for _ in 0..came {
            if self.rng.random_bool(model.wear.part) {
                self.level = (self.level + model.wear.each * self.rng.random_range(0.3..1.7)).min(100.0);
            }
        }
        if was_cleaned && self.level > model.wear.reset_above {
            self.level = 0.0;
        }
        let second = now.timestamp().as_second();
        if self.is_silent(second * 1_000) || !self.has_reporter(came) {
            return None;
        }
        let busyness = busyness(now);
        let charge = charge(second, self.bias);
        let mut driver = |driver| match driver {
            Driver::Smell => zone.smell,
            Driver::Busyness => busyness,
            Driver::People => zone.people as f64,
            Driver::Occupied => f64::from(u8::from(zone.people > 0)),
            Driver::Came => came as f64,
            Driver::Left => left as f64,
            Driver::Level => self.level,
            Driver::Wet => f64::from(u8::from(self.level > 0.0)),
            Driver::Charge => charge,
            Driver::Noise => self.bias + self.rng.sample::<f64, _>(StandardNormal),
        };
        let members = model.members.iter().map(|(name, format, rest, drivers)| {
            let value = rest + drivers.iter().map(|(name, each)| each * driver(*name)).sum::<f64>();
            match format {
                Format::Digits(digits) => format!("\"{name}\":{value:.digits$}"),
                Format::Quoted => format!("\"{name}\":\"{value:.0}\""),
                Format::OneOf(texts) => format!("\"{name}\":{}", texts[(value.round() as usize).min(texts.len() - 1)]),
            }
        });
        let reading = self
            .reading
            .replace("<v>", &format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
            .replace("<expiry>", &(second + EXPIRES_AFTER).to_string())
            .replace("<began>", &(second - CLEANING).to_string());
        Some(now.strftime(&reading).to_string())
    }

    /// Whether it has no connection or no power at `now_ms`, mostly for hours.
    fn is_silent(&mut self, now_ms: i64) -> bool {
        if self.rng.random_bool(self.model.minutes / (DAYS_BETWEEN_SILENCES * 1_440.0)) {
            self.silent_until_ms = now_ms + minutes(&mut self.rng, 60.0, 30.0 * 60.0);
        }
        now_ms < self.silent_until_ms
    }

    /// Whether one of these visitors makes it report.
    fn has_reporter(&mut self, came: u64) -> bool {
        self.model.reporters.is_none_or(|part| (0..came).any(|_| self.rng.random_bool(part)))
    }
}

/// The charge of a battery at a second, 0 to 1. It runs down over months, and is replaced when it is weak.
fn charge(second: i64, bias: f64) -> f64 {
    1.0 - (1.0 - REPLACED_AT) * (second as f64 / 86_400.0 / BATTERY_DAYS + bias).rem_euclid(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::reading::Reading;

    #[test]
    fn feedback_is_worse_when_it_smells() {
        let now: ZonedDateTime = "2026-10-05T12:00[Asia/Singapore]".parse().unwrap();
        let model = BUILDING.models.iter().find(|model| model.type_name == "SMARTCLEAN#FD").unwrap();
        let mut zone = SimulatedZone::new(1, &["0", "Washroom"], 12.0, 5.0, 0);
        let mut device = SimulatedDevice::new(1, model, ["0", "Washroom", "Feedback"], (0, 0), "Asia/Singapore");
        device.bias = 0.0;
        let mut bad = |smell| {
            zone.smell = smell;
            let mut report = || {
                zone.visitors += 100;
                device.report(&mut zone, &now)
            };
            let readings: Vec<String> = (0..1000).filter_map(|_| report()).collect();
            assert!(readings.len() > 900, "{}", readings.len());
            let rating = |reading: &String| Reading::read(reading).unwrap().metric("rating").unwrap().value;
            readings.iter().filter(|reading| rating(reading) >= 4.0).count()
        };
        assert!(bad(0.1) < 20, "{}", bad(0.1));
        assert!(bad(1.2) > 500, "{}", bad(1.2));
    }

    #[test]
    fn a_battery_runs_down_until_it_is_replaced() {
        let charges: Vec<_> = (1..1000).map(|day| charge(86_400 * day, 0.3)).collect();
        let rises = charges.windows(2).filter(|pair| pair[1] > pair[0]).count();
        assert!((1..=4).contains(&rises), "{rises}");
        assert!(charges.iter().all(|charge| (REPLACED_AT..=1.0).contains(charge)));
    }
}
