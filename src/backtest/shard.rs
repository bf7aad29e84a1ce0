//! A share of the zones, for one core at a time.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::arrivals::Arrivals;
use super::device::Histograms;
use super::hearing::Event;
use super::series::Buckets;
use super::zone::{Rules, Zone};
use crate::domain::reading::Reading;
use crate::domain::state::ZoneKey;
use crate::history::Arrived;

/// Which of `shards` a reading belongs to: zones of one id are together, because a cleaning names no project.
pub(super) fn of(reading: &Reading<'_>, shards: usize) -> usize {
    let name = reading.cleaning.as_ref().map(|cleaning| cleaning.zone.as_str());
    let name = name.or(reading.source.zone.as_deref()).or(reading.source.device.as_deref()).unwrap_or_default();
    // Fixed keys: the same zone goes to the same share in every run.
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    #[expect(clippy::cast_possible_truncation, reason = "any part of a hash is as good")]
    let hash = hasher.finish() as usize;
    hash % shards
}

/// What happened in a share of the zones, in order.
#[derive(Default)]
pub(super) struct Share<'t>(Vec<&'t Arrived<'t>>);

impl<'t> Share<'t> {
    pub(super) fn take(&mut self, arrived: &'t Arrived<'t>) {
        self.0.push(arrived);
    }
}

/// A share of the zones.
#[derive(Debug)]
pub(super) struct Shard<'r> {
    rules: Rules<'r>,
    pub(super) zones: Vec<Zone<'r>>,
    by_key: HashMap<ZoneKey<'static>, usize>,
    pub(super) histograms: Histograms,
}

impl<'r> Shard<'r> {
    pub(super) fn new(rules: Rules<'r>) -> Self {
        Self { rules, zones: Vec::new(), by_key: HashMap::new(), histograms: Histograms::new() }
    }

    /// Takes what happened, each zone by itself.
    pub(super) fn take(&mut self, share: Share<'_>, arrivals: &Arrivals, buckets: &Buckets) {
        let mut events: Vec<Vec<Event<'_>>> = Vec::new();
        for arrived in share.0 {
            let zones = match &arrived.reading.cleaning {
                Some(cleaning) => self.zones_of(&cleaning.zone),
                None => vec![self.zone(ZoneKey::of(&arrived.reading.source))],
            };
            events.resize_with(self.zones.len(), Vec::new);
            let event = match &arrived.reading.cleaning {
                Some(cleaning) => Event::Cleaned { at: cleaning.at, turn: arrived.turn },
                None => Event::Reading { at: arrived.at, received: arrived.received, reading: &arrived.reading },
            };
            zones.into_iter().for_each(|zone| events[zone].push(event));
        }
        for (zone, events) in self.zones.iter_mut().zip(events) {
            if !events.is_empty() {
                zone.take(&events, arrivals, buckets, &mut self.histograms);
            }
        }
    }

    /// The zones of that id that are known, whatever their project.
    fn zones_of(&self, name: &str) -> Vec<usize> {
        let is_named = |key: &ZoneKey<'_>| matches!(key, ZoneKey::Zone { zone, .. } if zone == name);
        let mut zones: Vec<usize> =
            self.by_key.iter().filter(|(key, _)| is_named(key)).map(|(_, zone)| *zone).collect();
        zones.sort_unstable();
        zones
    }

    fn zone(&mut self, key: ZoneKey<'_>) -> usize {
        if let Some(zone) = self.by_key.get(&key) {
            return *zone;
        }
        self.zones.push(Zone::new(self.rules));
        self.by_key.insert(key.into_owned(), self.zones.len() - 1);
        self.zones.len() - 1
    }
}
