//! The events of all devices and cleaners, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use domain::device::short_name;

use super::building::{BUILDING, Building, DeviceModel, LEVELS, ZoneModel};
use super::device::SimulatedDevice;
use super::zone::SimulatedZone;

/// The plan of a simulation.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The number of devices.
    pub devices: usize,
    /// The start, in the time zone of the site. The zone has an IANA name.
    pub from: ZonedDateTime,
    /// The end, not included.
    pub to: Timestamp,
    /// The same seed gives the same site and the same bytes.
    pub seed: u64,
}

/// A reading of a sensor, or a Matrix event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedEvent {
    /// When it happens.
    pub at: Timestamp,
    /// The number of its building, from 0.
    pub building: usize,
    /// True for a reading, false for a Matrix event.
    pub is_reading: bool,
    /// Its JSON text.
    pub text: String,
}

/// All events of a site in order of time.
#[derive(Debug)]
pub struct Fleet {
    time_zone: TimeZone,
    to_ms: i64,
    zones: Vec<SimulatedZone>,
    /// The devices, and a cleaner of each zone.
    devices: Vec<SimulatedDevice>,
    /// When each device acts next, in milliseconds since 1970, with its index.
    next: BinaryHeap<Reverse<(i64, usize)>>,
}

impl Fleet {
    /// The events of a plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let mut fleet = Self {
            time_zone: plan.from.time_zone().clone(),
            to_ms: plan.to.as_millisecond(),
            zones: Vec::new(),
            devices: Vec::new(),
            next: BinaryHeap::new(),
        };
        let Building { zones, cleaner, models, .. } = &*BUILDING;
        let of_level: Vec<_> = zones
            .iter()
            .enumerate()
            .flat_map(|(zone, of)| of.devices.iter().map(move |device| (zone, device)))
            .collect();
        for number in 0..plan.devices {
            let (level, (zone, (type_name, name))) = (number / of_level.len(), of_level[number % of_level.len()]);
            let building = level / LEVELS;
            let ZoneModel { name: zone_name, visitors_an_hour, stay_minutes, .. } = &zones[zone];
            let names = [&building.to_string(), &*format!("Level {} {zone_name}", 1 + level % LEVELS)];
            if fleet.zones.len() == level * zones.len() + zone {
                let at_ms = plan.from.timestamp().as_millisecond();
                fleet.zones.push(SimulatedZone::new(plan.seed, &names, *visitors_an_hour, *stay_minutes, at_ms));
                fleet.add(plan, cleaner, building, names, "Cleaner");
            }
            if let Some(model) = models.iter().find(|model| short_name(&model.type_name) == type_name) {
                fleet.add(plan, model, building, names, name);
            }
        }
        fleet
    }

    /// Adds a device of the last zone.
    fn add(&mut self, plan: &Plan, model: &'static DeviceModel, building: usize, zone: [&str; 2], name: &str) {
        let region = plan.from.time_zone().iana_name().unwrap_or("UTC");
        let indices = (building, self.zones.len() - 1);
        let mut device = SimulatedDevice::new(plan.seed, model, [zone[0], zone[1], name], indices, region);
        let at_ms = plan.from.timestamp().as_millisecond() + device.first_report();
        self.next.push(Reverse((at_ms, self.devices.len())));
        self.devices.push(device);
    }

    /// The number of buildings.
    #[must_use]
    pub fn buildings(&self) -> usize {
        self.devices.last().map_or(0, |device| device.building + 1)
    }
}

impl Iterator for Fleet {
    type Item = SimulatedEvent;

    fn next(&mut self) -> Option<SimulatedEvent> {
        loop {
            let Reverse((at_ms, index)) = self.next.pop().filter(|next| next.0.0 < self.to_ms)?;
            let at = Timestamp::from_millisecond(at_ms).ok()?;
            let now = at.to_zoned_datetime(self.time_zone.clone());
            let device = &mut self.devices[index];
            let zone = &mut self.zones[device.zone];
            zone.advance(&now);
            let text = device.report(zone, &now);
            self.next.push(Reverse((at_ms + device.next_report(), index)));
            if let Some(text) = text {
                return Some(SimulatedEvent { at, building: device.building, is_reading: device.is_sensor(), text });
            }
        }
    }
}
