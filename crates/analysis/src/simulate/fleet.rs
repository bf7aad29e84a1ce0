//! All devices together, in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use jiff::Timestamp;

use super::building::{Site, id};
use super::clock::SiteClock;
use super::devices::DeviceLife;
use super::dice::Dice;
use super::wire::{self, Envelope, Place};
use super::zone::ZoneLife;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many devices.
    pub devices: usize,
    /// The first moment.
    pub from: Timestamp,
    /// The first moment that is not simulated any more.
    pub to: Timestamp,
    /// The same seed makes the same site and the same days, to the letter.
    pub seed: u64,
    /// The time zone of the site.
    pub clock: SiteClock,
}

/// One thing that is told: a sensor's reading or a Matrix event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// Which building it is from, from 0.
    pub building: usize,
    /// Whether a sensor says it; else it is a Matrix event.
    pub is_reading: bool,
    /// Its JSON text.
    pub text: Arc<str>,
}

/// All events of a site in order of time. It holds one next moment for each device and zone, however long it runs.
#[derive(Debug)]
pub struct Fleet {
    site: Site,
    clock: SiteClock,
    to_ms: i64,
    zones: Vec<ZoneLife>,
    devices: Vec<(DeviceLife, Envelope)>,
    /// When each actor acts next: devices by their number, zones' cleaners after them.
    next: BinaryHeap<Reverse<(i64, usize)>>,
    values: String,
}

impl Fleet {
    /// The events of a plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let (from_ms, seed) = (plan.from.as_millisecond(), plan.seed);
        let site = Site::of(plan.devices, seed);
        let mut next = BinaryHeap::with_capacity(site.devices.len() + site.zones.len());
        let property = id(seed, &["property"]);
        let mut streams = 0..;
        let mut dice = || Dice::new(seed, streams.next().unwrap_or_default());
        let mut devices = Vec::with_capacity(site.devices.len());
        for (index, device) in site.devices.iter().enumerate() {
            let mut life = DeviceLife::new(device.kind, dice(), from_ms);
            next.push(Reverse((from_ms + life.first_look(), index)));
            let zone = &site.zones[device.zone];
            let project = &site.buildings[zone.building];
            let place = Place { project, property: &property, zone, region: plan.clock.region() };
            devices.push((life, Envelope::of(device, place)));
        }
        let mut zones = Vec::with_capacity(site.zones.len());
        // Of another range than those of the devices, so that a zone's days do not depend on how many devices there are.
        for (index, zone) in site.zones.iter().enumerate() {
            let mut life = ZoneLife::new(zone.use_, Dice::new(seed, (1 << 40) + index as u64), from_ms);
            if zone.use_.has_rounds() {
                next.push(Reverse((from_ms + life.until_next_round(), devices.len() + index)));
            }
            zones.push(life);
        }
        let (clock, to_ms) = (plan.clock.clone(), plan.to.as_millisecond());
        Self { site, clock, to_ms, zones, devices, next, values: String::new() }
    }

    /// How many buildings there are.
    #[must_use]
    pub fn buildings(&self) -> usize {
        self.site.buildings.len()
    }

    /// What actor number `actor` says at a moment, if anything.
    fn act(&mut self, at_ms: i64, actor: usize) -> Option<Event> {
        let now = self.clock.at(at_ms);
        let told = |building, is_reading, text: String| {
            let at = Timestamp::from_millisecond(at_ms).ok()?;
            Some(Event { at, building, is_reading, text: text.into() })
        };
        let Some((device, envelope)) = self.devices.get_mut(actor) else {
            let index = actor - self.devices.len();
            let zone = &mut self.zones[index];
            self.next.push(Reverse((at_ms + zone.until_next_round(), actor)));
            zone.advance(&now);
            let began = zone.round(&now)?;
            let site = &self.site.zones[index];
            let project = &self.site.buildings[site.building];
            return told(site.building, false, wire::cleaning(site, project, began, at_ms.div_euclid(1000)));
        };
        let index = self.site.devices[actor].zone;
        let zone = &mut self.zones[index];
        zone.advance(&now);
        self.values.clear();
        let has_told = device.look(zone, &now, &mut self.values);
        self.next.push(Reverse((at_ms + device.next_look(), actor)));
        has_told.then(|| told(self.site.zones[index].building, true, envelope.write(&now, &self.values)))?
    }
}

impl Iterator for Fleet {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let Reverse((at_ms, actor)) = self.next.pop()?;
            if at_ms >= self.to_ms {
                return None;
            }
            if let Some(event) = self.act(at_ms, actor) {
                return Some(event);
            }
        }
    }
}
