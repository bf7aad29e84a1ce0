//! The events of all devices and cleaners, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::building::{DevicePlan, LEVEL, LEVELS, building_name};
use super::device::SimulatedDevice;
use super::rng::digest;
use super::zone::{People, SimulatedZone};

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

/// A device, or the cleaner of a zone, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Actor {
    Device(usize),
    Cleaner(usize),
}

/// All events of a site in order of time.
#[derive(Debug)]
pub struct Fleet {
    time_zone: TimeZone,
    to_ms: i64,
    /// Ids of buildings.
    buildings: Vec<String>,
    zones: Vec<SimulatedZone>,
    devices: Vec<SimulatedDevice>,
    /// When each actor acts next, in milliseconds since 1970.
    next: BinaryHeap<Reverse<(i64, Actor)>>,
}

impl Fleet {
    /// The events of a plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let mut fleet = Self {
            time_zone: plan.from.time_zone().clone(),
            to_ms: plan.to.as_millisecond(),
            buildings: Vec::new(),
            zones: Vec::new(),
            devices: Vec::new(),
            next: BinaryHeap::new(),
        };
        let levels = (0..).flat_map(|level| LEVEL.iter().map(move |zone| (level, zone)));
        for (level, (name, people, devices)) in levels {
            let wanted = plan.devices.saturating_sub(fleet.devices.len());
            if wanted == 0 {
                break;
            }
            let (building, name) = (level / LEVELS, format!("Level {} {name}", 1 + level % LEVELS));
            fleet.add_zone(plan, building, name, *people, &devices[..devices.len().min(wanted)]);
        }
        fleet
    }

    fn add_zone(&mut self, plan: &Plan, building: usize, name: String, people: People, devices: &[DevicePlan]) {
        let Plan { seed, from, .. } = plan;
        let (from_ms, building_name) = (from.timestamp().as_millisecond(), building_name(building));
        let id = |names: &[&str]| format!("{:.32}", digest(*seed, names));
        if self.buildings.len() == building {
            self.buildings.push(id(&[&building_name]));
        }
        let mut zone = SimulatedZone::new(*seed, (building, &building_name), name, people, from_ms);
        let (index, property) = (self.zones.len(), id(&["property"]));
        let region = from.time_zone().iana_name().unwrap_or("UTC");
        for &(model, name) in devices {
            let ids = [property.as_str(), self.buildings[building].as_str(), region];
            let mut device = SimulatedDevice::new(*seed, model, name, (index, &zone), ids);
            self.next.push(Reverse((from_ms + device.first_report(), Actor::Device(self.devices.len()))));
            self.devices.push(device);
        }
        if matches!(people, People::Visitors(_)) {
            self.next.push(Reverse((from_ms + zone.until_next_round(), Actor::Cleaner(index))));
        }
        self.zones.push(zone);
    }

    /// The number of buildings.
    #[must_use]
    pub fn buildings(&self) -> usize {
        self.buildings.len()
    }

    /// Lets an actor act. Returns the event that is sent, if any.
    fn act(&mut self, at: Timestamp, actor: Actor) -> Option<SimulatedEvent> {
        let now = at.to_zoned_datetime(self.time_zone.clone());
        let (zone, text, wait) = match actor {
            Actor::Device(index) => {
                let device = &mut self.devices[index];
                let zone = &mut self.zones[device.zone];
                zone.advance(&now);
                (&*zone, device.report(zone, &now), device.next_report())
            }
            Actor::Cleaner(index) => {
                let zone = &mut self.zones[index];
                zone.advance(&now);
                let cleaning = zone.clean(&now, &self.buildings[zone.building]);
                let wait = zone.until_next_round();
                (&*zone, cleaning, wait)
            }
        };
        self.next.push(Reverse((at.as_millisecond() + wait, actor)));
        let is_reading = matches!(actor, Actor::Device(_));
        Some(SimulatedEvent { at, building: zone.building, is_reading, text: text? })
    }
}

impl Iterator for Fleet {
    type Item = SimulatedEvent;

    fn next(&mut self) -> Option<SimulatedEvent> {
        loop {
            let Reverse((at_ms, actor)) = self.next.pop().filter(|next| next.0.0 < self.to_ms)?;
            if let Some(event) = self.act(Timestamp::from_millisecond(at_ms).ok()?, actor) {
                return Some(event);
            }
        }
    }
}
